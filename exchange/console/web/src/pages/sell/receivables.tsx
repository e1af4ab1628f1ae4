/** What voucher programmes owe the provider, and its claims; each is followed on the page of vouchers. */
import { useLocation } from "preact-iso";
import { api } from "../../api/client";
import { useQuery } from "../../api/query";
import { OwedCard } from "../../claims/owed";
import { ClaimTable } from "../../claims/table";
import { t } from "../../claims/texts";
import { Loaded } from "../../components/states";
import { to } from "../../shell/links";

export function Receivables() {
  const { route } = useLocation();
  const claims = useQuery(
    "/v1/claims",
    (c) => api.GET("/v1/claims", { ...c, params: { query: { limit: 100 } } }),
    { every_s: 30 },
  );
  const open = (id: string) => route(to(`vouchers?tab=claims&open=${id}`));
  return (
    <>
      <OwedCard
        onMade={(claim) => {
          claims.refresh();
          if (claim.status === "open") open(claim.id);
        }}
        onBatch={claims.refresh}
      />
      <section class="card">
        <h2>{t("claims")}</h2>
        <Loaded query={claims}>{({ data }) => <ClaimTable rows={data} onOpen={open} />}</Loaded>
      </section>
    </>
  );
}
