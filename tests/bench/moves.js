/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Moves of slots: how fast rows are copied, and how long writes to the slot wait at the flip, without writers and with
 * many clients that like a video of the slot all the time. */

import { slotOfId } from "../lib/checks.js";
import { Mover, requestMove, untilMove } from "../lib/mover.js";
import { owners } from "../lib/rows.js";
import { until } from "../lib/wait.js";
import { Script, figure, load, quantile } from "./run.js";

const ROWS = 1_000_000;
/* N clients that write as fast as they are answered; with SHARE, only at this share of the rate that the entry before
 * reached, which leaves most of the CPU to others. */
const WRITERS = [{ n: 0 }, { n: 8 }, { n: 8, share: 0.3 }, { n: 64 }];
const WRITERS_LARGE = [{ n: 0 }, { n: 8 }, { n: 64 }];
/* Flips for each of them: of a slot with the rows of the data set, and of one with ROWS more. */
const FLIPS = 20;
const FLIPS_LARGE = 2;
const CHUNK = 100_000;
const WINDOW_S = 2;
/* Clients that like videos in slots that do not move, and their rate, as a share of the highest that they reach. */
const OTHERS = 8;
const OTHERS_SHARE = 0.3;
/* Rows of the slot that moves meanwhile, and the limit that an operator sets (shardctl throttle). */
const OTHERS_ROWS = 100_000;
const OTHERS_ROWS_PER_S = 5_000;

/* The shards between which SLOT moves: the one that has it, and another one. */
async function ways(cluster, slot) {
  const here = (await owners(cluster)).get(slot);
  return [here, cluster.shards.find(({ name }) => name !== here).name];
}

/* What the mover has written about PHASE of SLOT, and when it did last. */
const linesOf = (text, slot, phase) =>
  text.split("\n").filter((l) => l.includes(` slot=${slot} `) && l.includes(` phase=${phase} `));
const timeOf = (text, slot, phase) => Date.parse(linesOf(text, slot, phase).at(-1).split(" ")[0]);

/** One move to its end, at ROWS_PER_S at most (0: no limit), without a period in which it can be rolled back. */
async function move(bench, slot, from, to, rowsPerS = 0) {
  await requestMove(bench.cluster, slot, from, to, 0);
  if (rowsPerS > 0) await bench.cluster.sql(from, `CALL move_throttle(${slot}, ${rowsPerS})`);
  const done = await untilMove(bench.cluster, from, slot, ["done"], { everyMs: 20, timeoutMs: 600_000 });
  if (done.restarts > 0)
    throw new Error(`the move of slot ${slot} was restarted ${done.restarts} times: ${done.last_error}`);
  return done;
}

async function withMover(bench, work) {
  const mover = Mover.start(bench.cluster);
  try {
    return await work(mover);
  } finally {
    await mover.stop();
  }
}

/** Adds ROWS rows to SLOT, once in a run: follows and likes, of which a slot has most. */
async function planted(bench, slot, rows = ROWS) {
  bench.planted ??= new Set();
  if (bench.planted.has(slot)) return;
  bench.planted.add(slot);
  const [shard] = await ways(bench.cluster, slot);
  const owner = 5000 * 8192 + slot * 8;
  for (let from = 1; from <= rows; from += CHUNK) {
    const half = CHUNK / 2;
    const seq = `seq_${from}_to_${from + half - 1}`;
    await bench.cluster.sql(
      shard,
      `INSERT INTO follower (slot, user_id, follower_id, state, ver, at, pos)
        SELECT ${slot}, ${owner} + seq DIV 500 * 8192, 700000000000 + seq * 8192, 1, 8589934593, 1790000000000, 8589934592 + seq FROM ${seq};
      INSERT INTO liker (slot, video_id, user_id, state, ver, at)
        SELECT ${slot}, ${owner} + seq DIV 500 * 8192, 700000000000 + seq * 8192, 1, 8589934593, 1790000000000 FROM ${seq}`,
    );
  }
}

/** Rows copied, compared and removed per second. Every round moves the slot back again. */
async function copied(bench) {
  const slot = slotOfId(Number(bench.data.videoId(3)));
  let [from, to] = await ways(bench.cluster, slot);
  await planted(bench, slot);
  return withMover(bench, async (mover) => {
    const rates = { copied: [], compared: [], removed: [] };
    for (let round = 0; round < bench.rounds; round++) {
      const { rows_copied: rows } = await move(bench, slot, from, to);
      await until("the log to say that it is done", () => linesOf(mover.text, slot, "done").length > round);
      const at = Object.fromEntries(
        ["copying", "draining", "verifying", "flipping", "purging", "done"].map((phase) => [
          phase,
          timeOf(mover.text, slot, phase),
        ]),
      );
      const perS = (a, b) => (rows * 1000) / Math.max(1, at[b] - at[a]);
      rates.copied.push(perS("copying", "draining"));
      rates.compared.push(perS("verifying", "flipping"));
      rates.removed.push(perS("purging", "done"));
      [from, to] = [to, from];
    }
    const sides = Object.fromEntries(Object.entries(rates).map(([name, all]) => [name, { value: figure(all) }]));
    return { sides, note: `${ROWS.toLocaleString("en-US")} rows, no writers` };
  });
}

/* Rows copied per second in the move of SLOT that the mover has just made. */
const copyRate = (mover, slot, { rows_copied: rows }) =>
  (rows * 1000) / Math.max(1, timeOf(mover.text, slot, "draining") - timeOf(mover.text, slot, "copying"));

/** FLIPS moves of SLOT while N clients send the likes of SCRIPT, RATE a second or as fast as they are answered; resolves
 * to the pause of each move, and more. */
async function paused(bench, mover, { script, slot, flips, n, rate }) {
  let [from, to] = await ways(bench.cluster, slot);
  const run = { pauses: [], rates: [], tries: 0, worstMs: 0, answered: 0, seconds: 0 };
  let isOver = false;
  const writing =
    n === 0
      ? Promise.resolve()
      : (async () => {
          while (!isOver) {
            const { windows } = await load({
              port: bench.server.port,
              script,
              connections: n,
              rate,
              warmUp: 0,
              window: WINDOW_S,
              windows: 1,
            });
            for (const w of windows) {
              run.worstMs = Math.max(run.worstMs, w.latency.max_us / 1000);
              run.answered += w.answered;
              run.seconds += WINDOW_S;
            }
          }
        })();
  try {
    for (let i = 0; i < flips; i++) {
      const done = await move(bench, slot, from, to);
      run.pauses.push(done.pause_us / 1000);
      run.rates.push(copyRate(mover, slot, done));
      run.tries += done.flips;
      [from, to] = [to, from];
    }
  } finally {
    isOver = true;
    await writing;
  }
  return run;
}

const noteOf = (name, run) =>
  `${name}: p99 ${quantile(run.pauses, 0.99).toFixed(1)} ms, largest ${Math.max(...run.pauses).toFixed(1)} ms, ` +
  `fence locked ${run.tries} times for ${run.pauses.length} flips, ${quantile(run.rates, 0.5).toFixed(0)} rows copied/s` +
  (run.answered
    ? `, ${(run.answered / run.seconds).toFixed(0)} likes/s, the slowest in ${run.worstMs.toFixed(0)} ms`
    : "");

/** Likes of VIDEO by newcomers, who have not liked it yet. */
const likers = (bench, name, video) =>
  new Script(
    bench.dir,
    name,
    bench.data
      .newcomers()
      .slice(0, 1000)
      .map((i) => `POST /douyin/favorite/action/?token=${bench.data.token(i)}&video_id=${video}&action_type=%`),
  );

async function pauses(bench) {
  const [usual, large] = [2, 3].map((i) => bench.data.videoId(i));
  const slots = { usual: slotOfId(Number(usual)), large: slotOfId(Number(large)) };
  await planted(bench, slots.large);
  const kinds = [
    { rows: "", writers: WRITERS, slot: slots.usual, flips: FLIPS, script: likers(bench, "usual-like", usual) },
    {
      rows: `, ${ROWS.toLocaleString("en-US")} rows`,
      writers: WRITERS_LARGE,
      slot: slots.large,
      flips: FLIPS_LARGE,
      script: likers(bench, "large-like", large),
    },
  ];
  return withMover(bench, async (mover) => {
    const sides = {};
    const notes = [];
    for (const { rows, writers, ...kind } of kinds) {
      let reached;
      for (const { n, share } of writers) {
        const rate = share && Math.ceil(reached * share);
        const run = await paused(bench, mover, { ...kind, n, rate });
        reached = run.answered / run.seconds;
        const name = `${n} writers${share ? `, ${100 * share} % of their pace` : ""}${rows}`;
        sides[name] = { value: figure(run.pauses) };
        notes.push(noteOf(name, run));
        console.log(`  ${notes.at(-1)}`); /* progress: all of it takes minutes */
      }
    }
    return { sides, note: notes.join("\n") };
  });
}

/** How long likes in other slots take while a slot moves at a limited rate, and without a move: p99 of every window. */
async function others(bench) {
  const [usual, moving] = [2, 4].map((i) => bench.data.videoId(i));
  const slot = slotOfId(Number(moving));
  await planted(bench, slot, OTHERS_ROWS);
  let [from, to] = await ways(bench.cluster, slot);
  const script = likers(bench, "others-like", usual);
  const window = async (rate) => {
    const {
      windows: [w],
    } = await load({
      port: bench.server.port,
      script,
      connections: OTHERS,
      rate,
      warmUp: 0,
      window: WINDOW_S,
      windows: 1,
    });
    return w;
  };
  const rate = Math.ceil(((await window()).answered / WINDOW_S) * OTHERS_SHARE);
  const p99 = { idle: [], moving: [] };
  const look = async (side) => p99[side].push((await window(rate)).latency.p99_us / 1000);
  await withMover(bench, async () => {
    for (let round = 0; round < bench.rounds; round++) {
      await look("idle");
      let isOver = false;
      const done = move(bench, slot, from, to, OTHERS_ROWS_PER_S).finally(() => {
        isOver = true;
      });
      done.catch(() => {}); /* it is awaited below */
      while (!isOver) await look("moving");
      await done;
      [from, to] = [to, from];
    }
  });
  const sides = Object.fromEntries(Object.entries(p99).map(([name, all]) => [name, { value: figure(all) }]));
  const ratio = quantile(p99.moving, 0.5) / quantile(p99.idle, 0.5);
  return {
    sides,
    note:
      `${rate} likes/s by ${OTHERS} clients, ${OTHERS_ROWS.toLocaleString("en-US")} rows moved, ` +
      `${OTHERS_ROWS_PER_S.toLocaleString("en-US")}/s at most: p99 is ${ratio.toFixed(2)} times that without a move`,
  };
}

export const MOVES = [
  {
    name: "move-copy",
    what: "rows of a moving slot copied, compared and removed",
    unit: "rows/s",
    target: ">= 50,000 copied/s",
    run: copied,
  },
  {
    name: "move-pause",
    what: "how long writes to a slot wait at the flip of its move",
    unit: "ms",
    target: "p99 <= 10 ms with 0 and 8 writers",
    run: pauses,
  },
  {
    name: "move-others",
    what: "p99 of likes in other slots, at 30 % of their peak, while a slot moves at a limited rate",
    unit: "ms",
    target: "<= 1.5 times that without a move",
    run: others,
  },
];
