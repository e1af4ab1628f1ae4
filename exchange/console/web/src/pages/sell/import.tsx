/**
 * Listing capacity from a file. It is checked by the exchange when it is dropped, and nothing is listed before the
 * provider says so. Lines at fault stand here with what is wrong with each, to be mended in place or in the file.
 */

import { useSignal } from "@preact/signals";
import { useId, useRef } from "preact/hooks";
import { act, api, type Schemas } from "../../api/client";
import { DAY_MS } from "../../api/hours";
import { Intent } from "../../api/intent";
import { type Fault, faultText, Problem } from "../../api/problem";
import { announce, toast } from "../../components/announcer";
import { classes } from "../../components/classes";
import { hourText } from "../../components/hour_input";
import { Failure } from "../../components/states";
import { Figure } from "../../components/values";
import { catalogue, formatNumber } from "../../i18n";
import en from "./en.json";
import zh from "./zh.json";

const t = catalogue(en, zh);

type Report = Schemas["ImportView"];
type LineProblem = Report["problems"][number];

interface Plan {
  name: string;
  type: "text/csv" | "application/x-ndjson";
  /** The file by lines, as an editor numbers them: mended here, sent as a whole. */
  lines: string[];
}

const BYTES_MAX = 32 * 1024 * 1024;
/** So many lines at fault can be mended here; more are better mended where the file comes from. */
const MENDED_MAX = 50;

function typeOf(name: string): Plan["type"] | null {
  if (/\.csv$/i.test(name)) return "text/csv";
  return /\.(ndjson|jsonl)$/i.test(name) ? "application/x-ndjson" : null;
}

function send(plan: Plan, query: { preview?: boolean; partial?: boolean }) {
  return api.POST("/v1/capacity/import", {
    params: { query },
    body: plan.lines.join("\n"),
    bodySerializer: (body: string) => body,
    headers: { "Content-Type": plan.type },
  });
}

/** The header of a CSV is refused as a whole: its faults point to a line, too. */
function headerProblems(problem: Problem): LineProblem[] {
  const byLine = new Map<number, Fault[]>();
  for (const fault of problem.faults) {
    const match = /^\/lines\/(\d+)(.*)$/.exec(fault.pointer);
    if (match === null) continue;
    const line = Number(match[1]);
    byLine.set(line, [...(byLine.get(line) ?? []), { ...fault, pointer: match[2] ?? "" }]);
  }
  return [...byLine].map(([line, errors]) => ({
    line,
    client_order_id: null,
    status: problem.status,
    code: problem.code,
    detail: problem.detail,
    retryable: false,
    errors,
  }));
}

export function ImportCard(props: { firstHour: number; onListed: () => void }) {
  const plan = useSignal<Plan | null>(null);
  const report = useSignal<Report | null>(null);
  const problem = useSignal<Problem | null>(null);
  const isBusy = useSignal(false);
  const isOver = useSignal(false);
  const intent = useRef(new Intent());
  const inputId = useId();

  const run = async (query: { preview?: boolean; partial?: boolean }) => {
    const sent = plan.value;
    if (sent === null) return;
    if (isBusy.value) return;
    isBusy.value = true;
    problem.value = null;
    try {
      const told = await act(intent.current, [sent, query], () => send(sent, query));
      report.value = told;
      if (query.preview) {
        announce(t("file.checked", { good: told.placed, bad: told.refused }));
      } else {
        toast(t("file.done", { placed: told.placed, hours: told.gpu_hours }), "good");
        props.onListed();
      }
    } catch (failed) {
      if (!(failed instanceof Problem)) throw failed;
      const lines = headerProblems(failed);
      if (lines.length > 0) {
        report.value = { ...NOTHING, lines: 0, refused: lines.length, problems: lines };
        announce(failed.text);
      } else {
        problem.value = failed;
      }
    } finally {
      isBusy.value = false;
    }
  };

  const take = async (file: File | undefined) => {
    if (file === undefined) return;
    report.value = null;
    problem.value = null;
    plan.value = null;
    const type = typeOf(file.name);
    if (type === null || file.size > BYTES_MAX) {
      problem.value = new Problem(
        415,
        type === null ? "unsupported_media_type" : "body_too_large",
        t(type === null ? "file.type" : "file.size"),
        [],
        false,
        false,
        null,
      );
      return;
    }
    plan.value = { name: file.name, type, lines: (await file.text()).split("\n") };
    await run({ preview: true });
  };

  const mend = (line: number, text: string) => {
    const now = plan.value;
    if (now === null) return;
    plan.value = { ...now, lines: now.lines.map((each, index) => (index === line - 1 ? text : each)) };
  };

  return (
    <section class="card">
      <h2>{t("file")}</h2>
      <p class="quiet">{t("file.text")}</p>
      {/* biome-ignore lint/a11y/noStaticElementInteractions: files are dropped here; the label below opens them by key */}
      <div
        class={classes("drop", isOver.value && "drop-over")}
        onDragOver={(event) => {
          event.preventDefault();
          isOver.value = true;
        }}
        onDragLeave={() => {
          isOver.value = false;
        }}
        onDrop={(event) => {
          event.preventDefault();
          isOver.value = false;
          void take(event.dataTransfer?.files[0]);
        }}
      >
        <p>{plan.value === null ? t("file.drop") : plan.value.name}</p>
        <input
          id={inputId}
          class="visually-hidden"
          type="file"
          accept=".csv,.ndjson,.jsonl"
          onChange={(event) => {
            const chosen = event.currentTarget;
            void take(chosen.files?.[0]).then(() => {
              chosen.value = "";
            });
          }}
        />
        <label class="button" for={inputId}>
          {plan.value === null ? t("file.choose") : t("file.another")}
        </label>
      </div>
      <p>
        <a download="capacity.csv" href={sampleHref(props.firstHour)}>
          {t("file.sample")}
        </a>
      </p>
      {isBusy.value && (
        <p class="loading" role="status">
          <span class="spinner" aria-hidden="true" /> {t("file.busy")}
        </p>
      )}
      {problem.value && <Failure problem={problem.value} />}
      {report.value && plan.value && !isBusy.value && (
        <Told plan={plan.value} report={report.value} onMend={mend} onRun={(query) => void run(query)} />
      )}
    </section>
  );
}

const NOTHING: Report = {
  preview: true,
  lines: 0,
  placed: 0,
  replayed: 0,
  refused: 0,
  gpu_hours: 0,
  problems: [],
};

/** What came of the file, or would: figures, lines at fault, and what can be done now. */
function Told(props: {
  plan: Plan;
  report: Report;
  onMend: (line: number, text: string) => void;
  onRun: (query: { preview?: boolean; partial?: boolean }) => void;
}) {
  const { plan, report, onRun } = props;
  const shown = report.problems.slice(0, MENDED_MAX);
  return (
    <div class="stack">
      <dl class="figures">
        <Figure label={t(report.preview ? "file.new" : "file.listed")}>{formatNumber(report.placed)}</Figure>
        <Figure label={t("file.hours")}>{formatNumber(report.gpu_hours)}</Figure>
        {report.replayed > 0 && <Figure label={t("file.before")}>{formatNumber(report.replayed)}</Figure>}
        <Figure label={t("file.refused")}>{formatNumber(report.refused)}</Figure>
      </dl>
      {shown.length > 0 && (
        <>
          <h3>{t("file.faults")}</h3>
          <ul class="lines">
            {shown.map((each) => (
              <FaultyLine
                key={each.line}
                problem={each}
                text={plan.lines[each.line - 1] ?? ""}
                onMend={props.onMend}
              />
            ))}
          </ul>
          {report.refused > shown.length && (
            <p class="quiet">{t("file.more", { count: report.refused - shown.length })}</p>
          )}
        </>
      )}
      <div class="buttons">
        {report.refused > 0 && (
          <button type="button" class="button button-primary" onClick={() => onRun({ preview: true })}>
            {t("file.again")}
          </button>
        )}
        {report.preview && report.refused === 0 && report.placed > 0 && (
          <button type="button" class="button button-primary" onClick={() => onRun({})}>
            {t("file.list", { count: report.placed })}
          </button>
        )}
        {report.preview && report.refused > 0 && report.placed > 0 && (
          <button type="button" class="button" onClick={() => onRun({ partial: true })}>
            {t("file.list_good", { count: report.placed })}
          </button>
        )}
        {report.problems.length > 0 && (
          <a class="button" download={plan.name} href={hrefOf(plan.lines.join("\n"), plan.type)}>
            {t("file.save")}
          </a>
        )}
      </div>
      {report.preview && report.refused === 0 && report.placed === 0 && <p>{t("file.nothing")}</p>}
    </div>
  );
}

function FaultyLine(props: {
  problem: LineProblem;
  text: string;
  onMend: (line: number, text: string) => void;
}) {
  const { problem, text } = props;
  const id = useId();
  const faults = problem.errors?.length
    ? problem.errors
    : [{ pointer: "", code: problem.code, detail: problem.detail }];
  return (
    <li class="line field field-faulty">
      <label for={id}>{t("line", { line: problem.line })}</label>
      <input
        id={id}
        class="code"
        spellcheck={false}
        autocomplete="off"
        aria-invalid={true}
        aria-describedby={`${id}-faults`}
        value={text.replace(/\r$/, "")}
        onInput={(event) =>
          props.onMend(problem.line, event.currentTarget.value + (text.endsWith("\r") ? "\r" : ""))
        }
      />
      <ul class="fault" id={`${id}-faults`}>
        {faults.map((fault) => (
          <li key={fault.pointer + fault.code}>
            {fault.pointer && <code>{fault.pointer.slice(1)}</code>} {faultText(fault)}
          </li>
        ))}
      </ul>
    </li>
  );
}

function hrefOf(text: string, type: string): string {
  return `data:${type};charset=utf-8,${encodeURIComponent(text)}`;
}

/** A file to begin from: two asks of one product, for the days to come. */
function sampleHref(firstHour: number): string {
  const day = (count: number) => hourText(firstHour + count * DAY_MS);
  return hrefOf(
    [
      "client_order_id,product,quantity_gpus,starts_at,ends_at,price_cny_per_gpu_hour,min_hours,reserved_for",
      `plan-001,nvidia-t4.zhangjiakou.pcie3,16,${day(1)},${day(2)},4.20,,`,
      `plan-002,nvidia-t4.zhangjiakou.pcie3,16,${day(2)},${day(9)},3.90,24,startup`,
      "",
    ].join("\r\n"),
    "text/csv",
  );
}
