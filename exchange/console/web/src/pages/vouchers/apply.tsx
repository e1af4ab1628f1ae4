/** Whether a buyer may apply to a programme, by each of its rules; and the form by which it does. */
import { act, api, keyed } from "../../api/client";
import { useDeed } from "../../api/deed";
import { useQuery } from "../../api/query";
import { toast } from "../../components/announcer";
import { useDraft } from "../../components/drafts";
import { Field, Form } from "../../components/form";
import { Restored } from "../../components/restored";
import { Loaded } from "../../components/states";
import { formatList, formatMoney } from "../../i18n";
import type { Admission, Programme } from "./data";
import { Verdicts } from "./rules";
import type { Change } from "./state";
import { t } from "./texts";

const PURPOSE_CHARACTERS_MAX = 2000;

export function ApplyCard({ programme, onChange }: { programme: Programme; onChange: Change }) {
  const admission = useQuery(
    `/v1/programmes/${programme.id}/eligibility`,
    (c) =>
      api.GET("/v1/programmes/{programme_id}/eligibility", {
        ...c,
        params: { path: { programme_id: programme.id } },
      }),
    { every_s: 15 },
  );
  return (
    <section class="card">
      <h3>{t("apply")}</h3>
      <Loaded query={admission}>
        {(told) => (
          <>
            <Verdicts admission={told} rules={programme.rules} isApplying />
            {told.is_admitted && (
              <ApplyForm
                programme={programme}
                admission={told}
                onApplied={(id) => onChange({ tab: "applications", open: id })}
              />
            )}
          </>
        )}
      </Loaded>
    </section>
  );
}

function ApplyForm(props: { programme: Programme; admission: Admission; onApplied: (id: string) => void }) {
  const { programme, admission } = props;
  const draft = useDraft(`apply ${programme.id}`, { amount: "", purpose: "" });
  const deed = useDeed(draft.intent);
  const { amount, purpose } = draft.value.value;
  const evidence = programme.rules.evidence ?? [];
  const submit = () =>
    deed.run(async (intent) => {
      const body = {
        programme_id: programme.id,
        amount_cny: amount.trim(),
        purpose: purpose.trim(),
      };
      const made = await act(intent, body, (key) =>
        api.POST("/v1/applications", { params: { header: keyed(key) }, body }),
      );
      toast(t(made.status === "approved" ? "apply.granted" : "apply.done"), "good");
      draft.begin();
      props.onApplied(made.id);
    });
  return (
    <Form label={t("apply")} problem={deed.problem.value} onSubmit={() => void submit()}>
      <Restored draft={draft} onDiscard={deed.forget} />
      <div class="fields fields-narrow">
        <Field
          label={t("apply.amount")}
          pointer="/amount_cny"
          unit="CNY"
          hint={t("amount.max", { max: formatMoney(admission.amount_max_cny) })}
        >
          {(control) => (
            <input
              {...control}
              inputMode="decimal"
              autocomplete="off"
              value={amount}
              onInput={(event) => {
                draft.value.value = { amount: event.currentTarget.value, purpose };
              }}
            />
          )}
        </Field>
      </div>
      <Field label={t("apply.purpose")} pointer="/purpose" hint={t("apply.purpose.hint")}>
        {(control) => (
          <textarea
            {...control}
            rows={3}
            maxLength={PURPOSE_CHARACTERS_MAX}
            value={purpose}
            onInput={(event) => {
              draft.value.value = { amount, purpose: event.currentTarget.value };
            }}
          />
        )}
      </Field>
      {evidence.length > 0 && (
        <p class="quiet">{t("apply.evidence", { names: formatList(evidence, "and") })}</p>
      )}
      <button type="submit" class="button button-primary" disabled={deed.isBusy.value}>
        {t("apply.submit")}
      </button>
    </Form>
  );
}
