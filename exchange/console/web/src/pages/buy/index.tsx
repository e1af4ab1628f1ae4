/** What a buyer does: pick hours, see what an order would cost and who pays, place it, follow it. */

import { useSignal } from "@preact/signals";
import { useLocation } from "preact-iso";
import { HOUR_MS } from "../../api/hours";
import { toast } from "../../components/announcer";
import { useDraft } from "../../components/drafts";
import { hourText } from "../../components/hour_input";
import { type Tab as TabOf, Tabs } from "../../components/tabs";
import { useOrderNews, worthTelling } from "../../orders/news";
import type { ProductFilter } from "../market/filters";
import { Balances } from "./account";
import { type Draft, EMPTY } from "./draft";
import { Orders } from "./orders";
import { Place } from "./place";
import { type Tab, useBuyState, wishOf } from "./state";
import { Statement } from "./statement";
import "./style.css";
import { t } from "./texts";

/** The form as an address asks for it: the market leads here with a product and hours. */
function draftOf(query: Record<string, string>): Draft {
  const wish = wishOf(query);
  const starts = Date.parse(wish.starts_at);
  return {
    ...EMPTY,
    product: wish.product,
    ...(!Number.isNaN(starts) &&
      wish.hours > 0 && { starts_at: hourText(starts), ends_at: hourText(starts + wish.hours * HOUR_MS) }),
    ...(wish.gpus > 0 && { quantity: String(wish.gpus) }),
  };
}

export default function BuyPage() {
  const { query } = useLocation();
  const [state, change] = useBuyState();
  const asked = query.product ? `${query.product} ${query.starts_at ?? ""} ${query.hours ?? ""}` : "";
  const draft = useDraft<Draft>("buy", draftOf(query), asked);
  const filter = useSignal<ProductFilter>({ accelerator: "", origin: "", hub: "", interconnect: "" });
  const version = useSignal(0);
  useOrderNews(
    () => {
      version.value++;
    },
    (news) => {
      for (const each of worthTelling(news)) {
        if (each.gpus > 0) toast(t("news.filled", { name: each.order_id, gpus: each.gpus }), "good");
        if (each.isOver) toast(t("news.expired", { name: each.order_id }));
      }
    },
  );
  const tabs: readonly TabOf<Tab>[] = [
    {
      key: "place",
      title: t("tab.place"),
      panel: () => (
        <div class="stack">
          <Place
            draft={draft}
            filter={filter}
            version={version.value}
            onPlaced={(order) => {
              version.value++;
              change({ tab: "orders", shown: "all", order: order.id }, true);
            }}
          />
        </div>
      ),
    },
    {
      key: "orders",
      title: t("tab.orders"),
      panel: () => (
        <div class="stack">
          <Orders state={state} onChange={change} version={version.value} />
        </div>
      ),
    },
    {
      key: "account",
      title: t("tab.account"),
      panel: () => (
        <div class="stack">
          <Balances version={version.value} />
          <Statement state={state} onChange={change} version={version.value} />
        </div>
      ),
    },
  ];
  return (
    <div class="page">
      <div class="page-head">
        <div>
          <h1>{t("title")}</h1>
          <p class="lead">{t("lead")}</p>
        </div>
      </div>
      <Tabs label={t("title")} tabs={tabs} chosen={state.tab} onChoose={(tab) => change({ tab }, true)} />
    </div>
  );
}
