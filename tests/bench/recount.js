/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* What the shards say of the writes that a load was told are done. */

import { readFileSync } from "node:fs";
import { until } from "../lib/wait.js";
import { LOADED_VER } from "./dataset.js";

const HEAD_BYTES = 24;
const UNKNOWN = 2;

/** Changes of edges so far, over all shards: each takes the next version of its actor. */
export async function edgeChanges(cluster) {
  const rows = await cluster.sqlAll(`SELECT CAST(SUM(edge_ver - ${LOADED_VER}) AS SIGNED) AS n FROM user`);
  return rows.reduce((sum, { n }) => sum + n, 0);
}

/* Target and owner of the rows of each half of an edge. */
const COLUMNS = {
  favorite: "user_id, video_id AS target",
  liker: "user_id, video_id AS target",
  follow: "user_id, followed_id AS target",
  follower: "follower_id AS user_id, user_id AS target",
};

const changedRows = async (cluster, table) => {
  const rows = await cluster.sqlAll(`SELECT ${COLUMNS[table]}, state FROM ${table} WHERE ver > ${LOADED_VER}`);
  return new Map(rows.map(({ user_id, target, state }) => [`${user_id} ${target}`, state]));
};

/** No second half waits any more. */
export const settled = (cluster) =>
  until("an empty outbox", async () => (await cluster.rowCounts(["outbox"])).outbox === 0);

/** Rows of TABLES over all shards, once everything has settled. */
export async function added(cluster, tables) {
  await settled(cluster);
  return cluster.rowCounts(tables);
}

/**
 * Compare both halves (TABLES) of every edge of SCRIPT with how the generator left its switches; script.pairs are the
 * [user id, target id] of its lines. CHANGES: what edgeChanges() said before. Throws unless at least DONE changes were
 * made and each switch that is known is so on both sides; resolves to the number of changes.
 */
export async function recountEdges(cluster, tables, script, changes, done) {
  await settled(cluster);
  const made = (await edgeChanges(cluster)) - changes;
  if (made < done) throw new Error(`${done} requests were acknowledged, ${made} changed a row`);
  const states = readFileSync(script.states).subarray(HEAD_BYTES);
  for (const table of tables) {
    const rows = await changedRows(cluster, table);
    const wrong = script.pairs.filter(
      ([user, target], i) => states[i] !== UNKNOWN && (rows.get(`${user} ${target}`) ?? 0) !== states[i],
    );
    if (wrong.length > 0) throw new Error(`${wrong.length} rows of ${table} are not what was acknowledged`);
  }
  return made;
}
