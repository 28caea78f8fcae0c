/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
import { defineConfig, type Plugin } from "vite";

/* Everything comes from one origin: what the attribute asks for would only be a second mode of
 * fetching the same files. */
const withoutCrossorigin: Plugin = {
  name: "without-crossorigin",
  transformIndexHtml: {
    order: "post",
    handler: (html) => html.replaceAll(" crossorigin", ""),
  },
};

/* `npm run dev` shows the sources and asks this service for everything else. */
const service = process.env.DOUSHARD_URL ?? "http://127.0.0.1:8080";

export default defineConfig({
  base: "/",
  publicDir: false,
  plugins: [withoutCrossorigin],
  build: {
    outDir: "dist",
    /* dist/docs is not made here. */
    emptyOutDir: false,
    assetsDir: "web",
    target: "es2022",
    /* The policy of the page allows neither data: nor inline scripts and styles. */
    assetsInlineLimit: 0,
    cssCodeSplit: false,
    modulePreload: { polyfill: false },
    sourcemap: false,
    reportCompressedSize: false,
    /* Of what is bundled. */
    license: { fileName: "web/licenses.txt" },
  },
  server: {
    host: "127.0.0.1",
    proxy: { "/douyin": service, "/static": service, "/assets": service },
  },
});
