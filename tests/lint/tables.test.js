/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* The tables in the source agree with each other, with the samples and with the documents; files
 * keep the house rules. Every check also gets a bad sample that it must refuse. */
import assert from "node:assert/strict";
import test from "node:test";

import {
  TABLES,
  defaultOf,
  errors,
  metrics,
  options,
  outcomes,
  read,
  routes,
  section,
  withoutComments,
} from "./tables.js";
import { files, holds, isC, sources } from "./tree.js";

/* ---- Tables ---- */

/** Every option is in the sample once, at its default, and nothing else is there. */
function optionProblems(list, sample) {
  const problems = [];
  const seen = new Map();
  for (const [, name, value] of sample.matchAll(/^#?([a-z]\w*) = (.*);$/gm)) {
    if (seen.has(name)) problems.push(`${name} is twice in the sample`);
    seen.set(name, value);
  }
  for (const option of list) {
    const { name } = option;
    if (!seen.has(name)) problems.push(`${name} is not in the sample`);
    else if (seen.get(name) !== defaultOf(option))
      problems.push(`${name} is ${seen.get(name)} in the sample, not ${defaultOf(option)}`);
    seen.delete(name);
  }
  for (const name of seen.keys()) problems.push(`${name} in the sample is not an option`);
  return problems;
}

test("every option is in config/doushard.conf, at its default", () => {
  holds(
    optionProblems(options(), read("config/doushard.conf")),
    optionProblems(
      options(`
OPTION(INT,    a, "1", "0", "9", "n", CONFIG_FIXED, "x, y (z)")
OPTION(SIZE,   b, "1", "0", "9", "n", CONFIG_FIXED, "x")
OPTION(STRING, c, "",  "0", "9", "n", CONFIG_FIXED, "x")`),
      'a = 1;\n#b = 1;\n#d = "";\n#a = 1;\n',
    ),
    4,
  );
});

/** TEXT, from FILE, has this table between the marks NAME. */
function tableProblems(text, { file, name, table }) {
  const found = section(text, name);
  if (found === undefined) return [`${file} has no <!-- ${name} -->`];
  return found === table() ? [] : [`the ${name} in ${file} are old: node tests/lint/tables.js --write`];
}

test("the documents have the tables of routes and metrics", () => {
  holds(
    TABLES.flatMap((about) => tableProblems(read(about.file), about)),
    TABLES.flatMap((about) => [
      ...tableProblems(`<!-- ${about.name} -->\n| old |\n<!-- /${about.name} -->`, about),
      ...tableProblems("", about),
    ]),
    2 * TABLES.length,
  );
});

/** Outcomes, errors and SQLSTATEs refer to each other without gaps. */
function errorProblems(outcomeList, errorList, procedures) {
  const problems = [];
  const names = new Set(errorList.errors.map(({ name }) => name));
  const mapped = errorList.outcomes.map(({ outcome }) => outcome);
  const codes = errorList.errors.map(({ code }) => code);
  for (const { name, sqlstate } of outcomeList) {
    if (mapped.filter((other) => other === name).length !== 1) problems.push(`outcome ${name} has not one answer`);
    if (sqlstate !== "" && !procedures.includes(`'${sqlstate}'`)) problems.push(`no procedure raises ${sqlstate}`);
  }
  for (const { outcome, error } of errorList.outcomes) {
    if (!outcomeList.some(({ name }) => name === outcome)) problems.push(`${outcome} is no outcome`);
    if (!names.has(error)) problems.push(`${error} is no error`);
  }
  if (new Set(codes).size !== codes.length) problems.push("a status_code is used twice");
  if (errorList.errors.some(({ message }) => message === "")) problems.push("an error has no text");
  const declared = new Set(outcomeList.map(({ sqlstate }) => sqlstate));
  for (const [, state] of procedures.matchAll(/SQLSTATE\s+'(45\d{3})'/g)) {
    if (!declared.has(state)) problems.push(`SQLSTATE ${state} is not in outcome.def`);
  }
  return problems;
}

test("every outcome and SQLSTATE has an answer in errors.def, and the other way round", () => {
  const sql = files
    .filter(({ path }) => path.endsWith(".sql"))
    .map(({ text }) => text)
    .join("\n");
  const samples = [
    outcomes(`OUTCOME(A, "a", "45111", "x")\nOUTCOME(B, "b", "", "y")`),
    errors(`ERR(OK, 0, 200, "ok")\nERR(NO, 0, 200, "")\nERR_OUTCOME(A, OK)\nERR_OUTCOME(C, BAD)`),
  ];
  holds(errorProblems(outcomes(), errors(), sql), errorProblems(...samples, "SIGNAL SQLSTATE '45999'"), 7);
});

/** The route table and the API description have the same paths and methods. */
function routeProblems(list, yaml) {
  const described = new Set();
  let path = null;
  let inPaths = false;
  for (const line of yaml.split("\n")) {
    if (/^\S/.test(line)) inPaths = line.startsWith("paths:");
    if (!inPaths) continue;
    path = /^ {2}(\/[^:]*):/.exec(line)?.[1] ?? path;
    const method = /^ {4}(get|post|put|delete|patch):/.exec(line)?.[1];
    if (method) described.add(`${method.toUpperCase()} ${path.replace(/\{.*$/, "").replace(/\/?$/, "/")}`);
  }
  const served = new Set(list.map((route) => `${route.method} ${route.path}`));
  return [
    ...[...served].filter((key) => !described.has(key)).map((key) => `${key} is not in openapi.yaml`),
    ...[...described].filter((key) => !served.has(key)).map((key) => `${key} is not in the route table`),
  ];
}

test("every route is in openapi.yaml, and the other way round", () => {
  assert.ok(routes().length >= 15);
  holds(
    routeProblems(routes(), read("server/api/openapi.yaml")),
    routeProblems(
      routes(`static const struct route routes[] = {
    {.method = "GET",\n     .path = "/a/",\n     .handler = h_a},
    {.method = "GET",\n     .path = "/b/",\n     .handler = h_b},\n};`),
      "paths:\n  /a:\n    post:\n  /b/{name}:\n    get:\ncomponents:\n  /c:\n    get:\n",
    ),
    2,
  );
});

/** Metrics have names that Prometheus accepts, and every one is changed somewhere. */
function metricProblems(list, code) {
  const problems = [];
  for (const { how, type, id, name } of list) {
    const own = name.startsWith("process_") || name.startsWith("doushard_");
    if (!own || !/^[a-z][a-z0-9_]*$/.test(name)) problems.push(`${name} is no name of ours`);
    if ((type === "counter") !== name.endsWith("_total")) problems.push(`${name} is a ${type}`);
    if (["COUNT", "LEVEL", "READ"].includes(how) && !new RegExp(`\\bMETRIC_${id}\\b`).test(code)) {
      problems.push(`nothing changes ${name}`);
    }
  }
  const names = list.map(({ name }) => name);
  if (new Set(names).size !== names.length) problems.push("a metric is twice in the table");
  return problems;
}

test("every metric has a good name and is changed by some code", () => {
  const code = sources
    .filter(({ path }) => path.startsWith("server/") && path !== "server/base/metrics.c")
    .map(({ text }) => withoutComments(text))
    .join("\n");
  holds(
    metricProblems(metrics(), code),
    metricProblems(
      metrics(`METRIC(COUNT, counter, A, "doushard_a", "", "x")
METRIC(LEVEL, gauge, B, "doushard_b", "", "x")
METRIC(SHARD, gauge, C, "up", "", "x")`),
      "METRIC_A METRIC_BB",
    ),
    3,
  );
});

/* ---- Files ---- */

const BANNED = /\b(strcpy|sprintf|vsprintf|gets|strtok|atoi|atol|atoll|atof|gmtime|localtime|rand|srand|alloca)\s*\(/g;
const BANNED_IN_SERVICE = /\b(strcat|system|popen)\s*\(/g;

function bannedProblems({ path, text }) {
  const code = withoutComments(text).replace(/"(?:[^"\\\n]|\\.)*"/g, '""');
  const calls = [...code.matchAll(BANNED), ...(path.startsWith("tests/") ? [] : code.matchAll(BANNED_IN_SERVICE))];
  return calls.map(([, name]) => `${path} calls ${name}()`);
}

test("no banned function is called", () => {
  holds(
    sources.flatMap(bannedProblems),
    bannedProblems({
      path: "x.c",
      text: 'sprintf(a, "b"); /* gets(x) */ strtok_r(x); y = atoi (z); s = "system(1)"; // rand()\npopen(x);',
    }),
    3,
  );
});

/** The licence, and a sentence about the purpose of the file, at the top. */
function headProblems({ path, text }) {
  const problems = [];
  const lines = text.split("\n", 60);
  const isSentence = (line) =>
    /^\s*(\/?\*|\/\/|#|--|;|\.\\")/.test(line) &&
    !/SPDX-|shellcheck|^#!/.test(line) &&
    line
      .replace(/[^\p{L}\s]/gu, " ")
      .trim()
      .split(/\s+/).length >= 3;
  for (const tag of ["SPDX-License-Identifier: MIT", "SPDX-FileCopyrightText: Doushard contributors"]) {
    if (!lines.some((line) => line.includes(tag))) problems.push(`${path} has no ${tag}`);
  }
  if (!lines.slice(0, 6).some(isSentence)) problems.push(`${path} does not begin by saying what it is for`);
  return problems;
}

test("every file begins with its licence and its purpose", () => {
  assert.ok(files.length > 100);
  holds(
    files.flatMap(headProblems),
    [
      ...headProblems({ path: "a.c", text: "/* SPDX-License-Identifier: MIT */\n/* x */\nint a;\n" }),
      ...headProblems({
        path: "b",
        text: "#!/bin/sh\n# SPDX-License-Identifier: MIT\n# SPDX-FileCopyrightText: Doushard contributors\n# Do this well.\n",
      }),
    ],
    2,
  );
});

function sizeProblems({ path, text }) {
  const problems = [];
  if (isC(path) && text.split("\n").length > 901) problems.push(`${path} has more than 900 lines`);
  if (/[ \t]$/m.test(text) || (text !== "" && !text.endsWith("\n")))
    problems.push(`${path} has blanks at a line's end, or no last line feed`);
  if (/\b(TO[D]O|FIX[M]E|X[X]X)\b/.test(text.replace(/X{4,}/g, ""))) problems.push(`${path} has unfinished business`);
  return problems;
}

test("files are of readable size, finished, and end well", () => {
  holds(
    files.flatMap(sizeProblems),
    [
      ...sizeProblems({ path: "a.c", text: "x;\n".repeat(901) }),
      ...sizeProblems({ path: "a.c", text: "x; \n" }),
      ...sizeProblems({ path: "a.c", text: "x;" }),
      ...sizeProblems({ path: "a.c", text: `/* TO${"DO"}: this */\n` }),
    ],
    4,
  );
});

test("every header has an include guard named after it", () => {
  const guardProblems = ({ path, text }) => {
    const guard = `DOUSHARD_${path
      .replace(/^(server|shard)\//, "")
      .replace(/^tests\/(unit|lib|integration)\//, "tests/")
      .replace(/[/.]/g, "_")
      .toUpperCase()}`;
    return text.includes(`#ifndef ${guard}\n#define ${guard}\n`) ? [] : [`${path} has no guard ${guard}`];
  };
  holds(
    sources.filter(({ path }) => path.endsWith(".h")).flatMap(guardProblems),
    guardProblems({ path: "server/x.h", text: "#ifndef X_H\n#define X_H\n" }),
    1,
  );
});

/** What TEXT, tests/README.md, does not name of PATHS: directories of tests, and the suites of http/. */
function guideProblems(text, paths) {
  const rows = new Set([...text.matchAll(/^\| `([^`]+?)\/?` \|/gm)].map(([, name]) => name));
  const parts = paths.map((path) => /^tests\/(?:http\/([^/]+)\.test\.js$|([^/]+)\/)/.exec(path));
  const names = new Set(parts.filter((part) => part !== null).map(([, suite, directory]) => suite ?? directory));
  return [...names].filter((name) => !rows.has(name)).map((name) => `tests/README.md does not name ${name}`);
}

test("every directory of tests and every HTTP test is in the guide", () =>
  holds(
    guideProblems(
      read("tests/README.md"),
      files.map(({ path }) => path),
    ),
    guideProblems("| `sql/` | x |\n| `10-a` | x |\n", [
      "tests/sql/a.js",
      "tests/http/10-a.test.js",
      "tests/http/20-b.test.js",
      "tests/c/x.c",
    ]),
    2,
  ));
