/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Nothing acknowledged is lost, done twice or half done while servers, shards and nodes of Redis are
 * killed and frozen, shards cannot write, replies are lost, the cache is emptied, slots move, and
 * movers are killed and frozen (the table in faults.js). There are 64 clients on 2,000 users and 500
 * videos of 4 shards, and two servers, one of which reaches the shards through proxies; afterwards
 * comes the checker of check.h. The shards keep a binary log: without one mariadbd shows what is not
 * on disk yet, and a poll may receive what a crash takes back. Four more clients poll one chat each,
 * whose messages must arrive once each and in order.
 *
 * LEDGER_SECONDS: how long (30). LEDGER_SEED: repeats a run, as far as threads allow. LEDGER_FAULTS:
 * names of faults separated by commas; by default all. */

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { cachedCluster } from "../lib/cached.js";
import { SmallDisk, noSmallDisk } from "../lib/disk.js";
import { assertAtRest } from "../lib/mover.js";
import { until } from "../lib/wait.js";
import { FAULTS, busySlots, nemesis, proxiesOf } from "./faults.js";
import { audit, compareWithApi, finishPolls, judge, loadWorld, randomFrom, runClients, settle } from "./lib.js";
import { Movers, Traffic, anyWay, quantiles, tally } from "./moves.js";

const seconds = Number(process.env.LEDGER_SECONDS || 30);
const seed = Number(process.env.LEDGER_SEED || Date.now() % 1000000);
const SHARDS = 4;
const NO_DISK = noSmallDisk();
const names = FAULTS.filter(({ needsDisk }) => !needsDisk || !NO_DISK).map(({ name }) => name);
const wanted = process.env.LEDGER_FAULTS ? process.env.LEDGER_FAULTS.split(",") : names;
for (const name of wanted) assert.ok(names.includes(name), `LEDGER_FAULTS: no "${name}" among ${names.join(", ")}`);
const POLLERS = 4;
/* How old a counter may be when it is read while Redis fails; plus a little, since clocks tick in
 * milliseconds. */
const STALE_MS = 5010;
let cluster;
let between;
let disk; /* of one shard, small enough to be filled */

before(async () => {
  cluster = await cachedCluster(
    { shards: SHARDS, env: { DOUSHARD_SHARD_OPTIONS: "log_bin = ../binlog/log" } },
    { replicas: 1 },
  );
  if (!NO_DISK) disk = await SmallDisk.under(cluster, "shard4", (200 + seconds) << 20);
  between = await proxiesOf(cluster);
  for (const options of [{}, { topology_file: between.topology_file }])
    await cluster
      .addServer({ log_level: "warn", ...cluster.cacheOptions, redis_timeout: "300ms", ...options })
      .then((s) => s.start());
});

after(async () => {
  await cluster?.down();
  await Promise.all((between?.proxies ?? []).map((proxy) => proxy.stop()));
});

test("every acknowledged action survives all faults of servers and shards", async (t) => {
  if (NO_DISK) await t.test("a disk that is full", (s) => s.skip(NO_DISK));
  t.diagnostic(`LEDGER_SEED=${seed} LEDGER_SECONDS=${seconds}`);
  const world = await loadWorld(cluster, { seed, chats: POLLERS });
  const movers = new Movers(cluster, 2, ["--lease=3s", "--per-shard=2"]);
  const random = randomFrom(seed);
  const traffic = new Traffic(cluster, { random, next: anyWay(cluster, busySlots(world), random) });
  const [run, faults] = await Promise.all([
    runClients(cluster, world, { seconds, seed, pollers: POLLERS, mix: "33,23,11,6,20,1,7,3" }),
    nemesis(cluster, {
      seconds,
      seed,
      proxies: between.proxies,
      disk,
      movers,
      traffic,
      faults: FAULTS.filter(({ name }) => wanted.includes(name)),
    }),
  ]);
  for (const { at, name, what } of faults) t.diagnostic(`${at.toFixed(1)} s: ${name} ${what}`);
  for (const line of run.text.trim().split("\n")) t.diagnostic(line);
  await traffic.stop();
  await movers.stop();
  t.diagnostic(`settled after ${((await settle(cluster)) / 1000).toFixed(1)} s`);
  await assertAtRest(cluster);
  const { moves, phases, pauses } = await tally(cluster);
  t.diagnostic(`${moves} moves: ${JSON.stringify(phases)}; write pauses: ${quantiles(pauses)}`);
  const polled = await finishPolls(cluster, world, run.mailboxes);
  const { violations, text } = await judge(cluster, run.history, run.mailboxes, { staleMs: STALE_MS });
  for (const line of text.trim().split("\n")) t.diagnostic(line);
  assert.deepEqual(violations, {}, text);
  assert.deepEqual(
    wanted.filter((name) => !faults.some((fault) => fault.name === name)),
    [],
    "faults that never happened",
  );
  if (wanted.includes("replies lost"))
    assert.ok(between.proxies.some(({ applied }) => Object.values(applied).some((n) => n > 0)));
  assert.equal(polled.length, POLLERS);
  assert.ok(
    run.polled.some(({ messages }) => messages > 0),
    JSON.stringify(run.polled),
  );
  assert.ok(
    polled.every(({ failures, messages }) => failures > 0 && messages > 0),
    JSON.stringify(polled),
  );
  assert.match(text, /^\d+ messages polled, [1-9]\d* of them late$/m);

  const { compared } = await until("the service to show what is stored", async () => {
    const answer = await compareWithApi(cluster, world);
    assert.deepEqual(answer.wrong, []);
    return answer;
  });
  t.diagnostic(`${compared} users looked at through the service`);
  assert.ok(compared > 0);

  const audited = await audit(cluster);
  t.diagnostic(`shardctl audit: ${audited.text.trim().split("\n").at(-1)}`);
  assert.equal(audited.status, 0, audited.text);
});
