/** One programme: its rules in words; a buyer applies here, its issuer opens, closes and changes it. */

import { useSignal } from "@preact/signals";
import { act, api, keyed } from "../../api/client";
import { useQuery } from "../../api/query";
import { useProgramme } from "../../claims/data";
import { toast } from "../../components/announcer";
import { Loaded } from "../../components/states";
import { Figure, Time } from "../../components/values";
import { formatMoney } from "../../i18n";
import { isKind, may } from "../../session";
import { ApplyCard } from "./apply";
import type { Programme } from "./data";
import { VersionEditor } from "./editor";
import { isOwn, LifeCard, Opened, ProgrammeBadge } from "./parts";
import { RuleList } from "./rules";
import type { Change } from "./state";
import { StepButtons } from "./step_buttons";
import type { Ask } from "./step_dialog";
import { t } from "./texts";
import { Versions } from "./versions";

export function ProgrammeDetail(props: { id: string; onBack: () => void; onChange: Change }) {
  const programme = useProgramme(props.id);
  const isChanging = useSignal(false);
  const close = () => {
    isChanging.value = false;
  };
  return (
    <Loaded query={programme}>
      {(view) =>
        isChanging.value ? (
          <VersionEditor
            programme={view}
            onBack={close}
            onDone={() => {
              close();
              programme.refresh();
            }}
          />
        ) : (
          <Opened
            id={view.id}
            title={view.name}
            badge={<ProgrammeBadge status={view.status} />}
            back={t("programmes.back")}
            onBack={props.onBack}
          >
            {isKind("buyer") && may("trade") && <ApplyCard programme={view} onChange={props.onChange} />}
            <section class="card">
              <h3>{t("rules")}</h3>
              <Money programme={view} />
              {isOwn(view.issuer_id) && may("issue") && (
                <Steer
                  programme={view}
                  onDone={programme.refresh}
                  onRules={() => {
                    isChanging.value = true;
                  }}
                />
              )}
              <RuleList rules={view.rules} />
            </section>
            {isOwn(view.issuer_id) && <Versions programme={view} />}
            <Steps programme={view} />
          </Opened>
        )
      }
    </Loaded>
  );
}

function Money({ programme }: { programme: Programme }) {
  const parts = (["budget", "issued", "unissued", "returned"] as const).filter(
    (key) => key !== "returned" || programme.status === "closed",
  );
  return (
    <dl class="figures">
      {parts.map((key) => (
        <Figure key={key} label={t(`programme.${key}`)}>
          {formatMoney(programme[`${key}_cny`])}
        </Figure>
      ))}
      <Figure label={t("version.in_force")}>{programme.version}</Figure>
      <Figure label={t("programme.since")}>
        <Time at={programme.effective_at} />
      </Figure>
      {programme.effective_until != null && (
        <Figure label={t("version.until")}>
          <Time at={programme.effective_until} />
        </Figure>
      )}
    </dl>
  );
}

/** Where an issuer may bring a programme from where it stands. */
const WAYS: Record<Programme["status"], "open" | "closed" | null> = {
  draft: "open",
  open: "closed",
  exhausted: "closed",
  closed: null,
};

function Steer(props: { programme: Programme; onDone: () => void; onRules: () => void }) {
  const { programme } = props;
  const to = WAYS[programme.status];
  const amount = formatMoney(to === "open" ? programme.budget_cny : programme.unissued_cny);
  const askFor = (way: "open" | "closed"): Ask => ({
    title: t(`programme.to.${way}.title`),
    text: t(`programme.to.${way}.text`, { amount }),
    label: t(`programme.to.${way}`),
    isDangerous: way === "closed",
    reason: "needed",
    reasonHint: t("reason.everyone"),
    amount: null,
    run: async ({ reason }, intent) => {
      await act(intent, [programme.id, way, reason], (key) =>
        api.POST("/v1/programmes/{programme_id}/steps", {
          params: { path: { programme_id: programme.id }, header: keyed(key) },
          body: { to: way, reason },
        }),
      );
      toast(t(`programme.to.${way}.done`), "good");
      props.onDone();
    },
  });
  return (
    <StepButtons
      ways={to ? [{ tone: to === "open" ? "button-primary" : "button-danger", ask: askFor(to) }] : []}
    >
      <button type="button" class="button" onClick={props.onRules}>
        {t("version.new")}
      </button>
    </StepButtons>
  );
}

function Steps({ programme }: { programme: Programme }) {
  const steps = useQuery(`/v1/programmes/${programme.id}/steps ${programme.status}`, (c) =>
    api.GET("/v1/programmes/{programme_id}/steps", {
      ...c,
      params: { path: { programme_id: programme.id }, query: { limit: 200 } },
    }),
  );
  return (
    <LifeCard
      steps={steps}
      amount={t("programme.returned")}
      of={(each) => ({
        to: <ProgrammeBadge status={each.to_status} />,
        by: t(`by.${each.actor_role}`),
        amount: each.returned_cny,
      })}
    />
  );
}
