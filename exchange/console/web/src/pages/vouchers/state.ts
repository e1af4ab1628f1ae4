/** What is looked at; all of it stands in the address. */
import { signal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { useLocation } from "preact-iso";
import { session } from "../../session";
import { to } from "../../shell/links";

export type Tab = "wallet" | "programmes" | "applications" | "issued" | "burn" | "claims" | "statements";

const TABS: Record<string, readonly Tab[]> = {
  buyer: ["wallet", "programmes", "applications", "claims", "statements"],
  issuer: ["claims", "applications", "programmes", "issued", "burn", "statements"],
  provider: ["claims", "programmes", "statements"],
};

/** The tabs of who is logged in, the first one being where the page begins. */
export function tabs(): readonly Tab[] {
  return TABS[session.value?.kind ?? ""] ?? [];
}

export interface VouchersState {
  tab: Tab;
  /** The id of what is open in the tab; empty for its list. */
  open: string;
  /** Narrows a list to one programme; empty for all. */
  programme: string;
  /** Narrows a list to one state; empty for all. */
  status: string;
}

export type Change = (change: Partial<VouchersState>) => void;

/** The state of the address, and how to change part of it; each change can be gone back from. */
export function useVouchersState(): [VouchersState, Change] {
  const { query, route } = useLocation();
  const first = tabs()[0] ?? "programmes";
  const state: VouchersState = {
    tab: tabs().find((each) => each === query.tab) ?? first,
    open: query.open ?? "",
    programme: query.programme ?? "",
    status: query.status ?? "",
  };
  const change: Change = (wish) => {
    const told = new URLSearchParams();
    for (const [key, value] of Object.entries({ ...state, ...wish })) {
      if (value !== "" && !(key === "tab" && value === first)) told.set(key, value);
    }
    route(to(told.size === 0 ? "vouchers" : `vouchers?${told}`));
  };
  return [state, change];
}

const left = signal("");

/** Who comes back to a list stands where it was left: at the button that opened what is closed now. */
export function useReturn(isReady: boolean): void {
  useEffect(() => {
    if (!isReady || left.value === "") return;
    document.getElementById(`open-${left.value}`)?.focus();
    left.value = "";
  }, [isReady]);
}

/** Remember what is open now, for `useReturn`. */
export function useOpened(id: string): void {
  useEffect(() => {
    left.value = "";
    return () => {
      left.value = id;
    };
  }, [id]);
}
