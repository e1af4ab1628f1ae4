/** The life of a voucher: its steps, and everything that moved of its money, on one line of time. */

import { useSignal } from "@preact/signals";
import { api, read, type Schemas } from "../../api/client";
import { stepReason } from "../../api/codes";
import { Problem } from "../../api/problem";
import { toast } from "../../components/announcer";
import { Badge, Figure, Money, Time } from "../../components/values";
import { t as shared } from "../../i18n";
import { reasonTold, useAnswer } from "./asking";
import type { Tone } from "./codes";
import { Awaited, type LifeProps, lifeKey, useRefusal } from "./life_parts";
import { Id, Told, Who } from "./parts";
import { named, t } from "./texts";
import { type Fact, type Moment, TimeLine } from "./time_line";

type Life = Schemas["VoucherLife"];
type Movement = Schemas["VoucherMovement"];
type Change = Schemas["VoucherChange"];

const PAGE_ROWS = 200;
const TONES: Record<string, Tone> = { active: "good", suspended: "bad", revoked: "bad", expired: "plain" };

function ask(id: string, signal: AbortSignal | undefined, cursor?: string) {
  return api.GET("/v1/oversight/vouchers/{voucher_id}", {
    ...(signal ? { signal } : {}),
    params: {
      path: { voucher_id: id },
      query: { reason: reasonTold().reason ?? "", limit: PAGE_ROWS, ...(cursor ? { cursor } : {}) },
    },
  });
}

export function VoucherLife({ id, onProblem }: LifeProps) {
  const life = useAnswer(lifeKey(id), ({ signal }) => ask(id, signal), { needsReason: true });
  useRefusal(life.problem, onProblem);
  return (
    <>
      <Awaited answer={life} />
      <Told answer={life} isToldAbove>
        {(told) => <Shown life={told} />}
      </Told>
    </>
  );
}

function Shown({ life }: { life: Life }) {
  const { voucher } = life;
  const later = useSignal<readonly Movement[]>([]);
  const next = useSignal<string | null>(life.next_cursor ?? null);
  const more = async (cursor: string) => {
    try {
      const page = await read(() => ask(voucher.id, undefined, cursor));
      later.value = [...later.value, ...page.movements];
      next.value = page.next_cursor ?? null;
    } catch (failed) {
      if (!(failed instanceof Problem)) throw failed;
      toast(failed.text, "bad");
    }
  };
  const movements = [...life.movements, ...later.value];
  return (
    <>
      <section class="card" aria-label={t("life.voucher")}>
        <div class="card-head">
          <h3>
            {t("life.voucher")} <code class="quiet">{voucher.id}</code>
          </h3>
          <Badge tone={voucher.status === "active" ? "good" : "plain"}>
            {named("voucher", voucher.status)}
          </Badge>
        </div>
        <dl class="figures">
          <Figure label={t("life.face")}>
            <Money cny={voucher.face_cny} />
          </Figure>
          <Figure label={t("filter.programme")}>
            {voucher.programme}
            <span class="second">{t("version", { number: voucher.programme_version })}</span>
          </Figure>
          <Figure label={t("filter.buyer")}>
            <Who name={voucher.buyer_name} id={voucher.buyer_id} />
          </Figure>
          <Figure label={t("life.issued_at")}>
            <Time at={voucher.issued_at} exact />
          </Figure>
          <Figure label={t("life.expires_at")}>
            <Time at={voucher.expires_at} />
          </Figure>
        </dl>
      </section>
      <section class="card" aria-label={t("life.steps")}>
        <h3>{t("life.steps")}</h3>
        <TimeLine label={t("life.steps")} moments={merged(life.steps, movements)} />
        {next.value !== null && (
          <button type="button" class="button" onClick={() => void more(next.value as string)}>
            {shared("more")}
          </button>
        )}
      </section>
    </>
  );
}

/** Steps of the voucher and movements of its money, by their time. */
function merged(steps: readonly Change[], movements: readonly Movement[]): Moment[] {
  return [...steps.map(stepMoment), ...movements.map(movementMoment)].sort(
    (one, other) => Date.parse(one.at) - Date.parse(other.at),
  );
}

function stepMoment(step: Change): Moment {
  const facts: Fact[] = [
    [t("fact.actor"), <Who key="actor" name={named("role", step.actor_role)} id={step.actor_id} />],
  ];
  if (step.reason !== "") facts.push([t("why"), stepReason(step)]);
  if (Number(step.returned_cny) !== 0) {
    facts.push([t("life.returned"), <Money key="returned" cny={step.returned_cny} />]);
  }
  return {
    key: `step ${step.number}`,
    at: step.stepped_at,
    title: t("voucher.step", { status: named("voucher", step.to_status) }),
    tone: TONES[step.to_status] ?? "begin",
    facts,
  };
}

function movementMoment(movement: Movement, index: number): Moment {
  const facts: Fact[] = [
    [t("amount"), <Money key="amount" cny={movement.amount_cny} />],
    [t("about"), <Id key="about" id={movement.subject} />],
  ];
  if (movement.delivery_hour_at != null) {
    facts.push([t("fact.delivery_hour"), <Time key="hour" at={movement.delivery_hour_at} />]);
  }
  return {
    key: `movement ${index}`,
    at: movement.at,
    title: named("movement", movement.reason),
    tone: movement.kind === "posted" ? "good" : "busy",
    facts,
  };
}
