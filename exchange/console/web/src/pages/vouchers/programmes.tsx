/** Programmes: to a buyer and a provider those there are, to an issuer its own and how they are made. */
import { useKept } from "../../components/kept";
import { openColumn } from "../../components/open_column";
import { Loaded } from "../../components/states";
import { type Column, DataTable } from "../../components/table";
import { Choice } from "../../components/tabs";
import { Money, Time } from "../../components/values";
import { fenOf, formatMoney } from "../../i18n";
import { isKind, may } from "../../session";
import { type Programme, useProgrammes } from "./data";
import { ProgrammeEditor } from "./editor";
import { isOwn, ProgrammeBadge } from "./parts";
import { IssuedBar } from "./programme_bars";
import { ProgrammeDetail } from "./programme_detail";
import { type Change, useReturn, type VouchersState } from "./state";
import { t } from "./texts";
import { shareText } from "./words";

const SHOWN = ["open", "all"] as const;
type Shown = (typeof SHOWN)[number];
const NEW = "new";

export function Programmes({ state, onChange }: { state: VouchersState; onChange: Change }) {
  if (state.open === NEW) {
    return (
      <ProgrammeEditor
        onDone={(programme) => onChange({ open: programme.id })}
        onBack={() => onChange({ open: "" })}
      />
    );
  }
  if (state.open !== "") {
    return (
      <ProgrammeDetail
        key={state.open}
        id={state.open}
        onBack={() => onChange({ open: "" })}
        onChange={onChange}
      />
    );
  }
  return <List onChange={onChange} />;
}

function List({ onChange }: { onChange: Change }) {
  const isIssuer = isKind("issuer");
  const programmes = useProgrammes();
  const shown = useKept<Shown>("programmes shown", isIssuer ? "all" : "open");
  useReturn(programmes.data.value !== null);
  return (
    <section class="card">
      <div class="card-head">
        <h2>{t(isIssuer ? "programmes.own" : "programmes")}</h2>
        <div class="voucher-filters">
          <Choice
            label={t("programmes.shown")}
            options={SHOWN.map((key) => ({ key, title: t(`programmes.${key}`) }))}
            chosen={shown.value}
            onChoose={(key) => {
              shown.value = key;
            }}
          />
          {isIssuer && may("issue") && (
            <button
              type="button"
              id={`open-${NEW}`}
              class="button button-primary"
              onClick={() => onChange({ open: NEW })}
            >
              {t("programme.new")}
            </button>
          )}
        </div>
      </div>
      <Loaded query={programmes}>
        {({ data }) => (
          <DataTable
            caption={t("programmes")}
            captionHidden
            keptAs="programmes"
            columns={columns(isIssuer)}
            onRow={(row) => onChange({ open: row.id })}
            rows={data
              .filter((each) => !isIssuer || isOwn(each.issuer_id))
              .filter((each) => shown.value === "all" || each.status === "open")}
            rowKey={(row) => row.id}
            empty={t("programmes.none")}
          />
        )}
      </Loaded>
    </section>
  );
}

function columns(isIssuer: boolean): Column<Programme>[] {
  const own: Column<Programme>[] = [
    { key: "issued", title: t("burn.issued"), cell: (row) => <IssuedBar programme={row} /> },
  ];
  return [
    {
      key: "name",
      title: t("programme"),
      head: true,
      cell: (row) => (
        <>
          <span class="wrapped">{row.name}</span>
          <span class="second code">{row.code}</span>
        </>
      ),
      sort: (row) => row.name,
    },
    { key: "status", title: t("status"), cell: (row) => <ProgrammeBadge status={row.status} /> },
    {
      key: "pays",
      title: t("programme.pays"),
      cell: (row) => (
        <>
          <span class="wrapped">{shareText(row.rules)}</span>
          <span class="second">{t(`mode.${row.rules.mode ?? "instant"}`)}</span>
        </>
      ),
    },
    ...(isIssuer ? own : []),
    {
      key: "left",
      title: t("programme.unissued"),
      numeric: true,
      cell: (row) => (
        <>
          <Money cny={row.unissued_cny} />
          {isIssuer && (
            <span class="second">{t("programme.of_budget", { budget: formatMoney(row.budget_cny) })}</span>
          )}
        </>
      ),
      sort: (row) => fenOf(row.unissued_cny),
    },
    {
      key: "since",
      title: t("programme.since"),
      cell: (row) => <Time at={row.effective_at} />,
      sort: (row) => row.effective_at,
    },
    openColumn(t("actions"), t("open"), (row) => ({ id: row.id, label: t("open.label", { id: row.code }) })),
  ];
}
