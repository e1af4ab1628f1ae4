/** The switch over one market: what each phase does to whoever trades there, and why it is switched. */
import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { api, once } from "../../api/client";
import { useDeed } from "../../api/deed";
import { toast } from "../../components/announcer";
import { Dialog } from "../../components/dialog";
import { Form } from "../../components/form";
import { ProductName } from "../../components/product_name";
import { ReasonInput } from "../../components/reason_input";
import { t as shared } from "../../i18n";
import { PHASES, type Phase } from "./data";
import { t } from "./texts";

export function PhaseDialog(props: {
  product: string | null;
  phase: Phase | null;
  onClose: () => void;
  onChanged: () => void;
}) {
  const { product } = props;
  return (
    <Dialog title={t("change.title")} isOpen={product !== null} onClose={props.onClose}>
      {product !== null && <Switch key={product} {...props} product={product} />}
    </Dialog>
  );
}

function Switch(props: { product: string; phase: Phase | null; onClose: () => void; onChanged: () => void }) {
  const { product } = props;
  // As it was when the dialog was opened: what changes meanwhile must not change the choice.
  const was = useSignal(props.phase).value;
  const chosen = useSignal<Phase | null>(null);
  const reason = useSignal("");
  const deed = useDeed();
  useEffect(deed.forget, [chosen.value]);
  const submit = async () => {
    const phase = chosen.value;
    if (phase === null) return;
    await deed.run(async () => {
      const told = reason.value.trim();
      await once(() =>
        api.PUT("/v1/products/{product_id}/phase", {
          params: { path: { product_id: product } },
          body: { phase, ...(told === "" ? {} : { reason: told }) },
        }),
      );
      toast(t(`changed.${phase}`, { product }), "good");
      props.onClose();
    });
    props.onChanged();
  };
  const phase = chosen.value;
  return (
    <Form label={t("change.title")} problem={deed.problem.value} onSubmit={() => void submit()}>
      <p class="ops-product">
        <ProductName id={product} />
      </p>
      <fieldset class="ops-phases">
        <legend>{t("change.to")}</legend>
        {PHASES.map((each) => (
          <label key={each} class="ops-phase">
            <input
              type="radio"
              name="phase"
              value={each}
              checked={phase === each}
              disabled={each === was}
              onChange={() => {
                chosen.value = each;
              }}
            />
            <span>
              <strong>{t(`phase.${each}`)}</strong>
              {each === was && <span class="quiet"> · {t("change.now")}</span>}
              <span class="hint">{t(`phase.${each}.does`)}</span>
            </span>
          </label>
        ))}
      </fieldset>
      <ReasonInput
        label={t("reason")}
        hint={t("reason.hint")}
        rows={2}
        value={reason.value}
        onInput={(text) => {
          reason.value = text;
        }}
      />
      <div class="buttons buttons-end">
        <button type="button" class="button" onClick={props.onClose}>
          {shared("cancel")}
        </button>
        <button
          type="submit"
          class={phase === "open" ? "button button-primary" : "button button-danger"}
          disabled={phase === null || deed.isBusy.value}
        >
          {t(phase === null ? "change.choose" : `change.confirm.${phase}`)}
        </button>
      </div>
    </Form>
  );
}
