/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* What own slots on one shard cost all users: feed pages and likes on two clusters with the same data, one of which has
 * own slots. They are made in bulk, with all that promotions leave: partitions, rows, forwarding entries, fences. */

import { parallel } from "../lib/wait.js";
import { Script, byTurns, residentMb } from "./run.js";

const OWN_SLOTS = Number(process.env.BENCH_OWN_SLOTS || 500);
const FIRST = 1024;
const CONNECTIONS = 16; /* with more, pages would wait beyond their deadline */
const EPOCH = 2;

/* The column that says whose row it is: the id of the user, or (OF_VIDEO) of one of the user's videos. */
const OWNED = {
  user: "user_id",
  inbound: "user_id",
  session: "user_id",
  job: "owner_id",
  follow: "user_id",
  follower: "user_id",
  favorite: "user_id",
  commented: "user_id",
  chat: "user_id",
  message: "user_id",
  outbox: "actor_id",
  video: "author_id",
};
const OF_VIDEO = { liker: "video_id", comment: "video_id" };

/** Give the N most popular users of SHARD slots of their own; resolves to how long that took, in s. */
async function promote(cluster, shard, n) {
  const begin = performance.now();
  const parts = Array.from({ length: n }, (_, i) => `PARTITION s${FIRST + i}_e${EPOCH} VALUES IN (${FIRST + i})`).join(
    ", ",
  );
  const tables = (
    await cluster.sql(
      shard,
      `SELECT DISTINCT table_name AS t FROM information_schema.partitions
    WHERE table_schema = 'doushard' AND partition_name = 'shared'`,
    )
  ).map(({ t }) => t);
  const unknown = tables.filter((t) => !(t in OWNED) && !(t in OF_VIDEO));
  if (unknown.length > 0) throw new Error(`no column is known that says whose rows are in ${unknown}`);
  await parallel(
    2,
    tables.map((t) => () => cluster.sql(shard, `ALTER TABLE \`${t}\` ADD PARTITION (${parts})`, { timeoutMs: 250000 })),
  );
  const move = (table, column, from = "bench.own_user AS o", key = "o.user_id") =>
    `UPDATE ${from} STRAIGHT_JOIN \`${table}\` AS t ON t.slot = o.slot AND t.${column} = ${key} SET t.slot = o.own_slot`;
  await cluster.sql(
    shard,
    `
    CREATE TABLE bench.own_user (slot INT UNSIGNED, user_id BIGINT UNSIGNED PRIMARY KEY, own_slot INT UNSIGNED) AS
      SELECT u.slot, u.user_id, ${FIRST - 1} + ROW_NUMBER() OVER (ORDER BY i.follower_count + i.total_favorited DESC, u.user_id) AS own_slot
        FROM user AS u JOIN inbound AS i USING (slot, user_id) ORDER BY own_slot LIMIT ${n};
    CREATE TABLE bench.own_video (slot INT UNSIGNED, video_id BIGINT UNSIGNED PRIMARY KEY, own_slot INT UNSIGNED) AS
      SELECT o.slot, v.video_id, o.own_slot FROM bench.own_user AS o JOIN video AS v ON v.slot = o.slot AND v.author_id = o.user_id;
    INSERT INTO owner_home (slot, owner_id, own_slot) SELECT slot, user_id, own_slot FROM bench.own_user;
    INSERT INTO owner_home (slot, owner_id, own_slot, author_id, op) SELECT o.slot, v.video_id, o.own_slot, v.author_id, v.op
      FROM bench.own_video AS o JOIN video AS v ON v.slot = o.slot AND v.video_id = o.video_id;
    ${Object.entries(OF_VIDEO)
      .map(([t, c]) => move(t, c, "bench.own_video AS o", "o.video_id"))
      .join(";")};
    ${Object.entries(OWNED)
      .map(([t, c]) => move(t, c))
      .join(";")};
    INSERT INTO slot_fence (slot, epoch, state, server, changed_at) SELECT own_slot, ${EPOCH}, 'owned', '${shard}', _now_ms() FROM bench.own_user;
    INSERT INTO slot_known (slot, epoch, server) SELECT own_slot, ${EPOCH}, '${shard}' FROM bench.own_user;
    UPDATE slot_fence SET has_home = 1 WHERE slot IN (SELECT slot FROM bench.own_user);
    CALL _slot_changed();
    ANALYZE NO_WRITE_TO_BINLOG TABLE user, inbound, video, favorite, liker, follow, follower, session`,
    { timeoutMs: 250000 },
  );
  return (performance.now() - begin) / 1000;
}

async function ownSlots(bench) {
  const { data } = bench;
  const twin = await bench.addTwin();
  try {
    const [{ name: shard }] = twin.cluster.shards;
    const seconds = await promote(twin.cluster, shard, OWN_SLOTS);
    const [{ videos }] = await twin.cluster.sql(shard, "SELECT COUNT(*) AS videos FROM bench.own_video");
    const connections = bench.connections(CONNECTIONS);
    const time = (k) => data.publishedAt(31 + ((k * 7919) % (data.videos - 31)));
    const pages = new Script(
      bench.dir,
      "own-feed",
      Array.from({ length: 20000 }, (_, k) => `GET /douyin/feed/?latest_time=${time(k)}`),
    );
    const fans = data.newcomers();
    const likesOf = (name) =>
      new Script(
        bench.dir,
        name,
        fans.map(
          (i) =>
            `POST /douyin/favorite/action/?token=${data.token(i)}&video_id=${data.videoId(((i * 7919) % data.videos) + 1)}&action_type=%`,
        ),
      );
    const [none, own] = [likesOf("likes-none"), likesOf("likes-own")];
    const sides = await byTurns(bench.rounds, {
      "feed, none": () => bench.measure(bench.server, { script: pages, connections, array: "video_list:30" }),
      [`feed, ${OWN_SLOTS}`]: () => bench.measure(twin, { script: pages, connections, array: "video_list:30" }),
      "likes, none": () => bench.measure(bench.server, { script: none, connections }),
      [`likes, ${OWN_SLOTS}`]: () => bench.measure(twin, { script: own, connections }),
    });
    const [before, after] = [bench.cluster, twin.cluster].map(({ shards }) => Math.round(residentMb(shards[0].pid)));
    return {
      sides,
      note:
        `${OWN_SLOTS} own slots with ${videos} of ${data.videos} videos on one of ${twin.cluster.shards.length} shards, ` +
        `made in bulk in ${seconds.toFixed(0)} s; at the end that shard uses ${after} MB of memory, and ${before} MB without them`,
    };
  } finally {
    await twin.down();
  }
}

export const OWN = [
  {
    name: "own-slots",
    what: `feed pages and likes with ${OWN_SLOTS} own slots on one shard, and without`,
    unit: "requests/s",
    target: "none",
    run: ownSlots,
  },
];
