/**
 * What is read again and again: one copy shared by all components that show it, polled while anybody looks.
 *
 * Each poll sends the ETag of what is known, so that nothing is sent, parsed or drawn where nothing changed. It rests
 * while the page is hidden, and goes on at once when it is looked at again.
 */
import { type ReadonlySignal, type Signal, signal } from "@preact/signals";
import type { FetchResponse } from "openapi-fetch";
import { useEffect, useMemo } from "preact/hooks";
import { type Problem, problemOf, unanswered } from "./problem";

export interface Query<T> {
  /** The last good answer; null until there is one. */
  data: ReadonlySignal<T | null>;
  /** Why the last try failed; null after a good answer. */
  problem: ReadonlySignal<Problem | null>;
  /** Read it again now. */
  refresh: () => void;
}

/** What a call has to send along: `api.GET("/v1/market", { headers, signal })`. */
export type Conditions = {
  headers: Record<string, string>;
  signal: AbortSignal;
};

// biome-ignore lint/suspicious/noExplicitAny: any route's answer; `useQuery` keeps its type
type Called = FetchResponse<any, any, any>;
type Call<T> = (conditions: Conditions) => Promise<Called & { data?: T }>;

const KEPT_MS = 30_000;
const FAILED_PAUSE_MS_MAX = 30_000;

/** Whether what was asked last had any answer: else what the pages show is of before. */
export const isReachable = signal(true);

class Shared<T> implements Query<T> {
  readonly data: Signal<T | null> = signal(null);
  readonly problem: Signal<Problem | null> = signal(null);
  #etag: string | null = null;
  #failures = 0;
  #periods: number[] = [];
  #timer: ReturnType<typeof setTimeout> | undefined;
  #running: AbortController | null = null;

  constructor(
    readonly call: Call<T>,
    readonly forget: () => void,
  ) {}

  join(periodMs: number): () => void {
    this.#periods.push(periodMs);
    if (this.#periods.length === 1) {
      document.addEventListener("visibilitychange", this.#looked);
      this.refresh();
    } else {
      this.#plan();
    }
    return () => this.#leave(periodMs);
  }

  get isWatched(): boolean {
    return this.#periods.length > 0;
  }

  /** Be as if it had never been read, and read it where anybody looks still once the pages are drawn anew. */
  begin(): void {
    this.#running?.abort();
    this.#etag = null; // an answer that nothing has changed would leave nothing to show
    this.#failures = 0;
    this.data.value = null;
    this.problem.value = null;
    clearTimeout(this.#timer);
    if (this.isWatched) this.#timer = setTimeout(this.refresh);
  }

  refresh = (): void => {
    this.#running?.abort();
    const running = new AbortController();
    this.#running = running;
    void this.#load(running);
  };

  #leave(periodMs: number): void {
    this.#periods.splice(this.#periods.indexOf(periodMs), 1);
    if (this.isWatched) return;
    document.removeEventListener("visibilitychange", this.#looked);
    this.#running?.abort();
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      if (!this.isWatched) this.forget();
    }, KEPT_MS);
  }

  #looked = (): void => {
    if (!document.hidden) this.refresh();
    else clearTimeout(this.#timer);
  };

  #plan(): void {
    clearTimeout(this.#timer);
    const period = Math.min(...this.#periods);
    if (document.hidden || !Number.isFinite(period)) return;
    const wait = this.#failures > 0 ? Math.min(1000 * 2 ** this.#failures, FAILED_PAUSE_MS_MAX) : period;
    this.#timer = setTimeout(this.refresh, Math.max(wait, 250));
  }

  async #load(running: AbortController): Promise<void> {
    const headers: Record<string, string> = this.#etag === null ? {} : { "If-None-Match": this.#etag };
    let problem: Problem | null = null;
    try {
      const answer = await this.call({ headers, signal: running.signal });
      if (running.signal.aborted) return;
      if (answer.response.ok) {
        this.#etag = answer.response.headers.get("etag");
        this.data.value = answer.data ?? null;
      } else if (answer.response.status !== 304) {
        problem = problemOf(answer.response, answer.error);
      }
    } catch {
      if (running.signal.aborted) return;
      problem = unanswered(false);
    }
    isReachable.value = problem?.status !== 0;
    this.#failures = problem?.isRetryable ? this.#failures + 1 : 0;
    this.problem.value = problem;
    if (this.isWatched && (problem === null || problem.isRetryable)) this.#plan();
  }
}

const shared = new Map<string, Shared<unknown>>();

/** Forget everything that was read: somebody else is logged in now. */
export function forgetQueries(): void {
  for (const each of shared.values()) {
    each.begin();
    if (!each.isWatched) each.forget();
  }
}

/** Read everything again that is shown: its reader is back. */
export function refreshQueries(): void {
  for (const each of shared.values()) if (each.isWatched) each.refresh();
}

/**
 * Show what a call answers. Components that name the same key share the answer; a new key is another question. Without
 * `every_s` it is read once, and again on `refresh`.
 */
export function useQuery<T>(key: string, call: Call<T>, options: { every_s?: number } = {}): Query<T> {
  const query = useMemo(() => {
    let known = shared.get(key) as Shared<T> | undefined;
    if (known === undefined) {
      known = new Shared<T>(call, () => shared.delete(key));
      shared.set(key, known as Shared<unknown>);
    }
    return known;
  }, [key]);
  const periodMs = (options.every_s ?? Number.POSITIVE_INFINITY) * 1000;
  useEffect(() => query.join(periodMs), [query, periodMs]);
  return query;
}
