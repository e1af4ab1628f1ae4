/**
 * Loads the pages' TypeScript as it stands into Node: what a module imports of the sources comes with it. Of a browser
 * there is only what modules ask for as they are loaded.
 */
import { join } from "node:path";
import { runnerImport } from "vite";

const ROOT = join(import.meta.dirname, "..");

globalThis.localStorage ??= { getItem: () => null, setItem: () => undefined };
globalThis.navigator ??= { language: "en" };

/** A source such as `stream/soon.ts`, loaded anew. */
export async function load(source) {
  globalThis.document ??= { documentElement: {} };
  const { module } = await runnerImport(join(ROOT, "src", source), {
    root: ROOT,
    configFile: false,
    logLevel: "error",
  });
  return module;
}
