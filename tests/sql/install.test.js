/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Installing: a second time changes nothing, versions record themselves, and the objects are exactly
 * those in objects.expected and grants.expected (UPDATE_EXPECTED=1 rewrites them). Also what each
 * account may do. */
import assert from "node:assert/strict";
import path from "node:path";
import { after, before, describe, test } from "node:test";

import { MANIFESTS, Mariadb, PROCEDURES, account, call, newUser, nameIn, ownerOp, registerOp, shard } from "./lib.js";
import { grants, matches, objects } from "./objects.js";

let server;
let root;
let app;
before(async () => ({ server, root, app } = await shard()));
after(() => server?.stop());

describe("what is installed", () => {
  test("every object", async () => matches(await objects(root), "objects.expected"));
  test("every grant", async () => matches(await grants(root), "grants.expected"));

  test("the shared slots are in one partition, and queries read only the partition of their slot", async () => {
    const own = [1024, 2048, 2050, 65535];
    await root.run("CREATE TABLE pruned LIKE commented");
    const add = own.map((slot) => `PARTITION s${slot}_e1 VALUES IN (${Math.floor(slot / 1024) * slot})`);
    await root.run(`ALTER TABLE pruned ADD PARTITION (${add})`);
    for (const slot of [0, 1, 1023, ...own]) {
      await root.run(
        `INSERT INTO pruned (slot, user_id, video_id, comment_id, state, ver, at) VALUES (${slot}, 1, 1, ${slot}, 1, 1, 1)`,
      );
      const wanted = slot < 1024 ? "shared" : `s${slot}_e1`;
      assert.equal(
        await root.value(`SELECT COUNT(*) FROM pruned PARTITION (${wanted}) WHERE slot = ${slot}`),
        "1",
        `${slot}`,
      );
      const [row] = await root.rows(`EXPLAIN PARTITIONS SELECT * FROM pruned WHERE slot = ${slot} AND user_id = 1`);
      assert.equal(row.partitions, wanted);
    }
    /* A join reads only the right partitions for each joined row: pages of the others are not
     * touched. */
    const handler = async () => Number((await root.rows("SHOW SESSION STATUS LIKE 'Handler_read_key'"))[0].Value);
    await root.run("FLUSH STATUS");
    await root.run(
      "SELECT COUNT(*) FROM (SELECT 2050 AS slot UNION ALL SELECT 7) AS j STRAIGHT_JOIN pruned AS c ON c.slot = j.slot AND c.user_id = 1",
    );
    assert.ok((await handler()) <= 2, "one lookup per joined row");
    await root.run("DROP TABLE pruned");
  });

  test("versions record themselves", async () => {
    const rows = await root.rows(
      "SELECT version, slug, applied_at, applied_by, checksum FROM schema_version ORDER BY version",
    );
    assert.deepEqual(
      rows.map((row) => `${row.version.padStart(4, "0")}_${row.slug}.sql`),
      MANIFESTS.filter((file) => file.startsWith("schema/")).map((file) => path.basename(file)),
    );
    const me = await root.value("SELECT CURRENT_USER()");
    for (const row of rows) {
      assert.ok(Number(row.applied_at) > Date.UTC(2026, 0) && Number(row.applied_at) <= Date.now());
      assert.deepEqual([row.applied_by, row.checksum], [me, ""]);
    }
  });

  test("again, with data and open connections: nothing changes except the routines' grants, which are restored", async () => {
    const user = await newUser(app);
    const before_ = [
      await objects(root),
      await grants(root),
      await root.rows("SELECT * FROM schema_version"),
      await root.rows("SELECT * FROM slot_fence"),
      await root.rows("SELECT * FROM user"),
    ];
    await server.source(PROCEDURES, ...MANIFESTS);
    assert.deepEqual(
      [
        await objects(root),
        await grants(root),
        await root.rows("SELECT * FROM schema_version"),
        await root.rows("SELECT * FROM slot_fence"),
        await root.rows("SELECT * FROM user"),
      ],
      before_,
    );
    assert.equal((await call(app, "user_get", JSON.stringify([ownerOp(user)])))[0][0].code, "ok");
  });

  test("a version that was interrupted before it recorded itself is applied again", async () => {
    const before_ = await objects(root);
    await root.run("DELETE FROM schema_version");
    await server.source(PROCEDURES, "schema/0001_tables.sql");
    assert.deepEqual(await objects(root), before_);
    assert.equal(await root.value("SELECT MAX(version) FROM schema_version"), "1");
  });

  test("a partition for a promoted user can be added to every owner table", async () => {
    const rows = await root.rows(
      "SELECT DISTINCT table_name AS name FROM information_schema.partitions WHERE table_schema = 'doushard' AND partition_name = 'shared'",
    );
    assert.equal(rows.length, 14);
    for (const { name } of rows) {
      await root.run(`ALTER TABLE ${name} ADD PARTITION (PARTITION s2050_e18 VALUES IN (4100))`);
      await assert.rejects(root.run(`ALTER TABLE ${name} DROP PARTITION s2050_e17`), { state: "HY000" });
      await root.run(`ALTER TABLE ${name} DROP PARTITION s2050_e18`);
    }
  });
});

describe("the service account", () => {
  test("may call its routines, by socket and over TCP", async () => {
    const tcp = account(server, "app", { tcp: true });
    assert.equal((await call(tcp, "user_register", JSON.stringify([registerOp()])))[0][0].code, "ok");
    assert.match(await tcp.value("SELECT CURRENT_USER()"), /^doushard_app@%$/);
    await tcp.end();
    const wrong = account(server, "app", { password: "wrong" });
    await assert.rejects(wrong.run("SELECT 1"));
  });

  test("cannot read or write any table", async () => {
    await newUser(app);
    for (const table of ["user", "account", "slot_fence", "session", "schema_version"]) {
      for (const statement of [
        `SELECT * FROM ${table}`,
        `DELETE FROM ${table}`,
        `INSERT INTO ${table} VALUES ()`,
        `DROP TABLE ${table}`,
        `TRUNCATE ${table}`,
        `LOCK TABLES ${table} READ`,
      ]) {
        await assert.rejects(app.run(statement), (error) => [1142, 1044, 1370].includes(error.errno), statement);
      }
    }
    for (const statement of [
      "CREATE TABLE t (a INT)",
      "CREATE TEMPORARY TABLE t (a INT)",
      "CREATE PROCEDURE p () SELECT 1",
      "CREATE DATABASE d",
      "SELECT * FROM mysql.user",
      "SELECT user FROM mysql.global_priv",
      "SET GLOBAL max_connections = 5",
      "SELECT 1 INTO OUTFILE '/tmp/doushard-never'",
      "FLUSH TABLES",
      "SHOW CREATE TABLE user",
    ]) {
      await assert.rejects(app.run(statement), (error) => error.errno > 0, statement);
    }
  });

  test("cannot call helpers or administration", async () => {
    for (const statement of [
      "CALL _op_open('[]')",
      "CALL _op_fence()",
      "CALL _op_user_lock()",
      "CALL _op_mint(1, 0)",
      "CALL _slot_seq_lock()",
      "SELECT _now_ms()",
      "CALL _session_put(0, 1, 1, '', 1)",
      "CALL _slot_log_add(1, 1, 'x', 1, 1, 1, 1, 1, '')",
      "CALL shard_init('x')",
      "CALL slot_assign(0, 1, 'x')",
      "CALL slot_status()",
      "CALL slot_stats()",
      "CALL slot_where(1)",
    ]) {
      await assert.rejects(app.run(statement), { errno: 1370 }, statement);
    }
  });

  test("cannot see routine bodies, other accounts' connections, or routines it may not call", async () => {
    const rows = await app.rows(
      "SELECT routine_name AS name, routine_definition AS body FROM information_schema.routines WHERE routine_schema = 'doushard'",
    );
    assert.ok(rows.length > 20);
    assert.ok(rows.every((row) => row.body === null && !row.name.startsWith("_") && row.name !== "slot_assign"));
    assert.equal(
      await app.value("SELECT COUNT(*) FROM information_schema.processlist WHERE user <> 'doushard_app'"),
      "0",
    );
  });

  test("the helper table of a batch belongs to its session and ends with it", async () => {
    const other = account(server, "app");
    await call(other, "user_register", JSON.stringify([registerOp(nameIn(5))]));
    await other.end();
    const fresh = account(server, "app");
    await assert.rejects(fresh.run("SELECT * FROM op"), (error) => [1142, 1146].includes(error.errno));
    await fresh.end();
  });
});

describe("the other accounts", () => {
  test("the operator administrates by CALL only", async () => {
    const admin = account(server, "admin");
    assert.equal((await call(admin, "slot_status"))[0].length, 1024);
    await assert.rejects(admin.run("SELECT * FROM slot_fence"), { errno: 1142 });
    await assert.rejects(admin.run("CALL _op_open('[]')"), { errno: 1370 });
    await admin.end();
  });

  test("the monitor only reads", async () => {
    const monitor = account(server, "monitor");
    for (const routine of ["slot_status", "slot_stats", "slot_map", "routine_list"]) {
      assert.ok((await call(monitor, routine))[0].length > 0);
    }
    for (const statement of [
      "CALL slot_assign(0, 0, 'x')",
      "CALL user_get('[]')",
      "CALL slot_learn('[]')",
      "CALL conn_kill('x', 0)",
    ]) {
      await assert.rejects(monitor.run(statement), { errno: 1370 });
    }
    await monitor.end();
  });

  test("definers cannot log in; the other accounts cannot until they have a password", async () => {
    for (const user of ["doushard_owner", "doushard_killer", "doushard_disk"]) {
      await assert.rejects(server.session({ user }).run("SELECT 1"), /locked|denied/);
    }
    const bare = await Mariadb.start();
    try {
      await bare.source(PROCEDURES, ...MANIFESTS);
      for (const name of ["app", "admin", "monitor", "mover"]) {
        for (const password of ["", "invalid"]) {
          await assert.rejects(bare.session({ user: `doushard_${name}`, password }).run("SELECT 1"), /denied/);
        }
      }
    } finally {
      await bare.stop();
    }
  });
});
