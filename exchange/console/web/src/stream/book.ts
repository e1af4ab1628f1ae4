/**
 * A product's public book, kept from the channel `book:<product>`, and what can be read off it: the same as
 * `exchange/client/order_book.py`, which a test holds it to message by message.
 *
 * Give every message to `apply`. While the book `isWhole` it is exactly the committed book at `sequence`. A message
 * that does not follow the one before, or a checksum that does not fit, ends that: ask for a new snapshot, and until
 * one comes that is as new as anything heard of, nothing else is taken in. What is told twice, or late, is passed over.
 *
 * Prices are decimal CNY per GPU-hour as they are told, times RFC 3339 on the hour, in UTC and in one form: so they
 * sort as text.
 */
import { HOUR_MS } from "../api/hours";

export interface FreeHours {
  starts_at: string;
  ends_at: string;
  gpus: number;
}

/** A resting order: an ask has `free`, `min_hours` and `reserved_for`, a bid what follows. */
export interface BookOrder {
  reference: number;
  side: "buy" | "sell";
  price_cny_per_gpu_hour: string;
  free?: readonly FreeHours[];
  min_hours?: number;
  reserved_for?: readonly string[];
  quantity_gpus?: number;
  hours?: number;
  starts_at?: string;
  ends_at?: string;
  fill?: string;
  placement?: string;
  requires?: readonly string[];
}

interface OfBook {
  channel: string;
  partition: number;
  sequence: number;
}

export interface BookSnapshot extends OfBook {
  event: "snapshot";
  first_hour_at: string;
  phase: string;
  checksum: string;
  orders: readonly BookOrder[];
}

export interface BookDelta extends OfBook {
  event: "delta";
  prev_sequence: number;
  phase?: string;
  first_hour_at?: string;
  removed?: readonly number[];
  changes?: readonly BookOrder[];
  checksum?: string;
}

export interface BookChecksum extends OfBook {
  event: "checksum";
  checksum: string;
}

export type BookMessage = BookSnapshot | BookDelta | BookChecksum;

/** GPUs of one price, and with all better ones. */
export interface BookLevel {
  price: string;
  gpus: number;
  cumulative: number;
}

export interface BookLevels {
  /** What a bid for exactly these hours finds, cheapest first. */
  asks: BookLevel[];
  /** What is wanted in any of these hours, dearest first. */
  bids: BookLevel[];
}

export class OrderBook {
  isWhole = false;
  sequence = 0;
  firstHourAt = "";
  phase = "";
  /** What rests, by reference. */
  readonly orders = new Map<number, BookOrder>();
  #heard = 0;
  readonly #lines = new Map<number, string>();

  /** Take a message of the channel in; return whether the book is whole after it. */
  apply(message: BookMessage): boolean {
    const isNews = message.sequence >= this.#heard;
    this.#heard = Math.max(this.#heard, message.sequence);
    if (message.event === "snapshot") {
      if (isNews) this.#begin(message);
    } else if (!this.isWhole) {
      // Only a snapshot helps.
    } else if (message.event === "delta") {
      if (message.sequence > this.sequence) this.#follow(message);
    } else if (message.sequence > this.sequence) {
      this.isWhole = false;
    } else if (message.sequence === this.sequence) {
      this.isWhole = message.checksum === this.checksum();
    }
    return this.isWhole;
  }

  /** Wait for a snapshot, whatever its sequence: another exchange may be there now. */
  beginAnew(): void {
    this.isWhole = false;
    this.#heard = 0;
  }

  /** The checksum of the book as it is kept: CRC-32 of the text that docs/stream.md specifies to the byte. */
  checksum(): string {
    const references = [...this.#lines.keys()].sort((one, other) => one - other);
    const lines = references.map((reference) => this.#lines.get(reference));
    return crc32(`${this.firstHourAt} ${this.phase}\n${lines.join("")}`);
  }

  /** Both sides for the hours of [startsAt, endsAt). Asks reserved for others than anyone are left out. */
  levels(startsAt: string, endsAt: string): BookLevels {
    const [asks, bids] = [new Map<string, number>(), new Map<string, number>()];
    const hours = (Date.parse(endsAt) - Date.parse(startsAt)) / HOUR_MS;
    for (const order of this.orders.values()) {
      const isAsk = order.free !== undefined;
      const gpus = isAsk ? freeFor(order, startsAt, endsAt, hours) : wantedIn(order, startsAt, endsAt);
      if (gpus === 0) continue;
      const side = isAsk ? asks : bids;
      side.set(order.price_cny_per_gpu_hour, (side.get(order.price_cny_per_gpu_hour) ?? 0) + gpus);
    }
    return { asks: levelsOf(asks, 1), bids: levelsOf(bids, -1) };
  }

  #begin(snapshot: BookSnapshot): void {
    this.sequence = snapshot.sequence;
    this.firstHourAt = snapshot.first_hour_at;
    this.phase = snapshot.phase;
    this.orders.clear();
    this.#lines.clear();
    for (const order of snapshot.orders) this.#put(order);
    this.isWhole = snapshot.checksum === this.checksum();
  }

  #follow(delta: BookDelta): void {
    if (delta.prev_sequence !== this.sequence) {
      this.isWhole = false;
      return;
    }
    this.sequence = delta.sequence;
    this.phase = delta.phase ?? this.phase;
    if (delta.first_hour_at !== undefined) this.#pass(delta.first_hour_at);
    for (const reference of delta.removed ?? []) {
      this.orders.delete(reference);
      this.#lines.delete(reference);
    }
    for (const order of delta.changes ?? []) this.#put(order);
    if (delta.checksum !== undefined) this.isWhole = delta.checksum === this.checksum();
  }

  /** Hours before this one are gone: they fall off every ask, and no bid starts earlier. */
  #pass(hourAt: string): void {
    this.firstHourAt = hourAt;
    for (const order of [...this.orders.values()]) {
      if (order.free === undefined) {
        if ((order.starts_at ?? "") < hourAt) this.#put({ ...order, starts_at: hourAt });
      } else if ((order.free[0]?.starts_at ?? hourAt) < hourAt) {
        const free = order.free
          .filter((each) => each.ends_at > hourAt)
          .map((each) => (each.starts_at < hourAt ? { ...each, starts_at: hourAt } : each));
        this.#put({ ...order, free });
      }
    }
  }

  #put(order: BookOrder): void {
    this.orders.set(order.reference, order);
    this.#lines.set(order.reference, lineOf(order));
  }
}

/** What an ask can give in each of these hours to anybody; 0 where that is nothing, or the piece is too short. */
function freeFor(ask: BookOrder, startsAt: string, endsAt: string, hours: number): number {
  if ((ask.min_hours ?? 1) > hours || (ask.reserved_for?.length ?? 0) > 0) return 0;
  let least = Number.POSITIVE_INFINITY;
  let reached = startsAt;
  for (const each of ask.free ?? []) {
    if (each.ends_at <= reached) continue;
    if (each.starts_at > reached) return 0;
    least = Math.min(least, each.gpus);
    reached = each.ends_at;
    if (reached >= endsAt) return least;
  }
  return 0;
}

/** All that a bid wants, where its window has any of these hours. */
function wantedIn(bid: BookOrder, startsAt: string, endsAt: string): number {
  const isIn = (bid.starts_at ?? "") < endsAt && (bid.ends_at ?? "") > startsAt;
  return isIn ? (bid.quantity_gpus ?? 0) : 0;
}

function levelsOf(gpusByPrice: ReadonlyMap<string, number>, direction: 1 | -1): BookLevel[] {
  let cumulative = 0;
  return [...gpusByPrice]
    .sort(([one], [other]) => (fen(one) - fen(other)) * direction)
    .map(([price, gpus]) => {
      cumulative += gpus;
      return { price, gpus, cumulative };
    });
}

/** Prices are told with two decimals, always. */
function fen(price: string): number {
  return Number(price.replace(".", ""));
}

function lineOf(order: BookOrder): string {
  const head = `${order.reference} ${order.side} ${order.price_cny_per_gpu_hour}`;
  if (order.free !== undefined) {
    const free = order.free.map((each) => `${each.starts_at}/${each.ends_at}/${each.gpus}`);
    return `${head} ${order.min_hours} ${namesOf(order.reserved_for)} ${free.join(",")}\n`;
  }
  const window = `${order.starts_at}/${order.ends_at}`;
  return (
    `${head} ${order.quantity_gpus} ${order.hours} ${window} ` +
    `${order.fill} ${order.placement} ${namesOf(order.requires)}\n`
  );
}

function namesOf(names: readonly string[] | undefined): string {
  return names?.join(",") || "-";
}

/** The CRC-32 of gzip and zlib, byte by byte from a table. */
function crc32(text: string): string {
  let crc = 0xffffffff;
  for (const byte of new TextEncoder().encode(text)) {
    crc = (CRC_TABLE[(crc ^ byte) & 0xff] as number) ^ (crc >>> 8);
  }
  return ((crc ^ 0xffffffff) >>> 0).toString(16).padStart(8, "0");
}

const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte;
  for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? 0xedb88320 ^ (crc >>> 1) : crc >>> 1;
  return crc;
});
