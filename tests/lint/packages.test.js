/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* scripts/packages with few programs in its path: what it prints for an account that may not install,
 * and what it leaves alone. */

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import {
  chmodSync,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { fileURLToPath } from "node:url";

const SCRIPTS = fileURLToPath(new URL("../../scripts", import.meta.url));
const TOOLS = ["awk", "bash", "cat", "chmod", "cut", "dirname", "env", "grep", "mktemp", "mv", "rm", "stat"];
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

const isRoot = process.getuid() === 0;

function run(args, account) {
  const { status, stdout } = spawnSync(join(dir, "scripts", "packages"), args, {
    encoding: "utf8",
    env: { PATH: join(dir, "bin"), TMPDIR: dir },
    ...account,
  });
  return { status, lines: stdout.trim().split("\n") };
}

const packages = (...args) => run(args, isRoot && { uid: NOBODY, gid: NOBODY });

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

test("an installation leaves the host's policy of services alone", { skip: !isRoot && "only root installs" }, () => {
  const seen = join(dir, "seen");
  const policy = "/usr/sbin/policy-rc.d";
  const look = `stat -c %i ${policy} 2>/dev/null || echo none`;
  /* It looks at the file while the script waits for it, and installs a program. */
  writeFileSync(
    join(dir, "bin", "apt-get"),
    `#!/bin/sh\n{ ${look}; } >>${seen}\n: >${dir}/bin/spin\nchmod 755 ${dir}/bin/spin\n`,
    { mode: 0o755 },
  );
  program("apt-cache", "  Candidate: 6.5.2-1");
  const before = statSync(policy, { throwIfNoEntry: false })?.ino ?? "none";
  assert.equal(run(["install", "model"]).status, 0);
  assert.equal(readFileSync(seen, "utf8"), `${before}\n`, "during the installation");
  assert.equal(statSync(policy, { throwIfNoEntry: false })?.ino ?? "none", before, "and after it");
});
