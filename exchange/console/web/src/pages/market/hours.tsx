/** The chosen hours one by one: cheapest ask, best bid, free GPUs. */
import { hourAt } from "../../charts/heat_map";
import { type Column, DataTable } from "../../components/table";
import { Money, Time } from "../../components/values";
import { formatNumber } from "../../i18n";
import type { Calendar } from "./shades";
import { t } from "./texts";

const SHOWN_MAX = 72;

export function Hours(props: { calendar: Calendar; startsAt: number; from: number; hours: number }) {
  const { calendar } = props;
  const end = Math.min(props.from + props.hours, calendar.free_gpus.length);
  const rows = Array.from(
    { length: Math.min(Math.max(end - props.from, 0), SHOWN_MAX) },
    (_, index) => props.from + index,
  );
  const columns: Column<number>[] = [
    {
      key: "hour",
      title: t("delivery"),
      head: true,
      cell: (hour) => <Time at={new Date(hourAt(props.startsAt, hour)).toISOString()} />,
    },
    {
      key: "ask",
      title: t("ask"),
      numeric: true,
      cell: (hour) => <Money cny={calendar.ask_cny_per_gpu_hour[hour]} bare />,
    },
    {
      key: "bid",
      title: t("bid"),
      numeric: true,
      cell: (hour) => <Money cny={calendar.bid_cny_per_gpu_hour[hour]} bare />,
    },
    {
      key: "free",
      title: t("free"),
      numeric: true,
      cell: (hour) => formatNumber(calendar.free_gpus[hour] ?? 0),
    },
  ];
  return (
    <div class="market-tape market-hours">
      <DataTable
        caption={t("hours.title")}
        captionHidden
        columns={columns}
        rows={rows}
        rowKey={(hour) => hour}
      />
    </div>
  );
}
