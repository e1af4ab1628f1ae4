/** What tells in a form that what was typed there before is back, and lets the reader discard it. */
import { t } from "../i18n";
import type { FormDraft } from "./drafts";

export function Restored<T extends object>(props: { draft: FormDraft<T>; onDiscard?: () => void }) {
  const how = props.draft.restored.value;
  if (how === null) return null;
  return (
    <div class="notice notice-busy" role="status">
      <span>{t(`draft.${how}`)}</span>
      <button
        type="button"
        class="button button-small"
        onClick={(event) => {
          // The button goes with what it tells of.
          event.currentTarget.form
            ?.querySelector<HTMLElement>("input:not([type=file]), select, textarea")
            ?.focus();
          props.draft.begin();
          props.onDiscard?.();
        }}
      >
        {t("draft.discard")}
      </button>
    </div>
  );
}
