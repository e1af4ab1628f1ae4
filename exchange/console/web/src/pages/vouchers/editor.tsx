/** Making a programme, and changing its rules, by their JSON: written here, from a file, or from a real example. */
import { useSignal } from "@preact/signals";
import type { ComponentChildren } from "preact";
import { useId } from "preact/hooks";
import { act, api, keyed } from "../../api/client";
import { type Deed, useDeed } from "../../api/deed";
import { toast } from "../../components/announcer";
import { type FormDraft, useDraft } from "../../components/drafts";
import { Restored } from "../../components/restored";
import type { Programme } from "./data";
import { DocumentField, InWords, parsed } from "./document";
import { Filter, Opened } from "./parts";
import { t } from "./texts";

/** The exchange's own examples, each as its text; read when it is chosen. */
const EXAMPLES = import.meta.glob<string>("../../../../../programmes/examples/*.json", {
  query: "?raw",
  import: "default",
});

function nameOf(path: string): string {
  return path.replace(/^.*\/|\.json$/g, "");
}

const EMPTY = `{
  "code": "",
  "name": "",
  "rules": {
    "budget_fen": 100000000,
    "rate_tiers": [{ "bps": 3000 }],
    "validity_days": 365,
    "provider": {}
  }
}
`;

export function ProgrammeEditor(props: { onDone: (programme: Programme) => void; onBack: () => void }) {
  const kept = useDraft("programme", { text: EMPTY, isDraft: true });
  const deed = useDeed(kept.intent);
  const { text, isDraft } = kept.value.value;
  const fault = useSignal<string | null>(null);
  const example = useSignal("");
  const submit = () => {
    const told = parsed(text);
    fault.value = "fault" in told ? told.fault : null;
    if ("fault" in told) return;
    const body = { ...told.document, draft: isDraft };
    void deed.run(async (intent) => {
      const made = await act(intent, body, (key) =>
        // The document is the exchange's to judge, all its faults at once.
        api.POST("/v1/programmes", { params: { header: keyed(key) }, body: body as never }),
      );
      toast(t(isDraft ? "programme.drafted" : "programme.opened", { name: made.name }), "good");
      kept.begin();
      props.onDone(made);
    });
  };
  return (
    <Opened id="new" title={t("programme.new")} back={t("programmes.back")} onBack={props.onBack}>
      <Frame
        label={t("programme.new")}
        lead={t("document.text")}
        deed={deed}
        draft={kept}
        fault={fault}
        submit={t(isDraft ? "programme.draft_it" : "programme.open_it")}
        onSubmit={submit}
        choose={
          <Filter
            label={t("document.example")}
            all={t("document.example")}
            value={example.value}
            options={Object.keys(EXAMPLES).map((path) => ({ value: path, title: nameOf(path) }))}
            onChange={(path) => {
              example.value = path;
              void EXAMPLES[path]?.().then((found) => {
                kept.value.value = { ...kept.value.peek(), text: found };
              });
            }}
          />
        }
      >
        <label class="check">
          <input
            type="checkbox"
            checked={isDraft}
            onChange={(event) => {
              kept.value.value = { ...kept.value.peek(), isDraft: event.currentTarget.checked };
            }}
          />
          <span>
            {t("document.draft")} <span class="hint">{t("document.draft.hint")}</span>
          </span>
        </label>
      </Frame>
    </Opened>
  );
}

export function VersionEditor(props: { programme: Programme; onDone: () => void; onBack: () => void }) {
  const { programme } = props;
  const kept = useDraft(`version ${programme.id}`, {
    text: `${JSON.stringify({ rules: programme.rules }, null, 2)}\n`,
  });
  const deed = useDeed(kept.intent);
  const fault = useSignal<string | null>(null);
  const submit = () => {
    const told = parsed(kept.value.value.text);
    fault.value = "fault" in told ? told.fault : null;
    if ("fault" in told) return;
    void deed.run(async (intent) => {
      const made = await act(intent, [programme.id, told.document], (key) =>
        api.POST("/v1/programmes/{programme_id}/versions", {
          params: { path: { programme_id: programme.id }, header: keyed(key) },
          body: told.document as never,
        }),
      );
      toast(t("version.done", { version: made.version }), "good");
      kept.begin();
      props.onDone();
    });
  };
  return (
    <Opened
      id={programme.id}
      title={t("version.title", { name: programme.name })}
      back={programme.name}
      onBack={props.onBack}
    >
      <Frame
        label={t("version.new")}
        lead={t("version.text")}
        deed={deed}
        draft={kept}
        fault={fault}
        before={programme.rules}
        submit={t("version.submit")}
        onSubmit={submit}
      />
    </Opened>
  );
}

function Frame<T extends { text: string }>(props: {
  label: string;
  lead: string;
  deed: Deed;
  draft: FormDraft<T>;
  fault: { value: string | null };
  before?: Programme["rules"];
  submit: string;
  onSubmit: () => void;
  choose?: ComponentChildren;
  children?: ComponentChildren;
}) {
  const { draft, fault } = props;
  const { text } = draft.value.value;
  const write = (next: string) => {
    draft.value.value = { ...draft.value.peek(), text: next };
    fault.value = null;
  };
  const fileId = useId();
  return (
    <div class="editor">
      <section class="card">
        <p class="quiet">{props.lead}</p>
        <div class="voucher-filters">
          {props.choose}
          <input
            id={fileId}
            class="visually-hidden"
            type="file"
            accept=".json,application/json"
            onChange={(event) => {
              const chosen = event.currentTarget;
              void chosen.files?.[0]?.text().then((found) => {
                write(found);
                chosen.value = "";
              });
            }}
          />
          <label class="button" for={fileId}>
            {t("document.file")}
          </label>
        </div>
        <form
          class="form"
          aria-label={props.label}
          noValidate
          onSubmit={(event) => {
            event.preventDefault();
            props.onSubmit();
          }}
        >
          <Restored
            draft={draft}
            onDiscard={() => {
              props.deed.forget();
              fault.value = null;
            }}
          />
          <DocumentField
            label={t("document")}
            text={text}
            fault={fault.value}
            problem={props.deed.problem.value}
            onChange={write}
          />
          {props.children}
          <button type="submit" class="button button-primary" disabled={props.deed.isBusy.value}>
            {props.submit}
          </button>
        </form>
      </section>
      <section class="card">
        <h3>{t("document.words")}</h3>
        <InWords text={text} before={props.before ?? null} />
      </section>
    </div>
  );
}
