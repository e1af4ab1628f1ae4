/** Who takes part: found, registered, let in, and their cash booked. */
import { useSignal } from "@preact/signals";
import { api } from "../../api/client";
import { useQuery } from "../../api/query";
import { Pager, usePages } from "../../components/pager";
import { Loaded } from "../../components/states";
import { type Column, DataTable } from "../../components/table";
import { Badge, Nothing, Time } from "../../components/values";
import { t as shared } from "../../i18n";
import { Access } from "./access";
import { Cash } from "./cash";
import type { Kind, Participant } from "./data";
import { Register } from "./register";
import { t } from "./texts";

const KINDS: readonly Kind[] = ["provider", "buyer", "issuer", "regulator", "operator"];
const HAVE_CASH: readonly Kind[] = ["provider", "buyer", "issuer"];
const PAGE_ROWS = 50;

/** What is done about a participant; `null` while nothing is. */
type Doing = { what: "access" | "cash"; participant: Participant } | { what: "register" } | null;

export function Participants() {
  const kind = useSignal<Kind | "">("");
  const doing = useSignal<Doing>(null);
  const pages = usePages(kind.value);
  const query = {
    limit: PAGE_ROWS,
    ...(kind.value === "" ? {} : { kind: kind.value }),
    ...(pages.cursor === undefined ? {} : { cursor: pages.cursor }),
  };
  const participants = useQuery(`/v1/participants ${JSON.stringify(query)}`, (conditions) =>
    api.GET("/v1/participants", { ...conditions, params: { query } }),
  );
  const now = doing.value;
  const end = () => {
    doing.value = null;
  };
  return (
    <section class="card" aria-labelledby="ops-participants">
      <div class="card-head">
        <h2 id="ops-participants">{t("participants")}</h2>
        <div class="ops-filters">
          <div class="control">
            <select
              aria-label={t("kind")}
              value={kind.value}
              onChange={(event) => {
                kind.value = event.currentTarget.value as Kind | "";
              }}
            >
              <option value="">{t("kind.all")}</option>
              {KINDS.map((each) => (
                <option key={each} value={each}>
                  {shared(`kind.${each}`)}
                </option>
              ))}
            </select>
          </div>
          <button
            type="button"
            class="button button-primary"
            onClick={() => {
              doing.value = { what: "register" };
            }}
          >
            {t("register")}
          </button>
        </div>
      </div>
      <Loaded query={participants}>
        {(page) => (
          <>
            <DataTable
              caption={t("participants")}
              captionHidden
              columns={columns((what, participant) => {
                doing.value = { what, participant };
              })}
              rows={page.data}
              rowKey={(row) => row.id}
              empty={t("participants.none")}
            />
            <Pager pages={pages} next={page.next_cursor} />
          </>
        )}
      </Loaded>
      <Register isOpen={now?.what === "register"} onClose={end} onRegistered={participants.refresh} />
      <Access participant={now?.what === "access" ? now.participant : null} onClose={end} />
      <Cash participant={now?.what === "cash" ? now.participant : null} onClose={end} />
    </section>
  );
}

function columns(onDo: (what: "access" | "cash", participant: Participant) => void): Column<Participant>[] {
  return [
    {
      key: "name",
      title: t("name"),
      head: true,
      cell: (row) => (
        <>
          {row.name}
          <span class="second code">{row.id}</span>
        </>
      ),
      sort: (row) => row.name,
    },
    {
      key: "kind",
      title: t("kind"),
      cell: (row) => <Badge>{shared(`kind.${row.kind}`)}</Badge>,
      sort: (row) => row.kind,
    },
    {
      key: "region",
      title: t("region"),
      cell: (row) => row.region ?? <Nothing />,
      sort: (row) => row.region ?? null,
    },
    {
      key: "facts",
      title: t("facts"),
      cell: (row) => {
        if (row.ownership != null) return t(`ownership.${row.ownership}`);
        return row.size_class == null ? <Nothing /> : t(`size.${row.size_class}`);
      },
    },
    { key: "created", title: t("created"), cell: (row) => <Time at={row.created_at} /> },
    {
      key: "do",
      title: t("actions"),
      cell: (row) => (
        <div class="buttons">
          <button
            type="button"
            class="button button-small"
            aria-label={t("access.label", { name: row.name })}
            onClick={() => onDo("access", row)}
          >
            {t("access.open")}
          </button>
          {HAVE_CASH.includes(row.kind) && (
            <button
              type="button"
              class="button button-small"
              aria-label={t("cash.label", { name: row.name })}
              onClick={() => onDo("cash", row)}
            >
              {t("cash.open")}
            </button>
          )}
        </div>
      ),
    },
  ];
}
