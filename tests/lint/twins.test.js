/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Routines that differ only in names are made from one source, scripts/twins; a change of only one
 * of them is detected. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, test } from "node:test";

import { root } from "./sql_files.js";

const dir = mkdtempSync(path.join(tmpdir(), "doushard-twins-"));
after(() => rmSync(dir, { recursive: true, force: true }));
for (const part of ["scripts", "procedures"]) cpSync(path.join(root, part), path.join(dir, part), { recursive: true });

const twins = (from, ...args) => {
  const { status, stdout, stderr } = spawnSync(path.join(from, "scripts/twins"), args, { encoding: "utf8" });
  return { status, text: stdout + stderr };
};

test("twins match what scripts/twins makes of the first of them", () => {
  assert.deepEqual(twins(root, "--check"), { status: 0, text: "" });
});

test("a change of only one is detected, and made in the other", () => {
  for (const [one, twin] of [
    ["favorite/_favorite_action_batch", "relation/_relation_action_batch"],
    ["favorite/favorite_list", "relation/relation_follow_list"],
  ]) {
    const file = path.join(dir, "procedures", `${one}.sql`);
    writeFileSync(
      file,
      readFileSync(file, "utf8")
        .replace("    COMMIT;", "    DO 0;\n    COMMIT;")
        .replace("LEFT JOIN user", "LEFT  JOIN user"),
    );
    const { status, text } = twins(dir, "--check");
    assert.equal(status, 1);
    assert.match(text, new RegExp(`${twin}\\.sql is not what scripts/twins makes of procedures/${one}\\.sql`));
    assert.match(twins(dir).text, new RegExp(`wrote procedures/${twin}\\.sql`));
    assert.deepEqual(twins(dir, "--check"), { status: 0, text: "" });
  }
});

test("every table that begins with a slot moves with it, or is listed as placement or load", () => {
  const schema = readFileSync(path.join(root, "procedures/schema/0001_tables.sql"), "utf8");
  const slotted = [...schema.matchAll(/CREATE TABLE IF NOT EXISTS (\w+) \(([\s\S]*?)\n\)/g)]
    .filter(([, , body]) => /PRIMARY KEY \(slot\b/.test(body))
    .map(([, name]) => name);
  const moving = [
    ...readFileSync(path.join(root, "shard/move_tables.def"), "utf8").matchAll(/^MOVE_TABLE\((\w+)/gm),
  ].map(([, name]) => name);
  const staying = ["slot_fence", "slot_known", "slot_import", "slot_lost", "slot_load", "owner_load"];
  const atTheFlip = ["slot_seq"];
  assert.deepEqual([...moving, ...staying, ...atTheFlip].sort(), slotted.sort());
});

test("the routines that move rows match the tables; a new column is detected", () => {
  const tables = (from, ...args) => {
    const { status, stdout, stderr } = spawnSync(path.join(from, "scripts/move-tables"), args, { encoding: "utf8" });
    return { status, text: stdout + stderr };
  };
  assert.deepEqual(tables(root, "--check"), { status: 0, text: "" });
  const file = path.join(dir, "procedures/schema/0001_tables.sql");
  writeFileSync(
    file,
    readFileSync(file, "utf8").replace(
      "    title          VARCHAR(128)",
      "    mood           INT NOT NULL,\n    title          VARCHAR(128)",
    ),
  );
  const { status, text } = tables(dir, "--check");
  assert.equal(status, 1);
  assert.match(text, /_move_pick\.sql is not what scripts\/move-tables makes of the tables/);
  assert.match(text, /_move_put\.sql/);
});
