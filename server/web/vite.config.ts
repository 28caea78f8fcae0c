/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* How the page is built, and served during development. */
import { createHash } from "node:crypto";
import { readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { defineConfig, type Plugin } from "vite";

/* Everything comes from one origin: the attribute would only cause a second mode of fetching the
 * same files. */
const withoutCrossorigin: Plugin = {
  name: "without-crossorigin",
  transformIndexHtml: {
    order: "post",
    handler: (html) => html.replaceAll(" crossorigin", ""),
  },
};

const LICENSES = "web/licenses.txt";

/* The licences of what is bundled are cached as long as everything else below /web/, so their name
 * must change with their contents; the page contains that name. */
const namedLicenses: Plugin = {
  name: "named-licenses",
  writeBundle: {
    order: "post",
    sequential: true,
    handler: ({ dir = "dist" }) => {
      const file = join(dir, LICENSES);
      const hash = createHash("sha256").update(readFileSync(file)).digest("base64url").slice(0, 8);
      const name = LICENSES.replace(".txt", `-${hash}.txt`);
      renameSync(file, join(dir, name));
      const page = join(dir, "index.html");
      const link = `<link rel="license" href="/${name}">`;
      writeFileSync(page, readFileSync(page, "utf8").replace("  </head>", `    ${link}\n  </head>`));
    },
  },
};

/* `npm run dev` serves the sources and forwards everything else to this service. */
const service = process.env.DOUSHARD_URL ?? "http://127.0.0.1:8080";

export default defineConfig({
  base: "/",
  publicDir: false,
  plugins: [withoutCrossorigin, namedLicenses],
  build: {
    outDir: "dist",
    /* dist/docs is not built here. */
    emptyOutDir: false,
    assetsDir: "web",
    target: "es2022",
    /* light-dark() */
    cssTarget: ["chrome123", "firefox120", "safari17.5"],
    /* The page's policy allows neither data: URLs nor inline scripts and styles. */
    assetsInlineLimit: 0,
    cssCodeSplit: false,
    modulePreload: { polyfill: false },
    sourcemap: false,
    reportCompressedSize: false,
    license: { fileName: LICENSES },
  },
  server: {
    host: "127.0.0.1",
    proxy: { "/douyin": service, "/static": service, "/assets": service },
  },
});
