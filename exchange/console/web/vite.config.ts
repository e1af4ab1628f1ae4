import { defineConfig } from "vite";

// The pages are served below /console/ under a strict Content-Security-Policy: nothing inline, nothing from elsewhere.
export default defineConfig({
  base: "/console/",
  build: {
    outDir: "../pages",
    emptyOutDir: true,
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    target: "es2023",
    license: { fileName: "licenses.md" },
  },
  oxc: { jsx: { runtime: "automatic", importSource: "preact" } },
  // The examples of programmes stand with the programmes.
  server: {
    fs: { allow: [".", "../../programmes/examples"] },
    proxy: { "/v1": { target: "http://127.0.0.1:8000", ws: true } },
  },
});
