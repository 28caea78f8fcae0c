/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* The next version of everything, made from this one by edits: a migration that adds a column, a
 * batch that takes another field and returns another column, a routine with another argument,
 * helpers that change incompatibly together with their table in the session, and a server that needs
 * all of it. */

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { cpSync, mkdirSync, readFileSync, readdirSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";

/* What the new server sends and expects. */
const TOKEN = 7;

/** Replace in a Map of files, which must be possible. */
function edit(files, file, from, to) {
  const text = files.get(file);
  const changed = text?.replace(from, to);
  assert.ok(text !== changed, `${file} has no ${from}`);
  files.set(file, changed);
}

/** Raise the version of a routine that still serves callers of the previous one. */
const raise = (files, file) =>
  edit(
    files,
    file,
    /COMMENT 'v(\d+)(?: serves v(\d+))?:/,
    (_, version, serves) => `COMMENT 'v${Number(version) + 1} serves v${serves ?? version}:`,
  );

const STEP = `-- SPDX-License-Identifier: MIT
-- SPDX-FileCopyrightText: Doushard contributors
-- Version 2: what a client noted beside a key.

USE doushard;

DROP TEMPORARY TABLE IF EXISTS predecessor;
CREATE TEMPORARY TABLE predecessor (found INT NOT NULL, CHECK (found = 1));
INSERT INTO predecessor (found)
SELECT COUNT(*) FROM schema_version AS sv WHERE sv.version = 1;

ALTER TABLE idem
    ADD COLUMN note INT NOT NULL DEFAULT 0
        COMMENT 'what the client noted',
    ALGORITHM = INSTANT;

INSERT INTO schema_version (version, slug, serves, applied_at, applied_by, checksum)
SELECT 2,
       'note',
       1,
       TIMESTAMPDIFF(MICROSECOND, '1970-01-01', UTC_TIMESTAMP(3)) DIV 1000,
       CURRENT_USER(),
       COALESCE(@schema_checksum, '');
`;

/* An added field, stored in the added column; another column in the answer. */
function noteKeys(files) {
  const file = "idem/idem_claim.sql";
  raise(files, file);
  edit(files, file, "           body  64 hex", "           note  a number; may be missing\n--           body  64 hex");
  edit(files, file, /(for ok and same\))\n/, "$1, note\n");
  edit(
    files,
    file,
    "\n    COMMIT;\n",
    `
    UPDATE JSON_TABLE(in_ops, '$[*]' COLUMNS (
               slot INT UNSIGNED PATH '$.slot',
               op   VARCHAR(32) PATH '$.op',
               note INT PATH '$.note'
           )) AS j
     STRAIGHT_JOIN idem AS i FORCE INDEX (PRIMARY)
        ON i.slot = j.slot
       AND i.op = UNHEX(j.op)
       SET i.note = j.note
     WHERE j.note IS NOT NULL;

    COMMIT;
`,
  );
  edit(files, file, " AS created_at\n", ` AS created_at,\n           ${TOKEN} AS note\n`);
}

/* An added argument: a routine with a new name, which the old one CALLs. */
function wrapFlags(files) {
  const [old, file] = ["viewer/viewer_flags.sql", "viewer/viewer_flags_2.sql"];
  files.set(file, files.get(old).replaceAll(/viewer_flags(?! needs)/g, "viewer_flags_2"));
  edit(files, file, /COMMENT 'v[^']*'/, "COMMENT 'v1: what a user follows and likes, and a number'");
  edit(files, file, "    IN in_videos  JSON\n", "    IN in_videos  JSON,\n    IN in_more    INT UNSIGNED\n");
  edit(files, file, /^(-- in_videos .*)$/m, "$1\n-- in_more     a number, which is answered");
  edit(files, file, "           l.kind,\n", "           in_more AS more,\n           l.kind,\n");
  edit(files, file, "server, kind", "server, more, kind");

  const names = [...files.get(old).matchAll(/^ {4}IN (in_\w+)/gm)].map(([, name]) => name);
  raise(files, old);
  edit(
    files,
    old,
    /\nBEGIN\n[\s\S]*\nEND\$\$/,
    () => `\nBEGIN\n    CALL viewer_flags_2(${names.join(", ")}, 0);\nEND$$`,
  );
  edit(files, old, "server, kind", "server, more, kind");
  edit(files, "install.sql", `SOURCE ${old}\n`, `SOURCE ${file}\nSOURCE ${old}\n`);
  edit(files, "grants.sql", /^(GRANT EXECUTE ON PROCEDURE doushard\.viewer_flags) (.*)$/gm, "$1 $2\n$1_2 $2");
}

/** The procedures/ of the next version; FILES is a Map of path to text, and so is the result. */
export function nextProcedures(files) {
  const next = new Map(files);
  next.set("schema/0002_note.sql", STEP);
  noteKeys(next);
  wrapFlags(next);
  return next;
}

const TABLE = /(FROM|JOIN|INTO|UPDATE|EXISTS)(\s+)op\b(?=\s+AS\b|\s*[(;])/g;

/** The session's table op with another column and a new name, and so all helpers that use it or call
 * one that does: the name of a helper tells its callers which table it means. */
export function nextHelpers(files) {
  const helpers = [...files.keys()].filter((file) => /\/_\w+\.sql$/.test(file));
  const nameOf = (file) => file.replace(/^.*\/|\.sql$/g, "");
  const renamed = new Set();
  const mentions = (text) => text.search(TABLE) >= 0 || [...renamed].some((name) => text.includes(`CALL ${name}(`));
  for (let before = -1; before < renamed.size;) {
    before = renamed.size;
    for (const file of helpers) if (mentions(files.get(file))) renamed.add(nameOf(file));
  }
  assert.ok(renamed.has("_op_fence") && renamed.size > 5, [...renamed].join());
  const names = new RegExp(`\\b(${[...renamed].join("|")})\\b`, "g");
  const next = new Map(
    [...files].map(([file, text]) => [
      renamed.has(nameOf(file)) ? file.replace(".sql", "_2.sql") : file,
      text.replaceAll(names, "$1_2").replaceAll(TABLE, "$1$2op_2"),
    ]),
  );
  const made = "CREATE TEMPORARY TABLE IF NOT EXISTS op_2 (\n";
  const maker = [...next.keys()].find((file) => next.get(file).includes(made));
  edit(next, maker, made, `${made}        more    INT NOT NULL DEFAULT 0\n            COMMENT 'new',\n`);
  return next;
}

/* The server that needs them; the order of procs.def stays, so that few objects are compiled again. */
const EDITS = [
  ["shard/proc.h", /(#define SCHEMA_VERSION) 1\n/, "$1 2\n"],
  ["shard/procs.def", /^(PROC\(VIEWER_FLAGS, "viewer_flags)(", OWNER, )5(, READS, )\d+\)/m, "$1_2$26$31)"],
  ["shard/procs.def", /^(PROC\(IDEM_CLAIM, .*, )(\d+)\)/m, (_, line, version) => `${line}${Number(version) + 1})`],
  [
    "shard/viewer.c",
    "dbarg_text(videos->data, videos->len)}",
    `dbarg_text(videos->data, videos->len), dbarg_number(${TOKEN})}`,
  ],
  [
    "shard/viewer.c",
    "kind == NULL || id == NULL",
    `kind == NULL || id == NULL || dbresult_value(rows, row, "more")->number != ${TOKEN}`,
  ],
  ["shard/idem.c", /( *)ops_hex\(ops, "body"/, `$1ops_number(ops, "note", ${TOKEN});\n$&`],
  [
    "shard/idem.c",
    "created == NULL ||",
    `created == NULL || dbresult_value(answer.result, answer.row, "note")->number != ${TOKEN} ||`,
  ],
];
const COMPILED = ["shard/proc", "shard/router_minder", "shard/viewer", "shard/idem"];

/** The files that nextSources() changes. */
export const SOURCES = [...new Set(EDITS.map(([file]) => file))];

/** The next version of a Map that has these files. */
export function nextSources(files) {
  const next = new Map(files);
  for (const [file, from, to] of EDITS) edit(next, file, from, to);
  return next;
}

const readAll = (dir, names) => new Map(names.map((name) => [name, readFileSync(join(dir, name), "utf8")]));
const writeAll = (dir, files) => {
  for (const [name, text] of files) {
    mkdirSync(dirname(join(dir, name)), { recursive: true });
    writeFileSync(join(dir, name), text);
  }
};
const namesBelow = (dir, ending) => readdirSync(dir, { recursive: true }).filter((name) => name.endsWith(ending));

/* Builds the server of the tree DIR, a changed copy of ROOT, which is built in BUILD: only the
 * objects COMPILED are made again. Resolves to its path. */
async function buildCopy(build, dir, compiled) {
  const to = join(dir, basename(build));
  for (const part of ["server", "shard"]) cpSync(join(build, part), join(to, part), { recursive: true });
  for (const name of ["flags", "version"]) cpSync(join(build, name), join(to, name));
  const now = new Date();
  for (const name of namesBelow(to, ".o")) utimesSync(join(to, name), now, now);
  for (const name of compiled) rmSync(join(to, `${name}.o`));
  const program = join(basename(build), "doushard");
  const sanitize = /^build-(.*)$/.exec(basename(build))?.[1].replaceAll("-", ",") ?? "";
  const args = ["-s", "-j2", "-o", join(basename(build), "flags"), `SANITIZE=${sanitize}`, program];
  await new Promise((done, failed) => {
    const child = spawn("make", args, { cwd: dir, stdio: ["ignore", "pipe", "pipe"] });
    let said = "";
    for (const stream of [child.stdout, child.stderr])
      stream.on("data", (chunk) => {
        said += chunk;
      });
    child.on("error", failed);
    child.on("close", (status) => (status === 0 ? done() : failed(new Error(`make ${args.join(" ")}:\n${said}`))));
  });
  return join(dir, program);
}

const copySources = (root, dir) => {
  const filter = (from) => basename(from) !== "node_modules";
  for (const name of ["Makefile", "server", "shard", "scripts"])
    cpSync(join(root, name), join(dir, name), { recursive: true, filter });
};

/**
 * Make the next version of the tree ROOT, built in BUILD, in the directory DIR. Resolves to the path of its
 * server. Only what the edits change is compiled; all other objects are those of BUILD.
 */
export async function makeNext(root, build, dir) {
  copySources(root, dir);
  writeAll(dir, nextSources(readAll(root, SOURCES)));
  const procedures = join(root, "procedures");
  writeAll(join(dir, "procedures"), nextHelpers(nextProcedures(readAll(procedures, namesBelow(procedures, ".sql")))));
  return buildCopy(build, dir, COMPILED);
}

/** The server of the tree ROOT, built in BUILD, with EDITS [[file, from, to], ..] of its .c files, made in DIR. */
export async function makeChanged(root, build, dir, edits) {
  copySources(root, dir);
  const files = readAll(root, [...new Set(edits.map(([file]) => file))]);
  for (const [file, from, to] of edits) edit(files, file, from, to);
  writeAll(dir, files);
  return buildCopy(
    build,
    dir,
    [...files.keys()].map((file) => file.replace(/\.c$/, "")),
  );
}
