/** The pages that who is logged in may use: a bar at the side, or at the foot of a phone. */
import { t } from "../i18n";
import { pages } from "../pages";
import { to } from "./links";

export function Navigation({ here }: { here: string }) {
  return (
    <nav class="navigation" aria-label={t("nav")}>
      <ul>
        {pages
          .filter((page) => page.isOpen())
          .map((page) => {
            const address = to(page.path);
            const isHere = here === address || here.startsWith(`${address}/`);
            const Icon = page.icon;
            return (
              <li key={page.path}>
                <a href={address} aria-current={isHere ? "page" : undefined}>
                  <Icon />
                  <span>{page.title()}</span>
                </a>
              </li>
            );
          })}
      </ul>
    </nav>
  );
}
