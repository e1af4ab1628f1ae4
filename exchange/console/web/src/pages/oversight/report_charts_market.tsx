/** The pictures of reports on the market. */
import { BarChart, INKS } from "../../charts/bar_chart";
import { LineChart } from "../../charts/line_chart";
import { formatBps } from "../../i18n";
import { BARS_MAX, barsOf, type Drawn, linesOf, period, placeOf } from "./report_drawn";
import { amount, columned, grouped, parted, type Row, ranked, sum, text } from "./report_figures";
import { columnName, sizeClass } from "./report_words";
import { named, t } from "./texts";

export function Concentration({ rows, periods, catalogue }: Drawn) {
  const latest = rows.filter((row) => period(row) === periods.at(-1));
  const place = placeOf(catalogue);
  const sides = [...grouped(latest, (row) => `${place(row)} · ${named("side", text(row, "side"))}`)].slice(
    0,
    2 * BARS_MAX,
  );
  const shareOf = (parties: readonly Row[], rank: number) =>
    parties[rank] === undefined ? 0 : amount(parties[rank], "share_bps");
  const ranks = [0, 1, 2].map((rank) => ({
    title: t(`chart.rank_${rank as 0 | 1 | 2}`),
    ink: INKS[rank] as string,
    values: sides.map(([, parties]) => shareOf(parties, rank)),
  }));
  const rest = {
    title: t("others"),
    ink: "--line-strong",
    values: sides.map(([, parties]) => sum(parties.slice(3), "share_bps")),
  };
  return (
    <BarChart
      title={t("chart.concentration", { period: periods.at(-1) ?? "" })}
      bars={sides.map(([name]) => name)}
      barTitle={t("chart.market_side")}
      format={formatBps}
      isWhole
      note={(bar) => t("chart.hhi", { hhi: amount(sides[bar]?.[1][0] ?? {}, "hhi") })}
      parts={[...ranks, rest]}
    />
  );
}

export function DomesticShare({ rows, periods }: Drawn) {
  const by = new Map(rows.map((row) => [period(row), row]));
  const line = (column: string, ink: string) => ({
    title: columnName(column),
    ink,
    values: periods.map((each) => {
      const row = by.get(each);
      return row === undefined ? null : amount(row, column);
    }),
    format: formatBps,
  });
  return (
    <>
      {periods.length > 1 && (
        <LineChart
          title={t("chart.domestic_share")}
          {...linesOf(periods)}
          isFromZero
          series={[line("domestic_share_hours_bps", "--accent"), line("domestic_share_money_bps", "--sell")]}
        />
      )}
      <BarChart
        title={t("chart.domestic_hours")}
        {...barsOf(periods)}
        parts={columned(rows, periods, period, [
          ["domestic_gpu_hours", columnName("domestic_gpu_hours"), "--accent"],
          ["foreign_gpu_hours", columnName("foreign_gpu_hours"), "--line-strong"],
        ])}
      />
    </>
  );
}

export function HubFlow({ rows, catalogue }: Drawn) {
  const hub = (code: string) => (code === "" ? "" : (catalogue?.hub(code) ?? code));
  const from = (row: Row) =>
    [text(row, "from_region") || t("unnamed"), hub(text(row, "from_hub"))].filter(Boolean).join(" · ");
  const bars = ranked(rows, from, "gpu_hours")
    .slice(0, BARS_MAX)
    .map(([name]) => name);
  return (
    <BarChart
      title={t("chart.flow")}
      bars={bars}
      barTitle={columnName("from_region")}
      parts={parted(rows, bars, from, (row) => hub(text(row, "to_hub")), "gpu_hours", t("others"))}
    />
  );
}

const CAPACITY = [
  ["delivered_gpu_hours", "--good"],
  ["open_gpu_hours", "--buy"],
  ["failed_gpu_hours", "--bad"],
  ["idle_gpu_hours", "--line-strong"],
] as const;

export function Capacity({ rows, periods, catalogue }: Drawn) {
  const parts = CAPACITY.map(([column, ink]) => [column, columnName(column), ink] as const);
  const place = placeOf(catalogue);
  const places = ranked(rows, place, "held_gpu_hours").slice(0, BARS_MAX);
  const names = places.map(([name]) => name);
  return (
    <>
      <BarChart
        title={t("chart.capacity")}
        {...barsOf(periods)}
        parts={columned(rows, periods, period, parts)}
      />
      <BarChart
        title={t("chart.capacity_by_place")}
        bars={names}
        barTitle={t("chart.place")}
        isWhole
        note={(bar) => {
          const own = places[bar]?.[1] ?? [];
          const held = sum(own, "held_gpu_hours");
          return formatBps(Math.round((10_000 * held) / (held + sum(own, "idle_gpu_hours") || 1)));
        }}
        parts={columned(rows, names, place, parts)}
      />
    </>
  );
}

const WAITS = [
  ["waited_0s", "--good"],
  ["waited_1min", "--accent"],
  ["waited_1h", "--buy"],
  ["waited_1d", "--busy"],
  ["waited_longer", "--bad"],
] as const;

export function FillRate({ rows }: Drawn) {
  const size = (row: Row) => sizeClass(text(row, "size_class"));
  const sizes = ranked(rows, size, "wanted_gpu_hours");
  const names = sizes.map(([name]) => name);
  const rate = (own: readonly Row[]) =>
    Math.round((10_000 * sum(own, "filled_gpu_hours")) / (sum(own, "wanted_gpu_hours") || 1));
  return (
    <>
      <BarChart
        title={t("chart.fill_rate")}
        bars={names}
        barTitle={columnName("size_class")}
        isWhole
        note={(bar) => formatBps(rate(sizes[bar]?.[1] ?? []))}
        parts={[
          {
            title: columnName("filled_gpu_hours"),
            ink: "--good",
            values: sizes.map(([, own]) => sum(own, "filled_gpu_hours")),
          },
          {
            title: t("chart.unfilled"),
            ink: "--line-strong",
            values: sizes.map(([, own]) =>
              Math.max(sum(own, "wanted_gpu_hours") - sum(own, "filled_gpu_hours"), 0),
            ),
          },
        ]}
      />
      <BarChart
        title={t("chart.waits")}
        bars={names}
        barTitle={columnName("size_class")}
        isWhole
        parts={columned(
          rows,
          names,
          size,
          WAITS.map(([column, ink]) => [column, columnName(column), ink] as const),
        )}
      />
    </>
  );
}
