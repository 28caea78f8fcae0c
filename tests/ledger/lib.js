/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Shared by the ledger tests: a world loaded in bulk, the run of the clients, waiting until everything has
 * settled, the rows, and the verdict of the checker (ledger.c). Faults are in faults.js. */

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { spawn } from "node:child_process";
import { closeSync, existsSync, openSync, readFileSync, writeFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { ROOT, buildDir } from "../lib/cluster.js";
import { RUNNING_CALLS, idOf, movingTables, owners, plantVideos } from "../lib/rows.js";
import { literal } from "../lib/sql.js";
import { PATIENCE_MS, parallel, until } from "../lib/wait.js";

const program = join(buildDir(), "ledger");

/** A generator of numbers below n from a seed: mulberry32. */
export function randomFrom(seed) {
  let state = seed >>> 0;
  return (n) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) % n;
  };
}

const insert = (table, columns, rows) =>
  `INSERT INTO ${table} (${columns}) VALUES ${rows.map((r) => `(${r.map(literal).join(", ")})`).join(",\n")};`;

/* COUNT pairs of PEOPLE, nobody twice. The two are on different shards if that is possible, and so are the
 * first ones of all pairs. */
function pairsOf(people, count, random) {
  const left = people
    .map((person) => ({ person, key: random(1 << 30) }))
    .sort((a, b) => a.key - b.key)
    .map(({ person }) => person);
  const take = (isGood) => left.splice(Math.max(0, left.findIndex(isGood)), 1)[0];
  const firsts = [];
  return Array.from({ length: count }, () => {
    const first = take(({ shard }) => !firsts.includes(shard));
    firsts.push(first.shard);
    return [first, take(({ shard }) => shard !== first.shard)];
  });
}

/**
 * Load USERS users with a session each and VIDEOS videos, spread over all slots, and write down for the
 * clients whom they know, CHATS of the first users, which may be polled, and GHOSTS ids of each sort that
 * nobody ever had. Returns the file.
 */
export async function loadWorld(
  cluster,
  { users = 2000, videos = 500, chats = 4, ghosts = 20, seed = 1, name = "world" } = {},
) {
  const random = randomFrom(seed);
  const owner = await owners(cluster);
  const now = Date.now();
  const from = now - 86400000 + 1000 * (seed % 3600); /* other worlds get other ids */
  const people = Array.from({ length: users }, (_, i) => ({
    id: idOf(from + Math.floor(i / 1024), (i * 37) % 1024),
    slot: (i * 37) % 1024,
    session: randomBytes(16),
    shard: owner.get((i * 37) % 1024),
  }));
  const byShard = new Map(cluster.shards.map(({ name: shard }) => [shard, []]));
  for (const user of people) byShard.get(user.shard).push(user);
  await Promise.all(
    [...byShard].map(([shard, list]) =>
      cluster.sql(
        shard,
        [
          insert(
            "user",
            "slot, user_id, name, password_hash, created_at, op",
            list.map((u) => [u.slot, u.id, `u${u.id}`, "$none$", from, randomBytes(16)]),
          ),
          insert(
            "inbound",
            "slot, user_id",
            list.map((u) => [u.slot, u.id]),
          ),
          insert(
            "session",
            "slot, user_id, session, created_at, seen_at, expires_at",
            list.map((u) => [u.slot, u.id, u.session, now, now, now + 86400000]),
          ),
        ].join("\n"),
      ),
    ),
  );
  const clips = await plantVideos(
    cluster,
    Array.from({ length: videos }, (_, i) => ({ author: people[random(users)].id, at: from + 10000 + i })),
  );
  await cluster.sqlAll(`UPDATE user AS u SET u.work_count = (SELECT COUNT(*) FROM video AS v
    WHERE v.slot = u.slot AND v.author_id = u.user_id AND v.state = 'live')`);
  const file = join(cluster.dir, `${name}.txt`);
  const ghost = (i) => idOf(from + 100000 + i, random(1024), 5);
  writeFileSync(
    file,
    [
      ...people.map((u) => `user ${u.id} ${u.session.toString("hex")}`),
      ...clips.map((v) => `video ${v.id} ${v.author}`),
      ...pairsOf(people.slice(0, 40), chats, random).map(([a, b]) => `chat ${a.id} ${b.id}`),
      ...Array.from({ length: ghosts }, (_, i) => `ghost_user ${ghost(i)}`),
      ...Array.from({ length: ghosts }, (_, i) => `ghost_video ${ghost(ghosts + i)}`),
      "",
    ].join("\n"),
  );
  return file;
}

/** Removes everything that requests have made. */
export async function clearWorld(cluster) {
  const tables = (await movingTables(cluster)).filter((table) => table !== "slot_seq");
  await cluster.sqlAll(tables.map((table) => `DELETE FROM \`${table}\`;`).join(" "));
}

/* Run a program that was built, or until ENDING; resolves to {status, text}. */
function run(built, args, ending) {
  assert.ok(existsSync(built), `${built} is not there: make`);
  return new Promise((done, failed) => {
    const child = spawn("setpriv", ["--pdeathsig", "KILL", built, ...args], { stdio: ["ignore", "pipe", "pipe"] });
    const out = [];
    ending?.then(() => child.kill("SIGTERM"));
    child.stdout.on("data", (chunk) => out.push(chunk));
    child.stderr.on("data", (chunk) => out.push(chunk));
    child.on("error", failed);
    child.on("close", (code, signal) => done({ status: code ?? signal, text: Buffer.concat(out).toString("utf8") }));
  });
}

const ledger = (args, ending) => run(program, args, ending);

const flags = (options) => Object.entries(options).map(([name, v]) => `--${name}=${v}`);

const service = (cluster, world) => [
  `--world=${world}`,
  `--keys=${cluster.files.token_keys}`,
  ...cluster.servers.map((s) => `--server=${s.options.listen_port}`),
];

const polledOf = (text) =>
  [...text.matchAll(/: (\d+) polls, (\d+) failures, (\d+) messages$/gm)]
    .map(([, ...counts]) => counts.map(Number))
    .map(([polls, failures, messages]) => ({ polls, failures, messages }));

/**
 * Load the servers of CLUSTER with OPTIONS of `ledger run`, or until ENDING (a promise); resolves to {history, mailboxes,
 * text, polled}: two files, and of each poller {polls, failures, messages}.
 */
export async function runClients(cluster, world, { name = "history", ending, ...options } = {}) {
  const history = join(cluster.dir, `${name}.txt`);
  const mailboxes = join(cluster.dir, `${name}-mailboxes.txt`);
  const { status, text } = await ledger(
    ["run", ...service(cluster, world), `--history=${history}`, `--mailboxes=${mailboxes}`, ...flags(options)],
    ending,
  );
  assert.equal(status, 0, text);
  return { history, mailboxes, text, polled: polledOf(text) };
}

/** On a settled cluster: polls MAILBOXES to their end, and tries to read them as a stranger.
 * Resolves to the totals since the beginning: for each poller {polls, failures, messages}. */
export async function finishPolls(cluster, world, mailboxes) {
  const { status, text } = await ledger(["finish", ...service(cluster, world), `--mailboxes=${mailboxes}`]);
  assert.equal(status, 0, text);
  return polledOf(text);
}

/* ---- afterwards ---- */

const COUNTED = `SELECT CONCAT_WS(' ',
    (SELECT COUNT(*) FROM outbox), (SELECT CONCAT(COUNT(*), ' ', COALESCE(SUM(user.ver + edge_ver + inbound.ver), 0)) FROM user JOIN inbound USING (slot, user_id)),
    (SELECT COALESCE(SUM(ver), 0) FROM video), (SELECT COUNT(*) FROM follow), (SELECT COUNT(*) FROM follower),
    (SELECT COUNT(*) FROM favorite), (SELECT COUNT(*) FROM liker), (SELECT COUNT(*) FROM comment),
    (SELECT COALESCE(SUM(ver), 0) FROM commented), (SELECT COUNT(*) FROM message)) AS counted,
  (SELECT COUNT(*) FROM outbox) AS waiting,
  (SELECT COUNT(*) FROM information_schema.innodb_trx WHERE trx_mysql_thread_id <> CONNECTION_ID()) AS transactions,
  (SELECT COUNT(*) FROM (${RUNNING_CALLS}) AS r) AS running`;

/**
 * Wait until nothing is under way any more: all servers ready, no transaction, no CALL, nothing in the
 * outbox, and the same numbers twice, 2 s apart. Resolves to how long it took.
 */
export async function settle(cluster, timeoutMs = PATIENCE_MS) {
  const begin = performance.now();
  let last = "";
  await Promise.all(
    cluster.servers.map((server) =>
      until(`${server.name} ready`, () => fetch(`${server.adminUrl}/readyz`).then((r) => r.ok), { timeoutMs }),
    ),
  );
  await until(
    "everything to settle",
    async () => {
      const rows = await cluster.sqlAll(COUNTED);
      const now = JSON.stringify(rows.map(({ shard, counted }) => [shard, counted]));
      const quiet = rows.every((r) => r.waiting === 0 && r.transactions === 0 && r.running === 0);
      const same = now === last;
      last = quiet ? now : "";
      if (!quiet) throw new Error(JSON.stringify(rows));
      return same;
    },
    { timeoutMs, everyMs: 2000 },
  );
  return performance.now() - begin;
}

const ROWS = readFileSync(join(ROOT, "tests", "ledger", "rows.sql"), "utf8");

const ESCAPES = { "\\": "\\\\", "\t": "\\t", "\n": "\\n", "\0": "\\0" };
const CHUNK_CHARS = 1 << 16;

/* A backslash marks what would end a column or a line. */
const columnOf = (bytes) => bytes?.toString("utf8").replaceAll(/[\\\t\n\0]/g, (c) => ESCAPES[c]) ?? "NULL";

/* Writes the rows of a shard into a file as they come. */
async function dump(cluster, shard) {
  const file = join(cluster.dir, `rows-${shard.name}.txt`);
  const out = openSync(file, "w");
  const session = cluster.session(shard);
  let text = "";
  try {
    await session.each(ROWS, (row) => {
      text += `${row.map(columnOf).join("\t")}\n`;
      if (text.length < CHUNK_CHARS) return;
      writeSync(out, text);
      text = "";
    });
    writeSync(out, text);
    return file;
  } finally {
    await session.end();
    closeSync(out);
  }
}

/**
 * Read all rows and judge them by HISTORY, and by MAILBOXES if there were pollers; resolves to
 * {violations: {I1: n, ..}, text}.
 */
export async function judge(cluster, history, mailboxes, { staleMs = 0 } = {}) {
  const files = await parallel(
    cluster.shards.length,
    cluster.shards.map((shard) => () => dump(cluster, shard)),
  );
  const { status, text } = await ledger([
    "check",
    `--history=${history}`,
    ...files.map((f) => `--rows=${f}`),
    `--stale-ms=${staleMs}`,
    ...(mailboxes ? [`--mailboxes=${mailboxes}`] : []),
  ]);
  assert.ok(status === 0 || status === 1, text);
  const violations = Object.fromEntries(
    [...text.matchAll(/^(I\d+): (\d+) violations$/gm)].map(([, i, n]) => [i, Number(n)]),
  );
  assert.equal(status, Object.keys(violations).length > 0 ? 1 : 0, text);
  return { violations, text };
}

/**
 * What the service shows of users must be what their rows say, on a settled cluster that judge() has read.
 * Resolves to how many answers were compared, and what was wrong.
 */
export async function compareWithApi(cluster, world, seconds = 3) {
  const { history } = await runClients(cluster, world, {
    name: "reads",
    seconds,
    clients: 8,
    mix: "0,0,0,0,0,0,1",
    "hot-percent": 0,
  });
  const lines = (file) => readFileSync(file, "utf8").trim().split("\n");
  const stored = new Map(
    cluster.shards
      .flatMap(({ name }) => lines(join(cluster.dir, `rows-${name}.txt`)))
      .map((line) => line.split("\t"))
      .filter(([table]) => table === "user")
      .map(([, id, ...counts]) => [id, counts.slice(0, 4).join(" ")]),
  );
  const reads = lines(history).map((line) => line.split(" "));
  const wrong = reads
    .filter((f) => f[9] !== "0" || stored.get(f[3]) !== f.slice(12, 16).join(" "))
    .map((f) => `user ${f[3]}: code ${f[10]}, shown ${f.slice(12, 16).join(" ")}, stored ${stored.get(f[3])}`);
  return { compared: reads.length, wrong };
}

/** Run `shardctl audit` on the cluster: {status, text}. */
export const audit = (cluster) =>
  run(join(buildDir(), "shardctl"), [
    "audit",
    `--topology=${cluster.files.topology}`,
    `--password-file=${join(cluster.dir, "secrets", "monitor_password")}`,
  ]);

/* ---- mutants ---- */

/** N of LIST at random, in order: scripts/check has no time for all mistakes, and chooses others
 * each time. */
export function drawn(list, n, seed) {
  const random = randomFrom(seed);
  const left = [...list];
  while (left.length > n) left.splice(random(left.length), 1);
  return left;
}

/**
 * The text of the routine NAME in procedures/DOMAIN/ after EDITS, pairs of a text or pattern and what
 * replaces it: each must occur.
 */
export function routine(domain, name, edits) {
  let text = readFileSync(join(ROOT, "procedures", domain, `${name}.sql`), "utf8");
  for (const [what, by] of edits) {
    const changed = text.replaceAll(what, () => by);
    assert.notEqual(changed, text, `${name} has no ${what}`);
    text = changed;
  }
  return text;
}

/** Put routines (texts of files in procedures/) in place on all shards. */
export async function install(cluster, texts) {
  const grants = readFileSync(join(ROOT, "procedures", "grants.sql"), "utf8");
  await cluster.sqlAll(`${texts.join("\n")}\n${grants}`);
}
