/** Leases of both sides: what is coming, running and delivered; one of them hour by hour. */

import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { useLocation } from "preact-iso";
import { api, read } from "../../api/client";
import { useFirstHour } from "../../api/venue";
import { announce } from "../../components/announcer";
import { gpusColumn, windowColumn } from "../../components/capacity_columns";
import { More, useOlder } from "../../components/more";
import { ProductName } from "../../components/product_name";
import { EmptyState, Loaded } from "../../components/states";
import { type Column, DataTable } from "../../components/table";
import { Choice } from "../../components/tabs";
import { Badge, Money } from "../../components/values";
import { catalogue, fenOf } from "../../i18n";
import { isKind } from "../../session";
import { useChannel } from "../../stream";
import { hoursOf, type Lease, leasesPage, type Status, useLeases, type Which } from "./data";
import { Detail } from "./detail";
import en from "./en.json";
import { LeaseStatus } from "./values";
import "./style.css";
import zh from "./zh.json";

const t = catalogue(en, zh);

const WHICH: readonly Which[] = ["scheduled", "running", "delivered", "all"];
export default function LeasesPage() {
  const { query, path, route } = useLocation();
  const which = WHICH.find((each) => each === query.which) ?? "all";
  const chosen = query.lease ?? null;
  const go = (next: { which?: Which; lease?: string | null }) => {
    const to = new URLSearchParams();
    const shown = next.which ?? which;
    const lease = next.lease === undefined ? chosen : next.lease;
    if (shown !== "all") to.set("which", shown);
    if (lease !== null) to.set("lease", lease);
    route(to.size > 0 ? `${path}?${to}` : path);
  };
  return (
    <div class="page">
      <div class="page-head">
        <div>
          <h1>{t("title")}</h1>
          <p class="lead">{t("lead")}</p>
        </div>
        <Choice
          label={t("which")}
          options={WHICH.map((key) => ({ key, title: t(`which.${key}`) }))}
          chosen={which}
          onChoose={(key) => go({ which: key })}
        />
      </div>
      <LeaseList key={which} which={which} chosen={chosen} onOpen={(lease) => go({ lease })} />
      <Detail id={chosen} onClose={() => go({ lease: null })} />
    </div>
  );
}

function LeaseList(props: { which: Which; chosen: string | null; onOpen: (id: string) => void }) {
  const leases = useLeases(props.which);
  const older = useOlder<Lease>((cursor) =>
    read(() => api.GET("/v1/leases", leasesPage(props.which, cursor))),
  );
  const seen = useSignal<ReadonlyMap<string, Status> | null>(null);
  useChannel("orders", (message) => {
    if (message.event === "delta" && message.orders?.some((news) => news.kind === "traded")) leases.refresh();
  });
  // What an hour changes, its beginning shows.
  const hour = useFirstHour().value;
  useEffect(() => {
    if (hour !== null && leases.data.peek() !== null) leases.refresh();
  }, [hour]);
  const now = leases.data.value?.data;
  useEffect(() => {
    if (now === undefined) return;
    for (const each of now) {
      const before = seen.value?.get(each.id);
      if (before !== undefined && before !== each.status) {
        announce(t("changed", { status: t(`status.${each.status}`) }));
      }
    }
    seen.value = new Map(now.map((each) => [each.id, each.status]));
  }, [now]);
  return (
    <Loaded query={leases}>
      {(page) => {
        const rows = older.rows(page);
        if (rows.length === 0) return <EmptyState title={t("empty")}>{t("empty.text")}</EmptyState>;
        return (
          <>
            <DataTable
              caption={t(`which.${props.which}`)}
              captionHidden
              columns={columns(props.onOpen)}
              rows={rows}
              rowKey={(row) => row.id}
              isCurrent={(row) => row.id === props.chosen}
            />
            <div>
              <More older={older} first={page} />
            </div>
          </>
        );
      }}
    </Loaded>
  );
}

function columns(onOpen: (id: string) => void): Column<Lease>[] {
  const sells = isKind("provider");
  return [
    {
      key: "product",
      title: t("product"),
      head: true,
      cell: (row) => <ProductName id={row.product} />,
      sort: (row) => row.product,
    },
    {
      key: "status",
      title: t("status"),
      cell: (row) => (
        <>
          <LeaseStatus status={row.status} />
          {row.failed_hours > 0 && (
            <>
              {" "}
              <Badge tone="bad">{t("failed.text", { count: row.failed_hours })}</Badge>
            </>
          )}
          <span class="second number">
            {t("progress.text", { done: row.settled_hours, all: hoursOf(row) })}
          </span>
        </>
      ),
      sort: (row) => ["running", "scheduled", "ended", "settled"].indexOf(row.status),
    },
    windowColumn(t("window")),
    gpusColumn(t("gpus")),
    {
      key: "other",
      title: t(sells ? "other.buyer" : "other.provider"),
      cell: (row) => <span class="wrapped">{sells ? row.buyer : row.provider}</span>,
      sort: (row) => (sells ? row.buyer : row.provider),
    },
    {
      key: "amount",
      title: t("amount"),
      numeric: true,
      cell: (row) => (
        <>
          <Money cny={row.amount_cny} />
          <span class="second">
            <Money cny={row.price_cny_per_gpu_hour} /> {t("price.per")}
          </span>
        </>
      ),
      sort: (row) => fenOf(row.amount_cny),
    },
    {
      key: "open",
      title: t("open"),
      cell: (row) => (
        <button
          type="button"
          class="button button-small"
          aria-label={t("open.label", { id: row.id })}
          onClick={() => onOpen(row.id)}
        >
          {t("open")}
        </button>
      ),
    },
  ];
}
