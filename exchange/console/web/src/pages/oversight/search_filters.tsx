/** The filters of a search of trades or records: every parameter of docs/oversight.md has its field. */
import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { type Catalogue, useCatalogue } from "../../api/catalogue";
import { Field } from "../../components/form";
import { MomentInput } from "../../components/moment_input";
import { t as shared } from "../../i18n";
import { CODES, codeName } from "./codes";
import { SelectField, TextField } from "./parts";
import { t } from "./texts";

export type Kind = "trades" | "events";

const SHARED = [
  "product",
  "accelerator",
  "origin",
  "hub",
  "participant",
  "trade_group",
  "region",
  "side",
  "price_min_cny_per_gpu_hour",
  "price_max_cny_per_gpu_hour",
  "programme",
  "voucher_funded",
  "order",
] as const;

/** The parameters of each search. */
export const FILTERS: Record<Kind, readonly string[]> = {
  trades: ["traded_from", "traded_until", ...SHARED, "buyer", "provider"],
  events: ["event_from", "event_until", ...SHARED, "order_id", "code"],
};

/** Those that are always in sight. */
const FIRST = ["traded_from", "traded_until", "event_from", "event_until", "product", "participant"];

export function SearchFilters(props: {
  kind: Kind;
  draft: Readonly<Record<string, string>>;
  onChange: (name: string, value: string) => void;
  /** Whether the last try was refused: then every field is in sight. */
  isRefused: boolean;
}) {
  const { kind, draft, onChange } = props;
  const catalogue = useCatalogue().value;
  const more = FILTERS[kind].filter((name) => !FIRST.includes(name) && (draft[name] ?? "") !== "").length;
  const isOpen = useSignal(more > 0 || matchMedia("(min-width: 60rem)").matches);
  useEffect(() => {
    if (props.isRefused) isOpen.value = true;
  }, [props.isRefused]);
  const text = (name: string, label: string, placeholder?: string) => (
    <TextField
      label={label}
      name={name}
      value={draft[name] ?? ""}
      onChange={(value) => onChange(name, value)}
      {...(placeholder === undefined ? {} : { placeholder })}
    />
  );
  const select = (
    name: string,
    label: string,
    options: readonly (readonly [string, string])[],
    any: string | undefined = t("any"),
  ) => (
    <SelectField
      label={label}
      name={name}
      value={draft[name] ?? ""}
      onChange={(value) => onChange(name, value)}
      options={options}
      {...(any === undefined ? {} : { any })}
    />
  );
  const moment = (name: string, label: string) => (
    <Field label={label} pointer={`?${name}`}>
      {(control) => (
        <MomentInput control={control} value={draft[name] ?? ""} onChange={(at) => onChange(name, at)} />
      )}
    </Field>
  );
  const time = kind === "trades" ? "traded" : "event";
  return (
    <>
      <div class="fields ov-fields">
        {moment(`${time}_from`, t("filter.from"))}
        {moment(`${time}_until`, t("filter.until"))}
        {select("product", t("filter.product"), productOptions(catalogue))}
        {text("participant", t("filter.participant"), "par_…")}
      </div>
      <details
        class="ov-more"
        open={isOpen.value}
        onToggle={(event) => {
          isOpen.value = event.currentTarget.open;
        }}
      >
        <summary>{more === 0 ? t("filter.more") : t("filter.more.used", { count: more })}</summary>
        <div class="fields ov-fields">
          {kind === "trades" && text("buyer", t("filter.buyer"), "par_…")}
          {kind === "trades" && text("provider", t("filter.provider"), "par_…")}
          {kind === "events" && text("order_id", t("filter.order_id"), "ord_…")}
          {kind === "events" &&
            select(
              "code",
              t("filter.code"),
              CODES.map((code) => [code, `${code} · ${codeName(code)}`] as const),
            )}
          {text("trade_group", t("filter.trade_group"), "grp_…")}
          {text("region", t("filter.region"), "guizhou")}
          {select("accelerator", t("filter.accelerator"), codesOf(catalogue, "accelerator"))}
          {select("origin", t("filter.origin"), [
            ["domestic", shared("origin.domestic")],
            ["foreign", shared("origin.foreign")],
          ])}
          {select("hub", t("filter.hub"), codesOf(catalogue, "hub"))}
          {select("side", t(kind === "trades" ? "filter.aggressor" : "filter.side"), [
            ["buy", shared("side.buy")],
            ["sell", shared("side.sell")],
          ])}
          {text("price_min_cny_per_gpu_hour", t("filter.price_min"), "0.00")}
          {text("price_max_cny_per_gpu_hour", t("filter.price_max"), "0.00")}
          {text("programme", t("filter.programme"), "prg_…")}
          {select("voucher_funded", t("filter.voucher_funded"), [
            ["true", t("yes")],
            ["false", t("no")],
          ])}
          {select(
            "order",
            t("filter.order"),
            [["oldest_first", t("order.oldest_first")]],
            t("order.newest_first"),
          )}
        </div>
      </details>
    </>
  );
}

/** Every product by its words. */
export function productOptions(catalogue: Catalogue | null): (readonly [string, string])[] {
  if (catalogue === null) return [];
  return [...catalogue.products.keys()]
    .map((id) => [id, catalogue.product(id)] as const)
    .sort(([, one], [, other]) => one.localeCompare(other));
}

function codesOf(catalogue: Catalogue | null, of: "accelerator" | "hub"): (readonly [string, string])[] {
  if (catalogue === null) return [];
  const codes = new Set([...catalogue.products.values()].map((product) => product[of]));
  return [...codes]
    .map((code) => [code, catalogue[of](code)] as const)
    .sort(([, one], [, other]) => one.localeCompare(other));
}
