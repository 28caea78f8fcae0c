/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* A heavy user is promoted to an own slot while everybody uses the account, is moved to another
 * shard, and demoted. */

import assert from "node:assert/strict";
import { copyFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, afterEach, before, describe, test } from "node:test";
import { CODE } from "../lib/api.js";
import { slotOfId } from "../lib/checks.js";
import { Cluster, ROOT, UPLOADS } from "../lib/cluster.js";
import { uniqueClip } from "../lib/media.js";
import { Mover, moveOf, movesUnderWay, requestMove, untilMove } from "../lib/mover.js";
import { movingTables, owners } from "../lib/rows.js";
import { shardctl } from "../lib/shardctl.js";
import { parallel, until } from "../lib/wait.js";
import { audit } from "../ledger/lib.js";

const PASSWORD = "correct horse";

let cluster;
let api;
let star; /* the user who is promoted */
let fans;
let shared; /* the slot of the star's id */
let own; /* the star's own slot */
let home; /* the shard of the slot of the star's id */
let other;
const videos = []; /* ids, oldest first */

const must = (json) => {
  assert.equal(json.status_code, CODE.OK, JSON.stringify(json));
  return json;
};

async function upload() {
  must(await api.publish(star.token, uniqueClip()));
  const { video_list } = must(await api.list({ user_id: star.id, token: star.token }));
  videos.push(video_list[0].id);
}

/** What FAN does with the star, and the star with FAN. */
async function actAs(fan, text, video = videos[0]) {
  must(await api.like(fan.token, video));
  must(await api.follow(fan.token, star.id));
  must(await api.comment(fan.token, video, text));
  must(await api.say(fan.token, star.id, text));
  must(await api.say(star.token, fan.id, text));
  must(await api.follow(star.token, fan.id));
}

before(async () => {
  cluster = await Cluster.up({ shards: 2, options: UPLOADS });
  ({ api } = cluster);
  [star, ...fans] = await parallel(
    4,
    Array.from({ length: 9 }, () => () => api.register()),
  );
  shared = slotOfId(star.id);
  home = (await owners(cluster)).get(shared);
  other = home === "shard1" ? "shard2" : "shard1";
  await upload();
  await upload();
  for (const [i, fan] of fans.entries()) await actAs(fan, `before ${i}`, videos[i % 2]);
});
after(() => cluster?.down());

const delivered = () =>
  until("second halves to be delivered", async () => (await cluster.sqlAll("SELECT 1 AS x FROM outbox")).length === 0);

afterEach(async () => {
  await delivered();
  const { status, text } = await audit(cluster);
  assert.equal(status, 0, text);
});

/* Rows of the star and the star's videos in a slot, by table. */
async function rowsIn(shard, slot) {
  const mine = {
    user: "user_id",
    inbound: "user_id",
    session: "user_id",
    video: "author_id",
    job: "owner_id",
    follow: "user_id",
    follower: "user_id",
    favorite: "user_id",
    liker: "video_id",
    comment: "video_id",
    commented: "user_id",
    chat: "user_id",
    message: "user_id",
    outbox: "actor_id",
  };
  assert.deepEqual((await movingTables(cluster)).filter((t) => !(t in mine)).sort(), [
    "account",
    "idem",
    "owner_home",
    "slot_seq",
  ]);
  const ids = [star.id, ...videos].join(",");
  const counts = await cluster.sql(
    shard,
    Object.entries(mine)
      .map(
        ([table, column]) =>
          `SELECT '${table}' AS t, COUNT(*) AS n FROM \`${table}\` WHERE slot = ${slot} AND ${column} IN (${ids})`,
      )
      .join(" UNION ALL "),
  );
  return Object.fromEntries(counts.filter(({ n }) => n > 0).map(({ t, n }) => [t, n]));
}

/** All pages about the star. */
async function pages(token, by = api) {
  const answers = {
    user: must(await by.user(token, star.id)).user,
    works: must(await by.list({ user_id: star.id, token })).video_list,
    favorites: must(await by.favorites({ user_id: star.id, token })).video_list,
    follows: must(await by.relations("follow", { user_id: star.id, token })).user_list,
    followers: must(await by.relations("follower", { user_id: star.id, token })).user_list,
    comments: must(await by.comments({ video_id: videos[0], token })).comment_list,
  };
  const feed = must(await by.feed({ token })).video_list;
  assert.deepEqual(
    feed.filter(({ author }) => author.id === star.id).map(({ id }) => id),
    [...videos].reverse(),
  );
  assert.equal(answers.works.length, videos.length);
  return answers;
}

/** Everything that one can do with the star after a move. */
async function everythingWorks(text) {
  const [fan] = fans;
  const { token } = must(await api.login(star.name, PASSWORD));
  star.token = token;
  await upload();
  await actAs(fan, text, videos.at(-1));
  await actAs(fan, text, videos[0]);
  must(await api.like(star.token, videos[1]));
  await delivered();
  const fresh = await pages(fan.token);
  assert.equal(fresh.followers.length, fans.length);
  assert.equal(fresh.follows.length, fans.length);
  assert.ok(fresh.comments.some(({ content }) => content === text));
  assert.equal(fresh.user.work_count, videos.length);
  const { message_list } = must(await api.chat({ token: star.token, to_user_id: fan.id }));
  assert.ok(message_list.some(({ content }) => content === text));
  must(await api.like(fan.token, videos[0], 2));
  must(await api.like(fan.token, videos[0], 1));
  const again = await (await cluster.addServer(UPLOADS)).start(); /* does not know where the star is */
  try {
    const stranger = cluster.apiOf(again);
    must(await stranger.login(star.name, PASSWORD));
    must(await stranger.like(fan.token, videos.at(-1)));
    must(await stranger.follow(fan.token, star.id));
    await pages(fan.token, stranger);
  } finally {
    await again.stop();
  }
}

/** Fans go on all the time while WORK is done; returns how often they did. */
async function underLoad(work) {
  let going = true;
  let n = 0;
  const load = fans.slice(1).map(async (fan, i) => {
    while (going) {
      await actAs(fan, `under load ${n}`, videos[i % videos.length]);
      must(await api.like(fan.token, videos[i % videos.length], 2));
      must(await api.like(fan.token, videos[i % videos.length], 1));
      n += 1;
    }
  });
  const failed = Promise.all(load);
  try {
    await Promise.race([work(), failed]);
  } finally {
    going = false;
    await failed;
  }
  return n;
}

const request = (what) => cluster.sql(home, `CALL ${what}_request(${star.id})`);
async function ended(mover, slot, phases = ["done"]) {
  try {
    return await untilMove(cluster, home, slot, phases);
  } catch (error) {
    throw new Error(`${error.message}\n${mover.text}`);
  }
}
const fences = (slot) => cluster.sqlAll(`SELECT state, epoch, server FROM slot_fence WHERE slot = ${slot}`);
const partitions = async (shard) =>
  (
    await cluster.sql(
      shard,
      `SELECT DISTINCT partition_name AS p FROM information_schema.partitions
  WHERE table_schema = 'doushard' AND partition_name <> 'shared'`,
    )
  ).map(({ p }) => p);

describe("a heavy user", () => {
  let mover;
  before(() => {
    mover = Mover.start(cluster);
  });
  after(() => mover.stop());

  test("gets an own slot while in use; all rows are there, and none is left behind", async () => {
    await delivered();
    const rows = await rowsIn(home, shared);
    for (const table of [
      "user",
      "inbound",
      "session",
      "video",
      "follow",
      "follower",
      "liker",
      "comment",
      "chat",
      "message",
    ])
      assert.ok(rows[table] > 0, `there are rows of ${table}`);
    const [{ epoch }] = await cluster.sql(home, `SELECT epoch FROM slot_fence WHERE slot = ${shared}`);
    let move;
    await underLoad(async () => {
      await request("promote");
      await assert.rejects(request("promote"), /takes part in a move already|of his own already/);
      move = await ended(mover, shared);
    });
    own = move.own_slot;
    assert.ok(own >= 1024, JSON.stringify(move));
    assert.ok(
      move.rows_total >= Object.values(rows).reduce((sum, n) => sum + n, 0),
      `${move.rows_total} of ${JSON.stringify(rows)}`,
    );
    assert.ok(move.rows_copied > 0 && move.bytes_copied > 0 && move.rows_verified > 0, JSON.stringify(move));
    await delivered();
    assert.deepEqual(await rowsIn(home, shared), {});
    const now = await rowsIn(home, own);
    for (const [table, n] of Object.entries(rows)) assert.ok(now[table] >= n, `${table}: ${n} rows, now ${now[table]}`);
    const [fence] = await fences(own);
    assert.ok(fence.state === "owned" && fence.epoch > epoch, JSON.stringify([fence, epoch]));
    assert.deepEqual(await partitions(home), [`s${own}_e${fence.epoch}`]);
  });

  test("can be used in every way", () => everythingWorks("promoted"));

  test("is not promoted twice", () => assert.rejects(request("promote"), /has slot \d+ of his own already/));

  test("moves to another shard with the own slot", async () => {
    await underLoad(async () => {
      await requestMove(cluster, own, home, other);
      await ended(mover, own);
    });
    assert.deepEqual(await rowsIn(home, own), {});
    assert.deepEqual(await partitions(home), []);
    assert.equal((await partitions(other)).length, 1);
    await everythingWorks("elsewhere");
    await assert.rejects(request("demote"), /is on another shard: move it to/);
  });

  test("is rolled back with the own slot, with what was written meanwhile", async () => {
    await requestMove(cluster, own, other, home, 600000);
    await untilMove(cluster, other, own, ["keeping"]);
    await everythingWorks("for a while");
    await delivered();
    const rows = await rowsIn(home, own);
    await underLoad(async () => {
      await cluster.sql(other, `CALL move_wish(${own}, 'rollback')`);
      await untilMove(cluster, other, own, ["undone"]);
    });
    await delivered();
    assert.deepEqual(await rowsIn(home, own), {});
    assert.deepEqual([await partitions(home), (await partitions(other)).length], [[], 1]);
    const now = await rowsIn(other, own);
    for (const [table, n] of Object.entries(rows)) assert.ok(now[table] >= n, `${table}: ${n} rows, now ${now[table]}`);
  });

  test("comes back to the slot of the id", async () => {
    await requestMove(cluster, own, other, home);
    await untilMove(cluster, other, own, ["done"]);
    await delivered();
    const rows = await rowsIn(home, own);
    const highest = Math.max(...(await fences(own)).map(({ epoch }) => epoch));
    await underLoad(async () => {
      await request("demote");
      await ended(mover, own);
    });
    await delivered();
    assert.deepEqual(await rowsIn(home, own), {});
    const now = await rowsIn(home, shared);
    for (const [table, n] of Object.entries(rows)) assert.ok(now[table] >= n, `${table}: ${n} rows, now ${now[table]}`);
    const [fence] = await cluster.sql(home, `SELECT state, epoch, has_home FROM slot_fence WHERE slot = ${shared}`);
    assert.ok(fence.epoch > highest && fence.has_home === 0, JSON.stringify([fence, highest]));
    assert.deepEqual([...(await partitions(home)), ...(await partitions(other))], []);
    await everythingWorks("back");
  });
});

describe("a promotion", () => {
  test("that is cancelled leaves the user in the old slot", async () => {
    const mover = Mover.start(cluster, { failpoint: "promote_write:after:3" });
    await request("promote");
    await mover.stopped();
    await cluster.sql(home, `CALL move_wish(${shared}, 'cancel')`);
    mover.go();
    const move = await ended(mover, shared, ["undone"]);
    await mover.stop();
    assert.deepEqual(await rowsIn(home, move.own_slot), {});
    assert.deepEqual(await partitions(home), []);
    await everythingWorks("called off");
  });

  test("that is cancelled while somebody alters a table leaves no partition of that table either", async () => {
    await cluster.sql(home, "CREATE TABLE zebra (id INT)");
    const reader = cluster.session(home);
    await reader.run("START TRANSACTION; SELECT COUNT(*) FROM zebra");
    const mover = Mover.start(cluster, { failpoint: "move_cancel:after:1,promote_parts:after:2" });
    await request("promote");
    await cluster.sql(home, `CALL move_throttle(${shared}, 1)`);
    await untilMove(cluster, home, shared, ["copying"]);
    await cluster.sql(home, `CALL move_wish(${shared}, 'cancel')`);
    await mover.stopped();
    /* A rename of two tables locks the first one while it waits for the second. */
    const altering = cluster.session(home);
    const id = await altering.value("SELECT CONNECTION_ID()");
    const altered = altering
      .run("SET lock_wait_timeout = 60; RENAME TABLE session TO session_gone, zebra TO zebra_gone")
      .catch((error) => error);
    const isAltered = () =>
      cluster.sql(home, "SELECT COUNT(*) FROM session", { timeoutMs: 300 }).then(
        () => false,
        () => true,
      );
    await until("the table to be altered", isAltered);
    mover.go();
    await until("it to ask for partitions", () => !mover.isStopped);
    await mover.stopped();
    assert.ok(await isAltered());
    await cluster.sql(home, `KILL QUERY ${id}`);
    assert.match((await altered).message, /interrupted/);
    await reader.run("ROLLBACK; DROP TABLE zebra");
    await Promise.all([reader.end(), altering.end()]);
    mover.go();
    await ended(mover, shared, ["undone"]);
    await mover.stop();
    assert.deepEqual(await partitions(home), []);
  });

  // Looking for partitions is done in the session that may alter them, or not at all.
  for (const failpoint of ["promote_hold:after:1", "add_partition:before:3"])
    test(`whose mover slept at ${failpoint} makes no partition when it wakes up, if the promotion was cancelled meanwhile`, async () => {
      const asleep = Mover.start(cluster, { failpoint });
      await request("promote");
      await asleep.stopped();
      await cluster.sql(
        home,
        `CALL move_wish(${shared}, 'cancel'); UPDATE slot_move SET claimed_until = 0 WHERE active IS NOT NULL`,
      );
      const mover = Mover.start(cluster);
      await ended(mover, shared, ["undone"]);
      assert.deepEqual(await partitions(home), []);
      asleep.go();
      await until("the old mover to be refused", () => /move_attempt_ended/.test(asleep.text));
      await Promise.all([mover.stop(), asleep.stop()]);
      assert.deepEqual(await partitions(home), []);
    });

  test("of a mover that was killed, at any point, is continued by the next mover, with a new number", async () => {
    for (const [i, failpoint] of [
      "promote_begin:after:1",
      "drop_partition:after:5",
      "promote_write:before:2",
      "promote_flip:before:1",
      "promote_flip:after:1",
      "promote_purge:after:4",
    ].entries()) {
      const killed = Mover.start(cluster, { failpoint });
      await request(i % 2 === 0 ? "promote" : "demote");
      const slot = i % 2 === 0 ? shared : own;
      await killed.stopped();
      await killed.kill();
      await cluster.sql(home, "UPDATE slot_move SET claimed_until = 0 WHERE active IS NOT NULL");
      const mover = Mover.start(cluster);
      const move = await ended(mover, slot);
      await mover.stop();
      if (i % 2 === 0) assert.ok(move.own_slot > own, `${failpoint}: ${move.own_slot} after ${own}`);
      own = move.own_slot;
      await actAs(fans[0], failpoint);
      assert.deepEqual(await rowsIn(home, i % 2 === 0 ? shared : own), {}, failpoint);
    }
    await everythingWorks("after kills");
    assert.equal((await moveOf(cluster, home, own)).kind, "demote");
  });
});

describe("shardctl", () => {
  const run = (...args) =>
    shardctl([
      ...args,
      `--topology=${cluster.files.topology}`,
      `--password-file=${join(cluster.dir, "secrets", "admin_password")}`,
    ]);

  test("promotes and demotes a user by name or id, and shows progress", async () => {
    const dry = await run("promote", star.name, "--dry-run");
    assert.deepEqual([dry.status, dry.err], [0, ""]);
    assert.match(dry.out, new RegExp(`^user ${star.id} of ${home}: slot ${shared} -> one of their own\n$`));
    assert.equal((await run("promote", star.name)).status, 2, "nobody confirmed");
    const mover = Mover.start(cluster);
    const up = await run("promote", star.name, "--yes");
    assert.equal(up.status, 0, JSON.stringify(up));
    assert.match(up.out, /\bdone\b/);
    const again = await run("promote", star.id, "--yes");
    assert.equal(again.status, 0, JSON.stringify(again));
    assert.match(again.out, /has slot \d+: nothing to do/);
    const down = await run("demote", star.id, "--yes", "--json");
    assert.equal(down.status, 0, JSON.stringify(down));
    const last = JSON.parse(down.out.trim().split("\n").at(-1));
    assert.deepEqual([last.phase, last.percent], ["done", 100]);
    const rows = Object.values(await rowsIn(home, shared)).reduce((sum, n) => sum + n, 0);
    assert.ok(
      last.rows_total > 0 && last.rows_total <= rows && last.bytes_copied > 0,
      `${rows} rows: ${JSON.stringify(last)}`,
    );
    await mover.stop();
    assert.equal((await run("promote", "nobody at all", "--yes")).status, 1);
    await everythingWorks("by shardctl");
  });
});

describe("the policy of a mover", () => {
  test("gives the user with the highest load an own slot, and reports why", async () => {
    const busy = (n) => `'[{"slot":${shared},"operations":1,"busy_us":${n}}]'`;
    await cluster.sql(
      home,
      `CALL load_add(${busy(10 ** 9)}, '[{"slot":${shared},"owner":${videos[0]},"operations":1,"busy_us":${10 ** 9}}]');
      UPDATE slot_load SET since = at - 600000 WHERE slot = ${shared};
      UPDATE owner_load SET since = at - 600000 WHERE owner_id = ${videos[0]};
      UPDATE slot_move SET finished_at = 1`,
    );
    const file = join(cluster.dir, "mover.conf");
    copyFileSync(join(ROOT, "config", "mover.conf"), file); /* off, as it is installed */
    const mover = Mover.start(cluster, { args: [`--config=${file}`] });
    const started = (above) =>
      until(`the mover to go by ${above} %`, () =>
        mover.text
          .match(/mover_started.* promote_above=(\d+)%/g)
          ?.at(-1)
          .endsWith(`=${above}%`),
      );
    await started(0);
    for (const bad of ["promote_above = 101;", 'promote_above = "50";', "promote = 50;", "promote_above = "]) {
      writeFileSync(file, bad);
      const refused = () => mover.text.match(/config_refused error="\S*mover.conf:\d+: /g)?.length ?? 0;
      const before = refused();
      mover.child.kill("SIGHUP");
      await until(`${bad} to be refused`, () => refused() > before);
      await started(0);
    }
    assert.deepEqual(await movesUnderWay(cluster), [], "nobody was promoted");
    writeFileSync(file, "promote_above = 50;\npromote_per_hour = 1000;\n");
    mover.child.kill("SIGHUP");
    await started(50);
    await until("him to be promoted", async () =>
      (await moveOf(cluster, home, shared)).requested_by.startsWith("policy: "),
    );
    await ended(mover, shared);
    await mover.stop();
    assert.match(
      mover.text,
      new RegExp(`promote_asked .*shard=${home} user=${star.id} slot=${shared} share=\\d+% above=50% move=\\d+`),
    );
    await everythingWorks("by the policy");
  });
});
