/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* What scripts/packages prints for an account that may not install, with few programs in its path. */

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { chmodSync, copyFileSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { fileURLToPath } from "node:url";

const SCRIPTS = fileURLToPath(new URL("../../scripts", import.meta.url));
const TOOLS = ["awk", "bash", "cat", "cut", "dirname", "env", "grep"];
const NOBODY = 65534;

const dir = mkdtempSync(join(tmpdir(), "doushard-packages-"));
after(() => rmSync(dir, { recursive: true, force: true }));
chmodSync(dir, 0o755);
for (const part of ["scripts", "bin"]) mkdirSync(join(dir, part), { mode: 0o755 });
for (const name of ["packages", "lib.sh"]) copyFileSync(join(SCRIPTS, name), join(dir, "scripts", name));
for (const name of TOOLS) {
  const { stdout } = spawnSync("sh", ["-c", `command -v ${name}`], { encoding: "utf8" });
  symlinkSync(stdout.trim(), join(dir, "bin", name));
}

/* A program that exists, and prints TEXT. */
const program = (name, text = "") =>
  writeFileSync(join(dir, "bin", name), `#!/bin/sh\necho '${text}'\n`, { mode: 0o755 });

function packages(...args) {
  const isRoot = process.getuid() === 0;
  const { status, stdout } = spawnSync(join(dir, "scripts", "packages"), args, {
    encoding: "utf8",
    env: { PATH: join(dir, "bin"), TMPDIR: dir },
    ...(isRoot && { uid: NOBODY, gid: NOBODY }),
  });
  return { status, lines: stdout.trim().split("\n") };
}

test("it prints the commands to run, with apt-get update if apt does not know the packages", () => {
  program("apt-get");
  program("apt-cache", "  Candidate: (none)");
  const install = "apt-get install --no-install-recommends spin";
  assert.deepEqual(packages("install", "model"), { status: 2, lines: ["apt-get update", install] });
  program("apt-cache", "  Candidate: 6.5.2-1");
  assert.deepEqual(packages("install", "model"), { status: 2, lines: [install] });
});

test("of several programs that can do the same, one is enough", () => {
  const font = "fonts-noto-cjk";
  const missing = () => packages("missing", "browser").lines.filter((name) => name !== font && name !== "");
  assert.deepEqual(missing(), ["chromium-headless-shell"]);
  program("chromium");
  assert.deepEqual(missing(), []);
});
