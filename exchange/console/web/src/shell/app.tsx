/** The frame around every page, and which page is shown. */

import type { ComponentType } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { LocationProvider, useLocation } from "preact-iso";
import { Announcer, announce } from "../components/announcer";
import { EmptyState } from "../components/states";
import { t } from "../i18n";
import { pages } from "../pages";
import { session } from "../session";
import { Crash } from "./crash";
import { Header } from "./header";
import { BASE, to } from "./links";
import { loadedPage } from "./loaded_page";
import { Navigation } from "./navigation";
import { SessionEnded } from "./session_ended";

interface Place {
  path: string;
  title: () => string;
  Shown: ComponentType;
}

const HOME: Place = { path: BASE, title: () => t("product"), Shown: Home };
const LOGIN: Place = {
  path: to("login"),
  title: () => t("login"),
  Shown: loadedPage(() => import("../pages/login")),
};
const SESSIONS: Place = {
  path: to("sessions"),
  title: () => t("sessions"),
  Shown: loadedPage(
    () => import("../pages/sessions"),
    () => session.value != null,
  ),
};
const NOWHERE: Place = { path: "", title: () => t("not_found"), Shown: Missing };
const PAGES: readonly Place[] = pages.map((page) => ({
  path: to(page.path),
  title: page.title,
  Shown: loadedPage(page.load, page.isOpen),
}));

/** What an address shows: a page, at its own address or any below it. */
function placeOf(path: string): Place {
  if (path === BASE) return HOME;
  if (path === LOGIN.path) return LOGIN;
  if (path === SESSIONS.path) return SESSIONS;
  return PAGES.find((page) => path === page.path || path.startsWith(`${page.path}/`)) ?? NOWHERE;
}

function Home() {
  const { route } = useLocation();
  useEffect(() => route(to("market"), true), [route]);
  return null;
}

function Missing() {
  return (
    <EmptyState
      title={t("not_found")}
      action={
        <a class="button button-primary" href={to("market")}>
          {t("to_market")}
        </a>
      }
    >
      {t("not_found.text")}
    </EmptyState>
  );
}

function Frame() {
  const { path } = useLocation();
  const main = useRef<HTMLElement>(null);
  const before = useRef(path);
  const { path: place, title: tell, Shown } = placeOf(path);
  const title = tell();
  useEffect(() => {
    document.title = place === BASE ? title : `${title} · ${t("product")}`;
  });
  useEffect(() => {
    if (before.current === path) return;
    before.current = path;
    // A reader of another page begins at its start, wherever the link was.
    main.current?.focus({ preventScroll: true });
    window.scrollTo(0, 0);
    announce(title);
  }, [path]);
  return (
    <div class="frame">
      <a class="skip" href="#main">
        {t("skip")}
      </a>
      <Header here={path} />
      <Navigation here={path} />
      <main id="main" ref={main} tabIndex={-1}>
        <Crash key={`${place} ${session.value?.participant_id}`}>
          <Shown />
        </Crash>
      </main>
      <SessionEnded />
      <Announcer />
    </div>
  );
}

export function App() {
  return (
    <LocationProvider scope={BASE}>
      <Frame />
    </LocationProvider>
  );
}
