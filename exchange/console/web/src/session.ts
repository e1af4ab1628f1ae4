/**
 * Who is logged in. The session itself is an HttpOnly cookie that scripts cannot read; here stands what the exchange
 * says of it, and what that lets the reader do.
 */
import { batch, signal } from "@preact/signals";
import { api, once, read, type Schemas, whenUnauthenticated } from "./api/client";
import { Problem } from "./api/problem";
import { forgetQueries, isReachable, refreshQueries } from "./api/query";
import { keepDraftsOf } from "./components/drafts";
import { forgetKept } from "./components/kept";

export type Session = Schemas["SessionView"];
export type Kind = Session["kind"];
export type Scope = Session["scopes"][number];

/** The session of now: undefined until the exchange has said whose it is, null for nobody. */
export const session = signal<Session | null | undefined>(undefined);

/**
 * Whether the session has ended under the reader's hands. `session` stays what it was, and with it the page and what is
 * typed there, until somebody logs in in its place (`SessionEnded`) or the reader gives it up.
 */
export const hasEnded = signal(false);

/** Which session there may be, which only its cookie says for sure: nobody else need ask. */
const KEPT_AS = "exchange.session";
/** What is kept where a session was found to have ended: in other windows, too, who was at work goes on after a login. */
const ENDED = "ended";

/** How long to wait before an exchange that could not say who is logged in is asked again; each time twice as long. */
const RETRY_MS_MIN = 1_000;
const RETRY_MS_MAX = 15_000;

let retry: ReturnType<typeof setTimeout> | undefined;
let retries = 0;
/** Grows with each asking and each answer: an answer that is late by then says nothing any more. */
let turn = 0;

/** Who is logged in now. The same participant goes on with the page as it stands; another one sees nothing of it. */
function became(next: Session | null): void {
  const before = session.peek();
  const isOther = before !== undefined && before?.participant_id !== next?.participant_id;
  const isResumed = hasEnded.peek();
  clearTimeout(retry);
  retries = 0;
  turn++;
  keepDraftsOf(next?.participant_id ?? null);
  batch(() => {
    session.value = next;
    hasEnded.value = false;
  });
  if (isOther) {
    forgetQueries();
    forgetKept();
  } else if (isResumed) refreshQueries();
}

/** Begin a session in all windows: each is kept as another text, so that they hear of each. */
function began(next: Session): void {
  localStorage.setItem(KEPT_AS, `${next.key_id} ${next.expires_at}`);
  became(next);
}

/**
 * Ask the exchange who is logged in, where somebody was on this device. While it cannot say, whoever was logged in still
 * is, for all that is known: `session` stays what it was, and the exchange is asked again.
 */
export async function loadSession(): Promise<void> {
  const kept = localStorage.getItem(KEPT_AS);
  // Who logged out in another window did so in this one, too.
  if (kept === null) keepDraftsOf(null);
  if (kept === null || kept === ENDED) {
    if (session.peek() == null) session.value = null;
    return;
  }
  clearTimeout(retry);
  const asked = ++turn;
  try {
    const found = await read(() => api.GET("/v1/session"));
    isReachable.value = true;
    if (asked === turn) began(found);
  } catch (problem) {
    if (!(problem instanceof Problem)) throw problem;
    isReachable.value = problem.status !== 0;
    if (asked !== turn) return;
    if (problem.status !== 401) {
      retry = setTimeout(() => void loadSession(), Math.min(RETRY_MS_MIN * 2 ** retries++, RETRY_MS_MAX));
    } else if (session.peek() == null) {
      // One that ended while it was shown was noticed by its answer.
      localStorage.setItem(KEPT_AS, ENDED);
      session.value = null;
    }
  }
}

whenUnauthenticated(() => {
  if (session.value != null) hasEnded.value = true;
});

/** Give up what was being done under a session that has ended. */
export function giveUp(): void {
  localStorage.setItem(KEPT_AS, ENDED);
  became(null);
}

// The cookie is the whole browser's: who logs in or out in one window does so in all of them.
addEventListener("storage", (event) => {
  if (event.key !== KEPT_AS) return;
  if (event.newValue === null) became(null);
  else if (event.newValue !== ENDED) void loadSession();
  else if (session.peek() != null) hasEnded.value = true;
});

/** Log in with a key or the one-time code of a login link; throws a `Problem`. */
export async function logIn(by: { key: string } | { login_code: string }): Promise<void> {
  // The browser sets this header itself and lets no script do so; the document of the API demands that it is named.
  const header = { "Sec-Fetch-Site": "same-origin" } as const;
  began(await once(() => api.POST("/v1/session", { body: by, params: { header } })));
}

export async function logOut(): Promise<void> {
  await once(() => api.DELETE("/v1/session"));
  localStorage.removeItem(KEPT_AS);
  became(null);
}

/** Whether the reader may do what needs a scope; reads `session`, so a component follows it. */
export function may(scope: Scope): boolean {
  return session.value?.scopes.includes(scope) ?? false;
}

export function isKind(...kinds: Kind[]): boolean {
  return session.value != null && kinds.includes(session.value.kind);
}
