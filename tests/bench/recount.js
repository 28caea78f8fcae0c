/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Checks on the shards that the writes acknowledged to a load are there. */

import { readFileSync } from "node:fs";
import { until } from "../lib/wait.js";
import { LOADED_VER } from "./dataset.js";

const HEAD_BYTES = 24;
const UNKNOWN = 2;

/** Number of changes of edges so far, over all shards: each takes the next version of its user. */
export async function edgeChanges(cluster) {
  const rows = await cluster.sqlAll(`SELECT CAST(SUM(edge_ver - ${LOADED_VER}) AS SIGNED) AS n FROM user`);
  return rows.reduce((sum, { n }) => sum + n, 0);
}

/* The columns with user and target, in each half of an edge. */
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

/** Waits until no second half is left to deliver. */
export const settled = (cluster) =>
  until("an empty outbox", async () => (await cluster.rowCounts(["outbox"])).outbox === 0);

/** Rows of TABLES over all shards, once everything has settled. */
export async function added(cluster, tables) {
  await settled(cluster);
  return cluster.rowCounts(tables);
}

/**
 * Compare both halves (TABLES) of every edge of SCRIPT with the state in which the generator left its switch;
 * script.pairs are the [user id, target id] of its lines. CHANGES: what edgeChanges() returned before the load. Throws
 * unless at least DONE changes were made and both halves are in the switch's state, if that is known; resolves to the
 * number of changes.
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
