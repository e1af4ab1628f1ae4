/** Alerts in words: detectors, states, and what was measured, as the unit at the end of its name says. */

import type { Schemas } from "../../api/client";
import { DAY_MS } from "../../api/hours";
import { Badge, type BadgeTone } from "../../components/values";
import { cnyOf, formatBps, formatHours, formatMoney, formatNumber } from "../../i18n";
import { named, t } from "./texts";

export type AlertView = Schemas["AlertView"];
/** A version of the rules, and its thresholds. */
export type Version = Schemas["AlertRulesView"];
export type Rules = Schemas["AlertRules"];
export type Status = AlertView["status"];
export type Severity = AlertView["severity"];

/** What a version of the rules, and a trial of one, has of a reason at most. */
export const RULES_REASON_MAX = 200;

export const STATUSES = ["open", "under_review", "closed"] as const;
export const SEVERITIES = ["high", "medium", "low"] as const;
export const DETECTORS = [
  ...["affiliated_trade", "matched_orders", "round_trip", "own_share_refunded", "voucher_premium"],
  ...["paid_not_run", "subsidised_resale", "threshold_splitting", "young_group", "expiry_burst"],
  ...["hoarding", "withholding", "quick_cancels", "layering", "self_match", "budget_use", "record_break"],
];

const STATUS_TONES: Record<Status, BadgeTone> = { open: "bad", under_review: "busy", closed: "plain" };
const SEVERITY_TONES: Record<Severity, BadgeTone> = { high: "bad", medium: "busy", low: "plain" };

export function StatusBadge({ status }: { status: Status }) {
  return <Badge tone={STATUS_TONES[status]}>{t(`alert.${status}`)}</Badge>;
}

export function SeverityBadge({ severity }: { severity: Severity }) {
  return <Badge tone={SEVERITY_TONES[severity]}>{t(`severity.${severity}`)}</Badge>;
}

export function detectorName(detector: string): string {
  return named("detector", detector);
}

export function measureName(name: string): string {
  return named("measure", name.replace(/_(fen|cny)$/, ""));
}

/** A figure or a threshold as it reads; money comes in fen or, written out, in CNY. */
export function measureText(name: string, value: unknown): string {
  if (value == null) return "";
  if (Array.isArray(value)) return value.map((each) => measureText(name, each)).join(", ");
  if (typeof value === "boolean") return t(value ? "yes" : "no");
  const text = String(value);
  if (name.endsWith("_cny")) return formatMoney(text);
  if (!/^-?\d+$/.test(text)) return text;
  if (name.endsWith("_fen")) return formatMoney(cnyOf(BigInt(text)));
  const number = Number(text);
  if (name.endsWith("_bps")) return formatBps(number);
  if (name.endsWith("delivery_day")) return new Date(number * DAY_MS).toISOString().slice(0, 10);
  if (name.endsWith("gpu_hours")) return formatNumber(number);
  if (name.endsWith("_hours")) return formatHours(number);
  if (name.endsWith("_days")) return t("measure.days_text", { count: number });
  if (name.endsWith("_s")) return t("measure.seconds_text", { count: number });
  return formatNumber(number);
}
