/**
 * Goal: a list that was read on loses no row, shows none twice, and shows what is known last of each.
 *
 * Method: an exchange's list in memory, newest first, that gets new rows, changes and loses some at random, is read
 * page by page as the pages read it. What is shown is held to the list itself.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { load } from "./modules.mjs";

const { at, BEGIN, extended } = await load("components/older.ts");
const SIZE = 5;

/** The rows after a cursor, which is the last id of the page before. */
function page(list, cursor = Number.POSITIVE_INFINITY) {
  const rest = list.filter((row) => Number(row.id) < cursor);
  const data = rest.slice(0, SIZE);
  return { data, next_cursor: rest.length > SIZE ? Number(data.at(-1).id) : null };
}

const row = (id, turn = 0) => ({ id: String(id), turn });
const rows = (first, last) => Array.from({ length: first - last + 1 }, (_, place) => row(first - place));
const ids = (known) => known.rows.map((each) => Number(each.id)).join();

test("what new rows push out of the first page stays", () => {
  let list = rows(20, 1);
  let known = extended(at({ ...BEGIN, next: 16 }, page(list)), page(list, 16));
  assert.equal(ids(known), "20,19,18,17,16,15,14,13,12,11");
  list = [...rows(23, 21), ...list];
  known = at(known, page(list));
  assert.equal(ids(known), "23,22,21,20,19,18,17,16,15,14,13,12,11");
  assert.equal(known.next, 11);
});

test("the first page alone is shown as it is", () => {
  assert.equal(ids(at({ rows: rows(9, 5), next: undefined }, page(rows(12, 1)))), "12,11,10,9,8");
});

test("a page that has nothing of what is known begins anew, for rows between may be missing", () => {
  const known = at({ rows: rows(10, 1), next: null }, page(rows(40, 1)));
  assert.deepEqual([ids(known), known.next], ["40,39,38,37,36", undefined]);
});

test("a row that comes up is shown once, as it is now", () => {
  const first = { data: [row(3, 1), row(9), row(8)], next_cursor: 8 };
  const known = at({ rows: rows(9, 1), next: null }, first);
  assert.equal(ids(known), "3,9,8,7,6,5,4,2,1");
  assert.equal(known.rows[0].turn, 1);
});

test("whatever happens, what is shown is the list as far as it was read", () => {
  let seed = 7;
  const random = (below) => {
    seed = (seed * 48271) % 2147483647;
    return seed % below;
  };
  let pushed = 0;
  for (let run = 0; run < 200; run++) {
    let newest = 30;
    let list = rows(newest, 1);
    let known = at(BEGIN, page(list));
    const gone = new Set();
    for (let turn = 1; turn < 30; turn++) {
      const what = random(4);
      if (what === 0) {
        const before = newest;
        newest += (turn % 3) + 1;
        list = [...rows(newest, before + 1), ...list];
      }
      if (what === 1) {
        const [lost] = list.splice(random(SIZE), 1);
        gone.add(lost.id);
      }
      if (what === 2) list[random(SIZE)].turn = turn;
      if (what === 3) {
        const next = known.next === undefined ? page(list).next_cursor : known.next;
        known = at({ ...known, next }, page(list));
        if (next !== null) known = extended(known, page(list, next));
      }
      known = at(known, page(list));
      const shown = known.rows.map((each) => each.id);
      const oldest = Number(shown.at(-1));
      pushed += known.rows.length > SIZE ? 1 : 0;
      assert.equal(new Set(shown).size, shown.length);
      assert.deepEqual(shown, shown.toSorted((one, other) => Number(other) - Number(one)));
      assert.ok(!shown.some((id) => gone.has(id)));
      for (const each of list) if (Number(each.id) >= oldest) assert.ok(shown.includes(each.id), `lost ${each.id}`);
      for (const each of known.rows.slice(0, SIZE)) assert.deepEqual(each, list.find(({ id }) => id === each.id));
    }
  }
  assert.ok(pushed > 1000);
});
