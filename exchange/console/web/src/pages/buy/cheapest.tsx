/** What the market has for the wished hours now: the cheapest start, what fills, and the limit that takes all of it. */
import { api } from "../../api/client";
import { useQuery } from "../../api/query";
import { Money, Time } from "../../components/values";
import { formatNumber } from "../../i18n";
import { t } from "./texts";

export function Cheapest(props: {
  product: string;
  starts_at: string;
  ends_at: string;
  hours: number;
  gpus: number;
  isFlexible: boolean;
  limit: string;
  onLimit: (price: string) => void;
}) {
  const { product, gpus } = props;
  const query = {
    starts_at: props.starts_at,
    ends_at: props.ends_at,
    hours: props.hours,
    quantity_gpus: gpus,
  };
  const depth = useQuery(
    `/v1/market/${product}/depth ${JSON.stringify(query)}`,
    (conditions) =>
      api.GET("/v1/market/{product}/depth", { ...conditions, params: { path: { product }, query } }),
    { every_s: 3 },
  ).data.value;
  if (depth === null) return null;
  const dearest = depth.levels.at(-1)?.price_cny_per_gpu_hour;
  if (dearest === undefined) {
    return (
      <p class="buy-cheapest notice" role="status">
        {t("cheapest.none")}
      </p>
    );
  }
  return (
    <div class="buy-cheapest notice" role="status">
      <div>
        <p>
          <strong>{t(props.isFlexible ? "cheapest.start" : "cheapest.window")}</strong>{" "}
          <Time at={depth.starts_at} /> – <Time at={depth.ends_at} />
        </p>
        <p>
          {t("cheapest.fills", {
            filled: formatNumber(depth.filled_gpus),
            count: gpus,
          })}{" "}
          · <Money cny={depth.average_price_cny_per_gpu_hour} bare /> {t("cheapest.average")} ·{" "}
          <Money cny={depth.notional_cny} />
        </p>
      </div>
      {dearest !== props.limit && (
        <button type="button" class="button button-small" onClick={() => props.onLimit(dearest)}>
          {t("cheapest.use", { price: dearest })}
        </button>
      )}
    </div>
  );
}
