/** Partitions: who leads each, how far it is, what its commits take; and its last minutes as a chart. */
import { LineChart } from "../../charts/line_chart";
import { type Column, DataTable } from "../../components/table";
import { Badge, Nothing, Time } from "../../components/values";
import { formatNumber, formatSpan } from "../../i18n";
import {
  commandsPerSecond,
  formatMs,
  most,
  type Operations,
  type Partition,
  type Standing,
  shortName,
  standingsOf,
} from "./data";
import { t } from "./texts";

/** An hour that began so long ago by the venue's clock should have been reached. */
const LATE_S = 60;

interface Row {
  partition: Partition;
  /** As its leader has it; undefined where that is not heard of. */
  led: Standing | undefined;
  standings: Standing[];
}

function rowsOf(now: Operations): Row[] {
  return now.partitions.map((partition) => {
    const standings = standingsOf(now, partition.partition);
    return { partition, standings, led: standings.find((each) => each.is_leading) };
  });
}

export function Partitions({ now }: { now: Operations }) {
  return (
    <section class="card" aria-labelledby="ops-partitions">
      <h2 id="ops-partitions">{t("partitions")}</h2>
      <DataTable
        caption={t("partitions")}
        captionHidden
        columns={columns()}
        rows={rowsOf(now)}
        rowKey={(row) => row.partition.partition}
      />
    </section>
  );
}

function columns(): Column<Row>[] {
  return [
    {
      key: "partition",
      title: t("partition"),
      head: true,
      numeric: true,
      cell: (row) => row.partition.partition,
      sort: (row) => row.partition.partition,
    },
    { key: "state", title: t("state"), cell: (row) => <State row={row} /> },
    {
      key: "leader",
      title: t("leader"),
      cell: ({ partition: { leader } }) =>
        leader === null ? (
          <Nothing />
        ) : (
          <>
            <span class="code" title={leader.process}>
              {shortName(leader.process)}
            </span>
            <span class="second">{t("leader.epoch", { epoch: leader.epoch })}</span>
          </>
        ),
    },
    {
      key: "committed",
      title: t("committed"),
      numeric: true,
      cell: ({ partition }) => (
        <>
          {formatNumber(partition.committed_sequence)}
          <span class="second">
            <Time at={partition.committed_at} exact />
          </span>
        </>
      ),
      sort: (row) => row.partition.committed_sequence,
    },
    number("commands", (row) => commandsPerSecond(row.partition)),
    {
      key: "batch",
      title: t("batch"),
      numeric: true,
      cell: ({ partition: { leader } }) => {
        const batches = leader?.commits?.batch_requests;
        if (batches == null || batches.count === 0) return <Nothing />;
        return (
          <>
            {formatNumber(Math.ceil(batches.p50 ?? 0))} / {formatNumber(Math.ceil(batches.p99 ?? 0))}
            <span class="second">{t("batch.count", { count: batches.count })}</span>
          </>
        );
      },
    },
    {
      key: "latency",
      title: t("latency"),
      numeric: true,
      cell: (row) => (
        <>
          {formatMs(row.partition.leader?.commits?.commit_seconds.p99)} / {formatMs(answered(row))}
        </>
      ),
      sort: answered,
    },
    number("waiting", (row) => most(row.standings.map((each) => each.waiting_requests))),
    number("feed_lag", (row) => most(row.standings.map((each) => each.feed_lag_sequences))),
    {
      key: "failures",
      title: t("failures"),
      numeric: true,
      cell: ({ partition: { leader } }) =>
        leader?.commits == null ? (
          <Nothing />
        ) : (
          formatNumber(Object.values(leader.commits.failures).reduce((sum, each) => sum + each, 0))
        ),
    },
  ];
}

/** How long the slowest of a hundred callers waited, wherever they called. */
function answered(row: Row): number | null {
  return most(row.standings.map((each) => each.acknowledged_seconds.p99));
}

function number(
  key: "commands" | "waiting" | "feed_lag",
  value: (row: Row) => number | null | undefined,
): Column<Row> {
  return {
    key,
    title: t(key),
    numeric: true,
    cell: (row) => {
      const found = value(row);
      return found == null ? <Nothing /> : formatNumber(found < 10 ? found : Math.round(found));
    },
    sort: (row) => value(row) ?? null,
  };
}

/** In one word, and where it is none that is wanted why. */
function State({ row: { partition, led } }: { row: Row }) {
  const { leader } = partition;
  if (leader === null || leader.holds_for_s < 0) return <Badge tone="bad">{t("state.unled")}</Badge>;
  if (led?.trouble)
    return (
      <>
        <Badge tone="bad">{t("state.stuck")}</Badge>
        <span class="second">{led.trouble}</span>
      </>
    );
  if (leader.epoch === 0) return <Badge tone="busy">{t("state.building")}</Badge>;
  if (led !== undefined && led.hour_lag_s > LATE_S)
    return <Badge tone="bad">{t("state.late", { span: formatSpan(led.hour_lag_s * 1000) })}</Badge>;
  return <Badge tone="good">{t("state.leading")}</Badge>;
}

/** The commands of the last minutes, and how long their callers waited. */
export function Load({ partition, isAlone }: { partition: Partition; isAlone: boolean }) {
  const periods = partition.leader?.commits?.periods ?? [];
  const name = isAlone ? t("load") : t("load.of", { partition: partition.partition });
  return (
    <section class="card" aria-label={name}>
      <LineChart
        title={name}
        xs={periods.map((each) => -each.ends_s_ago)}
        xTitle={t("load.x")}
        formatX={(x) => t("load.ago", { seconds: Math.round(Math.abs(x)) })}
        isFromZero
        series={[
          {
            title: t("load.commands"),
            values: periods.map((each) => each.commands / each.seconds),
            ink: "--accent",
            isFilled: true,
            format: (value) => formatNumber(value < 10 ? value : Math.round(value)),
          },
          {
            title: t("load.acknowledged"),
            values: periods.map((each) => each.acknowledged_p99_seconds),
            ink: "--sell",
            isRight: true,
            format: formatMs,
          },
        ]}
      />
    </section>
  );
}
