/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* scripts/deploy-procedures.sh: a new version of tables and routines, shard by shard while requests
 * go on. It checks all shards first, stops at the first that fails, and later goes on where it
 * stopped. */

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { cpSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { CODE } from "../lib/api.js";
import { Cluster, ROOT } from "../lib/cluster.js";
import { until } from "../lib/wait.js";

const STEP = `-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
-- Version 2: what a client noted beside a key.

USE doushard;

ALTER TABLE idem
    ADD COLUMN note INT NOT NULL DEFAULT 0
        COMMENT 'what the client noted';

INSERT INTO schema_version (version, slug, serves, applied_at, applied_by, checksum)
SELECT 2,
       'note',
       1,
       0,
       CURRENT_USER(),
       COALESCE(@schema_checksum, '');
`;

let cluster;
let next;
let going = true;
let load;
const codes = [];

before(async () => {
  cluster = await Cluster.up({ shards: 2 });
  next = join(cluster.dir, "next");
  for (const name of ["scripts", "procedures"]) cpSync(join(ROOT, name), join(next, name), { recursive: true });
  writeFileSync(join(next, "procedures", "schema", "0002_note.sql"), STEP);
  const file = join(next, "procedures", "slot", "slot_stats.sql");
  writeFileSync(file, readFileSync(file, "utf8").replace("COMMENT 'v1: rows", "COMMENT 'v2 serves v1: rows"));
  const users = [];
  for (let i = 0; i < 8; i++) users.push(await cluster.api.register());
  load = (async () => {
    for (let i = 0; going; i++) {
      const [a, b] = [users[i % 8], users[(i + 3) % 8]];
      codes.push((await cluster.api.follow(a.token, b.id, 1 + ((i >> 3) % 2))).status_code);
    }
  })();
});
after(() => cluster?.down());

/* Resolves to { status, out }. */
function deploy(...args) {
  return new Promise((done, failed) => {
    const child = spawn(
      join(next, "scripts", "deploy-procedures.sh"),
      [
        `--topology=${cluster.files.topology}`,
        `--defaults-file=${cluster.files.root_cnf}`,
        `--readyz=${cluster.server.adminUrl}/readyz`,
        "--soak=0",
        ...args,
      ],
      { stdio: ["ignore", "pipe", "pipe"], env: cluster.env },
    );
    let out = "";
    for (const stream of [child.stdout, child.stderr])
      stream.on("data", (chunk) => {
        out += chunk;
      });
    child.on("error", failed);
    child.on("close", (status) => done({ status, out }));
  });
}

const versions = async () => (await cluster.sqlAll("SELECT MAX(version) AS v FROM schema_version")).map(({ v }) => v);

test("it checks all shards first, stops at the first that fails, and goes on from there; no request fails", async () => {
  const dry = await deploy("--dry-run");
  assert.equal(dry.status, 0, dry.out);
  for (const name of ["shard1", "shard2"])
    assert.match(dry.out, new RegExp(`${name}: would load schema version 1 to 2[^]*1 of \\d+ routines`));
  assert.deepEqual(await versions(), [1, 1]);

  const file = join(next, "procedures", "schema", "0002_note.sql");
  writeFileSync(file, STEP.replace("       1,\n       0,", "       2,\n       0,"));
  const harm = await deploy();
  assert.equal(harm.status, 1, harm.out);
  assert.match(
    harm.out,
    /\[ERR\] shard1 cannot be brought to this version; nothing was changed: [^]*does not serve version 1 of the tables/,
  );
  assert.deepEqual(await versions(), [1, 1]);
  writeFileSync(file, STEP);

  /* Somebody reads the table that gets a new column, and does not stop. */
  const reader = cluster.session("shard2");
  await reader.run("START TRANSACTION; SELECT COUNT(*) FROM idem");
  const stopped = await deploy("--patience=3");
  assert.equal(stopped.status, 1, stopped.out);
  assert.match(
    stopped.out,
    /\[OK\] shard1: loaded schema version 1 to 2[^]*\[ERR\] shard2: [^]*gave up after 3 s[^]*the same command goes on/,
  );
  assert.deepEqual(await versions(), [2, 1]);
  await reader.run("COMMIT");
  await reader.end();

  const done = await deploy();
  assert.equal(done.status, 0, done.out);
  assert.match(
    done.out,
    /\[OK\] shard1: up to date[^]*\[OK\] shard2: loaded schema version 1 to 2[^]*\[OK\] 1 of 2 shards brought up to date/,
  );
  assert.deepEqual(await versions(), [2, 2]);
  assert.equal((await deploy()).out.match(/up to date, schema version 2/g).length, 2);

  going = false;
  await load;
  assert.deepEqual([...new Set(codes)], [CODE.OK]);
});

test("a server that reports a problem stops it before the first shard", async () => {
  writeFileSync(
    join(next, "procedures", "slot", "slot_stats.sql"),
    readFileSync(join(next, "procedures", "slot", "slot_stats.sql"), "utf8").replace("COMMENT 'v2", "COMMENT 'v3"),
  );
  await cluster.sql("shard2", "CALL shard_pause('a test')");
  await until("the server to find it", async () => (await fetch(`${cluster.server.adminUrl}/readyz`)).status === 503);
  const stopped = await deploy("--patience=1");
  assert.equal(stopped.status, 1, stopped.out);
  assert.match(stopped.out, /not every server is content before the first shard: [^]*shard2 is paused/);
  await cluster.sql("shard2", "CALL shard_resume()");
  assert.match((await deploy("--dry-run")).out, /shard1: would load 1 of \d+ routines \(slot_stats\)/);
});
