/** One lease: its money, its hours, its outages. Its provider reports an outage here. */
import { useSignal } from "@preact/signals";
import { Dialog } from "../../components/dialog";
import { ProductName } from "../../components/product_name";
import { Loaded } from "../../components/states";
import { DataTable } from "../../components/table";
import { Figure, Money, Time } from "../../components/values";
import { catalogue, cnyOf, fenOf, formatDay, formatMoney, formatNumber, formatTime } from "../../i18n";
import { isKind, may } from "../../session";
import { type Hour, hourFen, type Lease, stateOf, useDelivery, useLease } from "./data";
import en from "./en.json";
import { OutageForm } from "./outage";
import { LeaseStatus } from "./values";
import zh from "./zh.json";

const t = catalogue(en, zh);

export function Detail({ id, onClose }: { id: string | null; onClose: () => void }) {
  return (
    <Dialog title={t("detail")} isOpen={id !== null} onClose={onClose} isInAddress>
      {id !== null && <Shown key={id} id={id} />}
    </Dialog>
  );
}

function Shown({ id }: { id: string }) {
  const lease = useLease(id);
  const delivery = useDelivery(id);
  const isReporting = useSignal(false);
  const refresh = () => {
    lease.refresh();
    delivery.refresh();
  };
  return (
    <Loaded query={lease}>
      {(view) => (
        <>
          <Facts lease={view} />
          <Loaded query={delivery}>
            {({ hours }) => (
              <>
                <Hours hours={hours} />
                <Outages lease={view} hours={hours} />
                {isKind("provider") &&
                  may("list_capacity") &&
                  view.status !== "settled" &&
                  (isReporting.value ? (
                    <OutageForm
                      lease={view}
                      hours={hours}
                      onDone={() => {
                        isReporting.value = false;
                        refresh();
                      }}
                      onCancel={() => {
                        isReporting.value = false;
                      }}
                    />
                  ) : (
                    <div>
                      <button
                        type="button"
                        class="button button-danger"
                        onClick={() => {
                          isReporting.value = true;
                        }}
                      >
                        {t("report")}
                      </button>
                    </div>
                  ))}
              </>
            )}
          </Loaded>
        </>
      )}
    </Loaded>
  );
}

function Facts({ lease }: { lease: Lease }) {
  const open =
    (fenOf(lease.amount_cny) ?? 0n) - (fenOf(lease.captured_cny) ?? 0n) - (fenOf(lease.returned_cny) ?? 0n);
  const facts: [string, preact.ComponentChildren][] = [
    [t("product"), <ProductName key="product" id={lease.product} />],
    [t("gpus"), formatNumber(lease.quantity_gpus)],
    [t("from"), <Time key="from" at={lease.starts_at} />],
    [t("until"), <Time key="until" at={lease.ends_at} />],
    [t("other.provider"), lease.provider],
    [t("other.buyer"), lease.buyer],
    [t("price"), <Money key="price" cny={lease.price_cny_per_gpu_hour} />],
    [t("amount"), <Money key="amount" cny={lease.amount_cny} />],
    [t("captured"), <Money key="captured" cny={lease.captured_cny} />],
    [t("returned"), <Money key="returned" cny={lease.returned_cny} />],
    [t("escrow"), <Money key="escrow" cny={cnyOf(open)} />],
  ];
  return (
    <>
      <div class="card-head">
        <span class="code">{lease.id}</span>
        <LeaseStatus status={lease.status} />
      </div>
      <dl class="figures">
        {facts.map(([label, value]) => (
          <Figure key={label} label={label}>
            {value}
          </Figure>
        ))}
      </dl>
    </>
  );
}

const STATES = ["delivered", "pending", "reported", "failed"] as const;

/** The hours as cells, a day a line, and the same in one sentence. */
function Hours({ hours }: { hours: readonly Hour[] }) {
  const days = new Map<string, (Hour | null)[]>();
  for (const hour of hours) {
    const at = new Date(hour.starts_at);
    const day = formatDay(at.getTime());
    let cells = days.get(day);
    if (cells === undefined) {
      cells = new Array<Hour | null>(24).fill(null);
      days.set(day, cells);
    }
    cells[at.getHours()] = hour;
  }
  const count = (state: string) => hours.filter((each) => stateOf(each) === state).length;
  return (
    <section class="lease-hours">
      <h3>{t("hours")}</h3>
      <p class="quiet">
        {t("hours.summary", {
          delivered: count("delivered"),
          failed: count("failed"),
          pending: count("pending") + count("reported"),
        })}
      </p>
      <div aria-hidden="true" class="lease-hours">
        {[...days].map(([day, cells]) => (
          <div key={day} class="lease-day">
            <span class="lease-day-name">{day}</span>
            <span class="lease-cells">
              {cells.map((hour, index) => (
                <span
                  key={hour?.starts_at ?? index}
                  class={`lease-cell lease-cell-${hour === null ? "none" : stateOf(hour)}`}
                  title={
                    hour === null ? undefined : `${formatTime(hour.starts_at)} ${t(`hour.${stateOf(hour)}`)}`
                  }
                />
              ))}
            </span>
          </div>
        ))}
        <div class="lease-legend">
          {STATES.filter((state) => count(state) > 0).map((state) => (
            <span key={state}>
              <span class={`lease-cell lease-cell-${state}`} />
              {t(`hour.${state}`)}
            </span>
          ))}
        </div>
      </div>
    </section>
  );
}

function Outages({ lease, hours }: { lease: Lease; hours: readonly Hour[] }) {
  const failed = hours.filter((each) => each.reason !== "");
  if (failed.length === 0) return <p class="quiet">{t("outages.none")}</p>;
  const refund = formatMoney(cnyOf(hourFen(lease)));
  return (
    <DataTable
      caption={t("outages")}
      columns={[
        { key: "hour", title: t("hour"), head: true, cell: (row) => <Time at={row.starts_at} /> },
        { key: "reason", title: t("reason"), cell: (row) => row.reason },
        {
          key: "refund",
          title: t("refund"),
          numeric: true,
          cell: (row) => (
            <>
              {refund}
              {stateOf(row) === "reported" && <span class="second">{t("refund.due")}</span>}
            </>
          ),
        },
      ]}
      rows={failed}
      rowKey={(row) => row.starts_at}
    />
  );
}
