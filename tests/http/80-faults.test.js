/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Shards that die, hang and come back under load; more clients than connections; servers that die. */

import assert from "node:assert/strict";
import { after, test } from "node:test";
import { Api, CODE, uniqueName } from "../lib/api.js";
import { duplicates, quantile, slotOfId } from "../lib/checks.js";
import { Cluster, UPLOADS, slowdown, statusOf } from "../lib/cluster.js";
import { nameOn, startLoad } from "../lib/load.js";
import { uniqueClip } from "../lib/media.js";
import { TcpProxy } from "../lib/proxy.js";
import { owners, RUNNING_CALLS } from "../lib/rows.js";
import { parallel, until } from "../lib/wait.js";

const cluster = await Cluster.up({ shards: 4, options: UPLOADS });
after(() => cluster.down());
const { api } = cluster;
const SHARDS = cluster.shards.map((s) => s.name);
const owner = await owners(cluster);

const users = new Map();
for (const shard of SHARDS)
  users.set(
    shard,
    await parallel(
      4,
      Array.from({ length: 4 }, () => () => api.register(nameOn(shard, owner))),
    ),
  );

const REQUEST_TIMEOUT_MS = 5000;
/* Plus what a slow machine needs; a request that is forgotten takes longer. */
const DEADLINE_MS = REQUEST_TIMEOUT_MS + 5000 * slowdown();
const REFUSALS = [CODE.BUSY, CODE.UNAVAILABLE, CODE.UNKNOWN];

const shardUp = async (shard) => (await api.metrics()).get(`doushard_shard_up{shard="${shard}"}`);
const serves = async (shard) => {
  const [user] = users.get(shard);
  return (await api.user(user.token, user.id)).status_code === CODE.OK;
};

/** Every acknowledged register has its rows once; an unacknowledged one has them once or not at all. */
async function nothingLost(load) {
  const rows = await cluster.sqlAll("SELECT name, user_id AS id FROM user");
  const byName = new Map(rows.map((r) => [r.name, r.id]));
  assert.deepEqual(duplicates(rows.map((r) => r.name)), []);
  const lost = load.acknowledged().filter(({ name, id }) => byName.get(name) !== id);
  assert.deepEqual(lost, [], "acknowledged but lost");
  const accounts = await cluster.sqlAll("SELECT CONVERT(name USING utf8mb4) AS name, user_id AS id FROM account");
  assert.deepEqual(duplicates(accounts.map((r) => r.name)), []);
  for (const { name, id } of accounts) assert.equal(byName.get(name), id, `${name}: account and user differ`);
  assert.equal(accounts.length, rows.length);
}

/* What users of other shards must see while VICTIM is ill, and what its own users must see. */
function judge(samples, victim, from, to) {
  const p99 = (list) =>
    quantile(
      list.map((s) => s.ms),
      0.99,
    );
  const healthy = p99(samples.filter((s) => s.at + s.ms < from));
  const during = samples.filter((s) => s.at + s.ms >= from && s.at <= to);
  const others = during.filter((s) => s.shard !== victim);
  const own = during.filter((s) => s.shard === victim);
  assert.ok(others.length > 20, `only ${others.length} requests to others`);
  assert.ok(own.length > 0, "no request to the victim");
  assert.deepEqual(
    others.filter((s) => s.code !== CODE.OK),
    [],
    "others notice nothing",
  );
  assert.ok(p99(others) < 1000 * slowdown() + 10 * healthy, `others' p99 is ${p99(others)} ms, before ${healthy} ms`);
  assert.deepEqual(
    own.filter((s) => s.code !== CODE.OK && !REFUSALS.includes(s.code)),
    [],
    "a clear answer",
  );
  assert.deepEqual(
    own.filter((s) => s.ms > DEADLINE_MS),
    [],
    "within the deadline",
  );
  return own;
}

const FAULTS = {
  killed: {
    strike: (shard) => cluster.demo("kill", shard),
    heal: (shard) => cluster.demo("start", shard),
  },
  paused: {
    strike: (shard) => cluster.freeze(shard),
    heal: (shard) => cluster.thaw(shard),
  },
  restarted: {
    strike: (shard) => cluster.demo("stop", shard),
    heal: (shard) => cluster.demo("start", shard),
  },
};

for (const [index, [name, { strike, heal }]] of Object.entries(FAULTS).entries())
  test(`a shard is ${name} under load: its users get an error, others notice nothing, nothing is lost`, async () => {
    const victim = SHARDS[index % 4];
    const load = startLoad(api, { users, owner });
    let struck;
    let healed;
    try {
      await until("load", () => load.samples.length > 60);
      assert.deepEqual(
        load.samples.filter((s) => s.code !== CODE.OK),
        [],
        "healthy at first",
      );
      struck = performance.now();
      await strike(victim);
      const own = () => load.samples.filter((s) => s.shard === victim && s.at > struck && s.code !== CODE.OK);
      await until("its users to be told", () => own().length >= 3);
      /* Later requests are refused at once: they do not all wait for the dead shard again. */
      await until(
        "quick refusals",
        () =>
          own()
            .slice(-3)
            .every((s) => s.ms < REQUEST_TIMEOUT_MS / 2) && own().length >= 8,
      );
      assert.equal(await shardUp(victim), 0);
      for (const token of [undefined, users.get(victim)[0].token]) {
        const feed = await api.feed({ token });
        assert.deepEqual(
          [feed.status_code, feed.partial],
          [CODE.OK, true],
          "the feed to be served, even without the dead shard",
        );
      }
    } finally {
      await heal(victim);
      healed = performance.now();
    }
    try {
      await until("the shard to be taken back", () => serves(victim));
      const mark = performance.now();
      await until("acknowledged writes on it again", () =>
        load.acknowledged().some((s) => s.shard === victim && s.at > mark),
      );
    } finally {
      await load.stop();
    }
    assert.equal(await shardUp(victim), 1);
    judge(load.samples, victim, struck, healed);
    assert.ok(load.acknowledged().filter((s) => s.at > struck && s.at < healed).length > 5, "others went on writing");
    await until("zombies to end", async () => (await cluster.sqlAll(RUNNING_CALLS)).length === 0);
    await nothingLost(load);
  });

test("a frozen shard takes no worker and no connection away from others", async () => {
  const victim = "shard2";
  const timed = async () => {
    const start = performance.now();
    const others = await parallel(
      16,
      Array.from({ length: 200 }, (_, i) => async () => {
        const shard = SHARDS.filter((s) => s !== victim)[i % 3];
        return (await api.list({ user_id: users.get(shard)[i % 4].id })).status_code;
      }),
    );
    assert.deepEqual([...new Set(others)], [CODE.OK]);
    return performance.now() - start;
  };
  const healthyMs = await timed();
  await cluster.freeze(victim);
  try {
    const stuck = Array.from({ length: 100 }, () => {
      const [user] = users.get(victim);
      return api.list({ user_id: user.id }).then(
        (j) => j.status_code,
        (e) => e.message,
      );
    });
    const pausedMs = await timed();
    assert.ok(
      pausedMs < 5 * healthyMs + (REQUEST_TIMEOUT_MS * slowdown()) / 2,
      `${pausedMs} ms, before ${healthyMs} ms`,
    );
    const codes = await Promise.all(stuck);
    assert.deepEqual(
      codes.filter((c) => !REFUSALS.includes(c)),
      [],
    );
    assert.equal(await statusOf(`${cluster.server.adminUrl}/livez`), 200);
  } finally {
    cluster.thaw(victim);
  }
  await until("the shard to be taken back", () => serves(victim));
});

test("an upload to a shard that is down is refused and leaves nothing; one to another shard works", async () => {
  const victim = "shard3";
  const [user] = users.get(victim);
  const [other] = users.get("shard1");
  const files = () => [...cluster.mediaFiles(), ...cluster.uploadFiles()].sort();
  await api.user(user.token); /* its session is cached */
  const before = files();
  await cluster.demo("kill", victim);
  try {
    const refused = await api.publish(user.token, uniqueClip(), "lost");
    assert.ok(REFUSALS.includes(refused.status_code), JSON.stringify(refused));
    assert.equal((await api.publish(other.token, uniqueClip(), "kept")).status_code, CODE.OK);
  } finally {
    await cluster.demo("start", victim);
  }
  await until("the shard to be taken back", () => serves(victim));
  assert.deepEqual((await api.list({ user_id: user.id })).video_list, []);
  /* The outcome was unknown or a clean refusal; after a refusal no file may be left. */
  const kept = (await cluster.sqlAll("SELECT media FROM video")).map((r) => r.media);
  const left = files().filter((f) => !before.includes(f) && !kept.some((m) => f.includes(m)));
  assert.deepEqual(left, []);
});

test("300 connections to a pool of 8: all are answered, and the pool stays 8", async () => {
  const [user] = users.get("shard1");
  const proxy = await TcpProxy.start({ port: cluster.shard("shard1").port });
  /* This process is both the clients and the proxy: on a busy machine it is the slow part. */
  const server = await cluster.addServer({
    topology_file: cluster.topology({ shard1: proxy.port }),
    db_pool_size: 8,
    db_connect_timeout: "10s",
    db_call_timeout: "10s",
    request_timeout: "20s",
  });
  await server.start();
  const many = new Api(server.url, { adminUrl: server.adminUrl, contract: cluster.contract, maxSockets: 300 });
  try {
    proxy.replyDelayMs = 10;
    let most = 0;
    const watch = setInterval(() => {
      most = Math.max(most, proxy.connections);
    }, 5);
    const codes = await Promise.all(
      Array.from({ length: 300 }, (_, i) =>
        (i % 3 === 0
          ? many.user(user.token, user.id)
          : i % 3 === 1
            ? many.list({ user_id: user.id })
            : many.feed()
        ).then((j) => j.status_code),
      ),
    );
    clearInterval(watch);
    assert.deepEqual([...new Set(codes)], [CODE.OK]);
    /* A pool of 8, and one more connection that may be about to kill another. */
    assert.ok(most > 1 && most <= 9, `${most} connections`);
    assert.equal(await many.metric("doushard_shard_pool_waiters"), 0);
  } finally {
    proxy.replyDelayMs = 0;
    many.close();
    assert.equal((await server.stop()).code, 0);
    await proxy.stop();
  }
});

test("more requests than may wait: busy at once, and all others are served", async () => {
  const [user] = users.get("shard1");
  const proxy = await TcpProxy.start({ port: cluster.shard("shard1").port });
  const server = await cluster.addServer({
    topology_file: cluster.topology({ shard1: proxy.port }),
    db_pool_size: 2,
    db_waiters_max: 8,
    db_connect_timeout: "10s",
    db_call_timeout: "10s",
    request_timeout: "20s",
  });
  await server.start();
  const many = new Api(server.url, { adminUrl: server.adminUrl, contract: cluster.contract, maxSockets: 300 });
  try {
    proxy.replyDelayMs = 50;
    const codes = await Promise.all(
      Array.from({ length: 300 }, () => many.list({ user_id: user.id }).then((j) => j.status_code)),
    );
    assert.deepEqual(
      codes.filter((c) => c !== CODE.OK && c !== CODE.BUSY),
      [],
    );
    assert.ok(codes.includes(CODE.OK) && codes.includes(CODE.BUSY), JSON.stringify(codes));
    proxy.replyDelayMs = 0;
    assert.equal((await many.list({ user_id: user.id })).status_code, CODE.OK);
  } finally {
    many.close();
    assert.equal((await server.stop()).code, 0);
    await proxy.stop();
  }
});

test("requests of all kinds for one shard share one limit: those for others find room", async () => {
  const [user] = users.get("shard1");
  const [other] = users.get("shard2");
  const proxy = await TcpProxy.start({ port: cluster.shard("shard1").port });
  const server = await cluster.addServer({
    topology_file: cluster.topology({ shard1: proxy.port }),
    db_pool_size: 2,
    db_waiters_max: 8,
    db_call_timeout: "1min",
    request_timeout: "2min",
  });
  await server.start();
  const many = new Api(server.url, {
    adminUrl: server.adminUrl,
    contract: cluster.contract,
    maxSockets: 100,
    timeoutMs: 120000,
  });
  try {
    let busy = 0;
    proxy.rule = (text) => (/^CALL (publish_list|favorite_list|user_get)/.test(text) ? "hang-reply" : undefined);
    const reads = [
      () => many.list({ user_id: user.id }),
      () => many.favorites({ user_id: user.id, token: user.token }),
      () => many.user(user.token, user.id),
    ];
    const answers = Array.from({ length: 60 }, async (_, i) => {
      const { status_code: code } = await reads[i % 3]();
      busy += code === CODE.BUSY;
      return code;
    });
    await until("all but a pool and a line of them to be told", () => busy >= 50);
    assert.ok((await many.metric("doushard_fibers")) <= 10);
    assert.equal((await many.list({ user_id: other.id })).status_code, CODE.OK);
    proxy.rule = null;
    proxy.cutAll();
    const codes = await Promise.all(answers);
    assert.deepEqual([...new Set(codes)].sort(), [CODE.OK, CODE.BUSY].sort());
    assert.equal((await many.list({ user_id: user.id })).status_code, CODE.OK);
  } finally {
    many.close();
    assert.equal((await server.stop()).code, 0);
    await proxy.stop();
  }
});

test("cards from two shards, one of which does not answer: a request that needs only the other one is answered, although both share its CALLs", async () => {
  const [[near], [far], [both, one]] = ["shard1", "shard2", "shard3"].map((shard) => users.get(shard));
  for (const [who, whom] of [
    [both, near],
    [both, far],
    [one, far],
  ]) {
    const { json } = await api.post("/douyin/relation/action/", {
      token: who.token,
      to_user_id: whom.id,
      action_type: 1,
    });
    assert.equal(json.status_code, CODE.OK);
  }
  const proxy = await TcpProxy.start({ port: cluster.shard("shard1").port });
  const server = await cluster.addServer({
    topology_file: cluster.topology({ shard1: proxy.port }),
    db_call_timeout: "1min",
    request_timeout: "2min",
  });
  await server.start();
  const many = new Api(server.url, {
    adminUrl: server.adminUrl,
    contract: cluster.contract,
    maxSockets: 100,
    timeoutMs: 120000,
  });
  const follows = async ({ id, token }) =>
    (await many.relations("follow", { user_id: id, token })).user_list?.map((user) => user.id).sort();
  try {
    proxy.rule = (text) => (/^CALL user_get/.test(text) ? "hang-reply" : undefined);
    let told = 0;
    const stuck = Array.from({ length: 20 }, () =>
      follows(both).finally(() => {
        told += 1;
      }),
    );
    await until("all to be under way", async () => (await many.metric("doushard_fibers")) === 20);
    for (let i = 0; i < 20; i++) assert.deepEqual(await follows(one), [far.id]);
    assert.equal(told, 0);
    proxy.rule = null;
    proxy.cutAll();
    for (const ids of await Promise.all(stuck)) assert.deepEqual(ids, [near.id, far.id].sort());
  } finally {
    many.close();
    assert.equal((await server.stop()).code, 0);
    await proxy.stop();
  }
});

test("with requests_max under way: busy at once, except for requests that need no fiber; then all as before", async () => {
  const [user] = users.get("shard1");
  const [other] = users.get("shard2");
  const proxy = await TcpProxy.start({ port: cluster.shard("shard1").port });
  const server = await cluster.addServer({
    topology_file: cluster.topology({ shard1: proxy.port }),
    requests_max: 4,
    fiber_threads: 2,
    db_call_timeout: "1min",
    request_timeout: "2min",
  });
  await server.start();
  const few = new Api(server.url, { adminUrl: server.adminUrl, contract: cluster.contract, timeoutMs: 120000 });
  const metric = async (name) => (await few.metrics()).get(name);
  try {
    proxy.rule = (text) => (/publish_list/.test(text) ? "hang-reply" : undefined);
    const stuck = Array.from({ length: 4 }, () => few.list({ user_id: user.id }).then((j) => j.status_code));
    await until("all to be under way", async () => (await metric("doushard_fibers")) === 4);
    assert.equal((await few.list({ user_id: other.id })).status_code, CODE.BUSY);
    assert.equal(await metric("doushard_requests_refused_total"), 1);
    assert.equal(await statusOf(`${server.url}/ping`), 200);
    assert.equal((await few.login(other.name, other.password)).status_code, CODE.OK);
    proxy.rule = null;
    proxy.cutAll();
    assert.deepEqual(await Promise.all(stuck), [CODE.OK, CODE.OK, CODE.OK, CODE.OK]);
    assert.equal((await few.list({ user_id: other.id })).status_code, CODE.OK);
    await until("none to be", async () => (await metric("doushard_fibers")) === 0);
  } finally {
    few.close();
    assert.equal((await server.stop()).code, 0);
    await proxy.stop();
  }
});

test("connections that a DBA kills are replaced without an error", async () => {
  /* All connections at once: several CALLs in a row end without an answer. Each request is hit once. */
  const load = startLoad(api, { users, owner, clients: 6 });
  try {
    await until("load", () => load.samples.length > 60);
    for (let i = 0; i < 60; i++) {
      await load.turn();
      for (const shard of SHARDS.slice(0, 2)) {
        const ids = await cluster.sql(
          shard,
          "SELECT ID FROM information_schema.processlist WHERE USER IN ('doushard_app', 'doushard_owner')",
        );
        await cluster.sql(shard, ids.map(({ ID }) => `KILL CONNECTION ${ID};`).join(" "), {}).catch((error) => {
          if (!/Unknown thread id/.test(error.message)) throw error;
        });
      }
    }
  } finally {
    await load.stop();
  }
  assert.deepEqual(
    load.samples.filter((s) => s.code !== CODE.OK),
    [],
  );
  await nothingLost(load);
});

test("a connection that is cut in the middle of anything, again and again", async () => {
  const proxy = await TcpProxy.start({ port: cluster.shard("shard2").port });
  const server = await (await cluster.addServer({ topology_file: cluster.topology({ shard2: proxy.port }) })).start();
  const cutApi = cluster.apiOf(server);
  const own = new Map([["shard2", users.get("shard2")]]);
  let n = 0;
  let looks = 0;
  proxy.rule = (text) => {
    /* The server's own checks of the shard are cut as well, two in a row. */
    if (/^CALL slot_map/.test(text)) return ++looks % 3 === 0 ? undefined : "cut";
    if (!/^CALL (user|session|publish)/.test(text)) return undefined;
    n += 1;
    /* Seldom enough that no request is hit twice, which it would report. */
    return n % 25 === 0 ? ["lose-reply", "cut"][n % 2] : undefined;
  };
  const load = startLoad(cutApi, { users: own, owner, clients: 4 });
  await until("requests and a look", () => load.samples.length > 400 && looks >= 3);
  await load.stop();
  proxy.rule = null;
  assert.ok(proxy.applied.cut > 5 && proxy.applied["lose-reply"] > 5, JSON.stringify(proxy.applied));
  assert.deepEqual(
    load.samples.filter((s) => s.code !== CODE.OK).map((s) => [s.what, s.code, s.error]),
    [],
  );
  await nothingLost(load);
  assert.ok((await cutApi.metric("doushard_shard_replays_total")) > 0);
  assert.equal((await server.stop()).code, 0);
  await proxy.stop();
});

test("a server that is killed under load loses nothing that it acknowledged", async () => {
  const server = await (await cluster.addServer()).start();
  const other = cluster.apiOf(server);
  const load = startLoad(other, { users, owner });
  await until("load", () => load.acknowledged().length > 20);
  server.kill();
  await server.exited;
  await load.stop();
  await until("its connections to end", async () => (await cluster.sqlAll(RUNNING_CALLS)).length === 0);
  await nothingLost(load);
  await server.start();
  assert.ok(await serves("shard1"));
  assert.equal((await server.stop()).code, 0);
});

test("a server that is killed between the halves of writes that are going to be refused leaves nothing of them", async () => {
  const [target] = users.get("shard2");
  const nobody = target.id + 8192 * 1000; // in a slot of shard2
  const actor = await api.register(nameOn("shard1", owner));
  const server = await (await cluster.addServer()).start();
  const other = cluster.apiOf(server);
  const halves = async () =>
    (
      await cluster.sql(
        "shard1",
        [
          ["favorite", "video_id"],
          ["follow", "followed_id"],
          ["message", "peer_id"],
        ]
          .map(
            ([table, column]) =>
              `SELECT '${table}' AS t FROM ${table} WHERE user_id = ${actor.id} AND ${column} = ${nobody} AND state = 1`,
          )
          .join(" UNION ALL "),
      )
    ).length;
  await cluster.freeze("shard2");
  try {
    const requests = Promise.allSettled([
      other.like(actor.token, nobody),
      other.follow(actor.token, nobody),
      other.say(actor.token, nobody, "anybody?"),
    ]);
    await until("the first halves", async () => (await halves()) === 3);
    server.kill();
    await server.exited;
    await requests;
  } finally {
    cluster.thaw("shard2");
  }
  await until(
    "the relay of the other server to take them back",
    async () =>
      (await halves()) === 0 &&
      (await cluster.sql("shard1", `SELECT 1 FROM outbox WHERE actor_id = ${actor.id}`)).length === 0,
  );
  const { user } = await api.user(actor.token, actor.id);
  assert.deepEqual([user.follow_count, user.favorite_count], [0, 0]);
  const left = await cluster.sqlAll(
    ["follower", "liker", "message", "chat"]
      .map(
        (table) =>
          `SELECT '${table}' AS t FROM ${table} WHERE ${table === "liker" ? "video_id" : "user_id"} = ${nobody}`,
      )
      .join(" UNION ALL "),
  );
  assert.deepEqual(left, []);
  for (const list of [
    await api.favorites({ token: actor.token, user_id: actor.id }),
    await api.relations("follow", { token: actor.token, user_id: actor.id }),
  ])
    assert.deepEqual([list.status_code, (list.video_list ?? list.user_list).length], [CODE.OK, 0]);
});

test("a server that starts while a shard is down serves the others, and that shard when it is back", async () => {
  const victim = "shard4";
  await cluster.demo("kill", victim);
  const server = await cluster.addServer();
  const other = cluster.apiOf(server);
  const code = async (shard) => {
    const [user] = users.get(shard);
    return (await other.user(user.token, user.id)).status_code;
  };
  try {
    await server.start({ ready: false });
    await until("the others to be served", async () => (await code("shard1")) === CODE.OK);
    assert.equal(await statusOf(`${server.adminUrl}/readyz`), 503);
    assert.ok(REFUSALS.includes(await code(victim)), String(await code(victim)));
  } finally {
    await cluster.demo("start", victim);
  }
  await until("that one to be served", async () => (await code(victim)) === CODE.OK);
  assert.equal(await statusOf(`${server.adminUrl}/readyz`), 200);
  assert.equal((await server.stop()).code, 0);
  await until("the first server, too", () => serves(victim));
});

test("a shard that may lose acknowledged writes is not used, unless the topology exempts it", async () => {
  const victim = "shard3";
  await cluster.sql(victim, "SET GLOBAL innodb_flush_log_at_trx_commit = 2");
  try {
    for (const [exempt, expected] of [
      [undefined, false],
      [victim, true],
    ]) {
      const server = await cluster.addServer({ topology_file: cluster.topology({}, { exempt }) });
      await server.start({ ready: expected });
      const other = cluster.apiOf(server);
      const [user] = users.get(victim);
      const [neighbour] = users.get("shard1");
      await until(
        "the others to be served",
        async () => (await other.list({ user_id: neighbour.id })).status_code === CODE.OK,
      );
      const { status_code } = await other.list({ user_id: user.id });
      if (expected) assert.equal(status_code, CODE.OK);
      else {
        assert.ok(REFUSALS.includes(status_code), String(status_code));
        assert.match(await server.wholeLog(), /flush|durab/i, "the log says why");
      }
      assert.equal((await server.stop()).code, 0);
    }
  } finally {
    await cluster.sql(victim, "SET GLOBAL innodb_flush_log_at_trx_commit = 1");
  }
});

test("an address where another shard answers is not used", async () => {
  const before = await cluster.rowCounts();
  const ports = { shard1: cluster.shard("shard2").port, shard2: cluster.shard("shard1").port };
  const server = await cluster.addServer({ topology_file: cluster.topology(ports) });
  await server.start({ ready: false });
  const other = cluster.apiOf(server);
  await until(
    "a right shard to be served",
    async () => (await other.list({ user_id: users.get("shard3")[0].id })).status_code === CODE.OK,
  );
  for (const shard of ["shard1", "shard2"]) {
    const { json } = await other.post("/douyin/user/register/", { username: nameOn(shard, owner), password: "p" });
    assert.ok(REFUSALS.includes(json.status_code), JSON.stringify(json));
  }
  assert.equal(await statusOf(`${server.adminUrl}/readyz`), 503);
  assert.deepEqual(await cluster.rowCounts(), before);
  assert.equal((await server.stop()).code, 0);
});

test("all shards are down and come back: errors in between, then everything as before", async () => {
  for (const shard of SHARDS) await cluster.demo("kill", shard);
  try {
    const start = performance.now();
    const { json } = await api.get("/douyin/feed/", {});
    assert.ok(json.status_code === CODE.OK ? json.partial : REFUSALS.includes(json.status_code), JSON.stringify(json));
    assert.ok(performance.now() - start < DEADLINE_MS);
    assert.deepEqual((await api.get("/ping")).json, { message: "pong" });
    assert.equal(await statusOf(`${cluster.server.adminUrl}/livez`), 200);
    const register = await api.post("/douyin/user/register/", { username: uniqueName(), password: "p" });
    assert.ok(REFUSALS.includes(register.json.status_code));
  } finally {
    await Promise.all(SHARDS.map((shard) => cluster.demo("start", shard)));
  }
  for (const shard of SHARDS) await until(`${shard} to be taken back`, () => serves(shard));
  for (const list of users.values())
    for (const user of list) {
      assert.equal((await api.login(user.name, user.password)).user_id, user.id);
      assert.ok(owner.get(slotOfId(user.id)));
    }
  assert.equal((await api.feed()).partial, false);
});
