/** Numbers, money, times and durations as people of the language read them. Read inside a render, they follow it. */
import { DAY_MS, HOUR_MS } from "../api/hours";
import { LOCALES, language } from "./language";

type Decimal = `${number}`;

const made = new Map<string, Intl.NumberFormat | Intl.DateTimeFormat>();

function numbers(name: string, options: Intl.NumberFormatOptions): Intl.NumberFormat {
  const key = `${language.value} ${name}`;
  const known = made.get(key);
  if (known instanceof Intl.NumberFormat) return known;
  const format = new Intl.NumberFormat(LOCALES[language.value], options);
  made.set(key, format);
  return format;
}

function dates(name: string, options: Intl.DateTimeFormatOptions): Intl.DateTimeFormat {
  const key = `${language.value} ${name}`;
  const known = made.get(key);
  if (known instanceof Intl.DateTimeFormat) return known;
  const format = new Intl.DateTimeFormat(LOCALES[language.value], { hourCycle: "h23", ...options });
  made.set(key, format);
  return format;
}

/** A whole number with separators. */
export function formatNumber(value: number | bigint): string {
  return numbers("number", { maximumFractionDigits: 2 }).format(value);
}

/** A share such as 12.5 %, from a number of basis points. */
export function formatBps(bps: number): string {
  return numbers("percent", { style: "percent", maximumFractionDigits: 2 }).format(bps / 10_000);
}

/** Money with its sign: exact, because the decimal string is never made a number. */
export function formatMoney(cny: string): string {
  return numbers("money", {
    style: "currency",
    currency: "CNY",
    currencyDisplay: "narrowSymbol",
    minimumFractionDigits: 2,
  }).format(cny as Decimal);
}

/** A price or amount without the currency's sign, for tables whose heading names the unit. */
export function formatAmount(cny: string): string {
  return numbers("amount", { minimumFractionDigits: 2, maximumFractionDigits: 2 }).format(cny as Decimal);
}

/** A moment told by `options`, with its year where that is not the reader's: a day without one is of this year. */
function formatMoment(name: string, at: string | number, options: Intl.DateTimeFormatOptions): string {
  const moment = new Date(at);
  return moment.getFullYear() === new Date().getFullYear()
    ? dates(name, options).format(moment)
    : dates(`${name} of a year`, { year: "numeric", ...options }).format(moment);
}

/** Day and hour in the reader's zone. */
export function formatTime(at: string | number): string {
  return formatMoment("time", at, { month: "short", day: "numeric", hour: "2-digit", minute: "2-digit" });
}

/** Day, hour, minute and second in the reader's zone. */
export function formatExact(at: string | number): string {
  return dates("exact", { dateStyle: "medium", timeStyle: "medium" }).format(new Date(at));
}

/** Only the day. */
export function formatDay(at: string | number): string {
  return formatMoment("day", at, { weekday: "short", month: "short", day: "numeric" });
}

/** The same moment in UTC, as the exchange tells it. */
export function formatUtc(at: string | number): string {
  return `${new Date(at).toISOString().slice(0, 16).replace("T", " ")} UTC`;
}

type Unit = "day" | "hour" | "minute" | "second" | "millisecond";

const MILLISECONDS: readonly (readonly [Unit, number])[] = [
  ["day", DAY_MS],
  ["hour", HOUR_MS],
  ["minute", 60_000],
  ["second", 1_000],
];

function unit(value: number, name: Unit): string {
  return numbers(name, {
    style: "unit",
    unit: name,
    unitDisplay: language.value === "zh" ? "long" : "short",
    maximumFractionDigits: 0,
  }).format(value);
}

/** Hours as days and hours. */
export function formatHours(hours: number): string {
  const days = Math.floor(hours / 24);
  const rest = hours % 24;
  return [days > 0 ? unit(days, "day") : "", rest > 0 || days === 0 ? unit(rest, "hour") : ""]
    .filter(Boolean)
    .join(" ");
}

/** How long something lasts, in milliseconds: in the two largest units that say something. */
export function formatSpan(ms: number): string {
  const place = MILLISECONDS.findIndex(([, size]) => ms >= size);
  const largest = MILLISECONDS[place];
  if (largest === undefined) return unit(Math.max(ms, 0), "millisecond");
  const [name, size] = largest;
  const count = Math.floor(ms / size);
  const [nextName, nextSize] = MILLISECONDS[place + 1] ?? ["millisecond", Number.POSITIVE_INFINITY];
  const rest = Math.floor((ms - count * size) / nextSize);
  return rest === 0 ? unit(count, name) : `${unit(count, name)} ${unit(rest, nextName)}`;
}

/** Words as one of them (`or`), or all of them (`and`). */
export function formatList(words: readonly string[], kind: "and" | "or"): string {
  const type = kind === "and" ? "conjunction" : "disjunction";
  return new Intl.ListFormat(LOCALES[language.value], { type }).format(words);
}

/** A large number in few letters, for the side of a chart: 1.2M, or 120万. */
export function formatShort(value: number): string {
  return numbers("short", { notation: "compact", maximumFractionDigits: 1 }).format(value);
}

/** The signs of 1024 bytes and its powers, which are the same in all languages. */
const BINARY = ["KiB", "MiB", "GiB", "TiB"] as const;

/** A size in the largest unit that leaves a number of at least one. */
export function formatBytes(bytes: number): string {
  const power = Math.min(Math.floor(Math.log2(Math.max(bytes, 1)) / 10), BINARY.length);
  if (power === 0) return numbers("byte", { style: "unit", unit: "byte", unitDisplay: "long" }).format(bytes);
  const value = bytes / 1024 ** power;
  return `${formatNumber(value < 10 ? Math.round(value * 10) / 10 : Math.round(value))} ${BINARY[power - 1]}`;
}
