/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Moves for movers that are to stop at a place each: which mover has a move says slot_move, and what becomes of the move is
 * what that mover needs to come to its place. So each has one move, mostly, and none is made in vain. */

import { setTimeout as pause } from "node:timers/promises";
import { slotOfId } from "../lib/checks.js";
import { Mover, movesToEnd, movesUnderWay, wishMove } from "../lib/mover.js";
import { until } from "../lib/wait.js";
import { MANY_MOVES_MS, expireClaims, isHeldBy, pidOf } from "./moves.js";

/* So often moves are looked at: not so rarely that a phase is missed. */
const LOOK_MS = 100;

/* While nobody has seen yet who makes a move, and until what is to be done to it is done. */
const SLOW_ROWS_PER_S = 4;
const KEEP_MS = 600000;

/* One at a time, so that everybody has one. */
const STEERED_ARGS = ["--per-shard=32", "--threads=1"];
/* Who has stopped keeps his claims until he is killed, or has slept for long enough. */
const HELD_MS = 600000;

/* The slot to which the rows of MOVE go. */
const destinationOf = ({ kind, slot, own_slot, owner_id }) =>
  ({ move: slot, promote: own_slot, demote: slotOfId(owner_id) })[kind];

const ownersOf = ({ kind, owner_id }) => (kind === "move" ? "1" : `user_id = ${owner_id}`);

/* Change a row that was copied: what is compared afterwards differs, and the move begins anew. False: there is none yet. */
async function spoil(cluster, move) {
  const text = `UPDATE session SET seen_at = seen_at + 1 WHERE slot = ${destinationOf(move)} AND ${ownersOf(move)}; SELECT ROW_COUNT() AS n`;
  return (await cluster.sql(move.taker, text)).at(-1).n > 0;
}

/* A key in the journal, as a write leaves it. False: it is not kept yet. */
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

/* What has to become of a move so that its mover calls a routine: what is wished for in which phase, what is done to it while
 * it is copied, and whether others take it over. Else it is done. */
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

/* Where a mover stops first if it shall come to a routine: it gives a flip up that took longer than writers wait for one. */
const VIA = { move_unlock: "move_lock:after:1" };
const FLIP_MS = 100;

/* Has the mover of CELL stopped at its place? One that is on its way there goes on when it is late enough. */
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

/* Was it on its way, but had not got the lock, so that there was nothing to give up? */
const isPast = ({ viaAt, via, mover }) =>
  viaAt !== undefined && via === undefined && !mover.isStopped && /phase=keeping/.test(mover.text);

const isClaimed = ({ claimed_until }) => claimed_until > Date.now();

export class Steering {
  asked = 0;
  #done = new Set(); /* moves that were spoilt or written */
  #halted = false;
  #ended = false;
  #running;

  /**
   * Start a mover for each of CELLS {routine, when}, and ask for moves of KINDS for them. next() resolves to {slot, from, to}
   * of the next one, with the CALL to ask for it (`request`) if it is no move to another shard; to nothing: there is none.
   * Those that need something special have theirs before the others come.
   */
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

  /** Resolves when each mover has stopped at its place; its cell says after how many MS. */
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

  /* Ask for a move that suits those of IDLE, who have none. */
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

  /* One look at all moves. Those of movers that have stopped, or that nobody has claimed, stay as they are until halt(). */
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
      await this.#look().catch(() => {}); /* a shard that is down is looked at the next time */
      await pause(LOOK_MS);
    }
  }

  /** Ask for no more, and let all that go on be done. */
  halt() {
    this.#halted = true;
  }

  /** Wait until all are over, too. */
  async over() {
    this.halt();
    await movesToEnd(this.cluster, { timeoutMs: MANY_MOVES_MS });
  }

  /** Look at them no more. */
  async end() {
    this.#ended = true;
    await this.#running;
  }
}
