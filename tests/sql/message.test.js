/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* procedures/message/: both mailboxes. */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";

import {
  account,
  batch,
  call,
  changed,
  codes,
  counted,
  journals,
  key,
  newUser,
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
  slotOfId,
  tableSums,
} from "./lib.js";

let server;
let root;
let app;
before(async () => ({ server, root, app } = await shard()));
after(() => server?.stop());

const sendOp = (user, peer, fields = {}) =>
  ownerOp(user, { peer: Number(peer.id), op: key(), text: "a message", ...fields });
const halfOp = (user, peer, seq, fields = {}) =>
  ownerOp(user, {
    peer: Number(peer.id),
    seq,
    message_id: 1000 + seq,
    state: 1,
    text: `m${seq}`,
    op: key(),
    ...fields,
  });
const undoOp = (user, peer, seq) => ownerOp(user, { kind: "message", target: Number(peer.id), seq, ver: 1 });
const chat = async (user, peer, { from = 0, back = 0, limit = 10, received = 0 } = {}) =>
  (await call(app, "message_chat", user.slot, 1, Number(user.id), Number(peer.id), from, back, limit, received))[0];
const texts = async (...args) => (await chat(...args)).map((row) => row.text);
const userLock = (user, table = "user") =>
  `SELECT 1 FROM ${table} WHERE slot = ${user.slot} AND user_id = ${user.id} FOR UPDATE`;
const two = async (...slots) => [
  await newUser(app, ...slots.slice(0, 1).map(nameIn)),
  await newUser(app, ...slots.slice(1, 2).map(nameIn)),
];

/** A message in both mailboxes. */
async function send(a, b, text) {
  const op = sendOp(a, b, { text });
  const { message_id: id, seq } = await one(app, "message_action", op);
  const row = await one(
    app,
    "message_deliver",
    ownerOp(b, { peer: Number(a.id), seq: Number(seq), message_id: Number(id), state: 1, text, op: op.op }),
  );
  assert.equal(row.code, "ok");
  await one(app, "outbox_done", undoOp(a, b, Number(seq)));
}

describe("message_action", () => {
  test("numbers, ids, times and the outbox", async () => {
    const [a, b] = await two();
    const first = await one(app, "message_action", sendOp(a, b, { text: "hallo 😀 " }));
    assert.deepEqual([first.code, first.seq, first.pending, slotOfId(first.message_id)], ["ok", "1", "1", a.slot]);
    const second = await one(app, "message_action", sendOp(a, b));
    assert.equal(second.seq, "2");
    assert.ok(BigInt(second.message_id) > BigInt(first.message_id) && Number(second.at) > Number(first.at));
    const rows = (await outboxList(app, 100)).filter((row) => row.owner === a.id);
    assert.deepEqual(
      rows.map((row) => [row.kind, row.target, row.seq, row.ver, row.text, row.message_id]),
      [
        ["message", b.id, "1", "1", "hallo 😀 ", first.message_id],
        ["message", b.id, "2", "1", "a message", second.message_id],
      ],
    );
    assert.deepEqual(await texts(a, b), ["hallo 😀 ", "a message"]);
    assert.equal((await chat(b, a))[0].has_chat, "0");
  });

  test("a replay returns the message with the text of the request; the op of another peer is refused; one taken back is not found", async () => {
    const [a, b] = await two();
    const op = sendOp(a, b, { text: "hallo 😀 " });
    const first = await one(app, "message_action", op);
    assert.equal(first.text, null);
    for (const text of [op.text, "***** 😀", "a"]) {
      assert.deepEqual(await one(app, "message_action", { ...op, text }), { ...first, code: "same", text: op.text });
    }
    const other = await one(app, "message_action", { ...op, peer: 77 });
    assert.deepEqual([other.code, other.text], ["mismatch", null]);
    assert.deepEqual(await texts(a, b), [op.text]);
    assert.deepEqual(await codes(app, "outbox_undo", undoOp(a, b, 1)), ["ok"]);
    assert.deepEqual([(await one(app, "message_action", op)).code, await texts(a, b)], ["notfound", [null]]);
    assert.equal((await one(app, "message_action", sendOp(a, b))).seq, "2");
  });

  test("a batch: one sender, many chats; one chat once", async () => {
    const a = await newUser(app, nameIn(60));
    const peers = [await newUser(app), await newUser(app), await newUser(app)];
    const rows = await batch(
      app,
      "message_action",
      peers.map((peer) => sendOp(a, peer)),
    );
    assert.deepEqual(
      rows.map((row) => [row.code, row.seq]),
      Array(3).fill(["ok", "1"]),
    );
    assert.equal(new Set(rows.map((row) => row.message_id)).size, 3);
    await refused(app, "45400", "message_action", JSON.stringify([sendOp(a, peers[0]), sendOp(a, peers[0])]));
    const op = key();
    await refused(
      app,
      "45400",
      "message_action",
      JSON.stringify([sendOp(a, peers[0], { op }), sendOp(a, peers[1], { op })]),
    );
    const ghost = ownerOp({ id: 9, slot: 60 }, { peer: 5, op: key(), text: "x" });
    assert.deepEqual(await codes(app, "message_action", [ghost, sendOp(a, peers[0])]), ["notfound", "ok"]);
  });

  test("times increase in a mailbox, even in one millisecond and when the clock goes back", async () => {
    const [a, b] = await two();
    const session = account(server, "app");
    const at = [];
    for (const now of [1_790_000_000, 1_790_000_000, 1_780_000_000]) {
      await session.run(`SET timestamp = ${now}`);
      at.push(Number((await one(session, "message_action", sendOp(a, b))).at));
    }
    assert.deepEqual(at, [1_790_000_000_000, 1_790_000_000_001, 1_790_000_000_002]);
    assert.equal(Number((await one(session, "message_deliver", halfOp(a, b, 1))).at), 1_790_000_000_003);
    await session.end();
  });

  test("if an id would not fit its 40 bits of time, the whole batch is refused and changes nothing", async () => {
    const [[a, b], c, sender] = [await two(66, 66), await newUser(app), await newUser(app, nameIn(66))];
    await root.run(`UPDATE user SET message_last = 8796093022206 WHERE slot = 66 AND user_id = ${a.id}`);
    const before_ = await tableSums(root);
    for (const ops of [
      [sendOp(a, b), sendOp(a, c)],
      [sendOp(a, b), sendOp(a, c), sendOp(sender, a)],
    ]) {
      await refused(app, "45503", "message_action", JSON.stringify(ops));
    }
    assert.deepEqual(await tableSums(root), before_);
    const row = await one(app, "message_action", sendOp(a, b));
    assert.deepEqual([row.code, BigInt(row.message_id)], ["ok", (2n ** 40n - 1n) * 8192n + 66n * 8n + 7n]);
    await refused(app, "45503", "message_action", JSON.stringify([sendOp(a, b)]));
    assert.deepEqual(await texts(a, b), ["a message"]);
  });

  test("two replays at the same time, and two messages at the same time", async () => {
    const [a, b] = await two();
    const op = sendOp(a, b);
    const other = account(server, "app");
    const same = await race(
      server,
      root,
      userLock(a),
      [app, (s) => one(s, "message_action", op)],
      [other, (s) => one(s, "message_action", op)],
    );
    assert.deepEqual([same.map((row) => row.code).sort(), same[0].message_id], [["ok", "same"], same[1].message_id]);
    const both = await race(
      server,
      root,
      userLock(a),
      [app, (s) => one(s, "message_action", sendOp(a, b))],
      [other, (s) => one(s, "message_action", sendOp(a, b))],
    );
    assert.deepEqual(
      [both.map((row) => row.code), both.map((row) => row.seq).sort()],
      [
        ["ok", "ok"],
        ["2", "3"],
      ],
    );
    await other.end();
  });

  test("bad arguments, fence, forwarding, journal", async () => {
    const [a, b] = await two(61);
    await refusesBadBatch(app, "message_action", sendOp(a, b), {
      owner: [0],
      peer: [0, -1, "x", Number(a.id)],
      op: ["", key().slice(1), "g".repeat(32), `${key()}0`],
      text: ["", "a".repeat(1001)],
    });
    assert.equal((await one(app, "message_action", sendOp(a, b, { text: "😀".repeat(1000) }))).code, "ok");
    await obeysFence(root, app, "message_action", 61, (epoch) => sendOp(a, b, { epoch }));
    await obeysForwarding(root, app, "message_action", 61, a.id, () => sendOp(a, b));
    await journals(
      root,
      61,
      () => one(app, "message_action", sendOp(a, b)),
      ({ seq, at }) => [
        `message ${a.id} ${a.id},${b.id},${at}`,
        `chat ${a.id} ${a.id},${b.id}`,
        `user ${a.id} ${a.id}`,
        `outbox ${a.id} ${a.id},${b.id},${seq} ${Buffer.from("message").toString("hex")}`,
      ],
    );
  });
});

describe("message_deliver", () => {
  test("exactly once and in order, whatever arrives", async () => {
    const [a, b] = await two();
    const deliver = async (seq) => (await one(app, "message_deliver", halfOp(b, a, seq))).code;
    assert.deepEqual(
      [
        await deliver(2),
        await deliver(1),
        await deliver(1),
        await deliver(3),
        await deliver(2),
        await deliver(3),
        await deliver(2),
      ],
      ["gap", "ok", "same", "gap", "ok", "ok", "same"],
    );
    assert.deepEqual(await texts(b, a), ["m1", "m2", "m3"]);
    await refused(app, "45400", "message_deliver", JSON.stringify([halfOp(b, a, 4), halfOp(b, a, 5)]));
  });

  test("unknown and erased users: not found, nothing changes", async () => {
    const [a, b] = await two();
    await root.run(
      `UPDATE user JOIN inbound USING (slot, user_id) SET user.state = 'erased', inbound.state = 'erased' WHERE slot = ${b.slot} AND user_id = ${b.id}`,
    );
    assert.equal((await one(app, "message_deliver", halfOp(b, a, 1))).code, "notfound");
    assert.equal((await one(app, "message_deliver", { ...halfOp(b, a, 1), slot: 9, owner: 9 })).code, "notfound");
    assert.equal(await root.value(`SELECT COUNT(*) FROM message WHERE user_id IN (9, ${b.id})`), "0");
    assert.equal(await root.value(`SELECT COUNT(*) FROM chat WHERE user_id IN (9, ${b.id})`), "0");
  });

  test("what a user received before being erased stays received", async () => {
    const [a, b] = await two();
    assert.equal((await one(app, "message_deliver", halfOp(b, a, 1))).code, "ok");
    await root.run(
      `UPDATE user JOIN inbound USING (slot, user_id) SET user.state = 'erased', inbound.state = 'erased' WHERE slot = ${b.slot} AND user_id = ${b.id}`,
    );
    const deliver = async (seq) => (await one(app, "message_deliver", halfOp(b, a, seq))).code;
    assert.deepEqual([await deliver(1), await deliver(2), await deliver(3)], ["same", "notfound", "notfound"]);
  });

  test("taken back: its text is removed, or it is stored empty; the last text is that of the one before", async () => {
    const [a, b] = await two();
    const deliver = async (seq, fields = {}) => (await one(app, "message_deliver", halfOp(b, a, seq, fields))).code;
    const back = async (seq) => deliver(seq, { state: 0, text: "" });
    const last = async () =>
      root.value(`SELECT CONCAT_WS(',', recv_seq, last_text, last_sent) FROM chat WHERE user_id = ${b.id}`);
    assert.deepEqual(
      [await deliver(1), await deliver(2), await back(2), await back(2), await deliver(2)],
      ["ok", "ok", "ok", "same", "same"],
    );
    assert.deepEqual([await texts(b, a), await last()], [["m1"], "2,m1,0"]);
    assert.deepEqual([await back(4), await back(3), await deliver(3), await deliver(4)], ["gap", "ok", "same", "ok"]);
    assert.deepEqual([await texts(b, a), await last()], [["m1", "m4"], "4,m4,0"]);
    assert.deepEqual([await back(1), await back(4), await last()], ["ok", "ok", "4,,0"]);
    assert.equal(
      await root.value(`SELECT GROUP_CONCAT(text, seq, ':', state ORDER BY seq) FROM message WHERE user_id = ${b.id}`),
      "1:0,2:0,3:0,4:0",
    );
    await deliver(5);
    assert.equal(await last(), "5,m5,0");
    await deliver(6, { text: "   " });
    assert.equal(await last(), "6,   ,0", "spaces are a text");
  });

  test("a message sent and one received in the same chat wait for each other, the first time and later", async () => {
    const [a, b] = await two();
    const other = account(server, "app");
    for (let i = 1; i <= 3; i++) {
      /* Both clocks show the same moment, so that only waiting can make their times differ. */
      for (const session of [app, other]) await session.run(`SET timestamp = ${1_900_000_000 + i}`);
      const results = await race(
        server,
        root,
        `SELECT 1 FROM slot_fence WHERE slot = ${a.slot} FOR UPDATE`,
        [app, (s) => one(s, "message_action", sendOp(a, b))],
        [other, (s) => one(s, "message_deliver", halfOp(a, b, i))],
      );
      assert.deepEqual(
        results.map((row) => row.code),
        ["ok", "ok"],
      );
    }
    const [sum] = await root.rows(`SELECT COUNT(*) AS n, COUNT(DISTINCT at) AS times, MAX(at) AS last FROM message
      WHERE slot = ${a.slot} AND user_id = ${a.id}`);
    const last = await root.value(
      `SELECT last_at FROM chat WHERE slot = ${a.slot} AND user_id = ${a.id} AND peer_id = ${b.id}`,
    );
    assert.deepEqual([sum.n, sum.times, last], ["6", "6", sum.last]);
    for (const session of [app, other]) await session.run("SET timestamp = DEFAULT");
    await other.end();
  });

  test("two deliveries of one message at the same time", async () => {
    const [a, b] = await two();
    const other = account(server, "app");
    const op = halfOp(b, a, 1);
    const results = await race(
      server,
      root,
      userLock(b, "inbound"),
      [app, (s) => one(s, "message_deliver", op)],
      [other, (s) => one(s, "message_deliver", op)],
    );
    assert.deepEqual([results.map((row) => row.code).sort(), await texts(b, a)], [["ok", "same"], ["m1"]]);
    await other.end();
  });

  test("bad arguments, fence, forwarding, journal", async () => {
    const [a, b] = await two(62, 63);
    await refusesBadBatch(app, "message_deliver", halfOp(b, a, 1), {
      owner: [0],
      peer: [0, "x", Number(b.id)],
      seq: [0, -1, "x"],
      message_id: [0, "x"],
      op: ["", "g".repeat(32)],
      text: ["", "a".repeat(1001)],
      state: [0, 2, "x"],
    });
    await obeysFence(root, app, "message_deliver", 63, (epoch) => halfOp(b, a, 1, { epoch }));
    await obeysForwarding(root, app, "message_deliver", 63, b.id, () => halfOp(b, a, 1));
    let seq = 0;
    await journals(
      root,
      63,
      () => one(app, "message_deliver", halfOp(b, a, (seq += 1))),
      ({ at }) => [`message ${b.id} ${b.id},${a.id},${at}`, `chat ${b.id} ${b.id},${a.id}`, `inbound ${b.id} ${b.id}`],
    );
  });
});

describe("message_chat", () => {
  test("both directions in the order of time; when polling, only what is new and was received", async () => {
    const [a, b] = await two(64, 65);
    for (const [from, to, text] of [
      [a, b, "1"],
      [b, a, "2"],
      [a, b, "3"],
      [a, b, "4"],
    ])
      await send(from, to, text);
    for (const [x, y] of [
      [a, b],
      [b, a],
    ])
      assert.deepEqual(await texts(x, y), ["1", "2", "3", "4"]);
    const rows = await chat(b, a);
    assert.deepEqual(
      rows.map((row) => row.sent),
      ["0", "1", "0", "0"],
    );
    const at = (i) => Number(rows[i].at);
    assert.deepEqual(await texts(b, a, { limit: 2 }), ["1", "2"]);
    assert.deepEqual(await texts(b, a, { from: at(0), limit: 2 }), ["2", "3"]);
    assert.deepEqual(await texts(b, a, { from: at(0), received: 1 }), ["3", "4"]);
    assert.deepEqual(await texts(b, a, { back: 1, limit: 2 }), ["3", "4"]);
    assert.deepEqual(await texts(b, a, { back: 1, from: at(3), limit: 2 }), ["2", "3"]);
    assert.deepEqual(await texts(b, a, { back: 1, from: at(3), limit: 2, received: 1 }), ["1", "3"]);
    for (const none of [{ from: at(3) }, { back: 1, from: at(0) }]) {
      const [{ code, has_chat: has, message_id: id }] = await chat(b, a, none);
      assert.deepEqual([code, has, id], ["ok", "1", null]);
    }
    assert.equal((await chat(a, { id: 7 }))[0].has_chat, "0");
    assert.equal((await chat({ slot: 9, id: 9 }, a))[0].code, "notfound");
    const good = [1, 1, 1, 1, 0, 0, 1, 0];
    for (const [i, bad] of [
      [0, null],
      [2, 0],
      [3, 0],
      [4, -1],
      [4, null],
      [5, 2],
      [5, -1],
      [5, null],
      [6, 0],
      [6, 1001],
      [7, 2],
    ]) {
      const args = changed(good, i, bad);
      await refused(app, "45400", "message_chat", ...args);
    }
    const args = (epoch) => [64, epoch, Number(a.id), Number(b.id), 0, 0, 10, 0];
    await obeysFence(root, app, "message_chat", 64, args);
    await obeysForwarding(root, app, "message_chat", 64, a.id, args);
  });

  test("friends show the last message that was not taken back, with its direction", async () => {
    const [a, b] = await two();
    for (const [x, y] of [
      [a, b],
      [b, a],
    ]) {
      await one(app, "relation_action", ownerOp(x, { target: Number(y.id), state: 1 }));
      await one(app, "relation_deliver", ownerOp(y, { actor: Number(x.id), state: 1, ver: 1, at: 1 }));
    }
    const friend = async (user) => {
      const [row] = (await call(app, "relation_friend_list", user.slot, 1, Number(user.id), 0, 10))[0];
      return [row.has_message, row.last_text, row.last_sent];
    };
    assert.deepEqual(await friend(a), ["0", null, null]);
    await send(a, b, "hi");
    assert.deepEqual(
      [await friend(a), await friend(b)],
      [
        ["1", "hi", "1"],
        ["1", "hi", "0"],
      ],
    );
    await send(b, a, "ho");
    assert.deepEqual(
      [await friend(a), await friend(b)],
      [
        ["1", "ho", "0"],
        ["1", "ho", "1"],
      ],
    );
    await one(app, "message_action", sendOp(a, b, { text: "lost" }));
    assert.deepEqual(await codes(app, "outbox_undo", undoOp(a, b, 2)), ["ok"]);
    assert.deepEqual(
      [await friend(a), await texts(a, b)],
      [
        ["1", "ho", "0"],
        ["hi", "ho"],
      ],
    );
  });

  test("reads little more than it returns, however much the user has sent since", async () => {
    const [a, b] = await two(67);
    const plant = (first, last, sent, state) =>
      root.run(`
      INSERT INTO message (slot, user_id, peer_id, at, message_id, sent, seq, text, state, op)
      SELECT 67, ${a.id}, ${b.id}, s.seq, s.seq, ${sent}, s.seq, s.seq, ${state}, UNHEX(MD5(s.seq)) FROM seq_${first}_to_${last} AS s`);
    await plant(101, 200, 0, 1);
    await plant(1001, 6000, 1, 1);
    await plant(6001, 6500, 0, 0); /* taken back */
    const read = async (from, back, received) => {
      const { result, reads } = await counted(root, (session) =>
        call(session, "message_chat", 67, 1, Number(a.id), Number(b.id), from, back, 10, received),
      );
      assert.ok(reads < 80, `${reads} rows read: from ${from}, back ${back}, received ${received}`);
      return result[0].map((row) => (row.at === null ? null : Number(row.at)));
    };
    const row = (first) => Array.from({ length: 10 }, (_, i) => first + i);
    assert.deepEqual(
      [await read(200, 0, 1), await read(5000, 0, 1), await read(150, 0, 1)],
      [[null], [null], row(151)],
    );
    assert.deepEqual(
      [await read(0, 1, 1), await read(3000, 1, 1), await read(150, 1, 1)],
      [row(191), row(191), row(140)],
    );
    assert.deepEqual(
      [await read(150, 0, 0), await read(3000, 0, 0), await read(195, 0, 0)],
      [row(151), row(3001), [...row(196).slice(0, 5), ...row(1001).slice(0, 5)]],
    );
    assert.deepEqual(
      [await read(6001, 1, 0), await read(3000, 1, 0), await read(150, 1, 0)],
      [row(5991), row(2990), row(140)],
    );
  });
});
