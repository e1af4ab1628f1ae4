/** Changing a live ask: only a smaller quantity keeps its place in the queue, and the dialog says so beforehand. */
import { useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { act, api, Intent, keyed, type Schemas } from "../../api/client";
import { Problem } from "../../api/problem";
import { toast } from "../../components/announcer";
import { Dialog } from "../../components/dialog";
import { Field, Form } from "../../components/form";
import { HourInput, hourText } from "../../components/hour_input";
import { catalogue, formatNumber, t as shared } from "../../i18n";
import type { Order } from "./data";
import en from "./en.json";
import { whole } from "./list_form";
import zh from "./zh.json";

const t = catalogue(en, zh);

interface Draft {
  gpus: string;
  price: string;
  from: number | null;
  until: number | null;
}

function draftOf(order: Order): Draft {
  return {
    gpus: String(order.quantity_gpus),
    price: order.price_cny_per_gpu_hour,
    from: Date.parse(order.starts_at),
    until: Date.parse(order.ends_at),
  };
}

/** What the draft changes; what stays is not named. */
function changesOf(order: Order, draft: Draft): Schemas["AmendOrder"] {
  const was = draftOf(order);
  return {
    ...(draft.gpus.trim() !== was.gpus ? { quantity_gpus: whole(draft.gpus) } : {}),
    ...(draft.price.trim() !== was.price ? { price_cny_per_gpu_hour: draft.price.trim() } : {}),
    ...(draft.from !== was.from ? { starts_at: draft.from === null ? "" : hourText(draft.from) } : {}),
    ...(draft.until !== was.until ? { ends_at: draft.until === null ? "" : hourText(draft.until) } : {}),
  };
}

export function AmendDialog(props: { order: Order | null; onClose: () => void; onAmended: () => void }) {
  const { order, onClose } = props;
  const draft = useSignal<Draft>({ gpus: "", price: "", from: null, until: null });
  const problem = useSignal<Problem | null>(null);
  const isBusy = useSignal(false);
  const intent = useRef(new Intent());
  useEffect(() => {
    if (order === null) return;
    draft.value = draftOf(order);
    problem.value = null;
  }, [order?.id]);
  const set = (changed: Partial<Draft>) => {
    draft.value = { ...draft.value, ...changed };
  };
  if (order === null) {
    return (
      <Dialog title={t("amend.title")} isOpen={false} onClose={onClose}>
        {null}
      </Dialog>
    );
  }
  const wanted = changesOf(order, draft.value);
  const names = Object.keys(wanted);
  const gpus = wanted.quantity_gpus;
  const keeps = names.length === 1 && typeof gpus === "number" && gpus < order.quantity_gpus;
  const submit = async () => {
    if (names.length === 0) {
      onClose();
      return;
    }
    if (isBusy.value) return;
    isBusy.value = true;
    problem.value = null;
    const body = { ...wanted, expected_filled_gpu_hours: order.filled_gpu_hours };
    try {
      const told = await act(intent.current, [order.id, body], (key) =>
        api.PATCH("/v1/orders/{order_id}", {
          params: { path: { order_id: order.id }, header: keyed(key) },
          body,
        }),
      );
      toast(t(told.priority === "kept" ? "amended.kept" : "amended.lost"), "good");
      onClose();
      props.onAmended();
    } catch (failed) {
      if (!(failed instanceof Problem)) throw failed;
      problem.value = failed;
    } finally {
      isBusy.value = false;
    }
  };
  return (
    <Dialog title={t("amend.title")} isOpen onClose={onClose}>
      <p>
        {order.product} · {t("amend.sold", { hours: formatNumber(order.filled_gpu_hours) })}
      </p>
      <Form label={t("amend.title")} problem={problem.value} onSubmit={() => void submit()}>
        <div class="fields">
          <Field label={t("gpus")} pointer="/quantity_gpus" hint={t("amend.gpus_hint")}>
            {(control) => (
              <input
                {...control}
                inputMode="numeric"
                autocomplete="off"
                value={draft.value.gpus}
                onInput={(event) => set({ gpus: event.currentTarget.value })}
              />
            )}
          </Field>
          <Field label={t("price")} pointer="/price_cny_per_gpu_hour" unit={shared("unit.cny_gpu_hour")}>
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
          <Field label={t("from")} pointer="/starts_at">
            {(control) => (
              <HourInput control={control} value={draft.value.from} onChange={(from) => set({ from })} />
            )}
          </Field>
          <Field label={t("until")} pointer="/ends_at">
            {(control) => (
              <HourInput control={control} value={draft.value.until} onChange={(until) => set({ until })} />
            )}
          </Field>
        </div>
        <p class={keeps || names.length === 0 ? "notice" : "notice notice-busy"} aria-live="polite">
          {names.length === 0 ? t("amend.nothing") : t(keeps ? "amend.keeps" : "amend.loses")}
        </p>
        <div class="buttons buttons-end">
          <button type="button" class="button" onClick={onClose}>
            {shared("cancel")}
          </button>
          <button type="submit" class="button button-primary" disabled={isBusy.value || names.length === 0}>
            {t("amend.confirm")}
          </button>
        </div>
      </Form>
    </Dialog>
  );
}
