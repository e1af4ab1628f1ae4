/** Where the hours are picked: the delivery calendar of the products that the filters admit. */

import { useSignal } from "@preact/signals";
import { useMemo } from "preact/hooks";
import type { Catalogue } from "../../api/catalogue";
import { HOUR_MS } from "../../api/hours";
import { hourText } from "../../components/hour_input";
import { EmptyState, Failure, Loading } from "../../components/states";
import { Choice } from "../../components/tabs";
import { CalendarMap } from "../market/calendar_map";
import { inOrder, useCalendars } from "../market/calendars";
import { type ProductFilter, ProductFilters } from "../market/filters";
import { SPANS, type Span } from "../market/state";
import { type Draft, windowHours } from "./draft";
import { t } from "./texts";

export function Calendar(props: {
  draft: Draft;
  filter: ProductFilter;
  onFilter: (change: Partial<ProductFilter>) => void;
  onPick: (product: string, startsAt: string, endsAt: string) => void;
  catalogue: Catalogue;
  firstHour: number | null;
}) {
  const { draft, catalogue, filter } = props;
  const span = useSignal<Span>("7");
  const calendars = useCalendars({ ...filter, span: span.value }, props.firstHour);
  const answer = calendars.data.value;
  const rows = useMemo(() => inOrder(answer?.data ?? [], catalogue), [answer, catalogue]);
  return (
    <section class="card" aria-labelledby="buy-calendar">
      <div class="card-head">
        <div>
          <h2 id="buy-calendar">{t("calendar")}</h2>
          <p class="quiet">{t(draft.isFlexible ? "calendar.text.flexible" : "calendar.text")}</p>
        </div>
        <Choice
          label={t("span")}
          options={SPANS.map((key) => ({ key, title: t("days", { count: Number(key) }) }))}
          chosen={span.value}
          onChoose={(next) => {
            span.value = next;
          }}
        />
      </div>
      <search class="buy-filters" aria-label={t("filters")}>
        <ProductFilters wanted={filter} onChange={props.onFilter} catalogue={catalogue} />
      </search>
      {answer === null ? (
        calendars.problem.value === null ? (
          <Loading />
        ) : (
          <Failure problem={calendars.problem.value} retry={calendars.refresh} />
        )
      ) : rows.length === 0 ? (
        <EmptyState title={t("calendar.empty")}>{t("calendar.empty.text")}</EmptyState>
      ) : (
        <CalendarMap
          calendars={answer}
          rows={rows}
          catalogue={catalogue}
          help={t("calendar.help")}
          state={{
            show: "ask",
            span: span.value,
            product: draft.product,
            starts_at: draft.starts_at,
            hours: windowHours(draft) ?? 1,
          }}
          onOpen={(product, startsAt, hours) =>
            props.onPick(product, startsAt, hourText(Date.parse(startsAt) + hours * HOUR_MS))
          }
        />
      )}
    </section>
  );
}
