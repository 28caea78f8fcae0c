/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Old data is detected, refused, settled with the other shards, repaired and admitted: the routines
 * behind scripts/restore-shard.sh and shardctl verify. */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";

import { account, batch, call, codes, key, newUser, one, ownerOp, refused, shard, version } from "./lib.js";

let server;
let root;
let app;
let admin;
before(async () => {
  ({ server, root, app } = await shard());
  admin = account(server, "admin");
});
after(() => server?.stop());

const first = async (session, routine, ...args) => (await call(session, routine, ...args))[0][0];
const beat = async () => Number(await root.value("SELECT COALESCE(MAX(beat), 0) FROM shard_beat"));
const learn = (entries, session = app) => first(session, "shard_learn", JSON.stringify(entries));
const status = async () => first(admin, "shard_status");
const NOW = () => Date.now();

/* What the other shards report about the slots 0 to 1023: all are shard1's at epoch 1, except for
 * some. */
const entriesOf = (others = {}) =>
  JSON.stringify(
    Array.from({ length: 1024 }, (_, slot) => ({ slot, next: 2, epoch: 1, server: "shard1", ...others[slot] })),
  );

/* Refused, settled and admitted. */
async function pass(others = {}) {
  await call(admin, "shard_refuse", "a test");
  const sets = await call(admin, "shard_restored", entriesOf(others), 1, NOW());
  await call(admin, "shard_admit", "shard1");
  return sets;
}

describe("shard_tick and shard_heard", () => {
  test("the number is raised once in 10 s, whoever asks, and never falls", async () => {
    const [one1, two] = [await first(app, "shard_tick"), await first(account(server, "app"), "shard_tick")];
    assert.deepEqual([one1.raised, two.raised, two.beat], ["1", "0", one1.beat]);
    const far = NOW() + 1e9;
    await root.run(`UPDATE shard_beat SET beat = ${far}, beat_at = beat_at - 10000`);
    assert.deepEqual(await first(app, "shard_tick"), { beat: String(far + 1), raised: "1" });
    await root.run("UPDATE shard_beat SET beat_at = beat_at + 5000"); /* a clock that went back */
    assert.deepEqual(await first(app, "shard_tick"), { beat: String(far + 2), raised: "1" });
    const hello = await first(app, "conn_open", key());
    assert.equal(hello.beat, String(far + 2));
  });

  test("servers at the same time raise it once", async () => {
    await root.run("UPDATE shard_beat SET beat_at = beat_at - 10000");
    const raised = await Promise.all(
      Array.from({ length: 8 }, () => account(server, "app")).map((s) => first(s, "shard_tick")),
    );
    assert.equal(
      raised.reduce((sum, row) => sum + Number(row.raised), 0),
      1,
    );
  });

  test("the highest number heard of each other shard is kept and returned", async () => {
    assert.deepEqual(
      await learn([
        { name: "shard2", beat: 10 },
        { name: "shard3", beat: 30 },
      ]),
      { learned: "2", refused: "0" },
    );
    assert.deepEqual(
      await learn([
        { name: "shard2", beat: 9 },
        { name: "shard3", beat: 31 },
      ]),
      { learned: "1", refused: "0" },
    );
    const rows = (await call(account(server, "monitor"), "shard_heard"))[0].sort((a, b) =>
      a.name.localeCompare(b.name),
    );
    assert.deepEqual(rows, [
      { name: "shard1", beat: String(await beat()), own: "1", refused: "0" },
      { name: "shard2", beat: "10", own: "0", refused: "0" },
      { name: "shard3", beat: "31", own: "0", refused: "0" },
    ]);
  });

  test("bad entries", async () => {
    for (const entries of [
      null,
      "{}",
      "[]",
      '[{"name":"a b","beat":1}]',
      '[{"name":"a","beat":-1}]',
      '[{"name":"a"}]',
      '[{"name":"a","beat":9007199254740992}]',
      '[{"beat":1}]',
      JSON.stringify(Array(1025).fill({ name: "a", beat: 1 })),
    ])
      await refused(app, "45400", "shard_learn", entries);
  });
});

describe("a shard whose data is old", () => {
  test("its own number or a lower one changes nothing; a higher one makes it refuse everybody but operators", async () => {
    const user = await newUser(app);
    const now = await beat();
    assert.equal((await learn([{ name: "shard1", beat: now }])).refused, "0");
    assert.equal((await one(app, "user_get", ownerOp(user))).code, "ok");
    assert.equal((await learn([{ name: "shard1", beat: now + 1 }])).refused, "1");
    assert.equal((await one(app, "user_get", ownerOp(user))).code, "notready");
    assert.equal(
      (await one(app, "user_profile", ownerOp(user, { avatar: null, background_image: null, signature: "x" }))).code,
      "notready",
    );
    const { refused_at: at, refused_why: why, paused_at: paused, served } = await status();
    assert.ok(Number(at) > 0 && at === paused && served === "0");
    assert.match(why, new RegExp(`counted to ${now}, and others remember ${now + 1}`));
    assert.equal((await learn([{ name: "shard1", beat: now + 5 }])).refused, "1");
    assert.equal((await status()).refused_why, why);
    await root.run("UPDATE shard_beat SET beat_at = 0");
    assert.deepEqual(
      await first(app, "shard_tick"),
      { beat: String(now), raised: "0" },
      "a refused shard does not count",
    );
    assert.equal((await one(admin, "audit_find", { ...ownerOp(user), tbl: "follow", other: 1, seq: 0 })).code, "ok");
    assert.equal(
      (
        await one(app, "audit_find", { ...ownerOp(user), tbl: "follow", other: 1, seq: 0 }).catch((e) => ({
          code: e.errno,
        }))
      ).code,
      1370,
    );
  });

  test("only shard_admit ends that, after the epochs were raised; then it counts above everything heard", async () => {
    await refused(admin, "45503", "shard_resume");
    await refused(admin, "45503", "shard_admit", "shard1");
    await refused(admin, "45503", "shard_admit", "shard2");
    await call(admin, "shard_restored", entriesOf(), 0, NOW());
    await refused(admin, "45503", "shard_admit", "shard1");
    await call(admin, "shard_restored", entriesOf(), 1, NOW());
    const told = Number(await root.value("SELECT beat FROM shard_known WHERE name = 'shard1'"));
    assert.ok(Number((await first(admin, "shard_admit", "shard1")).refused_ms) > 0);
    assert.ok((await beat()) > told);
    assert.equal((await first(admin, "shard_admit", "shard1")).refused_ms, "0");
    const user = await newUser(app);
    assert.equal((await one(app, "user_get", ownerOp(user, { epoch: 3 }))).code, "ok");
  });

  test("refused again, the epochs must be raised again; an operator's pause stays after it is admitted", async () => {
    await call(admin, "shard_refuse", "first");
    await call(admin, "shard_restored", entriesOf(), 1, NOW());
    assert.equal((await first(admin, "shard_refuse", "second")).why, "first");
    await refused(admin, "45503", "shard_admit", "shard1");
    await call(admin, "shard_pause", "a new disk");
    await call(admin, "shard_restored", entriesOf(), 1, NOW());
    await call(admin, "shard_admit", "shard1");
    const { refused_at: at, paused_why: why, served } = await status();
    assert.deepEqual([at, why, served], ["0", "a new disk", "0"]);
    await call(admin, "shard_resume");
    assert.equal((await status()).served, "1024");
  });

  test("permissions, and bad arguments", async () => {
    for (const [routine, ...args] of [
      ["shard_refuse", "x"],
      ["shard_admit", "shard1"],
      ["shard_restored", "[]", 1, NOW()],
      ["slot_adopt", 1, "shard1"],
      ["slot_epochs"],
    ])
      await assert.rejects(call(app, routine, ...args), { errno: 1370 }, routine);
    for (const why of [null, "", " ", "x".repeat(191)]) await refused(admin, "45400", "shard_refuse", why);
    for (const name of [null, "", "a b"]) await refused(admin, "45400", "shard_admit", name);
    await refused(admin, "45503", "shard_restored", entriesOf(), 1, NOW());
    const entry = { slot: 1, next: 2, epoch: 1, server: "shard1" };
    for (const bad of [
      null,
      [],
      [{ ...entry, slot: -1 }],
      [{ ...entry, next: 0 }],
      [{ ...entry, next: 1048576 }],
      [{ ...entry, epoch: 1048576 }],
      [{ ...entry, server: "" }],
      [{ ...entry, server: "a b" }],
      Array(2049).fill(entry),
    ])
      await refused(admin, "45400", "shard_restored", bad === null ? null : JSON.stringify(bad), 1, NOW());
    for (const [last, now] of [
      [2, NOW()],
      [null, NOW()],
      [1, 0],
      [1, null],
    ])
      await refused(admin, "45400", "shard_restored", JSON.stringify([entry]), last, now);
  });
});

describe("shard_restored", () => {
  const fence = async (slot) =>
    (await root.rows(`SELECT epoch, state, server, answer FROM slot_fence WHERE slot = ${slot}`))[0];

  test("slots stay at an unused epoch; those that moved away stay away; those that had arrived are refused", async () => {
    const before4 = Number((await fence(4)).epoch);
    await root.run(`DELETE FROM slot_fence WHERE slot = 6; UPDATE slot_fence SET state = 'moved', epoch = epoch + 1,
      server = 'shard2' WHERE slot = 7; UPDATE slot_fence SET state = 'migrating', token = REPEAT('t', 16), journal = 1 WHERE slot = 8;
      INSERT INTO slot_log (slot, tbl, owner) VALUES (8, 'user', 1)`);
    const seven = Number((await fence(7)).epoch);
    const [counts, rows] = await pass({
      4: { next: 900, epoch: 20, server: "shard1" },
      5: { next: 902, epoch: 901, server: "shard3" },
      6: { next: 50, epoch: 40, server: "shard1" },
      7: { next: seven + 4, epoch: seven + 1, server: "shard1" },
      8: { next: 60, epoch: 1, server: "shard1" },
    });
    assert.deepEqual(counts, [{ kept: "1021", gone: "1", lost: "2", past: "0" }]);
    assert.deepEqual(
      rows.map(({ slot, what }) => `${slot} ${what}`),
      ["5 gone", "6 lost", "7 lost"],
    );
    assert.ok(before4 < 900);
    assert.deepEqual(await fence(4), { epoch: "900", state: "owned", server: "shard1", answer: "ok" });
    assert.deepEqual(await fence(5), { epoch: "901", state: "moved", server: "shard3", answer: "moved" });
    assert.equal((await fence(6)).answer, "notready");
    assert.deepEqual(await fence(7), {
      epoch: String(seven + 1),
      state: "importing",
      server: "shard1",
      answer: "notready",
    });
    assert.deepEqual((await root.rows("SELECT state, journal, token FROM slot_fence WHERE slot = 8"))[0], {
      state: "owned",
      journal: "0",
      token: null,
    });
    assert.equal(await root.value("SELECT COUNT(*) FROM slot_log WHERE slot = 8"), "0");
    await root.run("DELETE FROM slot_log");
    /* The news that it is here at the old epoch changes nothing. */
    await call(app, "slot_learn", JSON.stringify([{ slot: 7, epoch: seven + 1, server: "shard1", claimed: 0 }]));
    assert.equal((await fence(7)).answer, "notready");
  });

  test("a slot that was arriving, and whose move was completed since, is lost, also when asked again, and no router completes it", async () => {
    const token = "A5".repeat(16);
    const at = {};
    for (const [slot, state] of [
      [20, "importing"],
      [21, "ready"],
      [22, "importing"],
    ]) {
      at[slot] = Number((await fence(slot)).epoch) + 1;
      await root.run(
        `UPDATE slot_fence SET state = '${state}', epoch = ${at[slot]}, token = UNHEX('${token}') WHERE slot = ${slot}`,
      );
    }
    const said = (slot, epoch, server) => ({ [slot]: { next: at[slot] + 1, epoch, server } });
    await call(admin, "shard_refuse", "a test");
    const entries = entriesOf({
      ...said(20, at[20], "shard1"),
      ...said(21, at[21], "shard1"),
      ...said(22, at[22] - 1, "shard2") /* it has not moved */,
    });
    for (const again of [false, true]) {
      const [, rows] = await call(admin, "shard_restored", entries, 1, NOW());
      assert.deepEqual(
        rows.map(({ slot, what, epoch }) => `${slot} ${what} ${epoch}`).filter((row) => /^2[012] /.test(row)),
        [`20 lost ${at[20]}`, `21 lost ${at[21]}`, ...(again ? [] : [`22 gone ${at[22] - 1}`])],
      );
    }
    await call(admin, "shard_admit", "shard1");
    for (const slot of [20, 21]) {
      assert.equal((await first(app, "slot_takeover", slot, at[slot], token)).code, "refused");
      assert.deepEqual(await fence(slot), {
        epoch: String(at[slot]),
        state: "importing",
        server: "shard1",
        answer: "notready",
      });
    }
    for (const slot of [20, 21, 22]) await call(admin, "slot_adopt", slot, "shard1");
  });

  test("slot_adopt takes a slot whose rows are elsewhere or lost", async () => {
    await refused(admin, "45503", "slot_adopt", 7, "shard2");
    await refused(admin, "45503", "slot_adopt", 4, "shard1");
    for (const [slot, name] of [
      [null, "shard1"],
      [7, null],
      [7, "a b"],
    ])
      await refused(admin, "45400", "slot_adopt", slot, name);
    for (const slot of [5, 6, 7]) {
      const next = await root.value(`SELECT _slot_epoch_next(${slot})`);
      assert.deepEqual(await first(admin, "slot_adopt", slot, "shard1"), {
        slot: String(slot),
        epoch: next,
        server: "shard1",
      });
      assert.deepEqual(await fence(slot), { epoch: next, state: "owned", server: "shard1", answer: "ok" });
    }
    assert.equal((await status()).served, "1024");
  });

  test("slot_adopt of an own slot without partitions here marks it as gone", async () => {
    await call(admin, "slot_adopt", 3100, "shard1");
    assert.deepEqual([(await fence(3100)).state, (await fence(3100)).answer], ["gone", "moved"]);
    await root.run("ALTER TABLE user ADD PARTITION (PARTITION s3101_e4 VALUES IN (3101))");
    await call(admin, "slot_adopt", 3101, "shard1");
    assert.equal((await fence(3101)).state, "owned");
    await root.run("DELETE FROM slot_fence WHERE slot >= 1024; DELETE FROM slot_known WHERE slot >= 1024");
  });

  test("no version and no id runs backwards", async () => {
    const user = await newUser(app);
    const [, { epoch }] = [null, await fence(user.slot)];
    const before1 = Number(await root.value(`SELECT ver FROM user WHERE user_id = ${user.id}`));
    await pass({ [user.slot]: { next: Number(epoch) + 7, epoch: Number(epoch), server: "shard1" } });
    const later = NOW() + 3600000;
    await call(admin, "shard_refuse", "a clock that is behind");
    await call(admin, "shard_restored", entriesOf(), 1, later);
    await call(admin, "shard_admit", "shard1");
    const raised = Number((await fence(user.slot)).epoch);
    assert.ok(raised >= Number(epoch) + 7);
    const row = await one(app, "user_get", ownerOp(user, { epoch: raised }));
    assert.ok(BigInt(row.ver) >= BigInt(version(0, raised)) && BigInt(row.ver) > BigInt(before1));
    assert.ok(
      Number(await root.value(`SELECT last FROM slot_seq WHERE slot = ${user.slot}`)) >= (later - 1735689600000) * 8,
    );
  });

  test("an own slot that nothing points to is gone; others stay, or are treated like shared ones", async () => {
    const USER = 8192 * 7000 + 8 * 11;
    await root.run(`INSERT INTO slot_fence (slot, epoch, state, server) VALUES (3000, 5, 'owned', 'shard1'), (3001, 5, 'owned', 'shard1'),
        (3002, 5, 'owned', 'shard1');
      INSERT INTO owner_home (slot, owner_id, own_slot) VALUES (11, ${USER}, 3001), (12, ${USER + 8}, 3006);
      UPDATE slot_fence SET has_home = 1 WHERE slot IN (11, 12)`);
    assert.equal((await call(admin, "slot_epochs"))[0].find(({ slot }) => slot === "3001").homes, "1");
    const twelve = Number((await fence(12)).epoch);
    const own = (slot, homes, over = {}) => ({
      slot,
      next: 9,
      epoch: 8,
      server: "shard1",
      ...(homes !== undefined && { homes }),
      ...over,
    });
    const entries = [
      ...JSON.parse(entriesOf({ 12: { next: twelve + 2, epoch: twelve + 1, server: "shard2" } })),
      own(3000, 0),
      own(3001, 0),
      own(3002, 4),
      own(3003, 0),
      own(3004),
      own(3005, 1),
      own(3006, 0),
      own(3007, 0, { server: "shard2" }),
    ];
    await call(admin, "shard_refuse", "a test");
    const [counts, rows] = await call(admin, "shard_restored", JSON.stringify(entries), 1, NOW());
    await call(admin, "shard_admit", "shard1");
    assert.deepEqual(counts, [{ kept: "1025", gone: "1", lost: "2", past: "3" }]);
    assert.deepEqual(
      rows.map(({ slot, what }) => `${slot} ${what}`),
      ["12 gone", "3004 lost", "3005 lost"],
    );
    for (const slot of [3000, 3003, 3006])
      assert.deepEqual(await fence(slot), { epoch: "9", state: "gone", server: "", answer: "moved" });
    for (const slot of [3001, 3002]) assert.equal((await fence(slot)).state, "owned");
    await refused(admin, "45503", "shard_restored", JSON.stringify(entries), 1, NOW());
    await root.run(`DELETE FROM slot_fence WHERE slot >= 1024; DELETE FROM owner_home; DELETE FROM slot_known WHERE slot >= 1024;
      UPDATE slot_fence SET state = 'owned', server = 'shard1', has_home = 0 WHERE slot IN (11, 12)`);
  });

  test("slot_epochs returns what was heard", async () => {
    const rows = (await call(account(server, "monitor"), "slot_epochs"))[0];
    assert.equal(rows.length, 1024);
    const { epoch } = await fence(9);
    assert.deepEqual(rows[9], {
      slot: "9",
      next: String(Number(epoch) + 1),
      epoch,
      server: "shard1",
      state: "owned",
      homes: "0",
    });
    await root.run(`INSERT INTO slot_known (slot, epoch, server) VALUES (2000, 9, 'shard3');
      UPDATE slot_fence SET state = 'ready', epoch = epoch + 2 WHERE slot = 9`);
    const again = (await call(admin, "slot_epochs"))[0];
    assert.deepEqual(again.at(-1), { slot: "2000", next: "10", epoch: "9", server: "shard3", state: "-", homes: "0" });
    assert.deepEqual(again[9], {
      slot: "9",
      next: String(Number(epoch) + 3),
      epoch,
      server: "shard1",
      state: "ready",
      homes: "0",
    });
    await root.run("DELETE FROM slot_known WHERE slot = 2000; UPDATE slot_fence SET state = 'owned' WHERE slot = 9");
  });
});

describe("repairs on a refused shard, by the operator", () => {
  let a;
  let b;
  let video;
  let epochOf;
  before(async () => {
    [a, b] = [await newUser(app), await newUser(app)];
    epochOf = async (user) => Number(await root.value(`SELECT epoch FROM slot_fence WHERE slot = ${user.slot}`));
    video = Number(a.id) + 8192;
  });
  const op = async (user, fields) => ownerOp(user, { epoch: await epochOf(user), ...fields });
  const edge = (kind, target, fields) => ({ kind, target: Number(target), state: 1, ver: 7, at: 5, ...fields });
  const sorted = (ops) => ops.sort((x, y) => x.slot - y.slot || x.owner - y.owner);

  test("edge_recover restores first halves, once, with counters and without new versions", async () => {
    await call(admin, "shard_refuse", "a test");
    const ops = sorted([
      await op(a, edge("follow", b.id)),
      await op(a, edge("favorite", video, { ver: 8 })),
      await op(b, edge("follow", a.id, { state: 0, ver: 3 })),
    ]);
    assert.deepEqual(await codes(admin, "edge_recover", ops), ["ok", "ok", "ok"]);
    assert.deepEqual(await codes(admin, "edge_recover", ops), ["same", "same", "same"]);
    assert.deepEqual(await root.rows(`SELECT state, ver, at FROM follow WHERE user_id = ${a.id}`), [
      { state: "1", ver: "7", at: "5" },
    ]);
    assert.deepEqual(
      await root.rows(
        `SELECT follow_count, favorite_count FROM user WHERE user_id IN (${a.id}, ${b.id}) ORDER BY user_id = ${b.id}`,
      ),
      [
        { follow_count: "1", favorite_count: "1" },
        { follow_count: "0", favorite_count: "0" },
      ],
    );
    assert.equal(
      (await one(admin, "edge_recover", await op(a, edge("follow", b.id, { state: 0, ver: 6 })))).code,
      "same",
    );
    assert.equal(
      (await one(admin, "edge_recover", await op(a, edge("follow", b.id, { state: 0, ver: 9 })))).code,
      "ok",
    );
    assert.equal(await root.value(`SELECT follow_count FROM user WHERE user_id = ${a.id}`), "0");
    assert.equal(
      (await one(admin, "edge_recover", { ...(await op(a, edge("follow", b.id))), owner: 8 * a.slot + 8192 })).code,
      "notfound",
    );
    for (const bad of [
      { kind: "message" },
      { target: Number(a.id) },
      { state: 2 },
      { ver: 0 },
      { at: -1 },
      { target: 0 },
    ])
      await refused(
        admin,
        "45400",
        "edge_recover",
        JSON.stringify([{ ...(await op(a, edge("follow", b.id))), ...bad }]),
      );
    await assert.rejects(batch(app, "edge_recover", ops), { errno: 1370 });
  });

  test("user_lost adds missing users, as erased", async () => {
    const gone = Number(b.id) + 16 * 1024;
    const lost = { ...(await op(b)), owner: gone };
    assert.deepEqual(await codes(admin, "user_lost", [await op(b), lost]), ["same", "ok"]);
    assert.deepEqual(await codes(admin, "user_lost", [lost]), ["same"]);
    assert.deepEqual(
      await root.rows(
        `SELECT u.state, i.state AS i FROM user AS u JOIN inbound AS i USING (slot, user_id) WHERE user_id = ${gone}`,
      ),
      [{ state: "erased", i: "erased" }],
    );
    await refused(admin, "45400", "user_lost", JSON.stringify([lost, lost]));
    await refused(admin, "45400", "user_lost", JSON.stringify([{ ...lost, owner: 0 }]));
  });

  test("outbox_again puts second halves back, once, if the version still matches", async () => {
    const row = await op(a, { kind: "favorite", target: video, seq: 0, ver: 8 });
    assert.equal((await one(admin, "outbox_again", { ...row, ver: 7 })).code, "same");
    assert.equal((await one(admin, "outbox_again", row)).code, "ok");
    assert.equal((await one(admin, "outbox_again", row)).code, "same");
    assert.deepEqual(await root.rows("SELECT kind, ver, at, parked, head FROM outbox"), [
      { kind: "favorite", ver: "8", at: "5", parked: "0", head: "1" },
    ]);
    await root.run("DELETE FROM outbox");
    await refused(admin, "45400", "outbox_again", JSON.stringify([{ ...row, seq: 1 }]));
  });

  test("writes in a moving slot are journaled", async () => {
    await root.run(
      `UPDATE slot_fence SET state = 'migrating' WHERE slot IN (${a.slot}, ${b.slot}); DELETE FROM slot_log`,
    );
    await one(admin, "edge_recover", await op(a, edge("follow", b.id, { ver: 20 })));
    await one(admin, "outbox_again", await op(a, { kind: "follow", target: Number(b.id), seq: 0, ver: 20 }));
    await one(admin, "user_lost", { ...(await op(b)), owner: Number(b.id) + 32 * 1024 });
    const tables = (await root.rows("SELECT DISTINCT tbl FROM slot_log ORDER BY 1")).map(({ tbl }) => tbl);
    assert.deepEqual(tables, ["favorite", "follow", "inbound", "outbox", "user"]);
    await root.run(
      `UPDATE slot_fence SET state = 'owned' WHERE slot IN (${a.slot}, ${b.slot}); DELETE FROM slot_log; DELETE FROM outbox`,
    );
  });

  test("moved and notready, as usual, if the slot is elsewhere or its rows are not here", async () => {
    await root.run(`UPDATE slot_fence SET state = 'importing' WHERE slot = ${a.slot}`);
    assert.equal((await one(admin, "edge_recover", await op(a, edge("follow", b.id)))).code, "notready");
    await root.run(`UPDATE slot_fence SET state = 'moved' WHERE slot = ${a.slot}`);
    assert.equal(
      (await one(admin, "outbox_again", await op(a, { kind: "follow", target: 5, seq: 0, ver: 20 }))).code,
      "moved",
    );
    await root.run(`UPDATE slot_fence SET state = 'owned' WHERE slot = ${a.slot}`);
    assert.equal((await one(app, "user_get", await op(a))).code, "notready", "only operators get in");
    await call(admin, "shard_restored", entriesOf(), 1, NOW());
    await call(admin, "shard_admit", "shard1");
  });
});
