/** Where the face of a voucher is, as a bar with its legend, and all ten parts as figures. */
import { Figure } from "../../components/values";
import { cnyOf, fenOf, formatMoney } from "../../i18n";
import type { Voucher } from "./data";
import { t } from "./texts";

const PARTS = [
  "available",
  "held",
  "committed",
  "captured",
  "claimed",
  "paid",
  "reduced",
  "recovered",
  "expired",
  "revoked",
] as const;
type Part = (typeof PARTS)[number];

/** What a buyer thinks in: what it can use, what is bound, what it has used, what went back to the issuer. */
const GROUPS = {
  free: ["available"],
  held: ["held", "committed"],
  spent: ["captured", "claimed", "paid"],
  gone: ["reduced", "recovered", "expired", "revoked"],
} as const satisfies Record<string, readonly Part[]>;
const GROUP_KEYS = Object.keys(GROUPS) as readonly (keyof typeof GROUPS)[];

function fenIn(voucher: Voucher, parts: readonly Part[]): bigint {
  return parts.reduce((sum, part) => sum + (fenOf(voucher[`${part}_cny`]) ?? 0n), 0n);
}

export function Purse({ voucher }: { voucher: Voucher }) {
  const face = fenOf(voucher.face_cny) ?? 0n;
  const groups = GROUP_KEYS.map((key) => ({ key, fen: fenIn(voucher, GROUPS[key]) }));
  return (
    <>
      <div class="purse" aria-hidden="true">
        {groups
          .filter((each) => each.fen > 0n)
          .map((each) => (
            <span
              key={each.key}
              class={`purse-part purse-${each.key}`}
              style={{ width: `${Number((each.fen * 10_000n) / (face || 1n)) / 100}%` }}
            />
          ))}
      </div>
      <dl class="purse-legend">
        {groups
          .filter((each) => each.fen > 0n || each.key === "free")
          .map((each) => (
            <div key={each.key}>
              <dt>
                <span class={`purse-key purse-${each.key}`} aria-hidden="true" />
                {t(`purse.${each.key}`)}
              </dt>
              <dd class="number">{formatMoney(cnyOf(each.fen))}</dd>
            </div>
          ))}
      </dl>
    </>
  );
}

/** All parts that there are; they sum to the face. */
export function PurseFigures({ voucher }: { voucher: Voucher }) {
  const shown = PARTS.filter((part) => part === "available" || fenIn(voucher, [part]) > 0n);
  return (
    <dl class="figures">
      <Figure label={t("voucher.face")}>{formatMoney(voucher.face_cny)}</Figure>
      {shown.map((part) => (
        <Figure key={part} label={t(`part.${part}`)}>
          {formatMoney(voucher[`${part}_cny`])}
        </Figure>
      ))}
    </dl>
  );
}
