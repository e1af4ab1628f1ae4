/** Claiming under all programmes that owe something, each for itself, and what came of each. */
import { useSignal } from "@preact/signals";
import { act, api, keyed, type Schemas } from "../api/client";
import { codeText } from "../api/codes";
import { useDeed } from "../api/deed";
import { announce } from "../components/announcer";
import { Dialog } from "../components/dialog";
import { Form } from "../components/form";
import { DataTable } from "../components/table";
import { Badge, Money } from "../components/values";
import { formatMoney, language, t as shared } from "../i18n";
import { ProgrammeName } from "./programme_name";
import { ClaimBadge } from "./table";
import { t } from "./texts";

type Outcome = Schemas["ClaimOutcome"];

/** Offered where several programmes owe something; what came of it stays to be read when nothing is owed any more. */
export function ClaimAll(props: { isOffered: boolean; amount: string; onDone: () => void }) {
  const { amount, onDone } = props;
  const isOpen = useSignal(false);
  const told = useSignal<readonly Outcome[] | null>(null);
  const deed = useDeed();
  const close = () => {
    isOpen.value = false;
    told.value = null;
  };
  const submit = () =>
    deed.run(async (intent) => {
      const made = await act(intent, amount, (key) =>
        api.POST("/v1/claims/batch", { params: { header: keyed(key) }, body: {} }),
      );
      told.value = made.data;
      const count = made.data.filter((each) => each.claim != null).length;
      announce(t("all.done", { count, refused: made.data.length - count }));
      onDone();
    });
  return (
    <>
      {props.isOffered && (
        <button
          type="button"
          class="button"
          onClick={() => {
            isOpen.value = true;
          }}
        >
          {t("all")}
        </button>
      )}
      <Dialog title={t("all")} isOpen={isOpen.value} onClose={close}>
        {told.value === null ? (
          <Form label={t("all")} problem={deed.problem.value} onSubmit={() => void submit()}>
            <p>{t("all.text", { amount: formatMoney(amount) })}</p>
            <div class="buttons buttons-end">
              <button type="button" class="button" onClick={close}>
                {shared("cancel")}
              </button>
              <button type="submit" class="button button-primary" disabled={deed.isBusy.value}>
                {t("all.submit")}
              </button>
            </div>
          </Form>
        ) : (
          <Outcomes outcomes={told.value} />
        )}
      </Dialog>
    </>
  );
}

function Outcomes({ outcomes }: { outcomes: readonly Outcome[] }) {
  return (
    <DataTable
      caption={t("all.outcome")}
      columns={[
        {
          key: "programme",
          title: t("programme"),
          head: true,
          cell: (row) => <ProgrammeName id={row.programme_id} />,
        },
        {
          key: "amount",
          title: t("claims.amount"),
          numeric: true,
          cell: (row) => <Money cny={row.claim?.amount_cny} />,
        },
        {
          key: "status",
          title: t("status"),
          cell: (row) =>
            row.claim == null ? (
              <>
                <Badge tone="bad">{t("all.refused")}</Badge>
                <span class="wrapped">{refusalText(row)}</span>
              </>
            ) : (
              <ClaimBadge status={row.claim.status} />
            ),
        },
      ]}
      rows={outcomes}
      rowKey={(row) => row.programme_id}
      empty={t("owed.empty")}
    />
  );
}

function refusalText({ code, detail }: Outcome): string {
  const known = language.value === "zh" && code != null ? codeText(code) : null;
  return known ?? detail ?? "";
}
