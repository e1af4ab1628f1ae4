/** What the page asks the exchange for. */
import { api, type Schemas } from "../../api/client";
import { type Query, useQuery } from "../../api/query";

export type Voucher = Schemas["VoucherView"];
export type VoucherStep = Schemas["VoucherStepView"];
export type Programme = Schemas["ProgrammeView"];
export type Version = Schemas["VersionView"];
export type Rules = Schemas["ProgrammeRules"];
export type Application = Schemas["ApplicationView"];
export type Admission = Schemas["AdmissionView"];
export type Rule = Schemas["RuleAnswer"];
export type Claim = Schemas["ClaimView"];
export type Evidence = Schemas["EvidenceView"];

const EVERY_S = 15;
export const ROWS = 100;
/** Programmes are few, and what narrows lists must name them all. */
const PROGRAMMES_MAX = 1000;

export function useProgrammes(): Query<{ data: Programme[] }> {
  return useQuery(
    "/v1/programmes",
    (c) => api.GET("/v1/programmes", { ...c, params: { query: { limit: PROGRAMMES_MAX } } }),
    { every_s: EVERY_S },
  );
}

export function useVersions(programmeId: string): Query<{ data: Version[] }> {
  return useQuery(`/v1/programmes/${programmeId}/versions`, (c) =>
    api.GET("/v1/programmes/{programme_id}/versions", {
      ...c,
      params: { path: { programme_id: programmeId }, query: { limit: 1000 } },
    }),
  );
}

export function useVoucher(id: string): Query<Voucher> {
  return useQuery(
    `/v1/vouchers/${id}`,
    (c) => api.GET("/v1/vouchers/{voucher_id}", { ...c, params: { path: { voucher_id: id } } }),
    { every_s: EVERY_S },
  );
}

export function applicationsPage(programme: string, status: string, cursor?: string) {
  const query = {
    limit: ROWS,
    ...(programme && { programme_id: programme }),
    ...(status && { status: status as Application["status"] }),
    ...(cursor && { cursor }),
  };
  return { params: { query } };
}

export function useApplications(programme: string, status: string) {
  return useQuery(
    `/v1/applications ${programme} ${status}`,
    (c) => api.GET("/v1/applications", { ...c, ...applicationsPage(programme, status) }),
    { every_s: EVERY_S },
  );
}

export function useApplication(id: string): Query<Application> {
  return useQuery(
    `/v1/applications/${id}`,
    (c) => api.GET("/v1/applications/{application_id}", { ...c, params: { path: { application_id: id } } }),
    { every_s: EVERY_S },
  );
}

export function claimsPage(programme: string, status: string, cursor?: string) {
  const query = {
    limit: ROWS,
    ...(programme && { programme_id: programme }),
    ...(status && { status: status as Claim["status"] }),
    ...(cursor && { cursor }),
  };
  return { params: { query } };
}

export function useClaims(programme: string, status: string) {
  return useQuery(
    `/v1/claims ${programme} ${status}`,
    (c) => api.GET("/v1/claims", { ...c, ...claimsPage(programme, status) }),
    { every_s: EVERY_S },
  );
}

export function useClaim(id: string): Query<Claim> {
  return useQuery(
    `/v1/claims/${id}`,
    (c) => api.GET("/v1/claims/{claim_id}", { ...c, params: { path: { claim_id: id } } }),
    { every_s: EVERY_S },
  );
}

export function useEvidence(id: string): Query<{ data: Evidence[] }> {
  return useQuery(
    `/v1/claims/${id}/evidence`,
    (c) => api.GET("/v1/claims/{claim_id}/evidence", { ...c, params: { path: { claim_id: id } } }),
    { every_s: EVERY_S },
  );
}
