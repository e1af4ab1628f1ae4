/** Steps of an order or a trade as moments of a time line. Many hours of delivery on end are told as one. */

import type { Schemas } from "../../api/client";
import { HOUR_MS } from "../../api/hours";
import { DataTable } from "../../components/table";
import { Money, ORDER_TONES, OrderStatus, Time } from "../../components/values";
import { cnyOf } from "../../i18n";
import { codeName, toneOf } from "./codes";
import { type Detail, detailOf, factsOf } from "./details";
import { Id, Who } from "./parts";
import { t } from "./texts";
import { type Fact, Fill, type Moment } from "./time_line";

export type OrderStep = Schemas["OrderStep"];

const HOURLY = new Set(["DLVR", "REFD"]);
/** From so many hours on end they are told as one. */
const TOGETHER = 4;

/** What fills an order, so that a time line can tell how far it is. */
export interface Size {
  quantityGpus: number;
  hours: number;
}

/** Whose life it is: names of those who take its steps, and the id that need not be told again. */
export interface Subject {
  id: string;
  names: Readonly<Record<string, string>>;
}

export function momentsOf(steps: readonly OrderStep[], subject: Subject, size?: Size): Moment[] {
  const moments: Moment[] = [];
  let done = 0;
  let all = size === undefined ? 0 : firstSize(steps, size);
  for (let index = 0; index < steps.length; index++) {
    const step = steps[index] as OrderStep;
    const run = HOURLY.has(step.code) ? runFrom(steps, index) : 1;
    if (run >= TOGETHER) {
      moments.push(together(steps.slice(index, index + run)));
      index += run - 1;
      continue;
    }
    const detail = detailOf(step.detail);
    const moment = momentOf(step, detail, index, subject);
    if (size !== undefined && step.trade_id != null && typeof detail.quantity_gpus === "number") {
      done += detail.quantity_gpus * Number(detail.hours ?? 0);
      moment.children = <Fill done={done} all={all} />;
    } else if (size !== undefined && step.code === "REME" && typeof detail.quantity_gpus === "number") {
      all = detail.quantity_gpus * size.hours;
    }
    moments.push(moment);
  }
  return moments;
}

/** GPU-hours that the order was for when it came: a reduction tells what it was before. */
function firstSize(steps: readonly OrderStep[], size: Size): number {
  const reduced = steps.map((step) => detailOf(step.detail).previous_quantity_gpus);
  const first = reduced.find((gpus) => typeof gpus === "number") ?? size.quantityGpus;
  return Number(first) * size.hours;
}

function runFrom(steps: readonly OrderStep[], from: number): number {
  let end = from;
  while (steps[end]?.code === steps[from]?.code) end += 1;
  return end - from;
}

function momentOf(step: OrderStep, detail: Detail, index: number, subject: Subject): Moment {
  const facts: Fact[] = [...factsOf(detail)];
  if (step.trade_id != null && step.trade_id !== subject.id)
    facts.push([t("trade"), <Id id={step.trade_id} />]);
  if (step.other_order_id != null) facts.push([t("fact.other_order"), <Id id={step.other_order_id} />]);
  return {
    key: `${step.sequence} ${step.event_index} ${step.code} ${index}`,
    at: step.event_at,
    title: codeName(step.code),
    code: step.code,
    tone: toneOf(step.code),
    ...(isStatus(step.status) ? { badge: <OrderStatus status={step.status} /> } : {}),
    facts: [...facts, ...sourceOf(step, subject)],
  };
}

function isStatus(status: string | null | undefined): status is keyof typeof ORDER_TONES {
  return status != null && status in ORDER_TONES;
}

/** Who took the step by which key, and where it stands in the journal. */
function sourceOf(step: OrderStep, { names }: Subject): Fact[] {
  const facts: Fact[] = [];
  const actor = step.actor_participant_id;
  if (actor != null) facts.push([t("fact.actor"), <Who name={names[actor] ?? ""} id={actor} />]);
  if (step.key_id != null) facts.push([t("fact.key"), <code>{step.key_id}</code>]);
  if (step.trade_group_id != null) facts.push([t("filter.trade_group"), <code>{step.trade_group_id}</code>]);
  if (step.received_at != null && step.received_at !== step.event_at) {
    facts.push([t("fact.received_at"), <Time key="received" at={step.received_at} exact />]);
  }
  if (step.sequence != null) {
    facts.push([t("sequence"), <span class="number">{`${step.partition} / ${step.sequence}`}</span>]);
  }
  return facts;
}

/** Hours on end that came to the same. */
function together(steps: readonly OrderStep[]): Moment {
  const first = steps[0] as OrderStep;
  const details = steps.map((step) => detailOf(step.detail));
  const sum = (name: string) =>
    cnyOf(details.reduce((whole, detail) => whole + BigInt(Number(detail[name] ?? 0)), 0n));
  return {
    key: `${first.event_at} ${first.code} together`,
    at: first.event_at,
    title: t("life.together", { what: codeName(first.code), count: steps.length }),
    code: first.code,
    tone: toneOf(first.code),
    facts: [
      [t("until"), <Time at={steps.at(-1)?.event_at} exact />],
      [t("fact.amount_fen"), <Money cny={sum("amount_fen")} />],
      [t("fact.fee_fen"), <Money cny={sum("fee_fen")} />],
    ],
    children: (
      <details class="ov-more">
        <summary>{t("life.each")}</summary>
        <DataTable
          caption={t("life.each")}
          captionHidden
          columns={[
            {
              key: "hour",
              title: t("fact.delivery_hour"),
              head: true,
              cell: (row) => <Time at={hourOf(row)} />,
            },
            {
              key: "amount",
              title: t("fact.amount_fen"),
              numeric: true,
              cell: (row) => <Money cny={fen(row, "amount_fen")} />,
            },
            {
              key: "fee",
              title: t("fact.fee_fen"),
              numeric: true,
              cell: (row) => <Money cny={fen(row, "fee_fen")} />,
            },
          ]}
          rows={details}
          rowKey={(row) => Number(row.delivery_hour)}
        />
      </details>
    ),
  };
}

function hourOf(detail: Detail): string {
  return new Date(Number(detail.delivery_hour) * HOUR_MS).toISOString();
}

function fen(detail: Detail, name: string): string {
  return cnyOf(BigInt(Number(detail[name] ?? 0)));
}
