/**
 * What is known of a list whose first page is read again and again, and whose older rows were read once.
 *
 * Rows stand as the exchange orders them, newest first. What new rows push out of the first page stays below it; what
 * has gone from among its rows (it no longer is what the list shows) goes. Where the last row of a first page is not
 * known, either nothing known is below it or rows that nobody has read are, so the list begins anew.
 */
export interface Page<Row> {
  data: Row[];
  next_cursor?: string | null;
}

export interface Known<Row> {
  rows: readonly Row[];
  /** Where the list goes on, null at its end; undefined while nothing beyond the first page was asked for. */
  next: string | null | undefined;
}

export const BEGIN: Known<never> = { rows: [], next: undefined };

/** What is known once a first page has come. */
export function at<Row extends { id: string }>(known: Known<Row>, { data }: Page<Row>): Known<Row> {
  if (known.next === undefined) return { rows: data, next: undefined };
  const last = known.rows.findIndex((each) => each.id === data.at(-1)?.id);
  if (last === -1) return { rows: data, next: undefined };
  return { rows: joined(data, known.rows.slice(last + 1)), next: known.next };
}

/** What is known once the page after it has come. */
export function extended<Row extends { id: string }>(known: Known<Row>, page: Page<Row>): Known<Row> {
  return { rows: joined(known.rows, page.data), next: page.next_cursor ?? null };
}

function joined<Row extends { id: string }>(above: readonly Row[], below: readonly Row[]): Row[] {
  const ids = new Set(above.map((each) => each.id));
  return [...above, ...below.filter((each) => !ids.has(each.id))];
}
