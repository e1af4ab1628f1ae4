/** What a list has of its reader beside its rows: order, older rows, choices. It stays while one of its rows is open. */
import { type Signal, signal } from "@preact/signals";
import { useEffect, useMemo } from "preact/hooks";

interface Kept {
  value: Signal<unknown>;
  users: number;
  timer: ReturnType<typeof setTimeout> | undefined;
}

/** So long it is kept while nobody shows it: what comes back much later begins anew. */
const KEPT_MS = 300_000;

const kept = new Map<string, Kept>();

/** Forget everything: somebody else is logged in now. */
export function forgetKept(): void {
  kept.clear();
}

/** A signal that is the same for the same name when its component comes again; without a name it goes with it. */
export function useKept<T>(name: string | undefined, first: T): Signal<T> {
  const one = useMemo<Kept>(() => {
    const known = name === undefined ? undefined : kept.get(name);
    if (known !== undefined) return known;
    const made: Kept = { value: signal<unknown>(first), users: 0, timer: undefined };
    if (name !== undefined) kept.set(name, made);
    return made;
  }, [name]);
  useEffect(() => {
    one.users++;
    clearTimeout(one.timer);
    return () => {
      one.users--;
      if (one.users > 0 || name === undefined) return;
      one.timer = setTimeout(() => {
        if (kept.get(name) === one) kept.delete(name);
      }, KEPT_MS);
    };
  }, [one, name]);
  return one.value as Signal<T>;
}
