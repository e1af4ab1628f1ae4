/** Goal: what is typed and not sent comes back for whom it is, with the wish that it was sent by, and for nobody else. */
import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import { load } from "./modules.mjs";

/** A window's own storage: a reload loads the module anew and leaves it be. */
let kept = {};
globalThis.sessionStorage = new Proxy(
  {
    getItem: (key) => kept[key] ?? null,
    setItem: (key, text) => {
      kept[key] = text;
    },
    removeItem: (key) => {
      delete kept[key];
    },
  },
  { ownKeys: () => Object.keys(kept), getOwnPropertyDescriptor: () => ({ enumerable: true, configurable: true }) },
);

const FIRST = { price: "", gpus: "" };

beforeEach(() => {
  kept = {};
});

/** A page that has just been loaded for a participant. */
async function page(owner) {
  const { Draft, keepDraftsOf } = await load("components/drafts.ts");
  keepDraftsOf(owner);
  return (form, first = FIRST, wish = "") => new Draft(form, first, wish);
}

function type(draft, change) {
  draft.value.value = { ...draft.value.value, ...change };
  draft.store();
}

test("what was typed is back after a reload, and a form that nobody touched is not kept", async () => {
  const before = await page("par_1");
  type(before("buy"), { price: "3.20" });
  before("sell").store();
  assert.equal(Object.keys(kept).length, 1);
  const after = await page("par_1");
  const back = after("buy");
  assert.deepEqual([back.value.value, back.restored.value], [{ price: "3.20", gpus: "" }, "typed"]);
  assert.equal(after("sell").restored.value, null);
});

test("what is undone, discarded or sent is kept no longer", async () => {
  const draft = (await page("par_1"))("buy");
  type(draft, { price: "1" });
  type(draft, { price: "" });
  assert.deepEqual(kept, {});
  type(draft, { price: "1" });
  draft.begin();
  assert.deepEqual([draft.value.value, kept], [FIRST, {}]);
  type(draft, { price: "1", gpus: "2" });
  draft.begin({ price: "1", gpus: "" });
  assert.deepEqual([draft.value.value.price, kept], ["1", {}]);
});

test("a wish without an answer keeps its key over a reload", async () => {
  const before = (await page("par_1"))("buy");
  type(before, { gpus: "8", price: "3" });
  const key = before.intent.keyFor(before.value.value);
  const after = (await page("par_1"))("buy");
  assert.equal(after.restored.value, "sent");
  assert.equal(after.intent.keyFor(after.value.value), key);
  after.intent.settle();
  const settled = (await page("par_1"))("buy");
  assert.equal(settled.restored.value, "typed");
  assert.notEqual(settled.intent.keyFor(settled.value.value), key);
});

test("a draft that is discarded after it was sent is another wish when it is typed again", async () => {
  const draft = (await page("par_1"))("buy");
  type(draft, { price: "3" });
  const key = draft.intent.keyFor(draft.value.value);
  draft.begin();
  type(draft, { price: "3" });
  assert.notEqual(draft.intent.keyFor(draft.value.value), key);
});

test("nothing is left of it for another participant, or after a log out", async () => {
  for (const next of ["par_2", "par_11", null]) {
    type((await page("par_1"))("buy"), { price: "3" });
    const draft = (await page(next))("buy");
    assert.deepEqual([draft.value.value, kept], [FIRST, {}]);
    type(draft, { price: "4" });
    assert.equal(Object.keys(kept).length, next === null ? 0 : 1);
  }
});

test("an answer that comes after another participant did is written nowhere", async () => {
  const { Draft, keepDraftsOf } = await load("components/drafts.ts");
  keepDraftsOf("par_1");
  const draft = new Draft("buy", FIRST, "");
  type(draft, { price: "3" });
  draft.intent.keyFor("order");
  keepDraftsOf("par_2");
  draft.intent.settle();
  assert.deepEqual(kept, {});
});

test("what an address asks for anew takes the place of the draft, the same or nothing does not", async () => {
  const asked = { price: "", gpus: "4" };
  type((await page("par_1"))("buy", asked, "t4 09:00"), { price: "3" });
  for (const [wish, first] of [["t4 09:00", asked], ["", FIRST]]) {
    assert.deepEqual((await page("par_1"))("buy", first, wish).value.value, { price: "3", gpus: "4" });
  }
  const draft = (await page("par_1"))("buy", asked, "t4 09:00");
  draft.ask("", FIRST);
  assert.equal(draft.value.value.price, "3");
  draft.ask("t4 10:00", FIRST);
  assert.deepEqual([draft.value.value, draft.restored.value, kept], [FIRST, null, {}]);
});

test("what is kept of a form with other fields is not taken for this one's", async () => {
  type((await page("par_1"))("buy"), { price: "3" });
  assert.deepEqual((await page("par_1"))("buy", { price: "", hours: "" }).value.value, { price: "", hours: "" });
});
