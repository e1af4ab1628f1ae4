/** Claims: what can be claimed, what was, and where each stands; to an issuer, the queue of those made on it. */
import { api, read } from "../../api/client";
import { OwedCard } from "../../claims/owed";
import { CLAIM_STATUSES, ClaimTable, claimStatusText } from "../../claims/table";
import { More } from "../../components/more";
import { Loaded } from "../../components/states";
import { isKind } from "../../session";
import { ClaimDetail } from "./claim_detail";
import { type Claim, claimsPage, useClaims } from "./data";
import { useDecidedList } from "./list";
import { ListFilters } from "./parts";
import type { Change, VouchersState } from "./state";
import { t } from "./texts";

export function Claims({ state, onChange }: { state: VouchersState; onChange: Change }) {
  if (state.open !== "") {
    return <ClaimDetail key={state.open} id={state.open} onBack={() => onChange({ open: "" })} />;
  }
  return <List key={`${state.programme} ${state.status}`} state={state} onChange={onChange} />;
}

function List({ state, onChange }: { state: VouchersState; onChange: Change }) {
  const isIssuer = isKind("issuer");
  const {
    status,
    first: claims,
    older,
    keptAs,
  } = useDecidedList<Claim["status"], Claim>(state, {
    name: "claims",
    statuses: CLAIM_STATUSES,
    useFirst: useClaims,
    after: (...where) => read(() => api.GET("/v1/claims", claimsPage(...where))),
  });
  return (
    <div class="stack">
      {!isIssuer && (
        <OwedCard onMade={(claim) => onChange({ open: claim.id, status: "" })} onBatch={claims.refresh} />
      )}
      <section class="card">
        <div class="card-head">
          <h2>{t(isIssuer ? "claims.queue" : "claims.own")}</h2>
          <ListFilters
            state={state}
            status={status}
            statuses={CLAIM_STATUSES.filter((each) => !isIssuer || each !== "open").map((value) => ({
              value,
              title: claimStatusText(value),
            }))}
            isIssuer={isIssuer}
            onChange={onChange}
          />
        </div>
        {isIssuer && <p class="quiet">{t("claims.queue.text")}</p>}
        <Loaded query={claims}>
          {(page) => (
            <>
              <ClaimTable
                rows={older.rows(page)}
                keptAs={keptAs}
                isOfMany={isIssuer}
                onOpen={(id) => onChange({ open: id })}
              />
              <div>
                <More older={older} first={page} />
              </div>
            </>
          )}
        </Loaded>
      </section>
    </div>
  );
}
