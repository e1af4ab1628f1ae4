/** Why somebody does or asks something, in words that are recorded with it. */
import type { ComponentChildren } from "preact";
import { Field } from "./form";

/** What the exchange records of a reason at most, where it does not say otherwise. */
const CHARACTERS_MAX = 500;

export function ReasonInput(props: {
  label: string;
  hint?: ComponentChildren;
  value: string;
  onInput: (text: string) => void;
  /** Where a fault of it is told; "/reason" of a body unless it is named. */
  pointer?: string;
  /** A line for a question, several for what is done. */
  rows?: number;
  charactersMax?: number;
  isNeeded?: boolean;
}) {
  const { value, rows = 3 } = props;
  return (
    <Field label={props.label} pointer={props.pointer ?? "/reason"} hint={props.hint}>
      {(control) => {
        const shared = {
          ...control,
          value,
          maxLength: props.charactersMax ?? CHARACTERS_MAX,
          required: props.isNeeded ?? false,
          onInput: (event: { currentTarget: { value: string } }) => props.onInput(event.currentTarget.value),
        };
        return rows === 1 ? <input {...shared} autocomplete="off" /> : <textarea {...shared} rows={rows} />;
      }}
    </Field>
  );
}
