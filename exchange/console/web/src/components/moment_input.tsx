/** A moment to the second in the reader's zone, in and out as the exchange writes it; "" for none. */
import { formatUtc } from "../i18n";
import type { ControlProps } from "./form";
import { hourText, localText } from "./hour_input";

export function MomentInput(props: { control: ControlProps; value: string; onChange: (at: string) => void }) {
  const at = Date.parse(props.value);
  const isSet = !Number.isNaN(at);
  return (
    <input
      {...props.control}
      type="datetime-local"
      step={1}
      value={isSet ? `${localText(at)}:${String(new Date(at).getSeconds()).padStart(2, "0")}` : ""}
      title={isSet ? formatUtc(at) : undefined}
      onInput={(event) => {
        const next = Date.parse(event.currentTarget.value);
        props.onChange(Number.isNaN(next) ? "" : hourText(next));
      }}
    />
  );
}
