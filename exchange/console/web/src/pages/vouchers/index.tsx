/**
 * Vouchers, by whom they concern: a buyer's wallet and applications, an issuer's programmes, budgets and queues, and the
 * claims of whoever is paid for delivered hours.
 */
import { Tabs } from "../../components/tabs";
import { isKind } from "../../session";
import { Applications } from "./applications";
import { Burn } from "./burn";
import { Claims } from "./claims";
import { Issued } from "./issued";
import { Programmes } from "./programmes";
import { type Change, type Tab, tabs, useVouchersState, type VouchersState } from "./state";
import { Statements } from "./statements";
import "./style.css";
import { t } from "./texts";
import { Wallet } from "./wallet";

const PANELS: Record<Tab, (props: { state: VouchersState; onChange: Change }) => preact.JSX.Element> = {
  wallet: Wallet,
  programmes: Programmes,
  applications: Applications,
  issued: Issued,
  burn: Burn,
  claims: Claims,
  statements: Statements,
};

export default function VouchersPage() {
  const [state, change] = useVouchersState();
  const kind = isKind("buyer") ? "buyer" : isKind("issuer") ? "issuer" : "provider";
  return (
    <div class="page">
      <div class="page-head">
        <div>
          <h1>{t("title")}</h1>
          <p class="lead">{t(`lead.${kind}`)}</p>
        </div>
      </div>
      <Tabs
        label={t("title")}
        tabs={tabs().map((key) => {
          const Panel = PANELS[key];
          return { key, title: t(`tab.${key}`), panel: () => <Panel state={state} onChange={change} /> };
        })}
        chosen={state.tab}
        onChoose={(tab) => change({ tab, open: "", status: "" })}
      />
    </div>
  );
}
