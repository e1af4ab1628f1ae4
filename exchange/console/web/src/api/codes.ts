/** What the exchange's stable error codes mean, in Chinese; English readers get the exchange's own, closer words. */
import reasons from "../orders/zh.json";
import codes from "./codes.zh.json";

// The faults of an order that its book rejected have the book's own codes.
const known: Record<string, string> = { ...reasons, ...codes };

export function codeText(code: string): string | null {
  return known[code] ?? null;
}
