/** The picture of each report. What is drawn adds up rows; the rows themselves stand in the table below it. */
import type { Catalogue } from "../../api/catalogue";
import { BudgetBurn, Refusals, Stacking, VoucherPrice, VoucherUse } from "./report_charts_aid";
import { Capacity, Concentration, DomesticShare, FillRate, HubFlow } from "./report_charts_market";
import type { Drawn } from "./report_drawn";
import { periodsOf, type Report } from "./report_figures";

const CHARTS: Record<Report["name"], (drawn: Drawn) => preact.JSX.Element> = {
  "budget-burn": BudgetBurn,
  "voucher-use": VoucherUse,
  "voucher-refusals": Refusals,
  concentration: Concentration,
  "domestic-share": DomesticShare,
  "hub-flow": HubFlow,
  capacity: Capacity,
  "voucher-price": VoucherPrice,
  "fill-rate": FillRate,
  stacking: Stacking,
};

export function ReportCharts({ report, catalogue }: { report: Report; catalogue: Catalogue | null }) {
  const Drawing = CHARTS[report.name];
  return (
    <div class="ov-charts">
      <Drawing rows={report.rows} periods={periodsOf(report.rows, report.by)} catalogue={catalogue} />
    </div>
  );
}
