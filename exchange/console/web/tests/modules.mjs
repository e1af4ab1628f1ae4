/** Loads the pages' TypeScript as it stands into Node: what a module imports of the sources comes with it. */
import { join } from "node:path";
import { runnerImport } from "vite";

const ROOT = join(import.meta.dirname, "..");

/** A source such as `stream/soon.ts`, loaded anew. */
export async function load(source) {
  const { module } = await runnerImport(join(ROOT, "src", source), { root: ROOT, configFile: false, logLevel: "error" });
  return module;
}
