/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* config/mariadb/shard.cnf as MariaDB reads it: by its own parser, and by the server. */

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { read } from "./tables.js";

const dir = mkdtempSync(join(tmpdir(), "doushard-lint-"));
after(() => rmSync(dir, { recursive: true }));

/* "innodb_x = ON" of each line that is neither empty nor a comment nor the one heading. */
const settingsOf = (text) =>
  text
    .split("\n")
    .filter((line) => /^[^#[\s]/.test(line))
    .map((line) => line.split("=").map((part) => part.trim().replace(/^'(.*)'$/, "$1")))
    .map(([name, ...value]) => `--${name}=${value.join("=")}`);

/* The errors in TEXT as an option file of MariaDB. */
function problems(text) {
  const path = join(dir, "shard.cnf");
  writeFileSync(path, text, { mode: 0o644 });
  const parsed = spawnSync("my_print_defaults", [`--defaults-file=${path}`, "mariadbd"], { encoding: "utf8" });
  if (parsed.status !== 0) return [parsed.stderr];
  const found = parsed.stdout.split("\n").filter(Boolean);
  /* MariaDB ignores text after a heading, such as a sentence without its "#". */
  const odd = text
    .split("\n")
    .filter((line) => !/^(#.*|\[mariadbd\]|[a-z_]+ *= \S.*|)$/.test(line))
    .map((line) => `not a setting: ${line}`);
  const wrong = settingsOf(text)
    .filter((setting) => !found.includes(setting))
    .map((setting) => `${setting} is not read`);
  /* --help prints the settings that it would use, and exits. */
  const help = spawnSync("mariadbd", [`--defaults-file=${path}`, "--user=root", "--verbose", "--help"], {
    encoding: "utf8",
    maxBuffer: 1 << 24,
  });
  return [
    ...odd,
    ...wrong,
    ...help.stderr
      .split("\n")
      .filter((line) => /unknown (variable|option)|ambiguous|Wrong group|while setting value/.test(line)),
  ];
}

test("MariaDB reads config/mariadb/shard.cnf as intended", () => {
  const text = read("config/mariadb/shard.cnf");
  assert.ok(settingsOf(text).length > 20);
  assert.deepEqual(problems(text), []);
  for (const [what, bad] of [
    ["a heading with words behind it", text.replace("[mariadbd]\n\n", "[mariadbd] file of the host instead.\n\n")],
    ["a name that MariaDB does not know", text.replace("sync_binlog ", "sync_binlogs ")],
    ["a heading of others", text.replace("\n[mariadbd]\n\n", "\n[client]\n\n")],
  ]) {
    assert.notEqual(bad, text, what);
    assert.notDeepEqual(problems(bad), [], what);
  }
});
