/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* What is measured: one entry per row of the table. `run` takes the bench and resolves to {sides, note}: the first
 * side is the figure, the others are compared with it; all are measured in turn in the same run. */

import { readdirSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { slotOfId } from "../lib/checks.js";
import { statusOf } from "../lib/cluster.js";
import { until } from "../lib/wait.js";
import { install, routine } from "../ledger/lib.js";
import { CACHED, withRedis } from "./cached.js";
import { FILES, nginxOf } from "./files.js";
import { MOVES } from "./moves.js";
import { ORPHANS } from "./orphans.js";
import { OWN } from "./own.js";
import { added, edgeChanges, recountEdges } from "./recount.js";
import { Script, background, bareTwin, byTurns, figure, get, load, probe, residentMb, summary } from "./run.js";

const HOT_CONNECTIONS = 256;
const READ_CONNECTIONS = 64;
const HELD = 10000;
const HELD_ROOM = 2000; /* beyond those held, since the server's loops do not get equal shares */
/* The rate of the open loop, as a share of what the closed loop reached: no request waits for long. */
const OPEN_SHARE = 0.7;
const READ_LINES = 20000;
const CHATS = 100;

/* ---- What a run costs ---- */

/* CALLs that a server has sent, those of its background threads included. */
async function callsOf(server) {
  const { body } = await get(`${server.adminUrl}/metrics`);
  return [...body.matchAll(/^doushard_shard_calls_total\{.*?\} (\S+)$/gm)].reduce((sum, [, n]) => sum + Number(n), 0);
}

/* What the shards have sent and received, in bytes. */
async function bytesOf(cluster) {
  const rows = await cluster.sqlAll("SHOW GLOBAL STATUS WHERE variable_name IN ('Bytes_sent', 'Bytes_received')");
  return rows.reduce((sum, { Value }) => sum + Number(Value), 0);
}

const costsOf = async (bench, server) => ({
  calls: await callsOf(server),
  bytes: await bytesOf(server.cluster ?? bench.cluster),
});

/** load() on SERVER, with the CPU times of SERVER and MariaDB, the CALLs and the SQL bytes. */
export async function onServer(bench, server, options) {
  const before = await costsOf(bench, server);
  const run = await load({ ...bench.window, port: server.port, cpu: bench.cpu(server), ...options });
  const after = await costsOf(bench, server);
  return { ...run, calls: after.calls - before.calls, db_bytes: after.bytes - before.bytes };
}

/** Calls WORK with {name: server} that writes are compared with: the server without batches, if this version has them. */
async function withUnbatched(bench, work) {
  if (!bench.batches) return work({});
  const twin = await bench.addServer({ db_batch_max: 1 });
  try {
    return await work({ "db_batch_max=1": twin });
  } finally {
    await twin.stop();
  }
}

/** A side that calls RUN with the server of the other version, if there is one. */
const onBaseline = (bench, run) => (bench.baseline ? { baseline: () => run(bench.baseline) } : {});

/* ---- Logins beside reads ---- */

const LOGINS = 500;
const ACCOUNTS = 50;
const BESIDE_SHARE = 0.3;
const BESIDE_CONNECTIONS = 16;

/** The status_code of one login on a connection of its own, at little cost in this process. */
const loginOf = (port, i) =>
  new Promise((done, failed) => {
    let text = "";
    connect(port, "127.0.0.1")
      .setEncoding("latin1")
      .on("data", (piece) => {
        text += piece;
      })
      .on("close", () => done(Number(/"status_code":(\d+)/.exec(text)?.[1])))
      .on("error", failed)
      .write(
        `POST /douyin/user/login/?username=login${i % ACCOUNTS}&password=right HTTP/1.1\r\n` +
          "Host: bench\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
      );
  });

/* A visitor's feed at 30 % of the rate that a few clients reach, alone and beside 500 logins that begin at once. Each
 * login costs a hash, or is refused because too many wait. */
async function feedBesideLogins(bench) {
  const twin = await bench.addServer({
    rate_login_per_min: 0,
    rate_register_per_hour: 0,
    login_tries: 0,
    login_account_max: 0,
    login_address_max: 0,
  });
  for (let i = 0; i < ACCOUNTS; i++)
    await fetch(`${twin.url}/douyin/user/register/?username=login${i}&password=right`, { method: "POST" });
  const feed = new Script(
    bench.dir,
    "feed-beside",
    Array.from({ length: 1000 }, () => "GET /douyin/feed/?latest_time=0"),
  );
  const run = (options) =>
    load({
      ...bench.window,
      port: twin.port,
      script: feed,
      connections: BESIDE_CONNECTIONS,
      cpu: bench.cpu(twin),
      ...options,
    });
  const [peak] = (await run()).windows;
  const rate = Math.ceil((peak.answered / peak.seconds) * BESIDE_SHARE);
  const answers = {};
  const beside = async () => {
    const pages = run({ rate });
    await pause(bench.window.warmUp);
    for (const code of await Promise.all(Array.from({ length: LOGINS }, (_, i) => loginOf(twin.port, i))))
      answers[code] = (answers[code] ?? 0) + 1;
    return pages;
  };
  try {
    const sides = await byTurns(bench.rounds, { [`beside ${LOGINS} logins`]: beside, alone: () => run({ rate }) });
    const [crowded, alone] = Object.values(sides).map((side) => side.p99_ms.median);
    return {
      sides,
      note:
        `${rate} pages/s: p99 is ${(crowded / alone).toFixed(2)} times that without logins; ` +
        `logins by status_code: ${JSON.stringify(answers)}`,
    };
  } finally {
    await twin.stop();
  }
}

/* ---- Writes ---- */

const likeLine = (token, video) => `POST /douyin/favorite/action/?token=${token}&video_id=${video}&action_type=%`;
const followLine = (token, user) => `POST /douyin/relation/action/?token=${token}&to_user_id=${user}&action_type=%`;
const commentLine = (token, video) =>
  `POST /douyin/comment/action/?token=${token}&video_id=${video}&action_type=1&comment_text=well+done`;
const messageLine = (token, user) =>
  `POST /douyin/message/action/?token=${token}&to_user_id=${user}&action_type=1&content=good+morning`;

/** A script of EDGES that do not exist yet, given as [user number, target id]. */
function edgeScript(bench, name, line, edges) {
  const script = new Script(
    bench.dir,
    name,
    edges.map(([i, target]) => line(bench.data.token(i), target)),
  );
  script.pairs = edges.map(([i, target]) => [bench.data.userId(i), target]);
  return script;
}

/** A closed loop on the server and its twins, then an open loop that the server sustains; then the edges are counted. */
async function edges(bench, script, tables, { connections, open = true }) {
  const changes = await edgeChanges(bench.cluster);
  const run =
    (server, options = {}) =>
    () =>
      onServer(bench, server, { script, connections, ...options });
  const sides = await withUnbatched(bench, (twins) =>
    byTurns(bench.rounds, {
      server: run(bench.server),
      ...Object.fromEntries(Object.entries(twins).map(([name, twin]) => [name, run(twin)])),
    }),
  );
  const rate = Math.max(50, Math.floor(sides.server.per_s.median * OPEN_SHARE));
  const slower = { [`${OPEN_SHARE * 100} % of it`]: run(bench.server, { rate }) };
  if (open) Object.assign(sides, await byTurns(bench.rounds, slower));
  const acknowledged = Object.values(sides).reduce((sum, side) => sum + side.changed, 0);
  const made = await recountEdges(bench.cluster, tables, script, changes, acknowledged);
  const note = `${acknowledged} acknowledged, ${made} changed a row; both halves of each are as acknowledged`;
  return { sides, note: bench.batches ? note : `${note}; this server has no db_batch_max to compare with` };
}

const LIKES = ["favorite", "liker"];
const FOLLOWS = ["follow", "follower"];

function hotLike(bench) {
  const { data } = bench;
  const script = edgeScript(
    bench,
    "hot-like",
    likeLine,
    data.newcomers().map((i) => [i, data.videoId(1)]),
  );
  return edges(bench, script, LIKES, { connections: bench.connections(HOT_CONNECTIONS, script) });
}

function hotFollow(bench) {
  const { data } = bench;
  const script = edgeScript(
    bench,
    "hot-follow",
    followLine,
    data.newcomers().map((i) => [i, data.userId(1)]),
  );
  return edges(bench, script, FOLLOWS, { connections: bench.connections(HOT_CONNECTIONS, script), open: false });
}

/* Every user likes one video, spread evenly over all videos, without likes that the data set already has. */
async function spreadLikes(bench) {
  const { data, cluster } = bench;
  const video = (i) => ((i * 7919) % data.videos) + 1;
  const there = await cluster.sqlAll(`SELECT u.i FROM bench.bench_user AS u
      JOIN bench.bench_video AS v ON v.j = (u.i * 7919) MOD ${data.videos} + 1
      JOIN favorite AS e ON e.slot = u.slot AND e.user_id = u.user_id AND e.video_id = v.video_id AND e.state = 1`);
  const taken = new Set(there.map(({ i }) => i));
  const pairs = Array.from({ length: data.users }, (_, k) => k + 1).filter((i) => !taken.has(i));
  const script = edgeScript(
    bench,
    "likes",
    likeLine,
    pairs.map((i) => [i, data.videoId(video(i))]),
  );
  return edges(bench, script, LIKES, { connections: bench.connections(HOT_CONNECTIONS, script) });
}

/** Requests that each add rows: TABLES is {table: rows}. The rows are counted afterwards. */
async function additions(bench, script, tables, connections) {
  const before = await added(bench.cluster, Object.keys(tables));
  const sides = await withUnbatched(bench, (twins) =>
    byTurns(
      bench.rounds,
      Object.fromEntries(
        [["server", bench.server], ...Object.entries(twins)].map(([name, server]) => [
          name,
          () => onServer(bench, server, { script, connections }),
        ]),
      ),
    ),
  );
  const acknowledged = Object.values(sides).reduce((sum, side) => sum + side.right, 0);
  const after = await added(bench.cluster, Object.keys(tables));
  for (const [table, rows] of Object.entries(tables)) {
    const more = after[table] - before[table];
    if (more < acknowledged * rows) throw new Error(`${acknowledged} acknowledged, ${more} rows in ${table}`);
  }
  return { sides, note: `${acknowledged} acknowledged, and at least as many rows are on both sides` };
}

const commentLines = ({ data }) => data.newcomers().map((i) => commentLine(data.token(i), data.videoId(2)));

function hotComment(bench) {
  const script = new Script(bench.dir, "comments", commentLines(bench));
  return additions(bench, script, { comment: 1, commented: 1 }, bench.connections(HOT_CONNECTIONS, script));
}

/* Pairs of newcomers who write to each other, on one connection per direction. */
function chatLines({ data }) {
  const all = data.newcomers().slice(0, 2 * CHATS);
  return all.map((i, k) => messageLine(data.token(i), data.userId(all[k ^ 1])));
}

function chats(bench) {
  const script = new Script(bench.dir, "chats", chatLines(bench));
  return additions(bench, script, { message: 2 }, script.lines.length);
}

/* One client that waits for each answer, beside two durable writes and nothing else. */
async function quietLike(bench) {
  const { data, cluster } = bench;
  const script = edgeScript(
    bench,
    "quiet-like",
    likeLine,
    data.newcomers().map((i) => [i, data.videoId(3)]),
  );
  const theirs = edgeScript(
    bench,
    "quiet-like-baseline",
    likeLine,
    data.newcomers().map((i) => [i, data.videoId(3)]),
  );
  const changes = await edgeChanges(cluster);
  const sides = await byTurns(bench.rounds, {
    like: () => onServer(bench, bench.server, { script, connections: 1 }),
    ...onBaseline(bench, (server) => onServer(bench, server, { script: theirs, connections: 1 })),
    "bare writes": () => probe("write", { ...bench.window, cluster, cpu: bench.cpu() }),
  });
  await recountEdges(cluster, LIKES, script, changes, sides.like.changed);
  const ratio = sides.like.p50_ms.median / sides["bare writes"].p50_ms.median;
  return { sides, note: `p50 is ${ratio.toFixed(2)} times that of the bare writes` };
}

/* Requests URL once a second, which must be refused each time. Returns a function that stops and says how often. */
function everySecond(url) {
  const asked = [];
  const ask = () =>
    asked.push(
      fetch(url, { method: "POST" })
        .then((r) => r.json())
        .then((json) => json.status_code),
    );
  const timer = setInterval(ask, 1000);
  ask();
  return async () => {
    clearInterval(timer);
    const codes = await Promise.all(asked);
    if (codes.includes(0)) throw new Error(`a request that the shards must refuse was done: ${codes}`);
    return codes.length;
  };
}

const TRANSACTION = "    SET TRANSACTION ISOLATION LEVEL READ COMMITTED;\n";

/* Routines that refuse likes of the video BAD, together with everything else in the same CALL. */
const refusing = (bad) =>
  [
    ["_favorite_action_batch", `EXISTS (SELECT 1 FROM op AS o WHERE o.target = ${bad})`],
    ["_favorite_action_one", `v_target = ${bad}`],
  ].map(([name, what]) =>
    routine("favorite", name, [
      [
        TRANSACTION,
        `    IF ${what} THEN\n        SIGNAL SQLSTATE '45400' SET MESSAGE_TEXT = 'refused by the benchmark';\n    END IF;\n${TRANSACTION}`,
      ],
    ]),
  );

/* One operation a second that makes its batch fail. */
async function poison(bench) {
  const { data, cluster } = bench;
  const script = edgeScript(
    bench,
    "poison",
    likeLine,
    data.newcomers().map((i) => [i, data.videoId(5)]),
  );
  const bad = data.videoId(6);
  const connections = bench.connections(HOT_CONNECTIONS, script);
  const run = () => onServer(bench, bench.server, { script, connections });
  let refused = 0;
  const changes = await edgeChanges(cluster);
  await install(cluster, refusing(bad));
  try {
    const sides = await byTurns(bench.rounds, {
      "one bad a second": async () => {
        const stop = everySecond(
          bench.server.url + likeLine(data.token(1), bad).replace("POST ", "").replace("%", "1"),
        );
        const result = await run();
        refused += await stop();
        return result;
      },
      without: run,
    });
    const acknowledged = Object.values(sides).reduce((sum, side) => sum + side.changed, 0);
    await recountEdges(cluster, LIKES, script, changes, acknowledged);
    const [bent, straight] = Object.values(sides).map((side) => side.p99_ms.median);
    return { sides, note: `${refused} were refused; p99 is ${(bent / straight).toFixed(2)} times that without` };
  } finally {
    await install(
      cluster,
      ["_favorite_action_batch", "_favorite_action_one"].map((name) => routine("favorite", name, [])),
    );
  }
}

/** The name of the shard that has a user or video. */
async function shardOf(cluster, id) {
  for (const { name } of cluster.shards) {
    const own = await cluster.sql(
      name,
      `SELECT slot FROM slot_fence WHERE slot = ${slotOfId(Number(id))} AND state = 'owned'`,
    );
    if (own.length > 0) return name;
  }
  throw new Error(`no shard has ${id}`);
}

/**
 * A load during which the server, the shard that has TARGET and, if there is one, another shard are killed by SIGKILL.
 * Then COUNT(run) checks that nothing acknowledged is missing. Requests that were under way get no answer, and their
 * outcome counts as unknown.
 */
async function killed(bench, script, connections, target, count) {
  const server = await bench.addServer();
  const { cluster } = bench;
  const seconds = 4 * bench.window.window + 12;
  const first = await shardOf(cluster, target);
  const victims = [
    first,
    ...cluster.shards
      .map(({ name }) => name)
      .filter((name) => name !== first)
      .slice(0, 1),
  ];
  try {
    const running = load({
      port: server.port,
      script,
      connections,
      warmUp: 0,
      window: seconds,
      windows: 1,
      lossy: true,
    });
    const kills = (async () => {
      await pause(bench.window.window);
      await server.crash();
      for (const shard of victims) {
        await pause(bench.window.window / 2);
        await cluster.demo("kill", shard);
        await cluster.demo("start", shard);
      }
    })();
    const [run] = await Promise.all([running, kills]);
    if (run.lost === 0) throw new Error("nothing was under way when the server was killed");
    await until("all slots again", async () => (await statusOf(`${server.adminUrl}/readyz`)) === 200);
    return { sides: { killed: summary([run]) }, note: await count(run) };
  } finally {
    await server.stop();
    cluster.readEndpoints();
  }
}

const KILLED = "the server, the shard of the target and another one were killed";

const pause = (seconds) =>
  new Promise((done) => {
    setTimeout(done, seconds * 1000);
  });

async function killedEdges(bench, name, line, target, tables) {
  const { data, cluster } = bench;
  const script = edgeScript(
    bench,
    name,
    line,
    data.newcomers().map((i) => [i, target]),
  );
  const changes = await edgeChanges(cluster);
  return killed(bench, script, bench.connections(HOT_CONNECTIONS, script), target, async (run) => {
    const made = await recountEdges(cluster, tables, script, changes, run.changed);
    return (
      `${KILLED}: ${run.right} acknowledged, ${run.lost} without an answer; ${run.changed} had to ` +
      `change a row, ${made} did; every edge is as it was left (${run.switches_unknown} are unknown)`
    );
  });
}

async function killedAdditions(bench, name, lines, target, tables) {
  const script = new Script(bench.dir, name, lines);
  const before = await added(bench.cluster, Object.keys(tables));
  return killed(bench, script, bench.connections(HOT_CONNECTIONS, script), target, async (run) => {
    const after = await added(bench.cluster, Object.keys(tables));
    for (const [table, rows] of Object.entries(tables))
      if (after[table] - before[table] < run.right * rows) throw new Error(`acknowledged rows are missing in ${table}`);
    return `${KILLED}: ${run.right} acknowledged, ${run.lost} without an answer; no acknowledged row is missing`;
  });
}

/* ---- Reads ---- */

/** Reads by 64 clients, beside /ping. LINE(k) makes line K of the script. */
async function reads(bench, name, line, array) {
  const lines = Array.from({ length: READ_LINES }, (_, k) => line(k));
  const script = new Script(bench.dir, name, lines);
  const ping = new Script(bench.dir, `${name}-ping`, ["GET /ping"]);
  const connections = bench.connections(READ_CONNECTIONS, script);
  const { body } = await get(`${bench.server.url}/ping`);
  const sides = await byTurns(bench.rounds, {
    cold: () => onServer(bench, bench.server, { script, connections, array }),
    ...onBaseline(bench, (server) => onServer(bench, server, { script, connections, array })),
    "/ping": () => onServer(bench, bench.server, { script: ping, connections, body }),
  });
  return { sides };
}

/* Different pages, each of 30 videos. */
function feed(bench) {
  const { data } = bench;
  const time = (k) => data.publishedAt(31 + ((k * 7919) % (data.videos - 31)));
  return reads(bench, "feed", (k) => `GET /douyin/feed/?latest_time=${time(k)}`, "video_list:30");
}

/* Every client has a login of its own, and requests pages of users in no particular order. */
const viewer = (bench, k) =>
  bench.data.token((k % Math.min(bench.connections(READ_CONNECTIONS), bench.data.users)) + 1);

const page = (bench, k) => bench.data.userId(((k * 7919) % bench.data.users) + 1);

const userPage = (bench) =>
  reads(bench, "user", (k) => `GET /douyin/user/?user_id=${page(bench, k)}&token=${viewer(bench, k)}`);

function works(bench) {
  const authors = bench.data.authors();
  const author = (k) => bench.data.userId(authors[(k * 7919) % authors.length]);
  return reads(
    bench,
    "works",
    (k) => `GET /douyin/publish/list/?user_id=${author(k)}&token=${viewer(bench, k)}`,
    "video_list:30",
  );
}

function favorites(bench) {
  const collectors = bench.data.collectors();
  const who = (k) => bench.data.userId(collectors[(k * 7919) % collectors.length]);
  return reads(
    bench,
    "favorites",
    (k) => `GET /douyin/favorite/list/?user_id=${who(k)}&token=${viewer(bench, k)}`,
    "video_list:30",
  );
}

/* One thread, one user after the other. */
async function oneRead(bench) {
  const { cluster } = bench;
  const owners = join(bench.dir, "owners");
  writeFileSync(owners, `${Array.from({ length: READ_LINES }, (_, k) => page(bench, k)).join("\n")}\n`);
  const cpu = bench.cpu();
  return {
    sides: await byTurns(bench.rounds, {
      router: () => probe("router", { ...bench.window, cluster, owners, cpu }),
      "bare CALL loop": () => probe("call", { ...bench.window, cluster, owners, cpu }),
    }),
  };
}

async function ping(bench) {
  const twin = await bareTwin(`${bench.server.url}/ping`, bench.cores);
  const script = new Script(bench.dir, "ping", ["GET /ping"]);
  const nginx = await nginxOf(bench, bench.dir, twin.body);
  const common = { script, connections: bench.connections(READ_CONNECTIONS), body: twin.body };
  const beside = ({ port }, pids) => load({ ...bench.window, ...common, port, cpu: { server: pids } });
  try {
    return {
      sides: await byTurns(bench.rounds, {
        "/ping": () => onServer(bench, bench.server, common),
        "bare libmicrohttpd": () => beside(twin, [twin.pid]),
        ...(nginx && { nginx: () => beside(nginx, nginx.pids) }),
        ...onBaseline(bench, (server) => onServer(bench, server, common)),
      }),
      ...(!nginx && { note: "nginx is not installed" }),
    };
  } finally {
    await Promise.all([twin.stop(), nginx?.stop()]);
  }
}

/* ---- Memory ---- */

/** By how many MB a process grows when HELD connections are open and each has had REQUESTS answers. */
async function growth(bench, { port, pid }, requests, body) {
  const script = new Script(bench.dir, "held", ["GET /ping"]);
  const before = residentMb(pid);
  const held = await background("benchload", [
    `--port=${port}`,
    `--script=${script.path}`,
    `--connections=${HELD}`,
    `--hold=${requests}`,
    `--body=${body}`,
  ]);
  await until("all connections", () => readdirSync(`/proc/${pid}/fd`).length >= HELD);
  const grown = residentMb(pid) - before;
  await held.stop();
  return grown;
}

/* Each in a fresh process, since a process keeps memory that it has used. */
async function idle(bench, requests) {
  const ours = [];
  const bare = [];
  for (let round = 0; round < Math.min(3, bench.rounds); round++) {
    const server = await bench.addServer({ connections_max: HELD + HELD_ROOM });
    const twin = await bareTwin(`${server.url}/ping`, bench.cores);
    ours.push(await growth(bench, server, requests, twin.body));
    bare.push(await growth(bench, twin, requests, twin.body));
    if ((await statusOf(`${server.adminUrl}/livez`)) !== 200) throw new Error("the server does not answer any more");
    await server.stop();
    await twin.stop();
  }
  return {
    sides: { server: { value: figure(ours) }, "bare libmicrohttpd": { value: figure(bare) } },
    note: "growth of the resident memory; the bare one has pools of 32 KiB, its default",
  };
}

/* What Redis costs writes: the same likes on a server that writes through, and on one without Redis. */
function hotLikeRedis(bench) {
  const { data } = bench;
  const script = edgeScript(
    bench,
    "hot-like-redis",
    likeLine,
    data.newcomers().map((i) => [i, data.videoId(7)]),
  );
  const connections = bench.connections(HOT_CONNECTIONS, script);
  return withRedis(bench, async ({ server, pids }) => {
    const changes = await edgeChanges(bench.cluster);
    const sides = await byTurns(bench.rounds, {
      "with Redis": () => onServer(bench, server, { script, connections, cpu: { ...bench.cpu(server), Redis: pids } }),
      without: () => onServer(bench, bench.server, { script, connections }),
    });
    const acknowledged = Object.values(sides).reduce((sum, side) => sum + side.changed, 0);
    await recountEdges(bench.cluster, LIKES, script, changes, acknowledged);
    const share = sides["with Redis"].per_s.median / sides.without.per_s.median;
    return { sides, note: `${Math.round(100 * share)} % of that without` };
  });
}

export const ROWS = [
  {
    name: "hot-like",
    what: "like/unlike on one video by many users",
    unit: "likes/s",
    target: ">= 18,000/s, p99 <= 25 ms",
    run: hotLike,
  },
  { name: "ping", what: "/ping", unit: "requests/s", target: ">= 80 % of bare libmicrohttpd", run: ping },
  {
    name: "likes",
    what: "likes over all videos by all users",
    unit: "likes/s",
    target: ">= 15,000/s",
    run: spreadLikes,
  },
  { name: "hot-comment", what: "comments on one video", unit: "comments/s", target: "none", run: hotComment },
  { name: "hot-follow", what: "follow/unfollow of one user", unit: "follows/s", target: "none", run: hotFollow },
  { name: "chats", what: "messages in 100 chats", unit: "messages/s", target: "none", run: chats },
  {
    name: "kill-like",
    what: "likes on one video, SIGKILL of server and shards in the middle",
    unit: "likes/s",
    target: "none lost",
    run: (bench) => killedEdges(bench, "kill-like", likeLine, bench.data.videoId(4), LIKES),
  },
  {
    name: "kill-follow",
    what: "follows of one user, SIGKILL of server and shards in the middle",
    unit: "follows/s",
    target: "none lost",
    run: (bench) => killedEdges(bench, "kill-follow", followLine, bench.data.userId(2), FOLLOWS),
  },
  {
    name: "kill-comment",
    what: "comments on one video, SIGKILL of server and shards in the middle",
    unit: "comments/s",
    target: "none lost",
    run: (bench) =>
      killedAdditions(bench, "kill-comment", commentLines(bench), bench.data.videoId(2), { comment: 1, commented: 1 }),
  },
  {
    name: "kill-chats",
    what: "messages in 100 chats, SIGKILL of server and shards in the middle",
    unit: "messages/s",
    target: "none lost",
    run: (bench) => killedAdditions(bench, "kill-chats", chatLines(bench), bench.data.userId(1), { message: 2 }),
  },
  {
    name: "poison",
    what: "likes on one video, and one operation a second that makes its batch fail",
    unit: "likes/s",
    target: "p99 <= 2 times that without",
    run: poison,
  },
  {
    name: "quiet-like",
    what: "like at low load, one client",
    unit: "likes/s",
    target: "p50 <= 1.5 times one bare durable two-shard write",
    run: quietLike,
  },
  {
    name: "one-read",
    what: "one cold read through router and procedure",
    unit: "reads/s",
    target: ">= 70 % of a bare CALL loop",
    run: oneRead,
  },
  { name: "feed", what: "feed page of 30, cold", unit: "pages/s", target: ">= 2,500/s", run: feed },
  {
    name: "feed-logins",
    what: "feed page at 30 % of its peak, beside 500 logins at once",
    unit: "pages/s",
    target: "p99 <= 2 times that without",
    run: feedBesideLogins,
  },
  { name: "user", what: "user page, cold", unit: "pages/s", target: ">= 12,000/s", run: userPage },
  { name: "works", what: "list of 30 videos of an author, cold", unit: "lists/s", target: ">= 4,000/s", run: works },
  {
    name: "favorites",
    what: "list of 30 liked videos on all shards, cold",
    unit: "lists/s",
    target: "none",
    run: favorites,
  },
  ...CACHED,
  ...FILES,
  ...MOVES,
  ...ORPHANS,
  ...OWN,
  {
    name: "hot-like-redis",
    what: "like/unlike on one video by many users, written through to Redis",
    unit: "likes/s",
    target: ">= 80 % of that without",
    run: hotLikeRedis,
  },
  {
    name: "idle-fresh",
    what: "10,000 connections that have sent nothing",
    unit: "MB",
    target: "<= 100 MB",
    run: (bench) => idle(bench, 0),
  },
  {
    name: "idle-served",
    what: "10,000 connections that have served a request",
    unit: "MB",
    target: "<= 200 MB",
    run: (bench) => idle(bench, 1),
  },
];
