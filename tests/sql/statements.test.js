/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* How many statements a CALL of one operation consists of: each one costs a shard about as much as a
 * row. Also what a repair reads while it holds locks. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { account, batch, call, newUser, newVideo, one, ownerOp, refused, shard, version } from "./lib.js";

let server;
let root;
let app;
before(
  async () =>
    ({ server, root, app } = await shard({
      options: [
        "--performance-schema=ON",
        "--performance-schema-instrument=statement/%=ON",
        "--performance-schema-consumer-events-statements-history-long=ON",
        "--performance-schema-consumer-events-statements-current=ON",
      ],
    })),
);
after(() => server?.stop());

/** Statements inside a CALL of ROUTINE that its session has made before; SET, IF and CALL are not
 * counted. */
async function statements(routine, make) {
  for (let i = 0; i < 2; i++) {
    await root.run("TRUNCATE performance_schema.events_statements_history_long");
    assert.equal((await one(app, routine, make())).code, "ok");
  }
  return Number(
    await root.value(`SELECT COUNT(*) FROM performance_schema.events_statements_history_long
    WHERE event_name = 'statement/sp/stmt' AND object_schema = 'doushard'
      AND sql_text NOT LIKE 'CALL %' AND sql_text NOT LIKE 'SET %'`),
  );
}

test("a like takes 10 statements for the user, 11 for the video; 15 in all if neither slot moves", async () => {
  const [user, author] = [await newUser(app), await newUser(app)];
  const video = await newVideo(app, author);
  let state = 0;
  let ver = 0;
  assert.equal(
    await statements("favorite_action", () => ownerOp(user, { target: Number(video.id), state: (state ^= 1) })),
    10,
  );
  const there = { target_slot: video.slot, target_epoch: 1 };
  assert.equal(
    await statements("favorite_action", () =>
      ownerOp(user, { target: Number(video.id), state: (state ^= 1), ...there }),
    ),
    15,
  );
  assert.equal(
    await statements("favorite_deliver", () =>
      ownerOp(video, { actor: Number(user.id), state: (ver += 1) % 2, ver: Number(version(50 + ver)), at: 1 }),
    ),
    11,
  );
});

test("repairing a user with many likers counts them before it locks anything", async () => {
  const author = await newUser(app);
  const video = await newVideo(app, author);
  const MANY = 3000;
  await root.run(`INSERT INTO liker (slot, video_id, user_id, state, ver, at)
    SELECT ${video.slot}, ${video.id}, seq, 1, seq, 1 FROM seq_1_to_${MANY}`);
  await root.run(`INSERT INTO follower (slot, user_id, follower_id, state, ver, at, pos)
    SELECT ${author.slot}, ${author.id}, seq, 1, seq, 1, seq FROM seq_1_to_${MANY}`);
  const admin = account(server, "admin");
  await root.run("TRUNCATE performance_schema.events_statements_history_long");
  const [[row]] = await call(admin, "user_repair", Number(author.id));
  assert.deepEqual([row.code, row.users, row.videos], ["ok", "1", "1"]);
  const list = await root.rows(`SELECT sql_text, rows_examined FROM performance_schema.events_statements_history_long
    WHERE event_name LIKE 'statement/sp/%' AND object_schema = 'doushard' ORDER BY thread_id, event_id`);
  const begin = list.findIndex(({ sql_text: text }) => /^START TRANSACTION/.test(text));
  /* What is not a statement of its own, such as SET, shows how many rows the whole CALL has examined
   * so far. */
  const examined = (part) => Math.max(...part.map(({ rows_examined: n }) => Number(n)));
  const [before, all] = [examined(list.slice(0, begin)), examined(list)];
  assert.ok(begin > 0 && before >= 2 * MANY, `${before} rows before the locks`);
  assert.ok(all - before < 50, `${all - before} rows after the locks`);
  assert.deepEqual(
    await root.rows(`SELECT total_favorited AS l, follower_count AS f FROM inbound
    WHERE slot = ${author.slot} AND user_id = ${author.id}`),
    [{ l: String(MANY), f: String(MANY) }],
  );
  await admin.end();
});

test("a batch as servers write it is not read number by number; any other batch gives the same result", async () => {
  const [user, author, ...fans] = [await newUser(app), await newUser(app), await newUser(app), await newUser(app)];
  const videos = [await newVideo(app, author), await newVideo(app, author)];
  const at = (owner) => ({ slot: owner.slot, epoch: 1, owner: Number(owner.id) });
  const row = (video, ver) => ({ kind: "favorite", target: Number(video.id), seq: 0, ver, ...at(user) });
  /* A routine, its batch at a time T, and what may be wrong with an operation of the batch. */
  const cases = [
    [
      "favorite_action",
      (t) => videos.map((video) => ({ target: Number(video.id), state: t % 2, ...at(user) })),
      { target: [0, -1, "x", 1.5, 1e300], state: [2, -1, true] },
    ],
    [
      "relation_action",
      (t) => [author, { id: 800 }].map((target) => ({ target: Number(target.id), state: t % 2, ...at(user) })),
      { target: [0, -1, Number(user.id)], state: [2] },
    ],
    [
      "favorite_action",
      (t) =>
        videos.map((video) => ({
          target: Number(video.id),
          state: (t + 1) % 2,
          target_slot: video.slot,
          target_epoch: 1,
          ...at(user),
        })),
      { target: [0], state: [2], target_slot: [-1, "x", 4294967296, null], target_epoch: [-1, "x", 1.5, null] },
    ],
    [
      "relation_action",
      (t) =>
        fans.map((target) => ({
          target: Number(target.id),
          state: t % 2,
          target_slot: target.slot,
          target_epoch: 1,
          ...at(user),
        })),
      { target: [0, Number(user.id)], state: [2], target_slot: [-1, null], target_epoch: ["x", null] },
    ],
    [
      "favorite_deliver",
      (t) =>
        videos.map((video) => ({
          actor: Number(user.id),
          state: t % 2,
          ver: Number(version(100 + t)),
          at: t,
          ...at(video),
        })),
      { actor: [0, "x"], state: [2], ver: [0, 1.5], at: [-1, "x"] },
    ],
    [
      "favorite_deliver",
      (t) => [808, 816].map((actor) => ({ actor, state: t % 2, ver: t, at: t, ...at(videos[0]) })),
      { actor: [0, "x"], state: [2], ver: [0, 1.5], at: [-1, "x"] },
    ],
    [
      "relation_deliver",
      (t) => [808, 816].map((actor) => ({ actor, state: t % 2, ver: t, at: t, ...at(author) })),
      { actor: [0, Number(author.id)], ver: [0], at: [-1, "18446744073709551616"] },
    ],
    [
      "outbox_done",
      (t) => videos.map((video) => row(video, t)),
      { kind: ["", "x", 'favorite"'], target: [0], seq: [1, "x"], ver: [0, -1] },
    ],
  ];
  const exactly = async (routine, text) => {
    await root.run("TRUNCATE performance_schema.events_statements_history_long");
    const codes = (await batch(app, routine, JSON.parse(text))).map((answer) => answer.code);
    const count = await root.value(
      "SELECT COUNT(*) FROM performance_schema.events_statements_history_long WHERE object_name = '_op_exact'",
    );
    return { codes, exact: Number(count) > 0 };
  };
  const written = (ops) => [
    JSON.stringify(ops),
    JSON.stringify(ops.map((op) => Object.fromEntries(Object.entries(op).reverse()))),
  ];
  for (const [routine, make, wrong] of cases) {
    const code = routine === "outbox_done" ? "same" : "ok";
    assert.deepEqual(await exactly(routine, written(make(1))[0]), { codes: [code, code], exact: false }, routine);
    assert.deepEqual(await exactly(routine, written(make(2))[1]), { codes: [code, code], exact: true }, routine);
    const good = make(3);
    for (const text of written(good)) {
      const list = JSON.parse(text);
      await refused(app, "45400", routine, JSON.stringify([list[0], list[0]]));
      await refused(
        app,
        "45400",
        routine,
        JSON.stringify([
          { ...list[0], slot: 1023 },
          { ...list[1], slot: 3 },
        ]),
      );
      await refused(
        app,
        "45400",
        routine,
        JSON.stringify(
          Array.from({ length: 257 }, (_, i) => ({
            ...list[0],
            slot: 7,
            [list[0].actor ? "actor" : "target"]: 8_000 + i,
          })),
        ),
      );
      await refused(app, "45400", routine, text.slice(0, -1));
      for (const [field, values] of Object.entries({
        ...wrong,
        slot: [-1, 4294967296],
        epoch: ["x"],
        owner: [0, null],
      })) {
        for (const value of values)
          await refused(app, "45400", routine, JSON.stringify([list[0], { ...list[1], [field]: value }]));
      }
    }
    assert.deepEqual(
      await exactly(routine, JSON.stringify(good)),
      { codes: [code, code], exact: false },
      `${routine} after refusals`,
    );
  }
});
