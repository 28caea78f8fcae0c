/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* procedures/promote/, procedures/demote/: who may do what to a user who changes slots, and what
 * that means for rows. The mover itself is tested by tests/integration/promote.test.js. */
import assert from "node:assert/strict";
import { renameSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";

import { SqlError, account, call, key, literal, shard, until } from "./lib.js";

let server;
let root;
let admin;
let mover;
let app;
before(async () => {
  ({ server, root } = await shard());
  admin = account(server, "admin");
  mover = account(server, "mover");
  app = account(server, "app");
});
after(() => server?.stop());

const SLOT = 21;
const STAR = 8192 * 1000 + 8 * SLOT; /* ids of that slot */
const FAN = STAR + 8192;
const one = async (session, routine, ...args) => (await call(session, routine, ...args))[0][0];
const refused = (work, state, pattern) =>
  assert.rejects(work, (error) => error instanceof SqlError && error.state === state && pattern.test(error.message));
const fencedOut = (work) => refused(work, "45409", /fenced out/);
const fence = async (slot) =>
  (await root.run(`SELECT state, epoch, has_home FROM slot_fence WHERE slot = ${slot}`))[0][0];
const batch = (op) =>
  call(app, "publish_number", JSON.stringify([{ slot: SLOT, epoch: 1, owner: 0, author: STAR, op }]));

describe("numbers of own slots", () => {
  test("increase, and none is given twice, whatever is known of own slots", async () => {
    assert.equal((await one(mover, "promote_number")).own_slot, "1024");
    assert.equal((await one(mover, "promote_number")).own_slot, "1025");
    await root.run("INSERT INTO slot_known (slot, epoch, server) VALUES (1029, 3, 'shard2')");
    assert.equal((await one(mover, "promote_number")).own_slot, "1030");
    await root.run("DELETE FROM slot_known WHERE slot = 1029");
    assert.equal((await one(mover, "promote_number")).own_slot, "1031");
  });

  test("are given only by the shard that has slot 0", async () => {
    await root.run("UPDATE slot_fence SET state = 'moved' WHERE slot = 0");
    assert.equal((await one(mover, "promote_number")).own_slot, "0");
    await root.run("UPDATE slot_fence SET state = 'owned' WHERE slot = 0");
  });
});

describe("a user", () => {
  let move;
  const own = 1040;
  before(() =>
    root.run(
      [STAR, FAN]
        .map(
          (id) => `INSERT INTO user (slot, user_id, name, password_hash, created_at, op)
      VALUES (${SLOT}, ${id}, 'u${id}', 'x', 1, ${literal(key().slice(0, 16))});
    INSERT INTO inbound (slot, user_id) VALUES (${SLOT}, ${id})`,
        )
        .join(";"),
    ),
  );

  test("can be promoted once, and not while their slot moves", async () => {
    await refused(call(admin, "promote_request", 0), "45400", /needs the id/);
    await refused(call(admin, "promote_request", STAR + 8192 * 77), "45503", /there is no user/);
    await refused(call(admin, "demote_request", STAR), "45503", /has no slot of his own/);
    await call(admin, "promote_request", STAR);
    await refused(call(admin, "promote_request", FAN), "45503", /takes part in a move already/);
    await refused(call(admin, "move_request", SLOT, "shard2", 0), "45503", /is being moved already/);
    const token = key();
    const row = await one(mover, "move_claim", "here/1", token, 10000, 1000);
    assert.deepEqual([row.kind, row.slot, row.own_slot], ["promote", String(SLOT), "0"]);
    move = { id: row.move_id, token };
  });

  test("takes their rows along, also those journaled meanwhile, and nobody else's", async () => {
    await call(mover, "promote_begin", move.id, move.token, own);
    await root.run(
      ["user", "inbound"]
        .map((t) => `ALTER TABLE ${t} ADD PARTITION (PARTITION s${own}_e2 VALUES IN (${own}))`)
        .join(";"),
    );
    assert.deepEqual(
      (await call(mover, "promote_parts", own))[0].filter(({ epoch }) => epoch !== "0").map(({ tbl }) => tbl),
      ["inbound", "user"],
    );
    await fencedOut(call(mover, "promote_write", move.id, move.token, "[]", "", ""));
    await call(mover, "move_beat", move.id, move.token, 10000, JSON.stringify({ phase: "copying", epoch: 2 }));
    await call(mover, "move_open", SLOT, move.token);
    const { row_text, last_key } = await one(mover, "move_read", SLOT, move.token, "user", STAR, "", "", 100, 0);
    assert.equal(JSON.parse(row_text).length, 1);
    assert.equal((await one(mover, "promote_count", SLOT, "user", STAR)).row_count, "1");
    assert.equal((await one(mover, "promote_count", SLOT, "liker", STAR)).row_count, "0");
    await call(mover, "promote_write", move.id, move.token, row_text, "user", last_key);
    assert.equal((await one(mover, "promote_begin", move.id, move.token, 0)).at_tbl, "user");
    await root.run(
      `INSERT INTO slot_log (slot, tbl, owner, k1) VALUES (${SLOT}, 'inbound', ${STAR}, ${STAR}), (${SLOT}, 'inbound', ${FAN}, ${FAN})`,
    );
    await fencedOut(call(mover, "promote_flip", move.id, key(), "[]", 500));
    await fencedOut(call(mover, "promote_purge", move.id, move.token, 1, "user", 100));
    assert.equal((await one(mover, "promote_flip", move.id, move.token, "[]", 1)).is_done, "0");
    const different = JSON.stringify([{ t: "user", k: [[FAN, null, null, null]] }]);
    await refused(call(mover, "promote_flip", move.id, move.token, different, 500), "45503", /rows of user differ/);
    assert.equal((await fence(SLOT)).state, "migrating");
    assert.equal((await one(mover, "promote_flip", move.id, move.token, "[]", 500)).is_done, "1");
    assert.deepEqual(await fence(own), { state: "owned", epoch: "2", has_home: "0" });
    assert.deepEqual(await fence(SLOT), { state: "owned", epoch: "1", has_home: "1" });
    assert.deepEqual(
      (await root.run(`SELECT owner_id FROM owner_home WHERE slot = ${SLOT}`))[0].map(({ owner_id }) => owner_id),
      [String(STAR)],
    );
    for (const table of ["user", "inbound"])
      assert.deepEqual(
        (await root.run(`SELECT user_id FROM ${table} WHERE slot = ${own}`))[0].map(({ user_id }) => user_id),
        [String(STAR)],
        table,
      );
    await fencedOut(call(mover, "promote_flip", move.id, move.token, "[]", 500));
    assert.equal((await one(mover, "move_cancel", move.id, move.token)).is_here, "0");
  });

  test("keeps both slots busy until the old rows are gone", async () => {
    await refused(call(admin, "promote_request", FAN), "45503", /takes part in a move already/);
    await refused(call(admin, "move_request", own, "shard2", 0), "45503", /is being moved already/);
    await call(
      mover,
      "move_beat",
      move.id,
      move.token,
      10000,
      JSON.stringify({ phase: "flipping" }),
    ); /* from a mover that got no answer */
    assert.equal((await root.run(`SELECT phase FROM slot_move WHERE move_id = ${move.id}`))[0][0].phase, "purging");
    for (const table of ["inbound", "user"])
      assert.equal((await one(mover, "promote_purge", move.id, move.token, 1, table, 100)).row_count, "1");
    assert.deepEqual(
      (await root.run(`SELECT user_id FROM user WHERE slot = ${SLOT}`))[0].map(({ user_id }) => user_id),
      [String(FAN)],
    );
    await call(mover, "move_beat", move.id, move.token, 0, JSON.stringify({ phase: "done" }));
    await refused(call(admin, "promote_request", STAR), "45503", /has slot 1040 of his own already/);
  });

  test("gets ids for new videos from the slot of their id, one for each upload, even while that slot moves", async () => {
    const op = key();
    await root.run(`UPDATE slot_fence SET journal = 1 WHERE slot = ${SLOT}`);
    const [[first]] = await batch(op);
    const [[again]] = await batch(op);
    assert.deepEqual([first.code, again.code, again.video_id], ["ok", "same", first.video_id]);
    assert.equal(((Number(first.video_id) / 8) % 1024) | 0, SLOT);
    const log = (await root.run(`SELECT tbl, owner, k1 FROM slot_log WHERE slot = ${SLOT}`))[0];
    assert.deepEqual({ ...log[0] }, { tbl: "owner_home", owner: String(STAR), k1: first.video_id });
    await root.run(`UPDATE slot_fence SET journal = 0 WHERE slot = ${SLOT}; DELETE FROM slot_log`);
    const [[none]] = await call(
      app,
      "publish_number",
      JSON.stringify([{ slot: SLOT, epoch: 1, owner: 0, author: FAN, op }]),
    );
    assert.equal(none.code, "conflict");
  });

  test("comes back with an epoch above that of the own slot, which from then on points to the slot of the id", async () => {
    await call(admin, "demote_request", STAR);
    await refused(call(admin, "move_request", SLOT, "shard2", 0), "45503", /is being moved already/);
    const token = key();
    const { move_id } = await one(mover, "move_claim", "here/1", token, 10000, 1000);
    await call(mover, "move_beat", move_id, token, 10000, JSON.stringify({ phase: "copying", epoch: 3 }));
    await call(mover, "move_open", own, token);
    for (const table of ["user", "inbound"]) {
      const { row_text } = await one(mover, "move_read", own, token, table, 0, "", "", 100, 0);
      await call(mover, "promote_write", move_id, token, row_text, table, "");
    }
    assert.equal((await one(mover, "promote_flip", move_id, token, "[]", 500)).is_done, "1");
    assert.deepEqual(await fence(SLOT), { state: "owned", epoch: "3", has_home: "0" });
    assert.equal((await fence(own)).state, "gone");
    const row = (await call(app, "user_get", JSON.stringify([{ slot: own, epoch: 2, owner: STAR }])))
      .flat()
      .find(({ code }) => code);
    assert.deepEqual([row.code, row.slot, row.epoch], ["moved", String(SLOT), "3"]);
    const [map] = await call(app, "slot_map");
    const { answer, server, claim_epoch: claim } = map.find(({ slot }) => slot === String(own));
    assert.deepEqual([answer, server, claim], ["ok", "", "0"], "nobody's, and nothing is missing here");
    assert.equal((await root.run(`SELECT COUNT(*) AS n FROM owner_home WHERE slot = ${SLOT}`))[0][0].n, "0");
  });
});

describe("a shard that lacks forwarding entries", () => {
  const HERE = 33;
  const USER = 8192 * 2000 + 8 * HERE;
  const VIDEO = USER + 8192;
  const OWN = 1100;
  const entry = (over = {}) => ({ slot: OWN, owner: USER, author: 0, op: "", ...over });
  const recover = (...entries) => one(admin, "home_recover", JSON.stringify(entries));
  const homes = async () =>
    (await root.run(`SELECT owner_id, own_slot, author_id FROM owner_home WHERE slot = ${HERE} ORDER BY owner_id`))[0];
  before(() =>
    root.run(`INSERT INTO user (slot, user_id, name, password_hash, created_at, op) VALUES (${HERE}, ${USER}, 'u', 'x', 1, ${literal(key().slice(0, 16))});
    INSERT INTO inbound (slot, user_id) VALUES (${HERE}, ${USER})`),
  );

  test("gets those of its slots back, once, and none of an older own slot", async () => {
    const op = key();
    assert.deepEqual(
      await recover(entry(), entry({ owner: VIDEO, author: USER, op }), entry({ owner: USER + 8 * 5000 })),
      { recovered: "3", removed: "0" },
    );
    assert.deepEqual(await homes(), [
      { owner_id: String(USER), own_slot: String(OWN), author_id: null },
      { owner_id: String(VIDEO), own_slot: String(OWN), author_id: String(USER) },
    ]);
    assert.equal((await fence(HERE)).has_home, "1");
    assert.deepEqual(await recover(entry(), entry({ slot: OWN - 1, owner: VIDEO, author: USER, op })), {
      recovered: "0",
      removed: "0",
    });
    const row = (await call(app, "user_get", JSON.stringify([{ slot: HERE, epoch: 1, owner: USER }])))
      .flat()
      .find(({ code }) => code);
    assert.deepEqual([row.code, row.slot], ["moved", String(OWN)]);
  });

  test("removes its rows of the user, and no others", async () => {
    await refused(call(admin, "home_clean", USER + 8192 * 9, "user", 10), "45503", /has not left/);
    for (const table of ["inbound", "user"])
      assert.equal((await one(admin, "home_clean", USER, table, 10)).row_count, "1");
    assert.equal((await one(admin, "home_clean", USER, "user", 10)).row_count, "0");
  });

  test("removes those that lead nowhere", async () => {
    assert.equal((await recover(entry({ owner: 0 }))).removed, "3");
    assert.deepEqual([await homes(), (await fence(HERE)).has_home], [[], "0"]);
  });

  test("changes nothing in a moving slot, nor by malformed entries", async () => {
    await root.run(`UPDATE slot_fence SET state = 'migrating' WHERE slot = ${HERE}`);
    await refused(recover(entry()), "45503", /is being moved/);
    await root.run(`UPDATE slot_fence SET state = 'owned' WHERE slot = ${HERE}`);
    for (const bad of [{ slot: 1023 }, { owner: -1 }, { author: "x" }, { op: "ab" }, { op: null }])
      await refused(recover(entry(bad)), "45400", /operation 1 needs slot, owner/);
    await refused(call(admin, "home_recover", "[]"), "45400", /needs 1 to 1000/);
    await refused(call(admin, "home_list", 0, 0, 0), "45400", /limit 1 to 1000/);
    await refused(call(admin, "home_clean", 0, "user", 1), "45400", /needs a user/);
  });

  test("learns from the shard with the own slot, page by page, who is there, and administration finds the user by that", async () => {
    const ids = [8192 * 3000, 8192 * 3001].map((id) => id + 8 * 900); /* of a slot that another shard has */
    await root.run(`UPDATE slot_fence SET state = 'moved', server = 'shard2' WHERE slot = 900;
      INSERT INTO slot_fence (slot, epoch, state, server) VALUES (${OWN}, 5, 'owned', 'shard1'), (${OWN + 1}, 6, 'gone', 'shard1');
      ALTER TABLE user ADD PARTITION (PARTITION s${OWN}_e5 VALUES IN (${OWN}));
      ALTER TABLE video ADD PARTITION (PARTITION s${OWN}_e5 VALUES IN (${OWN}));
      INSERT INTO user (slot, user_id, name, password_hash, created_at, op) VALUES (${OWN}, ${ids[0]}, 'far', 'x', 1, ${literal(key().slice(0, 16))});
      INSERT INTO video (slot, video_id, author_id, title, media, sha256, size_bytes, duration_ms, width, height, published_at, op)
        VALUES (${OWN}, ${ids[1]}, ${ids[0]}, 't', 'm', REPEAT('x', 32), 1, 1, 1, 1, 1, ${literal(key().slice(0, 16))})`);
    const all = (await call(admin, "home_list", 0, 0, 1000))[0].filter(({ slot }) => slot >= OWN);
    assert.deepEqual(
      all.map(({ slot, owner_id, author_id }) => [slot, owner_id, author_id].map(Number)),
      [
        [OWN, ids[0], 0],
        [OWN, ids[1], ids[0]],
        [OWN + 1, 0, 0],
      ],
    );
    assert.match(all[1].op, /^[0-9A-F]{32}$/);
    assert.deepEqual(
      (await call(admin, "home_list", OWN, ids[0], 1))[0].map(({ owner_id }) => Number(owner_id)),
      [ids[1]],
    );
    const counts = (await call(admin, "user_tables", ids[0]))[0];
    assert.deepEqual(
      ["user", "video"].map((t) => counts.find(({ tbl }) => tbl === t).total),
      ["1", "1"],
    );
    assert.equal((await call(admin, "user_ban", ids[0]))[0][0].code, "ok");
  });
});

describe("the partitions of an own slot", () => {
  const OWN = 1200;
  const parts = async (slot = OWN) => (await call(mover, "promote_parts", slot))[0];
  /* As in a mover: with its lock, a session does not wait for others that change tables. */
  before(() => call(mover, "conn_open", key()));

  /* Does WORK while somebody alters TABLE. An ALTER TABLE ends by renaming two tables: it has locked
   * the first one and waits for the second, NEXT, which somebody reads. */
  async function whileAltered(table, next, work) {
    const reader = server.session({ database: "doushard" });
    const changer = server.session({ database: "doushard" });
    const id = await changer.value("SELECT CONNECTION_ID()");
    await reader.run(`START TRANSACTION; SELECT COUNT(*) FROM ${next}`);
    const changing = changer
      .run(`RENAME TABLE ${table} TO ${table}_gone, ${next} TO ${next}_gone`)
      .catch((error) => error);
    try {
      await until("it to wait", () =>
        root
          .value(`SELECT state LIKE '%metadata lock%' FROM information_schema.processlist WHERE id = ${id}`)
          .then((is) => is === "1"),
      );
      return await work();
    } finally {
      await root.run(`KILL QUERY ${id}`);
      assert.match((await changing).message, /interrupted/);
      await reader.run("ROLLBACK");
      await Promise.all([reader.end(), changer.end()]);
    }
  }

  test("are listed for every owner table", async () => {
    await root.run(`ALTER TABLE session ADD PARTITION (PARTITION s${OWN}_e7 VALUES IN (${OWN}))`);
    const all = await parts();
    assert.equal(all.length, 14);
    assert.deepEqual(
      all.filter(({ epoch }) => epoch !== "0").map((row) => ({ ...row })),
      [{ tbl: "session", epoch: "7" }],
    );
  });

  test("are made and dropped by one mover at a time, the one with the move, until its session ends", async () => {
    const [first, second] = [account(server, "mover"), account(server, "mover")];
    const hold = (session, token, slot = OWN) => one(session, "promote_hold", slot, token);
    const [token, next] = [key(), key()];
    await fencedOut(hold(first, token));
    await root.run(`INSERT INTO slot_move (slot, kind, giver, taker, owner_id, own_slot, keep_ms, requested_at, requested_by, token)
      VALUES (${OWN - 1024}, 'promote', 'shard1', 'shard1', ${8 * (OWN - 1024)}, ${OWN}, 0, 1, '', X'${token}')`);
    assert.equal((await hold(first, token)).is_held, "1");
    assert.equal((await hold(first, token)).is_held, "1");
    await root.run(`UPDATE slot_move SET token = X'${next}' WHERE own_slot = ${OWN}`);
    await fencedOut(hold(first, token));
    assert.equal((await hold(second, next)).is_held, "0");
    assert.equal((await one(second, "conn_kill", `parts${OWN}`, 5000)).gone, "1");
    assert.equal((await hold(second, next)).is_held, "1");
    await root.run(`UPDATE slot_move SET phase = 'undone', finished_at = 2 WHERE own_slot = ${OWN}`);
    await fencedOut(hold(second, next));
    await root.run(`DELETE FROM slot_move WHERE own_slot = ${OWN};
      INSERT INTO slot_fence (slot, epoch, state, server, token) VALUES (${OWN + 5}, 3, 'importing', 'shard1', X'${token}')`);
    await fencedOut(hold(second, next, OWN + 5));
    assert.equal((await hold(second, token, OWN + 5)).is_held, "1");
    await root.run(`UPDATE slot_fence SET state = 'owned' WHERE slot = ${OWN + 5}`);
    await fencedOut(hold(second, token, OWN + 5));
    await root.run(`DELETE FROM slot_fence WHERE slot = ${OWN + 5}`);
    await Promise.all([first.end().catch(() => {}), second.end()]);
  });

  test("are unknown for a table that is being altered, which does not mean that there are none", async () => {
    const all = await whileAltered("session", "user", () => parts());
    assert.deepEqual(
      all.filter(({ epoch }) => epoch !== "0").map((row) => ({ ...row })),
      [{ tbl: "session", epoch: null }],
    );
  });

  test("are unknown for a table that has no file for a moment, as while an ALTER TABLE replaces it", async () => {
    const file = join(server.dir, "data", "doushard", "session.frm");
    renameSync(file, `${file}.away`);
    const all = await parts().finally(() => renameSync(`${file}.away`, file));
    assert.deepEqual(
      all.filter(({ epoch }) => epoch !== "0").map((row) => ({ ...row })),
      [{ tbl: "session", epoch: null }],
    );
    const [divided] = await root.run(`SELECT DISTINCT table_name AS tbl FROM information_schema.partitions
      WHERE table_schema = 'doushard' AND partition_name IS NOT NULL ORDER BY table_name`);
    assert.deepEqual(
      all.map(({ tbl }) => tbl),
      divided.map(({ tbl }) => tbl),
    );
  });

  test("are not considered gone by settling the slot at that moment", async () => {
    await root.run(`ALTER TABLE user ADD PARTITION (PARTITION s${OWN}_e7 VALUES IN (${OWN}))`);
    await call(admin, "conn_open", key());
    await whileAltered("user", "video", () =>
      refused(call(admin, "slot_adopt", OWN, "shard1"), "45503", /user is being altered/),
    );
    await call(admin, "slot_adopt", OWN, "shard1");
    assert.equal((await fence(OWN)).state, "owned");
    await call(admin, "slot_adopt", OWN + 1, "shard1");
    assert.equal((await fence(OWN + 1)).state, "gone");
  });
});

describe("the policy", () => {
  const AT = 44;
  const HEAVY = 8192 * 4000 + 8 * AT;
  const HIS = HEAVY + 8192;
  const auto = (percent = 20, perHour = 2, slots = 100) => one(mover, "promote_auto", percent, perHour, slots);
  const load = (slots, owners) =>
    call(
      admin,
      "load_add",
      JSON.stringify(slots.map(([slot, busy]) => ({ slot, operations: 1, busy_us: busy }))),
      JSON.stringify(owners.map(([owner, busy]) => ({ slot: AT, owner, operations: 1, busy_us: busy }))),
    );
  const old = () => root.run("UPDATE owner_load SET since = since - 600000");

  test("requests a promotion of a user who, with their videos, takes more than the limit of a busy shard for long enough", async () => {
    await root.run(`DELETE FROM slot_load; DELETE FROM owner_load; DELETE FROM slot_move;
      INSERT INTO user (slot, user_id, name, password_hash, created_at, op) VALUES (${AT}, ${HEAVY}, 'heavy', 'x', 1, ${literal(key().slice(0, 16))});
      INSERT INTO video (slot, video_id, author_id, title, media, sha256, size_bytes, duration_ms, width, height, published_at, op)
        VALUES (${AT}, ${HIS}, ${HEAVY}, 't', 'm2', REPEAT('x', 32), 1, 1, 1, 1, 1, ${literal(key().slice(0, 16))})`);
    const none = { user_id: "0", slot: "0", share: "0", move_id: "0", why: "" };
    await load(
      [
        [AT, 3000],
        [AT + 1, 7000],
      ],
      [
        [HEAVY, 2000],
        [HIS, 1000],
      ],
    );
    await old();
    assert.deepEqual(await auto(), none, "the shard has nothing to do");
    await load(
      [
        [AT, 300000000],
        [AT + 1, 700000000],
      ],
      [
        [HEAVY, 200000000],
        [HIS, 100000000],
      ],
    );
    await root.run("UPDATE owner_load SET since = at - 10000");
    assert.deepEqual(await auto(), none, "not for a moment");
    await root.run("UPDATE slot_load SET since = at - 600000");
    await old();
    assert.deepEqual(await auto(40), none, "not for less");
    await refused(auto(0), "45400", /needs percent/);
    assert.match((await auto(20, 2, 1)).why, /as many own slots as may be/);
    await root.run("UPDATE slot_fence SET journal = 1 WHERE slot = " + AT);
    assert.match((await auto()).why, /his slot moves/);
    await root.run("UPDATE slot_fence SET journal = 0 WHERE slot = " + AT);
    const { user_id, slot, share, move_id } = await auto();
    assert.deepEqual([user_id, slot, share].map(Number), [HEAVY, AT, 30]);
    const [[row]] = await root.run(
      `SELECT kind, owner_id, phase, requested_by FROM slot_move WHERE move_id = ${move_id}`,
    );
    assert.deepEqual(
      { ...row },
      { kind: "promote", owner_id: String(HEAVY), phase: "queued", requested_by: "policy: 30 %, bound 20 %" },
    );
    assert.match((await auto()).why, /under way/);
  });

  test("no more than so many in an hour, and nobody whose move was cancelled recently, or who has come back", async () => {
    const end = (kind, phase, ago) =>
      root.run(`UPDATE slot_move SET kind = '${kind}', phase = '${phase}', requested_at = requested_at - 1,
      finished_at = ${Date.now() - ago * 60000}`);
    await end("promote", "done", 1);
    assert.match((await auto(20, 1)).why, /as many promotions in this hour/);
    await end("promote", "undone", 50);
    assert.equal((await auto()).user_id, "0");
    await end("demote", "done", 23 * 60);
    assert.equal((await auto()).user_id, "0");
    await end("demote", "done", 25 * 60);
    assert.notEqual((await auto()).move_id, "0");
  });

  test("does not read all earlier moves for that", async () => {
    const MOVES = 5000;
    await root.run(`DELETE FROM slot_move; INSERT INTO slot_move (slot, giver, taker, owner_id, phase, keep_ms, requested_at, requested_by, finished_at)
      SELECT seq MOD 1024, 'shard1', 'shard2', IF(seq MOD 2 = 0, 0, ${HEAVY + 8192 * 10} + 8192 * seq), 'done', 0, seq, 'somebody', seq
        FROM seq_1_to_${MOVES}`);
    const reads = async () =>
      (await mover.rows("SHOW SESSION STATUS LIKE 'Handler_read%'")).reduce((sum, row) => sum + Number(row.Value), 0);
    await auto(40);
    const before = await reads();
    assert.notEqual((await auto()).move_id, "0");
    const after = await reads();
    assert.ok(after - before < MOVES, `${after - before} rows read`);
  });
});
