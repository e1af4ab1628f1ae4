/** Logging in: with a key, or by a login link of the operator (`#code=…`, which no server ever sees in an address). */
import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { useLocation } from "preact-iso";
import { Problem } from "../../api/problem";
import { toast } from "../../components/announcer";
import { Field, Form } from "../../components/form";
import { Loading } from "../../components/states";
import { catalogue } from "../../i18n";
import { logIn, session } from "../../session";
import { afterLogin } from "../../shell/links";
import en from "./en.json";
import zh from "./zh.json";

const t = catalogue(en, zh);

/** Take the code out of the address, so that it stays in no history. */
function takeCode(): string | null {
  const code = new URLSearchParams(location.hash.slice(1)).get("code");
  if (code !== null) history.replaceState(null, "", location.pathname);
  return code;
}

export default function LoginPage() {
  const { route } = useLocation();
  const key = useSignal("");
  const problem = useSignal<Problem | null>(null);
  const missing = useSignal(false);
  const isBusy = useSignal(false);
  const byLink = useSignal(false);
  const linkFailed = useSignal(false);

  const enter = async (by: { key: string } | { login_code: string }) => {
    isBusy.value = true;
    problem.value = null;
    try {
      await logIn(by);
      toast(t("welcome", { name: session.value?.participant_name ?? "" }), "good");
      route(afterLogin(location.search));
    } catch (refused) {
      if (!(refused instanceof Problem)) throw refused;
      if ("login_code" in by && refused.status !== 0) linkFailed.value = true;
      else problem.value = refused;
    } finally {
      isBusy.value = false;
      byLink.value = false;
    }
  };

  useEffect(() => {
    const code = takeCode();
    if (code === null) return;
    byLink.value = true;
    void enter({ login_code: code });
  }, []);

  const submit = () => {
    missing.value = key.value.trim() === "";
    if (!missing.value) void enter({ key: key.value.trim() });
  };

  return (
    <div class="page page-narrow">
      <h1>{t("title")}</h1>
      <p class="lead">{byLink.value ? t("by_link") : t("text")}</p>
      {byLink.value && <Loading />}
      {linkFailed.value && (
        <div class="notice notice-bad" role="alert">
          <p>{t("link_failed")}</p>
        </div>
      )}
      <Form label={t("title")} problem={problem.value} onSubmit={submit}>
        <Field
          label={t("key")}
          pointer="/key"
          hint={t("key.hint")}
          fault={missing.value ? t("key.missing") : null}
        >
          {(control) => (
            <input
              {...control}
              type="password"
              autocomplete="current-password"
              spellcheck={false}
              value={key.value}
              onInput={(event) => {
                key.value = event.currentTarget.value;
              }}
            />
          )}
        </Field>
        <button type="submit" class="button button-primary" disabled={isBusy.value}>
          {isBusy.value ? t("busy") : t("submit")}
        </button>
      </Form>
    </div>
  );
}
