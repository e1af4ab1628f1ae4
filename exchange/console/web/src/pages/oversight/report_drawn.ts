/** What the pictures of reports share. */
import type { Catalogue } from "../../api/catalogue";
import { cnyOf, formatMoney } from "../../i18n";
import { dayOf, periodOf, type Row, text } from "./report_figures";
import { columnName } from "./report_words";

export interface Drawn {
  rows: readonly Row[];
  periods: readonly string[];
  catalogue: Catalogue | null;
}

export const BARS_MAX = 12;

const FEN = 100;

/** Money that was added up for a drawing. */
export function money(cny: number): string {
  return formatMoney(cnyOf(BigInt(Math.round(cny * FEN))));
}

export function period(row: Row): string {
  return text(row, "period");
}

export function placeOf(catalogue: Catalogue | null): (row: Row) => string {
  return (row) =>
    catalogue === null
      ? `${text(row, "accelerator")} · ${text(row, "hub")}`
      : `${catalogue.accelerator(text(row, "accelerator"))} · ${catalogue.hub(text(row, "hub"))}`;
}

/** The first day of a period without its year. */
function monthAndDay(day: string): string {
  return day.slice("2026-".length);
}

/** What a bar chart of periods is told of them. */
export function barsOf(periods: readonly string[]) {
  return { bars: periods, barTitle: columnName("period"), isUpright: true, shortName: monthAndDay };
}

/** What a line chart over periods is told of them. */
export function linesOf(periods: readonly string[]) {
  return { xs: periods.map(dayOf), xTitle: columnName("period"), formatX: periodOf };
}
