/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Where rows are stored, how a slot that moved is found, and what happens when an answer is lost. */

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { after, test } from "node:test";
import { CODE, uniqueName } from "../lib/api.js";
import { duplicates, slotOfId, strayRows, timeOfId, unevenness } from "../lib/checks.js";
import { Cluster, UPLOADS, slowdown } from "../lib/cluster.js";
import { uniqueClip } from "../lib/media.js";
import { TcpProxy } from "../lib/proxy.js";
import { movingTables, moveSlot, owners, removeStrays, RUNNING_CALLS } from "../lib/rows.js";
import { parallel, until } from "../lib/wait.js";
import { audit } from "../ledger/lib.js";

const cluster = await Cluster.up({ shards: 4, options: { ...UPLOADS, scrypt_queue_max: 1000 } });
after(() => cluster.down());
const { api } = cluster;

const USERS = 1000;

/* 1,000 users over HTTP; 1,000 videos by CALLs in batches, like the router's. */
const users = await parallel(
  8,
  Array.from({ length: USERS }, () => () => api.register()),
);

const where = async (ids) => {
  const rows = await cluster.sql("shard1", ids.map((id) => `CALL slot_where(${id});`).join("\n"));
  assert.equal(rows.length, ids.length);
  return new Map(ids.map((id, i) => [id, rows[i]]));
};

async function publishBatches() {
  const owner = await owners(cluster);
  const batches = new Map();
  for (const user of users) {
    const slot = slotOfId(user.id);
    const op = {
      slot,
      epoch: 1,
      owner: user.id,
      op: randomBytes(16).toString("hex"),
      title: `video of ${user.name}`,
      media: user.id.toString(16).padStart(14, "0") + randomBytes(16).toString("hex"),
      sha256: randomBytes(32).toString("hex"),
      size_bytes: 1000,
      duration_ms: 1000,
      width: 16,
      height: 16,
    };
    batches.set(owner.get(slot), [...(batches.get(owner.get(slot)) ?? []), op]);
  }
  const codes = [];
  for (const [shard, ops] of batches) {
    ops.sort((a, b) => a.slot - b.slot || a.owner - b.owner);
    for (let at = 0; at < ops.length; at += 128) {
      const json = JSON.stringify(ops.slice(at, at + 128));
      const rows = await cluster.sql(shard, `CALL publish_action('${json}')`);
      /* Rows of the operations come first; rows about their owners have other columns. */
      codes.push(...rows.slice(0, Math.min(128, ops.length - at)).map((r) => r.code));
    }
  }
  assert.equal(codes.length, USERS);
  assert.deepEqual([...new Set(codes)], ["ok"]);
}
await publishBatches();

/* A server that reaches every shard through a proxy of the test. */
const proxies = Object.fromEntries(
  await Promise.all(cluster.shards.map(async ({ name, port }) => [name, await TcpProxy.start({ port })])),
);
after(() => Promise.all(Object.values(proxies).map((p) => p.stop())));
const lossy = await cluster.addServer({
  ...UPLOADS,
  topology_file: cluster.topology(Object.fromEntries(Object.entries(proxies).map(([n, p]) => [n, p.port]))),
  db_call_timeout: `${500 * slowdown()}ms`,
});
await lossy.start();
const lossyApi = cluster.apiOf(lossy);

const rowsOf = (table, id) => cluster.sqlAll(`SELECT slot, ${id} AS id FROM ${table}`);

test("1,000 users and videos are where slot_where says, and nowhere else", async () => {
  const accounts = await rowsOf("account", "user_id");
  const people = await rowsOf("user", "user_id");
  const videos = await rowsOf("video", "video_id");
  assert.equal(accounts.length, USERS);
  assert.equal(people.length, USERS);
  assert.equal(videos.length, USERS);
  const said = await where([...people, ...videos].map((r) => r.id));
  const owner = new Map();
  for (const { slot, server } of said.values()) {
    assert.equal(owner.get(slot) ?? server, server, `slot ${slot} is reported in two places`);
    owner.set(slot, server);
  }
  const slot = (id) => said.get(id).slot;
  assert.deepEqual(strayRows([...accounts, ...people, ...videos], owner, slot), []);
  assert.deepEqual(strayRows(await rowsOf("session", "user_id"), owner, slot), []);
  assert.deepEqual(duplicates([...people, ...videos].map((r) => r.id)), [], "ids");
  assert.deepEqual(
    [...people].filter((r) => slotOfId(r.id) !== slot(r.id)),
    [],
  );
});

test("the search for strays finds a planted one", async () => {
  const [{ id, slot }] = await rowsOf("user", "user_id");
  const owner = await owners(cluster);
  const other = cluster.shards.find((s) => s.name !== owner.get(slot)).name;
  await cluster.sql(
    other,
    `INSERT INTO user (slot, user_id, name, password_hash, created_at, op)
    VALUES (${slot}, ${id}, 'stray', 'x', 0, X'${"0".repeat(32)}')`,
  );
  const strays = strayRows(await rowsOf("user", "user_id"), owner, slotOfId);
  await cluster.sql(other, `DELETE FROM user WHERE user_id = ${id}`);
  assert.equal(strays.length, 1);
});

test("users and videos are spread evenly over shards and slots", async () => {
  const people = await rowsOf("user", "user_id");
  const perShard = cluster.shards.map(({ name }) => people.filter((r) => r.shard === name).length);
  const perSlot = new Array(1024).fill(0);
  for (const { slot } of people) perSlot[slot] += 1;
  /* With 3 degrees of freedom, chance would exceed 7.0 once in 10,000 runs. */
  assert.ok(unevenness(perShard) < 7, JSON.stringify(perShard));
  assert.ok(unevenness(perSlot) < 1.3, `${unevenness(perSlot)} over slots`);
});

test("ids increase in each slot and contain their time", async () => {
  const rows = await cluster.sqlAll("SELECT slot, user_id AS id, created_at AS at FROM user ORDER BY slot, user_id");
  for (let i = 1; i < rows.length; i++)
    if (rows[i].slot === rows[i - 1].slot) assert.ok(rows[i].at >= rows[i - 1].at, JSON.stringify(rows[i]));
  for (const { id, at } of rows) assert.ok(Math.abs(timeOfId(id) - at) < 60000, `${id}: ${timeOfId(id)} ${at}`);
  assert.deepEqual(
    rows.filter(({ id }) => id >= 2 ** 53),
    [],
  );
});

test("publish times are unique in each slot and match the ids", async () => {
  const rows = await cluster.sqlAll("SELECT slot, video_id AS id, published_at AS at FROM video");
  assert.deepEqual(duplicates(rows.map(({ slot, at }) => `${slot}/${at}`)), []);
  for (const { id, at } of rows) assert.equal(timeOfId(id), at);
});

test("a CALL on a shard that does not own the slot is refused by the database", async () => {
  const user = users[0];
  const slot = slotOfId(user.id);
  const owner = (await owners(cluster)).get(slot);
  const other = cluster.shards.find((s) => s.name !== owner).name;
  const before = await cluster.rowCounts();
  const op = (name) => ({
    slot,
    epoch: 1,
    owner: name === "user_register" ? 0 : user.id,
    op: randomBytes(16).toString("hex"),
    name: user.name,
    hash: "x",
    session: randomBytes(16).toString("hex"),
    expires_at: Date.now() + 1e6,
    old_hash: "x",
    new_hash: "y",
    max: 5,
    title: "t",
    media: "m",
    sha256: "00".repeat(32),
    size_bytes: 1,
    duration_ms: 1,
    width: 1,
    height: 1,
    user: user.id,
  });
  for (const name of [
    "user_register",
    "user_password",
    "user_rehash",
    "user_logout",
    "session_open",
    "session_touch",
    "publish_action",
  ]) {
    const [row] = await cluster.sql(other, `CALL ${name}('${JSON.stringify([op(name)])}')`);
    assert.deepEqual([row.code, row.slot, row.server], ["moved", slot, owner], name);
  }
  assert.deepEqual(await cluster.rowCounts(), before);

  /* Reads are refused as well: the rows may be old. */
  const session = "00".repeat(16);
  for (const call of [
    `user_get('${JSON.stringify([{ slot, epoch: 1, owner: user.id }])}')`,
    `media_find('${JSON.stringify([{ slot, epoch: 1, owner: user.id, media: "m" }])}')`,
    `user_login(${slot}, 1, '${user.name}')`,
    `user_secret(${slot}, 1, ${user.id})`,
    `session_get('${JSON.stringify([{ slot, epoch: 1, owner: user.id, session, idle_ms: 1000 }])}')`,
    `publish_list(${slot}, 1, ${user.id}, 0, 10)`,
  ]) {
    const [row] = await cluster.sql(other, `CALL ${call}`);
    assert.deepEqual([row.code, row.slot, row.server], ["moved", slot, owner], call);
  }
});

test("a slot is moved by hand under load: no client sees an error, and the rows are where they belong", async () => {
  /* Clients that use only users of the moving slots, with every kind of request. */
  const slots = [...new Set(users.map((u) => slotOfId(u.id)))].slice(0, 6);
  const crowd = slots.map((slot) => users.find((u) => slotOfId(u.id) === slot));
  let stop = false;
  const problems = [];
  let answered = 0;
  const registered = [];
  const expect = (what, json, check) => {
    answered += 1;
    if (json.status_code !== CODE.OK || (check && !check(json))) problems.push(`${what}: ${JSON.stringify(json)}`);
  };
  const client = async (user, i) => {
    while (!stop) {
      const login = await api.login(user.name, user.password);
      expect("login", login, (j) => j.user_id === user.id);
      expect("user", await api.user(login.token, user.id), (j) => j.user.name === user.name);
      const list = await api.list({ user_id: user.id });
      expect("list", list, (j) => j.video_list.length >= 1);
      const video = list.video_list.at(-1).id;
      const friend = crowd[(i + 1) % crowd.length];
      for (const on of [1, 2, 1]) {
        expect("like", await api.like(friend.token, video, on));
        expect("follow", await api.follow(login.token, friend.id, on));
      }
      expect("comment", await api.comment(friend.token, video, "is it still here?"));
      expect("message", await api.say(login.token, friend.id, "and are you?"));
      const name = uniqueName(`m${i}`);
      const { json } = await api.post("/douyin/user/register/", { username: name, password: "p" });
      expect("register", json);
      registered.push({ id: json.user_id, name });
      expect("logout", (await api.post("/douyin/user/logout/", { token: login.token })).json);
      expect("feed", await api.feed());
    }
  };
  let published = 0;
  const publisher = async (user) => {
    while (!stop) {
      expect("publish", await api.publish(user.token, uniqueClip(), uniqueName("moving")));
      published += 1;
    }
  };
  const clients = [...crowd.map(client), publisher(crowd[0])];
  let moves = 0;
  try {
    for (let round = 0; round < 2; round++)
      for (const slot of slots) {
        const from = (await owners(cluster)).get(slot);
        const to = cluster.shards[(cluster.shards.findIndex((s) => s.name === from) + 1) % 4].name;
        await moveSlot(cluster, slot, from, to);
        moves += 1;
        const seen = answered;
        await until("requests between two moves", () => answered > seen + 12 || problems.length > 0);
      }
  } finally {
    stop = true;
    await Promise.all(clients);
  }
  assert.deepEqual(problems, []);
  assert.equal(moves, 12);
  assert.ok((await api.metric("doushard_shard_moved_total")) > 0, "the router was told about a move");

  /* Nothing acknowledged is missing, nothing is there twice. Strays left on the source do not count. */
  const owner = await owners(cluster);
  const valid = (rows) => rows.filter((r) => owner.get(r.slot) === r.shard).map((r) => r.id);
  const people = valid(await rowsOf("user", "user_id"));
  assert.deepEqual(duplicates(people), []);
  for (const { id } of registered) assert.ok(people.includes(id), `${id} was acknowledged and is lost`);
  assert.equal(people.length, USERS + registered.length);
  const { video_list } = await api.list({ user_id: crowd[0].id });
  assert.equal(video_list.length, Math.min(100, 1 + published));
  assert.equal((await api.user(crowd[0].token)).user.work_count, 1 + published);

  /* And both halves of everything agree. */
  await removeStrays(cluster);
  await until("the outbox to be empty", async () => (await cluster.rowCounts(["outbox"])).outbox === 0);
  const audited = await audit(cluster);
  assert.equal(audited.status, 0, audited.text);
});

test("a slot with rows of every kind is moved by hand; what was due is delivered from its new place", async () => {
  const shardOf = await owners(cluster);
  const [home, next, frozen] = cluster.shards.map(({ name }) => name);
  const on = (shard) => users.slice(20).filter((u) => shardOf.get(slotOfId(u.id)) === shard);
  const [hero] = on(home);
  const [fan] = on(next);
  const [far] = on(frozen);
  const slot = slotOfId(hero.id);
  const videoOf = async (u) => (await api.list({ user_id: u.id })).video_list[0].id;
  const [own, theirs, distant] = await Promise.all([hero, fan, far].map(videoOf));
  const done = async (...answers) => {
    for (const json of await Promise.all(answers)) assert.equal(json.status_code, CODE.OK, JSON.stringify(json));
  };
  await done(
    api.like(fan.token, own),
    api.comment(fan.token, own, "good"),
    api.follow(fan.token, hero.id),
    api.say(fan.token, hero.id, "hello"),
    api.like(hero.token, theirs),
    api.comment(hero.token, theirs, "so is this"),
    api.follow(hero.token, fan.id),
    api.say(hero.token, fan.id, "hello yourself"),
  );
  await cluster.freeze(frozen);
  try {
    await done(
      api.like(hero.token, distant),
      api.follow(hero.token, far.id),
      api.comment(hero.token, theirs, "again"),
      api.say(hero.token, far.id, "is anybody there?"),
    );
    await moveSlot(cluster, slot, home, next, [home, next]);
  } finally {
    cluster.thaw(frozen);
  }
  /* All tables have the same rows on both shards, except the outbox, which is already being worked
   * on. */
  const tables = (await movingTables(cluster)).filter((t) => t !== "outbox");
  const columns = await cluster.sql(
    home,
    `SELECT table_name AS t, GROUP_CONCAT(CONCAT("COALESCE(HEX(", column_name, "), '-')")) AS c
    FROM information_schema.columns WHERE table_schema = 'doushard' GROUP BY table_name`,
  );
  const digest = (shard) =>
    cluster.sql(
      shard,
      tables
        .map(
          (t) => `SELECT '${t}' AS t, COUNT(*) AS n,
    BIT_XOR(CRC32(CONCAT_WS(':', ${columns.find((row) => row.t === t).c}))) AS sum FROM \`${t}\` WHERE slot = ${slot}`,
        )
        .join(";\n"),
    );
  const there = await digest(next);
  assert.deepEqual(there, await digest(home));
  assert.deepEqual(
    [
      "slot_seq",
      "user",
      "session",
      "video",
      "follow",
      "follower",
      "favorite",
      "liker",
      "comment",
      "commented",
      "chat",
      "message",
    ].filter((t) => there.find((row) => row.t === t).n === 0),
    [],
    "tables without a row",
  );
  const [{ n: due }] = await cluster.sql(home, `SELECT COUNT(*) AS n FROM outbox WHERE slot = ${slot}`);
  assert.ok(due >= 3, `${due} rows were due`);

  await removeStrays(cluster);
  await until("what was due to be delivered", async () => (await cluster.rowCounts(["outbox"])).outbox === 0);
  const shown = (await api.user(far.token, far.id)).user;
  assert.deepEqual([shown.follower_count, shown.total_favorited], [1, 1]);
  assert.deepEqual(
    (await api.chat({ token: far.token, to_user_id: hero.id })).message_list.map((m) => m.content),
    ["is anybody there?"],
  );
  const audited = await audit(cluster);
  assert.equal(audited.status, 0, audited.text);
});

test("a second server learns about a move from the answer it gets", async () => {
  const server = await (await cluster.addServer()).start();
  const other = cluster.apiOf(server);
  const user = users[10];
  const slot = slotOfId(user.id);
  assert.equal((await other.user(user.token)).user.id, user.id);
  /* The check of each shard every 5 s may bring the news first: in that case the slot is moved on. */
  for (let i = 0; i < 10 && (await other.metric("doushard_shard_moved_total")) === 0; i++) {
    const from = (await owners(cluster)).get(slot);
    await moveSlot(cluster, slot, from, cluster.shards.find((s) => s.name !== from).name);
    assert.equal((await other.user(user.token, user.id)).user.id, user.id);
    assert.equal((await other.login(user.name, user.password)).user_id, user.id);
  }
  assert.ok((await other.metric("doushard_shard_moved_total")) >= 1);
  /* From now on it asks the right shard. */
  const before = await other.metric("doushard_shard_moved_total");
  for (let i = 0; i < 5; i++) assert.equal((await other.user(user.token, user.id)).user.id, user.id);
  assert.equal(await other.metric("doushard_shard_moved_total"), before);
  /* A server that starts now knows at once. */
  const fresh = await (await cluster.addServer()).start();
  const third = cluster.apiOf(fresh);
  assert.equal((await third.user(user.token, user.id)).user.id, user.id);
  assert.equal(await third.metric("doushard_shard_moved_total"), 0);
  assert.deepEqual([(await server.stop()).code, (await fresh.stop()).code], [0, 0]);
});

test("two servers are one service", async () => {
  const server = await (await cluster.addServer(UPLOADS)).start();
  const other = cluster.apiOf(server);
  const user = await api.register();
  assert.equal((await other.user(user.token)).user.name, user.name);
  const title = uniqueName("t");
  assert.equal((await other.publish(user.token, uniqueClip(), title)).status_code, CODE.OK);
  assert.equal((await api.list({ user_id: user.id })).video_list[0].title, title);
  assert.equal((await api.feed()).video_list[0].title, title);
  const headers = { "Idempotency-Key": randomBytes(16).toString("hex") };
  const username = uniqueName();
  const answers = await Promise.all(
    [api, other, api, other, api, other].map(
      async (client) => (await client.post("/douyin/user/register/", { username, password: "p" }, { headers })).json,
    ),
  );
  assert.deepEqual([...new Set(answers.map((a) => a.status_code))], [CODE.OK]);
  assert.equal(new Set(answers.map((a) => a.user_id)).size, 1);
  assert.equal((await server.stop()).code, 0);
});

/* ---- Lost answers ---- */

const onAll = (set) => Object.values(proxies).forEach(set);
const heal = () =>
  onAll((p) => {
    p.rule = null;
    p.blackHole = false;
    p.refuse = false;
    p.replyDelayMs = 0;
    p.applied = {};
  });
/* One rule for all shards together, whichever comes first. */
function armOnce(pattern, action, times = 1) {
  let left = times;
  onAll((p) => {
    p.rule = (text) => {
      if (left === 0 || !pattern.test(text)) return undefined;
      left -= 1;
      return action;
    };
  });
}
const applied = (action) => Object.values(proxies).reduce((n, p) => n + (p.applied[action] ?? 0), 0);

const namesIn = async (username) => {
  const owner = await owners(cluster);
  const rows = await cluster.sqlAll(`SELECT 'a' AS t, slot, user_id FROM account WHERE name = '${username}'
    UNION ALL SELECT 'u', slot, user_id FROM user WHERE name = '${username}'`);
  return rows.filter((r) => owner.get(r.slot) === r.shard);
};

for (const action of ["lose-reply", "hang-reply", "cut"])
  test(`register with ${action}: one account, and the client is told its id`, async () => {
    heal();
    armOnce(/user_register/, action);
    const username = uniqueName();
    const marks = new Map(Object.values(proxies).map((p) => [p, p.statements.length]));
    const { json } = await lossyApi.post("/douyin/user/register/", { username, password: "p" });
    assert.equal(applied(action), 1, "the fault was injected");
    assert.equal(json.status_code, CODE.OK, JSON.stringify(json));
    const rows = await namesIn(username);
    assert.deepEqual(rows.map((r) => [r.t, r.user_id]).sort(), [
      ["a", json.user_id],
      ["u", json.user_id],
    ]);
    if (action !== "cut") {
      /* The first attempt was known to be over before the second began. */
      const order = [...marks]
        .flatMap(([p, from]) => p.statements.slice(from).map(({ text }) => text))
        .map((text) => /^CALL (user_register|conn_kill)/.exec(text)?.[1])
        .filter(Boolean);
      assert.deepEqual(order, ["user_register", "conn_kill", "user_register"]);
    }
    assert.equal((await api.login(username, "p")).user_id, json.user_id);
    assert.equal((await lossyApi.user(json.token)).user.id, json.user_id, "the session is valid");
    heal();
  });

for (const action of ["lose-reply", "hang-reply", "cut"])
  test(`publish with ${action}: one video, with the files of the first attempt`, async () => {
    heal();
    const user = await api.register();
    armOnce(/publish_action/, action);
    const answer = await lossyApi.publish(user.token, uniqueClip(), "once");
    assert.equal(applied(action), 1, "the fault was injected");
    assert.equal(answer.status_code, CODE.OK, JSON.stringify(answer));
    const { video_list } = await api.list({ user_id: user.id });
    assert.deepEqual(
      video_list.map((v) => v.title),
      ["once"],
    );
    assert.equal((await api.user(user.token)).user.work_count, 1);
    const path = new URL(video_list[0].play_url).pathname;
    assert.equal((await api.fetch(path)).status, 200);
    heal();
  });

for (const [what, pattern, work] of [
  ["logout", /user_logout/, (u) => lossyApi.post("/douyin/user/logout/", { token: u.token }).then((a) => a.json)],
  [
    "password",
    /user_password/,
    (u) =>
      lossyApi
        .post("/douyin/user/password/", { token: u.token, old_password: u.password, new_password: "new" })
        .then((a) => a.json),
  ],
  ["login", /session_open/, (u) => lossyApi.login(u.name, u.password)],
  [
    "delete",
    /publish_delete/,
    async (u) => {
      await api.publish(u.token, uniqueClip(), "t");
      const { video_list } = await api.list({ user_id: u.id });
      const answer = await lossyApi.remove(u.token, video_list[0].id);
      assert.equal((await api.user(u.token)).user.work_count, 0);
      return answer;
    },
  ],
  ["user", /user_get/, (u) => lossyApi.user(u.token, u.id)],
  ["list", /publish_list/, (u) => lossyApi.list({ user_id: u.id })],
])
  test(`${what} with a lost reply is done once and answered`, async () => {
    heal();
    const user = await api.register();
    armOnce(pattern, "lose-reply");
    const answer = await work(user);
    assert.equal(applied("lose-reply"), 1, "the fault was injected");
    assert.equal(answer.status_code, CODE.OK, JSON.stringify(answer));
    heal();
  });

test("a reply that stays lost: the outcome is reported as unknown, and the same key finds the same row", async () => {
  heal();
  const headers = { "Idempotency-Key": randomBytes(16).toString("hex") };
  const username = uniqueName();
  const register = () =>
    lossyApi.post("/douyin/user/register/", { username, password: "p" }, { headers }).then((a) => a.json);
  armOnce(/user_register/, "lose-reply", 1000);
  const start = performance.now();
  const lost = await register();
  assert.ok([CODE.UNKNOWN, CODE.BUSY, CODE.UNAVAILABLE].includes(lost.status_code), JSON.stringify(lost));
  assert.ok(performance.now() - start < 15000 * slowdown(), "within the deadline");
  assert.ok(applied("lose-reply") <= 6, `${applied("lose-reply")} attempts`);
  heal();
  const found = await until("the shard to be taken back", async () => {
    const json = await register();
    return json.status_code === CODE.OK && json;
  });
  assert.deepEqual((await namesIn(username)).map((r) => [r.t, r.user_id]).sort(), [
    ["a", found.user_id],
    ["u", found.user_id],
  ]);
});

test("a CALL that hangs in the database is killed before it is repeated; nothing happens later", async () => {
  heal();
  const username = uniqueName("hang");
  const [{ slot }] = await cluster.sql("shard1", `SELECT CRC32('${username}') MOD 1024 AS slot`);
  const owner = (await owners(cluster)).get(slot);
  const headers = { "Idempotency-Key": randomBytes(16).toString("hex") };
  const register = () =>
    lossyApi.post("/douyin/user/register/", { username, password: "p" }, { headers }).then((a) => a.json);
  const session = cluster.session(owner);
  let json;
  try {
    await session.run(`START TRANSACTION; SELECT * FROM slot_fence WHERE slot = ${slot} FOR UPDATE`);
    json = await register();
    assert.ok([CODE.UNKNOWN, CODE.BUSY, CODE.UNAVAILABLE].includes(json.status_code), JSON.stringify(json));
    /* No attempt is left waiting for the lock. */
    const running = () => cluster.sql(owner, RUNNING_CALLS);
    await until("no CALL to be running", async () => (await running()).length === 0);
    await session.run("ROLLBACK");
  } finally {
    await session.end();
  }
  assert.deepEqual(await namesIn(username), [], "an attempt that was given up took effect");
  const again = await until("the shard to serve", async () => {
    const answer = await register();
    return answer.status_code === CODE.OK && answer;
  });
  assert.ok(again.user_id > 0);
});

test("no connection came back to its pool dirty", async () => {
  for (const client of [api, lossyApi]) assert.equal(await client.metric("doushard_shard_pool_dirty_total"), 0);
});

test("a request costs a fixed number of CALLs", async () => {
  heal();
  const calls = async (work) => {
    const seen = (p) =>
      p.statements
        .map((s) => s.text)
        .filter((t) =>
          /^CALL (?!conn_|slot_|routine_|job_|media_|relay_|outbox_|shard_|purge_|load_|session_touch)/.test(t),
        );
    const marks = Object.values(proxies).map((p) => seen(p).length);
    await work();
    const list = Object.values(proxies).flatMap((p, i) => seen(p).slice(marks[i]));
    return list.map((text) => /CALL (\w+)/.exec(text)[1]).sort();
  };
  const user = await lossyApi.register();
  assert.deepEqual(
    await calls(() => lossyApi.register()),
    ["user_login", "user_register"],
    "first whether the name is free, then the hash",
  );
  assert.deepEqual(
    await calls(() => lossyApi.login(user.name, user.password)),
    ["session_open", "user_login", "user_secret"],
    "the hash is read again after the session is stored",
  );
  assert.deepEqual(await calls(() => lossyApi.list({ user_id: user.id })), ["publish_list"]);
  await lossyApi.user(user.token);
  assert.deepEqual(await calls(() => lossyApi.user(user.token)), ["user_get"], "its session is cached");
  assert.deepEqual(await calls(() => lossyApi.feed()), Array(4).fill("feed_list"), "one CALL per shard");
});
