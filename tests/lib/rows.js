/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Direct changes of rows: planting videos at chosen times, moving a slot by hand. */

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { slotOfId } from "./checks.js";
import { literal } from "./sql.js";

const EPOCH_MS = 1735689600000;

/** The id of this time, slot and low number. */
export const idOf = (atMs, slot, low = 0) => ((atMs - EPOCH_MS) * 1024 + slot) * 8 + low;

/** Map of slot to owner, as the shards themselves say. Fails when two claim a slot. */
export async function owners(cluster) {
  const map = new Map();
  const rows = await cluster.sqlAll("SELECT slot FROM slot_fence WHERE state IN ('owned', 'migrating')");
  for (const { shard, slot } of rows) {
    assert.ok(!map.has(slot), `slot ${slot} is owned by ${map.get(slot)} and ${shard}`);
    map.set(slot, shard);
  }
  return map;
}

/**
 * Plant live videos: {author, at, title?}, at most one per author and time. Returns them with their
 * ids. There are no files: only the rows count.
 */
export async function plantVideos(cluster, videos) {
  const owner = await owners(cluster);
  const byShard = new Map();
  const planted = videos.map(({ author, at, title = `video at ${at}` }) => {
    const slot = slotOfId(author);
    const id = idOf(at, slot);
    const shard = owner.get(slot);
    const media = author.toString(16).padStart(14, "0") + randomBytes(16).toString("hex");
    const row = [slot, id, author, title, media, randomBytes(32), 1000, 1000, 160, 120, at, randomBytes(16)];
    byShard.set(shard, [...(byShard.get(shard) ?? []), `(${row.map(literal).join(", ")})`]);
    return { id, author, at, title, shard, media };
  });
  await Promise.all(
    [...byShard].map(([shard, rows]) =>
      cluster.sql(
        shard,
        `INSERT INTO video (slot, video_id, author_id, title, media, sha256, size_bytes, duration_ms,
      width, height, published_at, op) VALUES ${rows.join(",\n")}`,
      ),
    ),
  );
  return planted;
}

/** A row if a shard runs anything besides this. It does not read the process list: reading that while
 * sessions are killed can crash mariadbd (see conn_kill). */
export const RUNNING_CALLS = `SELECT variable_value FROM information_schema.global_status
  WHERE variable_name = 'THREADS_RUNNING' AND variable_value > 1`;

/** Remove all videos of all shards. */
export const clearVideos = (cluster) => cluster.sqlAll("DELETE FROM video; UPDATE user SET work_count = 0");

/* What a shard itself knows of slots: these rows stay where they are. */
const STAYING = [
  "slot_fence",
  "slot_known",
  "slot_log",
  "slot_move",
  "slot_load",
  "owner_load",
  "slot_import",
  "slot_lost",
  "purge_pass",
];

/** The tables whose rows move with their slot. */
export const movingTables = async (cluster) => (await cluster.tables("slot")).filter((t) => !STAYING.includes(t));

const deleteSlot = async (cluster, slot) =>
  (await movingTables(cluster)).map((t) => `DELETE FROM \`${t}\` WHERE slot = ${slot};`).join("\n");

/* Statements that make the rows of one slot again. */
export async function rowsOf(cluster, shard, slot) {
  const tables = await movingTables(cluster);
  const columns = await cluster.sql(
    shard,
    `SELECT table_name AS t, column_name AS c, numeric_precision IS NOT NULL AS n
      FROM information_schema.columns
     WHERE table_schema = 'doushard' AND is_generated = 'NEVER'
       AND table_name IN (${tables.map(literal)}) ORDER BY table_name, ordinal_position`,
  );
  const columnsOf = (table) => columns.filter(({ t }) => t === table);
  const rows = await cluster.sql(
    shard,
    tables
      .map((table) => {
        const parts = columnsOf(table).map(({ c, n }) =>
          n ? `COALESCE(CAST(\`${c}\` AS CHAR), 'NULL')` : `COALESCE(CONCAT('X\\'', HEX(\`${c}\`), '\\''), 'NULL')`,
        );
        return `SELECT '${table}' AS t, CONCAT('(', ${parts.join(", ',', ")}, ')') AS v FROM \`${table}\` WHERE slot = ${slot}`;
      })
      .join(";\n"),
  );
  return tables.flatMap((table) => {
    const values = rows.filter(({ t }) => t === table).map(({ v }) => v.replaceAll("X''", "''"));
    const names = columnsOf(table).map(({ c }) => `\`${c}\``);
    return Array.from(
      { length: Math.ceil(values.length / 1000) },
      (_, i) => `REPLACE INTO \`${table}\` (${names}) VALUES ${values.slice(i * 1000, (i + 1) * 1000).join(",\n")}`,
    );
  });
}

/**
 * Move a slot by hand with the rows of all tables, as a mover would at the end: the source's fence is taken
 * exclusively, which drains its writers; the rows are copied; the source says "moved", then the target "owned". A
 * call that comes in between finds "ready". Rows on the source stay, as strays that nobody may see; removeStrays()
 * removes them. No two attempts have the same epoch, whoever was to get the slot; ASKED: names of the shards that may have been in one.
 */
export async function moveSlot(cluster, slot, source, target, asked) {
  await giveSlot(cluster, slot, source, target, { asked });
  await takeSlot(cluster, slot, target);
}

/**
 * All of moveSlot() but the last step: the source has given the slot away, the target waits to be told that it may
 * take it. With a TOKEN (hexadecimal) in both fences a router tells it; TAKERS: what is in the target's instead. Resolves to the
 * epoch of the move.
 */
export async function giveSlot(
  cluster,
  slot,
  source,
  target,
  { asked = cluster.shards.map(({ name }) => name), token = "", takers = token } = {},
) {
  const epochs = await Promise.all(
    asked.map((shard) => cluster.sql(shard, `SELECT _slot_epoch_next(${slot}) AS next`)),
  );
  const next = Math.max(...epochs.map(([row]) => row.next));
  const binary = (hex) => (hex === "" ? "NULL" : `X'${hex}'`);
  await cluster.sql(
    target,
    `${await deleteSlot(cluster, slot)}
    INSERT INTO slot_fence (slot, epoch, state, server, token) VALUES (${slot}, ${next}, 'ready', '${target}', ${binary(takers)})
    ON DUPLICATE KEY UPDATE epoch = ${next}, state = 'ready', server = '${target}', token = ${binary(takers)};
    CALL _slot_changed()`,
  );
  const session = cluster.session(source);
  try {
    const [[given]] = await session.run(`START TRANSACTION; UPDATE slot_fence SET state = 'moved', epoch = ${next},
      server = '${target}', token = ${binary(token)} WHERE slot = ${slot} AND state = 'owned'; SELECT ROW_COUNT() AS n; CALL _slot_changed()`);
    assert.equal(given.n, "1", `${source} does not own slot ${slot}`);
    const statements = await rowsOf(cluster, source, slot);
    if (statements.length) await cluster.sql(target, `START TRANSACTION; ${statements.join(";\n")}; COMMIT`);
    await session.run("COMMIT");
    return next;
  } finally {
    await session.end();
  }
}

/* The last step of a move; repeating it changes nothing. */
export const takeSlot = (cluster, slot, target) =>
  cluster.sql(
    target,
    `START TRANSACTION;
  UPDATE slot_fence SET state = 'owned', has_home = EXISTS (SELECT 1 FROM owner_home WHERE slot = ${slot})
   WHERE slot = ${slot} AND server = '${target}';
  INSERT INTO slot_known (slot, epoch, server) SELECT slot, epoch, server FROM slot_fence WHERE slot = ${slot}
  ON DUPLICATE KEY UPDATE epoch = VALUES(epoch), server = VALUES(server);
  CALL _slot_changed(); COMMIT`,
  );

/** Remove the rows of all slots that are elsewhere now, including those of interrupted moves. */
export async function removeStrays(cluster) {
  const tables = await movingTables(cluster);
  await cluster.sqlAll(
    tables
      .map(
        (t) => `DELETE t FROM slot_fence AS f STRAIGHT_JOIN \`${t}\` AS t USING (slot)
    WHERE f.state NOT IN ('owned', 'migrating');`,
      )
      .join("\n"),
  );
}
