/** The texts that every page shares; a page's own stand beside it (`catalogue`). */
import { catalogue } from "./catalogue";
import en from "./en.json";
import zh from "./zh.json";

export const t = catalogue(en, zh);

export { catalogue } from "./catalogue";
export * from "./format";
export { type Language, language, setLanguage } from "./language";
export { cnyOf, fenOf } from "./money";
