/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* procedures/move/: who may do what to a moving slot. The mover itself is tested by
 * tests/integration/move.test.js. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, describe, test } from "node:test";

import { SqlError, account, call, crc32, key, literal, shard } from "./lib.js";

let server;
let root;
let admin;
let mover;
before(async () => {
  ({ server, root } = await shard());
  admin = account(server, "admin");
  mover = account(server, "mover");
});
after(() => server?.stop());

const one = async (session, routine, ...args) => (await call(session, routine, ...args))[0][0];
const fence = async (slot) =>
  (
    await root.run(
      `SELECT state, epoch, server, journal, LOWER(HEX(token)) AS token FROM slot_fence WHERE slot = ${slot}`,
    )
  )[0][0];
/** Fails unless WORK fails with STATE and a matching message. */
const refused = (work, state, pattern) =>
  assert.rejects(work, (error) => error instanceof SqlError && error.state === state && pattern.test(error.message));
const fencedOut = (work) => refused(work, "45409", /fenced out/);

/** Requests a move of SLOT and claims it: { id, token }. */
async function claimed(slot, token = key()) {
  await call(admin, "move_request", slot, "shard2", 0);
  const row = await one(mover, "move_claim", "here/1", token, 10000, 1000);
  assert.equal(Number(row.slot), slot);
  await root.run(`UPDATE slot_move SET epoch = 2 WHERE move_id = ${row.move_id}`);
  return { id: row.move_id, token };
}

describe("a request", () => {
  test("is refused for slots that this shard does not serve, for itself as taker, and while another move is under way", async () => {
    await refused(call(admin, "move_request", 2000, "shard2", 0), "45503", /slot 2000 is not served by this shard/);
    await refused(call(admin, "move_request", 7, "shard1", 0), "45503", /slot 7 is on shard1 already/);
    await refused(call(admin, "move_request", 7, "no name!", 0), "45400", /needs a slot, a shard/);
    await refused(call(admin, "move_request", 7, "shard2", 604800001), "45400", /at most 604800000 ms/);
    await call(admin, "move_request", 7, "shard2", 0);
    await refused(call(admin, "move_request", 7, "shard3", 0), "45503", /slot 7 is being moved already: move \d+/);
    await root.run("UPDATE slot_move SET finished_at = 1 WHERE slot = 7");
  });

  test("wishes are refused if there is no such move, or it is past that point", async () => {
    await refused(call(admin, "move_wish", 8, "cancel"), "45503", /no move of slot 8 is under way/);
    await refused(call(admin, "move_wish", 8, "hurry"), "45400", /needs go, pause/);
    await refused(call(admin, "move_throttle", 8, 5), "45503", /no move of slot 8/);
    const { id } = await claimed(8);
    await refused(call(admin, "move_wish", 8, "rollback"), "45503", /is queued, not keeping/);
    await root.run(`UPDATE slot_move SET flipped_at = 5 WHERE move_id = ${id}`);
    await refused(call(admin, "move_wish", 8, "cancel"), "45503", /has moved: roll it back instead/);
    await root.run(`UPDATE slot_move SET finished_at = 1 WHERE move_id = ${id}`);
  });

  test("is claimed by one mover at a time, and by another one after the lease", async () => {
    const { id } = await claimed(9);
    assert.equal(await one(mover, "move_claim", "there/2", key(), 10000, 1000), undefined);
    await root.run(`UPDATE slot_move SET claimed_until = 1 WHERE move_id = ${id}`);
    const next = await one(mover, "move_claim", "there/2", key(), 10000, 1000);
    assert.deepEqual([next.move_id, next.term], [id, "2"]);
    await root.run(`UPDATE slot_move SET finished_at = 1 WHERE move_id = ${id}`);
  });

  test("is found again with the token of a claim whose answer was lost, until another mover has it", async () => {
    const { id, token } = await claimed(13);
    await call(mover, "move_open", 13, token);
    await call(admin, "move_request", 11, "shard2", 0);
    assert.equal((await one(mover, "move_claim", "here/1", token, 10000, 1000)).move_id, id);
    assert.equal((await fence(13)).token, token);
    await root.run(`UPDATE slot_move SET claimed_until = 1, phase = 'copying' WHERE move_id = ${id}`);
    assert.equal((await one(mover, "move_claim", "there/2", key(), 10000, 1000)).move_id, id);
    assert.equal((await one(mover, "move_claim", "here/1", token, 10000, 1000)).slot, "11");
    await root.run("UPDATE slot_move SET finished_at = 1 WHERE slot IN (11, 13)");
  });

  test("waits while the largest number of moves is under way here, counted from the claim on", async () => {
    const { id } = await claimed(10);
    await call(admin, "move_request", 11, "shard2", 0);
    assert.equal(
      await one(mover, "move_claim", "there/2", key(), 10000, 1),
      undefined,
      "so far nothing but the claim shows that",
    );
    await root.run(`UPDATE slot_move SET phase = 'copying' WHERE move_id = ${id}`);
    assert.equal(await one(mover, "move_claim", "there/2", key(), 10000, 1), undefined);
    assert.equal((await one(mover, "move_claim", "there/2", key(), 10000, 2)).slot, "11");
    await root.run("UPDATE slot_move SET finished_at = 1 WHERE slot IN (10, 11)");
  });

  test("is claimed after those that were not tried since", async () => {
    for (const slot of [10, 11]) await call(admin, "move_request", slot, "shard2", 0);
    await root.run("UPDATE slot_move SET claimed_until = 1 WHERE active = 10");
    assert.equal((await one(mover, "move_claim", "there/2", key(), 10000, 2)).slot, "11");
    await root.run("UPDATE slot_move SET finished_at = 1 WHERE slot IN (10, 11)");
  });
});

describe("a mover whose move was claimed by another one", () => {
  test("is refused by every routine that changes the slot", async () => {
    const old = await claimed(12);
    await call(mover, "move_open", 12, old.token);
    await root.run(`UPDATE slot_move SET claimed_until = 1 WHERE move_id = ${old.id}`);
    const next = { token: key() };
    await one(mover, "move_claim", "there/2", next.token, 10000, 1000);
    assert.equal((await fence(12)).token, next.token);
    await fencedOut(call(mover, "move_beat", old.id, old.token, 1000, "{}"));
    await fencedOut(call(mover, "move_open", 12, old.token));
    await fencedOut(call(mover, "move_read", 12, old.token, "user", 0, "", "", 10, 0));
    await fencedOut(call(mover, "move_pick", 12, old.token, "user", "[]", 0));
    await fencedOut(call(mover, "move_drain", 12, old.token, 10));
    await fencedOut(call(mover, "move_drained", 12, old.token));
    await fencedOut(call(mover, "move_lock", 12, old.token));
    await fencedOut(call(mover, "move_give", 12, old.token, 2, "shard2"));
    await fencedOut(call(mover, "move_cancel", old.id, old.token));
    await fencedOut(call(mover, "move_close", 12, old.token));
    assert.equal((await one(mover, "move_cancel", old.id, next.token)).is_here, "1");
    await root.run("UPDATE slot_move SET finished_at = 1 WHERE slot = 12");
  });

  test("goes on with what has already begun to arrive, even if that is one slot more than allowed", async () => {
    const slots = [1011, 1012, 1013];
    const token = key();
    await root.run(
      `DELETE FROM slot_fence WHERE slot IN (${slots}, 1014); DELETE FROM slot_seq WHERE slot IN (${slots}, 1014)`,
    );
    const take = async (slot, max) => (await one(mover, "move_import", slot, 5, token, 1, "shard9", max)).is_begun;
    for (const slot of slots) assert.equal(await take(slot, 10), "1");
    for (const slot of slots)
      assert.equal(await take(slot, 2), "1", "three that began together do not wait for each other");
    assert.equal(await take(1014, 2), "0");
    await root.run(`DELETE FROM slot_fence WHERE slot IN (${slots}); DELETE FROM slot_import WHERE slot IN (${slots})`);
  });

  test("does not wait for slots that no longer arrive: lost with the data of a shard, or claimed elsewhere since", async () => {
    const slots = [1011, 1012, 1013];
    await root.run(`DELETE FROM slot_fence WHERE slot IN (${slots}); DELETE FROM slot_seq WHERE slot IN (${slots})`);
    const take = async (slot) => (await one(mover, "move_import", slot, 5, key(), 1, "shard9", 1)).is_begun;
    await root.run(
      "INSERT INTO slot_fence (slot, epoch, state, server) VALUES (1011, 5, 'importing', 'shard1')",
    ); /* as shard_restored leaves it */
    assert.equal(await take(1012), "1");
    assert.equal(await take(1013), "0");
    await call(account(server, "app"), "slot_learn", JSON.stringify([{ slot: 1012, epoch: 6, server: "shard9" }]));
    assert.equal(await take(1013), "1");
    await root.run(`DELETE FROM slot_fence WHERE slot IN (${slots}); DELETE FROM slot_import WHERE slot IN (${slots});
      DELETE FROM slot_known WHERE slot = 1012; INSERT INTO slot_known (slot, epoch, server) VALUES (1012, 1, 'shard1')`);
  });

  test("is refused at the taker, too, by the number of its claim", async () => {
    const [first, second] = [key(), key()];
    const slot = 1001;
    await root.run(`DELETE FROM slot_fence WHERE slot = ${slot}; DELETE FROM slot_seq WHERE slot = ${slot}`);
    const take = (token, term, epoch = 5) => one(mover, "move_import", slot, epoch, token, term, "shard9", 10);
    assert.deepEqual(Object.values(await take(first, 1)), ["1", "0", "", "", "0"]);
    await take(second, 2);
    await fencedOut(take(first, 1));
    const rows = JSON.stringify([[1, 2, 1, 3, 4]]);
    const batch = `[{"t":"follow","k":[],"r":${rows}}]`;
    await fencedOut(call(mover, "move_write", slot, first, rows, "follow", "[1,2,null,null]", 1));
    await fencedOut(call(mover, "move_purge", slot, 5, first, "follow", 10));
    await fencedOut(call(mover, "move_clean", slot, first));
    await fencedOut(call(mover, "move_ready", slot, first, "[]", 0, 0, 0, 0));
    await fencedOut(call(mover, "move_forget", slot, first, 6, "shard9"));
    await call(mover, "move_write", slot, second, rows, "follow", "[1,2,null,null]", 1);
    assert.deepEqual(Object.values(await take(second, 2)), ["1", "0", "follow", "[1,2,null,null]", "1"]);
    await call(mover, "move_ready", slot, second, "[]", 0, 0, 0, 1);
    assert.equal(
      (await root.run(`SELECT last FROM slot_seq WHERE slot = ${slot}`))[0][0].last,
      "0",
      "ids can be minted here",
    );
    await fencedOut(call(mover, "move_write", slot, second, batch, "", "", 0));
    await fencedOut(call(mover, "move_adopt", slot, 5, second, 2));
    await call(mover, "slot_takeover", slot, 5, second);
    await fencedOut(call(mover, "move_adopt", slot, 5, first, 1));
    await fencedOut(take(second, 3));
    assert.deepEqual(await fence(slot), { state: "owned", epoch: "5", server: "shard1", journal: "1", token: second });
    await call(mover, "move_close", slot, second);
    await call(mover, "move_close", slot, second); // as after a first CALL whose answer was lost
    await root.run(
      `DELETE FROM follow WHERE slot = ${slot}; DELETE FROM slot_fence WHERE slot = ${slot}; DELETE FROM slot_import`,
    );
  });
});

describe("rows that the journal names", () => {
  const [from, to] = [20, 1002];
  const token = key();
  let move;
  const text = 'he said "x" \\ \u{1F600} é';
  const messages = async (slot) =>
    (await root.run(`SELECT at, text FROM message WHERE slot = ${slot} ORDER BY at`))[0].map(({ at, text: t }) => [
      at,
      t,
    ]);
  const write = (table, keys, rows) =>
    call(mover, "move_write", to, token, `[{"t":"${table}","k":[${keys}],"r":[${rows}]}]`, "", "", 0);
  const withSum = (row, sum = crc32(row)) => `${row.slice(0, -1)}, ${sum}]`;

  before(async () => {
    move = await claimed(from);
    await call(mover, "move_open", from, move.token);
    await root.run(`DELETE FROM slot_fence WHERE slot = ${to}; DELETE FROM slot_seq WHERE slot = ${to}`);
    await call(mover, "move_import", to, 5, token, 1, "shard9", 10);
    const row = (at) => `(${from}, 1, 2, ${at}, ${at}, 1, ${at}, ${literal(text)}, UNHEX('${key()}'))`;
    await root.run(
      `INSERT INTO message (slot, user_id, peer_id, at, message_id, sent, seq, text, op) VALUES ${row(7)}, ${row(8)}`,
    );
  });

  test("are returned table by table, keys without a row included, and are the same after they are written", async () => {
    await root.run(`INSERT INTO slot_log (slot, tbl, owner, k1, k2, k3)
      VALUES (${from}, 'message', 1, 1, 2, NULL), (${from}, 'follow', 1, 1, 9, NULL), (${from}, 'follow', 1, 1, 9, NULL)`);
    const [follows, chats, [{ entries }]] = await call(mover, "move_drain", from, move.token, 10);
    assert.equal(entries, "3");
    assert.deepEqual(follows, [{ tbl: "follow", key_text: "[1, 9, null, null]", row_text: null }]);
    assert.deepEqual(
      chats.map(({ key_text }) => key_text),
      ["[1, 2, null, null]", "[1, 2, 7, null]", "[1, 2, 8, null]"],
    );
    const rows = chats.map(({ row_text }) => row_text).filter((row) => row !== null);
    await write(
      "message",
      "",
      rows.map((row) => withSum(row)),
    );
    assert.deepEqual(await messages(to), [
      ["7", text],
      ["8", text],
    ]);
  });

  test("are refused if they would read differently, together with the whole batch", async () => {
    const row = "[1, 3, 1, 3, 4]";
    await refused(
      write("follow", "", withSum(row, crc32(row) ^ 1)),
      "45503",
      /rows of follow are not what was written/,
    );
    await refused(write("follow", "", `${withSum(row)}, [1, 4, 1, 3, 4]`), "45503", /rows of follow/);
    assert.deepEqual(await root.run(`SELECT 1 AS x FROM follow WHERE slot = ${to}`), [[]]);
    await write("follow", "", withSum(row));
    assert.equal((await root.run(`SELECT 1 AS x FROM follow WHERE slot = ${to}`))[0].length, 1);
  });

  test("are removed by key; the beginning of a key removes all that it covers except for rows that are written again", async () => {
    await write("follow", "[1, 3, null, null]", "");
    assert.deepEqual(await root.run(`SELECT 1 AS x FROM follow WHERE slot = ${to}`), [[]]);
    const [row] = (
      await root.run(`SELECT message_id, sent, seq, state, HEX(op) AS op FROM message
      WHERE slot = ${to} AND at = 8`)
    )[0];
    const put = (await call(mover, "move_drain", from, move.token, 10))[1][2].row_text;
    assert.ok(put.includes(row.op));
    await write("message", "[1, 2, null, null]", withSum(put));
    assert.deepEqual(await messages(to), [["8", text]]);
  });
});

describe("a flip", () => {
  const slot = 14;
  let move;
  before(async () => {
    move = await claimed(slot);
    await call(mover, "move_open", slot, move.token);
  });
  after(() => root.run(`UPDATE slot_move SET finished_at = 1 WHERE slot = ${slot}`));

  test("that did not begin on this connection is not ended by it", async () => {
    const other = account(server, "mover");
    await call(mover, "move_lock", slot, move.token);
    await call(mover, "move_unlock");
    await fencedOut(call(mover, "move_give", slot, move.token, 9, "shard2"));
    await call(mover, "move_lock", slot, move.token);
    await root.run("SET SESSION innodb_lock_wait_timeout = 1");
    await assert.rejects(root.run(`SELECT 1 FROM slot_fence WHERE slot = ${slot} FOR UPDATE`), /1205|Lock wait/);
    await call(mover, "move_unlock");
    await fencedOut(call(other, "move_give", slot, move.token, 9, "shard2"));
    assert.equal((await fence(slot)).state, "migrating");
  });

  test("does not begin with an incomplete journal", async () => {
    await root.run(`INSERT INTO slot_lost (slot, at) VALUES (${slot}, 1)`);
    await refused(call(mover, "move_lock", slot, move.token), "45503", /journal of the slot was not kept/);
    await root.run("DELETE FROM slot_lost");
  });

  test("records who has the slot from then on", async () => {
    await call(mover, "move_lock", slot, move.token);
    await call(mover, "move_rest", slot, 100);
    await call(mover, "move_give", slot, move.token, 9, "shard2");
    assert.deepEqual(await fence(slot), {
      state: "moved",
      epoch: "9",
      server: "shard2",
      journal: "0",
      token: move.token,
    });
    assert.equal((await one(mover, "move_cancel", move.id, move.token)).is_here, "0");
  });
});

describe("a journal", () => {
  const slot = 15;

  const fill = (first, n) =>
    root.run(
      `INSERT INTO slot_log (id, slot, tbl, owner, k1) VALUES (${first}, ${slot}, 'user', 1, 1), (${first + n}, ${slot}, 'user', 1, 1)`,
    );
  const body = literal(JSON.stringify([{ slot, epoch: 1, owner: 8 * slot, op: key() }]));
  const codes = async () =>
    (
      await root.run(
        `SET @x = ${body}; CALL _op_open(@x); START TRANSACTION; CALL _op_fence(@m); SELECT code, moving FROM op; COMMIT`,
      )
    )
      .flat()
      .find((row) => "moving" in row);
  const isAlwaysBusy = async () => {
    for (let i = 0; i < 10; i++) assert.equal((await codes()).code, "busy");
  };
  const isNeverBusy = async (moving) => {
    for (let i = 0; i < 30; i++) assert.deepEqual(await codes(), { code: "ok", moving });
  };
  /* Two entries of the journal arrive at the taker. */
  async function drain(token) {
    await call(mover, "move_drain", slot, token, 2);
    assert.deepEqual(await one(mover, "move_drained", slot, token), { entries: "2", backlog: "20001" });
  }

  /* The bound as it would be if a journal ended at N entries, and they were counted every time. */
  async function bound(n) {
    const text = readFileSync(new URL("../../procedures/slot/_slot_log_bound.sql", import.meta.url), "utf8");
    const [body] = text.match(/^CREATE DEFINER[^]*^END(?=\$\$)/m);
    const edited = body.replaceAll("200000", String(n)).replace("RAND() < 0.02", "RAND() < 1");
    await root.run(`DROP PROCEDURE _slot_log_bound; ${n === undefined ? body : edited}`);
  }

  test("that is long makes writers wait while it arrives at the taker, and ends when it is not", async () => {
    const { id, token } = await claimed(slot);
    await call(mover, "move_open", slot, token);
    await fill(1_000_000, 1);
    await fill(1_100_000, 20_000);
    await isNeverBusy("1"); /* nothing has arrived: the taker may be down, the claim says nothing */
    assert.equal((await one(mover, "move_beat", id, token, 10000, "{}")).backlog, "120001");
    await drain(token);
    assert.equal((await one(mover, "move_beat", id, token, 10000, "{}")).backlog, "20001");
    assert.equal(
      (await one(mover, "move_beat", id, token, 10000, '{"backlog":7}')).backlog,
      "7",
      "that of the other shard",
    );
    await isAlwaysBusy();
    await root.run(`UPDATE slot_move SET drained_at = drained_at - 5000 WHERE move_id = ${id}`);
    await isNeverBusy("1");
    await bound(200);
    await isNeverBusy("1"); /* it is short: what lies between are entries of other slots */
    await root.run(
      `INSERT INTO slot_log (id, slot, tbl, owner, k1) SELECT 2000000 + seq, ${slot}, 'user', 1, 1 FROM seq_1_to_199`,
    );
    assert.deepEqual(await codes(), { code: "ok", moving: "0" });
    await bound();
    assert.equal((await root.run("SELECT slot FROM slot_lost"))[0][0].slot, String(slot));
    await root.run(`UPDATE slot_move SET drained_at = drained_at + 60000 WHERE move_id = ${id}`);
    await isNeverBusy("0"); /* it is lost already */
    await root.run(
      `UPDATE slot_move SET finished_at = 1 WHERE move_id = ${id}; DELETE FROM slot_lost; DELETE FROM slot_log`,
    );
  });

  test("that the mover needs short makes writers wait early, all of them in the end; while it copies and compares, late", async () => {
    await root.run(`UPDATE slot_fence SET state = 'owned', token = NULL WHERE slot = ${slot}`);
    const { id, token } = await claimed(slot);
    await call(mover, "move_open", slot, token);
    const span = async (n) => {
      await root.run("DELETE FROM slot_log");
      await fill(4_000_000, n);
    };
    /* The entries that the mover reads are in it until they have arrived. */
    await fill(4_000_000, 1);
    await call(mover, "move_drain", slot, token, 2);
    await call(mover, "move_drained", slot, token);
    for (const [phase, none, all] of [
      ["copying", 10_000, 20_000],
      ["draining", 200, 400],
      ["verifying", 10_000, 20_000],
      ["flipping", 200, 400],
    ]) {
      await one(mover, "move_beat", id, token, 10000, JSON.stringify({ phase }));
      await root.run(`UPDATE slot_move SET drained_at = _now_ms() WHERE move_id = ${id}`);
      await span(none);
      await isNeverBusy("1");
      await root.run(`UPDATE slot_move SET drained_at = _now_ms() WHERE move_id = ${id}`);
      await span(all);
      await isAlwaysBusy();
    }
    await root.run(`UPDATE slot_move SET drained_at = drained_at - 5000 WHERE move_id = ${id}`);
    await isNeverBusy("1"); /* nobody reads it */
    await root.run(`UPDATE slot_move SET finished_at = 1 WHERE move_id = ${id}; DELETE FROM slot_log`);
  });

  test("of a slot that moves back makes writers wait as well; of a slot that merely could move back, never", async () => {
    const token = key();
    await root.run(`UPDATE slot_fence SET state = 'owned', journal = 1, token = UNHEX('${token}') WHERE slot = ${slot};
      INSERT INTO slot_import (slot, epoch, term, giver) VALUES (${slot}, 1, 1, 'shard9')`);
    await fill(3_000_000, 1);
    await fill(3_100_000, 20_000);
    await drain(token);
    await isNeverBusy("1");
    await root.run(`UPDATE slot_fence SET state = 'migrating', journal = 0 WHERE slot = ${slot}`);
    for (const [entries, check] of [
      [400, isAlwaysBusy],
      [200, () => isNeverBusy("1")],
    ]) {
      await root.run(`DELETE FROM slot_log; UPDATE slot_import SET drained_at = _now_ms() WHERE slot = ${slot}`);
      await fill(3_200_000, entries);
      await check();
    }
    await root.run(
      `UPDATE slot_fence SET state = 'owned', token = NULL WHERE slot = ${slot}; DELETE FROM slot_import; DELETE FROM slot_log`,
    );
  });
});
