/** A book as it stood: what it was, its prices and free GPUs by hour, and every resting order with whose it was. */
import { useSignal } from "@preact/signals";
import { api, read, type Schemas } from "../../api/client";
import { Problem } from "../../api/problem";
import { LineChart } from "../../charts/line_chart";
import { toast } from "../../components/announcer";
import { EmptyState } from "../../components/states";
import { type Column, DataTable } from "../../components/table";
import { Badge, Figure, Money, Side, Time } from "../../components/values";
import { formatNumber, t as shared } from "../../i18n";
import { reasonTold } from "./asking";
import { Id, Who } from "./parts";
import { Window } from "./search_tables";
import { t } from "./texts";

type Then = Schemas["BookThen"];
type Order = Schemas["BookOrder"];

const PAGE_ROWS = 100;

export function BookShown({ book }: { book: Then }) {
  return (
    <div class="stack">
      <dl class="figures" aria-label={t("book.then")}>
        <Figure label={t("sequence")}>
          {`${book.partition} / ${formatNumber(book.sequence)}`}
          {book.book_sequence !== book.sequence && (
            <span class="second">{t("book.own", { sequence: book.book_sequence })}</span>
          )}
        </Figure>
        <Figure label={t("event_at")}>
          <Time at={book.sequence_at} exact />
        </Figure>
        <Figure label={t("phase")}>
          <Phase phase={book.phase} />
        </Figure>
        <Figure label={t("last_price")}>
          <Money cny={book.last_price_cny_per_gpu_hour} />
        </Figure>
        <Figure label={t("asks")}>{formatNumber(book.asks)}</Figure>
        <Figure label={t("bids")}>{formatNumber(book.bids)}</Figure>
      </dl>
      <Columns columns={book.columns} />
      {book.data.length === 0 ? (
        <EmptyState title={t("book.empty")}>{t("book.empty.text")}</EmptyState>
      ) : (
        <Orders book={book} />
      )}
    </div>
  );
}

function Phase({ phase }: { phase: string }) {
  if (phase === "open") return <Badge tone="good">{shared("phase.open")}</Badge>;
  if (phase === "halted") return <Badge tone="bad">{shared("phase.halted")}</Badge>;
  return <Badge tone="busy">{phase === "restricted" ? shared("phase.restricted") : phase}</Badge>;
}

function Columns({ columns }: { columns: Then["columns"] }) {
  const price = (cny: string | null) => (cny === null ? null : Number(cny));
  const tell = (value: number) => value.toFixed(2);
  return (
    <LineChart
      title={t("book.columns")}
      xs={columns.map((each) => Date.parse(each.starts_at))}
      xTitle={t("fact.delivery_hour")}
      series={[
        {
          title: t("book.ask"),
          values: columns.map((each) => price(each.ask_cny_per_gpu_hour)),
          ink: "--sell",
          form: "steps",
          format: tell,
        },
        {
          title: t("book.bid"),
          values: columns.map((each) => price(each.bid_cny_per_gpu_hour)),
          ink: "--buy",
          form: "steps",
          format: tell,
        },
        {
          title: t("book.free"),
          values: columns.map((each) => each.free_gpus),
          ink: "--line-strong",
          form: "bars",
          isRight: true,
          format: formatNumber,
        },
      ]}
    />
  );
}

function Orders({ book }: { book: Then }) {
  const later = useSignal<readonly Order[]>([]);
  const next = useSignal<string | null>(book.next_cursor ?? null);
  const more = async (cursor: string) => {
    try {
      const { product, sequence } = book;
      const page = await read(() =>
        api.GET("/v1/oversight/books/{product}", {
          params: { path: { product }, query: { sequence, cursor, limit: PAGE_ROWS, ...reasonTold() } },
        }),
      );
      later.value = [...later.value, ...page.data];
      next.value = page.next_cursor ?? null;
    } catch (failed) {
      if (!(failed instanceof Problem)) throw failed;
      toast(failed.text, "bad");
    }
  };
  return (
    <>
      <DataTable
        caption={t("book.orders")}
        columns={COLUMNS()}
        rows={[...book.data, ...later.value]}
        rowKey={(row) => row.order_id}
      />
      {next.value !== null && (
        <button type="button" class="button" onClick={() => void more(next.value as string)}>
          {shared("more")}
        </button>
      )}
    </>
  );
}

const COLUMNS = (): Column<Order>[] => [
  {
    key: "side",
    title: t("filter.side"),
    cell: (row) => <Side side={row.side === "buy" ? "buy" : "sell"} />,
    sort: (row) => row.side,
  },
  {
    key: "price",
    title: shared("unit.cny_gpu_hour"),
    numeric: true,
    cell: (row) => <Money cny={row.price_cny_per_gpu_hour} bare />,
    sort: (row) => Number(row.price_cny_per_gpu_hour),
  },
  {
    key: "who",
    title: t("book.whose"),
    cell: (row) => <Who name={row.participant_name} id={row.participant_id} />,
    sort: (row) => row.participant_name,
  },
  {
    key: "gpus",
    title: t("gpus"),
    numeric: true,
    cell: (row) => t("book.left", { left: row.remaining_gpus, all: row.quantity_gpus }),
    sort: (row) => row.remaining_gpus,
  },
  {
    key: "hours",
    title: t("book.gpu_hours"),
    numeric: true,
    cell: (row) => formatNumber(row.remaining_gpu_hours),
    sort: (row) => row.remaining_gpu_hours,
  },
  { key: "window", title: t("window"), cell: (row) => <Window from={row.starts_at} until={row.ends_at} /> },
  {
    key: "priority",
    title: t("book.priority"),
    numeric: true,
    cell: (row) => formatNumber(row.sequence),
    sort: (row) => row.sequence,
  },
  { key: "order", title: t("order"), head: true, cell: (row) => <Id id={row.order_id} /> },
];
