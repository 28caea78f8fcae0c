/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* What scripts/new-procedure creates for each kind keeps the rules of sql_rules.js, in a copy of the
 * tree. */
import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, test } from "node:test";

import { procedures, root } from "./sql_files.js";
import * as rules from "./sql_rules.js";
import { outcomes as readOutcomes, rows } from "./tables.js";

const dir = mkdtempSync(path.join(tmpdir(), "doushard-new-"));
after(() => rmSync(dir, { recursive: true, force: true }));

cpSync(path.join(root, "scripts"), path.join(dir, "scripts"), { recursive: true });
cpSync(procedures, path.join(dir, "procedures"), { recursive: true });
mkdirSync(path.join(dir, "tests", "sql"), { recursive: true });
/* By it every Node.js knows that tests are modules. */
cpSync(path.join(root, "tests", "package.json"), path.join(dir, "tests", "package.json"));

const run = (...args) => spawnSync(path.join(dir, "scripts", "new-procedure"), args, { encoding: "utf8" });
const files = () =>
  new Map(
    readdirSync(path.join(dir, "procedures"), { recursive: true })
      .filter((name) => name.endsWith(".sql"))
      .map((name) => [name, readFileSync(path.join(dir, "procedures", name), "utf8")]),
  );
const procs = rows(readFileSync(path.join(root, "shard/procs.def"), "utf8"), "PROC").map(
  ([, routine, kind, count, effect, version]) => ({ routine, kind, count, effect, version }),
);

/* The line in procs.def; an operator's routine has none, since the service does not call it. */
const KINDS = { read: ["OWNER", "3", "READS"], write: ["BATCH", "1", "WRITES"], admin: null };

for (const [word, proc] of Object.entries(KINDS))
  test(`a routine of the kind ${word} keeps the rules`, () => {
    const name = `feed_hide_${word}`;
    const before = files();
    assert.equal(run("--dry-run", name, word, "hide", "a", "video").status, 0);
    assert.deepEqual(files(), before, "--dry-run changes nothing");
    const made = run(name, word, "hide", "a", "video");
    assert.equal(made.status, 0, made.stderr);
    if (proc) procs.push({ routine: name, kind: proc[0], count: proc[1], effect: proc[2], version: "1" });
    const tree = rules.readTree(files());
    const problems = Object.values(rules)
      .filter((rule) => typeof rule === "function" && rule !== rules.readTree)
      .flatMap((rule) => rule(tree, rule === rules.outcomes ? readOutcomes() : procs));
    assert.deepEqual(problems, []);
    const text = files().get(`feed/${name}.sql`);
    assert.match(text, new RegExp(`^-- ${name}: hide a video\\.$`, "m"));
    assert.match(text, /COMMENT 'v1: hide a video'/);
    assert.doesNotMatch(text, /domain_verb|what it does|f\.epoch <> /);
    execFileSync(process.execPath, ["--check", path.join(dir, "tests", "sql", `${name}.test.js`)]);
    assert.equal(run(name, word, "again").status, 1, "a second time");
  });

test("misuse", () => {
  for (const args of [
    [],
    ["feed_hide"],
    ["feed_hide", "read"],
    ["Feed", "read", "x"],
    ["feed", "read", "x"],
    ["feed_hide", "other", "x"],
    ["feed_hide", "read", "it's"],
    ["feed_hide", "read", "a & b"],
    ["feed_hide", "read", "x".repeat(61)],
  ]) {
    assert.equal(run(...args).status, 2, args.join(" "));
  }
  assert.ok(!existsSync(path.join(dir, "procedures", "feed", "feed_hide.sql")));
});
