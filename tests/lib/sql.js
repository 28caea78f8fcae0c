/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* The tests' root SQL shell on the shards of a cluster: reading rows directly, and making changes that
 * otherwise only accidents make. */

import { readFileSync } from "node:fs";
import { createConnection } from "mysql2";

const CONNECT_MS = 10000;

/** Rows of all result sets {names, rows} as objects; integers become numbers. */
export const rowsFrom = (sets) =>
  sets.flatMap(({ names, rows }) =>
    rows.map((row) =>
      Object.fromEntries(names.map((name, i) => [name, /^-?\d{1,15}$/.test(row[i] ?? "") ? Number(row[i]) : row[i]])),
    ),
  );

/** An SQL literal of a number, a text or raw bytes. */
export function literal(v) {
  if (v === null || v === undefined) return "NULL";
  if (typeof v === "number" || typeof v === "bigint") return String(v);
  const bytes = Buffer.isBuffer(v) ? v : Buffer.from(String(v), "utf8");
  return bytes.length === 0 ? "''" : `X'${bytes.toString("hex")}'`;
}

/* User and password of an option file that scripts/demo wrote. */
const accountOf = (cnf) =>
  Object.fromEntries(
    readFileSync(cnf, "utf8")
      .split("\n")
      .map((line) => /^(user|password)=(.*)$/.exec(line))
      .filter(Boolean)
      .map(([, name, text]) => [name, text]),
  );

/* DELIMITER is for the client: the server finds the end of a compound statement itself. */
const withoutDelimiters = (text) =>
  text.replaceAll(/^DELIMITER (\S+)\n([^]*?)^DELIMITER ;$/gm, (_, mark, statements) =>
    statements.replaceAll(mark, ";"),
  );

/* The results of a query, of one statement or several, as a list of result sets {names, rows}. */
function setsOf(results, fields) {
  const isOne = fields?.[0] && !Array.isArray(fields[0]);
  const pairs = isOne ? [[results, fields]] : [results].flat().map((rows, i) => [rows, fields?.[i]]);
  return pairs
    .filter(([, columns]) => columns)
    .map(([rows, columns]) => ({ names: columns.map(({ name }) => name), rows }));
}

const said = ({ errno, sqlState, sqlMessage, message }) =>
  new Error(`SQL failed: ${sqlState ? `ERROR ${errno} (${sqlState}): ${sqlMessage}` : message}`);

/* Runs statements on a connection of their own: starting the client `mariadb` each time would cost
 * more than what tests ask. */
const ask = (account, text, timeoutMs) =>
  new Promise((resolve, reject) => {
    const connection = createConnection({
      ...account,
      multipleStatements: true,
      rowsAsArray: true,
      connectTimeout: CONNECT_MS,
      typeCast: (field) => field.buffer()?.toString("utf8") ?? null,
    });
    /* The package's own timer for a query outlives the connection, and keeps the process alive. */
    const timer = setTimeout(() => end(new Error(`SQL failed: no answer in ${timeoutMs} ms`)), timeoutMs);
    const end = (error, sets) => {
      clearTimeout(timer);
      connection.destroy();
      if (error) reject(error);
      else resolve(sets);
    };
    connection.on("error", (error) => end(said(error)));
    connection.query({ sql: text }, (error, results, fields) => {
      end(error && said(error), error ? undefined : setsOf(results, fields));
    });
  });

/**
 * Run statements on one server as the account of the option file CNF. Resolves to the rows of
 * its result sets. Rejects with the server's message.
 */
export async function sql(cnf, { socket, host, port }, text, { database = "doushard", timeoutMs = 60000 } = {}) {
  if (text.trim() === "") return [];
  const where = socket ? { socketPath: socket } : { host, port };
  return rowsFrom(await ask({ ...where, ...accountOf(cnf), database }, withoutDelimiters(text), timeoutMs));
}
