/** What tables of all have in common that an issuer decides on: claims and applications. */
import { stepReason } from "../api/codes";
import type { Column } from "../components/table";
import { Money } from "../components/values";
import { fenOf } from "../i18n";
import { ProgrammeName } from "./programme_name";
import { t } from "./texts";

interface Decided<Status> {
  id: string;
  programme_id: string;
  status: Status;
  reason: string;
  amount_cny: string;
  approved_cny?: string | null;
}

/** Of which programme, whose (where those of several stand there), how it stands, and what is asked and granted. */
export function decidedColumns<Status extends string, Row extends Decided<Status>>(of: {
  party: { title: string; name: (row: Row) => string } | null;
  statuses: readonly Status[];
  Badge: (props: { status: Status }) => preact.JSX.Element;
  amount: string;
  approved: string;
}): Column<Row>[] {
  const { party, Badge } = of;
  const parties: Column<Row>[] = party
    ? [
        {
          key: "party",
          title: party.title,
          cell: (row) => <span class="wrapped">{party.name(row)}</span>,
          sort: party.name,
        },
      ]
    : [];
  return [
    {
      key: "programme",
      title: t("programme"),
      head: true,
      cell: (row) => (
        <span class="wrapped">
          <ProgrammeName id={row.programme_id} />
          <span class="second code">{row.id}</span>
        </span>
      ),
    },
    ...parties,
    {
      key: "status",
      title: t("status"),
      cell: (row) => (
        <>
          <Badge status={row.status} />
          {row.reason && (
            <span class="second said" title={stepReason(row)}>
              {stepReason(row)}
            </span>
          )}
        </>
      ),
      sort: (row) => of.statuses.indexOf(row.status),
    },
    {
      key: "amount",
      title: of.amount,
      numeric: true,
      cell: (row) => <Money cny={row.amount_cny} />,
      sort: (row) => fenOf(row.amount_cny),
    },
    {
      key: "approved",
      title: of.approved,
      numeric: true,
      cell: (row) => <Money cny={row.approved_cny} />,
    },
  ];
}
