/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* The text files of the tree, for checks of all of them. */
import assert from "node:assert/strict";
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";

import { ROOT, read } from "./tables.js";

const TOPS = ["server", "shard", "procedures", "config", "scripts", "tests", ".ci"];
const SKIPPED = new Set(["node_modules", "data", "dist", "corpus"]);

function walk(dir) {
  if (!existsSync(join(ROOT, dir))) return [];
  return readdirSync(join(ROOT, dir), { withFileTypes: true }).flatMap((entry) => {
    const path = `${dir}/${entry.name}`;
    if (entry.isDirectory()) return SKIPPED.has(entry.name) ? [] : walk(path);
    return entry.isFile() ? [path] : [];
  });
}

const isText = (path) => !/\.(md|png|jpg|ico|mp4|json|out|expected)$|\/\.[^/]+$/.test(path);
export const isC = (path) => /\.[ch]$/.test(path);

export const files = TOPS.flatMap(walk)
  .filter(isText)
  .map((path) => ({ path, text: read(path) }));
export const sources = files.filter(({ path }) => isC(path));

/** No problem in the tree, and exactly COUNT in the bad sample. */
export function holds(problems, sampleProblems, count) {
  assert.deepEqual(problems, []);
  assert.equal(sampleProblems.length, count, `the bad sample: ${sampleProblems.join("; ")}`);
}
