/** The provider's own asks: what each has sold, to amend or withdraw. */

import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { api, once, read } from "../../api/client";
import { Problem } from "../../api/problem";
import { toast } from "../../components/announcer";
import { gpusColumn, windowColumn } from "../../components/capacity_columns";
import { Confirm } from "../../components/dialog";
import { More, useOlder } from "../../components/more";
import { ProductName } from "../../components/product_name";
import { EmptyState, Loaded } from "../../components/states";
import { type Column, DataTable } from "../../components/table";
import { Choice } from "../../components/tabs";
import { Money, OrderStatus, Time } from "../../components/values";
import { catalogue, fenOf } from "../../i18n";
import { Amend } from "./amend";
import { Bar } from "./calendar";
import { asksPage, type Order, offeredHours, useAsks } from "./data";
import en from "./en.json";
import { share } from "./standing";
import zh from "./zh.json";

const t = catalogue(en, zh);

type Which = "live" | "over";

export function Asks(props: { changes: number; onChanged: () => void }) {
  const which = useSignal<Which>("live");
  return (
    <section class="card">
      <div class="card-head">
        <h2>{t("asks")}</h2>
        <Choice
          label={t("asks.which")}
          options={[
            { key: "live", title: t("asks.live") },
            { key: "over", title: t("asks.over") },
          ]}
          chosen={which.value}
          onChoose={(key) => {
            which.value = key;
          }}
        />
      </div>
      <AskList key={which.value} isLive={which.value === "live"} {...props} />
    </section>
  );
}

function AskList(props: { isLive: boolean; changes: number; onChanged: () => void }) {
  const { isLive } = props;
  const asks = useAsks(isLive);
  const older = useOlder<Order>((cursor) => read(() => api.GET("/v1/orders", asksPage(isLive, cursor))));
  const amended = useSignal<Order | null>(null);
  const withdrawn = useSignal<Order | null>(null);
  const isWithdrawingAll = useSignal(false);
  useEffect(() => {
    if (props.changes > 0) asks.refresh();
  }, [props.changes]);
  const changed = () => {
    asks.refresh();
    older.forget();
    props.onChanged();
  };
  const withdraw = async () => {
    const order = withdrawn.value;
    if (order === null) return;
    try {
      await once(() => api.DELETE("/v1/orders/{order_id}", { params: { path: { order_id: order.id } } }));
      toast(t("withdrawn", { count: 1 }), "good");
    } catch (failed) {
      tell(failed);
    }
    changed();
  };
  const withdrawAll = async () => {
    try {
      const gone = await once(() => api.DELETE("/v1/orders", { params: { query: { side: "sell" } } }));
      toast(t("withdrawn", { count: gone.data.length }), "good");
    } catch (failed) {
      tell(failed);
    }
    changed();
  };
  return (
    <Loaded query={asks}>
      {(page) => {
        const rows = older.rows(page);
        if (rows.length === 0) {
          return (
            <EmptyState title={t(isLive ? "asks.empty" : "asks.empty_over")}>{t("asks.text")}</EmptyState>
          );
        }
        return (
          <>
            <DataTable
              caption={t(isLive ? "asks.live" : "asks.over")}
              captionHidden
              columns={columns(isLive, {
                amend: (order) => {
                  amended.value = order;
                },
                withdraw: (order) => {
                  withdrawn.value = order;
                },
              })}
              rows={rows}
              rowKey={(row) => row.id}
            />
            <div class="buttons">
              <More older={older} first={page} />
              {isLive && (
                <button
                  type="button"
                  class="button button-danger"
                  onClick={() => {
                    isWithdrawingAll.value = true;
                  }}
                >
                  {t("withdraw_all")}
                </button>
              )}
            </div>
            {amended.value !== null && (
              <Amend
                order={amended.value}
                onClose={() => {
                  amended.value = null;
                }}
                onAmended={changed}
              />
            )}
            <Confirm
              title={t("withdraw.title")}
              isOpen={withdrawn.value !== null}
              onClose={() => {
                withdrawn.value = null;
              }}
              onConfirm={withdraw}
              confirmLabel={t("withdraw")}
              isDangerous
            >
              {withdrawn.value && (
                <p>
                  {t("withdraw.text", {
                    left: offeredHours(withdrawn.value) - withdrawn.value.filled_gpu_hours,
                    product: withdrawn.value.product,
                  })}
                </p>
              )}
            </Confirm>
            <Confirm
              title={t("withdraw_all")}
              isOpen={isWithdrawingAll.value}
              onClose={() => {
                isWithdrawingAll.value = false;
              }}
              onConfirm={withdrawAll}
              confirmLabel={t("withdraw_all")}
              isDangerous
            >
              <p>{t("withdraw_all.text")}</p>
            </Confirm>
          </>
        );
      }}
    </Loaded>
  );
}

function tell(failed: unknown): void {
  if (!(failed instanceof Problem)) throw failed;
  toast(failed.text, "bad");
}

function columns(
  isLive: boolean,
  on: { amend: (order: Order) => void; withdraw: (order: Order) => void },
): Column<Order>[] {
  return [
    {
      key: "product",
      title: t("product"),
      head: true,
      cell: (row) => (
        <>
          <ProductName id={row.product} />
          <span class="second code">{row.client_order_id}</span>
        </>
      ),
      sort: (row) => row.product,
    },
    windowColumn(t("window")),
    gpusColumn(t("gpus")),
    {
      key: "price",
      title: t("price"),
      numeric: true,
      cell: (row) => <Money cny={row.price_cny_per_gpu_hour} bare />,
      sort: (row) => fenOf(row.price_cny_per_gpu_hour),
    },
    {
      key: "sold",
      title: t("sold"),
      numeric: true,
      cell: (row) => <Bar bps={share(row.filled_gpu_hours, offeredHours(row))} />,
      sort: (row) => share(row.filled_gpu_hours, offeredHours(row)),
    },
    {
      key: "status",
      title: t("status"),
      cell: (row) => <OrderStatus status={row.status} />,
      sort: (row) => row.status,
    },
    ...(isLive
      ? [
          {
            key: "actions",
            title: t("actions"),
            cell: (row: Order) => (
              <span class="buttons">
                <button
                  type="button"
                  class="button button-small"
                  aria-label={t("amend.label", { id: row.client_order_id })}
                  onClick={() => on.amend(row)}
                >
                  {t("amend")}
                </button>
                <button
                  type="button"
                  class="button button-small"
                  aria-label={t("withdraw.label", { id: row.client_order_id })}
                  onClick={() => on.withdraw(row)}
                >
                  {t("withdraw")}
                </button>
              </span>
            ),
          },
        ]
      : [
          {
            key: "reason",
            title: t("ended"),
            cell: (row: Order) => <Time at={row.updated_at} />,
            sort: (row: Order) => row.updated_at,
          },
        ]),
  ];
}
