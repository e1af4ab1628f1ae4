/** Goal: news that never pause do not put off what they ask for. Method: a clock that only the test moves. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { load } from "./modules.mjs";

const { Soon } = await load("stream/soon.ts");

function started(context) {
  context.mock.timers.enable({ apis: ["setTimeout"] });
  let count = 0;
  const soon = new Soon(120, () => {
    count += 1;
  });
  return { soon, count: () => count, tick: (ms) => context.mock.timers.tick(ms) };
}

test("steady calls are heard every period", (context) => {
  const { soon, count, tick } = started(context);
  for (let ms = 0; ms < 1200; ms += 10) {
    soon.plan();
    tick(10);
  }
  assert.equal(count(), 10);
});

test("calls of one moment are one, and what is called off never comes", (context) => {
  const { soon, count, tick } = started(context);
  for (let call = 0; call < 5; call++) soon.plan();
  tick(119);
  assert.equal(count(), 0);
  tick(1000);
  assert.equal(count(), 1);
  soon.plan();
  soon.cancel();
  tick(1000);
  assert.equal(count(), 1);
  soon.plan();
  tick(120);
  assert.equal(count(), 2);
});
