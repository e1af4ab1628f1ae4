/** What is bought, when, how much and at which limit. */
import type { Catalogue, Product } from "../../api/catalogue";
import { Field } from "../../components/form";
import { HourTextInput, zone } from "../../components/hour_input";
import { Choice } from "../../components/tabs";
import { formatBps, formatHours, t as shared } from "../../i18n";
import { admits, type ProductFilter } from "../market/filters";
import { windowHours } from "./draft";
import type { TermsProps } from "./terms";
import { t } from "./texts";

export function WindowFields(
  props: TermsProps & { catalogue: Catalogue; filter: ProductFilter; firstHour: number | null },
) {
  const { draft, faultAt, onChange, catalogue } = props;
  const product = catalogue.products.get(draft.product);
  const hours = windowHours(draft);
  const min = { min: props.firstHour };
  const setFlexible = (isFlexible: boolean) =>
    onChange({ isFlexible, hours: isFlexible && draft.hours === "" && hours ? String(hours) : draft.hours });
  return (
    <>
      <Field
        label={t("product")}
        pointer="/product"
        fault={faultAt("/product")}
        hint={draft.product || undefined}
      >
        {(control) => (
          <select
            {...control}
            value={draft.product}
            onChange={(event) => onChange({ product: event.currentTarget.value })}
          >
            <option value="">{t("product.choose")}</option>
            {products(catalogue, props.filter, draft.product).map((each) => (
              <option key={each.id} value={each.id}>
                {catalogue.product(each.id)}
              </option>
            ))}
          </select>
        )}
      </Field>
      <Choice
        label={t("when")}
        options={[
          { key: "exact", title: t("when.exact") },
          { key: "flexible", title: t("when.flexible") },
        ]}
        chosen={draft.isFlexible ? "flexible" : "exact"}
        onChoose={(key) => setFlexible(key === "flexible")}
      />
      <div class="fields">
        <Field
          label={t(draft.isFlexible ? "starts.earliest" : "starts")}
          pointer="/starts_at"
          fault={faultAt("/starts_at")}
          hint={t("zone", { zone: zone() })}
        >
          {(control) => (
            <HourTextInput
              {...min}
              control={control}
              value={draft.starts_at}
              onChange={(at) => onChange({ starts_at: at })}
            />
          )}
        </Field>
        <Field
          label={t(draft.isFlexible ? "ends.latest" : "ends")}
          pointer="/ends_at"
          fault={faultAt("/ends_at")}
          hint={hours === null ? undefined : formatHours(hours)}
        >
          {(control) => (
            <HourTextInput
              {...min}
              control={control}
              value={draft.ends_at}
              onChange={(at) => onChange({ ends_at: at })}
            />
          )}
        </Field>
        {draft.isFlexible && (
          <Field
            label={t("hours")}
            pointer="/hours"
            fault={faultAt("/hours")}
            hint={t("hours.text")}
            unit={t("hours.unit")}
          >
            {(control) => (
              <input
                {...control}
                type="number"
                min={1}
                inputMode="numeric"
                value={draft.hours}
                onInput={(event) => onChange({ hours: event.currentTarget.value })}
              />
            )}
          </Field>
        )}
        <Field
          label={t("quantity")}
          pointer="/quantity_gpus"
          fault={faultAt("/quantity_gpus")}
          hint={product && product.lot_gpus > 1 ? t("quantity.lot", { lot: product.lot_gpus }) : undefined}
        >
          {(control) => (
            <input
              {...control}
              type="number"
              min={product?.lot_gpus ?? 1}
              step={product?.lot_gpus ?? 1}
              inputMode="numeric"
              value={draft.quantity}
              onInput={(event) => onChange({ quantity: event.currentTarget.value })}
            />
          )}
        </Field>
        <Field
          label={t("price")}
          pointer="/price_cny_per_gpu_hour"
          fault={faultAt("/price_cny_per_gpu_hour")}
          hint={product && priceHint(product)}
          unit={shared("unit.cny_gpu_hour")}
        >
          {(control) => (
            <input
              {...control}
              type="text"
              inputMode="decimal"
              autocomplete="off"
              value={draft.price}
              onInput={(event) => onChange({ price: event.currentTarget.value })}
            />
          )}
        </Field>
      </div>
    </>
  );
}

function priceHint(product: Product): string {
  return t("price.reference", {
    price: product.reference_price_cny_per_gpu_hour,
    collar: formatBps(product.collar_bps),
  });
}

function products(catalogue: Catalogue, filter: ProductFilter, chosen: string): Product[] {
  return [...catalogue.products.values()]
    .filter((each) => each.id === chosen || admits(filter, each))
    .sort((one, other) => catalogue.product(one.id).localeCompare(catalogue.product(other.id)));
}
