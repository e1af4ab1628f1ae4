/** What sold hours bring, by the day they are delivered, and how much of what was listed was sold and delivered. */

import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { DAY_MS, HOUR_MS } from "../../api/hours";
import { LineChart } from "../../charts/line_chart";
import { Loaded } from "../../components/states";
import { DataTable } from "../../components/table";
import { Choice } from "../../components/tabs";
import { Figure } from "../../components/values";
import { catalogue, formatDay, formatMoney, formatNumber } from "../../i18n";
import { productColumns } from "./calendar";
import { UTC_OFFSET_HOURS, useCapacity, useEarnings } from "./data";
import en from "./en.json";
import zh from "./zh.json";

const t = catalogue(en, zh);

const SPANS = ["7", "30", "60"] as const;
const AHEAD_DAYS = 7;

/** The midnight of the reader's day, as the exchange cuts days. */
function midnight(at: number): number {
  const shift = UTC_OFFSET_HOURS * HOUR_MS;
  return Math.floor((at + shift) / DAY_MS) * DAY_MS - shift;
}

export function Earnings({ now, changes }: { now: number; changes: number }) {
  const days = useSignal<(typeof SPANS)[number]>("30");
  const from = midnight(now) - (Number(days.value) - 1) * DAY_MS;
  const until = midnight(now) + (1 + AHEAD_DAYS) * DAY_MS;
  const earnings = useEarnings(from, until);
  const capacity = useCapacity(from, now + HOUR_MS);
  useEffect(() => {
    if (changes > 0) earnings.refresh();
  }, [changes]);
  return (
    <>
      <section class="card">
        <div class="card-head">
          <h2>{t("earnings")}</h2>
          <Choice
            label={t("earnings.span")}
            options={SPANS.map((key) => ({ key, title: t("days", { count: Number(key) }) }))}
            chosen={days.value}
            onChoose={(key) => {
              days.value = key;
            }}
          />
        </div>
        <Loaded query={earnings}>
          {(view) => (
            <>
              <dl class="figures">
                <Figure label={t("money.delivered")}>{formatMoney(view.total.delivered_cny)}</Figure>
                <Figure label={t("money.cash")}>{formatMoney(view.total.cash_cny)}</Figure>
                <Figure label={t("money.receivable")}>{formatMoney(view.total.receivable_cny)}</Figure>
                <Figure label={t("money.fee")}>{formatMoney(view.total.fee_cny)}</Figure>
                <Figure label={t("money.returned")}>{formatMoney(view.total.returned_cny)}</Figure>
                <Figure label={t("money.booked")}>{formatMoney(view.total.booked_cny)}</Figure>
              </dl>
              <LineChart
                title={t("earnings.chart")}
                xTitle={t("day")}
                xs={view.days.map((day) => Date.parse(day.starts_at) / DAY_MS)}
                formatX={(x) => formatDay(Math.round((x * DAY_MS) / HOUR_MS) * HOUR_MS)}
                series={[
                  {
                    title: t("money.delivered"),
                    values: view.days.map((day) => Number(day.delivered_cny)),
                    ink: "--good",
                    form: "bars",
                    format: formatNumber,
                  },
                  {
                    title: t("money.booked"),
                    values: view.days.map((day) => Number(day.booked_cny)),
                    ink: "--sell",
                    form: "bars",
                    format: formatNumber,
                  },
                ]}
              />
            </>
          )}
        </Loaded>
      </section>
      <section class="card">
        <h2>{t("use")}</h2>
        <p class="quiet">{t("use.text", { days: Number(days.value) })}</p>
        <Loaded query={capacity}>
          {(view) => (
            <DataTable
              caption={t("use")}
              captionHidden
              columns={productColumns(true)}
              rows={view.products}
              rowKey={(row) => row.product}
            />
          )}
        </Loaded>
      </section>
    </>
  );
}
