/** Choosing the moment of a book: a slider over the commands, steps of one, the number itself, or a time. */
import { useId } from "preact/hooks";
import type { Schemas } from "../../api/client";
import type { Problem } from "../../api/problem";
import { Field, Form } from "../../components/form";
import { MomentInput } from "../../components/moment_input";
import { Time } from "../../components/values";
import { formatExact, formatNumber } from "../../i18n";
import { t } from "./texts";

interface Step {
  label: string;
  sign: string;
  to: number;
}

export function Moments(props: {
  range: Schemas["BookRange"];
  sequence: number;
  at: string;
  book: Schemas["BookThen"] | null;
  problem: Problem | null;
  onSequence: (sequence: number) => void;
  onTime: (at: string) => void;
  onRenew: () => void;
}) {
  const { range, sequence, book, onSequence } = props;
  const [sliderId, numberId] = [useId(), useId()];
  const first = range.first_sequence - 1;
  const last = range.last_sequence;
  const isSettled = book !== null && book.sequence === sequence;
  const back: Step[] = [
    { label: t("book.first"), sign: "«", to: first },
    { label: t("book.back"), sign: "−1", to: sequence - 1 },
  ];
  const on: Step[] = [
    { label: t("book.on"), sign: "+1", to: sequence + 1 },
    { label: t("book.last"), sign: "»", to: last },
  ];
  const button = ({ label, sign, to }: Step) => (
    <button
      key={label}
      type="button"
      class="button button-small"
      title={label}
      disabled={to < first || to > last || to === sequence}
      onClick={() => onSequence(to)}
    >
      <span aria-hidden="true">{sign}</span>
      <span class="visually-hidden">{label}</span>
    </button>
  );
  return (
    <div class="ov-moments">
      <div class="ov-slider">
        <label for={sliderId} class="label">
          {t("book.slider")}
        </label>
        <input
          id={sliderId}
          type="range"
          min={first}
          max={last}
          step={1}
          value={sequence}
          aria-valuetext={
            isSettled && book.sequence_at != null
              ? t("book.at", { sequence, at: formatExact(book.sequence_at) })
              : formatNumber(sequence)
          }
          onInput={(event) => onSequence(Number(event.currentTarget.value))}
        />
        <div class="ov-ends quiet number">
          <span>
            {formatNumber(range.first_sequence)} · <Time at={range.first_at} />
          </span>
          <span>
            {formatNumber(last)} · <Time at={range.last_at} />
          </span>
        </div>
      </div>
      <div class="ov-steps">
        {back.map(button)}
        <span class="ov-number">
          <label for={numberId} class="visually-hidden">
            {t("book.sequence")}
          </label>
          <input
            id={numberId}
            type="number"
            min={first}
            max={last}
            value={sequence}
            onChange={(event) => {
              const next = Number.parseInt(event.currentTarget.value, 10);
              if (Number.isSafeInteger(next)) onSequence(next);
            }}
          />
        </span>
        {on.map(button)}
        {isSettled && book.book_sequence > first && (
          <button
            type="button"
            class="button button-small"
            title={t("book.change.text")}
            onClick={() => onSequence(book.book_sequence - 1)}
          >
            {t("book.change")}
          </button>
        )}
        <button type="button" class="button button-small" onClick={props.onRenew}>
          {t("book.renew")}
        </button>
      </div>
      <Form label={t("book.by_time")} problem={props.problem} onSubmit={() => undefined}>
        <Field label={t("book.time")} pointer="?at" hint={t("book.time.hint")}>
          {(control) => (
            <MomentInput
              control={control}
              value={props.at}
              onChange={(at) => at !== "" && props.onTime(at)}
            />
          )}
        </Field>
      </Form>
    </div>
  );
}
