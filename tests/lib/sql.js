/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* The tests' root SQL shell on the shards of a cluster: looking behind the service's back, and
 * changing what only an accident would change. */

import { readFileSync } from "node:fs";
import { ask } from "./wire.js";

/** Rows of all result sets {names, rows} as objects; integers become numbers. */
export const rowsFrom = (sets) => sets.flatMap(({ names, rows }) => rows.map((row) =>
  Object.fromEntries(names.map((name, i) => [name, /^-?\d{1,15}$/.test(row[i] ?? "") ? Number(row[i]) : row[i]]))));

/** An SQL literal of a number, a text or raw bytes. */
export function literal(v) {
  if (v === null || v === undefined) return "NULL";
  if (typeof v === "number" || typeof v === "bigint") return String(v);
  const bytes = Buffer.isBuffer(v) ? v : Buffer.from(String(v), "utf8");
  return bytes.length === 0 ? "''" : `X'${bytes.toString("hex")}'`;
}

/* User and password of an option file that scripts/demo wrote. */
const accountOf = (cnf) => Object.fromEntries(readFileSync(cnf, "utf8").split("\n")
  .map((line) => /^(user|password)=(.*)$/.exec(line)).filter(Boolean).map(([, name, text]) => [name, text]));

/* DELIMITER is a word of the client: the server sees by itself where a compound statement ends. */
const withoutDelimiters = (text) => text.replaceAll(/^DELIMITER (\S+)\n([^]*?)^DELIMITER ;$/gm,
  (_, mark, statements) => statements.replaceAll(mark, ";"));

/**
 * Run statements on one server as the account of the option file CNF. Resolves to the rows of
 * its result sets. Rejects with what the server said.
 */
export async function sql(cnf, { socket, host, port }, text, { database = "doushard", timeoutMs = 60000 } = {}) {
  if (text.trim() === "") return [];
  const where = socket ? { path: socket } : { host, port };
  return rowsFrom(await ask(where, { password: "", ...accountOf(cnf), database }, withoutDelimiters(text), timeoutMs));
}
