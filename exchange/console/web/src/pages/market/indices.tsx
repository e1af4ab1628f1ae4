/** The price indices: those of domestic and foreign accelerators above all, each over time when it is opened. */
import { api } from "../../api/client";
import { useQuery } from "../../api/query";
import { LineChart } from "../../charts/line_chart";
import { Loaded } from "../../components/states";
import { Nothing } from "../../components/values";
import { formatNumber, t as shared } from "../../i18n";
import { t } from "./texts";

const EVERY_S = 15;

/** The two composites in short. */
export function IndexStrip() {
  const indices = useQuery("/v1/market/indices", (conditions) => api.GET("/v1/market/indices", conditions), {
    every_s: EVERY_S,
  });
  const composites = indices.data.value?.data.filter((each) => each.kind === "composite") ?? [];
  return (
    <dl class="figures market-indices">
      {composites.map((each) => (
        <div key={each.index}>
          <dt class="figure-label" title={t("index.method")}>
            {t("index.of", { origin: originOf(each) })}
          </dt>
          <dd class="figure-value">
            {each.latest.value === null ? <Nothing /> : formatNumber(Number(each.latest.value))}{" "}
            <Change percent={each.change_24h_percent} />
          </dd>
        </div>
      ))}
    </dl>
  );
}

function originOf(index: { origin: string }): string {
  return shared(index.origin === "domestic" ? "origin.domestic" : "origin.foreign");
}

/** A change in percent, with its sign; the arrow says the direction without colour. */
export function Change({ percent }: { percent: string | null | undefined }) {
  if (percent == null) return null;
  const value = Number(percent);
  const arrow = value > 0 ? "▲" : value < 0 ? "▼" : "";
  return (
    <span class="market-change number">
      <span aria-hidden="true">{arrow}</span> {value > 0 ? "+" : ""}
      {formatNumber(value)} %
    </span>
  );
}

/** One index of an accelerator beside the composite of its origin. */
export function IndexChart({
  accelerator,
  origin,
  name,
}: {
  accelerator: string;
  origin: string;
  name: string;
}) {
  const own = useIndex(accelerator);
  const composite = useIndex(origin);
  return (
    <Loaded query={own}>
      {(index) => {
        // Before the first value there is nothing to see.
        const first = index.data.findIndex((each) => each.value !== null);
        const values = first < 0 ? [] : index.data.slice(first);
        const all = new Map(composite.data.value?.data.map((each) => [each.as_of, each.value]));
        return (
          <LineChart
            title={t("index.title")}
            xs={values.map((each) => Date.parse(each.as_of))}
            xTitle={t("as_of")}
            series={[
              {
                title: name,
                values: values.map((each) => numberOf(each.value)),
                ink: "--accent",
                format: price,
              },
              {
                title: t("index.of", { origin: originOf({ origin }) }),
                values: values.map((each) => numberOf(all.get(each.as_of))),
                ink: "--sell",
                isRight: true,
              },
            ]}
          />
        );
      }}
    </Loaded>
  );
}

function useIndex(index: string) {
  return useQuery(
    `/v1/market/indices/${index}`,
    (conditions) => api.GET("/v1/market/indices/{index}", { ...conditions, params: { path: { index } } }),
    { every_s: EVERY_S },
  );
}

function numberOf(value: string | null | undefined): number | null {
  return value == null ? null : Number(value);
}

function price(value: number): string {
  return value.toFixed(2);
}
