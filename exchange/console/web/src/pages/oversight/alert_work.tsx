/** Working on an alert: take it under review, write a note, close it with what the review came to. */
import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { act, api, keyed, type Schemas } from "../../api/client";
import { useDeed } from "../../api/deed";
import { toast } from "../../components/announcer";
import { Confirm } from "../../components/dialog";
import { useDraft } from "../../components/drafts";
import { Field, Form } from "../../components/form";
import { Restored } from "../../components/restored";
import { Choice } from "../../components/tabs";
import { isKind } from "../../session";
import { t } from "./texts";

type Detail = Schemas["AlertDetail"];
type Step = "review" | "note" | "close";

const TEXT_MAX = 2000;

/** What the case allows now: a closed one is written to still, and only a regulator moves it on. */
function stepsOf(alert: Detail): Step[] {
  if (!isKind("regulator")) return ["note"];
  if (alert.status === "open") return ["review", "note"];
  return alert.status === "under_review" ? ["close", "note"] : ["note"];
}

export function AlertWork({ alert, onDone }: { alert: Detail; onDone: (alert: Detail) => void }) {
  const steps = stepsOf(alert);
  const draft = useDraft(`case ${alert.id}`, { text: "", step: steps[0] as Step });
  const { text, step: chosen } = draft.value.value;
  const isSure = useSignal(false);
  const deed = useDeed(draft.intent);
  const step = steps.find((each) => each === chosen) ?? (steps[0] as Step);
  useEffect(() => {
    // What was sent was done, or somebody else moved the case on: under another step it would be another deed.
    if (draft.restored.value === "sent" && step !== chosen) draft.begin({ text: "", step });
  }, [draft, step, chosen]);
  const take = () =>
    deed.run(async (intent) => {
      const next = await act(intent, [alert.id, step, text], (key) => send(alert.id, step, text, key));
      draft.begin({ text: "", step });
      toast(t(`case.${step}.done`), "good");
      onDone(next);
    });
  return (
    <Form
      label={t("case")}
      problem={deed.problem.value}
      onSubmit={() => {
        if (step === "close" && text.trim() !== "") isSure.value = true;
        else void take();
      }}
    >
      <Restored draft={draft} onDiscard={deed.forget} />
      {steps.length > 1 && (
        <Choice
          label={t("case")}
          options={steps.map((each) => ({ key: each, title: t(`case.${each}`) }))}
          chosen={step}
          onChoose={(each) => {
            draft.value.value = { text, step: each };
            deed.forget();
          }}
        />
      )}
      <Field key={step} label={t(`case.${step}.text`)} pointer={step === "close" ? "/reason" : "/text"}>
        {(control) => (
          <textarea
            {...control}
            rows={3}
            maxLength={TEXT_MAX}
            value={text}
            onInput={(event) => {
              draft.value.value = { text: event.currentTarget.value, step };
            }}
          />
        )}
      </Field>
      <button
        type="submit"
        class={step === "close" ? "button button-danger" : "button button-primary"}
        disabled={deed.isBusy.value}
      >
        {t(`case.${step}`)}
      </button>
      {!isKind("regulator") && <p class="hint">{t("case.operator")}</p>}
      <Confirm
        title={t("case.close.sure")}
        isOpen={isSure.value}
        isDangerous
        confirmLabel={t("case.close")}
        onClose={() => {
          isSure.value = false;
        }}
        onConfirm={take}
      >
        <p>{t("case.close.sure.text")}</p>
        <p class="ov-said">{text}</p>
      </Confirm>
    </Form>
  );
}

function send(id: string, step: Step, text: string, key: string) {
  const params = { path: { alert_id: id }, header: keyed(key) };
  if (step === "review")
    return api.POST("/v1/oversight/alerts/{alert_id}/review", { params, body: { text } });
  if (step === "note") return api.POST("/v1/oversight/alerts/{alert_id}/notes", { params, body: { text } });
  return api.POST("/v1/oversight/alerts/{alert_id}/close", { params, body: { reason: text } });
}
