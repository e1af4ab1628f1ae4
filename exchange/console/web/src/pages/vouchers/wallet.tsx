/** A buyer's vouchers: what each still pays, until when, and what became of them of late. */

import { api, read } from "../../api/client";
import { stepReason } from "../../api/codes";
import { useVouchers, vouchersPage } from "../../api/own";
import { useQuery } from "../../api/query";
import { ProgrammeName } from "../../claims/programme_name";
import { More, useOlder } from "../../components/more";
import { EmptyState, Loaded } from "../../components/states";
import { DataTable } from "../../components/table";
import { Figure, Money, Time } from "../../components/values";
import { cnyOf, fenOf, formatMoney } from "../../i18n";
import { to } from "../../shell/links";
import { ROWS, type Voucher, type VoucherStep } from "./data";
import { Expiry, VoucherBadge } from "./parts";
import { Purse } from "./purse";
import { type Change, useReturn, type VouchersState } from "./state";
import { t } from "./texts";
import { VoucherDetail } from "./voucher_detail";

export function Wallet({ state, onChange }: { state: VouchersState; onChange: Change }) {
  if (state.open !== "") {
    return <VoucherDetail id={state.open} back={t("wallet.back")} onBack={() => onChange({ open: "" })} />;
  }
  return (
    <div class="stack">
      <Purses onOpen={(id) => onChange({ open: id })} />
      <News onOpen={(id) => onChange({ open: id })} />
    </div>
  );
}

function Purses({ onOpen }: { onOpen: (id: string) => void }) {
  const vouchers = useVouchers(ROWS);
  const older = useOlder<Voucher>(
    (cursor) => read(() => api.GET("/v1/vouchers", vouchersPage(ROWS, "", cursor))),
    "wallet",
  );
  useReturn(vouchers.data.value !== null);
  return (
    <Loaded query={vouchers}>
      {(page) => {
        const rows = older.rows(page);
        if (rows.length === 0) {
          return (
            <EmptyState
              title={t("wallet.empty")}
              action={
                <a class="button button-primary" href={to("vouchers?tab=programmes")}>
                  {t("wallet.apply")}
                </a>
              }
            >
              {t("wallet.empty.text")}
            </EmptyState>
          );
        }
        return (
          <>
            <Sums vouchers={rows} />
            <ul class="purses">
              {sorted(rows).map((each) => (
                <PurseCard key={each.id} voucher={each} onOpen={() => onOpen(each.id)} />
              ))}
            </ul>
            <div>
              <More older={older} first={page} />
            </div>
          </>
        );
      }}
    </Loaded>
  );
}

/** Those that pay first, the one that expires soonest before all: in this order they are spent. */
function sorted(vouchers: readonly Voucher[]): Voucher[] {
  const place = (each: Voucher) => (each.status === "active" ? 0 : each.status === "suspended" ? 1 : 2);
  return [...vouchers].sort(
    (one, other) => place(one) - place(other) || Date.parse(one.expires_at) - Date.parse(other.expires_at),
  );
}

function Sums({ vouchers }: { vouchers: readonly Voucher[] }) {
  const sum = (of: readonly Voucher[], cny: (each: Voucher) => string) =>
    formatMoney(cnyOf(of.reduce((total, each) => total + (fenOf(cny(each)) ?? 0n), 0n)));
  const active = vouchers.filter((each) => each.status === "active");
  return (
    <dl class="figures">
      <Figure label={t("wallet.free")}>{sum(active, (each) => each.available_cny)}</Figure>
      <Figure label={t("wallet.held")}>{sum(vouchers, (each) => each.held_cny)}</Figure>
      <Figure label={t("wallet.committed")}>{sum(vouchers, (each) => each.committed_cny)}</Figure>
      <Figure label={t("wallet.face")}>{sum(vouchers, (each) => each.face_cny)}</Figure>
    </dl>
  );
}

function PurseCard({ voucher, onOpen }: { voucher: Voucher; onOpen: () => void }) {
  return (
    <li class="card">
      <div class="card-head">
        <h3>
          <ProgrammeName id={voucher.programme_id} />
        </h3>
        <VoucherBadge status={voucher.status} />
      </div>
      <p>
        <span class="purse-free">{formatMoney(voucher.available_cny)}</span>{" "}
        <span class="quiet">{t("wallet.of", { face: formatMoney(voucher.face_cny) })}</span>
      </p>
      <Purse voucher={voucher} />
      <p>
        <Expiry voucher={voucher} />
      </p>
      <div class="card-head">
        <span class="code quiet">{voucher.id}</span>
        <button
          type="button"
          id={`open-${voucher.id}`}
          class="button button-small"
          aria-label={t("open.label", { id: voucher.id })}
          onClick={onOpen}
        >
          {t("open")}
        </button>
      </div>
    </li>
  );
}

const NEWS = 20;

/** What issuers, and time, did to the vouchers. */
function News({ onOpen }: { onOpen: (id: string) => void }) {
  const news = useQuery(
    "/v1/vouchers/steps",
    (c) => api.GET("/v1/vouchers/steps", { ...c, params: { query: { limit: NEWS } } }),
    { every_s: 30 },
  );
  const steps = news.data.value?.data ?? [];
  if (steps.length === 0) return null;
  return (
    <section class="card">
      <h2>{t("news")}</h2>
      <DataTable
        caption={t("news")}
        captionHidden
        columns={[
          { key: "at", title: t("step.at"), cell: (row: VoucherStep) => <Time at={row.stepped_at} /> },
          {
            key: "voucher",
            title: t("voucher"),
            head: true,
            cell: (row) => (
              <button type="button" class="link" onClick={() => onOpen(row.voucher_id)}>
                <code>{row.voucher_id}</code>
              </button>
            ),
          },
          { key: "to", title: t("step.to"), cell: (row) => <VoucherBadge status={row.to_status} /> },
          {
            key: "returned",
            title: t("voucher.returned"),
            numeric: true,
            cell: (row) => <Money cny={row.returned_cny} />,
          },
          {
            key: "reason",
            title: t("step.reason"),
            cell: (row) => <span class="wrapped">{stepReason(row)}</span>,
          },
        ]}
        rows={steps}
        rowKey={(row) => `${row.voucher_id} ${row.number}`}
      />
    </section>
  );
}
