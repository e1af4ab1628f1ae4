/**
 * The rules of a programme in words: for each rule that says something, what it is called and what it says.
 *
 * Money stands in rules as whole fen, shares as basis points, days and years as the issuers' own calendar has them.
 */
import type { Catalogue } from "../../api/catalogue";
import type { Schemas } from "../../api/client";
import { cnyOf, formatBps, formatList, formatMoney, formatNumber, language, t as shared } from "../../i18n";
import type { Rules } from "./data";
import regions from "./regions.zh.json";
import { t } from "./texts";

type Tier = Schemas["RateTier"];
type Condition = Schemas["Condition"];

/** One rule: `pointer` is where it stands in the rules, as verdicts name it. */
export interface Word {
  pointer: string;
  label: string;
  /** What it says, a line each. */
  lines: readonly string[];
}

const REGIONS: ReadonlyMap<string, string> = new Map(Object.entries(regions));

/** A region by its name; one that is not known here by its code. */
export function regionText(code: string): string {
  const known = language.value === "zh" ? REGIONS.get(code) : undefined;
  return (
    known ??
    code.replace(
      /(^|-)([a-z])/g,
      (_, dash: string, letter: string) => `${dash && " "}${letter.toUpperCase()}`,
    )
  );
}

export function moneyOf(fen: number): string {
  return formatMoney(cnyOf(BigInt(fen)));
}

/** A day of the issuers' calendar with its hour, from an RFC 3339 time of any offset. */
export function dayText(at: string): string {
  return new Intl.DateTimeFormat(language.value === "zh" ? "zh-CN" : "en-GB", {
    dateStyle: "medium",
    timeStyle: "short",
    timeZone: "Asia/Shanghai",
  }).format(new Date(at));
}

function sizeText(size: string): string {
  const known = (["micro", "small", "medium", "large"] as const).find((each) => each === size);
  return known === undefined ? size : t(`size.${known}`);
}

function valueText(fact: Condition["fact"], value: string, names: Catalogue | null): string {
  if (fact === "origin" && (value === "domestic" || value === "foreign")) return shared(`origin.${value}`);
  if (fact === "accelerator") return names?.accelerator(value) ?? value;
  if (fact === "hub") return names?.hub(value) ?? value;
  if (fact === "region") return regionText(value);
  return fact === "size_class" ? sizeText(value) : value;
}

/** What one condition of a tier asks. */
export function conditionText(condition: Condition, names: Catalogue | null): string {
  const { fact } = condition;
  const name = t(`fact.${fact}`);
  const words = condition.is_one_of ?? [];
  if (words.length > 0) {
    const values = words.map((each) => valueText(fact, each, names));
    return t("fact.is", { fact: name, values: formatList(values, "or") });
  }
  const say = (value: number) => (fact === "contract_fen" ? moneyOf(value) : formatNumber(value));
  const [low, high] = [condition.at_least, condition.at_most];
  if (low != null && high != null) return t("fact.between", { fact: name, low: say(low), high: say(high) });
  return low != null
    ? t("fact.at_least", { fact: name, low: say(low) })
    : t("fact.at_most", { fact: name, high: say(high ?? 0) });
}

function tierText(tier: Tier, names: Catalogue | null): string {
  const asked = (tier.when ?? []).map((each) => conditionText(each, names));
  const share = formatBps(tier.bps);
  return asked.length === 0
    ? t("rule.tier", { share })
    : t("rule.tier.when", { share, when: formatList(asked, "and") });
}

/** What a programme pays, in a few words: its lowest and its highest share. */
export function shareText(rules: Rules): string {
  const shares = rules.rate_tiers.map((each) => each.bps);
  const [least, most] = [Math.min(...shares), Math.max(...shares)];
  return least === most ? formatBps(most) : `${formatBps(least)} – ${formatBps(most)}`;
}

export function wordsOf(rules: Rules, names: Catalogue | null): readonly Word[] {
  return [
    ...payingWords(rules, names),
    ...grantingWords(rules),
    ...whoseWords(rules, names),
    ...claimWords(rules),
  ];
}

function word(pointer: string, label: string, ...lines: (string | false)[]): Word[] {
  const said = lines.filter((line) => line !== false);
  return said.length === 0 ? [] : [{ pointer, label, lines: said }];
}

/** What vouchers pay of an order. */
function payingWords(rules: Rules, names: Catalogue | null): readonly Word[] {
  const tiers = rules.rate_tiers.map((each) => tierText(each, names));
  const above = rules.price_cap_above_bps;
  const cap = rules.price_cap ?? "none";
  const stacking = rules.stacking ?? "none";
  return [
    ...word("/mode", t("rule.mode"), t(`rule.mode.${rules.mode ?? "instant"}`)),
    ...word(
      "/rate_tiers",
      t("rule.rate_tiers"),
      ...tiers,
      tiers.length > 1 && t(`rule.combine.${rules.combine ?? "max"}`),
    ),
    ...word(
      "/price_cap",
      t("rule.price_cap"),
      cap !== "none" &&
        (above ? t(`rule.price_cap.${cap}.above`, { above: formatBps(above) }) : t(`rule.price_cap.${cap}`)),
    ),
    ...word(
      "/stacking",
      t("rule.stacking"),
      stacking === "ceiling"
        ? t("rule.stacking.ceiling", { ceiling: formatBps(rules.stacking_ceiling_bps ?? 10_000) })
        : t(`rule.stacking.${stacking}`),
    ),
    ...word("/validity_days", t("rule.validity_days"), t("rule.days", { days: rules.validity_days })),
  ];
}

/** How much there is, who is granted, and when. */
function grantingWords(rules: Rules): readonly Word[] {
  const { cap_per_year_fen: cap, min_annual_spend_fen: spend } = rules;
  const review = rules.review ?? {};
  const windows = (rules.windows ?? []).map((each) =>
    t("rule.window", { opens: dayText(each.opens_at), closes: dayText(each.closes_at) }),
  );
  const split = (rules.funding_split ?? []).map((each) =>
    t("rule.split", { source: each.source, share: formatBps(each.bps) }),
  );
  return [
    ...word("/budget_fen", t("rule.budget_fen"), moneyOf(rules.budget_fen), ...split),
    ...word("/allocation", t("rule.allocation"), t(`rule.allocation.${rules.allocation ?? "first_come"}`)),
    ...word("/windows", t("rule.windows"), ...windows),
    ...word(
      "/cap_per_year_fen",
      t("rule.cap_per_year_fen"),
      cap != null && t(`rule.cap.${rules.cap_basis ?? "entity"}`, { cap: moneyOf(cap) }),
      cap != null && t(`rule.cap.${rules.cap_counts ?? "issued"}`),
    ),
    ...word(
      "/min_annual_spend_fen",
      t("rule.min_annual_spend_fen"),
      spend != null && t("rule.spend", { spend: moneyOf(spend) }),
    ),
    ...word(
      "/review",
      t("rule.review"),
      review.auto_below_fen != null && t("rule.auto", { below: moneyOf(review.auto_below_fen) }),
      review.committee_above_fen != null &&
        t("rule.committee", { above: moneyOf(review.committee_above_fen) }),
    ),
  ];
}

/** Whose orders are paid, at whose data centres, on what. */
function whoseWords(rules: Rules, names: Catalogue | null): readonly Word[] {
  const buyer = rules.buyer ?? {};
  const { provider } = rules;
  const capacity = rules.capacity ?? {};
  const contract = rules.contract ?? {};
  const some = (words: readonly string[] | undefined, say: (each: string) => string): string | false =>
    words !== undefined && words.length > 0 && formatList(words.map(say), "or");
  const ownership = provider.ownership ?? "any";
  const admitted = provider.admitted?.length ?? 0;
  return [
    ...word("/buyer/regions", t("rule.buyer.regions"), some(buyer.regions, regionText)),
    ...word("/buyer/size_classes", t("rule.buyer.size_classes"), some(buyer.size_classes, sizeText)),
    ...word(
      "/buyer/sectors",
      t("rule.buyer.sectors"),
      some(buyer.sectors, (each) => each),
    ),
    ...word(
      "/buyer/max_age_years",
      t("rule.buyer.max_age_years"),
      buyer.max_age_years != null && t("rule.years", { years: buyer.max_age_years }),
    ),
    ...word(
      "/buyer/exclude_providers",
      t("rule.buyer.exclude_providers"),
      buyer.exclude_providers === true && t("rule.buyer.exclude_providers.text"),
    ),
    ...word(
      "/provider/admitted",
      t("rule.provider.admitted"),
      admitted > 0 && t("rule.provider.admitted.text", { count: admitted }),
    ),
    ...word(
      "/provider/ownership",
      t("rule.provider.ownership"),
      ownership !== "any" && t(`rule.ownership.${ownership}`),
    ),
    ...word("/provider/regions", t("rule.provider.regions"), some(provider.regions, regionText)),
    ...word(
      "/capacity/origin",
      t("rule.capacity.origin"),
      capacity.origin === "domestic" && shared("origin.domestic"),
    ),
    ...word(
      "/capacity/accelerators",
      t("rule.capacity.accelerators"),
      some(capacity.accelerators, (each) => names?.accelerator(each) ?? each),
    ),
    ...word(
      "/capacity/hubs",
      t("rule.capacity.hubs"),
      some(capacity.hubs, (each) => names?.hub(each) ?? each),
    ),
    ...word(
      "/contract",
      t("rule.contract"),
      contract.signed_from != null && t("rule.contract.signed_from", { day: contract.signed_from }),
      contract.max_hours != null && t("rule.contract.max_hours", { hours: contract.max_hours }),
    ),
  ];
}

/** What a claim must bring, and how it is looked at. */
function claimWords(rules: Rules): readonly Word[] {
  const evidence = rules.evidence ?? [];
  const most = rules.max_claims_per_contract;
  return [
    ...word("/evidence", t("rule.evidence"), evidence.length > 0 && formatList(evidence, "and")),
    ...word(
      "/audit_sample_bps",
      t("rule.audit_sample_bps"),
      rules.audit_sample_bps != null && t("rule.audit", { share: formatBps(rules.audit_sample_bps) }),
    ),
    ...word(
      "/max_claims_per_contract",
      t("rule.max_claims_per_contract"),
      most != null && t("rule.max_claims", { count: most }),
    ),
  ];
}
