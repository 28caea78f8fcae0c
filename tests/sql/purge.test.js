/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* procedures/purge/: rows that are no longer needed are deleted in bounded steps; all others stay. */
import assert from "node:assert/strict";
import { after, before, beforeEach, describe, test } from "node:test";

import {
  SqlError,
  account,
  call,
  counted,
  journals,
  nameIn,
  newUser,
  newVideo,
  one,
  ownerOp,
  race,
  refused,
  shard,
  tableSums,
} from "./lib.js";

const DAY = 86_400_000;
const MONTH = 30 * DAY;

let server;
let root;
let app;
let monitor;
let now;
before(async () => {
  ({ server, root, app } = await shard());
  monitor = account(server, "monitor");
  now = Number(await root.value("SELECT _now_ms()"));
});
after(() => server?.stop());

const TABLES = ["follow", "follower", "favorite", "liker", "commented", "session", "idem"];

beforeEach(async () => {
  for (const table of [...TABLES, "outbox", "slot_log"]) {
    await root.run(`DELETE FROM ${table}`);
  }
  await root.run(
    "UPDATE purge_pass SET due_at = 9000000000000, running = 0, slot = 0, k1 = 0, k2 = 0, k3 = 0, ks = ''",
  );
});

const step = async (limit = 1000, session = app) => (await call(session, "purge_step", limit))[0][0];
const due = (kind) => root.run(`UPDATE purge_pass SET due_at = 0 WHERE kind = '${kind}'`);
const status = async (kind) => (await call(monitor, "purge_status"))[0].find((row) => row.kind === kind);

/** Steps of LIMIT rows until nothing is due; returns how many rows were removed. */
async function pass(kind, limit = 1000) {
  await due(kind);
  let removed = 0;
  for (let steps = 0; steps < 100; steps++) {
    const answer = await step(limit);
    if (answer.kind === "") return removed;
    assert.equal(answer.kind, kind);
    removed += Number(answer.removed);
  }
  return assert.fail(`the pass over ${kind} does not end`);
}

/* A row of each table: its columns after slot, the owner first. */
const ROWS = {
  follow: (n, state, at) => `(7, ${n}, ${n + 1}, ${state}, 5, ${at})`,
  follower: (n, state, at) => `(7, ${n}, ${n + 1}, ${state}, 5, ${at}, ${n})`,
  favorite: (n, state, at) => `(7, ${n}, ${n + 1}, ${state}, 5, ${at})`,
  liker: (n, state, at) => `(7, ${n}, ${n + 1}, ${state}, 5, ${at})`,
  commented: (n, state, at) => `(7, ${n}, ${n + 1}, ${n + 2}, ${state}, 5, ${at})`,
};
const plant = (table, rows) => root.run(`INSERT INTO ${table} VALUES ${rows.join(", ")}`);
const left = async (table) =>
  (await root.rows(`SELECT * FROM ${table} ORDER BY 1, 2, 3`)).map((row) => Object.values(row)[1]);

describe("what is deleted and what stays", () => {
  for (const table of Object.keys(ROWS)) {
    test(`${table}: tombstones of 30 days`, async () => {
      const row = ROWS[table];
      await plant(table, [
        row(10, 1, 1000),
        row(20, 0, now - MONTH - DAY),
        row(30, 0, now - MONTH + DAY),
        row(40, 0, 0),
        row(50, 1, now),
      ]);
      assert.equal(await pass(table), 2);
      assert.deepEqual(await left(table), ["10", "30", "50"]);
      assert.equal(await pass(table), 0);
    });
  }

  for (const [table, target] of [
    ["follow", "followed_id"],
    ["favorite", "video_id"],
  ]) {
    test(`${table}: a first half stays while its second half is to be delivered`, async () => {
      await plant(table, [ROWS[table](10, 0, 1000), ROWS[table](20, 0, 1000)]);
      await root.run(`INSERT INTO outbox (slot, actor_id, kind, target_id, ver, at, due_at)
        SELECT slot, user_id, '${table}', ${target}, ver, at, at FROM ${table} WHERE user_id = 10`);
      assert.equal(await pass(table), 1);
      assert.deepEqual(await left(table), ["10"]);
      await root.run("DELETE FROM outbox");
      assert.equal(await pass(table), 1);
    });
  }

  test("sessions that ended more than a day ago", async () => {
    const at = (name, ends) => `(7, 10, '${name.padEnd(16, "x")}', 1, 1, ${ends})`;
    await plant("session", [at("a", now - 2 * DAY), at("b", now - DAY / 2), at("c", now + DAY)]);
    assert.equal(await pass("session"), 1);
    assert.deepEqual(
      await root.value("SELECT GROUP_CONCAT(LEFT(session, 1) ORDER BY session) FROM session"),
      Buffer.from("b,c"),
    );
  });

  test("keys that are older than a day", async () => {
    const at = (name, made) => `(7, '${name.padEnd(16, "x")}', REPEAT('b', 32), ${made}, 1)`;
    await plant("idem", [at("a", now - 2 * DAY), at("b", now - DAY + 3_600_000), at("c", now)]);
    assert.equal(await pass("idem"), 1);
    assert.deepEqual(await root.value("SELECT GROUP_CONCAT(LEFT(op, 1) ORDER BY op) FROM idem"), Buffer.from("b,c"));
  });

  test("no setting can purge anything younger", async () => {
    for (const [kind, least] of [
      ["follow", MONTH],
      ["liker", MONTH],
      ["session", DAY],
      ["idem", DAY],
    ]) {
      const set = (ms) => root.run(`UPDATE purge_pass SET older_ms = ${ms} WHERE kind = '${kind}'`);
      await assert.rejects(
        set(least - 1),
        (error) => error instanceof SqlError && /purge_pass_keeps/.test(error.message),
      );
      await set(least);
    }
  });
});

describe("edges that are purged", () => {
  const likeOp = (user, video, state) => ownerOp(user, { target: Number(video), state });
  const like = (user, video, state) => one(app, "favorite_action", likeOp(user, video, state));
  const deliver = (video, user, edge, state) =>
    one(app, "favorite_deliver", {
      slot: video.slot,
      epoch: 1,
      owner: Number(video.id),
      actor: Number(user.id),
      state,
      ver: Number(edge.ver),
      at: Number(edge.at),
    });
  const finish = (routine, user, video, ver) =>
    one(app, routine, ownerOp(user, { kind: "favorite", target: Number(video), seq: 0, ver: Number(ver) }));

  test("a like of something that never existed is purged in the next pass, and its version is not used again", async () => {
    const user = await newUser(app);
    const first = await like(user, 8 * 77, 1);
    assert.equal(await pass("favorite"), 0, "it has not been refused yet");
    assert.equal((await finish("outbox_undo", user, 8 * 77, first.ver)).code, "ok");
    assert.equal(await pass("favorite"), 1);
    assert.deepEqual(await left("favorite"), []);
    assert.equal(await root.value(`SELECT favorite_count FROM user WHERE user_id = ${user.id}`), "0");
    const again = await like(user, 8 * 77, 1);
    assert.equal(again.code, "ok");
    assert.ok(BigInt(again.ver) > BigInt(first.ver));
  });

  test("like, unlike, purge, like: versions go on, and the second half accepts it", async () => {
    const user = await newUser(app);
    const video = await newVideo(app, await newUser(app));
    let last = 0n;
    for (const state of [1, 0]) {
      const edge = await like(user, video.id, state);
      assert.equal((await deliver(video, user, edge, state)).code, "ok");
      assert.equal((await finish("outbox_done", user, video.id, edge.ver)).code, "ok");
      last = BigInt(edge.ver);
    }
    await root.run("UPDATE favorite SET at = 1");
    assert.equal(await pass("favorite"), 1);
    assert.equal(await pass("liker"), 0);
    assert.equal((await like(user, video.id, 0)).code, "same");
    const edge = await like(user, video.id, 1);
    assert.ok(BigInt(edge.ver) > last);
    assert.equal((await deliver(video, user, edge, 1)).code, "ok");
    assert.equal(await root.value(`SELECT favorite_count FROM video WHERE video_id = ${video.id}`), "1");
  });
});

describe("purge_step", () => {
  /* Rows in three slots; every third is a tombstone. */
  const many = (n) =>
    root.run(`
    INSERT INTO liker (slot, video_id, user_id, state, ver, at)
    SELECT f.slot MOD 3, f.slot DIV 100 + 1, f.slot + 1, f.slot MOD 3 <> 1, 1, 1 FROM slot_fence AS f WHERE f.slot < ${n}`);

  test("steps of so many rows, from the checkpoint on, by any server", async () => {
    await many(1000);
    await due("liker");
    const other = account(server, "app");
    let looked = 0;
    let steps = 0;
    while (steps < 100) {
      const answer = await step(90, steps % 2 === 0 ? app : other);
      assert.equal(answer.kind, "liker");
      looked += Number(answer.looked);
      steps += 1;
      const row = await status("liker");
      assert.deepEqual([row.looked, row.running], [String(looked), answer.looked === "90" ? "1" : "0"]);
      if (answer.looked !== "90") break;
      assert.equal(answer.wait_ms, "0");
      assert.ok(Number(row.slot) <= 2);
    }
    assert.deepEqual([looked, steps], [1000, 12]);
    assert.equal(await root.value("SELECT CONCAT(COUNT(*), ' ', MIN(state)) FROM liker"), "667 1");
    await other.end();
  });

  test("reads little more than it looks at, at any position", async () => {
    await many(1000);
    for (let i = 1; i < 20; i++) {
      await root.run(
        `INSERT INTO liker SELECT slot, video_id + ${i * 100}, user_id, state, ver, at FROM liker WHERE video_id < 100`,
      );
    }
    await root.run("ANALYZE TABLE liker");
    await due("liker");
    for (let i = 0; i < 30; i++) {
      const { result, reads } = await counted(root, (session) => step(100, session));
      assert.equal(result.looked, "100");
      /* Each row, a few reads of its copy, and the removal by key; of 20,000 rows. */
      assert.ok(reads < 100 * 12, `step ${i} reads ${reads} rows`);
    }
  });

  test("a pass ends, reports that, and comes again", async () => {
    await many(10);
    await due("liker");
    const total = Number((await status("liker")).removed_total);
    const { wait_ms, ...done } = await step();
    assert.deepEqual(done, { kind: "liker", looked: "10", removed: "3" });
    assert.equal(wait_ms, String(DAY));
    const row = await status("liker");
    assert.deepEqual(
      [row.running, row.slot, row.looked, row.removed, Number(row.removed_total)],
      ["0", "0", "10", "3", total + 3],
    );
    assert.ok(Number(row.started_at) >= now && Number(row.finished_at) >= Number(row.started_at));
    assert.equal(Number(row.due_at) - Number(row.finished_at), DAY);
    const idle = await step();
    assert.deepEqual([idle.kind, idle.looked, idle.removed], ["", "0", "0"]);
    assert.ok(Number(idle.wait_ms) > DAY / 2 && Number(idle.wait_ms) <= DAY);
    assert.equal(await pass("liker"), 0);
    assert.equal((await status("liker")).removed, "0");
  });

  test("the pass that is due longest comes first", async () => {
    await root.run("UPDATE purge_pass SET due_at = CASE kind WHEN 'idem' THEN 5 WHEN 'follow' THEN 3 ELSE 4 END");
    const order = [];
    for (let i = 0; i < 7; i++) order.push((await step()).kind);
    assert.deepEqual(order, ["follow", "commented", "favorite", "follower", "liker", "session", "idem"]);
    assert.equal((await step()).kind, "");
  });

  test("only in slots that this shard serves", async () => {
    for (const state of ["moved", "importing", "ready"]) {
      await root.run(`UPDATE slot_fence SET state = '${state}' WHERE slot = 7`);
      await plant("liker", [ROWS.liker(20, 0, 0)]);
      await root.run("INSERT INTO liker VALUES (8, 1, 2, 0, 5, 0)");
      assert.equal(await pass("liker"), 1, state);
      assert.deepEqual(await left("liker"), ["20"], state);
      await root.run("DELETE FROM liker");
    }
    await root.run("UPDATE slot_fence SET state = 'owned' WHERE slot = 7");
  });

  test("rows of an own slot, in its own partition", async () => {
    await root.run("ALTER TABLE liker ADD PARTITION (PARTITION s2050_e3 VALUES IN (4100))");
    await root.run("INSERT INTO slot_fence (slot, epoch, state, server) VALUES (2050, 3, 'owned', 'shard1')");
    await root.run(
      "INSERT INTO liker VALUES (2050, 1, 2, 0, 5, 0), (2050, 1, 3, 1, 5, 0), (2050, 4, 2, 0, 5, 0), (9, 1, 2, 0, 5, 0)",
    );
    assert.equal(await pass("liker", 1), 3);
    assert.equal(await root.value("SELECT COUNT(*) FROM liker"), "1");
    await root.run("ALTER TABLE liker DROP PARTITION s2050_e3");
    await root.run("DELETE FROM slot_fence WHERE slot = 2050");
  });

  test("journals what it removes while the slot is moving", async () => {
    const author = await newUser(app, nameIn(7));
    const video = await newVideo(app, author);
    await root.run("DELETE FROM idem");
    await root.run("DELETE FROM session");
    const hex = (text) => Buffer.from(text).toString("hex");
    await journals(
      root,
      7,
      async () => {
        await plant("liker", [`(7, ${video.id}, 3, 0, 5, 0)`]);
        await plant("commented", [ROWS.commented(20, 0, 0)]);
        await plant("follow", [ROWS.follow(30, 0, 0)]);
        await plant("session", [`(7, 10, '${"s".repeat(16)}', 1, 1, 1)`]);
        await plant("idem", [`(7, '${"k".repeat(16)}', REPEAT('b', 32), 1, 1)`]);
        for (const kind of ["liker", "commented", "follow", "session", "idem"]) {
          assert.equal(await pass(kind), 1, kind);
        }
      },
      () => [
        `liker ${author.id} ${video.id},3`,
        "commented 20 20,21,22",
        "follow 30 30,31",
        `session 10 10 ${hex("s".repeat(16))}`,
        `idem 0  ${hex("k".repeat(16))}`,
      ],
    );
  });

  test("two at the same time: one after the other, each row once", async () => {
    await many(1000);
    await due("liker");
    const other = account(server, "app");
    const answers = await race(
      server,
      root,
      "SELECT 1 FROM purge_pass WHERE kind = 'liker' FOR UPDATE",
      [app, (session) => step(500, session)],
      [other, (session) => step(500, session)],
    );
    await other.end();
    assert.deepEqual(
      answers.map((answer) => answer.looked),
      ["500", "500"],
    );
    assert.equal(
      answers.reduce((sum, answer) => sum + Number(answer.removed), 0),
      333,
    );
  });

  test("a step that fails changes nothing", async () => {
    await many(100);
    await due("liker");
    await root.run("UPDATE purge_pass SET removed = 0");
    const sums = await tableSums(root);
    const before = await status("liker");
    await root.run("ALTER TABLE purge_pass ADD CONSTRAINT fails CHECK (removed = 0)");
    await assert.rejects(step(50));
    await root.run("ALTER TABLE purge_pass DROP CONSTRAINT fails");
    assert.equal(await app.value("SELECT @@in_transaction"), "0");
    assert.deepEqual(await tableSums(root), sums);
    assert.deepEqual(await status("liker"), before);
  });

  test("bad arguments", async () => {
    for (const limit of [null, 0, -1, 1001]) {
      await refused(app, "45400", "purge_step", limit);
    }
  });
});

test("purge_status: every kind, also for the monitor", async () => {
  const [rows] = await call(monitor, "purge_status");
  assert.deepEqual(
    rows.map((row) => row.kind),
    [...TABLES].sort(),
  );
});
