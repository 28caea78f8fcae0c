/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* procedures/chat/, message_deliver.sql: two mailboxes that do not match after a restore. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import {
  account,
  batch,
  call,
  changed,
  codes,
  journals,
  key,
  newUser,
  nameIn,
  obeysFence,
  obeysForwarding,
  one,
  ownerOp,
  refused,
  refusesBadBatch,
  shard,
} from "./lib.js";

let server;
let root;
let app;
before(async () => ({ server, root, app } = await shard()));
after(() => server?.stop());

const two = async (...slots) => [
  await newUser(app, ...slots.slice(0, 1).map(nameIn)),
  await newUser(app, ...slots.slice(1, 2).map(nameIn)),
];
const sendOp = (a, b, text, fields = {}) => ownerOp(a, { peer: Number(b.id), op: key(), text, ...fields });
const halfOp = (a, b, sent, op, fields = {}) =>
  ownerOp(b, {
    peer: Number(a.id),
    seq: Number(sent.seq),
    message_id: Number(sent.message_id),
    prev: Number(sent.prev),
    state: 1,
    text: op.text,
    op: op.op,
    ...fields,
  });

/** Makes the first half; returns what the second needs. */
async function first(a, b, text, fields = {}) {
  const op = sendOp(a, b, text, fields);
  const sent = await one(app, "message_action", op);
  assert.equal(sent.code, "ok");
  return { sent, half: halfOp(a, b, sent, op), op };
}

/** Puts messages into both mailboxes. */
async function exchange(a, b, ...list) {
  const made = [];
  for (const text of list) {
    const each = await first(a, b, text);
    assert.equal((await one(app, "message_deliver", each.half)).code, "ok");
    await one(
      app,
      "outbox_done",
      ownerOp(a, { kind: "message", target: Number(b.id), seq: Number(each.sent.seq), ver: 1 }),
    );
    made.push(each);
  }
  return made;
}

/** Sets one mailbox back to a backup from when it had COUNT messages. */
const forgetSent = (a, b, count) =>
  root.run(`DELETE FROM message WHERE user_id = ${a.id} AND peer_id = ${b.id} AND sent = 1 AND seq > ${count};
  UPDATE chat SET sent_seq = ${count}, last_at = 1 WHERE user_id = ${a.id} AND peer_id = ${b.id}`);
const forgetReceived = (a, b, count) =>
  root.run(`DELETE FROM message WHERE user_id = ${b.id} AND peer_id = ${a.id} AND sent = 0 AND seq > ${count};
  UPDATE chat SET recv_seq = ${count} WHERE user_id = ${b.id} AND peer_id = ${a.id}`);

const mailbox = (user, sent) =>
  root.value(
    `SELECT GROUP_CONCAT(seq, text ORDER BY at SEPARATOR ' ') FROM message WHERE user_id = ${user.id} AND sent = ${sent}`,
  );
const waiting = (user) =>
  root.value(
    `SELECT GROUP_CONCAT(seq, ':', ver, ':', head ORDER BY seq SEPARATOR ' ') FROM outbox WHERE actor_id = ${user.id}`,
  );
const deliver = async (half, fields = {}) => (await one(app, "message_deliver", { ...half, ...fields })).code;

/** What the receiver has after ANCHOR, as chat_repair passes it to chat_align. */
async function received(a, b, anchor, fields = {}) {
  const rows = (await call(app, "chat_tail", b.slot, 1, Number(b.id), Number(a.id), 0, 2 ** 53, 100))[0];
  const op = (row) =>
    ownerOp(a, {
      peer: Number(b.id),
      seq: Number(row.seq),
      message_id: Number(row.message_id),
      state: Number(row.state),
      text: row.text,
      op: row.op,
      ...fields,
    });
  return [
    op({ seq: anchor, message_id: 0, state: 0, text: "", op: "0".repeat(32) }),
    ...rows
      .filter((row) => row.seq !== null && Number(row.seq) > anchor)
      .reverse()
      .map(op),
  ];
}

test("a message is recognised by its id: another one under its number, or after the wrong one, is a conflict", async () => {
  const [a, b] = await two();
  const [m1, m2] = await exchange(a, b, "1", "2");
  assert.deepEqual([m1.sent.prev, m2.sent.prev], ["0", m1.sent.message_id]);
  assert.deepEqual([await deliver(m2.half), await deliver(m1.half)], ["same", "same"]);
  assert.deepEqual(
    [await deliver(m2.half, { message_id: 77 }), await deliver(m1.half, { message_id: 77, state: 0, text: "" })],
    ["conflict", "conflict"],
  );
  const m3 = await first(a, b, "3");
  assert.equal(m3.sent.prev, m2.sent.message_id);
  assert.deepEqual(
    [await deliver(m3.half, { prev: 78 }), await deliver(m3.half, { seq: 4 }), await mailbox(b, 0)],
    ["conflict", "gap", "11 22"],
  );
  assert.deepEqual([await deliver(m3.half), await deliver(m3.half), await mailbox(b, 0)], ["ok", "same", "11 22 33"]);
  const m4 = await first(a, b, "4");
  const { prev, ...unknown } = m4.half;
  assert.deepEqual([prev > 0, await deliver(unknown)], [true, "ok"]);
});

test("the sender was restored: what it lost comes back, and what it sent since is placed after that", async () => {
  const [a, b] = await two(70, 71);
  const old = await exchange(a, b, "a", "b", "c", "d");
  await forgetSent(a, b, 2);
  const [x, y, z] = [await first(a, b, "x"), await first(a, b, "d", { op: old[3].op.op }), await first(a, b, "z")];
  // z gets the next number that the receiver expects.
  assert.deepEqual(
    [await deliver(x.half), await deliver(y.half), await deliver(z.half)],
    ["conflict", "conflict", "conflict"],
  );
  const align = async () => codes(app, "chat_align", await received(a, b, 2));
  for (let again = 0; again < 3; again++) {
    assert.deepEqual(await align(), ["ok", "ok", "ok"]);
    assert.deepEqual(
      [
        await waiting(a),
        await root.value(
          `SELECT GROUP_CONCAT(seq, text ORDER BY seq SEPARATOR ' ') FROM message WHERE user_id = ${a.id}`,
        ),
      ],
      ["5:1:1 6:1:0", "1a 2b 3c 4d 5x 6z"],
      "the same op is the same message",
    );
  }
  assert.equal(
    await root.value(`SELECT GROUP_CONCAT(message_id ORDER BY seq) FROM message WHERE user_id = ${a.id} AND seq <= 4`),
    old.map((each) => each.sent.message_id).join(),
  );
  assert.equal(await root.value(`SELECT sent_seq FROM chat WHERE user_id = ${a.id}`), "6");
  // Messages under way with their old numbers do no harm.
  assert.deepEqual([await deliver(x.half), await deliver(z.half)], ["conflict", "conflict"]);
  assert.deepEqual(
    [
      await deliver(x.half, { seq: 5, prev: Number(old[3].sent.message_id) }),
      await deliver(x.half, { seq: 5 }),
      await deliver(z.half),
    ],
    ["ok", "same", "conflict"],
  );
  const more = await first(a, b, "more");
  assert.deepEqual([more.sent.seq, more.sent.prev], ["7", z.sent.message_id]);
  assert.ok(BigInt(more.sent.message_id) > BigInt(z.sent.message_id));
});

test("the receiver was restored: what it lost is delivered again, with its numbers", async () => {
  const [a, b] = await two();
  const old = await exchange(a, b, "a", "b", "c");
  await forgetReceived(a, b, 1);
  const x = await first(a, b, "x");
  assert.equal(await deliver(x.half), "gap");
  assert.deepEqual(await codes(app, "chat_align", await received(a, b, 1)), ["ok"]);
  assert.equal(await waiting(a), "2:1:1 3:1:0 4:1:0");
  assert.deepEqual(
    [await deliver(old[1].half), await deliver(old[2].half), await deliver(x.half), await mailbox(b, 0)],
    ["ok", "ok", "ok", "1a 2b 3c 4x"],
  );
});

test("both were restored, the sender to an earlier time or to a later one", async () => {
  for (const [sent, got, expected] of [
    [3, 1, "2:1:1 3:1:0 4:1:0"],
    [0, 2, "3:1:1"],
  ]) {
    const [a, b] = await two();
    await exchange(a, b, "a", "b", "c", "d");
    await forgetSent(a, b, sent);
    await forgetReceived(a, b, got);
    await first(a, b, "x");
    await codes(app, "chat_align", await received(a, b, Math.min(sent, got)));
    assert.equal(await waiting(a), expected);
  }
});

test("nothing of an erased sender comes back, and what was taken back stays so", async () => {
  const [a, b] = await two();
  const old = await exchange(a, b, "a", "b", "c");
  await forgetSent(a, b, 2);
  await root.run(`UPDATE user SET state = 'erased' WHERE slot = ${a.slot} AND user_id = ${a.id};
    UPDATE message SET state = 0, text = '' WHERE user_id = ${a.id}; DELETE FROM message WHERE user_id = ${a.id} AND seq = 1`);
  assert.deepEqual(await codes(app, "chat_align", await received(a, b, 0)), ["ok", "ok", "ok", "ok"]);
  assert.deepEqual([await waiting(a), await mailbox(a, 1)], ["2:2:1", "2"]);
  assert.equal(await deliver(old[1].half, { state: 0, text: "" }), "ok");
});

test("chat_repair leaves one job, whether the relay or an operator calls it", async () => {
  const [a, b] = await two(72, 73);
  const admin = account(server, "admin");
  const repair = async (session) =>
    (await call(session, "chat_repair", Number(a.id), Number(b.id)))[0].map((row) => row.code).join();
  assert.deepEqual([await repair(app), await repair(admin)], ["ok", "same"]);
  const [job] = (await call(app, "job_claim", key(), 10, 60_000))[0];
  assert.deepEqual([job.slot, job.owner_id, job.kind, job.target_id], ["72", a.id, "chat_repair", b.id]);
  assert.equal((await call(admin, "chat_repair", 9, 17))[0][0].code, "notfound");
  for (const ids of [
    [null, 1],
    [0, 1],
    [1, 0],
    [1, 1],
    [1, null],
  ])
    await refused(admin, "45400", "chat_repair", ...ids);
  await root.run("DELETE FROM job");
  await journals(
    root,
    72,
    async () => {
      await root.run("DELETE FROM job");
      return repair(app);
    },
    () => [`job ${a.id} ${a.id},${b.id} ${Buffer.from("chat_repair").toString("hex")}`],
  );
  await admin.end();
});

test("bad arguments, fence, forwarding, journal", async () => {
  const [a, b] = await two(74, 75);
  await exchange(a, b, "a", "b");
  const [anchor, next] = await received(a, b, 0);
  await refusesBadBatch(app, "chat_align", anchor, {
    owner: [0],
    peer: [0, "x", Number(a.id)],
    seq: [-1, "x"],
    message_id: ["x"],
    op: ["", "g".repeat(32)],
    text: ["a".repeat(1001)],
    state: [2, "x"],
  });
  for (const bad of [{ seq: 2 }, { peer: 8 }])
    await refused(app, "45400", "chat_align", JSON.stringify([anchor, { ...next, ...bad }]));
  await obeysFence(root, app, "chat_align", 74, (epoch) => ({ ...anchor, epoch }));
  await obeysForwarding(root, app, "chat_align", 74, a.id, () => anchor);
  const hex = Buffer.from("message").toString("hex");
  await journals(
    root,
    74,
    () => batch(app, "chat_align", [anchor]),
    () => [
      `message ${a.id} ${a.id},${b.id}`,
      `chat ${a.id} ${a.id},${b.id}`,
      `chat ${a.id} ${a.id},${b.id}`,
      `outbox ${a.id} ${a.id},${b.id} ${hex}`,
      `user ${a.id} ${a.id}`,
    ],
  );
  const lost = async () => {
    await root.run("DELETE FROM slot_log; UPDATE slot_fence SET journal = 1 WHERE slot = 74");
    await codes(app, "chat_align", [anchor]);
    const said = [
      await root.value("SELECT COUNT(*) FROM slot_lost WHERE slot = 74"),
      await root.value("SELECT COUNT(*) FROM slot_log WHERE tbl = 'message'"),
    ];
    await root.run("DELETE FROM slot_lost; DELETE FROM slot_log; UPDATE slot_fence SET journal = 0 WHERE slot = 74");
    return said.map(Number);
  };
  const fill = (from, to) =>
    root.run(`INSERT INTO message (slot, user_id, peer_id, at, message_id, sent, seq, text, state, op)
    SELECT 74, ${a.id}, ${b.id}, seq, seq, 0, seq, 'x', 1, RANDOM_BYTES(16) FROM seq_${from}_to_${to}`);
  await fill(3, 10000);
  assert.deepEqual(await lost(), [0, 1], "10,000 messages are journaled as one chat");
  await fill(10001, 10001);
  assert.deepEqual(await lost(), [1, 0], "for more than that, no journal is kept");
  await root.run(`DELETE FROM message WHERE user_id = ${a.id} AND sent = 0`);
  const args = (epoch) => [74, epoch, Number(a.id), Number(b.id), 1, 100, 10];
  const tail = (await call(app, "chat_tail", ...changed(args(1), 6, 1)))[0];
  assert.deepEqual(
    tail.map((row) => [row.code, row.last, row.seq, row.text, row.state]),
    [["ok", "2", "2", "b", "1"]],
  );
  const none = (await call(app, "chat_tail", ...changed(args(1), 5, 0)))[0];
  assert.deepEqual(
    none.map((row) => [row.code, row.last, row.seq]),
    [["ok", "2", null]],
  );
  for (const [i, bad] of [
    [0, null],
    [2, 0],
    [3, 0],
    [4, 2],
    [5, null],
    [6, 0],
    [6, 101],
  ])
    await refused(app, "45400", "chat_tail", ...changed(args(1), i, bad));
  assert.equal((await call(app, "chat_tail", 9, 1, 9, 17, 1, 100, 10))[0][0].code, "notfound");
  await obeysFence(root, app, "chat_tail", 74, args);
  await obeysForwarding(root, app, "chat_tail", 74, a.id, args);
});
