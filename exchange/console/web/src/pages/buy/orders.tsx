/** The buyer's orders: those that live, those that are over; one of them opened; cancelled one by one or all at once. */

import { useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { type Catalogue, useCatalogue } from "../../api/catalogue";
import { api, once, type Schemas } from "../../api/client";
import { hoursBetween } from "../../api/hours";
import type { Problem } from "../../api/problem";
import { useQuery } from "../../api/query";
import { toast } from "../../components/announcer";
import { Confirm } from "../../components/dialog";
import { Pager, usePages } from "../../components/pager";
import { EmptyState, Loaded, Loading } from "../../components/states";
import { type Column, DataTable } from "../../components/table";
import { Choice } from "../../components/tabs";
import { Money, OrderStatus, Time } from "../../components/values";
import { formatHours, formatNumber } from "../../i18n";
import { may } from "../../session";
import { Amend } from "./amend";
import { Cancel } from "./cancel";
import { OrderDetail } from "./order_detail";
import { type BuyState, SHOWN, type Shown } from "./state";
import { t } from "./texts";

export type Order = Schemas["OrderView"];
type Status = Schemas["OrderStatus"];

const PAGE = 25;
const EVERY_S = 15;
const STATUSES: Record<Shown, Status[]> = {
  live: ["accepted", "resting", "partially_filled"],
  over: ["filled", "cancelled", "expired", "rejected"],
  all: [],
};

export function isLive(order: Order): boolean {
  return STATUSES.live.includes(order.status);
}

interface OrdersProps {
  state: BuyState;
  onChange: (change: Partial<BuyState>, isStep?: boolean) => void;
  /** Counts what happened to own orders. */
  version: number;
}

export function Orders(props: OrdersProps) {
  const catalogue = useCatalogue().value;
  return catalogue === null ? <Loading /> : <List {...props} catalogue={catalogue} />;
}

function List({ state, onChange, version, catalogue }: OrdersProps & { catalogue: Catalogue }) {
  const amended = useSignal<Order | null>(null);
  const cancelled = useSignal<Order | null>(null);
  const isAll = useSignal(false);
  const query = {
    side: "buy" as const,
    ...(STATUSES[state.shown].length > 0 && { status: STATUSES[state.shown] }),
    ...(state.of !== "" && { product: state.of }),
    limit: PAGE,
  };
  const list = JSON.stringify(query);
  const pages = usePages(list);
  const wanted = pages.cursor === undefined ? query : { ...query, cursor: pages.cursor };
  const orders = useQuery(
    `/v1/orders ${JSON.stringify(wanted)}`,
    (conditions) => api.GET("/v1/orders", { ...conditions, params: { query: wanted } }),
    { every_s: EVERY_S },
  );
  useNewly(version, orders.refresh);
  const mayTrade = may("trade");
  const open = (id: string) => onChange({ order: id });
  const close = () => {
    const id = state.order;
    onChange({ order: "" });
    // Back to where the order was opened from, if it is still listed.
    document.getElementById(`open-${id}`)?.focus();
  };
  return (
    <>
      {state.order !== "" && (
        <OrderDetail
          key={state.order}
          id={state.order}
          version={version}
          catalogue={catalogue}
          onOpen={open}
          onClose={close}
          onAmend={(order) => {
            amended.value = order;
          }}
          onCancel={(order) => {
            cancelled.value = order;
          }}
        />
      )}
      <section class="card" aria-labelledby="buy-orders">
        <div class="card-head">
          <h2 id="buy-orders">{t("orders")}</h2>
          {mayTrade && (
            <button
              type="button"
              class="button button-danger button-small"
              onClick={() => {
                isAll.value = true;
              }}
            >
              {t("cancel_all")}
            </button>
          )}
        </div>
        <search class="buy-filters" aria-label={t("filters")}>
          <Choice
            label={t("shown")}
            options={SHOWN.map((key) => ({ key, title: t(`shown.${key}`) }))}
            chosen={state.shown}
            onChoose={(shown) => onChange({ shown })}
          />
          <label class="buy-filter">
            <span class="visually-hidden">{t("product")}</span>
            <select value={state.of} onChange={(event) => onChange({ of: event.currentTarget.value })}>
              <option value="">{t("orders.every_product")}</option>
              {[...catalogue.products.keys()]
                .map((id) => [id, catalogue.product(id)] as const)
                .sort(([, one], [, other]) => one.localeCompare(other))
                .map(([id, name]) => (
                  <option key={id} value={id}>
                    {name}
                  </option>
                ))}
            </select>
          </label>
        </search>
        <Loaded query={orders}>
          {({ data, next_cursor }) =>
            data.length === 0 && pages.number === 1 ? (
              <EmptyState
                title={t(`orders.empty.${state.shown}`)}
                action={
                  <button
                    type="button"
                    class="button button-primary"
                    onClick={() => onChange({ tab: "place" }, true)}
                  >
                    {t("orders.place")}
                  </button>
                }
              >
                {t("orders.empty.text")}
              </EmptyState>
            ) : (
              <>
                <DataTable
                  caption={t("orders")}
                  captionHidden
                  columns={columns(catalogue, mayTrade, open, amended, cancelled)}
                  rows={data}
                  rowKey={(order) => order.id}
                  isCurrent={(order) => order.id === state.order}
                />
                <Pager pages={pages} next={next_cursor} />
              </>
            )
          }
        </Loaded>
      </section>
      {amended.value !== null && (
        <Amend
          order={amended.value}
          catalogue={catalogue}
          onClose={() => {
            amended.value = null;
          }}
          onAmended={(order) => {
            if (state.order !== "") onChange({ order: order.id });
            orders.refresh();
          }}
        />
      )}
      <Cancel
        order={cancelled.value}
        onClose={() => {
          cancelled.value = null;
        }}
        onDone={orders.refresh}
      />
      <CancelAll
        isOpen={isAll.value}
        product={state.of}
        name={state.of === "" ? t("orders.every_product") : catalogue.product(state.of)}
        onClose={() => {
          isAll.value = false;
        }}
        onDone={orders.refresh}
      />
    </>
  );
}

/** Read again when something happened; not at first, when it is read anyway. */
export function useNewly(version: number, refresh: () => void): void {
  const seen = useRef(version);
  useEffect(() => {
    if (seen.current === version) return;
    seen.current = version;
    refresh();
  }, [version, refresh]);
}

function columns(
  catalogue: Catalogue,
  mayTrade: boolean,
  open: (id: string) => void,
  amended: { value: Order | null },
  cancelled: { value: Order | null },
): Column<Order>[] {
  return [
    {
      key: "order",
      title: t("order"),
      head: true,
      cell: (order) => (
        <button
          type="button"
          class="link buy-order-name"
          id={`open-${order.id}`}
          onClick={() => open(order.id)}
        >
          <span>{catalogue.product(order.product)}</span>
          <span class="quiet">{order.client_order_id}</span>
        </button>
      ),
    },
    { key: "status", title: t("status"), cell: (order) => <OrderStatus status={order.status} /> },
    { key: "filled", title: t("filled"), cell: (order) => <Progress order={order} /> },
    {
      key: "window",
      title: t("window"),
      cell: (order) => (
        <>
          <Time at={order.starts_at} /> <span class="quiet">· {lengthOf(order)}</span>
        </>
      ),
    },
    {
      key: "price",
      title: t("limit"),
      numeric: true,
      cell: (order) => <Money cny={order.price_cny_per_gpu_hour} bare />,
    },
    { key: "held", title: t("held"), numeric: true, cell: (order) => <Money cny={order.held?.cash_cny} /> },
    {
      key: "actions",
      title: t("actions"),
      cell: (order) =>
        mayTrade &&
        isLive(order) && (
          <span class="buy-row-actions">
            <button
              type="button"
              class="button button-small"
              aria-label={`${t("amend")}: ${order.client_order_id}`}
              onClick={() => {
                amended.value = order;
              }}
            >
              {t("amend")}
            </button>
            <button
              type="button"
              class="button button-small"
              aria-label={`${t("cancel")}: ${order.client_order_id}`}
              onClick={() => {
                cancelled.value = order;
              }}
            >
              {t("cancel")}
            </button>
          </span>
        ),
    },
  ];
}

/** How long the run is, and within what it may begin. */
export function lengthOf(order: Order): string {
  const span = hoursBetween(order.starts_at, order.ends_at);
  const hours = formatHours(order.hours);
  return span === order.hours ? hours : t("length.within", { hours, span: formatHours(span) });
}

/** How much of an order is filled. */
export function Progress({ order }: { order: Order }) {
  const filled = order.filled_gpus ?? 0;
  const text = t("filled.of", {
    filled: formatNumber(filled),
    wanted: formatNumber(order.quantity_gpus),
  });
  return (
    <span class="buy-progress">
      <progress value={filled} max={order.quantity_gpus} aria-label={text} />
      <span class="number">{text}</span>
    </span>
  );
}

function CancelAll(props: {
  isOpen: boolean;
  product: string;
  name: string;
  onClose: () => void;
  onDone: () => void;
}) {
  const cancel = async () => {
    const query = { side: "buy" as const, ...(props.product !== "" && { product: props.product }) };
    try {
      const { data } = await once(() => api.DELETE("/v1/orders", { params: { query } }));
      toast(t("cancel_all.done", { count: data.length }), "good");
    } catch (problem) {
      toast((problem as Problem).text, "bad");
    }
    props.onDone();
  };
  return (
    <Confirm
      title={t("cancel_all")}
      isOpen={props.isOpen}
      onClose={props.onClose}
      onConfirm={cancel}
      confirmLabel={t("cancel_all.confirm")}
      isDangerous
    >
      <p>{t("cancel_all.text", { name: props.name })}</p>
      <p class="quiet">{t("cancel_all.kept")}</p>
    </Confirm>
  );
}
