/** A JSON document that is written or read from a file here; what is wrong stands at its line, and in words beside. */
import { useEffect, useId, useRef } from "preact/hooks";
import { useCatalogue } from "../../api/catalogue";
import { faultText, type Problem } from "../../api/problem";
import type { Rules } from "./data";
import { locate } from "./locate";
import { WordList } from "./rules";
import { t } from "./texts";
import { type Word, wordsOf } from "./words";

/** The document as it would be sent, or why it is no JSON object. */
export function parsed(text: string): { document: Record<string, unknown> } | { fault: string } {
  try {
    const document: unknown = JSON.parse(text);
    if (typeof document === "object" && document !== null && !Array.isArray(document)) {
      return { document: document as Record<string, unknown> };
    }
    return { fault: t("document.object") };
  } catch (failed) {
    return { fault: t("document.syntax", { detail: failed instanceof Error ? failed.message : "" }) };
  }
}

export function DocumentField(props: {
  label: string;
  text: string;
  /** Why it could not even be sent. */
  fault: string | null;
  problem: Problem | null;
  onChange: (text: string) => void;
}) {
  const { text, problem } = props;
  const id = useId();
  const area = useRef<HTMLTextAreaElement>(null);
  const notice = useRef<HTMLDivElement>(null);
  const isWrong = props.fault !== null || problem !== null;
  useEffect(() => {
    if (problem !== null) notice.current?.focus();
  }, [problem]);
  const show = (pointer: string) => {
    const place = locate(text, pointer);
    const field = area.current;
    if (place === null || field === null) return;
    field.focus();
    field.setSelectionRange(place.from, place.to);
    field.scrollTop = field.scrollHeight * ((place.line - 4) / text.split("\n").length);
  };
  return (
    <div class={isWrong ? "field field-faulty" : "field"}>
      {problem && (
        <div ref={notice} class="notice notice-bad" role="alert" tabIndex={-1} id={`${id}-faults`}>
          <div>
            <strong>
              {problem.faults.length > 0
                ? t("document.faults", { count: problem.faults.length })
                : problem.text}
            </strong>
            <ul>
              {problem.faults.map((fault) => (
                <li key={fault.pointer + fault.code}>
                  <button type="button" class="link" onClick={() => show(fault.pointer)}>
                    <span>
                      <code>{fault.pointer || "/"}</code>
                      {lineOf(text, fault.pointer)}
                    </span>
                  </button>{" "}
                  {faultText(fault)}
                </li>
              ))}
            </ul>
          </div>
        </div>
      )}
      <label for={id}>{props.label}</label>
      <textarea
        ref={area}
        id={id}
        class="code document"
        rows={18}
        spellcheck={false}
        autocomplete="off"
        aria-invalid={isWrong}
        aria-describedby={props.fault !== null ? `${id}-fault` : problem ? `${id}-faults` : undefined}
        value={text}
        onInput={(event) => props.onChange(event.currentTarget.value)}
      />
      {props.fault !== null && (
        <p class="fault" id={`${id}-fault`}>
          {props.fault}
        </p>
      )}
    </div>
  );
}

function lineOf(text: string, pointer: string): string {
  const line = locate(text, pointer)?.line;
  return line === undefined ? "" : ` ${t("document.line", { line })}`;
}

/** What the rules of the document say, in words, as far as they are rules. */
export function InWords({ text, before }: { text: string; before?: Rules | null }) {
  const names = useCatalogue().value;
  const told = parsed(text);
  let words: readonly Word[] | null = null;
  if ("document" in told) {
    try {
      words = wordsOf(told.document.rules as Rules, names);
    } catch {
      words = null; // it is not finished yet; what is wrong with it is the exchange's to say
    }
  }
  if (words === null) return <p class="quiet">{t("document.unread")}</p>;
  return <WordList words={words} before={before ? wordsOf(before, names) : null} />;
}
