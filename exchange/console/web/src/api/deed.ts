/** One thing that a form does: busy while it lasts, with its problem where it was refused, and done once only. */
import { type ReadonlySignal, useSignal } from "@preact/signals";
import { useRef } from "preact/hooks";
import { Intent } from "./client";
import { Problem } from "./problem";

export interface Deed {
  isBusy: ReadonlySignal<boolean>;
  problem: ReadonlySignal<Problem | null>;
  /** Do it, by `act(intent, …)`; what it throws as a `Problem` is kept, anything else goes on. */
  run: (doing: (intent: Intent) => Promise<void>) => Promise<void>;
  /** Forget why it was refused: something else is wanted now. */
  forget: () => void;
}

export function useDeed(): Deed {
  const isBusy = useSignal(false);
  const problem = useSignal<Problem | null>(null);
  const intent = useRef(new Intent());
  const run = async (doing: (intent: Intent) => Promise<void>) => {
    if (isBusy.value) return;
    isBusy.value = true;
    problem.value = null;
    try {
      await doing(intent.current);
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
