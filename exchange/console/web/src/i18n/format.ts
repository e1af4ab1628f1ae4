/** Numbers, money, times and durations as people of the language read them. Read inside a render, they follow it. */
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

/** Day and hour in the reader's zone. */
export function formatTime(at: string | number): string {
  return dates("time", { month: "short", day: "numeric", hour: "2-digit", minute: "2-digit" }).format(
    new Date(at),
  );
}

/** Day, hour, minute and second in the reader's zone. */
export function formatExact(at: string | number): string {
  return dates("exact", { dateStyle: "medium", timeStyle: "medium" }).format(new Date(at));
}

/** Only the clock. */
export function formatClock(at: string | number): string {
  return dates("clock", { hour: "2-digit", minute: "2-digit" }).format(new Date(at));
}

/** The clock with seconds. */
export function formatSeconds(at: string | number): string {
  return dates("seconds", { hour: "2-digit", minute: "2-digit", second: "2-digit" }).format(new Date(at));
}

/** Only the day. */
export function formatDay(at: string | number): string {
  return dates("day", { weekday: "short", month: "short", day: "numeric" }).format(new Date(at));
}

/** The same moment in UTC, as the exchange tells it. */
export function formatUtc(at: string | number): string {
  return `${new Date(at).toISOString().slice(0, 16).replace("T", " ")} UTC`;
}

/** Hours as days and hours. */
export function formatHours(hours: number): string {
  const days = Math.floor(hours / 24);
  const rest = hours % 24;
  const unit = (value: number, name: "day" | "hour") =>
    numbers(name, {
      style: "unit",
      unit: name,
      unitDisplay: language.value === "zh" ? "long" : "short",
    }).format(value);
  return [days > 0 ? unit(days, "day") : "", rest > 0 || days === 0 ? unit(rest, "hour") : ""]
    .filter(Boolean)
    .join(" ");
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

const KIBI = 1024;

/** The size of a file. */
export function formatBytes(bytes: number): string {
  const unit = bytes < KIBI ? "byte" : bytes < KIBI * KIBI ? "kilobyte" : "megabyte";
  const size = bytes / (unit === "byte" ? 1 : unit === "kilobyte" ? KIBI : KIBI * KIBI);
  const unitDisplay = unit === "byte" ? "long" : "short";
  return numbers(unit, { style: "unit", unit, unitDisplay, maximumFractionDigits: 1 }).format(size);
}
