/**
 * An answer as a file. It comes as a stream and is kept in pieces that the browser may put on its disk, so a long one
 * fits; what has come is told by rows where the form of the file shows them, and by its size else.
 */
import { useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { Problem, problemOf, unanswered } from "../../api/problem";
import { toast } from "../../components/announcer";
import { Choice } from "../../components/tabs";
import { formatNumber } from "../../i18n";
import { t } from "./texts";

/** Called the same in every language. */
const FORMATS = { csv: "CSV", ndjson: "NDJSON", parquet: "Parquet" } as const;
type Format = keyof typeof FORMATS;
const PIECE_BYTES = 4 * 1024 * 1024;
const NEWLINE = 10;

interface Progress {
  rows: number | null;
  seen: number;
  bytes: number;
}

export function ExportBar(props: {
  what: string;
  path: string;
  query: () => Record<string, string>;
  onRefused: (problem: Problem | null) => void;
}) {
  const format = useSignal<Format>("csv");
  const zip = useSignal(false);
  const progress = useSignal<Progress | null>(null);
  const done = useSignal("");
  const running = useRef<AbortController | null>(null);
  useEffect(() => () => running.current?.abort(), []);
  const run = async () => {
    const own = new AbortController();
    running.current = own;
    props.onRefused(null);
    done.value = "";
    progress.value = { rows: null, seen: 0, bytes: 0 };
    const asked = new URLSearchParams({ ...props.query(), format: format.value });
    if (zip.value) asked.set("zip", "true");
    try {
      const rows = await download(`${props.path}?${asked}`, own.signal, (now) => {
        progress.value = now;
      });
      done.value = rows === null ? t("export.saved") : t("export.done", { count: rows });
    } catch (failed) {
      if (!(failed instanceof Problem)) throw failed;
      if (!own.signal.aborted) props.onRefused(failed);
    } finally {
      progress.value = null;
    }
  };
  const now = progress.value;
  return (
    <fieldset class="ov-export">
      <legend class="visually-hidden">{t("export.label", { what: props.what })}</legend>
      <span class="ov-export-state" role="status">
        {now === null ? (
          done.value
        ) : (
          <>
            <progress {...(now.rows === null ? {} : { max: Math.max(now.rows, 1), value: now.seen })} />{" "}
            {now.rows === null || now.seen === 0
              ? t("export.bytes", { kib: formatNumber(Math.ceil(now.bytes / 1024)) })
              : t("export.rows", { seen: now.seen, rows: now.rows })}
          </>
        )}
      </span>
      <Choice
        label={t("export.format")}
        options={(Object.keys(FORMATS) as Format[]).map((key) => ({ key, title: FORMATS[key] }))}
        chosen={format.value}
        onChoose={(key) => {
          format.value = key;
        }}
      />
      <label class="check">
        <input
          type="checkbox"
          checked={zip.value}
          onChange={(event) => {
            zip.value = event.currentTarget.checked;
          }}
        />
        {t("export.zip")}
      </label>
      <button
        type="button"
        class="button"
        onClick={() => (now === null ? void run() : running.current?.abort())}
      >
        {t(now === null ? "export.go" : "export.stop")}
      </button>
    </fieldset>
  );
}

/** A button that saves one answer as a file; `name` where the answer gives it none. */
export function SaveButton(props: { address: () => string; name?: string; children: string }) {
  const isBusy = useSignal(false);
  const save = async () => {
    if (isBusy.value) return;
    isBusy.value = true;
    try {
      await download(props.address(), new AbortController().signal, undefined, props.name);
      toast(t("export.saved"), "good");
    } catch (failed) {
      if (!(failed instanceof Problem)) throw failed;
      toast(failed.text, "bad");
    } finally {
      isBusy.value = false;
    }
  };
  return (
    <button type="button" class="button" disabled={isBusy.value} onClick={() => void save()}>
      {props.children}
    </button>
  );
}

/** Fetch a file and give it to the reader; returns how many rows it has, where the exchange told that. */
export async function download(
  address: string,
  signal: AbortSignal,
  tell: (progress: Progress) => void = () => undefined,
  name?: string,
): Promise<number | null> {
  const answer = await fetch(address, { credentials: "same-origin", signal }).catch(() => {
    throw unanswered(false);
  });
  if (!answer.ok) throw problemOf(answer, await answer.json().catch(() => null));
  const told = answer.headers.get("export-rows");
  const rows = told === null ? null : Number(told);
  const type = answer.headers.get("content-type") ?? "";
  const isCsv = type.includes("csv");
  const showsRows = isCsv || type.includes("ndjson");
  // Of a CSV the first line is its heading.
  let seen = isCsv ? -1 : 0;
  let bytes = 0;
  const pieces: Blob[] = [];
  let open: Uint8Array<ArrayBuffer>[] = [];
  let size = 0;
  const body = answer.body?.getReader();
  try {
    for (;;) {
      const part = await body?.read();
      if (part === undefined || part.done) break;
      open.push(part.value);
      size += part.value.length;
      bytes += part.value.length;
      if (showsRows) for (const byte of part.value) if (byte === NEWLINE) seen += 1;
      if (size > PIECE_BYTES) {
        pieces.push(new Blob(open));
        open = [];
        size = 0;
      }
      tell({ rows, seen: Math.min(Math.max(seen, 0), rows ?? 0), bytes });
    }
  } catch {
    throw unanswered(false);
  }
  saveFile(new Blob([...pieces, ...open], { type }), name ?? fileNameOf(answer));
  return rows;
}

function fileNameOf(answer: Response): string {
  return /filename="([^"]+)"/.exec(answer.headers.get("content-disposition") ?? "")?.[1] ?? "export";
}

const KEPT_MS = 60_000;

/** Give a file to the reader. */
export function saveFile(file: Blob, name: string): void {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(file);
  link.download = name;
  link.click();
  // The browser reads it after this returns.
  setTimeout(() => URL.revokeObjectURL(link.href), KEPT_MS);
}
