/** A provider's word that it does not deliver some hours: which, why, and what it costs, before it is said. */

import { useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { api, read } from "../../api/client";
import { HOUR_MS } from "../../api/hours";
import { Problem } from "../../api/problem";
import { toast } from "../../components/announcer";
import { Field, Form } from "../../components/form";
import { ReasonInput } from "../../components/reason_input";
import { catalogue, cnyOf, formatMoney, formatTime, t as shared } from "../../i18n";
import { type Hour, hourFen, type Lease, stateOf } from "./data";
import en from "./en.json";
import zh from "./zh.json";

const t = catalogue(en, zh);

export function OutageForm(props: {
  lease: Lease;
  hours: readonly Hour[];
  onDone: () => void;
  onCancel: () => void;
}) {
  const { lease, hours } = props;
  const open = hours.filter((each) => stateOf(each) === "pending");
  const from = useSignal(open[0]?.starts_at ?? "");
  const until = useSignal(open[0]?.starts_at ?? "");
  const reason = useSignal("");
  const isSure = useSignal(false);
  const isUnsure = useSignal(false);
  const problem = useSignal<Problem | null>(null);
  const isBusy = useSignal(false);
  const form = useRef<HTMLDivElement>(null);
  useEffect(() => {
    form.current?.scrollIntoView({ block: "nearest" });
    form.current?.querySelector<HTMLElement>("select")?.focus();
  }, []);
  const chosen = open.filter((each) => from.value <= each.starts_at && each.starts_at <= until.value);
  const fen = hourFen(lease) * BigInt(chosen.length);

  const submit = async () => {
    isUnsure.value = !isSure.value;
    if (isUnsure.value || chosen.length === 0) return;
    if (isBusy.value) return;
    isBusy.value = true;
    problem.value = null;
    try {
      // An hour that is reported twice is one: it may be sent again.
      await read(() =>
        api.POST("/v1/leases/{lease_id}/outages", {
          params: { path: { lease_id: lease.id } },
          body: { hours: chosen.map((each) => each.starts_at), reason: reason.value.trim() },
        }),
      );
      toast(t("report.done", { hours: chosen.length }), "good");
      props.onDone();
    } catch (failed) {
      if (!(failed instanceof Problem)) throw failed;
      problem.value = failed;
    } finally {
      isBusy.value = false;
    }
  };
  const select = (label: string, value: { value: string }, add: number) => (
    <Field label={label} {...(add === 0 ? { pointer: "/hours" } : {})}>
      {(control) => (
        <select
          {...control}
          value={value.value}
          onChange={(event) => {
            value.value = event.currentTarget.value;
          }}
        >
          {open.map((each) => (
            <option key={each.starts_at} value={each.starts_at}>
              {formatTime(Date.parse(each.starts_at) + add)}
            </option>
          ))}
        </select>
      )}
    </Field>
  );
  return (
    <div ref={form} class="card">
      <h3>{t("report")}</h3>
      <p>{t("report.text")}</p>
      <Form label={t("report")} problem={problem.value} onSubmit={() => void submit()}>
        <div class="fields">
          {select(t("from"), from, 0)}
          {select(t("until"), until, HOUR_MS)}
        </div>
        <ReasonInput
          label={t("reason")}
          hint={t("report.reason_hint")}
          rows={1}
          value={reason.value}
          onInput={(text) => {
            reason.value = text;
          }}
        />
        <p aria-live="polite" class="notice notice-busy">
          {chosen.length === 0
            ? t("report.none")
            : t("report.size", {
                hours: chosen.length,
                amount: formatMoney(cnyOf(fen)),
                buyer: lease.buyer,
              })}
        </p>
        <Field label={t("report.sure")} fault={isUnsure.value ? t("report.sure.missing") : null}>
          {(control) => (
            <input
              {...control}
              type="checkbox"
              checked={isSure.value}
              onChange={(event) => {
                isSure.value = event.currentTarget.checked;
                isUnsure.value = false;
              }}
            />
          )}
        </Field>
        <div class="buttons buttons-end">
          <button type="button" class="button" onClick={props.onCancel}>
            {shared("cancel")}
          </button>
          <button type="submit" class="button button-danger" disabled={isBusy.value || chosen.length === 0}>
            {t("report.confirm")}
          </button>
        </div>
      </Form>
    </div>
  );
}
