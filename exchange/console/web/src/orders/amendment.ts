/**
 * Changing an order, bid or ask: what the reader changes is judged by the order as the reader sees it.
 *
 * Fills that come in between would change what is amended: then the exchange changes nothing, the order is read again,
 * and the reader decides anew by what is so now.
 */
import { useSignal } from "@preact/signals";
import { useRef } from "preact/hooks";
import { act, api, keyed, read, type Schemas } from "../api/client";
import { hoursBetween, wholeHoursBetween } from "../api/hours";
import { Intent } from "../api/intent";
import { wholeOrText } from "../api/numbers";
import { Problem } from "../api/problem";
import { fenOf } from "../i18n/money";

type Order = Schemas["OrderView"];
type Changes = Schemas["AmendOrder"];

/** What the reader has typed; hours as the exchange writes them, "" for none. */
export interface Wish {
  quantity: string;
  price: string;
  starts_at: string;
  ends_at: string;
  /** How long a bid runs within a wider window. */
  hours: string;
}

/** What changes do to the order's place in the queue of its price. */
export type Effect = "none" | "kept" | "lost";

export interface Amendment {
  /** The order as it was read last. */
  order: Order;
  /** Whether it may run at several times within its window. */
  isFlexible: boolean;
  wish: Wish;
  change: (part: Partial<Wish>) => void;
  effect: Effect;
  problem: Problem | null;
  isBusy: boolean;
  submit: () => Promise<void>;
}

export function useAmendment(begun: Order, onAmended: (order: Order) => void): Amendment {
  const latest = useSignal(begun);
  const wish = useSignal<Wish>(wishOf(begun));
  const problem = useSignal<Problem | null>(null);
  const isBusy = useSignal(false);
  const intent = useRef(new Intent());
  const order = latest.value;
  const params = { path: { order_id: order.id } };
  const changes = changesOf(order, wish.value);
  const effect = effectOf(order, changes);
  const isSame = effect === "none";
  const again = async () => {
    try {
      latest.value = await read(() => api.GET("/v1/orders/{order_id}", { params }));
    } catch (failure) {
      if (!(failure instanceof Problem)) throw failure;
    }
  };
  const submit = async () => {
    if (isSame || isBusy.value) return;
    isBusy.value = true;
    const body: Changes = { ...changes, expected_filled_gpu_hours: order.filled_gpu_hours };
    try {
      const amended = await act(intent.current, { id: order.id, body }, (key) =>
        api.PATCH("/v1/orders/{order_id}", { params: { ...params, header: keyed(key) }, body }),
      );
      onAmended(amended);
    } catch (refusal) {
      if (!(refusal instanceof Problem)) throw refusal;
      if (refusal.code === "order_changed") await again();
      problem.value = refusal;
    } finally {
      isBusy.value = false;
    }
  };
  return {
    order,
    isFlexible: isFlexible(order),
    wish: wish.value,
    change: (part) => {
      problem.value = null;
      wish.value = { ...wish.peek(), ...part };
    },
    effect,
    problem: problem.value,
    isBusy: isBusy.value,
    submit,
  };
}

/** What changes nothing. */
export function wishOf(order: Order): Wish {
  return {
    quantity: String(order.quantity_gpus),
    price: order.price_cny_per_gpu_hour,
    starts_at: order.starts_at,
    ends_at: order.ends_at,
    hours: String(order.hours),
  };
}

/** An ask is for its whole window, in parts or not: only a bid has a length of its own. */
function isFlexible(order: Order): boolean {
  return order.side === "buy" && order.hours !== hoursBetween(order.starts_at, order.ends_at);
}

/** What is different; of a bid without a wider window the length goes with its ends. What stays is not named. */
export function changesOf(order: Order, wish: Wish): Changes {
  const gpus = wholeOrText(wish.quantity);
  const isMoved = wish.starts_at !== order.starts_at || wish.ends_at !== order.ends_at;
  const span = wholeHoursBetween(wish.starts_at, wish.ends_at);
  const hours = isFlexible(order) ? wholeOrText(wish.hours) : isMoved ? (span ?? order.hours) : order.hours;
  return {
    ...(gpus !== order.quantity_gpus && { quantity_gpus: gpus }),
    ...(fenOf(wish.price) !== fenOf(order.price_cny_per_gpu_hour) && {
      price_cny_per_gpu_hour: wish.price.trim(),
    }),
    ...(wish.starts_at !== order.starts_at && { starts_at: wish.starts_at }),
    ...(wish.ends_at !== order.ends_at && { ends_at: wish.ends_at }),
    ...(order.side === "buy" && hours !== order.hours && { hours }),
  };
}

/** Only a smaller quantity, and nothing else, keeps the order's place. */
export function effectOf(order: Order, changes: Changes): Effect {
  const names = Object.keys(changes);
  if (names.length === 0) return "none";
  const gpus = changes.quantity_gpus;
  const isSmaller = typeof gpus === "number" && gpus < order.quantity_gpus;
  return names.length === 1 && isSmaller ? "kept" : "lost";
}
