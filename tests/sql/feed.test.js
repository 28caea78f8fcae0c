/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* procedures/feed/: the newest videos, the generation of the fences, and what is not shown. */
import assert from "node:assert/strict";
import { after, before, beforeEach, describe, test } from "node:test";

import { call, deleteOp, nameIn, newUser, newVideo, one, refused, shard, tableSums, version } from "./lib.js";

let server;
let root;
let app;
before(async () => ({ server, root, app } = await shard()));
after(() => server?.stop());

const feed = async (before_ = 0, limit = 30, routine = "feed_list") => {
  const [videos, [{ gen }]] = await call(app, routine, before_, limit);
  return { videos, gen };
};
/* feed_ids must return the same, without cards. */
const ids = async (...args) => {
  const { videos, gen } = await feed(...args);
  const [short, [{ gen: again }]] = await call(app, "feed_ids", args[0] ?? 0, args[1] ?? 30);
  assert.deepEqual(
    short,
    videos.map(({ video_id, published_at }) => ({ video_id, published_at })),
  );
  assert.equal(again, gen);
  return videos.map((row) => row.video_id);
};
const fence = (slot, assignment) =>
  root.run(`START TRANSACTION; UPDATE slot_fence SET ${assignment} WHERE slot = ${slot}; CALL _slot_changed(); COMMIT`);

/** The slots that the map covers at the generation GEN; null if the map has another one. */
async function covered(gen) {
  const [rows] = await call(app, "slot_map");
  return rows[0].gen === gen ? new Set(rows.filter((row) => row.answer === "ok").map((row) => Number(row.slot))) : null;
}

beforeEach(async () => {
  await root.run("DELETE FROM video");
});

describe("feed_list", () => {
  test("an empty shard: no videos, all its slots are covered", async () => {
    const { videos, gen } = await feed();
    assert.deepEqual(videos, []);
    assert.equal((await covered(gen)).size, 1024);
  });

  test("all columns", async () => {
    const user = await newUser(app);
    const video = await newVideo(app, user, { title: "t" });
    await root.run(`UPDATE user SET signature = 's', favorite_count = 2 WHERE user_id = ${user.id}`);
    await root.run(`UPDATE video SET favorite_count = 8, comment_count = 9 WHERE video_id = ${video.id}`);
    assert.deepEqual((await feed()).videos, [
      {
        slot: String(user.slot),
        video_id: video.id,
        user_id: user.id,
        name: user.name,
        avatar: "",
        background_image: "",
        signature: "s",
        follow_count: "0",
        follower_count: "0",
        total_favorited: "0",
        work_count: "1",
        favorite_count: "2",
        ver: version(2),
        in_ver: version(1),
        title: "t",
        media: video.media,
        video_favorite_count: "8",
        comment_count: "9",
        published_at: String(video.at),
        video_ver: version(1),
      },
    ]);
  });

  test("newest first, strictly before the bound, as many as asked for", async () => {
    const users = [await newUser(app, nameIn(1)), await newUser(app, nameIn(2)), await newUser(app, nameIn(2))];
    const made = [];
    for (let i = 0; i < 9; i++) {
      made.push(await newVideo(app, users[i % 3]));
    }
    for (const [i, video] of made.entries()) {
      await root.run(`UPDATE video SET published_at = ${1000 + i} WHERE video_id = ${video.id}`);
    }
    const newest = made.map((video) => video.id).reverse();
    assert.deepEqual(await ids(), newest);
    assert.deepEqual(await ids(0, 4), newest.slice(0, 4));
    assert.deepEqual(await ids(1005, 4), newest.slice(4, 8));
    assert.deepEqual(await ids(1000, 4), []);
    assert.deepEqual(await ids(1001, 4), newest.slice(8));
  });

  test("of videos with equal times the one with the larger id is first", async () => {
    const made = [];
    for (let slot = 10; slot < 20; slot++) {
      made.push(await newVideo(app, await newUser(app, nameIn(slot))));
    }
    await root.run("UPDATE video SET published_at = 2000");
    const sorted = made.map((video) => video.id).sort((a, b) => Number(BigInt(b) - BigInt(a)));
    assert.deepEqual(await ids(), sorted);
    assert.deepEqual(await ids(0, 4), sorted.slice(0, 4));
  });

  test("without deleted videos and videos of erased users", async () => {
    const [user, gone] = [await newUser(app), await newUser(app)];
    const [kept, deleted] = [await newVideo(app, user), await newVideo(app, user)];
    await newVideo(app, gone);
    await one(app, "publish_delete", deleteOp(deleted, user.id));
    await root.run(
      `UPDATE user JOIN inbound USING (slot, user_id) SET user.state = 'erased', inbound.state = 'erased' WHERE user_id = ${gone.id}`,
    );
    assert.deepEqual(await ids(), [kept.id]);
    assert.deepEqual(await ids(0, 1), [kept.id]);
  });

  test("a slot in every state: it is served and covered, or neither", async () => {
    const user = await newUser(app, nameIn(70));
    const video = await newVideo(app, user);
    const states = { owned: true, migrating: true, moved: false, importing: false, ready: false };
    for (const [state, served] of Object.entries(states)) {
      await fence(70, `state = '${state}'`);
      const { videos, gen } = await feed();
      const slots = await covered(gen);
      assert.deepEqual(
        videos.map((row) => row.video_id),
        served ? [video.id] : [],
        state,
      );
      assert.deepEqual(
        [69, 70, 71].map((slot) => slots.has(slot)),
        [true, served, true],
        state,
      );
    }
    await fence(70, "state = 'owned', heard_epoch = 2");
    assert.equal((await covered((await feed()).gen)).has(70), false);
    await fence(70, "heard_epoch = 0");
  });

  test("a user who was promoted away is not shown, others of the slot are; own slots are covered", async () => {
    const [left, stays] = [await newUser(app, nameIn(71)), await newUser(app, nameIn(71))];
    await newVideo(app, left);
    const kept = await newVideo(app, stays);
    await root.run(`INSERT INTO owner_home (slot, owner_id, own_slot) VALUES (71, ${left.id}, 1030)`);
    await root.run("INSERT INTO slot_fence (slot, epoch, state, server) VALUES (1030, 18, 'owned', 'shard1')");
    await fence(71, "has_home = 1");
    const { videos, gen } = await feed();
    assert.deepEqual(
      videos.map((row) => row.video_id),
      [kept.id],
    );
    const slots = await covered(gen);
    assert.ok(slots.has(71) && slots.has(1030));
    await root.run("DELETE FROM slot_fence WHERE slot = 1030");
    await root.run("DELETE FROM owner_home");
    await fence(71, "has_home = 0");
  });

  test("videos and generation are from one snapshot", async () => {
    const user = await newUser(app, nameIn(72));
    const video = await newVideo(app, user);
    /* A slot moves away and back, each time in one transaction with its rows: an answer has a
     * generation that covers the slot, and its video, or it has neither. */
    const seen = new Map([[await root.value("SELECT gen FROM slot_gen"), 1]]);
    let running = true;
    const mover = (async () => {
      while (running) {
        for (const [state, published] of [
          ["moved", "deleted"],
          ["owned", "live"],
        ]) {
          await root.run("START TRANSACTION");
          await root.run(`UPDATE slot_fence SET state = '${state}' WHERE slot = 72`);
          await root.run(`UPDATE video SET state = '${published}' WHERE video_id = ${video.id}`);
          await root.run("CALL _slot_changed()");
          seen.set(await root.value("SELECT gen FROM slot_gen"), state === "owned" ? 1 : 0);
          await root.run("COMMIT");
        }
      }
    })();
    const lengths = new Set();
    for (let i = 0; i < 300 || lengths.size < 2; i++) {
      assert.ok(i < 20_000, "one of the two states was never seen");
      const { videos, gen } = await feed(0, 30, i % 2 === 0 ? "feed_list" : "feed_ids");
      assert.equal(videos.length, seen.get(gen));
      lengths.add(videos.length);
    }
    running = false;
    await mover;
  });

  test("bad arguments", async () => {
    for (const routine of ["feed_list", "feed_ids"]) {
      for (const args of [
        [null, 1],
        [0, null],
        [-1, 1],
        [0, 0],
        [0, -1],
        [0, 65537],
      ]) {
        await refused(app, "45400", routine, ...args);
      }
      await refused(app, "22003", routine, 18446744073709551615n, 1);
    }
  });

  test("changes nothing and leaves no transaction open", async () => {
    await newVideo(app, await newUser(app));
    const sums = await tableSums(root);
    await ids();
    assert.equal(await app.value("SELECT @@in_transaction"), "0");
    assert.deepEqual(await tableSums(root), sums);
  });

  test("reads the feed's index backwards and stops early", async () => {
    const user = await newUser(app);
    await root.run(`
      INSERT INTO video (slot, video_id, author_id, title, media, sha256, size_bytes, duration_ms,
                         width, height, published_at, op)
      SELECT ${user.slot}, 1000000 + s.i, ${user.id}, 't', 'm', REPEAT('x', 32), 1, 1, 1, 1, s.i, UNHEX(MD5(s.i))
        FROM (SELECT f.slot + 1024 * k.slot AS i
                FROM slot_fence AS f JOIN slot_fence AS k ON k.slot < 5) AS s`);
    await root.run("ANALYZE TABLE video, user");
    const reads = async (names) => {
      const rows = await app.rows("SHOW SESSION STATUS LIKE 'Handler_read%'");
      return rows.filter((row) => names.test(row.Variable_name)).reduce((sum, row) => sum + Number(row.Value), 0);
    };
    for (const routine of ["feed_list", "feed_ids"]) {
      const all = await reads(/./);
      assert.equal((await feed(4000, 30, routine)).videos.length, 30);
      /* The video, its fence and its author, but not the fences of all slots. */
      const read = (await reads(/./)) - all;
      assert.ok(read <= 30 * 4 + 10, `${routine} reads ${read} rows`);
    }
  });

  test("plans: the feed's index, then only primary keys", async () => {
    const plan = await root.rows(`EXPLAIN
      SELECT v.published_at
        FROM video AS v FORCE INDEX (feed)
       STRAIGHT_JOIN slot_fence AS f FORCE INDEX (PRIMARY) ON f.slot = v.slot AND f.answer = 'ok'
       STRAIGHT_JOIN user AS u FORCE INDEX (PRIMARY) ON u.slot = v.slot AND u.user_id = v.author_id AND u.state = 'live'
        LEFT JOIN owner_home AS h FORCE INDEX (PRIMARY) ON h.slot = IF(f.has_home = 1, v.slot, NULL) AND h.owner_id = v.author_id
       WHERE v.state = 'live' AND v.published_at < 4000 AND h.owner_id IS NULL
       ORDER BY v.published_at DESC, v.video_id DESC LIMIT 30`);
    assert.deepEqual(
      plan.slice(0, 2).map((row) => [row.table, row.key]),
      [
        ["v", "feed"],
        ["f", "PRIMARY"],
      ],
    );
    assert.deepEqual(
      plan.slice(2).map((row) => row.key),
      ["PRIMARY", "PRIMARY"],
    );
    assert.ok(
      plan.every((row) => !/filesort|temporary/i.test(row.Extra)),
      JSON.stringify(plan),
    );
  });
});
