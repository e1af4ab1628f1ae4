/**
 * Choosing a company to issue to: by a part of its name or by its id, with what an issuer must know of it. A combobox with
 * a list, by the pattern of the ARIA practices: arrows go through what was found, Enter chooses, Escape closes the list.
 */
import { useSignal } from "@preact/signals";
import { useEffect, useId, useRef } from "preact/hooks";
import { api, read, type Schemas } from "../../api/client";
import { Problem } from "../../api/problem";
import { classes } from "../../components/classes";
import type { ControlProps } from "../../components/form";
import { Badge } from "../../components/values";
import { t } from "./texts";
import { regionText } from "./words";

export type Company = Schemas["BuyerView"];

const ROWS = 20;
const CHARACTERS_MIN = 2;
const PAUSE_MS = 200;

interface Found {
  text: string;
  companies: readonly Company[];
  isMore: boolean;
}

export interface CompanyPickerProps {
  control: ControlProps;
  /** What stands in the field. */
  text: string;
  chosen: Company | null;
  onType: (text: string) => void;
  onChoose: (company: Company) => void;
}

export function CompanyPicker({ control, text, chosen, onType, onChoose }: CompanyPickerProps) {
  const listId = useId();
  const isOpen = useSignal(false);
  const at = useSignal(-1);
  const found = useSignal<Found | null>(null);
  const problem = useSignal<Problem | null>(null);
  const list = useRef<HTMLDivElement>(null);
  const search = text.trim();
  const isWanted = chosen === null && search.length >= CHARACTERS_MIN;
  useEffect(() => {
    at.value = -1;
    problem.value = null;
    if (!isWanted) {
      found.value = null;
      return;
    }
    let isLatest = true;
    const soon = setTimeout(async () => {
      try {
        const query = { search, limit: ROWS };
        const page = await read(() => api.GET("/v1/buyers", { params: { query } }));
        if (isLatest) found.value = { text: search, companies: page.data, isMore: page.next_cursor != null };
      } catch (failed) {
        if (!(failed instanceof Problem)) throw failed;
        if (isLatest) problem.value = failed;
      }
    }, PAUSE_MS);
    return () => {
      isLatest = false;
      clearTimeout(soon);
    };
  }, [search, isWanted]);
  const companies = isWanted && found.value?.text === search ? found.value.companies : [];
  const isShown = isOpen.value && isWanted;
  const choose = (company: Company) => {
    isOpen.value = false;
    onChoose(company);
  };
  const go = (step: number) => {
    isOpen.value = true;
    if (companies.length === 0) return;
    at.value = (Math.max(at.value, step > 0 ? -1 : 0) + step + companies.length) % companies.length;
    list.current?.children[at.value]?.scrollIntoView({ block: "nearest" });
  };
  const pressed = (event: KeyboardEvent) => {
    const marked = companies[at.value];
    if (event.key === "ArrowDown" || event.key === "ArrowUp") go(event.key === "ArrowDown" ? 1 : -1);
    else if (event.key === "Enter" && isShown && marked !== undefined) choose(marked);
    else if (event.key === "Escape" && isShown) isOpen.value = false;
    else return;
    event.preventDefault();
  };
  return (
    <div class="picker">
      <input
        {...control}
        role="combobox"
        aria-expanded={isShown}
        aria-controls={listId}
        aria-autocomplete="list"
        aria-activedescendant={isShown && at.value >= 0 ? `${listId}-${at.value}` : undefined}
        autocomplete="off"
        spellcheck={false}
        maxLength={200}
        value={text}
        onInput={(event) => {
          isOpen.value = true;
          onType(event.currentTarget.value);
        }}
        onKeyDown={pressed}
        onBlur={() => {
          isOpen.value = false;
        }}
      />
      <div class={classes("picker-list", !isShown && "picker-closed")}>
        <p class="picker-said quiet" role="status">
          {isShown && (problem.value?.text ?? said(found.value, search))}
        </p>
        <div ref={list} id={listId} role="listbox" aria-label={t("issue.found")}>
          {isShown &&
            companies.map((each, index) => (
              // biome-ignore lint/a11y/useKeyWithClickEvents: the field has the keys of its list
              <div
                key={each.id}
                id={`${listId}-${index}`}
                role="option"
                tabIndex={-1}
                aria-selected={index === at.value}
                // The field keeps the focus.
                onMouseDown={(event) => event.preventDefault()}
                onClick={() => choose(each)}
              >
                <span class="picker-name">{each.name}</span>
                <CompanyFacts company={each} />
              </div>
            ))}
        </div>
      </div>
      {chosen !== null && (
        <p class="picker-chosen">
          <CompanyFacts company={chosen} />
        </p>
      )}
    </div>
  );
}

/** What was found, in words. */
function said(found: Found | null, search: string): string {
  if (found?.text !== search) return t("issue.searching");
  if (found.companies.length === 0) return t("issue.found.none");
  return found.isMore ? t("issue.found.more", { count: found.companies.length }) : t("issue.found");
}

/** What tells companies of like names apart. */
function CompanyFacts({ company }: { company: Company }) {
  return (
    <span class="picker-facts">
      <span>
        {regionText(company.region)} · {t(`size.${company.size_class}`)}
      </span>
      {company.is_startup && <Badge>{t("issue.startup")}</Badge>}
      <span class="code quiet">{company.id}</span>
    </span>
  );
}
