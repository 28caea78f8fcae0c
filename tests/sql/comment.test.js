/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Comments: posting, deleting, listing, and the second half in the rows of their author. */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";

import {
  account,
  batch,
  call,
  codes,
  deleteOp,
  journals,
  key,
  newUser,
  newVideo,
  nameIn,
  obeysFence,
  obeysForwarding,
  one,
  ownerOp,
  race,
  refused,
  refusesBadBatch,
  shard,
  slotOfId,
  tableSums,
  timeOfId,
  waitForLocks,
  version,
} from "./lib.js";

let server;
let root;
let app;
before(async () => ({ server, root, app } = await shard()));
after(() => server?.stop());

const postOp = (video, user, fields = {}) =>
  ownerOp(video, { user: Number(user.id), op: key(), text: "a comment", ...fields });
const removeOp = (video, user, id) => ownerOp(video, { user: Number(user.id), comment_id: Number(id) });
const halfOp = (user, video, id, ver) =>
  ownerOp(user, { video: Number(video.id), comment_id: Number(id), state: ver === 1 ? 1 : 0, ver, at: 1000 });
const videoRow = async (video) =>
  (await root.rows(`SELECT * FROM video WHERE slot = ${video.slot} AND video_id = ${video.id}`))[0];
const count = async (video) => Number((await videoRow(video)).comment_count);
const outbox = (video) =>
  root.rows(
    `SELECT kind, target_id, seq, ver FROM outbox WHERE slot = ${video.slot} AND actor_id = ${video.id} ORDER BY seq`,
  );
const list = async (video, cursor = 0, limit = 10) =>
  (await call(app, "comment_list", video.slot, 1, Number(video.id), cursor, limit))[0];
const texts = async (video) => (await list(video)).map((row) => row.text);

async function scene(slot) {
  const author = await newUser(app, ...(slot === undefined ? [] : [nameIn(slot)]));
  return { author, video: await newVideo(app, author), writer: await newUser(app) };
}

describe("comment_action", () => {
  test("posts, counts, and adds the second half to the outbox", async () => {
    const { author, video, writer } = await scene();
    const op = postOp(video, writer, { text: "名前 😀 " });
    const row = await one(app, "comment_action", op);
    assert.deepEqual(
      [row.code, row.author_id, row.ver, row.video_author_id, row.pending],
      ["ok", writer.id, "1", author.id, "1"],
    );
    assert.equal(slotOfId(row.comment_id), video.slot);
    assert.ok(Math.abs(timeOfId(row.comment_id) - Number(row.created_at)) < 2);
    assert.deepEqual(await outbox(video), [{ kind: "comment", target_id: writer.id, seq: row.comment_id, ver: "1" }]);
    assert.deepEqual([await count(video), (await videoRow(video)).ver], [1, version(2)]);
    assert.deepEqual(await texts(video), ["名前 😀 "]);
  });

  test("a replay returns the comment with the text of the request; the op of another user is refused; a deleted comment is not found", async () => {
    const { video, writer } = await scene();
    const op = postOp(video, writer, { text: "名前 😀 " });
    const first = await one(app, "comment_action", op);
    assert.equal(first.text, null);
    for (const text of [op.text, "** 😀", "a"]) {
      assert.deepEqual(await one(app, "comment_action", { ...op, text }), { ...first, code: "same", text: op.text });
    }
    const other = postOp(video, writer, { text: "other" });
    await one(app, "comment_action", other);
    const rows = await batch(app, "comment_action", [
      { ...other, text: "x" },
      postOp(video, writer),
      { ...op, user: 5 },
    ]);
    assert.deepEqual(
      rows.map((row) => [row.code, row.text]),
      [
        ["same", "other"],
        ["ok", null],
        ["mismatch", null],
      ],
    );
    assert.deepEqual([await count(video), await texts(video)], [3, ["a comment", "other", op.text]]);
    await one(app, "comment_delete", removeOp(video, writer, first.comment_id));
    const gone = await one(app, "comment_action", op);
    assert.deepEqual([gone.code, gone.text, await count(video)], ["notfound", null, 2]);
  });

  test("a batch: ids increase, refused operations do not affect good ones", async () => {
    const { video, writer } = await scene();
    const ghost = { id: String(77 * 8192 + video.slot * 8), slot: video.slot };
    const rows = await batch(app, "comment_action", [
      postOp(ghost, writer),
      ...Array.from({ length: 20 }, (_, i) => postOp(video, writer, { text: `c${i}` })),
    ]);
    assert.deepEqual(
      [rows[0].code, rows[0].comment_id, ...new Set(rows.slice(1).map((row) => row.code))],
      ["notfound", null, "ok"],
    );
    const ids = rows.slice(1).map((row) => BigInt(row.comment_id));
    assert.ok(ids.every((id, i) => i === 0 || id > ids[i - 1]));
    const next = await one(app, "comment_action", postOp(video, writer));
    assert.ok(BigInt(next.comment_id) > ids.at(-1));
    assert.equal(await count(video), 21);
    const op = key();
    await refused(
      app,
      "45400",
      "comment_action",
      JSON.stringify([postOp(video, writer, { op }), postOp(video, writer, { op })]),
    );
  });

  test("a clock that was set back makes no id twice", async () => {
    const { video, writer } = await scene();
    const late = account(server, "app");
    const first = await one(late, "comment_action", postOp(video, writer));
    await late.run("SET timestamp = 1750000000");
    const second = await one(late, "comment_action", postOp(video, writer));
    assert.equal(BigInt(second.comment_id) - BigInt(first.comment_id) > 0n, true);
    await late.end();
  });

  test("if an id would not fit its 40 bits of time, the whole batch is refused and changes nothing", async () => {
    const [{ video, writer }, other] = [await scene(55), await scene(55)];
    const setLast = (last) =>
      root.run(`UPDATE video SET comment_last = ${last} WHERE slot = 55 AND video_id = ${video.id}`);
    const posts = (...videos) => JSON.stringify(videos.map((target) => postOp(target, writer)));
    await setLast(8796093022206n);
    const before_ = await tableSums(root);
    await refused(app, "45503", "comment_action", posts(video, video));
    await refused(app, "45503", "comment_action", posts(video, video, other.video));
    assert.deepEqual(await tableSums(root), before_);
    const row = await one(app, "comment_action", postOp(video, writer));
    assert.deepEqual([row.code, BigInt(row.comment_id)], ["ok", (2n ** 40n - 1n) * 8192n + 55n * 8n + 7n]);
    await refused(app, "45503", "comment_action", posts(video));
    assert.equal(await count(video), 1);
  });

  test("a comment whose answer was lost is found when it is repeated, even if the video was deleted since", async () => {
    const { author, video, writer } = await scene();
    const op = postOp(video, writer);
    const first = await one(app, "comment_action", op);
    await one(app, "publish_delete", deleteOp(video, author.id));
    const rows = await batch(app, "comment_action", [op, postOp(video, writer), { ...op, op: key() }]);
    assert.deepEqual(
      rows.map((row) => [row.code, row.comment_id]),
      [
        ["same", first.comment_id],
        ["notfound", null],
        ["notfound", null],
      ],
    );
    assert.deepEqual([rows[0].created_at, rows[0].pending, rows[0].text], [first.created_at, "1", op.text]);
    assert.equal(await count(video), 1);
  });

  test("deleted videos and erased authors accept none", async () => {
    const { author, video, writer } = await scene();
    const other = await newVideo(app, author);
    await one(app, "publish_delete", deleteOp(video, author.id));
    assert.equal((await one(app, "comment_action", postOp(video, writer))).code, "notfound");
    await root.run(
      `UPDATE user JOIN inbound USING (slot, user_id) SET user.state = 'erased', inbound.state = 'erased' WHERE slot = ${author.slot} AND user_id = ${author.id}`,
    );
    assert.equal((await one(app, "comment_action", postOp(other, writer))).code, "notfound");
    assert.deepEqual([await count(video), await count(other), (await list(other))[0].code], [0, 0, "notfound"]);
  });

  test("two racing replays: one comment", async () => {
    const { video, writer } = await scene();
    const op = postOp(video, writer);
    const other = account(server, "app");
    const results = await race(
      server,
      root,
      `SELECT 1 FROM video WHERE slot = ${video.slot} AND video_id = ${video.id} FOR UPDATE`,
      [app, (session) => one(session, "comment_action", op)],
      [other, (session) => one(session, "comment_action", op)],
    );
    assert.deepEqual([results.map((row) => row.code).sort(), await count(video)], [["ok", "same"], 1]);
    assert.equal(results[0].comment_id, results[1].comment_id);
    await other.end();
  });

  test("bad arguments, fence, forwarding, journal", async () => {
    const { author, video, writer } = await scene(50);
    await refusesBadBatch(app, "comment_action", postOp(video, writer), {
      owner: [0],
      user: [0, -1, "x"],
      op: ["", key().slice(1), `${key()}0`, "g".repeat(32)],
      text: ["", "a".repeat(1001)],
    });
    assert.equal((await one(app, "comment_action", postOp(video, writer, { text: "😀".repeat(1000) }))).code, "ok");
    await obeysFence(root, app, "comment_action", 50, (epoch) => postOp(video, writer, { epoch }));
    await obeysForwarding(root, app, "comment_action", 50, video.id, () => postOp(video, writer));
    await journals(
      root,
      50,
      () => one(app, "comment_action", postOp(video, writer)),
      (row) => [
        `comment ${author.id} ${video.id},${row.comment_id}`,
        `video ${author.id} ${video.id}`,
        `outbox ${author.id} ${video.id},${writer.id},${row.comment_id} ${Buffer.from("comment").toString("hex")}`,
      ],
    );
  });
});

describe("comment_delete", () => {
  test("by its author or the video's author, by nobody else, once", async () => {
    const { author, video, writer } = await scene();
    const stranger = await newUser(app);
    const ids = [];
    for (let i = 0; i < 2; i++) ids.push((await one(app, "comment_action", postOp(video, writer))).comment_id);
    assert.equal((await one(app, "comment_delete", removeOp(video, stranger, ids[0]))).code, "forbidden");
    assert.equal(await count(video), 2);
    const row = await one(app, "comment_delete", removeOp(video, writer, ids[0]));
    assert.deepEqual([row.code, row.author_id, row.ver, row.pending], ["ok", writer.id, "2", "1"]);
    assert.equal((await one(app, "comment_delete", removeOp(video, author, ids[1]))).code, "ok");
    for (const [who, code] of [
      [writer, "same"],
      [author, "same"],
      [stranger, "notfound"],
    ]) {
      assert.equal((await one(app, "comment_delete", removeOp(video, who, ids[0]))).code, code);
    }
    assert.equal((await one(app, "comment_delete", removeOp(video, writer, 12345))).code, "notfound");
    assert.deepEqual([await count(video), (await outbox(video)).map((out) => out.ver)], [0, ["2", "2"]]);
    assert.equal((await list(video))[0].comment_id, null);
  });

  test("a deletion whose answer was lost is found when it is repeated, even if the video was deleted since", async () => {
    const { author, video, writer } = await scene();
    const ids = [];
    for (let i = 0; i < 3; i++) ids.push((await one(app, "comment_action", postOp(video, writer))).comment_id);
    for (const [i, who] of [writer, author].entries()) await one(app, "comment_delete", removeOp(video, who, ids[i]));
    await one(app, "publish_delete", deleteOp(video, author.id));
    const rows = await batch(app, "comment_delete", [
      removeOp(video, writer, ids[0]),
      removeOp(video, author, ids[1]),
      removeOp(video, writer, ids[2]),
    ]);
    assert.deepEqual(
      rows.map((row) => [row.code, row.author_id]),
      [
        ["same", writer.id],
        ["same", writer.id],
        ["notfound", null],
      ],
    );
    assert.equal(await count(video), 1);
  });

  test("both at the same time: counted once", async () => {
    const { author, video, writer } = await scene();
    const { comment_id: id } = await one(app, "comment_action", postOp(video, writer));
    const other = account(server, "app");
    const results = await race(
      server,
      root,
      `SELECT 1 FROM video WHERE slot = ${video.slot} AND video_id = ${video.id} FOR UPDATE`,
      [app, (session) => one(session, "comment_delete", removeOp(video, writer, id))],
      [other, (session) => one(session, "comment_delete", removeOp(video, author, id))],
    );
    assert.deepEqual([results.map((row) => row.code).sort(), await count(video)], [["ok", "same"], 0]);
    await other.end();
  });

  test("bad arguments, fence, journal", async () => {
    const { author, video, writer } = await scene(51);
    await refusesBadBatch(app, "comment_delete", removeOp(video, writer, 9), {
      owner: [0],
      user: [0, "x"],
      comment_id: [0, -1, "x"],
    });
    await refused(
      app,
      "45400",
      "comment_delete",
      JSON.stringify([removeOp(video, writer, 9), removeOp(video, author, 9)]),
    );
    await obeysFence(root, app, "comment_delete", 51, (epoch) => ({ ...removeOp(video, writer, 9), epoch }));
    const ids = [];
    for (let i = 0; i < 2; i++) ids.push((await one(app, "comment_action", postOp(video, writer))).comment_id);
    await journals(
      root,
      51,
      async () => {
        const id = ids.shift();
        await one(app, "comment_delete", removeOp(video, writer, id));
        return id;
      },
      (id) => [
        `comment ${author.id} ${video.id},${id}`,
        `video ${author.id} ${video.id}`,
        `outbox ${author.id} ${video.id},${writer.id},${id} ${Buffer.from("comment").toString("hex")}`,
      ],
    );
  });
});

describe("comment_erase", () => {
  test("with the text, also on deleted videos and of deleted comments, by their author only", async () => {
    const { author, video, writer } = await scene();
    const other = await newUser(app);
    const ids = [];
    for (let i = 0; i < 3; i++) ids.push((await one(app, "comment_action", postOp(video, writer))).comment_id);
    const row = async (id) =>
      root.value(
        `SELECT CONCAT_WS(',', state, ver, text) FROM comment WHERE video_id = ${video.id} AND comment_id = ${id}`,
      );
    const erase = async (id, user = writer) => (await one(app, "comment_erase", removeOp(video, user, id))).code;
    await one(app, "comment_delete", removeOp(video, writer, ids[0]));
    assert.deepEqual(
      [await erase(ids[0], other), await erase(ids[0], author), await erase(9)],
      ["notfound", "notfound", "notfound"],
    );
    assert.deepEqual(
      [await row(ids[0]), await erase(ids[0]), await row(ids[0]), await count(video)],
      ["deleted,2,a comment", "ok", "deleted,2,", 2],
    );
    assert.deepEqual(
      [await erase(ids[1]), await erase(ids[1]), await row(ids[1]), await count(video)],
      ["ok", "same", "deleted,2,", 1],
    );
    await one(app, "publish_delete", deleteOp(author, video.id));
    assert.deepEqual([await erase(ids[2]), await row(ids[2]), await count(video)], ["ok", "deleted,2,", 0]);
    assert.deepEqual(
      (await outbox(video)).map((each) => [each.seq, each.ver].join()),
      ids.map((id) => `${id},2`),
    );
    assert.equal(
      (await one(app, "comment_erase", { ...removeOp(video, writer, 1), owner: Number(video.id) + 8 * 1024 * 1000 }))
        .code,
      "notfound",
    );
  });

  test("bad arguments, fence, forwarding, journal", async () => {
    const { author, video, writer } = await scene(54);
    const { comment_id: id } = await one(app, "comment_action", postOp(video, writer));
    const good = removeOp(video, writer, id);
    await refusesBadBatch(app, "comment_erase", good, { owner: [0], user: [0, "x"], comment_id: [0, "x"] });
    await refused(app, "45400", "comment_erase", JSON.stringify([good, good]));
    await obeysFence(root, app, "comment_erase", 54, (epoch) => ({ ...good, epoch }));
    await obeysForwarding(root, app, "comment_erase", 54, video.id, () => good);
    const ids = [
      id,
      (await one(app, "comment_action", postOp(video, writer))).comment_id,
      (await one(app, "comment_action", postOp(video, writer))).comment_id,
    ];
    await journals(
      root,
      54,
      async () => {
        const next = ids.pop();
        await one(app, "comment_erase", removeOp(video, writer, next));
        return next;
      },
      (next) => [
        `comment ${author.id} ${video.id},${next}`,
        `video ${author.id} ${video.id}`,
        `outbox ${author.id} ${video.id},${writer.id},${next} ${Buffer.from("comment").toString("hex")}`,
      ],
    );
  });
});

describe("comment_deliver and taking back", () => {
  test("only newer versions; erased users receive deletions", async () => {
    const [writer, video] = [await newUser(app, nameIn(52)), { id: "555" }];
    const deliver = async (id, ver) => (await one(app, "comment_deliver", halfOp(writer, video, id, ver))).code;
    assert.deepEqual(
      [
        await deliver(1, 1),
        await deliver(1, 1),
        await deliver(1, 2),
        await deliver(1, 1),
        await deliver(2, 2),
        await deliver(2, 1),
        await deliver(3, 1),
      ],
      ["ok", "same", "ok", "same", "ok", "same", "ok"],
    );
    await obeysFence(root, app, "comment_deliver", 52, (epoch) => ({ ...halfOp(writer, video, 9, 1), epoch }));
    await journals(
      root,
      52,
      async () => ((await deliver(5, 1)) === "ok" ? deliver(6, 1) : deliver(7, 1)),
      () => [`commented ${writer.id} ${writer.id},555,7`],
    );
    await root.run(
      `UPDATE user JOIN inbound USING (slot, user_id) SET user.state = 'erased', inbound.state = 'erased' WHERE slot = 52 AND user_id = ${writer.id}`,
    );
    assert.deepEqual([await deliver(4, 1), await deliver(3, 1), await deliver(3, 2)], ["notfound", "same", "ok"]);
    const rows = await root.rows(
      `SELECT comment_id, state, ver FROM commented WHERE slot = 52 AND user_id = ${writer.id} AND comment_id < 5 ORDER BY comment_id`,
    );
    assert.deepEqual(
      rows.map((row) => Object.values(row).join()),
      ["1,0,2", "2,0,2", "3,0,2"],
    );
    assert.equal(
      (await one(app, "comment_deliver", { ...halfOp(writer, video, 4, 2), slot: 9, owner: 9 })).code,
      "notfound",
    );
    await refusesBadBatch(app, "comment_deliver", halfOp(writer, video, 9, 1), {
      owner: [0],
      video: [0, "x"],
      comment_id: [0, "x"],
      state: [2, "x"],
      ver: [0, "x"],
      at: [-1, "x"],
    });
  });

  test("a comment whose author is erased is taken back", async () => {
    const { video, writer } = await scene();
    const { comment_id: id } = await one(app, "comment_action", postOp(video, writer));
    const undo = (ver) =>
      codes(app, "outbox_undo", ownerOp(video, { kind: "comment", target: Number(writer.id), seq: Number(id), ver }));
    assert.deepEqual(await undo(2), ["same"]);
    assert.deepEqual([await undo(1), await count(video), await outbox(video)], [["ok"], 0, []]);
    assert.equal(await root.value(`SELECT CONCAT(state, text) FROM comment WHERE video_id = ${video.id}`), "deleted");
    assert.deepEqual([await undo(1), await count(video)], [["same"], 0]);
  });
});

describe("comments and the row of the video's author", () => {
  test("posting and deleting neither wait for a lock on it nor take one", async () => {
    const { author, video, writer } = await scene();
    const lock = `SELECT 1 FROM inbound WHERE slot = ${author.slot} AND user_id = ${author.id} FOR UPDATE`;
    const holder = server.session({ database: "doushard" });
    const session = account(server, "app");
    await session.run("SET innodb_lock_wait_timeout = 1");
    await holder.run("START TRANSACTION");
    await holder.run(lock);
    const { code, comment_id: id } = await one(session, "comment_action", postOp(video, writer));
    assert.deepEqual([code, (await one(session, "comment_delete", removeOp(video, writer, id))).code], ["ok", "ok"]);
    await holder.run("COMMIT");
    /* The other way round: while the comment waits for its video, the author's row is not locked. */
    await holder.run("START TRANSACTION");
    await holder.run(`SELECT 1 FROM video WHERE slot = ${video.slot} AND video_id = ${video.id} FOR UPDATE`);
    const posting = one(app, "comment_action", postOp(video, writer));
    posting.catch(() => {});
    await waitForLocks(root, 1);
    await holder.run("SET innodb_lock_wait_timeout = 1");
    await holder.run(lock);
    await holder.run("COMMIT");
    assert.equal((await posting).code, "ok");
    await Promise.all([holder.end(), session.end()]);
  });

  test("a batch with live and erased authors", async () => {
    const [one_, two_] = [await scene(54), await scene(54)];
    const writer = one_.writer;
    const ops = () =>
      [one_, two_]
        .sort((a, b) => Number(BigInt(a.video.id) - BigInt(b.video.id)))
        .flatMap(({ video }) => [postOp(video, writer), postOp(video, writer)]);
    const [{ comment_id: id }] = await batch(app, "comment_action", ops());
    await root.run(
      `UPDATE user JOIN inbound USING (slot, user_id) SET user.state = 'erased', inbound.state = 'erased' WHERE slot = 54 AND user_id = ${one_.author.id}`,
    );
    assert.deepEqual(await codes(app, "comment_action", ops()), ["notfound", "notfound", "ok", "ok"]);
    assert.equal((await one(app, "comment_delete", removeOp(one_.video, writer, id))).code, "notfound");
    assert.deepEqual([await count(one_.video), await count(two_.video)], [2, 4]);
  });
});

describe("comment_list", () => {
  test("newest first, in pages by cursor", async () => {
    const { video, writer } = await scene(53);
    assert.deepEqual([(await list(video))[0].code, (await list(video))[0].comment_id], ["ok", null]);
    await batch(
      app,
      "comment_action",
      [1, 2, 3].map((i) => postOp(video, writer, { text: `t${i}` })),
    );
    assert.deepEqual(await texts(video), ["t3", "t2", "t1"]);
    const page = await list(video, 0, 2);
    assert.deepEqual(
      (await list(video, Number(page[1].comment_id), 2)).map((row) => [row.text, row.author_id]),
      [["t1", writer.id]],
    );
    for (const args of [
      [null, 1, 1, 0, 1],
      [1, 1, 0, 0, 1],
      [1, 1, 1, null, 1],
      [1, 1, 1, 0, 0],
      [1, 1, 1, 0, 1001],
    ])
      await refused(app, "45400", "comment_list", ...args);
    const args = (epoch) => [53, epoch, Number(video.id), 0, 10];
    await obeysFence(root, app, "comment_list", 53, args);
    await obeysForwarding(root, app, "comment_list", 53, video.id, args);
  });
});
