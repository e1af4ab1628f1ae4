/** One order, opened: its terms, its fills as they come, what it still sets aside, and why it ended. */
import { useEffect, useRef } from "preact/hooks";
import type { Catalogue } from "../../api/catalogue";
import { api } from "../../api/client";
import { useQuery } from "../../api/query";
import { IconClose } from "../../components/icons";
import { Loaded } from "../../components/states";
import { type Column, DataTable } from "../../components/table";
import { Money, OrderStatus, Time } from "../../components/values";
import { formatBps, formatNumber, t as shared } from "../../i18n";
import { orderReason } from "../../orders/reasons";
import { may } from "../../session";
import { useOwnVouchers, voucherName } from "./money";
import { isLive, lengthOf, type Order, Progress, useNewly } from "./orders";
import { Line } from "./preview";
import { t } from "./texts";

interface DetailProps {
  id: string;
  version: number;
  catalogue: Catalogue;
  onOpen: (id: string) => void;
  onClose: () => void;
  onAmend: (order: Order) => void;
  onCancel: (order: Order) => void;
}

export function OrderDetail(props: DetailProps) {
  const { id } = props;
  const heading = useRef<HTMLHeadingElement>(null);
  const order = useQuery(
    `/v1/orders/${id}`,
    (conditions) => api.GET("/v1/orders/{order_id}", { ...conditions, params: { path: { order_id: id } } }),
    { every_s: 15 },
  );
  useNewly(props.version, order.refresh);
  useEffect(() => heading.current?.focus(), [id]);
  return (
    <section class="card buy-detail" aria-labelledby="buy-detail">
      <div class="card-head">
        <h2 id="buy-detail" ref={heading} tabIndex={-1}>
          {t("detail")} <code class="quiet">{id}</code>
        </h2>
        <button type="button" class="icon-button" aria-label={shared("close")} onClick={props.onClose}>
          <IconClose />
        </button>
      </div>
      <Loaded query={order}>{(found) => <Found {...props} order={found} />}</Loaded>
    </section>
  );
}

function Found({ order, catalogue, onOpen, onAmend, onCancel }: DetailProps & { order: Order }) {
  return (
    <>
      <div class="buy-detail-head">
        <OrderStatus status={order.status} />
        <strong>{catalogue.product(order.product)}</strong>
        <Progress order={order} />
        {may("trade") && isLive(order) && (
          <span class="buy-row-actions">
            <button type="button" class="button button-small" onClick={() => onAmend(order)}>
              {t("amend")}
            </button>
            <button type="button" class="button button-small button-danger" onClick={() => onCancel(order)}>
              {t("cancel")}
            </button>
          </span>
        )}
      </div>
      {order.reason !== "" && (
        <p class={order.status === "rejected" ? "notice notice-bad" : "notice"}>
          {orderReason(order.reason)}
        </p>
      )}
      <Chain order={order} onOpen={onOpen} />
      <div class="buy-detail-parts">
        <Terms order={order} />
        <HeldPart order={order} />
      </div>
      <h3>{t("fills")}</h3>
      <Fills order={order} />
    </>
  );
}

/** What it replaced, and what replaced it. */
function Chain({ order, onOpen }: { order: Order; onOpen: (id: string) => void }) {
  const links = [
    ["detail.replaces", order.replaces],
    ["detail.replaced_by", order.replaced_by],
  ] as const;
  return (
    <>
      {links.map(
        ([key, id]) =>
          id != null && (
            <p key={key}>
              {t(key)}{" "}
              <button type="button" class="link" onClick={() => onOpen(id)}>
                <code>{id}</code>
              </button>
            </p>
          ),
      )}
    </>
  );
}

function Terms({ order }: { order: Order }) {
  const force = order.time_in_force as "gtc" | "gtd" | "ioc" | "fok";
  const wishes = [
    order.fill === "all_or_none" && t("fill.all_or_none"),
    order.placement === "single_site" && t("placement.single_site"),
    order.post_only && t("post_only"),
    ...(order.require ?? []).map((each) => t(`require.${each as "domestic" | "state_owned"}`)),
  ].filter((each) => typeof each === "string");
  return (
    <dl class="lines">
      <Line label={t("client_order_id")}>
        <code>{order.client_order_id}</code>
      </Line>
      <Line label={t("window")}>
        <Time at={order.starts_at} /> – <Time at={order.ends_at} />
      </Line>
      <Line label={t("length")}>{lengthOf(order)}</Line>
      {order.run_starts_at != null && (
        <Line label={t("detail.run")}>
          <Time at={order.run_starts_at} />
        </Line>
      )}
      <Line label={t("quantity")}>{shared("unit.gpus", { count: order.quantity_gpus })}</Line>
      <Line label={t("limit")}>
        <Money cny={order.price_cny_per_gpu_hour} />
      </Line>
      <Line label={t("force")}>
        {t(`force.${force}`)} {order.expires_at != null && <Time at={order.expires_at} />}
      </Line>
      {wishes.length > 0 && <Line label={t("conditions")}>{wishes.join(" · ")}</Line>}
      <Line label={t("created")}>
        <Time at={order.created_at} exact />
      </Line>
      <Line label={t("updated")}>
        <Time at={order.updated_at} exact />
      </Line>
    </dl>
  );
}

/** What it still sets aside, and which programmes pay. */
function HeldPart({ order }: { order: Order }) {
  const own = new Map(useOwnVouchers().data.value?.data.map((each) => [each.id, each]));
  const programmes = new Map([...own.values()].map((each) => [each.programme_id, each.programme_code]));
  const wish = order.vouchers;
  return (
    <dl class="lines">
      <Line label={t("average")}>
        <Money cny={order.average_price_cny_per_gpu_hour} bare />
      </Line>
      <Line label={t("detail.held")} isSum>
        <Money cny={order.held?.cash_cny} />
      </Line>
      {order.held?.vouchers.map((each) => (
        <Line
          key={each.voucher_id}
          label={t("preview.voucher", { name: voucherName(own.get(each.voucher_id), each.voucher_id) })}
          isPart
        >
          <Money cny={each.held_cny} />
        </Line>
      ))}
      <Line label={t("vouchers")}>
        {wish === "auto" || wish === "none" || wish == null
          ? t(`vouchers.${wish ?? "none"}`)
          : wish.map((id) => voucherName(own.get(id), id)).join(", ")}
      </Line>
      {order.shares?.map((share) => (
        <Line
          key={share.programme_id}
          label={t("detail.share", {
            name: programmes.get(share.programme_id) ?? share.programme_id,
            mode: t(`mode.${share.mode}`),
          })}
          isPart
        >
          {formatBps(share.rate_bps)}
        </Line>
      ))}
    </dl>
  );
}

function Fills({ order }: { order: Order }) {
  type Fill = NonNullable<Order["fills"]>[number];
  const columns: Column<Fill>[] = [
    { key: "trade", title: t("trade"), head: true, cell: (fill) => <code>{fill.trade_id}</code> },
    { key: "gpus", title: t("gpus"), numeric: true, cell: (fill) => formatNumber(fill.quantity_gpus) },
    { key: "starts", title: t("starts"), cell: (fill) => <Time at={fill.starts_at} /> },
    { key: "ends", title: t("ends"), cell: (fill) => <Time at={fill.ends_at} /> },
    {
      key: "price",
      title: shared("unit.cny_gpu_hour"),
      numeric: true,
      cell: (fill) => <Money cny={fill.price_cny_per_gpu_hour} bare />,
    },
    {
      key: "voucher",
      title: t("fills.voucher"),
      numeric: true,
      cell: (fill) => <Money cny={fill.voucher_cny} />,
    },
    {
      key: "reimbursable",
      title: t("preview.reimbursable"),
      numeric: true,
      cell: (fill) => <Money cny={fill.reimbursable_cny} />,
    },
  ];
  return (
    <DataTable
      caption={t("fills")}
      captionHidden
      columns={columns}
      rows={order.fills ?? []}
      rowKey={(fill) => fill.trade_id}
      empty={t("fills.empty")}
    />
  );
}
