/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* outbox_retry_all, outbox_drop: what operators do with second halves that failed. */
import assert from "node:assert/strict";
import { after, before, beforeEach, describe, test } from "node:test";

import {
  account,
  call,
  journals,
  key,
  nameIn,
  newUser,
  newVideo,
  obeysForwarding,
  one,
  ownerOp,
  refused,
  shard,
  slotOfId,
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
beforeEach(() => root.run("DELETE FROM outbox"));

const row = async (session, routine, ...args) => (await call(session, routine, ...args))[0][0];
const park = (where = "1 = 1") => root.run(`UPDATE outbox SET parked = 1, attempts = 20, due_at = 5 WHERE ${where}`);
const rows = () =>
  root.rows("SELECT actor_id, kind, target_id, seq, parked, attempts FROM outbox ORDER BY kind, target_id, seq");
const clean = async (user) =>
  assert.deepEqual(
    (await call(admin, "user_audit", Number(user.id)))[0].filter((each) => each.good === "0"),
    [],
  );
const say = async (user, peer, text) =>
  one(app, "message_action", ownerOp(user, { peer: Number(peer.id), op: key(), text }));

/** One of each kind, none of them delivered. */
async function halves(slot) {
  const [user, peer] = [await newUser(app, nameIn(slot)), await newUser(app)];
  const [own, other] = [await newVideo(app, user), await newVideo(app, peer)];
  await one(app, "relation_action", ownerOp(user, { target: Number(peer.id), state: 1 }));
  await one(app, "favorite_action", ownerOp(user, { target: Number(other.id), state: 1 }));
  const comment = await one(app, "comment_action", ownerOp(own, { user: Number(peer.id), op: key(), text: "c" }));
  const message = await say(user, peer, "m");
  return { user, peer, own, other, comment, message };
}

describe("outbox_retry_all", () => {
  const retry = async (kind = "", to = "") => Number((await row(admin, "outbox_retry_all", kind, to)).released);
  const waiting = async () => (await rows()).filter((each) => each.parked === "1").map((each) => each.kind);

  test("all kinds, one kind, one shard; also what was put off", async () => {
    const { user, peer } = await halves(41);
    assert.equal(await retry(), 0);
    await park();
    assert.equal(await retry("follow"), 1);
    assert.deepEqual(await waiting(), ["comment", "favorite", "message"]);
    assert.equal(await retry("", "shard2"), 0);
    await root.run(`UPDATE slot_known SET server = 'shard2' WHERE slot = ${peer.slot}`);
    assert.equal(await retry("message", "shard2"), 1);
    assert.equal(await retry("message", "shard2"), 0);
    assert.equal(await retry("", "shard2"), 2);
    await root.run(`UPDATE slot_known SET server = 'shard1' WHERE slot = ${peer.slot}`);
    assert.deepEqual(await waiting(), []);
    assert.ok((await rows()).every((each) => each.attempts === "0"));
    await root.run("UPDATE outbox SET due_at = due_at + 1000000, attempts = 3");
    assert.equal(await retry(), 4);
    assert.ok((await rows()).every((each) => each.attempts === "3"));
    assert.equal(
      (await call(app, "outbox_list", JSON.stringify([...new Set([user.slot, peer.slot])]), 100, 0))[0].length,
      4,
    );
  });

  test("256 in one call; not those of slots and owners that are elsewhere", async () => {
    const user = await newUser(app, nameIn(42));
    await root.run(`INSERT INTO outbox (slot, actor_id, kind, target_id, ver, at, due_at, parked)
      SELECT 42, ${user.id}, 'follow', 8 * (k.slot + 1024), 1, 1, 1, 1 FROM slot_known AS k WHERE k.slot < 300`);
    assert.deepEqual([await retry(), await retry(), await retry()], [256, 44, 0]);
    await park();
    await root.run("UPDATE slot_fence SET state = 'ready' WHERE slot = 42");
    assert.equal(await retry(), 0);
    await root.run("UPDATE slot_fence SET state = 'owned', has_home = 1 WHERE slot = 42");
    await root.run(`INSERT INTO owner_home (slot, owner_id, own_slot) VALUES (42, ${user.id}, 1030)`);
    assert.equal(await retry(), 0);
    await root.run("DELETE FROM owner_home");
    await root.run("UPDATE slot_fence SET has_home = 0 WHERE slot = 42");
  });

  test("journal, bad arguments, permissions", async () => {
    const { user, peer, own, other, comment, message } = await halves(43);
    const hex = (text) => Buffer.from(text).toString("hex");
    await journals(
      root,
      43,
      async () => {
        await park();
        await retry();
      },
      () => [
        `outbox ${user.id} ${user.id},${peer.id},0 ${hex("follow")}`,
        `outbox ${user.id} ${user.id},${other.id},0 ${hex("favorite")}`,
        `outbox ${user.id} ${user.id},${peer.id},${message.seq} ${hex("message")}`,
        `outbox ${user.id} ${own.id},${peer.id},${comment.comment_id} ${hex("comment")}`,
      ],
    );
    for (const args of [
      [null, ""],
      ["", null],
      ["likes", ""],
    ])
      await refused(admin, "45400", "outbox_retry_all", ...args);
    for (const who of [app, account(server, "monitor")])
      await assert.rejects(call(who, "outbox_retry_all", "", ""), { errno: 1370 });
  });
});

describe("outbox_drop", () => {
  const drop = async (owner, kind, target, seq = 0) =>
    (await row(admin, "outbox_drop", Number(owner.id), kind, Number(target.id), Number(seq))).code;

  test("only what is parked; an edge or a comment is taken back, and all counters match", async () => {
    const { user, peer, own, other, comment } = await halves(44);
    for (const [owner, kind, target, seq] of [
      [user, "follow", peer],
      [user, "favorite", other],
      [own, "comment", peer, comment.comment_id],
    ]) {
      assert.equal(await drop(owner, kind, target, seq), "notfound", kind);
      await park(`kind = '${kind}'`);
      assert.equal(await drop(owner, kind, { id: Number(target.id) + 8 }, seq), "notfound", kind);
      assert.equal(await drop(owner, kind, target, seq), "ok", kind);
      assert.equal(await drop(owner, kind, target, seq), "notfound", kind);
    }
    assert.deepEqual(
      (await rows()).map((each) => each.kind),
      ["message"],
    );
    const states = ["SELECT state FROM follow WHERE user_id", "SELECT state FROM favorite WHERE user_id"];
    for (const sql of states) assert.equal(await root.value(`${sql} = ${user.id}`), "0");
    assert.equal(await root.value(`SELECT CONCAT(state, text) FROM comment WHERE video_id = ${own.id}`), "deleted");
    for (const each of [user, peer]) await clean(each);
  });

  test("an undo stays: the target must still receive it", async () => {
    const { user, peer } = await halves(47);
    await root.run("DELETE FROM outbox");
    await one(app, "relation_action", ownerOp(user, { target: Number(peer.id), state: 0 }));
    await park("kind = 'follow'");
    assert.equal(await drop(user, "follow", peer), "same");
    assert.deepEqual(
      (await rows()).map((each) => [each.kind, each.parked]),
      [["follow", "1"]],
    );
  });

  test("a dropped message is delivered without its text; a delivery under way does not preserve it", async () => {
    const { user, peer, message } = await halves(48);
    await root.run("DELETE FROM outbox WHERE kind <> 'message'");
    await park(`seq = ${message.seq}`);
    assert.equal(await drop(user, "message", peer, message.seq), "ok");
    const done = (ver) =>
      one(
        app,
        "outbox_done",
        ownerOp(user, { kind: "message", target: Number(peer.id), seq: Number(message.seq), ver }),
      );
    assert.equal((await done(1)).code, "same", "the delivery of the text");
    const [due] = (await call(app, "outbox_list", JSON.stringify([slotOfId(peer.id)]), 100, 0))[0];
    assert.deepEqual([due.state, due.text, due.ver], ["0", "", "2"]);
    const deliver = ownerOp(peer, {
      peer: Number(user.id),
      seq: Number(due.seq),
      message_id: Number(due.message_id),
      state: Number(due.state),
      text: due.text,
      op: due.op,
    });
    assert.equal((await one(app, "message_deliver", deliver)).code, "ok");
    assert.equal((await done(2)).code, "ok");
  });

  test("a message is taken back, and those after it follow; dropped again it is gone", async () => {
    const { user, peer, message } = await halves(45);
    await say(user, peer, "behind");
    await root.run("DELETE FROM outbox WHERE kind <> 'message'");
    await park(`seq = ${message.seq}`);
    assert.equal(await drop(user, "message", peer, message.seq), "ok");
    assert.deepEqual(
      (await rows()).map((each) => [each.seq, each.parked, each.attempts]),
      [
        ["1", "0", "0"],
        ["2", "0", "0"],
      ],
    );
    assert.equal(await root.value(`SELECT last_text FROM chat WHERE user_id = ${user.id}`), "behind");
    const due = (await call(app, "outbox_list", JSON.stringify([slotOfId(peer.id)]), 100, 0))[0];
    assert.deepEqual(
      due.map((each) => [each.seq, each.state, each.head]),
      [
        ["1", "0", "1"],
        ["2", "1", "0"],
      ],
    );
    await park("seq = 1");
    assert.equal(await drop(user, "message", peer, message.seq), "ok");
    assert.deepEqual(await root.rows("SELECT seq, head FROM outbox"), [{ seq: "2", head: "1" }]);
    await clean(user);
  });

  test("fence, promoted owner, journal, bad arguments, permissions", async () => {
    const { user, peer, message } = await halves(46);
    const args = [Number(user.id), "message", Number(peer.id), Number(message.seq)];
    await obeysForwarding(root, admin, "outbox_drop", 46, user.id, () => args);
    await root.run("UPDATE slot_fence SET state = 'ready' WHERE slot = 46");
    assert.equal(await drop(user, "message", peer, message.seq), "notready");
    await root.run("UPDATE slot_fence SET state = 'owned' WHERE slot = 46");
    const hex = (text) => Buffer.from(text).toString("hex");
    await journals(
      root,
      46,
      async () => {
        await root.run("UPDATE message SET state = 1 WHERE slot = 46");
        await park();
        assert.equal(await drop(user, "message", peer, message.seq), "ok");
      },
      () => [
        `outbox ${user.id} ${user.id},${peer.id},${message.seq} ${hex("message")}`,
        `user ${user.id} ${user.id}`,
        `message ${user.id} ${user.id},${peer.id},${message.at}`,
        `chat ${user.id} ${user.id},${peer.id}`,
      ],
    );
    for (const bad of [
      [0, "follow", 1, 0],
      [null, "follow", 1, 0],
      [1, "like", 1, 0],
      [1, null, 1, 0],
      [1, "follow", 0, 0],
      [1, "follow", 1, null],
    ]) {
      await refused(admin, "45400", "outbox_drop", ...bad);
    }
    for (const who of [app, account(server, "monitor")])
      await assert.rejects(call(who, "outbox_drop", 1, "follow", 1, 0), { errno: 1370 });
  });
});
