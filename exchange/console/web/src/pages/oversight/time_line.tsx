/** What became of something, step by step: an ordered list along a line, with how long each step took to come. */
import type { ComponentChildren } from "preact";
import { classes } from "../../components/classes";
import { Time } from "../../components/values";
import { formatSpan } from "../../i18n";
import type { Tone } from "./codes";
import { t } from "./texts";

export interface Moment {
  key: string;
  at: string;
  title: string;
  tone: Tone;
  /** The code of the record, where it has one. */
  code?: string;
  /** Where it left what it is about. */
  badge?: ComponentChildren;
  facts: readonly Fact[];
  children?: ComponentChildren;
}

/** Something about a step: what it is, and what it says. */
export type Fact = readonly [label: string, value: ComponentChildren];

export function TimeLine({ label, moments }: { label: string; moments: readonly Moment[] }) {
  return (
    <ol class="life" aria-label={label}>
      {moments.map((moment, index) => {
        const before = moments[index - 1];
        return (
          <li key={moment.key} class={classes("life-step", `life-${moment.tone}`)}>
            <div class="life-when">
              <Time at={moment.at} exact />
              {before !== undefined && (
                <span class="life-gap">
                  {moment.at === before.at
                    ? t("life.at_once")
                    : t("life.after", { gap: formatSpan(Date.parse(moment.at) - Date.parse(before.at)) })}
                </span>
              )}
            </div>
            <div class="life-what">
              <p class="life-title">
                <strong>{moment.title}</strong>
                {moment.code !== undefined && <code class="quiet">{moment.code}</code>}
                {moment.badge}
              </p>
              <Facts facts={moment.facts} />
              {moment.children}
            </div>
          </li>
        );
      })}
    </ol>
  );
}

export function Facts({ facts }: { facts: readonly Fact[] }) {
  if (facts.length === 0) return null;
  return (
    <dl class="life-facts">
      {facts.map(([label, value]) => (
        <div key={label}>
          <dt>{label}</dt>
          <dd>{value}</dd>
        </div>
      ))}
    </dl>
  );
}

/** How far something is filled, as a bar and in words. */
export function Fill({ done, all }: { done: number; all: number }) {
  const share = all === 0 ? 0 : Math.min(done / all, 1);
  return (
    <div class="life-fill">
      <span class="life-fill-bar" aria-hidden="true">
        <span style={{ width: `${share * 100}%` }} />
      </span>
      <span class="quiet number">{t("life.filled", { done, all })}</span>
    </div>
  );
}
