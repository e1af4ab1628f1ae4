/** Draws the visible part of a heat map: days and hours above, a cell for each row and hour, what is chosen. */
import { HOUR_MS } from "../api/hours";
import { formatDay } from "../i18n";
import { colour, css, inkOn } from "./scale";

export const HEAD_PX = 36;
const TEXT_WIDTH_PX = 38;

interface What {
  rows: readonly unknown[];
  startsAt: number;
  hours: number;
  shade: (row: number, hour: number) => number | null;
  text?: (row: number, hour: number) => string;
  isMarked?: (row: number, hour: number) => boolean;
  cellWidth: number;
  rowHeight: number;
}

export interface Marks {
  chosen: { row: number; from: number; to: number } | null;
  cursor: { row: number; hour: number } | null;
  pointed: { row: number; hour: number } | null;
}

export interface View {
  left: number;
  top: number;
  width: number;
  height: number;
}

interface Paper extends View {
  to: CanvasRenderingContext2D;
  what: What;
  /** The hours that are seen, the last not included. */
  first: number;
  last: number;
  isDark: boolean;
  font: string;
}

export function draw(
  head: HTMLCanvasElement,
  body: HTMLCanvasElement,
  what: What,
  marks: Marks,
  view: View,
  isDark: boolean,
): void {
  const look = getComputedStyle(body);
  // A canvas shows none of these itself: they are how the style sheet hands its colours over, computed for the theme.
  const lines = {
    line: look.borderTopColor,
    quiet: look.color,
    text: look.caretColor,
    ground: look.columnRuleColor,
    strong: look.outlineColor,
  };
  const seen = {
    what,
    ...view,
    first: Math.max(0, Math.floor(view.left / what.cellWidth)),
    last: Math.min(what.hours, Math.ceil((view.left + view.width) / what.cellWidth)),
    isDark,
    font: look.fontFamily,
  };
  const above = sized(head, view.width, HEAD_PX);
  if (above !== null) heading({ ...seen, to: above }, lines);
  const to = sized(body, view.width, view.height);
  if (to === null) return;
  cells({ ...seen, to }, lines);
  outlines({ ...seen, to }, marks, lines);
}

/** Give a canvas its size in the pixels of the screen, and clear it. */
function sized(canvas: HTMLCanvasElement, width: number, height: number): CanvasRenderingContext2D | null {
  const ratio = window.devicePixelRatio || 1;
  const [wide, high] = [Math.round(width * ratio), Math.round(height * ratio)];
  if (canvas.width !== wide) canvas.width = wide;
  if (canvas.height !== high) canvas.height = high;
  canvas.style.width = `${width}px`;
  canvas.style.height = `${height}px`;
  const to = canvas.getContext("2d");
  to?.setTransform(ratio, 0, 0, ratio, 0, 0);
  to?.clearRect(0, 0, width, height);
  return to;
}

interface Lines {
  line: string;
  quiet: string;
  text: string;
  ground: string;
  strong: string;
}

function heading({ to, what, left, width, first, last, font }: Paper, lines: Lines): void {
  const step = what.cellWidth >= 26 ? 3 : what.cellWidth >= 12 ? 6 : 12;
  to.textBaseline = "middle";
  for (let hour = first; hour < last; hour++) {
    const at = new Date(what.startsAt + hour * HOUR_MS);
    const x = hour * what.cellWidth - left;
    if (at.getHours() === 0) {
      to.fillStyle = lines.line;
      to.fillRect(x - 0.5, 0, 1, HEAD_PX);
    }
    if (at.getHours() % step === 0 && at.getMinutes() === 0) {
      to.fillStyle = lines.quiet;
      to.font = `10px ${font}`;
      to.fillText(String(at.getHours()).padStart(2, "0"), x + 3, 26);
    }
  }
  to.font = `600 11px ${font}`;
  to.fillStyle = lines.text;
  // The name of a day stands at its first hour, and of the day that is cut at the left edge.
  let from = first;
  while (from < last) {
    const midnight = new Date(what.startsAt + from * HOUR_MS);
    midnight.setHours(24, 0, 0, 0);
    const end = Math.min(Math.ceil((midnight.getTime() - what.startsAt) / HOUR_MS), what.hours);
    const x = Math.max(from * what.cellWidth - left, 0);
    const room = Math.min(end * what.cellWidth - left, width) - x;
    const name = formatDay(what.startsAt + from * HOUR_MS);
    if (to.measureText(name).width + 6 < room) to.fillText(name, x + 3, 10);
    from = end;
  }
}

function cells(paper: Paper, lines: Lines): void {
  const { to, what, left, top, height, first, last, font } = paper;
  to.font = `11px ${font}`;
  to.textBaseline = "middle";
  to.textAlign = "center";
  const firstRow = Math.max(0, Math.floor(top / what.rowHeight));
  const lastRow = Math.min(what.rows.length, Math.ceil((top + height) / what.rowHeight));
  for (let row = firstRow; row < lastRow; row++) {
    const y = row * what.rowHeight - top;
    for (let hour = first; hour < last; hour++) {
      cell(paper, row, hour, hour * what.cellWidth - left, y, lines);
    }
  }
}

function cell(paper: Paper, row: number, hour: number, x: number, y: number, lines: Lines): void {
  const { to, what, isDark } = paper;
  const share = what.shade(row, hour);
  if (share === null) {
    to.fillStyle = lines.line;
    to.fillRect(x + what.cellWidth / 2 - 1, y + what.rowHeight / 2 - 1, 2, 2);
  } else {
    const ground = colour(share, isDark);
    to.fillStyle = css(ground);
    to.fillRect(x + 0.5, y + 0.5, what.cellWidth - 1, what.rowHeight - 1);
    if (what.text !== undefined && what.cellWidth >= TEXT_WIDTH_PX) {
      to.fillStyle = inkOn(ground);
      to.fillText(what.text(row, hour), x + what.cellWidth / 2, y + what.rowHeight / 2 + 0.5);
    }
  }
  if (what.isMarked?.(row, hour)) {
    to.fillStyle = lines.text;
    to.fillRect(x + 1, y + what.rowHeight - 4, what.cellWidth - 2, 3);
  }
}

function outlines({ to, what, left, top }: Paper, marks: Marks, lines: Lines): void {
  const around = (row: number, from: number, hours: number, weight: number, ink: string) => {
    to.lineWidth = weight;
    to.strokeStyle = ink;
    const inset = weight / 2;
    to.strokeRect(
      from * what.cellWidth - left + inset,
      row * what.rowHeight - top + inset,
      hours * what.cellWidth - weight,
      what.rowHeight - weight,
    );
  };
  if (marks.pointed !== null) around(marks.pointed.row, marks.pointed.hour, 1, 1.5, lines.text);
  if (marks.chosen !== null) {
    const { row, from, to: end } = marks.chosen;
    around(row, from, end - from, 5, lines.ground);
    around(row, from, end - from, 3, lines.strong);
  }
  if (marks.cursor !== null) {
    to.setLineDash([3, 2]);
    around(marks.cursor.row, marks.cursor.hour, 1, 2, lines.text);
    to.setLineDash([]);
  }
}
