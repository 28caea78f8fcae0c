/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* procedures/load/: the recent load of slots and owners, and how many rows and bytes slots have. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, beforeEach, describe, test } from "node:test";

import { PROCEDURES, account, call, nameIn, newUser, newVideo, refused, shard } from "./lib.js";

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
beforeEach(() => root.run("DELETE FROM slot_load; DELETE FROM owner_load"));

const add = async (slots, owners = []) =>
  (await call(app, "load_add", JSON.stringify(slots), JSON.stringify(owners)))[0][0];
const cost = (slot, operations = 60, busy_us = 6000) => ({ slot, operations, busy_us });
const ownerCost = (slot, owner, operations = 60, busy_us = 6000) => ({ slot, owner, operations, busy_us });
const status = async (slot) => (await call(monitor, "load_status"))[0].find((row) => row.slot === String(slot));
const list = async (session, routine, ...args) => (await call(session, routine, ...args))[0];

/** Makes everything counted so far look so many ms older. */
const age = (ms) =>
  root.run(`UPDATE slot_load SET since = since - ${ms}, at = at - ${ms};
  UPDATE owner_load SET since = since - ${ms}, at = at - ${ms}`);
const near = (value, expected, part = 0.02) =>
  assert.ok(Math.abs(Number(value) - expected) <= expected * part + 1, `${value} is not about ${expected}`);

/** The clock stands still: a rate covers the time that a test sets, however long the test takes. */
const clock = async (timestamp) => {
  for (const session of [app, monitor]) await session.run(`SET timestamp = ${timestamp}`);
};

describe("load_add", () => {
  before(() => clock(1_800_000_000));
  after(() => clock("DEFAULT"));

  test("counts over ten seconds become a rate; later counts are added", async () => {
    await add([cost(7, 100, 5000)]);
    const first = await status(7);
    near(first.operations_per_min, 600);
    near(first.busy_us_per_min, 30000);
    await add([cost(7, 100, 5000), cost(7, 100, 5000)]);
    near((await status(7)).operations_per_min, 1800);
    assert.equal((await status(8)).operations_per_min, "0");
  });

  test("a steady rate stays the same, and has halved ten minutes after it ends", async () => {
    for (let i = 0; i < 40; i++) {
      await add([cost(7, 1000, 100000)]);
      await age(60000);
    }
    near((await status(7)).operations_per_min, 1000, 0.1);
    await age(600000);
    near((await status(7)).operations_per_min, 500, 0.1);
    await age(6000000);
    assert.ok(Number((await status(7)).operations_per_min) <= 1);
  });

  test("only slots that this shard owns", async () => {
    await root.run("UPDATE slot_fence SET state = 'moved', epoch = 2, server = 'shard2' WHERE slot = 5");
    await root.run("UPDATE slot_fence SET state = 'migrating' WHERE slot = 6");
    try {
      assert.deepEqual(await add([cost(5), cost(6), cost(70000)], [ownerCost(5, 41), ownerCost(6, 49)]), {
        slots: "1",
        owners: "1",
      });
      assert.equal(await status(5), undefined);
      assert.equal((await status(6)).state, "migrating");
    } finally {
      await root.run("UPDATE slot_fence SET state = 'owned', epoch = 1, server = 'shard1' WHERE slot IN (5, 6)");
    }
  });

  test("the thousand owners with the highest load are kept", async () => {
    const batch = (from, busy) => Array.from({ length: 400 }, (_, i) => ownerCost(3, from + i, 1, busy + i));
    await add([cost(3)], batch(1000, 50000));
    await age(600000); /* from now on it counts half */
    await add([cost(3)], batch(2000, 40000));
    assert.deepEqual(await add([cost(3)], batch(3000, 60000)), { slots: "1", owners: "1200" });
    assert.equal((await add([cost(3)])).owners, "1000", "at the next report");
    const kept = await root.rows(
      "SELECT owner_id DIV 1000 AS kind, COUNT(*) AS n FROM owner_load GROUP BY 1 ORDER BY 1",
    );
    assert.deepEqual(kept, [
      { kind: "1", n: "200" },
      { kind: "2", n: "400" },
      { kind: "3", n: "400" },
    ]);
  });

  test("owners without load for a day are removed", async () => {
    await add([cost(3), cost(4)]);
    await age(86400001);
    assert.equal((await add([cost(4)])).slots, "1");
  });

  test("servers that report and measure at the same time do not block each other", async () => {
    const sessions = Array.from({ length: 4 }, () => account(server, "app"));
    const slots = Array.from({ length: 1024 }, (_, slot) => cost(slot));
    const many = (from) => Array.from({ length: 250 }, (_, i) => ownerCost(i % 1024, from + i, 1, 1 + i));
    await root.run("INSERT INTO slot_load (slot, at, measured_at) VALUES (3, 1, 1), (700, 1, 1)");
    try {
      await Promise.all(
        sessions.map(async (session, s) => {
          for (let i = 0; i < 8; i++) {
            await call(
              session,
              "load_add",
              JSON.stringify(slots.slice(s * 100)),
              JSON.stringify(many(1 + 300 * (s + i))),
            );
            await call(session, "load_measure", 1000, 8);
          }
        }),
      );
    } finally {
      await Promise.all(sessions.map((session) => session.end()));
    }
    near(await root.value("SELECT operations FROM slot_load WHERE slot = 1000"), 4 * 8 * 60, 0.1);
  });

  test("neither reports nor measurements wait for a fence", async () => {
    const other = server.session({ database: "doushard" });
    try {
      await other.run("START TRANSACTION");
      await other.run("SELECT COUNT(*) FROM slot_fence FOR UPDATE");
      assert.equal((await add([cost(3)], [ownerCost(3, 25)])).owners, "1");
      assert.equal((await call(app, "load_measure", 1000, 1024))[0][0].measured, "1024");
    } finally {
      await other.run("ROLLBACK");
      await other.end();
    }
  });

  test("bad arguments change nothing", async () => {
    const good = [cost(1)];
    const bad = [
      null,
      "{}",
      "[]",
      '"x"',
      JSON.stringify(Array(2049).fill(cost(1))),
      JSON.stringify([cost(1), {}]),
      ...[
        { slot: -1 },
        { slot: "x" },
        { slot: 4294967296 },
        { operations: -1 },
        { operations: 1.5 },
        { busy_us: "1e3" },
        { busy_us: 2 ** 53 },
        { busy_us: null },
      ].map((field) => JSON.stringify([{ ...cost(1), ...field }])),
    ];
    for (const text of bad) await refused(app, "45400", "load_add", text, "[]");
    for (const text of [
      null,
      "{}",
      JSON.stringify(Array(513).fill(ownerCost(1, 1))),
      JSON.stringify([cost(1)]),
      JSON.stringify([ownerCost(1, 0)]),
      JSON.stringify([ownerCost(1, 2 ** 53)]),
    ])
      await refused(app, "45400", "load_add", JSON.stringify(good), text);
    assert.equal(await root.value("SELECT COUNT(*) FROM slot_load"), "0");
    await assert.rejects(call(monitor, "load_add", JSON.stringify(good), "[]"), { errno: 1370 });
  });
});

describe("load_owners", () => {
  test("the highest load first, with the owner's slot", async () => {
    const user = await newUser(app, nameIn(11));
    const video = await newVideo(app, user);
    const id = String(video.video_id ?? video.id);
    await add(
      [cost(11)],
      [ownerCost(11, Number(user.id), 10, 1000), ownerCost(11, Number(id), 20, 9000), ownerCost(11, 99, 1, 10)],
    );
    const found = await list(monitor, "load_owners", 10);
    assert.deepEqual(
      found.map(({ owner_id, kind, user_id }) => [owner_id, kind, user_id]),
      [
        [id, "video", user.id],
        [user.id, "user", user.id],
        ["99", "unknown", null],
      ],
    );
    near(found[0].busy_us_per_min, 54000);
    near(found[1].operations_per_min, 60);
    assert.equal((await list(monitor, "load_owners", 1)).length, 1);
    for (const limit of [null, 0, 1001]) await refused(monitor, "45400", "load_owners", limit);
    await assert.rejects(call(app, "load_owners", 1), { errno: 1370 });
  });
});

describe("load_measure", () => {
  const measure = async (...args) => (await call(app, "load_measure", ...args))[0][0];

  test("has every table whose rows belong to slots", async () => {
    const body = readFileSync(`${PROCEDURES}/load/load_measure.sql`, "utf8");
    const staying = [
      "slot_fence",
      "slot_seq",
      "slot_known",
      "slot_log",
      "slot_move",
      "slot_import",
      "slot_lost",
      "slot_load",
      "owner_load",
    ];
    const tables = await root.rows(`SELECT table_name AS t FROM information_schema.columns
      WHERE table_schema = 'doushard' AND column_name = 'slot' AND ordinal_position = 1 ORDER BY 1`);
    for (const { t } of tables.filter((row) => !staying.includes(row.t)))
      assert.match(body, new RegExp(`SELECT '${t}' AS tbl,\\s+COUNT\\(\\*\\) AS n\\s+FROM ${t} AS t\\s`), t);
  });

  test("counts some slots at a time, each once, and again only after ten minutes", async () => {
    const user = await newUser(app, nameIn(12));
    await newVideo(app, user);
    assert.deepEqual(await measure(1000000, 24).then(({ measured, unmeasured }) => [measured, unmeasured]), [
      "24",
      "1000",
    ]);
    assert.equal(await root.value("SELECT COUNT(*) FROM slot_load WHERE measured_at > 0"), "24");
    assert.equal((await measure(1000000, 1024)).measured, "1000");
    assert.equal((await measure(1000000, 1024)).measured, "0");
    const { size_rows: n, size_bytes: bytes, measured_at: at } = await status(12);
    const counted = await root.value(
      ["account", "user", "inbound", "session", "video", "job", "idem", "outbox"]
        .map((t) => `(SELECT COUNT(*) FROM ${t} WHERE slot = 12)`)
        .join(" + ")
        .replace(/^/, "SELECT "),
    );
    assert.equal(n, counted);
    assert.ok(Number(n) >= 3 && Number(bytes) > 100 && Number(at) > 0);
    await root.run("UPDATE slot_load SET measured_at = measured_at - 700000 WHERE slot IN (12, 13)");
    assert.equal((await measure(1000000, 1024)).measured, "2");
  });

  test("stops after so many rows, and pauses after a large slot", async () => {
    await newUser(app, nameIn(14));
    await root.run(
      "INSERT INTO slot_load (slot, measured_at) SELECT slot, 9999999999999 FROM slot_fence WHERE slot NOT IN (14, 15)",
    );
    await root.run("UPDATE slot_load SET measured_at = 1");
    assert.equal((await measure(1, 1024)).counted > 0, true);
    await root.run("UPDATE slot_load SET measured_at = 1, size_rows = 0");
    await root.run("UPDATE slot_load SET measured_at = UNIX_TIMESTAMP() * 1000, size_rows = 10000000 WHERE slot = 900");
    assert.equal((await measure(1000000, 1024)).measured, "0");
    await root.run("UPDATE slot_load SET size_rows = 10 WHERE slot = 900; DO SLEEP(0.01)");
    assert.equal((await measure(1000000, 5)).measured, "5");
  });

  test("own slots are as large as their partitions", async () => {
    await root.run("INSERT INTO slot_fence (slot, epoch, state, server) VALUES (2050, 18, 'owned', 'shard1')");
    await root.run("ALTER TABLE liker ADD PARTITION (PARTITION s2050_e18 VALUES IN (2050 DIV 1024 * 2050))");
    try {
      await root.run(`INSERT INTO liker (slot, video_id, user_id, state, ver, at)
        SELECT 2050, 8, seq, 1, seq, seq FROM seq_1_to_500`);
      await root.run("ANALYZE TABLE liker");
      await measure(1, 1);
      const { size_rows: n, size_bytes: bytes } = await status(2050);
      assert.ok(Number(n) >= 400 && Number(n) <= 600, n);
      assert.ok(Number(bytes) >= 16384, bytes);
    } finally {
      await root.run("DELETE FROM slot_fence WHERE slot = 2050");
      await root.run("ALTER TABLE liker DROP PARTITION s2050_e18");
    }
  });

  test("bad arguments, and permissions", async () => {
    for (const args of [
      [null, 1],
      [0, 1],
      [1, null],
      [1, 0],
      [1, 1025],
    ])
      await refused(app, "45400", "load_measure", ...args);
    assert.ok((await list(admin, "load_measure", 1, 1)).length === 1);
    await assert.rejects(call(monitor, "load_measure", 1, 1), { errno: 1370 });
  });
});
