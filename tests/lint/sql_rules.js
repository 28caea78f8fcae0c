/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* The rules that files under procedures/ must keep (checked by sql_lint.test.js). Every rule takes
 * the tree, a Map of path to text, and returns a list of problems. */
import { once, routineOf, statements, stripComments, stripStrings } from "./sql_files.js";

/* Public writing routines that do not concern owners, and why they need no fence. */
export const NO_FENCE = {
  slot_learn: "changes the fence itself, under its exclusive lock",
  slot_assign: "makes the fences",
  slot_settle: "raises the fence itself, under its exclusive lock",
  slot_takeover: "changes the fence itself, under its exclusive lock",
  shard_init: "names the shard, before it has slots",
  shard_pause: "marks all fences, under their exclusive locks",
  shard_resume: "as shard_pause",
  shard_drain: "is a mark of the shard, not about slots",
  purge_step: "takes the share locks of the slots of its rows in _purge_remove",
  relay_lease_take: "is about the shard's relay, not about slots",
  media_lease_take: "is about who looks through files; the shard of slot 0 only keeps it",
  shard_probe: "is about the shard, not about slots",
  shard_report: "is about the shard, not about slots",
  load_add: "is about what servers saw, wherever the slots are by now",
  load_measure: "counts what lies on this shard, and changes none of it",
  shard_tick: "is about the shard, not about slots",
  shard_learn: "marks all fences, as shard_pause",
  shard_refuse: "marks all fences, as shard_pause",
  shard_admit: "marks all fences, as shard_pause",
  shard_restored: "changes the fences themselves, under their exclusive locks",
  slot_adopt: "changes the fence itself, under its exclusive lock",
};

/* Routines whose definer is not doushard_owner, and their definers. */
const DEFINERS = { conn_kill: "doushard_killer@localhost", shard_free: "doushard_disk@localhost" };

/* Public reading routines that look at owner tables without the fence. */
export const NO_FENCE_READ = {
  slot_stats: "counts what lies on this shard, owned or not",
  load_measure: "counts what lies on this shard",
  load_owners: "says what ids mean that lie on this shard",
  user_tables: "counts what lies on this shard, owned or not",
  outbox_status: "counts what lies on this shard, owned or not",
  outbox_parked: "shows what lies on this shard, owned or not",
  job_status: "counts what lies on this shard, owned or not",
  job_parked: "shows what lies on this shard, owned or not",
  relay_status: "is about the shard's relay, not about slots",
};

/* Routines whose code is the result of a step of a move, in words of its own, and not that of an
 * operation. */
const STEP_CODES = ["slot_takeover"];

/* Routines that only shardctl calls, as the operator. */
export const OPERATOR_ONLY = [
  "user_export_page",
  "comment_export",
  "user_find",
  "move_request",
  "move_wish",
  "move_throttle",
  "promote_request",
  "demote_request",
  "outbox_again",
  "edge_recover",
  "user_lost",
  "shard_admit",
  "home_list",
  "home_recover",
  "home_clean",
  "shard_drain",
  "shard_init",
];

/* Session tables that helpers create besides op. */
const TEMPORARY = [
  "slot_news",
  "load_table",
  "load_size",
  "purge_row",
  "op",
  "op_user",
  "op_inbound",
  "op_video",
  "op_author",
  "op_place",
  "op_text",
  "op_comment",
  "op_drift",
  "op_there",
  "move_key",
  "move_prefix",
  "move_entry",
  "move_change",
  "slot_back",
  "slot_led",
  "home_back",
];

/* Helpers that write only if _op_fences has found that neither slot of an edge is moving: they need
 * not journal. */
const WRITES_AT_REST = ["_favorite_there", "_relation_there"];

/* Helpers of movers: nobody else writes rows in the slots that they write. */
const WRITES_FOR_MOVERS = ["_move_put", "_move_drop"];

/* Public routines of movers: instead of passing a fence that serves, they pass the mover's token. */
const MOVERS = ["move", "promote", "demote", "home"];
const isMover = ({ domain, isPublic }) => MOVERS.includes(domain) && isPublic;

/* Tables that a mover's answers may be read from: the rows of its claim and of its import. */
const READS_AFTER_COMMIT = ["move_claim", "move_beat", "move_import"];

/* move_lock leaves its transaction to move_give and move_unlock, so that writers wait until the flip
 * is over. */
const FLIP = ["move_lock", "move_give", "move_unlock"];

/* Routines of movers that change the mover in a fence, but not its answer. */
const KEEPS_ANSWERS = ["move_claim", "move_adopt", "move_lock"];

/* Helpers that journal everything that their callers write. */
const JOURNAL_ALL = ["_slot_log_add_undo", "_purge_log"];

/* Tables that begin with a slot but are not an owner's: a move handles them itself. */
const PLACEMENT = new Set([
  "slot_fence",
  "slot_seq",
  "slot_known",
  "slot_log",
  "slot_move",
  "owner_home",
  "slot_load",
  "owner_load",
  "slot_import",
  "slot_lost",
]);

/* Helpers that change a row of every owner of a batch: their callers journal that table. */
const CHANGES = { _op_user_change: "user", _op_inbound_change: "inbound", _op_video_change: "video" };

/* What the header of every kind of routine must have. */
const SECTIONS = ["Touches", "Errors", "Replays"];

/* The limit for one result set, as in shard/dbread.c. */
const COLUMNS_MAX = 32;

const COMMON_COLUMNS = ["n", "code", "slot", "epoch", "server"];

/* ---- Reading ---- */

/** The header comment of a file: { name, parameters, sections: {Answer, Codes, ..} }. */
const headerOf = once((text) => {
  const lines = [];
  for (const line of text.split("\n")) {
    if (!line.startsWith("--")) {
      break;
    }
    lines.push(line);
  }
  const name = /^-- (\w+):/m.exec(lines.join("\n"))?.[1] ?? "";
  const sections = {};
  let section = "";
  const parameters = [];
  for (const line of lines) {
    const start = /^-- ([A-Z][a-z]+(?: \d)?)\s*: ?(.*)$/.exec(line);
    const parameter = /^-- ((?:(?:in|out)_\w+)(?:\.\.in_\w+)?)(?:\s|$)/.exec(line);
    if (start) {
      [, section] = start;
      sections[section] = start[2];
    } else if (section !== "" && /^--\s{10}/.test(line)) {
      sections[section] += ` ${line.slice(2).trim()}`;
    } else if (parameter && section === "") {
      parameters.push(parameter[1]);
    }
  }
  return { name, parameters, sections, lines };
});

/** Names and types of the parameters of a routine. */
function parametersOf(routine) {
  if (routine.parameters === "") {
    return [];
  }
  return splitList(routine.parameters).map((part) => {
    const words = part.trim().split(/\s+/);
    const mode = routine.kind === "FUNCTION" ? "IN" : words.shift();
    return { mode, name: words[0], type: words.slice(1).join(" ") };
  });
}

/** Splits TEXT at its commas, except for those inside parentheses. */
function splitList(text) {
  const parts = [""];
  let depth = 0;
  for (const c of text) {
    depth += c === "(" ? 1 : c === ")" ? -1 : 0;
    if (c === "," && depth === 0) {
      parts.push("");
    } else {
      parts[parts.length - 1] += c;
    }
  }
  return parts;
}

/** Version of a routine and the oldest that its callers may know; 0: not given. */
function versionOf(characteristics) {
  const said = /\bCOMMENT 'v([1-9]\d*)(?: serves v([1-9]\d*))?: [^']{1,60}'/.exec(characteristics ?? "");
  return { version: Number(said?.[1] ?? 0), serves: Number(said?.[2] ?? said?.[1] ?? 0) };
}

/** Statements of a body, roughly: split at semicolons outside strings. */
const bodyStatements = once((body) =>
  body
    .replace(/'(?:[^'\\]|\\.|'')*'/g, (text) => text.replace(/;/g, ","))
    .split(";")
    .map((part) => part.trim()),
);

/** The column names in the SELECT list of STATEMENT. */
function selectColumns(statement) {
  const text = statement.replace(/^[\s\S]*?\bSELECT\b\s+(DISTINCT\s+)?/, "");
  let depth = 0;
  let end = text.length;
  for (const { index, 0: token } of text.matchAll(/\(|\)|\bFROM\b/g)) {
    depth += token === "(" ? 1 : token === ")" ? -1 : 0;
    if (token === "FROM" && depth === 0) {
      end = index;
      break;
    }
  }
  return splitList(text.slice(0, end)).map((column) => /(\w+)`?\s*$/.exec(column.trim())?.[1] ?? "?");
}

/** Tables that a body writes (without the session's own table op). */
const writtenTables = once((body) => {
  const found = new Set();
  const code = stripStrings(body);
  for (const [, table] of code.matchAll(/\b(?:INSERT\s+(?:IGNORE\s+)?INTO|REPLACE\s+INTO|DELETE\s+FROM)\s+(\w+)/g)) {
    found.add(table);
  }
  for (const [, alias, table] of code.matchAll(/\bDELETE\s+(?!FROM\b)(\w+)\s+FROM\b([\s\S]*?);/g)) {
    found.add(new RegExp(`\\b(\\w+) AS ${alias}\\b`).exec(table)?.[1] ?? alias);
  }
  for (const statement of bodyStatements(body)) {
    const update = /(?:^|\s)UPDATE\s+([\s\S]*?)\bSET\b([\s\S]*)/.exec(statement);
    if (!update || /ON DUPLICATE KEY\s+UPDATE\s*$/.test(statement.slice(0, update.index + 7))) {
      continue;
    }
    const aliases = new Map();
    for (const [, table, alias] of update[1].matchAll(/\b(\w+)\s+AS\s+(\w+)/g)) {
      aliases.set(alias, table);
    }
    for (const [, alias] of update[2].matchAll(/(?:^|,)\s*(\w+)\.\w+\s*=/g)) {
      found.add(aliases.get(alias) ?? alias);
    }
  }
  TEMPORARY.forEach((table) => found.delete(table));
  return found;
});

/** The words that a body writes into a column or variable `code`. */
const codesWritten = once((body) => {
  const found = new Set();
  const take = (text) => {
    for (const [, word] of text.matchAll(/'(\w+)'/g)) {
      found.add(word);
    }
  };
  for (const statement of bodyStatements(body)) {
    for (const [, value] of statement.matchAll(
      /(?:SET|,)\s+(?:o\.code|v_code)\s*=\s*('\w+'|IF\([^;]*?'\w+', '\w+'\))/g,
    )) {
      take(value);
    }
    for (const [, value] of statement.matchAll(/\bIF\([^\n]*?('\w+', '\w+')\) AS code\b/g)) take(value);
    for (const [, value] of statement.matchAll(/(?:THEN|ELSE)\s+IF\([^\n]*?('\w+', '\w+')\)/g)) take(value);
    for (const [, cases] of statement.matchAll(/\b(?:o\.code|v_code)\s+=\s+CASE\b((?:(?!\bEND\b)[\s\S])*)END\b/g)) {
      for (const [, value] of cases.matchAll(/(?:THEN|ELSE)\s+('\w+')/g)) {
        take(value);
      }
    }
    for (const [, cases] of statement.matchAll(
      /CASE\b((?:(?!\bEND\b)[\s\S])*)END(?=\s+(?:AS\s+code|INTO(?:\s+v_\w+,)*\s+v_code)\b)/g,
    )) {
      for (const [, value] of cases.matchAll(/(?:THEN|ELSE)\s+('\w+')/g)) {
        take(value);
      }
    }
  }
  return found;
});

/** Everything that the rules need to know about the routines of a tree. */
export function readTree(files) {
  const routines = new Map();
  for (const [path, text] of files) {
    if (!/^[a-z]+\/[^/]+\.sql$/.test(path) || path.startsWith("schema/")) {
      continue;
    }
    const routine = routineOf(text);
    routines.set(path, {
      path,
      text,
      header: headerOf(text),
      creates: (stripComments(text).match(/\bCREATE\b(?!\s+TEMPORARY)/g) ?? []).length,
      base: path.replace(/^.*\/|\.sql$/g, ""),
      domain: path.split("/")[0],
      ...routine,
      parameterList: routine ? parametersOf(routine) : [],
      body: routine?.body ?? "",
      missing: routine === null,
    });
  }
  const byName = new Map([...routines.values()].map((routine) => [routine.base, routine]));
  for (const routine of routines.values()) {
    routine.isPublic = !routine.base.startsWith("_");
    /* A routine that another one replaced: nothing but a CALL of that one, for old callers. */
    routine.wraps = routine.isPublic ? (/^\s*CALL ([a-z]\w*)\([^;]*\);\s*$/.exec(routine.body)?.[1] ?? "") : "";
    /* A routine that only chooses a path: for one operation, perhaps for many on one owner, and for
     * any batch. */
    routine.ways = routine.isPublic
      ? (
          /^\s*DECLARE v_is_done TINYINT DEFAULT 0;\s*IF LOCATE\('\},\{', in_ops\) = 0 THEN\s*CALL (_\w+_one)\(in_ops, v_is_done\);\s*(?:ELSE\s*CALL (_\w+_hot)\(in_ops, v_is_done\);\s*)?END IF;\s*IF NOT v_is_done THEN\s+CALL (_\w+_batch)\(in_ops\);\s+END IF;\s*$/.exec(
            routine.body,
          ) ?? []
        )
          .slice(1)
          .filter(Boolean)
      : [];
    routine.calls = new Set(
      [...stripStrings(routine.body).matchAll(/\b(_\w+|[a-z]+_\w+)\s*\(/g)]
        .map((match) => match[1])
        .filter((name) => byName.has(name) && name !== routine.base),
    );
  }
  /* Whole: it has a transaction of its own and returns results; its promises are in the header of
   * the routine that chooses it. */
  for (const routine of routines.values()) {
    routine.chosenBy = [...routines.values()].find(({ ways }) => ways.includes(routine.base));
    routine.isOne = routine.chosenBy?.ways.slice(0, -1).includes(routine.base) ?? false;
    routine.isWhole = routine.chosenBy !== undefined || (routine.isPublic && routine.ways.length === 0);
  }
  for (const routine of routines.values()) {
    routine.reaches = new Set();
    const walk = (name) => {
      if (!routine.reaches.has(name)) {
        routine.reaches.add(name);
        byName.get(name).calls.forEach(walk);
      }
    };
    routine.calls.forEach(walk);
    routine.writes = writtenTables(routine.body);
    routine.states = new Set([...routine.body.matchAll(/SQLSTATE\s+'(\w{5})'/g)].map((match) => match[1]));
  }
  const tables = new Map();
  for (const [path, text] of files) {
    if (path.startsWith("schema/")) {
      for (const [, name, body] of stripComments(text).matchAll(/CREATE TABLE IF NOT EXISTS (\w+) \(([\s\S]*?)\n\)/g)) {
        tables.set(name, { path, body, slotted: /PRIMARY KEY \(slot\b/.test(body) && !PLACEMENT.has(name) });
      }
    }
  }
  return { files, routines: [...routines.values()], byName, tables };
}

/* ---- Rules ---- */

/** Each file creates the routine that its name says, in the right directory. */
export function filesAndNames({ routines }) {
  return routines.flatMap((routine) => {
    const { path, base, domain, header } = routine;
    if (routine.missing) return [`${path}: no CREATE DEFINER = .. routine`];
    const problems = [];
    if (routine.creates !== 1) problems.push(`${path}: makes ${routine.creates} objects, not one`);
    if (routine.name !== base) problems.push(`${path}: makes ${routine.name}`);
    if (routine.isPublic && !base.startsWith(`${domain}_`)) problems.push(`${path}: is not of the domain ${domain}`);
    if (header.name !== base) problems.push(`${path}: the header names "${header.name}"`);
    if (!new RegExp(`^DROP ${routine.kind} IF EXISTS ${base};$`, "m").test(routine.text))
      problems.push(`${path}: no DROP before CREATE`);
    /* scripts/migrate edits these lines. */
    for (const line of ["CREATE DEFINER = \\S+ [A-Z]+ \\w+ \\(.*", "BEGIN"]) {
      if ((routine.text.match(new RegExp(`^${line}$`, "gm")) ?? []).length !== 1)
        problems.push(`${path}: not one line ${line.split(" ")[0]}`);
    }
    if (!routine.text.startsWith("-- SPDX-License-Identifier: MIT\n-- SPDX-FileCopyrightText: "))
      problems.push(`${path}: no licence lines`);
    return problems;
  });
}

/** The header has parameters, answer, codes, tables, errors and replays. */
export function headers({ routines }) {
  return routines.flatMap(({ path, header, parameterList, isPublic, kind }) => {
    const problems = [];
    const wanted = [...(isPublic && kind === "PROCEDURE" ? ["Answer"] : []), ...SECTIONS];
    for (const section of wanted) {
      if (!(header.sections[section] ?? "").trim()) problems.push(`${path}: the header has no ${section}`);
    }
    const listed = header.parameters.flatMap((name) => {
      const range = /^(\w+?)(\d)\.\.\w+?(\d)$/.exec(name);
      return range
        ? Array.from({ length: range[3] - range[2] + 1 }, (_, i) => `${range[1]}${Number(range[2]) + i}`)
        : [name];
    });
    const real = parameterList.map(({ name }) => name);
    if (listed.join() !== real.join())
      problems.push(`${path}: the header lists the parameters ${listed}, the routine has ${real}`);
    return problems;
  });
}

/** Definer, security, data access, comment with a version; only IN parameters. */
export function characteristics({ routines }) {
  return routines.flatMap((routine) => {
    const { path, base, definer, kind, parameterList } = routine;
    const problems = [];
    const expected = DEFINERS[base] ?? "doushard_owner@localhost";
    if (definer !== expected) problems.push(`${path}: DEFINER is ${definer}, not ${expected}`);
    const clauses = routine.characteristics ?? "";
    if (!/\bSQL SECURITY DEFINER\b/.test(clauses)) problems.push(`${path}: no SQL SECURITY DEFINER`);
    if (!/\b(NO SQL|READS SQL DATA|MODIFIES SQL DATA)\b/.test(clauses)) problems.push(`${path}: no data access clause`);
    const { version, serves } = versionOf(clauses);
    if (version === 0) problems.push(`${path}: no COMMENT 'vN: ..' or 'vN serves vM: ..' of at most 60 characters`);
    else if (serves > version || clauses.includes(` serves v${version}:`))
      problems.push(`${path}: version ${version} serves older ones, or says nothing of it`);
    for (const { mode, name } of parameterList) {
      const isIn = mode === "IN" && name.startsWith("in_");
      const isOut = mode === "OUT" && name.startsWith("out_") && base.startsWith("_");
      if (!isIn && !isOut)
        problems.push(`${path}: parameter ${mode} ${name} is not IN in_.., nor OUT out_.. of a helper`);
    }
    if (kind === "FUNCTION" && /MODIFIES SQL DATA/.test(clauses)) problems.push(`${path}: a function that writes`);
    return problems;
  });
}

const FORBIDDEN = [
  [/\bPREPARE\b|\bDEALLOCATE\b/, "PREPARE"],
  [/\bEXECUTE\b/, "EXECUTE"],
  [/CONTINUE HANDLER FOR (?:[^;]*,\s*)?SQL(?:EXCEPTION|WARNING)/, "a CONTINUE handler for SQLEXCEPTION or SQLWARNING"],
  [/CONTINUE HANDLER FOR (?:[^;]*,\s*)?SQLSTATE\s/, "a CONTINUE handler for an SQLSTATE"],
  [/\bINOUT\b/, "an INOUT parameter"],
  [/\bOR\s+REPLACE\b/, "OR REPLACE"],
  [/\bGET\s+STACKED\b/, "GET STACKED DIAGNOSTICS"],
  [/SELECT\s+\*|\b\w\.\*/, "SELECT *"],
  [/(?<![\w@])@(?!@)\w/, "a user variable"],
  [/\bRETURNING\b/, "RETURNING"],
  [/\bFOR\s+SHARE\b/, "FOR SHARE"],
  [/\bINSERT\s+IGNORE\b|\bREPLACE\s+INTO\b/, "INSERT IGNORE or REPLACE"],
  [/\bNOW\s*\(|\bCURRENT_TIMESTAMP\b|\bSYSDATE\b|\bUNIX_TIMESTAMP\b/, "a clock that is not _now_ms()"],
  [/\bPROCESSLIST\b/i, "the list of processes, which is not safe to read while sessions are killed"],
];

/** Words that no routine may contain. */
export function forbidden({ routines }) {
  return routines.flatMap(({ path, text }) => {
    const code = stripStrings(text);
    const isPut = WRITES_FOR_MOVERS.includes(path.replace(/^.*\/|\.sql$/g, ""));
    return FORBIDDEN.filter(([pattern, what]) => pattern.test(code) && !(isPut && what.endsWith("REPLACE"))).map(
      ([, what]) => `${path}: ${what}`,
    );
  });
}

/** One transaction, its handler, its isolation level; helpers do not touch transactions. */
export function transactions({ routines, byName }) {
  return routines.flatMap(({ path, base, isWhole, body, writes, reaches, wraps }) => {
    const problems = [];
    if (wraps !== "" || FLIP.includes(base)) return problems;
    const code = stripStrings(body);
    const count = (pattern) => (code.match(pattern) ?? []).length;
    if (!isWhole) {
      if (count(/\b(START TRANSACTION|COMMIT|ROLLBACK)\b/g) > 0)
        problems.push(`${path}: a helper begins or ends a transaction`);
      return problems;
    }
    const writing = writes.size > 0 || [...reaches].some((name) => byName.get(name).writes.size > 0);
    const started = count(/\bSTART TRANSACTION\b/g);
    if (writing && started !== 1) problems.push(`${path}: writes without START TRANSACTION`);
    if (started > 0) {
      if (
        !/DECLARE EXIT HANDLER FOR SQLEXCEPTION\s+BEGIN\s+ROLLBACK;\s+(?:DO RELEASE_LOCK\([^;]*\);\s+|CALL _op_size\(in_ops\);\s+)?RESIGNAL;\s+END;/.test(
          code,
        )
      )
        problems.push(`${path}: no EXIT HANDLER FOR SQLEXCEPTION with ROLLBACK and RESIGNAL`);
      if (count(/\bCOMMIT\b/g) !== 1) problems.push(`${path}: ${count(/\bCOMMIT\b/g)} COMMITs`);
      if (code.lastIndexOf("COMMIT") < code.lastIndexOf("START TRANSACTION"))
        problems.push(`${path}: COMMIT before START TRANSACTION`);
      const begin = writing
        ? /SET TRANSACTION ISOLATION LEVEL READ COMMITTED;\s+START TRANSACTION;/
        : /SET TRANSACTION ISOLATION LEVEL REPEATABLE READ;\s+START TRANSACTION WITH CONSISTENT SNAPSHOT;/;
      if (!begin.test(code)) problems.push(`${path}: START TRANSACTION without its SET TRANSACTION before it`);
      const after = code.slice(code.lastIndexOf("COMMIT"));
      if (/\b(INSERT INTO|DELETE|FOR UPDATE)\b|\bUPDATE \w+ AS/.test(after))
        problems.push(`${path}: writes after COMMIT`);
    }
    if (/^\s*ROLLBACK/m.test(code.replace(/EXIT HANDLER FOR SQLEXCEPTION\s+BEGIN\s+ROLLBACK/, "")))
      problems.push(`${path}: a ROLLBACK outside of the handler (${base})`);
    return problems;
  });
}

/** A body journals a table: by a helper with its name, by one that journals everything, or itself. */
function journaled(body, table) {
  const named = [...body.matchAll(/CALL _slot_log_add(?:_ops)?\((?:\s*\w+,\s*\w+,)?\s*'(\w+)'/g)].map(
    (match) => match[1],
  );
  const direct = bodyStatements(body).filter((statement) => /\bINSERT INTO slot_log\b/.test(statement));
  return (
    named.includes(table) ||
    JOURNAL_ALL.some((helper) => body.includes(`CALL ${helper}(`)) ||
    direct.some((statement) => statement.includes(`'${table}'`))
  );
}

/** A routine may leave all writing to its helpers. */
const isWriter = ({ body, writes }) => writes.size > 0 || /CALL _op_fences?\(/.test(body);

/* The conditions under which a path without a closer look may go on: the slot is here, does not
 * move, and is at the caller's epoch, so that nothing must be journaled; for an edge perhaps the
 * slots of both halves. */
const PLAIN =
  "f\\.answer = 'ok'\\s+AND f\\.has_home = 0\\s+AND f\\.state <> 'migrating'\\s+AND f\\.journal = 0\\s+LOCK IN SHARE MODE;\\s+IF out_done THEN";
const FROM_FENCE = "FROM slot_fence AS f FORCE INDEX \\(PRIMARY\\)\\s+WHERE";
const AT_REST = [
  `START TRANSACTION;\\s+SELECT 1,\\s+f\\.epoch << 33\\s+INTO out_done,\\s+v_floor\\s+${FROM_FENCE} f\\.slot = v_slot\\s+AND f\\.epoch = v_epoch\\s+AND ${PLAIN}`,
  `START TRANSACTION;(?:\\s+--[^\\n]*)*\\s+SELECT COALESCE\\(MAX\\(f\\.slot = v_slot AND f\\.epoch = v_epoch\\), 0\\),\\s+MAX\\(f\\.slot = v_target_slot AND f\\.epoch = v_target_epoch\\),\\s+v_epoch << 33,\\s+v_target_epoch << 33\\s+INTO out_done,\\s+v_there,\\s+v_floor,\\s+v_there_floor\\s+${FROM_FENCE} f\\.slot IN \\(v_slot, v_target_slot\\)\\s+AND ${PLAIN}`,
  `START TRANSACTION;\\s+SELECT MIN\\(COALESCE\\(f\\.answer = 'ok'\\s+AND f\\.epoch = w\\.epoch\\s+AND f\\.has_home = 0\\s+AND f\\.state <> 'migrating'\\s+AND f\\.journal = 0, 0\\)\\)\\s+INTO out_done\\s+FROM \\([^;]*\\) AS w\\s+LEFT JOIN slot_fence AS f FORCE INDEX \\(PRIMARY\\)\\s+ON f\\.slot = w\\.slot\\s+LOCK IN SHARE MODE;\\s+IF out_done THEN`,
].map((text) => new RegExp(text));

/** Writes pass the fence, locks are taken in order, every row of a slot is journaled. */
export function fences({ routines, tables }) {
  return routines.flatMap((routine) => {
    const { path, base, isWhole, isOne, body, writes } = routine;
    const problems = [];
    const slotted = [...writes].filter((table) => tables.get(table)?.slotted);
    const unknown = [...writes].filter((table) => !tables.has(table));
    if (unknown.length > 0) problems.push(`${path}: writes tables that no schema file makes: ${unknown}`);
    if (isOne)
      return AT_REST.some((pattern) => pattern.test(body))
        ? problems
        : [...problems, `${path}: not just behind a fence at rest`];
    for (const [helper, table] of Object.entries(CHANGES)) {
      if (body.includes(`CALL ${helper}(`)) slotted.push(table);
    }
    for (const table of base in CHANGES || WRITES_AT_REST.includes(base) || WRITES_FOR_MOVERS.includes(base)
      ? []
      : slotted) {
      if (!journaled(body, table)) problems.push(`${path}: writes ${table} and does not journal it`);
    }
    if (!isWhole || !isWriter(routine) || base in NO_FENCE || isMover(routine)) {
      return problems;
    }
    const at = (text) => body.indexOf(text);
    const opened = Math.max(
      at("CALL _op_open("),
      at("CALL _op_opened("),
      Math.min(at("CALL _op_known("), at("CALL _op_exact(")),
    );
    if (opened < 0 || opened > at("START TRANSACTION"))
      problems.push(`${path}: neither _op_open nor _op_opened is called before the transaction`);
    if (!/START TRANSACTION;\s+CALL _op_fences?\(/.test(body))
      problems.push(`${path}: _op_fence is not first in the transaction`);
    for (const helper of WRITES_AT_REST) {
      if (body.includes(`CALL ${helper}(`) && !body.includes("CALL _op_fences("))
        problems.push(`${path}: ${helper} without _op_fences`);
    }
    const order = [
      at("CALL _op_fences(") >= 0 ? "CALL _op_fences(" : "CALL _op_fence(",
      "CALL _slot_seq_lock(",
      "CALL _op_user_lock(",
      "CALL _favorite_there_lock(",
      "CALL _relation_there_lock(",
      "CALL _op_video_lock(",
      "CALL _op_inbound_lock(",
      "CALL _op_author_lock(",
      "CALL _op_outbox_lock(",
    ].filter((text) => at(text) >= 0);
    for (let i = 1; i < order.length; i++) {
      if (at(order[i - 1]) > at(order[i])) problems.push(`${path}: ${order[i]} comes before ${order[i - 1]}`);
    }
    if (at("CALL _op_mint(") >= 0 && at("CALL _slot_seq_lock(") < 0)
      problems.push(`${path}: mints without the lock of the mint`);
    if (writes.has("user") && at("CALL _op_user_lock(") < 0)
      problems.push(`${path}: writes user without _op_user_lock`);
    return problems;
  });
}

/** A routine that changes a fence gives the fences a new generation. */
export function generations({ routines }) {
  return routines
    .filter(
      ({ base, writes, reaches }) =>
        writes.has("slot_fence") && !reaches.has("_slot_changed") && !KEEPS_ANSWERS.includes(base),
    )
    .map(({ path }) => `${path}: writes slot_fence without _slot_changed`);
}

/** A reader is one statement joined to the fence, or one snapshot. */
export function readers({ routines, tables }) {
  return routines.flatMap((routine) => {
    const { path, base, isPublic, body } = routine;
    if (!isPublic || isWriter(routine) || base in NO_FENCE_READ) return [];
    const touching = bodyStatements(body).filter((statement) =>
      [...statement.matchAll(/\b(?:FROM|JOIN)\s+(\w+)\s+AS\b/g)].some(([, table]) => tables.get(table)?.slotted),
    );
    const problems = [];
    if (touching.length > 1 && !body.includes("START TRANSACTION WITH CONSISTENT SNAPSHOT"))
      problems.push(`${path}: reads owners in ${touching.length} statements without a snapshot`);
    for (const statement of touching) {
      if (!/\bslot_fence AS f\b/.test(statement))
        problems.push(`${path}: reads an owner without the fence in the same statement`);
    }
    return problems;
  });
}

/** A statement that sends a result set, or a helper that does. */
const isAnswer = (statement) => {
  const plain = statement.replace(/^(?:(?:[A-Z_a-z]+: )?LOOP|ELSE|THEN|IF [\s\S]*?THEN)\s+/, "");
  return (
    /^CALL (?:_op_\w+_answer|_op_refusals)\(/.test(plain) ||
    (/^SELECT\b/.test(plain) && !/\n\s+INTO\b/.test(plain) && !/^SELECT[^(]*\bINTO\b/.test(plain))
  );
};

/* Routines of movers that are about slot_move alone, or change a fence that has no mover's token
 * yet. */
const NO_TOKEN = [
  "move_request",
  "move_wish",
  "move_throttle",
  "move_claim",
  "move_import",
  "move_sweep",
  "move_status",
  "move_look",
  "move_load",
  "move_stuck",
  "move_count",
  "move_rest",
  "move_unlock",
  "promote_number",
  "promote_parts",
  "promote_count",
  "promote_auto",
  "promote_request",
  "demote_request",
  "home_list",
  "home_recover",
  "home_clean",
];

/** What a mover does to a slot is done after checking that the fence has its token, in the same
 * transaction; and only movers write or remove rows without journaling. */
export function movers({ routines }) {
  return routines.flatMap((routine) => {
    const { path, base, domain, body, calls } = routine;
    const problems = [];
    if (!MOVERS.includes(domain) && WRITES_FOR_MOVERS.some((helper) => calls.has(helper)))
      problems.push(`${path}: writes as a mover does`);
    if (
      isMover(routine) &&
      !NO_TOKEN.includes(base) &&
      !/UNHEX\(in_token\)[\s\S]{0,400}?FROM slot_(?:fence|move) AS|FROM slot_(?:fence|move) AS[\s\S]{0,400}?UNHEX\(in_token\)|CALL _(?:move|promote)_check\(/.test(
        body,
      )
    ) {
      problems.push(`${path}: does not compare the token of the mover`);
    }
    return problems;
  });
}

/** A routine that writes returns results only after COMMIT, and only from the session's own tables,
 * including any helper that it calls for that: an error after the first row, or a wait for a table
 * that is being altered, would deny what was done. */
export function answersAfterCommit({ routines, byName, tables }) {
  const read = (code) =>
    [...stripStrings(code).matchAll(/\b(?:FROM|JOIN)\s+\(?\s*(?:doushard\.)?(\w+)/g)]
      .map(([, table]) => table)
      .filter((table) => tables.has(table));
  return routines.flatMap((routine) => {
    const { path, isWhole, body } = routine;
    if (!isWhole || !isWriter(routine)) return [];
    const list = bodyStatements(body);
    const commit = list.findIndex((statement) => /(^|\s)COMMIT$/.test(statement));
    const problems = [];
    if (commit < 0) return problems;
    if (list.slice(0, commit).some(isAnswer)) problems.push(`${path}: answers before COMMIT`);
    const after = list.slice(commit + 1).join(";\n");
    for (const table of READS_AFTER_COMMIT.includes(routine.base) ? [] : read(after))
      problems.push(`${path}: reads ${table} after COMMIT`);
    const called = [...routine.calls].filter((name) => new RegExp(`\\b${name}\\s*\\(`).test(stripStrings(after)));
    for (const name of new Set(called.flatMap((name) => [name, ...byName.get(name).reaches]))) {
      for (const table of read(byName.get(name).body))
        problems.push(`${path}: reads ${table} after COMMIT, in ${name}`);
    }
    return problems;
  });
}

/* The helper that returns the owners in a table. */
const ANSWERS = { user: "_op_user_answer", inbound: "_op_inbound_answer", video: "_op_video_answer" };

/* Routines that change nothing of an owner that a card, list or mailbox shows, or that no client
 * requests. */
const NO_OWNERS = {
  user_erase: "of an operator; nobody shows an erased user",
  user_lost: "of an operator; nobody shows an erased user",
  erase_step: "of a job; nobody shows an erased user",
  user_repair: "of an operator; caches ask for versions after 5 s",
  user_password: "changes a secret",
  user_rehash: "changes a secret",
};

/* Columns that show something of an owner, and the columns of which one must give its version. */
const SHOWN = [
  [["avatar", "background_image", "signature", "follow_count", "work_count", "favorite_count"], ["ver"]],
  [["follower_count", "total_favorited"], ["in_ver"]],
  [["title", "media", "video_favorite_count", "comment_count"], ["video_ver"]],
  [["comment_id"], ["comment_ver"]],
  [["cursor"], ["edge_ver", "follower_ver"]],
  [["message_id", "last_text"], ["mail_ver"]],
  [["message_id", "last_text"], ["in_mail_ver"]],
];

/* Readers of such columns that no cache uses. */
export const NO_VERSIONS = {
  audit_owners: "of the audit, which compares what it reads with the rows",
  user_export: "of an operator, for a file",
  chat_tail: "of the job that brings two mailboxes together, which compares every message",
  outbox_list: "of the relay: what waits, not what an owner has",
};

/** Routines that change owners return them with their versions, and routines that show them return
 * the version; a version only grows, also beyond the epoch of its slot. */
export function versions({ routines }) {
  return routines.flatMap((routine) => {
    const { path, base, isPublic, isWhole, isOne, body, writes } = routine;
    const problems = [];
    const changes = new Set([...writes].filter((table) => table in ANSWERS));
    for (const [helper, table] of Object.entries(CHANGES)) {
      if (body.includes(`CALL ${helper}(`)) changes.add(table);
    }
    for (const table of isWhole && !isOne && !(base in NO_OWNERS) ? changes : []) {
      if (!body.includes(`CALL ${ANSWERS[table]}(`))
        problems.push(`${path}: changes ${table} and does not answer with ${ANSWERS[table]}`);
    }
    for (const statement of isPublic && !isWriter(routine) && !(base in NO_VERSIONS)
      ? bodyStatements(body).filter(isAnswer)
      : []) {
      const columns = selectColumns(statement);
      for (const [shown, vers] of SHOWN) {
        const column = columns.find((name) => shown.includes(name));
        if (column && !vers.some((ver) => columns.includes(ver)))
          problems.push(`${path}: shows ${column} without ${vers.join(" or ")}`);
      }
    }
    for (const statement of bodyStatements(body)) {
      for (const [, value] of statement.matchAll(
        /\b[uivm]\.(?:ver|edge_ver|mail_ver|follower_ver|comment_ver)\s+=\s+([^,]*(?:\([^;]*?\)[^,]*)?)/g,
      )) {
        if (/^[uivm]\.\w+ \+/.test(value)) problems.push(`${path}: sets a version to ${value.trim()}`);
      }
    }
    for (const statement of isPublic &&
    !isWriter(routine) &&
    !/^(?:audit|user_(?:audit|export|tables|repair))/.test(base)
      ? bodyStatements(body).filter(isAnswer)
      : []) {
      for (const [, column] of statement.matchAll(/^\s+([uiv]\.\w*ver)(?: AS \w+)?,?$/gm))
        problems.push(`${path}: answers ${column} without the epoch`);
    }
    return problems;
  });
}

/** The answer is what the header says, and begins with the common columns. */
export function answers({ routines, byName }) {
  return routines.flatMap(({ path, base, isPublic, isWhole, isOne, chosenBy, header: own, body, wraps }) => {
    if (!isPublic && !isWhole) return [];
    const header = chosenBy?.header ?? own;
    const problems = [];
    if (wraps !== "") {
      const real = byName.get(wraps)?.header.sections ?? {};
      return [...new Set([...Object.keys(header.sections), ...Object.keys(real)])]
        .filter((section) => /^(Answer|Codes|Errors)/.test(section) && header.sections[section] !== real[section])
        .map((section) => `${path}: ${section} is not that of ${wraps}, which it is`);
    }
    const promised = Object.keys(header.sections)
      .filter((key) => key.startsWith("Answer"))
      .map((key) => {
        const columns = header.sections[key]
          .replace(/\([^)]*\)/g, "")
          .split(",")
          .map((column) => column.trim());
        const helper = isOne ? byName.get(columns[0].replace(/^as /, "")) : undefined;
        return helper ? selectColumns(helper.body) : columns;
      });
    const answering = bodyStatements(body).flatMap((statement) => {
      const plain = statement.replace(/^(?:(?:[A-Z_a-z]+: )?LOOP|ELSE|THEN|IF [\s\S]*?THEN)\s+/, "");
      const helper = /^CALL (_op_\w+_answer|_op_refusals)\(/.exec(plain);
      if (helper) return [[`as ${helper[1]}`]];
      return isAnswer(statement) ? [selectColumns(statement)] : [];
    });
    if (isWhole && JSON.stringify(promised) !== JSON.stringify(answering)) {
      problems.push(
        `${path}: the header promises ${JSON.stringify(promised)}, the body answers ${JSON.stringify(answering)}`,
      );
    }
    if (promised.some((columns) => columns.length > COLUMNS_MAX))
      problems.push(`${path}: more columns than an older server reads`);
    if (promised.some((columns) => new Set(columns).size !== columns.length))
      problems.push(`${path}: two columns of one name`);
    if ("Codes" in header.sections !== ((promised[0] ?? []).includes("code") && !STEP_CODES.includes(base)))
      problems.push(`${path}: Codes and the column code go together`);
    if ("Codes" in header.sections && (promised[0] ?? []).slice(0, 5).join() !== COMMON_COLUMNS.join())
      problems.push(`${path}: the answer does not begin with ${COMMON_COLUMNS}`);
    return problems;
  });
}

/** SQLSTATEs and code words: those raised equal those in the header and in outcome.def. */
export function outcomes({ routines, byName }, outcomeDef) {
  const words = new Set(outcomeDef.map(({ word }) => word).filter((word) => word !== ""));
  const states = new Set(outcomeDef.map(({ sqlstate }) => sqlstate).filter((state) => state !== ""));
  const problems = [];
  const allStates = new Set();
  for (const routine of routines) {
    const { path, header, isPublic } = routine;
    const helpers = [...routine.reaches].map((name) => byName.get(name));
    const raised = new Set([...routine.states, ...helpers.flatMap((helper) => [...helper.states])]);
    const listed = new Set((header.sections.Errors ?? "").match(/\b45\d{3}\b/g) ?? []);
    for (const state of raised) {
      allStates.add(state);
      if (!states.has(state)) problems.push(`${path}: raises ${state}, which outcome.def does not know`);
      if (!listed.has(state)) problems.push(`${path}: raises ${state}, which its header does not list`);
    }
    for (const state of listed) {
      if (!raised.has(state)) problems.push(`${path}: its header lists ${state}, which it does not raise`);
    }
    const written = new Set(
      [routine.base, ...routine.ways].flatMap((name) => [...codesWritten(byName.get(name).body)]),
    );
    for (const word of written) {
      if (!words.has(word)) problems.push(`${path}: writes the code ${word}, which outcome.def does not know`);
    }
    if (isPublic) {
      const codes = new Set(
        (header.sections.Codes ?? "")
          .replace(/\([^)]*\)/g, "")
          .split(/\s+/)
          .filter(Boolean),
      );
      const possible = new Set([
        "ok",
        "moved",
        "notready",
        ...written,
        ...helpers.flatMap((helper) => [...codesWritten(helper.body)]),
      ]);
      for (const word of codes) {
        if (!words.has(word))
          problems.push(`${path}: its header lists the code ${word}, which outcome.def does not know`);
        if (!possible.has(word)) problems.push(`${path}: its header lists the code ${word}, which it does not write`);
      }
      for (const word of written) {
        if (!codes.has(word)) problems.push(`${path}: writes the code ${word}, which its header does not list`);
      }
    }
  }
  for (const state of states) {
    if (!allStates.has(state)) problems.push(`no routine raises ${state}`);
  }
  return problems;
}

/** install.sql loads every routine once, callees before callers. */
export function manifest({ files, routines, byName }) {
  const listed = [...files.get("install.sql").matchAll(/^SOURCE (\S+)$/gm)].map((match) => match[1]);
  const problems = [];
  for (const { path } of routines) {
    const times = listed.filter((name) => name === path).length;
    if (times !== 1) problems.push(`install.sql loads ${path} ${times} times`);
  }
  for (const name of listed) {
    if (!files.has(name)) problems.push(`install.sql loads ${name}, which does not exist`);
  }
  for (const { path, calls } of routines) {
    for (const callee of calls) {
      if (listed.indexOf(byName.get(callee).path) > listed.indexOf(path))
        problems.push(`install.sql loads ${path} before ${callee}`);
    }
  }
  return problems;
}

/* Partitions of own slots are created by the mover itself (shard/partition.c), for the tables that
 * have them. */
const ALTER_GRANT = /^GRANT ALTER, DROP ON doushard\.(\w+)\s+TO 'doushard_mover'@'%'$/;

/** grants.sql: the service may call what the program calls; the operator everything public; the
 * monitor what only reads; nobody may call helpers. */
export function grants({ files, routines, byName }, procs) {
  const problems = [];
  const given = { app: new Set(), admin: new Set(), monitor: new Set(), mover: new Set(), killer: new Set() };
  const parted = new Set(
    files
      .get("schema/0001_tables.sql")
      .split("CREATE TABLE IF NOT EXISTS ")
      .filter((text) => text.includes("PARTITION BY LIST"))
      .map((text) => text.split(" ")[0]),
  );
  const altered = new Set();
  for (const statement of statements(files.get("grants.sql"))) {
    const alter = ALTER_GRANT.exec(stripComments(statement).trim());
    if (alter && parted.has(alter[1])) {
      altered.add(alter[1]);
      continue;
    }
    const grant = /^GRANT EXECUTE ON PROCEDURE doushard\.(\w+)\s+TO 'doushard_(\w+)'@'(?:%|localhost)'$/.exec(
      stripComments(statement).trim(),
    );
    if (!grant || !(grant[2] in given)) {
      problems.push(`grants.sql: not of the one form: ${stripComments(statement).trim()}`);
      continue;
    }
    const [, name, to] = grant;
    if (given[to].has(name)) problems.push(`grants.sql: ${name} to ${to} twice`);
    given[to].add(name);
    const routine = byName.get(name);
    if (!routine) problems.push(`grants.sql: ${name} does not exist`);
    else if (!routine.isPublic) problems.push(`grants.sql: ${name} is a helper`);
    else if (to === "monitor" && !/READS SQL DATA/.test(routine.characteristics))
      problems.push(`grants.sql: ${name} writes, the monitor may not`);
    if (to === "killer" && name !== "conn_kill") problems.push(`grants.sql: ${name} to the killer`);
  }
  for (const table of parted) {
    if (!altered.has(table)) problems.push(`grants.sql: the mover may not make partitions of ${table}`);
  }
  const called = new Set(procs.map(({ routine }) => routine));
  for (const { base, isPublic } of routines) {
    if (isPublic && !given.admin.has(base) && !given.mover.has(base))
      problems.push(`grants.sql: ${base} is not granted to the operator`);
  }
  for (const name of called) {
    if (!given.app.has(name) && !given.monitor.has(name) && !given.mover.has(name) && !OPERATOR_ONLY.includes(name))
      problems.push(`grants.sql: ${name} is in procs.def and not granted to the service`);
  }
  for (const name of OPERATOR_ONLY) {
    if (given.app.has(name) || given.monitor.has(name)) problems.push(`grants.sql: ${name} is for the operator alone`);
  }
  for (const name of given.app) {
    if (!called.has(name) && !byName.get(name)?.wraps)
      problems.push(`grants.sql: ${name} is granted to the service and not in procs.def`);
  }
  return problems;
}

/** procs.def and the routines agree on arguments, kind, effect and version: this program was written
 * for these routines, so that it starts with shards that have them. */
export function callers({ byName }, procs) {
  return procs.flatMap(({ routine: name, kind, count, effect, version }) => {
    const routine = byName.get(name);
    if (!routine) return [`procs.def: ${name} does not exist`];
    const problems = [];
    const names = routine.parameterList.map((parameter) => parameter.name);
    if (names.length !== Number(count)) problems.push(`procs.def: ${name} has ${names.length} parameters`);
    const shape =
      names.join() === "in_ops" ? "BATCH" : names[0] === "in_slot" && names[1] === "in_epoch" ? "OWNER" : "SHARD";
    if (shape !== kind) problems.push(`procs.def: ${name} is ${shape}`);
    if (/MODIFIES SQL DATA/.test(routine.characteristics) && effect !== "WRITES")
      problems.push(`procs.def: ${name} writes`);
    const real = versionOf(routine.characteristics);
    if (real.version !== Number(version)) problems.push(`procs.def: ${name} has version ${real.version}`);
    return problems;
  });
}

/** Whether routines that know only the tables before would fail on those that STATEMENT makes. */
function breaksOld(statement) {
  const code = stripStrings(statement);
  if (/^(DROP|RENAME) TABLE\b/.test(code)) return true;
  return (
    /^ALTER TABLE\b/.test(code) &&
    splitList(code).some(
      (clause) =>
        /\b(DROP (?!INDEX|KEY|TEMPORARY)|RENAME|MODIFY|CHANGE)\b|\bADD (CONSTRAINT|CHECK|UNIQUE|PRIMARY|FOREIGN)\b/.test(
          clause,
        ) ||
        (/\bADD (COLUMN )?\w+/.test(clause) && /\bNOT NULL\b/.test(clause) && !/\bDEFAULT\b/.test(clause)),
    )
  );
}

/** Whether STATEMENT may copy a table or keep writes waiting while it reads one: what the server cannot do otherwise it
 * refuses, if the statement says how it wants it done. */
const mayBlock = (statement) =>
  /^ALTER TABLE\b/.test(statement) &&
  !/,\s*ALGORITHM = (INSTANT|INPLACE,\s*LOCK = NONE)$/.test(stripStrings(statement).trim());

/** Table files: numbered without gaps, each requires the one before and records itself last; tables change while they
 * are written to; columns have comments; owner tables are clustered and partitioned by slot. */
export function schema({ files, tables }) {
  const problems = [];
  const paths = [...files.keys()].filter((path) => path.startsWith("schema/")).sort();
  paths.forEach((path, i) => {
    const [, digits, slug] = /^schema\/(\d{4})_(\w+)\.sql$/.exec(path) ?? [];
    const number = Number(digits);
    if (number !== i + 1) problems.push(`${path}: is not number ${i + 1}`);
    const list = statements(files.get(path)).map((statement) => stripComments(statement).trim());
    const serves = Number(
      new RegExp(`^INSERT INTO schema_version[\\s\\S]*SELECT ${number},\\s+'${slug}',\\s+(\\d+),`).exec(
        list.at(-1),
      )?.[1] ?? 0,
    );
    if (serves < 1 || serves > number)
      problems.push(`${path}: does not record itself last, with the oldest version that it serves`);
    if (
      number > 1 &&
      !list
        .slice(0, 5)
        .some(
          (statement) => /^INSERT INTO predecessor/.test(statement) && statement.endsWith(`sv.version = ${number - 1}`),
        )
    )
      problems.push(`${path}: does not ask for the version before it`);
    for (const statement of list) {
      if (/^CREATE TABLE (?!IF NOT EXISTS)/.test(statement))
        problems.push(`${path}: CREATE TABLE without IF NOT EXISTS`);
      if (/\b(PROCEDURE|FUNCTION|TRIGGER|EVENT|VIEW)\b/.test(stripStrings(statement)))
        problems.push(`${path}: makes more than tables`);
      if (serves < number && breaksOld(statement))
        problems.push(`${path}: version ${serves}, which it serves, does not survive ${statement.slice(0, 60)}`);
      if (serves < number && mayBlock(statement))
        problems.push(`${path}: neither ALGORITHM = INSTANT nor INPLACE, LOCK = NONE: ${statement.slice(0, 60)}`);
    }
  });
  for (const [name, { path, body, slotted }] of tables) {
    for (const [, column, rest] of body.matchAll(
      /^ {4}([a-z]\w*) +((?:[A-Z]|ENUM)[\s\S]*?)(?=,\n {4}\w|(?![\s\S]))/gm,
    )) {
      if (!/COMMENT '[^']+'/.test(rest)) problems.push(`${path}: ${name}.${column} has no comment`);
    }
    if (slotted && !/CHECK \(slot < 1024\)/.test(body)) {
      const text = files.get(path);
      const create = text.slice(text.indexOf(`CREATE TABLE IF NOT EXISTS ${name} (`));
      if (
        !/^[^;]*?PARTITION BY LIST \(slot DIV 1024 \* slot\) \(\s*PARTITION shared VALUES IN \(0\)/.test(
          create.replace(/'[^']*'/g, "''"),
        )
      )
        problems.push(`${path}: ${name} is not partitioned by slot`);
    }
  }
  return problems;
}

/** No tabs, no trailing spaces, at most 100 columns (except for lists of numbers and settings). */
export function layout({ files }) {
  const problems = [];
  for (const [path, text] of files) {
    text.split("\n").forEach((line, i) => {
      if (/\t|\s$/.test(line)) problems.push(`${path}:${i + 1}: tab or trailing blank`);
      if (line.length > 100 && !/^SET SESSION sql_mode/.test(line))
        problems.push(`${path}:${i + 1}: ${line.length} columns`);
    });
    if (!text.endsWith("\n") || text.endsWith("\n\n")) problems.push(`${path}: does not end with one line break`);
  }
  return problems;
}
