/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* No request needs Redis: whatever happens to it, every answer stays right, and it is used again by
 * itself. */

import assert from "node:assert/strict";
import { after, test } from "node:test";
import { CODE } from "../lib/api.js";
import { cachedCluster, cachedServer, callsOf, metrics, total } from "../lib/cached.js";
import { plantVideos } from "../lib/rows.js";
import { parallel, until } from "../lib/wait.js";

const cluster = await cachedCluster({}, { masters: 3, replicas: 1 });
after(() => cluster.down());
const { redis } = cluster;
const options = { base_url: "http://videos.example", redis_timeout: "300ms" };
const here = await cachedServer(cluster, options);
const there = await cachedServer(cluster, options);

const [ana, bob, eve] = await parallel(
  3,
  [1, 2, 3].map(() => () => here.register()),
);
const [video] = await plantVideos(cluster, [{ author: ana.id, at: Date.now() }]);

/* What the service must answer, tracked by the test. */
const truth = { likers: new Set(), followers: new Set(), comments: [] };

/** All that can be seen of it, through API. */
async function seen(api) {
  const [feed, page, { comment_list: comments }] = await Promise.all([
    api.feed({ token: bob.token }),
    api.user(eve.token, ana.id),
    api.comments({ video_id: video.id }),
  ]);
  const card = feed.video_list.find(({ id }) => id === video.id);
  return {
    likes: card?.favorite_count,
    is_favorite: card?.is_favorite,
    is_follow: card?.author.is_follow,
    received: card?.author.total_favorited,
    followers: page.user?.follower_count,
    page_received: page.user?.total_favorited,
    follows: page.user?.is_follow,
    commented: card?.comment_count,
    comments: comments?.map(({ content }) => content),
  };
}

const expected = () => ({
  likes: truth.likers.size,
  is_favorite: truth.likers.has(bob.id),
  is_follow: truth.followers.has(bob.id),
  received: truth.likers.size,
  followers: truth.followers.size,
  page_received: truth.likers.size,
  follows: truth.followers.has(eve.id),
  commented: truth.comments.length,
  comments: truth.comments,
});

async function toggle(set, user, send) {
  const on = !set.has(user.id);
  assert.equal((await send(on ? 1 : 2)).status_code, CODE.OK);
  if (on) set.add(user.id);
  else set.delete(user.id);
}

/** Changes everything through API; its own answers are right at once, those of the other server
 * soon. */
async function live(api, other) {
  for (const user of [bob, eve]) {
    await toggle(truth.likers, user, (action) => api.like(user.token, video.id, action));
    await toggle(truth.followers, user, (action) => api.follow(user.token, ana.id, action));
    truth.comments.unshift(`comment ${truth.comments.length}`);
    assert.equal((await api.comment(user.token, video.id, truth.comments[0])).status_code, CODE.OK);
    assert.deepEqual(await seen(api), expected());
  }
  await until(
    "the other server to answer the same",
    async () => {
      assert.deepEqual(await seen(other), expected());
      return true;
    },
    { everyMs: 10 },
  );
}

const bothLive = async () => {
  await live(here, there);
  await live(there, here);
};

/** Waits until reads are answered by Redis again. */
async function isUsedAgain() {
  for (const api of [here, there]) {
    const before = total(await metrics(api), "doushard_cache_redis_hits_total");
    await until("Redis to be used", async () => {
      await seen(api);
      return total(await metrics(api), "doushard_cache_redis_hits_total") > before;
    });
  }
}

const masters = async () => {
  const roles = await Promise.all(redis.nodes.map((_, i) => redis.cli(i, "ROLE").catch(() => "gone")));
  return roles.map((role, i) => (role.startsWith("master") ? i : -1)).filter((i) => i >= 0);
};

/** All keys of all masters: [node, key]. */
async function keys() {
  const lists = await Promise.all(
    (await masters()).map(async (i) =>
      (await redis.cli(i, "KEYS", "*"))
        .split("\n")
        .filter(Boolean)
        .map((key) => [i, key]),
    ),
  );
  return lists.flat();
}

test("before any fault", async () => {
  await bothLive();
  await isUsedAgain();
  assert.ok((await keys()).length >= 5);
});

test("all keys are garbage", async () => {
  /* The last two have a header of ours, with the lowest and the highest version. */
  const values = [
    "''",
    "'x'",
    "'dsc1'",
    "string.rep('z', 5000)",
    "string.rep('\\127', 28)",
    "'dsc1' .. string.rep('\\0', 24) .. '1abcdrubbish'",
    "'dsc1' .. struct.pack('<ddd', 2^53, redis.call('TIME')[1] * 1000, 0) .. '1abcdrubbish'",
  ];
  for (const value of values) {
    for (const [node, key] of await keys())
      assert.equal(await redis.cli(node, "EVAL", `return redis.call('SET', KEYS[1], ${value})`, 1, key), "OK");
    await live(here, there);
  }
  await isUsedAgain();
});

test("all keys have the wrong type", async () => {
  const kinds = [
    ["RPUSH", "a", "b"],
    ["HSET", "v", "7"],
    ["SADD", "x"],
    ["ZADD", "1", "x"],
  ];
  for (const [command, ...rest] of kinds) {
    for (const [node, key] of await keys()) {
      await redis.cli(node, "DEL", key);
      await redis.cli(node, command, key, ...rest);
    }
    await live(there, here);
  }
  await isUsedAgain();
});

test("everything is flushed, scripts included", async () => {
  for (let i = 0; i < 3; i++) {
    for (const node of await masters()) {
      await redis.cli(node, "FLUSHALL");
      await redis.cli(node, "SCRIPT", "FLUSH");
    }
    await live(here, there);
  }
  await isUsedAgain();
});

test("a master is frozen, and comes back", async () => {
  const [, victim] = await masters();
  await redis.freeze(victim);
  try {
    await bothLive();
  } finally {
    redis.thaw(victim);
  }
  await redis.settled();
  await bothLive();
  await isUsedAgain();
});

test("a master is killed, its replica takes over", async () => {
  const [victim] = await masters();
  await redis.kill(victim);
  await bothLive();
  await redis.settled();
  await bothLive();
  await redis.start(victim);
});

test("a master and its replica are killed", async () => {
  await redis.settled();
  const [victim] = await masters();
  const id = await redis.cli(victim, "CLUSTER", "MYID");
  const replicas = (await redis.cli(victim, "CLUSTER", "REPLICAS", id))
    .split("\n")
    .map((line) => /:(\d+)@/.exec(line)?.[1]);
  const victims = [
    victim,
    ...redis.nodes.map(({ port }, i) => (replicas.includes(String(port)) ? i : -1)).filter((i) => i >= 0),
  ];
  assert.equal(victims.length, 2);
  await Promise.all(victims.map((i) => redis.kill(i)));
  await bothLive();
  for (const i of victims) await redis.start(i);
  await redis.settled();
  await bothLive();
  await isUsedAgain();
});

test("all of Redis is down: slower, but complete and ready", async () => {
  await Promise.all(redis.nodes.map((_, i) => redis.kill(i)));
  await bothLive();
  for (const api of [here, there]) {
    const ready = await api.send("GET", "/readyz", { admin: true });
    assert.equal(ready.status, 200);
    assert.match(ready.body.toString(), /\[!\]redis: 0 of 16384 slots/);
  }
});

test("many requests for one cold card make one CALL", async () => {
  const zoe = await here.register();
  const { calls } = await callsOf(there, () =>
    parallel(
      64,
      Array.from({ length: 200 }, () => async () => {
        assert.equal((await there.user(bob.token, zoe.id)).user.id, zoe.id);
      }),
    ),
  );
  assert.ok(calls < 60, `${calls} CALLs`); /* 400 without; a copy may end in the middle, and the session is asked for */
});

test("Redis comes back empty and is used again, by itself", async () => {
  await Promise.all(redis.nodes.map((_, i) => redis.start(i)));
  await bothLive();
  await redis.settled();
  await isUsedAgain();
  await bothLive();
});
