/** Pages are loaded when they are opened, and shown to those who may see them. */
import { signal, useComputed } from "@preact/signals";
import type { ComponentType } from "preact";
import { useEffect } from "preact/hooks";
import { EmptyState, Loading } from "../components/states";
import { t } from "../i18n";
import { loadSession, session } from "../session";
import { toLogin } from "./links";

type Load = () => Promise<{ default: ComponentType }>;

/** Make a component of a page that is still to be loaded. */
export function loadedPage(load: Load, isOpen: () => boolean = () => true): ComponentType {
  const loaded = signal<ComponentType | null>(null);
  const failed = signal(false);
  const begin = () => {
    failed.value = false;
    load().then(
      (found) => {
        loaded.value = found.default;
      },
      () => {
        failed.value = true;
      },
    );
  };
  function Opened() {
    useEffect(() => {
      if (loaded.value === null) begin();
    }, []);
    const Shown = loaded.value;
    if (Shown !== null) return <Shown />;
    return failed.value ? <NotLoaded retry={begin} /> : <Loading />;
  }
  return function Guarded() {
    const open = useComputed(isOpen);
    if (open.value) return <Opened />;
    // Who cannot be told from nobody is not sent to a login.
    return session.value === undefined ? <NotLoaded retry={() => void loadSession()} /> : <NoAccess />;
  };
}

function NotLoaded({ retry }: { retry: () => void }) {
  return (
    <EmptyState
      title={t("failed.page")}
      action={
        <button type="button" class="button" onClick={retry}>
          {t("retry")}
        </button>
      }
    >
      {t("offline")}
    </EmptyState>
  );
}

function NoAccess() {
  const isNobody = session.value == null;
  return (
    <EmptyState
      title={t(isNobody ? "needs_login" : "no_access")}
      action={
        <a class="button button-primary" href={toLogin(location.pathname, location.search)}>
          {t("login")}
        </a>
      }
    >
      {t(isNobody ? "needs_login.text" : "no_access.text")}
    </EmptyState>
  );
}
