/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Two servers show nothing older than allowed (freshness.js): without faults, with late fills, with
 * lost writes to Redis, and with a server that is cut off from Redis.
 *
 * FRESHNESS_READS: how many reads in all; make check-chaos does a million. */

import assert from "node:assert/strict";
import { after, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { metrics, total } from "../lib/cached.js";
import { report } from "./freshness.js";
import { ILL, WELL, World } from "./freshness_world.js";

const READS = Number(process.env.FRESHNESS_READS || 8000);
const TRIES_MAX = 3;
const PACES_MS = [0, 20, 100, 500, 1500, 3000, ...(READS > 100000 ? [7000, 15000] : [])];

const world = await World.up();
after(() => world.down());
const { proxies, both } = world;

async function run(t, bounds) {
  /* If writes are lost only because the machine is busy, the run proves less, and is repeated. */
  for (let tries = 1; ; tries++) {
    const { results, lost, found } = await world.probe(PACES_MS, bounds, { reads: READS / 4 });
    for (const line of report(results)) t.diagnostic(`note: ${line}`);
    if (lost > 0) t.diagnostic(`note: ${lost} writes to Redis had no answer in time`);
    assert.deepEqual(found, []);
    if (lost === 0 || bounds !== WELL || tries === TRIES_MAX) return;
  }
}

test("without faults", async (t) => {
  await run(t, WELL);
  assert.ok(total(await metrics(world.there), "doushard_cache_redis_hits_total") > 0, "Redis was not used");
});

test("fills come late", async (t) => {
  for (const one of both) one.fillMs = 30;
  try {
    await run(t, WELL);
  } finally {
    for (const one of both) one.fillMs = 0;
  }
});

test("a third of the writes to Redis is lost silently", async (t) => {
  for (const one of both) one.loses = 0.33;
  try {
    await run(t, ILL);
  } finally {
    for (const one of both) one.loses = 0;
  }
  assert.ok(proxies.here.lost > 10, "nothing was lost");
});

test("the writing server is cut off from Redis, again and again", async (t) => {
  let stopped = false;
  const cutting = (async () => {
    while (!stopped) {
      await pause(700);
      proxies.here.cut();
      await pause(700);
      proxies.here.mend();
    }
  })();
  try {
    await run(t, ILL);
  } finally {
    stopped = true;
    await cutting;
  }
});
