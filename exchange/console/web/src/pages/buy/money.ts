/** The buyer's own money and vouchers. */
import { type ReadonlySignal, useComputed } from "@preact/signals";
import { api, type Schemas } from "../../api/client";
import { type Query, useQuery } from "../../api/query";

export type Account = Schemas["AccountView"];
export type Voucher = Schemas["VoucherView"];

const EVERY_S = 10;
const ACCOUNTS_MAX = 1000;

export function useAccounts(): Query<{ data: Account[]; next_cursor?: string | null }> {
  return useQuery(
    "/v1/accounts",
    (conditions) => api.GET("/v1/accounts", { ...conditions, params: { query: { limit: ACCOUNTS_MAX } } }),
    { every_s: EVERY_S },
  );
}

/** The buyer's cash account; null until it is known. */
export function useCash(): ReadonlySignal<Account | null> {
  const accounts = useAccounts();
  return useComputed(() => accountOf(accounts.data.value?.data ?? [], "cash"));
}

export function accountOf(accounts: readonly Account[], purpose: Account["purpose"]): Account | null {
  return accounts.find((each) => each.asset === "CNY" && each.purpose === purpose) ?? null;
}

export function useVouchers(): Query<{ data: Voucher[]; next_cursor?: string | null }> {
  return useQuery(
    "/v1/vouchers",
    (conditions) => api.GET("/v1/vouchers", { ...conditions, params: { query: { limit: 200 } } }),
    { every_s: EVERY_S },
  );
}

/** Who pays for a voucher, and which of its vouchers it is: the end of an id tells two apart. */
export function voucherName(voucher: Voucher | undefined, id: string): string {
  const end = id.slice(-6);
  return voucher === undefined ? `…${end}` : `${voucher.programme_code} …${end}`;
}
