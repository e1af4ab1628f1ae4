/** The provider's own calendar: GPUs listed, sold and free by hour and product. Chosen hours go to the form. */

import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { useCatalogue } from "../../api/catalogue";
import { DAY_MS, HOUR_MS } from "../../api/hours";
import { type Chosen, HeatMap, hourAt } from "../../charts/heat_map";
import { ProductName } from "../../components/product_name";
import { EmptyState, Loaded } from "../../components/states";
import { type Column, DataTable } from "../../components/table";
import { Choice } from "../../components/tabs";
import { catalogue, formatBps, formatHours, formatNumber, formatTime, t as shared } from "../../i18n";
import { type Capacity, type ProductCapacity, useCapacity } from "./data";
import en from "./en.json";
import type { Wish } from "./list_form";
import { share } from "./standing";
import zh from "./zh.json";

const t = catalogue(en, zh);

type Measure = "free" | "sold" | "listed" | "used";
const MEASURES: readonly Measure[] = ["free", "sold", "listed", "used"];
const DAYS = ["7", "14", "30"] as const;

export function CapacityCard(props: { now: number; changes: number; onWish: (wish: Wish) => void }) {
  const measure = useSignal<Measure>("free");
  const days = useSignal<(typeof DAYS)[number]>("7");
  const capacity = useCapacity(props.now, props.now + Number(days.value) * DAY_MS);
  useEffect(() => {
    if (props.changes > 0) capacity.refresh();
  }, [props.changes]);
  return (
    <section class="card">
      <div class="card-head">
        <h2>{t("calendar")}</h2>
        <div class="choices">
          <Choice
            label={t("calendar.measure")}
            options={MEASURES.map((key) => ({ key, title: t(`measure.${key}`) }))}
            chosen={measure.value}
            onChoose={(key) => {
              measure.value = key;
            }}
          />
          <Choice
            label={t("calendar.days")}
            options={DAYS.map((key) => ({ key, title: t("days", { count: Number(key) }) }))}
            chosen={days.value}
            onChoose={(key) => {
              days.value = key;
            }}
          />
        </div>
      </div>
      <Loaded query={capacity}>
        {(view) =>
          view.products.length === 0 ? (
            <EmptyState title={t("calendar.empty")}>{t("calendar.empty.text")}</EmptyState>
          ) : (
            <Calendar view={view} measure={measure.value} onWish={props.onWish} />
          )
        }
      </Loaded>
    </section>
  );
}

function Calendar(props: { view: Capacity; measure: Measure; onWish: (wish: Wish) => void }) {
  const { view, measure } = props;
  const chosen = useSignal<Chosen | null>(null);
  const startsAt = Date.parse(view.starts_at);
  const hours = Math.round((Date.parse(view.ends_at) - startsAt) / HOUR_MS);
  const onSale = Date.parse(view.on_sale_from);
  const most = view.products.map((each) => Math.max(...each.listed_gpus));
  const names = useCatalogue().value;
  const product = (row: number) => view.products[row] as ProductCapacity;
  const nameOf = (id: string) => names?.product(id) ?? id;
  const value = (row: number, hour: number): number | null => {
    const of = product(row);
    const listed = of.listed_gpus[hour] ?? 0;
    if (listed === 0) return null;
    if (measure === "used") return share(of.sold_gpus[hour] ?? 0, listed);
    return { free: of.free_gpus, sold: of.sold_gpus, listed: of.listed_gpus }[measure][hour] ?? 0;
  };
  const describe = (row: number, hour: number) => {
    const of = product(row);
    return [
      `${nameOf(of.product)}, ${formatTime(hourAt(startsAt, hour))}`,
      t("cell", {
        listed: of.listed_gpus[hour] ?? 0,
        sold: of.sold_gpus[hour] ?? 0,
        free: of.free_gpus[hour] ?? 0,
      }),
    ].join("\n");
  };
  const windowOf = (of: Chosen) => ({
    from: Math.max(hourAt(startsAt, of.from), onSale),
    until: hourAt(startsAt, of.to),
  });
  const describeChoice = (of: Chosen) => {
    const { from, until } = windowOf(of);
    return t("chosen", {
      product: nameOf(product(of.row).product),
      from: formatTime(from),
      until: formatTime(until),
      hours: formatHours(Math.max(Math.round((until - from) / HOUR_MS), 0)),
    });
  };
  const now = chosen.value !== null && chosen.value.row < view.products.length ? chosen.value : null;
  const canList = now !== null && windowOf(now).from < windowOf(now).until;
  return (
    <>
      <HeatMap
        label={t("calendar.label", { measure: t(`measure.${measure}`) })}
        help={t("calendar.help")}
        rows={view.products.map((each) => ({
          id: each.product,
          title: names?.chip(each.product) ?? each.product,
          note: names?.place(each.product) ?? "",
        }))}
        startsAt={startsAt}
        hours={hours}
        cellWidth={hours <= 7 * 24 ? 16 : 10}
        rowHeight={36}
        shade={(row, hour) => {
          const of = value(row, hour);
          if (of === null) return null;
          return measure === "used" ? of / 10_000 : of / Math.max(most[row] ?? 1, 1);
        }}
        text={(row, hour) => {
          const of = value(row, hour);
          return of === null ? "" : measure === "used" ? formatBps(of) : String(of);
        }}
        describe={describe}
        describeChoice={describeChoice}
        chosen={now}
        onChoose={(of) => {
          chosen.value = of;
        }}
      />
      <div class="calendar-foot">
        <p class="quiet">{now === null ? t("calendar.hint") : describeChoice(now)}</p>
        <button
          type="button"
          class="button"
          disabled={!canList}
          onClick={() => {
            if (now === null) return;
            props.onWish({ product: product(now.row).product, ...windowOf(now) });
          }}
        >
          {t("calendar.list")}
        </button>
      </div>
      <DataTable
        caption={t("products")}
        captionHidden
        columns={productColumns()}
        rows={view.products}
        rowKey={(row) => row.product}
      />
    </>
  );
}

export function productColumns(withDelivery = false): Column<ProductCapacity>[] {
  const hours = (
    key: "listed" | "sold" | "free" | "delivered" | "failed",
    of: (row: ProductCapacity) => number,
  ): Column<ProductCapacity> => ({
    key,
    title: t(`hours.${key}`),
    numeric: true,
    cell: (row) => formatNumber(of(row)),
    sort: of,
  });
  const ratio = (
    key: "used" | "delivery",
    of: (row: ProductCapacity) => number | null,
  ): Column<ProductCapacity> => ({
    key,
    title: t(`ratio.${key}`),
    numeric: true,
    cell: (row) => <Bar bps={of(row)} />,
    sort: of,
  });
  return [
    {
      key: "product",
      title: t("product"),
      head: true,
      cell: (row) => <ProductName id={row.product} />,
      sort: (row) => row.product,
    },
    hours("listed", (row) => row.listed_gpu_hours),
    hours("sold", (row) => row.sold_gpu_hours),
    ...(withDelivery
      ? [
          ratio("used", (row) => share(row.sold_gpu_hours, row.listed_gpu_hours)),
          hours("delivered", (row) => row.delivered_gpu_hours),
          hours("failed", (row) => row.failed_gpu_hours),
          ratio("delivery", (row) =>
            share(row.delivered_gpu_hours, row.delivered_gpu_hours + row.failed_gpu_hours),
          ),
        ]
      : [
          hours("free", (row) => row.free_gpu_hours),
          ratio("used", (row) => share(row.sold_gpu_hours, row.listed_gpu_hours)),
        ]),
  ];
}

/** A share as a bar with its number. */
export function Bar({ bps }: { bps: number | null }) {
  if (bps === null) return <span class="quiet">{shared("none")}</span>;
  return (
    <span class="bar">
      <span class="bar-track" aria-hidden="true">
        <span class="bar-part" style={{ width: `${bps / 100}%` }} />
      </span>
      <span class="number">{formatBps(bps)}</span>
    </span>
  );
}
