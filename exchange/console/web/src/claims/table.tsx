/** Claims as a table, to whoever sees them. */
import { openColumn } from "../components/open_column";
import { type Column, DataTable } from "../components/table";
import { Badge, type BadgeTone, Time } from "../components/values";
import { formatNumber } from "../i18n";
import { decidedColumns } from "./columns";
import type { Claim, ClaimStatus } from "./data";
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
  return [
    ...decidedColumns<ClaimStatus, Claim>({
      party: isOfMany ? { title: t("claims.claimant"), name: (row) => row.claimant_name } : null,
      statuses: CLAIM_STATUSES,
      Badge: ClaimBadge,
      amount: t("claims.amount"),
      approved: t("claims.approved"),
    }),
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
