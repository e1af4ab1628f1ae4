/** Listing capacity by form: an ask, previewed before it is placed. */

import { useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { useCatalogue } from "../../api/catalogue";
import { act, api, once, type Schemas } from "../../api/client";
import { DAY_MS, HOUR_MS } from "../../api/hours";
import { whole, wholeOrText } from "../../api/numbers";
import { Problem } from "../../api/problem";
import { toast } from "../../components/announcer";
import { Confirm } from "../../components/dialog";
import { useDraft } from "../../components/drafts";
import { Field, Form } from "../../components/form";
import { HourInput, hourText } from "../../components/hour_input";
import { Restored } from "../../components/restored";
import { Failure } from "../../components/states";
import { Figure, Money, Time } from "../../components/values";
import { catalogue, cnyOf, fenOf, formatHours, formatMoney, formatNumber, t as shared } from "../../i18n";
import { type Product, useProducts } from "./data";
import en from "./en.json";
import zh from "./zh.json";

const t = catalogue(en, zh);

type NewOrder = Schemas["NewOrder"];
type Preview = Schemas["PreviewView"];

/** Hours of a product that the provider chose elsewhere on the page; milliseconds since the epoch. */
export interface Wish {
  product: string;
  from: number;
  until: number;
}

interface Draft {
  product: string;
  gpus: string;
  from: number | null;
  until: number | null;
  price: string;
  minHours: string;
  forStartups: boolean;
  expires: number | null;
  postOnly: boolean;
}

/** The order that a draft means. What is empty is left out, and the exchange names it. */
function bodyOf(draft: Draft, clientOrderId: string): NewOrder {
  return {
    client_order_id: clientOrderId,
    product: (draft.product || undefined) as string,
    side: "sell",
    quantity_gpus: (draft.gpus.trim() ? wholeOrText(draft.gpus) : undefined) as number,
    starts_at: (draft.from === null ? undefined : hourText(draft.from)) as string,
    ends_at: (draft.until === null ? undefined : hourText(draft.until)) as string,
    price_cny_per_gpu_hour: (draft.price.trim() || undefined) as string,
    ...(draft.minHours.trim() ? { min_hours: wholeOrText(draft.minHours) } : {}),
    ...(draft.forStartups ? { reserved_for: ["startup" as const] } : {}),
    ...(draft.expires === null ? {} : { time_in_force: "gtd" as const, expires_at: hourText(draft.expires) }),
    ...(draft.postOnly ? { post_only: true } : {}),
  };
}

/** GPU-hours of a draft, and their price in fen; null while it is not whole. */
function sizeOf(draft: Draft): { hours: number; gpuHours: number; fen: bigint } | null {
  const gpus = whole(draft.gpus);
  const fen = fenOf(draft.price);
  if (draft.from === null || draft.until === null || fen === null || gpus === null) return null;
  const hours = Math.round((draft.until - draft.from) / HOUR_MS);
  if (hours <= 0) return null;
  return { hours, gpuHours: gpus * hours, fen: fen * BigInt(gpus * hours) };
}

export function ListCard(props: { firstHour: number; wish: Wish | null; onListed: () => void }) {
  const products = useProducts();
  const kept = useDraft<Draft>("sell", {
    product: "",
    gpus: "",
    from: props.firstHour,
    until: props.firstHour + DAY_MS,
    price: "",
    minHours: "",
    forStartups: false,
    expires: null,
    postOnly: false,
  });
  const draft = kept.value;
  const problem = useSignal<Problem | null>(null);
  const preview = useSignal<Preview | null>(null);
  const refused = useSignal<Problem | null>(null);
  const isBusy = useSignal(false);
  const card = useRef<HTMLElement>(null);
  const set = (changed: Partial<Draft>) => {
    draft.value = { ...draft.value, ...changed };
  };
  useEffect(() => {
    const { wish } = props;
    if (wish === null) return;
    set({ product: wish.product, from: wish.from, until: wish.until });
    card.current?.scrollIntoView({ block: "nearest" });
    card.current?.querySelector<HTMLInputElement>("input[name=gpus]")?.focus();
  }, [props.wish]);

  const names = useCatalogue().value;
  const known = products.data.value?.data ?? [];
  const product = known.find((each) => each.id === draft.value.product);
  const size = sizeOf(draft.value);

  const check = async () => {
    if (isBusy.value) return;
    isBusy.value = true;
    problem.value = null;
    try {
      // It was agreed to already, and may have been listed: a preview would take it for another order beside it.
      if (kept.intent.hasSent(draft.value)) {
        await place();
        return;
      }
      // A preview looks up no id; the order gets its own when it is placed.
      const seen = await once(() => api.POST("/v1/orders/preview", { body: bodyOf(draft.value, "preview") }));
      if (seen.refusal) {
        const { code, detail, errors } = seen.refusal;
        throw new Problem(409, code, detail, errors, false, false, null);
      }
      refused.value = null;
      preview.value = seen;
    } catch (failed) {
      if (!(failed instanceof Problem)) throw failed;
      problem.value = failed;
    } finally {
      isBusy.value = false;
    }
  };
  const place = async () => {
    const wanted = draft.value;
    try {
      const order = await act(kept.intent, wanted, (key) =>
        api.POST("/v1/orders", { body: bodyOf(wanted, key) }),
      );
      toast(
        t("listed", { gpus: order.quantity_gpus, product: order.product, sold: order.filled_gpu_hours }),
        "good",
      );
      kept.begin({ ...wanted, gpus: "" });
      props.onListed();
    } catch (failed) {
      if (!(failed instanceof Problem)) throw failed;
      refused.value = failed;
      throw failed;
    }
  };

  return (
    <section class="card" ref={card}>
      <h2>{t("list")}</h2>
      <Form label={t("list")} problem={problem.value} onSubmit={() => void check()}>
        <Restored
          draft={kept}
          onDiscard={() => {
            problem.value = null;
          }}
        />
        <Field
          label={t("product")}
          pointer="/product"
          {...(draft.value.product ? { hint: <code>{draft.value.product}</code> } : {})}
        >
          {(control) => (
            <select
              {...control}
              value={draft.value.product}
              onChange={(event) => set({ product: event.currentTarget.value })}
            >
              <option value="">{t("product.choose")}</option>
              {known.map((each) => (
                <option key={each.id} value={each.id}>
                  {names?.product(each.id) ?? each.id}
                </option>
              ))}
            </select>
          )}
        </Field>
        <div class="fields">
          <Field label={t("gpus")} pointer="/quantity_gpus" hint={product ? lotHint(product) : undefined}>
            {(control) => (
              <input
                {...control}
                name="gpus"
                inputMode="numeric"
                autocomplete="off"
                value={draft.value.gpus}
                onInput={(event) => set({ gpus: event.currentTarget.value })}
              />
            )}
          </Field>
          <Field
            label={t("price")}
            pointer="/price_cny_per_gpu_hour"
            unit={shared("unit.cny_gpu_hour")}
            hint={
              product
                ? t("price.hint", { price: formatMoney(product.reference_price_cny_per_gpu_hour) })
                : undefined
            }
          >
            {(control) => (
              <input
                {...control}
                inputMode="decimal"
                autocomplete="off"
                value={draft.value.price}
                onInput={(event) => set({ price: event.currentTarget.value })}
              />
            )}
          </Field>
        </div>
        <div class="fields">
          <Field label={t("from")} pointer="/starts_at">
            {(control) => (
              <HourInput
                control={control}
                value={draft.value.from}
                min={props.firstHour}
                onChange={(from) => set({ from })}
              />
            )}
          </Field>
          <Field
            label={t("until")}
            pointer="/ends_at"
            hint={size === null ? undefined : formatHours(size.hours)}
          >
            {(control) => (
              <HourInput control={control} value={draft.value.until} onChange={(until) => set({ until })} />
            )}
          </Field>
        </div>
        <details class="more">
          <summary>{t("terms")}</summary>
          <div class="fields">
            <Field label={t("min_hours")} pointer="/min_hours" hint={t("min_hours.hint")}>
              {(control) => (
                <input
                  {...control}
                  inputMode="numeric"
                  autocomplete="off"
                  value={draft.value.minHours}
                  onInput={(event) => set({ minHours: event.currentTarget.value })}
                />
              )}
            </Field>
            <Field label={t("expires")} pointer="/expires_at" hint={t("expires.hint")}>
              {(control) => (
                <HourInput
                  control={control}
                  value={draft.value.expires}
                  onChange={(expires) => set({ expires })}
                />
              )}
            </Field>
          </div>
          <label class="check">
            <input
              type="checkbox"
              checked={draft.value.forStartups}
              onChange={(event) => set({ forStartups: event.currentTarget.checked })}
            />
            {t("startups")}
          </label>
          <label class="check">
            <input
              type="checkbox"
              checked={draft.value.postOnly}
              onChange={(event) => set({ postOnly: event.currentTarget.checked })}
            />
            {t("post_only")}
          </label>
        </details>
        <p class="quiet" aria-live="polite">
          {size === null
            ? t("size.none")
            : t("size", { hours: formatNumber(size.gpuHours), amount: formatMoney(cnyOf(size.fen)) })}
        </p>
        <button type="submit" class="button button-primary" disabled={isBusy.value}>
          {t("check")}
        </button>
      </Form>
      <Confirm
        title={t("list.title")}
        isOpen={preview.value !== null}
        onClose={() => {
          preview.value = null;
        }}
        onConfirm={place}
        confirmLabel={t("list.confirm")}
      >
        {preview.value !== null && (
          <Seen draft={draft.value} preview={preview.value} name={names?.product(draft.value.product)} />
        )}
        {refused.value && <Failure problem={refused.value} />}
      </Confirm>
    </section>
  );
}

function lotHint(product: Product): string | undefined {
  return product.lot_gpus > 1 ? t("lot", { lot: product.lot_gpus }) : undefined;
}

/** What the ask would do, before it is placed. */
function Seen(props: { draft: Draft; preview: Preview; name: string | undefined }) {
  const { draft, preview, name } = props;
  const size = sizeOf(draft);
  return (
    <>
      <p>
        {t("list.text", { gpus: wholeOrText(draft.gpus), product: name ?? draft.product })}{" "}
        <Time at={hourText(draft.from ?? 0)} /> – <Time at={hourText(draft.until ?? 0)} />
      </p>
      <dl class="figures">
        <Figure label={t("list.offered")}>{formatNumber(size?.gpuHours ?? 0)}</Figure>
        <Figure label={t("price")}>{formatMoney(draft.price.trim())}</Figure>
        <Figure label={t("list.now")}>{formatNumber(preview.filled_gpu_hours)}</Figure>
        <Figure label={t("list.rests")}>{formatNumber(preview.resting_gpu_hours)}</Figure>
      </dl>
      {preview.filled_gpu_hours > 0 && (
        <p class="notice notice-busy">
          <span>
            {t("list.trades", { hours: preview.filled_gpu_hours })} <Money cny={preview.amount_cny} />
            {", "}
            {t("list.fee")} <Money cny={preview.fee_cny} />
          </span>
        </p>
      )}
      <p class="quiet">{t("list.note")}</p>
    </>
  );
}
