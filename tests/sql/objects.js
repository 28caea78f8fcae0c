/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* What is installed on a shard, as text, and the comparison with objects.expected and
 * grants.expected. */
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";

const ACCOUNTS = ["owner'@'localhost", "killer'@'localhost", "disk'@'localhost", "app'@'%", "admin'@'%", "monitor'@'%"];
const here = path.dirname(fileURLToPath(import.meta.url));

/** All objects that the files create, one line each. */
export async function objects(session) {
  const lines = [];
  for (const row of await session.rows(`
    SELECT r.routine_name AS name, r.routine_type AS type, r.definer, r.security_type AS security,
           r.sql_data_access AS access, r.sql_mode AS mode, r.routine_comment AS comment,
           r.collation_connection AS collation,
           COALESCE((SELECT GROUP_CONCAT(CONCAT_WS(' ', p.parameter_mode, p.parameter_name, p.dtd_identifier)
                                         ORDER BY p.ordinal_position SEPARATOR ', ')
                       FROM information_schema.parameters AS p
                      WHERE p.specific_schema = r.routine_schema AND p.specific_name = r.specific_name
                        AND p.routine_type = r.routine_type), '') AS parameters
      FROM information_schema.routines AS r WHERE r.routine_schema = 'doushard' ORDER BY r.routine_name`)) {
    lines.push(
      `${row.type} ${row.name} (${row.parameters})`,
      `    ${row.definer}, security ${row.security}, ${row.access}, ${row.collation}`,
      `    ${row.comment}`,
    );
    assert.match(row.mode, /STRICT_TRANS_TABLES/, row.name);
  }
  for (const { name, options } of await session.rows(`
    SELECT t.table_name AS name, t.create_options AS options FROM information_schema.tables AS t
     WHERE t.table_schema = 'doushard' ORDER BY t.table_name`)) {
    lines.push(`TABLE ${name} ${options}`.trimEnd());
    for (const row of await session.rows(`
      SELECT c.column_name AS name, c.column_type AS type, c.is_nullable AS nullable,
             c.column_default AS value, c.collation_name AS collation, c.extra, c.column_comment AS comment
        FROM information_schema.columns AS c
       WHERE c.table_schema = 'doushard' AND c.table_name = '${name}' ORDER BY c.ordinal_position`)) {
      assert.notEqual(row.comment, "", `${name}.${row.name} has no comment`);
      const words = [
        row.name,
        row.type,
        row.nullable === "YES" ? "null" : "not null",
        row.value === null ? "" : `default ${row.value}`,
        row.collation ?? "",
        row.extra,
      ];
      lines.push(`    ${words.filter((word) => word !== "").join(" ")}`);
    }
    for (const row of await session.rows(`
      SELECT s.index_name AS name, MIN(s.non_unique) AS many,
             GROUP_CONCAT(s.column_name ORDER BY s.seq_in_index SEPARATOR ', ') AS columns
        FROM information_schema.statistics AS s
       WHERE s.table_schema = 'doushard' AND s.table_name = '${name}' GROUP BY s.index_name ORDER BY s.index_name`)) {
      lines.push(`    ${row.many === "1" ? "index" : "unique"} ${row.name} (${row.columns})`);
    }
    for (const row of await session.rows(`
      SELECT p.partition_name AS name, p.partition_method AS method, p.partition_expression AS expression,
             LENGTH(p.partition_description) - LENGTH(REPLACE(p.partition_description, ',', '')) + 1 AS n
        FROM information_schema.partitions AS p
       WHERE p.table_schema = 'doushard' AND p.table_name = '${name}' AND p.partition_name IS NOT NULL`)) {
      lines.push(`    partition ${row.name} by ${row.method} (${row.expression}) of ${row.n} values`);
    }
  }
  return `${lines.join("\n")}\n`;
}

/** All grants of our accounts, one line each. */
export async function grants(session) {
  const lines = [];
  for (const name of ACCOUNTS) {
    const rows = await session.rows(`SHOW GRANTS FOR 'doushard_${name}'`);
    lines.push(...rows.map((row) => Object.values(row)[0].replace(/ IDENTIFIED .*/, "")).sort());
  }
  return `${lines.join("\n")}\n`;
}

/** Fails unless TEXT equals FILE; with UPDATE_EXPECTED=1 writes FILE instead. */
export function matches(text, file) {
  const expected = path.join(here, file);
  if (process.env.UPDATE_EXPECTED) {
    writeFileSync(expected, text);
  }
  assert.deepEqual(
    text.split("\n"),
    readFileSync(expected, "utf8").split("\n"),
    `${file} differs; if that is meant: UPDATE_EXPECTED=1 node --test tests/sql/install.test.js`,
  );
}
