/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Moves for movers that must stop at one CALL each: slot_move tells which mover has which move, and
 * each move gets the fate that its mover needs to reach its CALL. So each mover mostly has one move,
 * and none is made in vain. */

import { setTimeout as pause } from "node:timers/promises";
import { slotOfId } from "../lib/checks.js";
import { Mover, movesToEnd, movesUnderWay, wishMove } from "../lib/mover.js";
import { until } from "../lib/wait.js";
import { MANY_MOVES_MS, expireClaims, isHeldBy, pidOf } from "./moves.js";

/* How often moves are looked at: often enough that no phase is missed. */
const LOOK_MS = 100;

/* Until it is known who does a move, and until what must be done to it is done. */
const SLOW_ROWS_PER_S = 4;
const KEEP_MS = 600000;

/* One at a time, so that every mover gets one. */
const STEERED_ARGS = ["--per-shard=32", "--threads=1"];
/* A stopped mover keeps its claims until it is killed, or has slept for long enough. */
const HELD_MS = 600000;

/* The slot that the rows of MOVE go to. */
const destinationOf = ({ kind, slot, own_slot, owner_id }) =>
  ({ move: slot, promote: own_slot, demote: slotOfId(owner_id) })[kind];

const ownersOf = ({ kind, owner_id }) => (kind === "move" ? "1" : `user_id = ${owner_id}`);

/* Changes a row that was copied: the comparison then finds a difference, and the move starts over.
 * False: there is none yet. */
async function spoil(cluster, move) {
  const text = `UPDATE session SET seen_at = seen_at + 1 WHERE slot = ${destinationOf(move)} AND ${ownersOf(move)}; SELECT ROW_COUNT() AS n`;
  return (await cluster.sql(move.taker, text)).at(-1).n > 0;
}

/* Puts a key into the journal, as a write does. False: the journal is not kept yet. */
async function write(cluster, move) {
  const text = `INSERT INTO slot_log (slot, tbl, owner, k1) SELECT u.slot, 'user', u.user_id, u.user_id
    FROM slot_fence AS f JOIN user AS u USING (slot) WHERE f.slot = ${move.slot} AND f.state = 'migrating' AND ${ownersOf(move)}
    LIMIT 1 LOCK IN SHARE MODE; SELECT ROW_COUNT() AS n`;
  return (await cluster.sql(move.giver, text)).at(-1).n > 0;
}

const CALLED_OFF = {
  isSlow: true,
  wishes: ["copying", "draining", "verifying", "flipping"].map((phase) => [phase, "cancel"]),
};
const DONE = { wishes: [["keeping", "finish"]] };

/* The fate that a move needs so that its mover calls a routine: what is requested in which phase,
 * what is done to it while it is copied, and whether others take it over. Without an entry it just
 * runs. */
const FATES = {
  move_cancel: CALLED_OFF,
  move_sweep: CALLED_OFF,
  move_forget: CALLED_OFF,
  move_drained: { ...DONE, isSlow: true, deed: write },
  move_pick: { ...DONE, isSlow: true, deed: spoil },
  move_stay: {
    isKept: true,
    wishes: [
      ["keeping", "rollback"],
      ["reverting", "cancel"],
    ],
  },
  move_adopt: { isKept: true, wishes: [], isTakenOver: true },
};
const fateOf = ({ routine }) => FATES[routine] ?? DONE;

/* Where a mover must stop first to reach a routine: it gives up a flip that took longer than writers
 * wait for one. */
const VIA = { move_unlock: "move_lock:after:1" };
const FLIP_MS = 100;

/* Whether the mover of CELL has stopped at its CALL. One that has stopped on its way there continues
 * when it is late enough. */
function hasMet(cell) {
  const now = performance.now();
  if (!cell.mover.isStopped) return false;
  if (cell.via === undefined) return true;
  cell.viaAt ??= now;
  if (now < cell.viaAt + FLIP_MS) return false;
  cell.via = undefined;
  cell.mover.go();
  return false;
}

/* Whether it was on its way, but had not got the lock, so that there was nothing to give up. */
const isPast = ({ viaAt, via, mover }) =>
  viaAt !== undefined && via === undefined && !mover.isStopped && /phase=keeping/.test(mover.text);

const isClaimed = ({ claimed_until }) => claimed_until > Date.now();

export class Steering {
  asked = 0;
  #done = new Set(); /* moves that were disturbed or written to */
  #halted = false;
  #ended = false;
  #running;

  /** Starts a mover for each of CELLS {routine, when}, and requests moves of KINDS for them. next()
   * resolves to {slot, from, to} of the next one, with the CALL that requests it (`request`) if it
   * is not a move to another shard; to nothing: there is none. Movers that need something special
   * get their moves before the others. */
  constructor(cluster, { cells, kinds, next }) {
    Object.assign(this, { cluster, cells, kinds, next });
    const special = cells.filter((cell) => fateOf(cell) !== DONE);
    this.#start(special.length > 0 ? special : cells);
    this.#running = this.#run();
  }

  #start(cells) {
    for (const cell of cells) {
      cell.via = VIA[cell.routine];
      cell.viaAt = undefined;
      const failpoint = [...(cell.via ? [cell.via] : []), `${cell.routine}:${cell.when}:1`].join(",");
      cell.mover = Mover.start(this.cluster, { failpoint, args: STEERED_ARGS });
    }
  }

  get #unmet() {
    return this.cells.filter(({ ms }) => ms === undefined);
  }

  /** Resolves when each mover has stopped at its CALL; its cell gets the time in MS. */
  async met() {
    const begun = performance.now();
    await until(
      "every mover to stop itself",
      async () => {
        const stopped = this.#unmet.filter((cell) => cell.mover && hasMet(cell));
        if (stopped.length > 0) await this.#hold(stopped.map(({ mover }) => mover));
        for (const cell of stopped) cell.ms = performance.now() - begun;
        if (this.#unmet.length === 0) return true;
        throw new Error(
          this.#unmet
            .map(({ routine, when, mover }) => `not ${routine}:${when}: ${mover?.text.slice(-1000)}`)
            .join("\n"),
        );
      },
      { everyMs: 20, timeoutMs: MANY_MOVES_MS },
    );
  }

  #hold(movers) {
    return this.cluster.sqlAll(`UPDATE slot_move SET claimed_until = ${Date.now() + HELD_MS}
      WHERE active IS NOT NULL AND claimed_until > ${Date.now()} AND ${isHeldBy(movers)}`);
  }

  /* Requests a move that suits one of IDLE, the movers without a move. */
  async #ask(idle) {
    const route = await this.next();
    if (!route) return false;
    const { slot, from, to } = route;
    const fates = idle.map(fateOf);
    const request =
      route.request ?? `CALL move_request(${slot}, '${to}', ${fates.some(({ isKept }) => isKept) ? KEEP_MS : 0})`;
    await this.cluster.sql(
      from,
      `${request};${fates.some(({ isSlow }) => isSlow) ? `CALL move_throttle(${slot}, ${SLOW_ROWS_PER_S})` : ""}`,
    );
    this.asked += 1;
    return true;
  }

  async #steer(move, { wishes, isSlow, deed }) {
    const { giver, move_id, slot, phase, wish, rows_per_s } = move;
    const name = `${giver} ${move_id}`;
    const [, wished = wish] = wishes.find(([at]) => at === phase) ?? [];
    if (wished !== wish) await wishMove(this.cluster, giver, slot, wished);
    if (deed && phase === "copying" && !this.#done.has(name) && (await deed(this.cluster, move))) this.#done.add(name);
    if (rows_per_s > 0 && !(isSlow && !this.#done.has(name)))
      await this.cluster.sql(giver, `CALL move_throttle(${slot}, 0)`);
  }

  /* Looks at all moves once. Those of stopped movers, and unclaimed ones, stay as they are until
   * halt(). */
  async #look() {
    const moves = (await movesUnderWay(this.cluster)).filter(({ kind }) => this.kinds.includes(kind));
    if (this.#halted) {
      await Promise.all(moves.map((move) => this.#steer(move, DONE)));
      return;
    }
    const unmet = this.#unmet.filter(({ mover }) => mover);
    const claims = moves
      .filter(isClaimed)
      .map((move) => ({ move, cell: unmet.find(({ mover }) => mover.pid === pidOf(move)) }));
    await Promise.all(claims.filter(({ cell }) => cell).map(({ move, cell }) => this.#steer(move, fateOf(cell))));
    const kept = claims.filter(({ move, cell }) => cell && fateOf(cell).isTakenOver && move.phase === "keeping");
    if (kept.length > 0)
      await expireClaims(
        this.cluster,
        kept.map(({ cell }) => cell.mover),
      );
    const idle = unmet.filter((cell) => !claims.some((claim) => claim.cell === cell));
    for (let n = moves.length - claims.length; n < idle.length && !this.#halted; n++)
      if (!(await this.#ask(idle))) break;
    for (const cell of unmet.filter(isPast)) {
      const { mover } = cell;
      this.#start([cell]);
      await mover.stop();
    }
    if (idle.length === 0) this.#start(this.cells.filter(({ mover }) => !mover));
  }

  async #run() {
    while (!this.#ended) {
      await this.#look().catch(() => {}); /* a shard that is down is looked at next time */
      await pause(LOOK_MS);
    }
  }

  /** Requests no more, and lets all that are under way finish. */
  halt() {
    this.#halted = true;
  }

  /** Also waits until all are over. */
  async over() {
    this.halt();
    await movesToEnd(this.cluster, { timeoutMs: MANY_MOVES_MS });
  }

  /** Stops looking at them. */
  async end() {
    this.#ended = true;
    await this.#running;
  }
}
