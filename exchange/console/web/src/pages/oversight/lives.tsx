/** Everything that became of an order, a trade or a voucher, asked for by its id. */
import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import type { Problem } from "../../api/problem";
import { Form } from "../../components/form";
import { EmptyState } from "../../components/states";
import { useAddress } from "./address";
import { press } from "./asking";
import { OrderLife } from "./life_order";
import { type LifeProps, lifeKey } from "./life_parts";
import { TradeLife } from "./life_trade";
import { VoucherLife } from "./life_voucher";
import { lifeOf, ReasonField, TextField } from "./parts";
import { t } from "./texts";

const KINDS: Record<string, (props: LifeProps) => preact.JSX.Element> = {
  ord: OrderLife,
  trd: TradeLife,
  vch: VoucherLife,
};

export function Lives() {
  const { chosen, go } = useAddress();
  const id = lifeOf(chosen.thing ?? "");
  const draft = useSignal(chosen.thing ?? "");
  const fault = useSignal<string | null>(null);
  const problem = useSignal<Problem | null>(null);
  const round = useSignal(0);
  useEffect(() => {
    draft.value = chosen.thing ?? "";
    fault.value = null;
    problem.value = null;
  }, [chosen.thing]);
  const ask = () => {
    const next = lifeOf(draft.value);
    fault.value = next === null ? t("lives.unknown") : null;
    if (next === null) return;
    problem.value = null;
    press(lifeKey(next));
    if (next === id) round.value += 1;
    else go("lives", { thing: next });
  };
  const Life = KINDS[id?.slice(0, 3) ?? ""];
  return (
    <div class="stack">
      <section class="card" aria-label={t("lives")}>
        <h2>{t("lives")}</h2>
        <p class="quiet">{t("lives.text")}</p>
        <Form label={t("lives")} problem={problem.value} onSubmit={ask}>
          <div class="fields">
            <TextField
              label={t("lives.id")}
              name="id"
              value={draft.value}
              placeholder="ord_… · trd_… · vch_…"
              fault={fault.value}
              onChange={(value) => {
                draft.value = value;
              }}
            />
            <ReasonField isNeeded />
          </div>
          <button type="submit" class="button button-primary">
            {t("lives.go")}
          </button>
        </Form>
      </section>
      {id !== null && Life !== undefined && (
        <Life
          key={`${id} ${round.value}`}
          id={id}
          onProblem={(why) => {
            problem.value = why;
          }}
        />
      )}
      {id === null && <EmptyState title={t("lives.none")}>{t("lives.none.text")}</EmptyState>}
    </div>
  );
}
