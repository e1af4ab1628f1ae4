/** Oversight: the whole record of the venue, for regulators; the operator sees what it may read. */
import { Tabs } from "../../components/tabs";
import { may } from "../../session";
import { TABS, type TabKey, useAddress } from "./address";
import { Alerts } from "./alerts";
import { Book } from "./book";
import { Lives } from "./lives";
import { Questions } from "./questions";
import { Reports } from "./reports";
import { Search } from "./search";
import "./style.css";
import { t } from "./texts";

const PANELS: Record<TabKey, () => preact.JSX.Element> = {
  search: () => <Search />,
  lives: () => <Lives />,
  book: () => <Book />,
  reports: () => <Reports />,
  alerts: () => <Alerts />,
  questions: () => <Questions />,
};

export default function OversightPage() {
  const { tab, go } = useAddress();
  const open = TABS.filter((key) => key === "questions" || may("audit"));
  const chosen = open.find((key) => key === tab) ?? (open[0] as TabKey);
  return (
    <div class="page">
      <div class="page-head">
        <div>
          <h1>{t("title")}</h1>
          <p class="lead">{t("lead")}</p>
        </div>
      </div>
      <Tabs
        label={t("tabs")}
        tabs={open.map((key) => ({ key, title: t(`tab.${key}`), panel: PANELS[key] }))}
        chosen={chosen}
        onChoose={(key) => go(key)}
      />
    </div>
  );
}
