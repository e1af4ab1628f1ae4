/** Where a JSON pointer points to in a text, so that a fault is shown in the document as its writer has it. */

export interface Place {
  from: number;
  to: number;
  /** As an editor counts, from 1. */
  line: number;
}

/** The place of a value; of the nearest one around it where it is missing; null where the text is no JSON. */
export function locate(text: string, pointer: string): Place | null {
  let spans: Map<string, readonly [number, number]>;
  try {
    JSON.parse(text);
    spans = spansOf(text);
  } catch {
    return null;
  }
  for (let path = pointer; ; path = path.slice(0, path.lastIndexOf("/"))) {
    const span = spans.get(path);
    if (span !== undefined) {
      const [from, to] = span;
      return { from, to, line: text.slice(0, from).split("\n").length };
    }
    if (!path.includes("/")) return null;
  }
}

/** From where to where each value of a valid document stands, by its pointer. */
function spansOf(text: string): Map<string, readonly [number, number]> {
  const spans = new Map<string, readonly [number, number]>();
  let at = 0;
  const blank = () => {
    while (/\s/.test(text[at] ?? "")) at++;
  };
  const string = (): string => {
    const from = at++;
    while (text[at] !== '"') at += text[at] === "\\" ? 2 : 1;
    at++;
    return JSON.parse(text.slice(from, at));
  };
  const members = (close: string, member: (index: number) => void) => {
    at++;
    for (let index = 0; ; index++) {
      blank();
      if (text[at] === close) break;
      member(index);
      blank();
      if (text[at] === ",") at++;
    }
    at++;
  };
  const value = (pointer: string) => {
    blank();
    const from = at;
    const first = text[at];
    if (first === "{") {
      members("}", () => {
        const key = string().replaceAll("~", "~0").replaceAll("/", "~1");
        blank();
        at++; // the colon
        value(`${pointer}/${key}`);
      });
    } else if (first === "[") members("]", (index) => value(`${pointer}/${index}`));
    else if (first === '"') string();
    else while (/[^,\]}\s]/.test(text[at] ?? ",")) at++;
    spans.set(pointer, [from, at]);
  };
  value("");
  return spans;
}
