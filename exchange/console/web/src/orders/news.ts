/**
 * News of the reader's own orders, for every page that shows them.
 *
 * What the news change is read again from the exchange, which tells them only once they are committed: so nothing that
 * a connection missed is missing afterwards. A snapshot, or the end of what came meanwhile, asks for it as well.
 */
import { useEffect, useMemo, useRef } from "preact/hooks";
import { useChannel } from "../stream";
import type { OrderNews } from "../stream/messages";
import { Soon } from "../stream/soon";

/** Several news of one moment are one reason to read again. */
const TOGETHER_MS = 120;

/** Call `refresh` when own orders may have changed, and `tell` with each batch of news. */
export function useOrderNews(refresh: () => void, tell?: (news: readonly OrderNews[]) => void): void {
  const now = useRef({ refresh, tell });
  now.current = { refresh, tell };
  const soon = useMemo(() => new Soon(TOGETHER_MS, () => now.current.refresh()), []);
  useEffect(() => () => soon.cancel(), [soon]);
  useChannel("orders", (message) => {
    const news = message.event === "delta" ? (message.orders ?? []) : [];
    if (message.event === "delta" && news.length === 0) return;
    if (news.length > 0) now.current.tell?.(news);
    soon.plan();
  });
}

/** What of a batch somebody who does other things should hear of: fills and lapses of orders that were there before. */
export function worthTelling(
  news: readonly OrderNews[],
): { order_id: string; gpus: number; isOver: boolean }[] {
  const isNew = new Set(news.filter((each) => each.kind === "accepted").map((each) => each.order_id));
  const told = new Map<string, { order_id: string; gpus: number; isOver: boolean }>();
  for (const each of news) {
    if (isNew.has(each.order_id) || (each.kind !== "traded" && each.kind !== "expired")) continue;
    const known = told.get(each.order_id) ?? { order_id: each.order_id, gpus: 0, isOver: false };
    if (each.kind === "traded") known.gpus += each.quantity_gpus ?? 0;
    else known.isOver = true;
    told.set(each.order_id, known);
  }
  return [...told.values()];
}
