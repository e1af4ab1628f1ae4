/** What the exchange's stable codes mean, in Chinese; English readers get the exchange's own, closer words. */
import { language } from "../i18n/language";
import reasons from "../orders/zh.json";
import codes from "./codes.zh.json";
import ownReasons from "./reasons.zh.json";

// The faults of an order that its book rejected have the book's own codes.
const known: Record<string, string> = { ...reasons, ...codes };
const knownReasons: Record<string, string> = ownReasons;

/** The meaning of an error's code in Chinese. */
export function codeText(code: string): string | null {
  return known[code] ?? null;
}

/** Why a step was taken, in the reader's language where the exchange itself gave the reason; a person's stays as it is. */
export function stepReason(step: { reason: string; reason_code?: string | null }): string {
  const code = step.reason_code ?? null;
  return language.value === "zh" && code !== null ? (knownReasons[code] ?? step.reason) : step.reason;
}
