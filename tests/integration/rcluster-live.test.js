/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* The client of Redis Cluster with a real one that changes while it is used: slots move, nodes die,
 * freeze and are replaced. Writers of many keys read what they wrote, and nothing else. */

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { slotOf } from "../lib/fake_redis.js";
import { RClient } from "../lib/rclient.js";
import { Redis } from "../lib/redis.js";
import { until } from "../lib/wait.js";

const WORKERS = 4; /* this many threads, and as many fibers */
const LOAD_MS = 4000;
const LOOK_EVERY_MS = 100; /* REFRESH_PAUSE_MS of shard/rcluster.c */

let redis;
before(async () => {
  redis = await Redis.up({ masters: 3, replicas: 1 });
});
const clients = [];
after(async () => {
  clients.forEach((client) => client.kill()); /* in case a test failed */
  await redis?.down();
});

function open(options) {
  clients.push(new RClient(redis.addresses.slice(0, 1), { password: redis.password, ...options }));
  return clients.at(-1);
}

test("slots are the same as in Redis", async () => {
  for (const key of ["", "a", "123456789", "{a}b", "b{a}c{d}", "{}x", "{", "a}", "{{a}}", "\u4f60\u597d"]) {
    assert.equal(String(slotOf(key)), await redis.cli(0, "CLUSTER", "KEYSLOT", key), key);
  }
});

test("every key is found, wherever it is", async () => {
  const client = open();
  for (let i = 0; i < 100; i++) {
    assert.deepEqual(await client.run([`SET key${i} ${i}`, `GET key${i}`]), ["ok OK", `ok ${i}`]);
  }
  assert.deepEqual(await client.say("script 60000 a x y"), [{ status: "ok", reply: ["a", "x", "y"] }]);
  const state = await client.state();
  assert.deepEqual([state.slots, state.lost, state.unavailable, state.moved], [16384, 0, 0, 0]);
  await client.stop();
});

test("slots move under load, and nothing is lost or refused", async (t) => {
  const client = open();
  /* On a busy machine the load may be over before the first slot has moved: try again. */
  for (let rounds = 1; ; rounds++) {
    const load = client.say(`load ${LOAD_MS} ${WORKERS}`);
    let moves = 0;
    for (const end = performance.now() + LOAD_MS; performance.now() < end; moves += 2) {
      await redis.reshard(0, 1, 150);
      await redis.reshard(1, 0, 150);
    }
    const said = await load;
    const state = await client.state();
    t.diagnostic(`${moves} times 150 slots; ${JSON.stringify(said)}; ${JSON.stringify(state)}`);
    assert.deepEqual([said.wrong, said.refused, said.lost, said.unavailable, said.open], [0, 0, 0, 0, 0]);
    if (said.ok > 0 && state.moved > 0) break;
    assert.ok(rounds < 20, "no slot has moved under load");
  }
  await redis.settled();
  await client.stop();
});

test("a frozen node blocks nobody else, and serves again afterwards", async () => {
  const client = open({ timeoutMs: 5000 });
  await client.run("SET a 1");
  await redis.freeze(2);
  try {
    const keys = Array.from({ length: 60 }, (_, i) => `s${i}`);
    const answers = await client.run(
      keys.slice(0, 30).map((key) => `SET ${key} 1`),
      { ms: 20000 },
    );
    assert.deepEqual(new Set(answers), new Set(["ok OK", "lost"]));
    const again = await client.run(
      keys.slice(0, 30).map((key) => `SET ${key} 1`),
      { ms: 20000 },
    );
    assert.ok(again.includes("ok OK"));
  } finally {
    redis.thaw(2);
  }
  await redis.settled();
  await until("all slots are served", async () => (await client.state()).slots === 16384);
  await client.stop();
});

test("a node dies under load: its replica takes over by itself", async (t) => {
  const client = open();
  const load = client.say(`load ${LOAD_MS} ${WORKERS}`);
  await until(
    "there is load",
    async () => Number(/instantaneous_ops_per_sec:(\d+)/.exec(await redis.cli(1, "INFO", "stats"))[1]) > 100,
  );
  await redis.kill(1);
  const said = await load;
  t.diagnostic(JSON.stringify(said));
  assert.equal(said.refused, 0);
  await redis.settled();
  await until("all slots are served", async () => (await client.state()).slots === 16384);
  const answers = await client.run(Array.from({ length: 30 }, (_, i) => `SET again${i} 1`));
  assert.deepEqual(new Set(answers), new Set(["ok OK"]));
  await redis.start(1);
  await redis.settled();
  await client.stop();
});

test("with all nodes down, everything is refused at once; it is served when they come back", async () => {
  const client = open();
  assert.deepEqual(await client.run("SET a 1"), ["ok OK"]);
  await Promise.all(redis.nodes.map((_, i) => redis.kill(i)));
  await until("it is noticed", async () => (await client.state()).up === 0);
  assert.deepEqual(await client.run("GET a"), ["unavailable"]);
  /* The client looks for a node that knows the slots now and then, not all the time. */
  const [before, begin] = [(await client.state()).refreshes_failed, performance.now()];
  await until("it to look for somebody twice", async () => (await client.state()).refreshes_failed >= before + 2);
  const looks = (await client.state()).refreshes_failed - before;
  assert.ok(looks <= 3 + (performance.now() - begin) / LOOK_EVERY_MS, `${looks} looks`);
  await Promise.all(redis.nodes.map((_, i) => redis.start(i)));
  await redis.settled();
  await until("all slots are served", async () => (await client.state()).slots === 16384);
  assert.deepEqual(await client.run(["GET a", "SET a 2", "GET a"]), ["ok", "ok OK", "ok 2"]);
  await client.stop();
});
