/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Moves of slots under the load of the ledger: asked for at random, some called off and some rolled back, made by movers
 * that stop at a CALL and are killed there, or somebody else is (move_matrix.test.js). */

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { quantile } from "../lib/checks.js";
import { ROOT } from "../lib/cluster.js";
import { Mover, movesToEnd, movesUnderWay, requestMove, wishMove } from "../lib/mover.js";
import { owners } from "../lib/rows.js";
import { until } from "../lib/wait.js";

/** What movers of tests are started with: a silent one is followed soon, and a shard gives and takes many slots. */
export const MOVER_ARGS = ["--lease-ms=3000", "--per-shard=32", "--threads=4"];

/* What changes nothing, or is called where something went wrong or took too long before. */
const RARE = ["MOVE_STUCK", "MOVE_LOAD", "MOVE_STAY", "MOVE_UNLOCK", "SHARD_PROBE"];

/** The routines that movers call in any move, as shard/ has them. */
export function moverRoutines() {
  const read = (file) => readFileSync(join(ROOT, "shard", file), "utf8");
  const code = ["mover.c", "move.c", "move_clear.c", "move_copy.c", "move_flip.c", "move_tell.c", "move_verify.c"].map(read).join("\n");
  return [...read("procs.def").matchAll(/^PROC\((\w+), "(\w+)", SHARD/gm)]
    .filter(([, id]) => !RARE.includes(id) && new RegExp(`\\bPROC_${id}\\b`).test(code)).map(([, , name]) => name);
}

/** Slots of GIVER that have rows. */
export async function slotsWithRows(cluster, giver) {
  const rows = await cluster.sql(giver, "SELECT DISTINCT slot FROM user JOIN slot_fence AS f USING (slot) WHERE f.state = 'owned' ORDER BY slot");
  return rows.map(({ slot }) => slot);
}

/* What becomes of a move, by chance. A copy that is slow can be called off, and meets writes. */
const DESTINIES = {
  "done": { share: 4, keepMs: 0 },
  "done slowly": { share: 2, keepMs: 0, rowsPerS: 20 },
  "rolled back": { share: 3, keepMs: 60000, wish: "rollback", at: ["keeping"] },
  "finished": { share: 1, keepMs: 60000, wish: "finish", at: ["keeping"] },
  "called off": { share: 2, keepMs: 0, rowsPerS: 4, wish: "cancel", at: ["copying", "draining", "verifying", "flipping"] },
};

/* What only becomes of some moves. */
const NEEDS = { move_cancel: "called off", move_forget: "called off", move_drained: "done slowly", move_pick: "done slowly" };

export function drawDestiny(random) {
  const all = Object.entries(DESTINIES);
  let left = random(all.reduce((sum, [, { share }]) => sum + share, 0));
  return all.find(([, { share }]) => (left -= share) < 0);
}

/** Any, but often one by which a mover of CELLS meets its place. */
export const drawFor = (cells) => (random) => {
  const needs = cells.filter(({ mover }) => !mover?.isStopped).map(({ routine }) => NEEDS[routine]).filter(Boolean);
  if (needs.length === 0 || random(2) === 0) return drawDestiny(random);
  const name = needs[random(needs.length)];
  return [name, DESTINIES[name]];
};

/**
 * Asks for moves, and says what is to become of them when they are that far. next() resolves to {slot, from, to} of the
 * next one, or to nothing when there is none; N: so many are kept under way, for as long as halt() is not called.
 */
export class Traffic {
  asked = 0;
  #halted = false;
  #ended = false;
  #running;
  #wanted = new Map(); /* of slot: {from, destiny} */

  constructor(cluster, { random, next, n = 0, destiny = drawDestiny }) {
    Object.assign(this, { cluster, random, next, n, destiny });
    this.#running = this.#run();
  }

  /** Ask for one more; resolves to a word about it, or to nothing if that cannot be. */
  async ask() {
    const route = await this.next();
    if (!route) return undefined;
    const { slot, from, to } = route;
    const [name, destiny] = this.destiny(this.random);
    try {
      await requestMove(this.cluster, slot, from, to, destiny.keepMs);
    } catch {
      return undefined; /* the shard is down, or a move of the slot is under way */
    }
    this.#wanted.set(slot, { from, destiny });
    this.asked += 1;
    if (destiny.rowsPerS) await this.cluster.sql(from, `CALL move_throttle(${slot}, ${destiny.rowsPerS})`).catch(() => {});
    return `slot ${slot} ${from} to ${to}, to be ${name}`;
  }

  /* One look at all of them. */
  async #shepherd() {
    const moves = await movesUnderWay(this.cluster);
    for (const { slot, phase, wish } of moves) {
      const { from, destiny } = this.#wanted.get(slot) ?? {};
      if (destiny?.wish && wish === "go" && destiny.at.includes(phase)) await wishMove(this.cluster, from, slot, destiny.wish);
    }
    for (let i = moves.length; i < this.n && !this.#halted; i++) if (!(await this.ask())) break;
  }

  async #run() {
    while (!this.#ended) {
      await this.#shepherd().catch(() => {}); /* a shard that is down is looked at the next time */
      await pause(100);
    }
  }

  /** Ask for no more, and let none be slow any more. */
  async halt() {
    this.#halted = true;
    for (const [slot, { from }] of this.#wanted) await this.cluster.sql(from, `CALL move_throttle(${slot}, 0)`).catch(() => {});
  }

  /** Wait until all are over, too. */
  async stop() {
    try {
      await this.halt();
      await movesToEnd(this.cluster);
    } finally {
      this.#ended = true;
      await this.#running;
    }
  }
}

/** next() for Traffic: every slot of GIVER that has rows goes to TAKER, once each. */
export async function oneWay(cluster, giver, taker, random) {
  const slots = (await slotsWithRows(cluster, giver)).map((slot) => ({ slot, key: random(1 << 30) })).sort((a, b) => a.key - b.key);
  return async () => {
    if (slots.length === 0) slots.push(...(await slotsWithRows(cluster, giver)).map((slot) => ({ slot })));
    const { slot } = slots.pop() ?? {};
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

/** Movers of which one after the other may die: another one follows. */
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

/** What the moves came to that were asked for SINCE (ms since the Unix epoch): {moves, phases, errors, pauses in ms}. */
export async function tally(cluster, since = 0) {
  const moves = await cluster.sqlAll(`SELECT phase, pause_us, last_error FROM slot_move WHERE requested_at >= ${since}`);
  const phases = {};
  for (const { phase } of moves) phases[phase] = (phases[phase] ?? 0) + 1;
  /* 1: somebody else than who began it ended the flip. */
  const pauses = moves.map((m) => m.pause_us).filter((us) => us > 1).map((us) => us / 1000);
  return { moves: moves.length, phases, errors: moves.filter((m) => m.phase === "failed").map((m) => m.last_error), pauses };
}

/** Numbers of milliseconds as a text. */
export const quantiles = (list) => (list.length === 0 ? "none"
  : `p50 ${quantile(list, 0.5).toFixed(1)} ms, p99 ${quantile(list, 0.99).toFixed(1)} ms, max ${Math.max(...list).toFixed(1)} ms`);

/** How the service answered the requests in the file HISTORY: {ok, writes, unknown, codes, ms}; BEGUN and ENDED (nowUs)
 * leave out what was under way before and after. */
export function answersOf(history, begun = 0n, ended = 1n << 62n) {
  const answers = { ok: 0, writes: 0, unknown: 0, codes: {}, ms: [] };
  for (const line of readFileSync(history, "utf8").trim().split("\n")) {
    const f = line.split(" ");
    if (BigInt(f[7]) < begun || BigInt(f[8]) > ended) continue;
    if (f[9] === "0") answers.ok += 1;
    if (f[9] === "0" && Number(f[2]) < 6) answers.writes += 1;
    if (f[9] === "2") answers.unknown += 1;
    answers.codes[f[10]] = (answers.codes[f[10]] ?? 0) + 1;
    answers.ms.push((Number(f[8]) - Number(f[7])) / 1000);
  }
  return answers;
}

/** The clock of the histories. */
export const nowUs = () => process.hrtime.bigint() / 1000n;

/** Start movers that stop at the FAILPOINTS of CELLS {routine, when} while TRAFFIC feeds them; resolves when each has. */
export async function stopAll(cluster, cells, args) {
  for (const cell of cells) {
    cell.mover = Mover.start(cluster, { failpoint: `${cell.routine}:${cell.when}:1`,
      args: cell.routine === "move_unlock" ? [...args, "--lock-ms=1"] : args });
  }
  await until("every mover to stop itself", () => {
    const left = cells.filter(({ mover }) => !mover.isStopped);
    if (left.length === 0) return true;
    throw new Error(left.map(({ routine, when, mover }) => `not ${routine}:${when}: ${mover.text.slice(-1000)}`).join("\n"));
  }, { everyMs: 20 });
}
