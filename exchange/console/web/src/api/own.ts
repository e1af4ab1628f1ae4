/** The reader's own accounts and vouchers, which several pages show. */
import { api, type Schemas } from "./client";
import { type Query, useQuery } from "./query";

export type Account = Schemas["AccountView"];
export type Voucher = Schemas["VoucherView"];

const EVERY_S = 10;
const ACCOUNTS_MAX = 1000;

export function useAccounts(): Query<{ data: Account[] }> {
  return useQuery(
    "/v1/accounts",
    (c) => api.GET("/v1/accounts", { ...c, params: { query: { limit: ACCOUNTS_MAX } } }),
    { every_s: EVERY_S },
  );
}

/** What a page of vouchers is asked for by: of a programme where one is named, after a cursor where there is one. */
export function vouchersPage(limit: number, programme: string, cursor?: string) {
  const query = {
    limit,
    ...(programme && { programme_id: programme }),
    ...(cursor && { cursor }),
  };
  return { params: { query } };
}

/** The first vouchers of the reader: at most `limit`, of a programme where one is named. */
export function useVouchers(
  limit: number,
  programme = "",
): Query<{ data: Voucher[]; next_cursor?: string | null }> {
  return useQuery(
    `/v1/vouchers ${limit} ${programme}`,
    (c) => api.GET("/v1/vouchers", { ...c, ...vouchersPage(limit, programme) }),
    { every_s: EVERY_S },
  );
}
