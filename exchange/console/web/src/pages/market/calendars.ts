/** The delivery calendar of the products that filters admit, as the market and the pages that trade read it. */

import type { Catalogue } from "../../api/catalogue";
import { api, type Schemas } from "../../api/client";
import { HOUR_MS } from "../../api/hours";
import { useQuery } from "../../api/query";
import type { ProductFilter } from "./filters";
import type { Span } from "./state";

const EVERY_S = 2;

/** The calendar of the products that the filters admit, from the first hour for sale. */
export function useCalendars(state: ProductFilter & { span: Span }, firstHour: number | null) {
  const query = {
    ...(state.accelerator && { accelerator: state.accelerator }),
    ...(state.origin && { origin: state.origin as Schemas["Origin"] }),
    ...(state.hub && { hub: state.hub }),
    ...(state.interconnect && { interconnect: state.interconnect }),
    // Until the venue's time is known, its own choice of seven days will do.
    ...(firstHour !== null && {
      starts_at: new Date(firstHour).toISOString().replace(".000Z", "Z"),
      ends_at: new Date(firstHour + Number(state.span) * 24 * HOUR_MS).toISOString().replace(".000Z", "Z"),
    }),
  };
  return useQuery(
    `/v1/market/calendar ${JSON.stringify(query)}`,
    (conditions) => api.GET("/v1/market/calendar", { ...conditions, params: { query } }),
    { every_s: EVERY_S },
  );
}

/** Rows by the names of their products. */
export function inOrder(
  calendars: readonly Schemas["ProductCalendarView"][],
  catalogue: Catalogue,
): Schemas["ProductCalendarView"][] {
  return [...calendars].sort((one, other) =>
    catalogue.product(one.product).localeCompare(catalogue.product(other.product)),
  );
}
