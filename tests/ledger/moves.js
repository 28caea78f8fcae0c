/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Moves of slots under the load of the ledger: requested at random, some cancelled and some rolled
 * back, made by movers that stop at a CALL and are killed there, or somebody else is
 * (move_matrix.test.js). */

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { quantile, slotOfId } from "../lib/checks.js";
import { ROOT } from "../lib/cluster.js";
import { Mover, movesToEnd, movesUnderWay, requestMove, wishMove } from "../lib/mover.js";
import { owners } from "../lib/rows.js";

/** How long many moves may take together, beside whatever else runs. */
export const MANY_MOVES_MS = 600000;

/** Options of the tests' movers: a silent mover is soon replaced, and a shard gives and takes many
 * slots at a time. */
export const MOVER_ARGS = ["--lease=3s", "--per-shard=32", "--threads=4"];

/* Routines that change nothing. */
const HARMLESS = ["MOVE_STUCK", "MOVE_LOAD", "SHARD_PROBE"];

/* The routines that promotions and demotions share with moves: the claim, the progress, reading for
 * the other side of a copy, cancelling. */
const SHARED = [
  "MOVE_CLAIM",
  "MOVE_BEAT",
  "MOVE_LOOK",
  "MOVE_OPEN",
  "MOVE_READ",
  "MOVE_PICK",
  "MOVE_DRAIN",
  "MOVE_DRAINED",
  "MOVE_CANCEL",
  "MOVE_SWEEP",
  "SLOT_LEARN",
  "PROMOTE_WRITE",
];

/* The routines that FILES of shard/ name, and MORE. */
function routinesOf(files, more = []) {
  const read = (file) => readFileSync(join(ROOT, "shard", file), "utf8");
  const code = files.map(read).join("\n");
  return [...read("procs.def").matchAll(/^PROC\((\w+), "(\w+)", SHARD/gm)]
    .filter(([, id]) => !HARMLESS.includes(id) && (more.includes(id) || new RegExp(`\\bPROC_${id}\\b`).test(code)))
    .map(([, , name]) => name);
}

/** The routines that movers call in any move, according to shard/. */
export const moverRoutines = () =>
  routinesOf([
    "mover.c",
    "move.c",
    "move_call.c",
    "move_clear.c",
    "move_copy.c",
    "move_flip.c",
    "move_tell.c",
    "move_verify.c",
  ]).filter((name) => !name.startsWith("promote_"));

/** Those of promotions and demotions, and the statements that make and drop partitions. */
export const promoterRoutines = () => [
  ...routinesOf(["move_owner.c", "partition.c"], SHARED),
  "add_partition",
  "drop_partition",
];

/** Where moves of own slots differ from others, and where such a slot changes hands. */
export const ownSlotRoutines = () => [
  "add_partition",
  "drop_partition",
  "move_import",
  "move_ready",
  "move_give",
  "move_purge",
];

/** Slots of GIVER with rows, except for those of OTHERS (ids of users) and own slots. */
export async function slotsWithRows(cluster, giver, others = []) {
  const rows = await cluster.sql(
    giver,
    `SELECT DISTINCT slot FROM user JOIN slot_fence AS f USING (slot)
    WHERE f.state = 'owned' AND slot < 1024 ORDER BY slot`,
  );
  const taken = new Set(others.map(slotOfId));
  return rows.map(({ slot }) => slot).filter((slot) => !taken.has(slot));
}

/* The fate of a move, by chance, and what is requested for it in which phase. A slow copy can be
 * cancelled, and meets writes. */
const DESTINIES = {
  done: { share: 4, keepMs: 0 },
  "done slowly": { share: 2, keepMs: 0, rowsPerS: 60 },
  "rolled back": { share: 3, keepMs: 60000, wishes: [["keeping", "rollback"]] },
  finished: { share: 1, keepMs: 60000, wishes: [["keeping", "finish"]] },
  "called off": {
    share: 2,
    keepMs: 0,
    rowsPerS: 4,
    wishes: ["copying", "draining", "verifying", "flipping"].map((phase) => [phase, "cancel"]),
  },
  "kept after all": {
    share: 1,
    keepMs: 60000,
    wishes: [
      ["keeping", "rollback"],
      ["reverting", "cancel"],
    ],
  },
};

function drawDestiny(random) {
  let left = random(Object.values(DESTINIES).reduce((sum, { share }) => sum + share, 0));
  return Object.entries(DESTINIES).find(([, { share }]) => (left -= share) < 0);
}

/** Requests moves, and their fates once they are far enough. next() resolves to {slot, from, to} of
 * the next move, or to nothing if there is none; N moves are kept under way until halt() is called. */
export class Traffic {
  asked = 0;
  #halted = false;
  #ended = false;
  #running;
  #wanted = new Map(); /* by slot: {from, destiny} */

  constructor(cluster, { random, next, n = 0 }) {
    Object.assign(this, { cluster, random, next, n });
    this.#running = this.#run();
  }

  /** Requests one more; resolves to a word about it, or to nothing if that is impossible. */
  async ask() {
    const route = await this.next();
    if (!route) return undefined;
    const { slot, from, to } = route;
    const [name, destiny] = drawDestiny(this.random);
    try {
      await requestMove(this.cluster, slot, from, to, destiny.keepMs);
    } catch {
      return undefined; /* the shard is down, or a move of the slot is under way */
    }
    this.#wanted.set(slot, { from, destiny });
    this.asked += 1;
    if (destiny.rowsPerS)
      await this.cluster.sql(from, `CALL move_throttle(${slot}, ${destiny.rowsPerS})`).catch(() => {});
    return `slot ${slot} ${from} to ${to}, to be ${name}`;
  }

  /* Looks at all of them once. */
  async #shepherd() {
    const moves = await movesUnderWay(this.cluster);
    for (const { slot, phase, wish } of moves) {
      const { from, destiny } = this.#wanted.get(slot) ?? {};
      const [, wished = wish] = destiny?.wishes?.find(([at]) => at === phase) ?? [];
      if (wished !== wish) await wishMove(this.cluster, from, slot, wished);
    }
    for (let i = moves.length; i < this.n && !this.#halted; i++) if (!(await this.ask())) break;
  }

  async #run() {
    while (!this.#ended) {
      await this.#shepherd().catch(() => {}); /* a shard that is down is looked at next time */
      await pause(100);
    }
  }

  /** Requests no more, and lets none be slow any more. */
  async halt() {
    this.#halted = true;
    for (const [slot, { from }] of this.#wanted)
      await this.cluster.sql(from, `CALL move_throttle(${slot}, 0)`).catch(() => {});
  }

  /** Also waits until all are over. */
  async stop() {
    try {
      await this.halt();
      await movesToEnd(this.cluster, { timeoutMs: MANY_MOVES_MS });
    } finally {
      this.#ended = true;
      await this.#running;
    }
  }
}

/** next() for Traffic and Steering: every slot of GIVER with rows, except those of OTHERS (users),
 * goes to TAKER, once each. */
export async function oneWay(cluster, giver, taker, random, others = []) {
  const slots = (await slotsWithRows(cluster, giver, others))
    .map((slot) => ({ slot, key: random(1 << 30) }))
    .sort((a, b) => a.key - b.key);
  return async () => {
    if (slots.length === 0) slots.push(...(await slotsWithRows(cluster, giver, others)).map((slot) => ({ slot })));
    const { slot } = slots.pop() ?? {};
    return slot === undefined ? undefined : { slot, from: giver, to: taker };
  };
}

/** next() for Steering: USERS (ids) on GIVER are promoted, and those who already are, demoted. */
export const heavyUsers = (cluster, giver, users, random) => async () => {
  const resting = await cluster.sql(
    giver,
    `SELECT u.user_id AS id, u.slot FROM user AS u JOIN slot_fence AS f USING (slot)
    WHERE f.state = 'owned' AND u.user_id IN (${users}) AND NOT EXISTS (SELECT 1 FROM slot_move AS m
      WHERE m.active IS NOT NULL AND (m.owner_id = u.user_id OR m.slot = u.slot)) ORDER BY u.user_id`,
  );
  if (resting.length === 0) return undefined;
  const { id, slot } = resting[random(resting.length)];
  return { slot, from: giver, to: giver, request: `CALL ${slot < 1024 ? "promote" : "demote"}_request(${id})` };
};

/* Number of USERS on SHARD that are promoted for moves of own slots. */
const PROMOTED = 4;

/** next() for Steering: own slots of GIVER go to TAKER. If it has none, some of USERS (ids) on it
 * are promoted before. */
export async function ownSlots(cluster, giver, taker, users, random) {
  const resting = () =>
    cluster.sql(
      giver,
      `SELECT slot FROM slot_fence AS f WHERE slot >= 1024 AND state = 'owned' AND NOT EXISTS
      (SELECT 1 FROM slot_move AS m WHERE m.active IS NOT NULL AND m.slot = f.slot) ORDER BY slot`,
    );
  if ((await resting()).length === 0) {
    const next = heavyUsers(cluster, giver, users, random);
    for (let i = 0; i < PROMOTED; i++) await next().then((user) => user && cluster.sql(giver, user.request));
    const movers = new Movers(cluster, 1);
    await movesToEnd(cluster, { timeoutMs: MANY_MOVES_MS });
    await movers.stop();
  }
  return async () => {
    const [{ slot } = {}] = await resting();
    return slot === undefined ? undefined : { slot, from: giver, to: taker };
  };
}

/** next() for Traffic: any of SLOTS, from wherever it is. */
export const anyWay = (cluster, slots, random) => async () => {
  const slot = slots[random(slots.length)];
  const from = (await owners(cluster)).get(slot);
  const others = cluster.shards.filter(({ name }) => name !== from);
  return from === undefined ? undefined : { slot, from, to: others[random(others.length)].name };
};

/** Movers of which one after another may die and is replaced. */
export class Movers {
  all = [];

  constructor(cluster, n, args = MOVER_ARGS) {
    Object.assign(this, { cluster, args });
    this.list = Array.from({ length: n }, () => this.#start());
  }

  #start() {
    const mover = Mover.start(this.cluster, { args: this.args });
    this.all.push(mover);
    return mover;
  }

  async kill(i) {
    await this.list[i].kill();
    this.list[i] = this.#start();
  }

  async freeze(i, ms) {
    const mover = this.list[i];
    mover.child.kill("SIGSTOP");
    await pause(ms);
    mover.go();
  }

  async stop() {
    for (const mover of this.list) await mover.stop();
  }
}

/** The results of the moves requested SINCE (ms since the Unix epoch): {moves, phases, errors,
 * pauses in ms}. */
export async function tally(cluster, since = 0) {
  const moves = await cluster.sqlAll(
    `SELECT phase, pause_us, last_error FROM slot_move WHERE requested_at >= ${since}`,
  );
  const phases = {};
  for (const { phase } of moves) phases[phase] = (phases[phase] ?? 0) + 1;
  /* 1: the flip was ended by another process than the one that began it. */
  const pauses = moves
    .map((m) => m.pause_us)
    .filter((us) => us > 1)
    .map((us) => us / 1000);
  return {
    moves: moves.length,
    phases,
    errors: moves.filter((m) => m.phase === "failed").map((m) => m.last_error),
    pauses,
  };
}

/** A list of milliseconds as text. */
export const quantiles = (list) =>
  list.length === 0
    ? "none"
    : `p50 ${quantile(list, 0.5).toFixed(1)} ms, p99 ${quantile(list, 0.99).toFixed(1)} ms, max ${Math.max(...list).toFixed(1)} ms`;

const requestOf = (line) => {
  const f = line.split(" ");
  const [begun, ended] = [Number(f[7]), Number(f[8])];
  return {
    line,
    worker: f[0],
    slots: [f[3], f[4]]
      .map(Number)
      .filter((id) => id > 0)
      .map(slotOfId),
    isWrite: Number(f[2]) < 6,
    isOk: f[9] === "0",
    isUnknown: f[9] === "2",
    code: f[10],
    repeats: Number(f[16]),
    begun,
    ended,
    ms: (ended - begun) / 1000,
  };
};

/** The requests in the file HISTORY (history.h), with their final answers; times are those of
 * nowUs(). */
export function requestsOf(history) {
  const all = readFileSync(history, "utf8").trim().split("\n").map(requestOf);
  return all.filter(({ worker, begun }, i) => all[i + 1]?.worker !== worker || all[i + 1].begun !== begun);
}

/** When slots took part in moves, in times of nowUs(): a Map of slot to [[from, to], ..]. For own
 * slots: the slots of their owners. */
export async function movingTimes(cluster) {
  const sinceUs = (ms) => ms * 1000 - (Date.now() * 1000 - nowUs());
  const moves = await cluster.sqlAll(`SELECT IF(owner_id > 0, (owner_id DIV 8) MOD 1024, slot) AS slot, requested_at,
    COALESCE(finished_at, requested_at) AS finished_at FROM slot_move`);
  const times = new Map();
  for (const { slot, requested_at, finished_at } of moves)
    times.set(slot, [...(times.get(slot) ?? []), [sinceUs(requested_at), sinceUs(finished_at)]]);
  return times;
}

/** The clock of the histories. */
export const nowUs = () => Number(process.hrtime.bigint() / 1000n);

/** The process that last claimed a move, from its row of slot_move; and those of MOVERS, as a
 * condition on such rows. */
export const pidOf = ({ holder }) => Number(holder.split("/").at(-1));
export const isHeldBy = (movers) =>
  `SUBSTRING_INDEX(holder, '/', -1) IN (${[0, ...movers.map(({ pid }) => pid)].map((pid) => `'${pid}'`)})`;

/** Lets others take over the moves of MOVERS, as if these had been silent for long. */
export const expireClaims = (cluster, movers) =>
  cluster.sqlAll(`UPDATE slot_move SET claimed_until = 0 WHERE active IS NOT NULL AND ${isHeldBy(movers)}`);
