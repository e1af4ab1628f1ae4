/** What voucher programmes owe whoever is logged in, and how it is claimed: at once, or with files attached first. */

import { useSignal } from "@preact/signals";
import { act, api, keyed } from "../api/client";
import { useDeed } from "../api/deed";
import { useAccounts } from "../api/own";
import { toast } from "../components/announcer";
import { Dialog } from "../components/dialog";
import { Form } from "../components/form";
import { Loaded } from "../components/states";
import { type Column, DataTable } from "../components/table";
import { Money } from "../components/values";
import { cnyOf, fenOf, formatList, formatMoney, t as shared } from "../i18n";
import { ClaimAll } from "./claim_all";
import { type Claim, type Owed, owedOf, useProgramme } from "./data";
import { ProgrammeName } from "./programme_name";
import { t } from "./texts";

/** `onMade` is told of a claim, one that is still open waits for its files; `onBatch` that several were made. */
export function OwedCard({ onMade, onBatch }: { onMade: (claim: Claim) => void; onBatch: () => void }) {
  const accounts = useAccounts();
  const owed = owedOf(accounts.data.value?.data ?? []).filter((each) => fenOf(each.receivable) !== 0n);
  const wanted = useSignal<Owed | null>(null);
  const close = () => {
    wanted.value = null;
  };
  return (
    <section class="card">
      <div class="card-head">
        <h2>{t("owed")}</h2>
        <ClaimAll
          isOffered={owed.length > 1}
          amount={cnyOf(owed.reduce((sum, each) => sum + (fenOf(each.receivable) ?? 0n), 0n))}
          onDone={() => {
            accounts.refresh();
            onBatch();
          }}
        />
      </div>
      <p class="quiet">{t("owed.text")}</p>
      <Loaded query={accounts}>
        {({ data }) => (
          <DataTable
            caption={t("owed")}
            captionHidden
            columns={columns((owed) => {
              wanted.value = owed;
            })}
            rows={owedOf(data)}
            rowKey={(row) => row.programmeId}
            empty={t("owed.empty")}
          />
        )}
      </Loaded>
      <Dialog title={t("claim.title")} isOpen={wanted.value !== null} onClose={close}>
        {wanted.value && (
          <ClaimForm
            owed={wanted.value}
            onClose={close}
            onMade={(claim) => {
              close();
              accounts.refresh();
              onMade(claim);
            }}
          />
        )}
      </Dialog>
    </section>
  );
}

function ClaimForm(props: { owed: Owed; onClose: () => void; onMade: (claim: Claim) => void }) {
  const { owed } = props;
  const programme = useProgramme(owed.programmeId);
  const deed = useDeed();
  const wantsFiles = useSignal(false);
  const needed = programme.data.value?.rules.evidence ?? [];
  const isOpened = needed.length > 0 || wantsFiles.value;
  const submit = () =>
    deed.run(async (intent) => {
      const body = { programme_id: owed.programmeId, submit: !isOpened };
      const made = await act(intent, body, (key) =>
        api.POST("/v1/claims", { params: { header: keyed(key) }, body }),
      );
      const said = made.status === "open" ? "claim.opened" : "claim.done";
      toast(t(said, { amount: formatMoney(made.amount_cny) }), "good");
      props.onMade(made);
    });
  return (
    <Form label={t("claim")} problem={deed.problem.value} onSubmit={() => void submit()}>
      <p>{t(isOpened ? "claim.text.open" : "claim.text", { amount: formatMoney(owed.receivable) })}</p>
      {needed.length > 0 ? (
        <p class="notice notice-busy">{t("claim.needs", { names: formatList(needed, "and") })}</p>
      ) : (
        <label class="check">
          <input
            type="checkbox"
            checked={wantsFiles.value}
            onChange={(event) => {
              wantsFiles.value = event.currentTarget.checked;
            }}
          />
          {t("claim.files")}
        </label>
      )}
      <div class="buttons buttons-end">
        <button type="button" class="button" onClick={props.onClose}>
          {shared("cancel")}
        </button>
        <button type="submit" class="button button-primary" disabled={deed.isBusy.value}>
          {t(isOpened ? "claim.open_it" : "claim")}
        </button>
      </div>
    </Form>
  );
}

function columns(onClaim: (owed: Owed) => void): Column<Owed>[] {
  return [
    {
      key: "programme",
      title: t("programme"),
      head: true,
      cell: (row) => <ProgrammeName id={row.programmeId} />,
    },
    {
      key: "receivable",
      title: t("owed.receivable"),
      numeric: true,
      cell: (row) => <Money cny={row.receivable} />,
      sort: (row) => fenOf(row.receivable),
    },
    {
      key: "claimed",
      title: t("owed.claimed"),
      numeric: true,
      cell: (row) => <Money cny={row.claimed} />,
      sort: (row) => fenOf(row.claimed),
    },
    {
      key: "actions",
      title: t("actions"),
      cell: (row) => (
        <button
          type="button"
          class="button button-small"
          disabled={fenOf(row.receivable) === 0n}
          onClick={() => onClaim(row)}
        >
          {t("claim")}
        </button>
      ),
    },
  ];
}
