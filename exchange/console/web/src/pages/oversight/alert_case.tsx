/** One alert as a case: what was measured, the records it rests on, and what was done about it. */
import { useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { api, type Schemas } from "../../api/client";
import { IconClose } from "../../components/icons";
import { ProductName } from "../../components/product_name";
import { DataTable } from "../../components/table";
import { Figure, Time } from "../../components/values";
import { t as shared } from "../../i18n";
import { ASKED, addressOf } from "./address";
import { detectorName, measureName, measureText, SeverityBadge, StatusBadge } from "./alert_words";
import { AlertWork } from "./alert_work";
import { forgetAnswers, useAnswer } from "./asking";
import { codeName, type Tone, toneOf } from "./codes";
import { detailOf, factsOf } from "./details";
import { Id, Told } from "./parts";
import { named, t } from "./texts";
import { type Fact, type Moment, TimeLine } from "./time_line";

type Detail = Schemas["AlertDetail"];

export function AlertCase(props: { id: string; onClose: () => void; onChanged: () => void }) {
  const { id } = props;
  const heading = useRef<HTMLHeadingElement>(null);
  const changed = useSignal<Detail | null>(null);
  const key = `alert ${id}`;
  const asked = useAnswer(key, (o) =>
    api.GET("/v1/oversight/alerts/{alert_id}", { ...o, params: { path: { alert_id: id } } }),
  );
  useEffect(() => heading.current?.focus(), [id]);
  const answer = changed.value === null ? asked : { ...asked, data: changed.value };
  return (
    <section class="card ov-case" aria-labelledby="ov-case">
      <div class="card-head">
        <h2 id="ov-case" ref={heading} tabIndex={-1}>
          {t("alert")} <code class="quiet">{id}</code>
        </h2>
        <button type="button" class="icon-button" aria-label={shared("close")} onClick={props.onClose}>
          <IconClose />
        </button>
      </div>
      <Told answer={answer}>
        {(alert) => (
          <>
            <Found alert={alert} />
            <div class="ov-halves">
              <section class="stack" aria-label={t("alert.records")}>
                <h3>{t("alert.records")}</h3>
                {alert.records.length === 0 ? (
                  <p class="quiet">{t("alert.records.none")}</p>
                ) : (
                  <TimeLine label={t("alert.records")} moments={recordMoments(alert)} />
                )}
              </section>
              <section class="stack" aria-label={t("alert.case")}>
                <h3>{t("alert.case")}</h3>
                {alert.steps.length === 0 ? (
                  <p class="quiet">{t("alert.case.none")}</p>
                ) : (
                  <TimeLine label={t("alert.case")} moments={caseMoments(alert)} />
                )}
                <AlertWork
                  alert={alert}
                  onDone={(next) => {
                    forgetAnswers(key);
                    changed.value = next;
                    props.onChanged();
                  }}
                />
              </section>
            </div>
          </>
        )}
      </Told>
    </section>
  );
}

function Found({ alert }: { alert: Detail }) {
  return (
    <>
      <div class="ov-badges">
        <strong>{detectorName(alert.detector)}</strong>
        <SeverityBadge severity={alert.severity} />
        <StatusBadge status={alert.status} />
      </div>
      <p class="quiet">{named("detector_text", alert.detector)}</p>
      <dl class="figures">
        <Figure label={t("alert.span")}>
          <Time at={alert.begins_at} exact />
          <span class="second">
            {t("until")} <Time at={alert.ends_at} exact />
          </span>
        </Figure>
        <Figure label={t("alert.found_at")}>
          <Time at={alert.found_at} exact />
        </Figure>
        <Figure label={t("alert.rules_version")}>{alert.rules_version}</Figure>
        {alert.product != null && (
          <Figure label={t("filter.product")}>
            <ProductName id={alert.product} />
          </Figure>
        )}
        {alert.programme_id != null && (
          <Figure label={t("filter.programme")}>
            <code>{alert.programme_id}</code>
          </Figure>
        )}
      </dl>
      <DataTable
        caption={t("alert.figures")}
        columns={[
          { key: "name", title: t("alert.measured"), head: true, cell: (row) => measureName(row.name) },
          {
            key: "value",
            title: t("life.value"),
            numeric: true,
            cell: (row) => measureText(row.name, row.value),
          },
          {
            key: "threshold",
            title: t("alert.threshold"),
            numeric: true,
            cell: (row) => measureText(row.name, row.threshold) || "–",
          },
        ]}
        rows={alert.figures}
        rowKey={(row) => row.name}
      />
      <dl class="life-facts">
        <Ids label={t("alert.parties")} ids={alert.participant_ids} to={ofParticipant} />
        <Ids label={t("filter.trade_group")} ids={alert.trade_group_ids} />
        <Ids label={t("alert.orders")} ids={alert.order_ids} />
        <Ids label={t("alert.trades")} ids={alert.trade_ids} />
      </dl>
    </>
  );
}

function ofParticipant(id: string): string {
  return addressOf("search", { of: "events", asked: ASKED, participant: id });
}

function Ids(props: { label: string; ids: readonly string[]; to?: (id: string) => string }) {
  const { label, ids, to } = props;
  if (ids.length === 0) return null;
  return (
    <div>
      <dt>{label}</dt>
      <dd class="ov-ids">
        {ids.map((id) =>
          to === undefined ? (
            <Id key={id} id={id} />
          ) : (
            <a key={id} class="code" href={to(id)}>
              {id}
            </a>
          ),
        )}
      </dd>
    </div>
  );
}

function recordMoments(alert: Detail): Moment[] {
  return alert.records.map((record, index) => {
    const facts: Fact[] = [...factsOf(detailOf(record.detail))];
    if (record.participant_id != null) {
      facts.push([t("filter.participant"), <code key="who">{record.participant_id}</code>]);
    }
    if (record.order_id != null) facts.push([t("order"), <Id key="order" id={record.order_id} />]);
    if (record.trade_id != null) facts.push([t("trade"), <Id key="trade" id={record.trade_id} />]);
    return {
      key: `${record.sequence} ${record.event_index} ${record.code} ${index}`,
      at: record.event_at,
      title: codeName(record.code),
      code: record.code,
      tone: toneOf(record.code),
      facts,
    };
  });
}

const CASE_TONES: Record<string, Tone> = { review: "busy", close: "good", note: "plain" };

function caseMoments(alert: Detail): Moment[] {
  return alert.steps.map((step) => ({
    key: String(step.number),
    at: step.stepped_at,
    title: t(`case.${step.kind}.done`),
    tone: CASE_TONES[step.kind] ?? "plain",
    facts: [
      [t("fact.actor"), <code key="actor">{step.actor_id}</code>],
      [t("fact.key"), <code key="key">{step.key_id}</code>],
    ],
    children: step.text === "" ? null : <p class="ov-said">{step.text}</p>,
  }));
}
