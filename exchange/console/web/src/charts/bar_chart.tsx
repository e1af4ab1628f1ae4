/**
 * Bars of parts on top of each other: lying ones for things by name, upright ones for periods in a row. They are
 * elements, not a canvas, so that they fit any width; the same figures are a table for whoever needs one.
 */
import { useSignal } from "@preact/signals";
import { classes } from "../components/classes";
import { type Column, DataTable } from "../components/table";
import { formatNumber } from "../i18n";
import { ChartFrame } from "./frame";

export interface BarPart {
  title: string;
  /** A colour of the tokens: `--buy`. */
  ink: string;
  /** One for each bar. */
  values: readonly number[];
}

export interface BarChartProps {
  title: string;
  /** What each bar stands for. */
  bars: readonly string[];
  barTitle: string;
  parts: readonly BarPart[];
  format?: (value: number) => string;
  /** Bars stand in a row, by time; `shortName` is what stands below one. */
  isUpright?: boolean;
  shortName?: (name: string) => string;
  /** Every bar is as long as the others: shares of a whole. */
  isWhole?: boolean;
  /** Parts of a bar lie beside each other, because they do not add up. */
  isBeside?: boolean;
  /** What stands behind a lying bar; without it, its sum. */
  note?: (bar: number) => string;
}

/** Inks for parts, in the order in which they are told apart best. */
export const INKS = ["--buy", "--sell", "--good", "--busy", "--bad", "--accent", "--line-strong"] as const;
const NAMES_MAX = 8;

export function BarChart(props: BarChartProps) {
  const asTable = useSignal(false);
  const format = props.format ?? formatNumber;
  return (
    <ChartFrame
      title={props.title}
      asTable={asTable}
      isEmpty={props.bars.length === 0}
      table={() => <Figures {...props} format={format} />}
    >
      <div class="bars-place" role="img" aria-label={told(props, format)}>
        {props.isUpright ? <Upright {...props} format={format} /> : <Lying {...props} format={format} />}
        {props.parts.length > 1 && (
          <p class="bars-legend">
            {props.parts.map((part) => (
              <span key={part.title}>
                <span class="bars-ink" style={{ background: `var(${part.ink})` }} />
                {part.title}
              </span>
            ))}
          </p>
        )}
      </div>
    </ChartFrame>
  );
}

type Drawn = BarChartProps & { format: (value: number) => string };

function valueAt(part: BarPart, bar: number): number {
  return part.values[bar] ?? 0;
}

function sumAt(props: BarChartProps, bar: number): number {
  return props.parts.reduce((sum, part) => sum + valueAt(part, bar), 0);
}

/** The longest bar of all. */
function most(props: BarChartProps): number {
  const ends = props.bars.map((_, bar) =>
    props.isBeside ? Math.max(...props.parts.map((part) => valueAt(part, bar))) : sumAt(props, bar),
  );
  return Math.max(...ends, 0) || 1;
}

function told(props: BarChartProps, format: (value: number) => string): string {
  const bars = props.bars.slice(0, NAMES_MAX).map((name, bar) => {
    const parts = props.parts.map((part) => `${part.title} ${format(valueAt(part, bar))}`);
    return `${name}: ${parts.join(", ")}`;
  });
  return `${props.title}. ${bars.join("; ")}`;
}

function Lying(props: Drawn) {
  const length = most(props);
  return (
    <div class="bars-lying">
      {props.bars.map((name, bar) => {
        const whole = props.isWhole ? sumAt(props, bar) || 1 : length;
        return (
          <div key={name} class="bars-line">
            <span class="bars-name">{name}</span>
            <span class={classes("bars-track", props.isBeside && "bars-beside")}>
              {props.parts.map((part) => (
                <span
                  key={part.title}
                  class="bars-part"
                  title={`${part.title}: ${props.format(valueAt(part, bar))}`}
                  style={{ width: `${(100 * valueAt(part, bar)) / whole}%`, background: `var(${part.ink})` }}
                />
              ))}
            </span>
            <span class="bars-note number">
              {props.note ? props.note(bar) : props.format(sumAt(props, bar))}
            </span>
          </div>
        );
      })}
    </div>
  );
}

function Upright(props: Drawn) {
  const height = props.isWhole ? 1 : most(props);
  // Names of bars would run into each other: of many only some are told.
  const every = Math.ceil(props.bars.length / NAMES_MAX);
  const short = props.shortName ?? ((name: string) => name);
  return (
    <div class="bars-upright">
      <span class="bars-scale number">{props.isWhole ? "100 %" : props.format(height)}</span>
      <div class="bars-ground">
        {props.bars.map((name, bar) => {
          const whole = props.isWhole ? sumAt(props, bar) || 1 : height;
          return (
            <div
              key={name}
              class="bars-pile"
              title={`${name}\n${props.parts
                .map((part) => `${part.title}: ${props.format(valueAt(part, bar))}`)
                .join("\n")}`}
            >
              {props.parts.map((part) => (
                <span
                  key={part.title}
                  style={{ height: `${(100 * valueAt(part, bar)) / whole}%`, background: `var(${part.ink})` }}
                />
              ))}
            </div>
          );
        })}
      </div>
      <div class="bars-names">
        {props.bars.map((name, bar) => (
          <span key={name}>{bar % every === 0 ? short(name) : ""}</span>
        ))}
      </div>
    </div>
  );
}

function Figures(props: Drawn) {
  const columns: Column<number>[] = [
    {
      key: "bar",
      title: props.barTitle,
      head: true,
      cell: (bar) => props.bars[bar] ?? "",
      sort: (bar) => bar,
    },
    ...props.parts.map((part) => ({
      key: part.title,
      title: part.title,
      numeric: true,
      cell: (bar: number) => props.format(valueAt(part, bar)),
      sort: (bar: number) => valueAt(part, bar),
    })),
  ];
  return (
    <DataTable
      caption={props.title}
      captionHidden
      columns={columns}
      rows={[...props.bars.keys()]}
      rowKey={(bar) => bar}
    />
  );
}
