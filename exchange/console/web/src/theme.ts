/** Light or dark: as the system says, unless the reader chose on this device. */
import { computed, effect, signal } from "@preact/signals";

export type Theme = "system" | "light" | "dark";

const KEPT_AS = "exchange.theme";
const darkSystem = matchMedia("(prefers-color-scheme: dark)");

function first(): Theme {
  const kept = localStorage.getItem(KEPT_AS);
  return kept === "light" || kept === "dark" ? kept : "system";
}

export const theme = signal<Theme>(first());
const systemIsDark = signal(darkSystem.matches);
darkSystem.addEventListener("change", (event) => {
  systemIsDark.value = event.matches;
});

/** Whether pictures that scripts draw have to be dark. */
export const isDark = computed(
  () => theme.value === "dark" || (theme.value === "system" && systemIsDark.value),
);

export function setTheme(next: Theme): void {
  if (next === "system") localStorage.removeItem(KEPT_AS);
  else localStorage.setItem(KEPT_AS, next);
  theme.value = next;
}

effect(() => {
  document.documentElement.style.colorScheme = theme.value === "system" ? "light dark" : theme.value;
});
