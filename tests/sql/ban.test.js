/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* user_ban, user_unban: who is locked out, what is hidden, what is still accepted, and that all
 * counters match afterwards. */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";

import {
  FAR,
  account,
  call,
  codes,
  deleteOp,
  journals,
  key,
  nameIn,
  newUser,
  newVideo,
  obeysForwarding,
  one,
  ownerOp,
  publishOp,
  race,
  refused,
  shard,
} from "./lib.js";

let server;
let root;
let app;
let admin;
before(async () => {
  ({ server, root, app } = await shard());
  admin = account(server, "admin");
});
after(() => server?.stop());

const row = async (session, routine, ...args) => (await call(session, routine, ...args))[0][0];
const ban = (user) => row(admin, "user_ban", Number(user.id));
const unban = (user) => row(admin, "user_unban", Number(user.id));
const open = async (user, session = key()) =>
  (await one(app, "session_open", ownerOp(user, { session, expires_at: FAR, max: 10 }))).code;
const checked = async (user, session) =>
  (await one(app, "session_get", ownerOp(user, { session, idle_ms: 1000000 }))).code;
const stored = (user) =>
  root
    .rows(
      `SELECT u.follow_count, u.work_count, u.favorite_count, i.follower_count, i.total_favorited
  FROM user AS u JOIN inbound AS i USING (slot, user_id) WHERE u.slot = ${user.slot} AND u.user_id = ${user.id}`,
    )
    .then(([all]) => all);

/** The first half of a like or follow, and the second. */
const edge = async (kind, user, target, state = 1) => {
  const first = await one(app, `${kind}_action`, ownerOp(user, { target: Number(target.id), state }));
  assert.equal(first.code, "ok");
  return one(
    app,
    `${kind}_deliver`,
    ownerOp(target, { actor: Number(user.id), state, ver: Number(first.ver), at: Number(first.at) }),
  );
};
const message = (user, peer, text) =>
  one(app, "message_action", ownerOp(user, { peer: Number(peer.id), op: key(), text }));
const deliver = (peer, user, { seq, message_id: id, text }) =>
  one(
    app,
    "message_deliver",
    ownerOp(peer, { peer: Number(user.id), seq: Number(seq), message_id: Number(id), state: 1, text, op: key() }),
  );
const comment = (video, user) =>
  one(app, "comment_action", ownerOp(video, { user: Number(user.id), op: key(), text: "c" }));

/** Fails unless every counter of a user matches its rows. */
const clean = async (user) =>
  assert.deepEqual(
    (await call(admin, "user_audit", Number(user.id)))[0].filter((each) => each.good === "0"),
    [],
  );

/** A user with a video; a fan who likes it, follows the user and has written to the user. */
async function scene(slot) {
  const [user, fan] = [await newUser(app, nameIn(slot)), await newUser(app)];
  const [video, other] = [await newVideo(app, user), await newVideo(app, fan)];
  assert.equal((await edge("favorite", fan, video)).code, "ok");
  assert.equal((await edge("relation", fan, user)).code, "ok");
  assert.equal((await edge("relation", user, fan)).code, "ok");
  assert.equal((await edge("favorite", user, other)).code, "ok");
  assert.equal((await deliver(user, fan, { ...(await message(fan, user, "m")), text: "m" })).code, "ok");
  return { user, fan, video, other };
}

describe("user_ban", () => {
  test("logged out and kept out: login by name is refused, and requests to the user's slot change nothing", async () => {
    const { user, fan, video, other } = await scene(31);
    const second = key();
    assert.equal(await open(user, second), "ok");
    const banned = await ban(user);
    assert.deepEqual([banned.code, banned.ended], ["ok", "2"]);
    const again = await ban(user);
    assert.deepEqual([again.code, again.ended], ["same", "0"]);
    assert.deepEqual([await checked(user, user.op.session), await checked(user, second)], ["notfound", "notfound"]);
    const login = await row(app, "user_login", user.slot, 1, user.name);
    assert.deepEqual([login.code, login.password_hash], ["ok", "hash 1"]);
    assert.equal(await open(user), "banned");
    assert.equal((await row(admin, "user_find", user.name)).state, "banned");
    assert.equal((await one(app, "user_register", user.op)).code, "taken");
    assert.equal(await open(fan), "ok");

    const before_ = [
      await stored(user),
      await root.rows("CHECKSUM TABLE follow, favorite, message, outbox, video, session"),
    ];
    const refusedOps = [
      ["favorite_action", ownerOp(user, { target: Number(other.id), state: 0 })],
      ["relation_action", ownerOp(user, { target: Number(fan.id), state: 0 })],
      ["message_action", ownerOp(user, { peer: Number(fan.id), op: key(), text: "x" })],
      ["publish_action", publishOp(user)],
      ["publish_delete", deleteOp(video, user.id)],
      ["user_profile", ownerOp(user, { signature: "x" })],
      ["user_password", ownerOp(user, { old_hash: "hash 1", new_hash: "hash 2", session: key(), expires_at: FAR })],
    ];
    for (const [routine, op] of refusedOps) {
      assert.deepEqual(await codes(app, routine, op), ["notfound"], routine);
    }
    assert.deepEqual(
      [await stored(user), await root.rows("CHECKSUM TABLE follow, favorite, message, outbox, video, session")],
      before_,
    );
  });

  test("a banned user's videos are hidden everywhere, the profile and lists are not", async () => {
    const { user, fan, video, other } = await scene(32);
    const feed = async () =>
      (await call(app, "feed_list", 0, 1000))[0].filter((each) => each.video_id === video.id).length;
    const works = async () =>
      (await call(app, "publish_list", user.slot, 1, Number(user.id), 0, 10))[0].map((each) => [
        each.code,
        each.video_id,
      ]);
    const card = async () => (await one(app, "video_get", ownerOp(video))).code;
    const comments = async () => (await row(app, "comment_list", video.slot, 1, Number(video.id), 0, 10)).code;
    assert.deepEqual(
      [await feed(), await works(), await card(), await comments()],
      [1, [["ok", video.id]], "ok", "ok"],
    );
    const files = () => one(app, "media_find", ownerOp(user, { media: video.media }));
    assert.equal((await files()).state, "live");
    const versions = () =>
      root.rows(
        `SELECT u.ver, i.ver AS in_ver FROM user AS u JOIN inbound AS i USING (slot, user_id) WHERE u.user_id = ${user.id}`,
      );
    const [old] = await versions();
    await ban(user);
    const [now] = await versions();
    assert.ok(BigInt(now.ver) > BigInt(old.ver) && BigInt(now.in_ver) > BigInt(old.in_ver));
    assert.deepEqual(
      [await feed(), await works(), await card(), await comments()],
      [0, [["ok", null]], "notfound", "notfound"],
    );
    assert.equal((await comment(video, fan)).code, "notfound");
    assert.equal((await files()).state, "live"); /* else they would be removed as orphans */

    assert.deepEqual(
      (
        await codes(
          admin,
          "owner_versions",
          [ownerOp(user, { kind: "user" }), ownerOp(video, { kind: "video" })].sort((a, b) => a.owner - b.owner),
        )
      ).sort(),
      ["notfound", "ok"],
    );
    const page = await one(app, "user_get", ownerOp(user));
    assert.deepEqual([page.code, page.name, page.work_count, page.total_favorited], ["ok", user.name, "1", "1"]);
    const list = async (routine, column) =>
      (await call(app, routine, user.slot, 1, Number(user.id), 0, 10))[0].map((each) => [each.code, each[column]]);
    assert.deepEqual(await list("relation_follow_list", "peer_id"), [["ok", fan.id]]);
    assert.deepEqual(await list("relation_follower_list", "peer_id"), [["ok", fan.id]]);
    assert.deepEqual(await list("relation_friend_list", "peer_id"), [["ok", fan.id]]);
    assert.deepEqual(await list("favorite_list", "video_id"), [["ok", other.id]]);

    assert.equal((await unban(user)).code, "ok");
    assert.equal((await unban(user)).code, "same");
    assert.deepEqual(
      [await feed(), await works(), await card(), await comments()],
      [1, [["ok", video.id]], "ok", "ok"],
    );
    assert.equal(await open(user), "ok");
    assert.equal(await checked(user, user.op.session), "notfound");
  });

  test("second halves are accepted in either state; afterwards all counters match", async () => {
    const { user, fan, video, other } = await scene(33);
    const late = await newUser(app);
    const posted = await comment(other, user);
    assert.equal(
      (
        await one(
          app,
          "comment_deliver",
          ownerOp(user, { video: Number(other.id), comment_id: Number(posted.comment_id), state: 1, ver: 1, at: 1 }),
        )
      ).code,
      "ok",
    );
    await ban(user);
    assert.equal((await edge("favorite", fan, video, 0)).code, "ok");
    assert.equal((await edge("relation", fan, user, 0)).code, "ok");
    assert.equal((await edge("favorite", late, video)).code, "ok");
    assert.equal((await edge("relation", late, user)).code, "ok");
    const sent = await message(fan, user, "during");
    assert.equal((await deliver(user, fan, { ...sent, text: "during" })).code, "ok");
    assert.equal(
      (
        await one(
          app,
          "comment_deliver",
          ownerOp(user, { video: Number(other.id), comment_id: Number(posted.comment_id), state: 0, ver: 2, at: 1 }),
        )
      ).code,
      "ok",
    );
    await clean(user);
    assert.deepEqual(await stored(user), {
      follow_count: "1",
      work_count: "1",
      favorite_count: "1",
      follower_count: "1",
      total_favorited: "1",
    });
    await unban(user);
    for (const each of [user, fan, late]) await clean(each);
    const chat = (await call(app, "message_chat", user.slot, 1, Number(user.id), Number(fan.id), 0, 0, 10, 0))[0];
    assert.ok(chat.some((each) => each.text === "during"));
    assert.deepEqual(
      (await call(app, "relation_follower_list", user.slot, 1, Number(user.id), 0, 10))[0].map((each) => each.peer_id),
      [late.id],
    );
  });

  test("an operator may erase a banned user and remove their videos; an erased user is not banned", async () => {
    const { user, video } = await scene(34);
    await ban(user);
    assert.equal((await row(admin, "video_remove", Number(video.id))).code, "ok");
    await clean(user);
    assert.equal((await row(admin, "user_erase", Number(user.id))).code, "ok");
    assert.deepEqual(
      await root.rows(
        `SELECT u.state, i.state AS inbound FROM user AS u JOIN inbound AS i USING (slot, user_id) WHERE user_id = ${user.id}`,
      ),
      [{ state: "erased", inbound: "erased" }],
    );
    assert.equal((await row(admin, "user_erase", Number(user.id))).code, "same");
    assert.deepEqual([(await ban(user)).code, (await unban(user)).code], ["notfound", "notfound"]);
    const nobody = { id: 12345 * 8192 + 34 * 8 };
    assert.deepEqual([(await ban(nobody)).code, (await unban(nobody)).code], ["notfound", "notfound"]);
  });

  test("a ban and a login at the same time: no session is left", async () => {
    const user = await newUser(app, nameIn(35));
    const lock = `SELECT 1 FROM user WHERE slot = 35 AND user_id = ${user.id} FOR UPDATE`;
    const [code, banned] = await race(server, root, lock, [app, () => open(user)], [admin, () => ban(user)]);
    assert.equal(banned.code, "ok");
    assert.ok(["ok", "banned"].includes(code), code);
    assert.equal(await root.value(`SELECT COUNT(*) FROM session WHERE user_id = ${user.id}`), "0");
    assert.equal(await open(user), "banned");
  });

  test("fence, promoted user, journal, bad ids, permissions", async () => {
    const user = await newUser(app, nameIn(36));
    for (const routine of ["user_ban", "user_unban"]) {
      await obeysForwarding(root, admin, routine, 36, user.id, () => [Number(user.id)]);
      for (const bad of [null, 0, "9007199254740992"]) await refused(admin, "45400", routine, bad);
      for (const who of [app, account(server, "monitor")]) await assert.rejects(call(who, routine, 1), { errno: 1370 });
      await root.run("UPDATE slot_fence SET state = 'moved', epoch = 2, server = 'shard2' WHERE slot = 36");
      const moved = await row(admin, routine, Number(user.id));
      assert.deepEqual([moved.code, moved.server], ["moved", "shard2"]);
      await root.run("UPDATE slot_fence SET state = 'owned', epoch = 1, server = 'shard1' WHERE slot = 36");
    }
    const entries = [`inbound ${user.id} ${user.id}`, `session ${user.id} ${user.id}`, `user ${user.id} ${user.id}`];
    await journals(
      root,
      36,
      async () => {
        await unban(user);
        await open(user);
        await root.run("DELETE FROM slot_log");
        await ban(user);
      },
      () => entries,
    );
    await root.run("UPDATE slot_fence SET state = 'migrating' WHERE slot = 36");
    await root.run("DELETE FROM slot_log");
    await unban(user);
    assert.deepEqual(
      (await root.rows("SELECT CONCAT(tbl, ' ', owner, ' ', k1) AS entry FROM slot_log ORDER BY tbl")).map(
        (each) => each.entry,
      ),
      entries.filter((entry) => !entry.startsWith("session")),
    );
  });
});
