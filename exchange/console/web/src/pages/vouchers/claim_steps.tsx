/** The steps that the reader can take with a claim now, as the exchange tells them; each is asked for before it is taken. */
import { act, api, keyed, type Schemas } from "../../api/client";
import { toast } from "../../components/announcer";
import { formatMoney } from "../../i18n";
import { isKind, may } from "../../session";
import type { Claim } from "./data";
import { isOwn } from "./parts";
import { StepButtons, type StepWay } from "./step_buttons";
import type { Ask } from "./step_dialog";
import { type TextKey, t } from "./texts";

type NextStep = Schemas["NextStep"];
type To = Exclude<NextStep["to"], "open">;

const GRAVE: readonly To[] = ["rejected", "reduced", "clawback_open", "written_off"];
const MAIN: readonly To[] = ["approved", "paid", "submitted", "recovered"];
const PAYING: readonly To[] = ["paid", "recovered"];

function mayStep(claim: Claim, step: NextStep): boolean {
  if (isOwn(claim.claimant_id)) {
    return step.by.includes("claimant") && (may("list_capacity") || may("trade"));
  }
  return isKind("issuer") && step.by.includes("issuer") && may("issue");
}

export function ClaimSteps({ claim, onStepped }: { claim: Claim; onStepped: () => void }) {
  const steps = claim.next_steps.filter((each) => mayStep(claim, each));
  if (steps.length === 0) return <p class="quiet">{t(waiting(claim))}</p>;
  const ways = steps.map((step): StepWay => {
    const to = step.to as To;
    const tone = MAIN.includes(to) ? "button-primary" : GRAVE.includes(to) ? "button-danger" : "";
    return { tone, ask: askFor(claim, step, onStepped) };
  });
  return <StepButtons ways={ways} />;
}

/** Whose turn it is, where it is not the reader's. */
function waiting(claim: Claim): TextKey {
  const first = claim.next_steps[0];
  if (first === undefined) return "claim.over";
  return first.by.includes("issuer") ? "claim.waits.issuer" : "claim.waits.claimant";
}

/** To bring a queried claim back into audit is to answer; the same step of its issuer's begins an audit. */
function nameOf(claim: Claim, to: To): `claim.to.${To}` | "claim.to.answer" {
  return claim.status === "queried" && to === "in_audit" ? "claim.to.answer" : `claim.to.${to}`;
}

function askFor(claim: Claim, step: NextStep, onStepped: () => void): Ask {
  const to = step.to as To;
  const name = nameOf(claim, to);
  const amount = formatMoney(
    (PAYING.includes(to) ? (claim.clawback_cny ?? claim.approved_cny) : null) ?? claim.amount_cny,
  );
  return {
    title: t(`${name}.title`),
    text: t(`${name}.text`, { amount }),
    label: t(name),
    isDangerous: GRAVE.includes(to),
    reason: step.needs_reason ? "needed" : PAYING.includes(to) ? null : "wanted",
    reasonHint: t(isOwn(claim.claimant_id) ? "reason.issuer" : "reason.claimant"),
    amount:
      step.amount_max_cny == null
        ? null
        : { label: t(`${name}.amount` as TextKey), max: step.amount_max_cny, first: "" },
    run: async ({ reason, amount: given }, intent) => {
      const body = { to, reason, ...(step.amount_max_cny != null && given !== "" && { amount_cny: given }) };
      await act(intent, [claim.id, body], (key) =>
        api.POST("/v1/claims/{claim_id}/steps", {
          params: { path: { claim_id: claim.id }, header: keyed(key) },
          body,
        }),
      );
      toast(t(`${name}.done`), "good");
      onStepped();
    },
  };
}
