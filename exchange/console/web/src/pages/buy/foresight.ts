/**
 * What an order would do if it were placed now, kept up with its form and with the market.
 *
 * A question waits until the form rests; a newer one gives up the one before it, so no stale answer is shown. While the
 * order is one that would be taken, it is asked again every few seconds: the market moves without the form.
 */

import { type ReadonlySignal, useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { api, type Schemas } from "../../api/client";
import { hoursBetween } from "../../api/hours";
import { Problem, problemOf, unanswered } from "../../api/problem";
import { type NewOrder, refused } from "./draft";

export type Preview = Schemas["PreviewView"];
export type Eligibility = Schemas["EligibilityAnswer"];

export interface Foresight {
  preview: Preview;
  /** By which vouchers, and why not by the others; null where the order asks for none. */
  eligibility: Eligibility | null;
}

export interface Outlook {
  /** Of the form as it is now; null while that is not known. */
  foresight: Foresight | null;
  /** The last answer, also while the next one is awaited. */
  last: Foresight | null;
  problem: Problem | null;
  isAsked: boolean;
}

const REST_MS = 300;
const AGAIN_MS = 5_000;
const NOTHING: Outlook = { foresight: null, last: null, problem: null, isAsked: false };

/** Ask what would become of an order; throws a `Problem`. */
export async function foresee(order: NewOrder, signal?: AbortSignal): Promise<Foresight> {
  const conditions = signal === undefined ? {} : { signal };
  const preview = await answered(() => api.POST("/v1/orders/preview", { ...conditions, body: order }));
  const eligibility =
    order.vouchers === "none" || order.vouchers == null
      ? null
      : await answered(() =>
          api.POST("/v1/vouchers/eligibility", { ...conditions, body: questionOf(order) }),
        );
  return { preview, eligibility };
}

/** The refusal that a preview foretells, as the order's own answer would have it; null where it would be taken. */
export function foretold(preview: Preview): Problem | null {
  const refusal = preview.refusal;
  return refusal == null ? null : refused(refusal.code, refusal.detail, refusal.errors);
}

/** Follow an order; null while the form has no whole one. A new `version` asks again. */
export function useOutlook(order: NewOrder | null, version: number): ReadonlySignal<Outlook> {
  const outlook = useSignal<Outlook>(NOTHING);
  const text = order === null ? "" : JSON.stringify(order);
  useEffect(() => {
    if (text === "") {
      outlook.value = NOTHING;
      return;
    }
    const wanted: NewOrder = JSON.parse(text);
    const running = new AbortController();
    let timer: ReturnType<typeof setTimeout> | undefined;
    const ask = async () => {
      if (document.hidden) {
        timer = setTimeout(ask, AGAIN_MS);
        return;
      }
      try {
        const found = await foresee(wanted, running.signal);
        if (running.signal.aborted) return;
        outlook.value = { foresight: found, last: found, problem: null, isAsked: false };
        timer = setTimeout(ask, AGAIN_MS);
      } catch (problem) {
        if (running.signal.aborted) return;
        if (!(problem instanceof Problem)) throw problem;
        outlook.value = { foresight: null, last: null, problem, isAsked: false };
        // What is wrong with the order stays wrong; only where the exchange was away is it asked again.
        if (problem.isRetryable) timer = setTimeout(ask, AGAIN_MS);
      }
    };
    outlook.value = { ...outlook.peek(), foresight: null, isAsked: true };
    timer = setTimeout(ask, REST_MS);
    return () => {
      running.abort();
      clearTimeout(timer);
    };
  }, [text, version]);
  return outlook;
}

function questionOf(order: NewOrder): Schemas["EligibilityQuestion"] {
  return {
    product: order.product,
    quantity_gpus: order.quantity_gpus,
    hours: order.hours ?? hoursBetween(order.starts_at, order.ends_at),
    price_cny_per_gpu_hour: order.price_cny_per_gpu_hour,
    fill: order.time_in_force === "fok" ? "all_or_none" : (order.fill ?? "partial"),
    vouchers: Array.isArray(order.vouchers) ? order.vouchers : "auto",
  };
}

async function answered<T>(
  call: () => Promise<{ data?: T; error?: unknown; response: Response }>,
): Promise<T> {
  let answer: { data?: T; error?: unknown; response: Response };
  try {
    answer = await call();
  } catch {
    throw unanswered(false);
  }
  if (!answer.response.ok) throw problemOf(answer.response, answer.error);
  return answer.data as T;
}
