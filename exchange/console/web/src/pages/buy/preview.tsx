/** What the order would do if it were placed now: what fills, what it costs in all, who pays, what rests. */

import type { ComponentChildren } from "preact";
import type { Account, Voucher } from "../../api/own";
import { classes } from "../../components/classes";
import { Failure } from "../../components/states";
import { type Column, DataTable } from "../../components/table";
import { Money, OrderStatus, Time } from "../../components/values";
import { fenOf, formatBps, formatNumber, t as shared } from "../../i18n";
import type { Foresight, Outlook, Preview } from "./foresight";
import { foretold } from "./foresight";
import { voucherName } from "./money";
import { t } from "./texts";
import { verdicts } from "./vouchers";

type Vouchers = ReadonlyMap<string, Voucher>;

export function PreviewPanel(props: {
  outlook: Outlook;
  cash: Account | null;
  vouchers: Vouchers;
  isMissing: boolean;
}) {
  const { outlook } = props;
  const shown = outlook.foresight ?? outlook.last;
  return (
    <section class="card buy-preview" aria-labelledby="buy-preview" aria-busy={outlook.isAsked}>
      <div class="card-head">
        <h2 id="buy-preview">{t("preview")}</h2>
        <span class="quiet" aria-hidden="true">
          {outlook.isAsked ? t("preview.asking") : ""}
        </span>
      </div>
      <dl class="lines">
        <Line label={t("free_cash")}>
          <Money cny={props.cash?.available_cny} />
        </Line>
      </dl>
      {props.isMissing ? (
        <p class="quiet">{t("preview.missing")}</p>
      ) : outlook.problem !== null ? (
        outlook.problem.faults.length > 0 ? (
          <p class="notice notice-bad">{t("preview.faults", { count: outlook.problem.faults.length })}</p>
        ) : (
          <Failure problem={outlook.problem} />
        )
      ) : (
        shown !== null && (
          <div class={classes("buy-preview-body", outlook.isAsked && "buy-stale")}>
            <Prospect foresight={shown} cash={props.cash} vouchers={props.vouchers} />
          </div>
        )
      )}
      <p class="hint">{t("preview.note")}</p>
    </section>
  );
}

/** The prospect itself: beside the form, and again in the question before the order is placed. */
export function Prospect(props: { foresight: Foresight; cash: Account | null; vouchers: Vouchers }) {
  const { preview } = props.foresight;
  const refusal = foretold(preview);
  if (refusal !== null) {
    return (
      <>
        <div class="notice notice-bad">
          <div>
            <strong>{t("preview.refused")}</strong>
            <p>{refusal.text}</p>
          </div>
        </div>
        <Refusals {...props} />
      </>
    );
  }
  return (
    <>
      <p>
        <OrderStatus status={preview.status} />{" "}
        {preview.filled_gpu_hours > 0 ? (
          <>
            {t("preview.fills", {
              gpus: preview.filled_gpus ?? 0,
              gpu_hours: preview.filled_gpu_hours,
            })}{" "}
            <Time at={preview.run_starts_at} />
          </>
        ) : (
          t("preview.nothing")
        )}
      </p>
      {preview.fills.length > 0 && <Fills preview={preview} />}
      <dl class="lines">
        {preview.filled_gpu_hours > 0 && <Cost preview={preview} vouchers={props.vouchers} />}
        <Rest preview={preview} vouchers={props.vouchers} />
        <Needed preview={preview} cash={props.cash} />
      </dl>
      {preview.shares?.some((share) => share.mode === "instant") && (
        <p class="hint">{t("preview.held.text")}</p>
      )}
      <Refusals {...props} />
    </>
  );
}

function Fills({ preview }: { preview: Preview }) {
  type Fill = Preview["fills"][number];
  const columns: Column<Fill>[] = [
    {
      key: "price",
      title: shared("unit.cny_gpu_hour"),
      head: true,
      numeric: true,
      cell: (fill) => <Money cny={fill.price_cny_per_gpu_hour} bare />,
    },
    {
      key: "gpus",
      title: t("gpus"),
      numeric: true,
      cell: (fill) => formatNumber(fill.quantity_gpus),
    },
    { key: "amount", title: t("amount"), numeric: true, cell: (fill) => <Money cny={fill.amount_cny} /> },
  ];
  return (
    <DataTable
      caption={t("preview.prices")}
      captionHidden
      columns={columns}
      rows={preview.fills}
      rowKey={(fill) => `${fill.price_cny_per_gpu_hour} ${fill.starts_at} ${fill.ends_at}`}
    />
  );
}

function Cost({ preview, vouchers }: { preview: Preview; vouchers: Vouchers }) {
  const rates = new Map(preview.shares?.map((share) => [share.programme_id, share.rate_bps]));
  return (
    <>
      <Line label={t("preview.total")} isSum>
        <Money cny={preview.total_cny} />
      </Line>
      <Line label={t("preview.cash")} isPart>
        <Money cny={preview.cash_cny} />
      </Line>
      {preview.vouchers?.map((each) => {
        const voucher = vouchers.get(each.voucher_id);
        const rate = rates.get(voucher?.programme_id ?? "");
        return (
          <Line
            key={each.voucher_id}
            label={`${t("preview.voucher", { name: voucherName(voucher, each.voucher_id) })}${
              rate === undefined ? "" : ` (${formatBps(rate)})`
            }`}
            isPart
          >
            <Money cny={each.amount_cny} />
          </Line>
        );
      })}
      {isSome(preview.reimbursable_cny) && (
        <Line label={t("preview.reimbursable")} isPart>
          <Money cny={preview.reimbursable_cny} />
        </Line>
      )}
      <Line label={t("preview.fee")}>
        <Money cny={preview.fee_cny} />
      </Line>
    </>
  );
}

function Rest({ preview, vouchers }: { preview: Preview; vouchers: Vouchers }) {
  if (preview.resting_gpu_hours === 0) return null;
  return (
    <>
      <Line label={t("preview.rests")} isSum>
        {shared("unit.gpus", { count: preview.resting_gpus })}
      </Line>
      {preview.held != null && (
        <Line label={t("preview.held")} isPart>
          <Money cny={preview.held.cash_cny} />
        </Line>
      )}
      {preview.held?.vouchers.map((each) => (
        <Line
          key={each.voucher_id}
          label={t("preview.held_voucher", {
            name: voucherName(vouchers.get(each.voucher_id), each.voucher_id),
          })}
          isPart
        >
          <Money cny={each.held_cny} />
        </Line>
      ))}
    </>
  );
}

function Needed({ preview, cash }: { preview: Preview; cash: Account | null }) {
  const [needed, free] = [fenOf(preview.needed_cny ?? ""), fenOf(cash?.available_cny ?? "")];
  const isShort = needed !== null && free !== null && needed > free;
  return (
    <Line label={t("preview.needed")} isSum>
      <span class={classes(isShort && "fault")}>
        <Money cny={preview.needed_cny} />
      </span>
    </Line>
  );
}

/** The vouchers that do not pay, each with its reason. */
function Refusals({ foresight, vouchers }: { foresight: Foresight; vouchers: Vouchers }) {
  const refused = [...verdicts(foresight)].filter(([, verdict]) => verdict.refusal !== null);
  if (refused.length === 0) return null;
  return (
    <div class="buy-refusals">
      <h3>{t("preview.refusals")}</h3>
      <ul>
        {refused.map(([id, verdict]) => (
          <li key={id}>
            <strong>{voucherName(vouchers.get(id), id)}</strong>: {verdict.refusal}
          </li>
        ))}
      </ul>
    </div>
  );
}

export function Line(props: {
  label: string;
  isSum?: boolean;
  isPart?: boolean;
  children: ComponentChildren;
}) {
  return (
    <div class={classes("line", props.isSum && "line-sum", props.isPart && "line-part")}>
      <dt>{props.label}</dt>
      <dd>{props.children}</dd>
    </div>
  );
}

function isSome(cny: string | null | undefined): boolean {
  return cny != null && fenOf(cny) !== 0n;
}
