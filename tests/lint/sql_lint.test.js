/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* The stored procedures keep the rules of sql_rules.js, and every rule works: each one gets spoilt
 * copies of the real files. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import path from "node:path";
import { describe, test } from "node:test";

import { SOURCES, nextProcedures, nextSources } from "../lib/next.js";
import { readSql, root, sqlFiles } from "./sql_files.js";
import * as rules from "./sql_rules.js";
import { outcomes as readOutcomes, rows } from "./tables.js";

const OUTCOMES = readOutcomes();
const procsOf = (text) =>
  rows(text, "PROC").map(([, routine, kind, count, effect, version]) => ({ routine, kind, count, effect, version }));
const PROCS = procsOf(readFileSync(path.join(root, "shard/procs.def"), "utf8"));

const FILES = new Map(sqlFiles().map((name) => [name, readSql(name)]));
const RULES = Object.values(rules).filter((rule) => typeof rule === "function" && rule !== rules.readTree);

function problemsOf(files, { procs = PROCS } = {}) {
  const tree = rules.readTree(files);
  return RULES.flatMap((rule) =>
    rule(
      tree,
      rule === rules.outcomes ? OUTCOMES : rule === rules.grants || rule === rules.callers ? procs : undefined,
    ),
  );
}

/** The files with one replacement made, which must be possible. */
function spoilt(file, from, to) {
  const text = FILES.get(file);
  const changed = text.replace(from, typeof from === "string" ? () => to : to);
  assert.notEqual(changed, text, `${file} has no ${from} to spoil`);
  return new Map([...FILES, [file, changed]]);
}

test("the files keep every rule", () => {
  assert.deepEqual(problemsOf(FILES), []);
});

for (const template of [...FILES.keys()].filter((name) => /^template/.test(name)))
  test(`${template} keeps the rules of a routine`, () => {
    const files = new Map([...FILES].filter(([name]) => !/^template/.test(name)));
    files.set("domain/domain_verb.sql", FILES.get(template));
    files.set("install.sql", `${FILES.get("install.sql")}SOURCE domain/domain_verb.sql\n`);
    files.set(
      "grants.sql",
      `${FILES.get("grants.sql")}GRANT EXECUTE ON PROCEDURE doushard.domain_verb TO 'doushard_admin'@'%';\n`,
    );
    assert.deepEqual(problemsOf(files), []);
  });

const REHASH = "user/user_rehash.sql";
const ACTION = "publish/publish_action.sql";
const SECRET = "user/user_secret.sql";

/* The change to each file, and the expected message. */
const SAMPLES = [
  [REHASH, "PROCEDURE user_rehash (", "PROCEDURE user_rehsh (", /user_rehash.sql: makes user_rehsh/],
  [REHASH, "DROP PROCEDURE IF EXISTS user_rehash;", "", /no DROP before CREATE/],
  [REHASH, "DEFINER = doushard_owner@localhost ", "", /no CREATE DEFINER/],
  [REHASH, "DEFINER = doushard_owner@localhost", "DEFINER = root@localhost", /DEFINER is root@localhost/],
  [
    REHASH,
    "END$$\n",
    "END$$\n\nCREATE DEFINER = doushard_owner@localhost PROCEDURE b () SELECT 1$$\n",
    /makes 2 objects/,
  ],
  [REHASH, "\nBEGIN\n", "\nBEGIN \n", /not one line BEGIN/],
  [REHASH, "-- user_rehash:", "-- user_hash:", /the header names "user_hash"/],
  [REHASH, "-- SPDX-License-Identifier: MIT\n", "", /no licence lines/],
  [REHASH, /-- Touches : .*\n/, "", /the header has no Touches/],
  [REHASH, /-- Errors  : .*\n/, "", /the header has no Errors/],
  [REHASH, /-- Replays : .*\n/, "", /the header has no Replays/],
  [REHASH, /-- Answer  : .*\n/, "", /the header has no Answer/],
  [REHASH, "-- in_ops  batch", "-- batch", /lists the parameters , the routine has in_ops/],
  [SECRET, "-- in_epoch    ", "-- in_ep    ", /lists the parameters in_slot,in_ep,in_user_id/],
  [REHASH, "    SQL SECURITY DEFINER\n", "", /no SQL SECURITY DEFINER/],
  [REHASH, "    MODIFIES SQL DATA\n", "", /no data access clause/],
  [REHASH, /COMMENT 'v\d+/, "COMMENT '", /no COMMENT 'vN/],
  [REHASH, /COMMENT 'v\d+/, "COMMENT 'v2 serves 1", /no COMMENT 'vN/],
  [REHASH, /COMMENT 'v\d+/, "COMMENT 'v2 serves v3", /version 2 serves older ones/],
  [REHASH, /COMMENT 'v\d+/, "COMMENT 'v2 serves v2", /version 2 serves older ones/],
  [REHASH, "IN in_ops JSON", "IN ops JSON", /parameter IN ops is not IN in_/],
  [SECRET, "IN in_user_id BIGINT UNSIGNED", "OUT in_user_id BIGINT UNSIGNED", /parameter OUT in_user_id/],
  [REHASH, "    CALL _op_open(in_ops);", "    PREPARE st FROM v_hash;\n    CALL _op_open(in_ops);", /: PREPARE/],
  [
    REHASH,
    "    CALL _op_open(in_ops);",
    "    EXECUTE IMMEDIATE CONCAT('SELECT ', v_hash);\n    CALL _op_open(in_ops);",
    /: EXECUTE/,
  ],
  [
    REHASH,
    "DECLARE EXIT HANDLER FOR SQLEXCEPTION",
    "DECLARE CONTINUE HANDLER FOR SQLEXCEPTION",
    /a CONTINUE handler for SQLEXCEPTION/,
  ],
  [
    REHASH,
    "DECLARE CONTINUE HANDLER FOR NOT FOUND",
    "DECLARE CONTINUE HANDLER FOR NOT FOUND, SQLEXCEPTION",
    /a CONTINUE handler for SQLEXCEPTION/,
  ],
  [
    REHASH,
    "CONTINUE HANDLER FOR NOT FOUND",
    "CONTINUE HANDLER FOR SQLSTATE '40001'",
    /a CONTINUE handler for an SQLSTATE/,
  ],
  [REHASH, "SELECT u.password_hash\n", "SELECT *\n", /: SELECT \*/],
  [REHASH, "SET v_code = 'same';", "SET @code = 'same';", /a user variable/],
  [REHASH, "CREATE DEFINER", "CREATE OR REPLACE DEFINER", /OR REPLACE|no CREATE DEFINER/],
  ["op/_op_fence.sql", "LOCK IN SHARE MODE", "FOR SHARE", /FOR SHARE/],
  ["session/_session_put.sql", "INSERT INTO", "INSERT IGNORE INTO", /INSERT IGNORE/],
  ["session/session_touch.sql", "_now_ms()", "UNIX_TIMESTAMP()", /a clock that is not/],
  [
    "conn/conn_kill.sql",
    "SELECT v_gone AS gone",
    "SELECT COUNT(*) AS gone FROM information_schema.processlist AS p WHERE p.id = v_id",
    /the list of processes/,
  ],
  [
    "op/_op_user_lock.sql",
    "    DELETE FROM op_user;",
    "    COMMIT;\n    DELETE FROM op_user;",
    /a helper begins or ends a transaction/,
  ],
  [REHASH, "    START TRANSACTION;\n", "", /writes without START TRANSACTION/],
  [REHASH, "        ROLLBACK;\n", "", /no EXIT HANDLER FOR SQLEXCEPTION with ROLLBACK/],
  [REHASH, "        RESIGNAL;\n", "", /no EXIT HANDLER FOR SQLEXCEPTION with ROLLBACK/],
  [REHASH, "    COMMIT;\n", "", /0 COMMITs/],
  [REHASH, "    SET TRANSACTION ISOLATION LEVEL READ COMMITTED;\n", "", /without its SET TRANSACTION/],
  [REHASH, "    COMMIT;\n", "    COMMIT;\n\n    DELETE FROM op;\n", /writes after COMMIT/],
  [REHASH, "SET v_code = 'same';", "SET v_code = 'same';\n            ROLLBACK;", /a ROLLBACK outside of the handler/],
  ["feed/feed_list.sql", " WITH CONSISTENT SNAPSHOT", "", /without its SET TRANSACTION|without a snapshot/],
  [REHASH, /CALL _slot_log_add\([\s\S]*?\);/, "", /writes user and does not journal it/],
  [
    "user/user_erase.sql",
    /CALL _slot_log_add\(v_moving, v_slot, 'job'[\s\S]*?\);/g,
    "",
    /writes job and does not journal it/,
  ],
  ["favorite/_favorite_action_batch.sql", "CALL _slot_log_add_ops('user');", "", /writes user and does not journal it/],
  [
    REHASH,
    "    COMMIT;\n\n    SELECT o.n,",
    "    COMMIT;\n\n    SELECT COUNT(*) FROM user AS u;\n\n    SELECT o.n,",
    /reads user after COMMIT/,
  ],
  [
    REHASH,
    "    COMMIT;\n\n    SELECT o.n,",
    "    COMMIT;\n\n    SELECT COUNT(*) FROM user u;\n\n    SELECT o.n,",
    /reads user after COMMIT/,
  ],
  [
    "op/_op_user_answer.sql",
    "FROM op_user AS m",
    "FROM user AS m",
    /user_profile.sql: reads user after COMMIT, in _op_user_answer/,
  ],
  [
    REHASH,
    "    COMMIT;\n\n    SELECT o.n,",
    "    CALL _op_user_answer();\n\n    COMMIT;\n\n    SELECT o.n,",
    /answers before COMMIT/,
  ],
  ["favorite/_favorite_action_batch.sql", "    CALL _op_user_answer();\n", "", /does not answer with _op_user_answer/],
  ["favorite/_favorite_action_one.sql", "       AND f.journal = 0\n", "", /not just behind a fence at rest/],
  ["favorite/_favorite_action_one.sql", "      LOCK IN SHARE MODE;\n", ";\n", /not just behind a fence at rest/],
  [
    "favorite/_favorite_action_one.sql",
    "               v_mail_ver AS mail_ver\n",
    "               v_mail_ver AS mails\n",
    /the header promises/,
  ],
  ["favorite/_favorite_action_one.sql", "    COMMIT;\n", "", /0 COMMITs/],
  [
    "favorite/_favorite_deliver_one.sql",
    "          FROM DUAL\n         WHERE v_state IS NOT NULL",
    "          FROM video AS v",
    /reads video after COMMIT/,
  ],
  [
    "favorite/_favorite_deliver_one.sql",
    "THEN 'notfound'",
    "THEN 'gone'",
    /the code gone, which outcome.def does not know/,
  ],
  ["user/user_profile.sql", "GREATEST(u.ver, o.epoch << 33) + 1", "u.ver + 1", /sets a version to u.ver \+ 1/],
  ["user/user_get.sql", "GREATEST(u.ver, f.epoch << 33) AS ver", "u.ver", /answers u.ver without the epoch/],
  ["user/user_get.sql", "AS in_ver", "AS in_v", /shows follower_count without in_ver/],
  ["favorite/favorite_list.sql", " AS edge_ver", " AS list_ver", /shows cursor without edge_ver or follower_ver/],
  ["session/_session_put.sql", /CALL _slot_log_add\([\s\S]*?\);/, "", /writes session and does not journal it/],
  [REHASH, "UPDATE user AS u", "UPDATE users AS u", /no schema file makes: users/],
  [REHASH, "    CALL _op_open(in_ops);\n", "", /neither _op_open nor _op_opened is called/],
  [
    "favorite/_favorite_action_batch.sql",
    "CALL _op_known(1);",
    "SET v_now = 0;",
    /neither _op_open nor _op_opened is called/,
  ],
  [REHASH, "    CALL _op_fence(v_moving);\n", "", /_op_fence is not first/],
  [
    REHASH,
    "    CALL _op_fence(v_moving);\n    CALL _op_user_lock();",
    "    CALL _op_user_lock();\n    CALL _op_fence(v_moving);",
    /_op_fence is not first/,
  ],
  [REHASH, "    CALL _op_user_lock();\n", "", /writes user without _op_user_lock/],
  [ACTION, "    CALL _slot_seq_lock();\n", "", /mints without the lock/],
  [
    ACTION,
    "    CALL _slot_seq_lock();\n    CALL _op_user_lock();",
    "    CALL _op_user_lock();\n    CALL _slot_seq_lock();",
    /_op_user_lock\( comes before CALL _slot_seq_lock/,
  ],
  ["slot/slot_learn.sql", "CALL _slot_changed();", "SET v_n = 0;", /writes slot_fence without _slot_changed/],
  [SECRET, "slot_fence AS f", "slot_known AS f", /without the fence in the same statement/],
  [
    SECRET,
    "    SELECT 1 AS n,",
    "    SELECT COUNT(u.ver) INTO in_epoch FROM user AS u JOIN slot_fence AS f ON f.slot = u.slot;\n    SELECT 1 AS n,",
    /in 2 statements without a snapshot/,
  ],
  [SECRET, "           u.user_id,\n", "", /the header promises/],
  [SECRET, "u.password_hash\n      FROM", "u.password_hash AS hash\n      FROM", /the header promises/],
  [REHASH, "           o.code,\n           o.slot,", "           o.slot,\n           o.code,", /the header promises/],
  [
    REHASH,
    "-- Answer  : n, code, slot, epoch, server",
    "-- Answer  : n, slot, code, epoch, server",
    /does not begin with n,code,slot/,
  ],
  [REHASH, "epoch, server", `epoch, server${", x".repeat(28)}`, /more columns than an older server reads/],
  [REHASH, /-- Codes   : .*\n/, "", /Codes and the column code go together/],
  [REHASH, "SET v_code = 'same'", "SET v_code = 'equal'", /writes the code equal, which outcome.def does not know/],
  [REHASH, "SET v_code = 'same'", "SET v_code = 'busy'", /writes the code busy, which its header does not list/],
  [REHASH, "-- Codes   : ok same", "-- Codes   : ok same taken", /lists the code taken, which it does not write/],
  ["op/_op_mint.sql", "SQLSTATE '45503'", "SQLSTATE '45999'", /raises 45999, which outcome.def does not know/],
  [ACTION, "   45503 the slot has no mint here", "", /raises 45503, which its header does not list/],
  [SECRET, "-- Errors  : 45400", "-- Errors  : 45503 never   45400", /lists 45503, which it does not raise/],
  ["install.sql", "SOURCE user/user_rehash.sql\n", "", /loads user\/user_rehash.sql 0 times/],
  ["install.sql", "SOURCE user/user_rehash.sql", "SOURCE user/user_rehsh.sql", /which does not exist/],
  ["install.sql", /SOURCE op\/_op_refuse.sql\n([\s\S]*)$/, "$1SOURCE op/_op_refuse.sql\n", /before _op_refuse/],
  [
    "grants.sql",
    /GRANT EXECUTE ON PROCEDURE doushard.user_rehash\s+TO 'doushard_app'@'%';\n/,
    "",
    /user_rehash is in procs.def and not granted/,
  ],
  [
    "grants.sql",
    /GRANT EXECUTE ON PROCEDURE doushard.user_rehash\s+TO 'doushard_admin'@'%';\n/,
    "",
    /user_rehash is not granted to the operator/,
  ],
  ["grants.sql", "doushard.user_rehash ", "doushard._op_mint ", /_op_mint is a helper/],
  [
    "grants.sql",
    /doushard\.user_rehash\s+TO 'doushard_app'/,
    "doushard.slot_assign TO 'doushard_app'",
    /slot_assign is granted to the service/,
  ],
  [
    "grants.sql",
    /doushard\.slot_stats\s+TO 'doushard_monitor'/,
    "doushard.slot_learn TO 'doushard_monitor'",
    /slot_learn writes, the monitor may not/,
  ],
  [
    "grants.sql",
    /doushard\.slot_stats\s+TO 'doushard_monitor'/,
    "doushard.comment_export TO 'doushard_monitor'",
    /comment_export is for the operator alone/,
  ],
  [
    "grants.sql",
    "GRANT EXECUTE ON PROCEDURE doushard.user_rehash ",
    "GRANT SELECT ON doushard.user ",
    /not of the one form/,
  ],
  [REHASH, /COMMENT 'v\d+/, "COMMENT 'v9 serves v1", /procs.def: user_rehash has version 9/],
  [
    SECRET,
    "    IN in_user_id BIGINT UNSIGNED\n",
    "    IN in_user_id BIGINT UNSIGNED,\n    IN in_more INT\n",
    /procs.def: user_secret has 4 parameters/,
  ],
  ["schema/0001_tables.sql", "SELECT 1,", "SELECT 3,", /does not record itself last/],
  ["schema/0001_tables.sql", "'tables',\n       1,", "'tables',\n       2,", /with the oldest version that it serves/],
  ["schema/0001_tables.sql", "CREATE TABLE IF NOT EXISTS user (", "CREATE TABLE user (", /without IF NOT EXISTS/],
  ["schema/0001_tables.sql", /COMMENT 'minted from slot_seq'/, "", /user.user_id has no comment/],
  [
    "schema/0001_tables.sql",
    /(PRIMARY KEY \(slot, user_id\)\n\)[\s\S]*?)PARTITION BY LIST \(slot DIV 1024 \* slot\)/,
    "$1PARTITION BY KEY (slot)",
    /user is not partitioned by slot/,
  ],
  [REHASH, "    COMMIT;", "    COMMIT; ", /tab or trailing blank/],
  [REHASH, "    COMMIT;", `    COMMIT; -- ${"x".repeat(90)}`, /columns/],
];

test("a version requires the one before it, and does not break routines that know only the tables before", () => {
  const second = (number, change = "", serves = 1) => `DROP TEMPORARY TABLE IF EXISTS predecessor;
CREATE TEMPORARY TABLE predecessor (found INT NOT NULL, CHECK (found = 1));
INSERT INTO predecessor (found)
SELECT COUNT(*) FROM schema_version AS sv WHERE sv.version = ${number};
${change}INSERT INTO schema_version (version, slug, serves, applied_at)
SELECT 2,
       'more',
       ${serves},
       1 FROM (SELECT 1 AS one) AS d;
`;
  assert.deepEqual(problemsOf(new Map([...FILES, ["schema/0002_more.sql", second(1)]])), []);
  assert.match(
    problemsOf(new Map([...FILES, ["schema/0002_more.sql", second(2)]])).join(),
    /does not ask for the version before it/,
  );

  const said = (change, serves) =>
    problemsOf(new Map([...FILES, ["schema/0002_more.sql", second(1, `${change};\n`, serves)]])).join();
  for (const change of [
    "ALTER TABLE idem ADD COLUMN a INT NOT NULL DEFAULT 0 COMMENT 'x', ADD b INT NULL COMMENT 'x',\n ALGORITHM = INSTANT",
    "ALTER TABLE idem ADD INDEX other (created_at), DROP INDEX oldest,\n    ALGORITHM = INPLACE, LOCK = NONE",
    "ALTER TABLE idem ADD COLUMN kind ENUM ('a', 'b') NOT NULL DEFAULT 'a' COMMENT 'x',\n ALGORITHM = INSTANT",
  ])
    assert.equal(said(change, 1), "", change);
  for (const change of [
    "ALTER TABLE idem ADD INDEX other (created_at)",
    "ALTER TABLE idem ADD INDEX other (created_at), ALGORITHM = INPLACE",
    "ALTER TABLE idem ADD INDEX other (created_at), ALGORITHM = COPY, LOCK = NONE",
    "ALTER TABLE idem ADD INDEX other (created_at) COMMENT ', ALGORITHM = INSTANT'",
  ]) {
    assert.match(said(change, 1), /neither ALGORITHM = INSTANT nor INPLACE, LOCK = NONE/, change);
    assert.equal(said(change, 2), "", change);
  }
  for (const change of [
    "ALTER TABLE idem ADD COLUMN a INT NOT NULL COMMENT 'x'",
    "ALTER TABLE idem ADD a INT NOT NULL",
    "DROP TABLE idem",
    "ALTER TABLE idem DROP COLUMN body",
    "ALTER TABLE idem DROP body",
    "ALTER TABLE idem CHANGE body content BINARY(32) NOT NULL",
    "ALTER TABLE idem MODIFY body BINARY(16) NOT NULL",
    "ALTER TABLE idem RENAME TO keys",
    "RENAME TABLE idem TO keys",
    "ALTER TABLE idem ADD UNIQUE (created_at)",
    "ALTER TABLE idem ADD CONSTRAINT short CHECK (slot < 512)",
  ]) {
    assert.match(said(change, 1), /version 1, which it serves, does not survive/, change);
    assert.equal(said(change, 2), "", change);
  }
});

describe("a next version, with an added argument, field and column", () => {
  const next = nextProcedures(FILES);
  const def = nextSources(new Map(SOURCES.map((name) => [name, readFileSync(path.join(root, name), "utf8")]))).get(
    "shard/procs.def",
  );
  const procs = procsOf(def);
  const said = (file, from, to) => {
    const changed = next.get(file).replace(from, to);
    assert.notEqual(changed, next.get(file));
    return problemsOf(new Map([...next, [file, changed]]), { procs }).join();
  };

  test("keeps the rules", () => assert.deepEqual(problemsOf(next, { procs }), []));
  test("but not if the old routine promises something different from the one that it calls", () => {
    assert.match(
      said("viewer/viewer_flags.sql", "server, more, kind", "server, kind"),
      /Answer is not that of viewer_flags_2/,
    );
    assert.match(
      said("viewer/viewer_flags.sql", "-- Codes   : ok moved", "-- Codes   : ok same moved"),
      /Codes is not that of viewer_flags_2/,
    );
  });
  test("nor if it does more than call it", () =>
    assert.match(said("viewer/viewer_flags.sql", "\nBEGIN\n", "\nBEGIN\n    SELECT 1 AS n;\n"), /the header promises/));
});

describe("each rule finds what it is meant to find", () => {
  for (const [file, from, to, expected] of SAMPLES) {
    test(`${file}: ${String(from).trim().slice(0, 60)}`, () => {
      const problems = problemsOf(spoilt(file, from, to));
      assert.ok(
        problems.some((problem) => expected.test(problem)),
        `expected ${expected}, found: ${problems.join(" | ") || "nothing"}`,
      );
    });
  }
});

test("the exceptions are still needed", () => {
  const names = new Set(rules.readTree(FILES).routines.map(({ base }) => base));
  for (const name of [
    ...Object.keys(rules.NO_FENCE),
    ...Object.keys(rules.NO_FENCE_READ),
    ...Object.keys(rules.NO_VERSIONS),
    ...rules.OPERATOR_ONLY,
  ]) {
    assert.ok(names.has(name), `${name} is excepted and does not exist`);
  }
});
