/** What the page asks the exchange for. */
import { api, type Schemas } from "../../api/client";
import { useQuery } from "../../api/query";
import { hourText } from "../../components/hour_input";

export type Order = Schemas["OrderView"];
export type Capacity = Schemas["CapacityView"];
export type ProductCapacity = Schemas["ProductCapacity"];
export type Product = Schemas["ProductView"];

/** How many whole hours the reader is ahead of UTC: by its midnights the exchange cuts days. */
export const UTC_OFFSET_HOURS = Math.min(Math.max(Math.round(-new Date().getTimezoneOffset() / 60), -12), 14);

export function useProducts() {
  return useQuery("/v1/products", (c) =>
    api.GET("/v1/products", { ...c, params: { query: { limit: 1000 } } }),
  );
}

/** Own capacity from one hour to before another, in milliseconds since the epoch. */
export function useCapacity(from: number, until: number) {
  const query = { starts_at: hourText(from), ends_at: hourText(until) };
  return useQuery(
    `/v1/capacity ${query.starts_at} ${query.ends_at}`,
    (c) => api.GET("/v1/capacity", { ...c, params: { query } }),
    { every_s: 20 },
  );
}

export function useEarnings(from: number, until: number) {
  const query = {
    starts_at: hourText(from),
    ends_at: hourText(until),
    utc_offset_hours: UTC_OFFSET_HOURS,
  };
  return useQuery(
    `/v1/capacity/earnings ${query.starts_at} ${query.ends_at}`,
    (c) => api.GET("/v1/capacity/earnings", { ...c, params: { query } }),
    { every_s: 30 },
  );
}

export const LIVE = ["accepted", "resting", "partially_filled"] as const;
export const OVER = ["filled", "cancelled", "expired", "rejected"] as const;
export const PAGE_ROWS = 200;

export function asksPage(isLive: boolean, cursor?: string) {
  const status = [...(isLive ? LIVE : OVER)];
  const query = { side: "sell" as const, status, limit: PAGE_ROWS, ...(cursor ? { cursor } : {}) };
  return { params: { query } };
}

export function useAsks(isLive: boolean) {
  return useQuery(`/v1/orders sell ${isLive}`, (c) => api.GET("/v1/orders", { ...c, ...asksPage(isLive) }), {
    every_s: 20,
  });
}

/** What an ask offers in all. */
export function offeredHours(ask: Order): number {
  return ask.quantity_gpus * ask.hours;
}
