/** The rows of a report, some hundreds at a time; every column can be sorted by. */
import { useSignal } from "@preact/signals";
import type { Catalogue } from "../../api/catalogue";
import { type Column, DataTable } from "../../components/table";
import { Nothing } from "../../components/values";
import { t as shared } from "../../i18n";
import type { Report, Row } from "./report_figures";
import { columnMeaning, columnName, reportWords, valueText } from "./report_words";
import { t } from "./texts";

const ROWS_AT_ONCE = 300;

export function ReportTable({ report, catalogue }: { report: Report; catalogue: Catalogue | null }) {
  const shown = useSignal(ROWS_AT_ONCE);
  const columns = report.columns.map(({ name, meaning }, index): Column<Numbered> => {
    const isNumber = isNumeric(report.rows, name);
    return {
      key: name,
      title: columnName(name),
      head: index === 0,
      numeric: isNumber,
      cell: ({ row }) => {
        const told = valueText(name, row, catalogue);
        return told === "" ? <Nothing /> : <span title={columnMeaning(name, meaning)}>{told}</span>;
      },
      sort: ({ row }) => sortable(row[name], isNumber),
    };
  });
  const rows = report.rows.slice(0, shown.value).map((row, number) => ({ row, number }));
  return (
    <>
      <DataTable
        caption={t("reports.rows", { title: reportWords(report).title })}
        captionHidden
        columns={columns}
        rows={rows}
        rowKey={({ number }) => number}
      />
      {report.rows.length > shown.value && (
        <button
          type="button"
          class="button"
          onClick={() => {
            shown.value += ROWS_AT_ONCE;
          }}
        >
          {shared("more")}
        </button>
      )}
    </>
  );
}

interface Numbered {
  row: Row;
  number: number;
}

/** Whether a column holds numbers: counts, shares, or money, which is written out. */
function isNumeric(rows: readonly Row[], name: string): boolean {
  return name.endsWith("_cny") || rows.some((row) => typeof row[name] === "number");
}

function sortable(value: Row[string] | undefined, isNumber: boolean): string | number | null {
  if (value == null) return null;
  return isNumber ? Number(value) : value;
}
