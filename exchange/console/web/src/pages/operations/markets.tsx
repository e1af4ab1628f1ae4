/** The markets by product with the switch over each, and what was switched before. */
import { useSignal } from "@preact/signals";
import { useCatalogue } from "../../api/catalogue";
import { ProductName } from "../../components/product_name";
import { type Column, DataTable } from "../../components/table";
import { Choice } from "../../components/tabs";
import { Badge, Nothing, Time } from "../../components/values";
import type { Operations, Phase } from "./data";
import { PhaseDialog } from "./phase_dialog";
import { t } from "./texts";

interface Market {
  product: string;
  partition: number;
  phase: Phase | null;
}

const SHOWN = ["all", "closed"] as const;

export function Markets({ now, onChanged }: { now: Operations; onChanged: () => void }) {
  const shown = useSignal<(typeof SHOWN)[number]>("all");
  const wish = useSignal("");
  const changed = useSignal<Market | null>(null);
  const catalogue = useCatalogue().value;
  const markets = now.partitions.flatMap((partition) =>
    partition.products.map((each) => ({
      product: each.product,
      partition: partition.partition,
      phase: each.phase as Phase | null,
    })),
  );
  const words = wish.value.toLowerCase().split(/\s+/).filter(Boolean);
  const rows = markets.filter((each) => {
    const name = `${each.product} ${catalogue?.product(each.product) ?? ""}`.toLowerCase();
    return (shown.value === "all" || each.phase !== "open") && words.every((word) => name.includes(word));
  });
  return (
    <div class="stack">
      <section class="card ops-markets" aria-labelledby="ops-markets">
        <div class="card-head">
          <h2 id="ops-markets">{t("markets")}</h2>
          <div class="ops-filters">
            <label class="ops-search">
              <span class="visually-hidden">{t("markets.search")}</span>
              <input
                type="search"
                placeholder={t("markets.search")}
                value={wish.value}
                onInput={(event) => {
                  wish.value = event.currentTarget.value;
                }}
              />
            </label>
            <Choice
              label={t("markets")}
              options={SHOWN.map((key) => ({ key, title: t(`markets.${key}`) }))}
              chosen={shown.value}
              onChoose={(key) => {
                shown.value = key;
              }}
            />
          </div>
        </div>
        <DataTable
          caption={t("markets")}
          captionHidden
          columns={columns((market) => {
            changed.value = market;
          })}
          rows={rows}
          rowKey={(row) => row.product}
          empty={t(shown.value === "closed" && words.length === 0 ? "markets.none_closed" : "markets.none")}
        />
      </section>
      <Changes now={now} />
      <PhaseDialog
        product={changed.value?.product ?? null}
        phase={changed.value?.phase ?? null}
        onClose={() => {
          changed.value = null;
        }}
        onChanged={onChanged}
      />
    </div>
  );
}

function columns(onChange: (market: Market) => void): Column<Market>[] {
  return [
    {
      key: "product",
      title: t("product"),
      head: true,
      cell: (row) => <ProductName id={row.product} />,
      sort: (row) => row.product,
    },
    {
      key: "phase",
      title: t("phase"),
      cell: (row) => (row.phase === null ? <Nothing /> : <PhaseBadge phase={row.phase} />),
      sort: (row) => row.phase,
    },
    {
      key: "change",
      title: t("change"),
      cell: (row) => (
        <button
          type="button"
          class="button button-small"
          aria-label={t("change.label", { product: row.product })}
          onClick={() => onChange(row)}
        >
          {t("change.open")}
        </button>
      ),
    },
    {
      key: "partition",
      title: t("partition"),
      numeric: true,
      cell: (row) => row.partition,
      sort: (row) => row.partition,
    },
  ];
}

const TONES = { open: "good", cancel_only: "busy", halted: "bad" } as const;

export function PhaseBadge({ phase }: { phase: Phase }) {
  return <Badge tone={TONES[phase]}>{t(`phase.${phase}`)}</Badge>;
}

/** Who switched what, when and why: the record says so for good. */
function Changes({ now }: { now: Operations }) {
  return (
    <section class="card" aria-labelledby="ops-changes">
      <h2 id="ops-changes">{t("changes")}</h2>
      <DataTable
        caption={t("changes")}
        captionHidden
        columns={[
          { key: "at", title: t("changes.at"), cell: (row) => <Time at={row.at} exact /> },
          {
            key: "product",
            title: t("product"),
            head: true,
            cell: (row) => <ProductName id={row.product} />,
          },
          { key: "phase", title: t("phase"), cell: (row) => <PhaseBadge phase={row.phase as Phase} /> },
          {
            key: "reason",
            title: t("reason"),
            cell: (row) => (row.reason === null ? <Nothing /> : <span class="ops-reason">{row.reason}</span>),
          },
          {
            key: "who",
            title: t("changes.who"),
            cell: (row) => (
              <>
                {row.participant_name}
                <span class="second code">{row.key}</span>
              </>
            ),
          },
        ]}
        rows={now.phase_changes}
        rowKey={(row) => `${row.at} ${row.product}`}
        empty={t("changes.none")}
      />
    </section>
  );
}
