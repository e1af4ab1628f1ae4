/** Logging in: with a key, or by a login link of the operator (`#code=…`, which no server ever sees in an address). */
import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { useLocation } from "preact-iso";
import { useDeed } from "../../api/deed";
import { toast } from "../../components/announcer";
import { Failure, Loading } from "../../components/states";
import { catalogue } from "../../i18n";
import { logIn, session } from "../../session";
import { afterLogin } from "../../shell/links";
import { LoginForm } from "../../shell/login_form";
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
  const byLink = useSignal(false);
  const link = useDeed();
  const done = () => {
    toast(t("welcome", { name: session.value?.participant_name ?? "" }), "good");
    route(afterLogin(location.search));
  };

  useEffect(() => {
    const code = takeCode();
    if (code === null) return;
    byLink.value = true;
    void link
      .run(async () => {
        await logIn({ login_code: code });
        done();
      })
      .finally(() => {
        byLink.value = false;
      });
  }, []);

  const failed = link.problem.value;
  return (
    <div class="page page-narrow">
      <h1>{t("title")}</h1>
      <p class="lead">{byLink.value ? t("by_link") : t("text")}</p>
      {byLink.value && <Loading />}
      {failed !== null &&
        (failed.status === 0 ? (
          <Failure problem={failed} />
        ) : (
          <div class="notice notice-bad" role="alert">
            <p>{t("link_failed")}</p>
          </div>
        ))}
      <LoginForm label={t("title")} onDone={done} />
    </div>
  );
}
