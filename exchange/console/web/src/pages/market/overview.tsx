/** The same calendar as a table: each product in one line, with its cheapest hour in what is shown. */
import type { Catalogue } from "../../api/catalogue";
import type { Schemas } from "../../api/client";
import { hourAt } from "../../charts/heat_map";
import { type Column, DataTable } from "../../components/table";
import { Money, Nothing, Time } from "../../components/values";
import { fenOf, formatNumber, t as shared } from "../../i18n";
import type { Calendar } from "./shades";
import { t } from "./texts";

interface Line {
  product: string;
  accelerator: string;
  place: string;
  origin: string;
  ask: string | null;
  askHour: number | null;
  bid: string | null;
  free: number;
  summary: Schemas["SummaryView"] | undefined;
}

export function Overview(props: {
  calendars: Schemas["CalendarsView"];
  rows: readonly Calendar[];
  summaries: ReadonlyMap<string, Schemas["SummaryView"]>;
  catalogue: Catalogue;
  product: string;
  onOpen: (product: string, startsAt: string, hours: number) => void;
}) {
  const startsAt = Date.parse(props.calendars.starts_at);
  const lines = props.rows.map((each) => lineOf(each, props.catalogue, props.summaries));
  const at = (hour: number | null) =>
    hour === null ? null : new Date(hourAt(startsAt, hour)).toISOString().replace(".000Z", "Z");
  const open = (line: Line) => props.onOpen(line.product, at(line.askHour ?? 0) ?? "", 1);
  const columns: Column<Line>[] = [
    {
      key: "product",
      title: t("product"),
      head: true,
      sort: (line) => line.accelerator + line.place,
      cell: (line) => (
        <button type="button" class="link" onClick={() => open(line)}>
          <span>{line.accelerator}</span>
          <span class="quiet">{line.place}</span>
        </button>
      ),
    },
    {
      key: "origin",
      title: t("origin"),
      cell: (line) => shared(line.origin === "domestic" ? "origin.domestic" : "origin.foreign"),
      sort: (line) => line.origin,
    },
    money("ask", (line) => line.ask),
    {
      key: "when",
      title: t("cheapest_hour"),
      cell: (line) => <Time at={at(line.askHour)} />,
      sort: (line) => line.askHour,
    },
    money("bid", (line) => line.bid),
    {
      key: "free",
      title: t("most_free"),
      numeric: true,
      cell: (line) => formatNumber(line.free),
      sort: (line) => line.free,
    },
    money("last", (line) => line.summary?.last_price_cny_per_gpu_hour ?? null),
    {
      key: "volume",
      title: t("volume"),
      numeric: true,
      cell: (line) => (line.summary ? formatNumber(line.summary.gpu_hours_24h) : <Nothing />),
      sort: (line) => line.summary?.gpu_hours_24h ?? null,
    },
  ];
  return (
    <DataTable
      caption={t("overview")}
      columns={columns}
      rows={lines}
      rowKey={(line) => line.product}
      sortedBy="product"
      isCurrent={(line) => line.product === props.product}
    />
  );
}

function money(key: "ask" | "bid" | "last", of: (line: Line) => string | null): Column<Line> {
  const fen = (cny: string | null) => (cny === null ? null : fenOf(cny));
  return {
    key,
    title: t(key),
    numeric: true,
    cell: (line) => <Money cny={of(line)} bare />,
    sort: (line) => fen(of(line)),
  };
}

function lineOf(
  calendar: Calendar,
  catalogue: Catalogue,
  summaries: ReadonlyMap<string, Schemas["SummaryView"]>,
): Line {
  const askHour = best(calendar.ask_cny_per_gpu_hour, (one, other) => one < other);
  const bidHour = best(calendar.bid_cny_per_gpu_hour, (one, other) => one > other);
  return {
    product: calendar.product,
    accelerator: catalogue.accelerator(calendar.accelerator),
    place: catalogue.place(calendar.product),
    origin: calendar.origin,
    ask: askHour === null ? null : (calendar.ask_cny_per_gpu_hour[askHour] ?? null),
    askHour,
    bid: bidHour === null ? null : (calendar.bid_cny_per_gpu_hour[bidHour] ?? null),
    free: Math.max(0, ...calendar.free_gpus),
    summary: summaries.get(calendar.product),
  };
}

/** The first hour whose price is better than that of all others. */
function best(
  prices: readonly (string | null)[],
  isBetter: (one: bigint, other: bigint) => boolean,
): number | null {
  let found: { hour: number; fen: bigint } | null = null;
  for (const [hour, cny] of prices.entries()) {
    const fen = cny === null ? null : fenOf(cny);
    if (fen !== null && (found === null || isBetter(fen, found.fen))) found = { hour, fen };
  }
  return found?.hour ?? null;
}
