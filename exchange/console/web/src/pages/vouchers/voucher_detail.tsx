/** One voucher: where its face is, its programme's rules in words, its steps and movements; its issuer steers it here. */

import { useSignal } from "@preact/signals";
import { act, api, keyed } from "../../api/client";
import { useAccounts } from "../../api/own";
import { useQuery } from "../../api/query";
import { useProgramme } from "../../claims/data";
import { ProgrammeName } from "../../claims/programme_name";
import { toast } from "../../components/announcer";
import { Pager, usePages } from "../../components/pager";
import { Loaded } from "../../components/states";
import { Choice } from "../../components/tabs";
import { Figure, Time } from "../../components/values";
import { formatMoney } from "../../i18n";
import { TransferTable } from "../../ledger/transfers";
import { isKind, may } from "../../session";
import { useVoucher, type Voucher } from "./data";
import { Expiry, isOwn, LifeCard, Opened, VoucherBadge } from "./parts";
import { Purse, PurseFigures } from "./purse";
import { RuleList } from "./rules";
import { StepButtons } from "./step_buttons";
import type { Ask } from "./step_dialog";
import { t } from "./texts";

export function VoucherDetail(props: { id: string; back: string; onBack: () => void }) {
  const voucher = useVoucher(props.id);
  return (
    <Loaded query={voucher}>
      {(view) => (
        <Opened
          id={view.id}
          title={<ProgrammeName id={view.programme_id} />}
          badge={<VoucherBadge status={view.status} />}
          back={props.back}
          onBack={props.onBack}
        >
          <section class="card">
            <h3>{t("voucher.state")}</h3>
            <Purse voucher={view} />
            <PurseFigures voucher={view} />
            <dl class="figures">
              {!isOwn(view.buyer_id) && (
                <Figure label={t("voucher.buyer")}>
                  {view.buyer_name} <span class="code quiet">{view.buyer_id}</span>
                </Figure>
              )}
              <Figure label={t("voucher.issued")}>
                <Time at={view.issued_at} />
              </Figure>
              <Figure label={t("voucher.expires")}>
                <Expiry voucher={view} />
              </Figure>
            </dl>
            {isKind("issuer") && may("issue") && <Steer voucher={view} onDone={voucher.refresh} />}
          </section>
          <RulesCard voucher={view} />
          <Steps voucher={view} />
          {isKind("buyer") && <Movements voucherId={view.id} />}
        </Opened>
      )}
    </Loaded>
  );
}

/** Where an issuer may bring a voucher from where it stands. */
const WAYS: Partial<Record<Voucher["status"], readonly ("suspended" | "active" | "revoked")[]>> = {
  active: ["suspended", "revoked"],
  suspended: ["active", "revoked"],
};

function Steer({ voucher, onDone }: { voucher: Voucher; onDone: () => void }) {
  const ways = WAYS[voucher.status] ?? [];
  if (ways.length === 0) return null;
  const askFor = (to: (typeof ways)[number]): Ask => ({
    title: t(`voucher.to.${to}.title`),
    text: t(`voucher.to.${to}.text`, { amount: formatMoney(voucher.available_cny) }),
    label: t(`voucher.to.${to}`),
    isDangerous: to !== "active",
    reason: "needed",
    reasonHint: t("reason.buyer"),
    amount: null,
    run: async ({ reason }, intent) => {
      await act(intent, [voucher.id, to, reason], (key) =>
        api.POST("/v1/vouchers/{voucher_id}/steps", {
          params: { path: { voucher_id: voucher.id }, header: keyed(key) },
          body: { to, reason },
        }),
      );
      toast(t(`voucher.to.${to}.done`), "good");
      onDone();
    },
  });
  return (
    <StepButtons
      ways={ways.map((to) => ({ tone: to === "revoked" ? "button-danger" : "", ask: askFor(to) }))}
    />
  );
}

function RulesCard({ voucher }: { voucher: Voucher }) {
  const programme = useProgramme(voucher.programme_id);
  return (
    <section class="card">
      <h3>{t("rules.now")}</h3>
      <p class="quiet">{t("rules.now.text", { version: voucher.programme_version })}</p>
      <Loaded query={programme}>{({ rules }) => <RuleList rules={rules} />}</Loaded>
    </section>
  );
}

const STEPS_MAX = 200;

function Steps({ voucher }: { voucher: Voucher }) {
  const steps = useQuery(
    `/v1/vouchers/${voucher.id}/steps ${voucher.status}`,
    (c) =>
      api.GET("/v1/vouchers/{voucher_id}/steps", {
        ...c,
        params: { path: { voucher_id: voucher.id }, query: { limit: STEPS_MAX } },
      }),
    { every_s: 30 },
  );
  return (
    <LifeCard
      steps={steps}
      amount={t("voucher.returned")}
      begin={{
        at: voucher.issued_at,
        to: t("voucher.issued.step", { face: formatMoney(voucher.face_cny) }),
        by: t("by.issuer"),
      }}
      of={(each) => ({
        to: <VoucherBadge status={each.to_status} />,
        by: t(`by.${each.actor_role}`),
        amount: each.returned_cny,
      })}
    />
  );
}

const SIDES = ["voucher", "voucher_escrow"] as const;
const PAGE = 25;

/** Every movement of the voucher's money, of its free part or of what waits in leases. */
function Movements({ voucherId }: { voucherId: string }) {
  const side = useSignal<(typeof SIDES)[number]>("voucher");
  const accounts = useAccounts();
  const account = accounts.data.value?.data.find(
    (each) => each.voucher_id === voucherId && each.purpose === side.value,
  );
  return (
    <section class="card">
      <div class="card-head">
        <h3>{t("movements")}</h3>
        <Choice
          label={t("movements.side")}
          options={SIDES.map((key) => ({ key, title: t(`movements.${key}`) }))}
          chosen={side.value}
          onChoose={(key) => {
            side.value = key;
          }}
        />
      </div>
      {account?.id ? (
        <Transfers key={account.id} account={account.id} />
      ) : (
        <p class="quiet">{t("movements.none")}</p>
      )}
    </section>
  );
}

function Transfers({ account }: { account: string }) {
  const pages = usePages(account);
  const query = { account_id: account, limit: PAGE, ...(pages.cursor && { cursor: pages.cursor }) };
  const transfers = useQuery(
    `/v1/transfers ${JSON.stringify(query)}`,
    (c) => api.GET("/v1/transfers", { ...c, params: { query } }),
    { every_s: 15 },
  );
  return (
    <Loaded query={transfers}>
      {({ data, next_cursor }) => (
        <>
          <TransferTable caption={t("movements")} rows={data} />
          <Pager pages={pages} next={next_cursor} />
        </>
      )}
    </Loaded>
  );
}
