/** Movements of money and vouchers as a table: when, what for, from where to where. */
import type { Schemas } from "../api/client";
import { type Column, DataTable } from "../components/table";
import { Money, Time } from "../components/values";
import { t } from "./texts";

export type Transfer = Schemas["TransferView"];
type Purpose = Schemas["Purpose"];

/** The reasons that move a participant's money or vouchers. */
export const REASONS = [
  "deposit",
  "withdrawal",
  "hold",
  "hold_release",
  "trade",
  "delivery",
  "fee",
  "delivery_refund",
  "programme_budget",
  "programme_budget_return",
  "voucher_issue",
  "voucher_expiry",
  "voucher_revocation",
  "claim_submission",
  "claim_return",
  "claim_reduction",
  "claim_redemption",
  "claim_payment",
  "clawback_return",
  "clawback_payment",
] as const satisfies readonly Schemas["TransferReason"][];
export type Reason = (typeof REASONS)[number];
const PURPOSES = [
  "cash",
  "escrow",
  "voucher",
  "voucher_escrow",
  "receivable",
  "claimed",
  "budget",
  "redeemed",
] as const;

export function purposeText(purpose: Purpose): string {
  const known = PURPOSES.find((each) => each === purpose);
  return known === undefined ? t("purpose.other", { name: purpose }) : t(`purpose.${known}`);
}

export function reasonOf(text: string): Reason | undefined {
  return REASONS.find((each) => each === text);
}

export function reasonText(reason: Reason): string {
  return t(`transfer.${reason}`);
}

/** Movements, newest first; where orders can be opened, a movement of one leads to it. */
export function TransferTable(props: {
  caption: string;
  rows: readonly Transfer[];
  onOrder?: (id: string) => void;
}) {
  return (
    <DataTable
      caption={props.caption}
      captionHidden
      columns={columns(props.onOrder)}
      rows={props.rows}
      rowKey={(each) => each.id}
      empty={t("empty")}
    />
  );
}

function columns(onOrder: ((id: string) => void) | undefined): Column<Transfer>[] {
  return [
    { key: "when", title: t("when"), cell: (each) => <Time at={each.created_at} /> },
    {
      key: "what",
      title: t("what"),
      head: true,
      cell: (each) => {
        const known = reasonOf(each.reason);
        return known === undefined ? each.reason : reasonText(known);
      },
    },
    { key: "kind", title: t("kind"), cell: (each) => t(`transfer.kind.${each.kind}`) },
    { key: "from", title: t("from"), cell: (each) => sideText(each.debit_purpose) },
    { key: "to", title: t("to"), cell: (each) => sideText(each.credit_purpose) },
    { key: "amount", title: t("amount"), numeric: true, cell: (each) => <Money cny={each.amount_cny} /> },
    {
      key: "about",
      title: t("about"),
      cell: (each) =>
        onOrder !== undefined && each.subject_id.startsWith("ord_") ? (
          <button type="button" class="link" onClick={() => onOrder(each.subject_id)}>
            <code>{each.subject_id}</code>
          </button>
        ) : (
          <code>{each.subject_id}</code>
        ),
    },
  ];
}

function sideText(purpose: Purpose | null): string {
  return purpose === null ? t("others") : purposeText(purpose);
}
