/** The pictures of reports on vouchers and programmes. */
import { BarChart, INKS } from "../../charts/bar_chart";
import { LineChart } from "../../charts/line_chart";
import { formatBps } from "../../i18n";
import { BARS_MAX, barsOf, type Drawn, linesOf, money, period, placeOf } from "./report_drawn";
import { amount, columned, grouped, parted, type Row, ranked, sum, text } from "./report_figures";
import { columnName, refusal, sizeClass } from "./report_words";
import { t } from "./texts";

export function BudgetBurn({ rows, periods }: Drawn) {
  const programmes = ranked(rows, (row) => text(row, "programme"), "outstanding_cny").slice(0, INKS.length);
  const kinds = ["issued_cny", "committed_cny", "captured_cny", "expired_cny", "revoked_cny", "paid_cny"];
  const last = programmes.map(([, own]) => own.at(-1) as Row);
  return (
    <>
      {periods.length > 1 ? (
        <LineChart
          title={t("chart.burnt")}
          {...linesOf(periods)}
          isFromZero
          series={programmes.map(([programme, own], index) => ({
            title: programme,
            ink: INKS[index] as string,
            form: "steps" as const,
            values: carried(own, periods, "burnt_bps"),
            format: formatBps,
          }))}
        />
      ) : (
        <BarChart
          title={t("chart.burnt")}
          bars={programmes.map(([programme]) => programme)}
          barTitle={columnName("programme")}
          isWhole
          format={money}
          parts={[
            {
              title: columnName("outstanding_cny"),
              ink: "--sell",
              values: last.map((row) => amount(row, "outstanding_cny")),
            },
            {
              title: t("chart.unburnt"),
              ink: "--line-strong",
              values: last.map((row) =>
                Math.max(amount(row, "budget_cny") - amount(row, "outstanding_cny"), 0),
              ),
            },
          ]}
          note={(bar) => formatBps(amount(last[bar] as Row, "burnt_bps"))}
        />
      )}
      <BarChart
        title={t("chart.moved")}
        bars={rows.length === 0 ? [] : kinds.map(columnName)}
        barTitle={t("chart.kind")}
        format={money}
        parts={[{ title: t("amount"), ink: "--accent", values: kinds.map((kind) => sum(rows, kind)) }]}
      />
    </>
  );
}

/** A level by period: where nothing moved, it stays. */
function carried(rows: readonly Row[], periods: readonly string[], column: string): (number | null)[] {
  const by = new Map(rows.map((row) => [period(row), amount(row, column)]));
  let level: number | null = null;
  return periods.map((each) => {
    level = by.get(each) ?? level;
    return level;
  });
}

export function VoucherUse({ rows, periods }: Drawn) {
  const regions = ranked(rows, (row) => text(row, "region") || t("unnamed"), "issued_cny").slice(0, BARS_MAX);
  const names = regions.map(([region]) => region);
  return (
    <>
      <BarChart
        title={t("chart.committed_by_size")}
        {...barsOf(periods)}
        format={money}
        parts={parted(
          rows,
          periods,
          period,
          (row) => sizeClass(text(row, "size_class")),
          "committed_cny",
          t("others"),
        )}
      />
      <BarChart
        title={t("chart.use_by_region")}
        bars={names}
        barTitle={columnName("region")}
        isBeside
        format={money}
        note={(bar) => money(sum(regions[bar]?.[1] ?? [], "issued_cny"))}
        parts={columned(rows, names, (row) => text(row, "region") || t("unnamed"), [
          ["issued_cny", columnName("issued_cny"), "--accent"],
          ["committed_cny", columnName("committed_cny"), "--sell"],
          ["captured_cny", columnName("captured_cny"), "--good"],
        ])}
      />
    </>
  );
}

export function Refusals({ rows }: Drawn) {
  const reasonOf = (row: Row) => refusal(text(row, "code"));
  const bars = ranked(rows, reasonOf, "refusals")
    .slice(0, BARS_MAX)
    .map(([name]) => name);
  return (
    <BarChart
      title={t("chart.refusals")}
      bars={bars}
      barTitle={columnName("code")}
      parts={parted(
        rows,
        bars,
        reasonOf,
        (row) => sizeClass(text(row, "size_class")),
        "refusals",
        t("others"),
      )}
    />
  );
}

/** A mean of prices by their GPU-hours; null where there are none. */
function mean(rows: readonly Row[], of: "voucher" | "cash"): number | null {
  const hours = sum(rows, `${of}_gpu_hours`);
  const paid = rows.reduce(
    (whole, row) => whole + amount(row, `${of}_price_cny`) * amount(row, `${of}_gpu_hours`),
    0,
  );
  return hours === 0 ? null : paid / hours;
}

export function VoucherPrice({ rows, periods, catalogue }: Drawn) {
  const place = placeOf(catalogue);
  const places = ranked(rows, place, "voucher_gpu_hours").slice(0, BARS_MAX);
  const [first] = places;
  const by = grouped(first?.[1] ?? [], period);
  const line = (of: "voucher" | "cash", ink: string) => ({
    title: columnName(`${of}_price_cny`),
    ink,
    values: periods.map((each) => mean(by.get(each) ?? [], of)),
    format: money,
  });
  return (
    <>
      <BarChart
        title={t("chart.prices")}
        bars={places.map(([name]) => name)}
        barTitle={t("chart.place")}
        isBeside
        format={money}
        note={(bar) => {
          const [voucher, cash] = (["voucher", "cash"] as const).map((of) =>
            mean(places[bar]?.[1] ?? [], of),
          );
          return voucher == null || !cash ? "–" : signed((voucher - cash) / cash);
        }}
        parts={(["voucher", "cash"] as const).map((of) => ({
          title: columnName(`${of}_price_cny`),
          ink: of === "voucher" ? "--sell" : "--buy",
          values: places.map(([, own]) => mean(own, of) ?? 0),
        }))}
      />
      {first !== undefined && periods.length > 1 && (
        <LineChart
          title={t("chart.prices_of", { place: first[0] })}
          {...linesOf(periods)}
          series={[line("voucher", "--sell"), line("cash", "--buy")]}
        />
      )}
    </>
  );
}

function signed(share: number): string {
  return `${share > 0 ? "+" : ""}${formatBps(Math.round(share * 10_000))}`;
}

export function Stacking({ rows }: Drawn) {
  const count = (row: Row) => {
    const programmes = amount(row, "programmes");
    return programmes === 0 ? t("chart.programmes.none") : t("chart.programmes", { count: programmes });
  };
  const bars = [
    ...new Set(
      [...rows].sort((one, other) => amount(one, "programmes") - amount(other, "programmes")).map(count),
    ),
  ];
  const own = (row: Row) =>
    amount(row, "notional_cny") - amount(row, "voucher_cny") - amount(row, "reimbursable_cny");
  const by = grouped(rows, count);
  return (
    <>
      <BarChart
        title={t("chart.stacking")}
        bars={bars}
        barTitle={columnName("programmes")}
        parts={columned(rows, bars, count, [["trades", columnName("trades"), "--accent"]])}
      />
      <BarChart
        title={t("chart.stacking_money")}
        bars={bars}
        barTitle={columnName("programmes")}
        isWhole
        format={money}
        parts={[
          {
            title: t("chart.own_money"),
            ink: "--line-strong",
            values: bars.map((bar) => (by.get(bar) ?? []).reduce((whole, row) => whole + own(row), 0)),
          },
          ...columned(rows, bars, count, [
            ["voucher_cny", columnName("voucher_cny"), "--sell"],
            ["reimbursable_cny", columnName("reimbursable_cny"), "--busy"],
          ]),
        ]}
      />
    </>
  );
}
