/** What makes a wish one however often it is sent. */

/** What was sent without a certain answer, and the key that it went by. */
export interface Sent {
  payload: string;
  key: string;
}

/**
 * Somebody's wish to do one thing once. The same payload keeps its key over retries, lost answers and a session that has
 * ended; another payload, or the same after a certain answer, is another wish and gets a new key.
 */
export class Intent {
  #sent: Sent | null;
  readonly #keep: (sent: Sent | null) => void;

  /** `keep` is told what a later `Intent` must begin with to be this one: after a reload of the page. */
  constructor(sent: Sent | null = null, keep: (sent: Sent | null) => void = () => undefined) {
    this.#sent = sent;
    this.#keep = keep;
  }

  keyFor(payload: unknown): string {
    const text = JSON.stringify(payload);
    if (this.#sent?.payload !== text) this.#become({ payload: text, key: `web-${crypto.randomUUID()}` });
    return (this.#sent as Sent).key;
  }

  /** Whether this is what was sent and not answered for certain: to send it again is the same deed. */
  hasSent(payload: unknown): boolean {
    return this.#sent?.payload === JSON.stringify(payload);
  }

  settle(): void {
    if (this.#sent !== null) this.#become(null);
  }

  #become(sent: Sent | null): void {
    this.#sent = sent;
    this.#keep(sent);
  }
}
