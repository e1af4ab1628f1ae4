/** The score that an issuer gives an application, and why. */
import { useSignal } from "@preact/signals";
import { act, api, keyed } from "../../api/client";
import { useDeed } from "../../api/deed";
import { toast } from "../../components/announcer";
import { Field, Form } from "../../components/form";
import { ReasonInput } from "../../components/reason_input";
import type { Application } from "./data";
import { t } from "./texts";

export function ScoreForm({ application, onScored }: { application: Application; onScored: () => void }) {
  const deed = useDeed();
  const score = useSignal(application.score == null ? "" : String(application.score));
  const reason = useSignal("");
  const submit = () =>
    deed.run(async (intent) => {
      // What is no number is the exchange's to refuse, at its field.
      const given = /^\d+$/.test(score.value.trim()) ? Number(score.value) : score.value;
      const body = { score: given as number, reason: reason.value.trim() };
      await act(intent, [application.id, body], (key) =>
        api.POST("/v1/applications/{application_id}/score", {
          params: { path: { application_id: application.id }, header: keyed(key) },
          body,
        }),
      );
      toast(t("score.done"), "good");
      reason.value = "";
      onScored();
    });
  return (
    <Form label={t("score")} problem={deed.problem.value} onSubmit={() => void submit()}>
      <p class="quiet">{t("score.text")}</p>
      <div class="fields fields-narrow">
        <Field label={t("score.value")} pointer="/score" hint={t("score.hint")}>
          {(control) => (
            <input
              {...control}
              inputMode="numeric"
              autocomplete="off"
              value={score.value}
              onInput={(event) => {
                score.value = event.currentTarget.value;
              }}
            />
          )}
        </Field>
      </div>
      <ReasonInput
        label={t("reason")}
        hint={t("reason.buyer")}
        value={reason.value}
        onInput={(text) => {
          reason.value = text;
        }}
      />
      <button type="submit" class="button" disabled={deed.isBusy.value}>
        {t("score.submit")}
      </button>
    </Form>
  );
}
