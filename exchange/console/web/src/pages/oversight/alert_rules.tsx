/** The rules of surveillance: every version, its thresholds, and for a regulator the next one. */

import { useSignal } from "@preact/signals";
import { api } from "../../api/client";
import { stepReason } from "../../api/codes";
import { useQuery } from "../../api/query";
import { Loaded } from "../../components/states";
import { DataTable } from "../../components/table";
import { Time } from "../../components/values";
import { isKind } from "../../session";
import { detectorName, measureName, measureText, SeverityBadge, type Version } from "./alert_words";
import { RulesForm } from "./rules_form";
import { t } from "./texts";

const VERSIONS_SHOWN = 100;
/** The first version is in force from the beginning of time. */
const BEGINNING = "1970";

export function AlertRules() {
  const isOpen = useSignal(false);
  return (
    <details
      class="card ov-more"
      onToggle={(event) => {
        isOpen.value = event.currentTarget.open;
      }}
    >
      <summary>{t("rules")}</summary>
      {isOpen.value && <Versions />}
    </details>
  );
}

function Versions() {
  const versions = useQuery("/v1/oversight/alert-rules", (c) =>
    api.GET("/v1/oversight/alert-rules", { ...c, params: { query: { limit: VERSIONS_SHOWN } } }),
  );
  const chosen = useSignal<number | null>(null);
  return (
    <Loaded query={versions}>
      {({ data }) => {
        const shown = data.find((each) => each.version === chosen.value) ?? data[0];
        return (
          <div class="stack">
            <p class="quiet">{t("rules.text")}</p>
            <DataTable
              caption={t("rules.versions")}
              columns={[
                {
                  key: "version",
                  title: t("rules.version"),
                  head: true,
                  cell: (row) => (
                    <button
                      type="button"
                      class="button button-small"
                      aria-pressed={row.version === shown?.version}
                      onClick={() => {
                        chosen.value = row.version;
                      }}
                    >
                      {t("version", { number: row.version })}
                    </button>
                  ),
                },
                { key: "from", title: t("rules.from"), cell: (row) => <From at={row.effective_from} /> },
                { key: "by", title: t("fact.actor"), cell: (row) => <code>{row.changed_by}</code> },
                { key: "reason", title: t("why"), cell: (row) => stepReason(row) },
              ]}
              rows={data}
              rowKey={(row) => row.version}
              isCurrent={(row) => row.version === shown?.version}
            />
            {shown !== undefined && <Thresholds version={shown} />}
            {shown !== undefined && (
              <RulesForm
                key={shown.version}
                from={shown}
                mayChange={isKind("regulator")}
                onDone={versions.refresh}
              />
            )}
          </div>
        );
      }}
    </Loaded>
  );
}

function From({ at }: { at: string }) {
  return at.startsWith(BEGINNING) ? <span>{t("rules.beginning")}</span> : <Time at={at} exact />;
}

function Thresholds({ version }: { version: Version }) {
  const rows = Object.entries(version.rules).map(([detector, thresholds]) => {
    const { enabled, severity, ...rest } = thresholds;
    return { detector, enabled, severity, rest: Object.entries(rest) };
  });
  return (
    <DataTable
      caption={t("rules.of", { number: version.version })}
      columns={[
        {
          key: "detector",
          title: t("alert.detector"),
          head: true,
          cell: (row) => detectorName(row.detector),
        },
        { key: "enabled", title: t("rules.enabled"), cell: (row) => t(row.enabled ? "yes" : "no") },
        {
          key: "severity",
          title: t("alert.severity"),
          cell: (row) => <SeverityBadge severity={row.severity} />,
        },
        {
          key: "thresholds",
          title: t("rules.thresholds"),
          cell: (row) => (
            <span class="ov-thresholds">
              {row.rest.map(([name, value]) => (
                <span key={name} title={name}>
                  <span class="quiet">{measureName(name)}</span> {measureText(name, value)}
                </span>
              ))}
            </span>
          ),
        },
      ]}
      rows={rows}
      rowKey={(row) => row.detector}
    />
  );
}
