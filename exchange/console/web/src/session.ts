/**
 * Who is logged in. The session itself is an HttpOnly cookie that scripts cannot read; here stands what the exchange
 * says of it, and what that lets the reader do.
 */
import { signal } from "@preact/signals";
import { api, once, read, type Schemas, whenUnauthenticated } from "./api/client";
import { Problem } from "./api/problem";
import { forgetQueries } from "./api/query";
import { toast } from "./components/announcer";
import { t } from "./i18n";

export type Session = Schemas["SessionView"];
export type Kind = Session["kind"];
export type Scope = Session["scopes"][number];

/** The session of now: undefined until the exchange was asked, null for nobody. */
export const session = signal<Session | null | undefined>(undefined);

/** By which key there may be a session, which only its cookie says for sure: nobody else need ask. */
const KEPT_AS = "exchange.session";

function became(next: Session | null): void {
  if (next === null) localStorage.removeItem(KEPT_AS);
  else localStorage.setItem(KEPT_AS, next.key_id);
  session.value = next;
}

/** Ask the exchange who is logged in, where somebody was on this device. */
export async function loadSession(): Promise<void> {
  if (localStorage.getItem(KEPT_AS) === null) {
    session.value = null;
    return;
  }
  try {
    became(await read(() => api.GET("/v1/session")));
  } catch (problem) {
    if (!(problem instanceof Problem)) throw problem;
    if (problem.status === 401) became(null);
    else session.value = null;
  }
}

whenUnauthenticated(() => {
  if (session.value == null) return;
  became(null);
  forgetQueries();
  toast(t("session_ended"), "bad");
});

// The cookie is the whole browser's: who logs in or out in one window does so in all of them.
addEventListener("storage", (event) => {
  if (event.key === KEPT_AS) void loadSession().then(forgetQueries);
});

/** Log in with a key or the one-time code of a login link; throws a `Problem`. */
export async function logIn(by: { key: string } | { login_code: string }): Promise<void> {
  // The browser sets this header itself and lets no script do so; the document of the API demands that it is named.
  const header = { "Sec-Fetch-Site": "same-origin" } as const;
  became(await once(() => api.POST("/v1/session", { body: by, params: { header } })));
  forgetQueries();
}

export async function logOut(): Promise<void> {
  await once(() => api.DELETE("/v1/session"));
  became(null);
  forgetQueries();
}

/** Whether the reader may do what needs a scope; reads `session`, so a component follows it. */
export function may(scope: Scope): boolean {
  return session.value?.scopes.includes(scope) ?? false;
}

export function isKind(...kinds: Kind[]): boolean {
  return session.value != null && kinds.includes(session.value.kind);
}
