/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Reads the tables of the source (*.def, routes.c) and makes the tables of the documents from them.
 *
 * usage: node tests/lint/tables.js          print the tables
 *        node tests/lint/tables.js --write  put them there, between their marks */
import { readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

export const ROOT = join(dirname(fileURLToPath(import.meta.url)), "../..");

export function read(path) {
  return readFileSync(join(ROOT, path), "utf8");
}

/** C source without comments; line breaks and texts in quotes stay. */
export function withoutComments(text) {
  return text.replace(/"(?:[^"\\\n]|\\.)*"|\/\*[^]*?\*\/|\/\/.*/g, (token) =>
    token[0] === '"' ? token : token.replace(/[^\n]/g, " "),
  );
}

/** The arguments of every call of MACRO in the text of a .def file. */
export function rows(text, macro) {
  const found = [];
  const source = withoutComments(text);
  const start = new RegExp(`^\\s*${macro}\\(`, "gm");
  while (start.exec(source) !== null) {
    const args = [""];
    let depth = 1;
    for (let i = start.lastIndex; depth > 0; i++) {
      if (i >= source.length) throw new Error(`${macro}( has no end`);
      const string = /^"(?:[^"\\]|\\.)*"/.exec(source.slice(i, i + 2000));
      if (string !== null) {
        args[args.length - 1] += string[0];
        i += string[0].length - 1;
        continue;
      }
      const c = source[i];
      depth += c === "(" ? 1 : c === ")" ? -1 : 0;
      if (c === "," && depth === 1) args.push("");
      else if (depth > 0) args[args.length - 1] += c;
    }
    found.push(args.map((arg) => unquote(arg.trim())));
  }
  return found;
}

/** "a" "b" becomes ab; anything else stays. */
function unquote(arg) {
  if (!arg.startsWith('"')) return arg;
  return [...arg.matchAll(/"((?:[^"\\]|\\.)*)"/g)].map((match) => match[1].replace(/\\(.)/g, "$1")).join("");
}

export function options(text = read("server/config/config.def")) {
  return rows(text, "OPTION").map(([kind, name, def]) => ({ kind, name, def }));
}

/** The default as it stands in a file. */
export const defaultOf = ({ kind, def }) => (kind === "INT" ? def : `"${def}"`);

export function metrics(text = read("server/base/metrics.def")) {
  return rows(text, "METRIC").map(([how, type, id, name, labels, help]) => ({ how, type, id, name, labels, help }));
}

export function outcomes(text = read("shard/outcome.def")) {
  return rows(text, "OUTCOME").map(([name, word, sqlstate, doc]) => ({ name, word, sqlstate, doc }));
}

export function errors(text = read("server/request/errors.def")) {
  return {
    errors: rows(text, "ERR").map(([name, code, http, message]) => ({
      name,
      code: Number(code),
      http: Number(http),
      message,
    })),
    outcomes: rows(text, "ERR_OUTCOME").map(([outcome, error]) => ({ outcome, error })),
  };
}

/** The rows of the route table: method, path, flags. */
export function routes(text = read("server/api/routes.c")) {
  const source = withoutComments(text);
  const start = source.indexOf("static const struct route routes[]");
  const table = source.slice(start, source.indexOf("\n};", start));
  return [...table.matchAll(/\{\s*\.method = "(\w+)",\s*\.path = "([^"]+)",([^]*?)\}/g)].map(
    ([, method, path, rest]) => ({
      method,
      path,
      handler: /\.handler = (\w+)/.exec(rest)?.[1],
      doc: /\.doc = "([^"]*)"/.exec(rest)?.[1],
      admin: rest.includes("ROUTE_ADMIN"),
      prefix: rest.includes("ROUTE_PREFIX"),
    }),
  );
}

const cell = (text) => text.replaceAll("|", "\\|");

export function metricsTable(list = metrics()) {
  const lines = ["| metric | type | labels | what it says |", "|---|---|---|---|"];
  for (const m of list) {
    lines.push(`| \`${m.name}\` | ${m.type} | ${m.labels.split(",").join(", ")} | ${cell(m.help)} |`);
  }
  return lines.join("\n");
}

/* In the source every path ends with a slash; files are requested without it. */
const asWritten = (path) => path.replace(/(\.[a-z]+)\/$/, "$1");

export function routesTable(list = routes()) {
  const lines = ["| route | what it does |", "|---|---|"];
  for (const r of list)
    lines.push(`| \`${r.method} ${asWritten(r.path)}\` | ${cell(r.doc)}${r.admin ? " (operator's listener)" : ""} |`);
  return lines.join("\n");
}

/** Which file has which table between its marks. */
export const TABLES = [
  { file: "README.md", name: "routes", table: routesTable },
  { file: "config/README.md", name: "metrics", table: metricsTable },
];

/** What TEXT has between the marks NAME; undefined without marks. */
export function section(text, name) {
  return new RegExp(`<!-- ${name} -->\\n([^]*?)\\n?<!-- /${name} -->`).exec(text)?.[1];
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  for (const { file, name, table } of TABLES) {
    if (process.argv[2] === "--write") {
      writeFileSync(
        join(ROOT, file),
        read(file).replace(
          new RegExp(`(<!-- ${name} -->\\n)[^]*?(<!-- /${name} -->)`),
          (_, open, close) => `${open}${table()}\n${close}`,
        ),
      );
    } else {
      console.log(`${table()}\n`);
    }
  }
}
