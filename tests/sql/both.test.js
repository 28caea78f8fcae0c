/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Edges whose halves one shard makes in one transaction: the rows are the same as when the halves
 * are made one after the other, and if a slot is moving only the first half is made. */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";

import { account, batch, newUser, newVideo, nameIn, one, ownerOp, owners, race, shard, version } from "./lib.js";

let server;
let root;
let app;
before(async () => ({ server, root, app } = await shard()));
after(() => server?.stop());

const KINDS = {
  favorite: {
    action: "favorite_action",
    deliver: "favorite_deliver",
    forward: "favorite",
    other: "video_id",
    backward: "liker",
    owner: "video_id",
    actor: "user_id",
    table: "video",
    target: async (name) => newVideo(app, await newUser(app, name)),
    gone: (target) =>
      root.run(`UPDATE video SET state = 'deleted' WHERE slot = ${target.slot} AND video_id = ${target.id}`),
  },
  follow: {
    action: "relation_action",
    deliver: "relation_deliver",
    forward: "follow",
    other: "followed_id",
    backward: "follower",
    owner: "user_id",
    actor: "follower_id",
    table: "inbound",
    target: (name) => newUser(app, name),
    gone: (target) =>
      root.run(`UPDATE user AS u JOIN inbound AS i ON i.slot = u.slot AND i.user_id = u.user_id
      SET u.state = 'erased', i.state = 'erased' WHERE u.slot = ${target.slot} AND u.user_id = ${target.id}`),
  },
};

/* As a server writes an operation: for both halves, and for the first half only. */
const apart = (user, target, state) => ({
  target: Number(target.id),
  state,
  slot: user.slot,
  epoch: 1,
  owner: Number(user.id),
});
const both = (user, target, state, fields = {}) => {
  const { slot, epoch, owner, ...rest } = apart(user, target, state);
  return { ...rest, target_slot: target.slot, target_epoch: 1, slot, epoch, owner, ...fields };
};

const userRow = async (user) => (await root.rows(`SELECT * FROM user WHERE user_id = ${user.id}`))[0];
const outbox = (user) => root.rows(`SELECT target_id, ver FROM outbox WHERE actor_id = ${user.id}`);
const forward = async (is, user, target) =>
  (
    await root.rows(
      `SELECT state, ver, at FROM ${is.forward} WHERE user_id = ${user.id} AND ${is.other} = ${target.id}`,
    )
  )[0];
const backward = async (is, target, user) =>
  (
    await root.rows(
      `SELECT state, ver, at FROM ${is.backward} WHERE ${is.owner} = ${target.id} AND ${is.actor} = ${user.id}`,
    )
  )[0];
const targetRow = async (is, target) =>
  (await root.rows(`SELECT * FROM ${is.table} WHERE ${is.owner} = ${target.id}`))[0];
const told = ([{ code, pending }]) => [code, pending];

for (const [kind, is] of Object.entries(KINDS)) {
  describe(is.action, () => {
    /* One operation and two operations take different paths. */
    for (const crowd of [0, 1]) {
      const beside = async () => (crowd ? [both(await newUser(app), await is.target(), 1)] : []);
      /* Makes a CALL with OP, alone or beside another one; returns its row. */
      const send = async (op) => {
        const ops = [op, ...(await beside())].sort((a, b) => a.slot - b.slot || a.owner - b.owner);
        return batch(app, is.action, ops).then((rows) => [rows[ops.indexOf(op)]]);
      };
      const how = crowd ? "beside another" : "alone";

      test(`on, again, off: both halves with one version, no outbox row (${how})`, async () => {
        const [user, target] = [await newUser(app), await is.target()];
        const [on] = await send(both(user, target, 1));
        assert.deepEqual([on.code, on.pending, on.ver], ["ok", "0", version(1)]);
        assert.deepEqual(await backward(is, target, user), { state: "1", ver: version(1), at: on.at });
        assert.deepEqual(await forward(is, user, target), { state: "1", ver: version(1), at: on.at });
        const counted = await targetRow(is, target);
        assert.deepEqual(told(await send(both(user, target, 1))), ["same", "0"]);
        assert.deepEqual(await targetRow(is, target), counted);
        assert.deepEqual(told(await send(both(user, target, 0))), ["ok", "0"]);
        assert.equal((await backward(is, target, user)).state, "0");
        assert.equal((await backward(is, target, user)).ver, version(2));
        assert.equal((await userRow(user))[`${kind}_count`], "0");
        assert.deepEqual(await outbox(user), []);
      });

      test(`a target that is gone is refused and nothing is written; undoing is done in the first half (${how})`, async () => {
        const [user, target, nobody] = [await newUser(app), await is.target(), { id: "4096000", slot: 5 }];
        await send(both(user, target, 1));
        await is.gone(target);
        assert.deepEqual(told(await send(both(user, target, 0))), ["ok", "0"]);
        assert.equal((await backward(is, target, user)).state, "1", "it is gone and stays unchanged");
        const before_ = [await userRow(user), await forward(is, user, target), await targetRow(is, target)];
        assert.deepEqual(told(await send(both(user, target, 1))), ["notfound", null]);
        assert.deepEqual(told(await send(both(user, nobody, 1))), ["notfound", null]);
        assert.deepEqual([await userRow(user), await forward(is, user, target), await targetRow(is, target)], before_);
        assert.equal(await forward(is, user, nobody), undefined);
        assert.deepEqual(await outbox(user), []);
      });

      test(`an older outbox row of the edge is removed; one with the same version is still delivered (${how})`, async () => {
        const [user, target] = [await newUser(app), await is.target()];
        const first = await one(app, is.action, apart(user, target, 1));
        assert.deepEqual(told([first]), ["ok", "1"]);
        assert.deepEqual(told(await send(both(user, target, 1))), ["same", "1"]);
        assert.equal(await backward(is, target, user), undefined);
        assert.deepEqual(told(await send(both(user, target, 0))), ["ok", "0"]);
        assert.deepEqual(await outbox(user), []);
        assert.equal((await backward(is, target, user)).ver, version(2));
        const late = ownerOp(target, {
          actor: Number(user.id),
          state: 1,
          ver: Number(first.ver),
          at: Number(first.at),
        });
        assert.equal((await one(app, is.deliver, late)).code, "same");
      });

      test(`if a slot is moving, or has another epoch, only the first half is made, as usual (${how})`, async () => {
        const [user, target] = [await newUser(app, nameIn(30)), await is.target(nameIn(31))];
        const changes = [
          [30, "state = 'migrating'"],
          [30, "journal = 1"],
          [31, "state = 'migrating'"],
          [31, "journal = 1"],
          [31, "has_home = 1"],
          [31, "state = 'ready'"],
          [31, "state = 'moved', server = 'shard2', epoch = 2"],
          [31, "epoch = 2"],
          [31, "heard_epoch = 2"],
        ];
        let state = 0;
        for (const [slot, change] of changes) {
          state ^= 1;
          await root.run(`UPDATE slot_fence SET ${change} WHERE slot = ${slot}`);
          assert.deepEqual(told(await send(both(user, target, state))), ["ok", "1"], change);
          await root.run(
            `UPDATE slot_fence SET state = 'owned', journal = 0, has_home = 0, epoch = 1, server = 'shard1', heard_epoch = 0 WHERE slot = ${slot}`,
          );
          assert.equal((await outbox(user)).length, 1);
        }
        assert.equal(await backward(is, target, user), undefined);
        const [row] = await send(both(user, target, 0, { target_slot: 1023 }));
        assert.deepEqual(
          [row.code, row.pending],
          ["notfound", null].map((_x, i) => (state === 0 ? ["same", "1"][i] : ["ok", "0"][i])),
        );
        await root.run(`UPDATE slot_fence SET state = 'moved', server = 'shard2', epoch = 2 WHERE slot = 30`);
        assert.equal((await send(both(user, target, 1)))[0].code, "moved");
        await root.run(`UPDATE slot_fence SET state = 'owned', server = 'shard1', epoch = 1 WHERE slot = 30`);
        await root.run("DELETE FROM slot_log");
      });
    }

    test("versions are above the epochs of both slots", async () => {
      const [user, target] = [await newUser(app, nameIn(40)), await is.target(nameIn(41))];
      await root.run("UPDATE slot_fence SET epoch = slot - 35 WHERE slot IN (40, 41)");
      const row = await one(app, is.action, both(user, target, 1, { epoch: 5, target_epoch: 6 }));
      assert.deepEqual([row.code, row.pending, row.ver], ["ok", "0", version(1, 5)]);
      assert.equal((await targetRow(is, target)).ver, version(1, 6));
      const others = [await newUser(app), await newUser(app)].sort((a, b) => a.slot - b.slot || a.id - b.id);
      assert.deepEqual(
        (
          await batch(
            app,
            is.action,
            others.map((other) => both(other, target, 1, { target_epoch: 6 })),
          )
        ).map(({ pending }) => pending),
        ["0", "0"],
      );
      assert.equal((await targetRow(is, target)).ver, version(2, 6));
      await root.run("UPDATE slot_fence SET epoch = 1 WHERE slot IN (40, 41)");
    });

    test("returns the rows of targets as they are then", async () => {
      const [user, other, target] = [await newUser(app), await newUser(app), await is.target()];
      const wanted = kind === "favorite" ? ["video_id", "favorite_count"] : ["user_id", "follower_count"];
      const alone = await owners(app, is.action, both(user, target, 1));
      assert.deepEqual(
        wanted.map((name) => alone[1][0][name]),
        [target.id, "1"],
      );
      const ops = [both(user, target, 0), both(other, target, 1)].sort((a, b) => a.slot - b.slot || a.owner - b.owner);
      const two = await owners(app, is.action, ops);
      assert.deepEqual(
        two[1].map((row) => wanted.map((name) => row[name])),
        [[target.id, "1"]],
      );
      assert.equal(two.length, kind === "favorite" ? 3 : 2);
      assert.equal((await owners(app, is.action, apart(user, target, 1))).slice(1).flat().length, 0);
    });

    test("two first ones at the same time, or one together with its delivery, count once", async () => {
      const [user, target] = [await newUser(app), await is.target()];
      const other = account(server, "app");
      const lock = `SELECT 1 FROM user WHERE user_id = ${user.id} FOR UPDATE`;
      const work = (session) => one(session, is.action, both(user, target, 1));
      assert.deepEqual((await race(server, root, lock, [app, work], [other, work])).map(({ code }) => code).sort(), [
        "ok",
        "same",
      ]);
      const off = await one(app, is.action, apart(user, target, 0));
      const half = ownerOp(target, { actor: Number(user.id), state: 0, ver: Number(off.ver), at: Number(off.at) });
      await race(
        server,
        root,
        `SELECT 1 FROM ${is.table} WHERE ${is.owner} = ${target.id} FOR UPDATE`,
        [app, work],
        [other, (session) => one(session, is.deliver, half)],
      );
      assert.equal((await backward(is, target, user)).state, "1");
      assert.equal((await targetRow(is, target))[kind === "favorite" ? "favorite_count" : "follower_count"], "1");
      await other.end();
    });
  });
}

/* ---- Two worlds ---- */

/** Numbers below N that look random and are the same in each run. */
function dice(seed) {
  let state = seed;
  return (n) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * n);
  };
}

async function newWorld() {
  const users = [];
  for (let i = 0; i < 6; i++) users.push(await newUser(app));
  const videos = [];
  for (const author of users.slice(0, 3)) videos.push(await newVideo(app, author));
  return { users, videos, names: new Map([...users, ...videos].map(({ id }, i) => [id, `id ${i}`])) };
}

const TABLES = {
  user: "user_id, state, follow_count, favorite_count, ver, edge_ver",
  inbound: "user_id, follower_count, total_favorited, ver, follower_ver",
  video: "video_id, state, favorite_count, ver",
  favorite: "user_id, video_id, state, ver",
  liker: "user_id, video_id, state, ver",
  follow: "user_id, followed_id, state, ver",
  follower: "user_id, follower_id, state, ver",
  outbox: "actor_id, kind, target_id, ver",
};

/** All rows of a world; without VERSIONS, only the edges and counters. */
async function rowsOf({ users, videos, names }, versions) {
  const ids = [...users, ...videos].map(({ id }) => id).join();
  const all = {};
  for (const [table, columns] of Object.entries(TABLES)) {
    if (table === "outbox" && !versions) continue; /* who is refused leaves what waited before, see relay() */
    const edge = !versions && /state, ver$/.test(columns) && !["user", "video"].includes(table);
    const wanted = versions ? columns : columns.replace(/, (?:edge_|follower_)?ver\b/g, "");
    const rows = await root.rows(
      `SELECT ${wanted} FROM ${table} WHERE ${columns.split(",")[0]} IN (${ids})${edge ? " AND state = 1" : ""}`,
    );
    all[table] = rows
      .map((row) =>
        Object.values(row)
          .map((value) => names.get(value) ?? value)
          .join(" "),
      )
      .sort();
  }
  return all;
}

/** Delivers one pending second half and removes it from the outbox, or takes it back, as a server
 * does. */
async function finish({ deliver, kind }, ops, rows) {
  const due = ops.map((op, i) => ({ op, row: rows[i] })).filter(({ row }) => row.pending === "1");
  if (due.length === 0) return rows.map(({ code }) => code);
  const slots = new Map(
    (await root.rows("SELECT video_id AS id, slot FROM video UNION SELECT user_id, slot FROM user")).map(
      ({ id, slot }) => [Number(id), Number(slot)],
    ),
  );
  const halves = due
    .map(({ op, row }) => ({
      actor: op.owner,
      state: op.state,
      ver: Number(row.ver),
      at: Number(row.at),
      slot: slots.get(op.target),
      epoch: 1,
      owner: op.target,
      row,
    }))
    .sort((a, b) => a.slot - b.slot || a.owner - b.owner);
  const said = await batch(
    app,
    deliver,
    halves.map(({ row, ...half }) => half),
  );
  const codes = new Map(halves.map(({ row }, i) => [row, said[i].code]));
  for (const [routine, refused] of [
    ["outbox_done", false],
    ["outbox_undo", true],
  ]) {
    const names = due
      .filter(({ row }) => (codes.get(row) === "notfound") === refused)
      .map(({ op, row }) => ({
        kind,
        target: op.target,
        seq: 0,
        ver: Number(row.ver),
        slot: op.slot,
        epoch: 1,
        owner: op.owner,
      }));
    if (names.length > 0) await batch(app, routine, names);
  }
  return ops.map(({ state }, i) => (codes.get(rows[i]) === "notfound" && state === 1 ? "notfound" : rows[i].code));
}

/** Delivers everything pending in a world, as the relay does; fails if something remains. */
async function relay({ users }) {
  for (const [kind, is] of Object.entries(KINDS)) {
    const due = await root.rows(`SELECT x.slot, x.actor_id, x.target_id, x.ver, e.state, x.at FROM outbox AS x
      JOIN ${is.forward} AS e ON e.slot = x.slot AND e.user_id = x.actor_id AND e.${is.other} = x.target_id
      WHERE x.kind = '${kind}' AND x.actor_id IN (${users.map(({ id }) => id)}) ORDER BY x.slot, x.actor_id`);
    const ops = due.map(({ slot, actor_id, target_id, state }) =>
      apart({ slot: Number(slot), id: actor_id }, { id: target_id }, Number(state)),
    );
    await finish(
      { deliver: is.deliver, kind },
      ops,
      due.map((row) => ({ ...row, code: "ok", pending: "1" })),
    );
  }
  assert.equal(await root.value(`SELECT COUNT(*) FROM outbox WHERE actor_id IN (${users.map(({ id }) => id)})`), "0");
}

/** Does STEPS batches in two worlds, in the first with both halves at once. */
async function compare(seed, steps, spoil, versions) {
  const worlds = [await newWorld(), await newWorld()];
  for (const world of worlds) await spoil?.(world);
  const roll = dice(seed);
  const seen = new Set();
  for (let step = 0; step < steps; step++) {
    const [kind, action, deliver] = roll(2)
      ? ["favorite", "favorite_action", "favorite_deliver"]
      : ["follow", "relation_action", "relation_deliver"];
    const left = roll(6) === 0 && !versions; /* nothing is delivered */
    const picks = Array.from({ length: roll(3) ? 1 + roll(8) : 1 }, () => [roll(6), roll(5), roll(2), roll(3)]);
    const run = async (world, at) => {
      const ops = new Map();
      for (const [user, other, state, far] of picks) {
        const actor = world.users[user];
        const target = kind === "favorite" ? world.videos[other % 3] : world.users[(user + 1 + other) % 6];
        const op =
          at === 0 && !left && (versions || far > 0) ? both(actor, target, state) : apart(actor, target, state);
        ops.set(`${op.owner} ${op.target}`, op);
      }
      const list = [...ops.values()];
      const order = list.map((_, i) => i).sort((a, b) => list[a].slot - list[b].slot || list[a].owner - list[b].owner);
      const rows = await batch(
        app,
        action,
        order.map((i) => list[i]),
      );
      const codes = left
        ? rows.map(({ code }) => code)
        : await finish(
            { deliver, kind },
            order.map((i) => list[i]),
            rows,
          );
      return list.map((_, i) => codes[order.indexOf(i)]);
    };
    const [codes, twins] = [await run(worlds[0], 0), await run(worlds[1], 1)];
    assert.deepEqual(codes, twins, `step ${step} of ${action}: ${JSON.stringify(picks)}`);
    codes.forEach((code) => seen.add(code));
    assert.deepEqual(
      await rowsOf(worlds[0], versions),
      await rowsOf(worlds[1], versions),
      `after step ${step} of ${action}: ${JSON.stringify(picks)}`,
    );
  }
  for (const world of worlds) await relay(world);
  assert.deepEqual(await rowsOf(worlds[0], versions), await rowsOf(worlds[1], versions));
  return [...seen].sort();
}

test("both halves at once give the same rows as two CALLs, including versions", async () => {
  assert.deepEqual(await compare(3, 200, undefined, true), ["ok", "same"]);
});

test("also with deleted, banned and erased targets: the same edges, counters and answers", async () => {
  const spoil = async ({ users, videos }) => {
    await root.run(`UPDATE user SET state = 'banned' WHERE user_id = ${users[1].id}`);
    await root.run(`UPDATE inbound SET state = 'banned' WHERE user_id = ${users[1].id}`);
    await root.run(`UPDATE user SET state = 'erased' WHERE user_id = ${users[4].id}`);
    await root.run(`UPDATE inbound SET state = 'erased' WHERE user_id IN (${users[2].id}, ${users[4].id})`);
    await root.run(`UPDATE video SET state = 'deleted' WHERE video_id = ${videos[1].id}`);
  };
  assert.deepEqual(await compare(5, 200, spoil, false), ["notfound", "ok", "same"]);
});
