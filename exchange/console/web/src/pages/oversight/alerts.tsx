/** What surveillance found: a list by filters, one of them as a case, and the rules by which it looks. */
import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { useCatalogue } from "../../api/catalogue";
import { api } from "../../api/client";
import type { paths } from "../../api/schema";
import { Field, Form } from "../../components/form";
import { MomentInput } from "../../components/moment_input";
import { Pager, usePages } from "../../components/pager";
import { ProductName } from "../../components/product_name";
import { EmptyState } from "../../components/states";
import { type Column, DataTable } from "../../components/table";
import { Nothing, Time } from "../../components/values";
import { addressOf, type Chosen, given, pick, useAddress } from "./address";
import { AlertCase } from "./alert_case";
import { AlertRules } from "./alert_rules";
import {
  type AlertView,
  DETECTORS,
  detectorName,
  measureName,
  measureText,
  SEVERITIES,
  SeverityBadge,
  STATUSES,
  StatusBadge,
} from "./alert_words";
import { forgetAnswers, namesSomebody, press, reasonTold, useAnswer } from "./asking";
import { ReasonField, SelectField, TextField, Told } from "./parts";
import { productOptions } from "./search_filters";
import { t } from "./texts";

const FILTERS = [
  "status",
  "detector",
  "severity",
  "participant",
  "product",
  "programme",
  "found_from",
  "found_until",
];
const PAGE_ROWS = 50;

type Query = NonNullable<paths["/v1/oversight/alerts"]["get"]["parameters"]["query"]>;

function keyOf(filters: Chosen): string {
  return `alerts ${new URLSearchParams(given(filters))}`;
}

export function Alerts() {
  const { chosen, go } = useAddress();
  const filters = pick(chosen, FILTERS);
  const list = keyOf(filters);
  const round = useSignal(0);
  const pages = usePages(`${list} ${round.value}`);
  const draft = useSignal<Record<string, string>>(filters);
  useEffect(() => {
    draft.value = filters;
  }, [list]);
  const alerts = useAnswer(
    `${list} ${pages.cursor ?? ""}`,
    (o) =>
      api.GET("/v1/oversight/alerts", {
        ...o,
        params: {
          query: {
            ...given(filters),
            ...reasonTold(),
            limit: PAGE_ROWS,
            ...(pages.cursor ? { cursor: pages.cursor } : {}),
          } as Query,
        },
      }),
    { needsReason: namesSomebody(filters) },
  );
  const change = (name: string, value: string) => {
    draft.value = { ...draft.value, [name]: value };
  };
  const search = () => {
    const next = keyOf(pick(draft.value, FILTERS));
    press(`${next} `);
    if (next !== list) go("alerts", given(draft.value));
    else if (pages.number === 1) alerts.again();
    else round.value += 1;
  };
  return (
    <div class="stack">
      <section class="card" aria-label={t("alerts")}>
        <h2>{t("alerts")}</h2>
        <p class="quiet">{t("alerts.text")}</p>
        <Form label={t("alerts")} problem={alerts.problem} onSubmit={search}>
          <AlertFilters draft={draft.value} onChange={change} />
          <ReasonField isNeeded={namesSomebody(draft.value)} />
          <button type="submit" class="button button-primary">
            {t("alerts.go")}
          </button>
        </Form>
      </section>
      {chosen.alert !== undefined && (
        <AlertCase
          key={chosen.alert}
          id={chosen.alert}
          onClose={() => go("alerts", given(filters))}
          onChanged={() => {
            forgetAnswers("alerts ");
            alerts.again();
          }}
        />
      )}
      <section class="stack" aria-label={t("found")}>
        <Told answer={alerts} isToldAbove>
          {({ data, next_cursor }) =>
            data.length === 0 && pages.number === 1 ? (
              <EmptyState title={t("alerts.none")}>{t("alerts.none.text")}</EmptyState>
            ) : (
              <>
                <DataTable
                  caption={t("alerts")}
                  captionHidden
                  columns={columns(filters)}
                  rows={data}
                  rowKey={(row) => row.id}
                  isCurrent={(row) => row.id === chosen.alert}
                />
                <Pager pages={pages} next={next_cursor} />
              </>
            )
          }
        </Told>
        {alerts.data === null && !alerts.isBusy && alerts.problem === null && (
          <EmptyState title={t("reason.wanted")}>{t("reason.wanted.text")}</EmptyState>
        )}
      </section>
      <AlertRules />
    </div>
  );
}

function AlertFilters(props: {
  draft: Readonly<Record<string, string>>;
  onChange: (name: string, value: string) => void;
}) {
  const { draft, onChange } = props;
  const catalogue = useCatalogue().value;
  const select = (name: string, label: string, options: readonly (readonly [string, string])[]) => (
    <SelectField
      label={label}
      name={name}
      value={draft[name] ?? ""}
      any={t("any")}
      options={options}
      onChange={(value) => onChange(name, value)}
    />
  );
  return (
    <div class="fields ov-fields">
      {select(
        "status",
        t("alert.status"),
        STATUSES.map((each) => [each, t(`alert.${each}`)] as const),
      )}
      {select(
        "detector",
        t("alert.detector"),
        DETECTORS.map((each) => [each, detectorName(each)] as const),
      )}
      {select(
        "severity",
        t("alert.severity"),
        SEVERITIES.map((each) => [each, t(`severity.${each}`)] as const),
      )}
      <TextField
        label={t("filter.participant")}
        name="participant"
        placeholder="par_…"
        value={draft.participant ?? ""}
        onChange={(value) => onChange("participant", value)}
      />
      {select("product", t("filter.product"), productOptions(catalogue))}
      <TextField
        label={t("filter.programme")}
        name="programme"
        placeholder="prg_…"
        value={draft.programme ?? ""}
        onChange={(value) => onChange("programme", value)}
      />
      {(["found_from", "found_until"] as const).map((name) => (
        <Field key={name} label={t(`alert.${name}`)} pointer={`?${name}`}>
          {(control) => (
            <MomentInput control={control} value={draft[name] ?? ""} onChange={(at) => onChange(name, at)} />
          )}
        </Field>
      ))}
    </div>
  );
}

const columns = (filters: Chosen): Column<AlertView>[] => [
  {
    key: "what",
    title: t("alert.detector"),
    head: true,
    cell: (row) => (
      <>
        <a href={addressOf("alerts", { ...filters, alert: row.id })}>{detectorName(row.detector)}</a>
        <span class="second code">{row.id}</span>
      </>
    ),
  },
  { key: "found", title: t("alert.found_at"), cell: (row) => <Time at={row.found_at} exact /> },
  {
    key: "severity",
    title: t("alert.severity"),
    cell: (row) => <SeverityBadge severity={row.severity} />,
    sort: (row) => SEVERITIES.indexOf(row.severity),
  },
  {
    key: "status",
    title: t("alert.status"),
    cell: (row) => <StatusBadge status={row.status} />,
    sort: (row) => STATUSES.indexOf(row.status),
  },
  {
    key: "figure",
    title: t("alert.figures"),
    cell: (row) => {
      const [first] = row.figures;
      if (first === undefined) return <Nothing />;
      return (
        <>
          {measureName(first.name)} {measureText(first.name, first.value)}
          {first.threshold != null && (
            <span class="second">
              {t("alert.against", { threshold: measureText(first.name, first.threshold) })}
            </span>
          )}
        </>
      );
    },
  },
  {
    key: "product",
    title: t("filter.product"),
    cell: (row) => (row.product == null ? <Nothing /> : <ProductName id={row.product} />),
  },
  {
    key: "parties",
    title: t("alert.parties"),
    cell: (row) => (
      <span class="ov-pair">
        {row.participant_ids.slice(0, PARTIES_SHOWN).map((id) => (
          <code key={id}>{id}</code>
        ))}
        {row.participant_ids.length > PARTIES_SHOWN && (
          <span class="quiet">
            {t("alert.more_parties", { count: row.participant_ids.length - PARTIES_SHOWN })}
          </span>
        )}
      </span>
    ),
  },
];

const PARTIES_SHOWN = 3;
