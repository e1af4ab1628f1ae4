/** Buying: hours picked on the calendar or by the form, what would come of it, and the order placed. */
import { batch, type Signal, useSignal } from "@preact/signals";
import { type Catalogue, useCatalogue } from "../../api/catalogue";
import { act, api, type Schemas } from "../../api/client";
import { faultText, Problem } from "../../api/problem";
import { useFirstHour } from "../../api/venue";
import { toast } from "../../components/announcer";
import { Confirm } from "../../components/dialog";
import type { FormDraft } from "../../components/drafts";
import { Form } from "../../components/form";
import { Restored } from "../../components/restored";
import { Loading } from "../../components/states";
import { Money, Time } from "../../components/values";
import { formatHours, t as shared } from "../../i18n";
import { may } from "../../session";
import type { ProductFilter } from "../market/filters";
import { Calendar } from "./calendar";
import { Cheapest } from "./cheapest";
import { type Draft, EMPTY, isAskable, missing, mostCny, orderOf, quantity, runHours } from "./draft";
import { type Foresight, foresee, foretold, useOutlook } from "./foresight";
import { useCash, useOwnVouchers } from "./money";
import { Line, PreviewPanel, Prospect } from "./preview";
import { Conditions, FillFields, TimeFields } from "./terms";
import { t } from "./texts";
import { Vouchers } from "./vouchers";
import { WindowFields } from "./window";

export function Place(props: {
  draft: FormDraft<Draft>;
  filter: Signal<ProductFilter>;
  /** Counts what happened to own orders: each may change what an order would do. */
  version: number;
  onPlaced: (order: Schemas["OrderView"]) => void;
}) {
  const catalogue = useCatalogue().value;
  if (catalogue === null) return <Loading />;
  return <Bid {...props} catalogue={catalogue} />;
}

function Bid(props: {
  draft: FormDraft<Draft>;
  filter: Signal<ProductFilter>;
  version: number;
  onPlaced: (order: Schemas["OrderView"]) => void;
  catalogue: Catalogue;
}) {
  const { catalogue, filter } = props;
  const draft = props.draft.value.value;
  const firstHour = useFirstHour().value;
  const cash = useCash().value;
  const vouchers = new Map(useOwnVouchers().data.value?.data.map((each) => [each.id, each]));
  const problem = useSignal<Problem | null>(null);
  const isBusy = useSignal(false);
  const asked = useSignal<Foresight | null>(null);
  const isMissing = missing(draft) !== null;
  const mayTrade = may("trade");
  const outlook = useOutlook(isMissing || !mayTrade ? null : orderOf(draft), props.version).value;

  const change = (wish: Partial<Draft>) => {
    problem.value = null;
    props.draft.value.value = { ...props.draft.value.peek(), ...wish };
  };
  // What the preview finds wrong stands at its field without a try; a try's own faults come from the form's problem.
  const early = outlook.problem ?? (outlook.foresight && foretold(outlook.foresight.preview));
  const faultAt = (pointer: string): string | null => {
    const fault = early?.faults.find((each) => each.pointer === pointer);
    return fault === undefined ? null : faultText(fault);
  };
  const voucherFault = problem.value?.faultAt("/vouchers") ?? faultAt("/vouchers");

  /** Ask once more what would come of the order as it is now, and show it before anything is done. */
  const review = async () => {
    problem.value = missing(draft);
    if (problem.value !== null) return;
    if (isBusy.value) return;
    isBusy.value = true;
    try {
      // It was agreed to already, and may have been placed: a preview would take it for another order beside it.
      if (props.draft.intent.hasSent(orderOf(draft))) {
        await place();
        return;
      }
      const found = await foresee(orderOf(draft));
      problem.value = foretold(found.preview);
      if (problem.value === null) asked.value = found;
    } catch (refusal) {
      if (!(refusal instanceof Problem)) throw refusal;
      problem.value = refusal;
    } finally {
      isBusy.value = false;
    }
  };
  const place = async () => {
    try {
      const order = await act(props.draft.intent, orderOf(draft), (key) =>
        api.POST("/v1/orders", { body: orderOf(draft, key) }),
      );
      toast(t("placed", { status: shared(`status.${order.status}`) }), "good");
      props.draft.begin({ ...draft, quantity: "", price: "" });
      props.onPlaced(order);
    } catch (refusal) {
      if (!(refusal instanceof Problem)) throw refusal;
      batch(() => {
        asked.value = null;
        problem.value = refusal;
      });
    }
  };
  const askable = isAskable(draft, catalogue.products.get(draft.product), firstHour);
  const terms = { draft, faultAt, onChange: change };
  return (
    <>
      <Calendar
        draft={draft}
        filter={filter.value}
        onFilter={(wish) => {
          filter.value = { ...filter.value, ...wish };
        }}
        onPick={(product, starts_at, ends_at) => change({ product, starts_at, ends_at })}
        catalogue={catalogue}
        firstHour={firstHour}
      />
      <div class="buy-columns">
        <section class="card" aria-labelledby="buy-form">
          <h2 id="buy-form">{t("order")}</h2>
          {!mayTrade && <p class="notice notice-busy">{t("no_trade")}</p>}
          <Form label={t("order")} problem={problem.value} onSubmit={() => void review()}>
            <Restored
              draft={props.draft}
              onDiscard={() => {
                problem.value = null;
              }}
            />
            <WindowFields {...terms} catalogue={catalogue} filter={filter.value} firstHour={firstHour} />
            {askable && (
              <Cheapest
                product={draft.product}
                starts_at={draft.starts_at}
                ends_at={draft.ends_at}
                hours={runHours(draft) ?? 1}
                gpus={quantity(draft) ?? 1}
                isFlexible={draft.isFlexible}
                limit={draft.price.trim()}
                onLimit={(price) => change({ price })}
              />
            )}
            <div class="fields">
              <TimeFields {...terms} />
              <FillFields {...terms} />
            </div>
            <Conditions {...terms} />
            <Vouchers
              draft={draft}
              foresight={outlook.foresight ?? outlook.last}
              fault={voucherFault}
              onChange={change}
            />
            <div class="buy-actions">
              <button type="submit" class="button button-primary" disabled={!mayTrade || isBusy.value}>
                {t("review")}
              </button>
              <button
                type="button"
                class="button"
                onClick={() => {
                  problem.value = null;
                  props.draft.begin(EMPTY);
                }}
              >
                {t("clear")}
              </button>
            </div>
          </Form>
        </section>
        <PreviewPanel outlook={outlook} cash={cash} vouchers={vouchers} isMissing={isMissing} />
      </div>
      <Confirm
        title={t("confirm")}
        isOpen={asked.value !== null}
        onClose={() => {
          asked.value = null;
        }}
        onConfirm={place}
        confirmLabel={t("confirm.place")}
      >
        {asked.value !== null && (
          <>
            <p>
              <strong>{catalogue.product(draft.product)}</strong>
            </p>
            <p>
              {shared("unit.gpus", { count: quantity(draft) ?? 0 })} · {formatHours(runHours(draft) ?? 0)}
              {draft.isFlexible && ` ${t("confirm.within")}`} · <Time at={draft.starts_at} /> –{" "}
              <Time at={draft.ends_at} />
            </p>
            <dl class="lines">
              <Line label={t("confirm.limit")}>
                <Money cny={draft.price} bare /> {shared("unit.cny_gpu_hour")}
              </Line>
              <Line label={t("confirm.most")} isSum>
                <Money cny={mostCny(draft.price, quantity(draft), runHours(draft))} />
              </Line>
              <Line label={t("free_cash")}>
                <Money cny={cash?.available_cny} />
              </Line>
            </dl>
            <Prospect foresight={asked.value} cash={cash} vouchers={vouchers} />
          </>
        )}
      </Confirm>
    </>
  );
}
