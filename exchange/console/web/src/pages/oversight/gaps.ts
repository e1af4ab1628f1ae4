/** How long it was between two moments, in the two largest units that say something. */
import { LOCALES, language } from "../../i18n/language";

const UNITS = [
  ["day", 86_400_000],
  ["hour", 3_600_000],
  ["minute", 60_000],
  ["second", 1_000],
] as const;

export function formatGap(ms: number): string {
  const say = (value: number, unit: string) =>
    new Intl.NumberFormat(LOCALES[language.value], {
      style: "unit",
      unit,
      unitDisplay: language.value === "zh" ? "long" : "short",
      maximumFractionDigits: 0,
    }).format(value);
  if (ms < 1000) return say(Math.max(ms, 0), "millisecond");
  const place = UNITS.findIndex(([, size]) => ms >= size);
  const [unit, size] = UNITS[place] as (typeof UNITS)[number];
  const whole = Math.floor(ms / size);
  const next = UNITS[place + 1];
  const rest = next === undefined ? 0 : Math.floor((ms - whole * size) / next[1]);
  return next === undefined || rest === 0 ? say(whole, unit) : `${say(whole, unit)} ${say(rest, next[0])}`;
}
