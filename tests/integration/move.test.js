/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* A slot is moved while it is in use: requested by SQL, done by a mover, with every row of every
 * table; and back. */

import assert from "node:assert/strict";
import { execFile, execFileSync } from "node:child_process";
import { closeSync, constants, openSync, writeSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { CODE } from "../lib/api.js";
import { slotOfId } from "../lib/checks.js";
import { Cluster, ROOT, serverEnvironment } from "../lib/cluster.js";
import { Mover, assertAtRest, moveOf, requestMove, untilMove } from "../lib/mover.js";
import { TcpProxy } from "../lib/proxy.js";
import { movingTables, owners, plantVideos, rowsOf } from "../lib/rows.js";
import { shardctl } from "../lib/shardctl.js";
import { parallel, until } from "../lib/wait.js";
import { audit, install, routine } from "../ledger/lib.js";
import { expireClaims } from "../ledger/moves.js";

const TEXTS = ['he said "x" \\ \u{1F600} é', "tab\there, line\nthere", "'; DROP TABLE user; --", '[1,2,{"a":null}]'];

let cluster;
let api;
let users;
let video;
let slot;
let from;
let to;

before(async () => {
  cluster = await Cluster.up({ shards: 3 });
  ({ api } = cluster);
  users = await parallel(
    8,
    Array.from({ length: 12 }, () => () => api.register()),
  );
  slot = slotOfId(users[0].id);
  from = (await owners(cluster)).get(slot);
  to = from === "shard1" ? "shard2" : "shard1";
  [video] = await plantVideos(cluster, [{ author: users[0].id, at: Date.now() - 5000 }]);
  await cluster.sql(from, `UPDATE user SET work_count = 1 WHERE slot = ${slot} AND user_id = ${users[0].id}`);
  for (const [i, user] of users.slice(1).entries()) await actAs(user, TEXTS[i % TEXTS.length]);
});
after(() => cluster?.down());

/** Everything that a user can do with the first user and his video, and the first user with him. */
async function actAs(user, text) {
  const [first] = users;
  const act = (who, path, query) => api.post(`/douyin/${path}/action/`, { token: who.token, action_type: 1, ...query });
  const answers = [
    await act(user, "favorite", { video_id: video.id }),
    await act(user, "relation", { to_user_id: first.id }),
    await act(user, "comment", { video_id: video.id, comment_text: text }),
    await act(user, "message", { to_user_id: first.id, content: text }),
    await act(first, "message", { to_user_id: user.id, content: text }),
    await act(first, "relation", { to_user_id: user.id }),
  ];
  for (const { json } of answers) assert.equal(json.status_code, CODE.OK, JSON.stringify(json));
}

/** Requests a move and waits; a failure shows the mover's output. */
async function moved(mover, source, target, keepMs, phases) {
  await requestMove(cluster, slot, source, target, keepMs);
  try {
    return await untilMove(cluster, source, slot, phases);
  } catch (error) {
    throw new Error(`${error.message}\n${mover.text}`);
  }
}

/** The rows of the slot when nothing is under way that changes them. */
async function restingRows(shard) {
  await until(
    "second halves to be delivered",
    async () => (await cluster.sqlAll("SELECT 1 AS x FROM outbox")).length === 0,
  );
  return rowsOf(cluster, shard, slot);
}

/** Fails unless both halves of everything match, and all counters. */
async function agree() {
  const { status, text } = await audit(cluster);
  assert.equal(status, 0, text);
}

const fenceOf = async (shard, number = slot) =>
  (
    await cluster.sql(
      shard,
      `SELECT state, epoch, server, journal, token IS NULL AS free
  FROM slot_fence WHERE slot = ${number}`,
    )
  )[0];

/** Waits until the mover of SHARD has reported its progress N more times. */
async function told(shard, n) {
  const at = async () =>
    (await cluster.sql(shard, `SELECT claimed_until AS at FROM slot_move WHERE active = ${slot}`))[0].at;
  for (let i = 0; i < n; i++) {
    const last = await at();
    await until("the mover to tell", async () => (await at()) !== last);
  }
}

/** When SLOT will have left PHASE, in ms from now, as `shardctl status` says. */
async function etaOf(number, phase) {
  const { out } = await shardctl(["status", "--json"], { env: { ...serverEnvironment(), DOUSHARD_VAR: cluster.dir } });
  return JSON.parse(out).moves.find((move) => move.slot === number && move.phase === phase)?.eta_ms;
}

/** A session that has run STATEMENT in a transaction and keeps it open. */
async function open(shard, statement) {
  const holder = cluster.session(shard);
  await holder.run("START TRANSACTION");
  await holder.run(statement);
  return holder;
}

describe("a slot", () => {
  let mover;
  before(() => {
    mover = Mover.start(cluster);
  });
  after(() => mover.stop());

  test("moves with every row of every table, and nothing stays behind", async () => {
    const rows = await restingRows(from);
    for (const table of [
      "user",
      "inbound",
      "session",
      "video",
      "liker",
      "follower",
      "follow",
      "comment",
      "message",
      "chat",
      "slot_seq",
    ])
      assert.ok(
        rows.some((text) => text.startsWith(`REPLACE INTO \`${table}\``)),
        `the slot has rows of ${table}`,
      );
    const move = await moved(mover, from, to, 0, ["done"]);
    assert.deepEqual(await rowsOf(cluster, to, slot), rows);
    const left = (await movingTables(cluster)).map(
      (table) => `SELECT '${table}' AS t FROM \`${table}\` WHERE slot = ${slot}`,
    );
    assert.deepEqual(
      (await cluster.sql(from, left.join(" UNION ALL "))).filter(({ t }) => t !== "slot_seq"),
      [],
    );
    assert.deepEqual(
      { ...(await fenceOf(to)) },
      { state: "owned", epoch: move.epoch, server: to, journal: 0, free: 1 },
    );
    assert.deepEqual(
      { ...(await fenceOf(from)), free: 0 },
      { state: "moved", epoch: move.epoch, server: to, journal: 0, free: 0 },
    );
    assert.ok(
      move.pause_us > 0 && move.rows_copied === move.rows_total && move.rows_verified === move.rows_total,
      JSON.stringify(move),
    );
    await actAs(users[1], "after");
  });

  test("is rolled back with what was written since, and ids and versions go on", async () => {
    await moved(mover, to, from, 600000, ["keeping"]);
    /* Pausing it does not keep new writes from being copied back. */
    await cluster.sql(to, `CALL move_wish(${slot}, 'pause')`);
    await told(to, 2);
    for (const user of users.slice(1, 5)) await actAs(user, "while it is kept");
    await until(
      "the journal to be read",
      async () => (await cluster.sql(from, `SELECT id FROM slot_log WHERE slot = ${slot}`)).length === 0,
    );
    // The journal has all sessions at once, and then one of them.
    await cluster.sql(from, `CALL session_end_all(${users[0].id})`);
    assert.equal((await api.login(users[0].name, users[0].password)).status_code, CODE.OK);
    const like = { token: users[2].token, video_id: video.id, action_type: 2 };
    assert.equal((await api.post("/douyin/favorite/action/", like)).json.status_code, CODE.OK);
    const rows = await restingRows(from);
    await cluster.sql(to, `CALL move_wish(${slot}, 'rollback')`);
    await untilMove(cluster, to, slot, ["undone"]);
    assert.deepEqual(await rowsOf(cluster, to, slot), rows);
    assert.equal((await owners(cluster)).get(slot), to);
    users[0].token = (await api.login(users[0].name, users[0].password)).token;
    for (const user of users.slice(1, 3)) await actAs(user, "and back");
    await agree();
  });

  test("that can be rolled back cannot be moved on; finish ends that", async () => {
    await moved(mover, to, from, 600000, ["keeping"]);
    await assert.rejects(requestMove(cluster, slot, from, to), /can still be rolled back/);
    await assert.rejects(requestMove(cluster, slot, to, from), /not served by this shard/);
    await cluster.sql(to, `CALL move_wish(${slot}, 'finish')`);
    await untilMove(cluster, to, slot, ["done"]);
    assert.equal((await fenceOf(from)).journal, 0);
    assert.deepEqual(await cluster.sql(from, `SELECT id FROM slot_log WHERE slot = ${slot}`), []);
  });
});

describe("a move", () => {
  test("that is cancelled leaves the slot where it was, at an epoch above the move's, and nothing at the taker", async () => {
    const before = await fenceOf(from);
    const rows = await restingRows(from);
    const mover = Mover.start(cluster, { failpoint: "move_write:after:3" });
    await requestMove(cluster, slot, from, to);
    await mover.stopped();
    await cluster.sql(from, `CALL move_wish(${slot}, 'cancel')`);
    mover.go();
    const move = await untilMove(cluster, from, slot, ["undone"]);
    await mover.stop();
    assert.deepEqual(await rowsOf(cluster, from, slot), rows);
    const now = await fenceOf(from);
    assert.ok(
      now.state === "owned" && now.epoch > move.epoch && move.epoch > before.epoch,
      JSON.stringify([before, move, now]),
    );
    const left = (await movingTables(cluster)).map(
      (table) => `SELECT '${table}' AS t FROM \`${table}\` WHERE slot = ${slot}`,
    );
    assert.deepEqual(await cluster.sql(to, left.join(" UNION ALL ")), []);
    assert.equal((await fenceOf(to)).state, "moved");
    await actAs(users[3], "after all");
  });

  test("that is being rolled back stays at the taker after all, if requested in time, and nothing is left behind", async () => {
    const mover = Mover.start(cluster, { failpoint: "move_open:before:2" }); /* there, and back */
    await requestMove(cluster, slot, from, to, 600000);
    await untilMove(cluster, from, slot, ["keeping"]);
    await actAs(users[3], "there");
    await cluster.sql(from, `CALL move_wish(${slot}, 'rollback')`);
    await mover.stopped();
    await actAs(users[3], "not yet back");
    await cluster.sql(from, `CALL move_wish(${slot}, 'cancel')`);
    mover.go();
    const move = await untilMove(cluster, from, slot, ["done", "undone"]);
    assert.deepEqual([move.phase, move.last_error], ["done", "not rolled back after all"]);
    await mover.stop();
    await assertAtRest(cluster);
    assert.equal((await owners(cluster)).get(slot), to);
    assert.ok((await fenceOf(to)).epoch > move.epoch);
    [from, to] = [to, from];
    await actAs(users[3], "after all");
    await agree();
  });

  test("whose mover died before the giver had removed the way back is finished, even if the slot has moved on and back since", async () => {
    const further = cluster.shards.map(({ name }) => name).find((name) => name !== from && name !== to);
    const victim = Mover.start(cluster, { failpoint: "move_open:before:2,move_forget:before:1" });
    await requestMove(cluster, slot, from, to, 600000);
    await untilMove(cluster, from, slot, ["keeping"]);
    await cluster.sql(from, `CALL move_wish(${slot}, 'rollback')`);
    await victim.stopped();
    await cluster.sql(from, `CALL move_wish(${slot}, 'cancel')`);
    victim.go();
    await until(
      "the mover to stop itself just before the end",
      async () => victim.isStopped && (await fenceOf(to)).state === "owned",
    );
    await victim.kill();
    assert.equal((await fenceOf(from)).state, "importing");
    const mover = Mover.start(cluster);
    await moved(mover, to, further, 0, ["done"]);
    await moved(mover, further, to, 0, ["done"]);
    await expireClaims(cluster, [victim]);
    await untilMove(cluster, from, slot, ["done"]);
    assert.equal((await fenceOf(from)).state, "moved");
    await mover.stop();
    await assertAtRest(cluster);
    [from, to] = [to, from];
    await actAs(users[3], "and further");
    await agree();
  });

  test("that is being rolled back is not moved on meanwhile, and one without a way back cannot be rolled back", async () => {
    const further = cluster.shards.map(({ name }) => name).find((name) => name !== from && name !== to);
    const mover = Mover.start(cluster, { failpoint: "move_import:before:2" }); /* there, and back */
    await requestMove(cluster, slot, from, to, 600000);
    await untilMove(cluster, from, slot, ["keeping"]);
    await cluster.sql(from, `CALL move_wish(${slot}, 'rollback')`);
    await mover.stopped();
    assert.equal((await fenceOf(to)).state, "migrating");
    await assert.rejects(requestMove(cluster, slot, to, further), /can still be rolled back/);
    mover.go();
    await untilMove(cluster, from, slot, ["undone"]);
    await mover.stop();
    await assertAtRest(cluster);
    const other = Mover.start(cluster, { failpoint: "move_close:before:1" });
    await requestMove(cluster, slot, from, to, 0);
    await other.stopped();
    await cluster.sql(
      from,
      `UPDATE slot_move SET phase = 'keeping' WHERE active = ${slot}`,
    ); /* as it was just before */
    await assert.rejects(cluster.sql(from, `CALL move_wish(${slot}, 'rollback')`), /without a way back/);
    other.go();
    await untilMove(cluster, from, slot, ["done"]);
    await other.stop();
    [from, to] = [to, from];
  });

  test("with a rate limit neither copies, compares nor removes faster, and in each reports its rate, and when shards run too much", async () => {
    const rowsPerS = 20;
    const sleeper = await open(from, "SELECT 1");
    const connection = await sleeper.value("SELECT CONNECTION_ID()");
    const asleep = sleeper.run("SELECT SLEEP(600)").catch(() => {}); /* with the mover's own one these are two */
    await requestMove(cluster, slot, from, to, 0);
    await cluster.sql(from, `CALL move_throttle(${slot}, ${rowsPerS})`);
    const mover = Mover.start(cluster, { args: ["--statements=1"] });
    const throttles = {}; /* what each phase reported last */
    const etas = {}; /* of each phase, when it reported a rate for the first time */
    const { rows_total: rows } = await until("the move to be done", async () => {
      const move = await moveOf(cluster, from, slot);
      const { phase, rate } = move;
      throttles[phase] = move.throttle;
      if (rate > 0 && !(phase in etas)) etas[phase] = await etaOf(slot, phase);
      return phase === "done" && move;
    });
    await mover.stop();
    assert.ok("purging" in etas, JSON.stringify(etas));
    for (const phase of ["copying", "verifying"]) assert.ok(etas[phase] > 0, `${phase}: ${JSON.stringify(etas)}`);
    await cluster.sql(from, `KILL ${connection}`);
    await asleep;
    await sleeper.end();
    for (const phase of ["copying", "verifying", "purging"])
      assert.match(throttles[phase], /^shard\d runs \d+ statements$/, `${phase}: ${JSON.stringify(throttles)}`);
    assert.equal(throttles.done, "");
    [from, to] = [to, from];
    const at = Object.fromEntries(
      [...mover.text.matchAll(/^(\S+) .* slot=(\d+) .*phase=(\w+)/gm)]
        .filter(([, , of]) => Number(of) === slot)
        .map(([, time, , phase]) => [phase, Date.parse(time)]),
    );
    const leastMs = (1000 * (rows - 2 * Math.ceil(rowsPerS / 5))) / rowsPerS;
    assert.ok(leastMs > 500, `${rows} rows`);
    for (const [phase, next] of [
      ["copying", "draining"],
      ["verifying", "flipping"],
      ["purging", "done"],
    ])
      assert.ok(at[next] - at[phase] >= leastMs, `${phase}: ${at[next] - at[phase]} ms for ${rows} rows`);
  });

  test("is slowed while a commit takes too long, on the giver or on the taker, and reports where", async () => {
    await cluster.sqlAll("CREATE TABLE slow (routine TEXT, s DOUBLE) ENGINE = InnoDB");
    const begin = "    START TRANSACTION;\n";
    const slowed = (domain, name) =>
      routine(domain, name, [[begin, `${begin} DO SLEEP((SELECT SUM(s) FROM slow WHERE routine = '${name}'));\n`]]);
    await install(cluster, [slowed("move", "move_beat"), slowed("shard", "shard_probe")]);
    await requestMove(cluster, slot, from, to);
    await cluster.sql(from, `CALL move_throttle(${slot}, 4)`);
    const mover = Mover.start(cluster);
    for (const [shard, name] of [
      [from, "move_beat"],
      [to, "shard_probe"],
    ]) {
      await cluster.sql(shard, `INSERT INTO slow VALUES ('${name}', 0.3)`);
      await until(
        `${name} to be found slow`,
        async () => (await moveOf(cluster, from, slot)).throttle === `commits of ${shard} are slow`,
      );
      await cluster.sql(shard, "DELETE FROM slow");
    }
    await cluster.sql(from, `CALL move_throttle(${slot}, 0)`);
    await untilMove(cluster, from, slot, ["done"]);
    await mover.stop();
    await install(cluster, [routine("move", "move_beat", []), routine("shard", "shard_probe", [])]);
    await cluster.sqlAll("DROP TABLE slow");
    [from, to] = [to, from];
  });

  test("pauses while replicas are too far behind, or their lag is unknown; what it has copied is not removed either", async () => {
    const shards = [from, to];
    await Promise.all(
      shards.map((shard) =>
        cluster.sql(
          shard,
          `CREATE DATABASE ops; CREATE TABLE ops.lag (ms BIGINT);
      INSERT INTO ops.lag VALUES (0); GRANT SELECT ON ops.lag TO doushard_mover@'%'`,
        ),
      ),
    );
    const mover = Mover.start(cluster, {
      failpoint: "move_write:after:3,move_open:before:2",
      args: ["--lag-query=SELECT MAX(ms) FROM ops.lag", "--lag=4999ms"],
    });
    const standing = (why, phase) =>
      until(`the move to stand still while ${phase}: ${why}`, async () => {
        const move = await moveOf(cluster, from, slot);
        return move.throttle === why && move.phase === phase && move;
      });
    const lag = (ms) => cluster.sql(to, `UPDATE ops.lag SET ms = ${ms}`);
    const isBehind = `lag of ${to} is 5000 ms`;

    await requestMove(cluster, slot, from, to);
    await mover.stopped();
    await lag(5000);
    await cluster.sql(from, `CALL move_wish(${slot}, 'cancel')`);
    const copied = await rowsOf(cluster, to, slot);
    mover.go();
    await standing(isBehind, "undoing");
    const left = await rowsOf(cluster, to, slot);
    assert.ok(copied.length > 0 && left.length >= copied.length, `${left.length} of ${copied.length} tables`);
    await told(from, 1);
    assert.deepEqual(await rowsOf(cluster, to, slot), left);
    await lag(0);
    await untilMove(cluster, from, slot, ["undone"]);
    assert.deepEqual(await rowsOf(cluster, to, slot), []);

    await lag(5000);
    await requestMove(cluster, slot, from, to);
    await standing(isBehind, "preparing"); /* it does not know that nothing is left to be removed */
    await lag(0);
    await mover.stopped();
    await lag(5000);
    mover.go();
    const first = await standing(isBehind, "copying");
    assert.ok(first.rows_copied < first.rows_total, JSON.stringify(first));
    await actAs(users[4], "meanwhile");
    await cluster.sql(to, "DELETE FROM ops.lag");
    const second = await standing(`lag of ${to} is not known`, "copying");
    assert.equal(second.rows_copied, first.rows_copied);
    await cluster.sql(to, "INSERT INTO ops.lag VALUES (4999)");
    const done = await untilMove(cluster, from, slot, ["done"]);
    assert.equal(done.throttle, "");
    await mover.stop();
    assert.match(mover.text, /move_lag .*answers no number/);
    [from, to] = [to, from];
    await Promise.all(
      shards.map((shard) => cluster.sql(shard, "REVOKE SELECT ON ops.lag FROM doushard_mover@'%'; DROP DATABASE ops")),
    );
  });

  test("goes on and ends when nobody reads its log", async () => {
    const log = join(cluster.dir, "unread.log");
    execFileSync("mkfifo", [log]);
    const reader = openSync(log, constants.O_RDWR | constants.O_NONBLOCK);
    const fill = () => {
      for (;;) writeSync(reader, Buffer.alloc(4096));
    };
    assert.throws(fill, { code: "EAGAIN" });
    const mover = Mover.start(cluster, { log });
    await requestMove(cluster, slot, from, to);
    await untilMove(cluster, from, slot, ["done"]);
    assert.equal(await mover.kill("SIGTERM"), 0);
    closeSync(reader);
    [from, to] = [to, from];
  });

  test("finds a wrong row at the taker and names it; if that does not end, it fails, and the slot stays", async () => {
    const before = await fenceOf(from);
    await cluster.sql(to, `CREATE TRIGGER spoil BEFORE INSERT ON user FOR EACH ROW SET NEW.signature = 'spoilt'`);
    const mover = Mover.start(cluster);
    await requestMove(cluster, slot, from, to);
    const move = await untilMove(cluster, from, slot, ["failed"]);
    await cluster.sql(to, "DROP TRIGGER spoil");
    await mover.stop();
    assert.match(
      move.last_error,
      new RegExp(`rows of user differ on both sides, among them key \\[${users[0].id},null,null,null\\]`),
    );
    const now = await fenceOf(from);
    assert.ok(now.state === "owned" && now.epoch > before.epoch && move.flipped_at === 0, JSON.stringify([now, move]));
    assert.equal((await fenceOf(to)).state, "moved");
  });

  test("pauses writers no longer than its budget: a flip that takes longer is undone and tried again", async () => {
    const mover = Mover.start(cluster, { failpoint: "move_ready:before:1" });
    await requestMove(cluster, slot, from, to);
    await mover.stopped();
    /* Somebody has locked the taker's fence: the step to ready takes that long. */
    const holder = await open(to, `SELECT 1 FROM slot_fence WHERE slot = ${slot} FOR UPDATE`);
    mover.go();
    await until(
      "the flip to be undone",
      async () => (await moveOf(cluster, from, slot)).throttle === "the flip took too long, and was undone",
    );
    await actAs(users[5], "while nobody can flip");
    const attempt = async () =>
      (
        await cluster.sql(
          from,
          `SELECT term, phase, restarts FROM slot_move WHERE slot = ${slot}
      ORDER BY move_id DESC LIMIT 1`,
        )
      )[0];
    const during = await attempt();
    assert.equal((await fenceOf(from)).state, "migrating");
    await holder.run("ROLLBACK");
    await holder.end();
    const { flips, last_error: error } = await untilMove(cluster, from, slot, ["done"]);
    await mover.stop();
    assert.ok(flips > 1 && error === "", `${flips} flips, ${error}`);
    assert.deepEqual(
      [during, await attempt()].map((row) => ({ ...row })),
      [
        { term: 1, phase: "flipping", restarts: 0 },
        { term: 1, phase: "done", restarts: 0 },
      ],
      "one claim, and no new start",
    );
    await actAs(users[6], "and afterwards");
    await agree();
    [from, to] = [to, from];
  });

  test("reports what it waits for when somebody keeps a transaction open, and goes on when MariaDB has ended it", async () => {
    const mover = Mover.start(cluster, { failpoint: "move_open:before:1" });
    await requestMove(cluster, slot, from, to);
    await mover.stopped();
    const holder = await open(from, `SELECT 1 FROM slot_fence WHERE slot = ${slot} LOCK IN SHARE MODE`);
    mover.go();
    await until(
      "the mover to report it",
      async () => (await moveOf(cluster, from, slot)).throttle === "waiting for writes that keep the slot's fence",
    );
    await told(from, 1);
    assert.equal(await holder.value("SELECT @@idle_transaction_timeout"), "60");
    await holder.run("SET SESSION idle_transaction_timeout = 1"); /* not a minute, in a test */
    const done = await untilMove(cluster, from, slot, ["done"]);
    await mover.stop();
    assert.deepEqual([done.throttle, done.last_error], ["", ""]);
    await holder.end();
    [from, to] = [to, from];
  });

  test("whose slot was settled at the giver just before the flip starts over", async () => {
    const mover = Mover.start(cluster, { failpoint: "move_lock:before:1" });
    await requestMove(cluster, slot, from, to);
    await mover.stopped();
    await cluster.sql(from, `CALL slot_settle(${slot}, '${from}')`);
    mover.go();
    const done = await untilMove(cluster, from, slot, ["done"]);
    await mover.stop();
    assert.equal(done.restarts, 1);
    assert.equal((await owners(cluster)).get(slot), to);
    [from, to] = [to, from];
  });

  test("that goes back also copies what is written while rows are compared", async () => {
    const there = Mover.start(cluster);
    await moved(there, from, to, 600000, ["keeping"]);
    await there.stop();
    const mover = Mover.start(cluster, { failpoint: "move_read:before:6,move_read:before:20" }); /* of some thirty */
    await cluster.sql(from, `CALL move_wish(${slot}, 'rollback')`);
    await mover.stopped();
    await cluster.sql(
      to,
      `INSERT INTO slot_log (slot, tbl, owner, k1) VALUES (${slot}, 'user', ${users[0].id}, ${users[0].id})`,
    );
    await until(
      "a second to have passed since its last report",
      async () =>
        (
          await cluster.sql(
            from,
            `SELECT claimed_until - 10000 < _now_ms() - 1000 AS is_due FROM slot_move WHERE active = ${slot}`,
          )
        )[0].is_due === 1,
    );
    mover.go();
    await until("the mover to go on", () => !mover.isStopped, { everyMs: 1 });
    await mover.stopped();
    const { phase } = await moveOf(cluster, from, slot);
    assert.equal(phase, "reverting");
    assert.deepEqual(await cluster.sql(to, `SELECT id FROM slot_log WHERE slot = ${slot}`), []);
    mover.go();
    await untilMove(cluster, from, slot, ["undone"]);
    await mover.stop();
  });

  test("whose taker is gone for good is cancelled by a mover that does not know the taker, and the slot can be moved again", async () => {
    const first = Mover.start(cluster, { failpoint: "move_write:after:3" });
    await requestMove(cluster, slot, from, to);
    await first.stopped();
    await first.kill();
    await cluster.sql(from, `CALL move_wish(${slot}, 'cancel')`);
    await expireClaims(cluster, [first]);
    const without = Mover.start(cluster, { args: [`--topology=${cluster.topology({}, { without: [to] })}`] });
    const { last_error: error } = await untilMove(cluster, from, slot, ["undone"]);
    await without.stop();
    assert.equal(error, `${to} is in no topology: what was copied stays there`);
    assert.deepEqual([(await fenceOf(from)).state, (await fenceOf(to)).state], ["owned", "importing"]);
    const mover = Mover.start(cluster);
    await moved(mover, from, to, 0, ["done"]);
    await mover.stop();
    await assertAtRest(cluster);
    [from, to] = [to, from];
    await actAs(users[7], "and afterwards");
    await agree();
  });

  test("by a mover that slept is refused to it after another one has taken over", async () => {
    const zombie = Mover.start(cluster, { failpoint: "move_write:before:4" });
    await requestMove(cluster, slot, from, to);
    await zombie.stopped();
    await cluster.sql(from, `UPDATE slot_move SET claimed_until = 0 WHERE active = ${slot}`);
    const mover = Mover.start(cluster);
    await untilMove(cluster, from, slot, ["done"]);
    const rows = await restingRows(to);
    zombie.go();
    await until("the old mover to be refused", () => /fenced out/.test(zombie.text));
    assert.deepEqual(await rowsOf(cluster, to, slot), rows);
    await zombie.stop();
    await mover.stop();
    await agree();
  });
});

/* The mover lives on, and does not know whether the shard has done what it asked for. Nobody else may help for a
 * long time. */
describe("a CALL without an answer", () => {
  /* Each is CALLed once before, for a slot that there is not: but for move_claim. */
  const OF_SLOTS = [
    ["move_claim", () => from],
    ["move_ready", () => to],
    ["move_give", () => from],
    ["slot_takeover", () => to],
  ];
  const ACTIONS = ["lose-reply", "hang-reply", "cut"];
  const proxies = new Map();

  before(async () => {
    from = (await owners(cluster)).get(slot);
    to = cluster.shards.map(({ name }) => name).find((name) => name !== from);
    for (const { name, port } of cluster.shards) proxies.set(name, await TcpProxy.start({ port }));
  });
  after(async () => {
    for (const proxy of proxies.values()) await proxy.stop();
  });

  /** Does ACTION once to ROUTINE on SHARD while a mover does what REQUEST, to the shard GIVER, asks for. */
  async function disturbed(routine, shard, action, giver, request) {
    const proxy = proxies.get(shard);
    let left = routine === "move_claim" ? 1 : 2;
    proxy.applied = {};
    proxy.rule = (text) => (new RegExp(`\\b${routine}\\b`).test(text) && left > 0 && --left === 0 ? action : undefined);
    await cluster.sql(giver, request);
    const ports = Object.fromEntries([...proxies].map(([name, { port }]) => [name, port]));
    const mover = Mover.start(cluster, { args: ["--lease=10min", `--topology=${cluster.topology(ports)}`] });
    await until(
      "the move to be over",
      async () => (await cluster.sql(giver, "SELECT 1 AS x FROM slot_move WHERE active IS NOT NULL")).length === 0,
    );
    await mover.stop();
    const [{ phase, restarts }] = await cluster.sql(
      giver,
      "SELECT phase, restarts FROM slot_move ORDER BY move_id DESC LIMIT 1",
    );
    assert.deepEqual([phase, restarts, proxy.applied], ["done", 0, { [action]: 1 }], mover.text);
  }

  for (const [routine, where] of OF_SLOTS)
    for (const action of ACTIONS)
      test(`${routine}, ${action}: the slot has moved once, with all its rows`, async () => {
        const rows = await restingRows(from);
        const { epoch } = await fenceOf(from);
        await disturbed(routine, where(), action, from, `CALL move_request(${slot}, '${to}', 0)`);
        assert.deepEqual(await rowsOf(cluster, to, slot), rows);
        const fence = { epoch: epoch + 1, server: to, journal: 0 };
        assert.deepEqual({ ...(await fenceOf(to)) }, { ...fence, state: "owned", free: 1 });
        assert.deepEqual({ ...(await fenceOf(from)), free: 0 }, { ...fence, state: "moved", free: 0 });
        [from, to] = [to, from];
      });

  test("promote_flip: the user has been promoted once, and demoted once, each time", async () => {
    const [{ id }] = users;
    const homes = () => cluster.sql(from, `SELECT own_slot FROM owner_home WHERE owner_id = ${id}`);
    for (const [there, back] of [ACTIONS.slice(0, 2), ACTIONS.slice(2)]) {
      await disturbed("promote_flip", from, there, from, `CALL promote_request(${id})`);
      assert.equal((await homes()).length, 1, there);
      await actAs(users[1], there);
      await disturbed("promote_flip", from, back ?? there, from, `CALL demote_request(${id})`);
      assert.deepEqual(await homes(), [], back);
    }
    await actAs(users[1], "in the shared slot");
  });

  test("leaves nothing behind", async () => {
    await restingRows(from);
    await assertAtRest(cluster);
    await agree();
  });
});

/* Between two reads of the journal by the mover, more writes are offered than it carries over at a time. */
describe("writes that are more than a mover carries over", () => {
  const N_SESSIONS = 256; /* touched by one CALL */
  const CALLS = 9; /* between two reads: 2304 writes; it carries 2000 */
  const ROUNDS_MAX = 60;
  /* What a read of the journal waits for: as many are let pass as N_OPEN says. */
  const GATE = `UPDATE gate SET n_asked = n_asked + 1;
    WHILE (SELECT n_asked > n_open FROM gate) DO DO SLEEP(0.002); END WHILE;

    CALL _move_answer(`;
  const ids = Array.from({ length: N_SESSIONS }, (_, i) => (i + 1).toString(16).padStart(32, "0"));
  const ackedAt = new Map(); /* by session: no write that was acknowledged last began earlier */
  let here;
  let there;
  let mover;
  let sessions; /* by shard */

  before(async () => {
    here = (await owners(cluster)).get(slot);
    there = cluster.shards.find(({ name }) => name !== here).name;
    await cluster.sql(
      here,
      `INSERT INTO session (slot, user_id, session, created_at, seen_at, expires_at)
      SELECT ${slot}, ${users[0].id}, UNHEX(LPAD(HEX(seq), 32, '0')), 1, 1, _now_ms() + 86400000 FROM seq_1_to_${N_SESSIONS}`,
    );
    await cluster.sqlAll(`CREATE TABLE gate (n_asked INT NOT NULL, n_open INT NOT NULL) ENGINE = InnoDB;
      INSERT INTO gate (n_asked, n_open) VALUES (0, 0)`);
    await install(cluster, [routine("move", "move_drain", [["CALL _move_answer(", GATE]])]);
    sessions = new Map(
      await Promise.all([here, there].map(async (name) => [name, await open(name, "SELECT 1; COMMIT")])),
    );
    mover = Mover.start(cluster);
  });
  after(async () => {
    await cluster.sqlAll("UPDATE gate SET n_open = 1000000");
    await mover.stop();
    await Promise.all([...sessions.values()].map((session) => session.end()));
    await install(cluster, [routine("move", "move_drain", [])]);
    await cluster.sqlAll("DROP TABLE gate");
    await cluster.sql((await owners(cluster)).get(slot), `DELETE FROM session WHERE created_at = 1`);
  });

  /** Offers writes to SHARD until all are told to wait, and counts in TALLY what became of them. */
  async function offer(shard, tally) {
    const ops = ids.map((session) => ({ slot, epoch: 1, owner: Number(users[0].id), session }));
    for (let i = 0, isTaken = true; i < CALLS && isTaken; i++) {
      const at = Date.now();
      const rows = await sessions.get(shard).rows(`CALL session_touch('${JSON.stringify(ops)}')`);
      for (const { n, code } of rows) {
        tally[code] = (tally[code] ?? 0) + 1;
        if (code === "ok") ackedAt.set(ids[Number(n) - 1], at);
      }
      isTaken = rows.some(({ code }) => code === "ok");
    }
  }

  /** While the journal of SOURCE is read in PHASES, offers writes before each time. Resolves to what became of them, and
   * to the longest span of the journal. */
  async function outrun(source, phases) {
    const tally = { span: 0 };
    const session = sessions.get(source);
    let opened = Number(await session.value("SELECT n_open FROM gate"));
    const look = async () => {
      const asked = Number(await session.value("SELECT n_asked FROM gate"));
      const phase = await sessions
        .get(here)
        .value(`SELECT phase FROM slot_move WHERE slot = ${slot} ORDER BY move_id DESC LIMIT 1`);
      return (!phases.includes(phase) || asked > opened) && { phase, asked };
    };
    for (let round = 1; ; round++) {
      const { phase, asked } = await until("the mover to read the journal or to end", look, { everyMs: 5 });
      if (!phases.includes(phase)) return tally;
      assert.ok(round <= ROUNDS_MAX, `${phase} after ${round} reads of the journal, ${JSON.stringify(tally)}`);
      await offer(source, tally);
      const span = await session.value(`SELECT MAX(id) - MIN(id) FROM slot_log WHERE slot = ${slot}`);
      tally.span = Math.max(tally.span, Number(span));
      opened = asked;
      await session.run(`UPDATE gate SET n_open = ${opened}`);
    }
  }

  /** Nothing else is told to anybody than to wait, and what was acknowledged is on SHARD. */
  async function assertKept(shard, tally) {
    const { ok, busy, span, ...others } = tally;
    assert.ok(ok > 0 && busy > 0 && span < 20_000 + CALLS * N_SESSIONS, JSON.stringify(tally));
    assert.deepEqual(Object.keys(others), [], JSON.stringify(tally));
    const rows = await cluster.sql(
      shard,
      `SELECT LOWER(HEX(session)) AS id, seen_at FROM session WHERE slot = ${slot} AND created_at = 1`,
    );
    assert.equal(rows.length, N_SESSIONS);
    for (const { id, seen_at: at } of rows)
      assert.ok(at >= ackedAt.get(id), `session ${id}: ${at}, acknowledged ${ackedAt.get(id)}`);
  }

  test("are told to wait, so that a move comes to its end, and so does its way back", async () => {
    await requestMove(cluster, slot, here, there, 600000);
    const out = await outrun(here, ["queued", "preparing", "copying", "draining", "verifying", "flipping"]);
    await assertKept(there, out);
    await cluster.sql(here, `CALL move_wish(${slot}, 'rollback')`);
    const back = await outrun(there, ["keeping", "reverting"]);
    await assertKept(here, back);
    const { restarts, last_error: error } = await untilMove(cluster, here, slot, ["undone"]);
    assert.deepEqual([restarts, error], [0, ""]);
  });
});

describe("a taker that is restored while others keep what they gave it for a rollback", () => {
  let giver; /* the last of the others: the script asks another one first */
  let lost; /* came after the data of the taker */
  let timed; /* the time of its move is over */
  let back; /* was going back to */
  let home; /* when the taker was lost */
  let rows; /* of the slot, on the shard that gave it, and of the one that was going back */
  let out; /* of the script */

  /** Restores the taker where it is; resolves to what the script says. */
  const restore = () =>
    new Promise((done, failed) => {
      const args = [
        `--topology=${cluster.files.topology}`,
        `--defaults-file=${cluster.files.root_cnf}`,
        `--shard=${to}`,
        "--in-place",
        "--yes",
      ];
      execFile(join(ROOT, "scripts/restore-shard.sh"), args, { env: cluster.env }, (error, text, err) =>
        error ? failed(new Error(`${error.message}\n${text}${err}`)) : done(text),
      );
    });
  /* slot_adopt raises the mint. */
  const keptRows = async () =>
    (await Promise.all([rowsOf(cluster, from, slot), rowsOf(cluster, home, back)])).map((texts) =>
      texts.filter((text) => !text.includes("`slot_seq`")),
    );
  const ready = () =>
    until("all shards", async () => (await fetch(`${cluster.server.adminUrl}/readyz`)).status === 200);

  before(async () => {
    from = (await owners(cluster)).get(slot);
    to = cluster.shards.map(({ name }) => name).find((name) => name !== from);
    giver = cluster.shards.map(({ name }) => name).findLast((name) => name !== to);
    const owner = await owners(cluster);
    back = users.map(({ id }) => slotOfId(id)).find((number) => number !== slot && owner.get(number) !== to);
    home = owner.get(back);
    [lost, timed] = [...owner]
      .filter(([number, shard]) => shard === giver && number !== slot && number !== back)
      .map(([number]) => number);
    const mover = Mover.start(cluster);
    for (const [number, source] of [
      [slot, from],
      [back, home],
      [lost, giver],
      [timed, giver],
    ]) {
      await requestMove(cluster, number, source, to, 600000);
      await untilMove(cluster, source, number, ["keeping"]);
    }
    await actAs(users[4], "after the backup");
    await restingRows(to);
    await until(
      "the journal to be read",
      async () => (await cluster.sql(to, `SELECT id FROM slot_log WHERE slot IN (${slot}, ${back})`)).length === 0,
    );
    await mover.stop();
    const victim = Mover.start(cluster, { failpoint: "move_clean:before:1" });
    await cluster.sql(home, `CALL move_wish(${back}, 'rollback')`);
    await victim.stopped();
    await victim.kill();
    await expireClaims(cluster, [victim]);
    rows = await keptRows();
    await cluster.sql(giver, `UPDATE slot_move SET keep_ms = 1 WHERE active = ${timed}`);
    await cluster.sql(
      to,
      `DELETE FROM slot_fence WHERE slot = ${lost}; DELETE FROM slot_known WHERE slot = ${lost};
      DELETE FROM slot_import WHERE slot = ${lost}; CALL _slot_changed();
      UPDATE user SET signature = 'old' WHERE slot IN (${slot}, ${back})`,
    );
    out = await restore();
  });

  test("names the one that gave it a slot that it lacks, not another that had the slot before, and until when", () => {
    const notes = out.split("\n").filter((line) => line.includes(`slot_adopt(${lost}, `));
    assert.equal(notes.length, 2, out);
    assert.match(
      notes[0],
      new RegExp(`${giver} keeps its rows at least until .*slot_adopt\\(${lost}, '${giver}'\\) there`),
    );
    assert.match(notes[1], new RegExp(`slot_adopt\\(${lost}, '${to}'\\)`));
  });

  test("leaves them what is newer: until the time is over, or the operator takes it or ends the move", async () => {
    assert.match(
      out,
      new RegExp(`slot ${slot}: ${from} has newer rows until .*\n.*slot_adopt\\(${slot}, '${from}'\\) there`),
    );
    assert.match(
      out,
      new RegExp(
        `slot ${back}: ${home} has newer rows until the move there is cancelled .*\n.*slot_adopt\\(${back}, '${home}'\\) there`,
      ),
    );
    await cluster.sql(to, `CALL slot_adopt(${lost}, '${to}')`);
    const mover = Mover.start(cluster, { args: ["--lease=1s"] }); /* it tells how far it is four times as often */
    await untilMove(cluster, giver, timed, ["done"]);
    for (const [number, source] of [
      [slot, from],
      [lost, giver],
      [back, home],
    ])
      await until("the mover to say why it waits", async () =>
        /was restored, or the slot settled/.test((await moveOf(cluster, source, number)).last_error),
      );
    await told(from, 2);
    assert.deepEqual(
      [
        (await moveOf(cluster, from, slot)).phase,
        (await moveOf(cluster, giver, lost)).phase,
        (await moveOf(cluster, home, back)).phase,
      ],
      ["keeping", "keeping", "reverting"],
    );
    assert.deepEqual(await keptRows(), rows);

    await cluster.sql(giver, `CALL move_wish(${lost}, 'finish')`);
    await untilMove(cluster, giver, lost, ["done"]);
    for (const [number, source] of [
      [slot, from],
      [back, home],
    ]) {
      const { epoch } = await fenceOf(to, number);
      await cluster.sql(source, `CALL slot_adopt(${number}, '${source}')`);
      await untilMove(cluster, source, number, ["done"]);
      const now = await fenceOf(source, number);
      assert.ok(now.state === "owned" && now.epoch > epoch, JSON.stringify([now, epoch]));
    }
    assert.deepEqual(await keptRows(), rows);

    const said = await restore();
    for (const [number, source] of [
      [slot, from],
      [back, home],
    ])
      assert.match(said, new RegExp(`slot ${number} has since moved to ${source}`));
    await cluster.sql(to, `CALL shard_admit('${to}')`);
    await ready();
    await moved(mover, from, to, 0, ["done"]);
    await requestMove(cluster, back, home, to);
    await untilMove(cluster, home, back, ["done"]);
    await mover.stop();
    await assertAtRest(cluster);
    [from, to] = [to, from];
    await actAs(users[4], "and afterwards");
    await agree();
  });
});

describe("a move on its way back", () => {
  test("waits if the slot was settled at the taker, at the very epoch that it was to have, and ends there when cancelled", async () => {
    const there = Mover.start(cluster);
    await moved(there, from, to, 600000, ["keeping"]);
    await there.stop();
    const mover = Mover.start(cluster, { failpoint: "move_open:before:1", args: ["--lease=1s"] });
    await cluster.sql(from, `CALL move_wish(${slot}, 'rollback')`);
    await mover.stopped();
    const rows = await rowsOf(cluster, from, slot);
    await cluster.sql(to, `CALL slot_settle(${slot}, '${to}')`);
    assert.equal((await fenceOf(to)).epoch, (await moveOf(cluster, from, slot)).epoch);
    mover.go();
    await until("the mover to say why it waits", async () =>
      /the slot settled there .*; else cancel the move$/.test((await moveOf(cluster, from, slot)).last_error),
    );
    await told(from, 2);
    assert.equal((await moveOf(cluster, from, slot)).phase, "reverting");
    assert.deepEqual(await rowsOf(cluster, from, slot), rows);
    await cluster.sql(from, `CALL move_wish(${slot}, 'cancel')`);
    await untilMove(cluster, from, slot, ["done"]);
    await mover.stop();
    await assertAtRest(cluster);
    assert.equal((await owners(cluster)).get(slot), to);
    [from, to] = [to, from];
    await actAs(users[3], "after all");
    await agree();
  });
});
