/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* How much of each folder the tests have run: `node tests/coverage.js BUILD_DIR`, after programs
 * compiled there with --coverage have exited. Counts lines with code, and branches, one for each way
 * out of a condition; if several programs contain the same source, their counts are added. */

import { spawnSync } from "node:child_process";
import { readdirSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("..", import.meta.url)).replace(/\/$/, "");
const TOPS = ["server", "shard", "scripts"];

const percent = ({ run, all }) => (all === 0 ? "-" : `${((100 * run) / all).toFixed(1)} %`);
const of = ({ run, all }) => `${run}/${all}`;

/** What gcov reports for each object file with notes below DIR. */
function gcov(dir) {
  const notes = TOPS.flatMap((top) =>
    readdirSync(join(dir, top), { recursive: true })
      .filter((name) => name.endsWith(".gcno"))
      .map((name) => join(dir, top, name)),
  );
  const { status, stdout, stderr } = spawnSync(
    "gcov",
    ["--json-format", "--stdout", "--branch-probabilities", ...notes],
    { cwd: ROOT, encoding: "utf8", maxBuffer: 1 << 30 },
  );
  if (status !== 0) throw new Error(`gcov: ${stderr}`);
  return stdout
    .split("\n")
    .filter((line) => line.startsWith("{"))
    .map((line) => JSON.parse(line));
}

/** Map of source file to Map of line to {count, branches: counts}. */
function addUp(units) {
  const sources = new Map();
  for (const { files } of units) {
    for (const { file, lines } of files) {
      const path = relative(ROOT, resolve(ROOT, file));
      if (!TOPS.includes(path.split("/")[0])) continue;
      if (!sources.has(path)) sources.set(path, new Map());
      const source = sources.get(path);
      for (const { line_number: number, count, branches } of lines) {
        const line = source.get(number) ?? { count: 0, branches: [] };
        line.count += count;
        branches.forEach((branch, i) => (line.branches[i] = (line.branches[i] ?? 0) + branch.count));
        source.set(number, line);
      }
    }
  }
  return sources;
}

/** Map of folder to {lines, branches}, each {run, all}; the folder "all" is the sum. */
export function folders(units) {
  const found = new Map();
  const empty = () => ({ lines: { run: 0, all: 0 }, branches: { run: 0, all: 0 } });
  const sums = [...addUp(units)].sort(([a], [b]) => (dirname(a) < dirname(b) ? -1 : 1));
  const total = empty();
  for (const [path, lines] of sums) {
    const folder = dirname(path);
    if (!found.has(folder)) found.set(folder, empty());
    for (const sum of [found.get(folder), total]) {
      for (const { count, branches } of lines.values()) {
        sum.lines.all += 1;
        sum.lines.run += count > 0 ? 1 : 0;
        sum.branches.all += branches.length;
        sum.branches.run += branches.filter((n) => n > 0).length;
      }
    }
  }
  return found.set("all", total);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const row = (...cells) => console.log(cells[0].padEnd(20), ...cells.slice(1).map((cell) => cell.padStart(13)));
  row("folder", "lines", "", "branches", "");
  for (const [folder, { lines, branches }] of folders(gcov(resolve(process.argv[2])))) {
    row(folder, percent(lines), of(lines), percent(branches), of(branches));
  }
}
