/** What a step of the record says, in words. Its names end in their units, so that a new one is shown rightly, too. */

import type { ComponentChildren } from "preact";
import { HOUR_MS } from "../../api/hours";
import { Money, Side, Time } from "../../components/values";
import { cnyOf, formatNumber, language } from "../../i18n";
import { orderReason } from "../../orders/reasons";
import { Id } from "./parts";
import { refusal } from "./report_words";
import { named, t } from "./texts";
import type { Fact } from "./time_line";

export type Detail = Readonly<Record<string, unknown>>;

/** Told elsewhere on the page, or internal numbers whose ids stand beside them. */
const LEFT_OUT = new Set([
  "client_order_id",
  "terms",
  "replaced_by_order_id",
  "replaces_order_id",
  "ask_order_id",
  "programme_id",
  "alert_id",
  "previous_quantity_gpus",
  "ends_hour",
  "held_vouchers_fen",
]);

export function detailOf(raw: unknown): Detail {
  return typeof raw === "object" && raw !== null ? (raw as Detail) : {};
}

/** The facts of a detail, in the order in which they were written. */
export function factsOf(detail: Detail): Fact[] {
  const facts: Fact[] = [];
  for (const [name, value] of Object.entries(detail)) {
    if (LEFT_OUT.has(name) || isNothing(value)) continue;
    facts.push([named("fact", name), shown(name, value, detail)]);
  }
  const held = detailOf(detail.held_vouchers_fen);
  for (const [number, fen] of Object.entries(held)) {
    if (Number(fen) === 0) continue;
    facts.push([
      t("fact.held_voucher"),
      <>
        <Money cny={cnyOf(BigInt(fen as number))} /> <Id id={encoded("vch", number)} />
      </>,
    ]);
  }
  return facts;
}

function isNothing(value: unknown): boolean {
  return value === null || value === "" || value === 0 || (Array.isArray(value) && value.length === 0);
}

function shown(name: string, value: unknown, detail: Detail): ComponentChildren {
  if (name === "side" && (value === "buy" || value === "sell")) return <Side side={value} />;
  if (name === "reason" && typeof value === "string") return orderReason(value);
  if (name === "quantity_gpus" && typeof detail.previous_quantity_gpus === "number") {
    return t("fact.reduced", { from: detail.previous_quantity_gpus, to: Number(value) });
  }
  if (typeof value === "number") return ofNumber(name, value, detail);
  if (typeof value === "boolean") return t(value ? "yes" : "no");
  if (Array.isArray(value) && name === "hours") return <Hours hours={value} />;
  if (Array.isArray(value) && name === "refusals") return <Refusals refusals={value} />;
  return typeof value === "string" ? value : <code>{JSON.stringify(value)}</code>;
}

function ofNumber(name: string, value: number, detail: Detail): ComponentChildren {
  if (!Number.isSafeInteger(value)) return <code>{String(value)}</code>;
  if (name.endsWith("_fen") || name.endsWith("_ticks")) return <Money cny={cnyOf(BigInt(value))} />;
  if (name === "starts_hour") {
    const ends = detail.ends_hour ?? value + Number(detail.hours ?? 1);
    return (
      <>
        <Time at={hourAt(value)} /> – <Time at={hourAt(Number(ends))} />
      </>
    );
  }
  if (name.endsWith("_hour")) return <Time at={hourAt(value)} />;
  if (name === "hours") return t("hours", { count: value });
  return formatNumber(value);
}

function hourAt(hour: number): string {
  return new Date(hour * HOUR_MS).toISOString();
}

function Hours({ hours }: { hours: readonly unknown[] }) {
  const [first, last] = [Number(hours[0]), Number(hours.at(-1))];
  if (!Number.isSafeInteger(first) || !Number.isSafeInteger(last))
    return <code>{JSON.stringify(hours)}</code>;
  return (
    <>
      {t("hours", { count: hours.length })} (<Time at={hourAt(first)} /> – <Time at={hourAt(last + 1)} />)
    </>
  );
}

/** Why each voucher that an order named could not pay. Their ids are numbers that a browser would round. */
function Refusals({ refusals }: { refusals: readonly unknown[] }) {
  return (
    <>
      {refusals.map(detailOf).map((each, index) => (
        <span key={`${index} ${each.code}`} class="ov-refusal">
          {language.value === "zh" ? refusal(String(each.code)) : String(each.detail)}
        </span>
      ))}
    </>
  );
}

const ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz";
const LETTERS = 13;

/** An id as the exchange writes it, from its number in decimal digits, which is too long for a number of a browser. */
export function encoded(prefix: string, digits: string): string {
  let rest = BigInt(digits);
  let letters = "";
  for (let place = 0; place < LETTERS; place++) {
    letters = (ALPHABET[Number(rest & 31n)] ?? "") + letters;
    rest >>= 5n;
  }
  return `${prefix}_${letters}`;
}
