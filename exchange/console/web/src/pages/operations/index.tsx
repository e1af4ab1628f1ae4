/** Operations: who leads each partition, how it commits, who is behind, and the switch over each market. */
import { useLocation } from "preact-iso";
import { Loaded } from "../../components/states";
import { Tabs } from "../../components/tabs";
import { Figure, Time } from "../../components/values";
import { formatBytes, formatNumber, formatSpan } from "../../i18n";
import { formatMs, type Operations, useOperations } from "./data";
import { Markets } from "./markets";
import { Participants } from "./participants";
import { Load, Partitions } from "./partitions";
import { Followers, Processes } from "./processes";
import { Sealing, SealWarnings } from "./sealing";
import "./style.css";
import { t } from "./texts";

const TABS = ["system", "markets", "participants"] as const;

export default function OperationsPage() {
  const operations = useOperations();
  const { query, path, route } = useLocation();
  const tab = TABS.find((each) => each === query.tab) ?? "system";
  return (
    <div class="page">
      <header class="page-head">
        <div>
          <h1>{t("title")}</h1>
          <p class="lead">{t("lead")}</p>
        </div>
      </header>
      <Loaded query={operations}>
        {(now) => (
          <>
            {operations.problem.value !== null && (
              <p class="notice notice-bad" role="alert">
                {t("stale", { why: operations.problem.value.text })}
              </p>
            )}
            <State now={now} />
            <Tabs
              label={t("title")}
              tabs={[
                { key: "system", title: t("tab.system"), panel: () => <System now={now} /> },
                {
                  key: "markets",
                  title: t("tab.markets"),
                  panel: () => <Markets now={now} onChanged={operations.refresh} />,
                },
                { key: "participants", title: t("tab.participants"), panel: () => <Participants /> },
              ]}
              chosen={tab}
              onChoose={(key) => route(key === "system" ? path : `${path}?tab=${key}`)}
            />
          </>
        )}
      </Loaded>
    </div>
  );
}

/** Whether requests are taken, and the figures that say the most. */
function State({ now }: { now: Operations }) {
  const closed = now.partitions
    .flatMap((each) => each.products)
    .filter((each) => each.phase !== null && each.phase !== "open").length;
  return (
    <section class="ops-state" aria-label={t("state")}>
      {now.troubles.length === 0 ? (
        <p class="notice ops-well">
          <strong>{t("state.ready")}</strong>
        </p>
      ) : (
        <div class="notice notice-bad" role="alert">
          <div>
            <strong>{t("state.troubles")}</strong>
            <ul>
              {now.troubles.map((each) => (
                <li key={each}>{each}</li>
              ))}
            </ul>
          </div>
        </div>
      )}
      <SealWarnings now={now} />
      <dl class="figures">
        <Figure label={t("venue_time")}>
          <Time at={now.venue_at} exact />
        </Figure>
        <Figure label={t("closed_markets")}>{formatNumber(closed)}</Figure>
        <Figure label={t("database.round_trip")}>{formatMs(now.database.round_trip_ms / 1000)}</Figure>
        <Figure label={t("database.oldest")}>{formatSpan(now.database.oldest_transaction_s * 1000)}</Figure>
        <Figure label={t("database.size")}>{formatBytes(now.database.size_bytes)}</Figure>
      </dl>
    </section>
  );
}

function System({ now }: { now: Operations }) {
  return (
    <div class="stack">
      <Partitions now={now} />
      <div class="cards">
        {now.partitions.map((each) => (
          <Load key={each.partition} partition={each} isAlone={now.partitions.length === 1} />
        ))}
        <Followers now={now} />
        <Sealing now={now} />
      </div>
      <Processes now={now} />
    </div>
  );
}
