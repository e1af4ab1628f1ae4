/**
 * Keeps books with `src/stream/book.ts` from what stands on standard input, and says how each stands: for
 * `tests/property/test_console_book.py`, which compares with the Python client.
 *
 * A line is a JSON array. `["new"]` begins another book, `["apply", message]` answers whether it is whole, its sequence
 * and its checksum, `["levels", startsAt, endsAt]` answers both sides for some hours.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import ts from "typescript";

const [source, folder] = process.argv.slice(2);
const options = { module: ts.ModuleKind.ESNext, target: ts.ScriptTarget.ES2022 };
const compiled = join(folder, "book.mjs");
writeFileSync(
  compiled,
  ts.transpileModule(readFileSync(source, "utf8"), { compilerOptions: options }).outputText,
);
const { OrderBook } = await import(pathToFileURL(compiled).href);

let book = new OrderBook();
const answers = [];
for (const line of readFileSync(0, "utf8").split("\n")) {
  if (line === "") continue;
  const [what, ...rest] = JSON.parse(line);
  if (what === "new") book = new OrderBook();
  if (what === "apply") answers.push([book.apply(rest[0]), book.sequence, book.checksum()]);
  if (what === "levels") answers.push(book.levels(...rest));
}
process.stdout.write(answers.map((answer) => `${JSON.stringify(answer)}\n`).join(""));
