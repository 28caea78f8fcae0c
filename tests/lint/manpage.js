/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Makes the manual page of shardctl from the program's help texts.
 *
 * usage: node tests/lint/manpage.js          print it
 *        node tests/lint/manpage.js --write  put it into config/shardctl.1
 *
 * The program is that of DOUSHARD_BUILD_DIR (build). */
import { spawnSync } from "node:child_process";
import { existsSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { ROOT, read, rows } from "./tables.js";

export const PAGE = "config/shardctl.1";
const SHARDCTL = join(resolve(ROOT, process.env.DOUSHARD_BUILD_DIR || "build"), "shardctl");

export const isBuilt = () => existsSync(SHARDCTL);

/** Names of the commands, and options as they are typed. */
export const commands = () => rows(read("scripts/shardctl.def"), "COMMAND").map(([name]) => name);
export const options = () =>
  ["TEXT_OPTION", "FLAG_OPTION"].flatMap((macro) => rows(read("scripts/shardctl.def"), macro)).map(([, name]) => name);

function help(...args) {
  const { stdout, status } = spawnSync(SHARDCTL, [...args, "--help"], { encoding: "utf8" });
  if (status !== 0) throw new Error(`shardctl ${args.join(" ")} --help ended with ${status}`);
  return stdout;
}

/** Text escaped for troff. */
const plain = (text) =>
  text
    .replaceAll("\\", "\\e")
    .replaceAll("-", "\\-")
    .replace(/^([.'])/, "\\&$1");

/** A help text as troff: options as a list, other indented text verbatim, the rest filled. */
export function troff(text) {
  const out = [];
  let mode = "";
  const enter = (next) => {
    if (mode === "verbatim" && next !== mode) out.push(".fi", ".RE");
    if (next === "verbatim" && next !== mode) out.push(".RS 2", ".nf");
    mode = next;
  };
  for (const line of text.trimEnd().split("\n")) {
    const option = /^ {2}(--\S.*?)(?: {2,}(.*))?$/.exec(line);
    if (line === "") {
      if (mode === "verbatim") enter("");
      out.push(".PP");
      mode = "";
    } else if (option) {
      enter("option");
      out.push(".TP", `.B ${plain(option[1])}`, ...(option[2] ? [plain(option[2])] : []));
    } else if (mode === "option" && /^ {10}/.test(line)) {
      out.push(plain(line.trim()));
    } else if (line.startsWith("  ")) {
      enter("verbatim");
      out.push(plain(line.slice(2)));
    } else {
      enter("text");
      out.push(plain(line));
    }
  }
  enter("");
  return out
    .join("\n")
    .replaceAll(/(?:\.PP\n)+\.PP/g, ".PP")
    .replaceAll(/\.PP\n(?=\.(?:TP|PP))/g, "");
}

/** The whole page. */
export function page() {
  const general = help();
  const common = general.slice(general.indexOf("\n  --topology"));
  const parts = commands().map((name) => {
    const text = help(name);
    const usage = text.slice("usage: shardctl ".length, text.indexOf("\n"));
    const body = text.slice(text.indexOf(`\n${name}: `) + 1);
    return `.SS ${plain(usage)}\n${troff(body.slice(name.length + 2))}`;
  });
  return [
    '.\\" SPDX-License-Identifier: MIT',
    '.\\" SPDX-FileCopyrightText: Doushard contributors',
    '.\\" The manual page of shardctl: its help texts, as tests/lint/manpage.js --write puts them together.',
    '.TH SHARDCTL 1 "" Doushard "Operators\\(aq commands"',
    ".SH NAME",
    "shardctl \\- look after the shards of a Doushard, all at once",
    ".SH SYNOPSIS",
    ".B shardctl",
    ".I COMMAND",
    "[OPERAND..] [OPTION..]",
    ".br",
    ".B shardctl",
    ".I COMMAND",
    ".B \\-\\-help",
    ".SH DESCRIPTION",
    "Every command but servers asks the shards themselves, which know where every slot is and how far each move is;",
    "what it does can be done in SQL, too, by the CALLs that the operator\\(aqs handbook (config/README.md) lists.",
    ".SH OPTIONS OF ALL COMMANDS",
    troff(common),
    ".SH COMMANDS",
    ...parts,
    ".SH SEE ALSO",
    "config/README.md, the operator\\(aqs handbook; scripts/rebalance.sh, scripts/drain\\-shard.sh, scripts/migrate",
    "",
  ].join("\n");
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  if (process.argv[2] === "--write") writeFileSync(join(ROOT, PAGE), page());
  else process.stdout.write(page());
}
