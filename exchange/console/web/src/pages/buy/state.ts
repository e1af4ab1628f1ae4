/** What the buyer looks at; all of it stands in the address. The market's address of a window opens the form with it. */
import { useLocation } from "preact-iso";
import { to } from "../../shell/links";

export const TABS = ["place", "orders", "account"] as const;
export type Tab = (typeof TABS)[number];
export const SHOWN = ["live", "over", "all"] as const;
export const ASSETS = ["cash", "all"] as const;
/** Which movements are listed: those of money, or those of vouchers as well. */
export type Assets = (typeof ASSETS)[number];
/** Which orders are listed. */
export type Shown = (typeof SHOWN)[number];

export interface BuyState {
  tab: Tab;
  shown: Shown;
  /** Narrows the list of orders; empty for all. */
  of: string;
  /** The order that is open; empty for none. */
  order: string;
  /** Narrows the statement; empty for all. */
  reason: string;
  assets: Assets;
}

export interface Wish {
  product: string;
  starts_at: string;
  hours: number;
  gpus: number;
}

const USUAL: BuyState = { tab: "place", shown: "live", of: "", order: "", reason: "", assets: "cash" };

/** The state of the address, and how to change part of it; a step is worth going back from. */
export function useBuyState(): [BuyState, (change: Partial<BuyState>, isStep?: boolean) => void] {
  const { query, route } = useLocation();
  const state: BuyState = {
    tab: TABS.find((each) => each === query.tab) ?? USUAL.tab,
    shown: SHOWN.find((each) => each === query.shown) ?? USUAL.shown,
    of: query.of ?? "",
    order: query.order ?? "",
    reason: query.reason ?? "",
    assets: ASSETS.find((each) => each === query.assets) ?? USUAL.assets,
  };
  const change = (wish: Partial<BuyState>, isStep = false) => {
    const told = new URLSearchParams();
    for (const [key, value] of Object.entries({ ...state, ...wish })) {
      if (value !== USUAL[key as keyof BuyState]) told.set(key, value);
    }
    const text = told.toString();
    route(to(text === "" ? "buy" : `buy?${text}`), !isStep);
  };
  return [state, change];
}

/** What an address such as the market's asks to buy. */
export function wishOf(query: Record<string, string>): Wish {
  const count = (text: string | undefined) => {
    const value = Number.parseInt(text ?? "", 10);
    return Number.isFinite(value) && value > 0 ? value : 0;
  };
  const starts = Date.parse(query.starts_at ?? "");
  return {
    product: query.product ?? "",
    starts_at: Number.isNaN(starts) ? "" : (query.starts_at ?? ""),
    hours: count(query.hours),
    gpus: count(query.gpus),
  };
}
