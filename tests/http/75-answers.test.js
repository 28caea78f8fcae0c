/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Answers of a shard that do not say what was done: the client is still told the truth. */

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { after, test } from "node:test";
import { CODE, uniqueName } from "../lib/api.js";
import { Cluster, slowdown } from "../lib/cluster.js";
import { TcpProxy } from "../lib/proxy.js";
import { until } from "../lib/wait.js";

const SHARD = "shard1";
/* Time for all attempts of a request, even if each one waits a second for a lock. */
const cluster = await Cluster.up({ shards: 1, options: { request_timeout: "15s" } });
after(() => cluster.down());
const { api } = cluster;

/* A second server that reaches the shard through a proxy of the test. */
const proxy = await TcpProxy.start({ port: cluster.shard(SHARD).port });
after(() => proxy.stop());
const lossy = await cluster.addServer({
  topology_file: cluster.topology({ [SHARD]: proxy.port }),
  db_call_timeout: `${slowdown()}s`,
});
await lossy.start();
const lossyApi = cluster.apiOf(lossy);

const [ann, ben] = [await api.register(), await api.register()];
const sent = async (text) =>
  (
    await cluster.sql(
      SHARD,
      `SELECT message_id FROM message WHERE user_id = ${ann.id} AND sent = 1 AND text = '${text}'`,
    )
  ).length;

const served = () =>
  until("the shard to be served", async () => (await lossyApi.user(ann.token, ben.id)).status_code === CODE.OK);

/* Every way in which a shard can commit and then not say so. */
const RIDDLES = {
  "an error on COMMIT": { error: 1180 },
  "a server that shuts down": { error: 1053 },
  "a session that was killed": { error: 1927 },
  "a statement that was interrupted": { error: 1317 },
  "memory that ran out for the answer": { error: 1041 },
  "a wait for a lock behind the first rows": { error: 1205, late: true },
  "a deadlock behind the first rows": { error: 1213, late: true },
  "a full disk behind the first rows": { error: 1021, late: true },
  "an error nobody knows behind the first rows": { error: 4242, late: true },
  "an answer without rows": "no-rows",
};

for (const [what, riddle] of Object.entries(RIDDLES))
  test(`${what}: the op decides, the client is told "done", and it is done once`, async () => {
    const text = uniqueName("text");
    await served();
    proxy.once(/message_action/, riddle);
    const answer = await lossyApi.say(ann.token, ben.id, text);
    proxy.rule = null;
    assert.deepEqual([answer.status_code, await sent(text)], [CODE.OK, 1], JSON.stringify(answer));
  });

for (const [what, riddle] of Object.entries(RIDDLES))
  test(`${what}, every time: "unknown", with how to repeat it, never "busy"`, async () => {
    const text = uniqueName("text");
    await served();
    const headers = { "Idempotency-Key": randomBytes(16).toString("hex") };
    proxy.once(/message_action/, riddle, 1000);
    const answer = await lossyApi.say(ann.token, ben.id, text, { headers });
    proxy.rule = null;
    assert.deepEqual([answer.status_code, await sent(text)], [CODE.UNKNOWN, 1], JSON.stringify(answer));
    assert.match(answer.status_msg, /Idempotency-Key/);
    const again = await until("the shard to be taken back", async () => {
      const json = await lossyApi.say(ann.token, ben.id, text, { headers });
      return json.status_code === CODE.OK && json;
    });
    assert.deepEqual([again.status_code, await sent(text)], [CODE.OK, 1], "the same key finds the same row");
  });

test("the same with a read: it is repeated, and at worst the shard is unavailable", async () => {
  await served();
  proxy.once(/user_get/, { error: 1053 });
  assert.equal((await lossyApi.user(ann.token, ben.id)).status_code, CODE.OK);
  proxy.once(/user_get/, { error: 1053 }, 1000);
  const answer = await lossyApi.user(ann.token, ben.id);
  proxy.rule = null;
  assert.ok([CODE.UNAVAILABLE, CODE.BUSY].includes(answer.status_code), JSON.stringify(answer));
});

/* A table is altered while somebody reads it: later readers wait behind the ALTER. The message is
 * held up inside its transaction, after it has locked the tables that it has written; once it has
 * committed, anything more that it wants to read of them waits behind the ALTER until it gets error
 * 1205. */
for (const table of ["message", "outbox"])
  test(`an ALTER of ${table} waits behind a reader, a message is under way: "busy" only if nothing was written`, async () => {
    assert.equal((await api.say(ann.token, ben.id, uniqueName("first"))).status_code, CODE.OK);
    const text = uniqueName("text");
    const [reader, holder, changer] = [1, 2, 3].map(() => cluster.session(SHARD));
    const waits = (what, query) =>
      until(what, async () => (await cluster.sql(SHARD, query)).length > 0, {
        everyMs: 150,
      }); /* innodb_trx returns old rows if it is read more often than every 100 ms */
    try {
      await reader.run(`START TRANSACTION; SELECT COUNT(*) FROM ${table}`);
      await holder.run(
        `START TRANSACTION; SELECT * FROM chat WHERE user_id = ${ann.id} AND peer_id = ${ben.id} FOR UPDATE`,
      );
      const answered = api.say(ann.token, ben.id, text);
      await waits(
        "the message to wait",
        "SELECT trx_id FROM information_schema.innodb_trx WHERE trx_state = 'LOCK WAIT'",
      );
      const changed = changer.run(
        `SET lock_wait_timeout = 60; ALTER TABLE ${table} COMMENT = 'changed', ALGORITHM = INSTANT`,
      );
      await waits(
        "the ALTER to wait",
        `SELECT id FROM information_schema.processlist
        WHERE state LIKE 'Waiting for table metadata%' AND info LIKE 'ALTER%'`,
      );
      await holder.run("ROLLBACK");
      const answer = await answered;
      await reader.run("ROLLBACK");
      await changed;
      const isThere = await sent(text);
      const allowed = isThere ? [CODE.OK] : [CODE.BUSY, CODE.UNAVAILABLE, CODE.UNKNOWN];
      assert.ok(allowed.includes(answer.status_code), `${isThere} rows and ${JSON.stringify(answer)}`);
    } finally {
      await Promise.all([reader, holder, changer].map((session) => session.end()));
    }
  });
