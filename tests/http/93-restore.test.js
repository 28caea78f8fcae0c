/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* A shard loses its data and is restored from a backup that was taken under load
 * (scripts/backup-shard.sh, restore-shard.sh, shardctl verify). Also: old data that somebody puts
 * back by hand is detected. */

import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { appendFileSync, cpSync, mkdirSync, readFileSync, readdirSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { CODE } from "../lib/api.js";
import { mailboxProblems, slotOfId, versionsBackwards } from "../lib/checks.js";
import { Cluster, ROOT } from "../lib/cluster.js";
import { nameOn } from "../lib/load.js";
import { Mover, requestMove, untilMove } from "../lib/mover.js";
import { moveSlot, owners, plantVideos, removeStrays } from "../lib/rows.js";
import { shardctl } from "../lib/shardctl.js";
import { until } from "../lib/wait.js";

let cluster;
let api;
let owner;
const users = { shard1: [], shard2: [] };
const videos = {};

before(async () => {
  cluster = await Cluster.up({ shards: 2 });
  ({ api } = cluster);
  owner = await owners(cluster);
  for (const shard of ["shard1", "shard2"]) {
    for (let i = 0; i < 3; i++) users[shard].push(await api.register(nameOn(shard, owner)));
    videos[shard] = await plantVideos(
      cluster,
      users[shard].map(({ id }, i) => ({ author: id, at: Date.now() - 1000 * i })),
    );
    for (const { id } of users[shard]) await cluster.sql(shard, `CALL user_repair(${id})`);
  }
});
after(() => cluster?.down());

/** Runs a script of ours; resolves to { status, out }. */
function script(name, ...args) {
  return new Promise((done, failed) => {
    const child = spawn(
      join(ROOT, "scripts", name),
      [`--topology=${cluster.files.topology}`, `--defaults-file=${cluster.files.root_cnf}`, "--shard=shard2", ...args],
      { stdio: ["ignore", "pipe", "pipe"], env: cluster.env },
    );
    let out = "";
    for (const stream of [child.stdout, child.stderr])
      stream.on("data", (chunk) => {
        out += chunk;
      });
    child.on("error", failed);
    child.on("close", (status) => done({ status, out }));
  });
}
const restore = (...args) =>
  script("restore-shard.sh", `--passwords=${join(cluster.dir, "secrets")}`, "--yes", ...args);
const verify = (...args) => shardctl(["verify", "--shard=shard2", ...args], { env: cluster.env });
const good = async (answer, what) => {
  const json = await answer;
  assert.equal(json.status_code, CODE.OK, `${what}: ${JSON.stringify(json)}`);
  return json;
};
const refusedAt = async () =>
  (await cluster.sql("shard2", "SELECT COALESCE(refused_at, 0) AS at FROM shard_self"))[0].at;
const heardOf = (beat) =>
  until(
    "shard1 to hear newer numbers of shard2",
    async () =>
      Number((await cluster.sql("shard1", "SELECT beat FROM shard_known WHERE name = 'shard2'"))[0].beat) > beat,
  );
const ready = () => until("all shards", async () => (await fetch(`${cluster.server.adminUrl}/readyz`)).status === 200);

/* What users do with users of the other shard, and with each other; resolves to the comments. */
async function round(n) {
  const comments = [];
  for (const [here, there] of [
    ["shard1", "shard2"],
    ["shard2", "shard1"],
  ]) {
    for (const [i, user] of users[here].entries()) {
      const peer = users[there][(i + n) % 3];
      await good(api.follow(user.token, peer.id, n % 3 === 2 ? 2 : 1), "follow");
      await good(api.like(user.token, videos[there][(i + n) % 3].id, n % 3 === 1 ? 2 : 1), "like");
      await good(api.say(user.token, peer.id, `${here} ${i} round ${n}`), "say");
      const { comment } = await good(api.comment(user.token, videos[there][i].id, `round ${n}`), "comment");
      comments.push({ on: there, id: comment.id, video: videos[there][i].id, user: user.id });
    }
    const [a, b] = users[here];
    await good(api.follow(a.token, b.id, 1 + (n % 2)), "follow");
    await good(api.say(a.token, b.id, `among us, round ${n}`), "say");
  }
  return comments;
}

/* Every version that is returned for owners: Map of owner to its versions. */
async function versions(text = versionsText) {
  const rows = await cluster.sqlAll(text);
  return new Map(rows.map(({ t, id, v }) => [`${t} ${id}`, v.split(" ").map(BigInt)]));
}
const OWNED = "JOIN slot_fence AS f USING (slot) WHERE f.state IN ('owned', 'migrating')";
const versionsText = `SELECT 'user' AS t, user_id AS id, CONCAT_WS(' ', GREATEST(u.ver, f.epoch << 33),
      GREATEST(edge_ver, f.epoch << 33), GREATEST(u.mail_ver, f.epoch << 33), GREATEST(i.ver, f.epoch << 33),
      GREATEST(i.follower_ver, f.epoch << 33), GREATEST(i.mail_ver, f.epoch << 33)) AS v
      FROM user AS u JOIN inbound AS i USING (slot, user_id) ${OWNED}
    UNION ALL SELECT 'video', video_id, CONCAT_WS(' ', GREATEST(ver, f.epoch << 33), GREATEST(comment_ver, f.epoch << 33))
      FROM video ${OWNED}`;

/* The rows that shard1 has made and not taken back. */
const made = async () =>
  (
    await cluster.sql(
      "shard1",
      `SELECT CONCAT('follow ', user_id, ' ', followed_id) AS k FROM follow WHERE state = 1
  UNION ALL SELECT CONCAT('follower ', user_id, ' ', follower_id) FROM follower WHERE state = 1
  UNION ALL SELECT CONCAT('favorite ', user_id, ' ', video_id) FROM favorite WHERE state = 1
  UNION ALL SELECT CONCAT('liker ', video_id, ' ', user_id) FROM liker WHERE state = 1
  UNION ALL SELECT CONCAT('comment ', comment_id) FROM comment WHERE state = 'live'
  UNION ALL SELECT CONCAT('commented ', comment_id) FROM commented WHERE state = 1
  UNION ALL SELECT CONCAT('message ', user_id, ' ', message_id) FROM message WHERE state = 1`,
    )
  ).map(({ k }) => k);

/* What is wrong with the chats of the users of shard1. */
async function chatProblems() {
  const rows = await cluster.sqlAll(
    `SELECT user_id, peer_id, sent, seq, message_id, text FROM message AS m ${OWNED} AND m.state = 1`,
  );
  const stay = new Set(
    Object.values(users)
      .flat()
      .map(({ id }) => id),
  );
  return mailboxProblems(rows.filter((m) => stay.has(m.user_id) && stay.has(m.peer_id)));
}

/* Waits until the relay of shard1 has run for a while. */
async function relayed() {
  const [{ end }] = await cluster.sql("shard1", "SELECT until_at AS end FROM relay_lease WHERE name = 'relay'");
  await until(
    "the relay's next lease",
    async () =>
      (await cluster.sql("shard1", "SELECT 1 FROM relay_lease WHERE name = 'relay' AND until_at > " + end)).length > 0,
  );
}

const drained = () =>
  until("the outboxes to be empty", async () =>
    (await cluster.sqlAll("SELECT COUNT(*) AS n FROM outbox")).every(({ n }) => n === 0),
  );

async function agree() {
  await drained();
  await removeStrays(cluster);
  const { status, out, err } = await shardctl(["audit"], { env: cluster.env });
  assert.deepEqual([status, out], [0, ""], err);
  assert.deepEqual(await chatProblems(), []);
}

/* Of COMMENTS those are there of which IS_LIVE says so. */
async function assertLive(comments, isLive) {
  const rows = await cluster.sqlAll("SELECT comment_id AS id FROM comment WHERE state = 'live'");
  const live = new Set(rows.map(({ id }) => id));
  for (const comment of comments)
    assert.equal(live.has(comment.id), isLive(comment), `comment ${comment.id} on ${comment.on}`);
}

test("restored from a backup under load: it is refused, nothing is undone, it is compared and admitted, and both halves agree", async () => {
  const dir = join(cluster.dir, "backups");
  await round(0);
  let going = true;
  const load = (async () => {
    for (let i = 0; going; i++) {
      await good(api.like(users.shard2[0].token, videos.shard1[0].id, 1 + (i % 2)), "like");
      await good(api.say(users.shard1[2].token, users.shard2[2].id, `load ${i}`), "say");
    }
  })();
  const taken = await script("backup-shard.sh", `--to=${dir}`);
  going = false;
  await load;
  assert.equal(taken.status, 0, taken.out);
  const backup = taken.out.trim();
  assert.deepEqual(readdirSync(dir), [backup.slice(dir.length + 1)]);
  for (const name of readdirSync(backup)) {
    const text = readFileSync(join(backup, name), "latin1");
    for (const secret of ["root", "app", "admin"])
      assert.ok(
        !text.includes(readFileSync(join(cluster.dir, "secrets", `${secret}_password`), "utf8").trim()),
        `${name} has a password`,
      );
  }

  /* Written after the backup. */
  const comments = [...(await round(1)), ...(await round(2))];
  const lost = await api.register(nameOn("shard2", owner));
  const [friend] = users.shard1;
  await good(api.follow(lost.token, friend.id), "follow");
  await good(api.follow(friend.token, lost.id), "follow");
  await good(api.like(lost.token, videos.shard1[1].id), "like");
  await good(api.say(lost.token, friend.id, "from the lost one"), "say");
  await good(api.say(friend.token, lost.id, "to the lost one"), "say");
  await good(api.comment(lost.token, videos.shard1[1].id, "of the lost one"), "comment");
  await drained();
  await agree();
  const wanted = { versions: await versions(), made: await made() };
  await cluster.sql("shard2", "UPDATE shard_beat SET beat_at = 0");
  const at = Number(/^at=(\d+)$/m.exec(readFileSync(join(backup, "manifest"), "utf8"))[1]);
  await heardOf(at);

  await cluster.demo("kill", "shard2");
  rmSync(join(cluster.dir, "shard2", "data"), { recursive: true });
  await cluster.demo("start", "shard2");
  cluster.readEndpoints();

  /* A backup that was changed, or is incomplete, is refused. */
  const broken = join(dir, "broken");
  cpSync(backup, broken, { recursive: true });
  appendFileSync(join(broken, "tables.sql.gz"), "x");
  for (const [how, from] of [
    ["missing or damaged", broken],
    ["not a complete backup", dir],
  ]) {
    const { status, out } = await restore(`--from=${from}`);
    assert.equal(status, 1, out);
    assert.ok(out.includes(how), out);
  }
  rmSync(broken, { recursive: true });

  const dry = await restore(`--from=${backup}`, "--dry-run");
  assert.equal(dry.status, 0, dry.out);
  const done = await restore(`--from=${backup}`);
  assert.equal(done.status, 0, done.out);
  assert.match(done.out, /others heard from shard2 until [^]*are lost, except what other shards know of them/);
  assert.match(done.out, /slots: 512 kept at new epochs, 0 gone to others, 0 without rows/);
  const again = await restore(`--from=${backup}`);
  assert.match(again.out, /shard2 is not empty/);

  /* The shard is refused: whoever needs it gets an error, and what others know of it stays
   * unchanged. */
  await until("the reason on /readyz", async () =>
    /shard shard2 is paused by [^:]*: refused: restored from a backup/.test(
      await (await fetch(`${cluster.server.adminUrl}/readyz`)).text(),
    ),
  );
  assert.equal((await api.user(friend.token, users.shard2[0].id)).status_code, CODE.BUSY);
  for (const ask of [
    () => api.like(friend.token, videos.shard2[0].id),
    () => api.say(friend.token, users.shard2[0].id, "while refused"),
  ])
    assert.ok([CODE.OK, CODE.BUSY].includes((await ask()).status_code));
  await relayed();
  const now = new Set(await made());
  assert.deepEqual(
    wanted.made.filter((key) => !now.has(key)),
    [],
  );

  /* The checkers find what is wrong now, and what would be wrong if the epochs had not been raised. */
  assert.notDeepEqual(await chatProblems(), []);
  const unraised = await versions(`START TRANSACTION; UPDATE slot_fence SET epoch = 1; ${versionsText}; ROLLBACK`);
  assert.notDeepEqual(versionsBackwards(wanted.versions, unraised), []);

  /* The plan that it printed is what was done. */
  const said = await verify("--dry-run", "--json");
  assert.equal(said.status, 1, said.err);
  const found = JSON.parse(said.out.trim().split("\n").at(-1));
  const mended = await verify("--yes", "--json");
  assert.equal(mended.status, 0, mended.out + mended.err);
  const { rows: _r, skipped: _s, admitted, ...counts } = JSON.parse(mended.out.trim().split("\n").at(-1));
  const { rows: _r2, skipped: _s2, found: _f, ...expected } = found;
  assert.ok(admitted);
  assert.deepEqual(counts, expected);
  assert.deepEqual(
    [
      counts.users_lost,
      counts.not_mended,
      counts.given_up > 0,
      counts.brought_back > 0,
      counts.made_again > 0,
      counts.chats > 0,
    ],
    [1, 0, true, true, true, true],
    JSON.stringify(counts),
  );
  for (const [key, word] of [
    ["brought_back", "brought back"],
    ["made_again", "made again"],
    ["given_up", "given up"],
    ["chats", "chats aligned"],
  ])
    assert.match(done.out, new RegExp(`${word} +${counts[key]}\n`));
  assert.equal(await refusedAt(), 0);

  /* Everything works again, and agrees. */
  await ready();
  await agree();
  assert.deepEqual(versionsBackwards(wanted.versions, await versions()), []);
  await round(3);
  await agree();
  await assertLive(comments, ({ on }) => on === "shard1");
  assert.equal((await api.login(lost.name, lost.password)).status_code !== CODE.OK, true);
});

/* SLOT, which shard1 has, can be moved on, and nothing is left in the journal. */
async function assertFinal(slot) {
  const [fence] = await cluster.sql("shard1", `SELECT state, journal, token FROM slot_fence WHERE slot = ${slot}`);
  assert.deepEqual({ ...fence }, { state: "owned", journal: 0, token: null });
  assert.deepEqual(await cluster.sql("shard1", `SELECT id FROM slot_log WHERE slot = ${slot}`), []);
  await requestMove(cluster, slot, "shard1", "shard2");
  await cluster.sql("shard1", `UPDATE slot_move SET phase = 'undone', finished_at = 1 WHERE active = ${slot}`);
}

test("old data put back by hand is detected, refused, repaired in place and admitted; also with slots that have moved since", async () => {
  const data = join(cluster.dir, "shard2", "data");
  const old = join(cluster.dir, "shard2", "old");
  const [came, left] = [users.shard1[0], users.shard2[0]].map(({ id }) => slotOfId(id));
  await cluster.demo("stop", "shard2");
  cpSync(data, old, { recursive: true, preserveTimestamps: true });
  await cluster.demo("start", "shard2");
  cluster.readEndpoints();
  await ready();
  const [{ beat }] = await cluster.sql("shard2", "SELECT beat FROM shard_beat");
  await cluster.sql("shard2", "UPDATE shard_beat SET beat_at = 0");
  await heardOf(Number(beat));
  await moveSlot(cluster, came, "shard1", "shard2");
  /* The move could be rolled back when the shard is lost, and nobody knows that any more. */
  const mover = Mover.start(cluster);
  await requestMove(cluster, left, "shard2", "shard1", 600000);
  await untilMove(cluster, "shard2", left, ["keeping"]);
  await mover.stop();
  await round(4);
  await drained();
  const wanted = await versions();

  await cluster.demo("kill", "shard2");
  rmSync(data, { recursive: true });
  renameSync(old, data);
  if (process.geteuid() === 0) await own(data);
  await cluster.demo("start", "shard2");
  cluster.readEndpoints();
  let acknowledged = 0;
  await until("the shard to be refused", async () => {
    if ((await api.follow(users.shard2[1].token, users.shard2[2].id)).status_code === CODE.OK) acknowledged++;
    return (await refusedAt()) > 0;
  });
  assert.equal(acknowledged, 0, "it served requests before it was refused");
  assert.match(
    (await cluster.sql("shard2", "SELECT refused_why AS why FROM shard_self"))[0].why,
    /counted to \d+, and others remember \d+/,
  );
  const early = await verify("--yes");
  assert.equal(early.status, 2);
  assert.match(early.err, /its epochs are not raised/);

  const settled = await restore("--in-place");
  assert.equal(settled.status, 0, settled.out);
  assert.match(settled.out, new RegExp(`slot ${left} has since moved to shard1`));
  assert.match(settled.out, new RegExp(`slot ${left} can no longer be rolled back from shard1 to shard2`));
  await assertFinal(left);
  assert.match(
    settled.out,
    new RegExp(`slot ${came} came to shard2 after this data[^]*CALL slot_adopt\\(${came}, 'shard1'\\) there`),
  );
  assert.match(settled.out, /slots: 511 kept at new epochs, 1 gone to others, 1 without rows/);
  const mended = await verify("--yes");
  assert.equal(mended.status, 0, mended.out + mended.err);
  assert.match(mended.out, /\[OK\] both halves of everything agree/);
  assert.match(mended.out, new RegExp(`1 slots \\(the first: ${came}\\)`));
  assert.equal(await refusedAt(), 0);

  /* Its former shard has its rows as they were when it left. */
  assert.equal((await api.user(users.shard2[1].token, users.shard1[0].id)).status_code, CODE.BUSY);
  await cluster.sql("shard1", `CALL slot_adopt(${came}, 'shard1')`);
  const adopted = await shardctl(["verify", "--shard=shard1", "--yes"], { env: cluster.env });
  assert.equal(adopted.status, 0, adopted.out + adopted.err);
  await ready();
  await agree();
  assert.deepEqual(versionsBackwards(wanted, await versions()), []);
  await round(5);
  await agree();
});

const NO_BACKUP = spawnSync("mariadb-backup", ["--version"]).error
  ? "mariadb-backup is missing (Debian package mariadb-backup)"
  : false;

test(
  "a physical backup, taken while the shard serves, is put into an empty data directory and repaired in place",
  {
    skip: NO_BACKUP,
  },
  async () => {
    const data = join(cluster.dir, "shard2", "data");
    const kept = await round(6);
    let going = true;
    const load = (async () => {
      for (let i = 0; going; i++)
        await good(api.say(users.shard1[2].token, users.shard2[2].id, `meanwhile ${i}`), "say");
    })();
    const taken = await script("backup-shard.sh", `--to=${join(cluster.dir, "physical")}`, "--physical");
    going = false;
    await load;
    assert.equal(taken.status, 0, taken.out);
    const backup = taken.out.trim();
    const lost = await round(7);
    await agree();
    const wanted = await versions();
    const now = await owners(cluster); /* some have moved */
    const n = [...now.values()].filter((shard) => shard === "shard2").length;
    await cluster.sql("shard2", "UPDATE shard_beat SET beat_at = 0");
    await heardOf(Number(/^at=(\d+)$/m.exec(readFileSync(join(backup, "manifest"), "utf8"))[1]));

    await cluster.demo("kill", "shard2");
    for (const [args, wantedStatus, said] of [
      [[], 2, /needs --datadir=DIR/],
      [[`--datadir=${data}`], 1, /is not an empty directory/],
    ]) {
      const { status, out } = await restore(`--from=${backup}`, ...args);
      assert.equal(status, wantedStatus, out);
      assert.match(out, said);
    }
    rmSync(data, { recursive: true });
    mkdirSync(data);
    if (process.geteuid() === 0) await own(data);
    const filled = await restore(`--from=${backup}`, `--datadir=${data}`);
    assert.equal(filled.status, 0, filled.out);
    assert.match(filled.out, /start the server, then run this with --in-place/);
    await cluster.demo("start", "shard2");
    cluster.readEndpoints();
    const settled = await restore("--in-place");
    assert.equal(settled.status, 0, settled.out);
    assert.match(settled.out, new RegExp(`slots: ${n} kept at new epochs, \\d+ gone to others, 0 without rows`));
    const mended = await verify("--yes");
    assert.equal(mended.status, 0, mended.out + mended.err);
    assert.equal(await refusedAt(), 0);
    await ready();
    await agree();
    assert.deepEqual(versionsBackwards(wanted, await versions()), []);
    await assertLive(kept, () => true);
    await assertLive(lost, ({ video }) => now.get(slotOfId(video)) === "shard1");
    await round(8);
    await agree();
  },
);

/* If the databases were started as root, they own the files. */
function own(data) {
  return new Promise((done) => {
    spawn("chown", ["-R", `--reference=${join(data, "..", "tmp")}`, data], { stdio: "ignore" }).on("close", done);
  });
}
