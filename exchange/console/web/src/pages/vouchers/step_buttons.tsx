/** The steps that can be taken now, a button each; what one needs is asked for in a dialog before it is taken. */
import { useSignal } from "@preact/signals";
import type { ComponentChildren } from "preact";
import { type Ask, StepDialog } from "./step_dialog";

export interface StepWay {
  tone: "" | "button-primary" | "button-danger";
  ask: Ask;
}

/** `children` are buttons beside them that ask for nothing. */
export function StepButtons({ ways, children }: { ways: readonly StepWay[]; children?: ComponentChildren }) {
  const asked = useSignal<Ask | null>(null);
  return (
    <div class="buttons">
      {ways.map(({ tone, ask }) => (
        <button
          key={ask.label}
          type="button"
          class={`button ${tone}`}
          onClick={() => {
            asked.value = ask;
          }}
        >
          {ask.label}
        </button>
      ))}
      {children}
      <StepDialog
        ask={asked.value}
        onClose={() => {
          asked.value = null;
        }}
      />
    </div>
  );
}
