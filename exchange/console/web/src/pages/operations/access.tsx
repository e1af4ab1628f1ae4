/** Letting a participant in: a link that logs somebody in once, or a key for programs. What is secret is shown once. */
import { useSignal } from "@preact/signals";
import { act, api, keyed, type Schemas } from "../../api/client";
import { useDeed } from "../../api/deed";
import { toast } from "../../components/announcer";
import { Dialog } from "../../components/dialog";
import { Field, Form, usePointer } from "../../components/form";
import { Choice } from "../../components/tabs";
import { t as shared } from "../../i18n";
import type { Kind, Participant } from "./data";
import { t } from "./texts";

type Scope = Schemas["Scope"];
type Way = "link" | "key";

const LINK_VALID_S = 3_600;

/** The most that a key of each kind may do; the exchange says so, too. */
const SCOPES: Readonly<Record<Kind, readonly Scope[]>> = {
  provider: ["read", "list_capacity"],
  buyer: ["read", "trade"],
  issuer: ["read", "issue"],
  regulator: ["read", "audit"],
  operator: ["read", "trade", "list_capacity", "issue", "audit", "operate"],
};

export function Access(props: { participant: Participant | null; onClose: () => void }) {
  const { participant, onClose } = props;
  return (
    <Dialog title={t("access.title")} isOpen={participant !== null} onClose={onClose}>
      {participant !== null && (
        <AccessForm key={participant.id} participant={participant} onClose={onClose} />
      )}
    </Dialog>
  );
}

function AccessForm({ participant, onClose }: { participant: Participant; onClose: () => void }) {
  const way = useSignal<Way>("link");
  const scopes = useSignal<readonly Scope[]>(SCOPES[participant.kind]);
  const label = useSignal("");
  const secret = useSignal<string | null>(null);
  const deed = useDeed();
  const submit = () =>
    deed.run(async (intent) => {
      const wanted = [...scopes.value];
      if (way.value === "link") {
        const issued = await act(intent, [participant.id, wanted], (key) =>
          api.POST("/v1/participants/{participant_id}/logins", {
            params: { path: { participant_id: participant.id }, header: keyed(key) },
            body: { scopes: wanted, valid_s: LINK_VALID_S },
          }),
        );
        secret.value = issued.login_url ?? null;
      } else {
        const body = { participant_id: participant.id, scopes: wanted, label: label.value.trim() };
        const issued = await act(intent, body, (key) =>
          api.POST("/v1/keys", { params: { header: keyed(key) }, body }),
        );
        secret.value = issued.secret ?? null;
      }
      // Sent again after a lost answer, it is done once and its secret is told nobody.
      if (secret.value === null) toast(t("access.untold"), "bad");
    });
  if (secret.value !== null) return <Secret text={secret.value} way={way.value} onClose={onClose} />;
  return (
    <Form label={t("access.title")} problem={deed.problem.value} onSubmit={() => void submit()}>
      <p class="ops-product">
        {participant.name}
        <span class="second code">{participant.id}</span>
      </p>
      <Choice
        label={t("access.way")}
        options={(["link", "key"] as const).map((key) => ({ key, title: t(`access.${key}`) }))}
        chosen={way.value}
        onChoose={(key) => {
          way.value = key;
        }}
      />
      <p class="hint">{t(`access.${way.value}.hint`)}</p>
      <Scopes
        offered={SCOPES[participant.kind]}
        chosen={scopes.value}
        fault={deed.problem.value?.faultAt("/scopes") ?? null}
        onChoose={(chosen) => {
          scopes.value = chosen;
        }}
      />
      {way.value === "key" && (
        <Field label={t("access.name")} pointer="/label" hint={t("access.name.hint")}>
          {(control) => (
            <input
              {...control}
              autocomplete="off"
              value={label.value}
              onInput={(event) => {
                label.value = event.currentTarget.value;
              }}
            />
          )}
        </Field>
      )}
      <div class="buttons buttons-end">
        <button type="button" class="button" onClick={onClose}>
          {shared("cancel")}
        </button>
        <button
          type="submit"
          class="button button-primary"
          disabled={deed.isBusy.value || scopes.value.length === 0}
        >
          {t(`access.${way.value}.confirm`)}
        </button>
      </div>
    </Form>
  );
}

function Scopes(props: {
  offered: readonly Scope[];
  chosen: readonly Scope[];
  fault: string | null;
  onChoose: (chosen: readonly Scope[]) => void;
}) {
  const { offered, chosen, fault } = props;
  usePointer("/scopes");
  return (
    <fieldset class={fault === null ? "field" : "field field-faulty"}>
      <legend>{t("access.scopes")}</legend>
      {offered.map((scope) => (
        <label key={scope} class="check">
          <input
            type="checkbox"
            checked={chosen.includes(scope)}
            onChange={(event) => {
              const isWanted = event.currentTarget.checked;
              props.onChoose(offered.filter((each) => (each === scope ? isWanted : chosen.includes(each))));
            }}
          />
          {t(`scope.${scope}`)}
        </label>
      ))}
      {fault !== null && <p class="fault">{fault}</p>}
    </fieldset>
  );
}

/** What is told once: to be copied now. */
function Secret({ text, way, onClose }: { text: string; way: Way; onClose: () => void }) {
  const copy = async () => {
    await navigator.clipboard.writeText(text);
    toast(t("access.copied"), "good");
  };
  return (
    <div class="stack">
      <p class="notice notice-busy">{t(`access.${way}.once`)}</p>
      <output class="ops-secret code">{text}</output>
      <div class="buttons buttons-end">
        {isSecureContext && (
          <button type="button" class="button" onClick={() => void copy()}>
            {t("access.copy")}
          </button>
        )}
        <button type="button" class="button button-primary" onClick={onClose}>
          {shared("close")}
        </button>
      </div>
    </div>
  );
}
