/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* procedures/favorite/, relation/, outbox/, viewer/, video/video_get.sql: both halves of edges. */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";

import {
  account,
  batch,
  call,
  codes,
  counted as readsOf,
  deleteOp,
  journals,
  key,
  newUser,
  newVideo,
  nameIn,
  obeysFence,
  obeysForwarding,
  one,
  outboxList,
  ownerOp,
  race,
  refused,
  refusesBadBatch,
  shard,
  until,
  version,
  waitForLocks,
} from "./lib.js";

let server;
let root;
let app;
before(async () => ({ server, root, app } = await shard()));
after(() => server?.stop());

/* One kind of edge: its routines, and the tables of its halves. */
const KINDS = {
  favorite: {
    action: "favorite_action",
    deliver: "favorite_deliver",
    list: "favorite_list",
    column: "video_id",
    forward: "favorite",
    other: "video_id",
    backward: "liker",
    owner: "video_id",
    actor: "user_id",
    target: async (slot) => newVideo(app, await newUser(app, ...(slot === undefined ? [] : [nameIn(slot)]))),
  },
  follow: {
    action: "relation_action",
    deliver: "relation_deliver",
    list: "relation_follow_list",
    column: "peer_id",
    forward: "follow",
    other: "followed_id",
    backward: "follower",
    owner: "user_id",
    actor: "follower_id",
    target: (slot) => newUser(app, ...(slot === undefined ? [] : [nameIn(slot)])),
  },
};

const actionOp = (user, target, state = 1) => ownerOp(user, { target: Number(target.id), state });
const deliverOp = (target, user, state, ver, at = 1000) => ownerOp(target, { actor: Number(user.id), state, ver, at });
/* The Nth version of an edge of USER. */
const outboxOp = (user, kind, target, n, fields = {}) =>
  ownerOp(user, { kind, target: Number(target.id), seq: 0, ver: Number(version(n)), ...fields });

const userRow = async (user) =>
  (await root.rows(`SELECT * FROM user WHERE slot = ${user.slot} AND user_id = ${user.id}`))[0];
const videoRow = async (video) =>
  (await root.rows(`SELECT * FROM video WHERE slot = ${video.slot} AND video_id = ${video.id}`))[0];
const forward = async (kind, user, target) =>
  (
    await root.rows(
      `SELECT state, ver FROM ${KINDS[kind].forward} WHERE slot = ${user.slot} AND user_id = ${user.id} AND ${KINDS[kind].other} = ${target.id}`,
    )
  )[0];
const backward = async (kind, target, user) =>
  (
    await root.rows(
      `SELECT state, ver FROM ${KINDS[kind].backward} WHERE slot = ${target.slot} AND ${KINDS[kind].owner} = ${target.id} AND ${KINDS[kind].actor} = ${user.id}`,
    )
  )[0];
const outbox = (user) =>
  root.rows(
    `SELECT kind, target_id, seq, ver, attempts, parked FROM outbox WHERE slot = ${user.slot} AND actor_id = ${user.id} ORDER BY kind, target_id, seq`,
  );
const inboundRow = async (user) =>
  (await root.rows(`SELECT * FROM inbound WHERE slot = ${user.slot} AND user_id = ${user.id}`))[0];
const erase = (user) =>
  root.run(`UPDATE user AS u JOIN inbound AS i ON i.slot = u.slot AND i.user_id = u.user_id
  SET u.state = 'erased', i.state = 'erased' WHERE u.slot = ${user.slot} AND u.user_id = ${user.id}`);
const countOf = async (kind, user) => Number((await userRow(user))[`${kind}_count`]);
const lock = (user, table = "user") =>
  `SELECT 1 FROM ${table} WHERE slot = ${user.slot} AND user_id = ${user.id} FOR UPDATE`;

/** Fails unless every counter of every user and video matches the rows. */
async function counted() {
  let after_ = [0, 0];
  for (;;) {
    const rows = (await call(root, "audit_owners", ...after_, 1000))[0];
    for (const row of rows) {
      assert.deepEqual(
        [row.follow_count, row.follower_count, row.favorite_count, row.work_count, row.total_favorited, "0"],
        [row.follows, row.followers, row.favorites, row.works, row.likes, row.bad_videos],
        `user ${row.user_id}`,
      );
    }
    if (rows.length < 1000) return;
    after_ = [Number(rows.at(-1).slot), Number(rows.at(-1).user_id)];
  }
}

for (const [kind, is] of Object.entries(KINDS)) {
  describe(is.action, () => {
    test("on, again, off, again: versions, counter, outbox", async () => {
      const [user, target] = [await newUser(app), await is.target()];
      const now = Number(await root.value("SELECT _now_ms()"));
      const on = await one(app, is.action, actionOp(user, target));
      assert.deepEqual(
        [on.code, on.slot, on.epoch, on.server, on.ver, on.pending],
        ["ok", String(user.slot), "1", "", version(1), "1"],
      );
      assert.ok(Number(on.at) >= now && Number(on.at) < now + 60_000);
      assert.deepEqual(await outbox(user), [
        { kind, target_id: target.id, seq: "0", ver: version(1), attempts: "0", parked: "0" },
      ]);
      const again = await one(app, is.action, actionOp(user, target));
      assert.deepEqual([again.code, again.ver, again.at, again.pending], ["same", version(1), on.at, "1"]);
      assert.equal((await one(app, "outbox_done", outboxOp(user, kind, target, 1))).code, "ok");
      assert.equal((await one(app, is.action, actionOp(user, target))).pending, "0");
      const off = await one(app, is.action, actionOp(user, target, 0));
      assert.deepEqual([off.code, off.ver], ["ok", version(2)]);
      assert.equal((await one(app, is.action, actionOp(user, target, 0))).code, "same");
      assert.deepEqual(await forward(kind, user, target), { state: "0", ver: version(2) });
      assert.equal(await countOf(kind, user), 0);
      assert.equal((await userRow(user)).ver, version(3));
      await counted();
    });

    test("undoing what was never done: same, version 0, no row", async () => {
      const [user, target] = [await newUser(app), await is.target()];
      const row = await one(app, is.action, actionOp(user, target, 0));
      assert.deepEqual([row.code, row.ver, row.pending], ["same", "0", "0"]);
      assert.equal(await forward(kind, user, target), undefined);
      assert.deepEqual(await outbox(user), []);
    });

    test("unknown and erased users: not found, nothing changes", async () => {
      const [user, target] = [await newUser(app), await is.target()];
      await erase(user);
      const ghost = { id: String(12345 * 8192 + 9 * 8), slot: 9 };
      for (const nobody of [user, ghost]) {
        const row = await one(app, is.action, actionOp(nobody, target));
        assert.deepEqual([row.code, row.ver, row.at, row.pending], ["notfound", null, null, null]);
        assert.equal(await forward(kind, nobody, target), undefined);
      }
    });

    test("a batch: versions count per user, refused operations do not affect good ones", async () => {
      const [a, b] = [await newUser(app, nameIn(20)), await newUser(app, nameIn(21))];
      const targets = [await is.target(), await is.target(), await is.target()];
      await one(app, is.action, actionOp(a, targets[0]));
      const ghost = { id: String(777 * 8192 + 21 * 8), slot: 21 };
      const ops = [
        ...targets.map((target) => actionOp(a, target)),
        actionOp(ghost, targets[0]),
        actionOp(b, targets[0]),
      ];
      const rows = await batch(app, is.action, ops);
      assert.deepEqual(
        rows.map((row) => row.code),
        ["same", "ok", "ok", "notfound", "ok"],
      );
      const versions = rows.slice(0, 3).map((row) => Number(row.ver));
      assert.ok(versions[0] < versions[1] && versions[1] < versions[2]);
      assert.equal((await userRow(a)).edge_ver, rows[2].ver);
      assert.equal(await countOf(kind, a), 3);
      await refused(app, "45400", is.action, JSON.stringify([actionOp(a, targets[0]), actionOp(a, targets[0], 0)]));
      await counted();
    });

    test("bad arguments", async () => {
      const [user, target] = [await newUser(app), await is.target()];
      await refusesBadBatch(app, is.action, actionOp(user, target), {
        owner: [0],
        target: [0, -1, "x", {}, ...(kind === "follow" ? [Number(user.id)] : [])],
        state: [2, -1, "x", "", 0.5, {}],
      });
    });

    test("fifty toggles of one edge from two connections: the last version wins, both halves match", async () => {
      const [user, target] = [await newUser(app), await is.target()];
      const sessions = [app, account(server, "app")];
      const answers = (
        await Promise.all(
          sessions.map(async (session) => {
            const got = [];
            for (let i = 0; i < 25; i++) got.push(...(await batch(session, is.action, actionOp(user, target, i % 2))));
            return got;
          }),
        )
      ).flat();
      const done = answers
        .filter((row) => row.code === "ok")
        .map((row) => Number(row.ver))
        .sort((x, y) => x - y);
      assert.deepEqual(
        done,
        Array.from(done, (_, i) => Number(version(i + 1))),
      );
      const last = await forward(kind, user, target);
      assert.equal(last.ver, version(done.length));
      assert.equal(await countOf(kind, user), Number(last.state));
      await sessions[1].end();
    });

    test("two first likes at the same time count once", async () => {
      const [user, target] = [await newUser(app), await is.target()];
      const other = account(server, "app");
      const work = (session) => one(session, is.action, actionOp(user, target));
      const results = await race(server, root, lock(user), [app, work], [other, work]);
      assert.deepEqual(results.map((row) => row.code).sort(), ["ok", "same"]);
      assert.equal(await countOf(kind, user), 1);
      await other.end();
    });

    test("fence, forwarding, journal", async () => {
      const user = await newUser(app, nameIn(30));
      const target = await is.target(31);
      await obeysFence(root, app, is.action, 30, (epoch) => ({ ...actionOp(user, target), epoch }));
      await obeysForwarding(root, app, is.action, 30, user.id, () => actionOp(user, target));
      let state = 0;
      await journals(
        root,
        30,
        () => one(app, is.action, actionOp(user, target, (state ^= 1))),
        () => [
          `${is.forward} ${user.id} ${user.id},${target.id} `.trim(),
          `outbox ${user.id} ${user.id},${target.id},0 ${Buffer.from(kind).toString("hex")}`,
          `user ${user.id} ${user.id}`,
        ],
      );
    });
  });

  describe(is.deliver, () => {
    test("only newer versions, in any order; counters follow", async () => {
      const [user, target] = [await newUser(app), await is.target()];
      const deliver = async (state, ver) => (await one(app, is.deliver, deliverOp(target, user, state, ver))).code;
      const likes = async () =>
        Number(kind === "follow" ? (await inboundRow(target)).follower_count : (await videoRow(target)).favorite_count);
      assert.equal(await deliver(1, 3), "ok");
      assert.equal(await likes(), 1);
      assert.equal(await deliver(1, 3), "same");
      assert.equal(await deliver(0, 2), "same");
      assert.equal(await likes(), 1);
      assert.equal(await deliver(1, 5), "ok");
      assert.equal(await likes(), 1);
      assert.equal(await deliver(0, 6), "ok");
      assert.equal(await likes(), 0);
      assert.equal(await deliver(1, 4), "same");
      assert.deepEqual(await backward(kind, target, user), { state: "0", ver: "6" });
      await counted();
    });

    test("a tombstone that arrives first keeps out the like that it undoes", async () => {
      const [user, target] = [await newUser(app), await is.target()];
      assert.deepEqual(
        [
          await codes(app, is.deliver, deliverOp(target, user, 0, 2)),
          await codes(app, is.deliver, deliverOp(target, user, 1, 1)),
        ],
        [["ok"], ["same"]],
      );
      await counted();
    });

    test("one popular owner: 200 in a batch, half of them twice", async () => {
      const target = await is.target();
      const actors = Array.from({ length: 200 }, (_, i) => ({ id: 9_000_000_000 + i }));
      const ops = actors.map((actor) => deliverOp(target, actor, 1, 1));
      assert.ok((await codes(app, is.deliver, ops.slice(0, 100))).every((code) => code === "ok"));
      const answers = await codes(app, is.deliver, ops);
      assert.deepEqual([...new Set(answers.slice(0, 100)), ...new Set(answers.slice(100))], ["same", "ok"]);
      const row = kind === "follow" ? await inboundRow(target) : await videoRow(target);
      assert.deepEqual([row.follower_count ?? row.favorite_count], ["200"]);
      await refused(app, "45400", is.deliver, JSON.stringify([ops[0], { ...ops[0], ver: 9 }]));
      await counted();
    });

    test("unknown users: not found, nothing changes", async () => {
      const user = await newUser(app);
      const ghost = { id: String(4321 * 8192 + 9 * 8), slot: 9 };
      assert.equal((await one(app, is.deliver, deliverOp(ghost, user, 1, 1))).code, "notfound");
      assert.equal(await backward(kind, ghost, user), undefined);
      const target = await is.target();
      const owner = kind === "follow" ? target.id : (await videoRow(target)).author_id;
      await erase({ slot: target.slot, id: owner });
      assert.equal((await one(app, is.deliver, deliverOp(target, user, 1, 1))).code, "notfound");
      assert.equal(await backward(kind, target, user), undefined);
    });

    test("bad arguments", async () => {
      const [user, target] = [await newUser(app), await is.target()];
      await refusesBadBatch(app, is.deliver, deliverOp(target, user, 1, 1), {
        owner: [0],
        actor: [0, -1, "x", {}, ...(kind === "follow" ? [Number(target.id)] : [])],
        state: [2, "x", {}],
        ver: [0, -1, "x", {}],
        at: [-1],
      });
    });

    test("two deliveries of different versions at the same time", async () => {
      const [user, target] = [await newUser(app), await is.target()];
      const owner = kind === "follow" ? target : { slot: target.slot, id: (await videoRow(target)).author_id };
      const other = account(server, "app");
      const work = (state, ver) => (session) => one(session, is.deliver, deliverOp(target, user, state, ver));
      const results = await race(server, root, lock(owner, "inbound"), [app, work(1, 1)], [other, work(0, 2)]);
      assert.ok(results.every((row) => ["ok", "same"].includes(row.code)));
      assert.deepEqual(await backward(kind, target, user), { state: "0", ver: "2" });
      await counted();
      await other.end();
    });

    test("fence, forwarding, journal", async () => {
      const user = await newUser(app);
      const target = await is.target(33);
      await obeysFence(root, app, is.deliver, 33, (epoch) => ({ ...deliverOp(target, user, 1, 1), epoch }));
      await obeysForwarding(root, app, is.deliver, 33, target.id, () => deliverOp(target, user, 1, 1));
      const owner = kind === "follow" ? target.id : (await videoRow(target)).author_id;
      let ver = 0;
      await journals(
        root,
        33,
        () => one(app, is.deliver, deliverOp(target, user, 1, (ver += 1))),
        () => [
          `${is.backward} ${owner} ${target.id},${user.id}`,
          `inbound ${owner} ${owner}`,
          ...(kind === "favorite" ? [`video ${owner} ${target.id}`] : []),
        ],
      );
    });
  });

  describe(`outbox_undo of ${kind}`, () => {
    test("what the target refused is taken back, once", async () => {
      const [user, target] = [await newUser(app), await is.target()];
      await one(app, is.action, actionOp(user, target));
      const undo = async (ver) => (await one(app, "outbox_undo", outboxOp(user, kind, target, ver))).code;
      assert.equal(await undo(2), "same");
      assert.equal(await countOf(kind, user), 1);
      assert.equal(await undo(1), "ok");
      assert.deepEqual(await forward(kind, user, target), { state: "0", ver: version(1) });
      assert.equal(await countOf(kind, user), 0);
      assert.deepEqual(await outbox(user), []);
      assert.equal(await undo(1), "same");
      assert.equal(
        (await one(app, is.action, actionOp(user, target))).ver,
        version(3),
        "taking back is a version of the list",
      );
      await counted();
    });

    test("a newer version is not touched", async () => {
      const [user, target] = [await newUser(app), await is.target()];
      for (const state of [1, 0, 1]) await one(app, is.action, actionOp(user, target, state));
      assert.equal((await one(app, "outbox_undo", outboxOp(user, kind, target, 1))).code, "same");
      assert.deepEqual(await forward(kind, user, target), { state: "1", ver: version(3) });
      assert.equal((await outbox(user))[0].ver, version(3));
      assert.equal(await countOf(kind, user), 1);
    });

    test("an undo that was refused is only removed from the outbox, for erased users as well", async () => {
      const [user, target] = [await newUser(app), await is.target()];
      for (const state of [1, 0]) await one(app, is.action, actionOp(user, target, state));
      await erase(user);
      assert.equal((await one(app, "outbox_undo", outboxOp(user, kind, target, 2))).code, "ok");
      assert.equal(await countOf(kind, user), 0);
      assert.deepEqual(await outbox(user), []);
    });

    test("taking back and a new like at the same time", async () => {
      const [user, target] = [await newUser(app), await is.target()];
      await one(app, is.action, actionOp(user, target));
      const other = account(server, "app");
      const [undone, liked] = await race(
        server,
        root,
        lock(user),
        [app, (session) => one(session, "outbox_undo", outboxOp(user, kind, target, 1))],
        [other, (session) => one(session, is.action, actionOp(user, target))],
      );
      assert.equal(undone.code, "ok");
      assert.equal(await countOf(kind, user), liked.code === "ok" ? 1 : 0);
      assert.deepEqual(
        (await outbox(user)).map((row) => row.ver),
        liked.code === "ok" ? [version(3)] : [],
      );
      await other.end();
    });
  });
}

describe("likes and deletion of the video", () => {
  test("deletion takes the likes out of the total; later deliveries are not found", async () => {
    const author = await newUser(app);
    const [video, stays] = [await newVideo(app, author), await newVideo(app, author)];
    const [a, b] = [await newUser(app), await newUser(app)];
    for (const [who, what] of [
      [a, video],
      [b, video],
      [a, stays],
    ])
      await one(app, "favorite_deliver", deliverOp(what, who, 1, 1));
    assert.equal((await inboundRow(author)).total_favorited, "3");
    assert.equal((await one(app, "publish_delete", deleteOp(video, author.id))).code, "ok");
    assert.equal((await inboundRow(author)).total_favorited, "1");
    assert.equal((await one(app, "favorite_deliver", deliverOp(video, a, 0, 2))).code, "notfound");
    assert.equal((await one(app, "favorite_deliver", deliverOp(video, await newUser(app), 1, 1))).code, "notfound");
    assert.deepEqual([(await inboundRow(author)).total_favorited, (await videoRow(video)).favorite_count], ["1", "2"]);
    await counted();
  });

  test("a deletion and a delivery at the same time: the total stays exact", async () => {
    const author = await newUser(app);
    const video = await newVideo(app, author);
    await one(app, "favorite_deliver", deliverOp(video, await newUser(app), 1, 1));
    const fan = await newUser(app);
    const other = account(server, "app");
    const results = await race(
      server,
      root,
      lock(author, "inbound"),
      [app, (session) => one(session, "publish_delete", deleteOp(video, author.id))],
      [other, (session) => one(session, "favorite_deliver", deliverOp(video, fan, 1, 1))],
    );
    assert.equal(results[0].code, "ok");
    assert.ok(["ok", "notfound"].includes(results[1].code));
    assert.equal((await inboundRow(author)).total_favorited, "0");
    await counted();
    await other.end();
  });

  test("parallel batches on the same users and videos neither deadlock nor count twice", async () => {
    const users = [];
    for (let slot = 100; slot < 112; slot++) users.push(await newUser(app, nameIn(slot)));
    const videos = [];
    for (const user of users.slice(0, 6)) videos.push(await newVideo(app, user));
    const sessions = Array.from({ length: 4 }, () => account(server, "app"));
    await Promise.all(
      sessions.map(async (session, s) => {
        for (let i = 0; i < 15; i++) {
          const target = videos[(i + s) % videos.length];
          const first = await batch(
            session,
            "favorite_action",
            users.map((user) => actionOp(user, target, (i + s) % 2)),
          );
          const applied = users
            .map((user, at) => deliverOp(target, user, (i + s) % 2, Number(first[at].ver)))
            .filter((_op, at) => first[at].code === "ok");
          if (applied.length > 0) await batch(session, "favorite_deliver", applied);
          const done = users
            .map((user, at) => outboxOp(user, "favorite", target, Number(first[at].ver)))
            .filter((op) => op.ver > 0);
          if (done.length > 0) await batch(session, "outbox_done", done);
        }
      }),
    );
    await Promise.all(sessions.map((session) => session.end()));
    for (const user of users) {
      for (const video of videos) {
        const [f, b] = [await forward("favorite", user, video), await backward("favorite", video, user)];
        assert.deepEqual(f, b);
      }
    }
    await counted();
  });
});

describe("the outbox", () => {
  test("lists what is due with all that delivery needs; removes only what was delivered", async () => {
    await root.run("DELETE FROM outbox");
    const [a, b] = [await newUser(app, nameIn(40)), await newUser(app, nameIn(41))];
    const video = await newVideo(app, b);
    await one(app, "relation_action", actionOp(a, b));
    await one(app, "favorite_action", actionOp(a, video));
    await one(app, "favorite_action", actionOp(a, video, 0));
    const list = async (limit = 10, older = 0) => await outboxList(app, limit, older);
    const rows = await list();
    assert.deepEqual(
      rows.map(({ kind, owner, target, seq, ver, state, head }) => [kind, owner, target, seq, ver, state, head]),
      [
        ["favorite", a.id, video.id, "0", version(3), "0", "1"],
        ["follow", a.id, b.id, "0", version(1), "1", "1"],
      ],
    );
    assert.deepEqual(
      [await outboxList(app, 10, 0, [40, 42]), (await outboxList(app, 10, 0, [40, 41])).length],
      [[], 2],
    );
    assert.ok(
      rows.every(
        (row) => Number(row.at) > 1_700_000_000_000 && row.slot === "40" && row.epoch === "1" && row.text === null,
      ),
    );
    assert.deepEqual(await list(10, 60_000), []);
    assert.equal((await list(1)).length, 1);
    assert.deepEqual(
      await codes(app, "outbox_done", [outboxOp(a, "favorite", video, 2), outboxOp(a, "follow", b, 1)]),
      ["same", "ok"],
    );
    assert.equal((await list()).length, 1);
    await root.run("UPDATE slot_fence SET state = 'moved' WHERE slot = 40");
    assert.deepEqual(await list(), []);
    await root.run("UPDATE slot_fence SET state = 'owned' WHERE slot = 40");
  });

  test("what is put off or parked leaves its turn to others", async () => {
    await root.run("DELETE FROM outbox");
    const [a, b] = [await newUser(app, nameIn(42)), await newUser(app)];
    await one(app, "relation_action", actionOp(a, b));
    const fail = async (fields) =>
      (await one(app, "outbox_fail", outboxOp(a, "follow", b, 1, { retry_ms: 0, failed: 1, ...fields }))).code;
    assert.equal(await fail({ retry_ms: 86_400_000, failed: 0 }), "ok");
    assert.deepEqual([(await outboxList(app, 10)).length, (await outbox(a))[0].attempts], [0, "0"]);
    for (let i = 1; i <= 20; i++) assert.equal(await fail({}), "ok");
    assert.deepEqual([(await outbox(a))[0].attempts, (await outbox(a))[0].parked], ["20", "1"]);
    const [status] = (await call(root, "outbox_status"))[0];
    assert.deepEqual([status.kind, status.waiting, status.parked, status.attempts], ["follow", "0", "1", "20"]);
    assert.equal(await fail({ ver: Number(version(9)) }), "same");
    await one(app, "relation_action", actionOp(a, b, 0));
    assert.deepEqual(await outbox(a), [
      { kind: "follow", target_id: b.id, seq: "0", ver: version(2), attempts: "0", parked: "0" },
    ]);
  });

  test("only the first of a chat is due; an operator finds what is parked and retries it", async () => {
    await root.run("DELETE FROM outbox");
    const [a, b, c] = [await newUser(app, nameIn(45)), await newUser(app), await newUser(app)];
    const admin = account(server, "admin");
    for (const peer of [b, b, b, c])
      await one(app, "message_action", ownerOp(a, { peer: Number(peer.id), op: key(), text: "t" }));
    await one(app, "relation_action", actionOp(a, b));
    const listed = async () =>
      (await outboxList(app, 10)).map((row) => [row.kind, row.target, row.seq, row.head].join()).sort();
    const messageOp = (seq, fields) => ownerOp(a, { kind: "message", target: Number(b.id), seq, ver: 1, ...fields });
    const fail = async (seq, fields) => one(app, "outbox_fail", messageOp(seq, { retry_ms: 0, failed: 1, ...fields }));
    const [m1, m2, m3] = [1, 2, 3].map((seq) => `message,${b.id},${seq}`);
    const others = [`message,${c.id},1,1`, `follow,${b.id},0,1`];
    assert.deepEqual(await listed(), [`${m1},1`, `${m2},0`, `${m3},0`, ...others].sort());
    // Without the first one nothing of the chat is listed; the failures of others need not be reported.
    await fail(1, { failed: 0, retry_ms: 60_000 });
    assert.deepEqual(await listed(), others.sort());
    for (let i = 0; i < 20; i++) await fail(1);
    assert.deepEqual(await listed(), others.sort());
    const parked = async (limit = 10) => (await call(admin, "outbox_parked", limit))[0];
    assert.deepEqual(
      (await parked()).map((row) => [
        row.slot,
        row.owner,
        row.kind,
        row.target,
        row.seq,
        row.ver,
        row.attempts,
        row.behind,
      ]),
      [["45", a.id, "message", b.id, "1", "1", "20", "2"]],
    );
    const retry = async (id = a.id) =>
      (await call(admin, "outbox_retry", Number(id)))[0].map((row) => [row.code, row.released].join());
    assert.deepEqual(
      [await retry(b.id), await retry(), await retry(), await parked()],
      [["ok,0"], ["ok,1"], ["ok,0"], []],
    );
    assert.deepEqual(await listed(), [`${m1},1`, `${m2},0`, `${m3},0`, ...others].sort());
    assert.equal((await outbox(a)).find((row) => row.seq === "1" && row.target_id === b.id).attempts, "0");
    // Removing one makes the next one due at its own time; the others stay where they are.
    assert.equal((await one(app, "outbox_done", messageOp(1))).code, "ok");
    assert.deepEqual(await listed(), [`${m2},1`, `${m3},0`, ...others].sort());
    assert.equal((await one(app, "outbox_undo", messageOp(2))).code, "ok");
    assert.deepEqual(await listed(), [`${m3},1`, ...others].sort());
    await one(app, "message_action", ownerOp(a, { peer: Number(b.id), op: key(), text: "t" }));
    assert.deepEqual(await codes(app, "outbox_done", [messageOp(3), messageOp(4)]), ["ok", "ok"]);
    await one(app, "message_action", ownerOp(a, { peer: Number(b.id), op: key(), text: "t" }));
    assert.deepEqual(await listed(), [`message,${b.id},5,1`, ...others].sort());

    for (const limit of [null, 0, 1001]) await refused(admin, "45400", "outbox_parked", limit);
    for (const id of [null, 0]) await refused(admin, "45400", "outbox_retry", id);
    for (const routine of ["outbox_parked", "outbox_retry"])
      await assert.rejects(app.run(`CALL ${routine}(1)`), { errno: 1370 });
    await root.run("UPDATE slot_fence SET state = 'moved', server = 'shard2', epoch = 2 WHERE slot = 45");
    assert.deepEqual(
      (await call(admin, "outbox_retry", Number(a.id)))[0].map((row) => [row.code, row.server, row.released]),
      [["moved", "shard2", "0"]],
    );
    await root.run("UPDATE slot_fence SET state = 'owned', server = 'shard1', epoch = 1 WHERE slot = 45");
    await journals(
      root,
      45,
      async () => {
        await fail(5, { failed: 0, retry_ms: 60_000 });
        await root.run("DELETE FROM slot_log");
        return retry();
      },
      () => [`outbox ${a.id} ${a.id},${b.id},5 ${Buffer.from("message").toString("hex")}`],
    );
    await journals(
      root,
      45,
      async () => {
        const { seq } = await one(app, "message_action", ownerOp(a, { peer: Number(b.id), op: key(), text: "t" }));
        await root.run("DELETE FROM slot_log");
        return one(app, "outbox_done", messageOp(Number(seq)));
      },
      () => [7, 8].map((seq) => `outbox ${a.id} ${a.id},${b.id},${seq} ${Buffer.from("message").toString("hex")}`),
    );
    await admin.end();
  });

  test("a message is written while the one before it is removed: one of the two makes it the head", async () => {
    await root.run("DELETE FROM outbox");
    const [a, b] = [await newUser(app, nameIn(47)), await newUser(app)];
    const [other, watcher] = [account(server, "app"), server.session()];
    const send = (session) => one(session, "message_action", ownerOp(a, { peer: Number(b.id), op: key(), text: "t" }));
    const heads = () =>
      root.value(`SELECT GROUP_CONCAT(seq, ':', head ORDER BY seq) FROM outbox WHERE actor_id = ${a.id}`);
    const done = (seq, session) =>
      one(session, "outbox_done", ownerOp(a, { kind: "message", target: Number(b.id), seq, ver: 1 }));
    await send(app);
    // Whichever is first is held up in its last step, the journal, with the other one waiting for it.
    await root.run("UPDATE slot_fence SET journal = 1 WHERE slot = 47");
    await root.run(
      "CREATE TRIGGER hold BEFORE INSERT ON slot_log FOR EACH ROW BEGIN DO GET_LOCK('hold', 600); DO RELEASE_LOCK('hold'); END",
    );
    for (const [seq, first, second] of [
      [1, send, (s) => done(1, s)],
      [2, (s) => done(2, s), send],
    ]) {
      await root.run("DO GET_LOCK('hold', 600)");
      const running = first(app);
      await until(
        "the first is held up",
        async () =>
          (await watcher.rows("SELECT 1 FROM information_schema.processlist WHERE STATE = 'User lock'")).length === 1,
      );
      const waiting = second(other);
      await waitForLocks(watcher, 1);
      await root.run("DO RELEASE_LOCK('hold')");
      assert.deepEqual([(await running).code, (await waiting).code], ["ok", "ok"]);
      assert.equal(await heads(), `${seq + 1}:1`);
    }
    await root.run("DROP TRIGGER hold");
    await root.run("UPDATE slot_fence SET journal = 0 WHERE slot = 47");
    await Promise.all([other.end(), watcher.end()]);
  });

  test("rows that wait, are parked or come after a head are not read, however many there are", async () => {
    await root.run("DELETE FROM outbox");
    const [a, b] = [await newUser(app, nameIn(46)), await newUser(app, nameIn(48))];
    const far = 8192 * 10 + 49 * 8;
    await root.run(`INSERT INTO outbox (slot, actor_id, kind, target_id, seq, ver, at, due_at, head, parked)
      SELECT 46, ${a.id}, 'follow', ${far} + seq * 8192, 0, 1, 1, 1, 1, 0 FROM seq_1_to_5000
      UNION ALL SELECT 46, ${a.id}, 'favorite', ${b.id} + seq * 8192, 0, 1, 1, 1, 1, 1 FROM seq_1_to_5000
      UNION ALL SELECT 46, ${a.id}, 'message', ${b.id}, seq, 1, 1, 1, seq = 1, 0 FROM seq_1_to_5000`);
    await one(app, "relation_action", actionOp(a, b));
    const look = async (slots) =>
      readsOf(root, async (session) => (await outboxList(session, 10, 0, slots)).map((row) => `${row.kind}${row.seq}`));
    const { result, reads } = await look([50, 48, 47]);
    assert.deepEqual(result, ["follow0", ...[1, 2, 3, 4, 5].map((seq) => `message${seq}`)]);
    assert.ok(reads < 200, `${reads} rows read`);
    const full = await look([49]);
    assert.ok(full.result.length === 10 && full.reads < 200, `${full.reads} rows read`);
    const order = await look([48, 49]);
    assert.deepEqual([order.result.length, order.result.filter((row) => row === "message1").length], [10, 1]);
    await root.run("DELETE FROM outbox");
  });

  test("bad arguments, fence, journal", async () => {
    const [a, b] = [await newUser(app, nameIn(43)), await newUser(app)];
    const good = outboxOp(a, "follow", b, 1);
    const bad = {
      owner: [0],
      kind: ["", "x", "followfollowfollow", 1],
      target: [0, "x"],
      seq: [1, -1, "x"],
      ver: [0, "x"],
    };
    for (const routine of ["outbox_done", "outbox_undo"]) {
      await refusesBadBatch(app, routine, good, bad);
      await refused(app, "45400", routine, JSON.stringify([good, { ...good, ver: 2 }]));
      await obeysFence(root, app, routine, 43, (epoch) => ({ ...good, epoch }));
    }
    await refusesBadBatch(
      app,
      "outbox_fail",
      { ...good, retry_ms: 0, failed: 1 },
      { ...bad, retry_ms: [-1, 86_400_001, "x"], failed: [2, "x"] },
    );
    for (const args of [
      ["[1]", 0, 0],
      ["[1]", 1001, 0],
      ["[1]", null, 0],
      ["[1]", 1, -1],
      ["[1]", 1, null],
      [null, 1, 0],
      ["", 1, 0],
      ["{}", 1, 0],
      ["[]", 1, 0],
      ["x", 1, 0],
      [JSON.stringify(Array(1025).fill(1)), 1, 0],
    ])
      await refused(app, "45400", "outbox_list", ...args);
    let ver = 0;
    const name = Buffer.from("follow").toString("hex");
    const act = async () => {
      const row = await one(app, "relation_action", actionOp(a, b, (ver += 1) % 2));
      await root.run("DELETE FROM slot_log");
      return row;
    };
    await journals(
      root,
      43,
      async () => one(app, "outbox_done", { ...outboxOp(a, "follow", b, 0), ver: Number((await act()).ver) }),
      () => [`outbox ${a.id} ${a.id},${b.id},0 ${name}`],
    );
    ver = 0;
    await journals(
      root,
      43,
      async () => {
        if ((ver += 1) === 2) await root.run(`UPDATE follow SET state = 0 WHERE slot = 43`);
        const row = await one(app, "relation_action", actionOp(a, b, 1));
        await root.run("DELETE FROM slot_log");
        await root.run(`UPDATE user SET follow_count = 1 WHERE slot = 43 AND user_id = ${a.id}`);
        return one(app, "outbox_undo", { ...outboxOp(a, "follow", b, 0), ver: Number(row.ver) });
      },
      () => [`outbox ${a.id} ${a.id},${b.id},0 ${name}`, `follow ${a.id} ${a.id},${b.id}`, `user ${a.id} ${a.id}`],
    );
  });
});

describe("lists and flags", () => {
  const list = async (routine, user, cursor = 0, limit = 10) =>
    (await call(app, routine, user.slot, 1, Number(user.id), cursor, limit))[0];

  test("newest first, in pages by cursor, without tombstones", async () => {
    for (const [kind, is] of Object.entries(KINDS)) {
      const user = await newUser(app);
      const [empty] = await list(is.list, user);
      assert.deepEqual([empty.code, empty[is.column], empty.cursor], ["ok", null, null]);
      const targets = [await is.target(), await is.target(), await is.target()];
      for (const target of targets) await one(app, is.action, actionOp(user, target));
      const ids = (rows) => rows.map((row) => row[is.column]);
      const all = await list(is.list, user);
      assert.deepEqual(ids(all), targets.map((target) => target.id).reverse(), kind);
      const page = await list(is.list, user, 0, 2);
      assert.deepEqual(ids(await list(is.list, user, Number(page[1].cursor), 2)), [targets[0].id]);
      await one(app, is.action, actionOp(user, targets[1], 0));
      await one(app, is.action, actionOp(user, targets[0], 0));
      await one(app, is.action, actionOp(user, targets[0]));
      assert.deepEqual(ids(await list(is.list, user)), [targets[0].id, targets[2].id]);
    }
  });

  test("followers in the order in which they followed; friends follow each other", async () => {
    const [a, b, c] = [await newUser(app), await newUser(app), await newUser(app)];
    await one(app, "relation_deliver", deliverOp(a, b, 1, 7));
    await one(app, "relation_deliver", deliverOp(a, c, 1, 2));
    assert.deepEqual(
      (await list("relation_follower_list", a)).map((row) => row.peer_id),
      [c.id, b.id],
    );
    await one(app, "relation_deliver", deliverOp(a, b, 1, 8));
    const rows = await list("relation_follower_list", a);
    assert.deepEqual(
      rows.map((row) => row.peer_id),
      [b.id, c.id],
    );
    assert.deepEqual(
      (await list("relation_follower_list", a, Number(rows[0].cursor))).map((row) => row.peer_id),
      [c.id],
    );
    assert.equal((await list("relation_friend_list", a))[0].peer_id, null);
    await one(app, "relation_action", actionOp(a, b));
    const [friend, ...more] = await list("relation_friend_list", a);
    assert.deepEqual([friend.peer_id, friend.has_message, friend.last_text, more.length], [b.id, "0", null, 0]);
  });

  test("friends are looked for in 2000 follows at a time, however many friends are found", async () => {
    const [user, old, recent] = [await newUser(app, nameIn(47)), await newUser(app), await newUser(app)];
    const follow = (ver, target) => `(47, ${user.id}, ${target}, 1, ${ver}, 0)`;
    const strangers = Array.from({ length: 4500 }, (_, i) => follow(i + 2, 8192 * (i + 1)));
    await root.run(
      `INSERT INTO follow VALUES ${[follow(1, old.id), ...strangers, follow(4502, recent.id)].join(", ")}`,
    );
    for (const friend of [old, recent]) await one(app, "relation_deliver", deliverOp(user, friend, 1, 1));
    const page = async (cursor, limit = 10) =>
      (await list("relation_friend_list", user, cursor, limit)).map((row) => [row.peer_id, row.scanned_cursor]);
    assert.deepEqual(await page(0), [[recent.id, "2503"]]);
    assert.deepEqual(await page(0, 1), [[recent.id, "2503"]]);
    assert.deepEqual(await page(2503), [[null, "503"]]);
    assert.deepEqual(await page(503), [[old.id, "0"]]);
    /* No more rows than these are read, of follows or of followers. */
    const reads = async () =>
      (await app.rows("SHOW SESSION STATUS WHERE Variable_name IN ('Handler_read_key', 'Handler_read_prev')")).reduce(
        (sum, row) => sum + Number(row.Value),
        0,
      );
    const before_ = await reads();
    await page(0);
    const read = (await reads()) - before_;
    assert.ok(read > 2000 && read < 6100, `${read} rows were read`);
  });

  test("unknown users: not found; bad arguments; fence", async () => {
    const user = await newUser(app, nameIn(44));
    for (const routine of ["favorite_list", "relation_follow_list", "relation_follower_list", "relation_friend_list"]) {
      assert.equal((await call(app, routine, 9, 1, 9, 0, 10))[0][0].code, "notfound");
      for (const args of [
        [null, 1, 1, 0, 1],
        [1, null, 1, 0, 1],
        [1, 1, 0, 0, 1],
        [1, 1, 1, null, 1],
        [1, 1, 1, 0, 0],
        [1, 1, 1, 0, 1001],
        [1, 1, 1, 0, null],
      ]) {
        await refused(app, "45400", routine, ...args);
      }
      const args = (epoch) => [44, epoch, Number(user.id), 0, 10];
      await obeysFence(root, app, routine, 44, args);
      await obeysForwarding(root, app, routine, 44, user.id, args);
    }
  });

  test("whether users follow each other", async () => {
    const [a, b, c] = [await newUser(app, nameIn(48)), await newUser(app, nameIn(48)), await newUser(app)];
    for (const [target, state] of [
      [b, 1],
      [c, 1],
      [c, 0],
    ])
      await one(app, "relation_action", actionOp(a, target, state));
    const get = (user, target) => ({ ...ownerOp(user), target: Number(target.id) });
    const rows = await batch(app, "relation_get", [get(b, a), get(a, b), get(a, c), get(a, a), get(a, b)]);
    assert.deepEqual(
      rows.map((row) => [row.n, row.code, row.state]),
      [
        ["1", "ok", "0"],
        ["2", "ok", "1"],
        ["3", "ok", "0"],
        ["4", "ok", "0"],
        ["5", "ok", "1"],
      ],
    );
    const [{ edge_ver: ver }] = await batch(root, "owner_versions", [{ ...ownerOp(a), kind: "user" }]);
    assert.deepEqual([rows[1].edge_ver, rows[2].edge_ver], [ver, ver]);
    const make = (epoch) => ({ ...get(a, b), epoch });
    await obeysFence(root, app, "relation_get", 48, make);
    await obeysForwarding(root, app, "relation_get", 48, a.id, make);
    await refusesBadBatch(app, "relation_get", get(a, b), { target: [-1, "x", 1.5, {}] });
  });

  test("flags of a viewer", async () => {
    const [viewer, a, b] = [await newUser(app, nameIn(45)), await newUser(app), await newUser(app)];
    const [x, y] = [await newVideo(app, a), await newVideo(app, a)];
    for (const [routine, target, state] of [
      ["relation_action", a, 1],
      ["relation_action", b, 1],
      ["relation_action", b, 0],
      ["favorite_action", y, 1],
    ]) {
      await one(app, routine, actionOp(viewer, target, state));
    }
    const flags = async (users, videos) =>
      (
        await call(
          app,
          "viewer_flags",
          viewer.slot,
          1,
          Number(viewer.id),
          JSON.stringify(users),
          JSON.stringify(videos),
        )
      )[0];
    const rows = await flags([a.id, b.id, a.id, viewer.id], [x.id, y.id].map(Number));
    assert.deepEqual(
      rows.map((row) => [row.kind, row.id]),
      [
        ["user", a.id],
        ["video", y.id],
      ],
    );
    assert.deepEqual(
      (await flags([], [])).map((row) => [row.code, row.kind, row.id]),
      [["ok", null, null]],
    );
    for (const args of [
      ["{}", "[]"],
      ["[]", null],
      ["x", "[]"],
      [JSON.stringify(Array(1001).fill(1)), "[]"],
    ])
      await refused(app, "45400", "viewer_flags", 1, 1, 1, ...args);
    const args = (epoch) => [45, epoch, Number(viewer.id), "[]", "[]"];
    await obeysFence(root, app, "viewer_flags", 45, args);
    await obeysForwarding(root, app, "viewer_flags", 45, viewer.id, args);
  });

  test("viewer_sets: the newest likes and follows, with the version of the lists", async () => {
    const [viewer, a, b] = [
      await newUser(app, nameIn(47)),
      await newUser(app, nameIn(47)),
      await newUser(app, nameIn(47)),
    ];
    const videos = [await newVideo(app, a), await newVideo(app, b)];
    for (const target of [a, b])
      await batch(app, "relation_action", [{ ...ownerOp(viewer), target: Number(target.id), state: 1 }]);
    for (const target of videos)
      await batch(app, "favorite_action", [{ ...ownerOp(viewer), target: Number(target.id), state: 1 }]);
    await batch(app, "relation_action", [{ ...ownerOp(viewer), target: Number(a.id), state: 0 }]);
    const sets = async (limit) => (await call(app, "viewer_sets", viewer.slot, 1, Number(viewer.id), limit))[0];
    const rows = await sets(10);
    assert.deepEqual(
      rows.map(({ kind, id }) => [kind, Number(id)]).sort(),
      [["user", Number(b.id)], ...videos.map(({ id }) => ["video", Number(id)])].sort(),
    );
    assert.equal(Number(rows[0].edge_ver), 2 ** 33 + 5);
    assert.deepEqual((await sets(1)).map(({ kind, id }) => [kind, Number(id)]).sort(), [
      ["user", Number(b.id)],
      ["video", Number(videos[1].id)],
    ]);
    assert.deepEqual(
      (await call(app, "viewer_sets", a.slot, 1, Number(a.id), 5))[0].map(({ code, id }) => [code, id]),
      [["ok", null]],
    );
    assert.equal((await call(app, "viewer_sets", 47, 1, 7, 5))[0][0].code, "notfound");
    for (const limit of [0, 1001, null]) await refused(app, "45400", "viewer_sets", 47, 1, 7, limit);
    const args = (epoch) => [47, epoch, Number(viewer.id), 10];
    await obeysFence(root, app, "viewer_sets", 47, args);
    await obeysForwarding(root, app, "viewer_sets", 47, viewer.id, args);
  });

  test("video_get returns the same as publish_list", async () => {
    const author = await newUser(app, nameIn(46));
    const video = await newVideo(app, author, { title: "ein Titel 😀" });
    const get = (id) => ({ slot: video.slot, epoch: 1, owner: Number(id) });
    const [row, none] = await batch(app, "video_get", [get(video.id), get(5)]);
    const [listed] = (await call(app, "publish_list", author.slot, 1, Number(author.id), 0, 10))[0];
    assert.deepEqual(row, listed);
    assert.deepEqual([none.code, none.video_id, none.user_id], ["notfound", null, null]);
    await obeysFence(root, app, "video_get", 46, (epoch) => ({ ...get(video.id), epoch }));
    await obeysForwarding(root, app, "video_get", 46, video.id, () => get(video.id));
    await root.run(`UPDATE user SET state = 'erased' WHERE slot = 46 AND user_id = ${author.id}`);
    const [gone] = await batch(app, "video_get", [get(video.id)]);
    assert.deepEqual([gone.code, gone.title], ["notfound", null]);
    await refusesBadBatch(app, "video_get", get(video.id), {});
  });
});
