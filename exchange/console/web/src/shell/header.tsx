/** The top of every page: whose exchange this is, who is logged in, language, theme, whether it is live. */
import { useRef } from "preact/hooks";
import { useLocation } from "preact-iso";
import type { Problem } from "../api/problem";
import { isReachable } from "../api/query";
import { announce, toast } from "../components/announcer";
import { Badge } from "../components/values";
import { type Language, language, setLanguage, t } from "../i18n";
import { logOut, session } from "../session";
import { stream } from "../stream";
import { setTheme, type Theme, theme } from "../theme";
import { to, toLogin } from "./links";

const THEMES: readonly Theme[] = ["system", "light", "dark"];

export function Header({ here }: { here: string }) {
  return (
    <header class="header">
      <a class="brand" href={to("market")} aria-label={t("product")}>
        <svg viewBox="0 0 32 32" width="28" height="28" aria-hidden="true" focusable="false">
          <rect width="32" height="32" rx="7" class="brand-ground" />
          <path d="M7 10h5v5H7zM13.5 10h5v5h-5zM13.5 17h5v5h-5zM20 17h5v5h-5z" class="brand-lit" />
          <path d="M20 10h5v5h-5zM7 17h5v5H7z" class="brand-dim" />
        </svg>
        <span>{t("product")}</span>
      </a>
      <div class="header-tools">
        <StreamState />
        <LanguageSwitch />
        <ThemeSwitch />
        <Account here={here} />
      </div>
    </header>
  );
}

function StreamState() {
  const state = isReachable.value ? stream.state.value : "offline";
  if (state === "idle") return null;
  return (
    <span class={`stream-state stream-${state}`}>
      <span class="stream-dot" aria-hidden="true" />
      <span class="stream-text">{t(`stream.${state}`)}</span>
    </span>
  );
}

function LanguageSwitch() {
  const other: Language = language.value === "en" ? "zh" : "en";
  return (
    <button
      type="button"
      class="tool"
      lang={other === "zh" ? "zh-CN" : "en"}
      onClick={() => {
        setLanguage(other);
        announce(t("product"));
      }}
    >
      {other === "zh" ? "中文" : "English"}
    </button>
  );
}

function ThemeSwitch() {
  return (
    <label class="tool">
      <span class="visually-hidden">{t("theme")}</span>
      <select value={theme.value} onChange={(event) => setTheme(event.currentTarget.value as Theme)}>
        {THEMES.map((each) => (
          <option key={each} value={each}>
            {t(`theme.${each}`)}
          </option>
        ))}
      </select>
    </label>
  );
}

function Account({ here }: { here: string }) {
  const { route } = useLocation();
  const isLeaving = useRef(false);
  const who = session.value;
  if (who === undefined) return null;
  if (who === null) {
    return (
      <a
        class="button button-primary"
        href={toLogin(here, location.search)}
        aria-current={here === to("login") ? "page" : undefined}
      >
        {t("login")}
      </a>
    );
  }
  const leave = async () => {
    if (isLeaving.current) return;
    isLeaving.current = true;
    try {
      await logOut();
      announce(t("logged_out"));
      route(to("market"));
    } catch (problem) {
      toast((problem as Problem).text, "bad");
    } finally {
      isLeaving.current = false;
    }
  };
  return (
    <div class="account">
      <a
        class="account-name"
        href={to("sessions")}
        title={t("logged_in_as", { name: who.participant_name })}
        aria-label={t("sessions.label", { name: who.participant_name })}
        aria-current={here === to("sessions") ? "page" : undefined}
      >
        {who.participant_name}
      </a>
      <Badge>{t(`kind.${who.kind}`)}</Badge>
      <button type="button" class="button" onClick={() => void leave()}>
        {t("logout")}
      </button>
    </div>
  );
}
