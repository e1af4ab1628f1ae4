/** What is around every chart: its title, and the button that shows the same figures as a table. */
import type { Signal } from "@preact/signals";
import type { ComponentChildren } from "preact";
import { IconChart, IconTable } from "../components/icons";
import { t } from "../i18n";

export function ChartFrame(props: {
  title: string;
  /** Whether the table is shown; the frame's button changes it. */
  asTable: Signal<boolean>;
  isEmpty: boolean;
  table: () => ComponentChildren;
  /** The picture. */
  children: ComponentChildren;
}) {
  const { title, asTable, isEmpty } = props;
  return (
    <figure class="chart">
      <figcaption class="card-head">
        <h3>{title}</h3>
        <button
          type="button"
          class="icon-button quiet"
          aria-pressed={asTable.value}
          aria-label={`${title}: ${t(asTable.value ? "chart.picture" : "chart.table")}`}
          title={t(asTable.value ? "chart.picture" : "chart.table")}
          onClick={() => {
            asTable.value = !asTable.value;
          }}
        >
          {asTable.value ? <IconChart /> : <IconTable />}
        </button>
      </figcaption>
      {isEmpty && <p class="chart-none">{t("chart.none")}</p>}
      {!isEmpty && asTable.value && <div class="chart-table">{props.table()}</div>}
      {!isEmpty && !asTable.value && props.children}
    </figure>
  );
}
