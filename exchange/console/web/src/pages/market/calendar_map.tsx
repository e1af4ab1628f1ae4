/** The delivery calendar as a heat map, with what its colours mean. */

import { useSignal } from "@preact/signals";
import { useMemo } from "preact/hooks";
import type { Catalogue } from "../../api/catalogue";
import type { Schemas } from "../../api/client";
import { HOUR_MS } from "../../api/hours";
import { type Chosen, HeatMap, hourAt } from "../../charts/heat_map";
import { colour, css } from "../../charts/scale";
import { formatAmount, formatBps, formatHours, formatNumber, formatTime, t as shared } from "../../i18n";
import { isDark } from "../../theme";
import { type Calendar, column, type Scale, scaleOf } from "./shades";
import type { MarketState } from "./state";
import "./style.css";
import { t } from "./texts";

const CELL_PX = { "2": 44, "7": 20, "30": 9 } as const;

export function CalendarMap(props: {
  calendars: Schemas["CalendarsView"];
  rows: readonly Calendar[];
  catalogue: Catalogue;
  state: Pick<MarketState, "show" | "span" | "product" | "starts_at" | "hours">;
  /** How to use it and to what end, for screen readers. */
  help?: string;
  onOpen: (product: string, startsAt: string, hours: number) => void;
}) {
  const { rows, catalogue, state } = props;
  const { show } = state;
  const startsAt = Date.parse(props.calendars.starts_at);
  const scale = useMemo(() => scaleOf(rows, show, catalogue), [rows, show, catalogue]);
  // While the mouse is held the choice is here; the address is changed when it is let go.
  const held = useSignal<Chosen | null>(null);
  const opened = chosenOf(state, rows, startsAt, props.calendars.hours);
  const describe = (row: number, hour: number) => {
    const calendar = rows[row];
    if (calendar === undefined) return "";
    const say = (cny: string | null | undefined) => (cny == null ? shared("none") : formatAmount(cny));
    return [
      catalogue.product(calendar.product),
      `${formatTime(hourAt(startsAt, hour))} – ${formatTime(hourAt(startsAt, hour + 1))}`,
      t("tip.prices", {
        ask: say(calendar.ask_cny_per_gpu_hour[hour]),
        bid: say(calendar.bid_cny_per_gpu_hour[hour]),
      }),
      t("tip.free", { count: calendar.free_gpus[hour] ?? 0 }),
    ].join("\n");
  };
  const text = (row: number, hour: number) => {
    const calendar = rows[row];
    const value = calendar === undefined ? null : (column(calendar, show)[hour] ?? null);
    if (value === null) return "";
    return typeof value === "number" ? formatNumber(value) : formatAmount(value);
  };
  return (
    <div class="market-map">
      <HeatMap
        label={t("map.label", { show: t(`show.${show}`) })}
        help={props.help ?? t("map.help")}
        rows={rows.map((each) => ({
          id: each.product,
          title: catalogue.accelerator(each.accelerator),
          note: catalogue.place(each.product),
          figure: text(rows.indexOf(each), 0),
        }))}
        startsAt={startsAt}
        hours={props.calendars.hours}
        shade={scale.shade}
        text={text}
        describe={describe}
        describeChoice={(chosen) =>
          t("map.chosen", {
            product: catalogue.product(rows[chosen.row]?.product ?? ""),
            from: formatTime(hourAt(startsAt, chosen.from)),
            hours: formatHours(chosen.to - chosen.from),
          })
        }
        chosen={held.value ?? opened}
        onChoose={(chosen) => {
          held.value = chosen;
        }}
        onTake={(chosen) => {
          held.value = null;
          const product = rows[chosen.row]?.product;
          if (product === undefined) return;
          const from = new Date(hourAt(startsAt, chosen.from)).toISOString().replace(".000Z", "Z");
          props.onOpen(product, from, chosen.to - chosen.from);
        }}
        cellWidth={CELL_PX[state.span]}
        rowHeight={34}
      />
      <Legend scale={scale} isFree={show === "free"} />
    </div>
  );
}

/** The window of the address, as far as the map shows it. */
function chosenOf(
  state: Pick<MarketState, "product" | "starts_at" | "hours">,
  rows: readonly Calendar[],
  startsAt: number,
  hours: number,
): Chosen | null {
  const row = rows.findIndex((each) => each.product === state.product);
  if (row < 0 || state.starts_at === "") return null;
  const from = (Date.parse(state.starts_at) - startsAt) / HOUR_MS;
  const [first, end] = [Math.max(from, 0), Math.min(from + state.hours, hours)];
  return end > first ? { row, from: first, to: end } : null;
}

const STEPS = 24;

function Legend({ scale, isFree }: { scale: Scale; isFree: boolean }) {
  const share = (value: number) => formatBps(Math.round(value * 100) * 100);
  const [least, most] = isFree
    ? [t("legend.none_free"), t("legend.most_free")]
    : [share(scale.least), share(scale.most)];
  return (
    <div class="market-legend">
      <span class="market-legend-end">{least}</span>
      <span class="market-legend-scale" aria-hidden="true">
        {Array.from({ length: STEPS }, (_, step) => (
          <span key={step} style={{ background: css(colour(step / (STEPS - 1), isDark.value)) }} />
        ))}
      </span>
      <span class="market-legend-end">{most}</span>
      <span class="quiet">{t(isFree ? "legend.free" : "legend.price")}</span>
      <span class="quiet market-legend-none">{t("legend.nothing")}</span>
    </div>
  );
}
