/** Which products are shown, and what of them. Only what the catalogue has can be chosen. */
import { useId } from "preact/hooks";
import type { Catalogue, Product } from "../../api/catalogue";
import { Choice } from "../../components/tabs";
import { t as shared } from "../../i18n";
import { type MarketState, SHOWS, SPANS, VIEWS } from "./state";
import { t } from "./texts";

type FilterKey = "accelerator" | "origin" | "hub" | "interconnect";
/** What narrows the products; an empty text does not. */
export type ProductFilter = Record<FilterKey, string>;
const NO_FILTER: ProductFilter = { accelerator: "", origin: "", hub: "", interconnect: "" };

export function Filters(props: {
  state: MarketState;
  onChange: (change: Partial<MarketState>) => void;
  catalogue: Catalogue;
}) {
  const { state, onChange } = props;
  return (
    <search class="market-filters" aria-label={t("filters")}>
      <ProductFilters wanted={state} onChange={onChange} catalogue={props.catalogue} />
      <div class="market-switches">
        <Choice
          label={t("show")}
          options={SHOWS.map((key) => ({ key, title: t(`show.${key}`) }))}
          chosen={state.show}
          onChoose={(show) => onChange({ show })}
        />
        <Choice
          label={t("span")}
          options={SPANS.map((key) => ({ key, title: t("days", { count: Number(key) }) }))}
          chosen={state.span}
          onChoose={(span) => onChange({ span })}
        />
        <Choice
          label={t("view")}
          options={VIEWS.map((key) => ({ key, title: t(`view.${key}`) }))}
          chosen={state.view}
          onChoose={(view) => onChange({ view })}
        />
      </div>
    </search>
  );
}

/** The filters alone, for every page on which a product is picked. */
export function ProductFilters(props: {
  wanted: ProductFilter;
  onChange: (change: Partial<ProductFilter>) => void;
  catalogue: Catalogue;
}) {
  const { wanted, onChange, catalogue } = props;
  const names: Record<FilterKey, (code: string) => string> = {
    accelerator: (code) => catalogue.accelerator(code),
    origin: (code) => shared(code === "domestic" ? "origin.domestic" : "origin.foreign"),
    hub: (code) => catalogue.hub(code),
    interconnect: (code) => catalogue.interconnect(code),
  };
  const keys = Object.keys(names) as FilterKey[];
  const isNarrowed = keys.some((key) => wanted[key] !== "");
  return (
    <>
      {keys.map((key) => (
        <Filter
          key={key}
          label={t(key)}
          value={wanted[key]}
          options={options(catalogue, key, names[key])}
          onChange={(value) => onChange({ [key]: value })}
        />
      ))}
      {isNarrowed && (
        <button type="button" class="button button-small" onClick={() => onChange(NO_FILTER)}>
          {t("clear")}
        </button>
      )}
    </>
  );
}

/** Whether a product is one of those that the filters admit. */
export function admits(wanted: ProductFilter, product: Product): boolean {
  return (Object.keys(NO_FILTER) as FilterKey[]).every(
    (key) => wanted[key] === "" || wanted[key] === product[key],
  );
}

function options(catalogue: Catalogue, key: FilterKey, name: (code: string) => string): [string, string][] {
  const codes = new Set([...catalogue.products.values()].map((product) => product[key]));
  return [...codes]
    .map((code): [string, string] => [code, name(code)])
    .sort(([, one], [, other]) => one.localeCompare(other));
}

function Filter(props: {
  label: string;
  value: string;
  options: [string, string][];
  onChange: (value: string) => void;
}) {
  const id = useId();
  return (
    <div class="field market-filter">
      <label for={id}>{props.label}</label>
      <div class="control">
        <select id={id} value={props.value} onChange={(event) => props.onChange(event.currentTarget.value)}>
          <option value="">{t("all")}</option>
          {props.options.map(([code, name]) => (
            <option key={code} value={code}>
              {name}
            </option>
          ))}
        </select>
      </div>
    </div>
  );
}
