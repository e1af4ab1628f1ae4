/** One thing that a form does: busy while it lasts, with its problem where it was refused, and done once only. */
import { type ReadonlySignal, useSignal } from "@preact/signals";
import { useRef } from "preact/hooks";
import { Intent } from "./intent";
import { Problem } from "./problem";

export interface Deed {
  isBusy: ReadonlySignal<boolean>;
  problem: ReadonlySignal<Problem | null>;
  /** Do it, by `act(intent, …)`; what it throws as a `Problem` is kept, anything else goes on. */
  run: (doing: (intent: Intent) => Promise<void>) => Promise<void>;
  /** Forget why it was refused: something else is wanted now. */
  forget: () => void;
}

/** `of` is the wish of a form whose draft keeps it over a reload. */
export function useDeed(of?: Intent): Deed {
  const isBusy = useSignal(false);
  const problem = useSignal<Problem | null>(null);
  const own = useRef(new Intent());
  const intent = of ?? own.current;
  const run = async (doing: (intent: Intent) => Promise<void>) => {
    if (isBusy.value) return;
    isBusy.value = true;
    problem.value = null;
    try {
      await doing(intent);
    } catch (failed) {
      if (!(failed instanceof Problem)) throw failed;
      problem.value = failed;
    } finally {
      isBusy.value = false;
    }
  };
  const forget = () => {
    problem.value = null;
  };
  return { isBusy, problem, run, forget };
}
