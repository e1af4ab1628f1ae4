/** What the lives of all kinds share. */
import { useEffect } from "preact/hooks";
import type { Problem } from "../../api/problem";
import { EmptyState } from "../../components/states";
import { t } from "./texts";

export interface LifeProps {
  id: string;
  /** Tells the form what was refused. */
  onProblem: (problem: Problem | null) => void;
}

/** What is asked about a thing. */
export function lifeKey(id: string): string {
  return `life ${id}`;
}

/** Give a form above what an answer was refused for. */
export function useRefusal(problem: Problem | null, onProblem: (problem: Problem | null) => void): void {
  useEffect(() => onProblem(problem), [problem]);
}

/** That a reason is awaited before the question is asked. */
export function Awaited(props: { answer: { data: unknown; problem: Problem | null; isBusy: boolean } }) {
  const { data, problem, isBusy } = props.answer;
  if (data !== null || problem !== null || isBusy) return null;
  return <EmptyState title={t("reason.wanted")}>{t("reason.wanted.text")}</EmptyState>;
}
