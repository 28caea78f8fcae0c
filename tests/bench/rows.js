/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* What is measured: one entry per row of the table. `run` takes the bench and resolves to {sides, note}: the first
 * side is the figure, the others are what it is compared with, measured by turns in the same run. */

import { edgeChanges, recountLikes } from "./recount.js";
import { Script, bareTwin, byTurns, load } from "./run.js";

const HOT_CONNECTIONS = 256;
const PING_CONNECTIONS = 64;

const likeLine = (token, video) => `POST /douyin/favorite/action/?token=${token}&video_id=${video}&action_type=%`;

/** A script of likes by [user number, video number], none of which is made yet. */
function likeScript(bench, name, pairs) {
  const { data } = bench;
  const script = new Script(bench.dir, name, pairs.map(([i, j]) => likeLine(data.token(i), data.videoId(j))));
  script.pairs = pairs.map(([i, j]) => [data.userId(i), data.videoId(j)]);
  return script;
}

/** Likes in a closed loop, on the server and on its twin that makes no batches; the rows are counted afterwards. */
async function likes(bench, script, connections) {
  const sides = { likes: bench.server };
  if (bench.unbatched) sides["no batches"] = bench.unbatched;
  const changes = await edgeChanges(bench.cluster);
  const measured = await byTurns(bench.rounds, Object.fromEntries(Object.entries(sides).map(([name, server]) =>
    [name, () => load({ ...bench.window, port: server.port, script, connections, cpu: bench.cpu(server.pid) })])));
  const acknowledged = Object.values(measured).reduce((sum, side) => sum + side.changed, 0);
  const made = await recountLikes(bench.cluster, script, script.pairs, changes, acknowledged);
  const note = `${acknowledged} likes acknowledged, ${made} rows changed on both sides`;
  return { sides: measured, note: bench.unbatched ? note : `${note}; this server has no db_batch_max to compare with` };
}

/** The same at a rate that the server bears, for latency that is not made of waiting for each other. */
async function likesAtRate(bench, script, connections, closed) {
  const rate = Math.max(50, Math.floor(closed.per_s.median * 0.7));
  const changes = await edgeChanges(bench.cluster);
  const measured = await byTurns(bench.rounds, {
    "70 % of it": () => load({ ...bench.window, port: bench.server.port, script, connections, rate,
      cpu: bench.cpu(bench.server.pid) }),
  });
  await recountLikes(bench.cluster, script, script.pairs, changes, measured["70 % of it"].changed);
  return measured;
}

async function hotLike(bench) {
  const script = likeScript(bench, "hot-like", bench.data.newcomers().map((i) => [i, 1]));
  const connections = Math.min(HOT_CONNECTIONS, script.lines.length);
  const closed = await likes(bench, script, connections);
  const open = await likesAtRate(bench, script, connections, closed.sides.likes);
  return { ...closed, sides: { ...closed.sides, ...open } };
}

async function ping(bench) {
  const url = `http://127.0.0.1:${bench.server.port}/ping`;
  const twin = await bareTwin(url, bench.cores);
  const script = new Script(bench.dir, "ping", ["GET /ping"]);
  const common = { ...bench.window, script, connections: PING_CONNECTIONS, body: twin.body };
  try {
    return { sides: await byTurns(bench.rounds, {
      "/ping": () => load({ ...common, port: bench.server.port, cpu: bench.cpu(bench.server.pid) }),
      "bare libmicrohttpd": () => load({ ...common, port: twin.port, cpu: { server: [twin.pid] } }),
    }) };
  } finally {
    await twin.stop();
  }
}

export const ROWS = [
  { name: "hot-like", what: "like/unlike on one video", unit: "likes/s", target: ">= 18,000/s, p99 <= 25 ms", run: hotLike },
  { name: "ping", what: "/ping", unit: "requests/s", target: ">= 80 % of bare libmicrohttpd", run: ping },
];
