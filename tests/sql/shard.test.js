/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* procedures/shard/: whether a shard can take writes, and how much room it has. */
import assert from "node:assert/strict";
import { existsSync, statfsSync } from "node:fs";
import { after, before, describe, test } from "node:test";

import { account, call, key, newUser, one, ownerOp, refused, shard } from "./lib.js";

let server;
let root;
let app;
let admin;
before(async () => {
  ({ server, root, app } = await shard({ options: ["--plugin-load-add=disks"] }));
  admin = account(server, "admin");
});
after(() => server?.stop());

const free = async (session = app) => (await call(session, "shard_free"))[0][0].free_bytes;

describe("shard_free", () => {
  test("what the host reported counts for 3 minutes", async () => {
    assert.equal((await call(admin, "shard_report", 12345678901))[0][0].free_bytes, "12345678901");
    for (const name of ["app", "admin", "monitor"]) assert.equal(await free(account(server, name)), "12345678901");
    await call(admin, "shard_report", 0);
    assert.equal(await free(), "0");
    await root.run("UPDATE shard_health SET reported_at = reported_at - 180000");
    assert.notEqual(await free(), "0");
  });

  test("otherwise the plugin DISKS reports it; without the plugin it is unknown", async (t) => {
    await root.run("DELETE FROM shard_health");
    const file = `${await root.value("SELECT @@plugin_dir")}disks.so`;
    const bytes = await free();
    if (!existsSync(file)) {
      t.diagnostic("the plugin is not installed here (Debian: package mariadb-server)");
      assert.equal(bytes, null);
      return;
    }
    const { bavail, bsize } = statfsSync(server.dir);
    assert.ok(Math.abs(Number(bytes) - bavail * bsize) < 1e9, `${bytes} of ${bavail * bsize}`);
  });

  test("only operators report it, in bytes", async () => {
    await assert.rejects(call(app, "shard_report", 1), { errno: 1370 });
    for (const bytes of [null, -1]) await refused(admin, "45400", "shard_report", bytes);
  });
});

describe("shard_probe", () => {
  test("writes each time", async () => {
    await call(app, "shard_probe");
    await call(app, "shard_probe");
    assert.equal(await root.value("SELECT probes FROM shard_health"), "2");
  });

  test("fails like any write if writes fail; reads go on", async () => {
    const user = await newUser(app);
    await root.run("SET GLOBAL read_only = 1");
    try {
      await assert.rejects(call(app, "shard_probe"), { errno: 1290 });
      assert.equal((await one(app, "user_get", ownerOp(user))).code, "ok");
    } finally {
      await root.run("SET GLOBAL read_only = 0");
    }
    await call(app, "shard_probe");
    assert.ok(await call(app, "conn_open", key()));
  });
});
