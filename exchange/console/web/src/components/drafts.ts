/**
 * What is typed in a form and not sent outlasts a reload of its page, and a way to other pages and back.
 *
 * It stands in the window's own `sessionStorage`, by participant and form, from the first change until it is sent,
 * discarded, or its reader logs out or gives way to another participant; a session that ends drops nothing. With it
 * stands the key of a wish whose answer never came, so that what is sent again after a reload is done once. Never for
 * forms with a secret, such as the login's.
 */
import { effect, type ReadonlySignal, type Signal, signal } from "@preact/signals";
import { useEffect, useMemo } from "preact/hooks";
import { Intent, type Sent } from "../api/intent";

const PREFIX = "exchange.draft ";

interface Stored {
  value: Record<string, unknown>;
  wish: string;
  sent: Sent | null;
}

/** Whose drafts are kept now; nobody's are, where nobody is logged in. */
let owner: string | null = null;

/** Keep the drafts of a participant from now on, and drop everybody else's. */
export function keepDraftsOf(participantId: string | null): void {
  owner = participantId;
  const own = participantId === null ? null : prefixOf(participantId);
  for (const key of Object.keys(sessionStorage)) {
    if (key.startsWith(PREFIX) && (own === null || !key.startsWith(own))) sessionStorage.removeItem(key);
  }
}

function prefixOf(participantId: string): string {
  return `${PREFIX}${participantId} `;
}

export interface FormDraft<T extends object> {
  /** What the form has now; `first` at first. */
  value: Signal<T>;
  /** Makes what is sent one wish, also over a reload. */
  intent: Intent;
  /** What came back: what was typed only, or what was sent already without an answer. */
  restored: ReadonlySignal<"typed" | "sent" | null>;
  /** Begin anew, because it was sent or is no longer wanted: with what the form had at first, or with something else. */
  begin: (next?: T) => void;
}

export class Draft<T extends object> implements FormDraft<T> {
  readonly value: Signal<T>;
  readonly intent: Intent;
  readonly restored: Signal<"typed" | "sent" | null>;
  readonly #key: string | null;
  readonly #owner: string | null;
  #first: T;
  #begun: string;
  #wish: string;
  #sent: Sent | null = null;

  constructor(form: string, first: T, wish: string) {
    this.#owner = owner;
    this.#key = owner === null ? null : prefixOf(owner) + form;
    this.#first = first;
    this.#begun = JSON.stringify(first);
    const found = this.#key === null ? null : storedAs(this.#key, first);
    const isBack = found !== null && (wish === "" || wish === found.wish);
    this.#wish = isBack ? found.wish : wish;
    this.#sent = isBack ? found.sent : null;
    this.value = signal(isBack ? (found.value as T) : first);
    this.restored = signal(isBack ? (found.sent === null ? "typed" : "sent") : null);
    this.intent = new Intent(this.#sent, (sent) => {
      this.#sent = sent;
      this.store();
    });
  }

  readonly begin = (next: T = this.#first): void => {
    this.#begun = JSON.stringify(next);
    this.#sent = null;
    this.intent.settle();
    this.restored.value = null;
    this.value.value = next;
    this.store();
  };

  /** Begin anew with what an address asks for, unless it asks for the same as before, or for nothing. */
  ask(wish: string, first: T): void {
    if (wish === "" || wish === this.#wish) return;
    this.#wish = wish;
    this.#first = first;
    this.begin();
  }

  /** Write down what there is; nothing where the form stands as it was begun. */
  store(): void {
    const value = this.value.value;
    // A late answer says nothing any more where somebody else is logged in by now.
    if (this.#key === null || this.#owner !== owner) return;
    if (this.#sent === null && JSON.stringify(value) === this.#begun) {
      sessionStorage.removeItem(this.#key);
      return;
    }
    try {
      sessionStorage.setItem(this.#key, JSON.stringify({ value, wish: this.#wish, sent: this.#sent }));
    } catch {
      // A browser has room for some millions of letters: what is longer goes with its page.
    }
  }
}

/** What stands under a key; null for what a form had that was another, as after a new release. */
function storedAs(key: string, first: object): Stored | null {
  const text = sessionStorage.getItem(key);
  if (text === null) return null;
  const stored = JSON.parse(text) as Stored;
  const names = (of: object) => Object.keys(of).sort().join(" ");
  return names(stored.value) === names(first) ? stored : null;
}

/**
 * The draft of a form. `form` names it, with the id of what it is about, and `first` is what stands there at first, with
 * all its fields. A `wish` is what an address asks the form for: another one than before takes the draft's place.
 */
export function useDraft<T extends object>(form: string, first: T, wish = ""): FormDraft<T> {
  const draft = useMemo(() => new Draft(form, first, wish), [form]);
  useEffect(() => effect(() => draft.store()), [draft]);
  useEffect(() => draft.ask(wish, first), [draft, wish]);
  return draft;
}
