/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Reads procedures/ as the mariadb client would: files, statements, routines. */
import { readFileSync, readdirSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";

export const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), "../..");
export const procedures = path.join(root, "procedures");

/** Paths of all .sql files under procedures/, relative to it, sorted. */
export function sqlFiles() {
  return readdirSync(procedures, { recursive: true })
    .filter((name) => name.endsWith(".sql"))
    .sort();
}

export const readSql = (name) => readFileSync(path.join(procedures, name), "utf8");

/** READ, a pure function of a text, called only once per text: the rules see every file a hundred
 * times, nearly always unchanged. */
export function once(read) {
  const known = new Map();
  return (text) => {
    if (!known.has(text)) known.set(text, read(text));
    return known.get(text);
  };
}

/** SQL without comments and with the contents of string literals kept. Comments that a
 * server executes (those beginning with an exclamation mark) stay. */
export const stripComments = once((sql) =>
  sql.replace(
    /'(?:[^'\\]|\\.|'')*'|"(?:[^"\\]|\\.|"")*"|`[^`]*`|--(?=\s|$)[^\n]*|#[^\n]*|\/\*(?!M?!)[\s\S]*?\*\//g,
    (token) => (/^['"`]/.test(token) ? token : " "),
  ),
);

/** The same with every string literal emptied, for looking at the code only. */
export const stripStrings = once((sql) => stripComments(sql).replace(/'(?:[^'\\]|\\.|'')*'/g, "''"));

/** Statements of a file: DELIMITER is obeyed, client commands (SOURCE) are left out. */
export function statements(sql) {
  const found = [];
  let delimiter = ";";
  let text = "";
  for (const line of sql.split("\n")) {
    const change = /^\s*DELIMITER\s+(\S+)\s*$/i.exec(line);
    if (change) {
      delimiter = change[1];
      continue;
    }
    if (stripComments(text).trim() === "" && /^SOURCE\s/i.test(line)) {
      continue;
    }
    text += line + "\n";
    if (stripComments(line).trimEnd().endsWith(delimiter)) {
      const end = text.lastIndexOf(delimiter);
      const statement = text.slice(0, end).trim();
      if (stripComments(statement).trim() !== "") {
        found.push(statement);
      }
      text = "";
    }
  }
  if (stripComments(text).trim() !== "") {
    throw new Error(`statement without an end: ${text.trim().slice(0, 60)}`);
  }
  return found;
}

/** The CREATE of a routine, taken apart; null when SQL does not create one. */
export const routineOf = once((sql) => {
  const code = stripComments(sql);
  const head =
    /CREATE\s+DEFINER\s*=\s*(\S+?)\s+(PROCEDURE|FUNCTION)\s+([A-Za-z_0-9]+)\s*\(([\s\S]*?)\)\s*(?:RETURNS[^\n]*)?\n([\s\S]*?)\bBEGIN\b([\s\S]*)END\s*\$\$/.exec(
      code,
    );
  if (!head) {
    return null;
  }
  const [, definer, kind, name, parameters, characteristics, body] = head;
  return { definer, kind, name, parameters: parameters.trim(), characteristics, body };
});
