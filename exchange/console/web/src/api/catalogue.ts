/** What is traded, in words: products, accelerators, places and interconnects, in the reader's language. */
import { computed, type ReadonlySignal } from "@preact/signals";
import { useMemo } from "preact/hooks";
import { language } from "../i18n";
import { api, type Schemas } from "./client";
import names from "./names.zh.json";
import { useQuery } from "./query";

export type Product = Schemas["ProductView"];

const PRODUCTS_MAX = 1000;
const CHINESE: ReadonlyMap<string, string> = new Map(Object.entries(names));

/** The catalogue as the pages need it: every name by its code. An unknown code is its own name. */
export class Catalogue {
  readonly products: ReadonlyMap<string, Product>;
  readonly #accelerators: ReadonlyMap<string, Schemas["AcceleratorView"]>;
  readonly #hubs: ReadonlyMap<string, Schemas["HubView"]>;
  readonly #clusters: ReadonlyMap<string, Schemas["Cluster"]>;
  readonly #interconnects: ReadonlyMap<string, Schemas["Interconnect"]>;

  constructor(
    products: readonly Product[],
    accelerators: readonly Schemas["AcceleratorView"][],
    hubs: readonly Schemas["HubView"][],
    interconnects: readonly Schemas["Interconnect"][],
  ) {
    this.products = new Map(products.map((each) => [each.id, each]));
    this.#accelerators = new Map(accelerators.map((each) => [each.id, each]));
    this.#hubs = new Map(hubs.map((each) => [each.code, each]));
    this.#clusters = new Map(hubs.flatMap((hub) => hub.clusters.map((each) => [each.code, each] as const)));
    this.#interconnects = new Map(interconnects.map((each) => [each.code, each]));
  }

  accelerator(id: string): string {
    const found = this.#accelerators.get(id);
    return found === undefined ? id : inChinese(`${found.vendor} ${found.name}`);
  }

  hub(code: string): string {
    return named(this.#hubs.get(code)) ?? code;
  }

  cluster(code: string): string {
    return named(this.#clusters.get(code)) ?? code;
  }

  interconnect(code: string): string {
    return inChinese(this.#interconnects.get(code)?.name ?? code);
  }

  /** A product in words: its accelerator, place and interconnect. */
  product(id: string): string {
    const found = this.products.get(id);
    if (found === undefined) return id;
    return `${this.chip(id)} · ${this.place(id)}`;
  }

  /** A product's accelerator in words. */
  chip(id: string): string {
    const found = this.products.get(id);
    return found === undefined ? id : this.accelerator(found.accelerator);
  }

  /** Where a product is, and how its accelerators are joined. */
  place(id: string): string {
    const found = this.products.get(id);
    return found === undefined
      ? ""
      : `${this.cluster(found.cluster)} · ${this.interconnect(found.interconnect)}`;
  }
}

/** Makers and their lines by their Chinese names, where the reader reads Chinese; what is not known stays as it is. */
function inChinese(text: string): string {
  if (language.value !== "zh") return text;
  const whole = CHINESE.get(text);
  if (whole !== undefined) return whole;
  let told = text;
  for (const [name, chinese] of CHINESE) {
    if (told === name || told.startsWith(`${name} `) || told.includes(` ${name} `))
      told = told.replace(name, chinese);
  }
  return told;
}

function named(place: { name_en: string; name_zh: string } | undefined): string | undefined {
  return language.value === "zh" ? place?.name_zh : place?.name_en;
}

/** The catalogue; null until it is read. It changes with a release only, so it is read once. */
export function useCatalogue(): ReadonlySignal<Catalogue | null> {
  const products = useQuery("/v1/products", (conditions) =>
    api.GET("/v1/products", { ...conditions, params: { query: { limit: PRODUCTS_MAX } } }),
  );
  const accelerators = useQuery("/v1/accelerators", (conditions) => api.GET("/v1/accelerators", conditions));
  const hubs = useQuery("/v1/hubs", (conditions) => api.GET("/v1/hubs", conditions));
  const interconnects = useQuery("/v1/interconnects", (conditions) =>
    api.GET("/v1/interconnects", conditions),
  );
  return useMemo(
    () =>
      computed(() => {
        const [listed, chips, places, joints] = [
          products.data.value,
          accelerators.data.value,
          hubs.data.value,
          interconnects.data.value,
        ];
        return listed && chips && places && joints
          ? new Catalogue(listed.data, chips.data, places.data, joints.data)
          : null;
      }),
    [products, accelerators, hubs, interconnects],
  );
}
