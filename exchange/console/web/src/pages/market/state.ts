/** What the reader of the market chose. All of it stands in the address, so that it can be kept, sent, and gone back from. */
import { useLocation } from "preact-iso";
import { to } from "../../shell/links";

export const SHOWS = ["ask", "bid", "free"] as const;
export type Show = (typeof SHOWS)[number];
export const SPANS = ["2", "7", "30"] as const;
/** How many days are shown. */
export type Span = (typeof SPANS)[number];
export const VIEWS = ["map", "table"] as const;
export type View = (typeof VIEWS)[number];

export interface MarketState {
  accelerator: string;
  origin: string;
  hub: string;
  interconnect: string;
  show: Show;
  span: Span;
  view: View;
  /** The product that is open; empty for none. */
  product: string;
  /** Start of the chosen window, RFC 3339; empty for the first hour for sale. */
  starts_at: string;
  hours: number;
  /** How many GPUs the depth is asked for; 0 for all. */
  gpus: number;
}

export const HOURS_MAX = 8784;

function oneOf<T extends string>(values: readonly T[], text: string | undefined): T {
  return values.find((each) => each === text) ?? (values[0] as T);
}

function count(text: string | undefined, least: number, most: number): number {
  const value = Number.parseInt(text ?? "", 10);
  return Number.isFinite(value) ? Math.min(Math.max(value, least), most) : least;
}

/** The state of the address, and how to change part of it. A change replaces the address unless it is a step worth going back from. */
export function useMarketState(): [MarketState, (change: Partial<MarketState>, isStep?: boolean) => void] {
  const { query, route } = useLocation();
  const starts = query.starts_at ?? "";
  const state: MarketState = {
    accelerator: query.accelerator ?? "",
    origin: query.origin ?? "",
    hub: query.hub ?? "",
    interconnect: query.interconnect ?? "",
    show: oneOf(SHOWS, query.show),
    span: query.span === undefined ? "7" : oneOf(SPANS, query.span),
    view: oneOf(VIEWS, query.view),
    product: query.product ?? "",
    starts_at: Number.isNaN(Date.parse(starts)) ? "" : starts,
    hours: count(query.hours, 1, HOURS_MAX),
    gpus: count(query.gpus, 0, 1_000_000),
  };
  const change = (wish: Partial<MarketState>, isStep = false) => {
    const next = { ...state, ...wish };
    const told = new URLSearchParams();
    for (const [key, value] of Object.entries(next)) {
      if (value !== "" && value !== 0 && !isUsual(key, value)) told.set(key, String(value));
    }
    const text = told.toString();
    route(to(text === "" ? "market" : `market?${text}`), !isStep);
  };
  return [state, change];
}

function isUsual(key: string, value: string | number): boolean {
  return (
    (key === "show" && value === "ask") ||
    (key === "span" && value === "7") ||
    (key === "view" && value === "map") ||
    (key === "hours" && value === 1)
  );
}
