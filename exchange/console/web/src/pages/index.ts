/**
 * The pages: where each is, what it is called, who may see it, and how it is loaded. A new page is one entry here, and
 * a folder beside this file that the browser loads when the page is opened.
 */
import type { ComponentType, JSX } from "preact";
import {
  IconBuy,
  IconLeases,
  IconMarket,
  IconOperations,
  IconOversight,
  IconSell,
  IconVouchers,
} from "../components/icons";
import { t } from "../i18n";
import { isKind, may } from "../session";

export interface Page {
  /** Below /console/. */
  path: string;
  title: () => string;
  icon: () => JSX.Element;
  /** Whether who is logged in may use it. Reads `session`. */
  isOpen: () => boolean;
  load: () => Promise<{ default: ComponentType }>;
}

export const pages: readonly Page[] = [
  {
    path: "market",
    title: () => t("nav.market"),
    icon: IconMarket,
    isOpen: () => true,
    load: () => import("./market"),
  },
  {
    path: "buy",
    title: () => t("nav.buy"),
    icon: IconBuy,
    isOpen: () => isKind("buyer") && may("read"),
    load: () => import("./buy"),
  },
  {
    path: "sell",
    title: () => t("nav.sell"),
    icon: IconSell,
    isOpen: () => isKind("provider") && may("list_capacity"),
    load: () => import("./sell"),
  },
  {
    path: "leases",
    title: () => t("nav.leases"),
    icon: IconLeases,
    isOpen: () => isKind("provider", "buyer") && may("read"),
    load: () => import("./leases"),
  },
  {
    path: "vouchers",
    title: () => t("nav.vouchers"),
    icon: IconVouchers,
    isOpen: () => isKind("provider", "buyer", "issuer") && may("read"),
    load: () => import("./vouchers"),
  },
  {
    path: "oversight",
    title: () => t("nav.oversight"),
    icon: IconOversight,
    isOpen: () => may("audit") || may("operate"),
    load: () => import("./oversight"),
  },
  {
    path: "operations",
    title: () => t("nav.operations"),
    icon: IconOperations,
    isOpen: () => may("operate"),
    load: () => import("./operations"),
  },
];
