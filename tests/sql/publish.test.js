/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* procedures/publish/ and procedures/media/: listing, deleting and finding videos. */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";

import {
  account,
  batch,
  call,
  changed,
  codes,
  counted,
  deleteOp,
  journals,
  key,
  nameIn,
  newUser,
  newVideo,
  obeysFence,
  obeysForwarding,
  one,
  ownerOp,
  publishOp,
  race,
  refused,
  refusesBadBatch,
  sha256,
  shard,
  slotOfId,
  timeOfId,
  version,
} from "./lib.js";

let server;
let root;
let app;
before(async () => ({ server, root, app } = await shard()));
after(() => server?.stop());

const where = (user) => `slot = ${user.slot} AND user_id = ${user.id}`;
const card = async (user) =>
  (
    await root.rows(
      `SELECT work_count, total_favorited, user.ver, inbound.ver AS in_ver FROM user JOIN inbound USING (slot, user_id) WHERE ${where(user)}`,
    )
  )[0];
const erase = (user) =>
  root.run(
    `UPDATE user JOIN inbound USING (slot, user_id) SET user.state = 'erased', inbound.state = 'erased' WHERE ${where(user)}`,
  );
const videos = (user) => root.value(`SELECT COUNT(*) FROM video WHERE slot = ${user.slot} AND author_id = ${user.id}`);

describe("publish_action", () => {
  test("stores the row, counts it, and returns when it was published", async () => {
    const user = await newUser(app);
    const op = publishOp(user, { title: "标题 \u{1F3AC}" });
    const row = await one(app, "publish_action", op);
    assert.deepEqual(
      { ...row, video_id: "", published_at: "" },
      {
        n: "1",
        code: "ok",
        slot: String(user.slot),
        epoch: "1",
        server: "",
        video_id: "",
        published_at: "",
        media: op.media,
      },
    );
    assert.equal(slotOfId(row.video_id), user.slot);
    assert.equal(timeOfId(row.video_id), Number(row.published_at));
    const [stored] = await root.rows(`
      SELECT author_id, title, media, LOWER(HEX(sha256)) AS sha256, size_bytes, duration_ms, width,
             height, state, published_at, favorite_count, comment_count, ver, LOWER(HEX(op)) AS op, deleted_at
        FROM video WHERE slot = ${user.slot} AND video_id = ${row.video_id}`);
    assert.deepEqual(stored, {
      author_id: user.id,
      title: op.title,
      media: op.media,
      sha256: op.sha256,
      size_bytes: "1000",
      duration_ms: "5000",
      width: "640",
      height: "360",
      state: "live",
      published_at: row.published_at,
      favorite_count: "0",
      comment_count: "0",
      ver: version(1),
      op: op.op,
      deleted_at: null,
    });
    assert.deepEqual(await card(user), { work_count: "1", total_favorited: "0", ver: version(2), in_ver: version(1) });
  });

  test("a replay returns the stored row with its first media", async () => {
    const user = await newUser(app);
    const op = publishOp(user);
    const first = await one(app, "publish_action", op);
    for (const other of [{}, { title: "a *****" }, { title: `${op.title} ` }]) {
      const again = await one(app, "publish_action", { ...op, ...other, media: key() });
      assert.deepEqual(again, { ...first, code: "same" });
    }
    assert.equal(
      await root.value(`SELECT title FROM video WHERE slot = ${user.slot} AND video_id = ${first.video_id}`),
      op.title,
    );
    await one(app, "publish_delete", deleteOp({ ...user, id: first.video_id }, user.id));
    assert.deepEqual(await one(app, "publish_action", op), { ...first, code: "same" });
    assert.equal(await videos(user), "1");
    assert.equal((await card(user)).work_count, "0");
  });

  test("the same op with another file is a mismatch; the op of another author is not", async () => {
    const user = await newUser(app);
    const op = publishOp(user);
    await one(app, "publish_action", op);
    const row = await one(app, "publish_action", { ...op, sha256: sha256("other") });
    assert.deepEqual([row.code, row.video_id, row.media], ["mismatch", null, null]);
    assert.equal((await one(app, "publish_action", publishOp(await newUser(app), { op: op.op }))).code, "ok");
    assert.equal(await videos(user), "1");
  });

  test("a batch: a replay, a mismatch and an unknown author do not affect new ones", async () => {
    const user = await newUser(app);
    const ops = [publishOp(user), publishOp(user)];
    await one(app, "publish_action", ops[0]);
    const lost = publishOp({ ...user, id: Number(user.id) + 1 });
    assert.deepEqual(
      await codes(app, "publish_action", [ops[0], { ...ops[0], sha256: sha256("x") }, ops[1], ops[1], lost]),
      ["same", "mismatch", "ok", "same", "notfound"],
    );
    assert.equal((await card(user)).work_count, "2");
  });

  test("publish times of one slot are unique, even in one batch", async () => {
    const user = await newUser(app);
    const rows = await batch(
      app,
      "publish_action",
      Array.from({ length: 256 }, () => publishOp(user)),
    );
    assert.equal(new Set(rows.map((row) => row.published_at)).size, 256);
    assert.equal((await card(user)).work_count, "256");
  });

  test("unknown and erased authors", async () => {
    const user = await newUser(app);
    assert.equal((await one(app, "publish_action", publishOp({ ...user, id: 1 }))).code, "notfound");
    await erase(user);
    assert.equal((await one(app, "publish_action", publishOp(user))).code, "notfound");
    assert.equal(await videos(user), "0");
  });

  test("bad arguments", async () => {
    const text = (length) => "a".repeat(length);
    const size = ["x", -1, 4294967296];
    await refusesBadBatch(app, "publish_action", publishOp({ slot: 1, id: 8 }), {
      owner: [0],
      op: ["", text(31), text(33), "g".repeat(32)],
      title: ["", text(129), {}],
      media: ["", text(65), "é"],
      sha256: ["", text(63), text(65), "g".repeat(64)],
      size_bytes: [0, -1, "x"],
      duration_ms: size.slice(1),
      width: [0, ...size],
      height: [0, ...size],
    });
    const user = await newUser(app);
    const row = await one(
      app,
      "publish_action",
      publishOp(user, { title: "é".repeat(128), media: text(64), duration_ms: 0 }),
    );
    assert.equal(row.code, "ok");
  });

  test("two replays at the same time: one row", async () => {
    const user = await newUser(app);
    const other = account(server, "app");
    const op = publishOp(user);
    const results = await race(
      server,
      root,
      `SELECT 1 FROM user WHERE ${where(user)} FOR UPDATE`,
      [app, (session) => one(session, "publish_action", op)],
      [other, (session) => one(session, "publish_action", op)],
    );
    assert.deepEqual(results.map((row) => row.code).sort(), ["ok", "same"]);
    assert.equal(results[0].video_id, results[1].video_id);
    assert.equal((await card(user)).work_count, "1");
  });

  test("fence, forwarding, journal", async () => {
    const user = await newUser(app, nameIn(100));
    await obeysFence(root, app, "publish_action", 100, (epoch) => publishOp(user, { epoch }));
    await obeysForwarding(root, app, "publish_action", 100, user.id, () => publishOp(user));
    await journals(
      root,
      100,
      () => newVideo(app, user),
      (video) => [`video ${user.id} ${video.id}`, `user ${user.id} ${user.id}`],
    );
  });
});

describe("publish_delete", () => {
  test("removes the video, lowers counters, leaves a job; a replay changes nothing", async () => {
    const user = await newUser(app);
    const [video, kept] = [await newVideo(app, user), await newVideo(app, user)];
    await root.run(`UPDATE video SET favorite_count = 3 WHERE video_id = ${video.id}`);
    await root.run(`UPDATE video SET favorite_count = 4 WHERE video_id = ${kept.id}`);
    await root.run(`UPDATE inbound SET total_favorited = 7 WHERE ${where(user)}`);
    const row = await one(app, "publish_delete", deleteOp(video, user.id));
    assert.deepEqual([row.code, row.media], ["ok", video.media]);
    assert.deepEqual(await card(user), { work_count: "1", total_favorited: "4", ver: version(4), in_ver: version(2) });
    const [stored] = await root.rows(
      `SELECT state, deleted_at IS NOT NULL AS dated, ver FROM video WHERE video_id = ${video.id}`,
    );
    assert.deepEqual(stored, { state: "deleted", dated: "1", ver: version(2) });
    const jobs = () =>
      root.rows(
        `SELECT kind, target_id, payload, attempts, parked FROM job WHERE slot = ${user.slot} AND owner_id = ${user.id}`,
      );
    const job = [{ kind: "media_delete", target_id: video.id, payload: video.media, attempts: "0", parked: "0" }];
    assert.deepEqual(await jobs(), job);
    const again = await one(app, "publish_delete", deleteOp(video, user.id));
    assert.deepEqual([again.code, again.media], ["same", video.media]);
    assert.equal((await card(user)).work_count, "1");
    assert.deepEqual(await jobs(), job);
  });

  test("only its author may; others cannot tell whether it was deleted", async () => {
    const [user, other] = [await newUser(app), await newUser(app)];
    const video = await newVideo(app, user);
    const row = await one(app, "publish_delete", deleteOp(video, other.id));
    assert.deepEqual([row.code, row.media], ["forbidden", null]);
    await one(app, "publish_delete", deleteOp(video, user.id));
    assert.equal((await one(app, "publish_delete", deleteOp(video, other.id))).code, "notfound");
  });

  test("unknown videos, and a video of an erased author", async () => {
    const user = await newUser(app);
    const video = await newVideo(app, user);
    assert.equal((await one(app, "publish_delete", deleteOp({ ...video, id: 1 }, user.id))).code, "notfound");
    await erase(user);
    assert.equal((await one(app, "publish_delete", deleteOp(video, user.id))).code, "notfound");
  });

  test("a batch over several authors of one slot, in the order of the videos", async () => {
    const [a, b] = [await newUser(app, nameIn(105)), await newUser(app, nameIn(105))];
    const list = [await newVideo(app, b), await newVideo(app, a), await newVideo(app, b)];
    const ops = [deleteOp(list[0], b.id), deleteOp(list[1], b.id), deleteOp(list[2], b.id)];
    assert.deepEqual(await codes(app, "publish_delete", ops), ["ok", "forbidden", "ok"]);
    assert.deepEqual(await codes(app, "publish_delete", ops), ["same", "forbidden", "same"]);
    await refused(app, "45400", "publish_delete", JSON.stringify([ops[2], ops[2]]));
  });

  test("bad arguments", async () => {
    await refusesBadBatch(
      app,
      "publish_delete",
      { slot: 1, epoch: 1, owner: 8, user: 8 },
      { owner: [0], user: [0, -1, "x"] },
    );
  });

  test("two deletes at the same time: counted once", async () => {
    const user = await newUser(app);
    const video = await newVideo(app, user);
    const other = account(server, "app");
    const results = await race(
      server,
      root,
      `SELECT 1 FROM user WHERE ${where(user)} FOR UPDATE`,
      [app, (session) => one(session, "publish_delete", deleteOp(video, user.id))],
      [other, (session) => one(session, "publish_delete", deleteOp(video, user.id))],
    );
    assert.deepEqual(results.map((row) => row.code).sort(), ["ok", "same"]);
    assert.equal((await card(user)).work_count, "0");
  });

  test("fence, forwarding, journal", async () => {
    const user = await newUser(app, nameIn(101));
    const video = await newVideo(app, user);
    const make = (epoch) => ({ ...deleteOp(video, user.id), epoch });
    await obeysFence(root, app, "publish_delete", 101, make);
    await obeysForwarding(root, app, "publish_delete", 101, video.id, make);
    await journals(
      root,
      101,
      async () => {
        const fresh = (await root.value("SELECT COUNT(*) FROM slot_log")) && (await newVideo(app, user));
        await root.run("DELETE FROM slot_log");
        assert.equal((await one(app, "publish_delete", deleteOp(fresh, user.id))).code, "ok");
        return fresh;
      },
      ({ id }) => [
        `video ${user.id} ${id}`,
        `user ${user.id} ${user.id}`,
        `inbound ${user.id} ${user.id}`,
        `job ${user.id} ${user.id},${id} ${Buffer.from("media_delete").toString("hex")}`,
      ],
    );
  });
});

describe("publish_list", () => {
  const list = async (user, cursor = 0, limit = 100, epoch = 1) =>
    (await call(app, "publish_list", user.slot, epoch, BigInt(user.id), cursor, limit))[0];

  test("newest first, in pages, without deleted videos and those of others", async () => {
    const [user, other] = [await newUser(app, nameIn(106)), await newUser(app, nameIn(106))];
    const ids = [];
    for (let i = 0; i < 5; i++) {
      ids.unshift((await newVideo(app, user)).id);
      await newVideo(app, other);
    }
    await one(app, "publish_delete", deleteOp({ ...user, id: ids[1] }, user.id));
    const live = ids.filter((_id, i) => i !== 1);
    const rows = await list(user);
    assert.deepEqual(
      rows.map((row) => row.video_id),
      live,
    );
    assert.deepEqual(
      (await list(user, 0, 2)).map((row) => row.video_id),
      live.slice(0, 2),
    );
    assert.deepEqual(
      (await list(user, BigInt(live[1]), 2)).map((row) => row.video_id),
      live.slice(2),
    );
    const end = await list(user, BigInt(live[3]), 2);
    assert.deepEqual([end.length, end[0].code, end[0].user_id, end[0].video_id], [1, "ok", user.id, null]);
  });

  test("all columns", async () => {
    const user = await newUser(app);
    const video = await newVideo(app, user, { title: "t" });
    await root.run(`UPDATE video SET favorite_count = 8, comment_count = 9 WHERE video_id = ${video.id}`);
    assert.deepEqual(await list(user), [
      {
        n: "1",
        code: "ok",
        slot: String(user.slot),
        epoch: "1",
        server: "shard1",
        user_id: user.id,
        name: user.name,
        avatar: "",
        background_image: "",
        signature: "",
        follow_count: "0",
        follower_count: "0",
        total_favorited: "0",
        work_count: "1",
        favorite_count: "0",
        ver: version(2),
        in_ver: version(1),
        video_id: video.id,
        title: "t",
        media: video.media,
        video_favorite_count: "8",
        comment_count: "9",
        published_at: String(video.at),
        video_ver: version(1),
      },
    ]);
  });

  test("a user without videos, an unknown and an erased user", async () => {
    const user = await newUser(app);
    const [row] = await list(user);
    assert.deepEqual([row.code, row.name, row.video_id], ["ok", user.name, null]);
    assert.equal((await list({ ...user, id: 1 }))[0].code, "notfound");
    await newVideo(app, user);
    await erase(user);
    const rows = await list(user);
    assert.deepEqual([rows.length, rows[0].code, rows[0].video_id], [1, "notfound", null]);
  });

  test("bad arguments", async () => {
    const good = [1, 1, 8, 0, 10];
    for (const i of good.keys()) {
      await refused(app, "45400", "publish_list", ...changed(good, i, null));
    }
    for (const limit of [0, -1, 1001]) {
      await refused(app, "45400", "publish_list", ...changed(good, 4, limit));
    }
    await refused(app, "22003", "publish_list", ...changed(good, 3, -1));
  });

  test("fence and forwarding", async () => {
    const user = await newUser(app, nameIn(102));
    await newVideo(app, user);
    const args = (epoch) => [102, epoch, BigInt(user.id), 0, 10];
    await obeysFence(root, app, "publish_list", 102, args);
    await obeysForwarding(root, app, "publish_list", 102, user.id, args);
  });

  test("reads the author's index backwards and stops at the limit", async () => {
    const user = await newUser(app);
    await batch(
      app,
      "publish_action",
      Array.from({ length: 200 }, () => publishOp(user)),
    );
    await app.run("FLUSH STATUS").catch(() => {});
    const reads = async () => {
      const rows = await app.rows("SHOW SESSION STATUS LIKE 'Handler_read%'");
      return rows.reduce((sum, row) => sum + Number(row.Value), 0);
    };
    const before_ = await reads();
    await list(user, 0, 10);
    const spent = (await reads()) - before_;
    assert.ok(spent < 80, `${spent} rows read for a page of 10`);
  });
});

describe("media_find", () => {
  const find = (user, media, fields = {}) => ownerOp(user, { media, ...fields });

  test("live, deleted, unknown, somebody else's", async () => {
    const [user, other] = [await newUser(app), await newUser(app)];
    const [live, gone] = [await newVideo(app, user), await newVideo(app, user)];
    await one(app, "publish_delete", deleteOp(gone, user.id));
    const rows = await batch(app, "media_find", [
      find(user, live.media),
      find(user, gone.media),
      find(user, key()),
      find(other, live.media),
    ]);
    assert.deepEqual(
      rows.map((row) => [row.code, row.state]),
      [
        ["ok", "live"],
        ["ok", "deleted"],
        ["notfound", null],
        ["notfound", null],
      ],
    );
  });

  test("files of two videos are live while one of the videos is", async () => {
    const user = await newUser(app);
    const [a, b] = [await newVideo(app, user, { media: "twice" }), await newVideo(app, user, { media: "twice" })];
    await one(app, "publish_delete", deleteOp(a, user.id));
    assert.equal((await one(app, "media_find", find(user, "twice"))).state, "live");
    await one(app, "publish_delete", deleteOp(b, user.id));
    assert.equal((await one(app, "media_find", find(user, "twice"))).state, "deleted");
  });

  test("a picture is live while its author's profile shows it", async () => {
    const [user, other] = [await newUser(app), await newUser(app)];
    const [avatar, background] = [key(), key()];
    const change = async (fields) => assert.equal((await one(app, "user_profile", ownerOp(user, fields))).code, "ok");
    const states = async () =>
      (
        await batch(
          app,
          "media_find",
          [avatar, background]
            .flatMap((name) => [find(user, name), find(other, name), find(user, name.slice(0, -1))])
            .sort((a, b) => a.slot - b.slot),
        )
      )
        .filter((row) => row.code === "ok")
        .map((row) => [row.slot, row.state].join());
    assert.deepEqual(await states(), []);
    await change({ avatar: `${avatar}.jpg`, background_image: `${background}.jpg` });
    assert.deepEqual(await states(), [`${user.slot},live`, `${user.slot},live`]);
    await change({ avatar: "another.jpg" });
    assert.equal((await one(app, "media_find", find(user, avatar))).code, "notfound");
    assert.equal((await one(app, "media_find", find(user, background))).state, "live");
    await erase(user);
    assert.deepEqual(await states(), []);
  });

  test("other videos of the author cost nothing", async () => {
    const [quiet, busy] = [await newUser(app), await newUser(app)];
    const [{ media }] = [await newVideo(app, quiet)];
    const video = await newVideo(app, busy);
    for (let i = 0; i < 40; i++) await newVideo(app, busy);
    const reads = async (user, name) =>
      (await counted(root, (session) => one(session, "media_find", find(user, name)))).reads;
    await reads(quiet, media); /* the first one loads the routine */
    assert.equal(await reads(busy, video.media), await reads(quiet, media));
    assert.equal(await reads(busy, key()), await reads(quiet, key()));
  });

  test("bad arguments", async () => {
    await refusesBadBatch(
      app,
      "media_find",
      { slot: 1, epoch: 1, owner: 8, media: "m" },
      { media: ["", "a".repeat(65), {}] },
    );
  });

  test("fence and forwarding", async () => {
    const user = await newUser(app, nameIn(103));
    const video = await newVideo(app, user);
    const make = (epoch) => find(user, video.media, { epoch });
    await obeysFence(root, app, "media_find", 103, make);
    await obeysForwarding(root, app, "media_find", 103, user.id, make);
  });
});
