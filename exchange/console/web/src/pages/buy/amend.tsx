/** Changing an order: what keeps its place in the queue and what does not is said before it is done. */
import type { Catalogue } from "../../api/catalogue";
import { wholeHoursBetween } from "../../api/hours";
import { whole } from "../../api/numbers";
import { toast } from "../../components/announcer";
import { Dialog } from "../../components/dialog";
import { Field, Form } from "../../components/form";
import { HourTextInput } from "../../components/hour_input";
import { Money } from "../../components/values";
import { t as shared } from "../../i18n";
import { useAmendment } from "../../orders/amendment";
import { mostCny } from "./draft";
import { useCash } from "./money";
import type { Order } from "./orders";
import { Line } from "./preview";
import { t } from "./texts";

export function Amend(props: {
  order: Order;
  catalogue: Catalogue;
  onClose: () => void;
  onAmended: (order: Order) => void;
}) {
  const { order, isFlexible, wish, change, effect, ...amendment } = useAmendment(props.order, (amended) => {
    toast(t(amended.priority === "kept" ? "amended.kept" : "amended.lost"), "good");
    props.onAmended(amended);
    props.onClose();
  });
  const cash = useCash().value;
  const hours = isFlexible ? whole(wish.hours) : wholeHoursBetween(wish.starts_at, wish.ends_at);
  return (
    <Dialog title={t("amend.title")} isOpen onClose={props.onClose}>
      <p>
        <strong>{props.catalogue.product(order.product)}</strong>{" "}
        <code class="quiet">{order.client_order_id}</code>
      </p>
      <Form label={t("amend.title")} problem={amendment.problem} onSubmit={() => void amendment.submit()}>
        <div class="fields">
          <Field
            label={t("quantity")}
            pointer="/quantity_gpus"
            hint={t("amend.quantity", { filled: order.filled_gpus ?? 0 })}
          >
            {(control) => (
              <input
                {...control}
                type="number"
                min={1}
                value={wish.quantity}
                onInput={(event) => change({ quantity: event.currentTarget.value })}
              />
            )}
          </Field>
          <Field label={t("price")} pointer="/price_cny_per_gpu_hour" hint={shared("unit.cny_gpu_hour")}>
            {(control) => (
              <input
                {...control}
                type="text"
                inputMode="decimal"
                value={wish.price}
                onInput={(event) => change({ price: event.currentTarget.value })}
              />
            )}
          </Field>
          <Field label={t(isFlexible ? "starts.earliest" : "starts")} pointer="/starts_at">
            {(control) => (
              <HourTextInput
                control={control}
                value={wish.starts_at}
                onChange={(at) => change({ starts_at: at })}
              />
            )}
          </Field>
          <Field label={t(isFlexible ? "ends.latest" : "ends")} pointer="/ends_at">
            {(control) => (
              <HourTextInput
                control={control}
                value={wish.ends_at}
                onChange={(at) => change({ ends_at: at })}
              />
            )}
          </Field>
          {isFlexible && (
            <Field label={t("hours")} pointer="/hours">
              {(control) => (
                <input
                  {...control}
                  type="number"
                  min={1}
                  value={wish.hours}
                  onInput={(event) => change({ hours: event.currentTarget.value })}
                />
              )}
            </Field>
          )}
        </div>
        <p class={effect === "lost" ? "notice notice-busy" : "notice"} role="status">
          {t(`amend.${effect}`)}
        </p>
        <dl class="lines">
          <Line label={t("amend.most_before")}>
            <Money cny={mostCny(order.price_cny_per_gpu_hour, order.quantity_gpus, order.hours)} />
          </Line>
          <Line label={t("amend.most")} isSum>
            <Money cny={mostCny(wish.price, whole(wish.quantity), hours)} />
          </Line>
          <Line label={t("free_cash")}>
            <Money cny={cash?.available_cny} />
          </Line>
        </dl>
        <div class="buy-actions">
          <button
            type="submit"
            class="button button-primary"
            disabled={amendment.isBusy || effect === "none"}
          >
            {t(effect === "lost" ? "amend.replace" : "amend.save")}
          </button>
          <button type="button" class="button" onClick={props.onClose}>
            {shared("cancel")}
          </button>
        </div>
      </Form>
    </Dialog>
  );
}
