/** A bid as its form has it: texts, until the exchange judges them. */

import type { Product } from "../../api/catalogue";
import type { Schemas } from "../../api/client";
import { HOUR_MS, wholeHoursBetween } from "../../api/hours";
import { whole } from "../../api/numbers";
import { type Fault, Problem } from "../../api/problem";
import { cnyOf, fenOf } from "../../i18n";
import { t } from "./texts";

export type NewOrder = Schemas["NewOrder"];
export type TimeInForce = "gtc" | "gtd" | "ioc" | "fok";
export type Required = "domestic" | "state_owned";

export interface Draft {
  product: string;
  /** Whether the run may begin at any hour of a wider window. */
  isFlexible: boolean;
  starts_at: string;
  ends_at: string;
  /** Of the run, where it is flexible. */
  hours: string;
  quantity: string;
  price: string;
  time_in_force: TimeInForce;
  expires_at: string;
  fill: "partial" | "all_or_none";
  placement: "any" | "single_site";
  post_only: boolean;
  require: readonly Required[];
  vouchers: "auto" | "none" | "chosen";
  chosen: readonly string[];
  voucher_policy: "prefer" | "only_eligible";
}

export const EMPTY: Draft = {
  product: "",
  isFlexible: false,
  starts_at: "",
  ends_at: "",
  hours: "",
  quantity: "",
  price: "",
  time_in_force: "gtc",
  expires_at: "",
  fill: "partial",
  placement: "any",
  post_only: false,
  require: [],
  vouchers: "auto",
  chosen: [],
  voucher_policy: "prefer",
};

/** Stands in a preview for the id that an order gets when it is placed. */
const NO_ID = "preview";

export function windowHours(draft: Draft): number | null {
  return wholeHoursBetween(draft.starts_at, draft.ends_at);
}

/** How many hours the run has; null where that cannot be said yet. */
export function runHours(draft: Draft): number | null {
  return draft.isFlexible ? whole(draft.hours) : windowHours(draft);
}

export function quantity(draft: Draft): number | null {
  return whole(draft.quantity);
}

/** What is not filled in yet, or no number where one belongs, by its field. */
export function missing(draft: Draft): Problem | null {
  const wanted: [string, boolean][] = [
    ["/product", draft.product !== ""],
    ["/quantity_gpus", quantity(draft) !== null],
    ["/starts_at", draft.starts_at !== ""],
    ["/ends_at", draft.ends_at !== ""],
    ["/hours", !draft.isFlexible || whole(draft.hours) !== null],
    ["/price_cny_per_gpu_hour", draft.price.trim() !== ""],
    ["/expires_at", draft.time_in_force !== "gtd" || draft.expires_at !== ""],
    ["/vouchers", draft.vouchers !== "chosen" || draft.chosen.length > 0],
  ];
  const faults: Fault[] = wanted
    .filter(([, isThere]) => !isThere)
    .map(([pointer]) => {
      const filled = { "/quantity_gpus": draft.quantity, "/hours": draft.hours }[pointer]?.trim();
      return filled
        ? { pointer, code: "whole_number", detail: t("not_whole") }
        : { pointer, code: "required", detail: t("missing") };
    });
  return faults.length === 0 ? null : refused("invalid_body", t("missing"), faults);
}

/** A refusal that a preview foretold, as its answer would have been. */
export function refused(code: string, detail: string, faults: readonly Fault[]): Problem {
  return new Problem(422, code, detail, faults, false, false, null);
}

/** The order in the form in which it is sent; only where nothing is missing. */
export function orderOf(draft: Draft, clientOrderId: string = NO_ID): NewOrder {
  const hasVouchers = draft.vouchers !== "none";
  return {
    client_order_id: clientOrderId,
    product: draft.product,
    side: "buy",
    quantity_gpus: quantity(draft) ?? 0,
    starts_at: draft.starts_at,
    ends_at: draft.ends_at,
    price_cny_per_gpu_hour: draft.price.trim(),
    ...(draft.isFlexible && { hours: whole(draft.hours) ?? 0 }),
    time_in_force: draft.time_in_force,
    ...(draft.time_in_force === "gtd" && { expires_at: draft.expires_at }),
    ...(draft.time_in_force !== "fok" && { fill: draft.fill }),
    placement: draft.placement,
    post_only: draft.post_only && canRest(draft),
    ...(draft.require.length > 0 && { require: [...draft.require] }),
    vouchers: draft.vouchers === "chosen" ? [...draft.chosen] : draft.vouchers,
    ...(hasVouchers && { voucher_policy: draft.voucher_policy }),
  };
}

export function canRest(draft: Draft): boolean {
  return draft.time_in_force === "gtc" || draft.time_in_force === "gtd";
}

/** The most that the order can cost: all of it at its limit. Null where that cannot be said yet. */
export function mostCny(price: string, gpus: number | null, hours: number | null): string | null {
  const fen = fenOf(price);
  return fen === null || gpus === null || hours === null ? null : cnyOf(fen * BigInt(gpus) * BigInt(hours));
}

/** Whether the market can be asked what there is for the draft: only for what its product can have. */
export function isAskable(draft: Draft, product: Product | undefined, firstHour: number | null): boolean {
  const [gpus, hours, span] = [quantity(draft), runHours(draft), windowHours(draft)];
  if (product === undefined || firstHour === null || !gpus || !hours || !span) return false;
  const lastHour = firstHour + product.listing_horizon_hours * HOUR_MS;
  return (
    gpus % product.lot_gpus === 0 &&
    gpus <= 1_000_000 &&
    hours <= span &&
    Date.parse(draft.starts_at) >= firstHour &&
    Date.parse(draft.ends_at) <= lastHour
  );
}
