/** How an issuer's budgets burn: how far their money has come, over time, as a chart with its table. */
import { useSignal } from "@preact/signals";
import { api, type Schemas } from "../../api/client";
import { useQuery } from "../../api/query";
import { LineChart } from "../../charts/line_chart";
import { Loaded } from "../../components/states";
import { Choice } from "../../components/tabs";
import { Figure } from "../../components/values";
import { cnyOf, fenOf, formatBps, formatMoney, formatShort } from "../../i18n";
import { useProgrammes } from "./data";
import { isOwn, ProgrammeFilter } from "./parts";
import { ProgrammeBars } from "./programme_bars";
import type { Change, VouchersState } from "./state";
import { t } from "./texts";

type Point = Schemas["BurnPoint"];

const SPANS = {
  days: { interval: "day", points: 90 },
  hours: { interval: "hour", points: 168 },
} as const;
type Span = keyof typeof SPANS;
const SPAN_KEYS = Object.keys(SPANS) as readonly Span[];

/** Budgets are often far larger than what is spent of them: the chart begins with a stage of the reader's choice. */
const WIDEST = ["budget", "issued", "committed"] as const;

/** From the widest to the narrowest: each is a part of the one before. */
const STAGES = [
  { key: "budget", ink: "--line-strong" },
  { key: "issued", ink: "--buy" },
  { key: "committed", ink: "--accent" },
  { key: "captured", ink: "--sell" },
  { key: "paid", ink: "--text" },
] as const;

export function Burn({ state, onChange }: { state: VouchersState; onChange: Change }) {
  const span = useSignal<Span>("days");
  const widest = useSignal<(typeof WIDEST)[number]>("budget");
  const drawn = STAGES.slice(STAGES.findIndex((each) => each.key === widest.value));
  const query = { ...SPANS[span.value], ...(state.programme && { programme_id: state.programme }) };
  const burn = useQuery(
    `/v1/statements/programmes/burn ${JSON.stringify(query)}`,
    (c) => api.GET("/v1/statements/programmes/burn", { ...c, params: { query } }),
    { every_s: 30 },
  );
  const programmes = useProgrammes();
  return (
    <div class="stack">
      <section class="card">
        <div class="card-head">
          <h2>{t("burn")}</h2>
          <div class="voucher-filters">
            <ProgrammeFilter
              value={state.programme}
              isOwn
              onChange={(programme) => onChange({ programme })}
            />
            <Choice
              label={t("burn.span")}
              options={SPAN_KEYS.map((key) => ({ key, title: t(`burn.${key}`) }))}
              chosen={span.value}
              onChoose={(key) => {
                span.value = key;
              }}
            />
          </div>
        </div>
        <p class="quiet">{t("burn.text")}</p>
        <Loaded query={burn}>
          {({ data }) => (
            <>
              <Now point={data.at(-1)} />
              <div class="voucher-choice">
                <Choice
                  label={t("burn.widest")}
                  options={WIDEST.map((key) => ({ key, title: t(`burn.from.${key}`) }))}
                  chosen={widest.value}
                  onChoose={(key) => {
                    widest.value = key;
                  }}
                />
              </div>
              <LineChart
                key={`${span.value} ${state.programme}`}
                title={t("burn.chart")}
                xs={data.map((each) => Date.parse(each.at))}
                xTitle={t("burn.at")}
                isFromZero
                formatSide={formatShort}
                height={300}
                series={drawn.map((stage) => ({
                  title: t(`stage.${stage.key}`),
                  values: data.map((each) => Number(each[`${stage.key}_cny`])),
                  ink: stage.ink,
                  format: (value: number) => formatMoney(value.toFixed(2)),
                  isFilled: stage.key === "paid",
                  form: "steps",
                }))}
              />
            </>
          )}
        </Loaded>
        <p>
          <a download href={`/v1/statements/programmes/burn/export?${new URLSearchParams(told(query))}`}>
            {t("download.csv")}
          </a>
        </p>
      </section>
      <section class="card">
        <h2>{t("burn.each")}</h2>
        <Loaded query={programmes}>
          {({ data }) => <ProgrammeBars programmes={data.filter((each) => isOwn(each.issuer_id))} />}
        </Loaded>
      </section>
    </div>
  );
}

function told(query: Record<string, string | number>): Record<string, string> {
  return Object.fromEntries(Object.entries(query).map(([key, value]) => [key, String(value)]));
}

/** How far it is now, each stage with its share of the budget. */
function Now({ point }: { point: Point | undefined }) {
  if (point === undefined) return null;
  const budget = fenOf(point.budget_cny) ?? 0n;
  return (
    <dl class="figures">
      {STAGES.map(({ key }) => {
        const fen = fenOf(point[`${key}_cny`]) ?? 0n;
        const share = budget > 0n ? Number((fen * 10_000n) / budget) : 0;
        const isLittle = share === 0 && fen > 0n;
        return (
          <Figure key={key} label={t(`stage.${key}`)}>
            {formatMoney(cnyOf(fen))}
            {key !== "budget" && (
              <span class="second">
                {t("burn.share", { share: isLittle ? `< ${formatBps(1)}` : formatBps(share) })}
              </span>
            )}
          </Figure>
        );
      })}
    </dl>
  );
}
