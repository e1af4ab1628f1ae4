/** Rows of the same kind: sortable, with a caption; on a narrow screen it scrolls inside its own frame. */
import type { ComponentChildren } from "preact";
import { useId } from "preact/hooks";
import { t } from "../i18n";
import { classes } from "./classes";
import { IconDown, IconUp } from "./icons";
import { useKept } from "./kept";

export interface Column<Row> {
  key: string;
  title: string;
  cell: (row: Row) => ComponentChildren;
  /** What rows are sorted by; without it the column cannot be sorted by. */
  sort?: (row: Row) => string | number | bigint | null;
  /** Numbers stand at the right. */
  numeric?: boolean;
  /** The column that names the row. */
  head?: boolean;
}

export interface TableProps<Row> {
  caption: string;
  /** Whether the caption is for screen readers only, because a heading says the same. */
  captionHidden?: boolean;
  columns: readonly Column<Row>[];
  rows: readonly Row[];
  rowKey: (row: Row) => string | number;
  /** Column and direction at first: `price` or `-price`. Without it, rows stand as they are given. */
  sortedBy?: string;
  empty?: ComponentChildren;
  onRow?: (row: Row) => void;
  isCurrent?: (row: Row) => boolean;
  /** The list's name, where its order stays while it is away. */
  keptAs?: string | undefined;
}

export function DataTable<Row>(props: TableProps<Row>) {
  const sorted = useKept(props.keptAs && `${props.keptAs} order`, props.sortedBy ?? "");
  const captionId = useId();
  const rows = inOrder(props.rows, props.columns, sorted.value);
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: a frame that scrolls must be reached by the keyboard
    <section class="table-frame" tabIndex={0} aria-labelledby={captionId}>
      <table class="table">
        <caption id={captionId} class={classes(props.captionHidden && "visually-hidden")}>
          {props.caption}
        </caption>
        <thead>
          <tr>
            {props.columns.map((column) => (
              <Heading key={column.key} column={column} sorted={sorted} />
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.map((row) => (
            <tr
              key={props.rowKey(row)}
              class={classes(props.onRow && "clickable", props.isCurrent?.(row) && "current")}
              onClick={props.onRow && (() => props.onRow?.(row))}
            >
              {props.columns.map((column) =>
                column.head ? (
                  <th key={column.key} scope="row" class={classes(column.numeric && "numeric")}>
                    {column.cell(row)}
                  </th>
                ) : (
                  <td key={column.key} class={classes(column.numeric && "numeric")}>
                    {column.cell(row)}
                  </td>
                ),
              )}
            </tr>
          ))}
        </tbody>
      </table>
      {rows.length === 0 && <div class="table-empty">{props.empty ?? t("table.empty")}</div>}
    </section>
  );
}

function Heading<Row>({ column, sorted }: { column: Column<Row>; sorted: { value: string } }) {
  const up = sorted.value === column.key;
  const down = sorted.value === `-${column.key}`;
  if (column.sort === undefined) {
    return (
      <th scope="col" class={classes(column.numeric && "numeric")}>
        {column.title}
      </th>
    );
  }
  return (
    <th
      scope="col"
      class={classes(column.numeric && "numeric")}
      aria-sort={up ? "ascending" : down ? "descending" : "none"}
    >
      <button
        type="button"
        class="sort"
        title={t("table.sort", { column: column.title })}
        onClick={() => {
          sorted.value = up ? `-${column.key}` : column.key;
        }}
      >
        {column.title}
        {up && <IconUp />}
        {down && <IconDown />}
      </button>
    </th>
  );
}

function inOrder<Row>(rows: readonly Row[], columns: readonly Column<Row>[], by: string): readonly Row[] {
  const key = by.replace(/^-/, "");
  const value = columns.find((column) => column.key === key)?.sort;
  if (value === undefined) return rows;
  const direction = by.startsWith("-") ? -1 : 1;
  return [...rows].sort((one, other) => {
    const first = value(one);
    const second = value(other);
    // What has no value stands last, whichever way the rest goes.
    if (first === null || second === null) return Number(first === null) - Number(second === null);
    if (first === second) return 0;
    return (first < second ? -1 : 1) * direction;
  });
}
