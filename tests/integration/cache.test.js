/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* What `shardctl cache` prints about an owner of whom Redis has nothing, something or garbage,
 * beside what the shard has; that it changes nothing; and what it prints when Redis or the shard is
 * down. */

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { chmodSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { crc32, slotOfId } from "../lib/checks.js";
import { cachedCluster, cachedServer } from "../lib/cached.js";
import { owners, plantVideos } from "../lib/rows.js";
import { shardctl } from "../lib/shardctl.js";
import { until } from "../lib/wait.js";
import { read, rows } from "../lint/tables.js";

const KINDS = rows(read("shard/cache_kinds.def"), "KIND").map(([name, letter, owner]) => ({
  name,
  letter: letter[1],
  owner,
}));
const kindsOf = (owner) => KINDS.filter((kind) => kind.owner === owner).map(({ name }) => name);
let cluster;
let redis;
let api;
let ana;
let bob;
let video;

const run = (args, env = {}) => shardctl(args, { env: { ...process.env, ...env } });

const shards = () => [
  `--topology=${cluster.files.topology}`,
  `--password-file=${join(cluster.dir, "secrets", "admin_password")}`,
];
const nodes = () => [
  `--redis-nodes=${redis.addresses.join(", ")}`,
  `--redis-password-file=${cluster.cacheOptions.redis_password_file}`,
];
const look = (id, ...args) => run(["cache", id, ...shards(), ...nodes(), ...args]);

/** {STATUS: exit status, KIND: line ..} of ID. */
async function seen(id) {
  const { status, out, err } = await look(id, "--json");
  assert.equal(err, "");
  return {
    status,
    ...Object.fromEntries(
      out
        .trim()
        .split("\n")
        .map((line) => JSON.parse(line))
        .map((line) => [line.kind, line]),
    ),
  };
}

const key = (kind, id) => `ds:{${id}}:${KINDS.find(({ name }) => name === kind).letter}`;
const nodeOf = async (id) => (await redis.owners([key("USER", id)]))[0];

/* What is stored under the key of KIND and ID, as bytes; null: nothing. */
const stored = async (kind, id) => redis.raw(await nodeOf(id), "GET", key(kind, id));

/* Stores BYTES there. */
async function plant(kind, id, bytes) {
  const { status } = spawnSync(
    "redis-cli",
    ["-p", String(redis.nodes[await nodeOf(id)].port), "-x", "SET", key(kind, id)],
    { input: bytes, env: { ...process.env, REDISCLI_AUTH: redis.password } },
  );
  assert.equal(status, 0);
}

/* An entry in the format of shard/rentry.h, confirmed AGE ms ago by the clock of its node. */
async function entry(id, ver, age, value = Buffer.alloc(0)) {
  const [s, us] = (await redis.cli(await nodeOf(id), "TIME")).split("\n").map(Number);
  const now = s * 1000 + Math.floor(us / 1000);
  const header = Buffer.alloc(28, "dsc1");
  [ver, age === null ? 0 : now - age, now - 60000].forEach((number, i) => header.writeDoubleLE(number, 4 + 8 * i));
  return Buffer.concat([header, value]);
}

/* A value in the format of shard/rentry.h, with its key and version. */
function sealed(name, ver, data) {
  const number = Buffer.alloc(8);
  number.writeBigUInt64LE(BigInt(ver));
  const head = Buffer.from("1....");
  head.writeInt32LE(crc32(data) ^ crc32(Buffer.from(name)) ^ crc32(number), 1);
  return Buffer.concat([head, data]);
}

before(async () => {
  cluster = await cachedCluster();
  ({ redis } = cluster);
  api = await cachedServer(cluster, { cache_local: 0 });
  ana = await api.register();
  bob = await api.register();
  [video] = await plantVideos(cluster, [{ author: ana.id, at: Date.now() }]);
});
after(() => cluster?.down());

test("prints its usage", async () => {
  const help = await run(["cache", "--help"]);
  assert.equal(help.status, 0);
  assert.match(help.out, /usage: [^]*shardctl cache ID[^]*--redis-nodes[^]*VERDICT[^]*Exit status/);
  for (const args of [
    ["cache"],
    ["cache", "1", "2"],
    ["cache", "1", "--output=x"],
    ["audit", "--redis-nodes=x:1"],
    ["export", "1", "--json"],
  ])
    assert.equal((await run(args)).status, 2, args.join(" "));
  for (const id of ["x", "0", "1e3"]) {
    const { status, err } = await look(id);
    assert.equal(status, 2);
    assert.match(err, /not the id of a user or video/);
  }
});

test("nothing is cached: it prints the shard's versions, and changes nothing", async () => {
  const { status, ...lines } = await seen(bob.id);
  assert.equal(status, 0);
  assert.deepEqual(Object.keys(lines), kindsOf("user"));
  for (const [kind, line] of Object.entries(lines)) {
    assert.deepEqual(
      { ...line, shard: null },
      {
        kind,
        key: key(kind, bob.id),
        state: "nothing",
        cached: null,
        shard: null,
        age_ms: null,
        ttl_ms: null,
        bytes: null,
        verdict: null,
      },
    );
    assert.ok(line.shard >= 2 ** 33);
    assert.equal(await stored(kind, bob.id), null, "no place was stored");
  }
  const { out } = await look(bob.id);
  assert.match(
    out,
    new RegExp(`^${bob.id} is a user on shard[12]\nKIND +KEY +STATE +CACHED +SHARD +CONFIRMED +TTL +BYTES +VERDICT\n`),
  );
  assert.match(out, new RegExp(`^USER +ds:\\{${bob.id}\\}:u +nothing +- +${lines.USER.shard} +- +- +- +-$`, "m"));
});

test("what is cached: its version, age, time left and bytes, which stay unchanged", async () => {
  /* The server waits 50 ms for Redis, and then goes on without it. */
  await until("the cards", async () => {
    await api.user(bob.token, ana.id);
    const { USER, INBOUND } = await seen(ana.id);
    return USER.state === "value" && INBOUND.state === "value";
  });
  const kept = await stored("USER", ana.id);
  const { status, USER, INBOUND } = await seen(ana.id);
  assert.equal(status, 0);
  for (const line of [USER, INBOUND]) {
    assert.equal(line.state, "value");
    assert.equal(line.cached, line.shard);
    assert.ok(line.ttl_ms > 400000 && line.ttl_ms <= 750000, `${line.ttl_ms}`);
  }
  /* On a machine that was suspended meanwhile both may count as old. */
  assert.equal(USER.verdict, USER.age_ms < 4000 ? "ok" : "to be confirmed");
  assert.equal(USER.bytes, kept.length);
  assert.equal(kept.readDoubleLE(4), USER.cached);
  assert.deepEqual(await stored("USER", ana.id), kept);
  assert.ok((await seen(ana.id)).USER.ttl_ms <= USER.ttl_ms);
});

test("by age and version: ok, to be confirmed, older, newer; the exit status tells whether readers are shown an older one", async () => {
  const { USER } = await seen(ana.id);
  const { ver, data } = { ver: USER.shard, data: (await stored("USER", ana.id)).subarray(28 + 5) };
  for (const [change, age, verdict, status] of [
    [0, 0, "ok", 0],
    [0, 60000, "to be confirmed", 0],
    [0, null, "to be confirmed", 0],
    [-1, 0, "older", 1],
    [-1, 60000, "older", 0],
    [-1, null, "older", 0],
    [1, 0, "newer", 0],
  ]) {
    await plant(
      "USER",
      ana.id,
      await entry(ana.id, ver + change, age, sealed(key("USER", ana.id), ver + change, data)),
    );
    const now = await seen(ana.id);
    const what = `${change} after ${age}: ${JSON.stringify(now.USER)}`;
    assert.equal(now.USER.verdict, verdict, what);
    assert.equal(now.status, status, what);
    assert.equal(now.USER.cached, USER.shard + change, what);
    assert.equal(now.USER.age_ms === null, age === null, what);
    assert.equal(now.USER.ttl_ms, null, "this one does not expire");
  }
});

test("places and markers", async () => {
  const { USER } = await seen(ana.id);
  await plant("USER", ana.id, await entry(ana.id, 0, null));
  assert.deepEqual((await seen(ana.id)).USER, {
    ...USER,
    state: "place",
    cached: null,
    age_ms: null,
    ttl_ms: null,
    bytes: 28,
    verdict: null,
  });
  /* What a follow makes of the cached list of whom the user follows. */
  await until("the sets", async () => {
    await api.feed({ token: bob.token });
    return (await seen(bob.id)).SETS.state === "value";
  });
  let follows = false;
  let SETS;
  await until("the marker", async () => {
    follows = !follows;
    await api.follow(bob.token, ana.id, follows ? 1 : 2);
    ({ SETS } = await seen(bob.id));
    return SETS.state === "marker";
  });
  assert.deepEqual([SETS.bytes, SETS.verdict, SETS.age_ms], [28, null, null]);
  assert.equal(SETS.cached, SETS.shard);
  assert.ok(SETS.ttl_ms > 0 && SETS.ttl_ms <= 20000);
});

test("what we did not write: garbage, a damaged value, another type", async () => {
  const node = await nodeOf(ana.id);
  const { shard } = (await seen(ana.id)).USER;
  const value = await entry(ana.id, shard, 0, Buffer.from("1abcdef"));
  const endless = Buffer.from(value);
  endless.writeDoubleLE(Infinity, 4);
  for (const bytes of [Buffer.from("x"), Buffer.from("dsc1"), Buffer.alloc(64), value, endless]) {
    await plant("USER", ana.id, bytes);
    const { status, USER } = await seen(ana.id);
    assert.deepEqual(
      [status, USER.state, USER.cached, USER.bytes, USER.verdict],
      [0, "garbage", null, bytes.length, null],
    );
  }
  await redis.cli(node, "DEL", key("USER", ana.id));
  await redis.cli(node, "LPUSH", key("USER", ana.id), "x");
  const { status, USER } = await seen(ana.id);
  assert.deepEqual([status, USER.state, USER.bytes], [0, "garbage", null]);
  assert.equal(await redis.cli(node, "TYPE", key("USER", ana.id)), "list");
  await redis.cli(node, "DEL", key("USER", ana.id));
});

test("a video has the kinds of a video; an unknown id is gone", async () => {
  const { status, ...lines } = await seen(video.id);
  assert.deepEqual([status, Object.keys(lines)], [0, kindsOf("video")]);
  for (const line of Object.values(lines)) assert.ok(line.shard >= 2 ** 33, JSON.stringify(line));
  /* An id in a slot of the same shard that was never given. */
  const nobody = ana.id + 8192 * 1000000;
  let all;
  await until("that nobody is there to be cached", async () => {
    await api.user(ana.token, nobody);
    all = await seen(nobody);
    return all.USER.state === "gone";
  });
  assert.deepEqual(Object.keys(all).slice(1), [...kindsOf("user"), ...kindsOf("video")]);
  assert.deepEqual([all.status, all.USER.shard], [0, null]);
  assert.match(all.USER.verdict, /^ok$|^to be confirmed$/);
  assert.match((await look(nobody)).out, /is neither a user nor a video/);
  await plant("USER", nobody, await entry(nobody, 7, 0));
  assert.equal((await seen(nobody)).USER.state, "marker");
});

test("without an address for Redis, or with a wrong one, it says what is missing", async () => {
  const missing = await run(["cache", ana.id, ...shards()]);
  assert.equal(missing.status, 2);
  assert.match(missing.err, /--redis-nodes is missing: HOST:PORT/);
  const demo = await run(["cache", ana.id], { DOUSHARD_VAR: cluster.dir });
  assert.equal(demo.status, 2);
  assert.match(demo.err, /demo cluster has none; scripts\/demo up starts it/);
  for (const bad of ["nonsense", "x:0", ""]) {
    const { status, err } = await run(["cache", ana.id, ...shards(), `--redis-nodes=${bad}`]);
    assert.equal(status, 2, bad);
    assert.match(err, /write HOST:PORT|names none/, bad);
  }
  const wrong = join(cluster.dir, "wrong.password");
  const ask = () => run(["cache", ana.id, ...shards(), nodes()[0], `--redis-password-file=${wrong}`]);
  writeFileSync(wrong, "wrong\n");
  chmodSync(wrong, 0o644);
  assert.match((await ask()).err, /wrong\.password: others may read this secret/);
  chmodSync(wrong, 0o600);
  const refused = await ask();
  assert.equal(refused.status, 2);
  assert.match(refused.err, /WRONGPASS[^]*none of 3 nodes answers[^]*--redis-password-file/);
});

test("a shard or Redis that is down is reported, with what to do", async () => {
  const owner = await owners(cluster);
  const shard = owner.get(slotOfId(ana.id));
  await cluster.demo("kill", shard);
  const dead = await look(ana.id);
  assert.equal(dead.status, 2);
  assert.match(dead.err, new RegExp(`shardctl: (${shard}|shards): `));
  await cluster.demo("start", shard);

  const node = await nodeOf(ana.id);
  await redis.kill(node);
  const one = await look(ana.id);
  assert.deepEqual([one.status, one.out], [2, ""]);
  assert.match(
    one.err,
    /no node answers that has the slot of ds:\{\d+\}:u \(2 of 3 nodes do\): see what CLUSTER NODES says/,
  );
  await Promise.all([0, 1, 2].filter((i) => i !== node).map((i) => redis.kill(i)));
  const all = await look(ana.id, "--json");
  assert.deepEqual([all.status, all.out], [2, ""]);
  assert.match(
    all.err,
    /none of 3 nodes answers: start them, or name others.*readers are answered by the shards meanwhile/,
  );
});
