/** Each programme's budget as a bar: what is issued of it, and what can still be. */
import { type Column, DataTable } from "../../components/table";
import { Money } from "../../components/values";
import { fenOf, formatBps } from "../../i18n";
import type { Programme } from "./data";
import { ProgrammeBadge } from "./parts";
import { t } from "./texts";

function issuedBps(programme: Programme): number {
  const [issued, budget] = [fenOf(programme.issued_cny) ?? 0n, fenOf(programme.budget_cny) ?? 0n];
  return budget > 0n ? Number((issued * 10_000n) / budget) : 0;
}

export function IssuedBar({ programme }: { programme: Programme }) {
  const bps = issuedBps(programme);
  return (
    <span class="bar">
      <span class="purse purse-small" aria-hidden="true">
        <span class="purse-part purse-free" style={{ width: `${bps / 100}%` }} />
      </span>
      <span class="number">{formatBps(bps)}</span>
    </span>
  );
}

export function ProgrammeBars({ programmes }: { programmes: readonly Programme[] }) {
  const columns: Column<Programme>[] = [
    {
      key: "name",
      title: t("programme"),
      head: true,
      cell: (row) => (
        <>
          <span class="wrapped">{row.name}</span>
          <span class="second code">{row.code}</span>
        </>
      ),
      sort: (row) => row.name,
    },
    { key: "status", title: t("status"), cell: (row) => <ProgrammeBadge status={row.status} /> },
    {
      key: "issued_bps",
      title: t("burn.issued"),
      cell: (row) => <IssuedBar programme={row} />,
      sort: issuedBps,
    },
    ...(["budget", "issued", "unissued", "returned"] as const).map((key) => ({
      key,
      title: t(`programme.${key}`),
      numeric: true,
      cell: (row: Programme) => <Money cny={row[`${key}_cny`]} />,
      sort: (row: Programme) => fenOf(row[`${key}_cny`]),
    })),
  ];
  return (
    <DataTable
      caption={t("burn.each")}
      captionHidden
      columns={columns}
      rows={programmes}
      rowKey={(row) => row.id}
      empty={t("programmes.none")}
    />
  );
}
