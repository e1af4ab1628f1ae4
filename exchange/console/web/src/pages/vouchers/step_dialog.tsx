/** Ask for what a step needs, its reason and its amount, and take it; what the exchange refuses stands at the field. */
import { useSignal } from "@preact/signals";
import { useDeed } from "../../api/deed";
import type { Intent } from "../../api/intent";
import { Dialog } from "../../components/dialog";
import { Field, Form } from "../../components/form";
import { ReasonInput } from "../../components/reason_input";
import { formatMoney, t as shared } from "../../i18n";
import { t } from "./texts";

export interface Given {
  reason: string;
  amount: string;
}

export interface Ask {
  title: string;
  /** What it means, before it is done. */
  text: string;
  /** The name of the button that does it. */
  label: string;
  isDangerous?: boolean;
  reason: "needed" | "wanted" | null;
  /** Who reads the reason. */
  reasonHint?: string;
  /** The most there can be, and what stands there at first; null where the step has no amount. */
  amount: { label: string; max: string; first: string } | null;
  run: (given: Given, intent: Intent) => Promise<void>;
}

export function StepDialog({ ask, onClose }: { ask: Ask | null; onClose: () => void }) {
  return (
    <Dialog title={ask?.title ?? ""} isOpen={ask !== null} onClose={onClose}>
      {ask && <StepForm ask={ask} onClose={onClose} />}
    </Dialog>
  );
}

function StepForm({ ask, onClose }: { ask: Ask; onClose: () => void }) {
  const deed = useDeed();
  const reason = useSignal("");
  const amount = useSignal(ask.amount?.first ?? "");
  const submit = () =>
    deed.run(async (intent) => {
      await ask.run({ reason: reason.value.trim(), amount: amount.value.trim() }, intent);
      onClose();
    });
  return (
    <Form label={ask.title} problem={deed.problem.value} onSubmit={() => void submit()}>
      <p>{ask.text}</p>
      {ask.amount && (
        <Field
          label={ask.amount.label}
          pointer="/amount_cny"
          unit="CNY"
          hint={t("amount.max", { max: formatMoney(ask.amount.max) })}
        >
          {(control) => (
            <input
              {...control}
              inputMode="decimal"
              autocomplete="off"
              value={amount.value}
              onInput={(event) => {
                amount.value = event.currentTarget.value;
              }}
            />
          )}
        </Field>
      )}
      {ask.reason && (
        <ReasonInput
          label={t(ask.reason === "needed" ? "reason" : "reason.wanted")}
          hint={ask.reasonHint ?? t("reason.hint")}
          value={reason.value}
          onInput={(text) => {
            reason.value = text;
          }}
        />
      )}
      <div class="buttons buttons-end">
        <button type="button" class="button" onClick={onClose}>
          {shared("cancel")}
        </button>
        <button
          type="submit"
          class={ask.isDangerous ? "button button-danger" : "button button-primary"}
          disabled={deed.isBusy.value}
        >
          {ask.label}
        </button>
      </div>
    </Form>
  );
}
