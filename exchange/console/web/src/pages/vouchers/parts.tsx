/** Parts that several tabs share: the frame of what is open, states, companies, histories, filters. */

import type { ComponentChildren } from "preact";
import { useEffect, useId, useRef } from "preact/hooks";
import { stepReason } from "../../api/codes";
import { HOUR_MS } from "../../api/hours";
import type { Query } from "../../api/query";
import { useVenueTime } from "../../api/venue";
import { Loaded } from "../../components/states";
import { type Column, DataTable } from "../../components/table";
import { Badge, type BadgeTone, Money, Time } from "../../components/values";
import { fenOf, formatHours } from "../../i18n";
import { session } from "../../session";
import { type Application, type Programme, useProgrammes, type Voucher } from "./data";
import { type Change, useOpened, type VouchersState } from "./state";
import { t } from "./texts";

const SOON_HOURS = 14 * 24;
const URGENT_HOURS = 3 * 24;

const VOUCHER_TONES: Record<Voucher["status"], BadgeTone> = {
  active: "good",
  suspended: "busy",
  exhausted: "plain",
  expired: "plain",
  revoked: "bad",
};
const PROGRAMME_TONES: Record<Programme["status"], BadgeTone> = {
  draft: "plain",
  open: "good",
  exhausted: "busy",
  closed: "plain",
};
const APPLICATION_TONES: Record<Application["status"], BadgeTone> = {
  submitted: "busy",
  in_committee: "busy",
  approved: "good",
  rejected: "bad",
  withdrawn: "plain",
};
export const APPLICATION_STATUSES = Object.keys(APPLICATION_TONES) as readonly Application["status"][];

export function VoucherBadge({ status }: { status: Voucher["status"] }) {
  return <Badge tone={VOUCHER_TONES[status]}>{t(`voucher.${status}`)}</Badge>;
}

export function ProgrammeBadge({ status }: { status: Programme["status"] }) {
  return <Badge tone={PROGRAMME_TONES[status]}>{t(`programme.${status}`)}</Badge>;
}

export function ApplicationBadge({ status }: { status: Application["status"] }) {
  return <Badge tone={APPLICATION_TONES[status]}>{t(`application.${status}`)}</Badge>;
}

/** Whether a participant is the reader. */
export function isOwn(participantId: string): boolean {
  return session.value?.participant_id === participantId;
}

/** When a voucher expires, and in how long by the venue's time where it still can. */
export function Expiry({ voucher }: { voucher: Voucher }) {
  const venue = useVenueTime().data.value;
  const hours =
    venue === null ? null : Math.floor((Date.parse(voucher.expires_at) - Date.parse(venue.now_at)) / HOUR_MS);
  const counts = voucher.status === "active" || voucher.status === "suspended";
  if (hours === null || hours < 0 || !counts) {
    return (
      <>
        {t(hours !== null && hours < 0 ? "expiry.past" : "expiry.at")} <Time at={voucher.expires_at} />
      </>
    );
  }
  const tone = hours < URGENT_HOURS ? "bad" : hours < SOON_HOURS ? "busy" : "plain";
  const left = formatHours(hours >= 48 ? hours - (hours % 24) : hours);
  return (
    <>
      <Badge tone={tone}>{t("expiry.in", { left })}</Badge> <Time at={voucher.expires_at} />
    </>
  );
}

/** What is open in a tab, by its id or a name of the page's own: its heading has the focus, and a way back to the list. */
export function Opened(props: {
  id: string;
  title: ComponentChildren;
  badge?: ComponentChildren;
  back: string;
  onBack: () => void;
  children: ComponentChildren;
}) {
  const heading = useRef<HTMLHeadingElement>(null);
  useOpened(props.id);
  useEffect(() => heading.current?.focus(), [props.id]);
  return (
    <div class="stack">
      <div>
        <button type="button" class="button button-small" onClick={props.onBack}>
          <span aria-hidden="true">←</span> {props.back}
        </button>
      </div>
      <div class="voucher-head">
        <h2 ref={heading} tabIndex={-1}>
          {props.title}
        </h2>
        {props.badge}
        {props.id.includes("_") && <span class="code quiet">{props.id}</span>}
      </div>
      {props.children}
    </div>
  );
}

/** One step of anything that has a life. */
interface Told {
  to: ComponentChildren;
  by: string;
  amount?: string | null;
}

interface LifeStep extends Told {
  number: number;
  at: string;
  reason: string;
}

interface RecordedStep {
  number: number;
  stepped_at: string;
  reason: string;
  reason_code?: string | null;
}

/** A step that moved nothing says nothing of money. */
function moved(cny: string | null | undefined): string | null {
  return cny == null || fenOf(cny) === 0n ? null : cny;
}

/** The card of what became of something: what it began with, where that is no step, and its steps. */
export function LifeCard<Step extends RecordedStep>(props: {
  steps: Query<{ data: Step[] }>;
  amount: string;
  begin?: Told & { at: string };
  of: (step: Step) => Told;
}) {
  const begin = props.begin === undefined ? [] : [{ ...props.begin, number: 0, reason: "" }];
  const lifeStep = (step: Step): LifeStep => ({
    ...props.of(step),
    number: step.number,
    at: step.stepped_at,
    reason: stepReason(step),
  });
  return (
    <section class="card">
      <h3>{t("steps")}</h3>
      <Loaded query={props.steps}>
        {({ data }) => <Life amount={props.amount} steps={[...begin, ...data.map(lifeStep)]} />}
      </Loaded>
    </section>
  );
}

/** What became of something, in order. */
function Life({ steps, amount }: { steps: readonly LifeStep[]; amount: string }) {
  const columns: Column<LifeStep>[] = [
    { key: "at", title: t("step.at"), cell: (row) => <Time at={row.at} /> },
    { key: "to", title: t("step.to"), head: true, cell: (row) => row.to },
    { key: "by", title: t("step.by"), cell: (row) => row.by },
    { key: "amount", title: amount, numeric: true, cell: (row) => <Money cny={moved(row.amount)} /> },
    { key: "reason", title: t("step.reason"), cell: (row) => <span class="wrapped">{row.reason}</span> },
  ];
  return (
    <DataTable
      caption={t("steps")}
      captionHidden
      columns={columns}
      rows={steps}
      rowKey={(row) => row.number}
      empty={t("steps.empty")}
    />
  );
}

/** Narrows a list; "" is everything. */
export function Filter(props: {
  label: string;
  all: string;
  value: string;
  options: readonly { value: string; title: string }[];
  onChange: (value: string) => void;
}) {
  const id = useId();
  return (
    <div class="voucher-filter control">
      <label class="visually-hidden" for={id}>
        {props.label}
      </label>
      <select id={id} value={props.value} onChange={(event) => props.onChange(event.currentTarget.value)}>
        <option value="">{props.all}</option>
        {props.options.map((each) => (
          <option key={each.value} value={each.value}>
            {each.title}
          </option>
        ))}
      </select>
    </div>
  );
}

/** Narrows a list to a programme: an issuer to one of its own. */
export function ProgrammeFilter(props: { value: string; isOwn?: boolean; onChange: (id: string) => void }) {
  const programmes = useProgrammes().data.value?.data ?? [];
  const shown = programmes.filter((each) => !props.isOwn || isOwn(each.issuer_id));
  return (
    <Filter
      label={t("filter.programme")}
      all={t("filter.programme.all")}
      value={props.value}
      options={shown.map((each) => ({ value: each.id, title: `${each.name} (${each.code})` }))}
      onChange={props.onChange}
    />
  );
}

/** Narrows a list by status and by programme; an issuer's to its own ones. */
export function ListFilters(props: {
  state: VouchersState;
  status: string;
  statuses: readonly { value: string; title: string }[];
  isIssuer: boolean;
  onChange: Change;
}) {
  return (
    <search class="voucher-filters" aria-label={t("filters")}>
      <Filter
        label={t("filter.status")}
        all={t("filter.status.all")}
        value={props.status}
        options={props.statuses}
        onChange={(status) => props.onChange({ status })}
      />
      <ProgrammeFilter
        value={props.state.programme}
        isOwn={props.isIssuer}
        onChange={(programme) => props.onChange({ programme })}
      />
    </search>
  );
}
