/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* The shard library with real shards: starts two of them and runs test_router (C, cmocka). */

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { Cluster, buildDir } from "../lib/cluster.js";
import { environment } from "../lib/program.js";

const program = join(buildDir(), "tests", "test_router");
let cluster;
let tap = [];
let log = "";

before(async () => {
  assert.ok(existsSync(program), `${program} is not built: make ${program}`);
  cluster = await Cluster.up({ shards: 2, server: false });
  const run = spawnSync(program, { env: environment(cluster), encoding: "utf8", timeout: 600000 });
  const text = `${run.stdout}${run.stderr}`;
  log = run.stderr;
  tap = text.split("\n").filter((line) => /^(not )?ok \d+ - /.test(line));
  if (run.status !== 0) tap.push(`not ok 0 - the program ended with ${run.status ?? run.signal}:\n${text}`);
});

after(() => cluster?.down());

test("the C tests of router, pools and connections", async (t) => {
  assert.ok(tap.length > 0, "no test ran");
  for (const line of tap) {
    const name = line.replace(/^(not )?ok \d+ - /, "");
    await t.test(name, () => assert.match(line, /^ok /, line));
  }
});

test("the log has slots that two shards claim, how they were settled, and rumours", () => {
  assert.match(log, /error slot_disputed slot=\d+ epoch=1 claimed_by=shard1,shard2 more=0/);
  assert.match(log, /info slot_settled slot=\d+ epoch=2 server=shard1 more=0/);
  assert.match(log, /warn slot_hearsay shard=shard2 heard="slot \d+ is on elsewhere at epoch 1" more=0/);
});
