/** What a page shows while it has nothing to show: loading, empty, failed. */
import type { ComponentChildren } from "preact";
import type { Problem } from "../api/problem";
import { t } from "../i18n";

export function Loading() {
  return (
    <div class="loading" role="status">
      <span class="spinner" aria-hidden="true" />
      <span>{t("loading")}</span>
    </div>
  );
}

/** Nothing is here, why that may be, and what to do about it. */
export function EmptyState(props: {
  title: string;
  children?: ComponentChildren;
  action?: ComponentChildren;
}) {
  return (
    <div class="empty">
      <p class="empty-title">{props.title}</p>
      {props.children && <p class="empty-text">{props.children}</p>}
      {props.action}
    </div>
  );
}

/** Why something failed, with the way to try again where there is one. */
export function Failure({ problem, retry }: { problem: Problem; retry?: () => void }) {
  return (
    <div class="notice notice-bad" role="alert">
      <div>
        <strong>{t("failed")}</strong>
        <p>{problem.text}</p>
        {problem.requestId && <p class="quiet code">{problem.requestId}</p>}
      </div>
      {retry && (
        <button type="button" class="button" onClick={retry}>
          {t("retry")}
        </button>
      )}
    </div>
  );
}

/** Show what a query knows: its data, else its failure, else that it is loading. */
export function Loaded<T>(props: {
  query: { data: { value: T | null }; problem: { value: Problem | null }; refresh: () => void };
  children: (data: T) => ComponentChildren;
}) {
  const { data, problem, refresh } = props.query;
  if (data.value !== null) return <>{props.children(data.value)}</>;
  if (problem.value !== null) return <Failure problem={problem.value} retry={refresh} />;
  return <Loading />;
}
