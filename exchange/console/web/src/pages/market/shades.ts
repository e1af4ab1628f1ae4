/**
 * Where a cell stands on the colour scale.
 *
 * Prices are compared with the reference price of their product, so that one scale serves a T4 and an H100: what is
 * cheap for its kind is light. Free GPUs are compared with the most that the row has. Numbers here are for drawing only.
 */
import type { Catalogue } from "../../api/catalogue";
import type { Schemas } from "../../api/client";
import type { Show } from "./state";

export type Calendar = Schemas["ProductCalendarView"];

export interface Scale {
  /** 0 to 1, null where there is nothing. */
  shade: (row: number, hour: number) => number | null;
  /** The ends of the scale, as shares of the reference price or as 0 and 1. */
  least: number;
  most: number;
}

/** The scale is never narrower than this around the reference price: small moves shall not look like storms. */
const NARROWEST = 0.1;

export function column(calendar: Calendar, show: Show): readonly (string | number | null)[] {
  if (show === "free") return calendar.free_gpus;
  return show === "ask" ? calendar.ask_cny_per_gpu_hour : calendar.bid_cny_per_gpu_hour;
}

export function scaleOf(calendars: readonly Calendar[], show: Show, catalogue: Catalogue): Scale {
  const rows = calendars.map((calendar) => {
    const values = column(calendar, show).map((value) => (value === null ? null : Number(value)));
    if (show === "free") {
      const most = Math.max(1, ...values.map((value) => value ?? 0));
      return values.map((value) => (value ? value / most : null));
    }
    const reference = Number(catalogue.products.get(calendar.product)?.reference_price_cny_per_gpu_hour ?? 0);
    return values.map((value) => (value === null || reference <= 0 ? null : value / reference));
  });
  if (show === "free") return { shade: (row, hour) => rows[row]?.[hour] ?? null, least: 0, most: 1 };
  const known = rows.flat().filter((value) => value !== null);
  const least = Math.min(1 - NARROWEST, ...known);
  const most = Math.max(1 + NARROWEST, ...known);
  return {
    shade: (row, hour) => {
      const value = rows[row]?.[hour];
      return value == null ? null : (value - least) / (most - least);
    },
    least,
    most,
  };
}
