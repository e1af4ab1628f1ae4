/**
 * What stands over the page when a session has ended: a login in its place. What is typed below stays, and what was
 * refused is not sent again by itself. It closes by a login, here or in another window, or by giving up.
 */
import { toast } from "../components/announcer";
import { Dialog } from "../components/dialog";
import { t } from "../i18n";
import { giveUp, hasEnded, session } from "../session";
import { LoginForm } from "./login_form";

export function SessionEnded() {
  const name = session.value?.participant_name ?? "";
  return (
    <Dialog title={t("session_ended")} isOpen={hasEnded.value} onClose={giveUp} mustAnswer>
      <p>{t("session_ended.text", { name })}</p>
      <LoginForm
        label={t("session_ended")}
        isFirst
        onDone={() => toast(t("session_ended.back", { name: session.value?.participant_name ?? "" }), "good")}
      />
      <div class="buttons buttons-end">
        <button type="button" class="button" onClick={giveUp}>
          {t("session_ended.give_up")}
        </button>
      </div>
    </Dialog>
  );
}
