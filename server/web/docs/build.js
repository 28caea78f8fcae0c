/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Makes ../dist/docs, the page about the API, from the files here and the few files of Swagger UI
 * that it loads. A part of `npm run build`. */
import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const HERE = dirname(fileURLToPath(import.meta.url));
const SWAGGER = dirname(createRequire(import.meta.url).resolve("swagger-ui-dist/package.json"));
const DIST = join(HERE, "..", "dist", "docs");

rmSync(DIST, { recursive: true, force: true });
mkdirSync(DIST, { recursive: true });
for (const name of ["index.html", "init.js"]) cpSync(join(HERE, name), join(DIST, name));
cpSync(join(SWAGGER, "swagger-ui-bundle.js.LICENSE.txt"), join(DIST, "swagger-ui-bundle.js.LICENSE.txt"));
/* Without the reference to its source map, which is not served. */
for (const name of ["swagger-ui-bundle.js", "swagger-ui.css"])
  writeFileSync(
    join(DIST, name),
    readFileSync(join(SWAGGER, name), "utf8").replace(/\n?(\/\/|\/\*)# sourceMappingURL=\S+( \*\/)?\s*$/, "\n"),
  );
writeFileSync(
  join(DIST, "licenses.txt"),
  ["NOTICE", "LICENSE"].map((name) => readFileSync(join(SWAGGER, name), "utf8")).join("\n"),
);
