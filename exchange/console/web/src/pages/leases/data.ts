/** What the page asks the exchange for. */

import { api, type Schemas } from "../../api/client";
import { HOUR_MS } from "../../api/hours";
import { useQuery } from "../../api/query";
import { fenOf } from "../../i18n";

export type Lease = Schemas["LeaseView"];
export type Delivery = Schemas["LeaseDelivery"];
export type Hour = Delivery["hours"][number];
export type Status = Lease["status"];

export type Which = "scheduled" | "running" | "delivered" | "all";

export const STATUSES: Record<Which, readonly Status[]> = {
  scheduled: ["scheduled"],
  running: ["running"],
  delivered: ["ended", "settled"],
  all: [],
};

const PAGE_ROWS = 200;

export function leasesPage(which: Which, cursor?: string) {
  const status = [...STATUSES[which]];
  const query = { limit: PAGE_ROWS, ...(status.length ? { status } : {}), ...(cursor ? { cursor } : {}) };
  return { params: { query } };
}

export function useLeases(which: Which) {
  return useQuery(`/v1/leases ${which}`, (c) => api.GET("/v1/leases", { ...c, ...leasesPage(which) }), {
    every_s: 10,
  });
}

export function useLease(id: string) {
  return useQuery(
    `/v1/leases/${id}`,
    (c) => api.GET("/v1/leases/{lease_id}", { ...c, params: { path: { lease_id: id } } }),
    { every_s: 10 },
  );
}

export function useDelivery(id: string) {
  return useQuery(
    `/v1/leases/${id}/delivery`,
    (c) => api.GET("/v1/leases/{lease_id}/delivery", { ...c, params: { path: { lease_id: id } } }),
    { every_s: 10 },
  );
}

/** All hours of a lease. */
export function hoursOf(lease: Lease): number {
  return Math.round((Date.parse(lease.ends_at) - Date.parse(lease.starts_at)) / HOUR_MS);
}

/** An hour's state; a pending one with a reason was reported already. */
export function stateOf(hour: Hour): "delivered" | "failed" | "reported" | "pending" {
  if (hour.status === "delivered" || hour.status === "failed") return hour.status;
  return hour.reason === "" ? "pending" : "reported";
}

/** What all GPUs of a lease cost for an hour, in fen. */
export function hourFen(lease: Lease): bigint {
  return (fenOf(lease.price_cny_per_gpu_hour) ?? 0n) * BigInt(lease.quantity_gpus);
}
