/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Kills in the middle of moves, promotions and demotions: movers that stop at different CALLs run
 * side by side, each with a move in which it reaches its CALL, and when all have stopped somebody is
 * killed (move_matrix.test.js). */

import {
  Movers,
  expireClaims,
  heavyUsers,
  moverRoutines,
  oneWay,
  ownSlots,
  ownSlotRoutines,
  promoterRoutines,
  slotsWithRows,
} from "./moves.js";
import { crashServer, crashShard } from "./faults.js";
import { Steering } from "./steering.js";
import { until } from "../lib/wait.js";

/** Options of movers that are not killed: they finish what they have begun, however slow that is. */
export const PATIENT_ARGS = ["--lease=20s", "--per-shard=32", "--threads=2"];
const DOWN_MS = 300;

/** The matrices: the routines that movers call, who is killed, which of them in the same round,
 * and which moves there are. A mover that is stopped in the flip of a move keeps others from
 * altering tables, so promotions have rounds of their own, and of the moves of own slots, which
 * alter tables and flip, each has one. */
export const MOVES = {
  name: "moves",
  kinds: ["move"],
  routines: moverRoutines,
  victims: ["mover", "source", "target", "server"],
  rounds: [["mover", "server"], ["source"], ["target"]],
  next: ({ cluster, heavy, random }, from, to) => oneWay(cluster, from, to, random, heavy),
};
export const PROMOTIONS = {
  name: "promotions",
  kinds: ["promote", "demote"],
  routines: promoterRoutines,
  victims: ["mover", "sleeper", "source", "server"],
  rounds: [["mover", "sleeper"], ["server"], ["source"]],
  next: ({ cluster, heavy, random }, from) => heavyUsers(cluster, from, heavy, random),
};
export const OWN_SLOTS = {
  name: "own slots",
  kinds: ["move"],
  routines: ownSlotRoutines,
  victims: ["mover", "source", "target", "server"],
  rounds: [["mover"], ["source"], ["target"], ["server"]],
  isAlone: true,
  next: ({ cluster, heavy, random }, from, to) => ownSlots(cluster, from, to, heavy, random),
};

/** Every place of KIND, before and after each CALL, by the victim killed there; OFFSET rotates the
 * victims. */
export function drawn({ routines, victims }, offset) {
  const rounds = Object.fromEntries(victims.map((victim) => [victim, []]));
  for (const [i, place] of routines()
    .flatMap((routine) => ["before", "after"].map((when) => ({ routine, when })))
    .entries())
    rounds[victims[(((i + (i >> 2) - offset) % 4) + 4) % 4]].push(place);
  return rounds;
}

const goOn = (cells) => {
  for (const { mover } of cells) mover.go();
};
const moversOf = (cells) => cells.map(({ mover }) => mover);

/* CRASH kills a shard or a server; the movers go on while it is down. Resolves when all servers
 * serve again. */
async function without({ cluster }, cells, crash) {
  await crash(() => goOn(cells));
  await Promise.all(
    cluster.servers.map((server) =>
      until(`${server.name} ready`, () => fetch(`${server.adminUrl}/readyz`).then((r) => r.ok)),
    ),
  );
}

/* What is done to the movers of CELLS when all of them have stopped. */
const strikes = {
  mover: (_scene, cells) => Promise.all(moversOf(cells).map((mover) => mover.kill())),
  sleeper: ({ cluster }, cells) => expireClaims(cluster, moversOf(cells)),
  source: (scene, cells) =>
    without(scene, cells, (whenDown) => crashShard(scene.cluster, scene.from, DOWN_MS, whenDown)),
  target: (scene, cells) => without(scene, cells, (whenDown) => crashShard(scene.cluster, scene.to, DOWN_MS, whenDown)),
  server: (scene, cells) =>
    without(scene, cells, (whenDown) =>
      crashServer(scene.cluster.servers[scene.random(scene.cluster.servers.length)], whenDown),
    ),
};

/* The stopped movers are killed: others do the rest, whatever became of their last CALL. */
async function leave({ cluster }, cells) {
  await Promise.all(moversOf(cells).map((mover) => mover.stop()));
  await expireClaims(cluster, moversOf(cells));
}

/* They go on where they stopped, although others have done their work since. */
async function wake(cells) {
  goOn(cells);
  await until("those who slept to be refused", () =>
    cells.every(({ routine, mover }) => routine === "move_claim" || /move_attempt_ended/.test(mover.text)),
  );
  await Promise.all(moversOf(cells).map((mover) => mover.stop()));
}

/* The shard with more slots, then the other one. */
async function byRows(cluster) {
  const sizes = await Promise.all(
    cluster.shards.map(async ({ name }) => [(await slotsWithRows(cluster, name)).length, name]),
  );
  return sizes.sort((a, b) => b[0] - a[0]).map(([, name]) => name);
}

/* The result of a round in words; BEGUN, MET, STRUCK are times of performance.now(). */
function wordsOf({ from, to }, { kind, parts, asked, begun, met, struck }) {
  const second = (a, b) => ((b - a) / 1000).toFixed(1);
  const cells = parts.flatMap((part) => part.cells).sort((a, b) => b.ms - a.ms);
  return `${kind.name}, killed: ${parts.map(({ victim }) => victim).join(", ")}; ${from} to ${to}: ${asked} asked for, ${cells.length} places met after ${second(
    begun,
    met,
  )} s, strike ${second(met, struck)} s, over after ${second(struck, performance.now())} s more: ${cells
    .map(({ routine, when, ms }) => `${routine}:${when} ${(ms / 1000).toFixed(1)}`)
    .join(", ")}`;
}

/* After the kill everything is finished: movers that slept wake up when others have done their work. */
async function recover(scene, steering, cells, sleepers) {
  const movers = new Movers(scene.cluster, 2, PATIENT_ARGS);
  await leave(
    scene,
    cells.filter((cell) => !sleepers.includes(cell)),
  );
  await steering.over();
  await wake(sleepers);
  await movers.stop();
}

/** One round of KIND: movers stop at the cells of all PARTS {victim, cells}, each victim is killed,
 * and everything is finished. SCENE: {cluster, random, heavy}. Resolves to a text about the round. */
export async function round({ cluster, random, heavy }, kind, parts) {
  const [from, to] = await byRows(cluster);
  const scene = { cluster, random, heavy, from, to };
  const cells = parts.flatMap((part) => part.cells);
  const sleepers = parts.filter(({ victim }) => victim === "sleeper").flatMap((part) => part.cells);
  const begun = performance.now();
  const steering = new Steering(cluster, { cells, kinds: kind.kinds, next: await kind.next(scene, from, to) });
  try {
    await steering.met();
    steering.halt();
    const met = performance.now();
    await Promise.all(parts.map((part) => strikes[part.victim](scene, part.cells)));
    const struck = performance.now();
    await recover(scene, steering, cells, sleepers);
    return wordsOf(scene, { kind, parts, asked: steering.asked, begun, met, struck });
  } finally {
    await steering.end();
  }
}
