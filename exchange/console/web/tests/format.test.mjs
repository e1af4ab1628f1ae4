/** Goal: sizes and lengths of time read the same on every page, in the reader's language. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { load } from "./modules.mjs";

const { formatBytes, formatDay, formatSpan, formatTime, setLanguage } = await load("i18n/index.ts");

function said(format, value) {
  return ["en", "zh"].map((language) => {
    setLanguage(language);
    return format(value);
  });
}

test("sizes", () => {
  assert.deepEqual(said(formatBytes, 1), ["1 byte", "1字节"]);
  assert.deepEqual(said(formatBytes, 1023), ["1,023 bytes", "1,023字节"]);
  assert.deepEqual(said(formatBytes, 1024), ["1 KiB", "1 KiB"]);
  assert.deepEqual(said(formatBytes, 1536), ["1.5 KiB", "1.5 KiB"]);
  assert.deepEqual(said(formatBytes, 10 * 1024 ** 2), ["10 MiB", "10 MiB"]);
  assert.deepEqual(said(formatBytes, 3 * 1024 ** 5), ["3,072 TiB", "3,072 TiB"]);
});

test("lengths of time", () => {
  // How units are shortened differs between the versions of the languages' data.
  const read = (ms) => said(formatSpan, ms).map((each) => each.replaceAll(/(?<=sec|min|hr)s/g, ""));
  assert.deepEqual(read(0), ["0 ms", "0毫秒"]);
  assert.deepEqual(read(59_999), ["59 sec", "59秒钟"]);
  assert.deepEqual(read(192_000), ["3 min 12 sec", "3分钟 12秒钟"]);
  assert.deepEqual(read(2 * 86_400_000), ["2 days", "2天"]);
  assert.deepEqual(read(26 * 3_600_000), ["1 day 2 hr", "1天 2小时"]);
});

test("a day of another year than the reader's says which", () => {
  const year = new Date().getFullYear();
  for (const [format, other] of [
    [formatTime, year + 10],
    [formatDay, year - 1],
  ]) {
    const has = (wanted) => said(format, new Date(wanted, 5, 15, 12).getTime()).map((each) => each.includes(`${wanted}`));
    assert.deepEqual(has(year), [false, false]);
    assert.deepEqual(has(other), [true, true]);
  }
});
