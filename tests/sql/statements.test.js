/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* How many statements a CALL of one operation is made of: each costs a shard about as much as a row does. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { newUser, newVideo, one, ownerOp, shard } from "./lib.js";

let server;
let root;
let app;
before(async () => ({ server, root, app } = await shard({ options: [
  "--performance-schema=ON", "--performance-schema-instrument=statement/%=ON",
  "--performance-schema-consumer-events-statements-history-long=ON",
  "--performance-schema-consumer-events-statements-current=ON",
] })));
after(() => server?.stop());

/** Statements inside of a CALL of ROUTINE that is nothing new to its session; SET, IF and CALL are not counted. */
async function statements(routine, make) {
  for (let i = 0; i < 2; i++) {
    await root.run("TRUNCATE performance_schema.events_statements_history_long");
    assert.equal((await one(app, routine, make())).code, "ok");
  }
  return Number(await root.value(`SELECT COUNT(*) FROM performance_schema.events_statements_history_long
    WHERE event_name = 'statement/sp/stmt' AND object_schema = 'doushard'
      AND sql_text NOT LIKE 'CALL %' AND sql_text NOT LIKE 'SET %'`));
}

test("a like is 10 statements at who likes, and 11 at the video", async () => {
  const [user, author] = [await newUser(app), await newUser(app)];
  const video = await newVideo(app, author);
  let state = 0;
  let ver = 0;
  assert.equal(await statements("favorite_action", () => ownerOp(user, { target: Number(video.id), state: (state ^= 1) })), 10);
  assert.equal(await statements("favorite_deliver", () => ownerOp(video, { actor: Number(user.id), state: (ver += 1) % 2, ver, at: 1 })), 11);
});
