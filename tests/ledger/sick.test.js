/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Shards that cannot write, under load: read-only, short of space, full. Their users are told "busy"
 * and can read, others notice nothing, second halves wait; when it is over everything is as it must
 * be, without any work for an operator. */

import assert from "node:assert/strict";
import { after, test } from "node:test";
import { CODE } from "../lib/api.js";
import { slotOfId } from "../lib/checks.js";
import { Cluster } from "../lib/cluster.js";
import { SmallDisk, noSmallDisk } from "../lib/disk.js";
import { nameOn } from "../lib/load.js";
import { Mover, moveOf, requestMove, untilMove } from "../lib/mover.js";
import { owners } from "../lib/rows.js";
import { until } from "../lib/wait.js";
import { clearWorld, judge, loadWorld, runClients, settle } from "./lib.js";

const VICTIM = "shard2";
const MIB = 1 << 20;
const WATERMARK = 24 * MIB;
/* More than the load writes; close enough to the watermark that a server checks often. */
const ROOM = 3 * WATERMARK;
const SKIP = noSmallDisk() || false;

const cluster = await Cluster.up({ shards: 2, options: { db_min_free: WATERMARK, log_level: "warn" } });
let disk;
after(() => cluster.down());
const { api } = cluster;
const owner = await owners(cluster);

const metric = async (name, shard = VICTIM) => (await api.metrics()).get(`doushard_${name}{shard="${shard}"}`);
const readyz = () =>
  fetch(`${cluster.server.adminUrl}/readyz`).then(async (r) => ({ status: r.status, text: await r.text() }));
const writable = async () => (await metric("shard_up")) === 1 && (await metric("shard_writable")) === 1;
/* Runs a load of SECONDS; once it is under way STRIKE, then LOOK at what everybody sees while the
 * shard takes no writes, then HEAL; afterwards nothing may be missing, parked or left to do. */
async function suffer(t, name, { seconds = 5, strike, heal, look = sees }) {
  await clearWorld(cluster);
  const world = await loadWorld(cluster, { users: 200, videos: 50, chats: 1, name: `world-${name}` });
  /* A user on the other shard, and one on this shard. */
  const [near, far] = [await api.register(nameOn("shard1", owner)), await api.register(nameOn(VICTIM, owner))];
  const before = await metric("shard_calls_total");
  const load = runClients(cluster, world, { name, seconds, clients: 16, mix: "33,23,11,6,20,1,7,3" });
  try {
    await until("load", async () => (await metric("shard_calls_total")) > before + 100);
    await strike();
    await look(near, far, t);
  } finally {
    await heal(t);
  }
  const healed = performance.now();
  await until("writes again", writable);
  t.diagnostic(`takes writes ${Math.round(performance.now() - healed)} ms after it was healed`);
  const { history } = await load;
  t.diagnostic(`settled after ${Math.round(await settle(cluster))} ms`);
  assert.equal((await api.follow(far.token, near.id)).status_code, CODE.OK);
  for (const [one, other] of [
    [near, far],
    [far, near],
  ])
    assert.deepEqual(await api.user(one.token, other.id).then(({ user }) => [user.is_follow, user.follower_count]), [
      true,
      1,
    ]);
  await until("an empty outbox", async () =>
    (await cluster.sqlAll("SELECT COUNT(*) AS n FROM outbox")).every(({ n }) => n === 0),
  );
  for (const shard of cluster.shards)
    assert.deepEqual(
      [await metric("relay_failed_total", shard.name), await metric("relay_parked_total", shard.name)],
      [0, 0],
    );
  assert.deepEqual(await cluster.sqlAll("SELECT kind FROM job WHERE parked <> 0"), []);
  assert.equal((await readyz()).text.includes("takes no writes"), false);
  /* These two do not belong to the load. */
  for (const table of ["user", "inbound", "follow", "follower", "chat", "message"])
    await cluster.sqlAll(`DELETE FROM ${table} WHERE user_id IN (${near.id}, ${far.id})`);
  const { violations, text } = await judge(cluster, history);
  assert.deepEqual(violations, {}, text);
}

/* Readers see everything; writers on the shard are told "busy"; what others write is done, its
 * second half later. */
async function sees(near, far) {
  await until("the shard to be read-only", async () => !(await writable()));
  assert.equal(await metric("shard_up"), 1);
  const { status, text } = await readyz();
  assert.deepEqual([status, /^\[!\]shard shard2 takes no writes: /m.test(text)], [200, true], text);
  assert.equal((await api.follow(far.token, near.id)).status_code, CODE.BUSY);
  assert.equal((await api.user(near.token, far.id)).status_code, CODE.OK);
  assert.equal((await api.user(far.token, far.id)).status_code, CODE.OK);
  const feed = await api.feed({ token: far.token });
  assert.deepEqual([feed.status_code, feed.partial], [CODE.OK, false]);
  assert.equal((await api.follow(near.token, far.id)).status_code, CODE.OK, "its second half waits");
  assert.equal((await api.follow(far.token, near.id)).status_code, CODE.BUSY, "still");
}

test("a shard that is set to read-only and back", (t) =>
  suffer(t, "read-only", {
    strike: () => cluster.sql(VICTIM, "SET GLOBAL read_only = 1"),
    heal: () => cluster.sql(VICTIM, "SET GLOBAL read_only = 0"),
  }));

test("a shard whose disk fills up takes no more writes before it is full", { skip: SKIP }, async (t) => {
  disk ??= await SmallDisk.under(cluster, VICTIM, ROOM);
  const report = () => cluster.sql(VICTIM, `CALL shard_report(${disk.free})`);
  await report();
  await until("the server to know the room", async () => (await metric("shard_free_bytes")) > WATERMARK);
  const pid = cluster.shardPid(VICTIM);
  await suffer(t, "watermark", {
    strike: async () => {
      disk.fill(WATERMARK / 2);
      await report();
    },
    heal: async () => {
      assert.equal(await disk.empty(), false, "it did not crash");
      await report();
    },
  });
  assert.equal(cluster.shardPid(VICTIM), pid);
  await cluster.sql(VICTIM, "DELETE FROM shard_health");
});

test("a shard whose disk is full without warning", { skip: SKIP }, async (t) => {
  disk ??= await SmallDisk.under(cluster, VICTIM, ROOM);
  const text = "x".repeat(250);
  const codes = new Map();
  await suffer(t, "full", {
    seconds: 8,
    strike: () => disk.fill(),
    look: async (near, far) => {
      assert.equal((await api.follow(near.token, far.id)).status_code, CODE.OK);
      await until(
        "the shard to have no room",
        async () => {
          const { status_code } = await api.say(far.token, near.id, text).catch(() => ({ status_code: "none" }));
          codes.set(status_code, (codes.get(status_code) ?? 0) + 1);
          disk.fill();
          return !(await writable());
        },
        { everyMs: 0 },
      );
    },
    heal: async () => {
      t.diagnostic(
        `${(await disk.empty()) ? "mariadbd ended itself" : "mariadbd went on"}; answers ${JSON.stringify([...codes])}`,
      );
    },
  });
});

test(
  "a move to a shard whose disk is full waits, says why, and goes on when there is room",
  { skip: SKIP },
  async () => {
    disk ??= await SmallDisk.under(cluster, VICTIM, ROOM);
    const user = await api.register(nameOn("shard1", owner));
    const slot = slotOfId(user.id);
    const [{ size }] = await cluster.sql(
      VICTIM,
      "SELECT SUM(data_free) AS size FROM information_schema.tables WHERE table_name = 'message'",
    );
    /* More than there is room for in the table without growing its file. */
    const rows = Math.ceil((Number(size) + 4 * MIB) / 1000);
    await cluster.sql(
      "shard1",
      `INSERT INTO message (slot, user_id, peer_id, at, message_id, sent, seq, text, op)
      SELECT ${slot}, ${user.id}, 1, seq, seq, 0, seq, REPEAT('x', 1000), UNHEX(LPAD(HEX(seq), 32, '0'))
        FROM seq_1_to_${rows}`,
    );
    const planted = async (shard) =>
      (await cluster.sql(shard, `SELECT COUNT(*) AS n, SUM(seq) AS sum FROM message WHERE slot = ${slot}`))[0];
    const mover = Mover.start(cluster);
    disk.fill();
    try {
      await requestMove(cluster, slot, "shard1", VICTIM);
      await until("the mover to say why it waits", async () => {
        disk.fill();
        const { last_error: error } = await moveOf(cluster, "shard1", slot);
        /* mariadbd refuses, or ends itself: both are seen. */
        return /^shard2: .*(is full|No space left|Can't connect|Lost connection|gone away)/.test(error);
      });
      const [{ state }] = await cluster.sql("shard1", `SELECT state FROM slot_fence WHERE slot = ${slot}`);
      assert.match(state, /^(owned|migrating)$/);
      assert.equal((await api.login(user.name, user.password)).status_code, CODE.OK, "it is served");
    } finally {
      await disk.empty();
    }
    const { restarts } = await untilMove(cluster, "shard1", slot, ["done"]);
    assert.equal(restarts, 0, "it went on where it was");
    await mover.stop();
    owner.set(slot, (await owners(cluster)).get(slot));
    assert.equal(owner.get(slot), VICTIM);
    assert.deepEqual({ ...(await planted(VICTIM)) }, { n: rows, sum: (rows * (rows + 1)) / 2 });
    await cluster.sql(VICTIM, `DELETE FROM message WHERE slot = ${slot}`);
  },
);

test("a shard whose durability is switched off while in use is refused after the next check, and used again when it is back on", async () => {
  const user = await api.register(nameOn(VICTIM, owner));
  /* One connection, which stays open: nothing is learned from opening another. */
  const server = await (await cluster.addServer({ db_pool_size: 1 })).start();
  const own = cluster.apiOf(server);
  const served = async () => (await own.user(user.token, user.id)).status_code === CODE.OK;
  const flush = (n) => cluster.sql(VICTIM, `SET GLOBAL innodb_flush_log_at_trx_commit = ${n}`);
  assert.ok(await served());
  await flush(2);
  try {
    await until("the shard to be refused", async () => !(await served()));
    assert.match(
      await fetch(`${server.adminUrl}/readyz`).then((r) => r.text()),
      /^\[-\]shard shard2: it may lose acknowledged writes/m,
    );
  } finally {
    await flush(1);
  }
  await until("the shard to be served again", served);
  assert.equal((await server.stop()).code, 0);
});

/* Makes every new row of TABLE on the shard fail with this error while WORK is done. */
async function failing(table, errno, work) {
  await cluster.sql(
    VICTIM,
    `CREATE TRIGGER sick BEFORE INSERT ON ${table} FOR EACH ROW
    SIGNAL SQLSTATE 'HY000' SET MYSQL_ERRNO = ${errno}, MESSAGE_TEXT = 'a test says so'`,
  );
  try {
    await work();
  } finally {
    await cluster.sql(VICTIM, "DROP TRIGGER sick");
  }
}
const failed = () => metric("relay_failed_total", "shard1");
const waiting = (actor) => cluster.sql("shard1", `SELECT attempts, parked FROM outbox WHERE actor_id = ${actor.id}`);

for (const [errno, what] of [
  [1114, "table full"],
  [1030, "the engine's own"],
])
  test(`error ${errno}, ${what}, is blamed on the server: second halves wait, first halves are "busy"`, async () => {
    const [near, far] = [await api.register(nameOn("shard1", owner)), await api.register(nameOn(VICTIM, owner))];
    const before = await failed();
    const put = await metric("relay_put_off_total", "shard1");
    await failing("follower", errno, async () => {
      assert.equal((await api.follow(near.token, far.id)).status_code, CODE.OK);
      await until("the relay to put it off", async () => (await metric("relay_put_off_total", "shard1")) > put);
      assert.deepEqual(await waiting(near), [{ attempts: 0, parked: 0 }]);
    });
    await until("it to be delivered", async () => (await waiting(near)).length === 0);
    assert.equal(await failed(), before);
    await until("writes", writable);
    await failing("follow", errno, async () => {
      assert.equal((await api.follow(far.token, near.id)).status_code, CODE.BUSY);
      assert.equal((await api.user(far.token, far.id)).user.follow_count, 0);
    });
    await until("writes", async () => (await api.follow(far.token, near.id)).status_code === CODE.OK);
  });

test("an error of the operation itself is blamed on the operation", async () => {
  const [near, far] = [await api.register(nameOn("shard1", owner)), await api.register(nameOn(VICTIM, owner))];
  const before = await failed();
  await failing("follower", 1048, async () => {
    assert.equal((await api.follow(near.token, far.id)).status_code, CODE.OK);
    await until("the relay to fail", async () => (await failed()) > before);
    assert.ok(await writable(), "nobody else is affected");
  });
  await until("it to be delivered", async () => (await waiting(near)).length === 0);
});
