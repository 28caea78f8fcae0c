/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* The tests' SQL client: sessions on a database server, and single statements on the shards of a cluster. */

import { readFileSync } from "node:fs";
import mysql from "mysql2";

const { Charsets, Types, createConnection } = mysql;

/** Time limit for an answer, unless a test sets another; a test that exceeds it fails. */
const PATIENCE_MS = 60_000;
const CONNECT_MS = 10_000;

const CR_SERVER_LOST = 2013;

/** What the server answered instead of a result; without a server, CR_SERVER_LOST. */
export class SqlError extends Error {
  constructor(errno, state, text) {
    super(`ERROR ${errno} (${state}): ${text}`);
    this.errno = errno;
    this.state = state;
    this.text = text;
  }
}

const sqlErrorOf = ({ errno, sqlState, sqlMessage, message }) =>
  new SqlError(errno > 0 ? errno : CR_SERVER_LOST, sqlState || "HY000", sqlMessage ?? message);

/** An SQL literal of a number, a text, raw bytes, or anything else as JSON. */
export function literal(value) {
  if (value === null || value === undefined) return "NULL";
  if (typeof value === "number" || typeof value === "bigint") return String(value);
  if (Buffer.isBuffer(value)) return value.length === 0 ? "''" : `X'${value.toString("hex")}'`;
  const text = typeof value === "string" ? value : JSON.stringify(value);
  return `'${text.replaceAll("\\", "\\\\").replaceAll("'", "''")}'`;
}

/* ---- Values: the driver hands over bytes, because its own conversions lose digits of numbers ---- */

const INTEGERS = new Set([Types.TINY, Types.SHORT, Types.INT24, Types.LONG, Types.LONGLONG, Types.YEAR]);
const FLOATS = new Set([Types.FLOAT, Types.DOUBLE]);
const STRINGS = new Set([
  Types.VARCHAR,
  Types.VAR_STRING,
  Types.STRING,
  Types.TINY_BLOB,
  Types.BLOB,
  Types.MEDIUM_BLOB,
  Types.LONG_BLOB,
]);

const isInteger = ({ columnType, decimals }) =>
  INTEGERS.has(columnType) || (columnType === Types.NEWDECIMAL && decimals === 0);

/* Text; null; bytes of binary columns. (Numbers and times are sent as text, and also marked as binary.) */
function asText(bytes, { columnType, characterSet }) {
  if (bytes === null) return null;
  return characterSet === Charsets.BINARY && STRINGS.has(columnType) ? Buffer.from(bytes) : bytes.toString("utf8");
}

/* Numbers where the column has numbers, except integers that a double cannot hold: these stay text. */
function asValue(bytes, column) {
  const text = asText(bytes, column);
  if (text === null) return null;
  if (FLOATS.has(column.columnType)) return Number(text);
  return isInteger(column) && Number.isSafeInteger(Number(text)) ? Number(text) : text;
}

/* The results of a query, of one statement or several, as a list of result sets: arrays of rows. Statements
 * that have no columns have no result set. */
function setsOf(results, fields, convert) {
  const isOne = fields?.[0] && !Array.isArray(fields[0]);
  const pairs = isOne ? [[results, fields]] : [results].flat().map((rows, i) => [rows, fields?.[i]]);
  return pairs
    .filter(([, columns]) => columns)
    .map(([rows, columns]) =>
      rows.map((row) => Object.fromEntries(columns.map((column, i) => [column.name, convert(row[i], column)]))),
    );
}

/* ---- Sessions ---- */

/** Statements one after the other on one connection, which begins at once; the first statement meets its failure. */
export class Session {
  #connection;
  #waiting = new Set(); /* functions that take the error which ends the connection */
  #lost = null;
  #closed;

  /** WHERE: {socketPath} or {host, port}, user, and password and database if there are any. */
  constructor(where) {
    this.#connection = createConnection({
      ...where,
      charset: "utf8mb4",
      connectTimeout: CONNECT_MS,
      multipleStatements: true,
      rowsAsArray: true,
      typeCast: false,
    });
    this.#closed = new Promise((resolve) => this.#connection.stream.once("close", resolve));
    this.#connection.on("error", (error) => this.#lose(sqlErrorOf(error)));
  }

  #lose(error) {
    this.#lost ??= error;
    this.#connection.destroy(); /* from now on it reports nothing */
    this.#connection.stream.destroy();
    for (const fail of [...this.#waiting]) fail(this.#lost);
  }

  /* What BEGIN(resolve, reject) begins; it fails with the connection. */
  #wait(begin) {
    if (this.#lost) return Promise.reject(this.#lost);
    let fail;
    return new Promise((resolve, reject) => {
      fail = reject;
      this.#waiting.add(fail);
      begin(resolve, reject);
    }).finally(() => this.#waiting.delete(fail));
  }

  #query(text, patienceMs, convert) {
    let timer;
    return this.#wait((resolve, reject) => {
      /* The package's own timer for a query outlives the connection, and keeps the process alive. */
      timer = setTimeout(() => reject(new Error(`no answer in ${patienceMs} ms: ${text.slice(0, 200)}`)), patienceMs);
      this.#connection.query(text, (error, results, fields) => {
        if (error && (error.fatal || !this.#connection.authorized)) this.#lose(sqlErrorOf(error));
        else if (error) reject(sqlErrorOf(error));
        else resolve(setsOf(results, fields, convert));
      });
    }).finally(() => clearTimeout(timer));
  }

  /** Run a statement or several; resolves to their result sets, each an array of rows with text, null, or the bytes
   * of binary columns as values. Rejects with SqlError, or when there is no answer in PATIENCE_MS. */
  run(text, patienceMs = PATIENCE_MS) {
    return this.#query(text, patienceMs, asText);
  }

  /** As run(); but columns of numbers have numbers, unless these are integers beyond 2^53. */
  typed(text, patienceMs = PATIENCE_MS) {
    return this.#query(text, patienceMs, asValue);
  }

  /** Run a statement; resolves to the rows of its first result set. */
  async rows(text, patienceMs = PATIENCE_MS) {
    return (await this.run(text, patienceMs))[0] ?? [];
  }

  /** Run a statement; resolves to the only value of its only row. */
  async value(text) {
    const rows = await this.rows(text);
    return rows.length === 0 ? null : Object.values(rows[0])[0];
  }

  /** Run statements and give TAKE each row of all their result sets as it comes: an array of Buffers and nulls. */
  each(text, take) {
    return this.#wait((resolve, reject) => {
      const query = this.#connection.query(text);
      query.on("result", (row) => {
        if (Array.isArray(row)) take(row);
      });
      query.on("error", (error) => reject(sqlErrorOf(error)));
      query.on("end", resolve);
    });
  }

  /** Close the connection; the server is not asked to answer first. What has no answer yet fails. */
  async end() {
    this.#lose(new Error("the session was ended"));
    await this.#closed;
  }
}

/* ---- Shards ---- */

/* User and password of an option file that scripts/demo wrote. */
const accountOf = (cnf) =>
  Object.fromEntries(
    readFileSync(cnf, "utf8")
      .split("\n")
      .map((line) => /^(user|password)=(.*)$/.exec(line))
      .filter(Boolean)
      .map(([, name, text]) => [name, text]),
  );

/** A session on one server as the account of the option file CNF. */
export const sessionAs = (cnf, { socket, host, port }, database = "doushard") =>
  new Session({ ...(socket ? { socketPath: socket } : { host, port }), ...accountOf(cnf), database });

/* DELIMITER is for the client: the server finds the end of a compound statement itself. */
const withoutDelimiters = (text) =>
  text.replaceAll(/^DELIMITER (\S+)\n([^]*?)^DELIMITER ;$/gm, (_, mark, statements) =>
    statements.replaceAll(mark, ";"),
  );

/**
 * Run statements in a session of their own, as the account of the option file CNF. Resolves to the rows of all
 * result sets, with values as of Session.typed(). Rejects with SqlError.
 */
export async function sql(cnf, where, text, { database, timeoutMs = PATIENCE_MS } = {}) {
  if (text.trim() === "") return [];
  const session = sessionAs(cnf, where, database);
  try {
    return (await session.typed(withoutDelimiters(text), timeoutMs)).flat();
  } finally {
    await session.end();
  }
}
