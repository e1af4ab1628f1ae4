/** The buyer's texts. */
import { catalogue } from "../../i18n";
import en from "./en.json";
import zh from "./zh.json";

export const t = catalogue(en, zh);
