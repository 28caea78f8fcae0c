/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* What operators do by CALL: find and log out users, look after jobs and relays, pause a shard. */
import assert from "node:assert/strict";
import { after, before, beforeEach, describe, test } from "node:test";

import {
  FAR,
  account,
  call,
  codes,
  deleteOp,
  journals,
  key,
  nameIn,
  newName,
  newUser,
  newVideo,
  obeysForwarding,
  one,
  ownerOp,
  publishOp,
  refused,
  sha256,
  shard,
  tableSums,
  waitForLocks,
  rowsOf,
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
beforeEach(() => root.run("DELETE FROM job"));

const row = async (session, routine, ...args) => {
  const sets = await call(session, routine, ...args);
  const rows = sets[0].length > 0 ? sets[0] : rowsOf(sets);
  assert.equal(rows.length, 1);
  return rows[0];
};
const forbidden = async (session, routine, ...args) => assert.rejects(call(session, routine, ...args), { errno: 1370 });

/** Ids that administration refuses, and accounts that may not call it. */
async function forOperators(routine) {
  await refused(admin, "45400", routine, null);
  await refused(admin, "45400", routine, 0);
  await refused(admin, "45400", routine, "9007199254740992");
  await forbidden(app, routine, 1);
  await forbidden(monitor, routine, 1);
}

describe("user_find", () => {
  test("finds the user of a name, erased ones too", async () => {
    const user = await newUser(app, `é ${newName()}`);
    const created = await root.value(`SELECT created_at FROM user WHERE user_id = ${user.id}`);
    assert.deepEqual(await row(admin, "user_find", user.name), {
      n: "1",
      code: "ok",
      slot: String(user.slot),
      epoch: "1",
      server: "shard1",
      user_id: user.id,
      name: user.name,
      state: "live",
      created_at: created,
      sessions: "1",
    });
    await call(admin, "user_erase", Number(user.id));
    const found = await row(admin, "user_find", user.name);
    assert.deepEqual([found.code, found.state, found.sessions], ["ok", "erased", "0"]);
    const nobody = await row(admin, "user_find", newName("nobody"));
    assert.deepEqual([nobody.code, nobody.user_id, nobody.state], ["notfound", null, null]);
  });

  test("the fence, a promoted user, bad names, permissions", async () => {
    const user = await newUser(app, nameIn(21));
    for (const [assignment, code] of [
      ["state = 'ready'", "notready"],
      ["state = 'moved', epoch = 2, server = 'shard2'", "moved"],
    ]) {
      await root.run(`UPDATE slot_fence SET ${assignment} WHERE slot = 21`);
      const found = await row(admin, "user_find", user.name);
      assert.deepEqual([found.code, found.user_id, found.name], [code, null, null]);
    }
    await root.run("UPDATE slot_fence SET state = 'owned', epoch = 1, server = 'shard1' WHERE slot = 21");
    const moved = await obeysForwarding(root, admin, "user_find", 21, user.id, () => [user.name]);
    assert.deepEqual([moved.user_id, moved.state], [user.id, null]);
    await refused(admin, "45400", "user_find", null);
    await refused(admin, "45400", "user_find", "");
    await refused(admin, "45400", "user_find", "é".repeat(65));
    await forbidden(app, "user_find", "x");
    await forbidden(monitor, "user_find", "x");
  });
});

describe("session_end_all", () => {
  const end = (user) => row(admin, "session_end_all", Number(user.id));
  const live = async (user, session) =>
    (await one(app, "session_get", ownerOp(user, { session, idle_ms: 1000000 }))).code;

  test("ends all sessions of a user and no others; a new one may be opened", async () => {
    const [user, other] = [await newUser(app, nameIn(22)), await newUser(app, nameIn(22))];
    const second = key();
    const open = (session) => one(app, "session_open", ownerOp(user, { session, expires_at: FAR, max: 10 }));
    assert.equal((await open(second)).code, "ok");
    assert.equal((await end(user)).ended, "2");
    assert.deepEqual(
      [await live(user, user.op.session), await live(user, second), await live(other, other.op.session)],
      ["notfound", "notfound", "ok"],
    );
    const again = await end(user);
    assert.deepEqual([again.code, again.ended], ["ok", "0"]);
    assert.equal((await open(key())).code, "ok");
    assert.equal((await end({ id: 12345 * 8192 + 22 * 8 })).code, "notfound");
  });

  test("fence, promoted user, journal, bad ids", async () => {
    const user = await newUser(app, nameIn(23));
    await root.run("UPDATE slot_fence SET state = 'moved', epoch = 2, server = 'shard2' WHERE slot = 23");
    assert.deepEqual([(await end(user)).code, (await end(user)).server], ["moved", "shard2"]);
    await root.run("UPDATE slot_fence SET state = 'owned', epoch = 1, server = 'shard1' WHERE slot = 23");
    assert.equal(await live(user, user.op.session), "ok");
    await journals(
      root,
      23,
      () => end(user),
      () => [`session ${user.id} ${user.id}`],
    );
    await forOperators("session_end_all");
  });
});

describe("job_status, job_parked, job_retry", () => {
  const newJob = async (user) => {
    const video = await newVideo(app, user);
    await one(app, "publish_delete", deleteOp(video, user.id));
    return video;
  };
  const park = (video) =>
    root.run(
      `UPDATE job SET parked = 1, attempts = 20, due_at = 5, last_error = 'no such file' WHERE target_id = ${video.id}`,
    );
  const claimed = async () => (await call(app, "job_claim", key(), 256, 60_000))[0].map((job) => job.target_id).sort();
  const retry = (user) => row(admin, "job_retry", Number(user.id));

  test("what is to be done, what was given up and why, and retrying it", async () => {
    const [user, other] = [await newUser(app, nameIn(24)), await newUser(app, nameIn(24))];
    const [parked, late, due, strange] = [
      await newJob(user),
      await newJob(user),
      await newJob(user),
      await newJob(other),
    ];
    assert.deepEqual((await call(monitor, "job_parked", 10))[0], []);
    await park(parked);
    await park(strange);
    await root.run(`UPDATE job SET due_at = due_at + 1000000 WHERE target_id = ${late.id}`);
    await root.run(`UPDATE job SET due_at = 7 WHERE target_id = ${due.id}`);
    assert.deepEqual((await call(monitor, "job_status"))[0], [
      { kind: "media_delete", waiting: "2", due: "1", claimed: "0", parked: "2", oldest_due_at: "7", attempts: "20" },
    ]);
    const [first] = (await call(monitor, "job_parked", 1))[0];
    assert.deepEqual(first, {
      slot: "24",
      owner: user.id,
      kind: "media_delete",
      target: parked.id,
      payload: parked.media,
      due_at: "5",
      attempts: "20",
      error: "no such file",
    });
    assert.equal((await call(monitor, "job_parked", 10))[0].length, 2);
    assert.deepEqual(await claimed(), [due.id]);
    assert.deepEqual(
      (await call(monitor, "job_status"))[0].map((job) => [job.waiting, job.due, job.claimed]),
      [["2", "0", "1"]],
    );

    assert.equal((await retry(user)).released, "2");
    assert.equal((await retry(user)).released, "0");
    assert.deepEqual(
      (await call(monitor, "job_parked", 10))[0].map((job) => job.owner),
      [other.id],
    );
    assert.deepEqual(await claimed(), [parked.id, late.id].sort());
    assert.equal(await root.value(`SELECT attempts FROM job WHERE target_id = ${parked.id}`), "1");
  });

  test("fence, promoted user, journal, bad arguments", async () => {
    const user = await newUser(app, nameIn(25));
    const video = await newJob(user);
    await park(video);
    await obeysForwarding(root, admin, "job_retry", 25, user.id, () => [Number(user.id)]);
    await root.run("UPDATE slot_fence SET state = 'ready' WHERE slot = 25");
    assert.deepEqual([(await retry(user)).code, (await call(monitor, "job_parked", 10))[0].length], ["notready", 1]);
    await root.run("UPDATE slot_fence SET state = 'owned' WHERE slot = 25");
    await journals(
      root,
      25,
      () => retry(user),
      () => [`job ${user.id} ${user.id}`],
    );
    await forOperators("job_retry");
    for (const limit of [null, 0, 1001]) await refused(monitor, "45400", "job_parked", limit);
    await forbidden(app, "job_parked", 1);
    await forbidden(app, "job_status");
  });
});

describe("relay_status", () => {
  test("who has the lease, for how long, and how late the relay is", async () => {
    assert.deepEqual((await call(monitor, "relay_status"))[0], []);
    await call(app, "media_lease_take", "server2:9", 60_000); /* another one's */
    await call(app, "relay_lease_take", "server1:7", 60_000);
    const held = await row(monitor, "relay_status");
    assert.deepEqual([held.name, held.holder, held.late_ms], ["relay", "server1:7", "0"]);
    assert.ok(Number(held.left_ms) > 0 && Number(held.left_ms) <= 60_000);

    const [user, target] = [await newUser(app), await newUser(app)];
    const follow = await one(app, "relation_action", ownerOp(user, { target: Number(target.id), state: 1 }));
    assert.equal(follow.code, "ok");
    await root.run("UPDATE outbox SET due_at = _now_ms() - 5000");
    assert.ok(Number((await row(monitor, "relay_status")).late_ms) >= 5000);
    await root.run("UPDATE outbox SET parked = 1");
    assert.equal((await row(monitor, "relay_status")).late_ms, "0");
    await root.run("DELETE FROM outbox");

    await root.run("UPDATE relay_lease SET until_at = _now_ms() - 1");
    assert.deepEqual(
      [(await row(monitor, "relay_status")).holder, (await row(monitor, "relay_status")).left_ms],
      ["server1:7", "0"],
    );
    await forbidden(app, "relay_status");
  });
});

describe("shard_drain", () => {
  test("is a mark with its time that stays until it is removed", async () => {
    const { server, draining_at: at } = await row(admin, "shard_drain", 1);
    assert.ok(server === "shard1" && Number(at) > 0);
    assert.equal((await row(admin, "shard_drain", 1)).draining_at, at);
    assert.equal((await row(monitor, "shard_status")).draining_at, at);
    assert.equal((await row(admin, "shard_drain", 0)).draining_at, "0");
    assert.equal((await row(app, "shard_status")).draining_at, "0");
    for (const what of [null, 2, -1]) await refused(admin, "45400", "shard_drain", what);
    for (const session of [app, monitor]) await forbidden(session, "shard_drain", 1);
  });
});

describe("shard_pause, shard_resume", () => {
  const slots = JSON.stringify(Array.from({ length: 1024 }, (_, slot) => slot));
  const waiting = async () => (await call(app, "outbox_list", slots, 10, 0))[0];

  test("every call is answered notready, nothing is an error and nothing changes; after that all is as before", async () => {
    const user = await newUser(app);
    const video = await newVideo(app, user);
    await one(app, "publish_delete", deleteOp(await newVideo(app, user), user.id));
    await one(app, "relation_action", ownerOp(user, { target: Number((await newUser(app)).id), state: 1 }));
    await root.run("UPDATE slot_fence SET state = 'moved', epoch = 2, server = 'shard2' WHERE slot = 900");
    const map = (await call(app, "slot_map"))[0];
    const answers = await root.rows("SELECT slot, answer FROM slot_fence");

    const paused = await row(admin, "shard_pause", "a new disk");
    assert.deepEqual([paused.server, paused.why], ["shard1", "a new disk"]);
    const sums = await tableSums(root);
    const reads = [
      ["user_login", user.slot, 1, user.name],
      ["user_secret", user.slot, 1, Number(user.id)],
      ["session_get", JSON.stringify([ownerOp(user, { session: user.op.session, idle_ms: 1000 })])],
      ["user_find", user.name],
      ["publish_list", user.slot, 1, Number(user.id), 0, 10],
      ["favorite_list", user.slot, 1, Number(user.id), 0, 10],
      ["comment_list", video.slot, 1, Number(video.id), 0, 10],
      ["session_end_all", Number(user.id)],
      ["user_erase", Number(user.id)],
      ["video_remove", Number(video.id)],
      ["job_retry", Number(user.id)],
    ];
    for (const [routine, ...args] of reads) {
      assert.equal((await row(admin, routine, ...args)).code, "notready", routine);
    }
    const op = key();
    const batches = [
      ["user_get", ownerOp(user)],
      ["video_get", ownerOp(video)],
      ["publish_action", publishOp(user)],
      ["session_open", ownerOp(user, { session: key(), expires_at: FAR, max: 3 })],
      ["favorite_action", ownerOp(user, { target: Number(video.id), state: 1 })],
      ["favorite_deliver", ownerOp(video, { actor: Number(user.id), state: 1, ver: 1, at: 1 })],
      ["comment_action", ownerOp(video, { user: Number(user.id), op, text: "c" })],
      ["message_action", ownerOp(user, { peer: 8, op, text: "m" })],
      ["outbox_done", ownerOp(user, { kind: "follow", target: 8, seq: 0, ver: 1 })],
      [
        "idem_claim",
        {
          slot: Number(await root.value(`SELECT CRC32(UNHEX('${op}')) MOD 1024`)),
          epoch: 1,
          owner: 0,
          op,
          body: sha256("x"),
        },
      ],
    ];
    for (const [routine, each] of batches) {
      assert.deepEqual(await codes(app, routine, each), ["notready"], routine);
    }
    assert.deepEqual((await call(app, "feed_list", 0, 10))[0], []);
    assert.deepEqual(await waiting(), []);
    assert.deepEqual((await call(app, "job_claim", key(), 10, 1000))[0], []);
    assert.deepEqual(await tableSums(root), sums);
    assert.equal((await row(app, "user_login", 900, 1, nameIn(900))).code, "moved");

    const [rows] = await call(app, "slot_map");
    assert.deepEqual(
      rows.map((each) => [each.slot, each.epoch, each.server]),
      map.map((each) => [each.slot, each.epoch, each.server]),
    );
    const [status] = (await call(monitor, "slot_status"))[0];
    assert.deepEqual([status.state, status.answer], ["owned", "notready"]);
    const { installed_at: _, ...now } = await row(app, "shard_status");
    assert.match(now.paused_by, /^doushard_admin@/);
    assert.deepEqual(
      { ...now, paused_by: "" },
      {
        server: "shard1",
        paused_at: paused.paused_at,
        paused_by: "",
        paused_why: "a new disk",
        slots: "1023",
        served: "0",
        refused_at: "0",
        refused_why: "",
        settled_at: "0",
        draining_at: "0",
      },
    );

    const again = await row(admin, "shard_pause", "still");
    assert.deepEqual([again.paused_at, again.why], [paused.paused_at, "still"]);
    assert.ok(Number((await row(admin, "shard_resume")).paused_ms) >= 0);
    assert.equal((await row(admin, "shard_resume")).paused_ms, "0");
    assert.deepEqual(await root.rows("SELECT slot, answer FROM slot_fence"), answers);
    const after_ = (await call(app, "slot_map"))[0];
    assert.deepEqual(
      after_.map((each) => ({ ...each, gen: "" })),
      map.map((each) => ({ ...each, gen: "" })),
    );
    assert.equal(new Set([map, rows, after_].map(([first]) => first.gen)).size, 3);
    assert.deepEqual(await codes(app, "user_get", ownerOp(user)), ["ok"]);
    const then = await row(monitor, "shard_status");
    assert.deepEqual(
      [then.paused_at, then.paused_by, then.paused_why, then.slots, then.served],
      ["0", "", "", "1023", "1023"],
    );
    assert.equal((await waiting()).length, 1);
    await root.run("UPDATE slot_fence SET state = 'owned', epoch = 1, server = 'shard1' WHERE slot = 900");
  });

  test("waits for writers that have passed their fence, and none passes afterwards", async () => {
    const user = await newUser(app, nameIn(700));
    const writer = server.session({ database: "doushard" });
    await writer.run("START TRANSACTION");
    await writer.run("SELECT 1 FROM slot_fence WHERE slot = 700 LOCK IN SHARE MODE");
    const pausing = row(admin, "shard_pause", "now");
    await waitForLocks(root, 1);
    const late = one(app, "publish_action", publishOp(user));
    await waitForLocks(root, 2);
    assert.equal(await root.value("SELECT COUNT(*) FROM shard_self WHERE paused_at > 0"), "0");
    await writer.run("COMMIT");
    await pausing;
    assert.equal((await late).code, "notready");
    await call(admin, "shard_resume");
    await writer.end();
  });

  test("slots that arrive meanwhile are paused, too; a slot that is newer elsewhere stays moved", async () => {
    await root.run("DELETE FROM slot_fence WHERE slot IN (11, 12)");
    await root.run("DELETE FROM slot_seq WHERE slot IN (11, 12)");
    await call(admin, "shard_pause", "now");
    await call(admin, "slot_assign", 11, 12, "shard1");
    assert.equal(
      await root.value("SELECT GROUP_CONCAT(answer) FROM slot_fence WHERE slot IN (11, 12)"),
      "notready,notready",
    );
    await root.run("UPDATE slot_fence SET heard_epoch = 5 WHERE slot = 12");
    assert.equal(
      await root.value("SELECT GROUP_CONCAT(answer ORDER BY slot) FROM slot_fence WHERE slot IN (11, 12)"),
      "notready,moved",
    );
    await call(admin, "shard_resume");
    assert.equal(
      await root.value("SELECT GROUP_CONCAT(answer ORDER BY slot) FROM slot_fence WHERE slot IN (11, 12)"),
      "ok,moved",
    );
    await root.run("UPDATE slot_fence SET heard_epoch = 0 WHERE slot = 12");
  });

  test("bad reasons, a shard without a name, permissions", async () => {
    for (const why of [null, "", "  "]) await refused(admin, "45400", "shard_pause", why);
    await refused(admin, "22001", "shard_pause", "x".repeat(201));
    for (const session of [app, monitor]) {
      await forbidden(session, "shard_pause", "x");
      await forbidden(session, "shard_resume");
    }
    await root.run("DELETE FROM shard_self");
    await refused(admin, "45503", "shard_pause", "x");
    await refused(admin, "45503", "shard_resume");
    await call(admin, "shard_init", "shard1");
  });
});
