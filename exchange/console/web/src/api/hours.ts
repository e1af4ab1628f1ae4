/** Lengths of venue time, and what lies between two of its moments. */
export const HOUR_MS = 3_600_000;
export const DAY_MS = 24 * HOUR_MS;

/** Hours between two moments as the exchange writes them; NaN where one is none. */
export function hoursBetween(startsAt: string, endsAt: string): number {
  return (Date.parse(endsAt) - Date.parse(startsAt)) / HOUR_MS;
}

/** The same where a run can be that long: a positive whole number of hours, else null. */
export function wholeHoursBetween(startsAt: string, endsAt: string): number | null {
  const hours = hoursBetween(startsAt, endsAt);
  return Number.isInteger(hours) && hours > 0 ? hours : null;
}
