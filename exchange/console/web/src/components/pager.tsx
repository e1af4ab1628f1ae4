/** Long lists, a page at a time: back and forth by the cursors that the exchange gives. */
import { useSignal } from "@preact/signals";
import { t } from "../i18n";

export interface Pages {
  /** Where the page begins that is shown; undefined for the first. */
  cursor: string | undefined;
  number: number;
  older: (next: string) => void;
  newer: () => void;
}

/** Which page of a list is shown; another `list` begins at its first. */
export function usePages(list: string): Pages {
  const place = useSignal<{ list: string; cursors: readonly string[] }>({ list, cursors: [] });
  const cursors = place.value.list === list ? place.value.cursors : [];
  return {
    cursor: cursors.at(-1),
    number: cursors.length + 1,
    older: (next) => {
      place.value = { list, cursors: [...cursors, next] };
    },
    newer: () => {
      place.value = { list, cursors: cursors.slice(0, -1) };
    },
  };
}

export function Pager({ pages, next }: { pages: Pages; next: string | null | undefined }) {
  if (pages.number === 1 && next == null) return null;
  return (
    <nav class="pager" aria-label={t("pages")}>
      <button
        type="button"
        class="button button-small"
        disabled={pages.number === 1}
        onClick={() => pages.newer()}
      >
        {t("pages.newer")}
      </button>
      <span class="quiet" aria-live="polite">
        {t("pages.number", { number: pages.number })}
      </span>
      <button
        type="button"
        class="button button-small"
        disabled={next == null}
        onClick={() => next != null && pages.older(next)}
      >
        {t("pages.older")}
      </button>
    </nav>
  );
}
