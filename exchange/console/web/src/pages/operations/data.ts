/** How the exchange stands, and what is read off that for the page. */
import { api, type Schemas } from "../../api/client";
import { type Query, useQuery } from "../../api/query";
import { formatNumber } from "../../i18n";

export type Operations = Schemas["OperationsView"];
export type Partition = Schemas["PartitionView"];
export type Process = Schemas["ProcessView"];
export type Standing = Schemas["PartitionStanding"];
export type Participant = Schemas["ParticipantView"];
export type Kind = Participant["kind"];
export type Phase = "open" | "cancel_only" | "halted";

export const PHASES: readonly Phase[] = ["open", "cancel_only", "halted"];

const EVERY_S = 2;
/** A process that was not heard of for longer has stopped, or cannot reach the database: it speaks every 5 s. */
const SILENT_S = 15;

export function useOperations(): Query<Operations> {
  return useQuery("/v1/operations", (conditions) => api.GET("/v1/operations", conditions), {
    every_s: EVERY_S,
  });
}

export function isSilent(process: Process): boolean {
  return process.seen_s_ago > SILENT_S;
}

/** A process by its host and number; the rest of its name tells two of the same number apart. */
export function shortName(process: string): string {
  return process.split("/").slice(0, 2).join("/");
}

/** How the processes that are alive have a partition. */
export function standingsOf(operations: Operations, partition: number): Standing[] {
  return operations.processes
    .filter((each) => !isSilent(each))
    .flatMap((each) => each.report?.partitions ?? [])
    .filter((each) => each.partition === partition);
}

/** The largest of some numbers that may be unknown; null where none is known. */
export function most(values: readonly (number | null | undefined)[]): number | null {
  const known = values.filter((each) => each != null);
  return known.length === 0 ? null : Math.max(...known);
}

/** Seconds as milliseconds, in words; a dash for none. */
export function formatMs(seconds: number | null | undefined): string {
  if (seconds == null) return "–";
  const ms = seconds * 1000;
  return `${formatNumber(ms < 10 ? Math.round(ms * 100) / 100 : Math.round(ms))} ms`;
}

/** Commands a second over the last minute, of what is told of it. */
export function commandsPerSecond(partition: Partition): number | null {
  const minute = partition.leader?.commits?.periods.filter((each) => each.ends_s_ago < 60) ?? [];
  const seconds = minute.reduce((sum, each) => sum + each.seconds, 0);
  return seconds === 0 ? null : minute.reduce((sum, each) => sum + each.commands, 0) / seconds;
}
