/** A list that goes on where its reader asks for more: older rows stay below the first page, which is read anew. */
import { Problem } from "../api/problem";
import { t } from "../i18n";
import { toast } from "./announcer";
import { useKept } from "./kept";
import { at, BEGIN, extended, type Known, type Page } from "./older";

export interface Older<Row> {
  /** The rows of the first page and the older ones; none twice, also where the first page has moved on. */
  rows: (first: Page<Row>) => readonly Row[];
  /** Where the list goes on; null at its end. */
  next: (first: Page<Row>) => string | null;
  more: (cursor: string) => Promise<void>;
  forget: () => void;
}

/** What was read of a list beyond its first page; `keptAs` is the list's name, where that stays while it is away. */
export function useOlder<Row extends { id: string }>(
  page: (cursor: string) => Promise<Page<Row>>,
  keptAs?: string,
): Older<Row> {
  // Another object is another list, or more of it, and is drawn; what a first page adds to it is drawn with that page.
  const kept = useKept<{ known: Known<Row> }>(keptAs && `${keptAs} older`, { known: BEGIN });
  const knownAt = (first: Page<Row>) => {
    const now = kept.value;
    now.known = at(now.known, first);
    return now.known;
  };
  return {
    rows: (first) => knownAt(first).rows,
    next: (first) => {
      const { next } = knownAt(first);
      return (next === undefined ? first.next_cursor : next) ?? null;
    },
    more: async (cursor) => {
      const asked = kept.peek();
      // From here on the first page may move on: what it pushes out is kept.
      if (asked.known.next === undefined) asked.known = { ...asked.known, next: cursor };
      try {
        const found = await page(cursor);
        // Where the list has begun anew meanwhile, this is no longer what comes after it.
        const isWanted = kept.peek() === asked && asked.known.next !== undefined;
        if (isWanted) kept.value = { known: extended(asked.known, found) };
      } catch (failed) {
        if (!(failed instanceof Problem)) throw failed;
        toast(failed.text, "bad");
      }
    },
    forget: () => {
      kept.value = { known: BEGIN };
    },
  };
}

export function More<Row>({ older, first }: { older: Older<Row>; first: Page<Row> }) {
  const cursor = older.next(first);
  if (cursor === null) return null;
  return (
    <button type="button" class="button" onClick={() => void older.more(cursor)}>
      {t("more")}
    </button>
  );
}
