/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* procedures/session/: opening, checking and touching sessions. */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";

import {
  FAR,
  account,
  batch,
  call,
  journals,
  key,
  nameIn,
  newUser,
  obeysFence,
  obeysForwarding,
  one,
  ownerOp,
  race,
  refused,
  refusesBadBatch,
  shard,
} from "./lib.js";

const HOUR = 3_600_000;

let server;
let root;
let app;
before(async () => ({ server, root, app } = await shard()));
after(() => server?.stop());

const where = (user) => `slot = ${user.slot} AND user_id = ${user.id}`;
const sessions = (user) =>
  root
    .rows(`SELECT LOWER(HEX(session)) AS id FROM session WHERE ${where(user)} ORDER BY created_at, session`)
    .then((rows) => rows.map((row) => row.id));
const openOp = (user, fields = {}) => ownerOp(user, { session: key(), expires_at: FAR, max: 32, ...fields });

describe("session_open", () => {
  test("adds a session; a replay changes nothing", async () => {
    const user = await newUser(app);
    const op = openOp(user);
    assert.equal((await one(app, "session_open", op)).code, "ok");
    const before_ = await root.rows(`SELECT * FROM session WHERE ${where(user)}`);
    assert.equal((await one(app, "session_open", { ...op, expires_at: FAR - 1 })).code, "same");
    assert.deepEqual(await root.rows(`SELECT * FROM session WHERE ${where(user)}`), before_);
    assert.equal(before_.length, 2);
  });

  test("keeps the newest ones, and always the new one", async () => {
    const user = await newUser(app);
    const opened = [];
    for (let i = 0; i < 4; i++) {
      const op = openOp(user, { max: 3 });
      await app.run(`SET timestamp = ${1_800_000_000 + i}`);
      assert.equal((await one(app, "session_open", op)).code, "ok");
      opened.push(op.session);
    }
    assert.deepEqual(await sessions(user), opened.slice(1));
    await app.run("SET timestamp = 1700000000");
    const late = openOp(user, { max: 2 });
    assert.equal((await one(app, "session_open", late)).code, "ok");
    await app.run("SET timestamp = DEFAULT");
    assert.deepEqual(await sessions(user), [late.session, opened[3]]);
    const only = openOp(user, { max: 1 });
    await one(app, "session_open", only);
    assert.deepEqual(await sessions(user), [only.session]);
  });

  test("removes expired sessions first", async () => {
    const user = await newUser(app);
    const ops = [openOp(user, { expires_at: 1000 }), openOp(user)];
    await one(app, "session_open", ops[0]);
    await one(app, "session_open", { ...ops[1], max: 2 });
    assert.deepEqual((await sessions(user)).sort(), [user.op.session, ops[1].session].sort());
  });

  test("several logins of one user in one batch", async () => {
    const user = await newUser(app);
    const ops = [openOp(user, { max: 2 }), openOp(user, { max: 2 }), openOp(user, { max: 2 })];
    const rows = await batch(app, "session_open", [...ops, ops[2]]);
    assert.deepEqual(
      rows.map((row) => row.code),
      ["ok", "ok", "ok", "same"],
    );
    assert.equal((await sessions(user)).length, 2);
    assert.ok((await sessions(user)).includes(ops[2].session));
  });

  test("unknown and erased users", async () => {
    const user = await newUser(app);
    assert.equal((await one(app, "session_open", openOp({ ...user, id: 1 }))).code, "notfound");
    await root.run(
      `UPDATE user JOIN inbound USING (slot, user_id) SET user.state = 'erased', inbound.state = 'erased' WHERE ${where(user)}`,
    );
    assert.equal((await one(app, "session_open", openOp(user))).code, "notfound");
    assert.equal((await sessions(user)).length, 1);
  });

  test("bad arguments", async () => {
    await refusesBadBatch(app, "session_open", openOp({ slot: 1, id: 8 }), {
      owner: [0],
      session: ["", "g".repeat(32), "a".repeat(31), `${key()}0`],
      expires_at: [0, -1],
      max: [0, -1, "x"],
    });
  });

  test("logins at the same time never leave more than the limit", async () => {
    const user = await newUser(app);
    const other = account(server, "app");
    const ops = [openOp(user, { max: 1 }), openOp(user, { max: 1 })];
    const results = await race(
      server,
      root,
      `SELECT 1 FROM user WHERE ${where(user)} FOR UPDATE`,
      [app, (session) => one(session, "session_open", ops[0])],
      [other, (session) => one(session, "session_open", ops[1])],
    );
    assert.deepEqual(
      results.map((row) => row.code),
      ["ok", "ok"],
    );
    const left = await sessions(user);
    assert.equal(left.length, 1);
    assert.ok(ops.some((op) => op.session === left[0]));
  });

  test("fence, forwarding, journal", async () => {
    const user = await newUser(app, nameIn(90));
    await obeysFence(root, app, "session_open", 90, (epoch) => openOp(user, { epoch }));
    await obeysForwarding(root, app, "session_open", 90, user.id, () => openOp(user));
    await journals(
      root,
      90,
      async () => {
        const op = openOp(user, { max: 1 });
        assert.equal((await one(app, "session_open", op)).code, "ok");
        return op.session;
      },
      (session) => [`session ${user.id} ${user.id}`, `session ${user.id} ${user.id} ${session}`],
    );
  });
});

describe("session_get", () => {
  const checkOp = (user, session, fields = {}) => ownerOp(user, { session, idle_ms: HOUR, ...fields });
  const check = (user, session, { idle = HOUR } = {}) =>
    one(app, "session_get", checkOp(user, session, { idle_ms: idle }));
  const age = (user, seen, expires = FAR) =>
    root.run(`UPDATE session SET seen_at = _now_ms() - ${seen}, expires_at = ${expires} WHERE ${where(user)}`);

  test("a live session", async () => {
    const user = await newUser(app);
    assert.deepEqual(await check(user, user.op.session), {
      n: "1",
      code: "ok",
      slot: String(user.slot),
      epoch: "1",
      server: "shard1",
      touch: "0",
      expires_at: String(FAR),
    });
  });

  test("due for a touch after an hour; expired when idle or past its end", async () => {
    const user = await newUser(app);
    await age(user, HOUR + 1000);
    const row = await check(user, user.op.session, { idle: 2 * HOUR });
    assert.deepEqual([row.code, row.touch], ["ok", "1"]);
    assert.equal((await check(user, user.op.session, { idle: HOUR })).code, "expired");
    await age(user, 0, "_now_ms() - 1");
    assert.equal((await check(user, user.op.session)).code, "expired");
  });

  test("unknown sessions, somebody else's, an erased user's", async () => {
    const [user, other] = [await newUser(app), await newUser(app)];
    const row = await check(user, key());
    assert.deepEqual([row.code, row.touch, row.expires_at], ["notfound", null, null]);
    assert.equal((await check(other, user.op.session)).code, "notfound");
    await root.run(
      `UPDATE user JOIN inbound USING (slot, user_id) SET user.state = 'erased', inbound.state = 'erased' WHERE ${where(user)}`,
    );
    assert.equal((await check(user, user.op.session)).code, "notfound");
  });

  test("many at once: each has its own answer", async () => {
    const users = [await newUser(app), await newUser(app), await newUser(app, nameIn(91))];
    await age(users[1], 10 * HOUR);
    const sets = await batch(app, "session_get", [
      checkOp(users[0], users[0].op.session),
      checkOp(users[1], users[1].op.session),
      checkOp(users[0], users[1].op.session),
      checkOp(users[2], users[2].op.session),
      checkOp(users[1], users[1].op.session, { idle_ms: 11 * HOUR }),
      checkOp(users[0], users[0].op.session.toUpperCase()),
    ]);
    assert.deepEqual(
      sets.map((row) => [row.n, row.code]),
      [
        ["1", "ok"],
        ["2", "expired"],
        ["3", "notfound"],
        ["4", "ok"],
        ["5", "ok"],
        ["6", "ok"],
      ],
    );
  });

  test("session_check answers the same for one", async () => {
    const user = await newUser(app);
    const check = (...args) => call(app, "session_check", ...args).then((sets) => sets[0][0].code);
    assert.equal(await check(user.slot, 1, BigInt(user.id), user.op.session, HOUR), "ok");
    assert.equal(await check(user.slot, 1, BigInt(user.id), key(), HOUR), "notfound");
    await refused(app, "45400", "session_check", user.slot, 1, BigInt(user.id), null, HOUR);
  });

  test("bad batches", async () => {
    const user = await newUser(app);
    await refusesBadBatch(app, "session_get", checkOp(user, user.op.session), {
      session: ["a".repeat(31), "a".repeat(33), "", "g".repeat(32), 1],
      idle_ms: [0, -1, 1.5, "x", 10_000_000_000_000, "9223372036854775807"],
      owner: [0],
    });
  });

  test("fence and forwarding", async () => {
    const user = await newUser(app, nameIn(91));
    const make = (epoch) => ({ ...checkOp(user, user.op.session), epoch });
    await obeysFence(root, app, "session_get", 91, make);
    await obeysForwarding(root, app, "session_get", 91, user.id, make);
  });
});

describe("session_touch", () => {
  const touchOp = (user, session, fields = {}) => ownerOp(user, { session, ...fields });
  const seen = (user) => root.value(`SELECT seen_at FROM session WHERE ${where(user)}`).then(Number);

  test("moves the time forward, never back; a replay does no harm", async () => {
    const user = await newUser(app);
    await root.run(`UPDATE session SET seen_at = 5 WHERE ${where(user)}`);
    assert.equal((await one(app, "session_touch", touchOp(user, user.op.session))).code, "ok");
    const now = Number(await root.value("SELECT _now_ms()"));
    assert.ok(Math.abs((await seen(user)) - now) < 60_000);
    await root.run(`UPDATE session SET seen_at = ${FAR} WHERE ${where(user)}`);
    assert.equal((await one(app, "session_touch", touchOp(user, user.op.session))).code, "ok");
    assert.equal(await seen(user), FAR);
  });

  test("unknown sessions", async () => {
    const user = await newUser(app);
    assert.equal((await one(app, "session_touch", touchOp(user, key()))).code, "notfound");
  });

  test("bad arguments", async () => {
    await refusesBadBatch(
      app,
      "session_touch",
      { slot: 1, epoch: 1, owner: 8, session: key() },
      {
        owner: [0],
        session: ["", "g".repeat(32), "a".repeat(31), `${key()}00`],
      },
    );
  });

  test("a touch and a logout at the same time", async () => {
    const user = await newUser(app);
    const other = account(server, "app");
    const op = touchOp(user, user.op.session);
    const [touched, ended] = await race(
      server,
      root,
      `SELECT 1 FROM session WHERE ${where(user)} FOR UPDATE`,
      [app, (session) => one(session, "session_touch", op)],
      [other, (session) => one(session, "user_logout", op)],
    );
    assert.ok(["ok", "notfound"].includes(touched.code));
    assert.equal(ended.code, "ok");
    assert.deepEqual(await sessions(user), []);
  });

  test("fence, forwarding, journal", async () => {
    const user = await newUser(app, nameIn(92));
    const make = (epoch) => touchOp(user, user.op.session, { epoch });
    await obeysFence(root, app, "session_touch", 92, make);
    await obeysForwarding(root, app, "session_touch", 92, user.id, make);
    await journals(
      root,
      92,
      () => one(app, "session_touch", make(1)),
      () => [`session ${user.id} ${user.id} ${user.op.session}`],
    );
  });
});
