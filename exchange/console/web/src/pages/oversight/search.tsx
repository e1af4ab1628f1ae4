/** Trades and records found by filters, a page at a time, and exported as files. Each row leads to a life. */
import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { api } from "../../api/client";
import type { Problem } from "../../api/problem";
import type { paths } from "../../api/schema";
import { Form } from "../../components/form";
import { Pager, usePages } from "../../components/pager";
import { EmptyState } from "../../components/states";
import { Choice } from "../../components/tabs";
import { ASKED, given, pick, useAddress } from "./address";
import { namesSomebody, press, reasonTold, useAnswer } from "./asking";
import { ExportBar } from "./export";
import { ReasonField, Told } from "./parts";
import { FILTERS, type Kind, SearchFilters } from "./search_filters";
import { EventTable, TradeTable } from "./search_tables";
import { t } from "./texts";

type Query<Path extends keyof paths> = paths[Path] extends { get: { parameters: { query?: infer Q } } }
  ? NonNullable<Q>
  : never;

const KINDS: readonly Kind[] = ["trades", "events"];
const PAGE_ROWS = 50;

/** What is asked, whatever the reason and the page. */
function keyOf(kind: Kind, filters: Record<string, string>): string {
  return `${kind} ${new URLSearchParams(given(filters))}`;
}

export function Search() {
  const { chosen, go } = useAddress();
  const kind = KINDS.find((each) => each === chosen.of) ?? "trades";
  const filters = pick(chosen, FILTERS[kind]);
  const list = keyOf(kind, filters);
  const isAsked = chosen.asked === ASKED;
  // The same search again begins at its first page.
  const round = useSignal(0);
  const pages = usePages(`${list} ${round.value}`);
  const draft = useSignal(filters);
  const refused = useSignal<Problem | null>(null);
  useEffect(() => {
    draft.value = filters;
    refused.value = null;
  }, [list]);
  const query = () => ({
    ...given(filters),
    ...reasonTold(),
    limit: PAGE_ROWS,
    ...(pages.cursor ? { cursor: pages.cursor } : {}),
  });
  const key = isAsked ? `${list} ${pages.cursor ?? ""}` : null;
  const needsReason = namesSomebody(filters);
  const trades = useAnswer(
    kind === "trades" ? key : null,
    (o) =>
      api.GET("/v1/oversight/trades", { ...o, params: { query: query() as Query<"/v1/oversight/trades"> } }),
    { needsReason },
  );
  const events = useAnswer(
    kind === "events" ? key : null,
    (o) =>
      api.GET("/v1/oversight/events", { ...o, params: { query: query() as Query<"/v1/oversight/events"> } }),
    { needsReason },
  );
  const answer = kind === "trades" ? trades : events;
  const problem = refused.value ?? answer.problem;
  const search = () => {
    const next = keyOf(kind, pick(draft.value, FILTERS[kind]));
    refused.value = null;
    press(`${next} `);
    if (!isAsked || next !== list) go("search", { of: kind, asked: ASKED, ...given(draft.value) });
    else if (pages.number === 1) answer.again();
    else round.value += 1;
  };
  const change = (name: string, value: string) => {
    draft.value = { ...draft.value, [name]: value };
  };
  return (
    <div class="stack">
      <section class="card" aria-label={t("search")}>
        <div class="card-head">
          <h2>{t("search")}</h2>
          <Choice
            label={t("search.of")}
            options={KINDS.map((each) => ({ key: each, title: t(`search.${each}`) }))}
            chosen={kind}
            onChoose={(next) => go("search", { of: next, ...given(pick(draft.value, SAME)) }, false)}
          />
        </div>
        <p class="quiet">{t(`search.${kind}.text`)}</p>
        <Form label={t("search")} problem={problem} onSubmit={search}>
          <SearchFilters kind={kind} draft={draft.value} onChange={change} isRefused={problem !== null} />
          <ReasonField isNeeded={namesSomebody(draft.value)} />
          <div class="ov-actions">
            <div class="buttons">
              <button type="submit" class="button button-primary">
                {t("search.go")}
              </button>
              <button
                type="button"
                class="button"
                onClick={() => {
                  draft.value = {};
                }}
              >
                {t("search.clear")}
              </button>
            </div>
            <ExportBar
              what={t(`search.${kind}`)}
              path={`/v1/oversight/${kind}/export`}
              query={() => ({
                order: "oldest_first",
                ...given(pick(draft.value, FILTERS[kind])),
                ...reasonTold(),
              })}
              onRefused={(why) => {
                refused.value = why;
              }}
            />
          </div>
        </Form>
      </section>
      {isAsked && (
        <section class="stack" aria-label={t("found")}>
          {kind === "trades" ? (
            <Told answer={trades} isToldAbove>
              {(page) => (
                <Found rows={page.data.length} next={page.next_cursor} pages={pages}>
                  <TradeTable rows={page.data} />
                </Found>
              )}
            </Told>
          ) : (
            <Told answer={events} isToldAbove>
              {(page) => (
                <Found rows={page.data.length} next={page.next_cursor} pages={pages}>
                  <EventTable rows={page.data} />
                </Found>
              )}
            </Told>
          )}
          {answer.data === null && !answer.isBusy && problem === null && (
            <EmptyState title={t("reason.wanted")}>{t("reason.wanted.text")}</EmptyState>
          )}
        </section>
      )}
    </div>
  );
}

/** The filters that mean the same of trades and of records. */
const SAME = FILTERS.trades.filter((name) => FILTERS.events.includes(name));

function Found(props: {
  rows: number;
  next: string | null | undefined;
  pages: ReturnType<typeof usePages>;
  children: preact.ComponentChildren;
}) {
  const { rows, next, pages } = props;
  if (rows === 0 && pages.number === 1)
    return <EmptyState title={t("found.none")}>{t("found.none.text")}</EmptyState>;
  return (
    <>
      <p class="quiet" role="status">
        {t(next == null ? "found.last" : "found.rows", { count: rows, page: pages.number })}
      </p>
      {props.children}
      <Pager pages={pages} next={next} />
    </>
  );
}
