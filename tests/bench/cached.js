/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Requests that the cache answers: pages that many users look at, with and without Redis, beside a bare libmicrohttpd
 * that sends the same bytes; and one such page while it changes. */

import { chmodSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Redis } from "../lib/redis.js";
import { Script, bareTwin, byTurns, get, load } from "./run.js";

const CONNECTIONS = 64;
const COMMENTS = 30;
const PAGES = 1000; /* users whose pages are requested */
const CHANGES = 1000; /* of the hot card, per second */

/* Calls WORK with three Redis masters and a server that uses them. */
async function withRedis(bench, work) {
  const redis = await Redis.up();
  const password = join(bench.dir, "redis.password");
  writeFileSync(password, `${redis.password}\n`);
  chmodSync(password, 0o600);
  const servers = [];
  const add = async (options) => {
    servers.push(await bench.addServer({ cache_local: "64M", ...options }));
    return servers.at(-1);
  };
  try {
    const server = await add({ redis_nodes: redis.addresses.join(","), redis_password_file: password });
    return await work({ server, local: () => add({}), pids: redis.nodes.map((node) => node.process.pid) });
  } finally {
    for (const server of servers) await server.stop();
    await redis.down();
  }
}

/* Requests LINES by up to 64 viewers; the bare server sends the answer to the first of them. */
function reads(bench, name, lines, array) {
  return withRedis(bench, async ({ server, local, pids }) => {
    const alone = await local();
    const script = new Script(bench.dir, name, lines);
    const connections = Math.min(bench.connections(CONNECTIONS, script), lines.length);
    const twin = await bareTwin(`${server.url}${lines[0].replace("GET ", "")}`, bench.cores);
    const run =
      ({ port, pid }, cpu = {}) =>
      () =>
        load({ ...bench.window, script, port, connections, array, cpu: { server: [pid], ...cpu } });
    try {
      const sides = await byTurns(bench.rounds, {
        warm: run(server, { ...bench.cpu(), Redis: pids }),
        "without Redis": run(alone, bench.cpu()),
        "bare libmicrohttpd": run(twin),
      });
      const share = (side) => Math.round((100 * sides[side].per_s.median) / sides["bare libmicrohttpd"].per_s.median);
      return {
        sides,
        note:
          `${share("warm")} % of the bare server, without Redis ${share("without Redis")} %; ` +
          `${Buffer.byteLength(twin.body)} bytes`,
      };
    } finally {
      await twin.stop();
    }
  });
}

async function authorOf(bench, video) {
  for (const { name } of bench.cluster.shards) {
    const [row] = await bench.cluster.sql(name, `SELECT author_id AS id FROM video WHERE video_id = ${video}`);
    if (row) return row.id;
  }
  throw new Error(`no shard has video ${video}`);
}

const each = (n, line) => Array.from({ length: n }, (_, k) => line(k));

const viewer = (bench, k) => bench.data.token((k % CONNECTIONS) + 1);

const anonymousFeed = (bench) =>
  reads(
    bench,
    "warm-feed",
    each(CONNECTIONS, () => "GET /douyin/feed/"),
    "video_list:30",
  );

const flaggedFeed = (bench) =>
  reads(
    bench,
    "warm-feed-token",
    each(CONNECTIONS, (k) => `GET /douyin/feed/?token=${viewer(bench, k)}`),
    "video_list:30",
  );

const userPage = (bench) =>
  reads(
    bench,
    "warm-user",
    each(
      PAGES,
      (k) => `GET /douyin/user/?user_id=${bench.data.userId((k % bench.data.users) + 1)}&token=${viewer(bench, k)}`,
    ),
  );

async function commentList(bench) {
  const video = bench.data.videoId(8);
  const { body } = await get(`${bench.server.url}/douyin/comment/list/?video_id=${video}&limit=${COMMENTS}`);
  for (let i = JSON.parse(body).comment_list.length; i < COMMENTS; i++) {
    const form = new URLSearchParams({
      token: bench.data.token(i + 1),
      video_id: video,
      action_type: 1,
      comment_text: `what a video this is, says number ${i}`,
    });
    const { status_code: code } = await (
      await fetch(`${bench.server.url}/douyin/comment/action/`, { method: "POST", body: form })
    ).json();
    if (code !== 0) throw new Error(`a comment was answered with status_code ${code}`);
  }
  return reads(
    bench,
    "warm-comments",
    each(CONNECTIONS, () => `GET /douyin/comment/list/?video_id=${video}&limit=${COMMENTS}`),
    `comment_list:${COMMENTS}`,
  );
}

/* Many users request the page of one user, whose card changes all the time: there are 1,000 likes a second of one of
 * that user's videos, each of which changes a row and the card. The CPU time per request includes the databases and
 * Redis. */
async function hotKey(bench) {
  const { data } = bench;
  const video = data.videoId(9);
  const viewers = Math.min(10000, data.users);
  const author = await authorOf(bench, video);
  const lines = each(viewers, (k) => `GET /douyin/user/?user_id=${author}&token=${data.token(k + 1)}`);
  return withRedis(bench, async ({ server, pids }) => {
    const reading = new Script(bench.dir, "hot-key", lines);
    const writing = new Script(
      bench.dir,
      "hot-key-likes",
      data
        .newcomers()
        .map((i) => `POST /douyin/favorite/action/?token=${data.token(i)}&video_id=${video}&action_type=%`),
    );
    const connections = bench.connections(CONNECTIONS, reading);
    const read = () =>
      load({
        ...bench.window,
        script: reading,
        connections,
        port: server.port,
        cpu: { server: [server.pid], ...bench.cpu(), Redis: pids },
      });
    const notes = [];
    const changing = async () => {
      const seconds = bench.window.warmUp + bench.window.window + 1;
      const likes = load({
        port: server.port,
        script: writing,
        connections: 64,
        rate: CHANGES,
        warmUp: 0,
        window: seconds,
        windows: 1,
      });
      const [result, { per_s: perSecond, windows }] = await Promise.all([read(), likes]);
      notes.push(Math.round(perSecond ?? windows[0].per_s));
      return result;
    };
    const sides = await byTurns(bench.rounds, { "while it changes": changing, "while it does not": read });
    return { sides, note: `${viewers} users request one card, which changed ${notes.join(", ")} times a second` };
  });
}

export const CACHED = [
  {
    name: "warm-feed",
    what: "feed of a visitor, warm",
    unit: "pages/s",
    target: ">= 60 % of bare libmicrohttpd",
    run: anonymousFeed,
  },
  {
    name: "warm-feed-token",
    what: "feed with a token and the viewer's flags, warm",
    unit: "pages/s",
    target: ">= 30 % of bare libmicrohttpd",
    run: flaggedFeed,
  },
  {
    name: "warm-user",
    what: "user page, warm",
    unit: "pages/s",
    target: ">= 40 % of bare libmicrohttpd",
    run: userPage,
  },
  {
    name: "warm-comments",
    what: `list of ${COMMENTS} comments, warm`,
    unit: "lists/s",
    target: ">= 30 % of bare libmicrohttpd",
    run: commentList,
  },
  {
    name: "hot-key",
    what: `one user's page for 10,000 users, while the card changes ${CHANGES} times a second`,
    unit: "pages/s",
    target: "none",
    run: hotKey,
  },
];

export { withRedis };
