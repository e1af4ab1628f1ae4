/** Changing a live ask: only a smaller quantity keeps its place in the queue, and the dialog says so beforehand. */
import { toast } from "../../components/announcer";
import { Dialog } from "../../components/dialog";
import { Field, Form } from "../../components/form";
import { HourTextInput } from "../../components/hour_input";
import { catalogue, formatNumber, t as shared } from "../../i18n";
import { useAmendment } from "../../orders/amendment";
import type { Order } from "./data";
import en from "./en.json";
import zh from "./zh.json";

const t = catalogue(en, zh);

export function Amend(props: { order: Order; onClose: () => void; onAmended: () => void }) {
  const { order, wish, change, effect, ...amendment } = useAmendment(props.order, (amended) => {
    toast(t(amended.priority === "kept" ? "amended.kept" : "amended.lost"), "good");
    props.onAmended();
    props.onClose();
  });
  return (
    <Dialog title={t("amend.title")} isOpen onClose={props.onClose}>
      <p>
        {order.product} · {t("amend.sold", { hours: formatNumber(order.filled_gpu_hours) })}
      </p>
      <Form label={t("amend.title")} problem={amendment.problem} onSubmit={() => void amendment.submit()}>
        <div class="fields">
          <Field label={t("gpus")} pointer="/quantity_gpus" hint={t("amend.gpus_hint")}>
            {(control) => (
              <input
                {...control}
                inputMode="numeric"
                autocomplete="off"
                value={wish.quantity}
                onInput={(event) => change({ quantity: event.currentTarget.value })}
              />
            )}
          </Field>
          <Field label={t("price")} pointer="/price_cny_per_gpu_hour" unit={shared("unit.cny_gpu_hour")}>
            {(control) => (
              <input
                {...control}
                inputMode="decimal"
                autocomplete="off"
                value={wish.price}
                onInput={(event) => change({ price: event.currentTarget.value })}
              />
            )}
          </Field>
          <Field label={t("from")} pointer="/starts_at">
            {(control) => (
              <HourTextInput
                control={control}
                value={wish.starts_at}
                onChange={(at) => change({ starts_at: at })}
              />
            )}
          </Field>
          <Field label={t("until")} pointer="/ends_at">
            {(control) => (
              <HourTextInput
                control={control}
                value={wish.ends_at}
                onChange={(at) => change({ ends_at: at })}
              />
            )}
          </Field>
        </div>
        <p class={effect === "lost" ? "notice notice-busy" : "notice"} aria-live="polite">
          {t(`amend.${effect}`)}
        </p>
        <div class="buttons buttons-end">
          <button type="button" class="button" onClick={props.onClose}>
            {shared("cancel")}
          </button>
          <button
            type="submit"
            class="button button-primary"
            disabled={amendment.isBusy || effect === "none"}
          >
            {t("amend.confirm")}
          </button>
        </div>
      </Form>
    </Dialog>
  );
}
