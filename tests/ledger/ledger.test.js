/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Shows that nothing acknowledged is lost, done twice or half done while servers and shards are killed:
 * 64 clients on 2,000 users and 500 videos of 4 shards, two servers, and the checker of check.h afterwards.
 * Four more clients poll a chat each, whose messages must come to them once each and in order.
 *
 * LEDGER_SECONDS: how long (60). LEDGER_SEED: repeats a run, as far as threads let it. */

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { Cluster } from "../lib/cluster.js";
import { audit, compareWithApi, finishPolls, judge, loadWorld, nemesis, runClients, settle } from "./lib.js";

const seconds = Number(process.env.LEDGER_SECONDS || 60);
const seed = Number(process.env.LEDGER_SEED || Date.now() % 1000000);
const SHARDS = 4;
/* In every minute a server is killed ten times, and each shard once. */
const MINUTES = Math.max(1, Math.round(seconds / 60));
const SERVER_KILLS = 10 * MINUTES;
const POLLERS = 4;
let cluster;

before(async () => {
  cluster = await Cluster.up({ shards: SHARDS, server: false });
  for (let i = 0; i < 2; i++) await cluster.addServer({ log_level: "warn" }).then((s) => s.start());
});

after(() => cluster?.down());

test("every acknowledged action survives kills of servers and shards", async (t) => {
  t.diagnostic(`LEDGER_SEED=${seed} LEDGER_SECONDS=${seconds}`);
  const world = await loadWorld(cluster, { seed, chats: POLLERS });
  const [run, faults] = await Promise.all([
    runClients(cluster, world, { seconds, seed, pollers: POLLERS, mix: "33,23,11,6,20,1,7,3" }),
    nemesis(cluster, { seconds, kills: SERVER_KILLS, shardKills: MINUTES, seed }),
  ]);
  t.diagnostic(`killed: ${faults.join(", ")}`);
  for (const line of run.text.trim().split("\n")) t.diagnostic(line);
  t.diagnostic(`settled after ${((await settle(cluster)) / 1000).toFixed(1)} s`);
  const polled = await finishPolls(cluster, world, run.mailboxes);
  const { violations, text } = await judge(cluster, run.history, run.mailboxes);
  for (const line of text.trim().split("\n")) t.diagnostic(line);
  assert.deepEqual(violations, {}, text);
  assert.equal(faults.length, SERVER_KILLS + SHARDS * MINUTES);
  assert.equal(polled.length, POLLERS);
  assert.ok(run.polled.some(({ messages }) => messages > 0), JSON.stringify(run.polled));
  assert.ok(polled.every(({ failures, messages }) => failures > 0 && messages > 0), JSON.stringify(polled));
  assert.match(text, /^\d+ messages polled, [1-9]\d* of them late$/m);

  const { compared, wrong } = await compareWithApi(cluster, world);
  t.diagnostic(`${compared} users looked at through the service`);
  assert.deepEqual(wrong, []);
  assert.ok(compared > 0);

  const audited = await audit(cluster);
  t.diagnostic(`shardctl audit: ${audited.text.trim().split("\n").at(-1)}`);
  assert.equal(audited.status, 0, audited.text);
});
