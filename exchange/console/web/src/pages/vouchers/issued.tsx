/** The vouchers of an issuer's programmes: who has them, where their faces are; and issuing one. */

import { act, api, keyed, read } from "../../api/client";
import { useDeed } from "../../api/deed";
import { useVouchers, vouchersPage } from "../../api/own";
import { toast } from "../../components/announcer";
import { useDraft } from "../../components/drafts";
import { Field, Form } from "../../components/form";
import { More, useOlder } from "../../components/more";
import { openColumn } from "../../components/open_column";
import { Restored } from "../../components/restored";
import { Loaded } from "../../components/states";
import { type Column, DataTable } from "../../components/table";
import { Money, Time } from "../../components/values";
import { fenOf, formatMoney } from "../../i18n";
import { may } from "../../session";
import { type Company, CompanyPicker } from "./company_picker";
import { ROWS, useProgrammes, type Voucher } from "./data";
import { isOwn, ProgrammeFilter, VoucherBadge } from "./parts";
import { type Change, useReturn, type VouchersState } from "./state";
import { t } from "./texts";
import { VoucherDetail } from "./voucher_detail";

export function Issued({ state, onChange }: { state: VouchersState; onChange: Change }) {
  if (state.open !== "") {
    return (
      <VoucherDetail
        key={state.open}
        id={state.open}
        back={t("issued.back")}
        onBack={() => onChange({ open: "" })}
      />
    );
  }
  return <List key={state.programme} state={state} onChange={onChange} />;
}

function List({ state, onChange }: { state: VouchersState; onChange: Change }) {
  const vouchers = useVouchers(ROWS, state.programme);
  const keptAs = `issued ${state.programme}`;
  const older = useOlder<Voucher>(
    (cursor) => read(() => api.GET("/v1/vouchers", vouchersPage(ROWS, state.programme, cursor))),
    keptAs,
  );
  useReturn(vouchers.data.value !== null);
  return (
    <div class="stack">
      <section class="card">
        <div class="card-head">
          <h2>{t("issued")}</h2>
          <search class="voucher-filters" aria-label={t("filters")}>
            <ProgrammeFilter
              value={state.programme}
              isOwn
              onChange={(programme) => onChange({ programme })}
            />
          </search>
        </div>
        <Loaded query={vouchers}>
          {(page) => (
            <>
              <DataTable
                caption={t("issued")}
                keptAs={keptAs}
                captionHidden
                columns={columns()}
                onRow={(row) => onChange({ open: row.id })}
                rows={older.rows(page)}
                rowKey={(row) => row.id}
                empty={t("issued.empty")}
              />
              <div>
                <More older={older} first={page} />
              </div>
            </>
          )}
        </Loaded>
      </section>
      {may("issue") && <IssueCard programme={state.programme} onIssued={vouchers.refresh} />}
    </div>
  );
}

function columns(): Column<Voucher>[] {
  const money = (key: "face" | "available" | "committed" | "paid"): Column<Voucher> => ({
    key,
    title: key === "face" ? t("voucher.face") : t(`part.${key}`),
    numeric: true,
    cell: (row) => <Money cny={row[`${key}_cny`]} />,
    sort: (row) => fenOf(row[`${key}_cny`]),
  });
  return [
    {
      key: "buyer",
      title: t("voucher.buyer"),
      head: true,
      cell: (row) => (
        <>
          <span class="wrapped">{row.buyer_name}</span>
          <span class="second code">{row.id}</span>
        </>
      ),
      sort: (row) => row.buyer_name,
    },
    {
      key: "status",
      title: t("status"),
      cell: (row) => (
        <>
          <VoucherBadge status={row.status} />
          <span class="second code">{row.programme_code}</span>
        </>
      ),
      sort: (row) => row.status,
    },
    money("face"),
    money("available"),
    money("committed"),
    money("paid"),
    {
      key: "expires",
      title: t("voucher.expires"),
      cell: (row) => (
        <>
          <Time at={row.expires_at} />
          <span class="second">
            {t("voucher.issued")} <Time at={row.issued_at} />
          </span>
        </>
      ),
      sort: (row) => row.expires_at,
    },
    openColumn(t("actions"), t("open"), (row) => ({ id: row.id, label: t("open.label", { id: row.id }) })),
  ];
}

interface IssueDraft {
  programmeId: string;
  buyer: string;
  /** The company that was picked; null for what was typed only. */
  company: Company | null;
  amount: string;
}

/** Issue one directly, where the programme leaves it to its issuer. */
function IssueCard({ programme, onIssued }: { programme: string; onIssued: () => void }) {
  const programmes = useProgrammes();
  const open = (programmes.data.value?.data ?? []).filter(
    (each) =>
      isOwn(each.issuer_id) &&
      each.status === "open" &&
      (each.rules.allocation ?? "first_come") === "first_come",
  );
  const draft = useDraft<IssueDraft>(`issue ${programme}`, {
    programmeId: programme,
    buyer: "",
    company: null,
    amount: "",
  });
  const deed = useDeed(draft.intent);
  const { programmeId, buyer, company, amount } = draft.value.value;
  const change = (wish: Partial<IssueDraft>) => {
    draft.value.value = { ...draft.value.peek(), ...wish };
  };
  const of = open.find((each) => each.id === programmeId) ?? open[0];
  const submit = () =>
    deed.run(async (intent) => {
      const body = {
        programme_id: of?.id ?? "",
        // An id that no search finds is still the exchange's to judge.
        buyer_id: company?.id ?? buyer.trim(),
        amount_cny: amount.trim(),
      };
      const made = await act(intent, body, (key) =>
        api.POST("/v1/vouchers", { params: { header: keyed(key) }, body }),
      );
      toast(t("issue.done", { amount: formatMoney(made.face_cny), name: made.buyer_name }), "good");
      draft.begin({ programmeId, buyer: "", company: null, amount: "" });
      onIssued();
      programmes.refresh();
    });
  if (programmes.data.value !== null && of === undefined) return null;
  return (
    <section class="card">
      <h2>{t("issue")}</h2>
      <p class="quiet">{t("issue.text")}</p>
      <Form label={t("issue")} problem={deed.problem.value} onSubmit={() => void submit()}>
        <Restored draft={draft} onDiscard={deed.forget} />
        <div class="fields">
          <Field label={t("programme")} pointer="/programme_id">
            {(control) => (
              <select
                {...control}
                value={of?.id ?? ""}
                onChange={(event) => change({ programmeId: event.currentTarget.value })}
              >
                {open.map((each) => (
                  <option key={each.id} value={each.id}>
                    {each.name} ({each.code})
                  </option>
                ))}
              </select>
            )}
          </Field>
          <Field label={t("issue.buyer")} pointer="/buyer_id" hint={t("issue.buyer.hint")}>
            {(control) => (
              <CompanyPicker
                control={control}
                text={buyer}
                chosen={company}
                onType={(text) => change({ buyer: text, company: null })}
                onChoose={(chosen) => change({ buyer: chosen.name, company: chosen })}
              />
            )}
          </Field>
          <Field
            label={t("issue.amount")}
            pointer="/amount_cny"
            unit="CNY"
            hint={of === undefined ? undefined : t("issue.left", { left: formatMoney(of.unissued_cny) })}
          >
            {(control) => (
              <input
                {...control}
                inputMode="decimal"
                autocomplete="off"
                value={amount}
                onInput={(event) => change({ amount: event.currentTarget.value })}
              />
            )}
          </Field>
        </div>
        <button type="submit" class="button button-primary" disabled={deed.isBusy.value}>
          {t("issue.submit")}
        </button>
      </Form>
    </section>
  );
}
