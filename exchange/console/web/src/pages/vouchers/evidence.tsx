/** The files of a claim: what the rules ask for and what is attached; its claimant attaches until it is decided. */
import { useSignal } from "@preact/signals";
import { useId } from "preact/hooks";
import { act, api, keyed } from "../../api/client";
import { useDeed } from "../../api/deed";
import { toast } from "../../components/announcer";
import { Field, Form } from "../../components/form";
import { Loaded } from "../../components/states";
import { DataTable } from "../../components/table";
import { Badge, Time } from "../../components/values";
import { formatBytes } from "../../i18n";
import { may } from "../../session";
import { type Claim, useEvidence, useVersions } from "./data";
import { isOwn } from "./parts";
import { t } from "./texts";

const BYTES_MAX = 10 * 1024 * 1024;
const PROVABLE: readonly Claim["status"][] = ["open", "submitted", "in_audit", "queried"];

export function EvidenceCard({ claim }: { claim: Claim }) {
  const evidence = useEvidence(claim.id);
  const versions = useVersions(claim.programme_id);
  const version = versions.data.value?.data.find((each) => each.version === claim.programme_version);
  const needed = version?.rules.evidence ?? [];
  const attached = new Set(evidence.data.value?.data.map((each) => each.name));
  const missing = needed.filter((name) => !attached.has(name));
  const mayAttach =
    isOwn(claim.claimant_id) && PROVABLE.includes(claim.status) && (may("list_capacity") || may("trade"));
  return (
    <section class="card">
      <h3>{t("evidence")}</h3>
      {needed.length > 0 && (
        <ul class="needed" aria-label={t("evidence.needed")}>
          {needed.map((name) => (
            <li key={name}>
              <Badge tone={attached.has(name) ? "good" : "bad"}>
                {t(attached.has(name) ? "evidence.there" : "evidence.missing")}
              </Badge>{" "}
              {name}
            </li>
          ))}
        </ul>
      )}
      <Loaded query={evidence}>
        {({ data }) => (
          <DataTable
            caption={t("evidence")}
            captionHidden
            columns={[
              {
                key: "name",
                title: t("evidence.name"),
                head: true,
                cell: (row) => (
                  <a href={`/v1/claims/${claim.id}/evidence/${row.id}`} download>
                    {row.name}
                  </a>
                ),
              },
              {
                key: "size",
                title: t("evidence.size"),
                numeric: true,
                cell: (row) => formatBytes(row.size_bytes),
              },
              { key: "type", title: t("evidence.type"), cell: (row) => row.content_type },
              { key: "at", title: t("evidence.at"), cell: (row) => <Time at={row.attached_at} /> },
              {
                key: "sha256",
                title: "SHA-256",
                cell: (row) => (
                  <code title={row.sha256}>
                    {row.sha256.slice(0, 16)}
                    <span aria-hidden="true">…</span>
                  </code>
                ),
              },
            ]}
            rows={data}
            rowKey={(row) => row.id}
            empty={t("evidence.empty")}
          />
        )}
      </Loaded>
      {mayAttach && (
        <AttachForm key={missing[0] ?? ""} claim={claim} missing={missing} onDone={evidence.refresh} />
      )}
    </section>
  );
}

function AttachForm(props: { claim: Claim; missing: readonly string[]; onDone: () => void }) {
  const { claim, missing } = props;
  const deed = useDeed();
  const file = useSignal<File | null>(null);
  const name = useSignal(missing[0] ?? "");
  const fault = useSignal<string | null>(null);
  const listId = useId();
  const submit = () => {
    const chosen = file.value;
    fault.value =
      chosen === null
        ? t("evidence.choose")
        : chosen.size === 0 || chosen.size > BYTES_MAX
          ? t("evidence.size.fault")
          : null;
    if (chosen === null || fault.value !== null) return;
    void deed.run(async (intent) => {
      const told = name.value.trim() || chosen.name;
      await act(intent, [claim.id, told, chosen.name, chosen.size, chosen.lastModified], (key) =>
        api.POST("/v1/claims/{claim_id}/evidence", {
          params: { path: { claim_id: claim.id }, query: { name: told }, header: keyed(key) },
          // The file itself is the body; the document of the API knows no type of it.
          body: chosen as never,
          bodySerializer: (body: unknown) => body as File,
          headers: { "Content-Type": chosen.type || "application/octet-stream" },
        }),
      );
      toast(t("evidence.done", { name: told }), "good");
      file.value = null;
      props.onDone();
    });
  };
  return (
    <Form label={t("evidence.attach")} problem={deed.problem.value} onSubmit={submit}>
      <div class="fields">
        <Field label={t("evidence.file")} fault={fault.value} hint={t("evidence.file.hint")}>
          {(control) => (
            <input
              {...control}
              type="file"
              onChange={(event) => {
                file.value = event.currentTarget.files?.[0] ?? null;
                fault.value = null;
              }}
            />
          )}
        </Field>
        <Field label={t("evidence.name")} pointer="?name" hint={t("evidence.name.hint")}>
          {(control) => (
            <>
              <input
                {...control}
                list={listId}
                maxLength={200}
                autocomplete="off"
                value={name.value}
                onInput={(event) => {
                  name.value = event.currentTarget.value;
                }}
              />
              <datalist id={listId}>
                {missing.map((each) => (
                  <option key={each} value={each} />
                ))}
              </datalist>
            </>
          )}
        </Field>
      </div>
      <button type="submit" class="button" disabled={deed.isBusy.value}>
        {t("evidence.attach")}
      </button>
    </Form>
  );
}
