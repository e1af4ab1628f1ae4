/** Changing an order: what keeps its place in the queue and what does not is said before it is done. */
import { useSignal } from "@preact/signals";
import { useRef } from "preact/hooks";
import type { Catalogue } from "../../api/catalogue";
import { act, api, Intent, keyed, read, type Schemas } from "../../api/client";
import { Problem } from "../../api/problem";
import { toast } from "../../components/announcer";
import { Dialog } from "../../components/dialog";
import { Field, Form } from "../../components/form";
import { HourTextInput } from "../../components/hour_input";
import { Money } from "../../components/values";
import { fenOf, t as shared } from "../../i18n";
import { mostCny } from "./draft";
import { useCash } from "./money";
import type { Order } from "./orders";
import { Line } from "./preview";
import { t } from "./texts";

type Changes = Schemas["AmendOrder"];

interface Wish {
  quantity: string;
  price: string;
  starts_at: string;
  ends_at: string;
  hours: string;
}

export function Amend(props: {
  order: Order;
  catalogue: Catalogue;
  onClose: () => void;
  onAmended: (order: Order) => void;
}) {
  // Read again where it was filled meanwhile: what the reader changes is then judged by what is so now.
  const latest = useSignal<Order>(props.order);
  const order = latest.value;
  const wish = useSignal<Wish>({
    quantity: String(order.quantity_gpus),
    price: order.price_cny_per_gpu_hour,
    starts_at: order.starts_at,
    ends_at: order.ends_at,
    hours: String(order.hours),
  });
  const problem = useSignal<Problem | null>(null);
  const isBusy = useSignal(false);
  const intent = useRef(new Intent());
  const cash = useCash().value;
  const now = wish.value;
  const span = (Date.parse(order.ends_at) - Date.parse(order.starts_at)) / 3_600_000;
  const isFlexible = order.hours !== span;
  const changes = changesOf(order, now, isFlexible);
  const effect = effectOf(order, changes);
  const change = (part: Partial<Wish>) => {
    problem.value = null;
    wish.value = { ...wish.peek(), ...part };
  };
  const again = async () => {
    try {
      const params = { path: { order_id: order.id } };
      latest.value = await read(() => api.GET("/v1/orders/{order_id}", { params }));
    } catch (failure) {
      if (!(failure instanceof Problem)) throw failure;
    }
  };
  const submit = async () => {
    if (effect === "none") return;
    if (isBusy.value) return;
    isBusy.value = true;
    // Fills that come in between would change what is amended: then nothing is, and the reader decides anew.
    const body: Changes = { ...changes, expected_filled_gpu_hours: order.filled_gpu_hours };
    try {
      const amended = await act(intent.current, { id: order.id, body }, (key) =>
        api.PATCH("/v1/orders/{order_id}", {
          params: { path: { order_id: order.id }, header: keyed(key) },
          body,
        }),
      );
      toast(t(amended.priority === "kept" ? "amended.kept" : "amended.lost"), "good");
      props.onAmended(amended);
      props.onClose();
    } catch (refusal) {
      if (!(refusal instanceof Problem)) throw refusal;
      if (refusal.code === "order_changed") await again();
      problem.value = refusal;
    } finally {
      isBusy.value = false;
    }
  };
  const hours = isFlexible ? Number(now.hours) || null : spanOf(now);
  return (
    <Dialog title={t("amend.title")} isOpen onClose={props.onClose}>
      <p>
        <strong>{props.catalogue.product(order.product)}</strong>{" "}
        <code class="quiet">{order.client_order_id}</code>
      </p>
      <Form label={t("amend.title")} problem={problem.value} onSubmit={() => void submit()}>
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
                value={now.quantity}
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
                value={now.price}
                onInput={(event) => change({ price: event.currentTarget.value })}
              />
            )}
          </Field>
          <Field label={t(isFlexible ? "starts.earliest" : "starts")} pointer="/starts_at">
            {(control) => (
              <HourTextInput
                control={control}
                value={now.starts_at}
                onChange={(at) => change({ starts_at: at })}
              />
            )}
          </Field>
          <Field label={t(isFlexible ? "ends.latest" : "ends")} pointer="/ends_at">
            {(control) => (
              <HourTextInput
                control={control}
                value={now.ends_at}
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
                  value={now.hours}
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
            <Money cny={mostCny(now.price, Number(now.quantity) || null, hours)} />
          </Line>
          <Line label={t("free_cash")}>
            <Money cny={cash?.available_cny} />
          </Line>
        </dl>
        <div class="buy-actions">
          <button type="submit" class="button button-primary" disabled={isBusy.value || effect === "none"}>
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

function spanOf(wish: Wish): number | null {
  const hours = (Date.parse(wish.ends_at) - Date.parse(wish.starts_at)) / 3_600_000;
  return Number.isInteger(hours) && hours > 0 ? hours : null;
}

/** The fields that are different; of a run without a wider window the length goes with its ends. */
function changesOf(order: Order, wish: Wish, isFlexible: boolean): Changes {
  const [gpus, hours] = [Number(wish.quantity), Number(wish.hours)];
  const isMoved = wish.starts_at !== order.starts_at || wish.ends_at !== order.ends_at;
  const span = spanOf(wish);
  return {
    ...(gpus !== order.quantity_gpus && { quantity_gpus: gpus }),
    ...(fenOf(wish.price) !== fenOf(order.price_cny_per_gpu_hour) && {
      price_cny_per_gpu_hour: wish.price.trim(),
    }),
    ...(wish.starts_at !== order.starts_at && { starts_at: wish.starts_at }),
    ...(wish.ends_at !== order.ends_at && { ends_at: wish.ends_at }),
    ...(isFlexible && hours !== order.hours && { hours }),
    ...(!isFlexible && isMoved && span !== null && span !== order.hours && { hours: span }),
  };
}

function effectOf(order: Order, changes: Changes): "none" | "kept" | "lost" {
  const names = Object.keys(changes);
  if (names.length === 0) return "none";
  const isSmaller = changes.quantity_gpus !== undefined && changes.quantity_gpus < order.quantity_gpus;
  return names.length === 1 && isSmaller ? "kept" : "lost";
}
