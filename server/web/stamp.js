/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Whether dist/ was built from these sources. The build writes a checksum of them next to its output.
 *
 *   node stamp.js --write   after a build: write dist/SOURCES
 *   node stamp.js --check   exit status 1 if dist/ is older than its sources
 */
import { createHash } from "node:crypto";
import { readFileSync, readdirSync, writeFileSync } from "node:fs";
import { dirname, join, relative, sep } from "node:path";
import { fileURLToPath } from "node:url";

const HERE = dirname(fileURLToPath(import.meta.url));
const STAMP = join(HERE, "dist", "SOURCES");
const NO_SOURCES = new Set(["dist", "node_modules"]);

/* Anything in this directory can change what is built, so nothing needs to be listed. */
function sources(dir = HERE) {
  const files = readdirSync(dir, { withFileTypes: true }).filter(({ name }) => dir !== HERE || !NO_SOURCES.has(name));
  return files.flatMap((entry) => {
    const path = join(dir, entry.name);
    return entry.isDirectory() ? sources(path) : [path];
  });
}

/** The checksum of the present sources: of names and contents, sorted by name. */
export function stamp() {
  const hash = createHash("sha256");
  const named = sources().map((path) => [relative(HERE, path).split(sep).join("/"), path]);
  for (const [name, path] of named.sort(([a], [b]) => (a < b ? -1 : 1))) {
    const bytes = readFileSync(path);
    hash.update(`${name}\0${bytes.length}\0`).update(bytes);
  }
  return `${hash.digest("hex")}\n`;
}

/** What the last build wrote; "" if there was none. */
export function built() {
  try {
    return readFileSync(STAMP, "utf8");
  } catch {
    return "";
  }
}

function main(option) {
  if (option === "--write") {
    writeFileSync(STAMP, stamp());
  } else if (option === "--check") {
    if (built() === stamp()) return 0;
    console.error("server/web/dist is older than its sources: run `make web` and commit what it changes");
    return 1;
  } else {
    console.error("usage: node stamp.js --write|--check");
    return 2;
  }
  return 0;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) process.exitCode = main(process.argv[2]);
