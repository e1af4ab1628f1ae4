/** What stands in a report, in words: the names of its columns, and its values as their units say. */
import type { Catalogue } from "../../api/catalogue";
import { codeText } from "../../api/codes";
import { formatAmount, formatBps, formatNumber, language } from "../../i18n";
import { orderReason } from "../../orders/reasons";
import type { Row } from "./report_figures";
import chinese from "./reports.zh.json";
import { named, t } from "./texts";

type Kind = { name: string; title: string; definition: string };

const REPORTS: Record<string, { title: string; definition: string }> = chinese.reports;
const MEANINGS: Record<string, string> = chinese.columns;

/** The title and definition of a report: the exchange's own words, or the Chinese for them. */
export function reportWords({ name, title, definition }: Kind): { title: string; definition: string } {
  return (language.value === "zh" ? REPORTS[name] : undefined) ?? { title, definition };
}

export function columnMeaning(name: string, meaning: string): string {
  return (language.value === "zh" ? MEANINGS[name] : undefined) ?? meaning;
}

export function columnName(name: string): string {
  return named("col", name);
}

/** A value as its column's unit says; an empty text for none. */
export function valueText(column: string, row: Row, catalogue: Catalogue | null): string {
  const value = row[column];
  if (value == null) return "";
  if (typeof value === "number") {
    return column.endsWith("_bps") ? formatBps(value) : formatNumber(value);
  }
  if (column.endsWith("_cny")) return formatAmount(value);
  if (column === "accelerator") return catalogue?.accelerator(value) ?? value;
  if (column.endsWith("hub")) return catalogue?.hub(value) ?? value;
  if (column === "code") return refusal(value);
  if (column === "size_class" || column === "age_class" || column === "side") return named(column, value);
  return value;
}

/** Why a voucher was refused. */
export function refusal(code: string): string {
  return language.value === "zh" ? (codeText(code) ?? code) : orderReason(code);
}

export function sizeClass(value: string): string {
  return value === "" ? t("unnamed") : named("size_class", value);
}
