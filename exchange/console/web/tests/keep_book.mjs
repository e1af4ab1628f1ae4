/**
 * Keeps books with `src/stream/book.ts` from what stands on standard input, and says how each stands: for
 * `tests/property/test_console_book.py`, which compares with the Python client.
 *
 * A line is a JSON array. `["new"]` begins another book, `["apply", message]` answers whether it is whole, its sequence
 * and its checksum, `["levels", startsAt, endsAt]` answers both sides for some hours.
 */
import { text } from "node:stream/consumers";
import { load } from "./modules.mjs";

const { OrderBook } = await load("stream/book.ts");

let book = new OrderBook();
const answers = [];
for (const line of (await text(process.stdin)).split("\n")) {
  if (line === "") continue;
  const [what, ...rest] = JSON.parse(line);
  if (what === "new") book = new OrderBook();
  if (what === "apply") answers.push([book.apply(rest[0]), book.sequence, book.checksum()]);
  if (what === "levels") answers.push(book.levels(...rest));
}
process.stdout.write(answers.map((answer) => `${JSON.stringify(answer)}\n`).join(""));
