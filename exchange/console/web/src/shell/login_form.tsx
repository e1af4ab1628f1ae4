/** The form that logs in with a key, on its page and where a session has ended. The key is kept no longer than it is sent. */
import { useSignal } from "@preact/signals";
import { useDeed } from "../api/deed";
import { Field, Form } from "../components/form";
import { t } from "../i18n";
import { logIn } from "../session";

export interface LoginFormProps {
  label: string;
  /** Whether its field has the focus at first, as a dialog's. */
  isFirst?: boolean;
  onDone: () => void;
}

export function LoginForm({ label, isFirst, onDone }: LoginFormProps) {
  const key = useSignal("");
  const missing = useSignal(false);
  const deed = useDeed();
  const submit = () => {
    const told = key.value.trim();
    missing.value = told === "";
    if (missing.value) return;
    void deed.run(async () => {
      await logIn({ key: told });
      key.value = "";
      onDone();
    });
  };
  return (
    <Form label={label} problem={deed.problem.value} onSubmit={submit}>
      <Field
        label={t("login.key")}
        pointer="/key"
        hint={t("login.key.hint")}
        fault={missing.value ? t("login.key.missing") : null}
      >
        {(control) => (
          <input
            {...control}
            type="password"
            autocomplete="current-password"
            autofocus={isFirst}
            spellcheck={false}
            value={key.value}
            onInput={(event) => {
              key.value = event.currentTarget.value;
            }}
          />
        )}
      </Field>
      <button type="submit" class="button button-primary" disabled={deed.isBusy.value}>
        {deed.isBusy.value ? t("login.busy") : t("login")}
      </button>
    </Form>
  );
}
