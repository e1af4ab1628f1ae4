/**
 * Goal: what was refused for now is asked for again after a pause, once, however much was refused.
 *
 * Method: a line to an exchange that refuses every subscription, and a clock that only the test moves. How a line to the
 * real exchange goes on after refusals is tried in `tests/browser/test_live.py`.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { load } from "./modules.mjs";

const CHANNELS = ["trades:a", "book:a", "book:b", "orders"];

class Refusing {
  static OPEN = 1;
  static last;
  readyState = 0;
  asked = [];

  constructor() {
    Refusing.last = this;
  }

  send(text) {
    const message = JSON.parse(text);
    if (message.op !== "subscribe") return;
    this.asked.push(...message.channels);
    this.onmessage({ data: JSON.stringify({ event: "error", problem: { retryable: true } }) });
  }

  close() {}
}

test("each pause asks once for each channel that has not come", async (context) => {
  context.mock.timers.enable({ apis: ["setTimeout"] });
  context.mock.method(Math, "random", () => 1); // pauses as long as they can be
  globalThis.addEventListener ??= () => undefined;
  globalThis.WebSocket = Refusing;
  const { StreamConnection } = await load("stream/connection.ts");
  const connection = new StreamConnection(() => "");
  for (const name of CHANNELS) connection.listen(name, () => undefined);
  const socket = Refusing.last;
  socket.readyState = Refusing.OPEN;
  socket.onopen();
  assert.deepEqual(socket.asked, CHANNELS);
  for (const pauseMs of [500, 1_000, 2_000, 4_000, 8_000, 16_000, 20_000, 20_000, 20_000]) {
    const before = socket.asked.length;
    context.mock.timers.tick(pauseMs - 1);
    assert.equal(socket.asked.length, before, `asked before ${pauseMs} ms`);
    context.mock.timers.tick(1);
    assert.deepEqual(socket.asked.slice(before), CHANNELS, `after ${pauseMs} ms`);
  }
  connection.restart();
  assert.notEqual(Refusing.last, socket);
});
