/** What `/v1/stream` tells, as far as the pages read it; docs/stream.md has all of it. */
import type { Schemas } from "../api/client";

export type TradeView = Schemas["TradeView"];

/** News of one of the reader's own orders. */
export interface OrderNews {
  order_id: string;
  kind:
    | "accepted"
    | "rested"
    | "traded"
    | "reduced"
    | "replaced"
    | "cancelled"
    | "expired"
    | "rejected"
    | "self_trade_prevented";
  sequence: number;
  product: string;
  at: string;
  client_order_id?: string;
  trade_id?: string;
  side?: "buy" | "sell";
  reason?: string;
  replacement_order_id?: string;
  quantity_gpus?: number;
  price_cny_per_gpu_hour?: string;
  starts_at?: string;
  ends_at?: string;
  hours?: number;
  remaining_gpus?: number;
  remaining_gpu_hours?: number;
}

/** One of the reader's live orders, in a snapshot. */
export interface OwnOrder {
  order_id: string;
  client_order_id: string;
  product: string;
  side: "buy" | "sell";
  status: string;
  quantity_gpus: number;
  starts_at: string;
  ends_at: string;
  hours: number;
  price_cny_per_gpu_hour: string;
  filled_gpus?: number;
  filled_gpu_hours: number;
}

interface OfChannel {
  channel: string;
  partition: number;
  sequence: number;
}

export interface SnapshotMessage extends OfChannel {
  event: "snapshot";
  trades?: TradeView[];
  orders?: OwnOrder[];
  is_complete?: boolean;
  not_resumed?: string;
}

export interface DeltaMessage extends OfChannel {
  event: "delta";
  prev_sequence: number;
  trades?: TradeView[];
  orders?: OrderNews[];
}

export interface ResumedMessage extends OfChannel {
  event: "resumed";
}

/** What a subscriber of `orders` or `trades:<product>` is handed. */
export type ChannelMessage = SnapshotMessage | DeltaMessage | ResumedMessage;

/** That a request was refused, or why the connection ends. */
export interface ErrorMessage {
  event: "error";
  problem: { code: string; retryable: boolean };
}

/** What else may be said; there may be more one day. */
export interface OtherMessage {
  event: "heartbeat" | "pong" | "unsubscribed" | "server_shutdown" | "result";
}
