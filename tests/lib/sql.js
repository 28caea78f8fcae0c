/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* The tests' root SQL shell on the shards of a cluster: looking behind the service's back, and
 * changing what only an accident would change. */

import { spawn } from "node:child_process";

const ESCAPES = { n: "\n", t: "\t", 0: "\0", "\\": "\\" };
const unescape = (text) => text.replaceAll(/\\([nt0\\])/g, (_, c) => ESCAPES[c]);

function value(text) {
  if (text === "NULL") return null;
  if (/^-?\d{1,15}$/.test(text)) return Number(text);
  return unescape(text);
}

/**
 * Rows of `mariadb --batch` as objects; integers become numbers. Several result sets are joined when they have
 * the same columns.
 */
export function parseBatch(text) {
  const lines = text.split("\n");
  if (lines.at(-1) === "") lines.pop();
  if (lines.length === 0) return [];
  const names = lines[0].split("\t");
  return lines.filter((line) => line !== lines[0]).map((line) => {
    const cells = line.split("\t");
    return Object.fromEntries(names.map((name, i) => [name, value(cells[i] ?? "")]));
  });
}

/** An SQL literal of a number, a text or raw bytes. */
export function literal(v) {
  if (v === null || v === undefined) return "NULL";
  if (typeof v === "number" || typeof v === "bigint") return String(v);
  const bytes = Buffer.isBuffer(v) ? v : Buffer.from(String(v), "utf8");
  return bytes.length === 0 ? "''" : `X'${bytes.toString("hex")}'`;
}

/**
 * Run statements on one server with the options of the file CNF. Resolves to the rows of
 * its result sets. Rejects with what the client said.
 */
export function sql(cnf, { socket, host, port }, text, { database = "doushard", timeoutMs = 60000 } = {}) {
  return new Promise((resolve, reject) => {
    const address = socket ? [`--socket=${socket}`] : [`--host=${host}`, `--port=${port}`];
    const child = spawn(
      "mariadb",
      [`--defaults-file=${cnf}`, ...address, "--batch", "--default-character-set=utf8mb4",
        "--connect-timeout=10", database],
      { stdio: ["pipe", "pipe", "pipe"], timeout: timeoutMs }
    );
    const out = [];
    const err = [];
    child.stdout.on("data", (chunk) => out.push(chunk));
    child.stderr.on("data", (chunk) => err.push(chunk));
    child.stdin.on("error", () => {});
    child.on("error", reject);
    child.on("close", (code) => {
      if (code === 0) resolve(parseBatch(Buffer.concat(out).toString("utf8")));
      else reject(new Error(`SQL failed (${code}): ${Buffer.concat(err).toString("utf8").trim()}`));
    });
    child.stdin.end(text);
  });
}
