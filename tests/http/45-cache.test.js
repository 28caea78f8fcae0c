/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* What is cached in the processes of two servers and in Redis, and what readers get to see. */

import assert from "node:assert/strict";
import { after, test } from "node:test";
import { CODE } from "../lib/api.js";
import { cachedCluster, cachedServer, callsOf, costOf, metrics } from "../lib/cached.js";
import { slotOfId } from "../lib/checks.js";
import { moveSlot, owners, plantVideos } from "../lib/rows.js";
import { until } from "../lib/wait.js";

const cluster = await cachedCluster();
after(() => cluster.down());
const base_url = "http://videos.example";
const here = await cachedServer(cluster, { base_url });
const there = await cachedServer(cluster, { base_url });

const ana = await here.register();
const bob = await here.register();
const [video] = await plantVideos(cluster, [{ author: ana.id, at: Date.now() }]);

const key = (letter, id) => `ds:{${id}}:${letter}`;

/* The entry of KEY in Redis: {ver, confirmed, since, value}, or undefined. */
async function entry(name) {
  const [master] = await cluster.redis.owners([name]);
  const text = await cluster.redis.raw(master, "GET", name);
  if (text === null) return undefined;
  assert.equal(text.subarray(0, 4).toString(), "dsc1");
  const [ver, confirmed, since] = [4, 12, 20].map((at) => text.readDoubleLE(at));
  return { ver, confirmed, since, value: text.subarray(28) };
}

test("a card that was read is in Redis with its version; the next reader needs no shard", async () => {
  const { user } = await here.user(bob.token, ana.id);
  assert.equal(user.name, ana.name);
  const kept = await entry(key("u", ana.id));
  assert.ok(kept.ver > 0 && kept.value.length > 1, JSON.stringify(kept));
  const before = await metrics(there);
  assert.deepEqual((await there.user(bob.token, ana.id)).user, user);
  const now = await metrics(there);
  const grown = (name, kind) =>
    now[`doushard_cache_${name}{kind="${kind}"}`] - before[`doushard_cache_${name}{kind="${kind}"}`];
  assert.equal(grown("redis_hits_total", "USER"), 1);
  assert.equal(grown("misses_total", "USER"), 0);
  assert.equal(grown("misses_total", "INBOUND"), 0);
});

test("a process shows its own write in the next answer, another process within a second", async () => {
  for (const [writer, reader] of [
    [here, there],
    [there, here],
  ]) {
    const page = async (api) => (await api.user(bob.token, ana.id)).user;
    const seen = await page(reader);
    assert.equal((await page(writer)).follower_count, seen.follower_count);
    const follows = seen.follower_count === 0 ? 1 : 2;
    assert.equal((await writer.follow(bob.token, ana.id, follows)).status_code, CODE.OK);
    assert.equal((await page(writer)).follower_count, 1 - seen.follower_count);
    await until("the other one", async () => (await page(reader)).follower_count === 1 - seen.follower_count, {
      everyMs: 5,
    });
  }
});

test("a like changes the cards of the video and of both users", async () => {
  const likes = async (api) =>
    (await api.get("/douyin/favorite/list/", { token: bob.token, user_id: bob.id })).json.video_list;
  assert.deepEqual(await likes(here), []);
  await here.like(bob.token, video.id);
  for (let i = 0; i < 3; i++) {
    const [card] = await likes(here);
    assert.equal(card.favorite_count, 1);
    assert.equal(card.author.total_favorited, 1);
    await here.like(bob.token, video.id, 2);
    assert.deepEqual(await likes(here), []);
    assert.equal((await here.user(bob.token, ana.id)).user.total_favorited, 0);
    await here.like(bob.token, video.id, 1);
  }
});

test("a cached newest page needs no CALL, for visitors and for known users", async () => {
  const newest = async (api, token) => {
    const answer = await api.feed(token ? { token } : {});
    assert.equal(answer.status_code, CODE.OK);
    return answer.video_list;
  };
  const plain = await newest(here);
  assert.deepEqual(
    plain.map(({ id }) => id),
    [video.id],
  );
  const [flagged] = await newest(here, bob.token);
  assert.ok(flagged.is_favorite);
  assert.deepEqual({ ...flagged, is_favorite: false, author: { ...flagged.author, is_follow: false } }, plain[0]);
  /* Entries that are valid for half a second may expire on a slow machine: try until all of it was
   * fast enough. */
  await until("feeds without a CALL", async () => {
    await newest(here, bob.token);
    const { calls } = await callsOf(here, async () => {
      for (let i = 0; i < 10; i++) {
        await newest(here);
        await newest(here, bob.token);
      }
    });
    return calls === 0;
  });
});

test("a process shows its own write in the next feed, another process within a second", async () => {
  const seen = async (api, token) => (await api.feed({ token })).video_list.find(({ id }) => id === video.id);
  for (const [writer, reader] of [
    [here, there],
    [there, here],
    [here, there],
  ]) {
    const before = await seen(reader, bob.token);
    await writer.like(bob.token, video.id, before.is_favorite ? 2 : 1);
    const now = await seen(writer, bob.token);
    assert.equal(now.is_favorite, !before.is_favorite);
    assert.equal(now.favorite_count, before.is_favorite ? 0 : 1);
    assert.equal(now.author.total_favorited, now.favorite_count);
    await until("the other one", async () => JSON.stringify(await seen(reader, bob.token)) === JSON.stringify(now), {
      everyMs: 5,
    });
    await writer.follow(bob.token, ana.id, before.author.is_follow ? 2 : 1);
    assert.equal((await seen(writer, bob.token)).author.is_follow, !before.author.is_follow);
    await writer.comment(bob.token, video.id, "well");
    assert.equal((await seen(writer)).comment_count, before.comment_count + 1);
  }
});

test("comments: what was acknowledged is in the next list, from either server", async () => {
  const listed = async (api) => (await api.comments({ video_id: video.id })).comment_list.map(({ content }) => content);
  const before = await listed(here);
  for (const [writer, reader] of [
    [here, there],
    [there, here],
  ]) {
    const texts = [];
    for (let i = 0; i < 5; i++) {
      await listed(reader); /* now it is cached */
      texts.unshift(`comment ${i}`);
      const { comment } = await writer.comment(bob.token, video.id, texts[0]);
      assert.deepEqual(await listed(reader), [...texts, ...before], `from the other server, ${i}`);
      assert.deepEqual(await listed(writer), [...texts, ...before]);
      if (i === 3) {
        await writer.uncomment(bob.token, video.id, comment.id);
        texts.shift();
        assert.deepEqual(await listed(reader), [...texts, ...before], "deleted");
      }
    }
    before.unshift(...texts);
  }
  const kept = await entry(key("c", video.id));
  assert.ok(kept.value.length > 100);
  /* On a slow machine the list may have been confirmed too long ago; reading it confirms it, and the
   * next read needs no CALL for it. */
  await until(
    "a list that costs at most the cards of the authors",
    async () => (await callsOf(there, () => listed(there))).calls <= 1,
  );
});

test("a deleted video is in no later list", async () => {
  const author = await here.register();
  const [gone] = await plantVideos(cluster, [{ author: author.id, at: Date.now() }]);
  await until("both to show it", async () =>
    (await Promise.all([here, there].map((api) => api.feed()))).every((feed) =>
      feed.video_list.some(({ id }) => id === gone.id),
    ),
  );
  await here.comment(bob.token, gone.id, "nice");
  for (const api of [here, there]) assert.equal((await api.comments({ video_id: gone.id })).comment_list.length, 1);
  assert.equal(
    (await here.post("/douyin/publish/delete/", { token: author.token, video_id: gone.id })).json.status_code,
    CODE.OK,
  );
  assert.ok(!(await here.feed()).video_list.some(({ id }) => id === gone.id));
  for (const api of [here, there]) assert.equal((await api.comments({ video_id: gone.id })).status_code, CODE.NO_VIDEO);
  await until("the other to miss it", async () => !(await there.feed()).video_list.some(({ id }) => id === gone.id), {
    everyMs: 5,
  });
});

test("chats: both users see at once what was acknowledged, from either server", async () => {
  const chat = async (api, who, peer, pre_msg_time) =>
    (await api.get("/douyin/message/chat/", { token: who.token, to_user_id: peer.id, pre_msg_time })).json.message_list;
  const say = (api, who, peer, content) =>
    api.post("/douyin/message/action/", { token: who.token, to_user_id: peer.id, action_type: 1, content });
  const said = [];
  let since = 0;
  for (let i = 0; i < 40; i++) {
    const [writer, reader] = i % 2 === 0 ? [here, there] : [there, here];
    await chat(reader, ana, bob, since || undefined); /* now it is cached */
    said.push(`message ${i}`);
    assert.equal((await say(writer, bob, ana, said.at(-1))).json.status_code, CODE.OK);
    const [polled, sent] = await Promise.all([chat(reader, ana, bob, since || undefined), chat(reader, bob, ana)]);
    assert.deepEqual(
      polled.map(({ content }) => content),
      since ? [said.at(-1)] : said,
    );
    assert.deepEqual(
      sent.map(({ content }) => content),
      said,
    );
    since = polled.at(-1).create_time;
  }
  const { calls } = await callsOf(there, async () => {
    for (let i = 0; i < 5; i++) assert.deepEqual(await chat(there, ana, bob, since), []);
  });
  assert.ok(calls < 5, `${calls} CALLs`);
  assert.deepEqual(
    (await chat(there, ana, bob, 1)).map(({ content }) => content),
    said,
    "older ones come from the shard",
  );
});

test("a session that one server has checked needs no shard on the other; both know of a logout", async () => {
  const { token, id } = await here.register();
  await here.user(token, id);
  const before = await metrics(there);
  await there.user(token, id);
  const found = (values) => values['doushard_cache_redis_hits_total{kind="SESSION"}'];
  assert.equal(found(await metrics(there)), found(before) + 1);
  assert.equal((await here.post("/douyin/user/logout/", { token })).json.status_code, CODE.OK);
  assert.equal((await here.user(token, id)).status_code, CODE.AUTH);
  await until("the other one to refuse it", async () => (await there.user(token, id)).status_code === CODE.AUTH);
});

test("a deleted video has no comments, even if its slot has moved since they were listed", async () => {
  const author = await here.register();
  const [gone] = await plantVideos(cluster, [{ author: author.id, at: Date.now() }]);
  await here.comment(bob.token, gone.id, "nice");
  const slot = slotOfId(author.id);
  const source = (await owners(cluster)).get(slot);
  await moveSlot(cluster, slot, source, source === "shard1" ? "shard2" : "shard1");
  for (const api of [here, there]) assert.equal((await api.comments({ video_id: gone.id })).comment_list.length, 1);
  assert.equal(
    (await here.post("/douyin/publish/delete/", { token: author.token, video_id: gone.id })).json.status_code,
    CODE.OK,
  );
  for (const api of [here, there]) assert.equal((await api.comments({ video_id: gone.id })).status_code, CODE.NO_VIDEO);
});

test("a banned user's video stays hidden, however often it is liked", async () => {
  const author = await here.register();
  const [hidden] = await plantVideos(cluster, [{ author: author.id, at: Date.now() }]);
  const likes = async (api) =>
    (await api.get("/douyin/favorite/list/", { token: bob.token, user_id: bob.id })).json.video_list.some(
      ({ id }) => id === hidden.id,
    );
  await here.like(bob.token, hidden.id);
  for (const api of [here, there]) assert.ok(await likes(api));
  await cluster.sql((await owners(cluster)).get(slotOfId(author.id)), `CALL user_ban(${author.id})`);
  for (const api of [here, there]) await until("the video to be gone", async () => !(await likes(api)));
  for (let i = 0; i < 4; i++) {
    await here.like(bob.token, hidden.id, 2);
    await here.like(bob.token, hidden.id, 1);
    for (const api of [here, there]) assert.ok(!(await likes(api)), `after ${i} likes`);
  }
});

test("after a change of password, the server that made it refuses the old session at once", async () => {
  const user = await here.register();
  await there.user(user.token, user.id);
  await here.user(user.token, user.id);
  const { json } = await here.post("/douyin/user/password/", {
    token: user.token,
    old_password: user.password,
    new_password: "another horse",
  });
  assert.equal(json.status_code, CODE.OK);
  assert.equal((await here.user(user.token, user.id)).status_code, CODE.AUTH);
  assert.equal((await here.user(json.token, user.id)).status_code, CODE.OK);
  await until(
    "the other server to refuse it",
    async () => (await there.user(user.token, user.id)).status_code === CODE.AUTH,
  );
});

test("the number of CALLs with cold and warm caches", async () => {
  const fresh = await cachedServer(cluster, { base_url });
  for (let i = 0; i < cluster.redis.nodes.length; i++) await cluster.redis.cli(i, "FLUSHALL");
  const asks = {
    "feed of a visitor": {
      ask: () => fresh.get("/douyin/feed/", {}),
      cold: { calls: 2, session: 0 },
    } /* the feeds of both shards, with cards */,
    "feed with a token": {
      ask: () => fresh.get("/douyin/feed/", { token: bob.token }),
      cold: { calls: 1, session: 1 },
    } /* likes and follows of bob */,
    "user page": {
      ask: () => fresh.get("/douyin/user/", { token: bob.token, user_id: ana.id }),
      cold: { calls: 1, session: 0 },
    },
    comments: {
      ask: () => fresh.get("/douyin/comment/list/", { video_id: video.id }),
      cold: { calls: 2, session: 0 },
    } /* list and cards */,
    chat: {
      ask: () => fresh.get("/douyin/message/chat/", { token: ana.token, to_user_id: bob.id, pre_msg_time: Date.now() }),
      cold: { calls: 1, session: 1 },
    },
  };
  for (const [what, { ask, cold }] of Object.entries(asks)) {
    const { calls, session } = await costOf(fresh, await ask());
    /* Entries of an earlier read may still be in the process; it is never more than this. */
    assert.ok(calls <= cold.calls && session <= cold.session, `${what}, cold: ${calls} and ${session}`);
    assert.ok(calls > 0 || what === "user page", `${what} was not cold`);
    await until(`${what} without a CALL`, async () => {
      await ask();
      const warm = await costOf(fresh, await ask());
      return warm.calls === 0 && warm.session === 0;
    });
  }
  await fresh.server.stop();
});
