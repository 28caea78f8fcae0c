/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Kills in the middle of moves: for every CALL of a mover, before it and after it, a move is stopped there while clients
 * write everywhere, and the mover, the shard that gives, the shard that takes or an HTTP server is killed. Without anybody's help
 * every slot is then owned by exactly one shard, every move ends, and nothing that was acknowledged is lost. The same of
 * users who get slots of their own and come back from them, where a mover may sleep instead and wake when others have done
 * its work. The servers combine writes and cache in Redis.
 *
 * Movers that stop at different places run side by side, and moves are asked for, called off and rolled back until each
 * has met its place; who is killed then is drawn, and is the same for all of one round (matrix.js).
 *
 * MOVE_SEED: repeats a run, as far as processes let it. MOVE_SEEDS: so many runs with all places of moves and promotions, of
 * which in any four that follow each other every place meets every victim; unless it is given, one run with a fourth of the
 * places of moves, without those to which few come. MOVE_ROUNDS: only those that match, as "promotions sleeper". */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { cachedCluster } from "../lib/cached.js";
import { assertAtRest, movesToEnd } from "../lib/mover.js";
import { until } from "../lib/wait.js";
import { audit, clearWorld, judge, loadWorld, randomFrom, runClients, settle } from "./lib.js";
import { MOVES, PROMOTIONS, drawn, round } from "./matrix.js";
import { Movers, Traffic, movingTimes, nowUs, oneWay, quantiles, requestsOf, tally } from "./moves.js";

const IS_LONG = process.env.MOVE_SEEDS !== undefined;
const SEEDS = Number(process.env.MOVE_SEEDS || 1);
const first = Number(process.env.MOVE_SEED || Date.now() % 1000000);
/* Moves without faults, and how long it is quiet before them. */
const QUIET_MOVES = IS_LONG ? 20 : 4;
const QUIET_MS = IS_LONG ? 8000 : 1000;
/* Users who may be promoted; the load is on them more than on others. */
const HEAVY = 40;
/* So old may a counter be that was read while a shard is away; as in ledger.test.js. */
const STALE_MS = 5010;
/* Codes that a client is told whatever happens to shards: done, no answer, not its comment, busy, unavailable, unknown. */
const KNOWN = ["0", "-1", "1010", "1012", "1016", "1017", "1018"];
const ROUNDS = new RegExp(process.env.MOVE_ROUNDS || "");
/* It takes many moves until one comes there. */
const isSoonMet = ({ routine }) => !["move_adopt", "move_cancel", "move_forget", "move_pick"].includes(routine);
let cluster;

before(async () => {
  cluster = await cachedCluster({ shards: 2 });
  for (let i = 0; i < 2; i++) await cluster.addServer({ log_level: "warn", ...cluster.cacheOptions }).then((s) => s.start());
});
after(() => cluster?.down());

/* Moves without faults. Resolves to when it was still quiet, when they began and when they ended. */
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
  return { idle, begun, ended, asked: traffic.asked, ...await tally(cluster, since) };
}

/* Whoever has a slot of his own comes back. */
async function comeHome() {
  const homes = await cluster.sqlAll("SELECT owner_id FROM owner_home WHERE author_id IS NULL");
  for (const { shard, owner_id } of homes) await cluster.sql(shard, `CALL demote_request(${owner_id})`);
  const movers = new Movers(cluster, 2);
  await movesToEnd(cluster);
  await movers.stop();
}

/* What the clients of one seed saw: of REQUESTS those that nothing excuses, the rest of those that were told that nobody
 * knows, and those of slots that never moved while it was QUIET, before and during the moves. */
async function judgeAnswers(requests, quiet, faults) {
  const times = await movingTimes(cluster);
  const meets = (r, [from, to]) => r.begun <= to && r.ended >= from;
  const isMoving = (r) => r.slots.some((slot) => times.get(slot)?.some((time) => meets(r, time)));
  const isQuiet = (r) => r.begun >= quiet.idle && r.ended <= quiet.ended;
  const errors = requests.filter((r) => !KNOWN.includes(r.code) || (r.isUnknown && isQuiet(r)));
  /* A mover that stands still in a flip holds up who shares a CALL with its slot. */
  const heldUp = requests.filter((r) => r.isUnknown && !isQuiet(r) && !isMoving(r) && !faults.some((time) => meets(r, time))).length;
  const resting = requests.filter((r) => !r.slots.some((slot) => times.get(slot)?.some((time) => meets({ begun: quiet.begun, ended: quiet.ended }, time))));
  const within = (from, to) => resting.filter((r) => r.begun >= from && r.ended <= to).map(({ ms }) => ms);
  return { errors: errors.map((r) => `${r.line}: ${r.code}`), heldUp, idle: { ms: within(quiet.idle, quiet.begun), us: quiet.begun - quiet.idle },
    moving: { ms: within(quiet.begun, quiet.ended), us: quiet.ended - quiet.begun } };
}

async function oneSeed(t, seed) {
  const random = randomFrom(seed);
  t.diagnostic(`MOVE_SEED=${seed}`);
  await clearWorld(cluster);
  const world = await loadWorld(cluster, { users: 100, videos: 40, chats: 0, ghosts: 0, seed, name: `world${seed}` });
  const heavy = [...readFileSync(world, "utf8").matchAll(/^user (\d+)/gm)].slice(0, HEAVY).map(([, id]) => id);
  const faults = [];
  let end;
  const ending = new Promise((done) => { end = done; });
  const running = runClients(cluster, world, { name: `history${seed}`, ending, seconds: 3600, clients: 12, seed, "hot-users": HEAVY,
    "hot-percent": 30, mix: "35,25,12,6,15,0,7,0" });
  let kills = 0;
  let quiet;
  try {
    quiet = await quietly(random);
    const offset = random(4) - (seed - first); /* the same for all seeds of a run, but for their number */
    const rounds = [MOVES, PROMOTIONS].map((kind) => Object.entries(drawn(kind, offset)).map(([victim, cells]) => [kind, victim, cells]));
    const some = IS_LONG ? rounds.flat() : [rounds[0][random(4)]].map(([kind, victim, cells]) => [kind, victim, cells.filter(isSoonMet)]);
    for (const [kind, victim, cells] of some) {
      if (!ROUNDS.test(`${kind.name} ${victim}`)) continue;
      t.diagnostic(await round({ cluster, random, heavy, faults }, kind, victim, cells));
      kills += cells.length;
    }
    if (IS_LONG) await comeHome();
  } finally {
    end();
    await running.catch(() => {});
  }
  const run = await running;
  for (const line of run.text.trim().split("\n")) t.diagnostic(line);
  await settle(cluster);
  await assertAtRest(cluster);
  const { violations, text } = await judge(cluster, run.history, undefined, { staleMs: STALE_MS });
  for (const line of text.trim().split("\n")) t.diagnostic(line);
  assert.deepEqual(violations, {}, text);
  const audited = await audit(cluster);
  assert.equal(audited.status, 0, audited.text);

  const requests = requestsOf(run.history);
  const { errors, heldUp, idle, moving } = await judgeAnswers(requests, quiet, faults);
  assert.ok(moving.ms.length > 0);
  return { kills, writes: requests.filter(({ isWrite, isOk }) => isWrite && isOk).length, losses: violations.I1 ?? 0, errors, heldUp, pauses: quiet.pauses, idle, moving };
}

const per = ({ ms, us }) => `${(ms.length / (us / 1e6)).toFixed(0)}/s, ${quantiles(ms)}`;

test("moves end well wherever a mover, a shard or a server is killed", async (t) => {
  const sum = { kills: 0, writes: 0, losses: 0, heldUp: 0, errors: [], pauses: [], idle: { ms: [], us: 0 }, moving: { ms: [], us: 0 } };
  for (let i = 0; i < SEEDS; i++) {
    const one = await oneSeed(t, first + i);
    for (const key of ["kills", "writes", "losses", "heldUp"]) sum[key] += one[key];
    for (const key of ["errors", "pauses"]) sum[key].push(...one[key]);
    for (const key of ["idle", "moving"]) {
      sum[key].ms.push(...one[key].ms);
      sum[key].us += one[key].us;
    }
  }
  const { moves, phases, errors, pauses } = await tally(cluster);
  t.diagnostic(`note: ${moves} moves (${Object.entries(phases).map(([phase, n]) => `${n} ${phase}`).join(", ")}), ${sum.kills} places with a kill, ${
    sum.writes} acknowledged writes, ${sum.losses} lost, ${sum.errors.length} errors in moves without faults, ${
    sum.heldUp} held up by a mover that stood still; write pauses without faults: ${
    quantiles(sum.pauses)}, of all moves: ${quantiles(pauses)}; requests to slots at rest: ${per(sum.idle)} while nothing moves, ${
    per(sum.moving)} during moves`);
  assert.deepEqual(sum.errors, []);
  assert.deepEqual(errors, []);
});
