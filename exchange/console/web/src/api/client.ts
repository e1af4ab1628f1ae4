/**
 * Talking with the exchange: typed by its own OpenAPI document, with the session's cookie.
 *
 * `read` is for what changes nothing and is tried again by itself. `act` is for what an `Intent` makes one however
 * often it is sent, so it is tried again as well. `once` is for the rest: sent once, and never again by itself.
 * All three return the answer's body or throw a `Problem`.
 */
import createClient, { type FetchResponse } from "openapi-fetch";
import type { Intent } from "./intent";
import { type Problem, problemOf, unanswered } from "./problem";
import type { components, paths } from "./schema";

export const api = createClient<paths>({ credentials: "same-origin", fetch: (request) => fetch(request) });

/**
 * Call a function whenever the exchange answers that it does not know who asks: a session may have ended. A login that
 * fails says nothing of the session that there is.
 */
export function whenUnauthenticated(then: () => void): void {
  api.use({
    onResponse: ({ request, response, schemaPath }) => {
      const isLogin = request.method === "POST" && schemaPath === "/v1/session";
      if (response.status === 401 && !isLogin) then();
    },
  });
}

/** The structs of the API by name: `Schemas["OrderView"]`. */
export type Schemas = components["schemas"];

const TRIES = 4;
const FIRST_PAUSE_MS = 300;
const PAUSE_MS_MAX = 10_000;

// biome-ignore lint/suspicious/noExplicitAny: the shape of any route's answer; `Answer` keeps its type
type Called = FetchResponse<any, any, any>;
type Answer<C extends Called> = NonNullable<C["data"]>;

/** Read what must be there. */
export function read<C extends Called>(call: () => Promise<C>): Promise<Answer<C>> {
  return attempt(call, TRIES, false);
}

/** Do what may be sent again because its key makes it one. */
export async function act<C extends Called>(
  intent: Intent,
  payload: unknown,
  call: (key: string) => Promise<C>,
): Promise<Answer<C>> {
  const key = intent.keyFor(payload);
  try {
    const answer = await attempt(() => call(key), TRIES, true);
    intent.settle();
    return answer;
  } catch (problem) {
    if (isAnswered(problem as Problem)) intent.settle();
    throw problem;
  }
}

/**
 * Whether a refusal is what became of the wish. It is not where the exchange did not come to it: then an earlier try whose
 * answer was lost may have been done, and the wish keeps its key.
 */
function isAnswered(problem: Problem): boolean {
  return !problem.isUnknown && !problem.isRetryable && problem.status !== 401;
}

/** The header by which what is sent again is done once. */
export function keyed(key: string) {
  return { "Idempotency-Key": key };
}

/** Do what must not be sent twice. */
export function once<C extends Called>(call: () => Promise<C>): Promise<Answer<C>> {
  return attempt(call, 1, true);
}

async function attempt<C extends Called>(
  call: () => Promise<C>,
  tries: number,
  changes: boolean,
): Promise<Answer<C>> {
  for (let tried = 1; ; tried++) {
    const problem = await called(call, changes);
    if (!("problem" in problem)) return problem.data;
    if (tried >= tries || !problem.problem.isRetryable) throw problem.problem;
    await pause(problem.waitMs ?? FIRST_PAUSE_MS * 2 ** (tried - 1) * (0.75 + Math.random() / 2));
  }
}

async function called<C extends Called>(
  call: () => Promise<C>,
  changes: boolean,
): Promise<{ data: Answer<C> } | { problem: Problem; waitMs: number | null }> {
  let answer: C;
  try {
    answer = await call();
  } catch {
    return { problem: unanswered(changes), waitMs: null };
  }
  if (answer.response.ok) return { data: answer.data as Answer<C> };
  const after = Number(answer.response.headers.get("retry-after") ?? Number.NaN);
  return {
    problem: problemOf(answer.response, answer.error),
    waitMs: Number.isFinite(after) ? Math.min(after * 1000, PAUSE_MS_MAX) : null,
  };
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
