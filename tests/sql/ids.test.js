/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Minting ids: parallel clients whose clocks jump by an hour make many ids; none is made twice, and
 * the ids of a slot increase in the order in which they were made.
 *
 * DOUSHARD_TEST_IDS: how many ids (default 20000; the long run makes 1000000). */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import {
  account,
  batch,
  call,
  nameIn,
  newUser,
  newVideo,
  publishOp,
  registerOp,
  shard,
  sha256,
  slotOfId,
  slotOfName,
  timeOfId,
} from "./lib.js";

const TOTAL = Number(process.env.DOUSHARD_TEST_IDS ?? 20_000);
const CLIENTS = 4;
const BATCH = 250;
/* Reading all rows takes longer the more there are. */
const SCAN_MS = 60_000 + TOTAL;

let server;
let root;
let app;
before(async () => ({ server, root, app } = await shard()));
after(() => server?.stop());

const NOW = 1_900_000_000; /* s since the Unix epoch; the clock of the test */
const freeze = (session, seconds) => session.run(`SET timestamp = ${seconds}`);
const numberOf = (id) => (BigInt(id) >> 13n) * 8n + (BigInt(id) & 7n);

test(`${TOTAL} ids from ${CLIENTS} clients with jumping clocks: none twice, increasing per slot`, async () => {
  const slots = Array.from({ length: 8 }, (_, i) => 100 + i);
  const authors = [];
  for (const slot of slots) {
    authors.push(await newUser(app, nameIn(slot)));
  }
  const made = [];
  const file = sha256("a file");
  const client = async (number) => {
    const session = account(server, "app");
    for (let round = 0; made.length < TOTAL; round++) {
      const hours = ((round + number) % 3) - 1;
      await freeze(session, `UNIX_TIMESTAMP() + ${hours * 3600}`);
      let rows;
      if (round % 4 === 3) {
        const ops = Array.from({ length: BATCH / 10 }, () =>
          registerOp(nameIn(slots[(round + number) % slots.length])),
        );
        rows = await batch(session, "user_register", ops);
        made.push(...rows.map((row) => row.user_id));
      } else {
        /* Every second slot, so that two clients work at the same time and yet all of them meet in
         * every slot. */
        const some = authors.filter((_, i) => (i + round + number) % 2 === 0);
        const ops = some.flatMap((author) =>
          Array.from({ length: Math.floor(BATCH / some.length) }, () =>
            publishOp(author, { media: "m", sha256: file }),
          ),
        );
        rows = await batch(session, "publish_action", ops);
        made.push(...rows.map((row) => row.video_id));
      }
      assert.ok(rows.every((row) => row.code === "ok"));
      /* In the order of the array, separately in each slot. */
      for (let i = 1; i < rows.length; i++) {
        if (rows[i].slot === rows[i - 1].slot) {
          const [before_, id] = [rows[i - 1], rows[i]].map((row) => BigInt(row.video_id ?? row.user_id));
          assert.ok(id > before_);
        }
      }
      await freeze(session, "DEFAULT");
    }
    await session.end();
  };
  await Promise.all(Array.from({ length: CLIENTS }, (_, i) => client(i)));

  assert.ok(made.length >= TOTAL);
  assert.equal(new Set(made).size, made.length);
  assert.ok(made.every((id) => slots.includes(slotOfId(id)) && BigInt(id) < 2n ** 53n));
  /* The rows exist, and the times of videos are unique in their slot. One slot at a time in key
   * order: all of them at once would sort the whole table. */
  let found = 0;
  for (const slot of slots) {
    const [row] = await root.rows(
      `
      SELECT COUNT(*) AS videos, SUM(v.published_at = v.before_) AS twice,
             SUM((v.video_id DIV 8) MOD 1024 <> ${slot} OR v.video_id DIV 8192 + 1735689600000 <> v.published_at) AS wrong
        FROM (SELECT video_id, published_at, LAG(published_at) OVER (ORDER BY video_id) AS before_
                FROM video WHERE slot = ${slot}) AS v`,
      SCAN_MS,
    );
    assert.deepEqual([row.twice, row.wrong], ["0", "0"], `slot ${slot}`);
    found += Number(row.videos);
  }
  const [{ users }] = await root.rows("SELECT COUNT(*) AS users FROM user", SCAN_MS);
  assert.equal(found + Number(users), made.length + authors.length);
});

test("after a clock is set back, ids go on where they were; when it is right again, it counts", async () => {
  const user = await newUser(app, nameIn(200));
  const ids = [];
  for (const seconds of [NOW, NOW - 3600, NOW - 3600, NOW, NOW + 3600, NOW]) {
    await freeze(app, seconds);
    ids.push((await newVideo(app, user)).id);
  }
  await freeze(app, "DEFAULT");
  assert.deepEqual(
    ids.map((id) => timeOfId(id) - NOW * 1000),
    [0, 1, 2, 3, 3_600_000, 3_600_001],
  );
});

test("a full millisecond borrows the next one", async () => {
  const slot = 201;
  await freeze(app, NOW);
  const rows = await batch(
    app,
    "user_register",
    Array.from({ length: 20 }, () => registerOp(nameIn(slot))),
  );
  await freeze(app, "DEFAULT");
  const numbers = rows.map((row) => numberOf(row.user_id) - BigInt(NOW * 1000 - 1735689600000) * 8n);
  assert.deepEqual(
    numbers,
    Array.from({ length: 20 }, (_, i) => BigInt(i)),
  );
  assert.ok(rows.every((row) => slotOfId(row.user_id) === slot));
});

test("a video takes a new millisecond, a user after it the next number", async () => {
  const slot = 202;
  await freeze(app, NOW);
  const user = await newUser(app, nameIn(slot));
  const video = await newVideo(app, user);
  const next = await newUser(app, nameIn(slot));
  const last = await newVideo(app, next);
  await freeze(app, "DEFAULT");
  const at = (id) => Number(numberOf(id) - BigInt(NOW * 1000 - 1735689600000) * 8n);
  assert.deepEqual(
    [user, video, next, last].map(({ id }) => at(id)),
    [0, 8, 9, 16],
  );
});

test("a batch takes its numbers in the order of the array, in each slot separately", async () => {
  const authors = [];
  for (const slot of [203, 203, 204]) {
    authors.push(await newUser(app, nameIn(slot)));
  }
  authors.sort((a, b) => a.slot - b.slot || Number(BigInt(a.id) - BigInt(b.id)));
  await freeze(app, NOW);
  const rows = await batch(
    app,
    "publish_action",
    authors.map((author) => publishOp(author)),
  );
  await freeze(app, "DEFAULT");
  assert.deepEqual(
    rows.map((row) => Number(row.published_at) - NOW * 1000),
    [0, 1, 0],
  );
});

test("the time zone of the session does not matter", async () => {
  const user = await newUser(app, nameIn(205));
  await freeze(app, NOW);
  await app.run("SET time_zone = '+12:30'");
  const video = await newVideo(app, user);
  await app.run("SET time_zone = DEFAULT");
  await freeze(app, "DEFAULT");
  assert.equal(video.at, NOW * 1000);
});

test("a clock beyond the range of ids is refused and changes nothing", async () => {
  const user = await newUser(app, nameIn(206));
  const last = await root.value("SELECT last FROM slot_seq WHERE slot = 206");
  await root.run("UPDATE slot_seq SET last = 8796093022207 WHERE slot = 206");
  await assert.rejects(newVideo(app, user), { state: "45503" });
  await assert.rejects(batch(app, "user_register", registerOp(nameIn(206))), { state: "45503" });
  assert.equal(await root.value("SELECT last FROM slot_seq WHERE slot = 206"), "8796093022207");
  await root.run(`UPDATE slot_seq SET last = ${last} WHERE slot = 206`);
  await newVideo(app, user);
});

test("the mint moves with its slot: ids go on above those of a faster clock", async () => {
  const user = await newUser(app, nameIn(207));
  await freeze(app, "UNIX_TIMESTAMP() + 3600");
  const first = await newVideo(app, user);
  await freeze(app, "DEFAULT");
  const last = await root.value("SELECT last FROM slot_seq WHERE slot = 207");
  await root.run("DELETE FROM slot_seq WHERE slot = 207");
  await assert.rejects(newVideo(app, user), { state: "45503" });
  await root.run(`INSERT INTO slot_seq (slot, last) VALUES (207, ${last})`);
  const next = await newVideo(app, user);
  assert.equal(next.at, first.at + 1);
});

test("the rows of 300 users and videos are where slot_where says", async () => {
  const monitor = account(server, "monitor");
  const users = [];
  for (let i = 0; i < 300; i++) {
    const op = registerOp();
    users.push(op);
  }
  users.sort((a, b) => a.slot - b.slot);
  for (let i = 0; i < users.length; i += 100) {
    const some = users.slice(i, i + 100);
    const rows = await batch(app, "user_register", some);
    const authors = rows
      .map((row) => ({ id: row.user_id, slot: Number(row.slot) }))
      .sort((a, b) => a.slot - b.slot || Number(BigInt(a.id) - BigInt(b.id)));
    const videos = await batch(
      app,
      "publish_action",
      authors.map((author) => publishOp(author)),
    );
    for (const [table, id] of [
      ...rows.map((row) => ["user", row.user_id]),
      ...videos.map((row) => ["video", row.video_id]),
    ]) {
      const [{ slot, state }] = (await call(monitor, "slot_where", BigInt(id)))[0];
      assert.equal(state, "owned");
      assert.deepEqual(await root.rows(`SELECT slot FROM ${table} WHERE ${table}_id = ${id}`), [{ slot }]);
    }
  }
  const spread = new Set(users.map((op) => slotOfName(op.name)));
  assert.ok(spread.size > 200, `300 names in ${spread.size} slots`);
  await monitor.end();
});
