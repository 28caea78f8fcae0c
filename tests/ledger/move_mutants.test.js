/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Shows that the tests of moves find mistakes: with a mistake in the routines that a move relies on,
 * something acknowledged is lost, a row is where it must not be, or a slot has two owners or none,
 * and the checkers report it; the same steps without the mistake end well.
 *
 * No load and no chance: a mover stops itself where a write hurts most, the write is made, and the
 * mover goes on.
 *
 * LEDGER_MUTANTS: all, as in make check-chaos; otherwise four, chosen by LEDGER_SEED. */

import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { slotOfId } from "../lib/checks.js";
import { Cluster } from "../lib/cluster.js";
import { nameOn } from "../lib/load.js";
import { Mover, assertAtRest, requestMove, untilMove, wishMove } from "../lib/mover.js";
import { movingTables, moveSlot, owners, plantVideos, removeStrays, rowsOf } from "../lib/rows.js";
import { until } from "../lib/wait.js";
import { audit, clearWorld, drawn, install, judge, routine } from "./lib.js";
import { nowUs } from "./moves.js";

const [FROM, TO] = ["shard1", "shard2"];
/* A kept move ends only when that is requested. */
const LONG_MS = 600000;
/* A write waits for a step of a move: nothing gives up before that. */
const PATIENT = { db_call_timeout: "20s", request_timeout: "30s" };
let cluster;
let api;
let files = 0;

before(async () => {
  cluster = await Cluster.up({ shards: 2, options: { log_level: "warn", ...PATIENT } });
  ({ api } = cluster);
});
after(() => cluster?.down());

/* ---- a scene: one user, whose slot moves, and videos that the user likes ---- */

/** The requests to the service and its answers, as the checker reads them (history.h). */
class Notes {
  lines = [];

  /** USER likes VIDEO (ON), or takes the like back; resolves to the code of the answer. */
  async like(user, video, on = true) {
    const begun = nowUs();
    const { status_code: code } = await api.like(user.token, video.id, on ? 1 : 2);
    this.lines.push([
      1,
      this.lines.length,
      0,
      user.id,
      video.id,
      0,
      Number(on),
      begun,
      nowUs(),
      code === 0 ? 0 : 2,
      code,
      0,
      0,
      0,
      0,
      0,
      0,
    ]);
    return code;
  }

  write() {
    files += 1;
    const file = join(cluster.dir, `notes${files}.txt`);
    writeFileSync(file, this.lines.map((line) => `${line.join(" ")}\n`).join(""));
    return file;
  }
}

async function newScene() {
  const owner = await owners(cluster);
  const user = await api.register(nameOn(FROM, owner));
  const author = await api.register(nameOn(TO, owner));
  const videos = await plantVideos(
    cluster,
    [1, 2].map((i) => ({ author: author.id, at: Date.now() - 1000 * i })),
  );
  await cluster.sql(TO, `UPDATE user SET work_count = 2 WHERE user_id = ${author.id}`);
  const scene = { user, videos, slot: slotOfId(user.id), notes: new Notes() };
  scene.like = (i, on) => scene.notes.like(user, videos[i], on);
  assert.equal(await scene.like(0), 0);
  await delivered();
  return scene;
}

const delivered = () =>
  until("second halves to be delivered", async () => (await cluster.sqlAll("SELECT 1 AS x FROM outbox")).length === 0);

/** Empties the slot and gives it back to its first owner, whatever has happened to it. */
async function forget({ slot }) {
  const [{ epoch }] = await cluster.sql(
    FROM,
    `SELECT MAX(GREATEST(epoch, heard_epoch)) + 10 AS epoch FROM slot_fence WHERE slot = ${slot}`,
  );
  await cluster.sqlAll(`DELETE FROM slot_move; DELETE FROM slot_log; DELETE FROM slot_lost; DELETE FROM slot_import;
    UPDATE slot_fence SET state = IF((SELECT name FROM shard_self) = '${FROM}', 'owned', 'moved'), epoch = ${epoch}, server = '${FROM}',
      token = NULL, journal = 0, flip = 0, heard_epoch = 0, rival_epoch = 0 WHERE slot = ${slot};
    REPLACE INTO slot_known (slot, epoch, server) VALUES (${slot}, ${epoch}, '${FROM}');
    CALL _slot_changed()`);
  await clearWorld(cluster);
}

/** What the checkers find, in words: about fences and rows without a move, acknowledged writes,
 * counters and halves. */
async function findings({ notes }) {
  const found = [];
  await assertAtRest(cluster).catch((error) => found.push(`at rest: ${error.message.split("\n")[0]}`));
  const { violations } = await judge(cluster, notes.write());
  found.push(...Object.keys(violations));
  if (found.length === 0 && (await audit(cluster)).status !== 0)
    found.push("audit"); /* it waits for slots that nobody has */
  return found;
}

/* ---- steps of a scene ---- */

const movers = [];

function start(failpoint = "") {
  const mover = Mover.start(cluster, { failpoint, args: ["--lease=10min", "--threads=1"] });
  movers.push(mover);
  return mover;
}
const moveIs = (scene, phases) => untilMove(cluster, FROM, scene.slot, phases);

/** Requests a move; resolves to a mover that has stopped itself at FAILPOINT in it. */
async function stoppedAt(failpoint, { slot }, keepMs = 0) {
  const mover = start(failpoint);
  await requestMove(cluster, slot, FROM, TO, keepMs);
  await mover.stopped();
  return mover;
}

/** Ends the claim of a mover that does not answer. */
const expire = ({ slot }) => cluster.sql(FROM, `UPDATE slot_move SET claimed_until = 0 WHERE active = ${slot}`);

async function goOn(mover, scene) {
  mover.go();
  const move = await moveIs(scene, ["done"]);
  await mover.stop();
  return move;
}

/* A write has passed the fence and is not committed when the slot is about to move: it waits at a
 * gate (see GATE). */
async function writeAcrossMove(scene) {
  const keeper = cluster.session(FROM);
  const isOnShard = async (text) => (await cluster.sql(FROM, `SELECT 1 AS x FROM DUAL WHERE ${text}`)).length > 0;
  await keeper.run("SELECT GET_LOCK('gate', 0)");
  const written = scene.like(1);
  await until("the write to come to the gate", () => isOnShard("IS_USED_LOCK('before the gate') IS NOT NULL"));
  const mover = start();
  await requestMove(cluster, scene.slot, FROM, TO, LONG_MS);
  await until(
    "the flip, or the mover to wait for the write",
    () =>
      isOnShard(
        `EXISTS (SELECT 1 FROM information_schema.innodb_trx WHERE trx_state = 'LOCK WAIT')
     OR EXISTS (SELECT 1 FROM slot_move WHERE slot = ${scene.slot} AND phase = 'keeping')`,
      ),
    { everyMs: 200 },
  ); /* innodb_trx is not updated more often */
  await keeper.end();
  assert.equal(await written, 0);
  await moveIs(scene, ["keeping"]);
  assert.ok(await wishMove(cluster, FROM, scene.slot, "finish"));
  await moveIs(scene, ["done"]);
  await mover.stop();
}

/* A write while the mover is stopped at FAILPOINT. */
const writeAt = (failpoint) => async (scene) => {
  const mover = await stoppedAt(failpoint, scene);
  assert.equal(await scene.like(1), 0);
  await delivered();
  const { restarts } = await goOn(mover, scene);
  return restarts > 0 ? ["verification"] : [];
};

/** Which write of a copy has the rows of TABLE: the number of non-empty tables before it, plus one. */
async function writeOf(table, { slot }) {
  const tables = ["account", "owner_home", "session", "idem", "follow", "follower", "favorite"];
  const rows = await cluster.sql(
    FROM,
    tables
      .slice(0, tables.indexOf(table))
      .map((t) => `SELECT COUNT(*) > 0 AS some FROM \`${t}\` WHERE slot = ${slot}`)
      .join(" UNION ALL "),
  );
  return rows.filter(({ some }) => Number(some) === 1).length + 1;
}

/* A mover sleeps before writing a row that it has read; another one takes over, the row changes and
 * is copied again; then the first one writes its old row. */
async function sleeperWrites(scene) {
  const sleeper = await stoppedAt(`move_write:before:${await writeOf("favorite", scene)}`, scene);
  const mover = start("move_lock:before:1");
  await expire(scene);
  assert.equal(await scene.like(0, false), 0);
  await mover.stopped();
  sleeper.go();
  await until("the first mover to give up", () => /move_attempt_ended/.test(sleeper.text));
  await sleeper.stop();
  await goOn(mover, scene);
}

/* A mover sleeps before it begins, and begins when another one is in the middle of the flip. */
async function sleeperBegins(scene) {
  const sleeper = await stoppedAt("move_import:before:1", scene);
  const mover = start("move_give:after:1");
  await expire(scene);
  await mover.stopped();
  sleeper.go();
  await until("the first mover to give up, or to have begun", () => /move_attempt_ended/.test(sleeper.text));
  await sleeper.kill();
  const [{ state }] = await cluster.sql(TO, `SELECT state FROM slot_fence WHERE slot = ${scene.slot}`);
  if (state === "importing") {
    await mover.kill();
    return;
  }
  await goOn(mover, scene);
}

/* A row at the taker differs from the giver's. */
async function damage(scene) {
  const mover = await stoppedAt("move_drain:before:1", scene);
  await cluster.sql(TO, `UPDATE favorite SET state = 0 WHERE slot = ${scene.slot}`);
  const { restarts } = await goOn(mover, scene);
  return restarts > 0 ? ["verification"] : [];
}

/* The mover dies when the taker has everything and the giver does not know yet that the slot has
 * moved. */
async function dieBeforeMoved(scene) {
  const mover = await stoppedAt("move_give:before:1", scene);
  await mover.kill();
  const heirs = await owners(cluster).catch(() => undefined);
  if (heirs === undefined) return;
  assert.equal(heirs.get(scene.slot), FROM);
  await expire(scene);
  const next = start();
  await moveIs(scene, ["done"]);
  await next.stop();
}

const deleteRows = async ({ slot }) =>
  (await movingTables(cluster))
    .filter((t) => t !== "slot_seq")
    .map((t) => `DELETE FROM \`${t}\` WHERE slot = ${slot};`)
    .join("\n");

/* The slot has moved away and back when its shard is started with its earlier data; then somebody
 * notices, and restores the right data. */
async function oldData(scene) {
  const save = async () => {
    const [fence] = await cluster.sql(FROM, `SELECT epoch FROM slot_fence WHERE slot = ${scene.slot}`);
    return { epoch: fence.epoch, rows: await rowsOf(cluster, FROM, scene.slot) };
  };
  const put = async ({ epoch, rows }) =>
    cluster.sql(
      FROM,
      `START TRANSACTION; ${await deleteRows(scene)} ${rows.join(";\n")};
    UPDATE slot_fence SET epoch = ${epoch}, heard_epoch = 0 WHERE slot = ${scene.slot};
    UPDATE slot_known SET epoch = ${epoch} WHERE slot = ${scene.slot}; CALL _slot_changed(); COMMIT`,
    );
  const old = await save();
  for (const [from, to, on] of [
    [FROM, TO, true],
    [TO, FROM, false],
  ]) {
    /* the server learns of both moves */
    await moveSlot(cluster, scene.slot, from, to);
    await removeStrays(cluster);
    assert.equal(await scene.like(1, on), 0);
    await delivered();
  }
  assert.equal(await scene.like(0, false), 0);
  await delivered();
  const right = await save();
  await put(old);
  await scene.like(1);
  await put(right);
}

/* ---- the mistakes ---- */

const LOCK = "LOCK IN SHARE MODE";
const like = (...edits) => routine("favorite", "_favorite_action_one", edits);
const fence = (...edits) => ["_op_fence", "_op_fences"].map((name) => routine("op", name, edits));
const check = (...edits) => routine("move", "_move_check", edits);

/* Between the lock on the fence and what follows it. */
const GATE = [
  "        -- The user row is locked",
  `        DO GET_LOCK('before the gate', 60);
        DO GET_LOCK('gate', 60);
        DO RELEASE_ALL_LOCKS();
        -- The user row is locked`,
];

/* play(scene) resolves to what the mover itself has found, if anything. `caught`: some of this must
 * be found; the control finds nothing except `noticed`, which repairs itself. `slowly`: routines of
 * the control. */
const mistakes = [
  {
    name: "a fence that is read without its lock",
    play: writeAcrossMove,
    caught: ["I1"],
    slowly: () => [like(GATE)],
    routines: () => [like(GATE, [LOCK, ""])],
    originals: () => [like()],
  },
  {
    name: "a routine that does not journal",
    play: writeAt("move_lock:before:1"),
    caught: ["I1"],
    routines: () => [routine("favorite", "_favorite_action_batch", [["CALL _slot_log_add_ops('favorite');", ""]])],
    originals: () => [routine("favorite", "_favorite_action_batch", [])],
  },
  {
    name: "the same, while there is time to compare",
    play: writeAt("move_drain:before:1"),
    caught: ["verification"],
    routines: () => [routine("favorite", "_favorite_action_batch", [["CALL _slot_log_add_ops('favorite');", ""]])],
    originals: () => [routine("favorite", "_favorite_action_batch", [])],
  },
  {
    name: "writes of a mover that are not fenced by its token",
    play: sleeperWrites,
    caught: ["I1"],
    routines: () => [check(["f.token = UNHEX(in_token) AND ", ""])],
    originals: () => [check()],
  },
  {
    name: "a mover that begins although its term is over",
    play: sleeperBegins,
    caught: ["at rest: every slot is owned"],
    routines: () => [routine("move", "move_import", [[" OR v_term > in_term", ""]])],
    originals: () => [routine("move", "move_import", [])],
  },
  {
    name: "nothing compared, and one row damaged",
    play: damage,
    caught: ["I1"],
    noticed: ["verification"],
    routines: () => [routine("move", "move_read", [["COALESCE(MD5(v_rows), '')", "''"]])],
    originals: () => [routine("move", "move_read", [])],
  },
  {
    name: "a taker that owns the slot before the giver says that it has moved",
    play: dieBeforeMoved,
    caught: [/^at rest: slot \d+ is owned by/],
    routines: () => [routine("move", "move_ready", [["f.state      = 'ready'", "f.state      = 'owned'"]])],
    originals: () => [routine("move", "move_ready", [])],
  },
  {
    name: "no look at epochs, and an old owner with old data",
    play: oldData,
    caught: ["I1"],
    routines: () => [
      like(["f.slot = v_slot AND f.epoch = v_epoch", "f.slot = v_slot"]),
      ...fence(),
      routine("slot", "slot_learn", [["GREATEST(f.heard_epoch, w.epoch)", "f.heard_epoch"]]),
    ],
    originals: () => [like(), ...fence(), routine("slot", "slot_learn", [])],
  },
];

/** Plays the scene; resolves to all that was found. */
async function found(mistake) {
  const scene = await newScene();
  try {
    const noticed = await mistake.play(scene);
    await delivered();
    return [...(noticed ?? []), ...(await findings(scene))];
  } finally {
    await Promise.all(movers.splice(0).map((mover) => mover.kill()));
    await forget(scene);
  }
}

const seed = Number(process.env.LEDGER_SEED || Date.now() % 1000000);
const played = new Set(); /* scenes played without a mistake: one that several mistakes share is played once */

for (const mistake of process.env.LEDGER_MUTANTS === "all" ? mistakes : drawn(mistakes, 4, seed)) {
  test(mistake.name, async (t) => {
    t.diagnostic(`LEDGER_SEED=${seed}`);
    if (!played.has(mistake.play)) {
      await install(cluster, mistake.slowly?.() ?? []);
      assert.deepEqual(await found(mistake), mistake.noticed ?? [], "without the mistake");
      played.add(mistake.play);
    }
    await install(cluster, mistake.routines());
    try {
      const all = await found(mistake);
      const isCaught = (what) => (what instanceof RegExp ? all.some((one) => what.test(one)) : all.includes(what));
      t.diagnostic(`note: caught: ${mistake.name}: ${all.join(", ")}`);
      assert.ok(mistake.caught.some(isCaught), `not caught: ${JSON.stringify(all)}`);
    } finally {
      await install(cluster, mistake.originals());
    }
  });
}
