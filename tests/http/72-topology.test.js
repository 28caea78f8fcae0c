/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Who owns a slot while that changes: flips that stop half-way, servers with different lists of
 * shards, shards that come and go. */

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, test } from "node:test";

import { CODE } from "../lib/api.js";
import { slotOfId } from "../lib/checks.js";
import { Cluster, statusOf } from "../lib/cluster.js";
import { Mover, requestMove, untilMove } from "../lib/mover.js";
import { TcpProxy } from "../lib/proxy.js";
import { giveSlot, moveSlot, movingTables, owners, takeSlot } from "../lib/rows.js";
import { parallel, until } from "../lib/wait.js";

const cluster = await Cluster.up({ shards: 3 });
after(() => cluster.down());
const { api, server } = cluster;

const users = await parallel(
  8,
  Array.from({ length: 60 }, () => () => api.register()),
);
const newToken = () => randomBytes(16).toString("hex");
const fenceOf = async (shard, slot) =>
  (
    await cluster.sql(
      shard,
      `SELECT state, epoch, COALESCE(LOWER(HEX(token)), '') AS token
  FROM slot_fence WHERE slot = ${slot}`,
    )
  )[0];

/** A user on SHARD, alone in its slot among those of this file; each user is returned only once. */
const used = new Set();
async function userOn(shard) {
  const at = await owners(cluster);
  const found = users.find(({ id }) => at.get(slotOfId(id)) === shard && !used.has(slotOfId(id)));
  assert.ok(found, `no user is left on ${shard}`);
  used.add(slotOfId(found.id));
  return { ...found, slot: slotOfId(found.id) };
}

/** Runs WORK while clients write to USER's slot through CLIENT; resolves to the answers that were
 * not OK. */
async function underLoad(client, user, work) {
  const problems = [];
  let stop = false;
  let answered = 0;
  const writer = async (other) => {
    for (let i = 0; !stop; i++) {
      const json = await client.follow(user.token, other.id, 1 + (i % 2));
      answered += 1;
      if (json.status_code !== CODE.OK) problems.push(JSON.stringify(json));
    }
  };
  const writers = users.slice(-3).map(writer);
  const more = (n) => {
    const seen = answered;
    return until(`${n} more answers`, () => answered >= seen + n || problems.length > 0);
  };
  try {
    await more(3);
    await work(more);
  } finally {
    stop = true;
    await Promise.all(writers);
  }
  return problems;
}

/* ---- Flips that stop half-way ---- */

test("when the mover dies between the two steps of a flip, a router finishes it, while clients wait", async () => {
  const user = await userOn("shard1");
  const token = newToken();
  let epoch;
  const problems = await underLoad(api, user, async (more) => {
    epoch = await giveSlot(cluster, user.slot, "shard1", "shard2", { token });
    await more(20);
  });
  assert.deepEqual(problems, []);
  assert.deepEqual(await fenceOf("shard2", user.slot), { state: "owned", epoch, token });
  assert.match(server.logText(), new RegExp(`slot_taken_over shard=shard2 slot=${user.slot} epoch=${epoch}\\b`));
});

test("a flip in a slot that nobody asks for is finished as well", async () => {
  const user = await userOn("shard1");
  await giveSlot(cluster, user.slot, "shard1", "shard3", { token: newToken() });
  await until("the slot to be owned", async () => (await fenceOf("shard3", user.slot)).state === "owned");
});

test("a server that starts in the middle of a flip finishes it", async () => {
  await server.stop();
  const user = await userOn("shard2");
  await giveSlot(cluster, user.slot, "shard2", "shard3", { token: newToken() });
  await server.start();
  await until("the slot to be owned", async () => (await fenceOf("shard3", user.slot)).state === "owned");
});

test("a ready fence of another attempt is never taken over", async () => {
  const strange = await userOn("shard1");
  const none = await userOn("shard1");
  const later = await userOn("shard1");
  await giveSlot(cluster, strange.slot, "shard1", "shard2", { token: newToken(), takers: newToken() });
  await giveSlot(cluster, none.slot, "shard1", "shard2", { token: "", takers: newToken() });
  const token = newToken();
  await giveSlot(cluster, later.slot, "shard1", "shard2", { token });
  /* Before anybody looks, the taker's fence is changed to another attempt. */
  await cluster.sql("shard2", `UPDATE slot_fence SET epoch = epoch + 1 WHERE slot = ${later.slot}`);
  const before = await Promise.all([strange, none, later].map(({ slot }) => fenceOf("shard2", slot)));
  const answers = await Promise.all([strange, none, later].map((user) => api.follow(user.token, users.at(-1).id, 1)));
  for (const { status_code } of answers) assert.equal(status_code, CODE.BUSY);
  assert.deepEqual(await Promise.all([strange, none, later].map(({ slot }) => fenceOf("shard2", slot))), before);
  assert.deepEqual(
    before.map(({ state }) => state),
    ["ready", "ready", "ready"],
  );
  for (const { slot } of [strange, none, later]) await takeSlot(cluster, slot, "shard2");
  for (const user of [strange, none, later]) {
    await until(
      "the user to be served",
      async () => (await api.follow(user.token, users.at(-1).id, 1)).status_code === CODE.OK,
    );
  }
});

/* ---- Servers with different lists of shards; shards that come and go ---- */

/** A topology file with the shards NAMES, some of which are reached through PORTS[NAME]. */
let files = 0;
function topologyFile(names, { path = join(cluster.dir, `list${++files}.conf`), ports = {} } = {}) {
  const entries = names.map(
    (name) => `  { name = "${name}"; host = "127.0.0.1"; port = ${ports[name] ?? cluster.shard(name).port}; }`,
  );
  writeFileSync(path, `servers = (\n${entries.join(",\n")}\n);\n`);
  return path;
}

const reloads = async (client) => ({
  accepted: await client.metric("doushard_config_reloads_total"),
  refused: await client.metric("doushard_config_reloads_failed_total"),
});

/** Sends SIGHUP and waits until the reload was accepted or refused; resolves to which. */
async function reload(target, client) {
  const before = await reloads(client);
  target.kill("SIGHUP");
  const [what] = await until("the reload", async () => {
    const now = await reloads(client);
    return Object.keys(now)
      .filter((key) => now[key] > before[key])
      .slice(0, 1)
      .map((key) => [key])[0];
  });
  return what;
}

/** What the shard stores in one slot. */
async function digestOf(shard, slot) {
  const tables = await movingTables(cluster);
  const columns = await cluster.sql(
    shard,
    `SELECT table_name AS t, GROUP_CONCAT(CONCAT("COALESCE(HEX(\`", column_name, "\`), '-')")) AS c
    FROM information_schema.columns WHERE table_schema = 'doushard' GROUP BY table_name`,
  );
  return cluster.sql(
    shard,
    tables
      .map(
        (t) => `SELECT '${t}' AS t, COUNT(*) AS n,
    COALESCE(BIT_XOR(CRC32(CONCAT_WS(':', ${columns.find((row) => row.t === t).c}))), 0) AS sum FROM \`${t}\` WHERE slot = ${slot}`,
      )
      .join(";\n"),
  );
}

test("two servers with different lists never write to two owners", async () => {
  const path = topologyFile(["shard1", "shard2"]);
  const few = await (await cluster.addServer({ topology_file: path })).start({ ready: false });
  const client = cluster.apiOf(few);
  const user = await userOn("shard1");
  const other = users.at(-1);
  await until(
    "the first two shards",
    async () => (await client.follow(user.token, other.id, 1)).status_code === CODE.OK,
  );

  await moveSlot(cluster, user.slot, "shard1", "shard3");
  const left = await digestOf("shard1", user.slot);
  const seen = { ok: 0, unavailable: 0 };
  for (let i = 0; i < 10; i++) {
    const [here, there] = await Promise.all([
      api.follow(user.token, other.id, 1 + (i % 2)),
      client.follow(user.token, other.id, 1 + (i % 2)),
    ]);
    assert.equal(here.status_code, CODE.OK);
    assert.equal(there.status_code, CODE.UNAVAILABLE, JSON.stringify(there));
    seen.ok += 1;
  }
  assert.deepEqual(await digestOf("shard1", user.slot), left, "nobody writes to the shard that gave the slot away");

  topologyFile(["shard1", "shard2", "shard3"], { path });
  assert.equal(await reload(few, client), "accepted");
  assert.match(few.logText(), /shard_added shard=shard3/);
  await until("the third shard", async () => (await client.follow(user.token, other.id, 1)).status_code === CODE.OK);
  await until("the server to be ready", async () => (await statusOf(`${few.adminUrl}/readyz`)) === 200);
  assert.deepEqual(await digestOf("shard1", user.slot), left);
  assert.equal((await few.stop()).code, 0);
});

/** Shard FROM has slots but no rows: gives all of them to TO. */
async function giveAll(from, to) {
  const own = (await cluster.sql(from, "SELECT slot FROM slot_fence WHERE state = 'owned'")).map(({ slot }) => slot);
  await cluster.sql(
    from,
    `START TRANSACTION; UPDATE slot_fence SET state = 'moved', epoch = epoch + 1, server = '${to}' WHERE state = 'owned';
    UPDATE slot_known AS k JOIN slot_fence AS f USING (slot) SET k.epoch = f.epoch, k.server = f.server WHERE f.server = '${to}';
    CALL _slot_changed(); COMMIT`,
  );
  const rows = await cluster.sql(
    from,
    `SELECT slot, epoch, (SELECT last FROM slot_seq AS s WHERE s.slot = f.slot) AS last
    FROM slot_fence AS f WHERE slot IN (${own.join(", ")})`,
  );
  await cluster.sql(
    to,
    `START TRANSACTION;
    ${rows
      .map(
        ({ slot, epoch, last }) => `REPLACE INTO slot_seq (slot, last) VALUES (${slot}, ${last ?? 0});
      UPDATE slot_fence SET state = 'owned', epoch = ${epoch}, server = '${to}' WHERE slot = ${slot};
      UPDATE slot_known SET epoch = ${epoch}, server = '${to}' WHERE slot = ${slot};`,
      )
      .join("\n")}
    CALL _slot_changed(); COMMIT`,
  );
}

test("shards come, move and leave while clients write, and no request fails", async () => {
  const tables = await movingTables(cluster);
  /* Users on shard3 move with their slots; empty slots go at once. */
  const full = new Set(
    (
      await cluster.sql(
        "shard3",
        tables
          .map((t) => `SELECT DISTINCT slot FROM \`${t}\`${t === "slot_seq" ? " WHERE last > 0" : ""}`)
          .join(" UNION "),
      )
    ).map(({ slot }) => slot),
  );
  for (const [slot, shard] of await owners(cluster))
    if (shard === "shard3" && full.has(slot)) await moveSlot(cluster, slot, "shard3", "shard1");
  await giveAll("shard3", "shard1");

  const path = topologyFile(["shard1", "shard2"]);
  const target = await (await cluster.addServer({ topology_file: path })).start();
  const client = cluster.apiOf(target);
  const user = await userOn("shard1");
  const far = await userOn("shard2");
  const has = async (shard) => (await client.metrics()).has(`doushard_shard_up{shard="${shard}"}`);
  const proxy = await TcpProxy.start({ port: cluster.shard("shard2").port });
  after(() => proxy.stop());

  const problems = await underLoad(client, user, async (more) => {
    assert.equal(await has("shard3"), false);
    for (let round = 0; round < 2; round++) {
      /* the second time it comes back */
      topologyFile(["shard1", "shard2", "shard3"], { path });
      assert.equal(await reload(target, client), "accepted");
      assert.equal(await has("shard3"), true);
      await until(
        "shard3 to be up",
        async () => (await client.metrics()).get('doushard_shard_up{shard="shard3"}') === 1,
      );
      await moveSlot(cluster, user.slot, "shard1", "shard3");
      await more(20);

      topologyFile(["shard1", "shard2"], { path });
      assert.equal(await reload(target, client), "refused");
      assert.match(
        target.logText(),
        /config_refused error=".*shard3 is not named any more, and still has 1 slots: drain it first/,
      );
      await more(5);
      await moveSlot(cluster, user.slot, "shard3", "shard1");
      await more(20);
      assert.equal(await reload(target, client), "accepted");
      assert.equal(await has("shard3"), false);
      await more(20);
    }
    assert.equal(target.logText().match(/shard_added shard=shard3/g).length, 2);
    assert.equal(target.logText().match(/shard_removed shard=shard3/g).length, 2);

    writeFileSync(path, "servers = (");
    assert.equal(await reload(target, client), "refused");
    await more(5);

    topologyFile(["shard1", "shard2"], { path, ports: { shard2: proxy.port } });
    assert.equal(await reload(target, client), "accepted");
    assert.match(target.logText(), /shard_relocated shard=shard2/);
    await more(20);
    for (const on of [1, 2]) assert.equal((await client.follow(user.token, far.id, on)).status_code, CODE.OK);
    assert.ok(proxy.count(/CALL relation_deliver/) > 0, "shard2 is reached at its new address");
  });
  assert.deepEqual(problems, []);
  assert.equal((await target.stop()).code, 0);
});

test("a shard can leave after a user's own slot on it was given up", async () => {
  const user = await userOn("shard1");
  const other = users.at(-1);
  const path = topologyFile(["shard1", "shard2", "shard3"]);
  const target = await (await cluster.addServer({ topology_file: path })).start();
  const client = cluster.apiOf(target);
  const follows = async (by) => {
    for (const on of [1, 2]) assert.equal((await by.follow(user.token, other.id, on)).status_code, CODE.OK);
  };
  const mover = Mover.start(cluster);
  await requestMove(cluster, user.slot, "shard1", "shard3");
  await untilMove(cluster, "shard1", user.slot, ["done"]);
  await cluster.sql("shard3", `CALL promote_request(${user.id})`);
  const { own_slot: own } = await untilMove(cluster, "shard3", user.slot, ["done"]);
  await follows(client); /* it knows where the user is */
  await cluster.sql("shard3", `CALL demote_request(${user.id})`);
  await untilMove(cluster, "shard3", own, ["done"]);
  assert.deepEqual(
    (await cluster.sqlAll(`SELECT server FROM slot_known WHERE slot = ${own}`)).map((row) => row.server),
    ["", "", ""],
  );
  await requestMove(cluster, user.slot, "shard3", "shard1");
  await untilMove(cluster, "shard3", user.slot, ["done"]);
  await mover.stop();

  topologyFile(["shard1", "shard2"], { path });
  await until("shard3 to be let go", async () => (await reload(target, client)) === "accepted");
  await follows(client);
  const fresh = await (await cluster.addServer({ topology_file: path })).start();
  for (const by of [target, fresh]) assert.equal((await fetch(`${by.adminUrl}/readyz`)).status, 200);
  await follows(cluster.apiOf(fresh));
  for (const each of [target, fresh]) assert.equal((await each.stop()).code, 0);
});

test("a removed shard comes back, empty, under its name", async () => {
  await until(
    "other shards to remember its number",
    async () => (await cluster.sql("shard1", "SELECT 1 AS x FROM shard_known WHERE name = 'shard3'")).length > 0,
  );
  await cluster.sql(
    "shard3",
    `START TRANSACTION; DELETE FROM shard_beat; DELETE FROM shard_known; DELETE FROM slot_fence; DELETE FROM slot_known;
    CALL _slot_changed(); COMMIT`,
  );
  const status = async () =>
    (
      await cluster.sql(
        "shard3",
        "SELECT refused_at IS NOT NULL AS refused, (SELECT COUNT(*) FROM shard_beat) AS beats FROM shard_self",
      )
    )[0];
  await until("it to count, or to be refused", async () => {
    const { refused, beats } = await status();
    return refused || beats > 0;
  });
  assert.deepEqual({ ...(await status()) }, { refused: 0, beats: 1 });
  await until("all to be well", async () => (await statusOf(`${server.adminUrl}/readyz`)) === 200);
});

test("a server that starts while the newest owner is down does not believe an older claim", async () => {
  const user = await userOn("shard1");
  const other = users.at(-1);
  const [before] = await cluster.sql("shard1", `SELECT epoch FROM slot_fence WHERE slot = ${user.slot}`);
  await moveSlot(cluster, user.slot, "shard1", "shard2");
  const [{ epoch }] = await cluster.sql("shard2", `SELECT epoch FROM slot_fence WHERE slot = ${user.slot}`);
  assert.equal((await api.follow(user.token, other.id, 1)).status_code, CODE.OK);
  await cluster.sql("shard3", `CALL slot_learn('[{"slot":${user.slot},"epoch":${epoch},"server":"shard2"}]')`);
  await server.stop();
  /* shard1 is as before the move: it has the rows, and claims the slot. */
  await cluster.sql(
    "shard1",
    `START TRANSACTION;
    UPDATE slot_fence SET state = 'owned', epoch = ${before.epoch}, server = 'shard1', heard_epoch = 0 WHERE slot = ${user.slot};
    UPDATE slot_known SET epoch = ${before.epoch}, server = 'shard1' WHERE slot = ${user.slot}; CALL _slot_changed(); COMMIT`,
  );
  const left = await digestOf("shard1", user.slot);
  await cluster.freeze("shard2");
  try {
    await server.start({ ready: false });
    for (let i = 0; i < 5; i++) {
      const { status_code } = await api.follow(user.token, other.id, 1 + (i % 2));
      assert.equal(status_code, CODE.UNAVAILABLE);
    }
    assert.equal(await statusOf(`${server.adminUrl}/readyz`), 503);
    await until(
      "shard1 to hear of it",
      async () =>
        (await cluster.sql("shard1", `SELECT answer FROM slot_fence WHERE slot = ${user.slot}`))[0].answer === "moved",
    );
    assert.deepEqual(await digestOf("shard1", user.slot), left);
  } finally {
    cluster.thaw("shard2");
  }
  await until(
    "the newest owner to be asked again",
    async () => (await api.follow(user.token, other.id, 1)).status_code === CODE.OK,
  );
  assert.deepEqual(await digestOf("shard1", user.slot), left);
});
