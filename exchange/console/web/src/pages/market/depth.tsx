/** What the chosen hours are offered and wanted for, live: GPUs by price, and what the wished quantity would cost. */
import { HOUR_MS } from "../../api/hours";
import { LineChart } from "../../charts/line_chart";
import { Loading } from "../../components/states";
import { Figure, Money, Nothing } from "../../components/values";
import { cnyOf, fenOf, formatNumber } from "../../i18n";
import { useBook } from "../../stream";
import type { BookLevel, BookLevels } from "../../stream/book";
import { t } from "./texts";

export function Depth(props: { product: string; startsAt: string; endsAt: string; gpus: number }) {
  const { product, startsAt, endsAt, gpus } = props;
  const frame = useBook(product).value;
  if (frame === null) return <Loading />;
  const levels = frame.book.levels(startsAt, endsAt);
  const hours = (Date.parse(endsAt) - Date.parse(startsAt)) / HOUR_MS;
  const found = filled(levels.asks, gpus > 0 ? gpus : Number.POSITIVE_INFINITY);
  return (
    <>
      <dl class="figures">
        <Figure label={t("depth.fills")}>{formatNumber(found.gpus)}</Figure>
        <Figure label={t("depth.average")}>
          {found.gpus === 0 ? (
            <Nothing />
          ) : (
            <Money cny={cnyOf(rounded(found.perHourFen, BigInt(found.gpus)))} bare />
          )}
        </Figure>
        <Figure label={t("depth.total")}>
          <Money cny={cnyOf(found.perHourFen * BigInt(hours))} />
        </Figure>
      </dl>
      <DepthChart levels={levels} />
    </>
  );
}

function DepthChart({ levels: { asks, bids } }: { levels: BookLevels }) {
  const prices = [...new Set([...asks, ...bids].map((level) => Number(level.price)))].sort(
    (one, other) => one - other,
  );
  // Both sides end at nothing: before the cheapest ask nothing can be had, above the dearest bid nothing is wanted.
  const xs =
    prices.length === 0 ? [] : [(prices[0] as number) * 0.98, ...prices, (prices.at(-1) as number) * 1.02];
  return (
    <LineChart
      title={t("depth.title")}
      xs={xs}
      xTitle={t("price")}
      formatX={(x) => x.toFixed(2)}
      isFromZero
      isPadded
      series={[
        {
          title: t("depth.bids"),
          values: xs.map((x) => reached(bids, (price) => price >= x)),
          ink: "--buy",
          form: "steps_down",
          isFilled: true,
          format: formatNumber,
        },
        {
          title: t("depth.asks"),
          values: xs.map((x) => reached(asks, (price) => price <= x)),
          ink: "--sell",
          form: "steps",
          isFilled: true,
          format: formatNumber,
        },
      ]}
    />
  );
}

/** GPUs of the levels that a price reaches, best first. */
function reached(levels: readonly BookLevel[], isReached: (price: number) => boolean): number {
  return levels.findLast((level) => isReached(Number(level.price)))?.cumulative ?? 0;
}

/** What a bid for so many GPUs would be made of, the cheapest first: how many there are, and what an hour of them costs. */
function filled(asks: readonly BookLevel[], wanted: number): { gpus: number; perHourFen: bigint } {
  let [gpus, perHourFen] = [0, 0n];
  for (const level of asks) {
    const taken = Math.min(level.gpus, wanted - gpus);
    if (taken <= 0) break;
    gpus += taken;
    perHourFen += BigInt(taken) * (fenOf(level.price) ?? 0n);
  }
  return { gpus, perHourFen };
}

/** A quotient to the nearest whole. */
function rounded(dividend: bigint, divisor: bigint): bigint {
  return (2n * dividend + divisor) / (2n * divisor);
}
