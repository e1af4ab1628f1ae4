/**
 * One WebSocket to `/v1/stream`, shared by everything on the pages that is live.
 *
 * A channel is subscribed while anybody listens to it. After an interruption the connection comes back by itself, after
 * pauses that double and differ by chance until the exchange has told something again, and each channel goes on after
 * the sequences it had; where the exchange cannot go on it sends a snapshot instead, and listeners begin anew from
 * that. A delta that does not follow the one before it is never handed on: its channel is asked for anew, and nothing
 * of it is handed on until the snapshot. What was refused for now (too many requests) is asked again later. Silence for
 * longer than two heartbeats ends the connection.
 */
import { type ReadonlySignal, signal } from "@preact/signals";
import type { BookMessage } from "./book";
import type { ChannelMessage, ErrorMessage, OtherMessage } from "./messages";

/** `idle`: nobody listens, so there is no connection. */
export type StreamState = "idle" | "offline" | "connecting" | "live";
export type AnyMessage = ChannelMessage | BookMessage;
export type Listener = (message: AnyMessage) => void;

const HEARTBEAT_S = 15;
const SILENCE_MS = 40_000;
const PAUSE_MS_MIN = 500;
const PAUSE_MS_MAX = 20_000;
const IDLE_MS = 5_000;
/** The key or session behind the connection has ended. */
const CLOSED_KEY_ENDED = 4401;

class Channel {
  readonly listeners = new Set<Listener>();
  /** By partition, the last sequence that was told. */
  readonly sequences = new Map<number, number>();
  /** Whether a snapshot, or what was missed, has been asked for and has not come. */
  isAwaited = true;
}

export class StreamConnection {
  readonly #state = signal<StreamState>("idle");
  readonly #channels = new Map<string, Channel>();
  #socket: WebSocket | null = null;
  /** Connections that ended, or requests that were refused, since something was told last. */
  #failures = 0;
  #retry: ReturnType<typeof setTimeout> | undefined;
  /** When what was refused is asked for again: once for all of it, however much was refused. */
  #again: ReturnType<typeof setTimeout> | undefined;
  #silence: ReturnType<typeof setTimeout> | undefined;
  #idle: ReturnType<typeof setTimeout> | undefined;

  /** `onKeyEnded` is called where the exchange ends the connection because who is logged in no longer is. */
  constructor(
    readonly address: () => string,
    readonly onKeyEnded: () => void = () => undefined,
  ) {
    // Whoever has a network again need not wait for the rest of a pause.
    addEventListener("online", () => {
      if (this.#socket === null && this.#channels.size > 0) this.#open();
    });
  }

  get state(): ReadonlySignal<StreamState> {
    return this.#state;
  }

  /** Hand a channel's messages to a listener until the returned function is called. */
  listen(name: string, listener: Listener): () => void {
    clearTimeout(this.#idle);
    let channel = this.#channels.get(name);
    if (channel === undefined) {
      channel = new Channel();
      this.#channels.set(name, channel);
      this.#send({ op: "subscribe", channels: [name] });
    } else {
      // The others have the channel's past already; a snapshot gives it to all of them anew.
      this.#anew(name, channel);
    }
    channel.listeners.add(listener);
    this.#open();
    return () => this.#unlisten(name, listener);
  }

  /** Ask for a channel's snapshot: what its listeners made of it is not right. */
  resync(name: string): void {
    const channel = this.#channels.get(name);
    if (channel !== undefined && !channel.isAwaited) this.#anew(name, channel);
  }

  /** Connect anew, as whoever is logged in now. */
  restart(): void {
    for (const channel of this.#channels.values()) channel.sequences.clear();
    this.#failures = 0;
    this.#drop();
    if (this.#channels.size > 0) this.#open();
  }

  #unlisten(name: string, listener: Listener): void {
    const channel = this.#channels.get(name);
    if (channel === undefined) return;
    channel.listeners.delete(listener);
    if (channel.listeners.size > 0) return;
    this.#channels.delete(name);
    this.#send({ op: "unsubscribe", channels: [name] });
    if (this.#channels.size === 0) this.#idle = setTimeout(() => this.#drop(), IDLE_MS);
  }

  #open(): void {
    if (this.#socket !== null) return;
    clearTimeout(this.#retry);
    this.#state.value = "connecting";
    const socket = new WebSocket(this.address());
    this.#socket = socket;
    socket.onopen = () => {
      this.#state.value = "live";
      this.#heard();
      this.#send({ op: "heartbeat", interval_s: HEARTBEAT_S });
      for (const [name, channel] of this.#channels) this.#subscribe(name, channel);
    };
    socket.onmessage = (event) => {
      if (this.#socket !== socket) return;
      this.#heard();
      this.#told(JSON.parse(String(event.data)));
    };
    socket.onclose = (event) => {
      if (this.#socket !== socket) return;
      this.#drop();
      if (event.code === CLOSED_KEY_ENDED) this.onKeyEnded();
      if (this.#channels.size > 0) this.#retry = setTimeout(() => this.#open(), this.#pauseMs());
    };
  }

  #drop(): void {
    const socket = this.#socket;
    this.#socket = null;
    clearTimeout(this.#silence);
    clearTimeout(this.#retry);
    clearTimeout(this.#again); // the next connection asks for everything
    this.#again = undefined;
    this.#state.value = this.#channels.size === 0 ? "idle" : "offline";
    socket?.close();
  }

  /** How long to wait now: twice as long as before at most, and never all readers at once. */
  #pauseMs(): number {
    const longest = Math.min(PAUSE_MS_MIN * 2 ** this.#failures++, PAUSE_MS_MAX);
    return longest * (0.5 + Math.random() / 2);
  }

  #heard(): void {
    clearTimeout(this.#silence);
    this.#silence = setTimeout(() => {
      this.#drop();
      if (this.#channels.size > 0) this.#open();
    }, SILENCE_MS);
  }

  #send(message: object): void {
    if (this.#socket?.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify(message));
  }

  #subscribe(name: string, channel: Channel): void {
    channel.isAwaited = true;
    const after = Object.fromEntries(channel.sequences);
    this.#send({ op: "subscribe", channels: [name], ...(channel.sequences.size > 0 ? { after } : {}) });
  }

  #anew(name: string, channel: Channel): void {
    channel.sequences.clear();
    channel.isAwaited = true;
    this.#send({ op: "resync", channels: [name] });
  }

  #told(message: AnyMessage | ErrorMessage | OtherMessage): void {
    if (message.event === "heartbeat") {
      this.#failures = 0;
      this.#send({ op: "ping" });
      return;
    }
    if (message.event === "error") {
      if (message.problem.retryable) this.#askAgain();
      return;
    }
    if (!("channel" in message)) return;
    const channel = this.#channels.get(message.channel);
    if (channel === undefined) return;
    if (message.event === "delta" && !this.#follows(message, channel)) return;
    this.#failures = 0;
    if (message.event !== "checksum") channel.sequences.set(message.partition, message.sequence);
    if (message.event === "snapshot" || message.event === "resumed") channel.isAwaited = false;
    for (const listener of channel.listeners) listener(message);
  }

  /** Whether a delta is the next one; where one is missing its channel is asked for anew. */
  #follows(delta: AnyMessage & { event: "delta" }, channel: Channel): boolean {
    const known = channel.sequences.get(delta.partition);
    if (known === undefined || delta.sequence <= known) return false;
    if (delta.prev_sequence === known) return true;
    this.#anew(delta.channel, channel);
    return false;
  }

  /** Ask again, in a while, for what has not come. */
  #askAgain(): void {
    this.#again ??= setTimeout(() => {
      this.#again = undefined;
      for (const [name, channel] of this.#channels) if (channel.isAwaited) this.#subscribe(name, channel);
    }, this.#pauseMs());
  }
}
