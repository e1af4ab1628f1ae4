/** How far the record is under signed checkpoints, and who can sign more of them. */
import { Badge, Figure, Nothing, Time } from "../../components/values";
import { formatNumber, formatSpan } from "../../i18n";
import { type Operations, shortName } from "./data";
import { t } from "./texts";

/** What is wrong with it, in words; nothing where all is well. */
export function SealWarnings({ now }: { now: Operations }) {
  if (now.sealing.warnings.length === 0) return null;
  return (
    <div class="notice notice-bad" role="alert">
      <div>
        <strong>{t("sealing.warning")}</strong>
        <ul>
          {now.sealing.warnings.map((each) => (
            <li key={each}>
              {t(`sealing.warning.${each}`, { span: formatSpan(now.sealing.unsealed_s * 1000) })}
            </li>
          ))}
        </ul>
      </div>
    </div>
  );
}

export function Sealing({ now }: { now: Operations }) {
  const { sealing } = now;
  return (
    <section class="card" aria-labelledby="ops-sealing">
      <h2 id="ops-sealing">{t("sealing")}</h2>
      <dl class="figures">
        <Figure label={t("sealing.unsealed")}>{formatNumber(sealing.unsealed_records)}</Figure>
        <Figure label={t("sealing.waiting")}>{formatSpan(sealing.unsealed_s * 1000)}</Figure>
        <Figure label={t("sealing.size")}>{formatNumber(sealing.size)}</Figure>
        <Figure label={t("sealing.last")}>
          {sealing.sealed_at === null ? <Nothing /> : <Time at={sealing.sealed_at} exact />}
        </Figure>
        <Figure label={t("sealing.signers")}>
          {sealing.signers.length === 0 ? (
            <Badge tone="bad">{t("sealing.nobody")}</Badge>
          ) : (
            <span class="code" title={sealing.signers.join(", ")}>
              {sealing.signers.map(shortName).join(", ")}
            </span>
          )}
        </Figure>
      </dl>
      <p class="hint">{t("sealing.hint", { span: formatSpan(sealing.period_s * 1000) })}</p>
    </section>
  );
}
