/** Cash that came in or went out, booked once it has; what the participant has stands beside it. */
import { useSignal } from "@preact/signals";
import { act, api, keyed } from "../../api/client";
import { useDeed } from "../../api/deed";
import { useQuery } from "../../api/query";
import { toast } from "../../components/announcer";
import { Dialog } from "../../components/dialog";
import { Field, Form } from "../../components/form";
import { Loaded } from "../../components/states";
import { Choice } from "../../components/tabs";
import { Figure, Money } from "../../components/values";
import { formatMoney, t as shared } from "../../i18n";
import type { Participant } from "./data";
import { t } from "./texts";

type Way = "deposit" | "withdrawal";

export function Cash(props: { participant: Participant | null; onClose: () => void }) {
  const { participant, onClose } = props;
  return (
    <Dialog title={t("cash.title")} isOpen={participant !== null} onClose={onClose}>
      {participant !== null && <CashForm key={participant.id} participant={participant} onClose={onClose} />}
    </Dialog>
  );
}

function CashForm({ participant, onClose }: { participant: Participant; onClose: () => void }) {
  const way = useSignal<Way>("deposit");
  const amount = useSignal("");
  const note = useSignal("");
  const deed = useDeed();
  const accounts = useQuery(`/v1/accounts ${participant.id}`, (conditions) =>
    api.GET("/v1/accounts", { ...conditions, params: { query: { participant_id: participant.id } } }),
  );
  const submit = () =>
    deed.run(async (intent) => {
      const body = {
        participant_id: participant.id,
        amount_cny: amount.value.trim(),
        ...(note.value.trim() === "" ? {} : { note: note.value.trim() }),
      };
      const path = way.value === "deposit" ? "/v1/deposits" : "/v1/withdrawals";
      const booked = await act(intent, [path, body], (key) =>
        api.POST(path, { params: { header: keyed(key) }, body }),
      );
      toast(t("cash.done", { amount: formatMoney(booked.available_cny) }), "good");
      accounts.refresh();
      onClose();
    });
  return (
    <Form label={t("cash.title")} problem={deed.problem.value} onSubmit={() => void submit()}>
      <p class="ops-product">
        {participant.name}
        <span class="second code">{participant.id}</span>
      </p>
      <Loaded query={accounts}>
        {({ data }) => {
          const cash = data.find((each) => each.purpose === "cash" && each.asset === "CNY");
          return (
            <dl class="figures">
              <Figure label={t("cash.available")}>
                <Money cny={cash?.available_cny ?? "0.00"} />
              </Figure>
            </dl>
          );
        }}
      </Loaded>
      <Choice
        label={t("cash.way")}
        options={(["deposit", "withdrawal"] as const).map((key) => ({ key, title: t(`cash.${key}`) }))}
        chosen={way.value}
        onChoose={(key) => {
          way.value = key;
        }}
      />
      <p class="hint">{t(`cash.${way.value}.hint`)}</p>
      <div class="fields">
        <Field label={t("cash.amount")} pointer="/amount_cny" unit={t("cash.unit")}>
          {(control) => (
            <input
              {...control}
              inputMode="decimal"
              autocomplete="off"
              value={amount.value}
              onInput={(event) => {
                amount.value = event.currentTarget.value;
              }}
            />
          )}
        </Field>
        <Field label={t("cash.note")} pointer="/note" hint={t("cash.note.hint")}>
          {(control) => (
            <input
              {...control}
              autocomplete="off"
              value={note.value}
              onInput={(event) => {
                note.value = event.currentTarget.value;
              }}
            />
          )}
        </Field>
      </div>
      <div class="buttons buttons-end">
        <button type="button" class="button" onClick={onClose}>
          {shared("cancel")}
        </button>
        <button type="submit" class="button button-primary" disabled={deed.isBusy.value}>
          {t(`cash.${way.value}.confirm`)}
        </button>
      </div>
    </Form>
  );
}
