/** Who asked the record what, and why: regulators and the operator see what the other looked at. */
import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { api, type Schemas } from "../../api/client";
import { Form } from "../../components/form";
import { Pager, usePages } from "../../components/pager";
import { EmptyState } from "../../components/states";
import { DataTable } from "../../components/table";
import { Badge, Nothing, Time } from "../../components/values";
import { formatNumber } from "../../i18n";
import { useAddress } from "./address";
import { forgetAnswers, useAnswer } from "./asking";
import { Id, TextField, Told, Who } from "./parts";
import { named, t } from "./texts";

type Question = Schemas["Question"];

const PAGE_ROWS = 50;

export function Questions() {
  const { chosen, go } = useAddress();
  const participant = chosen.participant ?? "";
  const round = useSignal(0);
  const pages = usePages(`questions ${participant} ${round.value}`);
  const draft = useSignal(participant);
  useEffect(() => {
    draft.value = participant;
  }, [participant]);
  // To read this list is not recorded, and others ask meanwhile: it is read anew whenever it is opened.
  useEffect(() => () => forgetAnswers("questions "), []);
  const questions = useAnswer(`questions ${participant} ${pages.cursor ?? ""} ${round.value}`, (o) =>
    api.GET("/v1/oversight/questions", {
      ...o,
      params: {
        query: {
          limit: PAGE_ROWS,
          ...(participant === "" ? {} : { participant }),
          ...(pages.cursor ? { cursor: pages.cursor } : {}),
        },
      },
    }),
  );
  return (
    <div class="stack">
      <section class="card" aria-label={t("questions")}>
        <h2>{t("questions")}</h2>
        <p class="quiet">{t("questions.text")}</p>
        <Form
          label={t("questions")}
          problem={questions.problem}
          onSubmit={() => {
            if (draft.value === participant) round.value += 1;
            else go("questions", { participant: draft.value });
          }}
        >
          <div class="fields">
            <TextField
              label={t("questions.who")}
              name="participant"
              placeholder="par_…"
              value={draft.value}
              onChange={(value) => {
                draft.value = value;
              }}
            />
          </div>
          <button type="submit" class="button button-primary">
            {t("questions.go")}
          </button>
        </Form>
      </section>
      <Told answer={questions} isToldAbove>
        {({ data, next_cursor }) =>
          data.length === 0 ? (
            <EmptyState title={t("questions.none")}>{t("questions.none.text")}</EmptyState>
          ) : (
            <>
              <DataTable
                caption={t("questions")}
                captionHidden
                columns={[
                  { key: "at", title: t("event_at"), cell: (row) => <Time at={row.asked_at} exact /> },
                  {
                    key: "who",
                    title: t("questions.asker"),
                    cell: (row) => <Who name={row.participant_name} id={row.participant_id} />,
                  },
                  {
                    key: "what",
                    title: t("questions.what"),
                    head: true,
                    cell: (row) => (
                      <>
                        {named("query", row.query)}
                        <span class="second code">{row.query}</span>
                      </>
                    ),
                  },
                  { key: "reason", title: t("why"), cell: (row) => <Reason text={row.reason} /> },
                  { key: "asked", title: t("questions.asked"), cell: (row) => <Asked asked={row.asked} /> },
                  {
                    key: "rows",
                    title: t("questions.rows"),
                    numeric: true,
                    cell: (row) => <Rows row={row} />,
                  },
                  { key: "key", title: t("fact.key"), cell: (row) => <code>{row.key_id}</code> },
                ]}
                rows={data}
                rowKey={(row) => row.id}
              />
              <Pager pages={pages} next={next_cursor} />
            </>
          )
        }
      </Told>
    </div>
  );
}

function Reason({ text }: { text: string | null }) {
  return text === null ? <Nothing /> : <span class="ov-reason">{text}</span>;
}

/** Told elsewhere in the row, or the usual. */
const LEFT_OUT = new Set(["limit", "cursor", "columns"]);

function Asked({ asked }: { asked: unknown }) {
  const told = typeof asked === "object" && asked !== null ? Object.entries(asked) : [];
  return (
    <span class="ov-asked">
      {told
        .filter(([name, value]) => !LEFT_OUT.has(name) && value !== null)
        .map(([name, value]) => (
          <span key={name}>
            <span class="quiet">{name}</span>{" "}
            {typeof value === "string" && name.endsWith("_id") ? (
              <Id id={value} />
            ) : (
              <code>{String(value)}</code>
            )}
          </span>
        ))}
    </span>
  );
}

function Rows({ row }: { row: Question }) {
  if (row.answered_at == null) return <Badge tone="bad">{t("questions.unanswered")}</Badge>;
  return (
    <>
      {formatNumber(row.rows ?? 0)}
      {row.is_whole === false && <span class="second">{t("questions.cut")}</span>}
    </>
  );
}
