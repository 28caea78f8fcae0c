/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Test programs in C that need shards: each of their tests becomes one of ours. */

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { Cluster, buildDir } from "./cluster.js";

/* Output of programs: their tests, other TAP lines, lines of the log. Everything else is shown. */
const IS_TEST = /^(?:not )?ok \d+ (?:- |# SKIP )/;
const IS_FRAME = /^(?:#|\d+\.\.\d+$|TAP version )/;
const IS_LOG = /^\d{4}-\d\d-\d\dT\S+Z [a-z]+ /;

/* cmocka calls what is skipped "not ok". */
const isSkip = (line) => /^(?:not )?ok \d+ # SKIP /.test(line);

/** What the programs read from the environment; see tests/integration/live.h. */
export function environment(cluster, filter) {
  const env = {
    ...process.env,
    CMOCKA_MESSAGE_OUTPUT: "TAP",
    TEST_SHARDS: String(cluster.shards.length),
    TEST_PASSWORD_FILE: cluster.files.app_password,
    TEST_ROOT_FILE: cluster.files.root_cnf,
  };
  if (filter) env.TEST_FILTER = filter;
  cluster.shards.forEach((shard, i) => {
    env[`TEST_SHARD_${i}`] = `${shard.name} ${shard.host} ${shard.port} ${shard.pid}`;
    env[`TEST_SOCKET_${i}`] = shard.socket;
  });
  return env;
}

/** Run NAME on a cluster of its own: all of its tests, or those whose names match the filter. */
export function testProgram(name, { shards, filter }) {
  const program = join(buildDir(), "tests", name);
  let cluster;
  let tap = [];
  let notes = [];

  before(async () => {
    assert.ok(existsSync(program), `${program} is not built: make ${program}`);
    cluster = await Cluster.up({ shards, server: false });
    const { status, signal, stdout, stderr } = spawnSync(program, {
      env: environment(cluster, filter),
      encoding: "utf8",
      timeout: 600000,
    });
    const text = `${stdout}${stderr}`;
    const lines = text.split("\n");
    tap = lines.filter((line) => IS_TEST.test(line));
    notes = lines.filter(
      (line) => line.trim() !== "" && ![IS_TEST, IS_FRAME, IS_LOG].some((pattern) => pattern.test(line)),
    );
    if (status !== 0) tap.push(`not ok 0 - the program ended with ${status ?? signal}:\n${text}`);
  });

  after(() => cluster?.down());

  test(`${name}, shards: ${shards}`, async (t) => {
    assert.ok(tap.length > 0, "no test ran");
    for (const line of tap) {
      const title = line.split("\n")[0].replace(IS_TEST, "");
      await t.test(title, (s) => (isSkip(line) ? s.skip("the program says so") : assert.match(line, /^ok /, line)));
    }
    for (const line of notes) t.diagnostic(`note: ${line}`);
  });
}
