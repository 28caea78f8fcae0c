/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* procedures/job/: claiming and reporting background work. */
import assert from "node:assert/strict";
import { after, before, beforeEach, describe, test } from "node:test";

import {
  account,
  call,
  changed,
  codes,
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
  race,
  refused,
  refusesBadBatch,
  shard,
  tableSums,
} from "./lib.js";

const MINUTE = 60_000;

let server;
let root;
let app;
before(async () => ({ server, root, app } = await shard()));
after(() => server?.stop());
beforeEach(() => root.run("DELETE FROM job"));

const claim = async (session, token, limit = 256, lease = MINUTE) =>
  (await call(session, "job_claim", token, limit, lease))[0];
const job = async (id) =>
  (
    await root.rows(
      `SELECT attempts, parked, last_error, due_at, claimed_until, LOWER(HEX(claim)) AS claim FROM job WHERE target_id = ${id}`,
    )
  )[0];

/** A user with a job, as publish_delete creates it. */
async function newJob(name) {
  const user = await newUser(app, name);
  const video = await newVideo(app, user);
  await one(app, "publish_delete", deleteOp(video, user.id));
  return { user, video };
}

const finishOp = (user, video, token, fields = {}) =>
  ownerOp(user, { kind: "media_delete", target_id: Number(video.id), claim: token, done: 1, ...fields });

describe("job_claim", () => {
  test("returns due jobs with what they need, once", async () => {
    const { user, video } = await newJob();
    const token = key();
    assert.deepEqual(await claim(app, token), [
      {
        slot: String(user.slot),
        epoch: "1",
        owner_id: user.id,
        kind: "media_delete",
        target_id: video.id,
        payload: video.media,
        attempts: "1",
      },
    ]);
    assert.deepEqual(await claim(app, key()), []);
    const now = Number(await root.value("SELECT _now_ms()"));
    const stored = await job(video.id);
    assert.equal(stored.claim, token);
    assert.ok(Math.abs(Number(stored.claimed_until) - now - MINUTE) < 10_000);
  });

  test("a replay returns what it holds, and does not count as another attempt", async () => {
    const { video } = await newJob();
    const token = key();
    const first = await claim(app, token);
    assert.deepEqual(await claim(app, token), first);
    assert.equal((await job(video.id)).attempts, "1");
    const { video: more } = await newJob();
    assert.equal((await claim(app, token)).length, 2);
    assert.equal((await job(more.id)).attempts, "1");
  });

  test("after the lease anybody may take it; the first holder has lost it", async () => {
    const { user, video } = await newJob();
    const [first, second] = [key(), key()];
    await claim(app, first);
    await root.run("UPDATE job SET claimed_until = _now_ms() - 1");
    const [row] = await claim(app, second);
    assert.equal(row.attempts, "2");
    assert.equal((await one(app, "job_finish", finishOp(user, video, first))).code, "notfound");
    assert.equal((await one(app, "job_finish", finishOp(user, video, second))).code, "ok");
    assert.equal(await job(video.id), undefined);
  });

  test("the oldest first, up to the limit", async () => {
    const made = [await newJob(), await newJob(), await newJob()];
    for (const [i, { video }] of made.entries()) {
      await root.run(`UPDATE job SET due_at = ${3 - i} WHERE target_id = ${video.id}`);
    }
    assert.deepEqual(
      (await claim(app, key(), 1)).map((row) => row.target_id),
      [made[2].video.id],
    );
    const rest = (await claim(app, key(), 2)).map((row) => row.target_id);
    assert.deepEqual(rest.sort(), [made[0].video.id, made[1].video.id].sort());
  });

  test("not what is not yet due, nor what is parked", async () => {
    const [a, b] = [await newJob(), await newJob()];
    await root.run(`UPDATE job SET due_at = _now_ms() + 100000 WHERE target_id = ${a.video.id}`);
    await root.run(`UPDATE job SET parked = 1 WHERE target_id = ${b.video.id}`);
    assert.deepEqual(await claim(app, key()), []);
  });

  test("only of slots and owners that this shard serves", async () => {
    const { user, video } = await newJob(nameIn(30));
    for (const state of ["moved", "importing", "ready"]) {
      await root.run(`UPDATE slot_fence SET state = '${state}' WHERE slot = 30`);
      assert.deepEqual(await claim(app, key()), [], state);
    }
    await root.run("UPDATE slot_fence SET state = 'owned', has_home = 1 WHERE slot = 30");
    await root.run(`INSERT INTO owner_home (slot, owner_id, own_slot) VALUES (30, ${user.id}, 1030)`);
    const sums = await tableSums(root);
    assert.deepEqual(await claim(app, key()), []);
    assert.deepEqual(await tableSums(root), sums);
    await root.run("DELETE FROM owner_home");
    await root.run("UPDATE slot_fence SET state = 'migrating', has_home = 0 WHERE slot = 30");
    assert.equal((await claim(app, key()))[0].target_id, video.id);
    const [entry] = await root.rows("SELECT tbl, owner, k1, k2, ks FROM slot_log");
    assert.deepEqual(entry, { tbl: "job", owner: user.id, k1: user.id, k2: video.id, ks: Buffer.from("media_delete") });
    await root.run("DELETE FROM slot_log");
    await root.run("UPDATE slot_fence SET state = 'owned' WHERE slot = 30");
  });

  test("bad arguments", async () => {
    const good = [key(), 10, MINUTE];
    for (const i of good.keys()) {
      await refused(app, "45400", "job_claim", ...changed(good, i, null));
    }
    for (const [i, bad] of [
      [0, ""],
      [0, "a".repeat(31)],
      [0, "g".repeat(32)],
      [1, 0],
      [1, 257],
      [2, 0],
      [2, 86_400_001],
    ]) {
      await refused(app, "45400", "job_claim", ...changed(good, i, bad));
    }
    await refused(app, "22001", "job_claim", ...changed(good, 0, "a".repeat(33)));
  });

  test("two claims at the same time share the jobs, and none is given twice", async () => {
    const made = [await newJob(nameIn(31)), await newJob(nameIn(31)), await newJob(nameIn(31))];
    const other = account(server, "app");
    const results = await race(
      server,
      root,
      "SELECT 1 FROM job FOR UPDATE",
      [app, (session) => claim(session, key())],
      [other, (session) => claim(session, key())],
    );
    const got = results
      .flat()
      .map((row) => row.target_id)
      .sort();
    assert.deepEqual(got, made.map(({ video }) => video.id).sort());
  });

  test("256 of many", async () => {
    await root.run(`
      INSERT INTO job (slot, owner_id, kind, target_id, payload, due_at)
      WITH RECURSIVE s AS (SELECT 1 AS i UNION ALL SELECT i + 1 FROM s WHERE i < 600)
      SELECT i MOD 50, i, 'media_delete', i, 'm', i FROM s`);
    const rows = await claim(app, key(), 256);
    assert.equal(rows.length, 256);
    assert.equal(Math.max(...rows.map((row) => Number(row.target_id))), 256);
    assert.equal((await claim(app, key(), 256)).length, 256);
    assert.equal((await claim(app, key(), 256)).length, 88);
  });
});

describe("job_finish", () => {
  test("a finished job is removed; a replay finds nothing", async () => {
    const { user, video } = await newJob();
    const token = key();
    await claim(app, token);
    const op = finishOp(user, video, token);
    assert.equal((await one(app, "job_finish", op)).code, "ok");
    assert.equal(await job(video.id), undefined);
    assert.equal((await one(app, "job_finish", op)).code, "notfound");
  });

  test("a failed job is due again later, with the reason", async () => {
    const { user, video } = await newJob();
    const token = key();
    await claim(app, token);
    const op = finishOp(user, video, token, { done: 0, error: "é".repeat(300), retry_ms: MINUTE });
    assert.equal((await one(app, "job_finish", op)).code, "ok");
    const stored = await job(video.id);
    const now = Number(await root.value("SELECT _now_ms()"));
    assert.deepEqual(
      [stored.claim, stored.claimed_until, stored.parked, stored.last_error],
      [null, "0", "0", "é".repeat(200)],
    );
    assert.ok(Math.abs(Number(stored.due_at) - now - MINUTE) < 10_000);
    assert.deepEqual(await claim(app, key()), []);
  });

  test("the 20th failure parks it", async () => {
    const { user, video } = await newJob();
    for (let i = 1; i <= 20; i++) {
      const token = key();
      assert.equal((await claim(app, token))[0].attempts, String(i));
      await one(app, "job_finish", finishOp(user, video, token, { done: 0, error: "no", retry_ms: 0 }));
      assert.equal((await job(video.id)).parked, i === 20 ? "1" : "0");
    }
    assert.deepEqual(await claim(app, key()), []);
  });

  test("unknown claims and jobs", async () => {
    const { user, video } = await newJob();
    const token = key();
    await claim(app, token);
    assert.deepEqual(
      await codes(app, "job_finish", [
        finishOp(user, video, key()),
        finishOp(user, { id: 1 }, token),
        finishOp(user, video, token, { kind: "other" }),
      ]),
      ["notfound", "notfound", "notfound"],
    );
    assert.equal((await job(video.id)).claim, token);
  });

  test("bad arguments", async () => {
    const good = finishOp({ slot: 1, id: 8 }, { id: 9 }, key(), { done: 0, error: "e", retry_ms: 1 });
    await refusesBadBatch(app, "job_finish", good, {
      owner: [0],
      kind: ["", "a".repeat(17), "é"],
      claim: ["", "a".repeat(31), "g".repeat(32)],
      done: [2, -1, "x"],
      retry_ms: [-1, 86_400_001],
    });
  });

  test("two reports at the same time: one counts", async () => {
    const { user, video } = await newJob();
    const token = key();
    await claim(app, token);
    const other = account(server, "app");
    const op = finishOp(user, video, token);
    const results = await race(
      server,
      root,
      "SELECT 1 FROM job FOR UPDATE",
      [app, (session) => one(session, "job_finish", op)],
      [other, (session) => one(session, "job_finish", op)],
    );
    assert.deepEqual(results.map((row) => row.code).sort(), ["notfound", "ok"]);
  });

  test("fence, forwarding, journal", async () => {
    const { user, video } = await newJob(nameIn(32));
    const token = key();
    await claim(app, token);
    const make = (epoch) => finishOp(user, video, token, { epoch, done: 0, error: "", retry_ms: 0 });
    await obeysFence(root, app, "job_finish", 32, make);
    await obeysForwarding(root, app, "job_finish", 32, user.id, make);
    await journals(
      root,
      32,
      async () => {
        await root.run(`UPDATE job SET claim = X'${token}' WHERE target_id = ${video.id}`);
        assert.equal((await one(app, "job_finish", make(1))).code, "ok");
      },
      () => [`job ${user.id} ${user.id},${video.id} ${Buffer.from("media_delete").toString("hex")}`],
    );
  });
});
