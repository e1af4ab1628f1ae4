/** The codes of the record's steps, in words. */
import { named } from "./texts";

/** Steps of orders and trades first, then those of what is beside them. */
export const CODES = [
  ...["NEWO", "REME", "REMO", "PARF", "FILL", "STPV", "CAME", "EXPI", "DLVR", "REFD", "OUTG"],
  ...["VISS", "VSUS", "VRES", "VREV", "VEXP", "APPS", "APPX", "APPC", "APPA", "APPR", "APPW"],
  ...["CLMO", "CLMS", "CLME", "CLMU", "CLMQ", "CLMA", "CLMD", "CLMR", "CLMP", "CLMC", "CLMB", "CLMV", "CLMW"],
  ...["PRGM", "POPN", "PEXH", "PCLO", "CASH", "PHAS", "LPRC", "ALRV", "ALNT", "ALCL", "ALRU"],
  ...["PNEW", "GNEW", "KNEW", "KROT", "KREV", "LNEW", "SNEW", "SEND", "AUTF", "CKEY", "CKLO"],
];

export type Tone = "plain" | "begin" | "good" | "busy" | "bad";

const TONES: Record<string, Tone> = {
  ...{ NEWO: "begin", REME: "busy", REMO: "bad", PARF: "good", FILL: "good", STPV: "bad", CAME: "plain" },
  ...{ EXPI: "plain", DLVR: "good", REFD: "bad", OUTG: "bad" },
};

export function codeName(code: string): string {
  return named("code", code);
}

export function toneOf(code: string): Tone {
  return TONES[code] ?? "plain";
}
