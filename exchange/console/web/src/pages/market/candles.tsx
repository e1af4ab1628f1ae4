/** Candles of a product: by the time of trade, or as the forward curve by the hour of delivery. */
import { useSignal } from "@preact/signals";
import type uPlot from "uplot";
import { api, type Schemas } from "../../api/client";
import { useQuery } from "../../api/query";
import { inkOf, LineChart } from "../../charts/line_chart";
import { Loaded } from "../../components/states";
import { Choice } from "../../components/tabs";
import { formatNumber } from "../../i18n";
import { t } from "./texts";

type Candle = Schemas["CandleView"];
const CLOCKS = ["trade_time", "delivery_hour"] as const;
const INTERVALS = ["1h", "1d"] as const;
const EVERY_S = 5;

export function Candles({ product }: { product: string }) {
  const by = useSignal<(typeof CLOCKS)[number]>("trade_time");
  const interval = useSignal<(typeof INTERVALS)[number]>("1h");
  const [clock, period] = [by.value, interval.value];
  const candles = useQuery(
    `/v1/market/${product}/candles ${clock} ${period}`,
    (conditions) =>
      api.GET("/v1/market/{product}/candles", {
        ...conditions,
        params: { path: { product }, query: { interval: period, by: clock } },
      }),
    { every_s: EVERY_S },
  );
  return (
    <>
      <div class="market-switches">
        <Choice
          label={t("candles.by")}
          options={CLOCKS.map((key) => ({ key, title: t(`candles.${key}`) }))}
          chosen={clock}
          onChoose={(key) => {
            by.value = key;
          }}
        />
        <Choice
          label={t("candles.interval")}
          options={INTERVALS.map((key) => ({ key, title: t(`candles.${key}`) }))}
          chosen={period}
          onChoose={(key) => {
            interval.value = key;
          }}
        />
      </div>
      <Loaded query={candles}>{({ data }) => <CandleChart key={clock + period} candles={data} />}</Loaded>
    </>
  );
}

function CandleChart({ candles }: { candles: readonly Candle[] }) {
  const price = (value: number) => value.toFixed(2);
  const line = (title: string, of: (candle: Candle) => string) => ({
    title,
    values: candles.map((candle) => Number(of(candle))),
    ink: "--quiet",
    form: "hidden" as const,
    format: price,
  });
  return (
    <LineChart
      title={t("candles.title")}
      xs={candles.map((candle) => Date.parse(candle.starts_at))}
      xTitle={t("time")}
      series={[
        line(t("candles.open"), (candle) => candle.open_cny_per_gpu_hour),
        line(t("candles.high"), (candle) => candle.high_cny_per_gpu_hour),
        line(t("candles.low"), (candle) => candle.low_cny_per_gpu_hour),
        line(t("candles.close"), (candle) => candle.close_cny_per_gpu_hour),
        {
          title: t("candles.volume"),
          values: candles.map((candle) => candle.gpu_hours),
          ink: "--line-strong",
          form: "bars",
          isRight: true,
          format: formatNumber,
        },
      ]}
      plugins={[bodies()]}
      height={260}
    />
  );
}

const BODY_PX_MAX = 14;

/** Draws a body from open to close and a wick from low to high. Rising is hollow, falling filled: no colour is needed. */
function bodies(): uPlot.Plugin {
  const drawn = (plot: uPlot) => {
    const [xs, opens, highs, lows, closes] = plot.data;
    const to = plot.ctx;
    const ratio = devicePixelRatio;
    const ink = inkOf(plot.root, "--accent");
    const ground = inkOf(plot.root, "--surface");
    const room = plot.bbox.width / Math.max(xs.length, 1);
    const wide = Math.max(2, Math.min(BODY_PX_MAX * ratio, room * 0.6));
    to.save();
    to.strokeStyle = ink;
    to.lineWidth = 1.25 * ratio;
    for (let index = 0; index < xs.length; index++) {
      const [open, high, low, close] = [opens, highs, lows, closes].map((each) => each?.[index]);
      if (open == null || high == null || low == null || close == null) continue;
      const x = Math.round(plot.valToPos(xs[index] as number, "x", true));
      const [atOpen, atHigh, atLow, atClose] = [open, high, low, close].map((value) =>
        plot.valToPos(value, "y", true),
      );
      if (atOpen === undefined || atHigh === undefined || atLow === undefined || atClose === undefined)
        continue;
      to.beginPath();
      to.moveTo(x, atHigh);
      to.lineTo(x, atLow);
      to.stroke();
      const top = Math.min(atOpen, atClose);
      const tall = Math.max(Math.abs(atOpen - atClose), ratio);
      to.fillStyle = close >= open ? ground : ink;
      to.fillRect(x - wide / 2, top, wide, tall);
      to.strokeRect(x - wide / 2, top, wide, tall);
    }
    to.restore();
  };
  return { hooks: { draw: drawn } };
}
