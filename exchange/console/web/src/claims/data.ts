/** What is owed for vouchers, and what was claimed of it. */
import { api, type Schemas } from "../api/client";
import type { Account } from "../api/own";
import { type Query, useQuery } from "../api/query";

export type Claim = Schemas["ClaimView"];
export type ClaimStatus = Claim["status"];
export type Programme = Schemas["ProgrammeView"];

/** What one programme owes: what can be claimed now, and what is claimed and not paid yet. */
export interface Owed {
  programmeId: string;
  receivable: string;
  claimed: string;
}

export function useProgramme(id: string): Query<Programme> {
  return useQuery(`/v1/programmes/${id}`, (c) =>
    api.GET("/v1/programmes/{programme_id}", { ...c, params: { path: { programme_id: id } } }),
  );
}

export function owedOf(accounts: readonly Account[]): Owed[] {
  const owed = new Map<string, Owed>();
  for (const each of accounts) {
    if (each.purpose !== "receivable" && each.purpose !== "claimed") continue;
    const known = owed.get(each.asset) ?? { programmeId: each.asset, receivable: "0.00", claimed: "0.00" };
    owed.set(each.asset, { ...known, [each.purpose]: each.balance_cny });
  }
  return [...owed.values()];
}
