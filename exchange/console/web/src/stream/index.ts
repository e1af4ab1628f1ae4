/** The pages' stream, and hooks that keep what it tells. */
import { effect, type ReadonlySignal, type Signal, signal } from "@preact/signals";
import { useEffect, useMemo } from "preact/hooks";
import { loadSession, session } from "../session";
import { type BookMessage, OrderBook } from "./book";
import { StreamConnection } from "./connection";
import type { ChannelMessage, TradeView } from "./messages";
import { Soon } from "./soon";

export const stream = new StreamConnection(
  () => `${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/v1/stream`,
  () => void loadSession(),
);

// Own orders belong to who is logged in: another login is another connection, also of the same key.
let reader: string | undefined;
effect(() => {
  const now = session.value?.key_id && `${session.value.key_id} ${session.value.expires_at}`;
  if (now !== reader) {
    reader = now;
    stream.restart();
  }
});

/** Hand a channel's messages to a function while the component is shown; null for no channel. */
export function useChannel(name: string | null, listener: (message: ChannelMessage) => void): void {
  useEffect(
    () => (name === null ? undefined : stream.listen(name, (message) => listener(message as ChannelMessage))),
    [name],
  );
}

const TRADES_MAX = 200;

/** The latest trades of a product, newest first; null until they are known. */
export function useTrades(product: string | null): ReadonlySignal<TradeView[] | null> {
  const trades: Signal<TradeView[] | null> = useMemo(() => signal(null), [product]);
  useChannel(product === null ? null : `trades:${product}`, (message) => {
    if (message.event === "resumed") return;
    const told = message.trades ?? [];
    const before = message.event === "snapshot" ? [] : (trades.value ?? []);
    trades.value = [...told, ...before]
      .sort((one, other) => other.sequence - one.sequence || other.number - one.number)
      .slice(0, TRADES_MAX);
  });
  return trades;
}

/** A book as it stands: the same object all the time, in another frame whenever it has changed. */
export interface BookFrame {
  book: OrderBook;
}

/** A busy book changes more often than anybody can look, and to draw it takes longer than to keep it. */
const DRAWN_EVERY_MS = 150;

/** A product's book, live; null until it is known, and while what is known of it is not whole. */
export function useBook(product: string): ReadonlySignal<BookFrame | null> {
  const frame: Signal<BookFrame | null> = useMemo(() => signal(null), [product]);
  useEffect(() => {
    const book = new OrderBook();
    const channel = `book:${product}`;
    const soon = new Soon(DRAWN_EVERY_MS, () => {
      frame.value = book.isWhole ? { book } : null;
    });
    const unlisten = stream.listen(channel, (message) => {
      // The connection asks for a snapshot only where it must: then whatever comes is the book of now.
      if (message.event === "snapshot") book.beginAnew();
      if (!book.apply(message as BookMessage)) stream.resync(channel);
      soon.plan();
    });
    return () => {
      soon.cancel();
      unlisten();
    };
  }, [product]);
  return frame;
}
