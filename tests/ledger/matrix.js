/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Kills in the middle of moves, promotions and demotions: movers that stop at different places run side by side, moves are
 * asked for, called off and rolled back until each has met its place, and then somebody is killed (move_matrix.test.js). */

import { Movers, Traffic, drawDestiny, expireClaims, heavyUsers, moverRoutines, nowUs, oneWay, promoterRoutines, slotsWithRows,
  stopAll } from "./moves.js";
import { crashServer, crashShard } from "./faults.js";
import { until } from "../lib/wait.js";

/* Who has stopped keeps his claim until he is killed, or has slept for long enough: so everybody else has moves of his own. */
const FAILPOINT_ARGS = ["--lease-ms=600000", "--per-shard=32", "--threads=1"];
const DOWN_MS = 300;

/* What only becomes of some moves: where a mover is to meet a place of that, such moves are asked for more often. */
const CALLED_OFF = "called off";
const SLOWLY = "done slowly";

/** The two matrices: the routines that movers call, who is killed, what may become of a move, and which moves there are. */
export const MOVES = {
  name: "moves", routines: moverRoutines, victims: ["mover", "source", "target", "server"], destinies: undefined,
  needs: { move_cancel: CALLED_OFF, move_forget: CALLED_OFF, move_drained: SLOWLY, move_pick: SLOWLY },
  next: ({ cluster, random }, from, to) => oneWay(cluster, from, to, random),
};
export const PROMOTIONS = {
  name: "promotions", routines: promoterRoutines, victims: ["mover", "sleeper", "source", "server"], destinies: ["done", SLOWLY, CALLED_OFF],
  needs: { move_cancel: CALLED_OFF, move_sweep: CALLED_OFF, move_drained: SLOWLY, move_pick: SLOWLY },
  next: ({ cluster, heavy, random }, from) => heavyUsers(cluster, from, heavy, random),
};

/** Every place of KIND, before and after each CALL, by whom is killed there: OFFSET turns that round. */
export function drawn({ routines, victims }, offset) {
  const rounds = Object.fromEntries(victims.map((victim) => [victim, []]));
  for (const [i, place] of routines().flatMap((routine) => ["before", "after"].map((when) => ({ routine, when }))).entries())
    rounds[victims[(((i + (i >> 2) - offset) % 4) + 4) % 4]].push(place);
  return rounds;
}

/* Any destiny, but first those by which a mover of CELLS meets its place. */
const drawFor = ({ destinies, needs }, cells) => (random) => {
  const wanted = cells.filter(({ mover }) => !mover?.isStopped).map(({ routine }) => needs[routine]).filter(Boolean);
  return drawDestiny(random, wanted.length > 0 ? [wanted[random(wanted.length)]] : destinies);
};

const goOn = (cells) => { for (const { mover } of cells) mover.go(); };

/* While RESTORE brings back what was killed, and until it serves again, clients may be told that it is away. */
async function away({ cluster, faults, cells }, restore) {
  const begun = nowUs();
  const up = restore();
  goOn(cells);
  await up;
  await Promise.all(cluster.servers.map((server) => until(`${server.name} ready`,
    () => fetch(`${server.adminUrl}/readyz`).then((r) => r.ok))));
  faults.push([begun, nowUs()]);
}

/* What is done when all movers have stopped. */
const strikes = {
  mover: ({ cells }) => Promise.all(cells.map(({ mover }) => mover.kill())),
  sleeper: ({ cluster }) => expireClaims(cluster),
  source: (scene) => away(scene, () => crashShard(scene.cluster, scene.from, DOWN_MS)),
  target: (scene) => away(scene, () => crashShard(scene.cluster, scene.to, DOWN_MS)),
  server: (scene) => away(scene, () => crashServer(scene.cluster.servers[scene.random(scene.cluster.servers.length)])),
};

/* The movers that stopped leave the rest to others, whatever became of what they last asked for. */
async function leave(scene) {
  await Promise.all(scene.cells.map(({ mover }) => mover.stop()));
  await expireClaims(scene.cluster);
}

/* They go on where they stopped, though others have done their work since. */
async function wake({ cells }) {
  goOn(cells);
  await until("those who slept to be refused", () =>
    cells.every(({ routine, mover }) => routine === "move_claim" || /move_attempt_ended/.test(mover.text)));
  await Promise.all(cells.map(({ mover }) => mover.stop()));
}

/* The shard that has more, then the other. */
async function byRows(cluster) {
  const sizes = await Promise.all(cluster.shards.map(async ({ name }) => [(await slotsWithRows(cluster, name)).length, name]));
  return sizes.sort((a, b) => b[0] - a[0]).map(([, name]) => name);
}

/**
 * One round: movers stop at all of CELLS, VICTIM dies, and everything comes to its end. SCENE: {cluster, random, heavy,
 * faults}; to its faults is added when shards or servers were away. Resolves to a text about it.
 */
export async function round({ cluster, random, heavy, faults }, kind, victim, cells) {
  const [from, to] = await byRows(cluster);
  const scene = { cluster, random, heavy, faults, cells, from, to };
  const begun = performance.now();
  const traffic = new Traffic(cluster, { random, n: cells.length + 2, next: await kind.next(scene, from, to), destiny: drawFor(kind, cells) });
  await stopAll(cluster, cells, FAILPOINT_ARGS);
  await traffic.halt();
  const met = performance.now();
  await strikes[victim](scene);
  const struck = performance.now();
  const movers = new Movers(cluster, 2);
  if (victim !== "sleeper") await leave(scene);
  await traffic.stop();
  if (victim === "sleeper") await wake(scene);
  await movers.stop();
  const second = (a, b) => ((b - a) / 1000).toFixed(1);
  return `${kind.name}, ${victim} killed, ${from} to ${to}: ${traffic.asked} asked for, ${cells.length} places met after ${second(begun, met)} s, strike ${
    second(met, struck)} s, over after ${second(struck, performance.now())} s more: ${
    cells.map(({ routine, when, ms }) => `${routine}:${when} ${(ms / 1000).toFixed(1)}`).join(", ")}`;
}
