/** Rows of a search: trades, and steps of the record. */
import type { Schemas } from "../../api/client";
import { ProductName } from "../../components/product_name";
import { type Column, DataTable } from "../../components/table";
import { Money, Nothing, Side, Time } from "../../components/values";
import { formatNumber, t as shared } from "../../i18n";
import { codeName } from "./codes";
import { Id, Who } from "./parts";
import { t } from "./texts";

type TradeRow = Schemas["TradeRow"];
type EventRow = Schemas["EventRow"];

const TRADE_COLUMNS = (): Column<TradeRow>[] => [
  { key: "trade", title: t("trade"), head: true, cell: (row) => <Id id={row.id} /> },
  { key: "at", title: t("traded_at"), cell: (row) => <Time at={row.traded_at} exact /> },
  {
    key: "gpus",
    title: t("gpus"),
    numeric: true,
    cell: (row) => (
      <>
        {formatNumber(row.quantity_gpus)}
        <span class="second">{t("hours", { count: row.hours })}</span>
      </>
    ),
  },
  {
    key: "price",
    title: shared("unit.cny_gpu_hour"),
    numeric: true,
    cell: (row) => <Money cny={row.price_cny_per_gpu_hour} bare />,
  },
  {
    key: "notional",
    title: t("notional"),
    numeric: true,
    cell: (row) => (
      <>
        <Money cny={row.notional_cny} bare />
        {row.programmes.length > 0 && (
          <span class="second">
            {t("by_voucher", { amount: row.voucher_cny })} · {row.programmes.join(", ")}
          </span>
        )}
      </>
    ),
  },
  { key: "buyer", title: t("filter.buyer"), cell: (row) => <Who name={row.buyer_name} id={row.buyer_id} /> },
  {
    key: "provider",
    title: t("filter.provider"),
    cell: (row) => <Who name={row.provider_name} id={row.provider_id} />,
  },
  { key: "product", title: t("filter.product"), cell: (row) => <ProductName id={row.product} /> },
  { key: "starts", title: t("delivery"), cell: (row) => <Window from={row.starts_at} until={row.ends_at} /> },
  {
    key: "orders",
    title: t("orders"),
    cell: (row) => (
      <span class="ov-pair">
        <Id id={row.bid_order_id} />
        <Id id={row.ask_order_id} />
      </span>
    ),
  },
];

export function TradeTable({ rows }: { rows: readonly TradeRow[] }) {
  return (
    <DataTable
      caption={t("search.trades")}
      captionHidden
      columns={TRADE_COLUMNS()}
      rows={rows}
      rowKey={(row) => row.id}
    />
  );
}

/** From when to when. */
export function Window({ from, until }: { from: string; until: string }) {
  return (
    <>
      <Time at={from} />
      <span class="second">
        {t("until")} <Time at={until} />
      </span>
    </>
  );
}

const EVENT_COLUMNS = (): Column<EventRow>[] => [
  { key: "number", title: t("number"), numeric: true, cell: (row) => formatNumber(row.number) },
  { key: "at", title: t("event_at"), cell: (row) => <Time at={row.event_at} exact /> },
  { key: "step", title: t("step"), head: true, cell: (row) => <Step code={row.code} /> },
  {
    key: "who",
    title: t("filter.participant"),
    cell: (row) => <Who name={row.participant_name} id={row.participant_id} />,
  },
  {
    key: "order",
    title: t("order"),
    cell: (row) => (
      <span class="ov-pair">
        <Id id={row.order_id} />
        {row.counter_order_id != null && <Id id={row.counter_order_id} />}
      </span>
    ),
  },
  {
    key: "about",
    title: t("about"),
    cell: (row) => <Id id={row.trade_id ?? row.subject} />,
  },
  {
    key: "side",
    title: t("filter.side"),
    cell: (row) => (row.side === "buy" || row.side === "sell" ? <Side side={row.side} /> : <Nothing />),
  },
  {
    key: "price",
    title: shared("unit.cny_gpu_hour"),
    numeric: true,
    cell: (row) => <Money cny={row.price_cny_per_gpu_hour} bare />,
  },
  {
    key: "product",
    title: t("filter.product"),
    cell: (row) => (row.product == null ? <Nothing /> : <ProductName id={row.product} />),
  },
  {
    key: "sequence",
    title: t("sequence"),
    numeric: true,
    cell: (row) => (row.sequence == null ? <Nothing /> : `${row.partition} / ${formatNumber(row.sequence)}`),
  },
];

/** A step in words, with its code. */
export function Step({ code }: { code: string }) {
  return (
    <>
      {codeName(code)}
      <span class="second code">{code}</span>
    </>
  );
}

export function EventTable({ rows }: { rows: readonly EventRow[] }) {
  return (
    <DataTable
      caption={t("search.events")}
      captionHidden
      columns={EVENT_COLUMNS()}
      rows={rows}
      rowKey={(row) => row.number}
    />
  );
}
