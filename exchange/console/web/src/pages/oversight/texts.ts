/** The texts of oversight. */
import { catalogue } from "../../i18n";
import en from "./en.json";
import zh from "./zh.json";

export const t = catalogue(en, zh);

/** A text whose key is made of parts; what has none is told as it is. */
export function named(part: string, name: string): string {
  const key = `${part}.${name}`;
  return key in en ? t(key as keyof typeof en) : name;
}
