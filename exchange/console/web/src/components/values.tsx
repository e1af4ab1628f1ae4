/** Single values as they are shown everywhere: money, times, amounts, states. */

import type { ComponentChildren } from "preact";
import { formatAmount, formatExact, formatMoney, formatTime, formatUtc, t } from "../i18n";
import { classes } from "./classes";

/** Money from a decimal string of CNY; a dash where there is none. `bare` leaves the currency's sign to the heading. */
export function Money({ cny, bare = false }: { cny: string | null | undefined; bare?: boolean }) {
  if (cny == null) return <Nothing />;
  return <span class="number">{bare ? formatAmount(cny) : formatMoney(cny)}</span>;
}

/** A moment in the reader's zone; its title has the same in UTC. */
export function Time({ at, exact = false }: { at: string | null | undefined; exact?: boolean }) {
  if (at == null) return <Nothing />;
  return (
    <time class="number" dateTime={at} title={formatUtc(at)}>
      {exact ? formatExact(at) : formatTime(at)}
    </time>
  );
}

/** What stands where there is no value. */
export function Nothing() {
  return (
    <span class="nothing">
      <span aria-hidden="true">–</span>
      <span class="visually-hidden">{t("none")}</span>
    </span>
  );
}

export type BadgeTone = "plain" | "good" | "busy" | "bad" | "buy" | "sell";

/** A short word for a state; the word says it all, the colour only helps. */
export function Badge({ tone = "plain", children }: { tone?: BadgeTone; children: string }) {
  return <span class={classes("badge", `badge-${tone}`)}>{children}</span>;
}

export function Side({ side }: { side: "buy" | "sell" }) {
  return <Badge tone={side}>{t(side === "buy" ? "side.buy" : "side.sell")}</Badge>;
}

/** The states of an order, and how each is tinted. */
export const ORDER_TONES = {
  accepted: "busy",
  resting: "busy",
  partially_filled: "busy",
  filled: "good",
  cancelled: "plain",
  expired: "plain",
  rejected: "bad",
} as const;

/** Where an order stands. */
export function OrderStatus({ status }: { status: keyof typeof ORDER_TONES }) {
  return <Badge tone={ORDER_TONES[status]}>{t(`status.${status}`)}</Badge>;
}

/** A number with what it is, in a `<dl class="figures">`. */
export function Figure({ label, children }: { label: string; children: ComponentChildren }) {
  return (
    <div>
      <dt class="figure-label">{label}</dt>
      <dd class="figure-value">{children}</dd>
    </div>
  );
}
