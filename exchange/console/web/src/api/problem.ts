/**
 * What the exchange refuses, as one kind of error: the problem+json of an answer, or that none came.
 *
 * `faults` are by JSON pointer (`/quantity_gpus`), so that a form shows each at its field.
 */
import { language, t } from "../i18n";
import { codeText } from "./codes";

export interface Fault {
  pointer: string;
  code: string;
  detail: string;
  lowest?: string;
  highest?: string;
}

/** Any 401 but of a login: who asked was logged in when the page was opened. */
const SESSION_ENDED = "session_ended";
const LOGIN_PATH = "/v1/session";

interface ProblemBody {
  code?: string;
  title?: string;
  detail?: string;
  outcome?: string;
  retryable?: boolean;
  request_id?: string;
  errors?: Fault[];
}

export class Problem extends Error {
  override readonly name = "Problem";

  constructor(
    /** HTTP status; 0 where no answer came. */
    readonly status: number,
    readonly code: string,
    readonly detail: string,
    readonly faults: readonly Fault[],
    /** Whether the thing asked for may have been done although no good answer came. */
    readonly isUnknown: boolean,
    readonly isRetryable: boolean,
    readonly requestId: string | null,
  ) {
    super(detail);
  }

  /** What to tell the reader, in its language where the code is known there. */
  get text(): string {
    if (this.isUnknown) return t("unknown_outcome");
    if (this.status === 0) return t("offline");
    if (this.code === SESSION_ENDED) return t("session_ended.refused");
    return language.value === "zh" ? (codeText(this.code) ?? this.detail) : this.detail;
  }

  /** The fault of a field, told in the reader's language; null where the field is well. */
  faultAt(pointer: string): string | null {
    const fault = this.faults.find((each) => each.pointer === pointer);
    return fault === undefined ? null : faultText(fault);
  }

  /** The faults of no field in a list: what a form shows above its fields. */
  faultsBeside(pointers: readonly string[]): readonly Fault[] {
    return this.faults.filter((each) => !pointers.includes(each.pointer));
  }
}

export function faultText(fault: Fault): string {
  const meaning = language.value === "zh" ? codeText(fault.code) : null;
  if (meaning === null) return fault.detail;
  const { lowest, highest } = fault;
  return lowest && highest ? meaning + t("fault.range", { lowest, highest }) : meaning;
}

/** Make a problem of a refused answer. */
export function problemOf(response: Response, body: unknown): Problem {
  const told: ProblemBody = typeof body === "object" && body !== null ? body : {};
  const isSession = response.status === 401 && new URL(response.url).pathname !== LOGIN_PATH;
  return new Problem(
    response.status,
    isSession ? SESSION_ENDED : (told.code ?? "unknown"),
    told.detail ?? told.title ?? `HTTP ${response.status}`,
    told.errors ?? [],
    told.outcome === "unknown",
    told.retryable ?? false,
    told.request_id ?? response.headers.get("x-request-id"),
  );
}

/** Make a problem of a request that had no answer. */
export function unanswered(mayBeDone: boolean): Problem {
  return new Problem(0, "unreachable", "no answer", [], mayBeDone, true, null);
}
