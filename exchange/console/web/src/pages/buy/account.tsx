/** What the buyer has: cash, what is held for orders, and what waits in escrow for delivery. */

import { type Account, useAccounts } from "../../api/own";
import { EmptyState, Loaded } from "../../components/states";
import { type Column, DataTable } from "../../components/table";
import { Money } from "../../components/values";
import { purposeText } from "../../ledger/transfers";
import { useNewly } from "./orders";
import { t } from "./texts";

/** Nothing of escrow is free: it belongs to leases until their hours are delivered or refunded. */
export function Balances({ version }: { version: number }) {
  const accounts = useAccounts();
  useNewly(version, accounts.refresh);
  const columns: Column<Account>[] = [
    { key: "purpose", title: t("account"), head: true, cell: (each) => purposeText(each.purpose) },
    { key: "balance", title: t("balance"), numeric: true, cell: (each) => <Money cny={each.balance_cny} /> },
    {
      key: "held",
      title: t("held"),
      numeric: true,
      cell: (each) => <Money cny={each.purpose === "cash" ? each.held_cny : null} />,
    },
    {
      key: "available",
      title: t("available"),
      numeric: true,
      cell: (each) => <Money cny={each.purpose === "cash" ? each.available_cny : null} />,
    },
  ];
  return (
    <section class="card" aria-labelledby="buy-accounts">
      <h2 id="buy-accounts">{t("accounts")}</h2>
      <p class="quiet">{t("accounts.note")}</p>
      <Loaded query={accounts}>
        {({ data }) => {
          const cash = data.filter((each) => each.asset === "CNY" && each.voucher_id == null);
          return cash.length === 0 ? (
            <EmptyState title={t("accounts.empty")} />
          ) : (
            <DataTable
              caption={t("accounts")}
              captionHidden
              columns={columns}
              rows={cash}
              rowKey={(each) => each.purpose}
            />
          );
        }}
      </Loaded>
    </section>
  );
}
