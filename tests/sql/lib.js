/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Shared by the tests of the procedures: a separate shard for each test file, the batch form, and the cases
 * that every routine must pass. */
import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { readFileSync, readdirSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";

import { Mariadb } from "../lib/mariadb.js";
import { SqlError, literal } from "../lib/sql.js";
import { until } from "../lib/wait.js";

export { Mariadb, SqlError, literal, until };

export const PROCEDURES = fileURLToPath(new URL("../../procedures", import.meta.url));
export const FAR = 9_999_999_999_999; /* ms: a time after the end of any test */

export const MANIFESTS = [
  "accounts.sql",
  ...readdirSync(path.join(PROCEDURES, "schema"))
    .sort()
    .map((name) => `schema/${name}`),
  "install.sql",
  "grants.sql",
];

/* Names what is installed. */
function fingerprint() {
  const files = readdirSync(PROCEDURES, { recursive: true })
    .filter((name) => name.endsWith(".sql"))
    .sort();
  return sha256(files.map((name) => `${name}\n${readFileSync(path.join(PROCEDURES, name), "utf8")}`).join("\n")).slice(
    0,
    16,
  );
}

/** A server with everything installed twice, because the second time must change nothing. */
export async function installed(options) {
  const from = await Mariadb.prepare(fingerprint(), (server) => server.source(PROCEDURES, ...MANIFESTS, ...MANIFESTS));
  return Mariadb.start({ ...options, from });
}

/** A server that is shard1 and has all slots; ROOT and APP are sessions on it. */
export async function shard(options) {
  const server = await installed(options);
  const root = server.session({ database: "doushard" });
  await root.run("CALL shard_init('shard1')");
  await root.run("CALL slot_assign(0, 1023, 'shard1')");
  for (const name of ["app", "admin", "monitor", "mover"]) {
    await root.run(`ALTER USER 'doushard_${name}'@'%' IDENTIFIED BY 'secret ${name}'`);
  }
  return { server, root, app: account(server, "app") };
}

/** A session of doushard_NAME. */
export const account = (server, name, options = {}) =>
  server.session({
    user: `doushard_${name}`,
    password: `secret ${name}`,
    database: "doushard",
    ...options,
  });

/* ---- Values ---- */

/** 16 random bytes as hex: an op, a session, a claim. */
export const key = () => randomBytes(16).toString("hex");

export const sha256 = (text) => createHash("sha256").update(text).digest("hex");

/** As SQL's CRC32(). */
export function crc32(text) {
  let crc = 0xffffffff;
  for (const byte of Buffer.from(text, "utf8")) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) {
      crc = crc & 1 ? (crc >>> 1) ^ 0xedb88320 : crc >>> 1;
    }
  }
  return (crc ^ 0xffffffff) >>> 0;
}

/** The slot of a name. */
export const slotOfName = (name) => crc32(name) % 1024;

/** The slot that an id names. */
export const slotOfId = (id) => Number((BigInt(id) >> 3n) & 1023n);

/** The time that an id names, ms since the Unix epoch. */
export const timeOfId = (id) => Number(BigInt(id) >> 13n) + 1735689600000;

/** The Nth version after the first of an owner, in a slot of EPOCH: what the owner row has when it is made is N = 0
 * for its lists, 1 for its card. */
export const version = (n, epoch = 1) => String(epoch * 2 ** 33 + n);

let names = 0;
/** A name that no other test uses. */
export function newName(prefix = "user") {
  names += 1;
  return `${prefix}${names}`;
}

/** A name that no other test uses and that lies in SLOT. */
export function nameIn(slot) {
  for (;;) {
    const name = newName("in");
    if (slotOfName(name) === slot) {
      return name;
    }
  }
}

/** LIST with another VALUE at I. */
export const changed = (list, i, value) => list.map((old, at) => (at === i ? value : old));

/* ---- Calls ---- */

export const call = (session, routine, ...args) => session.run(`CALL ${routine}(${args.map(literal).join(", ")})`);

/** The rows of a batch, one for each operation, in whichever result set: a reader answers refusals in another
 * one. */
export function rowsOf(sets) {
  const rows = new Map();
  for (const row of sets.flat()) {
    if (row.n !== undefined && row.code !== undefined && !rows.has(row.n)) rows.set(row.n, row);
  }
  return [...rows.values()].sort((a, b) => Number(a.n) - Number(b.n));
}
const first = (sets) => rowsOf(sets)[0];

/** CALL with a batch (or one operation): its rows. */
export async function batch(session, routine, ops) {
  return rowsOf(await call(session, routine, JSON.stringify([ops].flat())));
}

/** The rows about owners that a batch routine answers besides those of its operations, by result set. */
export async function owners(session, routine, ops) {
  return (await call(session, routine, JSON.stringify([ops].flat()))).slice(1);
}

/** What waits in the outbox for targets in SLOTS. */
export const outboxList = async (session, limit, older = 0, slots = Array.from({ length: 1024 }, (_, i) => i)) =>
  (await call(session, "outbox_list", JSON.stringify(slots), limit, older))[0];

/** CALL with one operation: its row. */
export async function one(session, routine, op) {
  const rows = await batch(session, routine, op);
  assert.equal(rows.length, 1, `${routine} answers one row per operation`);
  assert.equal(rows[0].n, "1");
  return rows[0];
}

/** The codes of a batch. */
export const codes = async (session, routine, ops) => (await batch(session, routine, ops)).map((row) => row.code);

/** Check that the CALL is refused with STATE, and that nothing is left open in the session. */
export async function refused(session, state, routine, ...args) {
  await assert.rejects(
    call(session, routine, ...args),
    (error) => error instanceof SqlError && error.state === state,
    `${routine}(${args.map(literal).join(", ").slice(0, 300)}) is not refused with ${state}`,
  );
}

/** What WORK resolves to, done in SESSION, and how many rows the server read for it. */
export async function counted(session, work) {
  await session.run("FLUSH STATUS");
  const result = await work(session);
  const status = await session.rows("SHOW SESSION STATUS LIKE 'Handler_read%'");
  return { result, reads: status.reduce((sum, { Value: value }) => sum + Number(value), 0) };
}

export function registerOp(name = newName(), fields = {}) {
  return {
    slot: slotOfName(name),
    epoch: 1,
    owner: 0,
    op: key(),
    name,
    hash: "hash 1",
    session: key(),
    expires_at: FAR,
    ...fields,
  };
}

/** A new user: { id (as text), slot, name, op }. */
export async function newUser(session, name = newName()) {
  const op = registerOp(name);
  const row = await one(session, "user_register", op);
  assert.equal(row.code, "ok");
  return { id: row.user_id, slot: op.slot, name, op };
}

export const ownerOp = (user, fields = {}) => ({ slot: user.slot, epoch: 1, owner: Number(user.id), ...fields });

export function publishOp(user, fields = {}) {
  const media = key();
  return ownerOp(user, {
    op: key(),
    title: "a title",
    media,
    sha256: sha256(media),
    size_bytes: 1000,
    duration_ms: 5000,
    width: 640,
    height: 360,
    ...fields,
  });
}

export async function newVideo(session, user, fields = {}) {
  const row = await one(session, "publish_action", publishOp(user, fields));
  assert.equal(row.code, "ok");
  return { id: row.video_id, at: Number(row.published_at), media: row.media, slot: user.slot };
}

export const deleteOp = (video, userId) => ({
  slot: video.slot,
  epoch: 1,
  owner: Number(video.id),
  user: Number(userId),
});

/* ---- Cases that many routines share ---- */

/** Check that a batch routine refuses what is not a batch, and operations whose FIELDS are missing, null, or
 * one of the bad values given: { field: [values] }. */
export async function refusesBadBatch(session, routine, good, fields) {
  for (const text of [null, "", "{}", "[]", "nonsense", "[1]", "[null]", "[[]]"]) {
    await refused(session, "45400", routine, text);
  }
  const common = [-1, "x", "", 1.5, 1e300, "18446744073709551616", {}, []];
  const bad = { slot: [...common, 4294967296], epoch: common, owner: common, ...fields };
  for (const [field, values] of Object.entries(bad)) {
    for (const value of [undefined, null, ...values]) {
      const op = { ...good, [field]: value };
      if (value === undefined) {
        delete op[field];
      }
      await refused(session, "45400", routine, JSON.stringify([op]));
    }
  }
}

/** Every state of the fence, an owner that left, and a caller who knows a newer epoch.
 * MAKE returns an operation, or the arguments of a routine that takes no batch; it is made
 * for SLOT and EPOCH. */
export async function obeysFence(root, session, routine, slot, make) {
  const answer = async (epoch) => {
    const args = make(epoch);
    const sets = await call(session, routine, ...(Array.isArray(args) ? args : [JSON.stringify([args])]));
    const { code, slot: to, epoch: at, server } = first(sets);
    return { code, to: Number(to), at: Number(at), server };
  };
  const set = (assignment) => root.run(`UPDATE slot_fence SET ${assignment} WHERE slot = ${slot}`);
  const reset = () =>
    set("state = 'owned', epoch = 1, server = 'shard1', heard_epoch = 0, rival_epoch = 0, has_home = 0");
  const snapshot = await tableSums(root);
  try {
    await set("state = 'moved', epoch = 2, server = 'shard2'");
    assert.deepEqual(await answer(1), { code: "moved", to: slot, at: 2, server: "shard2" });
    await set("state = 'ready'");
    assert.equal((await answer(1)).code, "notready");
    await set("state = 'importing'");
    assert.equal((await answer(1)).code, "notready");
    await reset();
    assert.deepEqual(await answer(5), { code: "moved", to: slot, at: 1, server: "shard1" });
    await set("heard_epoch = 7");
    assert.equal((await answer(1)).code, "moved");
    await set("heard_epoch = 0, rival_epoch = 1");
    assert.deepEqual(await answer(1), { code: "moved", to: slot, at: 1, server: "shard1" });
    await root.run(`DELETE FROM slot_fence WHERE slot = ${slot}`);
    assert.equal((await answer(1)).code, "moved");
    assert.deepEqual(await tableSums(root), snapshot, `${routine} changed something after a refusal`);
  } finally {
    await root.run(`INSERT IGNORE INTO slot_fence (slot, epoch, state, server) VALUES (${slot}, 1, 'owned', 'shard1')`);
    await reset();
  }
}

/** An owner that was promoted: answered with its own slot and who has that. */
export async function obeysForwarding(root, session, routine, slot, owner, make) {
  await root.run(`INSERT INTO owner_home (slot, owner_id, own_slot) VALUES (${slot}, ${owner}, 1030)`);
  await root.run("INSERT INTO slot_known (slot, epoch, server) VALUES (1030, 18, 'shard9')");
  await root.run(`UPDATE slot_fence SET has_home = 1 WHERE slot = ${slot}`);
  const snapshot = await tableSums(root);
  try {
    const args = make(1);
    const sets = await call(session, routine, ...(Array.isArray(args) ? args : [JSON.stringify([args])]));
    const { code, slot: to, epoch, server } = first(sets);
    assert.deepEqual({ code, to, epoch, server }, { code: "moved", to: "1030", epoch: "18", server: "shard9" });
    assert.deepEqual(await tableSums(root), snapshot, `${routine} changed something after a refusal`);
    return first(sets);
  } finally {
    await root.run(`UPDATE slot_fence SET has_home = 0 WHERE slot = ${slot}`);
    await root.run(`DELETE FROM owner_home WHERE slot = ${slot} AND owner_id = ${owner}`);
    await root.run("DELETE FROM slot_known WHERE slot = 1030");
  }
}

const WRITTEN = [
  "account",
  "user",
  "inbound",
  "session",
  "video",
  "job",
  "follow",
  "follower",
  "favorite",
  "liker",
  "comment",
  "commented",
  "chat",
  "message",
  "outbox",
  "idem",
  "slot_seq",
  "slot_log",
];

/** A checksum per table that routines write. */
export async function tableSums(root) {
  const rows = await root.rows(`CHECKSUM TABLE ${WRITTEN.join(", ")}`);
  return Object.fromEntries(rows.map((row) => [row.Table, row.Checksum]));
}

/** What WORK journals: entries "table owner k1,k2,.. ks" while the slot is migrating, and
 * none while it is not. WORK runs twice. */
export async function journals(root, slot, work, expected) {
  await root.run("DELETE FROM slot_log");
  await work();
  assert.equal(await root.value("SELECT COUNT(*) FROM slot_log"), "0", "journaled without need");
  await root.run(`UPDATE slot_fence SET state = 'migrating' WHERE slot = ${slot}`);
  const made = await work();
  await root.run(`UPDATE slot_fence SET state = 'owned' WHERE slot = ${slot}`);
  const rows = await root.rows(`
    SELECT CONCAT_WS(' ', tbl, owner, CONCAT_WS(',', k1, k2, k3, k4), LOWER(HEX(ks))) AS entry
      FROM slot_log ORDER BY id`);
  await root.run("DELETE FROM slot_log");
  /* A key journaled twice is copied twice, which does no harm. */
  const entries = new Set(rows.map((row) => row.entry.trim()));
  assert.deepEqual([...entries].sort(), [...new Set(expected(made).map(String))].sort());
}

/** Wait until COUNT sessions of this server wait for a row lock. (Not by innodb_trx, which shows old rows
 * when it is read more often than every 100 ms.) */
export const waitForLocks = (root, count) =>
  until(`${count} sessions to wait for a lock`, async () => {
    const [{ Value: waiting }] = await root.rows("SHOW GLOBAL STATUS LIKE 'Innodb_row_lock_current_waits'");
    return Number(waiting) === count;
  });

/** Run A and B so that they really meet: a third session holds the rows that LOCK selects
 * until both wait. Resolves to [result of A, result of B]. */
export async function race(server, root, lock, [first, a], [second, b]) {
  const holder = server.session({ database: "doushard" });
  try {
    await holder.run("START TRANSACTION");
    await holder.run(lock);
    const running = [a(first), b(second)];
    for (const promise of running) {
      promise.catch(() => {});
    }
    await waitForLocks(root, 2);
    await holder.run("COMMIT");
    return await Promise.all(running);
  } finally {
    await holder.end();
  }
}
