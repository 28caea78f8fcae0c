/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* What each endpoint does, as seen by an owner, another user and a visitor. Runs against any service
 * (BASE_URL), and also on data left by an earlier run. */

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { CODE, uniqueName } from "../lib/api.js";
import { Cluster, UPLOADS } from "../lib/cluster.js";
import { uniqueClip } from "../lib/media.js";
import { until } from "../lib/wait.js";

let cluster;
let api;
/* The owner of the videos, two other users, and a visitor without a token. */
let owner;
let other;
let third;

const ok = (answer) => {
  assert.equal(answer.status_code, CODE.OK, JSON.stringify(answer));
  return answer;
};
const ids = (list) => list.map(({ id }) => id);

/** Publishes a video as OWNER; returns it as the list shows it. */
async function film(author = owner) {
  const title = uniqueName("film");
  ok(await api.publish(author.token, uniqueClip(), title));
  const { video_list } = ok(await api.list({ user_id: author.id }));
  return video_list.find((video) => video.title === title);
}

const card = async (id, viewer = owner) => ok(await api.user(viewer.token, id)).user;
const shown = async (video, viewer) =>
  ok(await api.list({ user_id: video.author.id, token: viewer?.token })).video_list.find(({ id }) => id === video.id);

before(async () => {
  cluster = await Cluster.up({ shards: 4, remote: true, options: UPLOADS });
  api = cluster.api;
  [owner, other, third] = [await api.register(), await api.register(), await api.register()];
});
after(() => cluster?.down());

/* ---- Accounts ---- */

test("register, login and user: the owner, another user and a visitor", async () => {
  const user = await api.register();
  const again = (await api.post("/douyin/user/register/", { username: user.name, password: "x" })).json;
  assert.deepEqual([again.status_code, again.user_id, again.token], [CODE.TAKEN, 0, ""]);
  const session = ok(await api.login(user.name, user.password));
  assert.equal(session.user_id, user.id);
  assert.equal((await api.login(user.name, "wrong")).status_code, CODE.LOGIN);

  const own = ok(await api.user(session.token, user.id)).user;
  assert.deepEqual(own, await card(user.id, other));
  assert.deepEqual(own, ok(await api.user(session.token)).user, "without user_id: the caller");
  for (const key of ["follow_count", "follower_count", "total_favorited", "work_count", "favorite_count"])
    assert.equal(own[key], 0, key);
  assert.equal((await api.user(undefined, user.id)).status_code, CODE.AUTH, "a visitor");
});

/* ---- Videos and likes ---- */

test("feed and publish/list show flags and counts of the right user", async () => {
  const video = await film();
  ok(await api.like(other.token, video.id));
  ok(await api.follow(other.token, owner.id));
  for (const [viewer, favorite, follow] of [
    [other, true, true],
    [owner, false, false],
    [third, false, false],
    [undefined, false, false],
  ]) {
    const seen = await shown(video, viewer);
    assert.deepEqual([seen.is_favorite, seen.author.is_follow, seen.favorite_count], [favorite, follow, 1]);
    const feed = ok(await api.feed({ token: viewer?.token, latest_time: 0 })).video_list.find(
      ({ id }) => id === video.id,
    );
    if (cluster.local || feed) assert.deepEqual(feed, seen, "the feed has the same");
  }
  ok(await api.follow(other.token, owner.id, 2));
  ok(await api.like(other.token, video.id, 2));
  const seen = await shown(video, other);
  assert.deepEqual([seen.is_favorite, seen.author.is_follow, seen.favorite_count], [false, false, 0]);
});

test("a like counts once, for the video, its author and the user who likes it", async () => {
  const fan = await api.register();
  const author = await api.register();
  const video = await film(author);
  for (let i = 0; i < 3; i += 1) ok(await api.like(fan.token, video.id));
  assert.equal((await shown(video)).favorite_count, 1);
  assert.equal((await card(author.id)).total_favorited, 1);
  assert.equal((await card(fan.id)).favorite_count, 1);
  assert.equal((await api.like(undefined, video.id)).status_code, CODE.AUTH, "a visitor cannot like");
  ok(await api.like(author.token, video.id)); /* users may like their own videos */
  assert.equal((await card(author.id)).total_favorited, 2);
  for (let i = 0; i < 3; i += 1) ok(await api.like(fan.token, video.id, 2));
  ok(await api.like(author.token, video.id, 2));
  assert.equal((await shown(video)).favorite_count, 0);
  assert.equal((await card(author.id)).total_favorited, 0);
  assert.equal((await card(fan.id)).favorite_count, 0);
});

test("favorite/list: newest like first, for any user with a token, page by page", async () => {
  const fan = await api.register();
  assert.deepEqual(ok(await api.favorites({ user_id: fan.id, token: fan.token })).video_list, [], "empty: []");
  const videos = [await film(), await film(other), await film(third), await film()];
  for (const video of videos) ok(await api.like(fan.token, video.id));
  ok(await api.like(fan.token, videos[1].id, 2));
  ok(await api.like(fan.token, videos[1].id)); /* now the newest like */
  const wanted = [videos[1], videos[3], videos[2], videos[0]].map(({ id }) => id);
  const own = ok(await api.favorites({ user_id: fan.id, token: fan.token }));
  assert.deepEqual(ids(own.video_list), wanted);
  assert.ok(own.video_list.every((v) => v.is_favorite && v.favorite_count === 1));
  const seen = ok(await api.favorites({ user_id: fan.id, token: third.token }));
  assert.deepEqual(ids(seen.video_list), wanted);
  assert.ok(
    seen.video_list.every((v) => !v.is_favorite),
    "another user's flags are that user's own",
  );
  assert.deepEqual(
    ids(ok(await api.favorites({ token: fan.token })).video_list),
    wanted,
    "without user_id: the caller",
  );
  assert.equal((await api.favorites({ user_id: fan.id })).status_code, CODE.AUTH, "a visitor");

  const paged = [];
  for (let cursor = 0, pages = 0; pages < 9; pages += 1) {
    const page = ok(await api.favorites({ user_id: fan.id, token: fan.token, limit: 2, cursor }));
    paged.push(...ids(page.video_list));
    cursor = page.next_cursor;
    if (cursor === 0) break;
  }
  assert.deepEqual(paged, wanted);
});

test("publish/delete: only the owner may; the author keeps the likes received, new ones are refused", async () => {
  const author = await api.register();
  const fan = await api.register();
  const [kept, gone] = [await film(author), await film(author)];
  for (const video of [kept, gone]) ok(await api.like(fan.token, video.id));
  ok(await api.comment(fan.token, gone.id, "soon gone"));
  /* A like that reaches the video only after it was deleted would be taken back. */
  if (cluster.local) await until("all halves", async () => (await cluster.rowCounts(["outbox"])).outbox === 0);
  assert.equal((await api.remove(fan.token, gone.id)).status_code, CODE.NOT_YOURS);
  assert.equal((await api.remove(undefined, gone.id)).status_code, CODE.AUTH);
  ok(await api.remove(author.token, gone.id));
  ok(await api.remove(author.token, gone.id));
  const { work_count, total_favorited } = await card(author.id);
  assert.deepEqual([work_count, total_favorited], [1, 1]);
  assert.equal((await api.like(third.token, gone.id)).status_code, CODE.NO_VIDEO);
  assert.equal((await card(third.id)).favorite_count, 0);
  for (const action of [1, 2, 2]) ok(await api.like(fan.token, gone.id, action)); // repeating an old action changes nothing
  assert.equal((await api.like(fan.token, gone.id)).status_code, CODE.NO_VIDEO);
  assert.equal((await api.comment(fan.token, gone.id, "too late")).status_code, CODE.NO_VIDEO);
  assert.equal((await api.comments({ video_id: gone.id })).status_code, CODE.NO_VIDEO);
  assert.deepEqual(ids(ok(await api.favorites({ token: fan.token })).video_list), [kept.id]);
});

/* ---- Comments ---- */

test("a comment is there at once for everybody, with the id that was answered", async () => {
  const video = await film();
  const before = new Date().toISOString().slice(5, 10);
  const { comment } = ok(await api.comment(other.token, video.id, "第一条评论 🐻\n\tsecond line"));
  const second = ok(await api.comment(owner.token, video.id, "thanks")).comment;
  assert.equal(comment.content, "第一条评论 🐻\n\tsecond line");
  assert.equal(comment.user.id, other.id);
  assert.equal(comment.user.name, other.name);
  assert.ok([before, new Date().toISOString().slice(5, 10)].includes(comment.create_date));
  for (const viewer of [owner, other, third, undefined]) {
    const { comment_list, next_cursor } = ok(await api.comments({ video_id: video.id, token: viewer?.token }));
    assert.deepEqual(comment_list, [second, comment], "newest first");
    assert.equal(next_cursor, 0);
    assert.equal((await shown(video, viewer)).comment_count, 2);
  }
  ok(await api.follow(third.token, other.id));
  const seen = ok(await api.comments({ video_id: video.id, token: third.token })).comment_list;
  assert.deepEqual(
    seen.map(({ user }) => user.is_follow),
    [false, true],
  );
  ok(await api.follow(third.token, other.id, 2));
});

test("a comment can be deleted by its author and by the video's author only", async () => {
  const video = await film();
  const post = async (text) => ok(await api.comment(other.token, video.id, text)).comment.id;
  const [first, second] = [await post("one"), await post("two")];
  assert.equal((await api.uncomment(third.token, video.id, first)).status_code, CODE.NOT_YOURS);
  assert.equal((await api.uncomment(undefined, video.id, first)).status_code, CODE.AUTH);
  assert.equal((await shown(video)).comment_count, 2);
  const deleted = ok(await api.uncomment(other.token, video.id, first));
  assert.ok(!("comment" in deleted), "no comment after deleting one");
  ok(await api.uncomment(other.token, video.id, first)); /* again: no change */
  ok(await api.uncomment(owner.token, video.id, second)); /* by the author of the video */
  assert.equal((await shown(video)).comment_count, 0);
  assert.deepEqual(ok(await api.comments({ video_id: video.id })).comment_list, []);
});

test("comments of many authors come page by page", async () => {
  const video = await film();
  const posted = [];
  for (let i = 0; i < 7; i += 1)
    posted.unshift(ok(await api.comment([owner, other, third][i % 3].token, video.id, `number ${i}`)).comment.id);
  const paged = [];
  for (let cursor = 0, pages = 0; pages < 9; pages += 1) {
    const page = ok(await api.comments({ video_id: video.id, limit: 3, cursor }));
    assert.ok(page.comment_list.length <= 3);
    paged.push(...ids(page.comment_list));
    cursor = page.next_cursor;
    if (cursor === 0) break;
  }
  assert.deepEqual(paged, posted);
});

/* ---- Follows and friends ---- */

test("a follow counts once on both sides, and is_follow shows it to the right user", async () => {
  const [a, b] = [await api.register(), await api.register()];
  for (let i = 0; i < 3; i += 1) ok(await api.follow(a.token, b.id));
  assert.equal((await card(a.id)).follow_count, 1);
  assert.equal((await card(b.id)).follower_count, 1);
  assert.equal((await card(b.id, a)).is_follow, true);
  assert.equal((await card(a.id, b)).is_follow, false, "not the other way round");
  assert.equal((await card(b.id, third)).is_follow, false);
  assert.equal((await card(b.id, b)).is_follow, false, "nobody follows themselves");
  const follows = ok(await api.relations("follow", { user_id: a.id, token: third.token })).user_list;
  const followers = ok(await api.relations("follower", { user_id: b.id, token: a.token })).user_list;
  assert.deepEqual(ids(follows), [b.id]);
  assert.deepEqual(ids(followers), [a.id]);
  assert.deepEqual(ok(await api.relations("friend", { user_id: a.id, token: a.token })).user_list, []);
  for (let i = 0; i < 3; i += 1) ok(await api.follow(a.token, b.id, 2));
  assert.equal((await card(a.id)).follow_count, 0);
  assert.equal((await card(b.id)).follower_count, 0);
  for (const kind of ["follow", "follower", "friend"]) {
    assert.deepEqual(ok(await api.relations(kind, { user_id: a.id, token: a.token })).user_list, []);
    assert.equal((await api.relations(kind, { user_id: a.id })).status_code, CODE.AUTH, "a visitor");
  }
  assert.equal((await api.follow(undefined, b.id)).status_code, CODE.AUTH);
});

test("follow and follower lists: newest first, page by page, with the viewer's flags", async () => {
  const hub = await api.register();
  const people = [];
  for (let i = 0; i < 5; i += 1) people.push(await api.register());
  for (const person of people) {
    ok(await api.follow(hub.token, person.id));
    ok(await api.follow(person.token, hub.id));
  }
  ok(await api.follow(hub.token, people[1].id, 2));
  ok(await api.follow(hub.token, people[1].id)); /* follow again: now the newest */
  const order = [people[1], people[4], people[3], people[2], people[0]].map(({ id }) => id);
  for (const [kind, wanted] of [
    ["follow", order],
    ["follower", people.map(({ id }) => id).reverse()],
    ["friend", order],
  ]) {
    const all = ok(await api.relations(kind, { user_id: hub.id, token: hub.token })).user_list;
    assert.deepEqual(ids(all), wanted, kind);
    assert.ok(
      all.every((user) => user.is_follow),
      "hub follows all of them",
    );
    const paged = [];
    for (let cursor = 0, pages = 0; pages < 9; pages += 1) {
      const page = ok(await api.relations(kind, { user_id: hub.id, token: third.token, limit: 2, cursor }));
      paged.push(...ids(page.user_list));
      assert.ok(page.user_list.every((user) => !user.is_follow));
      cursor = page.next_cursor;
      if (cursor === 0) break;
    }
    assert.deepEqual(paged, wanted, `${kind}, paged`);
  }
});

test("friends follow each other; the list has the last message and its direction", async () => {
  const [a, b] = [await api.register(), await api.register()];
  ok(await api.follow(a.token, b.id));
  ok(await api.follow(b.token, a.id));
  const friend = async (user, token = user.token) =>
    ok(await api.relations("friend", { user_id: user.id, token })).user_list[0];
  let [ofA, ofB] = [await friend(a), await friend(b)];
  assert.deepEqual([ofA.id, ofA.message, ofA.msgType], [b.id, "", 0], "no message yet");
  assert.deepEqual([ofB.id, ofB.message, ofB.msgType], [a.id, "", 0]);
  ok(await api.say(a.token, b.id, "hello"));
  [ofA, ofB] = [await friend(a), await friend(b)];
  assert.deepEqual([ofA.message, ofA.msgType], ["hello", 1], "a sent it");
  assert.deepEqual([ofB.message, ofB.msgType], ["hello", 0], "b received it");
  ok(await api.say(b.token, a.id, "你好"));
  [ofA, ofB] = [await friend(a), await friend(b)];
  assert.deepEqual([ofA.message, ofA.msgType, ofB.message, ofB.msgType], ["你好", 0, "你好", 1]);
  ok(await api.say(a.token, b.id, "  ")); // spaces are a message, too
  [ofA, ofB] = [await friend(a), await friend(b)];
  assert.deepEqual([ofA.message, ofA.msgType, ofB.message, ofB.msgType], ["  ", 1, "  ", 0]);
  const seen = await friend(a, third.token);
  assert.deepEqual([seen.id, seen.message, seen.msgType], [b.id, "", 0], "messages are private");
  ok(await api.follow(b.token, a.id, 2));
  assert.equal(await friend(a), undefined, "one of them unfollowed");
});

/* ---- Messages ---- */

test("a message is there for both users at once, and for nobody else", async () => {
  const [a, b] = [await api.register(), await api.register()];
  const chat = async (user, peer, more = {}) =>
    ok(await api.chat({ token: user.token, to_user_id: peer.id, ...more })).message_list;
  assert.deepEqual(await chat(a, b), []);
  const texts = ["one", "two 🐻", "three\nlines"];
  for (const [i, text] of texts.entries()) {
    const [from, to] = i === 1 ? [b, a] : [a, b];
    ok(await api.say(from.token, to.id, text));
    for (const [user, peer] of [
      [a, b],
      [b, a],
    ]) {
      const list = await chat(user, peer);
      assert.deepEqual(
        list.map(({ content }) => content),
        texts.slice(0, i + 1),
        "ascending",
      );
      const last = list.at(-1);
      assert.deepEqual([last.from_user_id, last.to_user_id], [from.id, to.id]);
    }
  }
  const [ofA, ofB] = [await chat(a, b), await chat(b, a)];
  assert.deepEqual(ids(ofA), ids(ofB), "the same messages");
  assert.equal(new Set(ids(ofA)).size, 3);
  for (const list of [ofA, ofB])
    for (let i = 1; i < list.length; i += 1) assert.ok(list[i].create_time > list[i - 1].create_time);
  assert.deepEqual(await chat(third, a), [], "a third user has an empty chat of their own");
  assert.equal((await api.chat({ to_user_id: b.id })).status_code, CODE.AUTH, "a visitor");
  assert.equal((await api.say(undefined, b.id, "x")).status_code, CODE.AUTH);
  ok(await api.say(a.token, b.id, "in the query", { query: { content: "in the query" } }));
  assert.equal((await chat(b, a)).at(-1).content, "in the query");
});

test("polling with the last create_time returns what was received since, in ms and in s", async () => {
  const [a, b] = [await api.register(), await api.register()];
  const poll = async (user, peer, pre_msg_time) =>
    ok(await api.chat({ token: user.token, to_user_id: peer.id, pre_msg_time })).message_list;
  ok(await api.say(a.token, b.id, "first"));
  const [first] = await poll(b, a, 0);
  assert.equal(first.content, "first");
  assert.deepEqual(await poll(b, a, first.create_time), [], "strictly newer");
  ok(await api.say(b.token, a.id, "mine"));
  ok(await api.say(a.token, b.id, "second"));
  ok(await api.say(a.token, b.id, "third"));
  const since = await poll(b, a, first.create_time);
  assert.deepEqual(
    since.map(({ content }) => content),
    ["second", "third"],
    "not what b sent",
  );
  assert.deepEqual(
    (await poll(a, b, first.create_time - 1000)).map(({ content }) => content),
    ["mine"],
  );
  const early = Math.floor(first.create_time / 1000) - 10;
  assert.deepEqual(
    (await poll(b, a, early)).map(({ content }) => content),
    ["first", "second", "third"],
    "seconds",
  );
  assert.equal((await poll(b, a, "garbage")).length, 4, "not a time: everything");
});

/** The pages of a chat from QUERY on, by next_cursor until it is 0: arrays of texts. */
async function pagesOf(query) {
  const pages = [];
  for (let cursor; cursor !== 0;) {
    assert.ok(pages.length < 20, "there is no end");
    const page = ok(await api.chat({ ...query, cursor: cursor ?? query.cursor }));
    pages.push(page.message_list.map(({ content }) => content));
    cursor = page.next_cursor;
  }
  return pages;
}

test("a long chat: next_cursor leads from the newest message back to the first, or from cursor 1 on to the last", async () => {
  const [a, b] = [await api.register(), await api.register()];
  const texts = Array.from({ length: 6 }, (_, i) => `message ${i}`);
  for (const [i, text] of texts.entries()) ok(await api.say((i % 2 ? a : b).token, (i % 2 ? b : a).id, text));
  const query = { token: a.token, to_user_id: b.id };
  for (const limit of [1, 3, 4, 6, 7]) {
    const forward = [];
    const back = [];
    for (let i = 0; i < texts.length; i += limit) {
      forward.push(texts.slice(i, i + limit));
      back.push(texts.slice(Math.max(texts.length - i - limit, 0), texts.length - i));
    }
    assert.deepEqual(await pagesOf({ ...query, limit }), back, `back, ${limit} a page`);
    assert.deepEqual(await pagesOf({ ...query, limit, pre_msg_time: 0, cursor: 0 }), back, "0 is the same as absent");
    assert.deepEqual(await pagesOf({ ...query, limit, cursor: 1 }), forward, `forward, ${limit} a page`);
    assert.deepEqual(await pagesOf({ ...query, limit, cursor: 1, pre_msg_time: Date.now() }), forward, "a cursor wins");
  }
  /* Messages that arrive meanwhile neither shift the older pages nor get lost for a client that
   * polls. */
  const newest = ok(await api.chat({ ...query, limit: 2 }));
  ok(await api.say(b.token, a.id, "meanwhile"));
  const older = ok(await api.chat({ ...query, limit: 2, cursor: newest.next_cursor }));
  assert.deepEqual(
    older.message_list.map(({ content }) => content),
    texts.slice(2, 4),
  );
  const since = await pagesOf({ ...query, pre_msg_time: newest.message_list.at(-1).create_time });
  assert.deepEqual(since, [["meanwhile"]]);
  const wrong = await api.chat({ ...query, cursor: newest.next_cursor - (newest.next_cursor % 4) });
  assert.deepEqual([wrong.status_code, /cursor/.test(wrong.status_msg)], [CODE.PARAM, true]);
});

test("a poll that does not fit one page goes on by next_cursor, with received messages only", async () => {
  const [a, b] = [await api.register(), await api.register()];
  ok(await api.say(b.token, a.id, "known"));
  const query = { token: a.token, to_user_id: b.id, limit: 2 };
  const { create_time } = ok(await api.chat(query)).message_list[0];
  for (let i = 0; i < 4; i += 1) {
    ok(await api.say(b.token, a.id, `got ${i}`));
    ok(await api.say(a.token, b.id, `sent ${i}`));
  }
  assert.deepEqual(await pagesOf({ ...query, pre_msg_time: create_time }), [
    ["got 0", "got 1"],
    ["got 2", "got 3"],
  ]);
  assert.deepEqual(await pagesOf({ ...query, pre_msg_time: create_time, limit: 3 }), [
    ["got 0", "got 1", "got 2"],
    ["got 3"],
  ]);
  /* The same without cursors: each poll sends the last time that it was given. */
  const polled = [];
  for (let pre_msg_time = create_time, list; list?.length !== 0; pre_msg_time = list.at(-1)?.create_time) {
    list = ok(await api.chat({ ...query, pre_msg_time, limit: 3 })).message_list;
    polled.push(...list.map(({ content }) => content));
  }
  assert.deepEqual(polled, ["got 0", "got 1", "got 2", "got 3"]);
  if (!cluster.local) return;
  const both = cluster.apiOf(await (await cluster.addServer({ chat_poll: "both" })).start());
  const page = ok(await both.chat({ ...query, pre_msg_time: create_time, limit: 5 }));
  const rest = ok(await both.chat({ ...query, cursor: page.next_cursor, limit: 5 }));
  assert.deepEqual(
    [...page.message_list, ...rest.message_list].map(({ content }) => content),
    [0, 1, 2, 3].flatMap((i) => [`got ${i}`, `sent ${i}`]),
  );
  assert.equal(rest.next_cursor, 0);
});

/* ---- Keys ---- */

const keyed = () => ({ headers: { "Idempotency-Key": uniqueName("key") } });

test("many requests with one Idempotency-Key make one comment and one message", async () => {
  const video = await film();
  const one = keyed();
  const first = ok(await api.comment(other.token, video.id, "once", one));
  assert.deepEqual(ok(await api.comment(other.token, video.id, "once", one)), first);
  assert.equal((await api.comment(other.token, video.id, "twice", one)).status_code, CODE.KEY_REUSED);
  assert.equal((await shown(video)).comment_count, 1);
  ok(await api.comment(third.token, video.id, "once", one)); /* another user's key is another key */
  assert.equal((await shown(video)).comment_count, 2);
  assert.equal((await api.say(other.token, third.id, "once", one)).status_code, CODE.KEY_REUSED, "another route");

  const [a, b] = [await api.register(), await api.register()];
  const two = keyed();
  const answers = await Promise.all([1, 2, 3].map(() => api.say(a.token, b.id, "once", two)));
  answers.forEach(ok);
  assert.equal(ok(await api.chat({ token: b.token, to_user_id: a.id })).message_list.length, 1);
  assert.equal((await api.say(a.token, b.id, "other text", two)).status_code, CODE.KEY_REUSED);
  assert.equal((await api.say(a.token, third.id, "once", two)).status_code, CODE.KEY_REUSED);
  ok(await api.say(a.token, b.id, "once")); /* without a key it is a new one */
  assert.equal(ok(await api.chat({ token: b.token, to_user_id: a.id })).message_list.length, 2);
});

test("many requests with one Idempotency-Key make one account and one video", async () => {
  const form = { username: uniqueName(), password: "secret" };
  const register = (fields, options) => api.post("/douyin/user/register/", fields, options).then(({ json }) => json);
  const one = keyed();
  const user = ok(await register(form, one));
  const again = ok(await register(form, one));
  assert.equal(again.user_id, user.user_id);
  ok(await api.user(again.token));
  assert.equal((await register({ ...form, password: "guess" }, one)).status_code, CODE.KEY_REUSED);
  assert.equal((await register({ ...form, username: uniqueName() }, one)).status_code, CODE.KEY_REUSED);

  const author = await api.register();
  const clip = uniqueClip();
  const two = keyed();
  ok(await api.publish(author.token, clip, "once", two));
  ok(await api.publish(author.token, clip, "once", two));
  assert.equal((await api.publish(author.token, clip, "another title", two)).status_code, CODE.KEY_REUSED);
  assert.equal((await api.publish(author.token, uniqueClip(), "once", two)).status_code, CODE.KEY_REUSED);
  assert.equal(ok(await api.list({ user_id: author.id })).video_list.length, 1);
  assert.equal((await card(author.id)).work_count, 1);
});

test("an Idempotency-Key is kept for a day; after that it is as good as new", async (t) => {
  if (!cluster.local) return t.skip("needs the rows of the shards");
  const one = keyed();
  const [a, b, video] = [await api.register(), await api.register(), await film()];
  const clip = uniqueClip();
  const form = { username: uniqueName(), password: "secret" };
  const register = async () => (await api.post("/douyin/user/register/", form, one)).json;
  const rename = (key, what) => ({ headers: { "Idempotency-Key": `${key.headers["Idempotency-Key"]}-${what}` } });
  const comment = (text) => api.comment(a.token, video.id, text, rename(one, "comment"));
  const say = (text) => api.say(a.token, b.id, text, rename(one, "message"));
  const publish = (title) => api.publish(a.token, clip, title, rename(one, "video"));
  const rows = async () => [
    ok(await api.comments({ video_id: video.id })).comment_list.map(({ content }) => content),
    ok(await api.chat({ token: b.token, to_user_id: a.id })).message_list.map(({ content }) => content),
    ok(await api.list({ user_id: a.id })).video_list.map(({ title }) => title),
  ];
  const first = ok(await comment("same")).comment.id;
  ok(await say("same"));
  ok(await publish("same"));
  ok(await register());
  const age = (ms) => cluster.sqlAll(`UPDATE idem SET created_at = created_at - ${ms}`);
  for (let i = 0; i < 2; i += 1) {
    assert.equal(ok(await comment("same")).comment.id, first);
    for (const work of [say, publish]) ok(await work("same"));
    for (const work of [comment, say, publish]) assert.equal((await work("other")).status_code, CODE.KEY_REUSED);
    ok(await register());
    assert.deepEqual(await rows(), [["same"], ["same"], ["same"]]);
  }
  await age(86400000);
  const second = ok(await comment("same")).comment.id;
  assert.notEqual(second, first);
  for (const work of [say, publish]) ok(await work("same"));
  assert.equal((await register()).status_code, CODE.TAKEN, "a name stays taken");
  assert.deepEqual(await rows(), [
    ["same", "same"],
    ["same", "same"],
    ["same", "same"],
  ]);
  assert.equal(ok(await comment("same")).comment.id, second);
  for (const work of [comment, say, publish]) assert.equal((await work("other")).status_code, CODE.KEY_REUSED);
  await age(86400000);
  for (const work of [comment, say, publish]) ok(await work("other"));
  assert.deepEqual(await rows(), [
    ["other", "same", "same"],
    ["same", "same", "other"],
    ["other", "same", "same"],
  ]);
});
