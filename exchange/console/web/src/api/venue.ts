/** Venue time: the clock by which hours are sold and delivered. It may run faster than the reader's, or stand still. */

import { type ReadonlySignal, useSignal, useSignalEffect } from "@preact/signals";
import { api, type Schemas } from "./client";
import { HOUR_MS } from "./hours";
import { type Query, useQuery } from "./query";

export type VenueTime = Schemas["VenueTime"];

/** A clock that is read over a network is late: hours are taken for begun so much earlier. */
const EARLY_MS = 150;

/** Where venue time stands; read again often enough to notice a clock that is not the one it was. */
export function useVenueTime(): Query<VenueTime> {
  return useQuery("/v1/time", (conditions) => api.GET("/v1/time", conditions), { every_s: 5 });
}

/**
 * The start of the first hour for sale, in milliseconds since the epoch; null until it is known. It moves on by itself,
 * a little before the venue's does: an hour later may be asked for, one that has begun is refused.
 */
export function useFirstHour(): ReadonlySignal<number | null> {
  const time = useVenueTime();
  const first = useSignal<number | null>(null);
  useSignalEffect(() => {
    const told = time.data.value;
    if (told === null) return;
    const hour = Date.parse(told.first_hour_for_sale_at);
    // An answer from before the hour that is about to begin does not bring it back.
    if (first.peek() !== hour + HOUR_MS || told.seconds_per_hour === null) first.value = hour;
    if (told.seconds_per_hour === null) return;
    const lastsMs = told.seconds_per_hour * 1000;
    const leftMs = ((hour - Date.parse(told.now_at)) / HOUR_MS) * lastsMs - EARLY_MS;
    let passed = 0;
    let timer = setTimeout(function pass() {
      passed += 1;
      first.value = hour + passed * HOUR_MS;
      timer = setTimeout(pass, lastsMs);
    }, leftMs);
    return () => clearTimeout(timer);
  });
  return first;
}
