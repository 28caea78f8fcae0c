/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* `shardctl audit` finds what is wrong and nothing else: a clean cluster, planted differences, what
 * waits in the outbox, one shard alone, continuing from a checkpoint, and a shard that is down. */

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { Cluster, buildDir } from "../lib/cluster.js";
import { idOf, owners, plantVideos } from "../lib/rows.js";
import { literal } from "../lib/sql.js";

const program = join(buildDir(), "shardctl");
const AT = Date.now() - 3600000;
let cluster;
/* Users by name, each {id, slot, shard}; a and b are on shard1, c and d on shard2. */
const users = {};
let video;

const on = (who, text) => cluster.sql(who.shard, text);
const insert = (table, ...values) => `INSERT INTO ${table} VALUES (${values.map(literal).join(", ")});`;

function run(...args) {
  return new Promise((done, failed) => {
    const child = spawn(program, args, { stdio: ["ignore", "pipe", "pipe"], timeout: 60000 });
    let out = "";
    let err = "";
    child.stdout.on("data", (chunk) => {
      out += chunk;
    });
    child.stderr.on("data", (chunk) => {
      err += chunk;
    });
    child.on("error", failed);
    child.on("close", (status) => done({ status, err, lines: out.split("\n").filter(Boolean) }));
  });
}

const audit = (...args) =>
  run(
    "audit",
    `--topology=${cluster.files.topology}`,
    `--password-file=${join(cluster.dir, "secrets", "monitor_password")}`,
    ...args,
  );

/* A follows B: both halves and counters; ver is A's next version. */
async function follow(a, b, ver) {
  await on(
    a,
    `${insert("follow", a.slot, a.id, b.id, 1, ver, AT)}
    UPDATE user SET follow_count = follow_count + 1, edge_ver = ${ver} WHERE slot = ${a.slot} AND user_id = ${a.id}`,
  );
  await on(
    b,
    `${insert("follower", b.slot, b.id, a.id, 1, ver, AT, ver)}
    UPDATE inbound SET follower_count = follower_count + 1 WHERE slot = ${b.slot} AND user_id = ${b.id}`,
  );
}

before(async () => {
  assert.ok(existsSync(program), `${program} is not built: make ${program}`);
  cluster = await Cluster.up({ shards: 2, server: false });
  const owner = await owners(cluster);
  const slots = { shard1: [], shard2: [] };
  for (const [slot, shard] of owner) slots[shard].push(slot);
  for (const [i, name] of ["a", "b", "c", "d"].entries()) {
    const shard = i < 2 ? "shard1" : "shard2";
    const slot = slots[shard][i];
    const user = { shard, slot, id: idOf(AT, slot) };
    await on(
      user,
      `INSERT INTO user (slot, user_id, name, password_hash, created_at, op)
      VALUES (${[slot, user.id, `n${user.id}`, "$none$", AT, randomBytes(16)].map(literal).join(", ")});
      INSERT INTO inbound (slot, user_id) VALUES (${slot}, ${user.id})`,
    );
    users[name] = user;
  }
  const { a, b, c } = users;
  [video] = await plantVideos(cluster, [{ author: c.id, at: AT }]);
  await follow(a, c, 1);
  await follow(a, b, 2);
  await follow(c, a, 1);
  await on(
    a,
    `${insert("favorite", a.slot, a.id, video.id, 1, 3, AT)}
    UPDATE user SET favorite_count = 1, edge_ver = 3 WHERE slot = ${a.slot} AND user_id = ${a.id}`,
  );
  await on(
    c,
    `${insert("liker", c.slot, video.id, a.id, 1, 3, AT)}
    UPDATE video SET favorite_count = 1 WHERE slot = ${c.slot} AND video_id = ${video.id};
    UPDATE user JOIN inbound USING (slot, user_id) SET total_favorited = 1, work_count = 1
      WHERE slot = ${c.slot} AND user_id = ${c.id}`,
  );
  const op = randomBytes(16);
  const text = "hello";
  await on(a, insert("message", a.slot, a.id, c.id, AT, 4711, 1, 1, text, 1, op));
  await on(c, insert("message", c.slot, c.id, a.id, AT + 5, 4711, 0, 1, text, 1, op));
});

after(() => cluster?.down());

test("prints its usage", async () => {
  const help = await run("audit", "--help");
  assert.equal(help.status, 0);
  assert.match(help.lines.join("\n"), /usage: shardctl audit[^]*Exit status/);
  assert.equal((await run("audit")).status, 2);
  assert.equal((await run("frobnicate")).status, 2);
  assert.equal((await audit("--shard=shard9")).status, 2);
});

test("finds nothing where nothing is wrong", async () => {
  const { status, lines, err } = await audit();
  assert.deepEqual({ status, lines }, { status: 0, lines: [] }, err);
  assert.match(err, /\b14 rows checked, 0 differences/);
});

test("finds exactly what was planted", async (t) => {
  const { a, b, c, d } = users;
  const plans = [
    [
      "a missing second half",
      a,
      `INSERT INTO follow VALUES (${a.slot}, ${a.id}, ${d.id}, 1, 9, ${AT});
       UPDATE user SET follow_count = 3 WHERE slot = ${a.slot} AND user_id = ${a.id}`,
      `DELETE FROM follow WHERE followed_id = ${d.id};
       UPDATE user SET follow_count = 2 WHERE slot = ${a.slot} AND user_id = ${a.id}`,
      [`shard1 slot ${a.slot} follow ${a.id} -> ${d.id} : the second half is missing`],
    ],
    [
      "a wrong counter",
      c,
      `UPDATE inbound SET follower_count = 7 WHERE slot = ${c.slot} AND user_id = ${c.id}`,
      `UPDATE inbound SET follower_count = 1 WHERE slot = ${c.slot} AND user_id = ${c.id}`,
      [`shard2 slot ${c.slot} owners ${c.id} - : follower_count is 7, its rows are 1`],
    ],
    [
      "a wrong counter of a video",
      c,
      `UPDATE video SET comment_count = 1 WHERE slot = ${c.slot} AND video_id = ${video.id}`,
      `UPDATE video SET comment_count = 0 WHERE slot = ${c.slot} AND video_id = ${video.id}`,
      [`shard2 slot ${c.slot} owners ${c.id} - : 1 videos have counters that are not those of their rows`],
    ],
    [
      "a second half without a first",
      c,
      `INSERT INTO commented VALUES (${c.slot}, ${c.id}, ${video.id}, 99, 1, 1, ${AT})`,
      "DELETE FROM commented",
      [`shard2 slot ${c.slot} commented ${c.id} -> ${video.id} #99 : the first half is missing`],
    ],
    [
      "halves that differ",
      b,
      `UPDATE follower SET state = 0 WHERE slot = ${b.slot} AND user_id = ${b.id};
       UPDATE inbound SET follower_count = 0 WHERE slot = ${b.slot} AND user_id = ${b.id}`,
      `UPDATE follower SET state = 1 WHERE slot = ${b.slot} AND user_id = ${b.id};
       UPDATE inbound SET follower_count = 1 WHERE slot = ${b.slot} AND user_id = ${b.id}`,
      [`shard1 slot ${a.slot} follow ${a.id} -> ${b.id} : the halves have the same version and differ`],
    ],
    [
      "an older second half",
      b,
      `UPDATE follower SET ver = 1 WHERE slot = ${b.slot} AND user_id = ${b.id}`,
      `UPDATE follower SET ver = 2 WHERE slot = ${b.slot} AND user_id = ${b.id}`,
      [`shard1 slot ${a.slot} follow ${a.id} -> ${b.id} : the second half is older, and nothing waits in the outbox`],
    ],
    [
      "an older first half",
      b,
      `UPDATE follower SET ver = 5 WHERE slot = ${b.slot} AND user_id = ${b.id}`,
      `UPDATE follower SET ver = 2 WHERE slot = ${b.slot} AND user_id = ${b.id}`,
      [`shard1 slot ${b.slot} follower ${b.id} -> ${a.id} : the first half is older`],
    ],
    [
      "another text in the other mailbox",
      c,
      "UPDATE message SET text = 'hullo'",
      "UPDATE message SET text = 'hello'",
      [`shard1 slot ${a.slot} sent ${a.id} -> ${c.id} #1 : the halves have the same version and differ`],
    ],
    [
      "an edge to a user who does not exist",
      d,
      `INSERT INTO favorite VALUES (${d.slot}, ${d.id}, ${idOf(AT + 1, d.slot)}, 1, 1, ${AT});
       UPDATE user SET favorite_count = 1 WHERE slot = ${d.slot} AND user_id = ${d.id}`,
      `DELETE FROM favorite WHERE user_id = ${d.id};
       UPDATE user SET favorite_count = 0 WHERE slot = ${d.slot} AND user_id = ${d.id}`,
      [`shard2 slot ${d.slot} favorite ${d.id} -> ${idOf(AT + 1, d.slot)} : the other party never existed`],
    ],
  ];
  for (const [name, who, plant, heal, expected] of plans) {
    await t.test(name, async () => {
      await on(who, plant);
      try {
        const { status, lines, err } = await audit();
        assert.deepEqual({ status, lines }, { status: 1, lines: expected }, err);
      } finally {
        await on(who, heal);
      }
    });
  }
});

test("first halves that were purged are not reported as missing", async () => {
  const { b, c, d } = users;
  const gone = idOf(AT + 7, c.slot);
  await on(b, `INSERT INTO follower VALUES (${b.slot}, ${b.id}, ${d.id}, 0, 9, ${AT}, 99)`);
  await on(
    c,
    `INSERT INTO video (slot, video_id, author_id, title, media, sha256, size_bytes, duration_ms, width, height,
      state, published_at, favorite_count, op, deleted_at)
    SELECT slot, ${gone}, author_id, '', 'none', sha256, 1, 1, 1, 1, 'deleted', ${AT + 7}, 1, REPEAT('g', 16), ${AT + 8}
      FROM video WHERE video_id = ${video.id};
    INSERT INTO liker VALUES (${c.slot}, ${gone}, ${d.id}, 1, 5, ${AT})`,
  );
  const clean = await audit();
  await on(c, `UPDATE video SET state = 'live' WHERE video_id = ${gone}`);
  const live = await audit();
  await on(c, `DELETE FROM liker WHERE video_id = ${gone}; DELETE FROM video WHERE video_id = ${gone}`);
  await on(b, `DELETE FROM follower WHERE follower_id = ${d.id}`);
  assert.deepEqual({ status: clean.status, lines: clean.lines }, { status: 0, lines: [] }, clean.err);
  assert.ok(
    live.lines.includes(`shard2 slot ${c.slot} liker ${gone} -> ${d.id} : the first half is missing`),
    live.lines.join("; "),
  );
});

test("ignores what the outbox still has to deliver", async () => {
  const { a, d } = users;
  await on(
    a,
    `INSERT INTO follow VALUES (${a.slot}, ${a.id}, ${d.id}, 1, 9, ${AT});
    UPDATE user SET follow_count = 3 WHERE slot = ${a.slot} AND user_id = ${a.id};
    INSERT INTO outbox (slot, actor_id, kind, target_id, seq, ver, at, due_at)
    VALUES (${a.slot}, ${a.id}, 'follow', ${d.id}, 0, 9, ${AT}, ${AT})`,
  );
  const { status, lines, err } = await audit();
  assert.deepEqual({ status, lines }, { status: 0, lines: [] }, err);
  await on(a, "DELETE FROM outbox");
  assert.equal((await audit()).status, 1);
});

test("checks one shard alone, and prints JSON", async () => {
  const { a, d } = users;
  assert.deepEqual((await audit("--shard=shard2")).lines, []);
  const { status, lines } = await audit("--shard=shard1", "--json");
  assert.equal(status, 1);
  assert.deepEqual(
    lines.map((line) => JSON.parse(line)),
    [
      {
        shard: "shard1",
        slot: a.slot,
        table: "follow",
        owner: a.id,
        other: d.id,
        seq: 0,
        problem: "the second half is missing",
      },
    ],
  );
});

test("continues from a checkpoint, and stops at a shard that is down", async () => {
  const checkpoint = join(cluster.dir, "audit.checkpoint");
  const { a } = users;
  writeFileSync(checkpoint, `doushard-audit 1 shard1 sent 0 0 0 0 rows 6 differences 1\n`);
  const { status, lines, err } = await audit(`--checkpoint=${checkpoint}`);
  assert.deepEqual({ status, lines }, { status: 1, lines: [] }, err);
  assert.ok(!existsSync(checkpoint), "the checkpoint is still there");

  writeFileSync(checkpoint, "nonsense\n");
  assert.equal((await audit(`--checkpoint=${checkpoint}`)).status, 2);
  assert.equal(readFileSync(checkpoint, "utf8"), "nonsense\n");

  await cluster.demo("kill", "shard2");
  const down = await audit();
  assert.equal(down.status, 2, down.err);
  assert.match(down.err, /shard2/);
  await cluster.demo("start", "shard2");
  assert.deepEqual((await audit()).lines.length, 1, `the difference at ${a.id}`);
});
