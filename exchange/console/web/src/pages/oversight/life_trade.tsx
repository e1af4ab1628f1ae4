/** The life of a trade: who, what, for how much; each step; whose money paid, and what became of it hour by hour. */
import { api, type Schemas } from "../../api/client";
import { ProductName } from "../../components/product_name";
import { DataTable } from "../../components/table";
import { Badge, Figure, Money, Time } from "../../components/values";
import { formatNumber, t as shared } from "../../i18n";
import { reasonTold, useAnswer } from "./asking";
import { SaveButton } from "./export";
import { Awaited, type LifeProps, lifeKey, useRefusal } from "./life_parts";
import { Id, Told, Who } from "./parts";
import { Window } from "./search_tables";
import { momentsOf, type Subject } from "./steps";
import { t } from "./texts";
import { TimeLine } from "./time_line";

type Life = Schemas["TradeLife"];

export function TradeLife({ id, onProblem }: LifeProps) {
  const life = useAnswer(
    lifeKey(id),
    (o) =>
      api.GET("/v1/oversight/trades/{trade_id}", {
        ...o,
        params: { path: { trade_id: id }, query: { reason: reasonTold().reason ?? "" } },
      }),
    { needsReason: true },
  );
  useRefusal(life.problem, onProblem);
  return (
    <>
      <Awaited answer={life} />
      <Told answer={life} isToldAbove>
        {(told) => (
          <>
            <section class="card" aria-label={t("life.trade")}>
              <Head life={told} />
            </section>
            <section class="card" aria-label={t("life.steps")}>
              <h3>{t("life.steps")}</h3>
              <TimeLine label={t("life.steps")} moments={momentsOf(told.steps, subjectOf(told))} />
            </section>
            <MoneyPart life={told} />
          </>
        )}
      </Told>
    </>
  );
}

function subjectOf({ trade }: Life): Subject {
  const name = (role: "filter.buyer" | "filter.provider", who: string) => `${t(role)} · ${who}`;
  return {
    id: trade.id,
    names: {
      [trade.buyer_id]: name("filter.buyer", trade.buyer_name),
      [trade.provider_id]: name("filter.provider", trade.provider_name),
    },
  };
}

function Head({ life }: { life: Life }) {
  const { trade } = life;
  return (
    <>
      <div class="card-head">
        <h3>
          {t("life.trade")} <code class="quiet">{trade.id}</code>
        </h3>
        {life.failed_hours > 0 && <Badge tone="bad">{t("life.failed", { count: life.failed_hours })}</Badge>}
      </div>
      <dl class="figures">
        <Figure label={t("traded_at")}>
          <Time at={trade.traded_at} exact />
        </Figure>
        <Figure label={t("filter.buyer")}>
          <Who name={trade.buyer_name} id={trade.buyer_id} />
        </Figure>
        <Figure label={t("filter.provider")}>
          <Who name={trade.provider_name} id={trade.provider_id} />
        </Figure>
        <Figure label={t("filter.product")}>
          <ProductName id={trade.product} />
        </Figure>
        <Figure label={t("gpus")}>{formatNumber(trade.quantity_gpus)}</Figure>
        <Figure label={t("delivery")}>
          <Window from={trade.starts_at} until={trade.ends_at} />
        </Figure>
        <Figure label={shared("unit.cny_gpu_hour")}>
          <Money cny={trade.price_cny_per_gpu_hour} bare />
        </Figure>
        <Figure label={t("notional")}>
          <Money cny={trade.notional_cny} />
        </Figure>
        <Figure label={t("settled_until")}>
          {life.settled_until > trade.starts_at ? <Time at={life.settled_until} /> : t("settled.nothing")}
        </Figure>
        <Figure label={t("life.bid")}>
          <Id id={trade.bid_order_id} />
        </Figure>
        <Figure label={t("life.ask")}>
          <Id id={trade.ask_order_id} />
        </Figure>
      </dl>
      <div class="ov-proof">
        <SaveButton
          name={`proof-${trade.id}.json`}
          address={() => `/v1/oversight/trades/${trade.id}/proof?${new URLSearchParams(reasonTold())}`}
        >
          {t("life.proof")}
        </SaveButton>
        <span class="quiet">{t("life.proof.text")}</span>
      </div>
    </>
  );
}

/** Whose money it was, the hours that failed, and what vouchers paid. */
function MoneyPart({ life }: { life: Life }) {
  return (
    <section class="card" aria-label={t("life.money")}>
      <h3>{t("life.money")}</h3>
      <DataTable
        caption={t("life.parts")}
        captionHidden
        columns={[
          {
            key: "whose",
            title: t("life.whose"),
            head: true,
            cell: (row) => (row.voucher_id == null ? t("life.cash") : <Id id={row.voucher_id} />),
          },
          {
            key: "programme",
            title: t("filter.programme"),
            cell: (row) =>
              row.programme == null
                ? ""
                : `${row.programme} · ${t("version", { number: row.programme_version ?? 0 })}`,
          },
          {
            key: "how",
            title: t("life.how"),
            cell: (row) => t(row.reimbursed ? "life.reimbursed" : "life.paid"),
          },
          {
            key: "committed",
            title: t("life.committed"),
            numeric: true,
            cell: (row) => <Money cny={row.committed_cny} />,
          },
          {
            key: "captured",
            title: t("life.captured"),
            numeric: true,
            cell: (row) => <Money cny={row.captured_cny} />,
          },
          {
            key: "returned",
            title: t("life.returned"),
            numeric: true,
            cell: (row) => <Money cny={row.returned_cny} />,
          },
        ]}
        rows={life.funding}
        rowKey={(row) => row.voucher_id ?? "cash"}
      />
      {life.outages.length > 0 && (
        <DataTable
          caption={t("life.outages")}
          columns={[
            {
              key: "hour",
              title: t("fact.delivery_hour"),
              head: true,
              cell: (row) => <Time at={row.starts_at} />,
            },
            { key: "reason", title: t("why"), cell: (row) => row.reason },
            { key: "at", title: t("life.reported_at"), cell: (row) => <Time at={row.reported_at} exact /> },
          ]}
          rows={life.outages}
          rowKey={(row) => row.starts_at}
        />
      )}
      {life.captures.length > 0 && (
        <DataTable
          caption={t("life.captures")}
          columns={[
            {
              key: "hour",
              title: t("fact.delivery_hour"),
              head: true,
              cell: (row) => <Time at={row.starts_at} />,
            },
            { key: "voucher", title: t("life.voucher"), cell: (row) => <Id id={row.voucher_id} /> },
            {
              key: "amount",
              title: t("fact.amount_fen"),
              numeric: true,
              cell: (row) => <Money cny={row.amount_cny} />,
            },
            {
              key: "reduced",
              title: t("life.reduced"),
              numeric: true,
              cell: (row) => <Money cny={row.reduced_cny} />,
            },
            {
              key: "recovered",
              title: t("life.recovered"),
              numeric: true,
              cell: (row) => <Money cny={row.recovered_cny} />,
            },
            { key: "claim", title: t("life.claim"), cell: (row) => <Id id={row.claim_id} /> },
          ]}
          rows={life.captures}
          rowKey={(row) => `${row.starts_at} ${row.voucher_id}`}
        />
      )}
    </section>
  );
}
