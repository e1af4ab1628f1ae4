/** Whole numbers that readers type. */

/** The whole number that a text is, of nine digits at most; null where it is none. */
export function whole(text: string): number | null {
  const trimmed = text.trim();
  return /^\d{1,9}$/.test(trimmed) ? Number(trimmed) : null;
}

/** The same for a body: what is no number goes as it was typed, and the exchange says what is wrong with it. */
export function wholeOrText(text: string): number {
  return whole(text) ?? (text.trim() as unknown as number);
}
