/** Why an order ended or was refused, in words; a reason that is not known here stays as it is. */
import { catalogue } from "../i18n";
import en from "./en.json";
import zh from "./zh.json";

const t = catalogue(en, zh);

export function orderReason(reason: string): string {
  return reason in en ? t(reason as keyof typeof en) : reason;
}
