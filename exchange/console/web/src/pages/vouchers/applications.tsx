/** Applications: a company's own; to an issuer, the queue of those to its programmes, and the allocation by score. */

import { api, read } from "../../api/client";
import { decidedColumns } from "../../claims/columns";
import { More } from "../../components/more";
import { openColumn } from "../../components/open_column";
import { Loaded } from "../../components/states";
import { type Column, DataTable } from "../../components/table";
import { Time } from "../../components/values";
import { formatNumber } from "../../i18n";
import { isKind, may } from "../../session";
import { Allocate } from "./allocate";
import { ApplicationDetail } from "./application_detail";
import { type Application, applicationsPage, useApplications } from "./data";
import { useDecidedList } from "./list";
import { APPLICATION_STATUSES, ApplicationBadge, ListFilters } from "./parts";
import type { Change, VouchersState } from "./state";
import { t } from "./texts";

export function Applications({ state, onChange }: { state: VouchersState; onChange: Change }) {
  if (state.open !== "") {
    return (
      <ApplicationDetail
        key={state.open}
        id={state.open}
        onBack={() => onChange({ open: "" })}
        onChange={onChange}
      />
    );
  }
  return <List key={`${state.programme} ${state.status}`} state={state} onChange={onChange} />;
}

function List({ state, onChange }: { state: VouchersState; onChange: Change }) {
  const isIssuer = isKind("issuer");
  const {
    status,
    first: applications,
    older,
    keptAs,
  } = useDecidedList<Application["status"], Application>(state, {
    name: "applications",
    statuses: APPLICATION_STATUSES,
    useFirst: useApplications,
    after: (...where) => read(() => api.GET("/v1/applications", applicationsPage(...where))),
  });
  return (
    <section class="card">
      <div class="card-head">
        <h2>{t(isIssuer ? "applications.queue" : "applications.own")}</h2>
        <ListFilters
          state={state}
          status={status}
          statuses={APPLICATION_STATUSES.map((value) => ({ value, title: t(`application.${value}`) }))}
          isIssuer={isIssuer}
          onChange={onChange}
        />
      </div>
      {isIssuer && may("issue") && state.programme !== "" && (
        <Allocate programmeId={state.programme} onDone={applications.refresh} />
      )}
      <Loaded query={applications}>
        {(page) => (
          <>
            <DataTable
              caption={t("applications")}
              keptAs={keptAs}
              captionHidden
              columns={columns(isIssuer)}
              onRow={(row) => onChange({ open: row.id })}
              rows={older.rows(page)}
              rowKey={(row) => row.id}
              empty={t(isIssuer ? "applications.queue.empty" : "applications.empty")}
            />
            <div>
              <More older={older} first={page} />
            </div>
          </>
        )}
      </Loaded>
    </section>
  );
}

function columns(isIssuer: boolean): Column<Application>[] {
  return [
    ...decidedColumns<Application["status"], Application>({
      party: isIssuer ? { title: t("application.company"), name: (row) => row.buyer_name } : null,
      statuses: APPLICATION_STATUSES,
      Badge: ApplicationBadge,
      amount: t("application.amount"),
      approved: t("application.approved_cny"),
    }),
    {
      key: "score",
      title: t("application.score"),
      numeric: true,
      cell: (row) => (row.score == null ? "–" : formatNumber(row.score)),
      sort: (row) => row.score ?? null,
    },
    {
      key: "submitted",
      title: t("application.submitted_at"),
      cell: (row) => <Time at={row.submitted_at} />,
      sort: (row) => row.submitted_at,
    },
    openColumn(t("actions"), t("open"), (row) => ({ id: row.id, label: t("open.label", { id: row.id }) })),
  ];
}
