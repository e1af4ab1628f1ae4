/**
 * Rules tried on the record before they are in force: what they would have found in some days. The answer comes line by
 * line while the record is read, and nothing of it is kept there but the question.
 */
import { useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import type { Schemas } from "../../api/client";
import { useDeed } from "../../api/deed";
import { problemOf, unanswered } from "../../api/problem";
import { Field, Form } from "../../components/form";
import { MomentInput } from "../../components/moment_input";
import { ReasonInput } from "../../components/reason_input";
import { DataTable } from "../../components/table";
import { formatNumber } from "../../i18n";
import { detectorName, RULES_REASON_MAX, type Rules } from "./alert_words";
import { reason } from "./asking";
import { t } from "./texts";

type Line = Schemas["BacktestLine"];
type Result = NonNullable<Line["result"]>;

const PATH = "/v1/oversight/alert-rules/backtest";

export function RulesTrial({ rules }: { rules: Rules }) {
  const from = useSignal("");
  const until = useSignal("");
  const line = useSignal<Line | null>(null);
  const deed = useDeed();
  const running = useRef<AbortController | null>(null);
  useEffect(() => () => running.current?.abort(), []);
  const run = () =>
    deed.run(async () => {
      const own = new AbortController();
      running.current = own;
      line.value = null;
      const body = {
        rules,
        found_from: from.value,
        found_until: until.value,
        reason: reason.value,
      };
      await eachLine(body, own.signal, (told) => {
        line.value = told;
      });
    });
  const result = line.value?.result;
  return (
    <Form label={t("trial")} problem={deed.problem.value} onSubmit={() => void run()}>
      <h3>{t("trial")}</h3>
      <p class="quiet">{t("trial.text")}</p>
      <div class="fields ov-fields">
        {([from, until] as const).map((at, place) => (
          <Field
            key={place === 0 ? "from" : "until"}
            label={t(place === 0 ? "trial.from" : "trial.until")}
            pointer={place === 0 ? "/found_from" : "/found_until"}
          >
            {(control) => (
              <MomentInput
                control={control}
                value={at.value}
                onChange={(next) => {
                  at.value = next;
                }}
              />
            )}
          </Field>
        ))}
        <ReasonInput
          label={t("trial.reason")}
          rows={1}
          charactersMax={RULES_REASON_MAX}
          value={reason.value}
          onInput={(text) => {
            reason.value = text;
          }}
        />
      </div>
      <div class="buttons">
        <button type="submit" class="button" disabled={deed.isBusy.value}>
          {t("trial.go")}
        </button>
        <span role="status">
          {deed.isBusy.value && (
            <progress max={Math.max(line.value?.all ?? 1, 1)} value={line.value?.read ?? 0} />
          )}
          {result != null &&
            t("trial.found", { alerts: result.alerts_found, orders: formatNumber(result.orders) })}
        </span>
      </div>
      {result != null && <Found result={result} />}
    </Form>
  );
}

function Found({ result }: { result: Result }) {
  return (
    <DataTable
      caption={t("trial.result")}
      columns={[
        {
          key: "detector",
          title: t("alert.detector"),
          head: true,
          cell: (row) => detectorName(row.detector),
        },
        {
          key: "alerts",
          title: t("trial.alerts"),
          numeric: true,
          cell: (row) => (row.enabled ? formatNumber(row.alerts) : t("no")),
          sort: (row) => row.alerts,
        },
        {
          key: "participants",
          title: t("trial.participants"),
          numeric: true,
          cell: (row) => formatNumber(row.participants),
          sort: (row) => row.participants,
        },
        {
          key: "share",
          title: t("trial.share"),
          numeric: true,
          cell: (row) =>
            row.alerts_per_10000_orders === null ? "–" : formatNumber(row.alerts_per_10000_orders),
          sort: (row) => row.alerts_per_10000_orders,
        },
      ]}
      rows={result.detectors}
      rowKey={(row) => row.detector}
    />
  );
}

/** Ask, and tell each line as it comes; throws a `Problem`, also where the last line never came. */
async function eachLine(body: object, signal: AbortSignal, tell: (line: Line) => void): Promise<void> {
  const answer = await fetch(PATH, {
    method: "POST",
    credentials: "same-origin",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
    signal,
  }).catch(() => {
    throw unanswered(false);
  });
  if (!answer.ok) throw problemOf(answer, await answer.json().catch(() => null));
  let isWhole = false;
  let rest = "";
  const reader = answer.body?.pipeThrough(new TextDecoderStream()).getReader();
  try {
    for (;;) {
      const part = await reader?.read();
      if (part === undefined || part.done) break;
      const lines = (rest + part.value).split("\n");
      rest = lines.pop() ?? "";
      for (const text of lines) {
        const line = JSON.parse(text) as Line;
        isWhole = line.result !== null;
        tell(line);
      }
    }
  } catch {
    throw unanswered(false);
  }
  if (!isWhole) throw unanswered(false);
}
