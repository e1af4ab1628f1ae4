/** Registering a participant: what is asked depends on its kind, and what is wrong stands at its field. */
import { useSignal } from "@preact/signals";
import { act, api, keyed, type Schemas } from "../../api/client";
import { useDeed } from "../../api/deed";
import { useQuery } from "../../api/query";
import { toast } from "../../components/announcer";
import { Dialog } from "../../components/dialog";
import { Field, Form } from "../../components/form";
import { t as shared } from "../../i18n";
import type { Kind } from "./data";
import { t } from "./texts";

const KINDS: readonly Kind[] = ["provider", "buyer", "issuer", "regulator", "operator"];
const OWNERSHIPS = ["state", "private"] as const;
const SIZES = ["micro", "small", "medium", "large"] as const;

type New = Schemas["NewParticipant"];

export function Register(props: { isOpen: boolean; onClose: () => void; onRegistered: () => void }) {
  return (
    <Dialog title={t("register.title")} isOpen={props.isOpen} onClose={props.onClose}>
      {props.isOpen && <RegisterForm {...props} />}
    </Dialog>
  );
}

function RegisterForm(props: { onClose: () => void; onRegistered: () => void }) {
  const draft = useSignal<Record<string, string>>({ kind: "provider" });
  const deed = useDeed();
  const groups = useQuery("/v1/trade-groups", (conditions) =>
    api.GET("/v1/trade-groups", { ...conditions, params: { query: { limit: 1000 } } }),
  );
  const kind = draft.value.kind as Kind;
  const asks = fieldsOf(kind);
  const submit = () =>
    deed.run(async (intent) => {
      const body = bodyOf(draft.value, asks);
      const made = await act(intent, body, (key) =>
        api.POST("/v1/participants", { params: { header: keyed(key) }, body }),
      );
      toast(t("register.done", { name: made.name }), "good");
      props.onClose();
      props.onRegistered();
    });
  const text = (name: string) => ({
    autocomplete: "off",
    value: draft.value[name] ?? "",
    onInput: (event: { currentTarget: { value: string } }) => {
      draft.value = { ...draft.value, [name]: event.currentTarget.value };
    },
  });
  const choice = (name: string, options: readonly (readonly [string, string])[]) => ({
    value: draft.value[name] ?? "",
    onChange: (event: { currentTarget: { value: string } }) => {
      draft.value = { ...draft.value, [name]: event.currentTarget.value };
    },
    children: options.map(([value, title]) => (
      <option key={value} value={value}>
        {title}
      </option>
    )),
  });
  return (
    <Form label={t("register.title")} problem={deed.problem.value} onSubmit={() => void submit()}>
      <div class="fields">
        <Field label={t("kind")} pointer="/kind">
          {(control) => (
            <select
              {...control}
              {...choice(
                "kind",
                KINDS.map((each) => [each, shared(`kind.${each}`)]),
              )}
            />
          )}
        </Field>
        <Field label={t("name")} pointer="/name">
          {(control) => <input {...control} {...text("name")} />}
        </Field>
        {asks.includes("region") && (
          <Field label={t("region")} pointer="/region" hint={t("region.hint")}>
            {(control) => <input {...control} {...text("region")} />}
          </Field>
        )}
        {asks.includes("ownership") && (
          <Field label={t("ownership")} pointer="/ownership">
            {(control) => (
              <select
                {...control}
                {...choice("ownership", [
                  ["", ""],
                  ...OWNERSHIPS.map((each) => [each, t(`ownership.${each}`)] as const),
                ])}
              />
            )}
          </Field>
        )}
        {asks.includes("size_class") && (
          <Field label={t("size")} pointer="/size_class">
            {(control) => (
              <select
                {...control}
                {...choice("size_class", [
                  ["", ""],
                  ...SIZES.map((each) => [each, t(`size.${each}`)] as const),
                ])}
              />
            )}
          </Field>
        )}
        {asks.includes("founded_on") && (
          <Field label={t("founded")} pointer="/founded_on">
            {(control) => <input {...control} {...text("founded_on")} type="date" />}
          </Field>
        )}
        {asks.includes("sectors") && (
          <Field label={t("sectors")} pointer="/sectors" hint={t("sectors.hint")}>
            {(control) => <input {...control} {...text("sectors")} />}
          </Field>
        )}
        {asks.includes("trade_group_id") && (
          <Field label={t("group")} pointer="/trade_group_id" hint={t("group.hint")}>
            {(control) => (
              <select
                {...control}
                {...choice("trade_group_id", [
                  ["", t("group.none")],
                  ...(groups.data.value?.data ?? []).map((each) => [each.id, each.name] as const),
                ])}
              />
            )}
          </Field>
        )}
      </div>
      <div class="buttons buttons-end">
        <button type="button" class="button" onClick={props.onClose}>
          {shared("cancel")}
        </button>
        <button type="submit" class="button button-primary" disabled={deed.isBusy.value}>
          {t("register.confirm")}
        </button>
      </div>
    </Form>
  );
}

type FieldName = Exclude<keyof New, "kind" | "name">;

/** What else than its name is asked of a kind. */
function fieldsOf(kind: Kind): readonly FieldName[] {
  if (kind === "provider") return ["region", "ownership", "trade_group_id"];
  if (kind === "buyer") return ["region", "size_class", "founded_on", "sectors", "trade_group_id"];
  return [];
}

/** The participant that a draft means. What is empty is left out, and the exchange names it. */
function bodyOf(draft: Record<string, string>, asks: readonly FieldName[]): New {
  const filled = asks
    .map((name) => [name, draft[name]?.trim() ?? ""] as const)
    .filter(([, value]) => value !== "")
    .map(([name, value]) => [name, name === "sectors" ? value.split(/[\s,，、]+/).filter(Boolean) : value]);
  return { kind: draft.kind, name: draft.name?.trim() ?? "", ...Object.fromEntries(filled) } as New;
}
