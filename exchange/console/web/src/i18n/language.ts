/** The language of the pages: English or Chinese, kept on this device, at first that of the browser. */
import { effect, signal } from "@preact/signals";

export type Language = "en" | "zh";

const KEPT_AS = "exchange.language";

function first(): Language {
  const kept = localStorage.getItem(KEPT_AS);
  if (kept === "en" || kept === "zh") return kept;
  return navigator.language.toLowerCase().startsWith("zh") ? "zh" : "en";
}

export const language = signal<Language>(first());

/** The tag that `Intl` and `<html lang>` take. */
export const LOCALES: Record<Language, string> = { en: "en-GB", zh: "zh-CN" };

export function setLanguage(next: Language): void {
  localStorage.setItem(KEPT_AS, next);
  language.value = next;
}

effect(() => {
  document.documentElement.lang = LOCALES[language.value];
});
