/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* The benchmark runs: on a tiny data set, for a moment, with its counts and audits. Speed is not
 * judged. */

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { chmodSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { ROOT } from "../lib/cluster.js";
import { PATIENCE_MS } from "../lib/wait.js";

/* Together these use all programs except the bare HTTP server. */
const ROWS = ["quiet-like", "one-read", "feed"];

test("rows are measured, and what was written is stored", (t) => {
  const dir = mkdtempSync(join(tmpdir(), "doushard-bench-"));
  chmodSync(dir, 0o755); /* the databases run under another account */
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  const env = {
    ...process.env,
    BENCH_DIR: dir,
    BENCH_ONLY: ROWS.join(" "),
    BENCH_USERS: "1000",
    BENCH_VIDEOS: "90",
    BENCH_SHARDS: "2",
    BENCH_ROUNDS: "1",
    BENCH_SECONDS: "0.1",
    BENCH_WARM_UP: "0.1",
  };
  delete env.NODE_TEST_CONTEXT;
  const { status, stdout, stderr } = spawnSync(process.execPath, [join(ROOT, "tests", "bench", "bench.js")], {
    env,
    encoding: "utf8",
    timeout: PATIENCE_MS,
  });
  assert.equal(status, 0, `${stdout}\n${stderr}`);
  const { machine, rows } = JSON.parse(readFileSync(join(dir, "result.json"), "utf8"));
  assert.equal(machine.data.rows.favorite, machine.data.rows.liker);
  assert.equal(machine.data.rows.follow, machine.data.rows.follower);
  assert.deepEqual(
    rows.map(({ name }) => name),
    ROWS,
  );
  for (const { name, sides } of rows)
    for (const [side, { right }] of Object.entries(sides)) assert.ok(right > 0, `${name}: ${side} did nothing`);
});
