/** The column of a table whose rows can be opened: give the table `onRow` as well, so that the whole row opens. */
import type { Column } from "./table";

/**
 * The button is for the keyboard and for screen readers, and where the focus comes back to (`open-` and the row's id). It
 * has no click of its own: a click on it, like one anywhere in the row, is the row's.
 */
export function openColumn<Row>(
  title: string,
  open: string,
  of: (row: Row) => { id: string; label: string },
): Column<Row> {
  return {
    key: "open",
    title,
    cell: (row) => {
      const { id, label } = of(row);
      return (
        <button type="button" id={`open-${id}`} class="button button-small" aria-label={label}>
          {open}
        </button>
      );
    },
  };
}
