/** One application: what is asked and why, what its programme's rules say of the company, and what can be decided. */

import { act, api, keyed } from "../../api/client";
import { useQuery } from "../../api/query";
import { useProgramme } from "../../claims/data";
import { ProgrammeName } from "../../claims/programme_name";
import { toast } from "../../components/announcer";
import { Loaded } from "../../components/states";
import { Figure, Time } from "../../components/values";
import { formatMoney, formatNumber } from "../../i18n";
import { isKind, may } from "../../session";
import { type Application, useApplication } from "./data";
import { ApplicationBadge, isOwn, LifeCard, Opened } from "./parts";
import { Verdicts } from "./rules";
import { ScoreForm } from "./score";
import type { Change } from "./state";
import { StepButtons, type StepWay } from "./step_buttons";
import type { Ask } from "./step_dialog";
import { t } from "./texts";

export function ApplicationDetail(props: { id: string; onBack: () => void; onChange: Change }) {
  const application = useApplication(props.id);
  const decides = isKind("issuer") && may("issue");
  return (
    <Loaded query={application}>
      {(view) => (
        <Opened
          id={view.id}
          title={t("application.title", { amount: formatMoney(view.amount_cny) })}
          badge={<ApplicationBadge status={view.status} />}
          back={t("applications.back")}
          onBack={props.onBack}
        >
          <section class="card">
            <h3>{t("application.state")}</h3>
            <Facts application={view} />
            <div>
              <p class="figure-label">{t("apply.purpose")}</p>
              <p class="voucher-text">{view.purpose}</p>
            </div>
            {view.status === "in_committee" && <p class="notice notice-busy">{t("application.committee")}</p>}
            {view.voucher_id != null && (
              <p>
                <button
                  type="button"
                  class="link"
                  onClick={() =>
                    props.onChange({
                      tab: isKind("issuer") ? "issued" : "wallet",
                      open: view.voucher_id ?? "",
                    })
                  }
                >
                  {t("application.voucher")}
                </button>
              </p>
            )}
            <Steer application={view} onStepped={application.refresh} />
          </section>
          {decides && view.next_steps.length > 0 && <Standing application={view} />}
          {decides && view.status === "submitted" && (
            <Scoring application={view} onScored={application.refresh} />
          )}
          <Steps application={view} />
        </Opened>
      )}
    </Loaded>
  );
}

function Facts({ application }: { application: Application }) {
  return (
    <dl class="figures">
      <Figure label={t("programme")}>
        <ProgrammeName id={application.programme_id} />
      </Figure>
      {!isOwn(application.buyer_id) && (
        <Figure label={t("application.company")}>
          {application.buyer_name} <span class="code quiet">{application.buyer_id}</span>
        </Figure>
      )}
      <Figure label={t("application.amount")}>{formatMoney(application.amount_cny)}</Figure>
      {application.approved_cny != null && (
        <Figure label={t("application.approved_cny")}>{formatMoney(application.approved_cny)}</Figure>
      )}
      {application.score != null && (
        <Figure label={t("application.score")}>{formatNumber(application.score)}</Figure>
      )}
      <Figure label={t("application.submitted_at")}>
        <Time at={application.submitted_at} />
      </Figure>
      <Figure label={t("application.decided_at")}>
        <Time at={application.decided_at} />
      </Figure>
    </dl>
  );
}

/** What the rules in force say of the company now; only its issuer sees it beside the application. */
function Standing({ application }: { application: Application }) {
  const programme = useProgramme(application.programme_id);
  const admission = useQuery(`/v1/applications/${application.id}/eligibility`, (c) =>
    api.GET("/v1/applications/{application_id}/eligibility", {
      ...c,
      params: { path: { application_id: application.id } },
    }),
  );
  return (
    <section class="card">
      <h3>{t("application.standing")}</h3>
      <Loaded query={programme}>
        {({ rules }) => (
          <Loaded query={admission}>
            {(told) => <Verdicts admission={told} rules={rules} isApplying={false} />}
          </Loaded>
        )}
      </Loaded>
    </section>
  );
}

function Scoring({ application, onScored }: { application: Application; onScored: () => void }) {
  const programme = useProgramme(application.programme_id).data.value;
  if (programme?.rules.allocation !== "scored") return null;
  return (
    <section class="card">
      <h3>{t("score")}</h3>
      <ScoreForm application={application} onScored={onScored} />
    </section>
  );
}

type To = Application["next_steps"][number]["to"];
const TONES: Record<To, StepWay["tone"]> = {
  approved: "button-primary",
  rejected: "button-danger",
  withdrawn: "button-danger",
};

function Steer({ application, onStepped }: { application: Application; onStepped: () => void }) {
  const programme = useProgramme(application.programme_id).data.value;
  const isScored = programme?.rules.allocation === "scored" && application.status === "submitted";
  const steps = application.next_steps.filter(({ by, to }) =>
    by === "buyer"
      ? isOwn(application.buyer_id) && may("trade")
      : isKind("issuer") && may("issue") && !(isScored && to === "approved"),
  );
  const most = application.approved_cny ?? application.amount_cny;
  const askFor = ({ to, needs_reason }: (typeof steps)[number]): Ask => ({
    title: t(`application.to.${to}.title`),
    text: t(`application.to.${to}.text`),
    label: t(`application.to.${to}`),
    isDangerous: to !== "approved",
    reason: needs_reason ? "needed" : "wanted",
    reasonHint: t(to === "withdrawn" ? "reason.issuer" : "reason.buyer"),
    amount: to === "approved" ? { label: t("application.to.approved.amount"), max: most, first: most } : null,
    run: async ({ reason, amount }, intent) => {
      const body = { to, reason, ...(to === "approved" && amount !== "" && { amount_cny: amount }) };
      const stepped = await act(intent, [application.id, body], (key) =>
        api.POST("/v1/applications/{application_id}/steps", {
          params: { path: { application_id: application.id }, header: keyed(key) },
          body,
        }),
      );
      const isHalf = stepped.status === "in_committee";
      toast(t(isHalf ? "application.committee" : `application.to.${to}.done`), isHalf ? "info" : "good");
      onStepped();
    },
  });
  return <StepButtons ways={steps.map((step) => ({ tone: TONES[step.to], ask: askFor(step) }))} />;
}

function Steps({ application }: { application: Application }) {
  const steps = useQuery(
    `/v1/applications/${application.id}/steps ${application.status} ${application.score}`,
    (c) =>
      api.GET("/v1/applications/{application_id}/steps", {
        ...c,
        params: { path: { application_id: application.id }, query: { limit: 200 } },
      }),
  );
  return (
    <LifeCard
      steps={steps}
      amount={t("step.amount")}
      begin={{
        at: application.submitted_at,
        to: <ApplicationBadge status="submitted" />,
        by: t("by.buyer"),
        amount: application.amount_cny,
      }}
      of={(each) => ({
        to:
          each.score == null ? (
            <ApplicationBadge status={each.to_status} />
          ) : (
            t("score.given", { score: each.score })
          ),
        by: each.key_id == null ? t(`by.${each.actor_role}`) : t("by.key", { key: each.key_id }),
        amount: each.amount_cny,
      })}
    />
  );
}
