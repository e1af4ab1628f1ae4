/** One product, opened: its day, the chosen window, and everything live about it. */

import { useEffect, useId, useRef } from "preact/hooks";
import type { Catalogue } from "../../api/catalogue";
import { api } from "../../api/client";
import { HOUR_MS } from "../../api/hours";
import { useQuery } from "../../api/query";
import { IconClose } from "../../components/icons";
import { Badge, Figure, Money, Time } from "../../components/values";
import { formatHours, formatNumber, t as shared } from "../../i18n";
import { isKind, may } from "../../session";
import { to } from "../../shell/links";
import { Candles } from "./candles";
import { Depth } from "./depth";
import { Hours } from "./hours";
import { Change, IndexChart } from "./indices";
import type { Calendar } from "./shades";
import { HOURS_MAX, type MarketState } from "./state";
import { Tape } from "./tape";
import { t } from "./texts";

export function ProductPanel(props: {
  state: MarketState;
  onChange: (change: Partial<MarketState>) => void;
  catalogue: Catalogue;
  calendar: Calendar | undefined;
  /** Start of the calendar's first hour. */
  startsAt: number;
}) {
  const { state, catalogue, calendar, startsAt } = props;
  const { product } = state;
  const described = catalogue.products.get(product);
  const titleId = useId();
  const panel = useRef<HTMLElement>(null);
  useEffect(() => panel.current?.scrollIntoView({ block: "nearest" }), [product]);
  // Hours that have passed meanwhile are no longer for sale: the window begins with the first that is.
  const from = Math.max(Date.parse(state.starts_at || "") || startsAt, startsAt);
  const window = {
    startsAt: new Date(from).toISOString().replace(".000Z", "Z"),
    endsAt: new Date(from + state.hours * HOUR_MS).toISOString().replace(".000Z", "Z"),
  };
  return (
    <section class="market-panel" ref={panel} aria-labelledby={titleId}>
      <header class="market-panel-head">
        <div>
          <h2 id={titleId}>{described ? catalogue.accelerator(described.accelerator) : product}</h2>
          <p class="quiet">
            {described && `${catalogue.hub(described.hub)} · ${catalogue.place(product)}`}{" "}
            <code>{product}</code>
          </p>
        </div>
        <button
          type="button"
          class="icon-button"
          aria-label={shared("close")}
          onClick={() => props.onChange({ product: "", starts_at: "", hours: 1, gpus: 0 })}
        >
          <IconClose />
        </button>
      </header>
      <Day product={product} />
      <WindowForm {...props} window={window} />
      <div class="cards">
        <section class="card" aria-label={t("depth.title")}>
          <Depth product={product} {...window} gpus={state.gpus} />
        </section>
        {calendar && (
          <section class="card" aria-label={t("hours.title")}>
            <h3>{t("hours.title")}</h3>
            <Hours
              calendar={calendar}
              startsAt={startsAt}
              from={(from - startsAt) / HOUR_MS}
              hours={state.hours}
            />
          </section>
        )}
        <section class="card" aria-label={t("tape")}>
          <h3>{t("tape")}</h3>
          <Tape product={product} />
        </section>
        <section class="card" aria-label={t("candles.title")}>
          <Candles product={product} />
        </section>
        {described && (
          <section class="card card-wide" aria-label={t("index.title")}>
            <IndexChart
              accelerator={described.accelerator}
              origin={described.origin}
              name={catalogue.accelerator(described.accelerator)}
            />
          </section>
        )}
      </div>
    </section>
  );
}

/** The last 24 hours of trading in short. */
function Day({ product }: { product: string }) {
  const ticker = useQuery(
    `/v1/market/${product}/ticker`,
    (conditions) => api.GET("/v1/market/{product}/ticker", { ...conditions, params: { path: { product } } }),
    { every_s: 2 },
  ).data.value;
  if (ticker === null) return null;
  return (
    <dl class="figures">
      <Figure label={t("last")}>
        <Money cny={ticker.last_price_cny_per_gpu_hour} bare /> <Change percent={ticker.change_24h_percent} />
      </Figure>
      <Figure label={t("high_low")}>
        <Money cny={ticker.high_24h_cny_per_gpu_hour} bare /> /{" "}
        <Money cny={ticker.low_24h_cny_per_gpu_hour} bare />
      </Figure>
      <Figure label={t("volume")}>{formatNumber(ticker.gpu_hours_24h)}</Figure>
      <Figure label={t("phase")}>
        <Phase phase={ticker.phase} />
      </Figure>
      <Figure label={t("last_at")}>
        <Time at={ticker.last_traded_at} />
      </Figure>
    </dl>
  );
}

function Phase({ phase }: { phase: string }) {
  if (phase === "open") return <Badge tone="good">{shared("phase.open")}</Badge>;
  return <Badge tone="bad">{shared(phase === "halted" ? "phase.halted" : "phase.restricted")}</Badge>;
}

/** The window in words, and its length and quantity to be changed by the keyboard. */
function WindowForm(props: {
  state: MarketState;
  onChange: (change: Partial<MarketState>) => void;
  window: { startsAt: string; endsAt: string };
}) {
  const { state, onChange, window } = props;
  const [hoursId, gpusId] = [useId(), useId()];
  const wish = new URLSearchParams({
    product: state.product,
    starts_at: window.startsAt,
    hours: String(state.hours),
    gpus: String(state.gpus),
  });
  const number = (text: string, most: number) => Math.min(Math.max(Number.parseInt(text, 10) || 0, 0), most);
  return (
    <div class="market-window">
      <p>
        <Time at={window.startsAt} /> – <Time at={window.endsAt} />{" "}
        <span class="quiet">({formatHours(state.hours)})</span>
      </p>
      {isKind("buyer") && may("trade") && (
        <a class="button button-primary" href={to(`buy?${wish}`)}>
          {t("window.buy")}
        </a>
      )}
      <div class="field market-number">
        <label for={hoursId}>{t("window.hours")}</label>
        <input
          id={hoursId}
          type="number"
          min={1}
          max={HOURS_MAX}
          value={state.hours}
          onChange={(event) => onChange({ hours: Math.max(number(event.currentTarget.value, HOURS_MAX), 1) })}
        />
      </div>
      <div class="field market-number">
        <label for={gpusId}>{t("window.gpus")}</label>
        <input
          id={gpusId}
          type="number"
          min={0}
          placeholder={t("all")}
          value={state.gpus === 0 ? "" : state.gpus}
          onChange={(event) => onChange({ gpus: number(event.currentTarget.value, 1_000_000) })}
        />
      </div>
    </div>
  );
}
