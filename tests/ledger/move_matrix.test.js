/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Kills in the middle of moves: for every CALL of a mover, before it and after it, a move is stopped
 * there while clients write everywhere, and the mover, the giving shard, the taking shard or an HTTP
 * server is killed. Without anybody's help every slot is then owned by exactly one shard, every move
 * ends, and nothing acknowledged is lost. The same is done with promotions and demotions of users,
 * where a mover may instead sleep and wake up when others have done its work. The servers combine
 * writes and cache in Redis.
 *
 * Movers that stop at different CALLs run side by side, and moves are requested, cancelled, rolled
 * back and disturbed as each mover needs to reach its CALL (steering.js); who is killed then is
 * random (matrix.js).
 *
 * A client whose request has no certain answer repeats it, with the same Idempotency-Key, until it
 * has one.
 *
 * MOVE_SEED: repeats a run, as far as processes allow. MOVE_SEEDS: this many runs with all places of
 * moves and promotions, and some of moves of own slots; in any four successive runs every place meets
 * every victim. Without it, one
 * run with all places of moves and those of one random round of promotions. MOVE_ROUNDS: only
 * matching rounds, such as "promotions sleeper". */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { cachedCluster } from "../lib/cached.js";
import { assertAtRest, movesToEnd, requestMove } from "../lib/mover.js";
import { owners } from "../lib/rows.js";
import { until } from "../lib/wait.js";
import { audit, clearWorld, judge, loadWorld, randomFrom, runClients, settle } from "./lib.js";
import { MOVES, OWN_SLOTS, PATIENT_ARGS, PROMOTIONS, drawn, round } from "./matrix.js";
import { MANY_MOVES_MS, Movers, Traffic, movingTimes, nowUs, oneWay, quantiles, requestsOf, tally } from "./moves.js";

const IS_LONG = process.env.MOVE_SEEDS !== undefined;
const SEEDS = Number(process.env.MOVE_SEEDS || 1);
const first = Number(process.env.MOVE_SEED || Date.now() % 1000000);
/* Number of moves without faults, and how long it is quiet before them. */
const QUIET_MOVES = IS_LONG ? 20 : 4;
const QUIET_MS = IS_LONG ? 8000 : 1000;
/* Users who may be promoted; they get more load than others. */
const HEAVY = 80;
/* How old a counter may be when it is read while a shard is away; as in ledger.test.js. */
const STALE_MS = 5010;
/* What a client may be told in the end: done, comment already gone, not its comment. */
const KNOWN = ["0", "1010", "1012"];
const WANTED = new RegExp(process.env.MOVE_ROUNDS || "");
/* Pauses of clients leave movers some time on a small machine. */
const CLIENTS = {
  clients: 8,
  "pause-ms": 40,
  "repeat-ms": 60000,
  "hot-users": HEAVY,
  "hot-percent": 30,
  mix: "35,25,12,6,15,0,7,0",
};
let cluster;

before(async () => {
  cluster = await cachedCluster({ shards: 2 });
  for (let i = 0; i < 2; i++)
    await cluster.addServer({ log_level: "warn", ...cluster.cacheOptions }).then((s) => s.start());
});
after(() => cluster?.down());

/* Moves without faults. Resolves to the times when the quiet began, the moves began, and they ended. */
async function quietly(random) {
  const movers = new Movers(cluster, 2, PATIENT_ARGS);
  const idle = nowUs();
  await pause(QUIET_MS);
  const [begun, since] = [nowUs(), Date.now()];
  const traffic = new Traffic(cluster, { random, n: 2, next: await oneWay(cluster, "shard1", "shard2", random) });
  await until("some moves", () => traffic.asked >= QUIET_MOVES, { timeoutMs: MANY_MOVES_MS });
  await traffic.stop();
  const ended = nowUs();
  await movers.stop();
  return { idle, begun, ended, asked: traffic.asked, ...(await tally(cluster, since)) };
}

/* Everybody with an own slot is demoted; the slot first moves to the shard that the user came from. */
async function comeHome() {
  const homes = await cluster.sqlAll("SELECT owner_id, slot, own_slot FROM owner_home WHERE author_id IS NULL");
  const owned = await owners(cluster);
  const movers = new Movers(cluster, 2, PATIENT_ARGS);
  for (const { slot, own_slot } of homes)
    if (owned.get(own_slot) !== owned.get(slot))
      await requestMove(cluster, own_slot, owned.get(own_slot), owned.get(slot));
  await movesToEnd(cluster, { timeoutMs: MANY_MOVES_MS });
  for (const { slot, owner_id } of homes) await cluster.sql(owned.get(slot), `CALL demote_request(${owner_id})`);
  await movesToEnd(cluster, { timeoutMs: MANY_MOVES_MS });
  await movers.stop();
}

/* The rounds of KIND, in the form of round(); OFFSET as in drawn(). */
function roundsOfKind(kind, offset) {
  const cells = drawn(kind, offset);
  const parts = kind.rounds
    .map((victims) => victims.filter((victim) => WANTED.test(`${kind.name} ${victim}`)))
    .filter((victims) => victims.length > 0)
    .map((victims) => victims.map((victim) => ({ victim, cells: cells[victim] })));
  return kind.isAlone
    ? parts.flat().flatMap(({ victim, cells }) => cells.map((cell) => [kind, [{ victim, cells: [cell] }]]))
    : parts.map((part) => [kind, part]);
}

/* The rounds of one run. */
function roundsOf(random, offset) {
  const [moves, promotions, own] = [MOVES, PROMOTIONS, OWN_SLOTS].map((kind) => roundsOfKind(kind, offset));
  const isAll = IS_LONG || process.env.MOVE_ROUNDS !== undefined;
  return [...moves, ...(isAll ? [...promotions, ...own] : [promotions[random(promotions.length)]])];
}

/* What the clients of one seed saw in REQUESTS: the errors, how many were repeated, and those of
 * slots that never moved, while it was QUIET, before and during the moves. An error is a request
 * without a certain answer in the end, although it was repeated, or with an answer that nothing
 * explains. */
async function judgeAnswers(requests, quiet) {
  const times = await movingTimes(cluster);
  const meets = (r, [from, to]) => r.begun <= to && r.ended >= from;
  const isQuiet = (r) => r.begun >= quiet.idle && r.ended <= quiet.ended;
  const errors = requests.filter((r) => r.isUnknown || !KNOWN.includes(r.code));
  const repeated = requests.filter((r) => r.repeats > 0);
  const resting = requests.filter(
    (r) =>
      !r.slots.some((slot) => times.get(slot)?.some((time) => meets({ begun: quiet.begun, ended: quiet.ended }, time))),
  );
  const within = (from, to) => resting.filter((r) => r.begun >= from && r.ended <= to).map(({ ms }) => ms);
  return {
    errors: errors.map((r) => `${r.line}: ${r.code}`),
    repeated: repeated.length,
    repeatedQuietly: repeated.filter(isQuiet).length,
    idle: { ms: within(quiet.idle, quiet.begun), us: quiet.begun - quiet.idle },
    moving: { ms: within(quiet.begun, quiet.ended), us: quiet.ended - quiet.begun },
  };
}

/* Requests for which no server could be reached, according to the clients' last line. */
const unsentIn = (text) => Number(/, (\d+) without a server$/m.exec(text)[1]);

/* The moves and kills of one seed while clients are at work: {run (of runClients()), quiet (of
 * quietly())}. */
async function killEverywhere(t, seed, sum) {
  const random = randomFrom(seed);
  const world = await loadWorld(cluster, { users: 200, videos: 60, chats: 0, ghosts: 0, seed, name: `world${seed}` });
  const heavy = [...readFileSync(world, "utf8").matchAll(/^user (\d+)/gm)].slice(0, HEAVY).map(([, id]) => id);
  let end;
  const ending = new Promise((done) => {
    end = done;
  });
  const running = runClients(cluster, world, { name: `history${seed}`, ending, seconds: 3600, seed, ...CLIENTS });
  let quiet;
  try {
    quiet = await quietly(random);
    const offset = random(4) - (seed - first); /* the same for all seeds of a run, except for their number */
    for (const [kind, parts] of roundsOf(random, offset)) {
      t.diagnostic(await round({ cluster, random, heavy }, kind, parts));
      for (const { victim, cells } of parts) sum.strike(victim, cells.length);
    }
    if (IS_LONG) await comeHome();
  } finally {
    end();
    await running.catch(() => {});
  }
  return { run: await running, quiet };
}

async function oneSeed(t, seed, sum) {
  t.diagnostic(`MOVE_SEED=${seed}`);
  await clearWorld(cluster);
  const { run, quiet } = await killEverywhere(t, seed, sum);
  for (const line of run.text.trim().split("\n")) t.diagnostic(line);
  await settle(cluster);
  await assertAtRest(cluster);
  const { violations, text } = await judge(cluster, run.history, undefined, { staleMs: STALE_MS });
  for (const line of text.trim().split("\n")) t.diagnostic(line);
  const requests = requestsOf(run.history);
  const answers = await judgeAnswers(requests, quiet);
  sum.add({
    ...answers,
    writes: requests.filter(({ isWrite, isOk }) => isWrite && isOk).length,
    losses: violations.I1 ?? 0,
    unsent: unsentIn(run.text),
    pauses: quiet.pauses,
  });
  assert.deepEqual(violations, {}, text);
  assert.ok(answers.moving.ms.length > 0);
  const audited = await audit(cluster);
  assert.equal(audited.status, 0, audited.text);
}

/* The sums over all seeds. */
class Sum {
  seeds = 0;
  places = 0;
  struck = { mover: 0, sleeper: 0, source: 0, target: 0, server: 0 };
  counts = { writes: 0, losses: 0, unsent: 0, repeated: 0, repeatedQuietly: 0 };
  errors = [];
  pauses = [];
  idle = { ms: [], us: 0 };
  moving = { ms: [], us: 0 };

  /* The number of PLACES where somebody was killed: a mover at each of them, or one shard or server. */
  strike(victim, places) {
    this.places += places;
    this.struck[victim] += ["mover", "sleeper"].includes(victim) ? places : 1;
  }

  add(seed) {
    this.seeds += 1;
    for (const key of Object.keys(this.counts)) this.counts[key] += seed[key];
    for (const key of ["errors", "pauses"]) this[key].push(...seed[key]);
    for (const key of ["idle", "moving"]) {
      this[key].ms = this[key].ms.concat(seed[key].ms);
      this[key].us += seed[key].us;
    }
  }

  get faults() {
    return Object.values(this.struck).reduce((a, b) => a + b);
  }
}

const per = ({ ms, us }) => `${(ms.length / (us / 1e6)).toFixed(0)}/s, ${quantiles(ms)}`;

const listed = (counts) =>
  Object.entries(counts)
    .filter(([, n]) => n > 0)
    .map(([name, n]) => `${n} ${name}`)
    .join(", ");

/* In words; MOVES in the form of tally(). */
const told = ({ seeds, places, faults, struck, counts, errors, pauses, idle, moving }, moves) =>
  `${seeds} seeds: ${
    moves.moves
  } moves (${listed(moves.phases)}), ${faults} faults (${listed(struck)}) at ${places} places, ${counts.writes} acknowledged writes, ${
    counts.losses
  } lost, ${errors.length + counts.unsent} errors for clients; ${counts.repeated} requests were repeated until they had an answer (${
    counts.repeatedQuietly
  } without faults); write pauses without faults: ${quantiles(pauses)}, of all moves: ${quantiles(
    moves.pauses,
  )}; requests to slots at rest: ${per(idle)} while nothing moves, ${per(moving)} during moves`;

test("moves end well wherever a mover, a shard or a server is killed", async (t) => {
  const sum = new Sum();
  try {
    for (let i = 0; i < SEEDS; i++) await oneSeed(t, first + i, sum);
  } finally {
    await tally(cluster).then(
      (moves) => t.diagnostic(`note: ${told(sum, moves)}`),
      () => {},
    ); /* a shard may be down */
  }
  assert.deepEqual(sum.errors, []);
  assert.equal(sum.counts.unsent, 0, "no server could be reached");
  assert.deepEqual((await tally(cluster)).errors, []);
});
