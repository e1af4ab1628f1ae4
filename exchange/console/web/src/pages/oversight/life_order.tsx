/** The life of an order: its terms, every step on a line, and its trades. */
import { api, type Schemas } from "../../api/client";
import { ProductName } from "../../components/product_name";
import { DataTable } from "../../components/table";
import { Figure, Money, OrderStatus, Side, Time } from "../../components/values";
import { formatNumber, t as shared } from "../../i18n";
import { orderReason } from "../../orders/reasons";
import { reasonTold, useAnswer } from "./asking";
import { Awaited, type LifeProps, lifeKey, useRefusal } from "./life_parts";
import { Id, Told, Who } from "./parts";
import { TradeTable, Window } from "./search_tables";
import { momentsOf } from "./steps";
import { t } from "./texts";
import { TimeLine } from "./time_line";

type Facts = Schemas["OrderFacts"];

export function OrderLife({ id, onProblem }: LifeProps) {
  const life = useAnswer(
    lifeKey(id),
    (o) =>
      api.GET("/v1/oversight/orders/{order_id}", {
        ...o,
        params: { path: { order_id: id }, query: { reason: reasonTold().reason ?? "" } },
      }),
    { needsReason: true },
  );
  useRefusal(life.problem, onProblem);
  return (
    <>
      <Awaited answer={life} />
      <Told answer={life} isToldAbove>
        {({ order, steps, trades }) => (
          <>
            <section class="card" aria-label={t("life.order")}>
              <Head order={order} />
            </section>
            <section class="card" aria-label={t("life.steps")}>
              <h3>{t("life.steps")}</h3>
              <TimeLine
                label={t("life.steps")}
                moments={momentsOf(
                  steps,
                  { id, names: { [order.participant_id]: order.participant_name } },
                  { quantityGpus: order.quantity_gpus, hours: order.hours },
                )}
              />
            </section>
            <section class="card" aria-label={t("life.trades")}>
              <h3>{t("life.trades")}</h3>
              {trades.length === 0 ? (
                <p class="quiet">{t("life.trades.none")}</p>
              ) : (
                <TradeTable rows={trades} />
              )}
            </section>
          </>
        )}
      </Told>
    </>
  );
}

function Head({ order }: { order: Facts }) {
  return (
    <>
      <div class="card-head">
        <h3>
          {t("life.order")} <code class="quiet">{order.id}</code>
        </h3>
        <span class="ov-badges">
          <Side side={order.side === "buy" ? "buy" : "sell"} />
          <OrderStatus status={order.status as Parameters<typeof OrderStatus>[0]["status"]} />
        </span>
      </div>
      {order.reason !== "" && <p class="notice">{orderReason(order.reason)}</p>}
      <dl class="figures">
        <Figure label={t("filter.participant")}>
          <Who name={order.participant_name} id={order.participant_id} />
        </Figure>
        <Figure label={t("filter.product")}>
          <ProductName id={order.product} />
        </Figure>
        <Figure label={t("gpus")}>{formatNumber(order.quantity_gpus)}</Figure>
        <Figure label={t("window")}>
          <Window from={order.starts_at} until={order.ends_at} />
        </Figure>
        <Figure label={t("run")}>{t("hours", { count: order.hours })}</Figure>
        <Figure label={shared("unit.cny_gpu_hour")}>
          <Money cny={order.price_cny_per_gpu_hour} bare />
        </Figure>
        <Figure label={t("life.filled_gpu_hours")}>{formatNumber(order.filled_gpu_hours)}</Figure>
        <Figure label={t("client_order_id")}>
          <code>{order.client_order_id}</code>
        </Figure>
        <Figure label={t("fact.key")}>
          <code>{order.key_id}</code>
        </Figure>
        {order.trade_group_id != null && (
          <Figure label={t("filter.trade_group")}>
            <Id id={order.trade_group_id} />
          </Figure>
        )}
        <Figure label={t("updated_at")}>
          <Time at={order.updated_at} exact />
        </Figure>
      </dl>
      <Terms terms={order.terms} />
    </>
  );
}

/** The terms as they were placed, for whoever wants every one of them. */
function Terms({ terms }: { terms: unknown }) {
  if (typeof terms !== "object" || terms === null) return null;
  const rows = Object.entries(terms);
  if (rows.length === 0) return null;
  return (
    <details class="ov-more">
      <summary>{t("life.terms", { count: rows.length })}</summary>
      <DataTable
        caption={t("life.terms", { count: rows.length })}
        captionHidden
        columns={[
          { key: "name", title: t("life.term"), head: true, cell: ([name]) => <code>{name}</code> },
          { key: "value", title: t("life.value"), cell: ([, value]) => <code>{JSON.stringify(value)}</code> },
        ]}
        rows={rows}
        rowKey={([name]) => name}
      />
    </details>
  );
}
