/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* scripts/migrate: from nothing; again; only what has changed; after a run that was killed in the
 * middle; two runs at once; several shards, as the topology file has them. No CALL ever misses its
 * routine or waits for long. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir, userInfo } from "node:os";
import path from "node:path";
import { after, before, test } from "node:test";

import { buildDir } from "../lib/cluster.js";
import { nextHelpers, nextProcedures } from "../lib/next.js";
import { SHARDCTL, shardctl } from "../lib/shardctl.js";
import { Mariadb, PROCEDURES, account, call, newUser, ownerOp, until } from "./lib.js";
import { grants, matches, objects } from "./objects.js";

const ROOT = path.dirname(PROCEDURES);
const ACCOUNTS = ["app", "admin", "monitor", "mover"];

let server;
let root;
let dir;
let passwords;
before(async () => {
  assert.ok(existsSync(SHARDCTL), `${SHARDCTL} is not built: make ${SHARDCTL}`);
  server = await Mariadb.start();
  dir = mkdtempSync(path.join(tmpdir(), "doushard-migrate-"));
  passwords = path.join(dir, "passwords");
  mkdirSync(passwords);
  writeFileSync(path.join(dir, "topology.conf"), `servers = ( { name = "shard1"; socket = "${server.socket}"; } );\n`);
  writeFileSync(path.join(dir, "root.cnf"), `[client]\nuser=${userInfo().username}\n`);
  for (const name of ACCOUNTS) writeFileSync(path.join(passwords, `${name}_password`), `secret ${name}\n`);
});
after(async () => {
  await server?.stop();
  rmSync(dir, { recursive: true, force: true });
});

/* A copy of scripts and procedures, for changes. */
function copy(name) {
  const to = path.join(dir, name);
  cpSync(path.join(ROOT, "scripts"), path.join(to, "scripts"), { recursive: true });
  cpSync(PROCEDURES, path.join(to, "procedures"), { recursive: true });
  return to;
}

/* In a process group of its own, so that all of it can be killed at once. */
function start(from, ...args) {
  const child = spawn(
    path.join(from, "scripts", "migrate"),
    [`--topology=${dir}/topology.conf`, `--defaults-file=${dir}/root.cnf`, `--passwords=${passwords}`, ...args],
    { detached: true, stdio: ["ignore", "pipe", "pipe"], env: { ...process.env, DOUSHARD_BUILD_DIR: buildDir() } },
  );
  child.text = "";
  for (const stream of [child.stdout, child.stderr])
    stream.on("data", (chunk) => {
      child.text += chunk;
    });
  child.ended = new Promise((resolve) => child.once("close", (status) => resolve({ status, text: child.text })));
  return child;
}
const migrate = async (from, ...args) => start(from, ...args).ended;
const succeeds = async (from, ...args) => {
  const { status, text } = await migrate(from, ...args);
  assert.equal(status, 0, text);
  return text.trim();
};

const bodies = async () =>
  Object.fromEntries(
    (
      await root.rows(`SELECT routine_name AS name, routine_definition AS body
  FROM information_schema.routines WHERE routine_schema = 'doushard' AND routine_name <> '_install_fingerprint'`)
    ).map(({ name, body }) => [name, body]),
  );
const isComplete = async () =>
  (await root.value(`SELECT COUNT(*) FROM information_schema.routines
  WHERE routine_schema = 'doushard' AND routine_name = '_install_fingerprint'`)) === "1";

/* What the golden files have, which do not list the mark. */
async function isAsExpected() {
  matches((await objects(root)).replace(/FUNCTION _install_fingerprint .*\n.*\n.*\n/, ""), "objects.expected");
  matches(await grants(root), "grants.expected");
}

test("from nothing: what the golden files say; again: no changes", async () => {
  assert.match(
    await succeeds(ROOT, "--dry-run"),
    /^shard1: would load schema version 0 to \d .*, all routines, grants$/,
  );
  assert.match(await succeeds(ROOT), /^shard1: loaded schema version 0 to \d .*, all routines, grants$/);
  root = server.session({ database: "doushard" });
  await isAsExpected();
  assert.ok(await isComplete());
  assert.match(await succeeds(ROOT), /^shard1: up to date, schema version \d$/);
  await root.run("CALL shard_init('shard1')");
  await root.run("CALL slot_assign(0, 1023, 'shard1')");
});

test("what was changed by hand, lost or revoked is restored, and nothing else is loaded", async () => {
  const first = await bodies();
  await root.run("DROP PROCEDURE slot_where");
  await root.run("CREATE OR REPLACE DEFINER = doushard_owner@localhost PROCEDURE feed_list () SELECT 1");
  await root.run("DROP FUNCTION _install_fingerprint");
  await root.run("REVOKE EXECUTE ON PROCEDURE user_get FROM 'doushard_app'@'%'");
  assert.match(
    await succeeds(ROOT, "--dry-run"),
    /^shard1: would load 2 of \d+ routines \(feed_list slot_where\), grants$/,
  );
  assert.match(await succeeds(ROOT), /^shard1: loaded 2 of \d+ routines \(feed_list slot_where\), grants$/);
  assert.deepEqual(await bodies(), first);
  await isAsExpected();
});

test("no CALL misses a routine that is being replaced, or its grant", async () => {
  const app = account(server, "app");
  const user = await newUser(app);
  const run = start(ROOT, "--force");
  let calls = 0;
  let isOver = false;
  run.ended.then(() => {
    isOver = true;
  });
  for (; !isOver; calls++) {
    assert.equal((await call(app, "user_get", JSON.stringify([ownerOp(user)])))[0][0].code, "ok");
  }
  assert.match((await run.ended).text, /loaded all routines, grants/);
  assert.ok(calls > 10, `${calls} CALLs meanwhile`);
  await app.end();
});

test("killed in the middle: not considered complete, and the next run goes on from there", async () => {
  const wanted = await bodies();
  /* An older version, in which every routine was different and one did not exist yet. */
  const old = copy("old");
  for (const name of Object.keys(wanted)) {
    const file = path.join(
      old,
      "procedures",
      new RegExp(`^SOURCE (.*/${name}\\.sql)$`, "m").exec(
        readFileSync(path.join(PROCEDURES, "install.sql"), "utf8"),
      )[1],
    );
    writeFileSync(
      file,
      readFileSync(file, "utf8").replace(/^END\$\$$/m, () => "    -- old\nEND$$"),
    );
  }
  for (const file of ["install.sql", "grants.sql"]) {
    const at = path.join(old, "procedures", file);
    writeFileSync(at, readFileSync(at, "utf8").replace(/^.*comment_export.*\n/gm, ""));
  }
  await root.run("DROP PROCEDURE comment_export");
  assert.match(await succeeds(old), /loaded all routines, grants/);
  const before_ = await bodies();
  assert.ok(Object.keys(before_).length === Object.keys(wanted).length - 1);

  /* Today's version, which stops in the middle: before slot_where. */
  const half = copy("half");
  const stop = path.join(half, "procedures", "slot", "slot_where.sql");
  writeFileSync(stop, `DO SLEEP(1000);\n${readFileSync(stop, "utf8")}`);
  const run = start(half);
  const id = await until("migrate to be in the middle", () =>
    root.value(`SELECT id
    FROM information_schema.processlist WHERE info LIKE 'DO SLEEP%'`),
  );
  process.kill(-run.pid, "SIGKILL");
  await run.ended;
  await root.run(`KILL CONNECTION ${id}`);
  await until(
    "its session to be gone",
    async () => (await root.value(`SELECT COUNT(*) FROM information_schema.processlist WHERE id = ${id}`)) === "0",
  );

  assert.ok(!(await isComplete()), "an interrupted run is considered complete");
  const halfway = await bodies();
  const isNew = Object.keys(wanted).filter((name) => halfway[name] === wanted[name]);
  const isOld = Object.keys(wanted).filter((name) => halfway[name] === before_[name]);
  assert.ok(isNew.includes("_op_fence") && isOld.includes("slot_where"));
  assert.equal(isNew.length + isOld.length, Object.keys(wanted).length, "each is either old or new");

  const text = await succeeds(ROOT);
  assert.match(text, new RegExp(`loaded ${isOld.length} of ${Object.keys(wanted).length} routines`));
  assert.deepEqual(await bodies(), wanted);
  await isAsExpected();
  assert.ok(await isComplete());
  assert.match(await succeeds(ROOT), /up to date/);
});

/* Writes a topology file; resolves to the option that names it. */
function topology(name, text) {
  writeFileSync(path.join(dir, name), text);
  return `--topology=${path.join(dir, name)}`;
}

test("the topology is what servers read: quoted # and //, comments with servers in them", async () => {
  const odd = path.join(dir, "a#b");
  mkdirSync(odd);
  symlinkSync(server.socket, path.join(odd, "sock"));
  const file = topology(
    "odd.conf",
    `# servers = ( { name = "shard7"; socket = "/nowhere/7"; } );
servers = (
  /* { name = "shard8"; socket = "/nowhere/8";
     }, */
  // { name = "shard9"; socket = "/nowhere/9"; },
  { socket = "${odd}//sock"; port : 0x10; name = "shard" /* { */ "1"; } # the "}"
);
`,
  );
  const listed = await shardctl(["servers", file]);
  assert.deepEqual([listed.status, listed.out, listed.err], [0, `shard1\t-\t16\t${odd}//sock\n`, ""]);
  assert.match(await succeeds(ROOT, file), /^shard1: up to date, schema version \d$/);
});

test("a topology that servers would refuse: file and line are reported, and nothing is done", async () => {
  await root.run("DROP PROCEDURE slot_where");
  for (const [text, said] of [
    [
      `servers = (\n{ name = "shard1"; socket = "${server.socket}"; },\n{ name = "shard1"; socket = "/x"; } );`,
      /bad\.conf:3: the name shard1 is used twice/,
    ],
    [`servers = (\n{ name = "shard1"; sokcet = "${server.socket}"; } );`, /bad\.conf:2: sokcet is not known/],
    [`servers = ( { name = "shard1"; socket = "${server.socket}\\t"; } );`, /bad\.conf:1: socket must have no control/],
    ["servers = ( );", /bad\.conf:1: has 0 servers/],
  ]) {
    const { status, text: out } = await migrate(ROOT, topology("bad.conf", text));
    assert.equal(status, 1, out);
    assert.match(out, said);
    assert.equal(out.trim().split("\n").length, 1, out);
  }
  assert.equal((await bodies()).slot_where, undefined);
});

test("several shards, in order: stops at the first that fails; --only does those that are named", async () => {
  const other = await Mariadb.start();
  try {
    const third = other.session();
    const isTouched = async () =>
      (await third.value("SELECT COUNT(*) FROM information_schema.schemata WHERE schema_name = 'doushard'")) !== "0";
    const line = (name, socket) => `{ name = "${name}"; socket = "${socket}"; }`;
    const three = topology(
      "three.conf",
      `servers = ( ${line("shard1", server.socket)}, ${line("shard2", `${dir}/nobody`)}, ${line("shard3", other.socket)} );`,
    );

    const unknown = await migrate(ROOT, three, "--only=shard1", "--only=shard9");
    assert.deepEqual([unknown.status, unknown.text], [1, `migrate: ${dir}/three.conf names no shard shard9\n`]);
    assert.equal((await bodies()).slot_where, undefined, "shard1 is unchanged");

    assert.match(await succeeds(ROOT, three, "--only=shard3"), /^shard3: loaded schema version 0 to \d .*$/);
    assert.equal((await bodies()).slot_where, undefined, "shard1 is unchanged");
    await third.run("DROP DATABASE doushard");

    const stopped = await migrate(ROOT, three);
    assert.equal(stopped.status, 1);
    assert.match(stopped.text, /^shard1: loaded 1 of \d+ routines \(slot_where\), grants$/m);
    assert.match(stopped.text, /shard2 failed, see above; the shards after it were not touched$/m);
    assert.doesNotMatch(stopped.text, /shard3/);
    assert.ok(!(await isTouched()));

    const both = topology(
      "both.conf",
      `servers = ( ${line("shard3", other.socket)}, ${line("shard1", server.socket)} );`,
    );
    assert.match(
      await succeeds(ROOT, both),
      /^shard3: loaded schema version 0 to \d .*\nshard1: up to date, schema version \d$/,
    );
  } finally {
    await other.stop();
  }
});

test("two runs at once on one shard: one waits, and then finds what the other has done", async () => {
  const slow = copy("first");
  const install = readFileSync(path.join(slow, "procedures", "install.sql"), "utf8");
  const names = [...install.matchAll(/^SOURCE .*\/(\w+)\.sql$/gm)].map(([, name]) => name);
  const last = names.findLast((name) => !name.startsWith("_"));
  assert.ok(names.indexOf("slot_where") < names.indexOf(last));
  const at = path.join(slow, "procedures", "slot", "slot_where.sql");
  writeFileSync(at, `DO GET_LOCK('hold', 600);\n${readFileSync(at, "utf8")}`);
  await root.run(`DROP PROCEDURE ${last}`);
  const holder = server.session();
  await holder.run("DO GET_LOCK('hold', 0)");
  const waits = (what) => async () =>
    (await root.value(`SELECT COUNT(*) FROM information_schema.processlist
    WHERE state = 'User lock' AND info LIKE '%${what}%'`)) === "1";

  const first = start(slow);
  await until("the first to be in the middle", waits("hold"));
  const second = start(ROOT);
  await until("the second to wait for it", waits("doushard:migrate"));
  assert.equal((await bodies())[last], undefined);
  await holder.run("DO RELEASE_LOCK('hold')");
  const [one, two] = await Promise.all([first.ended, second.ended]);
  assert.deepEqual([one.status, two.status], [0, 0], one.text + two.text);
  assert.match(one.text, new RegExp(`loaded 2 of \\d+ routines \\((?=.*slot_where).*${last}.*\\)`));
  assert.match(two.text, /^shard1: loaded 1 of \d+ routines \(slot_where\), grants\n$/);
  await isAsExpected();
  await holder.end();
});

test("a password file without a password is refused before anything is done", async () => {
  await root.run("DROP PROCEDURE slot_where");
  for (const text of ["", "\n", " \t\n", "\nsecond line\n"]) {
    writeFileSync(path.join(passwords, "monitor_password"), text);
    for (const args of [[], ["--dry-run"]]) {
      const { status, text: said } = await migrate(ROOT, ...args);
      assert.equal(status, 1);
      assert.match(said, /monitor_password has no password on its first line/);
    }
  }
  assert.equal((await bodies()).slot_where, undefined);
  writeFileSync(path.join(passwords, "monitor_password"), "secret monitor");
  await succeeds(ROOT);
  const monitor = account(server, "monitor");
  assert.equal((await call(monitor, "slot_status"))[0].length, 1024);
  await monitor.end();
});

test("changes that running servers would not survive are refused, and nothing is done", async () => {
  const file = (name) => readFileSync(path.join(PROCEDURES, name), "utf8");
  const spoilt = (name, edits) => {
    const to = copy(name);
    for (const [at, from, by] of edits) {
      const text = file(at);
      assert.ok(text.replace(from, by) !== text, `${at} has no ${from}`);
      writeFileSync(path.join(to, "procedures", at), text.replace(from, by));
    }
    return to;
  };
  const all = new Map(
    readdirSync(PROCEDURES, { recursive: true })
      .filter((name) => name.endsWith(".sql"))
      .map((name) => [name, file(name)]),
  );
  const made = "TEMPORARY TABLE IF NOT EXISTS op (\n";
  const maker = [...all.keys()].find((name) => all.get(name).includes(made));
  const was = await bodies();
  const CASES = [
    [
      "a-parameter-of-a-helper",
      "op/_op_size.sql",
      "IN in_ops JSON\n",
      "IN in_ops JSON,\n    IN in_more INT\n",
      /_op_size: other parameters or session tables under this name/,
    ],
    [
      "a-parameter-of-a-routine",
      "slot/slot_where.sql",
      "IN in_id BIGINT UNSIGNED\n",
      "IN in_id BIGINT\n",
      /slot_where: other parameters/,
    ],
    [
      "a-table-of-the-session",
      maker,
      made,
      `${made}        more INT NOT NULL DEFAULT 0,\n`,
      /_op_\w+: sessions keep op with other columns/,
    ],
    [
      "another-table-of-the-session",
      maker,
      made,
      made.replace(" op ", " op3 "),
      /_op_\w+: other parameters or session tables under this name/,
    ],
    ["a-version", "slot/slot_where.sql", /COMMENT 'v\d+/, "COMMENT 'v9", /slot_where: serves version 9, not 1/],
  ];
  for (const [name, at, from, by, expected] of CASES) {
    const { status, text } = await migrate(spoilt(name, [[at, from, by]]));
    assert.equal(status, 1, text);
    assert.match(text, expected);
    assert.match(text, /running servers would not support that/);
  }
  const step = copy("step");
  writeFileSync(
    path.join(step, "procedures", "schema", "0002_note.sql"),
    STEP.replace("'note',\n       1", "'note',\n       2"),
  );
  assert.match((await migrate(step)).text, /0002_note.sql: does not serve version 1 of the tables/);
  assert.deepEqual(await bodies(), was);
  assert.ok(await isComplete());

  /* Without running servers it is accepted; changes that keep the rules are accepted anywhere. */
  assert.match(
    await succeeds(path.join(dir, "a-version"), "--offline", "--dry-run"),
    /would load 1 of \d+ routines \(slot_where\)/,
  );
  const kept = spoilt("kept", [
    ["slot/slot_where.sql", /COMMENT 'v(\d+):/, "COMMENT 'v9 serves v$1:"],
    ["op/_op_size.sql", "IN in_ops JSON\n", "IN  in_ops  JSON  -- the batch\n"],
    [maker, "COMMENT 'number of", "COMMENT 'the number of"],
  ]);
  assert.match(await succeeds(kept, "--dry-run"), /would load 3 of \d+ routines/);
  const next = copy("whole");
  for (const [name, text] of nextHelpers(nextProcedures(all))) writeFileSync(path.join(next, "procedures", name), text);
  assert.match(
    await succeeds(next, "--dry-run"),
    /would load schema version 1 to 2 \(0002_note.sql\), \d+ of \d+ routines/,
  );
});

/** A session that would time out before migrate does if migrate waited for its lock. */
async function impatient(name) {
  const session = account(server, name);
  await session.run("SET SESSION lock_wait_timeout = 5");
  return session;
}

test("a routine is replaced while a CALL of it is running; the CALL ends with the old body", async () => {
  const slow = copy("slow");
  const at = path.join(slow, "procedures", "slot", "slot_where.sql");
  writeFileSync(
    at,
    readFileSync(at, "utf8").replace(
      "\nBEGIN\n",
      "\nBEGIN\n    IF in_id = 1 THEN\n        DO GET_LOCK('hold', 600);\n    END IF;\n",
    ),
  );
  await succeeds(slow);
  const holder = server.session();
  await holder.run("DO GET_LOCK('hold', 0)");
  const [long, other] = [account(server, "admin"), await impatient("admin")];
  const answer = call(long, "slot_where", 1);
  await until(
    "it to wait",
    async () =>
      (await root.value("SELECT COUNT(*) FROM information_schema.processlist WHERE state = 'User lock'")) === "1",
  );
  assert.match(await succeeds(ROOT), /loaded 1 of \d+ routines \(slot_where\)/);
  assert.equal((await call(other, "slot_where", 1))[0].length, 1);
  await holder.run("DO RELEASE_LOCK('hold')");
  assert.equal((await answer)[0].length, 1);
  await isAsExpected();
  await Promise.all([holder, long, other].map((session) => session.end()));
});

/* Version 2 of the tables: another column of the relay's lease. */
const STEP = `USE doushard;

DROP TEMPORARY TABLE IF EXISTS predecessor;
CREATE TEMPORARY TABLE predecessor (found INT NOT NULL, CHECK (found = 1));
INSERT INTO predecessor (found)
SELECT COUNT(*) FROM schema_version AS sv WHERE sv.version = 1;

ALTER TABLE relay_lease
    ADD COLUMN note INT NOT NULL DEFAULT 7 COMMENT 'new', ALGORITHM = INSTANT;

INSERT INTO schema_version (version, slug, serves, applied_at, applied_by, checksum)
SELECT 2,
       'note',
       1,
       1, CURRENT_USER(), @schema_checksum;
`;

const notes = () =>
  root.value(`SELECT COUNT(*) FROM information_schema.columns
  WHERE table_schema = 'doushard' AND table_name = 'relay_lease' AND column_name = 'note'`);

test("a transaction that reads a table for long blocks neither CALLs nor, in the end, migrate", async () => {
  const next = copy("next");
  writeFileSync(path.join(next, "procedures", "schema", "0002_note.sql"), STEP);
  const reader = server.session({ database: "doushard" });
  const readerId = await reader.value("SELECT CONNECTION_ID()");
  await reader.run("START TRANSACTION");
  await reader.run("SELECT COUNT(*) FROM relay_lease");

  const { status, text } = await migrate(next, "--patience=1");
  assert.equal(status, 1, text);
  assert.match(
    text,
    new RegExp(
      `shard1: gave up after 1 s at: ALTER TABLE relay_lease .*connection ${readerId}, \\d+ s, idle in a transaction`,
    ),
  );
  assert.ok(await isComplete(), "the routines are unchanged");

  const app = await impatient("app");
  const run = start(next);
  const waits = new Set(); /* of sessions: each try is a new one */
  let behind = 0;
  while (waits.size < 3) {
    const [wait] = await root.rows(`SELECT p.id FROM information_schema.processlist AS p
      WHERE p.state = 'Waiting for table metadata lock' AND p.info LIKE 'ALTER TABLE relay_lease%'`);
    if (wait) waits.add(wait.id);
    await call(app, "relay_lease_take", "me", 1000);
    behind += wait ? 1 : 0;
  }
  assert.ok(behind >= 3, `${behind} CALLs came after a waiting ALTER`);
  assert.equal(await notes(), "0");
  assert.equal(run.exitCode, null);
  await reader.run("COMMIT");
  const end = await run.ended;
  assert.equal(end.status, 0, end.text);
  assert.match(
    end.text,
    /waiting to ALTER TABLE relay_lease .*idle in a transaction[\s\S]*shard1: loaded schema version 1 to 2 \(0002_note.sql\), grants/,
  );
  assert.equal(await notes(), "1");
  assert.match(await succeeds(next), /up to date, schema version 2/);
  await Promise.all([app.end(), reader.end()]);
});

test("an interrupted change of tables is continued; a change made by hand is not mistaken for it", async () => {
  await root.run("ALTER TABLE relay_lease DROP COLUMN note");
  await root.run("DELETE FROM schema_version WHERE version = 2");
  const next = copy("broken");
  const step = STEP.replace(
    "\nINSERT INTO schema_version",
    "\nDO GET_LOCK('hold', 600);\nDO RELEASE_LOCK('hold');\n\nINSERT INTO schema_version",
  );
  writeFileSync(path.join(next, "procedures", "schema", "0002_note.sql"), step);
  const holder = server.session();
  const version = () => root.value("SELECT MAX(version) FROM schema_version");

  await root.run("ALTER TABLE relay_lease ADD COLUMN note TEXT");
  for (let i = 0; i < 2; i++) assert.match((await migrate(next)).text, /ERROR 1060 .* Duplicate column name 'note'/);
  await root.run("ALTER TABLE relay_lease DROP COLUMN note");

  await holder.run("DO GET_LOCK('hold', 0)");
  const run = start(next);
  const id = await until("it to be in the middle", () =>
    root.value("SELECT id FROM information_schema.processlist WHERE state = 'User lock'"),
  );
  process.kill(-run.pid, "SIGKILL");
  await run.ended;
  await root.run(`KILL CONNECTION ${id}`);
  await until(
    "its session to be gone",
    async () => (await root.value(`SELECT COUNT(*) FROM information_schema.processlist WHERE id = ${id}`)) === "0",
  );
  assert.deepEqual([await notes(), await version()], ["1", "1"]);
  await holder.run("DO RELEASE_LOCK('hold')");
  assert.match(await succeeds(next), /loaded schema version 1 to 2 \(0002_note.sql\), grants/);
  assert.equal(await version(), "2");
  assert.match(await succeeds(next), /up to date, schema version 2/);
  assert.equal(
    await root.value("SELECT COUNT(*) FROM information_schema.routines WHERE routine_name = '_install_step'"),
    "0",
  );
  await holder.end();
});
