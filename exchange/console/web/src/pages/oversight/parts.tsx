/** What the tabs share: the reason, ids that lead to lives, what an answer shows while there is none. */
import type { ComponentChildren } from "preact";
import type { Problem } from "../../api/problem";
import { classes } from "../../components/classes";
import { Field } from "../../components/form";
import { ReasonInput } from "../../components/reason_input";
import { Failure, Loading } from "../../components/states";
import { Nothing } from "../../components/values";
import { addressOf } from "./address";
import { reason } from "./asking";
import { t } from "./texts";

/** Why the reader asks: one text for all questions. */
export function ReasonField({ isNeeded }: { isNeeded: boolean }) {
  return (
    <ReasonInput
      label={t(isNeeded ? "reason.needed" : "reason")}
      pointer="?reason"
      hint={t("reason.hint")}
      rows={1}
      isNeeded={isNeeded}
      value={reason.value}
      onInput={(text) => {
        reason.value = text;
      }}
    />
  );
}

/** A field of plain text that stands for a parameter. */
export function TextField(props: {
  label: string;
  name: string;
  value: string;
  onChange: (value: string) => void;
  placeholder?: string;
  hint?: string;
  fault?: string | null;
}) {
  const { label, name, value, onChange, placeholder, hint, fault } = props;
  return (
    <Field
      label={label}
      pointer={`?${name}`}
      {...(hint === undefined ? {} : { hint })}
      {...(fault === undefined ? {} : { fault })}
    >
      {(control) => (
        <input
          {...control}
          value={value}
          placeholder={placeholder}
          autocomplete="off"
          spellcheck={false}
          onInput={(event) => onChange(event.currentTarget.value.trim())}
        />
      )}
    </Field>
  );
}

/** A field for one of several; the empty one stands for any. */
export function SelectField(props: {
  label: string;
  name: string;
  value: string;
  onChange: (value: string) => void;
  options: readonly (readonly [value: string, title: string])[];
  /** What the empty choice is called; without it there is none. */
  any?: string;
}) {
  const { label, name, value, onChange, options, any } = props;
  return (
    <Field label={label} pointer={`?${name}`}>
      {(control) => (
        <select {...control} value={value} onChange={(event) => onChange(event.currentTarget.value)}>
          {any !== undefined && <option value="">{any}</option>}
          {options.map(([key, title]) => (
            <option key={key} value={key}>
              {title}
            </option>
          ))}
        </select>
      )}
    </Field>
  );
}

/** What has a life that can be read, by the beginning of its id. A lease has the number of its trade. */
const LIVES: Record<string, string> = { ord: "ord", trd: "trd", vch: "vch", lse: "trd" };

/** The id of the life that an id leads to; null where it leads to none. */
export function lifeOf(id: string): string | null {
  const [prefix = "", letters = ""] = id.split("_");
  const life = LIVES[prefix];
  return life === undefined || letters === "" ? null : `${life}_${letters}`;
}

/** An id; where it has a life, it leads there. */
export function Id({ id }: { id: string | null | undefined }) {
  if (id == null || id === "") return <Nothing />;
  const life = lifeOf(id);
  if (life === null) return <code>{id}</code>;
  return (
    <a class="code" href={addressOf("lives", { thing: life })}>
      {id}
    </a>
  );
}

/** Somebody, by name and id. */
export function Who({ name, id }: { name?: string | null; id: string | null | undefined }) {
  if (id == null) return <Nothing />;
  if (!name) return <code>{id}</code>;
  return (
    <>
      {name}
      <span class="second code">{id}</span>
    </>
  );
}

/** What was answered; meanwhile that it is awaited, or why it was not. */
export function Told<T>(props: {
  answer: { data: T | null; problem: Problem | null; isBusy: boolean; again: () => void };
  /** Faults stand in a form already. */
  isToldAbove?: boolean;
  children: (data: T) => ComponentChildren;
}) {
  const { data, problem, isBusy, again } = props.answer;
  if (problem !== null) return props.isToldAbove ? null : <Failure problem={problem} retry={again} />;
  if (data === null) return isBusy ? <Loading /> : null;
  return (
    <div class={classes("stack", isBusy && "ov-awaiting")} aria-busy={isBusy}>
      {props.children(data)}
    </div>
  );
}
