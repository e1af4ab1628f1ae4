/** The buyer's own money and vouchers. */
import { type ReadonlySignal, useComputed } from "@preact/signals";
import { type Account, useAccounts, useVouchers, type Voucher } from "../../api/own";
import type { Query } from "../../api/query";

const CHOSEN_FROM_MAX = 200;

/** The buyer's cash account; null until it is known. */
export function useCash(): ReadonlySignal<Account | null> {
  const accounts = useAccounts();
  return useComputed(() => accountOf(accounts.data.value?.data ?? [], "cash"));
}

export function accountOf(accounts: readonly Account[], purpose: Account["purpose"]): Account | null {
  return accounts.find((each) => each.asset === "CNY" && each.purpose === purpose) ?? null;
}

/** The vouchers that may pay: of more than these nobody chooses by hand. */
export function useOwnVouchers(): Query<{ data: Voucher[] }> {
  return useVouchers(CHOSEN_FROM_MAX);
}

/** Who pays for a voucher, and which of its vouchers it is: the end of an id tells two apart. */
export function voucherName(voucher: Voucher | undefined, id: string): string {
  const end = id.slice(-6);
  return voucher === undefined ? `…${end}` : `${voucher.programme_code} …${end}`;
}
