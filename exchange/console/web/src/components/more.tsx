/** A list that goes on where its reader asks for more: older rows stay below the first page, which is read anew. */
import { useSignal } from "@preact/signals";
import { Problem } from "../api/problem";
import { t } from "../i18n";
import { toast } from "./announcer";

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

/** What was read of a list beyond its first page. */
export function useOlder<Row extends { id: string }>(
  page: (cursor: string) => Promise<Page<Row>>,
): Older<Row> {
  const older = useSignal<readonly Row[]>([]);
  const next = useSignal<string | null | undefined>(undefined);
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
