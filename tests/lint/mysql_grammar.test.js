/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Everything under procedures/ is in the grammar of MySQL 8.0 too. Checks the grammar only,
 * not functions, types or privileges: there is no MySQL server to run it on. */
import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { test } from "node:test";

import { readSql, sqlFiles, statements } from "./sql_files.js";

const require = createRequire(import.meta.url);
require("antlr4ts");
const { default: Parser } = require("ts-mysql-parser");
/* Its listener collects the names in a statement, which are not needed here. */
const parser = new Parser({ version: "8.0.22", parserListener: {} });

/** The grammar's error for a statement; "" without one. */
function objection(statement) {
  const { lexerError, parserError } = parser.parse(statement);
  return (lexerError ?? parserError)?.message ?? "";
}

/* Each check reads a third of them, taking turns. */
const turn = Number(process.env.CHECK_TURN);
for (const file of sqlFiles().filter((_file, i) => Number.isNaN(turn) || i % 3 === turn)) {
  test(`${file} is valid MySQL`, () => {
    const found = statements(readSql(file));
    assert.ok(found.length > 0 || file === "install.sql");
    for (const statement of found) {
      assert.equal(objection(statement), "", statement.slice(0, 200));
    }
  });
}

/* Statements that MariaDB accepts and MySQL does not, and the forms to use instead. */
const SAMPLES = [
  ["CREATE OR REPLACE PROCEDURE p () SELECT 1", "CREATE PROCEDURE p () SELECT 1"],
  ["INSERT INTO t (a) VALUES (1) RETURNING a", "INSERT INTO t (a) VALUES (1)"],
  ["CREATE PROCEDURE p () BEGIN EXECUTE IMMEDIATE 'SELECT 1'; END", "CREATE PROCEDURE p () BEGIN SELECT 1; END"],
  [
    "CREATE PROCEDURE p () BEGIN FOR i IN 1..10 DO SELECT i; END FOR; END",
    "CREATE PROCEDURE p () BEGIN WHILE FALSE DO SELECT 1; END WHILE; END",
  ],
  ["CREATE SEQUENCE s", "CREATE TABLE s (last BIGINT)"],
  [
    "CREATE TABLE t (a INT) PARTITION BY LIST (a) (PARTITION p DEFAULT)",
    "CREATE TABLE t (a INT) PARTITION BY LIST (a) (PARTITION p VALUES IN (0, 1))",
  ],
  ["GRANT CONNECTION ADMIN ON *.* TO u", "GRANT CONNECTION_ADMIN ON *.* TO u"],
  ["CREATE USER u IDENTIFIED VIA unix_socket", "CREATE USER u IDENTIFIED WITH auth_socket"],
  ["SELECT a AS groups FROM t", "SELECT a AS `groups` FROM t"],
];

for (const [bad, good] of SAMPLES) {
  test(`refused: ${bad}`, () => {
    assert.notEqual(objection(bad), "");
    assert.equal(objection(good), "");
  });
}
