/** Where on the page the reader is: the tab and what is chosen on it, in the address. The reason is never part of it. */
import { useLocation } from "preact-iso";
import { to } from "../../shell/links";

export const TABS = ["search", "lives", "book", "reports", "alerts", "questions"] as const;
export type TabKey = (typeof TABS)[number];
/** Stands in the address of a search whose question was asked: filters alone ask nothing. */
export const ASKED = "yes";
export type Chosen = Readonly<Record<string, string>>;

/** The address of a tab with what is chosen there; an empty text is no choice. */
export function addressOf(tab: TabKey, chosen: Chosen = {}): string {
  const told = new URLSearchParams({ tab });
  for (const [name, value] of Object.entries(chosen)) if (value !== "") told.set(name, value);
  return to(`oversight?${told}`);
}

export interface Address {
  tab: TabKey | undefined;
  chosen: Chosen;
  /** Go there: a step to go back from, unless it only changes what is looked at. */
  go: (tab: TabKey, chosen?: Chosen, isStep?: boolean) => void;
}

export function useAddress(): Address {
  const { query, route } = useLocation();
  const { tab, ...chosen } = query;
  return {
    tab: TABS.find((each) => each === tab),
    chosen,
    go: (next, wanted = {}, isStep = true) => route(addressOf(next, wanted), !isStep),
  };
}

/** Only the choices of these names. */
export function pick(chosen: Chosen, names: readonly string[]): Record<string, string> {
  return Object.fromEntries(names.map((name) => [name, chosen[name] ?? ""]));
}

/** Only what is chosen at all: parameters of a question. */
export function given(chosen: Chosen): Record<string, string> {
  return Object.fromEntries(Object.entries(chosen).filter(([, value]) => value !== ""));
}
