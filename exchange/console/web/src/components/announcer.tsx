/** What is said rather than shown: live regions for screen readers, and toasts that say the same to the eye. */
import { signal } from "@preact/signals";
import { t } from "../i18n";
import { classes } from "./classes";
import { IconClose } from "./icons";

export type Tone = "info" | "good" | "bad";

interface Toast {
  id: number;
  text: string;
  tone: Tone;
}

const SHOWN_MS = 7_000;

const spoken = signal("");
const toasts = signal<readonly Toast[]>([]);
let numbers = 0;

/** Say something to screen readers only. */
export function announce(text: string): void {
  // The same text twice is a change only with something between.
  spoken.value = spoken.value === text ? `${text}\u00a0` : text;
}

/** Show a short message for a while, and say it. Bad news stay until they are closed. */
export function toast(text: string, tone: Tone = "info"): void {
  const id = ++numbers;
  toasts.value = [...toasts.value.slice(-3), { id, text, tone }];
  if (tone !== "bad") setTimeout(() => dismiss(id), SHOWN_MS);
}

function dismiss(id: number): void {
  toasts.value = toasts.value.filter((each) => each.id !== id);
}

export function Announcer() {
  return (
    <>
      <div class="visually-hidden" role="status" aria-live="polite">
        {spoken.value}
      </div>
      <div class="toasts" role="log" aria-live="polite" aria-relevant="additions">
        {toasts.value.map((each) => (
          <div key={each.id} class={classes("toast", `toast-${each.tone}`)}>
            <span>{each.text}</span>
            <button
              type="button"
              class="icon-button"
              aria-label={t("close")}
              onClick={() => dismiss(each.id)}
            >
              <IconClose />
            </button>
          </div>
        ))}
      </div>
    </>
  );
}
