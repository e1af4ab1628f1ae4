/** Which vouchers pay for the order: the best, none, or these; each with what it would pay, or why not. */

import { useId } from "preact/hooks";
import { codeText } from "../../api/codes";
import type { Voucher } from "../../api/own";
import { Field, usePointer } from "../../components/form";
import { Choice } from "../../components/tabs";
import { Badge, Money, Time } from "../../components/values";
import { fenOf, language } from "../../i18n";
import type { Draft } from "./draft";
import type { Foresight } from "./foresight";
import { useOwnVouchers } from "./money";
import { t } from "./texts";

const WISHES = ["auto", "none", "chosen"] as const;

export interface Verdict {
  /** At most, as the order sets it aside. */
  most: string | null;
  /** Why it does not pay; null where it does. */
  refusal: string | null;
}

/** What the exchange says of each voucher, by its id. */
export function verdicts(foresight: Foresight | null): ReadonlyMap<string, Verdict> {
  const found = new Map<string, Verdict>();
  const told = foresight?.eligibility;
  for (const each of [
    ...(told?.programmes.flatMap((one) => one.vouchers) ?? []),
    ...(told?.refusals ?? []),
  ]) {
    found.set(each.voucher_id, {
      most: each.code == null ? each.amount_cny : null,
      refusal: each.code == null ? null : reasonText(each.code, each.detail ?? each.code, each.voucher_id),
    });
  }
  for (const fault of foresight?.preview.refusal?.errors ?? []) {
    const id = "value" in fault && typeof fault.value === "string" ? fault.value : null;
    if (fault.pointer === "/vouchers" && id !== null) {
      found.set(id, { most: null, refusal: reasonText(fault.code, fault.detail, id) });
    }
  }
  return found;
}

/** The reason without the voucher's id, which stands beside it. */
function reasonText(code: string, detail: string, id: string): string {
  const said = detail.startsWith(`${id}: `) ? detail.slice(id.length + 2) : detail;
  return language.value === "zh" ? (codeText(code) ?? said) : said;
}

export function Vouchers(props: {
  draft: Draft;
  foresight: Foresight | null;
  fault: string | null;
  onChange: (change: Partial<Draft>) => void;
}) {
  const { draft, onChange } = props;
  usePointer("/vouchers");
  const vouchers = useOwnVouchers();
  const told = verdicts(props.foresight);
  const own = vouchers.data.value?.data ?? [];
  const shown =
    draft.vouchers === "chosen" ? own : own.filter((each) => each.status === "active" || told.has(each.id));
  const isRefused = (id: string) => told.get(id)?.refusal != null && draft.chosen.includes(id);
  // A fault of one voucher stands at that voucher; what is wrong with all of it stands here.
  const hasOwnFault = props.fault !== null && !draft.chosen.some(isRefused);
  const choose = (id: string, isChosen: boolean) =>
    onChange({
      chosen: isChosen ? [...draft.chosen, id] : draft.chosen.filter((each) => each !== id),
    });
  return (
    <fieldset class="buy-group">
      <legend>{t("vouchers")}</legend>
      <Choice
        label={t("vouchers")}
        options={WISHES.map((key) => ({ key, title: t(`vouchers.${key}`) }))}
        chosen={draft.vouchers}
        onChoose={(wish) => onChange({ vouchers: wish })}
      />
      <p class="hint">{t(`vouchers.${draft.vouchers}.text`)}</p>
      {hasOwnFault && (
        <p class="fault" id="buy-vouchers-fault">
          {props.fault}
        </p>
      )}
      {draft.vouchers !== "none" && own.length === 0 && vouchers.data.value !== null && (
        <p class="quiet">{t("vouchers.empty")}</p>
      )}
      {draft.vouchers !== "none" && (
        <ul class="buy-vouchers">
          {shown.map((voucher, index) => (
            <li key={voucher.id}>
              <Line
                voucher={voucher}
                verdict={told.get(voucher.id)}
                draft={draft}
                isFaulty={isRefused(voucher.id) || (hasOwnFault && index === 0)}
                onChoose={(isChosen) => choose(voucher.id, isChosen)}
              />
            </li>
          ))}
        </ul>
      )}
      {draft.vouchers !== "none" && own.length > 0 && (
        <Field label={t("policy")} pointer="/voucher_policy" hint={t(`policy.${draft.voucher_policy}.text`)}>
          {(control) => (
            <select
              {...control}
              value={draft.voucher_policy}
              onChange={(event) =>
                onChange({ voucher_policy: event.currentTarget.value as Draft["voucher_policy"] })
              }
            >
              <option value="prefer">{t("policy.prefer")}</option>
              <option value="only_eligible">{t("policy.only_eligible")}</option>
            </select>
          )}
        </Field>
      )}
    </fieldset>
  );
}

function Line(props: {
  voucher: Voucher;
  verdict: Verdict | undefined;
  draft: Draft;
  isFaulty: boolean;
  onChoose: (isChosen: boolean) => void;
}) {
  const { voucher, verdict, draft } = props;
  const reasonId = useId();
  const isAsked = draft.vouchers === "auto" || draft.chosen.includes(voucher.id);
  const paysNothing = verdict?.most != null && fenOf(verdict.most) === 0n;
  const name = (
    <span>
      <strong>{voucher.programme_code}</strong> <span class="code quiet">{voucher.id}</span>
    </span>
  );
  return (
    <>
      {draft.vouchers === "chosen" ? (
        <label class="check">
          <input
            type="checkbox"
            checked={draft.chosen.includes(voucher.id)}
            aria-invalid={props.isFaulty}
            aria-describedby={
              verdict?.refusal != null ? reasonId : props.isFaulty ? "buy-vouchers-fault" : undefined
            }
            onChange={(event) => props.onChoose(event.currentTarget.checked)}
          />
          {name}
        </label>
      ) : (
        name
      )}
      <span class="quiet">
        {t("vouchers.free")} <Money cny={voucher.available_cny} /> · {t("vouchers.until")}{" "}
        <Time at={voucher.expires_at} />
      </span>
      {verdict?.refusal != null && (
        <span id={reasonId}>
          <Badge tone="bad">{t("vouchers.refused")}</Badge> {verdict.refusal}
        </span>
      )}
      {isAsked && paysNothing && (
        <span>
          <Badge>{t("vouchers.unused")}</Badge> {t("vouchers.unused.text")}
        </span>
      )}
      {isAsked && verdict?.most != null && !paysNothing && (
        <span>
          <Badge tone="good">{t("vouchers.pays")}</Badge> {t("vouchers.most")} <Money cny={verdict.most} />
        </span>
      )}
    </>
  );
}
