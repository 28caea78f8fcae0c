/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* What operators do with a whole cluster: `shardctl call` runs a CALL on every shard, makes one
 * table of the answers, and finds the demo cluster in its directory by itself; a paused shard causes
 * no errors. */

import assert from "node:assert/strict";
import { chmodSync, copyFileSync, existsSync, mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { CODE } from "../lib/api.js";
import { slotOfId } from "../lib/checks.js";
import { Cluster, serverEnvironment, statusOf } from "../lib/cluster.js";
import { owners, plantVideos } from "../lib/rows.js";
import { SHARDCTL, shardctl } from "../lib/shardctl.js";
import { until } from "../lib/wait.js";

let cluster;
let api;
/* A directory with the demo cluster in ./var. */
let dir;

const run = (args, { cwd = dir, env = {} } = {}) => shardctl(args, { cwd, env: { ...serverEnvironment(), ...env } });

const call = (...args) => run(["call", ...args]);

/** The tables of an answer: [[{column: cell}]]; cells are separated by two or more spaces. */
const tables = (out) =>
  out
    .trim()
    .split("\n\n")
    .map((text) => {
      const [names, ...lines] = text.split("\n").map((line) => line.split(/ {2,}/));
      return lines.map((cells) => Object.fromEntries(names.map((name, i) => [name, cells[i]])));
    });

before(async () => {
  assert.ok(existsSync(SHARDCTL), `${SHARDCTL} is not built: make ${SHARDCTL}`);
  cluster = await Cluster.up({ shards: 2 });
  ({ api } = cluster);
  dir = mkdtempSync(join(tmpdir(), "operator-"));
  symlinkSync(cluster.dir, join(dir, "var"));
});

after(async () => {
  await cluster?.down();
  if (dir) rmSync(dir, { recursive: true });
});

test("prints its usage", async () => {
  const help = await call("--help");
  assert.equal(help.status, 0);
  assert.match(help.out, /usage: [^]*shardctl call STATEMENT[^]*on every shard[^]*Exit status/);
  for (const args of [
    ["call"],
    ["call", "a", "b"],
    ["call", "slot_map()", "--json"],
    ["call", "x()", "--output=x"],
    ["call", "x()", "--checkpoint=x"],
    ["export", "1", "--shard=shard1"],
    ["audit", "x"],
  ])
    assert.equal((await run(args)).status, 2, args.join(" "));
  const misuse = await call("x()", "--output=x");
  assert.deepEqual([misuse.out, misuse.err.split("\n")[0]], ["", "shardctl: call takes no --output"]);
  assert.doesNotMatch(misuse.err, /shardctl export/, "the help is about this command alone");
  const strange = await call("slot_map()", "--shard=shard9");
  assert.deepEqual([strange.status, strange.out], [2, ""]);
  assert.match(strange.err, /shard9: the topology names no such shard/);
});

test("one CALL on every shard, one table, no options in a directory with a demo cluster", async () => {
  const user = await api.register();
  for (const statement of ["shard_status()", "CALL shard_status()", "call  shard_status();"]) {
    const { status, out, err } = await call(statement);
    assert.deepEqual([status, err], [0, ""], statement);
    const [rows] = tables(out);
    assert.deepEqual(
      rows.map(({ shard, server, slots, served }) => [shard, server, slots, served]),
      [
        ["shard1", "shard1", "512", "512"],
        ["shard2", "shard2", "512", "512"],
      ],
    );
    assert.equal(out.split("\n").length, 4);
  }
  const found = await call(`user_find('${user.name}')`);
  const codes = tables(found.out)[0]
    .map(({ code, user_id: id }) => [code, id])
    .sort();
  assert.deepEqual(codes, [
    ["moved", "NULL"],
    ["ok", String(user.id)],
  ]);

  const elsewhere = { cwd: tmpdir(), env: { DOUSHARD_VAR: cluster.dir } };
  assert.equal((await run(["call", "shard_status()"], elsewhere)).status, 0);
  assert.match((await run(["audit"])).err, / 0 differences\n$/);
  assert.equal(JSON.parse((await run(["export", String(user.id)])).out).profile.name, user.name);
  const nowhere = await run(["call", "shard_status()"], { cwd: tmpdir() });
  assert.equal(nowhere.status, 2);
  assert.match(nowhere.err, /--password-file is missing/);
});

test("a password file that others may read is refused", async () => {
  const file = join(cluster.dir, "read-by-all");
  copyFileSync(join(cluster.dir, "secrets", "admin_password"), file);
  chmodSync(file, 0o644);
  const status = () => call("shard_status()", `--topology=${cluster.files.topology}`, `--password-file=${file}`);
  const refused = await status();
  assert.equal(refused.status, 2);
  assert.match(refused.err, /read-by-all: others may read this secret/);
  chmodSync(file, 0o600);
  assert.equal((await status()).status, 0);
});

test("one shard alone; several result sets; texts that would break a line", async () => {
  const { out } = await call("shard_status()", "--shard=shard2");
  assert.deepEqual(
    tables(out)[0].map(({ shard }) => shard),
    ["shard2"],
  );
  const feed = await call("feed_list(0, 1)");
  assert.equal(feed.status, 0);
  assert.ok(feed.out.trim().split("\n\n").length > 1, feed.out);
  const paused = await call("shard_pause('a\n\tb é')", "--shard=shard2");
  assert.match(paused.out, / {2}a\?\?b é\n$/);
  assert.equal((await call("shard_resume()")).status, 0);
});

test("a shard is paused under load: busy, never an error; the feed is partial, and /readyz shows the reason", async () => {
  const owner = await owners(cluster);
  const shardOf = (id) => owner.get(slotOfId(id));
  const users = {};
  while (!users.shard1 || !users.shard2) {
    const user = await api.register();
    users[shardOf(user.id)] ??= user;
  }
  const [video] = await plantVideos(cluster, [{ author: users.shard2.id, at: Date.now() }]);
  assert.equal((await call(`user_repair(${users.shard2.id})`)).status, 0); /* plantVideos counts nothing */
  const said = { shard1: new Set(), shard2: new Set() };
  let going = true;
  const load = async (name, ask) => {
    for (let on = 1; going; on = 3 - on) said[name].add((await ask(on)).status_code);
  };
  const { shard1: here, shard2: there } = users;
  const loads = [
    load("shard1", () => api.list({ user_id: here.id, token: here.token })),
    load("shard2", (on) => api.like(there.token, video.id, on)),
    load("shard2", (on) => api.follow(here.token, there.id, on)),
    load("shard2", () => api.list({ user_id: there.id, token: here.token })),
  ];
  try {
    await until("requests of all kinds", () => said.shard1.size > 0 && said.shard2.has(CODE.OK));
    assert.equal((await call("shard_pause('a new disk')", "--shard=shard2")).status, 0);
    said.shard2.clear();
    await until("somebody to be told busy", () => said.shard2.has(CODE.BUSY));
    // The reason of an earlier pause stays until the next check.
    await until("/readyz to say why", async () => {
      const answer = await fetch(`${cluster.server.adminUrl}/readyz`);
      return (
        /\[-\]shard shard2 is paused by doushard_admin@[^:]*: a new disk\n/.test(await answer.text()) &&
        answer.status === 503
      );
    });
    const feed = await api.feed();
    assert.deepEqual([feed.status_code, feed.partial, feed.video_list.length], [CODE.OK, true, 0]);
    const before_ = await cluster.sql("shard2", "CHECKSUM TABLE user, follower, liker, outbox, session");
    said.shard2.clear();
    await until("more to be told busy", () => said.shard2.has(CODE.BUSY));
    assert.deepEqual(await cluster.sql("shard2", "CHECKSUM TABLE user, follower, liker, outbox, session"), before_);
    assert.equal((await call("shard_resume()")).status, 0);
    await until("ready", async () => (await statusOf(`${cluster.server.adminUrl}/readyz`)) === 200);
  } finally {
    going = false;
    await Promise.all(loads);
  }
  assert.deepEqual([...said.shard1], [CODE.OK]);
  assert.deepEqual(
    [...said.shard2].filter((code) => code !== CODE.OK && code !== CODE.BUSY),
    [],
  );
  assert.equal((await api.like(there.token, video.id, 1)).status_code, CODE.OK);
  await until("an empty outbox", async () =>
    (await cluster.sqlAll("SELECT COUNT(*) AS n FROM outbox")).every(({ n }) => n === 0),
  );
  const audit = await run(["audit"]);
  assert.deepEqual([audit.status, audit.out], [0, ""]);
});

test("a refusal and a shard that is down: the others answer, and the missing one is named", async () => {
  const refusal = await call("slot_where(0)");
  assert.deepEqual([refusal.status, refusal.out], [1, ""]);
  assert.match(refusal.err, /shardctl: shard1: slot_where needs an id[^]*shardctl: shard2: slot_where needs/);
  for (const statement of ["SELECT 1", "shard_status(); DROP TABLE user", "nonsense()"]) {
    const { status, out } = await call(statement);
    assert.deepEqual([status, out], [1, ""], statement);
  }
  const forbidden = await call("shard_pause('x')", "--user=doushard_monitor");
  assert.equal(forbidden.status, 1);
  assert.match(forbidden.err, /denied/);

  await cluster.demo("kill", "shard1");
  const { status, out, err } = await call("shard_status()");
  assert.equal(status, 1);
  assert.deepEqual(
    tables(out)[0].map(({ shard }) => shard),
    ["shard2"],
  );
  assert.match(err, /^shardctl: shard1: /);
});
