/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* The feed of four shards, one of which has a clock that is 200 ms ahead. */

import assert from "node:assert/strict";
import { after, beforeEach, test } from "node:test";
import { CODE, uniqueName } from "../lib/api.js";
import { slotOfId, walkProblems } from "../lib/checks.js";
import { Cluster, UPLOADS } from "../lib/cluster.js";
import { uniqueClip } from "../lib/media.js";
import { clearVideos, moveSlot, owners, plantVideos } from "../lib/rows.js";
import { parallel, until } from "../lib/wait.js";

const cluster = await Cluster.up({ shards: 4, options: UPLOADS, env: { DOUSHARD_SHARD2_FAKETIME: "+0.2s" } });
after(() => cluster.down());
const { api } = cluster;

/* A second server with small pages, so that there are many of them. */
const narrow = cluster.apiOf(await (await cluster.addServer({ feed_limit: 3 })).start());

/* 100 users in 100 different slots. */
const candidates = await parallel(
  8,
  Array.from({ length: 125 }, () => () => api.register()),
);
const users = [...new Map(candidates.map((u) => [slotOfId(u.id), u])).values()].slice(0, 100);
assert.equal(users.length, 100);
const initialOwners = await owners(cluster);
const shardOf = (user) => initialOwners.get(slotOfId(user.id));

beforeEach(() => clearVideos(cluster));

/** Stores videos [user index, time]; returns a Map of id to time. */
async function plant(list) {
  const planted = await plantVideos(
    cluster,
    list.map(([i, at]) => ({ author: users[i].id, at })),
  );
  return new Map(planted.map(({ id, at }) => [id, at]));
}

/** Reads all pages, with PAUSE() between two of them. At most SELDOM pages may be partial: these are
 * read again. */
async function walk(client, times, { from, pause = () => {}, most = 30, seldom = 0 } = {}) {
  const pages = [];
  let partial = 0;
  let latest = from;
  for (;;) {
    const { json } = await client.get("/douyin/feed/", { latest_time: latest });
    assert.equal(json.status_code, CODE.OK, JSON.stringify(json));
    partial += json.partial;
    assert.ok(partial <= seldom, "partial");
    if (json.partial) continue;
    if (json.video_list.length === 0) break;
    const page = json.video_list.map((v) => ({ id: v.id, at: times.get(v.id) }));
    pages.push(page);
    assert.equal(json.next_time, page.at(-1).at, "next_time is the publish time of the oldest");
    const sizes = new Set(page.map(({ at }) => at));
    assert.ok(page.length <= most || sizes.size === 1, `a page of ${page.length}`);
    assert.ok(pages.length < 300, "the pages do not end");
    latest = json.next_time;
    await pause();
  }
  return pages;
}

const NOW = Date.now();

test("the clocks of the shards are 200 ms apart", async () => {
  const rows = await cluster.sqlAll("SELECT CAST(UNIX_TIMESTAMP(UTC_TIMESTAMP(3)) * 1000 AS INTEGER) AS ms");
  const at = new Map(rows.map(({ shard, ms }) => [shard, ms]));
  assert.ok(at.get("shard2") - at.get("shard1") > 100, JSON.stringify(rows));
});

test("newest first, 30 at most, every video once", async () => {
  const times = await plant(Array.from({ length: 100 }, (_, i) => [i, NOW - 1000 * ((i * 37) % 100)]));
  const pages = await walk(api, times);
  assert.deepEqual(
    pages.map((p) => p.length),
    [30, 30, 30, 10],
  );
  assert.deepEqual(walkProblems(pages, times.keys()), []);
});

test("videos come from all shards, with their authors", async () => {
  const times = await plant(users.map((_, i) => [i, NOW - i]));
  const seen = new Set();
  const shards = new Set();
  let latest;
  while (seen.size < times.size) {
    const { video_list, next_time } = await api.feed({ latest_time: latest });
    assert.ok(video_list.length > 0);
    for (const video of video_list) {
      const user = users.find((u) => slotOfId(u.id) === slotOfId(video.id));
      assert.equal(video.author.id, user.id);
      assert.equal(video.author.name, user.name);
      seen.add(video.id);
      shards.add(shardOf(user));
    }
    latest = next_time;
  }
  assert.equal(shards.size, 4);
});

test("100 videos of the same time are one page, and the only one", async () => {
  const times = await plant(users.map((_, i) => [i, NOW - 5000]));
  const pages = await walk(api, times);
  assert.deepEqual(
    pages.map((p) => p.length),
    [100],
  );
  assert.deepEqual(walkProblems(pages, times.keys()), []);
});

for (const sizes of [
  [25, 25, 25, 25],
  [29, 2, 30, 31, 1, 7],
  [30, 30, 30, 10],
  [31, 31, 31, 7],
  [1, 99],
  [99, 1],
])
  test(`groups of equal times are never split: ${sizes.join(", ")}`, async () => {
    const list = [];
    for (const [g, size] of sizes.entries())
      for (let k = 0; k < size; k++) list.push([list.length, NOW - 1000 - g * 10]);
    const times = await plant(list);
    assert.equal(times.size, 100);
    const pages = await walk(api, times);
    assert.deepEqual(walkProblems(pages, times.keys()), []);
    const pageOf = new Map();
    for (const [n, page] of pages.entries())
      for (const { at } of page) {
        assert.equal(pageOf.get(at) ?? n, n, `the group of ${at} is on two pages`);
        pageOf.set(at, n);
      }
  });

test("videos one millisecond apart on different shards, in pages of 3", async () => {
  const times = await plant(Array.from({ length: 60 }, (_, i) => [i, NOW - (i % 20)]));
  assert.deepEqual(walkProblems(await walk(narrow, times, { most: 3 }), times.keys()), []);
});

test("without a bound, a video of the shard with the fast clock is listed at once", async () => {
  const ahead = users.find((u) => shardOf(u) === "shard2");
  const behind = users.find((u) => shardOf(u) === "shard1");
  const titles = [];
  for (const user of [ahead, behind, ahead, behind]) {
    titles.push(uniqueName("t"));
    assert.equal((await api.publish(user.token, uniqueClip(), titles.at(-1))).status_code, CODE.OK);
    for (const query of [{}, { latest_time: 0 }, { latest_time: "" }]) {
      const { video_list } = await api.feed(query);
      assert.ok(
        video_list.some((v) => v.title === titles.at(-1)),
        JSON.stringify(query),
      );
    }
  }
  const rows = await cluster.sqlAll("SELECT video_id AS id, published_at AS at FROM video");
  const times = new Map(rows.map(({ id, at }) => [id, at]));
  assert.equal(times.size, 4);
  assert.deepEqual(walkProblems(await walk(narrow, times, { most: 3 }), times.keys()), []);
});

test("videos published while pages are read neither hide nor repeat older ones", async () => {
  const times = await plant(Array.from({ length: 60 }, (_, i) => [i, NOW - 100000 - i * 7]));
  const planted = [...times.keys()];
  let n = 0;
  const pages = await walk(narrow, times, {
    most: 3,
    pause: async () => {
      n += 1;
      for (const [id, at] of await plant([[60 + (n % 40), NOW - 50000 + n * 40]])) times.set(id, at);
    },
  });
  assert.ok(n > 15);
  assert.deepEqual(walkProblems(pages, planted), []);
});

test("a deleted video is on no page", async () => {
  const times = await plant([
    [0, NOW - 1],
    [1, NOW - 2],
    [2, NOW - 3],
  ]);
  const [, second] = [...times.keys()];
  assert.equal((await api.remove(users[1].token, second)).status_code, CODE.OK);
  assert.deepEqual(
    (await walk(api, times)).flat().map(({ id }) => id),
    [...times.keys()].filter((id) => id !== second),
  );
});

test("latest_time is in ms from 10^11 on, in s below, and other values mean no bound", async () => {
  const second = Math.floor(NOW / 1000) * 1000 - 10000;
  const times = await plant([
    [0, second + 999],
    [1, second + 1],
    [2, second],
    [3, second - 1],
  ]);
  const at = async (latest_time) => (await api.feed({ latest_time })).video_list.map((v) => times.get(v.id) - second);
  assert.deepEqual(await at(second + 1), [0, -1]);
  assert.deepEqual(await at(second), [-1], "strictly before");
  assert.deepEqual(await at(second / 1000), [-1], "seconds");
  assert.deepEqual(await at(second / 1000 + 1), [999, 1, 0, -1], "seconds");
  assert.deepEqual(await at(`${(second + 1) / 1e12}e12`), [0, -1], "exponent form");
  assert.deepEqual(await at(1e11), [], "1973 in ms");
  assert.deepEqual(await at(1), [], "1970 in s");
  const all = [999, 1, 0, -1];
  for (const value of [
    undefined,
    "",
    0,
    -1,
    "-5e3",
    "now",
    "1.5x",
    "0x10",
    "1e400",
    "9".repeat(40),
    "NaN",
    "\u0000",
    " ",
  ])
    assert.deepEqual(await at(value), all, JSON.stringify(value));
});

test("next_time is usable even when nothing is left", async () => {
  const times = await plant([[0, NOW - 1000]]);
  const { next_time } = await api.feed();
  assert.equal(next_time, NOW - 1000);
  const end = await api.feed({ latest_time: next_time });
  assert.deepEqual([end.video_list, end.next_time], [[], next_time], "it echoes latest_time");
  await clearVideos(cluster);
  const empty = await api.feed();
  assert.deepEqual(empty.video_list, []);
  assert.ok(Math.abs(empty.next_time - Date.now()) < 60000, `now, not ${empty.next_time}`);
  assert.equal(times.size, 1);
});

test("the feed is the same with a token, without one, and with an expired one", async () => {
  const times = await plant([
    [0, NOW - 1],
    [1, NOW - 2],
  ]);
  const ids = async (token) => (await api.feed({ token })).video_list.map((v) => v.id);
  for (const token of [undefined, users[5].token, "old.token.here"])
    assert.deepEqual(await ids(token), [...times.keys()]);
});

test("a slot changes its owner while pages are read: no video is skipped or repeated", async () => {
  const times = await plant(Array.from({ length: 100 }, (_, i) => [i, NOW - 1000 - i * 3]));
  let stop = false;
  let moves = 0;
  const mover = (async () => {
    for (let i = 0; !stop; i = (i + 7) % 100) {
      const slot = slotOfId(users[i].id);
      const from = (await owners(cluster)).get(slot);
      const to = cluster.shards[(cluster.shards.findIndex((s) => s.name === from) + 1) % 4].name;
      await moveSlot(cluster, slot, from, to);
      moves += 1;
    }
  })();
  const problems = [];
  try {
    /* If a move takes longer than a page waits for it, the page says that something is missing. */
    while (moves < 12)
      for (const client of [narrow, api])
        problems.push(
          ...walkProblems(await walk(client, times, { most: client === api ? 30 : 3, seldom: 100 }), times.keys()),
        );
  } finally {
    stop = true;
    await mover;
  }
  assert.deepEqual(problems, []);
  assert.deepEqual(walkProblems(await walk(api, times), times.keys()), [], "and afterwards");
});

test("rows that a slot left behind on its old shard are on no page", async () => {
  const times = await plant([
    [0, NOW - 1],
    [1, NOW - 2],
  ]);
  const [left, stayed] = [...times.keys()];
  const slot = slotOfId(left);
  const from = (await owners(cluster)).get(slot);
  const to = cluster.shards.find((s) => s.name !== from).name;
  await moveSlot(cluster, slot, from, to);
  assert.equal((await api.remove(users[0].token, left)).status_code, CODE.OK);
  const behind = await cluster.sql(from, `SELECT state FROM video WHERE video_id = ${left}`);
  assert.deepEqual(behind, [{ state: "live" }], "the old shard does not know that it was deleted");
  assert.deepEqual(
    (await api.feed()).video_list.map((v) => v.id),
    [stayed],
  );
  assert.deepEqual((await api.list({ user_id: users[0].id })).video_list, []);
});

test("a slot without an owner is waited for; if that takes too long, the page is partial", async () => {
  const times = await plant([
    [0, NOW - 1],
    [1, NOW - 2],
  ]);
  const slot = slotOfId(users[0].id);
  const owner = (await owners(cluster)).get(slot);
  await cluster.sql(owner, `UPDATE slot_fence SET state = 'importing' WHERE slot = ${slot}; CALL _slot_changed()`);
  const page = await api.feed();
  assert.equal(page.status_code, CODE.OK);
  assert.equal(page.partial, true);
  assert.deepEqual(
    page.video_list.map((v) => v.id),
    [...times.keys()].slice(1),
  );
  await cluster.sql(owner, `UPDATE slot_fence SET state = 'owned' WHERE slot = ${slot}; CALL _slot_changed()`);
  await until("the whole feed", async () => (await api.feed()).partial === false);
  assert.equal((await api.feed()).video_list.length, 2);
});

test("a shard is down: videos of the others are served, and the page is partial", async () => {
  const current = await owners(cluster);
  const times = await plant(users.map((_, i) => [i, NOW - i]));
  const down = "shard3";
  const there = [...times.keys()].filter((id) => current.get(slotOfId(id)) !== down);
  assert.ok(there.length < 100 && there.length > 30);
  await cluster.demo("kill", down);
  try {
    const ids = [];
    let latest;
    for (;;) {
      const page = await api.feed({ latest_time: latest });
      assert.equal(page.status_code, CODE.OK, JSON.stringify(page));
      assert.equal(page.partial, true);
      if (page.video_list.length === 0) break;
      ids.push(...page.video_list.map((v) => v.id));
      latest = page.next_time;
    }
    assert.deepEqual(ids.sort(), there.sort());
    await until(
      "a page that does not wait for the dead shard",
      async () => (await api.get("/douyin/feed/", {})).ms < 1000,
    );
  } finally {
    await cluster.demo("start", down);
  }
  await until("the whole feed", async () => (await api.feed()).partial === false);
  assert.deepEqual(walkProblems(await walk(api, times), times.keys()), []);
});
