/** Rules as a list in words, and what they say of a company: met, or in its way. */
import { useCatalogue } from "../../api/catalogue";
import { Badge } from "../../components/values";
import { formatMoney, language } from "../../i18n";
import type { Admission, Rule, Rules } from "./data";
import { t } from "./texts";
import { type Word, wordsOf } from "./words";

/** Rules in words; those that differ from the words `before` are marked. */
export function WordList({ words, before }: { words: readonly Word[]; before: readonly Word[] | null }) {
  const earlier = new Map(before?.map((each) => [each.pointer, each.lines.join("\n")]));
  return (
    <dl class="rules">
      {words.map((each) => (
        <div key={each.pointer} class="rule">
          <dt>{each.label}</dt>
          <dd>
            {each.lines.map((line) => (
              <p key={line}>{line}</p>
            ))}
            {before && earlier.get(each.pointer) !== each.lines.join("\n") && (
              <Badge tone="busy">{t("rules.changed")}</Badge>
            )}
          </dd>
        </div>
      ))}
    </dl>
  );
}

/** The rules of a version; those that differ from an earlier version are marked. */
export function RuleList({ rules, before }: { rules: Rules; before?: Rules | null }) {
  const names = useCatalogue().value;
  return <WordList words={wordsOf(rules, names)} before={before ? wordsOf(before, names) : null} />;
}

/** Whether a company could be granted now, how much, and each rule that says something of it. */
export function Verdicts(props: { admission: Admission; rules: Rules; isApplying: boolean }) {
  const { admission } = props;
  const names = useCatalogue().value;
  const words = new Map(wordsOf(props.rules, names).map((each) => [each.pointer, each]));
  const most = formatMoney(admission.amount_max_cny);
  return (
    <div class="verdicts">
      {admission.is_admitted ? (
        <p class="notice verdict-good">
          <span>
            {t(props.isApplying ? "admission.yes" : "admission.grant", { most })}
            {props.isApplying && admission.at_once_max_cny != null && (
              <> {t("admission.at_once", { most: formatMoney(admission.at_once_max_cny) })}</>
            )}
          </span>
        </p>
      ) : (
        <p class="notice notice-busy">
          <span>
            {t(props.isApplying ? "admission.no" : "admission.grant.no")}
            {admission.closed_because != null && (
              <> {language.value === "zh" ? t("admission.closed") : `${admission.closed_because}.`}</>
            )}
          </span>
        </p>
      )}
      <ul class="verdict-list">
        {admission.rules.map((each) => (
          <li key={each.rule}>
            <Badge tone={each.holds ? "good" : "bad"}>
              {t(each.holds ? "verdict.met" : "verdict.unmet")}
            </Badge>{" "}
            {verdictText(each, words.get(each.rule))}
          </li>
        ))}
      </ul>
    </div>
  );
}

/** What a rule asks, and in English, in which the exchange tells it, what the company is. */
function verdictText(rule: Rule, word: Word | undefined): string {
  if (word === undefined) return language.value === "zh" ? t("verdict.other") : rule.detail;
  return language.value === "zh"
    ? t("verdict.rule", { label: word.label, text: word.lines.join(" ") })
    : t("verdict.rule", { label: word.label, text: rule.detail });
}
