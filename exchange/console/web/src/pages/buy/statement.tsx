/** Every movement of the buyer's money, newest first: what it was for, from where to where. */
import { api } from "../../api/client";
import { useQuery } from "../../api/query";
import { Pager, usePages } from "../../components/pager";
import { Loaded } from "../../components/states";
import { Choice } from "../../components/tabs";
import { REASONS, reasonOf, reasonText, TransferTable } from "../../ledger/transfers";
import { useNewly } from "./orders";
import { ASSETS, type BuyState } from "./state";
import { t } from "./texts";

const PAGE = 25;
const EVERY_S = 15;

export function Statement(props: {
  state: BuyState;
  onChange: (change: Partial<BuyState>, isStep?: boolean) => void;
  version: number;
}) {
  const { state, onChange } = props;
  const reason = reasonOf(state.reason);
  const query = {
    ...(state.assets === "cash" && { asset: "CNY" }),
    ...(reason !== undefined && { reason }),
    limit: PAGE,
  };
  const pages = usePages(JSON.stringify(query));
  const wanted = pages.cursor === undefined ? query : { ...query, cursor: pages.cursor };
  const transfers = useQuery(
    `/v1/transfers ${JSON.stringify(wanted)}`,
    (conditions) => api.GET("/v1/transfers", { ...conditions, params: { query: wanted } }),
    { every_s: EVERY_S },
  );
  useNewly(props.version, transfers.refresh);
  return (
    <section class="card" aria-labelledby="buy-statement">
      <h2 id="buy-statement">{t("statement")}</h2>
      <search class="buy-filters" aria-label={t("filters")}>
        <Choice
          label={t("statement.assets")}
          options={ASSETS.map((key) => ({ key, title: t(`statement.assets.${key}`) }))}
          chosen={state.assets}
          onChoose={(assets) => onChange({ assets })}
        />
        <label class="buy-filter">
          <span class="visually-hidden">{t("statement.what")}</span>
          <select value={reason ?? ""} onChange={(event) => onChange({ reason: event.currentTarget.value })}>
            <option value="">{t("statement.every_reason")}</option>
            {REASONS.map((each) => (
              <option key={each} value={each}>
                {reasonText(each)}
              </option>
            ))}
          </select>
        </label>
      </search>
      <Loaded query={transfers}>
        {({ data, next_cursor }) => (
          <>
            <TransferTable
              caption={t("statement")}
              rows={data}
              onOrder={(id) => onChange({ tab: "orders", shown: "all", order: id }, true)}
            />
            <Pager pages={pages} next={next_cursor} />
          </>
        )}
      </Loaded>
    </section>
  );
}
