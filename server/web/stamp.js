/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Whether dist/ is what was built from these sources. The build writes a checksum of them, and one of its
 * output, next to the output.
 *
 *   node stamp.js --write   after a build: write dist/SOURCES
 *   node stamp.js --check   exit status 1 if the sources or dist/ are not those of the last build
 */
import { createHash } from "node:crypto";
import { readFileSync, readdirSync, writeFileSync } from "node:fs";
import { dirname, join, relative, sep } from "node:path";
import { fileURLToPath } from "node:url";

const HERE = dirname(fileURLToPath(import.meta.url));
const DIST = join(HERE, "dist");
const STAMP = join(DIST, "SOURCES");

/* All files below DIR, without those at the paths LEFT_OUT. */
function filesOf(dir, leftOut) {
  const paths = readdirSync(dir, { withFileTypes: true })
    .map((entry) => ({ entry, path: join(dir, entry.name) }))
    .filter(({ path }) => !leftOut.includes(path));
  return paths.flatMap(({ entry, path }) => (entry.isDirectory() ? filesOf(path, leftOut) : [path]));
}

/* Of names and contents, sorted by name. */
function checksum(paths) {
  const hash = createHash("sha256");
  const named = paths.map((path) => [relative(HERE, path).split(sep).join("/"), path]);
  for (const [name, path] of named.sort(([a], [b]) => (a < b ? -1 : 1))) {
    const bytes = readFileSync(path);
    hash.update(`${name}\0${bytes.length}\0`).update(bytes);
  }
  return hash.digest("hex");
}

/** The checksums of the present sources and outputs. Anything in this directory can change what is built, so
 * nothing needs to be listed. */
export function stamp() {
  const sources = filesOf(HERE, [DIST, join(HERE, "node_modules")]);
  return `${checksum(sources)}\n${checksum(filesOf(DIST, [STAMP]))}\n`;
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
    console.error("server/web/dist was not built from these sources: run `make web` and commit what it changes");
    return 1;
  } else {
    console.error("usage: node stamp.js --write|--check");
    return 2;
  }
  return 0;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) process.exitCode = main(process.argv[2]);
