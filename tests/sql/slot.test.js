/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* procedures/slot/ and procedures/shard/: assignment, maps, what a shard learns, who has a slot that
 * two shards claim, the fence. */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";

import {
  FAR,
  account,
  call,
  changed,
  codes,
  key,
  nameIn,
  newUser,
  newVideo,
  one,
  ownerOp,
  publishOp,
  race,
  refused,
  refusesBadBatch,
  shard,
  slotOfId,
  waitForLocks,
} from "./lib.js";

let server;
let root;
let app;
let admin;
let monitor;
before(async () => {
  ({ server, root, app } = await shard());
  admin = account(server, "admin");
  monitor = account(server, "monitor");
});
after(() => server?.stop());

const fence = (slot, assignment) => root.run(`UPDATE slot_fence SET ${assignment} WHERE slot = ${slot}`);
const clear = (slot) =>
  root
    .run(
      `UPDATE slot_fence SET state = 'owned', epoch = 1, server = 'shard1', heard_epoch = 0, rival_epoch = 0 WHERE slot = ${slot}`,
    )
    .then(() => root.run(`UPDATE slot_known SET epoch = 1, server = 'shard1' WHERE slot = ${slot}`));
const mapOf = async (slot) => {
  const { epoch, server: at, answer } = (await call(app, "slot_map"))[0].find((row) => row.slot === String(slot));
  return { epoch: Number(epoch), server: at, answer };
};

describe("shard_init", () => {
  test("a name is given once; a replay changes nothing; another is refused", async () => {
    const made = await root.value("SELECT installed_at FROM shard_self");
    assert.equal((await call(admin, "shard_init", "shard1"))[0][0].server, "shard1");
    await refused(admin, "45503", "shard_init", "shard2");
    assert.deepEqual(await root.rows("SELECT name, installed_at FROM shard_self"), [
      { name: "shard1", installed_at: made },
    ]);
  });

  test("bad arguments", async () => {
    for (const name of [null, "", "-a", "a b", "a'b", "é", "a".repeat(33), "a\nb"]) {
      await refused(admin, "45400", "shard_init", name);
    }
    await refused(admin, "22001", "shard_init", "a".repeat(65));
  });

  test("two names at the same time: one wins", async () => {
    await root.run("DELETE FROM shard_self");
    const other = account(server, "admin");
    const results = await Promise.allSettled([call(admin, "shard_init", "a"), call(other, "shard_init", "b")]);
    assert.deepEqual(results.map((result) => result.status).sort(), ["fulfilled", "rejected"]);
    const refusal = results.find((result) => result.status === "rejected").reason;
    assert.equal(refusal.state, "45503");
    await root.run("UPDATE shard_self SET name = 'shard1'");
    await other.end();
  });
});

describe("the generation of the fences", () => {
  const gen = () => root.value("SELECT gen FROM slot_gen");
  const learn = (epoch) => call(app, "slot_learn", JSON.stringify([{ slot: 42, epoch, server: "shard2" }]));

  test("is changed by every routine that changes a fence, and by no other", async () => {
    const seen = [await gen()];
    await call(admin, "slot_assign", 0, 1023, "shard1");
    await call(app, "slot_map");
    assert.equal(await gen(), seen[0]);
    await learn(2);
    seen.push(await gen());
    await learn(2);
    assert.equal(await gen(), seen[1]);
    for (const table of ["slot_fence", "slot_known", "slot_seq"]) {
      await root.run(`DELETE FROM ${table} WHERE slot = 42`);
    }
    await call(admin, "slot_assign", 42, 42, "shard1");
    seen.push(await gen());
    assert.equal(new Set(seen).size, 3);
    assert.ok(seen.every((text) => BigInt(text) > 0n));
    await clear(42);
  });

  test("comes with the map, in the same snapshot", async () => {
    assert.deepEqual([...new Set((await call(app, "slot_map"))[0].map((row) => row.gen))], [await gen()]);
    const other = server.session({ database: "doushard" });
    await other.run("START TRANSACTION");
    await other.run("UPDATE slot_fence SET state = 'moved' WHERE slot = 42");
    await other.run("CALL _slot_changed()");
    const before = (await call(app, "slot_map"))[0][42];
    await other.run("COMMIT");
    const after = (await call(app, "slot_map"))[0][42];
    await other.end();
    assert.deepEqual([before.answer, after.answer], ["ok", "moved"]);
    assert.notEqual(before.gen, after.gen);
    await clear(42);
  });
});

describe("slot_assign", () => {
  const assign = async (...args) => (await call(admin, "slot_assign", ...args))[0][0];
  const forget = (from, to) =>
    Promise.all(
      ["slot_fence", "slot_known", "slot_seq"].map((table) =>
        root.run(`DELETE FROM ${table} WHERE slot BETWEEN ${from} AND ${to}`),
      ),
    );

  test("slots of this shard are owned with a mint, others are elsewhere", async () => {
    await forget(1000, 1023);
    assert.deepEqual(await assign(1000, 1011, "shard1"), { assigned: "12", kept: "0" });
    assert.deepEqual(await assign(1012, 1023, "shard2"), { assigned: "12", kept: "0" });
    const rows = await root.rows(`
      SELECT f.slot, f.state, f.epoch, f.server, k.epoch AS known, k.server AS known_server, s.last
        FROM slot_fence f JOIN slot_known k ON k.slot = f.slot LEFT JOIN slot_seq s ON s.slot = f.slot
       WHERE f.slot IN (1000, 1011, 1012, 1023) ORDER BY f.slot`);
    const own = { state: "owned", epoch: "1", server: "shard1", known: "1", known_server: "shard1", last: "0" };
    const other = { state: "moved", epoch: "1", server: "shard2", known: "1", known_server: "shard2", last: null };
    assert.deepEqual(rows, [
      { slot: "1000", ...own },
      { slot: "1011", ...own },
      { slot: "1012", ...other },
      { slot: "1023", ...other },
    ]);
  });

  test("a replay changes nothing, including the mint", async () => {
    await newUser(app, nameIn(1000));
    const last = await root.value("SELECT last FROM slot_seq WHERE slot = 1000");
    assert.deepEqual(await assign(1000, 1011, "shard1"), { assigned: "0", kept: "12" });
    assert.equal(await root.value("SELECT last FROM slot_seq WHERE slot = 1000"), last);
  });

  test("another assignment is refused as a whole", async () => {
    await forget(999, 999);
    await refused(admin, "45503", "slot_assign", 999, 1000, "shard2");
    assert.equal(await root.value("SELECT COUNT(*) FROM slot_fence WHERE slot = 999"), "0");
    await refused(admin, "45503", "slot_assign", 1012, 1012, "shard1");
    await assign(999, 999, "shard1");
  });

  test("slots that have moved since stay where they are", async () => {
    await fence(1000, "state = 'moved', epoch = 3, server = 'shard3'");
    assert.deepEqual(await assign(1000, 1001, "shard1"), { assigned: "0", kept: "2" });
    assert.equal(await root.value("SELECT server FROM slot_fence WHERE slot = 1000"), "shard3");
  });

  test("a slot that is known to be another shard's at this epoch is refused, and the rest with it", async () => {
    await forget(988, 989);
    await root.run("INSERT INTO slot_known VALUES (989, 1, 'shard2')");
    await refused(admin, "45503", "slot_assign", 988, 989, "shard1");
    assert.equal(await root.value("SELECT COUNT(*) FROM slot_fence WHERE slot IN (988, 989)"), "0");
    assert.deepEqual(await assign(988, 988, "shard1"), { assigned: "1", kept: "0" });
    assert.deepEqual(await assign(989, 989, "shard2"), { assigned: "1", kept: "0" });
    await root.run("UPDATE slot_known SET server = 'shard3' WHERE slot = 988");
    await refused(admin, "45503", "slot_assign", 988, 988, "shard1");
    await clear(988);
    await clear(989);
  });

  test("a slot that is known to have moved is kept, and not owned here", async () => {
    await forget(987, 987);
    await root.run("INSERT INTO slot_known VALUES (987, 2, 'shard2')");
    assert.deepEqual(await assign(987, 987, "shard1"), { assigned: "0", kept: "1" });
    assert.equal(await root.value("SELECT COUNT(*) FROM slot_fence WHERE slot = 987"), "0");
    assert.equal(await root.value("SELECT COUNT(*) FROM slot_seq WHERE slot = 987"), "0");
    assert.deepEqual(await mapOf(987), { epoch: 2, server: "shard2", answer: "moved" });
    await forget(987, 987);
    await assign(987, 987, "shard1");
  });

  test("not until the shard has a name", async () => {
    await root.run("DELETE FROM shard_self");
    await refused(admin, "45503", "slot_assign", 0, 0, "shard1");
    await root.run("CALL shard_init('shard1')");
  });

  test("bad arguments", async () => {
    const good = [0, 1, "shard1"];
    for (const i of good.keys()) {
      await refused(admin, "45400", "slot_assign", ...changed(good, i, null));
    }
    for (const args of [
      [-1, 0, "a"],
      [0, 1024, "a"],
      [5, 4, "a"],
      [0, 1, ""],
      [0, 1, "a b"],
      [0, 1, "a".repeat(33)],
    ]) {
      await refused(admin, "45400", "slot_assign", ...args);
    }
    await refused(admin, "22001", "slot_assign", 0, 1, "a".repeat(65));
  });

  test("two assignments at the same time agree", async () => {
    await forget(990, 998);
    const other = account(server, "admin");
    const results = await race(
      server,
      root,
      "SELECT 1 FROM shard_self FOR UPDATE",
      [admin, () => assign(990, 998, "shard1")],
      [other, async (session) => (await call(session, "slot_assign", 990, 998, "shard1"))[0][0]],
    );
    assert.deepEqual(results.map((row) => Number(row.assigned)).sort(), [0, 9]);
    assert.deepEqual(await assign(990, 998, "shard1"), { assigned: "0", kept: "9" });
    await other.end();
  });
});

describe("slot_map, slot_learn", () => {
  const lesson = async (session, entries) => (await call(session, "slot_learn", JSON.stringify(entries)))[0][0];
  const learn = async (session, entries) => (await lesson(session, entries)).learned;

  test("every slot once, in order", async () => {
    const rows = (await call(app, "slot_map"))[0];
    assert.deepEqual(
      rows.map((row) => Number(row.slot)),
      Array.from({ length: 1024 }, (_, i) => i),
    );
  });

  test("the newer of the fence and what was heard; an arriving slot belongs to its source", async () => {
    await clear(40);
    assert.deepEqual(await mapOf(40), { epoch: 1, server: "shard1", answer: "ok" });
    await fence(40, "state = 'moved', epoch = 2, server = 'shard2'");
    assert.deepEqual(await mapOf(40), { epoch: 2, server: "shard2", answer: "moved" });
    await fence(40, "state = 'importing', epoch = 2, server = 'shard1'");
    await root.run("UPDATE slot_known SET epoch = 1, server = 'shard5' WHERE slot = 40");
    assert.deepEqual(await mapOf(40), { epoch: 1, server: "shard5", answer: "notready" });
    await root.run("DELETE FROM slot_known WHERE slot = 40");
    await fence(40, "state = 'owned', epoch = 2, server = 'shard1'");
    assert.deepEqual(await mapOf(40), { epoch: 2, server: "shard1", answer: "ok" });
    await root.run("INSERT INTO slot_known VALUES (40, 1, 'shard1')");
    await root.run("DELETE FROM slot_fence WHERE slot = 41");
    assert.deepEqual(await mapOf(41), { epoch: 1, server: "shard1", answer: "moved" });
    await root.run("INSERT INTO slot_fence (slot, epoch, state, server) VALUES (41, 1, 'owned', 'shard1')");
    await clear(40);
  });

  test("only newer entries are news; a replay is not", async () => {
    await root.run("UPDATE slot_known SET epoch = 5, server = 'shard2' WHERE slot IN (50, 51)");
    await root.run("UPDATE slot_fence SET epoch = 5, state = 'moved', server = 'shard2' WHERE slot IN (50, 51)");
    const entries = [
      { slot: 50, epoch: 4, server: "shard3" },
      { slot: 51, epoch: 6, server: "shard3" },
      { slot: 1040, epoch: 1, server: "shard4" },
    ];
    assert.equal(await learn(app, entries), "2");
    assert.equal(await learn(app, entries), "0");
    assert.deepEqual(await mapOf(50), { epoch: 5, server: "shard2", answer: "moved" });
    assert.deepEqual(await mapOf(51), { epoch: 6, server: "shard3", answer: "moved" });
    assert.deepEqual(await mapOf(1040), { epoch: 1, server: "shard4", answer: "moved" });
    await root.run("DELETE FROM slot_known WHERE slot = 1040");
    await clear(50);
    await clear(51);
  });

  test("several entries for one slot: the newest stays", async () => {
    await learn(
      app,
      [3, 2, 4].map((epoch) => ({ slot: 52, epoch, server: `shard${epoch}` })),
    );
    assert.deepEqual(await mapOf(52), { epoch: 4, server: "shard4", answer: "moved" });
    await clear(52);
  });

  test("an outdated shard stops serving the slot", async () => {
    const user = await newUser(app, nameIn(53));
    assert.equal((await one(app, "user_get", ownerOp(user))).code, "ok");
    await learn(app, [{ slot: 53, epoch: 2, server: "shard2" }]);
    for (const [routine, op] of [
      ["user_get", ownerOp(user)],
      ["publish_action", publishOp(user)],
    ]) {
      const { code, epoch, server: at } = await one(app, routine, op);
      assert.deepEqual({ code, epoch, at }, { code: "moved", epoch: "2", at: "shard2" }, routine);
    }
    await clear(53);
    assert.equal((await one(app, "user_get", ownerOp(user))).code, "ok");
  });

  test("learning waits for writes that passed the fence, and those are kept", async () => {
    const user = await newUser(app, nameIn(54));
    const [writer, teacher] = [account(server, "app"), account(server, "app")];
    const holder = server.session({ database: "doushard" });
    await holder.run("START TRANSACTION");
    await holder.run(`SELECT 1 FROM user WHERE slot = 54 AND user_id = ${user.id} FOR UPDATE`);
    const write = one(writer, "publish_action", publishOp(user));
    await waitForLocks(root, 1);
    const taught = learn(teacher, [{ slot: 54, epoch: 2, server: "shard2" }]);
    await waitForLocks(root, 2);
    await holder.run("COMMIT");
    assert.equal((await write).code, "ok");
    assert.equal(await taught, "1");
    assert.equal((await one(app, "publish_action", publishOp(user))).code, "moved");
    await Promise.all([holder, writer, teacher].map((session) => session.end()));
    await clear(54);
  });

  test("two lessons at the same time: the higher epoch stays", async () => {
    const other = account(server, "app");
    const results = await race(
      server,
      root,
      "SELECT 1 FROM slot_fence WHERE slot = 55 FOR UPDATE",
      [app, (session) => learn(session, [{ slot: 55, epoch: 7, server: "shard7" }])],
      [other, (session) => learn(session, [{ slot: 55, epoch: 8, server: "shard8" }])],
    );
    assert.deepEqual(results, ["1", "1"]);
    assert.deepEqual(await mapOf(55), { epoch: 8, server: "shard8", answer: "moved" });
    await clear(55);
  });

  test("epochs more than 1,000 above the known one are refused, and nothing else is", async () => {
    await root.run("UPDATE slot_fence SET epoch = 4 WHERE slot = 56");
    await fence(57, "heard_epoch = 9");
    const at = (slot, epoch) => ({ slot, epoch, server: "shard2" });
    assert.deepEqual(await lesson(app, [at(56, 1005), at(57, 1010), at(58, 2)]), { learned: "1", refused: "2" });
    assert.deepEqual(await mapOf(56), { epoch: 4, server: "shard1", answer: "ok" });
    assert.deepEqual(await mapOf(58), { epoch: 2, server: "shard2", answer: "moved" });
    assert.deepEqual(await lesson(app, [at(56, 1004), at(57, 1009)]), { learned: "2", refused: "0" });
    assert.deepEqual(await mapOf(56), { epoch: 1004, server: "shard2", answer: "moved" });
    assert.deepEqual(await mapOf(57), { epoch: 1009, server: "shard2", answer: "moved" });
    /* A shard that knows nothing about a slot has nothing to compare with. */
    assert.deepEqual(await lesson(app, [at(1041, 5000), at(1041, 1048575)]), { learned: "2", refused: "0" });
    await root.run("DELETE FROM slot_known WHERE slot = 1041");
    await assert.rejects(root.run("UPDATE slot_fence SET epoch = 1048576 WHERE slot = 56"), { errno: 4025 });
    for (const slot of [56, 57, 58]) await clear(slot);
  });

  test("another claim at the same epoch stops the slot; a rumour of one does not; a higher epoch starts it again", async () => {
    const user = await newUser(app, nameIn(59));
    const rival = { slot: 59, epoch: 1, server: "shard2", claimed: 1 };
    const code = async () => (await one(app, "publish_action", publishOp(user))).code;
    const stopped = () => root.value("SELECT rival_epoch FROM slot_fence WHERE slot = 59");
    for (const harmless of [
      { claimed: 0 },
      { claimed: undefined },
      { server: "shard1" },
      { epoch: 2, server: "shard1", slot: 1042 },
    ]) {
      await learn(app, [{ ...rival, ...harmless }]);
      assert.equal(await code(), "ok", JSON.stringify(harmless));
    }
    /* Even if it is news, because what the shard has heard is older than its own fence. */
    await fence(59, "epoch = 2");
    assert.equal(await learn(app, [{ ...rival, epoch: 2, claimed: 0 }]), "1");
    assert.equal(await code(), "ok");
    await clear(59);
    for (const state of ["importing", "ready", "moved"]) {
      await fence(59, `state = '${state}'`);
      assert.equal(await learn(app, [rival]), "0", state);
      assert.equal(await stopped(), "0", state);
    }
    for (const state of ["owned", "migrating"]) {
      await fence(59, `state = '${state}', rival_epoch = 0`);
      assert.equal(await learn(app, [rival]), "1", state);
      assert.equal(await stopped(), "1", state);
      assert.equal(await code(), "moved", state);
    }
    assert.equal((await one(app, "user_get", ownerOp(user))).code, "moved");
    assert.equal(await learn(app, [rival]), "0", "a replay");
    const row = (await call(app, "slot_map"))[0].find(({ slot }) => slot === "59");
    assert.deepEqual(
      { ...row, gen: "" },
      { slot: "59", epoch: "1", server: "shard1", answer: "moved", claim_epoch: "1", token: "", gen: "" },
    );
    await fence(59, "epoch = 2, state = 'owned'");
    assert.equal(await code(), "ok");
    assert.equal(await learn(app, [rival]), "0", "an old claim");
    await root.run("DELETE FROM slot_known WHERE slot = 1042");
    await clear(59);
  });

  test("slot_map tells claims from rumours: owned and migrating slots are claimed, unless something newer was heard", async () => {
    const claim = async () => Number((await call(app, "slot_map"))[0].find((row) => row.slot === "42").claim_epoch);
    await clear(42);
    for (const [state, epoch] of [
      ["owned", 1],
      ["migrating", 1],
      ["moved", 0],
      ["importing", 0],
      ["ready", 0],
    ]) {
      await fence(42, `state = '${state}'`);
      assert.equal(await claim(), epoch, state);
    }
    await fence(42, "state = 'owned', heard_epoch = 2");
    assert.equal(await claim(), 0, "outdated");
    await clear(42);
    await root.run("UPDATE slot_known SET server = 'shard2' WHERE slot = 42");
    assert.deepEqual(
      await mapOf(42),
      { epoch: 1, server: "shard2", answer: "ok" },
      "its own claim does not hide what it heard",
    );
    assert.equal(await claim(), 1);
    await clear(42);
  });

  test("all fences are locked first, in slot order, whatever the order of the lesson", async () => {
    const teacher = account(server, "app");
    const holder = server.session({ database: "doushard" });
    const entries = [95, 94].map((slot) => ({ slot, epoch: 2, server: "shard2" }));
    for (const [held, free] of [
      [94, "slot_fence WHERE slot = 95"],
      [95, "slot_known WHERE slot = 94"],
    ]) {
      await holder.run(`START TRANSACTION; SELECT 1 FROM slot_fence WHERE slot = ${held} FOR UPDATE`);
      const taught = learn(teacher, entries);
      await waitForLocks(root, 1);
      await root.run(`SELECT 1 FROM ${free} FOR UPDATE NOWAIT`);
      await holder.run("COMMIT");
      assert.equal(await taught, "2");
      await clear(94);
      await clear(95);
    }
    await Promise.all([holder, teacher].map((session) => session.end()));
  });

  test("bad arguments", async () => {
    const good = { slot: 60, epoch: 1, server: "shard1" };
    for (const text of [
      null,
      "",
      "{}",
      "[]",
      "[1]",
      JSON.stringify(Array(2049).fill(good)),
      JSON.stringify([{ ...good, pad: "a".repeat(262144) }]),
    ]) {
      await refused(app, "45400", "slot_learn", text);
    }
    const bad = {
      slot: [-1, "x", 4294967296, null],
      epoch: [0, -1, "x", null, 1048576],
      server: ["", "a b", "a".repeat(33), null],
      claimed: [2, -1, "x", ""],
    };
    for (const [field, values] of Object.entries(bad)) {
      for (const value of values) {
        await refused(app, "45400", "slot_learn", JSON.stringify([good, { ...good, [field]: value }]));
      }
    }
    assert.equal(await learn(app, Array(2048).fill(good)), "0");
  });
});

describe("slot_takeover", () => {
  const TOKEN = "a0".repeat(16);
  const takeover = async (session, slot, epoch, token) =>
    (await call(session, "slot_takeover", slot, epoch, token))[0][0];
  const rowOf = async (slot) =>
    (
      await root.rows(`SELECT state, epoch, LOWER(HEX(token)) AS token, journal, has_home
    FROM slot_fence WHERE slot = ${slot}`)
    )[0];
  const ready = (slot, more = "") =>
    fence(
      slot,
      `state = 'ready', epoch = 5, server = 'shard1', token = X'${TOKEN}', journal = 1, has_home = 0 ${more}`,
    );
  const rest = (slot) => clear(slot).then(() => fence(slot, "token = NULL, journal = 0, has_home = 0"));

  test("a ready fence with that epoch and token becomes owned, with all that it has; a replay changes nothing", async () => {
    const user = await newUser(app, nameIn(44));
    await ready(44);
    await root.run("INSERT INTO owner_home (slot, owner_id, own_slot) VALUES (44, 1, 1030)");
    assert.equal((await one(app, "user_get", ownerOp(user))).code, "notready");
    const gen = await root.value("SELECT gen FROM slot_gen");
    assert.deepEqual(await takeover(app, 44, 5, TOKEN), { code: "ok", epoch: "5", server: "shard1" });
    assert.deepEqual(await rowOf(44), { state: "owned", epoch: "5", token: TOKEN, journal: "1", has_home: "1" });
    assert.deepEqual(await mapOf(44), { epoch: 5, server: "shard1", answer: "ok" });
    assert.equal(await root.value("SELECT epoch FROM slot_known WHERE slot = 44"), "5");
    assert.equal((await one(app, "user_get", ownerOp(user, { epoch: 5 }))).code, "ok");
    const next = await root.value("SELECT gen FROM slot_gen");
    assert.notEqual(next, gen);
    for (const epoch of [4, 5]) assert.equal((await takeover(admin, 44, epoch, TOKEN.toUpperCase())).code, "same");
    await fence(44, "state = 'migrating'");
    assert.equal((await takeover(app, 44, 5, "00".repeat(16))).code, "same", "the owner needs no token");
    assert.equal(await root.value("SELECT gen FROM slot_gen"), next);
    await root.run("DELETE FROM owner_home WHERE slot = 44");
    await rest(44);
  });

  test("anything else is refused and stays unchanged", async () => {
    const cases = [
      ["epoch = 6"],
      ["epoch = 4"],
      ["token = NULL"],
      [`token = X'${"a1".repeat(16)}'`],
      ["state = 'importing'"],
      ["state = 'moved'"],
      ["heard_epoch = 6"],
      ["server = 'shard2'"],
      ["state = 'owned', epoch = 4"],
      ["state = 'migrating', epoch = 4"],
    ];
    const gen = await root.value("SELECT gen FROM slot_gen");
    for (const [change] of cases) {
      await ready(45);
      await fence(45, change);
      const before = await root.rows("SELECT * FROM slot_fence WHERE slot = 45");
      assert.equal((await takeover(app, 45, 5, TOKEN)).code, "refused", change);
      assert.deepEqual(await root.rows("SELECT * FROM slot_fence WHERE slot = 45"), before, change);
      await rest(45);
    }
    assert.deepEqual(await takeover(app, 1045, 5, TOKEN), { code: "refused", epoch: "0", server: "" });
    assert.equal(await root.value("SELECT gen FROM slot_gen"), gen);
  });

  test("two at the same time: one takes it, the other finds it done", async () => {
    const other = account(server, "app");
    await ready(46);
    const done = await race(
      server,
      root,
      "SELECT 1 FROM slot_fence WHERE slot = 46 FOR UPDATE",
      [app, (session) => takeover(session, 46, 5, TOKEN)],
      [other, (session) => takeover(session, 46, 5, TOKEN)],
    );
    assert.deepEqual(done.map(({ code }) => code).sort(), ["ok", "same"]);
    await other.end();
    await rest(46);
  });

  test("slot_map returns the token of a fence that gave its slot away, with the epoch that the token is for", async () => {
    const told = async () => (await call(app, "slot_map"))[0].find(({ slot }) => slot === "47");
    for (const [state, token] of [
      ["owned", ""],
      ["migrating", ""],
      ["importing", ""],
      ["ready", ""],
      ["moved", TOKEN],
    ]) {
      await fence(47, `state = '${state}', epoch = 5, server = 'shard2', token = X'${TOKEN}'`);
      assert.equal((await told()).token, token, state);
    }
    assert.deepEqual(
      { ...(await told()), gen: "" },
      { slot: "47", epoch: "5", server: "shard2", answer: "moved", claim_epoch: "0", token: TOKEN, gen: "" },
    );
    await root.run("UPDATE slot_known SET epoch = 6, server = 'shard3' WHERE slot = 47");
    assert.equal((await told()).token, "", "another move has followed");
    await root.run("DELETE FROM slot_known WHERE slot = 47");
    assert.equal((await told()).token, TOKEN);
    await fence(47, "state = 'ready'");
    assert.deepEqual(
      { ...(await told()), gen: "" },
      { slot: "47", epoch: "0", server: "", answer: "notready", claim_epoch: "0", token: "", gen: "" },
      "an arriving slot is not here yet",
    );
    await fence(47, "state = 'moved', token = NULL");
    assert.equal((await told()).token, "");
    await root.run("INSERT INTO slot_known VALUES (47, 1, 'shard1')");
    await rest(47);
  });

  test("bad arguments, and permissions", async () => {
    for (const args of [
      [null, 5, TOKEN],
      [44, null, TOKEN],
      [44, 5, null],
      [44, 0, TOKEN],
      [44, 1048576, TOKEN],
      [44, 5, ""],
      [44, 5, TOKEN.slice(1)],
      [44, 5, `${TOKEN}a`],
      [44, 5, `x${TOKEN.slice(1)}`],
    ]) {
      await refused(app, "45400", "slot_takeover", ...args);
    }
    await assert.rejects(call(monitor, "slot_takeover", 44, 5, TOKEN), { errno: 1370 });
  });
});

describe("slot_settle", () => {
  const settle = async (session, slot, name = "shard1") => (await call(session, "slot_settle", slot, name))[0][0];

  test("the fence here is raised above everything heard, and serves again", async () => {
    const user = await newUser(app, nameIn(43));
    await fence(43, "rival_epoch = 1");
    assert.equal((await one(app, "publish_action", publishOp(user))).code, "moved");
    const gen = await root.value("SELECT gen FROM slot_gen");
    assert.deepEqual(await settle(admin, 43), { slot: "43", epoch: "2", server: "shard1" });
    assert.notEqual(await root.value("SELECT gen FROM slot_gen"), gen);
    assert.equal((await one(app, "publish_action", publishOp(user, { epoch: 2 }))).code, "ok");
    assert.deepEqual(await mapOf(43), { epoch: 2, server: "shard1", answer: "ok" });
    for (const heard of [
      "UPDATE slot_fence SET heard_epoch = 20 WHERE slot = 43",
      "UPDATE slot_known SET epoch = 30, server = 'shard2' WHERE slot = 43",
      "INSERT INTO slot_move (slot, epoch, giver, taker, keep_ms, requested_at, requested_by) VALUES (43, 40, 'shard1', 'shard2', 0, 0, 'me')",
    ]) {
      await root.run(heard);
      const { epoch } = await settle(admin, 43);
      assert.equal(Number(epoch) % 10, 1, heard);
      assert.deepEqual(await mapOf(43), { epoch: Number(epoch), server: "shard1", answer: "ok" });
    }
    assert.equal((await settle(admin, 43)).epoch, "42", "a replay goes on");
    await root.run("DELETE FROM slot_move");
    await clear(43);
  });

  test("the next epoch is above the fence, everything heard, and every attempt at a move", async () => {
    const next = () => root.value("SELECT _slot_epoch_next(1044)");
    assert.equal(await next(), "1");
    await root.run("INSERT INTO slot_known VALUES (1044, 3, 'shard2')");
    assert.equal(await next(), "4");
    await root.run("INSERT INTO slot_fence (slot, epoch, state, server) VALUES (1044, 5, 'importing', 'shard1')");
    assert.equal(await next(), "6");
    await fence(1044, "heard_epoch = 7");
    assert.equal(await next(), "8");
    await root.run(
      "INSERT INTO slot_move (slot, epoch, giver, taker, keep_ms, requested_at, requested_by) VALUES (1044, 9, 'shard2', 'shard1', 0, 0, 'me')",
    );
    assert.equal(await next(), "10");
    for (const table of ["slot_fence", "slot_known", "slot_move"])
      await root.run(`DELETE FROM ${table} WHERE slot = 1044`);
  });

  test("a move that is under way is given up", async () => {
    await fence(43, "state = 'migrating', token = REPEAT('a', 16), journal = 1");
    await settle(admin, 43);
    assert.deepEqual(await root.rows("SELECT epoch, state, token, journal FROM slot_fence WHERE slot = 43"), [
      { epoch: "2", state: "owned", token: null, journal: "0" },
    ]);
    await clear(43);
  });

  test("only if the fence claims the slot, on the named shard, and while there are epochs left", async () => {
    await refused(admin, "45503", "slot_settle", 43, "shard2");
    await refused(admin, "45503", "slot_settle", 1043, "shard1");
    for (const state of ["moved", "importing", "ready"]) {
      await fence(43, `state = '${state}'`);
      await refused(admin, "45503", "slot_settle", 43, "shard1");
    }
    await fence(43, "state = 'owned', epoch = 1048574");
    assert.equal((await settle(admin, 43)).epoch, "1048575");
    await refused(admin, "45503", "slot_settle", 43, "shard1");
    await clear(43);
    for (const args of [
      [null, "shard1"],
      [43, null],
      [43, ""],
      [43, "a b"],
      [43, "a".repeat(33)],
    ]) {
      await refused(admin, "45400", "slot_settle", ...args);
    }
    assert.deepEqual(await mapOf(43), { epoch: 1, server: "shard1", answer: "ok" });
  });

  test("it waits for writes that passed the fence", async () => {
    const user = await newUser(app, nameIn(44));
    const writer = account(server, "app");
    const holder = server.session({ database: "doushard" });
    await holder.run("START TRANSACTION");
    await holder.run(`SELECT 1 FROM user WHERE slot = 44 AND user_id = ${user.id} FOR UPDATE`);
    const write = one(writer, "publish_action", publishOp(user));
    await waitForLocks(root, 1);
    const settled = settle(admin, 44);
    await waitForLocks(root, 2);
    await holder.run("COMMIT");
    assert.equal((await write).code, "ok");
    assert.equal((await settled).epoch, "2");
    await Promise.all([holder, writer].map((session) => session.end()));
    await clear(44);
  });

  test("two at the same time take two epochs", async () => {
    const other = account(server, "admin");
    const results = await race(
      server,
      root,
      "SELECT 1 FROM slot_fence WHERE slot = 45 FOR UPDATE",
      [admin, (session) => settle(session, 45)],
      [other, (session) => settle(session, 45)],
    );
    assert.deepEqual(results.map(({ epoch }) => epoch).sort(), ["2", "3"]);
    await other.end();
    await clear(45);
  });
});

describe("slot_status, slot_stats, slot_where", () => {
  test("what operators see", async () => {
    await fence(61, "state = 'migrating', journal = 1");
    const status = (await call(monitor, "slot_status"))[0];
    assert.equal(status.length, 1024);
    const { changed_at: at, ...row } = status.find(({ slot }) => slot === "61");
    assert.ok(Number(at) > 0);
    assert.deepEqual(row, {
      slot: "61",
      state: "migrating",
      epoch: "1",
      server: "shard1",
      answer: "ok",
      heard_epoch: "0",
      rival_epoch: "0",
      journal: "1",
      has_home: "0",
    });
    await fence(61, "state = 'owned', journal = 0");
  });

  test("rows per slot", async () => {
    const user = await newUser(app, nameIn(62));
    await newVideo(app, user);
    await newVideo(app, user);
    const rows = (await call(monitor, "slot_stats"))[0];
    assert.equal(rows.length, 1024);
    assert.deepEqual(rows[62], { slot: "62", users: "1", videos: "2" });
    assert.deepEqual(rows[63], { slot: "63", users: "0", videos: "0" });
  });

  test("the slot of an id, and of a user who was promoted", async () => {
    const user = await newUser(app, nameIn(64));
    const at = async (id) => (await call(monitor, "slot_where", BigInt(id)))[0][0];
    assert.equal(slotOfId(user.id), 64);
    assert.deepEqual(await at(user.id), { slot: "64", state: "owned", epoch: "1", server: "shard1" });
    await root.run(`INSERT INTO owner_home (slot, owner_id, own_slot) VALUES (64, ${user.id}, 1030)`);
    await root.run("INSERT INTO slot_known VALUES (1030, 18, 'shard9')");
    assert.deepEqual(await at(user.id), { slot: "1030", state: "unknown", epoch: "18", server: "shard9" });
    await root.run("DELETE FROM owner_home");
    await root.run("DELETE FROM slot_known WHERE slot = 1030");
    for (const id of [null, 0, 9007199254740992n]) {
      await refused(monitor, "45400", "slot_where", id);
    }
  });
});

describe("the fence", () => {
  test("its shared lock delays a change of the fence until the write commits", async () => {
    const user = await newUser(app, nameIn(65));
    const writer = account(server, "app");
    const mover = server.session({ database: "doushard" });
    const holder = server.session({ database: "doushard" });
    await holder.run("START TRANSACTION");
    await holder.run(`SELECT 1 FROM user WHERE slot = 65 AND user_id = ${user.id} FOR UPDATE`);
    let written = false;
    const write = one(writer, "publish_action", publishOp(user)).then((row) => {
      written = true;
      return row;
    });
    await waitForLocks(root, 1);
    const flip = mover
      .run("UPDATE slot_fence SET state = 'moved', epoch = 2, server = 'shard2' WHERE slot = 65")
      .then(() => written);
    await waitForLocks(root, 2);
    /* A reader is not delayed: its answer is from before the flip. */
    assert.equal((await one(app, "user_get", ownerOp(user))).code, "ok");
    await holder.run("COMMIT");
    assert.equal((await write).code, "ok");
    await flip;
    assert.equal(await root.value("SELECT COUNT(*) FROM video WHERE slot = 65"), "1");
    assert.equal((await one(app, "publish_action", publishOp(user))).code, "moved");
    assert.equal((await one(app, "user_get", ownerOp(user))).code, "moved");
    await Promise.all([writer, mover, holder].map((session) => session.end()));
    await clear(65);
  });

  test("a write that waited for the flip gets the new owner as its answer", async () => {
    const user = await newUser(app, nameIn(66));
    const mover = server.session({ database: "doushard" });
    await mover.run("START TRANSACTION");
    await mover.run("UPDATE slot_fence SET state = 'moved', epoch = 2, server = 'shard2' WHERE slot = 66");
    const write = one(app, "publish_action", publishOp(user));
    await waitForLocks(root, 1);
    await mover.run("COMMIT");
    const { code, epoch, server: at } = await write;
    assert.deepEqual({ code, epoch, at }, { code: "moved", epoch: "2", at: "shard2" });
    await mover.end();
    await clear(66);
  });

  test("two writers of one slot share it", async () => {
    const users = [await newUser(app, nameIn(67)), await newUser(app, nameIn(67))];
    const other = account(server, "app");
    const holder = server.session({ database: "doushard" });
    await holder.run("START TRANSACTION");
    await holder.run(`SELECT 1 FROM user WHERE slot = 67 AND user_id = ${users[0].id} FOR UPDATE`);
    const held = one(other, "session_open", ownerOp(users[0], { session: key(), expires_at: 1, max: 9 }));
    await waitForLocks(root, 1);
    const free = await one(app, "session_open", ownerOp(users[1], { session: key(), expires_at: 1, max: 9 }));
    assert.equal(free.code, "ok");
    await holder.run("COMMIT");
    assert.equal((await held).code, "ok");
    await Promise.all([other, holder].map((session) => session.end()));
  });

  test("a refused operation does not fail the others", async () => {
    const users = [await newUser(app, nameIn(68)), await newUser(app, nameIn(69)), await newUser(app, nameIn(70))];
    await fence(68, "state = 'ready'");
    await fence(69, "state = 'moved', server = 'shard2'");
    assert.deepEqual(
      await codes(
        app,
        "publish_action",
        users.map((user) => publishOp(user)),
      ),
      ["notready", "moved", "ok"],
    );
    await clear(68);
    await clear(69);
  });

  test("batches must be in lock order, or are refused", async () => {
    const [low, high] = [await newUser(app, nameIn(71)), await newUser(app, nameIn(72))];
    const op = (user) => ownerOp(user, { session: key(), expires_at: 1, max: 9 });
    await refused(app, "45400", "session_open", JSON.stringify([op(high), op(low)]));
    const twin = await newUser(app, nameIn(71));
    await refused(app, "45400", "session_open", JSON.stringify([op(twin), op(low)]));
    assert.deepEqual(await codes(app, "session_open", [op(low), op(low), op(twin), op(high)]), [
      "ok",
      "ok",
      "ok",
      "ok",
    ]);
    await refusesBadBatch(app, "session_touch", ownerOp(low, { session: key() }), {});
  });

  test("locks are taken in the order of the array, by primary key", async () => {
    const session = server.session({ database: "doushard" });
    const ops = JSON.stringify([5, 6, 7].map((slot) => ({ slot, epoch: 1, owner: 8 })));
    const plan = await session.rows(`EXPLAIN
      SELECT j.n, f.answer FROM JSON_TABLE('${ops}', '$[*]' COLUMNS (n FOR ORDINALITY, slot INT UNSIGNED PATH '$.slot')) AS j
        LEFT JOIN slot_fence AS f FORCE INDEX (PRIMARY) ON f.slot = j.slot LOCK IN SHARE MODE`);
    assert.deepEqual(
      plan.map((row) => [row.table, row.key]),
      [
        ["j", null],
        ["f", "PRIMARY"],
      ],
    );
    await session.run(`CALL _op_open('${ops}')`);
    await session.run("START TRANSACTION");
    await session.run("CALL _op_fence(@moving)");
    await session.run("CALL _slot_seq_lock()");
    const seq = await session.rows(
      "EXPLAIN SELECT COUNT(*) FROM op AS o STRAIGHT_JOIN slot_seq AS s FORCE INDEX (PRIMARY) ON s.slot = o.slot WHERE o.code = 'ok' FOR UPDATE",
    );
    assert.deepEqual(
      seq.map((row) => [row.table, row.key]),
      [
        ["o", null],
        ["s", "PRIMARY"],
      ],
    );
    assert.deepEqual(
      (await session.rows("SELECT slot FROM op")).map((row) => row.slot),
      ["5", "6", "7"],
    );
    await session.run("ROLLBACK");
    await session.end();
  });

  test("parallel batches on the same slots never deadlock", async () => {
    const users = [];
    for (let slot = 80; slot < 90; slot++) {
      users.push(await newUser(app, nameIn(slot)));
    }
    const login = (user) => ownerOp(user, { session: key(), expires_at: FAR, max: 3 });
    const work = async (session) => {
      for (let i = 0; i < 25; i++) {
        const some = users.filter((_user, at) => at === i % 10 || Math.random() < 0.6);
        const [routine, make] = i % 5 === 0 ? ["session_open", login] : ["publish_action", publishOp];
        const answers = await codes(
          session,
          routine,
          some.map((user) => make(user)),
        );
        assert.ok(answers.every((code) => code === "ok"));
      }
    };
    const all = [account(server, "app"), account(server, "app"), account(server, "app"), account(server, "app")];
    await Promise.all(all.map(work));
    await Promise.all(all.map((session) => session.end()));
  });
});
