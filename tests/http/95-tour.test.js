/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* scripts/tour, small: from 2 shards to 4 and back under load; what it prints when a step fails;
 * that nothing is left behind. */

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { chmodSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { buildDir, ROOT, serverEnvironment } from "../lib/cluster.js";
import { until } from "../lib/wait.js";

/* Short, because the path of a socket is in it. */
const parent = mkdtempSync(join(tmpdir(), "tour-"));
chmodSync(parent, 0o755); /* as root the databases run under another account */
after(() => rmSync(parent, { recursive: true, force: true }));

const SMALL = ["--users=12", "--clients=2", "--clips=1", "--seconds=1", "--step-seconds=600"];

/** A running tour: {out() so far, ended (its status), interrupt() like Ctrl-C}. */
function tour(args, env = {}) {
  const child = spawn(join(ROOT, "scripts", "tour"), args, {
    cwd: "/",
    detached: true,
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...serverEnvironment(), TMPDIR: parent, DOUSHARD_BUILD_DIR: buildDir(), ...env },
  });
  let out = "";
  child.stdout.on("data", (chunk) => {
    out += chunk;
  });
  child.stderr.on("data", (chunk) => {
    out += chunk;
  });
  const ended = new Promise((done) => {
    child.once("close", (status, signal) => done(status ?? signal));
  });
  return { out: () => out, ended, interrupt: () => process.kill(-child.pid, "SIGINT") };
}

const leftovers = () => readdirSync(parent);

test("from 2 shards to 4 and back: no client sees an error, nothing is lost, nothing is left", async () => {
  const { out, ended } = tour(SMALL);
  assert.equal(await ended, 0, out());
  const text = out();
  for (const command of [
    "scripts/demo add-shard",
    "scripts/rebalance.sh --by=rows",
    "shardctl promote demo1",
    "shardctl move 1024 --to=shard4",
    "scripts/drain-shard.sh shard3",
    "shardctl demote demo1",
    "scripts/demo remove-shard",
    "shardctl audit",
  ])
    assert.ok(text.includes(`${command}`) && /^ {4}\$ /m.test(text), command);
  assert.match(text, /^ {4}shard4 +\|#+ +\| .*demo1 alone$/m, "the fleet in between");
  assert.match(
    text,
    /^ {4}shard1 .*people in \d+ slots\n {4}shard2 .*people in \d+ slots\n {4}\d.* ms, 0 errors\n\n8\. /m,
    "and at the end",
  );
  const rows = [...text.matchAll(/^ {4}\S.*? +(\d+\.\d) +\d+ +\d+\.\d ms +(\d+)$/gm)];
  assert.equal(rows.length, 7, "a line of the table for each step");
  assert.ok(
    rows.every(([, , errors]) => errors === "0"),
    text,
  );
  const [, requests, writes] = /^ {4}(\d+) requests in .*; (\d+) writes acknowledged, none lost/m.exec(text);
  assert.ok(Number(requests) > Number(writes) && Number(writes) > 0);
  assert.deepEqual(leftovers(), []);
});

test("a step that cannot be done fails, and says why", async () => {
  /* The mover stops itself after the first rows that it has written. */
  const { out, ended } = tour(SMALL, { DOUSHARD_FAILPOINT: "move_write:after:1" });
  assert.equal(await ended, 1, out());
  assert.match(out(), /^\[FAILED\] scripts\/rebalance\.sh .* did not end well: the mover does not run/m);
  assert.deepEqual(leftovers(), []);
});

test("Ctrl-C leaves nothing behind; --help explains; wrong usage is reported", async () => {
  const { out, ended, interrupt } = tour(SMALL);
  await until("the shards to start", () => /starting 2 MariaDB shards/.test(out()));
  interrupt();
  assert.equal(await ended, 130, out());
  assert.deepEqual(leftovers(), []);
  const help = tour(["--help"]);
  assert.equal(await help.ended, 0);
  assert.match(help.out(), /usage: scripts\/tour[^]*--users=N[^]*Exit status/);
  for (const wrong of ["--users=2", "--clients=x", "--frobnicate"]) {
    const misused = tour([wrong]);
    assert.equal(await misused.ended, 2, wrong);
  }
});
