/** Where the provider stands, in a line of figures: today, the week to come, the month that was. */

import { useEffect } from "preact/hooks";
import { DAY_MS } from "../../api/hours";
import { Loaded } from "../../components/states";
import { Figure } from "../../components/values";
import { catalogue, formatBps, formatMoney, formatNumber } from "../../i18n";
import { type Capacity, useCapacity, useEarnings } from "./data";
import en from "./en.json";
import zh from "./zh.json";

const t = catalogue(en, zh);
const WEEK_MS = 7 * DAY_MS;

type Sum = "listed_gpu_hours" | "sold_gpu_hours" | "free_gpu_hours";

function sum(capacity: Capacity, of: Sum): number {
  return capacity.products.reduce((total, each) => total + each[of], 0);
}

/** One number of another in basis points; null of nothing. */
export function share(part: number, whole: number): number | null {
  return whole === 0 ? null : Math.round((part * 10_000) / whole);
}

export function Standing({ now, changes }: { now: number; changes: number }) {
  const week = useCapacity(now, now + WEEK_MS);
  const past = useEarnings(now - 30 * DAY_MS, now);
  useEffect(() => {
    if (changes > 0) week.refresh();
  }, [changes]);
  return (
    <Loaded query={week}>
      {(capacity) => {
        const used = share(sum(capacity, "sold_gpu_hours"), sum(capacity, "listed_gpu_hours"));
        const total = past.data.value?.total;
        return (
          <dl class="figures">
            <Figure label={t("standing.free")}>{formatNumber(sum(capacity, "free_gpu_hours"))}</Figure>
            <Figure label={t("standing.sold")}>{formatNumber(sum(capacity, "sold_gpu_hours"))}</Figure>
            <Figure label={t("standing.used")}>{used === null ? "–" : formatBps(used)}</Figure>
            <Figure label={t("standing.delivered")}>{total ? formatMoney(total.delivered_cny) : "–"}</Figure>
            <Figure label={t("standing.cash")}>{total ? formatMoney(total.cash_cny) : "–"}</Figure>
          </dl>
        );
      }}
    </Loaded>
  );
}
