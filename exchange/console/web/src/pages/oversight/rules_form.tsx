/**
 * The next version of the rules, begun from one that is there. It is given whole, with a reason; it can be tried on the
 * record first, here on some days of it, or as a file on all of it (`exchange oversight backtest`).
 */
import { useState } from "preact/hooks";
import { act, api, keyed } from "../../api/client";
import { useDeed } from "../../api/deed";
import { toast } from "../../components/announcer";
import { useDraft } from "../../components/drafts";
import { Field, Form } from "../../components/form";
import { MomentInput } from "../../components/moment_input";
import { ReasonInput } from "../../components/reason_input";
import { Restored } from "../../components/restored";
import {
  detectorName,
  measureName,
  RULES_REASON_MAX,
  type Rules,
  SEVERITIES,
  type Version,
} from "./alert_words";
import { saveFile } from "./export";
import { RulesTrial } from "./rules_trial";
import { t } from "./texts";

type Value = boolean | number | string | number[];

interface Draft {
  rules: Record<string, Record<string, Value>>;
  reason: string;
  effectiveFrom: string;
}

const INDENT = 2;

export function RulesForm(props: { from: Version; mayChange: boolean; onDone: () => void }) {
  const draft = useDraft<Draft>(`alert rules ${props.from.version}`, {
    rules: props.from.rules as unknown as Draft["rules"],
    reason: "",
    effectiveFrom: "",
  });
  const deed = useDeed(draft.intent);
  const { rules, reason, effectiveFrom } = draft.value.value;
  const change = (wish: Partial<Draft>) => {
    draft.value.value = { ...draft.value.peek(), ...wish };
  };
  const set = (detector: string, name: string, value: Value) =>
    change({ rules: { ...rules, [detector]: { ...rules[detector], [name]: value } } });
  const [isRestored] = useState(draft.restored.peek() !== null);
  const send = () =>
    deed.run(async (intent) => {
      const body = {
        rules: rules as unknown as Rules,
        reason,
        ...(effectiveFrom === "" ? {} : { effective_from: effectiveFrom }),
      };
      const made = await act(intent, body, (key) =>
        api.POST("/v1/oversight/alert-rules", { body, params: { header: keyed(key) } }),
      );
      toast(t("rules.made", { number: made.version }), "good");
      draft.begin();
      props.onDone();
    });
  return (
    <details class="ov-more" open={isRestored}>
      <summary>{t("rules.next")}</summary>
      <Form label={t("rules.next")} problem={deed.problem.value} onSubmit={() => void send()}>
        <Restored draft={draft} onDiscard={deed.forget} />
        <p class="quiet">
          {t("rules.try")} <code>exchange oversight backtest rules.json --from … --to …</code>
        </p>
        {Object.entries(rules).map(([detector, thresholds]) => (
          <fieldset key={detector} class="ov-rule">
            <legend class="label">{detectorName(detector)}</legend>
            <div class="fields">
              {Object.entries(thresholds).map(([name, value]) => (
                <Threshold
                  key={name}
                  name={name}
                  pointer={`/rules/${detector}/${name}`}
                  value={value}
                  onChange={(next) => set(detector, name, next)}
                />
              ))}
            </div>
          </fieldset>
        ))}
        <div class="fields ov-fields">
          <ReasonInput
            label={t("rules.reason")}
            rows={1}
            charactersMax={RULES_REASON_MAX}
            value={reason}
            onInput={(text) => change({ reason: text })}
          />
          <Field label={t("rules.from")} pointer="/effective_from" hint={t("rules.from.hint")}>
            {(control) => (
              <MomentInput
                control={control}
                value={effectiveFrom}
                onChange={(at) => change({ effectiveFrom: at })}
              />
            )}
          </Field>
        </div>
        <div class="buttons">
          {props.mayChange && (
            <button type="submit" class="button button-primary" disabled={deed.isBusy.value}>
              {t("rules.go")}
            </button>
          )}
          <button
            type="button"
            class="button"
            onClick={() => {
              const text = `${JSON.stringify(rules, null, INDENT)}\n`;
              saveFile(new Blob([text], { type: "application/json" }), "rules.json");
            }}
          >
            {t("rules.save")}
          </button>
        </div>
      </Form>
      {props.mayChange && <RulesTrial rules={rules as unknown as Rules} />}
    </details>
  );
}

function Threshold(props: { name: string; pointer: string; value: Value; onChange: (value: Value) => void }) {
  const { name, pointer, value, onChange } = props;
  if (typeof value === "boolean") {
    return (
      <label class="check">
        <input type="checkbox" checked={value} onChange={(event) => onChange(event.currentTarget.checked)} />
        {t("rules.enabled")}
      </label>
    );
  }
  if (name === "severity") {
    return (
      <Field label={t("alert.severity")} pointer={pointer}>
        {(control) => (
          <select
            {...control}
            value={String(value)}
            onChange={(event) => onChange(event.currentTarget.value)}
          >
            {SEVERITIES.map((each) => (
              <option key={each} value={each}>
                {t(`severity.${each}`)}
              </option>
            ))}
          </select>
        )}
      </Field>
    );
  }
  const isList = Array.isArray(value);
  return (
    <Field label={measureName(name)} pointer={pointer} unit={unitOf(name)}>
      {(control) => (
        <input
          {...control}
          inputMode="numeric"
          value={isList ? value.join(", ") : String(value)}
          onChange={(event) => {
            const numbers = event.currentTarget.value
              .split(/[,，\s]+/)
              .filter(Boolean)
              .map(Number);
            onChange(isList ? numbers : (numbers[0] ?? 0));
          }}
        />
      )}
    </Field>
  );
}

/** The unit in which a threshold is given, as its name ends. */
function unitOf(name: string): string {
  const unit = ["gpu_hours", "bps", "fen", "hours", "days", "s"].find(
    (each) => name.includes(`_${each}`) || name.startsWith(each),
  );
  return unit === undefined ? "" : t(`unit.${unit as "bps"}`);
}
