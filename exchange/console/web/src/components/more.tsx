/** A list that goes on where its reader asks for more: older rows stay below the first page, which is read anew. */
import { Problem } from "../api/problem";
import { t } from "../i18n";
import { toast } from "./announcer";
import { useKept } from "./kept";

interface Page<Row> {
  data: Row[];
  next_cursor?: string | null;
}

export interface Older<Row> {
  /** The rows of the first page and the older ones; none twice, also where the first page has moved on. */
  rows: (first: Page<Row>) => Row[];
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
  const older = useKept<readonly Row[]>(keptAs && `${keptAs} older`, []);
  const next = useKept<string | null | undefined>(keptAs && `${keptAs} next`, undefined);
  return {
    rows: ({ data }) => {
      const first = new Set(data.map((each) => each.id));
      return [...data, ...older.value.filter((each) => !first.has(each.id))];
    },
    next: ({ next_cursor }) => (next.value === undefined ? next_cursor : next.value) ?? null,
    more: async (cursor) => {
      try {
        const found = await page(cursor);
        older.value = [...older.value, ...found.data];
        next.value = found.next_cursor ?? null;
      } catch (failed) {
        if (!(failed instanceof Problem)) throw failed;
        toast(failed.text, "bad");
      }
    },
    forget: () => {
      older.value = [];
      next.value = undefined;
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
