/** Statements as of any moment: what programmes, receivables and claims were then, as a table and as a file. */

import { useSignal } from "@preact/signals";
import { useId } from "preact/hooks";
import { api, type Schemas } from "../../api/client";
import { stepReason } from "../../api/codes";
import { useQuery } from "../../api/query";
import { ClaimBadge } from "../../claims/table";
import { HourTextInput } from "../../components/hour_input";
import { Loaded } from "../../components/states";
import { type Column, DataTable } from "../../components/table";
import { Choice } from "../../components/tabs";
import { Money, Time } from "../../components/values";
import { isKind } from "../../session";
import { ProgrammeFilter } from "./parts";
import type { Change, VouchersState } from "./state";
import { t } from "./texts";

type Kind = "programmes" | "receivables" | "claims";
type Wanted = { as_of?: string; programme_id?: string };

export function Statements({ state, onChange }: { state: VouchersState; onChange: Change }) {
  const isIssuer = isKind("issuer");
  const kinds: readonly Kind[] = isIssuer
    ? ["programmes", "receivables", "claims"]
    : ["receivables", "claims"];
  const kind = useSignal<Kind>(kinds[0] ?? "claims");
  const at = useSignal("");
  const atId = useId();
  const wanted: Wanted = {
    ...(at.value && { as_of: at.value }),
    ...(state.programme && { programme_id: state.programme }),
  };
  return (
    <section class="card">
      <div class="card-head">
        <h2>{t("statements")}</h2>
        <Choice
          label={t("statements.kind")}
          options={kinds.map((key) => ({ key, title: t(`statements.${key}`) }))}
          chosen={kind.value}
          onChoose={(key) => {
            kind.value = key;
          }}
        />
      </div>
      <p class="quiet">{t("statements.text")}</p>
      <search class="voucher-filters" aria-label={t("filters")}>
        <div class="voucher-filter control">
          <label for={atId}>{t("statements.at")}</label>
          <HourTextInput
            control={{ id: atId, "aria-describedby": undefined, "aria-invalid": false }}
            value={at.value}
            onChange={(next) => {
              at.value = next;
            }}
          />
        </div>
        <ProgrammeFilter
          value={state.programme}
          isOwn={isIssuer}
          onChange={(programme) => onChange({ programme })}
        />
        <a
          class="button"
          download
          href={`/v1/statements/${kind.value}/export?${new URLSearchParams(wanted)}`}
        >
          {t("download.csv")}
        </a>
      </search>
      {kind.value === "programmes" && <OfProgrammes wanted={wanted} />}
      {kind.value === "receivables" && <OfReceivables wanted={wanted} isOfMany={isIssuer} />}
      {kind.value === "claims" && <OfClaims wanted={wanted} isOfMany={isIssuer} />}
    </section>
  );
}

function money<Row, Key extends string>(key: Key, of: (row: Row) => string): Column<Row> {
  return {
    key,
    title: t(`sum.${key}` as "sum.paid"),
    numeric: true,
    cell: (row) => <Money cny={of(row)} bare />,
  };
}

type ProgrammeRow = Schemas["ProgrammeStatement"];
/** Where a budget's money is: with its vouchers, and what they paid. One table of both is wider than most windows. */
const PROGRAMME_SUMS = {
  issuing: ["budget", "unissued", "issued", "with_buyers", "expired", "revoked"],
  claiming: ["receivable", "claimed", "paid", "reduced", "recovered"],
} as const;
const PROGRAMME_TABLES = ["issuing", "claiming"] as const;

function OfProgrammes({ wanted }: { wanted: Wanted }) {
  const told = useQuery(`/v1/statements/programmes ${JSON.stringify(wanted)}`, (c) =>
    api.GET("/v1/statements/programmes", { ...c, params: { query: wanted } }),
  );
  const columns = (table: (typeof PROGRAMME_TABLES)[number]): Column<ProgrammeRow>[] => [
    { key: "code", title: t("programme"), head: true, cell: (row) => <code>{row.programme_code}</code> },
    ...PROGRAMME_SUMS[table].map((key) => money<ProgrammeRow, string>(key, (row) => row[`${key}_cny`])),
  ];
  return (
    <Loaded query={told}>
      {({ data }) => (
        <>
          {PROGRAMME_TABLES.map((table) => (
            <DataTable
              key={table}
              caption={t(`statements.${table}`)}
              columns={columns(table)}
              rows={data}
              rowKey={(row) => row.programme_id}
              empty={t("statements.empty")}
            />
          ))}
        </>
      )}
    </Loaded>
  );
}

type ReceivableRow = Schemas["ReceivableStatement"];
const RECEIVABLE_SUMS = ["captured", "receivable", "claimed", "paid", "reduced", "recovered"] as const;

function OfReceivables({ wanted, isOfMany }: { wanted: Wanted; isOfMany: boolean }) {
  const told = useQuery(`/v1/statements/receivables ${JSON.stringify(wanted)}`, (c) =>
    api.GET("/v1/statements/receivables", { ...c, params: { query: wanted } }),
  );
  const columns: Column<ReceivableRow>[] = [
    { key: "code", title: t("programme"), head: true, cell: (row) => <code>{row.programme_code}</code> },
    ...(isOfMany ? [claimant<ReceivableRow>()] : []),
    ...RECEIVABLE_SUMS.map((key) => money<ReceivableRow, string>(key, (row) => row[`${key}_cny`])),
  ];
  return (
    <Loaded query={told}>
      {({ data }) => (
        <DataTable
          caption={t("statements.receivables")}
          captionHidden
          columns={columns}
          rows={data}
          rowKey={(row) => `${row.programme_id} ${row.claimant_id}`}
          empty={t("statements.empty")}
        />
      )}
    </Loaded>
  );
}

function claimant<Row extends { claimant_id: string }>(): Column<Row> {
  return { key: "claimant", title: t("claim.claimant"), cell: (row) => <code>{row.claimant_id}</code> };
}

type ClaimRow = Schemas["ClaimStatement"];
const CLAIMS = 200;

function OfClaims({ wanted, isOfMany }: { wanted: Wanted; isOfMany: boolean }) {
  const told = useQuery(`/v1/statements/claims ${JSON.stringify(wanted)}`, (c) =>
    api.GET("/v1/statements/claims", { ...c, params: { query: { ...wanted, limit: CLAIMS } } }),
  );
  const columns: Column<ClaimRow>[] = [
    { key: "claim", title: t("claim"), head: true, cell: (row) => <code>{row.claim_id}</code> },
    ...(isOfMany ? [claimant<ClaimRow>()] : []),
    { key: "status", title: t("status"), cell: (row) => <ClaimBadge status={row.status} /> },
    {
      key: "amount",
      title: t("claim.amount"),
      numeric: true,
      cell: (row) => <Money cny={row.amount_cny} bare />,
    },
    { key: "step", title: t("step.amount"), numeric: true, cell: (row) => <Money cny={row.step_cny} bare /> },
    { key: "at", title: t("step.at"), cell: (row) => <Time at={row.stepped_at} /> },
    {
      key: "reason",
      title: t("step.reason"),
      cell: (row) => <span class="wrapped">{stepReason(row)}</span>,
    },
  ];
  return (
    <Loaded query={told}>
      {({ data, next_cursor }) => (
        <>
          <DataTable
            caption={t("statements.claims")}
            captionHidden
            columns={columns}
            rows={data}
            rowKey={(row) => row.claim_id}
            empty={t("statements.empty")}
          />
          {next_cursor != null && <p class="quiet">{t("statements.more", { count: CLAIMS })}</p>}
        </>
      )}
    </Loaded>
  );
}
