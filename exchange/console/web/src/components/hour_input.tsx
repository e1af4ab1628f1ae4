/** A whole hour in the reader's zone, in and out as milliseconds since the epoch; null while it is none. */
import { HOUR_MS } from "../api/hours";
import { formatUtc } from "../i18n";
import type { ControlProps } from "./form";

function two(value: number): string {
  return String(value).padStart(2, "0");
}

/** What the browser's own field wants: local time without a zone. */
export function localText(at: number): string {
  const date = new Date(at);
  const day = `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
  return `${day}T${two(date.getHours())}:${two(date.getMinutes())}`;
}

export function HourInput(props: {
  control: ControlProps;
  value: number | null;
  onChange: (at: number | null) => void;
  min?: number | null;
}) {
  const { control, value, onChange, min } = props;
  return (
    <input
      {...control}
      type="datetime-local"
      step={HOUR_MS / 1000}
      value={value === null ? "" : localText(value)}
      title={value === null ? undefined : formatUtc(value)}
      {...(min == null ? {} : { min: localText(min) })}
      onInput={(event) => {
        const at = Date.parse(event.currentTarget.value);
        onChange(Number.isNaN(at) ? null : at);
      }}
    />
  );
}

/** The same for forms that hold the hour as the exchange writes it; "" for none. */
export function HourTextInput(props: {
  control: ControlProps;
  value: string;
  onChange: (at: string) => void;
  min?: number | null;
}) {
  const at = Date.parse(props.value);
  return (
    <HourInput
      control={props.control}
      value={Number.isNaN(at) ? null : at}
      onChange={(next) => props.onChange(next === null ? "" : hourText(next))}
      min={props.min ?? null}
    />
  );
}

/** The reader's zone by its name, to be told beside times. */
export function zone(): string {
  return Intl.DateTimeFormat().resolvedOptions().timeZone;
}

/** The hour as the exchange writes it. */
export function hourText(at: number): string {
  return new Date(at).toISOString().replace(".000Z", "Z");
}
