/** Goal: an amendment names what the reader changed and nothing else, and says beforehand what it costs in the queue. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { load } from "./modules.mjs";

const { changesOf, effectOf, wishOf } = await load("orders/amendment.ts");

const hour = (number) => `2026-11-23T${String(number).padStart(2, "0")}:00:00Z`;

function order(part = {}) {
  return {
    side: "buy",
    quantity_gpus: 4,
    price_cny_per_gpu_hour: "3.20",
    starts_at: hour(1),
    ends_at: hour(5),
    hours: 4,
    ...part,
  };
}

function amended(of, wish) {
  const changes = changesOf(of, { ...wishOf(of), ...wish });
  return [changes, effectOf(of, changes)];
}

test("what stays is not named", () => {
  for (const side of ["buy", "sell"]) assert.deepEqual(amended(order({ side }), {}), [{}, "none"]);
  assert.deepEqual(amended(order(), { price: " 3.2 ", quantity: " 4" }), [{}, "none"]);
});

test("only a smaller quantity keeps the place", () => {
  assert.deepEqual(amended(order(), { quantity: "3" }), [{ quantity_gpus: 3 }, "kept"]);
  assert.deepEqual(amended(order(), { quantity: "5" }), [{ quantity_gpus: 5 }, "lost"]);
  const both = { quantity_gpus: 3, price_cny_per_gpu_hour: "3.30" };
  assert.deepEqual(amended(order(), { quantity: "3", price: "3.30" }), [both, "lost"]);
});

test("what cannot be read goes as it was typed, for the exchange to judge", () => {
  const typed = { quantity_gpus: "three", price_cny_per_gpu_hour: "dear", ends_at: "" };
  assert.deepEqual(amended(order(), { quantity: "three", price: "dear", ends_at: "" }), [typed, "lost"]);
  assert.deepEqual(amended(order(), { quantity: "" }), [{ quantity_gpus: "" }, "lost"]);
});

test("the length goes with the ends of a bid, where it has no wider window, and never with an ask", () => {
  assert.deepEqual(amended(order(), { ends_at: hour(7) }), [{ ends_at: hour(7), hours: 6 }, "lost"]);
  assert.deepEqual(amended(order({ hours: 2 }), { ends_at: hour(7) }), [{ ends_at: hour(7) }, "lost"]);
  assert.deepEqual(amended(order({ hours: 2 }), { hours: "3" }), [{ hours: 3 }, "lost"]);
  assert.deepEqual(amended(order({ side: "sell" }), { ends_at: hour(7) }), [{ ends_at: hour(7) }, "lost"]);
});
