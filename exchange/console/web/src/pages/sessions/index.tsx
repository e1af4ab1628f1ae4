/** The open sessions of the reader's participant: where each was used last, and ending them. */
import { useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { api, once, read, type Schemas } from "../../api/client";
import { Problem } from "../../api/problem";
import { useQuery } from "../../api/query";
import { toast } from "../../components/announcer";
import { Confirm } from "../../components/dialog";
import { More, useOlder } from "../../components/more";
import { Loaded } from "../../components/states";
import { type Column, DataTable } from "../../components/table";
import { Badge, Time } from "../../components/values";
import { catalogue } from "../../i18n";
import { loadSession, may, session } from "../../session";
import en from "./en.json";
import zh from "./zh.json";

type OpenSession = Schemas["OpenSessionView"];

const t = catalogue(en, zh);
const ROWS = 100;
const EVERY_S = 30;

/** Whose other sessions end at once: those of the own key, or those of the whole participant. */
const ALL_OF = ["key", "participant"] as const;
/** What shall be ended: one session, all others, or nothing yet. */
type Wanted = OpenSession | (typeof ALL_OF)[number] | null;

function page(cursor?: string) {
  return { params: { query: { limit: ROWS, ...(cursor && { cursor }) } } };
}

export default function SessionsPage() {
  const sessions = useQuery("/v1/sessions", (c) => api.GET("/v1/sessions", { ...c, ...page() }), {
    every_s: EVERY_S,
  });
  const older = useOlder<OpenSession>((cursor) => read(() => api.GET("/v1/sessions", page(cursor))));
  const wanted = useSignal<Wanted>(null);
  const heading = useRef<HTMLHeadingElement>(null);
  const isDone = useRef(false);
  useEffect(() => {
    // The button that was clicked goes with its row.
    if (wanted.value === null && isDone.current) heading.current?.focus();
    isDone.current = false;
  }, [wanted.value]);
  const first = sessions.data.value;
  const others = first === null ? [] : older.rows(first).filter(mayEnd);
  // Rows that were not read yet may be others, too.
  const isAnyOf = {
    key: others.some(isOfOwnKey) || (first !== null && older.next(first) !== null),
    participant: others.length > 0 || (first !== null && older.next(first) !== null),
  };
  const asked = typeof wanted.value === "string" ? wanted.value : "one";
  const end = async () => {
    try {
      const which = wanted.value;
      if (which === null) return;
      if (typeof which === "string") {
        const { ended } = await once(() => api.DELETE("/v1/sessions", { params: { query: { of: which } } }));
        toast(t("ended.others", { count: ended }), "good");
      } else {
        await endOne(which.id);
      }
      older.forget();
      sessions.refresh();
      isDone.current = true;
    } catch (problem) {
      if (problem instanceof Problem) toast(problem.text, "bad");
      throw problem;
    }
  };
  return (
    <div class="page">
      <div class="page-head">
        <div>
          <h1 ref={heading} tabIndex={-1}>
            {t("title")}
          </h1>
          <p class="lead">{t("lead")}</p>
        </div>
        <div class="buttons">
          {ALL_OF.map((whose) => (
            <button
              key={whose}
              type="button"
              class="button button-danger"
              disabled={!isAnyOf[whose]}
              onClick={() => {
                wanted.value = whose;
              }}
            >
              {t(`end.${whose}`)}
            </button>
          ))}
        </div>
      </div>
      <Loaded query={sessions}>
        {(first) => (
          <>
            <DataTable
              caption={t("title")}
              captionHidden
              columns={columns((row) => {
                wanted.value = row;
              })}
              rows={older.rows(first)}
              rowKey={(row) => row.id}
              isCurrent={(row) => row.is_current}
            />
            <div>
              <More older={older} first={first} />
            </div>
          </>
        )}
      </Loaded>
      <Confirm
        title={t(`confirm.${asked}`)}
        isOpen={wanted.value !== null}
        onClose={() => {
          wanted.value = null;
        }}
        onConfirm={end}
        confirmLabel={t(`end.${asked}`)}
        isDangerous
      >
        <p>{t(`confirm.${asked}.text`)}</p>
      </Confirm>
    </div>
  );
}

/** End one; where it has ended meanwhile, that is what was wanted. */
async function endOne(id: string): Promise<void> {
  try {
    await once(() => api.DELETE("/v1/sessions/{session_id}", { params: { path: { session_id: id } } }));
  } catch (problem) {
    if (!(problem instanceof Problem) || problem.status !== 404) throw problem;
  }
  toast(t("ended.one"), "good");
  await loadSession();
}

/** Whether the reader may end it here: another one, whose key can do no more than the reader's. */
function mayEnd(row: OpenSession): boolean {
  return !row.is_current && (may("operate") || row.scopes.every(may));
}

function isOfOwnKey(row: OpenSession): boolean {
  return row.key_id === session.value?.key_id;
}

function columns(onEnd: (row: OpenSession) => void): Column<OpenSession>[] {
  return [
    {
      key: "key",
      title: t("key"),
      head: true,
      cell: (row) => (
        <>
          {row.key_label || t("key.unnamed")} {row.is_current && <Badge tone="good">{t("current")}</Badge>}
          {!row.is_current && isOfOwnKey(row) && <Badge>{t("own_key")}</Badge>}
          <span class="second code">{row.key_id}</span>
        </>
      ),
      sort: (row) => row.key_label,
    },
    {
      key: "used",
      title: t("used"),
      cell: (row) => (
        <>
          <Time at={row.last_used_at} />
          {row.last_used_from && <span class="second code">{row.last_used_from}</span>}
        </>
      ),
      sort: (row) => row.last_used_at,
    },
    {
      key: "started",
      title: t("started"),
      cell: (row) => (
        <>
          <Time at={row.started_at} />
          <span class="second">
            {t("ends")} <Time at={row.expires_at} />
          </span>
        </>
      ),
      sort: (row) => row.started_at,
    },
    {
      key: "do",
      title: t("actions"),
      cell: (row) =>
        mayEnd(row) ? (
          <button
            type="button"
            class="button button-small"
            aria-label={t("end.label", { id: row.id })}
            onClick={() => onEnd(row)}
          >
            {t("end.one")}
          </button>
        ) : (
          <span class="quiet">{t(row.is_current ? "log_out" : "end.beyond")}</span>
        ),
    },
  ];
}
