/** The processes of the exchange as each tells of itself, and what follows the committed record. */
import { type Column, DataTable } from "../../components/table";
import { Badge, Nothing, Time } from "../../components/values";
import { formatNumber, formatSpan } from "../../i18n";
import { isSilent, type Operations, type Process, shortName } from "./data";
import { t } from "./texts";

export function Processes({ now }: { now: Operations }) {
  return (
    <section class="card" aria-labelledby="ops-processes">
      <h2 id="ops-processes">{t("processes")}</h2>
      <DataTable
        caption={t("processes")}
        captionHidden
        columns={columns()}
        rows={now.processes}
        rowKey={(row) => row.process}
      />
    </section>
  );
}

function columns(): Column<Process>[] {
  return [
    {
      key: "process",
      title: t("process"),
      head: true,
      cell: (row) => (
        <>
          <span class="code" title={row.process}>
            {shortName(row.process)}
          </span>
          {row.is_here && <span class="second">{t("process.here")}</span>}
        </>
      ),
      sort: (row) => row.process,
    },
    { key: "role", title: t("role"), cell: (row) => t(`role.${row.role}`), sort: (row) => row.role },
    { key: "state", title: t("state"), cell: (row) => <State process={row} /> },
    {
      key: "up",
      title: t("up"),
      numeric: true,
      cell: (row) => formatSpan(row.up_s * 1000),
      sort: (row) => row.up_s,
    },
    {
      key: "leads",
      title: t("leads"),
      cell: (row) => {
        const led = row.report?.partitions.filter((each) => each.is_leading) ?? [];
        return led.length === 0 ? <Nothing /> : led.map((each) => each.partition).join(", ");
      },
    },
    {
      key: "database",
      title: t("database.connections"),
      numeric: true,
      cell: (row) =>
        row.report === null ? (
          <Nothing />
        ) : (
          t("of", {
            count: row.report.database_connections.lent,
            most: row.report.database_connections.most,
          })
        ),
    },
    {
      key: "redis",
      title: t("redis"),
      cell: (row) =>
        row.report?.redis == null ? (
          <Nothing />
        ) : row.report.redis ? (
          <Badge tone="good">{t("redis.reached")}</Badge>
        ) : (
          <Badge tone="bad">{t("redis.lost")}</Badge>
        ),
    },
    {
      key: "readers",
      title: t("readers"),
      numeric: true,
      cell: (row) => (row.report === null ? <Nothing /> : formatNumber(row.report.stream_readers)),
      sort: (row) => row.report?.stream_readers ?? null,
    },
    {
      key: "connections",
      title: t("connections"),
      numeric: true,
      cell: (row) => (row.report?.connections == null ? <Nothing /> : formatNumber(row.report.connections)),
      sort: (row) => row.report?.connections ?? null,
    },
  ];
}

function State({ process }: { process: Process }) {
  if (isSilent(process))
    return <Badge tone="bad">{t("process.silent", { span: formatSpan(process.seen_s_ago * 1000) })}</Badge>;
  if (process.report === null) return <Badge tone="bad">{t("process.other_version")}</Badge>;
  const { troubles, partitions, seal_doubt: doubt } = process.report;
  if (troubles.length > 0)
    return (
      <>
        <Badge tone="bad">{t("process.troubled")}</Badge>
        <span class="second">{troubles.join("; ")}</span>
      </>
    );
  if (doubt !== null)
    return (
      <>
        <Badge tone="bad">{t("process.doubt")}</Badge>
        <span class="second">{doubt}</span>
      </>
    );
  if (process.role === "engine" && !partitions.some((each) => each.is_leading))
    return <Badge>{t("process.standby")}</Badge>;
  return <Badge tone="good">{t("process.well")}</Badge>;
}

/** How far what follows the record is behind it. */
export function Followers({ now }: { now: Operations }) {
  return (
    <section class="card" aria-labelledby="ops-followers">
      <h2 id="ops-followers">{t("followers")}</h2>
      <DataTable
        caption={t("followers")}
        captionHidden
        columns={[
          {
            key: "name",
            title: t("follower"),
            head: true,
            cell: (row) => <span class="wrapped">{t(`follower.${row.name}`)}</span>,
          },
          {
            key: "behind",
            title: t("behind"),
            numeric: true,
            cell: (row) => formatNumber(row.behind_records),
          },
          {
            key: "until",
            title: t("read_until"),
            cell: (row) => <Time at={row.read_until_at} exact />,
          },
        ]}
        rows={now.followers}
        rowKey={(row) => row.name}
      />
      <p class="hint">{t("followers.hint")}</p>
    </section>
  );
}
