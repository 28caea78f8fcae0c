/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* procedures/conn/ and procedures/routine/: how a connection is opened, tagged and killed. */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";

import { account, call, key, newUser, one, publishOp, refused, registerOp, shard, until, waitForLocks } from "./lib.js";

let server;
let root;
let app;
before(async () => ({ server, root, app } = await shard()));
after(() => server?.stop());

const open = async (session, tag) => (await call(session, "conn_open", tag))[0][0];
const kill = async (tag, wait = 5000) => (await call(app, "conn_kill", tag, wait))[0][0].gone;

describe("conn_open", () => {
  test("describes the shard and sets the session", async () => {
    const session = account(server, "app");
    const row = await open(session, key());
    assert.equal(row.connection_id, await session.value("SELECT CONNECTION_ID()"));
    assert.ok(Math.abs(Number(row.now_ms) - Date.now()) < 60_000);
    assert.equal(row.version, await root.value("SELECT VERSION()"));
    assert.deepEqual(
      { ...row, connection_id: "", now_ms: "", version: "" },
      {
        server: "shard1",
        schema_version: "1",
        schema_serves: "1",
        connection_id: "",
        flush_log: "1",
        sync_binlog: "0",
        log_bin: "0",
        doublewrite: "1",
        flavour: "mariadb",
        version: "",
        now_ms: "",
        beat: "0",
        refused: "0",
      },
    );
    const [set] = await session.rows(`
      SELECT @@SESSION.tx_isolation AS isolation, @@SESSION.innodb_lock_wait_timeout AS row_wait,
             @@SESSION.lock_wait_timeout AS ddl_wait, @@SESSION.time_zone AS zone`);
    assert.deepEqual(set, { isolation: "READ-COMMITTED", row_wait: "1", ddl_wait: "1", zone: "+00:00" });
    await session.end();
  });

  test("reports that the shard may lose acknowledged writes", async () => {
    await root.run("SET GLOBAL innodb_flush_log_at_trx_commit = 2");
    assert.equal((await open(app, key())).flush_log, "2");
    await root.run("SET GLOBAL innodb_flush_log_at_trx_commit = 1");
  });

  test("a shard without a name is reported", async () => {
    await root.run("DELETE FROM shard_self");
    assert.equal((await open(app, key())).server, "");
    await root.run("CALL shard_init('shard1')");
  });

  test("a tag belongs to one connection; opening again replaces it", async () => {
    const [first, second] = [account(server, "app"), account(server, "app")];
    const [a, b] = [key(), key()];
    await open(first, a);
    await refused(second, "45503", "conn_open", a);
    await open(first, b);
    await open(second, a);
    await first.end();
    await until("the tag to be free", () =>
      root.value(`SELECT IS_FREE_LOCK('doushard:${b}')`).then((free) => free === "1"),
    );
    await open(second, b);
    await second.end();
  });

  test("bad arguments", async () => {
    for (const tag of [null, "", "a".repeat(49)]) {
      await refused(app, "45400", "conn_open", tag);
    }
    await refused(app, "22001", "conn_open", "a".repeat(65));
  });
});

describe("conn_kill", () => {
  test("a connection that does not exist is gone", async () => {
    assert.equal(await kill(key()), "1");
  });

  test("kills an idle connection", async () => {
    const session = account(server, "app");
    const tag = key();
    const { connection_id: id } = await open(session, tag);
    assert.equal(await kill(tag), "1");
    assert.equal(await root.value(`SELECT COUNT(*) FROM information_schema.processlist WHERE id = ${id}`), "0");
    assert.equal(await kill(tag), "1", "a replay");
    await session.end();
  });

  test("kills a CALL that waits inside a routine, and nothing of it remains", async () => {
    const user = await newUser(app);
    const session = account(server, "app");
    const tag = key();
    await open(session, tag);
    await session.run("SET SESSION innodb_lock_wait_timeout = 50");
    const holder = server.session({ database: "doushard" });
    await holder.run("START TRANSACTION");
    await holder.run(`SELECT 1 FROM user WHERE slot = ${user.slot} AND user_id = ${user.id} FOR UPDATE`);
    const op = publishOp(user);
    const running = one(session, "publish_action", op);
    running.catch(() => {});
    await waitForLocks(root, 1);
    assert.equal(await kill(tag), "1");
    await assert.rejects(running);
    await holder.run("COMMIT");
    await holder.end();
    /* Its locks on fence and mint are gone, and its op was not used. */
    await root.run("START TRANSACTION");
    await root.run(`SELECT 1 FROM slot_fence WHERE slot = ${user.slot} FOR UPDATE NOWAIT`);
    await root.run(`SELECT 1 FROM slot_seq WHERE slot = ${user.slot} FOR UPDATE NOWAIT`);
    await root.run("COMMIT");
    assert.equal(await root.value("SELECT COUNT(*) FROM video"), "0");
    assert.equal((await one(app, "publish_action", op)).code, "ok");
    await session.end();
  });

  test("gone means rolled back, even if that takes long", async () => {
    await root.run("CREATE TABLE ballast (a INT PRIMARY KEY, b CHAR(200) NOT NULL)");
    await root.run("GRANT INSERT, SELECT ON doushard.ballast TO 'doushard_app'@'%'");
    await root.run("GRANT SELECT ON doushard.slot_fence TO 'doushard_app'@'%'");
    const session = account(server, "app");
    const tag = key();
    await open(session, tag);
    await session.run("START TRANSACTION");
    await session.run(`
      INSERT INTO ballast
      SELECT a.slot * 64 + b.slot, REPEAT('x', 200) FROM slot_fence AS a JOIN slot_fence AS b ON b.slot < 64`);
    assert.equal(await kill(tag, 60_000), "1");
    await root.run("START TRANSACTION");
    assert.deepEqual(await root.rows("SELECT a FROM ballast ORDER BY a LIMIT 1 FOR UPDATE NOWAIT"), []);
    await root.run("COMMIT");
    await session.end();
    await root.run("REVOKE INSERT, SELECT ON doushard.ballast FROM 'doushard_app'@'%'");
    await root.run("REVOKE SELECT ON doushard.slot_fence FROM 'doushard_app'@'%'");
    await root.run("DROP TABLE ballast");
  });

  test("without time to wait it is not reported as gone", async () => {
    const session = account(server, "app");
    const tag = key();
    await open(session, tag);
    await root.run("CREATE TABLE ballast (a INT PRIMARY KEY, b CHAR(200) NOT NULL)");
    await root.run("GRANT INSERT ON doushard.ballast TO 'doushard_app'@'%'");
    await root.run("GRANT SELECT ON doushard.slot_fence TO 'doushard_app'@'%'");
    await session.run("START TRANSACTION");
    await session.run(`
      INSERT INTO ballast
      SELECT a.slot * 64 + b.slot, REPEAT('x', 200) FROM slot_fence AS a JOIN slot_fence AS b ON b.slot < 64`);
    assert.equal(await kill(tag, 0), "0");
    await until("the rollback to end", async () => (await kill(tag, 1000)) === "1");
    await session.end();
    await root.run("REVOKE INSERT ON doushard.ballast FROM 'doushard_app'@'%'");
    await root.run("REVOKE SELECT ON doushard.slot_fence FROM 'doushard_app'@'%'");
    await root.run("DROP TABLE ballast");
  });

  test("two kills of one connection at the same time", async () => {
    const session = account(server, "app");
    const other = account(server, "app");
    const tag = key();
    await open(session, tag);
    const results = await Promise.all([kill(tag), call(other, "conn_kill", tag, 5000).then((sets) => sets[0][0].gone)]);
    assert.deepEqual(results, ["1", "1"]);
    await session.end();
    await other.end();
  });

  test("only connections with a tag, and never one's own", async () => {
    const bystander = server.session();
    const id =
      (await bystander.value("SELECT GET_LOCK('backup', 0), CONNECTION_ID()")) &&
      (await bystander.value("SELECT CONNECTION_ID()"));
    assert.equal(await kill("backup"), "1");
    assert.equal(await root.value(`SELECT COUNT(*) FROM information_schema.processlist WHERE id = ${id}`), "1");
    await bystander.end();
    const tag = key();
    await open(app, tag);
    await refused(app, "45400", "conn_kill", tag, 10);
    await assert.rejects(app.run(`KILL CONNECTION ${await root.value("SELECT CONNECTION_ID()")}`), { errno: 1095 });
  });

  test("bad arguments", async () => {
    for (const args of [
      [null, 1],
      ["a", null],
      ["", 1],
      ["a".repeat(49), 1],
      ["a", -1],
      ["a", 60_001],
    ]) {
      await refused(app, "45400", "conn_kill", ...args);
    }
    await refused(app, "22001", "conn_kill", "a".repeat(65), 1);
  });
});

describe("a connection's transaction", () => {
  test("a CALL inside an open transaction is refused and does not commit it", async () => {
    const session = server.session({ database: "doushard" });
    const user = await newUser(app);
    await session.run("START TRANSACTION");
    await session.run(`UPDATE user SET signature = 'uncommitted' WHERE user_id = ${user.id}`);
    await assert.rejects(call(session, "user_register", JSON.stringify([registerOp()])), { errno: 1568 });
    await session.run("ROLLBACK");
    assert.equal(await root.value(`SELECT signature FROM user WHERE user_id = ${user.id}`), "");
    await session.end();
  });

  test("a lock wait that times out rolls back the whole batch and leaves nothing open", async () => {
    const [a, b] = [await newUser(app), await newUser(app)].sort((x, y) => x.slot - y.slot);
    const session = account(server, "app");
    await open(session, key());
    await session.run("SET SESSION innodb_lock_wait_timeout = 1");
    const holder = server.session({ database: "doushard" });
    await holder.run("START TRANSACTION");
    await holder.run(`SELECT 1 FROM user WHERE slot = ${b.slot} AND user_id = ${b.id} FOR UPDATE`);
    const ops = JSON.stringify([publishOp(a), publishOp(b)]);
    await assert.rejects(call(session, "publish_action", ops), { errno: 1205 });
    assert.equal(await session.value("SELECT @@in_transaction"), "0");
    await holder.run("COMMIT");
    await holder.end();
    assert.equal(await root.value(`SELECT COUNT(*) FROM video WHERE author_id IN (${a.id}, ${b.id})`), "0");
    assert.deepEqual(
      (await call(session, "publish_action", ops))[0].map((row) => row.code),
      ["ok", "ok"],
    );
    await session.end();
  });
});

describe("routine_list", () => {
  test("lists every public routine with its version and the oldest it serves, and no helpers", async () => {
    const rows = (await call(app, "routine_list"))[0];
    assert.ok(rows.length >= 27);
    assert.ok(rows.every((row) => /^[1-9]\d*$/.test(row.version) && /^[a-z]+(_[a-z]+)+(_\d)?$/.test(row.name)));
    assert.ok(rows.every((row) => Number(row.serves) >= 1 && Number(row.serves) <= Number(row.version)));
    assert.equal(new Set(rows.map((row) => row.name)).size, rows.length);
    for (const [comment, version, serves] of [
      ["v12: later", "12", "12"],
      ["v12 serves v9: with v1: in it", "12", "9"],
    ]) {
      await root.run("DROP PROCEDURE IF EXISTS zz_test");
      await root.run(`CREATE PROCEDURE zz_test () COMMENT '${comment}' SELECT 1`);
      const more = (await call(app, "routine_list"))[0];
      assert.deepEqual(more.at(-1), { name: "zz_test", version, serves });
    }
    await root.run("DROP PROCEDURE zz_test");
  });

  test("also the mark of a complete installation", async () => {
    await root.run(
      "CREATE FUNCTION _install_fingerprint () RETURNS INT DETERMINISTIC NO SQL SQL SECURITY INVOKER COMMENT 'v1: x' RETURN 1",
    );
    const marks = (await call(app, "routine_list"))[0].filter((row) => row.name.startsWith("_"));
    assert.deepEqual(marks, [{ name: "_install_fingerprint", version: "1", serves: "1" }]);
    await root.run("DROP FUNCTION _install_fingerprint");
  });
});
