/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Administration and audit: routines with a user's id, erase_step, video_remove, outbox_status,
 * audit_*; also profiles, idempotency keys, and the leases of the relay and of the search for files. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { after, before, describe, test } from "node:test";

import {
  account,
  batch,
  call,
  changed,
  counted,
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
  version,
  waitForLocks,
} from "./lib.js";

let server;
let root;
let app;
let admin;
let monitor;
before(async () => {
  ({ server, root, app } = await shard());
  [admin, monitor] = [account(server, "admin"), account(server, "monitor")];
});
after(() => server?.stop());

const userRow = async (user) =>
  (await root.rows(`SELECT * FROM user WHERE slot = ${user.slot} AND user_id = ${user.id}`))[0];
const edge = async (routine, user, target, state = 1) =>
  one(app, routine, ownerOp(user, { target: Number(target.id), state }));
const half = async (routine, target, user, state = 1, ver = 1) =>
  one(app, routine, ownerOp(target, { actor: Number(user.id), state, ver, at: 1 }));
const byId = async (session, routine, id) => (await call(session, routine, Number(id)))[0];
const slotOfOp = (op) => {
  let crc = 0xffffffff;
  for (const byte of Buffer.from(op, "hex")) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0xedb88320 : crc >>> 1;
  }
  return ((crc ^ 0xffffffff) >>> 0) % 1024;
};

/** A user who has some of everything, and the users involved. */
async function scene(slot) {
  const [user, peer] = [await newUser(app, ...(slot === undefined ? [] : [nameIn(slot)])), await newUser(app)];
  const [own, other] = [await newVideo(app, user), await newVideo(app, peer)];
  await edge("relation_action", user, peer);
  await half("relation_deliver", user, peer);
  await edge("favorite_action", user, other);
  await half("favorite_deliver", own, peer);
  const comment = await one(app, "comment_action", ownerOp(other, { user: Number(user.id), op: key(), text: "c" }));
  await one(
    app,
    "comment_deliver",
    ownerOp(user, { video: Number(other.id), comment_id: Number(comment.comment_id), state: 1, ver: 1, at: 1 }),
  );
  await one(app, "message_action", ownerOp(user, { peer: Number(peer.id), op: key(), text: "m" }));
  return { user, peer, own, other, comment: comment.comment_id };
}

describe("user_audit, user_repair, user_tables, user_export", () => {
  test("writes leave nothing wrong; every counter made wrong is found and repaired", async () => {
    const { user, own } = await scene(10);
    const bad = async () =>
      (await byId(monitor, "user_audit", user.id))
        .filter((row) => row.good === "0")
        .map((row) => row.what)
        .sort();
    assert.deepEqual(await bad(), []);
    assert.deepEqual(
      [(await byId(admin, "user_repair", user.id))[0].code, (await userRow(user)).ver],
      ["same", (await userRow(user)).ver],
    );
    await root.run(
      `UPDATE user JOIN inbound USING (slot, user_id) SET follow_count = 7, follower_count = 7, favorite_count = -1, work_count = 0, total_favorited = 9 WHERE slot = 10 AND user_id = ${user.id}`,
    );
    await root.run(`UPDATE video SET favorite_count = 5, comment_count = 3 WHERE slot = 10 AND video_id = ${own.id}`);
    assert.deepEqual(await bad(), [
      "favorite_count",
      "follow_count",
      "follower_count",
      "total_favorited",
      "video_comment_count",
      "video_favorite_count",
      "work_count",
    ]);
    const ver = Number((await userRow(user)).ver);
    const row = (await byId(admin, "user_repair", user.id))[0];
    assert.deepEqual([row.code, row.users, row.videos], ["ok", "1", "1"]);
    assert.deepEqual([await bad(), Number((await userRow(user)).ver)], [[], ver + 1]);
    await journals(
      root,
      10,
      async () => {
        await root.run(`UPDATE user SET work_count = 5 WHERE slot = 10 AND user_id = ${user.id}`);
        return byId(admin, "user_repair", user.id);
      },
      () => [`user ${user.id} ${user.id}`, `inbound ${user.id} ${user.id}`],
    );
    await root.run(`UPDATE user SET edge_ver = 0 WHERE slot = 10 AND user_id = ${user.id}`);
    assert.deepEqual(await bad(), ["edge_ver"]);
  });

  test("while its slot arrives a user is not repaired, since rows may be missing", async () => {
    const { user } = await scene(19);
    const holder = server.session({ database: "doushard" });
    await root.run("UPDATE slot_fence SET state = 'importing' WHERE slot = 19");
    await root.run("UPDATE follow SET state = 0 WHERE slot = 19");
    await holder.run("START TRANSACTION");
    await holder.run("SELECT 1 FROM slot_fence WHERE slot = 19 FOR UPDATE");
    const repair = byId(admin, "user_repair", user.id);
    await waitForLocks(root, 1);
    await holder.run("UPDATE follow SET state = 1 WHERE slot = 19");
    await holder.run("UPDATE slot_fence SET state = 'owned', epoch = 2 WHERE slot = 19");
    await holder.run("COMMIT");
    assert.equal((await repair)[0].code, "notready");
    assert.equal((await userRow(user)).follow_count, "1");
    assert.equal((await byId(admin, "user_repair", user.id))[0].code, "same");
    await holder.end();
  });

  test("tables and export", async () => {
    const { user, own, other, comment, peer } = await scene();
    const tables = Object.fromEntries(
      (await byId(monitor, "user_tables", user.id)).map((row) => [row.tbl, `${row.total},${row.live}`]),
    );
    assert.deepEqual(tables, {
      user: "1,1",
      session: "1,1",
      video: "1,1",
      follow: "1,1",
      follower: "1,1",
      favorite: "1,1",
      commented: "1,1",
      chat: "1,1",
      message: "1,1",
      outbox: "3,3",
      job: "0,0",
      liker: "1,1",
      comment: "0,0",
    });
    const sets = await call(admin, "user_export", Number(user.id));
    assert.equal(sets.length, 8);
    assert.deepEqual(
      [
        sets[0][0].user_id,
        sets[2][0].video_id,
        sets[3][0].followed_id,
        sets[4][0].follower_id,
        sets[5][0].video_id,
        sets[6][0].comment_id,
        sets[7][0].text,
      ],
      [user.id, own.id, peer.id, peer.id, other.id, comment, "m"],
    );
    assert.ok(!JSON.stringify(sets).includes("hash 1"));
    await root.run(`UPDATE slot_fence SET state = 'moved' WHERE slot = ${user.slot}`);
    assert.deepEqual(
      (await call(admin, "user_export", Number(user.id))).map((set) => set.length),
      Array(8).fill(0),
    );
    await root.run(`UPDATE slot_fence SET state = 'owned' WHERE slot = ${user.slot}`);
  });

  test("the export in pages: the same rows, every text intact, nothing secret", async () => {
    const { user, other, comment } = await scene(16);
    const texts = ["plain", "\u{1f43b} \u00e9\u4f60", 'quote " and \\ and \n\t\u0001\u007f end', "\u2028</script>"];
    for (const text of texts)
      await one(app, "message_action", ownerOp(user, { peer: Number(user.id) + 8192, op: key(), text }));
    const page = async (part, after1 = 0, after2 = 0, limit = 2) =>
      (await call(admin, "user_export_page", user.slot, 1, Number(user.id), part, after1, after2, limit))[0];
    const parts = ["profile", "sessions", "videos", "follows", "followers", "favorites", "comments", "messages"];
    const sets = await call(admin, "user_export", Number(user.id));
    for (const [i, part] of parts.entries()) {
      const items = [];
      for (let [k1, k2] = [0, 0]; ;) {
        const rows = await page(part, k1, k2);
        assert.ok(rows.every((row) => row.code === "ok"));
        items.push(...rows.filter((row) => row.k1 !== null).map((row) => JSON.parse(row.item)));
        if (rows.length < 2) break;
        [k1, k2] = [Number(rows.at(-1).k1), Number(rows.at(-1).k2)];
      }
      const plain = (item) =>
        JSON.stringify(
          Object.entries(item)
            .map(([name, value]) => [name, String(value)])
            .sort(),
        );
      assert.deepEqual(items.map(plain).sort(), sets[i].map(plain).sort(), part);
      assert.ok(items.length > 0, part);
      if (part === "messages")
        for (const text of texts)
          assert.ok(
            items.some((item) => item.text === text),
            JSON.stringify(text),
          );
      assert.ok(!JSON.stringify(items).includes("hash 1"));
    }
    const op = (fields) => ({ ...ownerOp(other), user: Number(user.id), comment_id: Number(comment), ...fields });
    const rows = await batch(admin, "comment_export", [op(), op({ user: 1 }), op({ comment_id: 1 }), op({ owner: 1 })]);
    assert.deepEqual(
      rows.map((row) => [row.code, row.text]),
      [["ok", "c"], ...Array(3).fill(["notfound", null])],
    );
    await root.run(`UPDATE comment SET state = 'deleted' WHERE video_id = ${other.id}`);
    assert.equal((await one(admin, "comment_export", op())).code, "notfound");
    await root.run(`UPDATE comment SET state = 'live' WHERE video_id = ${other.id}`);

    await refusesBadBatch(admin, "comment_export", op(), { user: [0, -1, "x", 1.5], comment_id: [0, -1, "x", 1.5] });
    const good = [16, 1, Number(user.id), "follows", 0, 0, 10];
    for (const [i, bad] of [null, null, 0, "passwords", null, null, 1001].entries()) {
      await refused(admin, "45400", "user_export_page", ...changed(good, i, bad));
    }
    assert.equal((await call(admin, "user_export_page", 16, 1, 9, "profile", 0, 0, 1))[0][0].code, "notfound");
    const args = (epoch) => changed(good, 1, epoch);
    await obeysFence(root, admin, "user_export_page", 16, args);
    await obeysForwarding(root, admin, "user_export_page", 16, user.id, args);
    await obeysFence(root, admin, "comment_export", other.slot, (epoch) => op({ epoch }));
    await obeysForwarding(root, admin, "comment_export", other.slot, other.id, () => op());
    for (const who of [app, monitor]) {
      for (const routine of ["user_export_page(1, 1, 1, 'profile', 0, 0, 1)", "comment_export('[]')"]) {
        await assert.rejects(who.run(`CALL ${routine}`), { errno: 1370 });
      }
    }
  });

  test("bad ids, unknown users, the fence, a promoted user", async () => {
    for (const routine of ["user_tables", "user_audit", "user_repair", "user_export", "user_erase", "video_remove"]) {
      await refused(root, "45400", routine, null);
      await refused(root, "45400", routine, 0);
      await assert.rejects(app.run(`CALL ${routine}(1)`), { errno: 1370 });
    }
    for (const routine of ["user_repair", "user_erase", "video_remove"]) {
      assert.equal((await byId(admin, routine, 12345 * 8192 + 11 * 8))[0].code, "notfound");
      await root.run("UPDATE slot_fence SET state = 'moved', server = 'shard2', epoch = 2 WHERE slot = 11");
      assert.deepEqual(
        [(await byId(admin, routine, 12345 * 8192 + 11 * 8))[0]].map((row) => [row.code, row.server]),
        [["moved", "shard2"]],
      );
      await root.run("UPDATE slot_fence SET state = 'owned', server = 'shard1', epoch = 1 WHERE slot = 11");
    }
  });

  test("the counters of versions and ids are never behind the rows: the next one is newer", async () => {
    const { user, peer, own, other } = await scene(17);
    const bad = async () =>
      (await byId(monitor, "user_audit", user.id))
        .filter((row) => row.good === "0")
        .map((row) => `${row.what} ${row.counter} ${row.counted}`)
        .sort();
    const repair = async () => {
      const row = (await byId(admin, "user_repair", user.id))[0];
      return [row.code, row.users, row.videos];
    };
    const say = (session) =>
      one(session, "comment_action", ownerOp(own, { user: Number(peer.id), op: key(), text: "c" }));
    const send = (session) =>
      one(session, "message_action", ownerOp(user, { peer: Number(peer.id), op: key(), text: "m" }));
    const numbers = async () =>
      root.rows(
        `SELECT edge_ver, message_last, comment_last FROM user AS u JOIN video AS v USING (slot) WHERE u.user_id = ${user.id} AND v.video_id = ${own.id}`,
      );
    const spoil = () =>
      root.run(
        `UPDATE user AS u JOIN video AS v USING (slot) SET u.edge_ver = 0, u.message_last = 5, v.comment_last = 6 WHERE u.user_id = ${user.id} AND v.video_id = ${own.id}`,
      );
    const [first, message] = [await say(app), await send(app)];
    const liked = await edge("favorite_action", user, other, 0);
    assert.equal((await half("favorite_deliver", other, user, 0, Number(liked.ver))).code, "ok");
    const right = await numbers();
    await spoil();
    const [{ edge_ver: ver, message_last: sent, comment_last: said }] = right;
    assert.deepEqual(await bad(), [`comment_last 6 ${said}`, `edge_ver 0 ${ver}`, `message_last 5 ${sent}`]);
    assert.deepEqual(
      [await repair(), await bad(), await numbers(), await repair()],
      [["ok", "1", "1"], [], right, ["same", "0", "0"]],
    );

    const again = await edge("favorite_action", user, other);
    assert.equal((await half("favorite_deliver", other, user, 1, Number(again.ver))).code, "ok");
    const late = account(server, "app");
    await late.run("SET timestamp = 1750000000"); /* a clock that went back */
    assert.ok(BigInt((await say(late)).comment_id) > BigInt(first.comment_id));
    assert.ok(BigInt((await send(late)).message_id) > BigInt(message.message_id));
    await late.end();

    // Positions in the list of followers count; received messages have ids of other users.
    await root.run(`UPDATE follower SET pos = pos + 50 WHERE slot = 17 AND user_id = ${user.id}`);
    await one(
      app,
      "message_deliver",
      ownerOp(user, { peer: Number(peer.id), seq: 1, message_id: 2 ** 52, state: 1, text: "r", op: key() }),
    );
    const placed = await root.value(`SELECT MAX(pos) FROM follower WHERE slot = 17 AND user_id = ${user.id}`);
    assert.deepEqual(await bad(), [`follower_ver ${BigInt(placed) - 50n} ${placed}`]);
    assert.deepEqual(await repair(), ["ok", "1", "0"]);
    assert.equal(await root.value(`SELECT follower_ver FROM inbound WHERE slot = 17 AND user_id = ${user.id}`), placed);
    // They are never lowered.
    await root.run(
      `UPDATE user SET edge_ver = edge_ver + 1000, message_last = message_last + 1000 WHERE slot = 17 AND user_id = ${user.id}`,
    );
    await root.run(`UPDATE video SET comment_last = comment_last + 1000 WHERE slot = 17 AND video_id = ${own.id}`);
    const high = await numbers();
    assert.deepEqual([await repair(), await bad(), await numbers()], [["same", "0", "0"], [], high]);
    await journals(
      root,
      17,
      async () => {
        await spoil();
        return repair();
      },
      () => [`user ${user.id} ${user.id}`, `inbound ${user.id} ${user.id}`, `video ${user.id} ${own.id}`],
    );
  });

  test("a chat whose messages are gone: wrong for a live user, right for an erased one; a wrong count is reported", async () => {
    const { user } = await scene(18);
    await root.run(`DELETE FROM message WHERE slot = 18 AND user_id = ${user.id}`);
    await root.run(`UPDATE chat SET recv_seq = 4, last_text = '' WHERE slot = 18 AND user_id = ${user.id}`);
    const chats = async () =>
      (await byId(monitor, "user_audit", user.id))
        .filter((row) => row.what.endsWith("_seq"))
        .map((row) => `${row.what} ${row.counter} ${row.counted} ${row.good}`)
        .sort();
    const tables = async () =>
      (await byId(monitor, "user_tables", user.id))
        .filter((row) => row.tbl === "chat")
        .map((row) => `${row.total},${row.live}`);
    assert.deepEqual([await chats(), await tables()], [["recv_seq 4 0 0", "sent_seq 1 0 0"], ["1,0"]]);
    await root.run(
      `UPDATE user JOIN inbound USING (slot, user_id) SET user.state = 'erased', inbound.state = 'erased' WHERE slot = 18 AND user_id = ${user.id}`,
    );
    assert.deepEqual([await chats(), await tables()], [[], ["1,0"]]);
  });
});

describe("user_erase, erase_step", () => {
  const step = async (user, limit = 10, { peer = 0, at = 0, video = 0, comment = 0 } = {}) =>
    (await call(app, "erase_step", user.slot, 1, Number(user.id), peer, at, video, comment, limit))[0];

  test("from the first CALL until nothing is left", async () => {
    const { user, peer, own, other, comment } = await scene(12);
    assert.equal((await step(user))[0].code, "notfound");
    assert.deepEqual(
      [(await byId(admin, "user_erase", user.id))[0].code, (await byId(admin, "user_erase", user.id))[0].code],
      ["ok", "same"],
    );
    const row = await userRow(user);
    assert.deepEqual([row.state, row.password_hash], ["erased", ""]);
    assert.equal(await root.value(`SELECT COUNT(*) FROM session WHERE slot = 12 AND user_id = ${user.id}`), "0");
    assert.equal((await one(app, "user_register", user.op)).code, "taken");
    const [job] = (await call(app, "job_claim", key(), 10, 60_000))[0].filter((each) => each.kind === "user_erase");
    assert.equal(job.owner_id, user.id);

    const first = await step(user);
    assert.deepEqual(
      first.map((each) => [each.code, each.left, each.video_id, each.comment_id]),
      [["ok", "1", other.id, comment]],
    );
    const waiting = (await outboxList(app, 100)).filter((each) => each.owner === user.id);
    assert.deepEqual(
      waiting.map((each) => `${each.kind} ${each.target} ${each.state}`).sort(),
      [`favorite ${other.id} 0`, `follow ${peer.id} 0`, `message ${peer.id} 0`].sort(),
    );
    for (const each of waiting) {
      await one(
        app,
        "outbox_done",
        ownerOp(user, { kind: each.kind, target: Number(each.target), seq: Number(each.seq), ver: Number(each.ver) }),
      );
    }
    assert.equal(
      (await one(app, "comment_erase", ownerOp(other, { user: Number(user.id), comment_id: Number(comment) }))).code,
      "ok",
    );
    await one(
      app,
      "comment_deliver",
      ownerOp(user, { video: Number(other.id), comment_id: Number(comment), state: 0, ver: 2, at: 1 }),
    );
    assert.deepEqual(
      (await step(user)).map((each) => [each.left, each.comment_id]),
      [["0", null]],
    );
    assert.deepEqual(
      (await step(user)).map((each) => each.left),
      ["0"],
    );
    const live = (await byId(monitor, "user_tables", user.id))
      .filter((each) => each.live !== "0")
      .map((each) => each.tbl)
      .sort();
    assert.deepEqual(live, ["follower", "job", "liker"]);
    assert.deepEqual(
      (await byId(monitor, "user_audit", user.id)).filter((each) => each.good === "0"),
      [],
    );
    assert.equal(
      await root.value(`SELECT CONCAT(state, title) FROM video WHERE slot = 12 AND video_id = ${own.id}`),
      "deleted",
    );
  });

  test("comments in windows; a deleted video already loses its title; every row is journaled", async () => {
    const user = await newUser(app, nameIn(17));
    const [writer, video, early] = [await newUser(app), await newVideo(app, user), await newVideo(app, user)];
    await one(app, "publish_delete", deleteOp(user, early.id));
    for (let id = 1; id <= 3; id++)
      await one(app, "comment_deliver", ownerOp(user, { video: 77, comment_id: id, state: 1, ver: 1, at: 1 }));
    await byId(admin, "user_erase", user.id);
    const titles = () => root.value(`SELECT SUM(LENGTH(title) > 0) FROM video WHERE author_id = ${user.id}`);
    assert.equal(await titles(), "2");
    const named = async (at) =>
      (await step(user, 2, at)).map((each) => [each.video_id, each.comment_id, each.left].join());
    assert.deepEqual(await named({}), ["77,1,1", "77,2,1"]);
    assert.deepEqual([await named({ video: 77, comment: 2 }), await titles()], [["77,3,1"], "0"]);
    assert.deepEqual(await named({ video: 77, comment: 3 }), [",,1"]);

    const gone = await newUser(app, nameIn(18));
    const entries = [];
    await journals(
      root,
      18,
      async () => {
        await root.run(
          `UPDATE user JOIN inbound USING (slot, user_id) SET user.state = 'live', inbound.state = 'live' WHERE user_id = ${gone.id}`,
        );
        await root.run(`DELETE FROM job WHERE owner_id = ${gone.id}`);
        const own = await newVideo(app, gone);
        const { at, seq } = await one(
          app,
          "message_action",
          ownerOp(gone, { peer: Number(writer.id), op: key(), text: "x" }),
        );
        const old = await one(
          app,
          "message_deliver",
          ownerOp(gone, { peer: Number(writer.id), seq: Number(seq), message_id: 5, state: 1, text: "y", op: key() }),
        );
        for (const routine of ["relation_action", "favorite_action"])
          await edge(routine, gone, routine === "relation_action" ? writer : video);
        await root.run("DELETE FROM slot_log");
        await byId(admin, "user_erase", gone.id);
        await step(gone);
        const hex = (text) => Buffer.from(text).toString("hex");
        const id = gone.id;
        entries.splice(
          0,
          Infinity,
          `user ${id} ${id}`,
          `inbound ${id} ${id}`,
          `session ${id} ${id}`,
          `job ${id} ${id},${id} ${hex("user_erase")}`,
          `video ${id} ${own.id}`,
          `user ${id} ${id}`,
          `job ${id} ${id},${own.id} ${hex("media_delete")}`,
          `video ${id} ${own.id}`,
          `follow ${id} ${id},${writer.id}`,
          `outbox ${id} ${id},${writer.id},0 ${hex("follow")}`,
          `user ${id} ${id}`,
          `favorite ${id} ${id},${video.id}`,
          `outbox ${id} ${id},${video.id},0 ${hex("favorite")}`,
          `user ${id} ${id}`,
          `message ${id} ${id},${writer.id},${at}`,
          `outbox ${id} ${id},${writer.id},${seq} ${hex("message")}`,
          `message ${id} ${id},${writer.id},${old.at}`,
          `chat ${id} ${id},${writer.id}`,
        );
      },
      () => entries,
    );
  });

  test("in small steps, each of which is exact", async () => {
    const user = await newUser(app, nameIn(13));
    for (let i = 0; i < 3; i++) {
      await newVideo(app, user);
      await edge("relation_action", user, await newUser(app));
    }
    await byId(admin, "user_erase", user.id);
    for (const left of ["2", "1", "0"]) {
      assert.equal((await step(user, 1))[0].left, "1");
      const row = await userRow(user);
      assert.deepEqual([row.follow_count, row.work_count], [left, left]);
      assert.deepEqual(
        (await byId(monitor, "user_audit", user.id)).filter((each) => each.good === "0"),
        [],
      );
    }
    assert.equal((await step(user, 1))[0].left, "0");
    for (const args of [
      [null, 1, 1, 0, 0, 0, 0, 1],
      [1, null, 1, 0, 0, 0, 0, 1],
      [1, 1, 0, 0, 0, 0, 0, 1],
      [1, 1, 1, null, 0, 0, 0, 1],
      [1, 1, 1, 0, -1, 0, 0, 1],
      [1, 1, 1, 0, 0, null, 0, 1],
      [1, 1, 1, 0, 0, 0, null, 1],
      [1, 1, 1, 0, 0, 0, 0, 0],
      [1, 1, 1, 0, 0, 0, 0, 101],
    ])
      await refused(app, "45400", "erase_step", ...args);
    const args = (epoch) => [13, epoch, Number(user.id), 0, 0, 0, 0, 10];
    await obeysFence(root, app, "erase_step", 13, args);
    await obeysForwarding(root, app, "erase_step", 13, user.id, args);
  });

  test("messages: taken back through the outbox, removed after that, in small windows", async () => {
    const [user, x, y] = [await newUser(app, nameIn(15)), await newUser(app), await newUser(app)];
    const [near, far] = [x, y].sort((a, b) => Number(a.id) - Number(b.id));
    for (const peer of [near, far, far])
      await one(app, "message_action", ownerOp(user, { peer: Number(peer.id), op: key(), text: "secret" }));
    for (const seq of [1, 2])
      await one(
        app,
        "message_deliver",
        ownerOp(user, { peer: Number(near.id), seq, message_id: seq, state: 1, text: "got", op: key() }),
      );
    await byId(admin, "user_erase", user.id);
    const mailbox = async () =>
      root.value(
        `SELECT GROUP_CONCAT(peer_id = ${far.id}, sent, state, text ORDER BY peer_id, at) FROM message WHERE user_id = ${user.id}`,
      );
    const waiting = async () => (await outboxList(app, 100)).filter((each) => each.owner === user.id);
    // The mailbox of the user on this shard: one sent, two received, in windows of two.
    const [first] = await step(user, 2);
    assert.deepEqual([first.left, first.peer_id, await mailbox()], ["1", near.id, "010,001got,111secret,111secret"]);
    const [second] = await step(user, 2, { peer: first.peer_id, at: first.at });
    assert.deepEqual([second.left, second.peer_id, await mailbox()], ["1", far.id, "010,110,111secret"]);
    const [third] = await step(user, 2, { peer: second.peer_id, at: second.at });
    assert.deepEqual([third.left, third.peer_id, third.at, await mailbox()], ["1", "0", "0", "010,110,110"]);
    assert.deepEqual(
      (await waiting()).map((each) => [each.target, each.seq, each.ver, each.state, each.text, each.head]).sort(),
      [
        [near.id, "1", "2", "0", "", "1"],
        [far.id, "1", "2", "0", "", "1"],
        [far.id, "2", "2", "0", "", "0"],
      ].sort(),
    );
    // Nothing is removed before it is delivered; then it is. The chats still have what was received.
    assert.deepEqual([(await step(user, 10))[0].left, await mailbox()], ["1", "010,110,110"]);
    for (const each of await waiting())
      await one(
        app,
        "outbox_done",
        ownerOp(user, { kind: "message", target: Number(each.target), seq: Number(each.seq), ver: 2 }),
      );
    assert.deepEqual(
      [
        (await step(user, 10))[0].left,
        await mailbox(),
        await root.value(
          `SELECT GROUP_CONCAT(sent_seq, ',', recv_seq, last_text ORDER BY peer_id SEPARATOR ';') FROM chat WHERE user_id = ${user.id}`,
        ),
      ],
      ["0", null, "1,2;2,0"],
    );
    const again = await one(
      app,
      "message_deliver",
      ownerOp(user, { peer: Number(near.id), seq: 2, message_id: 2, state: 1, text: "got", op: key() }),
    );
    assert.equal(again.code, "same", "delivered and acknowledged: not taken back in the sender's mailbox");
  });

  test("a second call restarts a parked job", async () => {
    const user = await newUser(app, nameIn(16));
    await byId(admin, "user_erase", user.id);
    const job = async () => root.value(`SELECT CONCAT_WS(',', parked, attempts) FROM job WHERE owner_id = ${user.id}`);
    await root.run(`UPDATE job SET attempts = 7 WHERE owner_id = ${user.id}`);
    assert.deepEqual([(await byId(admin, "user_erase", user.id))[0].code, await job()], ["same", "0,7"]);
    await root.run(`UPDATE job SET attempts = 20, parked = 1 WHERE owner_id = ${user.id}`);
    assert.deepEqual([(await byId(admin, "user_erase", user.id))[0].code, await job()], ["same", "0,0"]);
  });

  test("an erasure and a follow at the same time", async () => {
    const [user, peer] = [await newUser(app), await newUser(app)];
    const other = account(server, "app");
    const results = await race(
      server,
      root,
      `SELECT 1 FROM inbound WHERE slot = ${user.slot} AND user_id = ${user.id} FOR UPDATE`,
      [admin, (session) => byId(session, "user_erase", user.id)],
      [
        other,
        (session) =>
          batch(session, "relation_deliver", ownerOp(user, { actor: Number(peer.id), state: 1, ver: 1, at: 1 })),
      ],
    );
    assert.equal(results[0][0].code, "ok");
    assert.ok(["ok", "notfound"].includes(results[1][0].code));
    assert.deepEqual(
      (await byId(monitor, "user_audit", user.id)).filter((each) => each.good === "0"),
      [],
    );
    await other.end();
  });
});

describe("video_remove", () => {
  test("whoever its author is, once, and its likes with it", async () => {
    const author = await newUser(app, nameIn(14));
    const video = await newVideo(app, author);
    await half("favorite_deliver", video, await newUser(app));
    assert.deepEqual(
      [(await byId(admin, "video_remove", video.id))[0].code, (await byId(admin, "video_remove", video.id))[0].code],
      ["ok", "same"],
    );
    const row = await userRow(author);
    assert.deepEqual(
      [row.work_count, await root.value(`SELECT total_favorited FROM inbound WHERE user_id = ${author.id}`)],
      ["0", "0"],
    );
    assert.equal(
      await root.value(`SELECT payload FROM job WHERE slot = 14 AND kind = 'media_delete' AND target_id = ${video.id}`),
      video.media,
    );
    const videos = [await newVideo(app, author), await newVideo(app, author)];
    await journals(
      root,
      14,
      async () => {
        const { id } = videos.shift();
        await byId(admin, "video_remove", id);
        return id;
      },
      (id) => [
        `video ${author.id} ${id}`,
        `user ${author.id} ${author.id}`,
        `inbound ${author.id} ${author.id}`,
        `job ${author.id} ${author.id},${id} ${Buffer.from("media_delete").toString("hex")}`,
      ],
    );
  });
});

describe("the auditor's readers", () => {
  test("walk over all rows, with any page size", async () => {
    const users = [];
    for (let i = 0; i < 4; i++) users.push((await scene(200 + i)).user);
    for (const tbl of ["follow", "follower", "favorite", "liker", "comment", "commented", "sent", "received"]) {
      const walk = async (limit) => {
        const rows = [];
        let from = [0, 0, 0, 0];
        for (;;) {
          const page = (await call(monitor, "audit_rows", tbl, ...from, limit))[0];
          rows.push(...page);
          if (page.length < limit) return rows;
          const last = page.at(-1);
          from = [last.slot, last.owner, last.other, last.seq].map(Number);
        }
      };
      const all = await walk(1000);
      assert.deepEqual(await walk(3), all, tbl);
      assert.ok(tbl === "received" || all.length > 0, tbl);
    }
    const owners = (await call(monitor, "audit_owners", 0, 0, 1000))[0];
    const pages = [];
    let from = [0, 0];
    for (;;) {
      const page = (await call(monitor, "audit_owners", ...from, 4))[0];
      pages.push(...page);
      if (page.length < 4) break;
      from = [Number(page.at(-1).slot), Number(page.at(-1).user_id)];
    }
    assert.deepEqual(pages, owners);
    assert.ok(
      owners.every(
        (row) => row.bad_videos === "0" && row.follow_count === row.follows && row.total_favorited === row.likes,
      ),
    );
  });

  test("find the other half", async () => {
    const { user, peer, other, comment } = await scene();
    await half("favorite_deliver", other, user);
    const find = async (owner, tbl, to, seq = 0) => {
      const row = await one(monitor, "audit_find", ownerOp(owner, { tbl, other: Number(to.id), seq: Number(seq) }));
      return [row.owner_state, row.state, row.ver];
    };
    assert.deepEqual(await find(user, "follow", peer), ["live", "1", version(1)]);
    assert.deepEqual(await find(peer, "follower", user), ["live", null, null]);
    assert.deepEqual(await find(user, "favorite", other), ["live", "1", version(2)]);
    assert.deepEqual(await find(other, "liker", user), ["live", "1", "1"]);
    assert.deepEqual(await find(other, "comment", user, comment), ["live", "1", "1"]);
    assert.deepEqual(await find(user, "commented", other, comment), ["live", "1", "1"]);
    assert.deepEqual(await find(user, "sent", peer, 1), ["live", "1", "1"]);
    assert.deepEqual(await find({ slot: 9, id: 9 }, "liker", user), [null, null, null]);
    const [row] = (await call(monitor, "audit_rows", "sent", user.slot, Number(user.id) - 1, 0, 0, 1))[0];
    assert.deepEqual([row.pending, row.served, row.digest.length], ["1", "1", 32]);
    const message = (
      await root.rows(
        `SELECT message_id, HEX(op) AS op, text FROM message WHERE slot = ${user.slot} AND user_id = ${user.id}`,
      )
    )[0];
    assert.equal(
      row.digest,
      createHash("md5")
        .update(message.message_id + message.op + message.text)
        .digest("hex"),
    );
    await refusesBadBatch(root, "audit_find", ownerOp(user, { tbl: "follow", other: 5, seq: 0 }), {
      tbl: ["", "x", "outbox"],
      other: [-1, "x"],
      seq: [-1, "x"],
    });
    await refused(root, "45400", "audit_rows", "outbox", 0, 0, 0, 0, 1);
    await refused(root, "45400", "audit_rows", "follow", 0, 0, 0, 0, 0);
    await refused(root, "45400", "audit_owners", 0, 0, 1001);
    await obeysFence(root, root, "audit_find", user.slot, (epoch) => ({
      ...ownerOp(user, { tbl: "follow", other: 5, seq: 0 }),
      epoch,
    }));
  });

  test("read little more than their own rows, wherever a page begins", async () => {
    // Many rows in slot 900, and more after it. Mailboxes have both directions.
    const rows = {
      user: "(slot, user_id, name, password_hash, created_at, op) SELECT slot, i, i, '', 1, op",
      follow: "SELECT slot, 5, i, 1, i, 1",
      follower: "SELECT slot, 5, i, 1, i, 1, i",
      favorite: "SELECT slot, 5, i, 1, i, 1",
      liker: "SELECT slot, 5, i, 1, i, 1",
      comment: "SELECT slot, 5, i, 6, 't', 'live', 1, 1, op",
      commented: "SELECT slot, 5, 6, i, 1, 1, 1",
      message: "SELECT slot, 5, 6, i, i, i > 2000, i, 't', 1, op",
    };
    const edges = ["follow", "follower", "favorite", "liker"];
    for (const [table, list] of Object.entries(rows)) {
      const most = table === "message" ? 4000 : 2000;
      await root.run(
        `INSERT INTO ${table} ${list} FROM (SELECT x.seq AS slot, s.seq AS i, UNHEX(MD5(s.seq)) AS op FROM seq_900_to_903 AS x, seq_1_to_${most} AS s) AS d`,
      );
    }
    const page = async (routine, ...args) => {
      const { result, reads } = await counted(root, (session) => call(session, routine, ...args, 10));
      assert.ok(reads < 250, `${reads} rows read for 10: ${routine}(${args})`);
      return result[0];
    };
    for (const [slot, i] of [
      [900, 1950],
      [902, 1000],
    ]) {
      /* after number i: */
      const next = (from) => Array.from({ length: 10 }, (_, k) => from + i + k + 1);
      assert.deepEqual(
        (await page("audit_owners", slot, i)).map((row) => Number(row.user_id)),
        next(0),
      );
      for (const table of edges) {
        assert.deepEqual(
          (await page("audit_rows", table, slot, 5, i, 0)).map((row) => Number(row.other)),
          next(0),
          table,
        );
      }
      for (const [table, from] of [
        ["comment", 0],
        ["commented", 0],
        ["received", 0],
        ["sent", 2000],
      ]) {
        assert.deepEqual(
          (await page("audit_rows", table, slot, 5, 6, from + i)).map((row) => Number(row.seq)),
          next(from),
          table,
        );
      }
    }
    for (const table of Object.keys(rows)) await root.run(`DELETE FROM ${table} WHERE slot BETWEEN 900 AND 903`);
  });
});

describe("user_profile", () => {
  test("changes what is given, keeps the rest", async () => {
    const user = await newUser(app, nameIn(15));
    const change = async (fields) => (await one(app, "user_profile", ownerOp(user, fields))).code;
    const now = async () => {
      const { avatar, background_image: background, signature, ver } = await userRow(user);
      return [avatar, background, signature, ver];
    };
    assert.equal(await change({ signature: "名 😀 " }), "ok");
    assert.equal(await change({ avatar: "a", background_image: "b", signature: null }), "ok");
    assert.deepEqual(
      [await now(), await change({ avatar: "a", signature: "名 😀 " })],
      [["a", "b", "名 😀 ", version(3)], "same"],
    );
    assert.deepEqual(
      [await change({ signature: "名 😀" }), await change({ avatar: "" }), await now()],
      ["ok", "ok", ["", "b", "名 😀", version(5)]],
    );
    assert.equal((await one(app, "user_profile", { slot: 9, epoch: 1, owner: 9, avatar: "x" })).code, "notfound");
    for (const fields of [
      {},
      { avatar: null },
      { avatar: "a".repeat(65) },
      { avatar: "ä" },
      { background_image: "a".repeat(65) },
      { signature: "a".repeat(129) },
    ]) {
      await refused(app, "45400", "user_profile", JSON.stringify([ownerOp(user, fields)]));
    }
    await refused(
      app,
      "45400",
      "user_profile",
      JSON.stringify([ownerOp(user, { avatar: "x" }), ownerOp(user, { avatar: "y" })]),
    );
    await obeysFence(root, app, "user_profile", 15, (epoch) => ownerOp(user, { epoch, avatar: "x" }));
    await obeysForwarding(root, app, "user_profile", 15, user.id, () => ownerOp(user, { avatar: "x" }));
    let i = 0;
    await journals(
      root,
      15,
      () => change({ avatar: `x${(i += 1)}` }),
      () => [`user ${user.id} ${user.id}`],
    );
  });
});

describe("idempotency keys and the lease", () => {
  const body = (text) => createHash("sha256").update(text).digest("hex");
  const claimOp = (op, text, fields = {}) => ({
    slot: slotOfOp(op),
    epoch: 1,
    owner: 0,
    op,
    body: body(text),
    ...fields,
  });

  test("the first use is new; then the same or another one", async () => {
    const op = key();
    const claim = async (text) => {
      const { code, created_at: at } = await one(app, "idem_claim", claimOp(op, text));
      return [code, at];
    };
    const before_ = Date.now();
    const [, at] = await claim("a");
    assert.ok(Math.abs(Number(at) - before_) < 10_000, at);
    assert.deepEqual(
      [await claim("a"), await claim("b"), await claim("a")],
      [
        ["same", at],
        ["mismatch", null],
        ["same", at],
      ],
    );
    await root.run("UPDATE idem SET created_at = created_at - 86400000 + 60000"); /* nearly a day */
    assert.deepEqual(await claim("a"), ["same", String(Number(at) - 86_340_000)]);
    await root.run("UPDATE idem SET created_at = created_at - 60000");
    const [code, later] = await claim("b");
    assert.ok(code === "ok" && Number(later) >= Number(at), "the time of the first use of this day");
    assert.deepEqual(
      [await claim("a"), await claim("b")],
      [
        ["mismatch", null],
        ["same", later],
      ],
    );
    await refusesBadBatch(app, "idem_claim", claimOp(op, "a"), {
      owner: [1],
      op: ["", key(), op.slice(1)],
      body: ["", "a".repeat(63), "g".repeat(64)],
    });
    const slot = slotOfOp(op);
    await obeysFence(root, app, "idem_claim", slot, (epoch) => claimOp(op, "a", { epoch }));
    await journals(
      root,
      slot,
      () => one(app, "idem_claim", claimOp(op, "a")),
      () => [`idem 0  ${op}`],
    );
  });

  test("two first uses at the same time: one is new", async () => {
    const op = key();
    const other = account(server, "app");
    const work = (session) => one(session, "idem_claim", claimOp(op, "a"));
    const results = await Promise.all([work(app), work(other)]);
    assert.deepEqual(
      [results.map((row) => row.code).sort(), results[0].created_at],
      [["ok", "same"], results[1].created_at],
    );
    await other.end();
  });

  test("one relay at a time", async () => {
    const take = async (holder, ms) => (await call(app, "relay_lease_take", holder, ms))[0][0].got;
    assert.deepEqual(
      [
        await take("a", 60_000),
        await take("b", 60_000),
        await take("a", 60_000),
        await take("a", 0),
        await take("b", 60_000),
        await take("a", 60_000),
      ],
      ["1", "0", "1", "0", "1", "0"],
    );
    await root.run("UPDATE relay_lease SET until_at = 1");
    assert.equal(await take("a", 1000), "1");
    for (const args of [
      ["", 1],
      [null, 1],
      ["ä", 1],
      ["a", -1],
      ["a", 600_001],
      ["a", null],
    ])
      await refused(app, "45400", "relay_lease_take", ...args);
  });

  test("one search for files at a time, by the shard that has slot 0", async () => {
    const take = async (holder, ms, session = app) => (await call(session, "media_lease_take", holder, ms))[0][0].got;
    await root.run("DELETE FROM relay_lease");
    await call(app, "relay_lease_take", "r", 60_000);
    assert.deepEqual(
      [
        await take("a", 60_000),
        await take("b", 60_000),
        await take("a", 60_000),
        await take("a", 0),
        await take("b", 60_000),
        await take("a", 60_000),
      ],
      ["1", "0", "1", "0", "1", "0"],
    );
    await root.run("UPDATE relay_lease SET until_at = _now_ms() - 1 WHERE name = 'media'");
    assert.deepEqual([await take("a", 60_000), await take("b", 1000)], ["1", "0"]); /* a holder that died has lost it */
    for (const args of [
      ["", 1],
      [null, 1],
      ["ä", 1],
      ["a", -1],
      ["a", 600_001],
      ["a", null],
    ])
      await refused(app, "45400", "media_lease_take", ...args);

    for (const state of ["moved", "ready", "importing"]) {
      await root.run(`UPDATE slot_fence SET state = '${state}', epoch = 2, server = 'shard2' WHERE slot = 0`);
      assert.deepEqual([await take("a", 60_000), await take("c", 60_000)], ["0", "0"], state);
    }
    await root.run("DELETE FROM relay_lease WHERE name = 'media'");
    assert.equal(await take("a", 60_000), "0", "nor where there was no lease before");
    await root.run("UPDATE slot_fence SET state = 'owned', epoch = 1, server = 'shard1' WHERE slot = 0");

    const other = account(server, "app");
    assert.deepEqual((await Promise.all([take("a", 60_000), take("b", 60_000, other)])).sort(), ["0", "1"]);
    await other.end();
    assert.deepEqual(await root.rows("SELECT holder FROM relay_lease WHERE name = 'relay'"), [{ holder: "r" }]);
  });
});
