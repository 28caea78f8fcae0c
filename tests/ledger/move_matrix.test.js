/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Kills in the middle of moves: for every CALL of a mover, before it and after it, a move is stopped there while clients
 * write everywhere, and the mover, the shard that gives, the shard that takes or an HTTP server is killed. Without anybody's help
 * every slot is then owned by exactly one shard, every move ends, and nothing that was acknowledged is lost.
 *
 * Movers that stop at different places run side by side, and moves are asked for, called off and rolled back until each
 * has met its place; who is killed then is drawn, and is the same for all of one round.
 *
 * MOVE_SEED: repeats a run, as far as processes let it. MOVE_SEEDS: so many runs (1); in any four that follow each other
 * every place meets every victim. */

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { Cluster } from "../lib/cluster.js";
import { assertAtRest } from "../lib/mover.js";
import { until } from "../lib/wait.js";
import { crashServer, crashShard } from "./faults.js";
import { audit, clearWorld, judge, loadWorld, randomFrom, runClients, settle } from "./lib.js";
import { MOVER_ARGS, Movers, Traffic, answersOf, drawFor, moverRoutines, nowUs, oneWay, quantiles, slotsWithRows, stopAll, tally } from "./moves.js";

const SEEDS = Number(process.env.MOVE_SEEDS || 1);
const first = Number(process.env.MOVE_SEED || Date.now() % 1000000);
const VICTIMS = ["mover", "source", "target", "server"];
const QUIET_MOVES = 4;
const QUIET_MS = 2000;
/* Codes that a client is told whatever happens to shards: done, no answer, not its comment, busy, unavailable, unknown. */
const KNOWN = ["0", "-1", "1010", "1012", "1016", "1017", "1018"];
const FAILPOINT_ARGS = [...MOVER_ARGS, "--threads=1"];
let cluster;

before(async () => {
  cluster = await Cluster.up({ shards: 2, server: false });
  for (let i = 0; i < 2; i++) await cluster.addServer({ log_level: "warn" }).then((s) => s.start());
});
after(() => cluster?.down());

/* Every place, and who is killed there: {victim: [{routine, when}]}. */
function drawn(seed, random) {
  const offset = random(VICTIMS.length) - (seed - first); /* the same for all seeds of a run, but for their number */
  const places = moverRoutines().flatMap((routine) => ["before", "after"].map((when) => ({ routine, when })));
  const rounds = Object.fromEntries(VICTIMS.map((victim) => [victim, []]));
  for (const [i, place] of places.entries()) rounds[VICTIMS[(((i + (i >> 2) - offset) % 4) + 4) % 4]].push({ ...place });
  return rounds;
}

const strikes = {
  mover: (cells) => Promise.all(cells.map(({ mover }) => mover.kill())),
  source: async (cells, { from }) => {
    const up = crashShard(cluster, from, 300);
    for (const { mover } of cells) mover.go();
    await up;
  },
  target: async (cells, { to }) => {
    const up = crashShard(cluster, to, 300);
    for (const { mover } of cells) mover.go();
    await up;
  },
  server: async (cells, { random }) => {
    const up = crashServer(cluster.servers[random(2)]);
    for (const { mover } of cells) mover.go();
    await up;
  },
};

/* One round: all of CELLS stop, VICTIM dies, and everything comes to its end. */
async function round(t, victim, cells, random) {
  const names = (await Promise.all(cluster.shards.map(async ({ name }) => [(await slotsWithRows(cluster, name)).length, name])))
    .sort((a, b) => b[0] - a[0]).map(([, name]) => name);
  const [from, to] = names;
  const begun = performance.now();
  const traffic = new Traffic(cluster, { random, n: cells.length + 2, next: await oneWay(cluster, from, to, random),
    destiny: drawFor(cells) });
  await stopAll(cluster, cells, FAILPOINT_ARGS);
  await traffic.halt();
  const met = performance.now();
  await strikes[victim](cells, { from, to, random });
  const movers = new Movers(cluster, 2);
  await traffic.stop();
  await movers.stop();
  for (const { mover } of cells) await mover.stop();
  const second = (a, b) => ((b - a) / 1000).toFixed(1);
  t.diagnostic(`${victim} killed, ${from} to ${to}: ${traffic.asked} moves asked for, ${cells.length} places met after ${second(begun, met)} s, over after ${
    second(met, performance.now())} s more: ${cells.map(({ routine, when }) => `${routine}:${when}`).join(" ")}`);
  return cells.length;
}

/* Moves without faults: clients are told nothing but what they asked for. */
async function quietly(random) {
  const movers = new Movers(cluster, 2);
  const idle = nowUs();
  await pause(QUIET_MS);
  const [begun, since] = [nowUs(), Date.now()];
  const traffic = new Traffic(cluster, { random, n: 2, next: await oneWay(cluster, "shard1", "shard2", random) });
  await until("some moves", () => traffic.asked >= QUIET_MOVES);
  await traffic.stop();
  const ended = nowUs();
  await movers.stop();
  return { idle, begun, ended, asked: traffic.asked, pauses: (await tally(cluster, since)).pauses };
}

async function oneSeed(t, seed) {
  const random = randomFrom(seed);
  t.diagnostic(`MOVE_SEED=${seed}`);
  await clearWorld(cluster);
  const world = await loadWorld(cluster, { users: 100, videos: 40, chats: 0, ghosts: 0, seed, name: `world${seed}` });
  let end;
  const ending = new Promise((done) => { end = done; });
  const running = runClients(cluster, world, { name: `history${seed}`, ending, seconds: 3600, clients: 12, seed, "hot-percent": 0,
    mix: "35,25,12,6,15,0,7,0" });
  let kills = 0;
  let quiet;
  try {
    quiet = await quietly(random);
    for (const [victim, cells] of Object.entries(drawn(seed, random))) kills += await round(t, victim, cells, random);
  } finally {
    end();
    await running.catch(() => {});
  }
  const run = await running;
  for (const line of run.text.trim().split("\n")) t.diagnostic(line);
  await settle(cluster);
  await assertAtRest(cluster);
  const { violations, text } = await judge(cluster, run.history);
  for (const line of text.trim().split("\n")) t.diagnostic(line);
  assert.deepEqual(violations, {}, text);
  const audited = await audit(cluster);
  assert.equal(audited.status, 0, audited.text);

  const all = answersOf(run.history);
  assert.deepEqual(Object.keys(all.codes).filter((code) => !KNOWN.includes(code)), [], JSON.stringify(all));
  const undisturbed = answersOf(run.history, quiet.begun, quiet.ended);
  assert.ok(undisturbed.ok > 0);
  assert.equal(undisturbed.unknown, 0, JSON.stringify(undisturbed));
  const before = answersOf(run.history, quiet.idle, quiet.begun);
  t.diagnostic(`${quiet.asked} moves without faults: ${undisturbed.ok} requests done, ${undisturbed.unknown} errors; all requests ${
    quantiles(undisturbed.ms)}, before them ${quantiles(before.ms)}`);
  return { kills, writes: all.writes, losses: violations.I1 ?? 0, pauses: quiet.pauses };
}

test("moves end well wherever a mover, a shard or a server is killed", async (t) => {
  const sum = { kills: 0, writes: 0, losses: 0, pauses: [] };
  for (let i = 0; i < SEEDS; i++) {
    const one = await oneSeed(t, first + i);
    for (const key of ["kills", "writes", "losses"]) sum[key] += one[key];
    sum.pauses.push(...one.pauses);
  }
  const { moves, phases, errors, pauses } = await tally(cluster);
  t.diagnostic(`note: ${moves} moves (${Object.entries(phases).map(([phase, n]) => `${n} ${phase}`).join(", ")}), ${sum.kills} places with a kill, ${
    sum.writes} acknowledged writes, ${sum.losses} lost`);
  t.diagnostic(`note: ${sum.pauses.length} write pauses without faults: ${quantiles(sum.pauses)}; ${pauses.length} of all moves: ${quantiles(pauses)}`);
  assert.deepEqual(errors, []);
});
