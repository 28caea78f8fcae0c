/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* One operation, many on one video, and any other batch take different paths (_.._one, _.._hot,
 * _.._batch): all do the same and return the same. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { batch, call, key, newUser, newVideo, one, ownerOp, shard, version } from "./lib.js";

let server;
let root;
let app;
before(async () => ({ server, root, app } = await shard()));
after(() => server?.stop());

const STEPS = 400;

/** Users and videos in every state, and what names them in an answer or a row: the same in each
 * world. */
async function newWorld() {
  const users = [];
  for (let i = 0; i < 6; i++) users.push(await newUser(app));
  const videos = [];
  for (const author of users.slice(0, 3)) videos.push(await newVideo(app, author, { media: key() }));
  const known = new Map(
    [...users, ...videos].flatMap((thing, i) => [
      [thing.id, `id ${i}`],
      [thing.name ?? thing.media, `name ${i}`],
    ]),
  );
  const say = (value) => known.get(value) ?? value;
  const plain = (rows) =>
    rows.map((row) =>
      Object.fromEntries(
        Object.entries(row)
          .filter(([name]) => !["slot", "at", "due_at", "published_at"].includes(name))
          .map(([name, value]) => [name, say(value)]),
      ),
    );
  return { users, videos, plain };
}

/** Numbers below N that look random and are the same in each run. */
function dice(seed) {
  let state = seed;
  return (n) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * n);
  };
}

/** Operations for world W; the I-th is the same in all worlds. */
function operation(roll, i) {
  const [what, user, thing, state, fresh, here] = [roll(3), roll(6), roll(4), roll(2), roll(4), roll(3)];
  const ver = fresh > 0 ? i + 1 : Math.max(1, i - 20);
  return (w) => {
    const actor = w.users[user];
    const video = w.videos[thing] ?? { slot: w.users[0].slot, id: "8" };
    const there = ({ slot }) => (here > 0 ? { target_slot: slot, target_epoch: 1 } : {});
    if (what === 0) return ["favorite_action", ownerOp(actor, { target: Number(video.id), state, ...there(video) })];
    if (what === 1) {
      const other = w.users[(user + 1 + thing) % 6];
      return ["relation_action", ownerOp(actor, { target: Number(other.id), state, ...there(other) })];
    }
    return [
      "favorite_deliver",
      ownerOp(video, { actor: Number(actor.id), state, ver: Number(version(ver)), at: 1000 + i }),
    ];
  };
}

const TABLES = [
  ["user", "user_id"],
  ["inbound", "user_id"],
  ["video", "video_id"],
  ["favorite", "user_id"],
  ["follow", "user_id"],
  ["liker", "video_id"],
  ["follower", "user_id"],
  ["outbox", "actor_id"],
];
const COLUMNS = {
  user: "user_id, name, state, follow_count, favorite_count, work_count, ver, edge_ver, mail_ver",
  inbound: "user_id, state, follower_count, total_favorited, ver, follower_ver, mail_ver",
  video: "video_id, author_id, state, favorite_count, comment_count, ver, comment_ver",
  favorite: "user_id, video_id, state, ver",
  follow: "user_id, followed_id, state, ver",
  liker: "video_id, user_id, state, ver, at",
  follower: "user_id, follower_id, state, ver, pos",
  outbox: "actor_id, kind, target_id, seq, ver, attempts, parked",
};

async function rowsOfWorld({ users, videos, plain }) {
  const ids = [...users, ...videos].map(({ id }) => id).join();
  const all = {};
  for (const [table, column] of TABLES) {
    const rows = plain(await root.rows(`SELECT ${COLUMNS[table]} FROM ${table} WHERE ${column} IN (${ids})`));
    all[table] = rows.map((row) => JSON.stringify(row)).sort();
  }
  return all;
}

/** Two equal worlds in which every user has changed. */
async function newWorlds() {
  const worlds = [await newWorld(), await newWorld()];
  for (const { users, videos } of worlds) {
    await root.run(`UPDATE user SET state = 'banned' WHERE user_id = ${users[1].id}`);
    await root.run(`UPDATE inbound SET state = 'banned' WHERE user_id = ${users[1].id}`);
    await root.run(`UPDATE user SET state = 'erased' WHERE user_id = ${users[4].id}`);
    await root.run(`UPDATE inbound SET state = 'erased' WHERE user_id IN (${users[2].id}, ${users[4].id})`);
    await root.run(`UPDATE video SET state = 'deleted' WHERE video_id = ${videos[1].id}`);
    await root.run(
      `UPDATE user SET favorite_count = 5, ver = 7, edge_ver = ${version(900)} WHERE user_id = ${users[5].id}`,
    );
  }
  return worlds;
}

test("one operation does and returns the same as a batch", async () => {
  const worlds = await newWorlds();
  const roll = dice(7);
  const seen = new Set();
  for (let i = 0; i < STEPS; i++) {
    const make = operation(roll, i);
    const [routine, op] = make(worlds[0]);
    const asOne = worlds[0].plain((await root.run(`CALL _${routine}_one('${JSON.stringify([op])}', @done)`)).flat());
    const [, twin] = make(worlds[1]);
    const asBatch = worlds[1].plain((await call(root, `_${routine}_batch`, JSON.stringify([twin]))).flat());
    assert.deepEqual(asOne, asBatch, `${routine} ${JSON.stringify(op)}`);
    seen.add(`${routine} ${asOne[0].code} ${asOne.length}`);
    if (asOne[0].code === "same" && asOne[0].pending === "1")
      await root.run(`DELETE FROM outbox WHERE actor_id IN (${op.owner}, ${twin.owner})`);
  }
  assert.deepEqual(await rowsOfWorld(worlds[0]), await rowsOfWorld(worlds[1]));
  assert.deepEqual([...seen].sort(), [
    "favorite_action notfound 1",
    "favorite_action notfound 2",
    "favorite_action notfound 3",
    "favorite_action ok 2",
    "favorite_action ok 3",
    "favorite_action ok 4",
    "favorite_action same 2",
    "favorite_deliver notfound 1",
    "favorite_deliver notfound 2",
    "favorite_deliver ok 3",
    "favorite_deliver same 3",
    "relation_action notfound 1",
    "relation_action notfound 2",
    "relation_action ok 2",
    "relation_action ok 3",
    "relation_action same 2",
  ]);
});

/** The second half of a like as a server writes it. */
const half = (video, actor, state, ver, at) => ({
  actor: Number(actor.id),
  state,
  ver,
  at,
  slot: video.slot,
  epoch: 1,
  owner: Number(video.id),
});

test("many operations on one video do and return the same as a batch", async () => {
  const worlds = await newWorlds();
  const roll = dice(11);
  const seen = new Set();
  for (let i = 0; i < STEPS / 4; i++) {
    const [thing, users, state, fresh] = [roll(4), 2 + roll(5), roll(2), roll(4)];
    const first = roll(6);
    const ops = (w) =>
      Array.from({ length: users }, (_, n) =>
        half(
          w.videos[thing] ?? { slot: w.users[0].slot, id: "8" },
          w.users[(first + n) % 6],
          (state + (n > 2 ? 1 : 0)) % 2,
          Number(version(fresh > 0 ? 10 * i + n + 1 : Math.max(1, 10 * (i - 9)))),
          1000 + i,
        ),
      );
    const [asHot, asBatch] = [
      await root.run(`CALL _favorite_deliver_hot('${JSON.stringify(ops(worlds[0]))}', @done); SELECT @done AS done`),
      await call(root, "_favorite_deliver_batch", JSON.stringify(ops(worlds[1]))),
    ];
    assert.equal(asHot.flat().pop().done, "1");
    assert.deepEqual(
      worlds[0].plain(asHot.flat().slice(0, -1)),
      worlds[1].plain(asBatch.flat()),
      JSON.stringify(ops(worlds[0])),
    );
    for (const row of asBatch.flat()) if (row.code) seen.add(`${row.code} ${asBatch.flat().length - users}`);
  }
  assert.deepEqual(await rowsOfWorld(worlds[0]), await rowsOfWorld(worlds[1]));
  assert.deepEqual([...seen].sort(), ["notfound 0", "notfound 1", "ok 2", "same 2"]);
});

/** The first half of a like as a server writes it, with its video on the same shard. */
const first = (user, video, state) => ({
  target: Number(video.id),
  state,
  target_slot: video.slot,
  target_epoch: 1,
  slot: user.slot,
  epoch: 1,
  owner: Number(user.id),
});

const inOrder = (ops) => ops.sort((a, b) => a.slot - b.slot || a.owner - b.owner);

test("many likes of one video on the same shard do and return the same as a batch", async () => {
  const worlds = await newWorlds();
  const roll = dice(13);
  const seen = new Set();
  /* The worlds have their users in different orders. */
  const answers = (w, ops, sets) => {
    const of = (n) => w.plain([{ owner: String(ops[n - 1].owner) }])[0].owner;
    return sets.map((rows) =>
      w
        .plain(rows.map(({ n, ...rest }) => ({ ...rest, ...(n && { n: of(n) }) })))
        .map((row) => JSON.stringify(row))
        .sort(),
    );
  };
  for (let i = 0; i < STEPS / 4; i++) {
    const [thing, users, state, from, late] = [roll(4), 2 + roll(5), roll(2), roll(6), roll(4)];
    const ops = worlds.map((w) =>
      inOrder(
        Array.from({ length: users }, (_, n) =>
          first(
            w.users[(from + n) % 6],
            w.videos[thing] ?? { slot: w.users[0].slot, id: "8" },
            (state + (n > 2 ? 1 : 0)) % 2,
          ),
        ),
      ),
    );
    if (late === 0)
      /* rows that wait in the outbox, and deliveries that come first */
      for (const [w, list] of ops.entries()) {
        const { target_slot, target_epoch, ...apart } = list.find(
          ({ owner }) => String(owner) === worlds[w].users[from].id,
        );
        await call(root, "favorite_action", JSON.stringify([apart]));
        await call(
          root,
          "favorite_deliver",
          JSON.stringify([
            {
              actor: apart.owner,
              state: 1,
              ver: Number(version(i + 3)),
              at: 5,
              slot: target_slot,
              epoch: 1,
              owner: apart.target,
            },
          ]),
        );
      }
    const asHot = await root.run(`CALL _favorite_action_hot('${JSON.stringify(ops[0])}', @done); SELECT @done AS done`);
    assert.equal(asHot.pop()[0].done, "1");
    const asBatch = await call(root, "_favorite_action_batch", JSON.stringify(ops[1]));
    assert.deepEqual(
      answers(
        worlds[0],
        ops[0],
        asHot.filter((rows) => rows.length > 0),
      ),
      answers(
        worlds[1],
        ops[1],
        asBatch.filter((rows) => rows.length > 0),
      ),
      JSON.stringify(ops[0]),
    );
    assert.deepEqual(await rowsOfWorld(worlds[0]), await rowsOfWorld(worlds[1]), JSON.stringify(ops[0]));
    for (const { code, pending } of asBatch[0]) seen.add(`${code} ${pending}`);
  }
  assert.deepEqual([...seen].sort(), ["notfound null", "ok 0", "same 0", "same 1"]);
});

test("anything but many likes of one video here, in slots that do not move, is left to the batch and changes nothing", async () => {
  const [user, other, author] = [await newUser(app), await newUser(app), await newUser(app)];
  const [video, another] = [await newVideo(app, author), await newVideo(app, author)];
  const good = inOrder([first(user, video, 1), first(other, video, 1)]);
  const done = async (text) => {
    const sets = await root.run(`CALL _favorite_action_hot('${text}', @done); SELECT @done AS done`);
    assert.equal(sets.flat().length, 1, text);
    return sets.flat()[0].done;
  };
  const spoilt = (fields) => JSON.stringify([good[0], { ...good[1], ...fields }]);
  const third = inOrder([...good, first(author, another, 1)]);
  const texts = [
    "[]",
    "nonsense",
    "{}",
    spoilt({ target: Number(another.id) }),
    JSON.stringify(third),
    JSON.stringify([good[0], good[0]]),
    JSON.stringify(good, null, 1),
    JSON.stringify([...good].reverse()),
    JSON.stringify(good.map(({ target_slot, target_epoch, ...op }) => op)),
    JSON.stringify(good.map((op) => ({ ...op, target_epoch: 2 }))),
    ...[
      { state: 2 },
      { state: true },
      { epoch: 2 },
      { more: 1 },
      { target_slot: 5 },
      { target_epoch: 2 },
      { target_epoch: 0 },
      { target_slot: -1 },
      { owner: 0 },
    ].map(spoilt),
  ];
  for (const text of texts) assert.equal(await done(text), "0", text);
  for (const slot of [user.slot, video.slot])
    for (const change of ["state = 'migrating'", "journal = 1", "has_home = 1", "state = 'ready'"]) {
      await root.run(`UPDATE slot_fence SET ${change} WHERE slot = ${slot}`);
      assert.equal(await done(JSON.stringify(good)), "0", change);
      await root.run(`UPDATE slot_fence SET state = 'owned', journal = 0, has_home = 0 WHERE slot = ${slot}`);
    }
  assert.equal(await root.value(`SELECT COUNT(*) FROM favorite WHERE video_id IN (${video.id}, ${another.id})`), "0");
  assert.deepEqual(
    (await batch(app, "favorite_action", good)).map(({ code, pending }) => `${code} ${pending}`),
    ["ok 0", "ok 0"],
  );
  assert.equal(await root.value(`SELECT favorite_count FROM video WHERE video_id = ${video.id}`), "2");
});

test("anything but many operations on one video in a slot that does not move is left to the batch and changes nothing", async () => {
  const [user, author] = [await newUser(app), await newUser(app)];
  const [video, other] = [await newVideo(app, author), await newVideo(app, author)];
  const good = [half(video, user, 1, 1, 1), half(video, author, 1, 1, 1)];
  const done = async (text) => {
    const sets = await root.run(`CALL _favorite_deliver_hot('${text}', @done); SELECT @done AS done`);
    assert.equal(sets.flat().length, 1, text);
    return sets.flat()[0].done;
  };
  const spoilt = (fields) => JSON.stringify([good[0], { ...good[1], ...fields }]);
  const texts = [
    "[]",
    "nonsense",
    "{}",
    JSON.stringify([good[0], half(other, user, 1, 1, 1)]),
    JSON.stringify([good[0], half(other, user, 1, 1, 1), good[1]]),
    JSON.stringify([good[0], good[0]]),
    JSON.stringify(good, null, 1),
    JSON.stringify(good).slice(0, -1),
    JSON.stringify(good.map((op) => ({ ...op, owner: 0 }))),
    JSON.stringify(good.map((op) => ({ ...op, epoch: 2 }))),
    JSON.stringify(good.map((op) => ({ ...op, slot: 70_000 }))),
    JSON.stringify(good.map((op) => ({ ...op, slot: -1 }))),
    JSON.stringify(Array.from({ length: 257 }, (_, i) => half(video, { id: i + 1 }, 1, 1, 1))),
    ...[
      { actor: 0 },
      { actor: "5" },
      { state: 2 },
      { state: true },
      { ver: 0 },
      { ver: 1.5 },
      { at: -1 },
      { at: null },
      { epoch: 2 },
      { slot: 1023 },
      { more: 1 },
    ].map(spoilt),
  ];
  for (const text of texts) assert.equal(await done(text), "0", text);
  for (const change of ["state = 'migrating'", "journal = 1", "has_home = 1", "state = 'ready'"]) {
    await root.run(`UPDATE slot_fence SET ${change} WHERE slot = ${video.slot}`);
    assert.equal(await done(JSON.stringify(good)), "0", change);
    await root.run(`UPDATE slot_fence SET state = 'owned', journal = 0, has_home = 0 WHERE slot = ${video.slot}`);
  }
  assert.equal(await root.value(`SELECT COUNT(*) FROM liker WHERE video_id IN (${video.id}, ${other.id})`), "0");
  assert.deepEqual(
    (await batch(app, "favorite_deliver", good)).map(({ code }) => code),
    ["ok", "ok"],
  );
  assert.equal(await root.value(`SELECT favorite_count FROM video WHERE video_id = ${video.id}`), "2");
});

test("anything but one operation in a slot that does not move is left to the batch and changes nothing", async () => {
  const [user, author] = [await newUser(app), await newUser(app)];
  const video = await newVideo(app, author);
  const like = ownerOp(user, { target: Number(video.id), state: 1 });
  const deliver = ownerOp(video, { actor: Number(user.id), state: 1, ver: 1, at: 1 });
  const done = async (routine, ops) => {
    const text = typeof ops === "string" ? ops : JSON.stringify(ops);
    const sets = await root.run(`CALL _${routine}_one('${text}', @done); SELECT @done AS done`);
    assert.equal(sets.flat().length, 1, text);
    return sets.flat()[0].done;
  };
  for (const [routine, op] of [
    ["favorite_action", like],
    ["relation_action", like],
    ["favorite_deliver", deliver],
  ]) {
    for (const ops of [
      "[]",
      "nonsense",
      "{}",
      [op, op],
      [{ ...op, slot: -1 }],
      [{ ...op, state: 2 }],
      [{ ...op, owner: 0 }],
      [{ ...op, epoch: 2 }],
      [{ ...op, slot: 70_000 }],
      ...(op.target
        ? [
            [{ ...op, target_slot: 5 }],
            [{ ...op, target_slot: -1, target_epoch: 1 }],
            [{ ...op, target_slot: 5, target_epoch: "x" }],
          ]
        : []),
    ])
      assert.equal(await done(routine, ops), "0", JSON.stringify(ops));
    for (const change of ["state = 'migrating'", "journal = 1", "has_home = 1", "state = 'ready'"]) {
      await root.run(`UPDATE slot_fence SET ${change} WHERE slot = ${op.slot}`);
      assert.equal(await done(routine, [op]), "0", change);
      await root.run(`UPDATE slot_fence SET state = 'owned', journal = 0, has_home = 0 WHERE slot = ${op.slot}`);
    }
  }
  assert.equal((await one(app, "favorite_action", like)).code, "ok");
});
