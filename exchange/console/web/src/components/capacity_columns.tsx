/** The columns of tables whose rows are rectangles of capacity: hours by GPUs. */
import { formatNumber } from "../i18n";
import type { Column } from "./table";
import { Time } from "./values";

export function windowColumn<Row extends { starts_at: string; ends_at: string }>(title: string): Column<Row> {
  return {
    key: "window",
    title,
    cell: (row) => (
      <>
        <Time at={row.starts_at} /> –
        <span class="second">
          <Time at={row.ends_at} />
        </span>
      </>
    ),
    sort: (row) => row.starts_at,
  };
}

export function gpusColumn<Row extends { quantity_gpus: number }>(title: string): Column<Row> {
  return {
    key: "gpus",
    title,
    numeric: true,
    cell: (row) => formatNumber(row.quantity_gpus),
    sort: (row) => row.quantity_gpus,
  };
}
