/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* How long do writes wait while a large table gets an index? It is added as a schema step adds it: in place, without a
 * lock, waiting for the table for at most a second and then trying again.
 *
 *     node tests/bench/addindex.js [ROWS (10000000)] [WRITERS (8)]
 *
 * One shard with full durability; the rows are follows. Prints the longest write and the rate: before, while the index
 * is added, and while it is added beside a transaction that has read the table and stays open for 5 s. */

import { setTimeout as pause } from "node:timers/promises";
import { quantile } from "../lib/checks.js";
import { Cluster } from "../lib/cluster.js";

const ROWS = Number(process.argv[2] ?? 1e7);
const WRITERS = Number(process.argv[3] ?? 8);
const CHUNK = 250000;
const ALTER_MS = 3_600_000;

const cluster = await Cluster.up({
  shards: 1,
  server: false,
  env: {
    DOUSHARD_SHARD_OPTIONS:
      "innodb_buffer_pool_size = 2G\ninnodb_log_file_size = 512M\nlog_bin = ../binlog/log\nsync_binlog = 1",
  },
});
const shard = "shard1";

async function fill() {
  const begin = performance.now();
  for (let from = 1; from <= ROWS; from += CHUNK) {
    const to = Math.min(ROWS, from + CHUNK - 1);
    await cluster.sql(
      shard,
      `SET sql_log_bin = 0; INSERT INTO follow (slot, user_id, followed_id, state, ver, at)
      SELECT seq DIV 10000, seq DIV 100 + 1, seq, 1, seq, seq FROM seq_${from}_to_${to}`,
    );
  }
  console.log(`${ROWS} rows in ${((performance.now() - begin) / 1000).toFixed(0)} s`);
}

/* Writes single rows all the time; mark() returns, as text, how long they took since its last call. */
function writers() {
  let going = true;
  let took = [];
  let since = performance.now();
  let longest = { ms: 0, at: 0 };
  const write = async () => {
    const session = cluster.session(shard);
    while (going) {
      const seq = 1 + Math.floor(Math.random() * ROWS);
      const begin = performance.now();
      await session.run(`UPDATE follow SET state = 1 - state, ver = ver + 1 WHERE slot = ${Math.floor(seq / 10000)}
        AND user_id = ${Math.floor(seq / 100) + 1} AND followed_id = ${seq}`);
      took.push(performance.now() - begin);
      if (performance.now() - begin >= longest.ms)
        longest = { ms: performance.now() - begin, at: (begin - since) / 1000 };
    }
    await session.end();
  };
  const running = Array.from({ length: WRITERS }, write);
  return {
    mark() {
      const seconds = (performance.now() - since) / 1000;
      const said =
        `${Math.round(took.length / seconds)} writes/s, p50 ${quantile(took, 0.5).toFixed(1)} ms, ` +
        `p99 ${quantile(took, 0.99).toFixed(1)} ms, longest ${longest.ms.toFixed(0)} ms, begun at ${longest.at.toFixed(1)} s`;
      took = [];
      longest = { ms: 0, at: 0 };
      since = performance.now();
      return said;
    },
    stop: () => {
      going = false;
      return Promise.all(running);
    },
  };
}

/* ALTERs the table as scripts/migrate does; resolves to how long that took. */
async function alter(what) {
  const session = cluster.session(shard);
  const begin = performance.now();
  await session.run("SET SESSION lock_wait_timeout = 1");
  try {
    await session.run(`ALTER TABLE follow ${what}, ALGORITHM = INPLACE, LOCK = NONE`, ALTER_MS);
  } catch (error) {
    if (error.errno !== 1205) throw error;
    await session.end();
    await pause(2000);
    return alterAgain(what, begin);
  }
  await session.end();
  return `${((performance.now() - begin) / 1000).toFixed(1)} s`;
}

async function alterAgain(what, begin) {
  await alter(what);
  return `${((performance.now() - begin) / 1000).toFixed(1)} s, with retries`;
}

try {
  await fill();
  const load = writers();
  await pause(5000);
  load.mark();
  await pause(10000);
  console.log(`before:                        ${load.mark()}`);
  let seconds = await alter("ADD INDEX bench (slot, followed_id, state)");
  console.log(`while the index was added:     ${load.mark()} (${seconds})`);
  await alter("DROP INDEX bench");
  load.mark();
  const reader = cluster.session(shard);
  await reader.run("START TRANSACTION; SELECT 1 FROM follow LIMIT 1");
  const released = pause(5000).then(() => reader.run("COMMIT"));
  seconds = await alter("ADD INDEX bench (slot, followed_id, state)");
  await released;
  console.log(`with a transaction in the way: ${load.mark()} (${seconds})`);
  await load.stop();
  await reader.end();
} finally {
  await cluster.down();
}
