/** The latest trades of a product, as they are committed. */
import { HOUR_MS } from "../../api/hours";
import { Loading } from "../../components/states";
import { type Column, DataTable } from "../../components/table";
import { Money, Side, Time } from "../../components/values";
import { formatHours, formatNumber } from "../../i18n";
import { useTrades } from "../../stream";
import type { TradeView } from "../../stream/messages";
import { t } from "./texts";

const SHOWN_MAX = 30;

export function Tape({ product }: { product: string }) {
  const trades = useTrades(product);
  if (trades.value === null) return <Loading />;
  const columns: Column<TradeView>[] = [
    { key: "at", title: t("time"), head: true, cell: (trade) => <Time at={trade.traded_at} /> },
    {
      key: "price",
      title: t("price"),
      numeric: true,
      cell: (trade) => <Money cny={trade.price_cny_per_gpu_hour} bare />,
    },
    { key: "gpus", title: t("gpus"), numeric: true, cell: (trade) => formatNumber(trade.quantity_gpus) },
    { key: "from", title: t("delivery"), cell: (trade) => <Time at={trade.starts_at} /> },
    { key: "hours", title: t("duration"), numeric: true, cell: (trade) => formatHours(hoursOf(trade)) },
    {
      key: "side",
      title: t("taker"),
      cell: (trade) => <Side side={trade.aggressor === "buy" ? "buy" : "sell"} />,
    },
  ];
  return (
    <div class="market-tape">
      <DataTable
        caption={t("tape")}
        captionHidden
        columns={columns}
        rows={trades.value.slice(0, SHOWN_MAX)}
        rowKey={(trade) => `${trade.sequence}.${trade.number}`}
        empty={t("tape.empty")}
      />
    </div>
  );
}

function hoursOf(trade: TradeView): number {
  return Math.round((Date.parse(trade.ends_at) - Date.parse(trade.starts_at)) / HOUR_MS);
}
