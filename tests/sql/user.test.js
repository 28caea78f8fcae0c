/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* procedures/user/: registration, login, passwords, cards. */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";

import {
  FAR,
  account,
  batch,
  call,
  codes,
  journals,
  key,
  newName,
  newUser,
  nameIn,
  obeysFence,
  obeysForwarding,
  one,
  ownerOp,
  race,
  refused,
  refusesBadBatch,
  registerOp,
  shard,
  slotOfId,
  slotOfName,
  timeOfId,
  version,
} from "./lib.js";

let server;
let root;
let app;
before(async () => ({ server, root, app } = await shard()));
after(() => server?.stop());

const sessions = (user) =>
  root
    .rows(
      `SELECT LOWER(HEX(session)) AS id FROM session WHERE slot = ${user.slot} AND user_id = ${user.id} ORDER BY id`,
    )
    .then((rows) => rows.map((row) => row.id));
const hash = (user) => root.value(`SELECT password_hash FROM user WHERE slot = ${user.slot} AND user_id = ${user.id}`);
const erase = (user, state) =>
  root.run(`UPDATE user SET state = '${state}' WHERE slot = ${user.slot} AND user_id = ${user.id}`);
const userLock = (user) => `SELECT 1 FROM user WHERE slot = ${user.slot} AND user_id = ${user.id} FOR UPDATE`;

describe("user_register", () => {
  test("makes account, user and session at once", async () => {
    const op = registerOp("Ünï 名前 \u{1F600}");
    const row = await one(app, "user_register", op);
    assert.deepEqual(
      { ...row, user_id: "" },
      { n: "1", code: "ok", slot: String(op.slot), epoch: "1", server: "", user_id: "" },
    );
    assert.equal(slotOfId(row.user_id), op.slot);
    const now = Number(await root.value("SELECT _now_ms()"));
    assert.ok(Math.abs(timeOfId(row.user_id) - now) < 60_000);
    const [user] = await root.rows(`
      SELECT u.name, u.password_hash, u.ver, u.state, LOWER(HEX(u.op)) AS op, a.user_id,
             LOWER(HEX(s.session)) AS session, s.expires_at
        FROM account a JOIN user u ON u.slot = a.slot AND u.user_id = a.user_id
        JOIN session s ON s.slot = u.slot AND s.user_id = u.user_id
       WHERE a.slot = ${op.slot} AND a.name = '${op.name}'`);
    assert.deepEqual(user, {
      name: op.name,
      password_hash: "hash 1",
      ver: version(1),
      state: "live",
      op: op.op,
      user_id: row.user_id,
      session: op.session,
      expires_at: String(FAR),
    });
  });

  test("a replay returns the same user, and its session again", async () => {
    const op = registerOp();
    const first = await one(app, "user_register", op);
    const again = await one(app, "user_register", op);
    assert.deepEqual([again.code, again.user_id], ["same", first.user_id]);
    const user = { id: first.user_id, slot: op.slot };
    await one(app, "user_logout", ownerOp(user, { session: op.session }));
    assert.deepEqual(await sessions(user), []);
    assert.equal((await one(app, "user_register", op)).code, "same");
    assert.deepEqual(await sessions(user), [op.session]);
  });

  test("a replay after a change of password opens nothing", async () => {
    const { op, ...user } = await newUser(app);
    const session = key();
    await one(
      app,
      "user_password",
      ownerOp(user, { old_hash: "hash 1", new_hash: "hash 2", session, expires_at: FAR }),
    );
    assert.equal((await one(app, "user_register", op)).code, "taken");
    assert.deepEqual(await sessions(user), [session]);
  });

  test("a name is taken for any other op, even if its user is erased", async () => {
    const user = await newUser(app);
    const second = await one(app, "user_register", registerOp(user.name));
    assert.deepEqual([second.code, second.user_id], ["taken", null]);
    await erase(user, "erased");
    assert.equal((await one(app, "user_register", registerOp(user.name))).code, "taken");
    assert.equal((await one(app, "user_register", user.op)).code, "taken");
    assert.deepEqual((await sessions(user)).length, 1);
  });

  test("names differ by case and by trailing spaces", async () => {
    const name = newName("Case");
    for (const other of [name, name.toLowerCase(), `${name} `]) {
      assert.equal((await one(app, "user_register", registerOp(other))).code, "ok", `"${other}"`);
    }
  });

  test("one batch: the same name twice, and a refused one, do not affect good ones", async () => {
    const name = newName();
    const ops = [registerOp(name), registerOp(name), registerOp(nameIn(slotOfName(name)))];
    const rows = await batch(app, "user_register", ops);
    assert.deepEqual(
      rows.map((row) => row.code),
      ["ok", "taken", "ok"],
    );
    assert.equal(BigInt(rows[2].user_id) > BigInt(rows[0].user_id), true);
  });

  test("256 operations are one batch, 257 are not", async () => {
    const ops = Array.from({ length: 257 }, () => registerOp()).sort((a, b) => a.slot - b.slot);
    await refused(app, "45400", "user_register", JSON.stringify(ops));
    const rows = await batch(app, "user_register", ops.slice(1));
    assert.equal(new Set(rows.map((row) => row.user_id)).size, 256);
    assert.ok(rows.every((row, i) => row.code === "ok" && Number(row.n) === i + 1));
  });

  test("bad arguments", async () => {
    const text = (length) => "a".repeat(length);
    await refusesBadBatch(app, "user_register", registerOp(), {
      owner: [1, -1, "x"],
      op: ["", text(31), text(33), "g".repeat(32), `${key()}00`, {}],
      name: ["", text(33), "another slot"],
      hash: ["", text(256), "häsh"],
      session: ["", text(31), "g".repeat(32), `${key()}00`],
      expires_at: [0, -1, "x"],
    });
    const good = registerOp();
    await refused(app, "45400", "user_register", JSON.stringify([good, { ...registerOp(), name: null }]));
    const long = registerOp("é".repeat(32), { hash: text(255) });
    assert.equal((await one(app, "user_register", long)).code, "ok");
    const [up, down] = [registerOp(nameIn(9)), registerOp(nameIn(8))];
    await refused(app, "45400", "user_register", JSON.stringify([up, down]));
    await refused(app, "45400", "user_register", JSON.stringify([{ ...registerOp(), pad: text(262144) }]));
  });

  test("two registrations of one name at the same time: one wins", async () => {
    const name = newName();
    const other = account(server, "app");
    const results = await race(
      server,
      root,
      `SELECT 1 FROM slot_seq WHERE slot = ${slotOfName(name)} FOR UPDATE`,
      [app, (session) => one(session, "user_register", registerOp(name))],
      [other, (session) => one(session, "user_register", registerOp(name))],
    );
    assert.deepEqual(results.map((row) => row.code).sort(), ["ok", "taken"]);
  });

  test("two replays at the same time: one user, one session", async () => {
    const op = registerOp();
    const other = account(server, "app");
    const results = await race(
      server,
      root,
      `SELECT 1 FROM slot_seq WHERE slot = ${op.slot} FOR UPDATE`,
      [app, (session) => one(session, "user_register", op)],
      [other, (session) => one(session, "user_register", op)],
    );
    assert.deepEqual(results.map((row) => row.code).sort(), ["ok", "same"]);
    assert.equal(results[0].user_id, results[1].user_id);
    assert.deepEqual(await sessions({ slot: op.slot, id: results[0].user_id }), [op.session]);
  });

  test("fence, forwarding, journal", async () => {
    const slot = 77;
    const name = nameIn(slot);
    await obeysFence(root, app, "user_register", slot, (epoch) => registerOp(name, { epoch }));
    const user = await newUser(app, nameIn(slot));
    const row = await obeysForwarding(root, app, "user_register", slot, user.id, () => user.op);
    assert.equal(row.user_id, user.id);
    await journals(
      root,
      slot,
      async () => {
        const made = registerOp(nameIn(slot));
        const { user_id: id } = await one(app, "user_register", made);
        return { id, ...made };
      },
      ({ id, name: made, session }) => [
        `account 0 ${Buffer.from(made).toString("hex")}`.replace(" 0 ", " 0  "),
        `user ${id} ${id}`,
        `inbound ${id} ${id}`,
        `session ${id} ${id} ${session}`,
      ],
    );
  });

  test("without the slot's mint it is refused, and nothing of it remains", async () => {
    const op = registerOp(nameIn(500));
    const last = await root.value("SELECT last FROM slot_seq WHERE slot = 500");
    await root.run("DELETE FROM slot_seq WHERE slot = 500");
    await refused(app, "45503", "user_register", JSON.stringify([op]));
    await root.run(`INSERT INTO slot_seq (slot, last) VALUES (500, ${last})`);
    assert.equal((await one(app, "user_register", op)).code, "ok");
  });
});

describe("user_login", () => {
  const login = async (name, epoch = 1) =>
    (await call(app, "user_login", slotOfName(name), epoch, Buffer.from(name)))[0][0];

  test("finds the account of a name", async () => {
    const user = await newUser(app, "Löw");
    assert.deepEqual(await login("Löw"), {
      n: "1",
      code: "ok",
      slot: String(user.slot),
      epoch: "1",
      server: "shard1",
      user_id: user.id,
      password_hash: "hash 1",
      op: user.op.op,
    });
  });

  test("unknown name, another case, an erased user: not found", async () => {
    const user = await newUser(app, "Erased");
    assert.equal((await login(newName())).code, "notfound");
    assert.equal((await login("ERASED")).code, "notfound");
    await erase(user, "erased");
    assert.deepEqual([(await login("Erased")).code, (await login("Erased")).user_id], ["notfound", null]);
  });

  test("bad arguments", async () => {
    for (const args of [
      [null, 1, "a"],
      [1, null, "a"],
      [1, 1, null],
      [slotOfName("a") ^ 1, 1, "a"],
    ]) {
      await refused(app, "45400", "user_login", ...args);
    }
    await refused(app, "22001", "user_login", 1, 1, "a".repeat(129));
    await refused(app, "22003", "user_login", -1, 1, "a");
  });

  test("fence and forwarding", async () => {
    const user = await newUser(app, nameIn(78));
    const args = (epoch) => [user.slot, epoch, user.name];
    await obeysFence(root, app, "user_login", 78, args);
    const row = await obeysForwarding(root, app, "user_login", 78, user.id, args);
    assert.deepEqual([row.user_id, row.password_hash], [user.id, null]);
  });
});

describe("user_secret", () => {
  test("found, not found, erased", async () => {
    const user = await newUser(app);
    const secret = async (id) => (await call(app, "user_secret", user.slot, 1, id))[0][0];
    const row = await secret(user.id);
    assert.deepEqual([row.n, row.code, row.user_id, row.password_hash], ["1", "ok", user.id, "hash 1"]);
    assert.deepEqual([(await secret(1)).code, (await secret(1)).password_hash], ["notfound", null]);
    await erase(user, "erased");
    assert.equal((await secret(user.id)).code, "notfound");
  });

  test("bad arguments", async () => {
    for (const args of [
      [null, 1, 1],
      [1, null, 1],
      [1, 1, null],
    ]) {
      await refused(app, "45400", "user_secret", ...args);
    }
    await refused(app, "22003", "user_secret", 1, 1, -1);
  });

  test("fence and forwarding", async () => {
    const user = await newUser(app, nameIn(79));
    const args = (epoch) => [79, epoch, BigInt(user.id)];
    await obeysFence(root, app, "user_secret", 79, args);
    await obeysForwarding(root, app, "user_secret", 79, user.id, args);
  });
});

describe("user_get", () => {
  test("cards in the order of the batch, whatever that is", async () => {
    const [a, b] = [await newUser(app), await newUser(app)];
    await root.run(`UPDATE user JOIN inbound USING (slot, user_id) SET signature = 'hello', follow_count = 1, follower_count = 2,
      total_favorited = 3, work_count = 4, favorite_count = 5, avatar = 'av', background_image = 'bg'
      WHERE slot = ${b.slot} AND user_id = ${b.id}`);
    const rows = await batch(
      app,
      "user_get",
      [b, a, { ...a, id: 1 }, b].map((user) => ownerOp(user)),
    );
    assert.deepEqual(
      rows.map((row) => [row.n, row.code, row.user_id, row.name]),
      [
        ["1", "ok", b.id, b.name],
        ["2", "ok", a.id, a.name],
        ["3", "notfound", null, null],
        ["4", "ok", b.id, b.name],
      ],
    );
    assert.deepEqual(rows[0], {
      n: "1",
      code: "ok",
      slot: String(b.slot),
      epoch: "1",
      server: "shard1",
      user_id: b.id,
      name: b.name,
      avatar: "av",
      background_image: "bg",
      signature: "hello",
      follow_count: "1",
      follower_count: "2",
      total_favorited: "3",
      work_count: "4",
      favorite_count: "5",
      ver: version(1),
      in_ver: version(1),
    });
  });

  test("an erased user is not found", async () => {
    const user = await newUser(app);
    await erase(user, "erased");
    assert.equal((await one(app, "user_get", ownerOp(user))).code, "notfound");
  });

  test("bad arguments", async () => {
    await refusesBadBatch(app, "user_get", { slot: 1, epoch: 1, owner: 1 }, {});
  });

  test("fence and forwarding, for each owner of a batch separately", async () => {
    const user = await newUser(app, nameIn(80));
    const make = (epoch) => ownerOp(user, { epoch });
    await obeysFence(root, app, "user_get", 80, make);
    await obeysForwarding(root, app, "user_get", 80, user.id, make);
    await root.run("UPDATE slot_fence SET state = 'moved', epoch = 2, server = 'shard2' WHERE slot = 80");
    const other = await newUser(app, nameIn(81));
    assert.deepEqual(await codes(app, "user_get", [ownerOp(user), ownerOp(other)]), ["moved", "ok"]);
    await root.run("UPDATE slot_fence SET state = 'owned', epoch = 1, server = 'shard1' WHERE slot = 80");
  });
});

describe("user_password", () => {
  const change = (user, fields = {}) =>
    ownerOp(user, {
      old_hash: "hash 1",
      new_hash: "hash 2",
      session: key(),
      expires_at: FAR,
      ...fields,
    });

  test("ends every other session", async () => {
    const user = await newUser(app);
    await one(app, "session_open", ownerOp(user, { session: key(), expires_at: FAR, max: 9 }));
    const op = change(user);
    assert.equal((await one(app, "user_password", op)).code, "ok");
    assert.equal(await hash(user), "hash 2");
    assert.deepEqual(await sessions(user), [op.session]);
  });

  test("a replay changes nothing; another old hash is a conflict", async () => {
    const user = await newUser(app);
    const op = change(user);
    await one(app, "user_password", op);
    assert.equal((await one(app, "user_password", op)).code, "same");
    assert.equal((await one(app, "user_password", change(user))).code, "conflict");
    await one(app, "user_logout", ownerOp(user, { session: op.session }));
    assert.equal((await one(app, "user_password", op)).code, "conflict");
    assert.deepEqual(await sessions(user), []);
    assert.equal(await hash(user), "hash 2");
  });

  test("unknown and erased users", async () => {
    const user = await newUser(app);
    assert.equal((await one(app, "user_password", change({ ...user, id: 1 }))).code, "notfound");
    await erase(user, "erased");
    assert.equal((await one(app, "user_password", change(user))).code, "notfound");
    assert.equal(await hash(user), "hash 1");
  });

  test("bad arguments", async () => {
    const long = "a".repeat(256);
    await refusesBadBatch(app, "user_password", change({ slot: 1, id: 8 }), {
      owner: [0, -1],
      old_hash: ["", long, "hash 2"],
      new_hash: ["", long, "hash 1", "häsh"],
      session: ["", "g".repeat(32)],
      expires_at: [0, -1],
    });
  });

  test("two changes at the same time: one wins", async () => {
    const user = await newUser(app);
    const other = account(server, "app");
    const [a, b] = [change(user, { new_hash: "hash a" }), change(user, { new_hash: "hash b" })];
    const results = await race(
      server,
      root,
      userLock(user),
      [app, (session) => one(session, "user_password", a)],
      [other, (session) => one(session, "user_password", b)],
    );
    assert.deepEqual(results.map((row) => row.code).sort(), ["conflict", "ok"]);
    const winner = results[0].code === "ok" ? a : b;
    assert.equal(await hash(user), winner.new_hash);
    assert.deepEqual(await sessions(user), [winner.session]);
  });

  test("a login and a change at the same time leave no session behind", async () => {
    const user = await newUser(app);
    const other = account(server, "app");
    const op = change(user);
    const login = ownerOp(user, { session: key(), expires_at: FAR, max: 9 });
    const results = await race(
      server,
      root,
      userLock(user),
      [app, (session) => one(session, "user_password", op)],
      [other, (session) => one(session, "session_open", login)],
    );
    assert.deepEqual(
      results.map((row) => row.code),
      ["ok", "ok"],
    );
    const left = await sessions(user);
    assert.ok(left.includes(op.session) && left.length <= 2);
  });

  test("fence, forwarding, journal", async () => {
    const user = await newUser(app, nameIn(82));
    await obeysFence(root, app, "user_password", 82, (epoch) => change(user, { epoch }));
    await obeysForwarding(root, app, "user_password", 82, user.id, () => change(user));
    let last = "hash 1";
    await journals(
      root,
      82,
      async () => {
        const op = change(user, { old_hash: last, new_hash: `${last}+` });
        last = op.new_hash;
        assert.equal((await one(app, "user_password", op)).code, "ok");
        return op.session;
      },
      (session) => [
        `user ${user.id} ${user.id}`,
        `session ${user.id} ${user.id}`,
        `session ${user.id} ${user.id} ${session}`,
      ],
    );
  });
});

describe("user_rehash", () => {
  const rehash = (user, fields = {}) => ownerOp(user, { old_hash: "hash 1", new_hash: "hash 2", ...fields });

  test("success, replay, conflict; sessions stay", async () => {
    const user = await newUser(app);
    assert.equal((await one(app, "user_rehash", rehash(user))).code, "ok");
    assert.equal((await one(app, "user_rehash", rehash(user))).code, "same");
    assert.equal((await one(app, "user_rehash", rehash(user, { new_hash: "hash 3" }))).code, "conflict");
    assert.equal(await hash(user), "hash 2");
    assert.deepEqual(await sessions(user), [user.op.session]);
  });

  test("a registration can still be replayed, since the password is the same", async () => {
    const user = await newUser(app);
    await one(app, "user_rehash", rehash(user));
    assert.equal((await one(app, "user_register", user.op)).code, "same");
  });

  test("unknown and erased users", async () => {
    const user = await newUser(app);
    assert.equal((await one(app, "user_rehash", rehash({ ...user, id: 1 }))).code, "notfound");
    await erase(user, "erased");
    assert.equal((await one(app, "user_rehash", rehash(user))).code, "notfound");
  });

  test("bad arguments", async () => {
    const long = "a".repeat(256);
    await refusesBadBatch(app, "user_rehash", rehash({ slot: 1, id: 8 }), {
      owner: [0],
      old_hash: ["", long, "hash 2"],
      new_hash: ["", long, "hash 1", "häsh"],
    });
  });

  test("two rehashes at the same time: one wins", async () => {
    const user = await newUser(app);
    const other = account(server, "app");
    const results = await race(
      server,
      root,
      userLock(user),
      [app, (session) => one(session, "user_rehash", rehash(user, { new_hash: "hash a" }))],
      [other, (session) => one(session, "user_rehash", rehash(user, { new_hash: "hash b" }))],
    );
    assert.deepEqual(results.map((row) => row.code).sort(), ["conflict", "ok"]);
  });

  test("fence, forwarding, journal", async () => {
    const user = await newUser(app, nameIn(83));
    await obeysFence(root, app, "user_rehash", 83, (epoch) => rehash(user, { epoch }));
    await obeysForwarding(root, app, "user_rehash", 83, user.id, () => rehash(user));
    let last = "hash 1";
    await journals(
      root,
      83,
      async () => {
        const op = rehash(user, { old_hash: last, new_hash: `${last}+` });
        last = op.new_hash;
        assert.equal((await one(app, "user_rehash", op)).code, "ok");
      },
      () => [`user ${user.id} ${user.id}`],
    );
  });
});

describe("user_logout", () => {
  test("success, replay, somebody else's session", async () => {
    const [user, other] = [await newUser(app), await newUser(app)];
    const op = ownerOp(user, { session: user.op.session });
    assert.equal((await one(app, "user_logout", ownerOp(other, { session: user.op.session }))).code, "same");
    assert.deepEqual(await sessions(user), [user.op.session]);
    assert.equal((await one(app, "user_logout", op)).code, "ok");
    assert.equal((await one(app, "user_logout", op)).code, "same");
    assert.deepEqual(await sessions(user), []);
  });

  test("bad arguments", async () => {
    await refusesBadBatch(
      app,
      "user_logout",
      { slot: 1, epoch: 1, owner: 8, session: key() },
      {
        owner: [0],
        session: ["", "g".repeat(32), `${key()}00`],
      },
    );
  });

  test("two logouts at the same time: one ends it", async () => {
    const user = await newUser(app);
    const other = account(server, "app");
    const op = ownerOp(user, { session: user.op.session });
    const results = await race(
      server,
      root,
      `SELECT 1 FROM session WHERE slot = ${user.slot} AND user_id = ${user.id} FOR UPDATE`,
      [app, (session) => one(session, "user_logout", op)],
      [other, (session) => one(session, "user_logout", op)],
    );
    assert.deepEqual(results.map((row) => row.code).sort(), ["ok", "same"]);
  });

  test("fence, forwarding, journal", async () => {
    const user = await newUser(app, nameIn(84));
    const make = (epoch) => ownerOp(user, { epoch, session: user.op.session });
    await obeysFence(root, app, "user_logout", 84, make);
    await obeysForwarding(root, app, "user_logout", 84, user.id, make);
    await journals(
      root,
      84,
      async () => {
        const session = key();
        await root.run(`INSERT INTO session VALUES (84, ${user.id}, X'${session}', 1, 1, ${FAR})`);
        assert.equal((await one(app, "user_logout", ownerOp(user, { session }))).code, "ok");
        return session;
      },
      (session) => [`session ${user.id} ${user.id} ${session}`],
    );
  });
});
