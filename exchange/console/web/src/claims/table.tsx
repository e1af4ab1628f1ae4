/** Claims as a table, to whoever sees them. */
import { stepReason } from "../api/codes";
import { openColumn } from "../components/open_column";
import { type Column, DataTable } from "../components/table";
import { Badge, type BadgeTone, Money, Time } from "../components/values";
import { fenOf, formatNumber } from "../i18n";
import { type Claim, type ClaimStatus, useProgramme } from "./data";
import { t } from "./texts";

const TONES: Record<ClaimStatus, BadgeTone> = {
  open: "plain",
  submitted: "busy",
  in_audit: "busy",
  queried: "bad",
  approved: "good",
  reduced: "busy",
  rejected: "bad",
  paid: "good",
  closed: "good",
  clawback_open: "bad",
  recovered: "plain",
  written_off: "plain",
};

/** The states of claims in the order of their life. */
export const CLAIM_STATUSES = Object.keys(TONES) as readonly ClaimStatus[];

export function claimStatusText(status: ClaimStatus): string {
  return t(`claim.${status}`);
}

export function ClaimBadge({ status }: { status: ClaimStatus }) {
  return <Badge tone={TONES[status]}>{claimStatusText(status)}</Badge>;
}

/** A programme by its name; by its id until that is known. */
export function ProgrammeName({ id }: { id: string }) {
  const programme = useProgramme(id);
  return <>{programme.data.value?.name ?? <span class="code">{id}</span>}</>;
}

export function ClaimTable(props: {
  rows: readonly Claim[];
  /** The name of the list, where its order stays while it is away. */
  keptAs?: string;
  /** Whether those of several claimants stand here. */
  isOfMany?: boolean;
  onOpen: (id: string) => void;
}) {
  return (
    <DataTable
      caption={t("claims")}
      captionHidden
      keptAs={props.keptAs}
      columns={columns(props.isOfMany ?? false)}
      onRow={(row) => props.onOpen(row.id)}
      rows={props.rows}
      rowKey={(row) => row.id}
      empty={t("claims.empty")}
    />
  );
}

function columns(isOfMany: boolean): Column<Claim>[] {
  const claimant: Column<Claim> = {
    key: "claimant",
    title: t("claims.claimant"),
    cell: (row) => <span class="wrapped">{row.claimant_name}</span>,
    sort: (row) => row.claimant_name,
  };
  return [
    {
      key: "programme",
      title: t("programme"),
      head: true,
      cell: (row) => (
        <span class="wrapped">
          <ProgrammeName id={row.programme_id} />
          <span class="second code">{row.id}</span>
        </span>
      ),
    },
    ...(isOfMany ? [claimant] : []),
    {
      key: "status",
      title: t("status"),
      cell: (row) => (
        <>
          <ClaimBadge status={row.status} />
          {row.reason && <span class="second">{stepReason(row)}</span>}
        </>
      ),
      sort: (row) => CLAIM_STATUSES.indexOf(row.status),
    },
    {
      key: "amount",
      title: t("claims.amount"),
      numeric: true,
      cell: (row) => <Money cny={row.amount_cny} />,
      sort: (row) => fenOf(row.amount_cny),
    },
    {
      key: "approved",
      title: t("claims.approved"),
      numeric: true,
      cell: (row) => <Money cny={row.approved_cny} />,
    },
    {
      key: "lines",
      title: t("claims.lines"),
      numeric: true,
      cell: (row) => formatNumber(row.line_count),
      sort: (row) => row.line_count,
    },
    {
      key: "submitted",
      title: t("claims.submitted"),
      cell: (row) => <Time at={row.submitted_at} />,
      sort: (row) => row.submitted_at,
    },
    {
      key: "decided",
      title: t("claims.decided"),
      cell: (row) => (
        <>
          <Time at={row.decided_at} />
          {row.paid_at != null && (
            <span class="second">
              {t("claims.paid")} <Time at={row.paid_at} />
            </span>
          )}
        </>
      ),
    },
    openColumn(t("actions"), t("claims.open"), (row) => ({
      id: row.id,
      label: t("claims.open.label", { id: row.id }),
    })),
  ];
}
