/**
 * Message catalogues: ICU messages in both languages, with keys that the compiler checks.
 *
 * Each page has its own pair of files, so that its texts are loaded with it. A key that is missing in one of the
 * languages does not compile; a component that calls `t` renders again when the language changes.
 */
import { IntlMessageFormat } from "intl-messageformat";
import { type Language, LOCALES, language } from "./language";

export type Values = Record<string, string | number | bigint>;

/** Tells a message of one catalogue in the language of now. */
export type Teller<Key extends string> = (key: Key, values?: Values) => string;

type SameKeys<One, Other> = Record<keyof One, string> & Record<Exclude<keyof Other, keyof One>, never>;

export function catalogue<En extends Record<string, string>, Zh extends Record<string, string>>(
  en: En & SameKeys<Zh, En>,
  zh: Zh & SameKeys<En, Zh>,
): Teller<keyof En & string> {
  const texts: Record<Language, Record<string, string>> = { en, zh };
  const read: Record<Language, Map<string, IntlMessageFormat>> = { en: new Map(), zh: new Map() };
  return (key, values) => {
    const now = language.value;
    const text = texts[now][key] ?? key;
    if (!text.includes("{")) return text;
    let message = read[now].get(key);
    if (message === undefined) {
      message = new IntlMessageFormat(text, LOCALES[now]);
      read[now].set(key, message);
    }
    return String(message.format(values));
  };
}
