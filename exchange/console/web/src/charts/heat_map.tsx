/**
 * Rows by hours as colours: the delivery calendar. Drawn on canvases as large as what is seen, so that a month of
 * hours for fifty products costs what its visible part costs.
 *
 * A mouse drags over the hours of a row to choose them, a finger taps the first and then the last hour, and the
 * keyboard has a cursor: arrows move it, Shift extends the choice, Page Up and Down go by days, Home and End to the
 * ends, Enter takes the choice, Escape drops it. What the cursor is on is said by `describe`.
 */

import { useSignal } from "@preact/signals";
import { useEffect, useId, useLayoutEffect, useRef } from "preact/hooks";
import { HOUR_MS } from "../api/hours";
import { announce } from "../components/announcer";
import { language } from "../i18n";
import { isDark } from "../theme";
import { draw, HEAD_PX, type Marks } from "./heat_draw";

export interface HeatRow {
  id: string;
  title: string;
  /** A second, quieter line. */
  note?: string;
  /** A figure at the right, such as the price of now. */
  figure?: string;
}

/** Hours `from` to `to`, the last not included, of a row. */
export interface Chosen {
  row: number;
  from: number;
  to: number;
}

export interface HeatMapProps {
  label: string;
  /** How to use it, for screen readers. */
  help: string;
  rows: readonly HeatRow[];
  /** Start of the first hour, in milliseconds since the epoch. */
  startsAt: number;
  hours: number;
  /** Where a cell stands on the colour scale, 0 to 1; null where there is nothing. */
  shade: (row: number, hour: number) => number | null;
  /** What stands in a cell that is wide enough. */
  text?: (row: number, hour: number) => string;
  /** A cell in words, for the tooltip and screen readers. */
  describe: (row: number, hour: number) => string;
  /** A choice in words, said when it changes. */
  describeChoice: (chosen: Chosen) => string;
  chosen: Chosen | null;
  onChoose: (chosen: Chosen | null) => void;
  /** The choice was finished: the mouse let go, or Enter. */
  onTake?: (chosen: Chosen) => void;
  /** Hours that are of interest without being chosen, such as those of a lease. */
  isMarked?: (row: number, hour: number) => boolean;
  cellWidth?: number;
  rowHeight?: number;
}

interface Place {
  row: number;
  hour: number;
}

export function HeatMap(props: HeatMapProps) {
  const { rows, hours, cellWidth = 22, rowHeight = 30 } = props;
  const frame = useRef<HTMLDivElement>(null);
  const head = useRef<HTMLCanvasElement>(null);
  const body = useRef<HTMLCanvasElement>(null);
  const titles = useRef<HTMLUListElement>(null);
  const cursor = useRef<Place>({ row: 0, hour: 0 });
  const anchor = useRef<Place | null>(null);
  const isFocused = useSignal(false);
  const pointed = useSignal<Place | null>(null);
  const helpId = useId();
  const width = hours * cellWidth;
  const height = rows.length * rowHeight;
  // Rows can go, and hours can pass, below the cursor.
  cursor.current = within(cursor.current);

  function within(place: Place): Place {
    return {
      row: Math.min(Math.max(place.row, 0), Math.max(rows.length - 1, 0)),
      hour: Math.min(Math.max(place.hour, 0), hours - 1),
    };
  }

  const paint = () => {
    const scroller = frame.current;
    if (scroller === null || head.current === null || body.current === null) return;
    const side = titles.current?.offsetWidth ?? 0;
    const view = {
      left: scroller.scrollLeft,
      top: scroller.scrollTop,
      width: Math.min(Math.max(scroller.clientWidth - side, 0), width),
      height: Math.min(Math.max(scroller.clientHeight - HEAD_PX, 0), height),
    };
    const marks: Marks = {
      chosen: props.chosen,
      cursor: isFocused.value ? cursor.current : null,
      pointed: pointed.value,
    };
    draw(head.current, body.current, { ...props, cellWidth, rowHeight }, marks, view, isDark.value);
  };
  const painted = useRef(paint);
  painted.current = paint;
  // Whatever was read above may have changed: language and theme as well.
  void language.value;
  useLayoutEffect(paint);
  useEffect(() => {
    const scroller = frame.current;
    if (scroller === null) return;
    let asked = 0;
    const again = () => {
      cancelAnimationFrame(asked);
      asked = requestAnimationFrame(() => painted.current());
    };
    const sizes = new ResizeObserver(again);
    sizes.observe(scroller);
    scroller.addEventListener("scroll", again, { passive: true });
    return () => {
      cancelAnimationFrame(asked);
      sizes.disconnect();
      scroller.removeEventListener("scroll", again);
    };
  }, []);

  const placeAt = (event: PointerEvent): Place | null => {
    const box = body.current?.getBoundingClientRect();
    if (box === undefined || frame.current === null) return null;
    const place = {
      hour: Math.floor((event.clientX - box.left + frame.current.scrollLeft) / cellWidth),
      row: Math.floor((event.clientY - box.top + frame.current.scrollTop) / rowHeight),
    };
    return place.row < 0 || place.row >= rows.length ? null : within(place);
  };
  const between = (row: number, one: number, other: number): Chosen => ({
    row,
    from: Math.min(one, other),
    to: Math.max(one, other) + 1,
  });

  const onPointerDown = (event: PointerEvent) => {
    if (event.button !== 0) return;
    const place = placeAt(event);
    if (place === null) return;
    const extends_ = event.shiftKey && props.chosen?.row === place.row;
    cursor.current = place;
    if (event.pointerType === "touch") return;
    anchor.current = extends_ && props.chosen ? { row: place.row, hour: props.chosen.from } : place;
    body.current?.setPointerCapture(event.pointerId);
    props.onChoose(between(place.row, anchor.current.hour, place.hour));
  };
  const onPointerMove = (event: PointerEvent) => {
    const place = placeAt(event);
    const held = anchor.current;
    if (held !== null && frame.current !== null) {
      const box = frame.current.getBoundingClientRect();
      const side = titles.current?.offsetWidth ?? 0;
      if (event.clientX > box.right - 12) frame.current.scrollLeft += cellWidth;
      if (event.clientX < box.left + side + 12) frame.current.scrollLeft -= cellWidth;
      const hour = place?.hour ?? cursor.current.hour;
      cursor.current = { row: held.row, hour };
      props.onChoose(between(held.row, held.hour, hour));
    }
    pointed.value = event.pointerType === "touch" ? null : place;
    tell(event);
  };
  const onPointerUp = (event: PointerEvent) => {
    if (anchor.current === null) return;
    const held = anchor.current;
    anchor.current = null;
    const chosen = between(held.row, held.hour, placeAt(event)?.hour ?? cursor.current.hour);
    announce(props.describeChoice(chosen));
    props.onTake?.(chosen);
  };
  // A finger scrolls; its tap chooses an hour, and a second one in the same row the last.
  const onClick = (event: MouseEvent) => {
    if (!(event instanceof PointerEvent) || event.pointerType !== "touch") return;
    const place = placeAt(event);
    if (place === null) return;
    const before = props.chosen;
    const chosen =
      before !== null && before.row === place.row && before.to - before.from === 1
        ? between(place.row, before.from, place.hour)
        : between(place.row, place.hour, place.hour);
    props.onChoose(chosen);
    announce(props.describeChoice(chosen));
    props.onTake?.(chosen);
  };

  const onKeyDown = (event: KeyboardEvent) => {
    const here = cursor.current;
    const steps: Record<string, Place> = {
      ArrowLeft: { row: here.row, hour: here.hour - 1 },
      ArrowRight: { row: here.row, hour: here.hour + 1 },
      ArrowUp: { row: here.row - 1, hour: here.hour },
      ArrowDown: { row: here.row + 1, hour: here.hour },
      PageUp: { row: here.row, hour: here.hour - 24 },
      PageDown: { row: here.row, hour: here.hour + 24 },
      Home: { row: here.row, hour: 0 },
      End: { row: here.row, hour: hours - 1 },
    };
    const step = steps[event.key];
    if (step !== undefined) {
      event.preventDefault();
      const next = within(step);
      cursor.current = next;
      show(next);
      if (event.shiftKey && next.row === here.row) {
        const chosen = props.chosen;
        const from =
          chosen?.row === here.row ? (chosen.from === here.hour ? chosen.to - 1 : chosen.from) : here.hour;
        const extended = between(next.row, from, next.hour);
        props.onChoose(extended);
        announce(props.describeChoice(extended));
      } else {
        announce(props.describe(next.row, next.hour));
        painted.current();
      }
    } else if (event.key === "Enter" || event.key === " ") {
      event.preventDefault();
      const chosen = props.chosen;
      const covers = chosen?.row === here.row && chosen.from <= here.hour && here.hour < chosen.to;
      const taken = covers && chosen ? chosen : between(here.row, here.hour, here.hour);
      props.onChoose(taken);
      announce(props.describeChoice(taken));
      props.onTake?.(taken);
    } else if (event.key === "Escape" && props.chosen !== null) {
      event.preventDefault();
      props.onChoose(null);
    }
  };
  const show = (place: Place) => {
    const scroller = frame.current;
    if (scroller === null) return;
    const side = titles.current?.offsetWidth ?? 0;
    const left = place.hour * cellWidth;
    const right = left + cellWidth - (scroller.clientWidth - side);
    const top = place.row * rowHeight;
    const bottom = top + rowHeight - (scroller.clientHeight - HEAD_PX);
    scroller.scrollLeft = Math.min(Math.max(scroller.scrollLeft, right), left);
    scroller.scrollTop = Math.min(Math.max(scroller.scrollTop, bottom), top);
  };

  // The tip follows the pointer without a new rendering of everything for each of its steps.
  const tip = useRef<HTMLDivElement>(null);
  const tell = (event: PointerEvent) => {
    const box = frame.current?.getBoundingClientRect();
    if (tip.current === null || box === undefined) return;
    const x = event.clientX - box.left;
    const isLeft = x > box.width / 2;
    tip.current.style.left = isLeft ? "auto" : `${Math.round(x + 14)}px`;
    tip.current.style.right = isLeft ? `${Math.round(box.width - x + 14)}px` : "auto";
    tip.current.style.top = `${Math.round(event.clientY - box.top + 14)}px`;
  };

  const at = pointed.value;
  return (
    <div class="heat">
      <div
        ref={frame}
        class="heat-frame"
        role="application"
        aria-label={props.label}
        aria-describedby={helpId}
        // biome-ignore lint/a11y/noNoninteractiveTabindex: an application widget with a cursor of its own
        tabIndex={0}
        onKeyDown={onKeyDown}
        onFocus={() => {
          isFocused.value = true;
        }}
        onBlur={() => {
          isFocused.value = false;
        }}
      >
        <p id={helpId} class="visually-hidden">
          {props.help}
        </p>
        <div class="heat-spread" style={{ height: `${HEAD_PX + height}px` }}>
          <div class="heat-corner" style={{ height: `${HEAD_PX}px` }} />
          <canvas ref={head} class="heat-head" style={{ height: `${HEAD_PX}px` }} />
          <ul ref={titles} class="heat-rows" aria-hidden="true">
            {rows.map((row, index) => (
              <li
                key={row.id}
                class={props.chosen?.row === index ? "heat-row chosen" : "heat-row"}
                style={{ height: `${rowHeight}px` }}
                title={row.note ? `${row.title}, ${row.note}` : row.title}
              >
                <span class="heat-line">
                  <span class="heat-title">{row.title}</span>
                  {row.figure && <span class="heat-figure">{row.figure}</span>}
                </span>
                {row.note && <span class="heat-note">{row.note}</span>}
              </li>
            ))}
          </ul>
          <div class="heat-cells" style={{ width: `${width}px` }}>
            <canvas
              ref={body}
              class="heat-body"
              style={{ top: `${HEAD_PX}px` }}
              onPointerDown={onPointerDown}
              onPointerMove={onPointerMove}
              onPointerUp={onPointerUp}
              onPointerLeave={() => {
                pointed.value = null;
              }}
              onClick={onClick}
            />
          </div>
        </div>
      </div>
      <div ref={tip} class="heat-tip" hidden={at === null} aria-hidden="true">
        {at !== null &&
          props
            .describe(at.row, at.hour)
            .split("\n")
            .map((line) => <div key={line}>{line}</div>)}
      </div>
    </div>
  );
}

/** The start of an hour of the map. */
export function hourAt(startsAt: number, hour: number): number {
  return startsAt + hour * HOUR_MS;
}
