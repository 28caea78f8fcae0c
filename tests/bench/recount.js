/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* What the shards say of the likes that a load was told are done. */

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

const changedRows = async (cluster, table) => {
  const rows = await cluster.sqlAll(`SELECT user_id, video_id, state FROM ${table} WHERE ver > ${LOADED_VER}`);
  return new Map(rows.map(({ user_id, video_id, state }) => [`${user_id} ${video_id}`, state]));
};

/** No second half waits any more. */
export const settled = (cluster) =>
  until("an empty outbox", async () => Object.values(await cluster.rowCounts(["outbox"]))[0] === 0);

/**
 * Compare both halves of every like of SCRIPT with how the generator left its switches; PAIRS are [user id, video id]
 * of its lines. CHANGES: what edgeChanges() said before. Throws unless at least DONE changes were made and each
 * switch that is known is so on both sides.
 */
export async function recountLikes(cluster, script, pairs, changes, done) {
  await settled(cluster);
  const made = (await edgeChanges(cluster)) - changes;
  if (made < done) throw new Error(`${done} likes were acknowledged, ${made} changed a row`);
  const states = readFileSync(script.states).subarray(HEAD_BYTES);
  for (const table of ["favorite", "liker"]) {
    const rows = await changedRows(cluster, table);
    const wrong = pairs.filter(([user, video], i) => {
      const found = rows.get(`${user} ${video}`);
      return found !== undefined && states[i] !== UNKNOWN && found !== states[i];
    });
    if (wrong.length > 0) throw new Error(`${wrong.length} rows of ${table} are not what was acknowledged`);
  }
  return made;
}
