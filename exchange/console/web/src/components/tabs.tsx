/** Tabs by the ARIA pattern: arrow keys move between them, only the chosen one is in the tab order. */
import type { ComponentChildren } from "preact";
import { useEffect, useId, useRef } from "preact/hooks";

export interface Tab<Key extends string> {
  key: Key;
  title: string;
  panel: () => ComponentChildren;
}

export function Tabs<Key extends string>(props: {
  label: string;
  tabs: readonly Tab<Key>[];
  chosen: Key;
  onChoose: (key: Key) => void;
}) {
  const { tabs, chosen } = props;
  const id = useId();
  const list = useRef<HTMLDivElement>(null);
  const move = (event: KeyboardEvent) => {
    const here = tabs.findIndex((tab) => tab.key === chosen);
    const places: Record<string, number> = {
      ArrowRight: (here + 1) % tabs.length,
      ArrowLeft: (here + tabs.length - 1) % tabs.length,
      Home: 0,
      End: tabs.length - 1,
    };
    const next = tabs[places[event.key] ?? -1];
    if (next === undefined) return;
    event.preventDefault();
    props.onChoose(next.key);
    list.current?.querySelector<HTMLElement>(`[id="${id}-${next.key}"]`)?.focus();
  };
  const shown = tabs.find((tab) => tab.key === chosen);
  // On a phone the row is wider than the window: the chosen one is brought into sight, and nothing else moves.
  useEffect(() => {
    const row = list.current;
    const tab = row?.querySelector<HTMLElement>("[aria-selected=true]");
    if (row == null || tab == null) return;
    const [begin, end] = [tab.offsetLeft - row.offsetLeft, tab.offsetLeft - row.offsetLeft + tab.offsetWidth];
    if (begin < row.scrollLeft || end > row.scrollLeft + row.clientWidth) {
      row.scrollLeft = begin - (row.clientWidth - tab.offsetWidth) / 2;
    }
  }, [chosen]);
  return (
    <div class="tabs">
      <div class="tab-list" role="tablist" aria-label={props.label} ref={list} onKeyDown={move}>
        {tabs.map((tab) => (
          <button
            key={tab.key}
            type="button"
            role="tab"
            id={`${id}-${tab.key}`}
            aria-selected={tab.key === chosen}
            aria-controls={`${id}-panel`}
            tabIndex={tab.key === chosen ? 0 : -1}
            onClick={() => props.onChoose(tab.key)}
          >
            {tab.title}
          </button>
        ))}
      </div>
      <div class="tab-panel" role="tabpanel" id={`${id}-panel`} aria-labelledby={`${id}-${chosen}`}>
        {shown?.panel()}
      </div>
    </div>
  );
}

/** A choice of one of a few, as buttons in a row. */
export function Choice<Key extends string>(props: {
  label: string;
  options: readonly { key: Key; title: string }[];
  chosen: Key;
  onChoose: (key: Key) => void;
}) {
  return (
    <fieldset class="choice">
      <legend class="visually-hidden">{props.label}</legend>
      {props.options.map((option) => (
        <button
          key={option.key}
          type="button"
          aria-pressed={option.key === props.chosen}
          onClick={() => props.onChoose(option.key)}
        >
          {option.title}
        </button>
      ))}
    </fieldset>
  );
}
