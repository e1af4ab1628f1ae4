/** The versions of a programme's rules: when each was in force, and what it changed. */
import { useSignal } from "@preact/signals";
import { Loaded } from "../../components/states";
import { DataTable } from "../../components/table";
import { Badge, Time } from "../../components/values";
import { type Programme, useVersions, type Version } from "./data";
import { RuleList } from "./rules";
import { t } from "./texts";

export function Versions({ programme }: { programme: Programme }) {
  const versions = useVersions(programme.id);
  const chosen = useSignal<number | null>(null);
  return (
    <section class="card">
      <h3>{t("versions")}</h3>
      <Loaded query={versions}>
        {({ data }) => {
          const shown = data.find((each) => each.version === chosen.value);
          return (
            <>
              <DataTable
                caption={t("versions")}
                captionHidden
                columns={[
                  {
                    key: "version",
                    title: t("version"),
                    head: true,
                    cell: (row: Version) => (
                      <>
                        {row.version}{" "}
                        {row.version === programme.version && <Badge tone="good">{t("version.shown")}</Badge>}
                      </>
                    ),
                  },
                  { key: "from", title: t("version.from"), cell: (row) => <Time at={row.effective_at} /> },
                  {
                    key: "until",
                    title: t("version.until"),
                    cell: (row) => <Time at={row.effective_until} />,
                  },
                  {
                    key: "superseded",
                    title: t("version.superseded"),
                    cell: (row) => <Time at={row.superseded_at} />,
                  },
                  {
                    key: "open",
                    title: t("actions"),
                    cell: (row) => (
                      <button
                        type="button"
                        class="button button-small"
                        aria-expanded={row.version === chosen.value}
                        aria-label={t("version.rules.label", { version: row.version })}
                        onClick={() => {
                          chosen.value = chosen.value === row.version ? null : row.version;
                        }}
                      >
                        {t("rules")}
                      </button>
                    ),
                  },
                ]}
                rows={data}
                rowKey={(row) => row.version}
              />
              {shown && (
                <>
                  <h4>{t("version.rules", { version: shown.version })}</h4>
                  <RuleList
                    rules={shown.rules}
                    before={data.find((each) => each.version === shown.version - 1)?.rules ?? null}
                  />
                </>
              )}
            </>
          );
        }}
      </Loaded>
    </section>
  );
}
