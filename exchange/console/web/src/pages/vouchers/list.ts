/** A list of what an issuer decides on, as its reader left it: filters of the address, rows read so far, order. */
import type { Query } from "../../api/query";
import { type Older, useOlder } from "../../components/more";
import type { Page } from "../../components/older";
import { useReturn, type VouchersState } from "./state";

export interface DecidedList<Status, Row> {
  /** The state that rows are limited to; "" for all. */
  status: Status | "";
  first: Query<Page<Row>>;
  older: Older<Row>;
  /** The list's name, where its order and older rows stay while it is away. */
  keptAs: string;
}

export function useDecidedList<Status extends string, Row extends { id: string }>(
  state: VouchersState,
  of: {
    name: string;
    statuses: readonly Status[];
    useFirst: (programme: string, status: Status | "") => Query<Page<Row>>;
    after: (programme: string, status: Status | "", cursor: string) => Promise<Page<Row>>;
  },
): DecidedList<Status, Row> {
  const { programme } = state;
  const status = of.statuses.find((each) => each === state.status) ?? "";
  const first = of.useFirst(programme, status);
  const keptAs = `${of.name} ${programme} ${status}`;
  const older = useOlder<Row>((cursor) => of.after(programme, status, cursor), keptAs);
  useReturn(first.data.value !== null);
  return { status, first, older, keptAs };
}
