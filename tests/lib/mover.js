/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* A mover (shardctl mover) on a cluster, and the state of moves. */

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { closeSync, openSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { troubleIn } from "./cluster.js";
import { movingTables, owners } from "./rows.js";
import { SHARDCTL } from "./shardctl.js";
import { until } from "./wait.js";

/* Slots that ids contain; those above are users' own. */
const SHARED_SLOTS = 1024;

let movers = 0;

export class Mover {
  /** Start one. FAILPOINT (routine:before|after:n, several with commas between): it stops itself there, one after the other.
   * LOG: the file of its log, which it writes a moment later. */
  static start(cluster, { failpoint = "", args = [], log: file } = {}) {
    const mover = new Mover();
    movers += 1;
    mover.log = file ?? join(cluster.dir, `mover${movers}.log`);
    const log = openSync(mover.log, "w");
    /* The kernel ends even a stopped one if this process dies. */
    mover.child = spawn(
      "setpriv",
      [
        "--pdeathsig",
        "KILL",
        SHARDCTL,
        "mover",
        `--topology=${cluster.files.topology}`,
        `--password-file=${join(cluster.dir, "secrets", "mover_password")}`,
        ...args,
      ],
      {
        stdio: ["ignore", log, log],
        env: { ...process.env, DOUSHARD_FAILPOINT: failpoint },
      },
    );
    closeSync(log);
    cluster.ending.push(() => mover.child.kill("SIGKILL"));
    mover.ended = new Promise((done) => {
      mover.child.once("exit", (status, signal) => done(status ?? signal));
    });
    return mover;
  }

  get pid() {
    return this.child.pid;
  }

  get isOver() {
    return this.child.exitCode !== null || this.child.signalCode !== null;
  }

  get isStopped() {
    try {
      return /^\d+ \(.*\) T /.test(readFileSync(`/proc/${this.pid}/stat`, "utf8"));
    } catch {
      return false;
    }
  }

  get text() {
    return readFileSync(this.log, "utf8");
  }

  /** Resolves when it has stopped itself at its failpoint. */
  stopped() {
    return until("the mover to stop itself", () => this.isStopped || this.isOver, { everyMs: 5 });
  }

  go() {
    this.child.kill("SIGCONT");
  }

  async kill(signal = "SIGKILL") {
    this.child.kill(signal);
    /* If continued while it checks for leaks at its end, it would lose the signal awaited here. */
    if (signal !== "SIGKILL" && this.isStopped) this.child.kill("SIGCONT");
    return this.ended;
  }

  /** End it as an operator does. */
  async stop() {
    if (this.isOver) return;
    assert.equal(await this.kill("SIGTERM"), 0, this.text);
    assert.equal(troubleIn(this.text), "");
  }
}

/** The newest move of a slot, as its requesting shard reports it. */
export async function moveOf(cluster, shard, slot) {
  const rows = await cluster.sql(shard, "CALL move_status()");
  return rows.filter((row) => row.slot === slot).at(-1);
}

/** Requests a move by SQL alone. */
export const requestMove = (cluster, slot, from, to, keepMs = 0) =>
  cluster.sql(from, `CALL move_request(${slot}, '${to}', ${keepMs})`);

/** Write a wish for a move; resolves to whether it came in time. */
export const wishMove = (cluster, from, slot, wish) =>
  cluster.sql(from, `CALL move_wish(${slot}, '${wish}')`).then(
    () => true,
    () => false,
  );

/** Waits until the newest move of SLOT is in one of PHASES; returns it. */
export const untilMove = (cluster, shard, slot, phases, options) =>
  until(
    `move of slot ${slot} to be ${phases}`,
    async () => {
      const move = await moveOf(cluster, shard, slot);
      if (move && phases.includes(move.phase)) return move;
      return move?.phase === "failed" && !phases.includes("failed") ? { failed: move.last_error } : false;
    },
    options,
  ).then((move) => {
    assert.equal(move.failed, undefined);
    return move;
  });

/** The moves of all shards that are not over. */
export const movesUnderWay = (cluster) => cluster.sqlAll("SELECT * FROM slot_move WHERE active IS NOT NULL");

/** Waits until every move is over, whichever mover does it. */
export const movesToEnd = (cluster, { timeoutMs } = {}) =>
  until(
    "all moves to end",
    async () => {
      const moves = await movesUnderWay(cluster);
      if (moves.length === 0) return true;
      throw new Error(
        moves
          .map((m) => `slot ${m.slot} ${m.giver} to ${m.taker}: ${m.phase} ${m.wish} term ${m.term} ${m.last_error}`)
          .join("; "),
      );
    },
    { everyMs: 200, timeoutMs },
  );

/* The column of each table that names the owner of a row: a user, or a video of his. */
const OWNER_COLUMNS = {
  user: "user_id",
  inbound: "user_id",
  session: "user_id",
  video: "video_id",
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

/* The same for users with own slots: each of those slots is owned and has its partitions, and
 * nothing of its owner is left in the slot of the owner's id. */
async function assertOwnersAtRest(cluster, owner) {
  const homes = await cluster.sqlAll(`SELECT DISTINCT own_slot FROM owner_home JOIN slot_fence AS f USING (slot)
    WHERE f.state IN ('owned', 'migrating') ORDER BY own_slot`);
  const own = [...owner.keys()].filter((slot) => slot >= SHARED_SLOTS).sort((a, b) => a - b);
  assert.deepEqual(
    own,
    [...new Set(homes.map(({ own_slot }) => own_slot))].sort((a, b) => a - b),
    "own slots have owners, and those have them",
  );
  const left = await cluster.sqlAll(
    Object.entries(OWNER_COLUMNS)
      .map(
        ([table, column]) =>
          `SELECT '${table}' AS t, t.slot, COUNT(*) AS n FROM owner_home AS h JOIN \`${table}\` AS t ON t.slot = h.slot AND t.${column} = h.owner_id
      GROUP BY t.slot`,
      )
      .join(" UNION ALL "),
  );
  assert.deepEqual(left, [], "rows that owners left behind");
  // A demotion that was cancelled raised the slot above the epoch by which its partitions are named.
  const parts =
    await cluster.sqlAll(`SELECT p.partition_name AS name, GROUP_CONCAT(p.table_name) AS tables FROM information_schema.partitions AS p
    LEFT JOIN slot_fence AS f ON p.partition_name REGEXP CONCAT('^s', f.slot, '_e[0-9]+$') AND f.state = 'owned'
      AND f.epoch >= SUBSTRING_INDEX(p.partition_name, '_e', -1)
    WHERE p.table_schema = 'doushard' AND p.partition_name <> 'shared' AND f.slot IS NULL GROUP BY 1`);
  assert.deepEqual(parts, [], "partitions without a slot");
}

/** What must hold for slots when no move is under way: each of SLOTS is owned by exactly one shard,
 * and its fence has nothing left of a move; no other shard has a row or a journal of it. Returns the
 * owners. */
export async function assertAtRest(cluster, slots = SHARED_SLOTS) {
  const owner = await owners(cluster);
  assert.equal([...owner.keys()].filter((slot) => slot < SHARED_SLOTS).length, slots, "every slot is owned");
  const tables = (await movingTables(cluster)).filter((table) => table !== "slot_seq");
  const strays = await cluster.sqlAll(
    [...tables, "slot_log", "slot_lost"]
      .map(
        (table) =>
          `SELECT '${table}' AS t, t.slot, COUNT(*) AS n FROM \`${table}\` AS t LEFT JOIN slot_fence AS f USING (slot)
      WHERE ${table.startsWith("slot_") ? "1" : "COALESCE(f.state NOT IN ('owned', 'migrating'), 1)"} GROUP BY t.slot`,
      )
      .join(" UNION ALL "),
  );
  assert.deepEqual(strays, [], "rows of slots outside their owner");
  const odd =
    await cluster.sqlAll(`SELECT slot, state, journal, flip FROM slot_fence WHERE state NOT IN ('owned', 'moved')
    AND NOT (state = 'gone' AND slot >= ${SHARED_SLOTS}) OR journal <> 0 OR flip <> 0`);
  assert.deepEqual(odd, [], "fences at rest");
  await assertOwnersAtRest(cluster, owner);
  return owner;
}
