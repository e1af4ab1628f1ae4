/** One claim: its money, its draw for audit, its evidence, hours and steps; and the steps that can be taken now. */

import type { Schemas } from "../../api/client";
import { api, read } from "../../api/client";
import { useQuery } from "../../api/query";
import { ProgrammeName } from "../../claims/programme_name";
import { ClaimBadge } from "../../claims/table";
import { More, useOlder } from "../../components/more";
import { Loaded } from "../../components/states";
import { type Column, DataTable } from "../../components/table";
import { Figure, Money, Time } from "../../components/values";
import { formatBps, formatMoney, formatNumber } from "../../i18n";
import { ClaimSteps } from "./claim_steps";
import { type Claim, useClaim } from "./data";
import { EvidenceCard } from "./evidence";
import { isOwn, LifeCard, Opened } from "./parts";
import { t } from "./texts";

export function ClaimDetail({ id, onBack }: { id: string; onBack: () => void }) {
  const claim = useClaim(id);
  return (
    <Loaded query={claim}>
      {(view) => (
        <Opened
          id={view.id}
          title={t("claim.title", { amount: formatMoney(view.amount_cny) })}
          badge={<ClaimBadge status={view.status} />}
          back={t("claims.back")}
          onBack={onBack}
        >
          <section class="card">
            <h3>{t("claim.state")}</h3>
            <Facts claim={view} />
            {view.draw && <Draw claim={view} draw={view.draw} />}
            <ClaimSteps claim={view} onStepped={claim.refresh} />
          </section>
          <EvidenceCard claim={view} />
          <Lines claim={view} />
          <Steps claim={view} />
        </Opened>
      )}
    </Loaded>
  );
}

function Facts({ claim }: { claim: Claim }) {
  const isReimbursed = claim.claimant_kind === "buyer";
  return (
    <dl class="figures">
      <Figure label={t("programme")}>
        <ProgrammeName id={claim.programme_id} />
      </Figure>
      {!isOwn(claim.claimant_id) && (
        <Figure label={t(isReimbursed ? "claim.company" : "claim.provider")}>{claim.claimant_name}</Figure>
      )}
      <Figure label={t("claim.amount")}>{formatMoney(claim.amount_cny)}</Figure>
      {claim.approved_cny != null && (
        <Figure label={t("claim.approved")}>{formatMoney(claim.approved_cny)}</Figure>
      )}
      {claim.clawback_cny != null && (
        <Figure label={t("claim.clawback")}>{formatMoney(claim.clawback_cny)}</Figure>
      )}
      <Figure label={t("claim.hours")}>{formatNumber(claim.line_count)}</Figure>
      <Figure label={t("claim.version")}>{formatNumber(claim.programme_version)}</Figure>
      <Figure label={t("claim.submitted_at")}>
        <Time at={claim.submitted_at} />
      </Figure>
      <Figure label={t("claim.decided_at")}>
        <Time at={claim.decided_at} />
      </Figure>
      <Figure label={t("claim.paid_at")}>
        <Time at={claim.paid_at} />
      </Figure>
    </dl>
  );
}

/** What the draw gave, and how anyone does it again. */
function Draw({ claim, draw }: { claim: Claim; draw: Schemas["DrawView"] }) {
  return (
    <details class="more">
      <summary>{t(draw.is_drawn ? "draw.drawn" : "draw.not", { share: formatBps(draw.sample_bps) })}</summary>
      <p>{t("draw.text", { number: draw.number, below: draw.sample_bps })}</p>
      <p class="quiet">{t("draw.again", { id: claim.id })}</p>
      <p class="code">{draw.seed}</p>
    </details>
  );
}

type Line = Schemas["ClaimLineView"];
/** What `useOlder` tells rows apart by: an hour of a lease has one line for each voucher. */
type LineRow = Line & { id: string };

const LINES = 100;

function rowsOf(page: { data: Line[]; next_cursor?: string | null }) {
  const data = page.data.map((each) => ({
    ...each,
    id: `${each.lease_id} ${each.starts_at} ${each.voucher_id}`,
  }));
  return { data, next_cursor: page.next_cursor ?? null };
}

/** The delivered hours that a claim is made of; a rejected one has none any more. */
function Lines({ claim }: { claim: Claim }) {
  const call = (cursor?: string) => ({
    params: { path: { claim_id: claim.id }, query: { limit: LINES, ...(cursor && { cursor }) } },
  });
  const lines = useQuery(`/v1/claims/${claim.id}/lines ${claim.status}`, (c) =>
    api.GET("/v1/claims/{claim_id}/lines", { ...c, ...call() }),
  );
  const older = useOlder<LineRow>(async (cursor) =>
    rowsOf(await read(() => api.GET("/v1/claims/{claim_id}/lines", call(cursor)))),
  );
  return (
    <section class="card">
      <h3>{t("lines")}</h3>
      <p class="quiet">{t("lines.text")}</p>
      <Loaded query={lines}>
        {(page) => {
          const first = rowsOf(page);
          return (
            <>
              <DataTable
                caption={t("lines")}
                captionHidden
                columns={lineColumns()}
                rows={older.rows(first)}
                rowKey={(row) => row.id}
                empty={t("lines.empty")}
              />
              <div>
                <More older={older} first={first} />
              </div>
            </>
          );
        }}
      </Loaded>
    </section>
  );
}

function lineColumns(): Column<LineRow>[] {
  const money = (key: "amount" | "reduced" | "recovered"): Column<LineRow> => ({
    key,
    title: t(`lines.${key}`),
    numeric: true,
    cell: (row) => <Money cny={row[`${key}_cny`]} />,
  });
  return [
    {
      key: "hour",
      title: t("lines.hour"),
      head: true,
      cell: (row) => <Time at={row.starts_at} />,
      sort: (row) => row.starts_at,
    },
    {
      key: "lease",
      title: t("lines.lease"),
      cell: (row) => <code>{row.lease_id}</code>,
      sort: (row) => row.lease_id,
    },
    { key: "voucher", title: t("voucher"), cell: (row) => <code>{row.voucher_id}</code> },
    {
      key: "version",
      title: t("lines.version"),
      numeric: true,
      cell: (row) => formatNumber(row.programme_version),
    },
    money("amount"),
    money("reduced"),
    money("recovered"),
  ];
}

function Steps({ claim }: { claim: Claim }) {
  const steps = useQuery(`/v1/claims/${claim.id}/steps ${claim.status} ${claim.reason}`, (c) =>
    api.GET("/v1/claims/{claim_id}/steps", {
      ...c,
      params: { path: { claim_id: claim.id }, query: { limit: 200 } },
    }),
  );
  return (
    <LifeCard
      steps={steps}
      amount={t("step.amount")}
      begin={{
        at: claim.opened_at,
        to: <ClaimBadge status="open" />,
        by: t("by.claimant"),
        amount: claim.amount_cny,
      }}
      of={(each) => ({
        to: <ClaimBadge status={each.to_status} />,
        by: t(`by.${each.actor_role}`),
        amount: each.amount_cny,
      })}
    />
  );
}
