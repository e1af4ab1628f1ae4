/**
 * Lines, steps and bars over time or another number, by uPlot; the same figures as a table for whoever prefers or
 * needs one. Prices come as decimal strings and are numbers only for being drawn.
 */

import { useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import uPlot from "uplot";
import { HOUR_MS } from "../api/hours";
import "uplot/dist/uPlot.min.css";
import { type Column, DataTable } from "../components/table";
import { formatNumber, formatTime, language } from "../i18n";
import { isDark } from "../theme";
import { ChartFrame } from "./frame";

export interface LineSeries {
  title: string;
  /** One for each x; null leaves a gap. */
  values: readonly (number | null)[];
  /** A colour of the tokens: `--buy`. */
  ink: string;
  /** `steps` hold until the next x, `steps_down` since the one before; `hidden` is drawn by a plugin. */
  form?: "line" | "steps" | "steps_down" | "bars" | "hidden";
  /** Fill below it. */
  isFilled?: boolean;
  /** Against a scale of its own at the right. */
  isRight?: boolean;
  format?: (value: number) => string;
}

export interface LineChartProps {
  title: string;
  /** Milliseconds since the epoch, or with `formatX` any growing numbers. */
  xs: readonly number[];
  xTitle: string;
  formatX?: (x: number) => string;
  series: readonly LineSeries[];
  height?: number;
  /** Whether the first and the last x are only room around the others, and no rows of the table. */
  isPadded?: boolean;
  /** How the scale at the left is told, where its values are too long to stand there. */
  formatSide?: (value: number) => string;
  /** Whether the scale at the left begins with zero. */
  isFromZero?: boolean;
  /** More of uPlot: hooks that draw candles, say. */
  plugins?: uPlot.Plugin[];
}

export function LineChart(given: LineChartProps) {
  const props = widenedAlone(given);
  const place = useRef<HTMLDivElement>(null);
  const asTable = useSignal(false);
  const height = props.height ?? 220;
  const dark = isDark.value;
  const tongue = language.value;
  const plot = useRef<uPlot | null>(null);
  const data = [
    props.formatX ? props.xs : props.xs.map((x) => x / 1000),
    ...props.series.map((each) => each.values),
  ] as uPlot.AlignedData;
  const shape = `${dark} ${tongue} ${height} ${props.series.map((each) => each.title + each.ink + each.form).join()}`;
  const isEmpty = props.xs.length === 0;

  useEffect(() => {
    const within = place.current;
    if (within === null || asTable.value || isEmpty) return;
    const made = new uPlot(options(props, within, height), data, within);
    plot.current = made;
    const sizes = new ResizeObserver(() => made.setSize({ width: within.clientWidth, height }));
    sizes.observe(within);
    return () => {
      sizes.disconnect();
      made.destroy();
      plot.current = null;
    };
  }, [shape, asTable.value, isEmpty]);
  useEffect(() => {
    plot.current?.setData(data);
  });

  return (
    <ChartFrame title={props.title} asTable={asTable} isEmpty={isEmpty} table={() => <Figures {...props} />}>
      <div ref={place} class="chart-place" role="img" aria-label={told(props)} />
    </ChartFrame>
  );
}

/** A single value stands in the middle of a period before and one after it: uPlot has no scale for a point alone. */
function widenedAlone(props: LineChartProps): LineChartProps {
  const [alone, second] = props.xs;
  if (alone === undefined || second !== undefined) return props;
  const period = props.formatX ? 1 : HOUR_MS;
  return {
    ...props,
    xs: [alone - period, alone, alone + period],
    series: props.series.map((each) => ({ ...each, values: [null, each.values[0] ?? null, null] })),
  };
}

/** The chart in one sentence: the last value of each line. */
function told(props: LineChartProps): string {
  const parts = props.series.map((each) => {
    const last = each.values.findLast((value) => value !== null);
    return last == null ? each.title : `${each.title} ${(each.format ?? formatNumber)(last)}`;
  });
  return `${props.title}: ${parts.join(", ")}`;
}

function Figures(props: LineChartProps) {
  const say = props.formatX ?? formatTime;
  const isRoom = (row: number) => props.isPadded && (row === 0 || row === props.xs.length - 1);
  const isTold = (row: number) => !isRoom(row) && props.series.some((each) => each.values[row] != null);
  const columns: Column<number>[] = [
    {
      key: "x",
      title: props.xTitle,
      head: true,
      cell: (row) => say(props.xs[row] as number),
      sort: (row) => row,
    },
    ...props.series.map((each, index) => ({
      key: String(index),
      title: each.title,
      numeric: true,
      cell: (row: number) => {
        const value = each.values[row];
        return value == null ? "–" : (each.format ?? formatNumber)(value);
      },
    })),
  ];
  return (
    <DataTable
      caption={props.title}
      captionHidden
      columns={columns}
      rows={[...props.xs.keys()].filter(isTold)}
      rowKey={(row) => row}
    />
  );
}

function options(props: LineChartProps, within: HTMLElement, height: number): uPlot.Options {
  const look = getComputedStyle(within);
  const ink = (name: string) => inkOf(within, name);
  const axis = {
    stroke: look.color,
    grid: { stroke: ink("--line"), width: 1 },
    ticks: { show: false },
    font: `11px ${look.fontFamily}`,
  };
  const say = (series: LineSeries | undefined) => series?.format ?? formatNumber;
  const left = props.series.find((each) => !each.isRight);
  const right = props.series.find((each) => each.isRight);
  const formatX = props.formatX;
  const sayX = (x: number) => (formatX === undefined ? formatTime(x * 1000) : formatX(x));
  const hasBars = props.series.some((each) => each.form === "bars");
  return {
    width: within.clientWidth || 300,
    height,
    padding: [8, right ? 0 : 12, 0, 0],
    plugins: [lastValues(), ...(props.plugins ?? [])],
    cursor: { points: { size: 7 }, drag: { x: false, y: false } },
    legend: {
      live: true,
      markers: { width: 0, fill: (_, index) => ink(props.series[index - 1]?.ink ?? "--quiet") },
    },
    scales: {
      // Bars, and bodies of candles, need room at both ends.
      x: { time: formatX === undefined, ...(hasBars ? { range: widened } : {}) },
      y: { range: props.isFromZero ? fromZero : around },
      right: { range: hasBars ? low : around },
    },
    axes: [
      { ...axis, space: 84, size: 34, values: (_, xs) => xs.map(sayX) },
      {
        ...axis,
        size: 52,
        incrs: props.isFromZero ? STEPS.filter((step) => step >= 1) : STEPS,
        values: (_, ys) => ys.map((y) => (props.formatSide ?? say(left))(y)),
      },
      ...(right
        ? [
            {
              ...axis,
              side: 1 as const,
              scale: "right",
              size: 52,
              incrs: STEPS,
              grid: { show: false },
              values: (_: uPlot, ys: number[]) => ys.map((y) => say(right)(y)),
            },
          ]
        : []),
    ],
    series: [
      { label: props.xTitle, value: (_, x) => (x == null ? "–" : sayX(x)) },
      ...props.series.map((each) => seriesOf(each, ink(each.ink))),
    ],
  };
}

/** Steps between lines: none finer than one fen, and none that has to be rounded to be told. */
const STEPS = Array.from({ length: 13 }, (_, power) =>
  [1, 2, 5].map((digit) => digit * 10 ** (power - 2)),
).flat();

type Range = [number, number];

/** Half a period more at both ends. */
function widened(plot: uPlot, least: number, most: number): Range {
  const periods = Math.max((plot.data[0].length || 1) - 1, 1);
  const half = (most - least) / periods / 2 || 1800;
  return [least - half, most + half];
}

/** Close around the values, but never closer than two percent: small moves shall not look like storms. */
function around(_: uPlot, least: number | null, most: number | null): Range {
  if (least === null || most === null) return [0, 1];
  const room = Math.max((most - least) * 0.12, Math.abs(most) * 0.02, 0.01);
  return [least >= 0 ? Math.max(least - room, 0) : least - room, most + room];
}

function fromZero(_: uPlot, _least: number | null, most: number | null): Range {
  return [0, (most ?? 0) * 1.08 || 1];
}

/** Bars stand in the lower third, below what they belong to. */
function low(_: uPlot, _least: number | null, most: number | null): Range {
  return [0, (most ?? 0) * 3 || 1];
}

/** Without a cursor the legend has the last values. */
function lastValues(): uPlot.Plugin {
  const show = (plot: uPlot) => {
    if (plot.cursor.idx == null && plot.data[0].length > 0)
      plot.setLegend({ idx: plot.data[0].length - 1 }, false);
  };
  return { hooks: { setCursor: show, setData: show, ready: show } };
}

function seriesOf(each: LineSeries, stroke: string): uPlot.Series {
  const paths =
    each.form === "steps" || each.form === "steps_down"
      ? uPlot.paths.stepped?.({ align: each.form === "steps" ? 1 : -1 })
      : each.form === "bars"
        ? uPlot.paths.bars?.({ size: [0.7, 40] })
        : undefined;
  return {
    label: each.title,
    stroke,
    width: each.form === "bars" || each.form === "hidden" ? 0 : 1.75,
    scale: each.isRight ? "right" : "y",
    points: { show: false },
    value: (_, y) => (y == null ? "–" : (each.format ?? formatNumber)(y)),
    ...(each.isFilled || each.form === "bars"
      ? { fill: faded(stroke, each.form === "bars" ? 0.55 : 0.14) }
      : {}),
    ...(paths ? { paths } : {}),
  };
}

/** A colour of the tokens as the browser computes it for this theme. */
export function inkOf(within: HTMLElement, name: string): string {
  const probe = document.createElement("span");
  probe.style.color = `var(${name})`;
  within.append(probe);
  const found = getComputedStyle(probe).color;
  probe.remove();
  return found;
}

/** The same colour, partly seen through. */
export function faded(ink: string, part: number): string {
  const numbers =
    ink
      .match(/[\d.]+/g)
      ?.slice(0, 3)
      .join(" ") ?? "0 0 0";
  return `rgb(${numbers} / ${part})`;
}
