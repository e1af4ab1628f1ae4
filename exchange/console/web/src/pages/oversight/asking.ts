/**
 * Questions to the record. Each is itself recorded, so none is asked twice by itself: what was answered is kept while
 * somebody is logged in, and going back shows it again. Nothing is polled.
 *
 * The reason is typed once for all questions and stands on every tab; it is never part of the page's own address. A
 * question that needs one is not asked by opening an address alone: its reader says why, and presses.
 */
import { effect, signal, useSignal } from "@preact/signals";
import type { FetchResponse } from "openapi-fetch";
import { useEffect, useRef } from "preact/hooks";
import { read } from "../../api/client";
import { Problem } from "../../api/problem";
import { session } from "../../session";

export const reason = signal("");

/** The reason as a parameter; none where nothing can be seen of it. */
export function reasonTold(): { reason?: string } {
  const text = reason.peek().trim();
  return text === "" ? {} : { reason: text };
}

/** The parameters by which a question is about somebody, so that it needs a reason. */
const NAMING = ["participant", "buyer", "provider", "trade_group"];

export function namesSomebody(filters: Readonly<Record<string, string>>): boolean {
  return NAMING.some((name) => (filters[name] ?? "") !== "");
}

const KEPT_MAX = 100;
const kept = new Map<string, unknown>();
let pressed: string | null = null;

let asker = session.peek();
effect(() => {
  if (session.value === asker) return;
  asker = session.value;
  // Somebody else has other reasons, and may see other answers.
  forgetAnswers();
  reason.value = "";
});

/** Forget what was answered: it has changed by what was done. */
export function forgetAnswers(beginning = ""): void {
  for (const key of [...kept.keys()]) if (key.startsWith(beginning)) kept.delete(key);
}

function keep(key: string, data: unknown): void {
  kept.delete(key);
  kept.set(key, data);
  const oldest = kept.keys().next().value;
  if (kept.size > KEPT_MAX && oldest !== undefined) kept.delete(oldest);
}

/** Say that the reader wants this question asked now, even where it was answered before. */
export function press(key: string): void {
  kept.delete(key);
  pressed = key;
}

// biome-ignore lint/suspicious/noExplicitAny: any route's answer; `useAnswer` keeps its type
type Called = FetchResponse<any, any, any>;

export interface Answer<T> {
  /** The last answer; while another is awaited, still the one before. */
  data: T | null;
  problem: Problem | null;
  isBusy: boolean;
  /** Ask it again, now. */
  again: () => void;
}

interface Known<T> {
  data: T | null;
  problem: Problem | null;
  isBusy: boolean;
}

const NOTHING = { data: null, problem: null, isBusy: false };

/** The answer to a question by its key, which says everything the call depends on but the reason; null asks nothing. */
export function useAnswer<T>(
  key: string | null,
  call: (options: { signal: AbortSignal }) => Promise<Called & { data?: T }>,
  options: { needsReason?: boolean } = {},
): Answer<T> {
  const known = useSignal<Known<T>>(NOTHING);
  const running = useRef<AbortController | null>(null);
  const ask = (asked: string) => {
    running.current?.abort();
    const own = new AbortController();
    running.current = own;
    known.value = { data: known.peek().data, problem: null, isBusy: true };
    read(() => call({ signal: own.signal })).then(
      (data) => {
        if (own.signal.aborted) return;
        keep(asked, data);
        known.value = { data: data as T, problem: null, isBusy: false };
      },
      (failed: unknown) => {
        if (own.signal.aborted) return;
        if (!(failed instanceof Problem)) throw failed;
        known.value = { data: null, problem: failed, isBusy: false };
      },
    );
  };
  useEffect(() => {
    const before = key === null ? undefined : kept.get(key);
    const isPressed = key !== null && pressed === key;
    if (isPressed) pressed = null;
    if (before !== undefined) {
      running.current?.abort();
      known.value = { data: before as T, problem: null, isBusy: false };
    } else if (key !== null && (isPressed || !options.needsReason || reason.peek().trim() !== "")) {
      ask(key);
    } else {
      running.current?.abort();
      known.value = NOTHING;
    }
  }, [key]);
  useEffect(() => () => running.current?.abort(), []);
  return { ...known.value, again: () => key !== null && ask(key) };
}
