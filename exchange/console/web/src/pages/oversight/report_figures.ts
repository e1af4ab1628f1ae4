/** Rows of a report as figures to draw: sums by period and by name. Numbers only for drawing; the table has the rest. */

import type { Schemas } from "../../api/client";
import { DAY_MS } from "../../api/hours";
import { type BarPart, INKS } from "../../charts/bar_chart";

export type Report = Schemas["Report"];
export type Row = Report["rows"][number];

export function text(row: Row, column: string): string {
  const value = row[column];
  return value == null ? "" : String(value);
}

export function amount(row: Row, column: string): number {
  return Number(row[column] ?? 0);
}

export function sum(rows: readonly Row[], column: string): number {
  return rows.reduce((whole, row) => whole + amount(row, column), 0);
}

/** The first days of the periods there are, in order; of days also those between on which nothing was. */
export function periodsOf(rows: readonly Row[], by: Report["by"]): string[] {
  const known = [...new Set(rows.map((row) => text(row, "period")))].sort();
  const [first, last] = [known[0], known.at(-1)];
  if (by !== "day" || first === undefined || last === undefined) return known;
  const count = dayOf(last) - dayOf(first) + 1;
  return Array.from({ length: count }, (_, index) => periodOf(dayOf(first) + index));
}

/** Days since the epoch, by which a line of periods is drawn. */
export function dayOf(period: string): number {
  return Math.round(Date.parse(period) / DAY_MS);
}

export function periodOf(day: number): string {
  return Number.isInteger(day) ? new Date(day * DAY_MS).toISOString().slice(0, 10) : "";
}

/** Rows by what `name` says of them, the most of `column` first. */
export function ranked(
  rows: readonly Row[],
  name: (row: Row) => string,
  column: string,
): [string, readonly Row[]][] {
  return [...grouped(rows, name)].sort(([, one], [, other]) => sum(other, column) - sum(one, column));
}

export function grouped(rows: readonly Row[], name: (row: Row) => string): Map<string, Row[]> {
  const found = new Map<string, Row[]>();
  for (const row of rows) {
    const key = name(row);
    const known = found.get(key);
    if (known === undefined) found.set(key, [row]);
    else known.push(row);
  }
  return found;
}

/** Bars of rows by one thing, their parts by another; beyond as many parts as there are inks, the rest is one. */
export function parted(
  rows: readonly Row[],
  bars: readonly string[],
  barOf: (row: Row) => string,
  partOf: (row: Row) => string,
  column: string,
  others: string,
): BarPart[] {
  const all = ranked(rows, partOf, column);
  const own = all.length > INKS.length ? all.slice(0, INKS.length - 1) : all;
  const rest = all.slice(own.length).flatMap(([, each]) => each);
  const parts = rest.length > 0 ? [...own, [others, rest] as const] : own;
  return parts.map(([title, each], index) => {
    const byBar = grouped(each, barOf);
    return {
      title,
      ink: INKS[index % INKS.length] as string,
      values: bars.map((bar) => sum(byBar.get(bar) ?? [], column)),
    };
  });
}

/** One part of each column: what they add up to by bar. */
export function columned(
  rows: readonly Row[],
  bars: readonly string[],
  barOf: (row: Row) => string,
  columns: readonly (readonly [column: string, title: string, ink: string])[],
): BarPart[] {
  const byBar = grouped(rows, barOf);
  return columns.map(([column, title, ink]) => ({
    title,
    ink,
    values: bars.map((bar) => sum(byBar.get(bar) ?? [], column)),
  }));
}
