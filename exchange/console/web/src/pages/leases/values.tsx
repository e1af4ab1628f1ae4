/** Single values of leases, as the list and the detail show them. */
import { Badge, type BadgeTone } from "../../components/values";
import { catalogue } from "../../i18n";
import type { Status } from "./data";
import en from "./en.json";
import zh from "./zh.json";

const t = catalogue(en, zh);

const TONES: Record<Status, BadgeTone> = {
  scheduled: "busy",
  running: "good",
  ended: "busy",
  settled: "plain",
};

export function LeaseStatus({ status }: { status: Status }) {
  return <Badge tone={TONES[status]}>{t(`status.${status}`)}</Badge>;
}
