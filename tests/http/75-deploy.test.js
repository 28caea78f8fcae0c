/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* A new version of everything (lib/next.js) is deployed as config/README.md says while requests of
 * every kind go on: tables and routines shard by shard, then the servers one by one. No request
 * fails. */

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { randomBytes } from "node:crypto";
import { after, test } from "node:test";
import { join } from "node:path";
import { promisify } from "node:util";
import { uniqueName } from "../lib/api.js";
import { Cluster, ROOT, UPLOADS, buildDir } from "../lib/cluster.js";
import { uniqueClip } from "../lib/media.js";
import { makeNext } from "../lib/next.js";
import { until } from "../lib/wait.js";

const CLIENTS = 3;
const KINDS = 25;

const cluster = await Cluster.up({ shards: 2, options: { ...UPLOADS, scrypt_queue_max: 1000 } });
after(() => cluster.down());
const next = join(cluster.dir, "next");
const building = makeNext(ROOT, buildDir(), next);
building.catch(() => {}); /* awaited below */

/* Two servers, and which of them take requests: { api, running }. */
const seats = [
  cluster.server,
  await cluster.addServer({ ...UPLOADS, scrypt_queue_max: 1000 }).then((s) => s.start()),
].map((server) => ({ server, api: cluster.apiOf(server), running: 0, open: true }));
let turn = 0;

const failures = [];
let phase = "old";
let seen = new Set(); /* in this phase: server and kind of request */
let requests = 0;

/** One request through any open server: WORK(api) resolves to the JSON body. */
async function request(kind, work) {
  const open = seats.filter((seat) => seat.open);
  const seat = open[turn++ % open.length];
  seat.running += 1;
  let json;
  try {
    json = await work(seat.api);
  } catch (error) {
    json = { status_code: "none", status_msg: error.message };
  }
  seat.running -= 1;
  requests += 1;
  seen.add(`${seat.server.name} ${kind}`);
  if (json.status_code !== 0 || json.partial)
    failures.push(`${phase}, ${kind}, ${seat.server.name}: ${JSON.stringify(json).slice(0, 300)}`);
  return json;
}

const key = () => ({ headers: { "Idempotency-Key": randomBytes(16).toString("hex") } });
const post = (kind, path, form, options) =>
  request(kind, (api) => api.post(path, form, options).then(({ json }) => json));
const get = (kind, path, query) => request(kind, (api) => api.get(path, query).then(({ json }) => json));

async function newcomer() {
  const name = uniqueName("d");
  const { user_id: id, token } = await post(
    "register",
    "/douyin/user/register/",
    { username: name, password: "one" },
    key(),
  );
  return { id, token, name };
}

const published = (user) => request("publish", (api) => api.publish(user.token, uniqueClip(), uniqueName("t"), key()));
const videosOf = async (user) =>
  (await get("videos", "/douyin/publish/list/", { user_id: user.id, token: user.token })).video_list ?? [];

/* Two users do everything that can be done, also with users of other rounds. */
let known = null;
async function round() {
  const [me, you] = [await newcomer(), known ?? (await newcomer())];
  const { token } = me;
  await published(me);
  const [mine] = await videosOf(me);
  const theirs = (await videosOf(you))[0] ?? mine;
  const edge = (action_type) => ({ token, to_user_id: you.id, action_type });
  const like = (action_type) => ({ token, video_id: theirs?.id, action_type });

  await get("feed of a visitor", "/douyin/feed/", {});
  await get("feed", "/douyin/feed/", { token });
  await get("user", "/douyin/user/", { token, user_id: you.id });
  await post("like", "/douyin/favorite/action/", like(1));
  await get("favorites", "/douyin/favorite/list/", { token, user_id: me.id });
  await post("follow", "/douyin/relation/action/", edge(1));
  await post("follow back", "/douyin/relation/action/", { token: you.token, to_user_id: me.id, action_type: 1 });
  for (const list of ["follow", "follower", "friend"])
    await get(`list of ${list}`, `/douyin/relation/${list}/list/`, { token, user_id: me.id });
  const { comment } = await post(
    "comment",
    "/douyin/comment/action/",
    { token, video_id: theirs?.id, action_type: 1, comment_text: "seen" },
    key(),
  );
  await get("comments", "/douyin/comment/list/", { token, video_id: theirs?.id });
  await post("uncomment", "/douyin/comment/action/", {
    token,
    video_id: theirs?.id,
    action_type: 2,
    comment_id: comment?.id,
  });
  await post(
    "message",
    "/douyin/message/action/",
    { token, to_user_id: you.id, action_type: 1, content: "hello" },
    key(),
  );
  await get("chat", "/douyin/message/chat/", { token, to_user_id: you.id });
  await post("unlike", "/douyin/favorite/action/", like(2));
  await post("unfollow", "/douyin/relation/action/", edge(2));
  await request("profile", (api) =>
    api
      .send("POST", "/douyin/user/profile/", {
        multipart: [
          ["signature", phase],
          ["token", token],
        ],
      })
      .then(({ json }) => json),
  );
  const old = known;
  known = me;
  if (!old) return;
  await post("delete", "/douyin/publish/delete/", { token, video_id: mine?.id });
  const session = await post("login", "/douyin/user/login/", { username: me.name, password: "one" });
  await post("logout", "/douyin/user/logout/", { token: session.token });
  const other = await newcomer();
  await post("password", "/douyin/user/password/", { token: other.token, old_password: "one", new_password: "two" });
}

let stop = false;
const load = async () => {
  while (!stop) await round();
};

/** Begins phase WHAT, once both servers have done everything in the phase before. */
async function enter(what) {
  await until(
    `both servers to do everything in ${phase}`,
    () => seen.size === KINDS * seats.length || failures.length > 0,
    { timeoutMs: 120000 },
  );
  assert.deepEqual(failures, []);
  phase = what;
  seen = new Set();
}

const complaint = async (program) => {
  const server = await cluster.addServer();
  server.program = program;
  await server.start({ ready: false });
  const api = cluster.apiOf(server);
  const text = await until("the reason", async () => {
    const { body } = await api.send("GET", "/readyz", { admin: true });
    return /upgrade|migrate/.test(body) && body.toString();
  });
  await server.stop();
  return text;
};

const calls = { total: 0, failed: 0, replays: 0 };
async function count({ api }) {
  for (const [name, metric] of [
    ["total", "calls"],
    ["failed", "calls_failed"],
    ["replays", "replays"],
  ])
    calls[name] += await api.metric(`doushard_shard_${metric}_total`);
}

async function replace(seat, program) {
  seat.open = false;
  await until("its last answer", () => seat.running === 0);
  await count(seat);
  assert.equal((await seat.server.stop()).code, 0);
  seat.server.program = program;
  await seat.server.start();
  seat.open = true;
}

const migrate = (...args) =>
  promisify(execFile)(
    join(next, "scripts", "migrate"),
    [`--topology=${cluster.files.topology}`, `--defaults-file=${cluster.files.root_cnf}`, ...args],
    { env: cluster.env },
  ).then(({ stdout }) => stdout);

test("new tables, routines and servers while requests of every kind go on: no request fails", async (t) => {
  const old = cluster.server.program;
  const program = await building;
  assert.match(await complaint(program), /its schema has version 1, this program needs 2: run migrate there first/);

  const clients = Array.from({ length: CLIENTS }, load);
  try {
    await enter("tables and routines of shard1");
    assert.match(
      await migrate("--only=shard1"),
      /shard1: loaded schema version 1 to 2 \(0002_note.sql\), \d+ of \d+ routines/,
    );
    /* On shard2 somebody is reading the table that gets a new column. */
    await enter("tables and routines of shard2, which wait for a reader");
    const reader = cluster.session("shard2");
    await reader.run("START TRANSACTION; SELECT COUNT(*) FROM idem");
    const waiting = migrate();
    await until(
      "the column to wait",
      async () =>
        (
          await cluster.sql(
            "shard2",
            `SELECT id FROM information_schema.processlist
      WHERE state = 'Waiting for table metadata lock' AND info LIKE 'ALTER TABLE idem%'`,
          )
        ).length > 0,
      { timeoutMs: 30000, everyMs: 5 },
    );
    seen = new Set();
    await enter("tables and routines of shard2");
    await reader.run("COMMIT");
    assert.match(
      await waiting,
      /shard1: up to date[\s\S]*shard2: waiting to ALTER TABLE idem[\s\S]*shard2: loaded schema version 1 to 2/,
    );
    await reader.end();
    await enter("one new server");
    await replace(seats[0], program);
    await enter("new servers");
    await replace(seats[1], program);
    await enter("the end");
  } finally {
    stop = true;
    await Promise.all(clients);
  }
  assert.deepEqual(failures, []);

  /* Both versions really did something. */
  const notes = await cluster.sqlAll("SELECT note, COUNT(*) AS n FROM idem GROUP BY note");
  assert.deepEqual([...new Set(notes.map(({ note }) => note))].sort(), [0, 7], JSON.stringify(notes));
  for (const { server } of seats) assert.doesNotMatch(await server.wholeLog(), /shard_down/);
  for (const seat of seats) await count(seat);
  t.diagnostic(
    `note: ${requests} requests, none failed; of ${calls.total} CALLs ${calls.failed} were refused, ${calls.replays} were repeats`,
  );

  /* Tables that no longer work with the old program. */
  await cluster.sqlAll("UPDATE schema_version SET serves = 2 WHERE version = 2");
  assert.match(
    await complaint(old),
    /its schema serves programs from version 2 on, this one knows 1: upgrade this program/,
  );
});
