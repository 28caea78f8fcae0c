/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Likes, comments, follows and messages that must be refused: a clear error for each, and afterwards
 * no live row and no changed counter anywhere. Also what each request costs in CALLs. */

import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, test } from "node:test";
import { CODE, uniqueName } from "../lib/api.js";
import { slotOfId } from "../lib/checks.js";
import { Cluster, UPLOADS } from "../lib/cluster.js";
import { uniqueClip } from "../lib/media.js";
import { owners } from "../lib/rows.js";
import { until } from "../lib/wait.js";

const cluster = await Cluster.up({ shards: 2, options: UPLOADS });
after(() => cluster.down());
const { api } = cluster;

const ok = (answer) => {
  assert.equal(answer.status_code, CODE.OK, JSON.stringify(answer));
  return answer;
};
const film = async (author, client = api) => {
  ok(await client.publish(author.token, uniqueClip()));
  return ok(await client.list({ user_id: author.id })).video_list[0];
};

const user = await api.register();
const peer = await api.register();
const video = await film(peer);
const gone = await film(peer);
ok(await api.remove(peer.token, gone.id));
const comment = ok(await api.comment(peer.token, video.id, "mine")).comment;

/* Every live row and every counter, once nothing is under way. */
const LIVE = ["follow", "follower", "favorite", "liker", "comment", "commented", "message"];
const settled = async () => {
  await until("an empty outbox", async () =>
    (await cluster.sqlAll("SELECT COUNT(*) AS n FROM outbox")).every(({ n }) => n === 0),
  );
  const rows = LIVE.map((t) => `(SELECT COUNT(*) FROM \`${t}\` WHERE state = 1) AS \`${t}\``).join(", ");
  const sums = `(SELECT CONCAT_WS(",", SUM(follow_count), SUM(follower_count), SUM(favorite_count),
    SUM(total_favorited), SUM(work_count)) FROM user JOIN inbound USING (slot, user_id)) AS users,
    (SELECT CONCAT_WS(",", SUM(favorite_count), SUM(comment_count)) FROM video WHERE state = 'live') AS videos`;
  return cluster.sqlAll(`SELECT ${rows}, ${sums}`);
};

const NOBODY = 8192 * 5 + 8; /* the id of a time before the service existed */

/* name: [request, code, what the message says] */
const REFUSED = {
  "a like of a video that never was": [() => api.like(user.token, NOBODY), CODE.NO_VIDEO, /video/],
  "a like of a deleted video": [() => api.like(user.token, gone.id), CODE.NO_VIDEO, /video/],
  "a like of a user": [() => api.like(user.token, peer.id), CODE.NO_VIDEO, /video/],
  "a comment on a video that never was": [() => api.comment(user.token, NOBODY, "x"), CODE.NO_VIDEO, /video/],
  "a comment on a deleted video": [() => api.comment(user.token, gone.id, "x"), CODE.NO_VIDEO, /video/],
  "comments of a video that never was": [() => api.comments({ video_id: NOBODY }), CODE.NO_VIDEO, /video/],
  "another's comment": [() => api.uncomment(user.token, video.id, comment.id), CODE.NOT_YOURS, /not yours/],
  "a comment that never was": [() => api.uncomment(user.token, video.id, comment.id + 8), CODE.NO_COMMENT, /comment/],
  "a comment of another video": [() => api.uncomment(peer.token, gone.id, comment.id), CODE.NO_COMMENT, /comment/],
  "a comment deleted without its id": [
    () =>
      api
        .post("/douyin/comment/action/", { token: user.token, video_id: video.id, action_type: 2 })
        .then(({ json }) => json),
    CODE.PARAM,
    /comment_id is missing/,
  ],
  "a comment without text": [() => api.comment(user.token, video.id, ""), CODE.PARAM, /comment_text is missing/],
  "an over-long comment": [() => api.comment(user.token, video.id, "长".repeat(301)), CODE.PARAM, /comment_text.*300/],
  "a follow of oneself": [() => api.follow(user.token, user.id), CODE.SELF, /yourself/],
  "a follow of nobody": [() => api.follow(user.token, NOBODY), CODE.NO_USER, /user/],
  "a follow of a video": [() => api.follow(user.token, video.id), CODE.NO_USER, /user/],
  "a list of nobody's follows": [
    () => api.relations("follow", { token: user.token, user_id: NOBODY }),
    CODE.NO_USER,
    /user/,
  ],
  "a list of nobody's likes": [() => api.favorites({ token: user.token, user_id: NOBODY }), CODE.NO_USER, /user/],
  "a message to oneself": [() => api.say(user.token, user.id, "x"), CODE.SELF, /yourself/],
  "a message to nobody": [() => api.say(user.token, NOBODY, "x"), CODE.NO_USER, /user/],
  "a message to a video": [() => api.say(user.token, video.id, "x"), CODE.NO_USER, /user/],
  "a chat with oneself": [() => api.chat({ token: user.token, to_user_id: user.id }), CODE.SELF, /yourself/],
  "a chat with nobody": [() => api.chat({ token: user.token, to_user_id: NOBODY }), CODE.NO_USER, /user/],
  "a message without text": [() => api.say(user.token, peer.id, ""), CODE.PARAM, /content is missing/],
  "an over-long message": [() => api.say(user.token, peer.id, "长".repeat(501)), CODE.PARAM, /content.*500/],
};
for (const [what, action] of [
  ["like", (type) => api.like(user.token, video.id, type)],
  ["follow", (type) => api.follow(user.token, peer.id, type)],
  [
    "comment",
    (action_type) =>
      api
        .post("/douyin/comment/action/", { token: user.token, video_id: video.id, action_type, comment_text: "x" })
        .then(({ json }) => json),
  ],
  [
    "message",
    (action_type) =>
      api
        .post("/douyin/message/action/", { token: user.token, to_user_id: peer.id, action_type, content: "x" })
        .then(({ json }) => json),
  ],
])
  for (const type of what === "message" ? ["0", "2", "3", "x"] : ["0", "3", "x"])
    REFUSED[`${what} with action_type ${type}`] = [() => action(type), CODE.PARAM, /action_type/];
for (const [what, text, problem] of [
  ["a bell", "a\u0007b", /control/],
  ["an escape", "\u001b[31m", /control/],
  ["a carriage return", "a\rb", /control/],
  ["DEL", "\u007f", /control/],
  ["a C1 control", "\u0085", /control/],
  ["a right-to-left override", "\u202egnp.exe", /direction/],
  ["an isolate", "a\u2066b", /direction/],
]) {
  REFUSED[`a comment with ${what}`] = [() => api.comment(user.token, video.id, text), CODE.PARAM, problem];
  REFUSED[`a message with ${what}`] = [() => api.say(user.token, peer.id, text), CODE.PARAM, problem];
}

test(`refused: ${Object.keys(REFUSED).length} requests leave no live row and no count`, async () => {
  const before = await settled();
  const problems = [];
  for (const [what, [work, code, message]] of Object.entries(REFUSED)) {
    const answer = await work();
    if (answer.status_code !== code || !message.test(answer.status_msg))
      problems.push(`${what}: ${JSON.stringify(answer)}`);
  }
  assert.deepEqual(problems, []);
  assert.deepEqual(await settled(), before);
});

test("the longest and strangest good texts come back unchanged", async () => {
  const texts = [
    "🐻".repeat(300),
    "长".repeat(300),
    "'; DROP TABLE comment; --",
    '<script>"\\\n\t</script>',
    "%s%n",
    "👩‍👩‍👧‍👦 é é",
    "\u200f\u200e",
    "\ufffe\u{10ffff}",
    " ",
    "*",
  ];
  for (const text of texts) {
    assert.equal(ok(await api.comment(user.token, video.id, text)).comment.content, text);
    assert.equal(ok(await api.comments({ video_id: video.id })).comment_list[0].content, text);
    ok(await api.say(user.token, peer.id, text));
    assert.equal(ok(await api.chat({ token: peer.token, to_user_id: user.id })).message_list.at(-1).content, text);
  }
  ok(await api.say(user.token, peer.id, "🐻".repeat(500)));
});

/* ---- Words ---- */

/** A server with WORDS; reload(words) replaces them. */
async function wordsServer(name, words) {
  const words_file = join(cluster.dir, name);
  writeFileSync(words_file, words);
  const server = await (await cluster.addServer({ ...UPLOADS, words_file })).start();
  const client = cluster.apiOf(server);
  const reload = async (text, metric = "doushard_config_reloads_total") => {
    const before = await client.metric(metric);
    writeFileSync(words_file, text);
    server.kill("SIGHUP");
    await until("the reload", async () => (await client.metric(metric)) > before);
  };
  return { server, client, reload };
}

test("words of the list become stars; a new list needs no restart, a bad list is refused", async () => {
  const { server, client, reload } = await wordsServer("words.txt", "badword\n敏感\n");
  const said = async (text) => ok(await client.comment(user.token, video.id, text)).comment.content;
  assert.equal(await said("a BadWord, ｂａｄｗｏｒｄ and 很敏感的"), "a *******, ******* and 很**的");
  ok(await client.say(user.token, peer.id, "badword!"));
  assert.equal(
    ok(await client.chat({ token: peer.token, to_user_id: user.id })).message_list.at(-1).content,
    "*******!",
  );
  ok(await client.publish(user.token, uniqueClip(), "my badword"));
  assert.equal(ok(await client.list({ user_id: user.id })).video_list[0].title, "my *******");
  await reload("other\n");
  assert.equal(await said("badword other"), "badword *****");
  await reload(Buffer.from([0x61, 0x0a, 0xff]), "doushard_config_reloads_failed_total");
  assert.equal(await said("badword other a"), "badword ***** a");
  assert.match(server.complaints(), /words_file.*line 2/);
  assert.ok((await client.metric("doushard_texts_masked_total")) >= 4);
});

test("a request repeated with its key after the words changed is still the same request", async () => {
  const { client, reload } = await wordsServer("words-keys.txt", "badword\n");
  const [a, b] = [await client.register(), await client.register()];
  const own = await film(a, client);
  const keys = Object.fromEntries(
    ["comment", "message", "video"].map((what) => [what, { headers: { "Idempotency-Key": `words-${what}` } }]),
  );
  const clip = uniqueClip();
  const requests = async () => {
    const { comment: said } = ok(await client.comment(b.token, own.id, "a badword, other", keys.comment));
    ok(await client.say(b.token, a.id, "a badword, other", keys.message));
    ok(await client.publish(b.token, clip, "a badword, other", keys.video));
    return [said.id, said.content];
  };
  const first = await requests();
  assert.equal(first[1], "a *******, other");
  await reload("other\n");
  assert.deepEqual(await requests(), first, "what was stored, not what today's words would make of it");
  assert.deepEqual(
    ok(await client.comments({ video_id: own.id })).comment_list.map(({ id, content }) => [id, content]),
    [first],
  );
  for (const [user_, peer_] of [
    [a, b],
    [b, a],
  ])
    assert.deepEqual(
      ok(await client.chat({ token: user_.token, to_user_id: peer_.id })).message_list.map(({ content }) => content),
      ["a *******, other"],
    );
  assert.deepEqual(
    ok(await client.list({ user_id: b.id })).video_list.map(({ title }) => title),
    ["a *******, other"],
  );
  /* The key belongs to what the client sent, not to what was stored. */
  assert.equal((await client.comment(b.token, own.id, "a *******, other", keys.comment)).status_code, CODE.KEY_REUSED);
});

/* ---- CALLs ---- */

/** What requests cost, from the access lines of a server: {calls, session}. */
const meter = (server, client) => async (method, path, fields, headers) => {
  const answer = await client.send(method, path, { query: fields, headers });
  ok(answer.json);
  const line = await until("the access line", () =>
    server
      .logText()
      .split("\n")
      .find((l) => l.includes(" access ") && l.includes(answer.headers["x-request-id"])),
  );
  const [, calls, session] = / calls=(\d+) session_calls=(\d+)/.exec(line).map(Number);
  return { calls, session, json: answer.json };
};

for (const n of [1, 2, 4])
  test(`what a request costs in CALLs on ${n} shard${n > 1 ? "s" : ""}`, async () => {
    const own = await Cluster.up({ shards: n, options: { ...UPLOADS, session_cache_time: 0 } });
    try {
      const client = own.api;
      const owner = await owners(own);
      const shardsOf = (ids) => new Set(ids.map((id) => owner.get(slotOfId(id)))).size;
      const measure = meter(own.server, client);
      const delivered = () =>
        until("an empty outbox", async () =>
          (await own.sqlAll("SELECT COUNT(*) AS n FROM outbox")).every((row) => row.n === 0),
        );
      /* The CALLs; checking the session, which is not cached here, is one more. */
      const cost = async (method, path, fields, headers) => {
        const { calls, session } = await measure(method, path, fields, headers);
        assert.equal(session, fields.token === undefined ? 0 : 1, `${path}: the session`);
        return calls;
      };
      const get = (path, fields) => cost("GET", path, fields);
      const post = (path, fields, headers) => cost("POST", path, fields, headers);
      const key = () => ({ "Idempotency-Key": uniqueName("key") });
      const me = await client.register();
      const others = [];
      for (let i = 0; i < 5; i += 1) others.push(await client.register());
      const { token } = me;
      const videos = [];
      for (const author of others) videos.push(await film(author, client));
      const ids = others.map(({ id }) => id);

      const like = (video_id, action_type) => post("/douyin/favorite/action/", { token, video_id, action_type });
      const follow = (to_user_id, action_type) => post("/douyin/relation/action/", { token, to_user_id, action_type });
      const halves = (id) => shardsOf([me.id, id]); /* one CALL if one shard has both */
      for (const [i, { id: video_id }] of videos.entries()) {
        const to_user_id = others[i].id;
        assert.equal(await like(video_id, 1), halves(video_id), "like");
        assert.equal(await follow(to_user_id, 1), halves(to_user_id), "follow");
        ok(await client.follow(others[i].token, me.id));
        ok(await client.comment(others[i].token, videos[0].id, "x"));
      }
      const to_user_id = others[0].id;
      const video_id = videos[0].id;
      for (const [what, work, id] of [
        ["like", like, video_id],
        ["follow", follow, to_user_id],
      ])
        for (const [action, calls, how] of [
          [1, 1, "again"],
          [2, halves(id), "undone"],
          [2, 1, "undone, again"],
          [1, halves(id), "once more"],
        ]) {
          await delivered();
          assert.equal(await work(id, action), calls, `${what} ${how}`);
        }
      const chat = { token, to_user_id };
      assert.equal(await get("/douyin/message/chat/", chat), 2, "no chat yet: does the user exist?");
      const message = { token, to_user_id, action_type: 1, content: "x" };
      assert.equal(await post("/douyin/message/action/", message), 2, "message");
      assert.equal(await post("/douyin/message/action/", message, key()), 3, "message with a key");
      assert.equal(await get("/douyin/message/chat/", chat), 1, "chat");
      assert.equal(await get("/douyin/message/chat/", { ...chat, cursor: 1, limit: 1 }), 1, "a page of a chat");
      const comment_ = { token, video_id, action_type: 1, comment_text: "x" };
      assert.equal(await post("/douyin/comment/action/", comment_, key()), 4, "comment with a key");
      const { calls, json } = await measure("POST", "/douyin/comment/action/", comment_);
      assert.equal(calls, 3, "comment: both halves and the author's card");
      const uncomment = { token, video_id, action_type: 2, comment_id: json.comment.id };
      assert.equal(await post("/douyin/comment/action/", uncomment), 2, "deleted comment: both halves");
      await delivered();
      assert.equal(await post("/douyin/comment/action/", uncomment), 1, "deleted comment, again");
      const cards = shardsOf(ids);
      for (const list of ["relation/follow", "relation/follower", "relation/friend", "favorite"])
        assert.equal(await get(`/douyin/${list}/list/`, { token, user_id: me.id }), 1 + cards + 1, list);

      const version = (count) => 2 ** 33 + count; /* the epoch of all slots is 1 */
      /* 9000 newer follows of users who do not follow back: four CALLs go through 8000 of them. */
      const many = Array.from(
        { length: 9000 },
        (_, i) => `(${slotOfId(me.id)}, ${me.id}, ${NOBODY + 8192 * i}, 1, ${version(1000 + i)}, 0)`,
      );
      await own.sql(owner.get(slotOfId(me.id)), `INSERT INTO follow VALUES ${many.join(",")}`);
      const friends = "/douyin/relation/friend/list/";
      assert.equal(await get(friends, { token }), 4, "no friends so far");
      const first = ok((await client.get(friends, { token })).json);
      assert.deepEqual([first.user_list, first.next_cursor], [[], version(2000)]);
      assert.equal(await get(friends, { token, cursor: first.next_cursor }), 1 + cards + 1, "friends at last");
      const rest = ok((await client.get(friends, { token, cursor: first.next_cursor })).json);
      assert.deepEqual(
        [rest.user_list.map(({ id }) => id), rest.next_cursor],
        [[ids[0], ...ids.slice(1).reverse()], 0],
      );

      assert.equal(
        await get("/douyin/comment/list/", { video_id }),
        1 + shardsOf([...ids, me.id]),
        "comments, a visitor",
      );
      assert.equal(
        await get("/douyin/comment/list/", { video_id, token }),
        1 + shardsOf([...ids, me.id]) + 1,
        "comments",
      );
      assert.equal(await get("/douyin/publish/list/", { user_id: ids[0] }), 1, "videos, a visitor");
      assert.equal(await get("/douyin/publish/list/", { user_id: ids[0], token }), 2, "videos");
      assert.equal(await get("/douyin/feed/", {}), n, "feed, a visitor");
      assert.equal(await get("/douyin/feed/", { token }), n + 1, "feed, with a token");
      assert.equal(await get("/douyin/user/", { token }), 1, "one's own profile");
      assert.equal(await get("/douyin/user/", { token, user_id: ids[0] }), 2, "another's profile");
      assert.equal(await post("/douyin/publish/delete/", { token: others[0].token, video_id }), 1, "delete a video");
    } finally {
      await own.down({ last: false });
    }
  });

test("a cached session costs no CALL", async () => {
  const measure = meter(cluster.server, api);
  const { token } = await api.login(user.name, user.password);
  const costs = [];
  for (let i = 0; i < 3; i += 1) costs.push(await measure("GET", "/douyin/feed/", { token }));
  assert.deepEqual(
    costs.map(({ session }) => session),
    [1, 0, 0],
  );
  assert.deepEqual(
    costs.map(({ calls }) => calls),
    [3, 3, 3],
  );
});
