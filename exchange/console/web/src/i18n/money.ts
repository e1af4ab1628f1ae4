/** Money and prices: decimal strings of CNY outside, whole fen inside. Never a floating-point number. */

const SHAPE = /^(-?)(\d+)(?:\.(\d{1,2}))?$/;

/** Return the fen in a decimal string of CNY, or null where it is none. */
export function fenOf(cny: string): bigint | null {
  const match = SHAPE.exec(cny.trim());
  if (match === null) return null;
  const fen = BigInt(match[2] ?? "0") * 100n + BigInt((match[3] ?? "").padEnd(2, "0"));
  return match[1] === "-" ? -fen : fen;
}

/** Return fen as a decimal string of CNY with two decimals. */
export function cnyOf(fen: bigint): string {
  const size = fen < 0n ? -fen : fen;
  return `${fen < 0n ? "-" : ""}${size / 100n}.${String(size % 100n).padStart(2, "0")}`;
}
