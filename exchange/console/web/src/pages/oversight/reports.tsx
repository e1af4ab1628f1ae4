/** What the record adds up to: each report with its definition, its picture, its rows, and its file. */
import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { useCatalogue } from "../../api/catalogue";
import { api, type Schemas } from "../../api/client";
import { useQuery } from "../../api/query";
import { Field, Form } from "../../components/form";
import { EmptyState, Loaded } from "../../components/states";
import { Choice } from "../../components/tabs";
import { Time } from "../../components/values";
import { given, pick, useAddress } from "./address";
import { press, reasonTold, useAnswer } from "./asking";
import { SaveButton } from "./export";
import { ReasonField, SelectField, Told } from "./parts";
import { ReportCharts } from "./report_charts";
import { ReportTable } from "./report_table";
import { columnMeaning, columnName, reportWords } from "./report_words";
import { t } from "./texts";

type Kind = Schemas["ReportKind"];
type Report = Schemas["Report"];

const PERIODS = ["day", "month", "all"] as const;
const CHOSEN = ["report", "from", "until", "by"];

export function Reports() {
  const kinds = useQuery("/v1/oversight/reports", (c) => api.GET("/v1/oversight/reports", c));
  return <Loaded query={kinds}>{({ data }) => <Shown kinds={data} />}</Loaded>;
}

function Shown({ kinds }: { kinds: readonly Kind[] }) {
  const { chosen, go } = useAddress();
  const asked = pick(chosen, CHOSEN);
  const kind = kinds.find((each) => each.name === asked.report);
  const by = PERIODS.find((each) => each === asked.by) ?? "day";
  const draft = useSignal({ from: asked.from ?? "", until: asked.until ?? "" });
  const key = `report ${new URLSearchParams(given(asked))}`;
  useEffect(() => {
    draft.value = { from: asked.from ?? "", until: asked.until ?? "" };
  }, [key]);
  const query = () => ({ ...given(pick(asked, ["from", "until"])), by, ...reasonTold() });
  const report = useAnswer(kind === undefined ? null : key, (o) =>
    api.GET("/v1/oversight/reports/{report}", {
      ...o,
      params: { path: { report: kind?.name ?? "" }, query: query() },
    }),
  );
  const ask = (change: Record<string, string>) => {
    const next = { ...asked, ...draft.value, ...change };
    press(`report ${new URLSearchParams(given(next))}`);
    if (JSON.stringify(next) === JSON.stringify(asked)) report.again();
    else go("reports", given(next), change.report !== undefined);
  };
  return (
    <div class="stack">
      <section class="card" aria-label={t("reports")}>
        <div class="card-head">
          <h2>{t("reports")}</h2>
          <Choice
            label={t("reports.by")}
            options={PERIODS.map((each) => ({ key: each, title: t(`reports.by.${each}`) }))}
            chosen={by}
            onChoose={(next) => ask({ by: next })}
          />
        </div>
        <Form label={t("reports")} problem={report.problem} onSubmit={() => kind && ask({})}>
          <div class="fields">
            <SelectField
              label={t("reports.which")}
              name="report"
              value={kind?.name ?? ""}
              any={t("reports.choose")}
              options={kinds.map((each) => [each.name, reportWords(each).title] as const)}
              onChange={(next) => ask({ report: next })}
            />
            {(["from", "until"] as const).map((name) => (
              <Field key={name} label={t(`reports.${name}`)} pointer={`?${name}`}>
                {(control) => (
                  <input
                    {...control}
                    type="date"
                    value={draft.value[name]}
                    onInput={(event) => {
                      draft.value = { ...draft.value, [name]: event.currentTarget.value };
                    }}
                  />
                )}
              </Field>
            ))}
            <ReasonField isNeeded={false} />
          </div>
          <div class="ov-actions">
            <button type="submit" class="button button-primary" disabled={kind === undefined}>
              {t("reports.go")}
            </button>
            {kind !== undefined && (
              <SaveButton
                address={() => `/v1/oversight/reports/${kind.name}/export?${new URLSearchParams(query())}`}
              >
                {t("reports.csv")}
              </SaveButton>
            )}
          </div>
        </Form>
      </section>
      {kind === undefined ? (
        <EmptyState title={t("reports.choose")}>{t("reports.choose.text")}</EmptyState>
      ) : (
        <Told answer={report} isToldAbove>
          {(told) => <ReportShown report={told} />}
        </Told>
      )}
    </div>
  );
}

function ReportShown({ report }: { report: Report }) {
  const catalogue = useCatalogue().value;
  const words = reportWords(report);
  return (
    <>
      <section class="card" aria-label={words.title}>
        <div class="card-head">
          <h2>{words.title}</h2>
          <span class="quiet">{t("reports.span", { from: report.from_day, until: report.until_day })}</span>
        </div>
        <p class="ov-definition">{words.definition}</p>
        <p class="quiet">
          {report.summed_until == null ? (
            t("reports.not_summed")
          ) : (
            <>
              {t("reports.summed_until")} <Time at={report.summed_until} exact />
            </>
          )}
        </p>
        {report.rows.length === 0 ? (
          <EmptyState title={t("reports.none")}>{t("reports.none.text")}</EmptyState>
        ) : (
          <ReportCharts report={report} catalogue={catalogue} />
        )}
      </section>
      {report.rows.length > 0 && (
        <ReportTable key={`${report.name} ${report.rows.length}`} report={report} catalogue={catalogue} />
      )}
      <details class="ov-more">
        <summary>{t("reports.columns")}</summary>
        <dl class="ov-meanings">
          {report.columns.map((column) => (
            <div key={column.name}>
              <dt>
                {columnName(column.name)} <code class="quiet">{column.name}</code>
              </dt>
              <dd class="quiet">{columnMeaning(column.name, column.meaning)}</dd>
            </div>
          ))}
        </dl>
      </details>
    </>
  );
}
