/** What a provider does: see and list capacity, keep its asks, follow what they bring. */

import { useSignal } from "@preact/signals";
import { useLocation } from "preact-iso";
import { HOUR_MS } from "../../api/hours";
import { useFirstHour } from "../../api/venue";
import { Loading } from "../../components/states";
import { type Tab, Tabs } from "../../components/tabs";
import { catalogue } from "../../i18n";
import { useOrderNews } from "../../orders/news";
import { Asks } from "./asks";
import { CapacityCard } from "./calendar";
import { Earnings } from "./earnings";
import en from "./en.json";
import { ImportCard } from "./import";
import { ListCard, type Wish } from "./list_form";
import { Receivables } from "./receivables";
import { Standing } from "./standing";
import "./style.css";
import zh from "./zh.json";

const t = catalogue(en, zh);

type Part = "capacity" | "asks" | "earnings";
const PARTS: readonly Part[] = ["capacity", "asks", "earnings"];

export default function SellPage() {
  const { query, path, route } = useLocation();
  const first = useFirstHour();
  const changes = useSignal(0);
  const wish = useSignal<Wish | null>(null);
  const changed = () => {
    changes.value++;
  };
  useOrderNews(changed);
  const part = PARTS.find((each) => each === query.part) ?? "capacity";
  const firstHour = first.value;
  if (firstHour === null) return <Frame>{<Loading />}</Frame>;
  const now = firstHour - HOUR_MS;
  const tabs: readonly Tab<Part>[] = [
    {
      key: "capacity",
      title: t("part.capacity"),
      panel: () => (
        <div class="stack">
          <CapacityCard
            now={now}
            changes={changes.value}
            onWish={(chosen) => {
              wish.value = chosen;
            }}
          />
          <div class="cards">
            <ListCard firstHour={firstHour} wish={wish.value} onListed={changed} />
            <ImportCard firstHour={firstHour} onListed={changed} />
          </div>
        </div>
      ),
    },
    { key: "asks", title: t("part.asks"), panel: () => <Asks changes={changes.value} onChanged={changed} /> },
    {
      key: "earnings",
      title: t("part.earnings"),
      panel: () => (
        <div class="stack">
          <Earnings now={now} changes={changes.value} />
          <Receivables />
        </div>
      ),
    },
  ];
  return (
    <Frame>
      <Standing now={now} changes={changes.value} />
      <Tabs
        label={t("title")}
        tabs={tabs}
        chosen={part}
        onChoose={(key) => route(key === "capacity" ? path : `${path}?part=${key}`)}
      />
    </Frame>
  );
}

function Frame({ children }: { children: preact.ComponentChildren }) {
  return (
    <div class="page">
      <div class="page-head">
        <div>
          <h1>{t("title")}</h1>
          <p class="lead">{t("lead")}</p>
        </div>
      </div>
      {children}
    </div>
  );
}
