/** The terms of a bid besides hours, quantity and price: how long it lives, how it fills, of whom it buys. */
import { Field } from "../../components/form";
import { HourTextInput } from "../../components/hour_input";
import { canRest, type Draft, type Required, type TimeInForce } from "./draft";
import { t } from "./texts";

const FORCES: readonly TimeInForce[] = ["gtc", "gtd", "ioc", "fok"];
const REQUIRED: readonly Required[] = ["domestic", "state_owned"];

export interface TermsProps {
  draft: Draft;
  faultAt: (pointer: string) => string | null;
  onChange: (change: Partial<Draft>) => void;
}

export function TimeFields({ draft, faultAt, onChange }: TermsProps) {
  return (
    <>
      <Field
        label={t("force")}
        pointer="/time_in_force"
        fault={faultAt("/time_in_force")}
        hint={t(`force.${draft.time_in_force}.text`)}
      >
        {(control) => (
          <select
            {...control}
            value={draft.time_in_force}
            onChange={(event) => onChange({ time_in_force: event.currentTarget.value as TimeInForce })}
          >
            {FORCES.map((key) => (
              <option key={key} value={key}>
                {t(`force.${key}`)}
              </option>
            ))}
          </select>
        )}
      </Field>
      {draft.time_in_force === "gtd" && (
        <Field label={t("expires")} pointer="/expires_at" fault={faultAt("/expires_at")}>
          {(control) => (
            <HourTextInput
              control={control}
              value={draft.expires_at}
              onChange={(at) => onChange({ expires_at: at })}
            />
          )}
        </Field>
      )}
    </>
  );
}

export function FillFields({ draft, faultAt, onChange }: TermsProps) {
  const isWhole = draft.time_in_force === "fok";
  return (
    <>
      <Field label={t("fill")} pointer="/fill" fault={faultAt("/fill")}>
        {(control) => (
          <select
            {...control}
            value={isWhole ? "all_or_none" : draft.fill}
            disabled={isWhole}
            onChange={(event) => onChange({ fill: event.currentTarget.value as Draft["fill"] })}
          >
            <option value="partial">{t("fill.partial")}</option>
            <option value="all_or_none">{t("fill.all_or_none")}</option>
          </select>
        )}
      </Field>
      <Field label={t("placement")} pointer="/placement" fault={faultAt("/placement")}>
        {(control) => (
          <select
            {...control}
            value={draft.placement}
            onChange={(event) => onChange({ placement: event.currentTarget.value as Draft["placement"] })}
          >
            <option value="any">{t("placement.any")}</option>
            <option value="single_site">{t("placement.single_site")}</option>
          </select>
        )}
      </Field>
    </>
  );
}

export function Conditions({ draft, faultAt, onChange }: TermsProps) {
  const fault = faultAt("/post_only");
  return (
    <fieldset class="buy-group">
      <legend>{t("conditions")}</legend>
      {REQUIRED.map((key) => (
        <label key={key} class="check">
          <input
            type="checkbox"
            checked={draft.require.includes(key)}
            onChange={(event) =>
              onChange({
                require: event.currentTarget.checked
                  ? [...draft.require, key]
                  : draft.require.filter((each) => each !== key),
              })
            }
          />
          {t(`require.${key}`)}
        </label>
      ))}
      <label class="check">
        <input
          type="checkbox"
          checked={draft.post_only && canRest(draft)}
          disabled={!canRest(draft)}
          aria-invalid={fault !== null}
          aria-describedby={fault === null ? undefined : "buy-post-only-fault"}
          onChange={(event) => onChange({ post_only: event.currentTarget.checked })}
        />
        {t("post_only")}
      </label>
      {fault !== null && (
        <p class="fault" id="buy-post-only-fault">
          {fault}
        </p>
      )}
    </fieldset>
  );
}
