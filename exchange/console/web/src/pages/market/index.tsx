/** The market: the delivery calendar of what the reader filtered, the indices, and one product opened. */
import { useMemo } from "preact/hooks";
import { type Catalogue, useCatalogue } from "../../api/catalogue";
import { api } from "../../api/client";
import { useQuery } from "../../api/query";
import { useFirstHour } from "../../api/venue";
import { EmptyState, Failure, Loading } from "../../components/states";
import { CalendarMap } from "./calendar_map";
import { inOrder, useCalendars } from "./calendars";
import { Filters } from "./filters";
import { IndexStrip } from "./indices";
import { Overview } from "./overview";
import { ProductPanel } from "./product_panel";
import { type MarketState, useMarketState } from "./state";
import "./style.css";
import { t } from "./texts";

const EVERY_S = 2;

export default function MarketPage() {
  const catalogue = useCatalogue().value;
  const [state, change] = useMarketState();
  return (
    <div class="page">
      <header class="page-head">
        <div>
          <h1>{t("title")}</h1>
          <p class="lead">{t("lead")}</p>
        </div>
        <IndexStrip />
      </header>
      {catalogue === null ? (
        <Loading />
      ) : (
        <>
          <Filters state={state} onChange={change} catalogue={catalogue} />
          <Market state={state} change={change} catalogue={catalogue} />
        </>
      )}
    </div>
  );
}

interface MarketProps {
  state: MarketState;
  change: (change: Partial<MarketState>, isStep?: boolean) => void;
  catalogue: Catalogue;
}

function Market({ state, change, catalogue }: MarketProps) {
  const firstHour = useFirstHour().value;
  const calendars = useCalendars(state, firstHour);
  const summaries = useQuery("/v1/market", (conditions) => api.GET("/v1/market", conditions), {
    every_s: EVERY_S,
  });
  const answer = calendars.data.value;
  const rows = useMemo(() => inOrder(answer?.data ?? [], catalogue), [answer, catalogue]);
  const open = (product: string, startsAt: string, hours: number) =>
    change({ product, starts_at: startsAt, hours }, product !== state.product);
  if (answer === null) {
    const problem = calendars.problem.value;
    return problem === null ? <Loading /> : <Failure problem={problem} retry={calendars.refresh} />;
  }
  const shown = { calendars: answer, rows, catalogue, onOpen: open };
  return (
    <>
      {rows.length === 0 ? (
        <EmptyState title={t("empty")}>{t("empty.text")}</EmptyState>
      ) : state.view === "map" ? (
        <CalendarMap {...shown} state={state} />
      ) : (
        <Overview
          {...shown}
          product={state.product}
          summaries={new Map(summaries.data.value?.data.map((each) => [each.product, each]))}
        />
      )}
      {state.product !== "" && !catalogue.products.has(state.product) && (
        <EmptyState title={t("no_product")}>{state.product}</EmptyState>
      )}
      {catalogue.products.has(state.product) && (
        <ProductPanel
          state={state}
          onChange={change}
          catalogue={catalogue}
          calendar={rows.find((each) => each.product === state.product)}
          startsAt={Date.parse(answer.starts_at)}
        />
      )}
    </>
  );
}
