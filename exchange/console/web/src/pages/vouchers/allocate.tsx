/** An issuer's decision of all scored applications of a programme at once, and what came of each. */

import { useSignal } from "@preact/signals";
import { act, api, keyed, type Schemas } from "../../api/client";
import { stepReason } from "../../api/codes";
import { useDeed } from "../../api/deed";
import { useProgramme } from "../../claims/data";
import { announce } from "../../components/announcer";
import { Dialog } from "../../components/dialog";
import { Form } from "../../components/form";
import { DataTable } from "../../components/table";
import { Figure, Money } from "../../components/values";
import { formatMoney, formatNumber, t as shared } from "../../i18n";
import { ApplicationBadge } from "./parts";
import { t } from "./texts";

type Allocation = Schemas["AllocationView"];

export function Allocate({ programmeId, onDone }: { programmeId: string; onDone: () => void }) {
  const programme = useProgramme(programmeId).data.value;
  const isOpen = useSignal(false);
  const told = useSignal<Allocation | null>(null);
  const deed = useDeed();
  if (programme?.rules.allocation !== "scored") return null;
  const close = () => {
    isOpen.value = false;
    told.value = null;
  };
  const submit = () =>
    deed.run(async (intent) => {
      told.value = await act(intent, programmeId, (key) =>
        api.POST("/v1/programmes/{programme_id}/allocation", {
          params: { path: { programme_id: programmeId }, header: keyed(key) },
        }),
      );
      announce(t("allocate.done", { amount: formatMoney(told.value.approved_cny) }));
      onDone();
    });
  return (
    <div class="notice">
      <p>{t("allocate.hint")}</p>
      <button
        type="button"
        class="button"
        onClick={() => {
          isOpen.value = true;
        }}
      >
        {t("allocate")}
      </button>
      <Dialog title={t("allocate")} isOpen={isOpen.value} onClose={close}>
        {told.value === null ? (
          <Form label={t("allocate")} problem={deed.problem.value} onSubmit={() => void submit()}>
            <p>{t("allocate.text", { left: formatMoney(programme.unissued_cny) })}</p>
            <div class="buttons buttons-end">
              <button type="button" class="button" onClick={close}>
                {shared("cancel")}
              </button>
              <button type="submit" class="button button-primary" disabled={deed.isBusy.value}>
                {t("allocate.submit")}
              </button>
            </div>
          </Form>
        ) : (
          <Outcome told={told.value} />
        )}
      </Dialog>
    </div>
  );
}

function Outcome({ told }: { told: Allocation }) {
  return (
    <>
      <dl class="figures">
        <Figure label={t("allocate.approved")}>{formatMoney(told.approved_cny)}</Figure>
        <Figure label={t("programme.unissued")}>{formatMoney(told.unissued_cny)}</Figure>
      </dl>
      <DataTable
        caption={t("allocate.outcome")}
        columns={[
          { key: "company", title: t("application.company"), head: true, cell: (row) => row.buyer_name },
          {
            key: "score",
            title: t("application.score"),
            numeric: true,
            cell: (row) => (row.score == null ? "–" : formatNumber(row.score)),
          },
          {
            key: "amount",
            title: t("application.amount"),
            numeric: true,
            cell: (row) => <Money cny={row.amount_cny} />,
          },
          {
            key: "status",
            title: t("status"),
            cell: (row) => (
              <>
                <ApplicationBadge status={row.status} />
                <span class="wrapped">{stepReason(row)}</span>
              </>
            ),
          },
        ]}
        rows={told.data}
        rowKey={(row) => row.id}
        empty={t("allocate.none")}
      />
    </>
  );
}
