/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* make bench-scaling: the same rows on 1 to 8 shards, with more data, and with 100 to 10,000 connections; prints
 * what a request costs in each. Every setting is a run of bench.js with a cluster of its own. */

import { spawn } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { ROOT } from "../lib/cluster.js";
import { columns, median } from "./report.js";

const dir = process.env.BENCH_DIR || join(ROOT, "var", "bench", "scaling");
const list = (name, preset) => (process.env[`BENCH_SCALE_${name}`] || preset).split(/[ ,]+/).map(Number);
const small = process.env.BENCH_QUICK ? { USERS: 5000, VIDEOS: 900 } : { USERS: 100000, VIDEOS: 10000 };

const WRITES_AND_READS = "hot-like likes feed user works favorites";

/* Name and environment of each run. */
const runs = [
  ...list("SHARDS", "1 2 4 8").map((n) => ({ name: `${n} shards`, BENCH_SHARDS: n, BENCH_ONLY: WRITES_AND_READS })),
  ...list("DATA", "10").map((n) => ({
    name: `data x ${n}`,
    BENCH_USERS: n * small.USERS,
    BENCH_VIDEOS: n * small.VIDEOS,
    BENCH_ONLY: WRITES_AND_READS,
  })),
  ...list("CONNECTIONS", "100 1000 10000").map((n) => ({
    name: `${n} connections`,
    BENCH_CONNECTIONS: n,
    BENCH_ONLY: "ping likes user",
  })),
];

function run({ name, ...settings }) {
  const own = join(dir, name.replaceAll(" ", "-"));
  const only = process.env.BENCH_ONLY ? { BENCH_ONLY: process.env.BENCH_ONLY } : {};
  const env = { ...process.env, ...settings, ...only, BENCH_DIR: own };
  console.log(`\n==== ${name}`);
  return new Promise((done, failed) => {
    const child = spawn(process.execPath, [join(ROOT, "tests", "bench", "bench.js")], { stdio: "inherit", env });
    child.on("error", failed);
    child.on("exit", (code) => {
      if (code === 0) done(JSON.parse(readFileSync(join(own, "result.json"), "utf8")));
      else failed(new Error(`${name} ended with ${code}`));
    });
  });
}

/* One line per row and setting: the first side of each. */
function table(results) {
  const names = [...new Set(results.flatMap(({ result }) => result.rows.map((row) => row.name)))];
  const lines = names.flatMap((row) =>
    results.flatMap(({ name, result }) => {
      const side = Object.values(result.rows.find((r) => r.name === row)?.sides ?? {})[0];
      return side
        ? [
            [
              row,
              name,
              median(side.per_s),
              median(side.p99_ms),
              median(side.calls),
              median(side.db_bytes),
              median(side.cpu_us.server),
              median(side.cpu_us.MariaDB),
              String(side.refused),
            ],
          ]
        : [];
    }),
  );
  return columns([
    ["row", "setting", "per s", "p99 ms", "CALLs", "SQL bytes", "server us", "MariaDB us", "refused"],
    ...lines,
  ]);
}

mkdirSync(dir, { recursive: true });
const results = [];
for (const one of runs) results.push({ name: one.name, result: await run(one) });
const text = table(results).join("\n");
writeFileSync(join(dir, "scaling.txt"), `${text}\n`);
console.log(`\n${text}\n\nin ${dir}: scaling.txt, and the whole result of each run`);
