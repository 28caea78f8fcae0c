/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Where `make install` puts things, below a DESTDIR: nothing that the handbook's first installation
 * names is missing, no changed file is overwritten, and everything installed is gone after `make
 * uninstall`. A tarball of `make dist` has every file of the repository, and builds, checks and
 * installs the same. And which build is tortured. */

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  copyFileSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join, relative, resolve } from "node:path";
import { after, test } from "node:test";
import { read, ROOT } from "./tables.js";

const build = relative(ROOT, resolve(ROOT, process.env.DOUSHARD_BUILD_DIR || "build"));
const isBuilt = ["doushard", "shardctl"].every((name) => existsSync(join(ROOT, build, name)));
const dest = mkdtempSync(join(tmpdir(), "install-"));
after(() => rmSync(dest, { recursive: true, force: true }));

/* Run a program that must succeed; returns its output. */
function run(program, args, env = {}) {
  const { status, stdout, stderr } = spawnSync(program, args, {
    encoding: "utf8",
    env: { PATH: process.env.PATH, ...env },
    maxBuffer: 1 << 26,
  });
  assert.equal(status, 0, `${program} ${args.join(" ")}: ${stdout}${stderr}`);
  return stdout;
}
/* The programs are used as built. */
const make = (target, { from = ROOT, to = dest, programs = build } = {}) =>
  run("make", [
    "-s",
    "-C",
    from,
    `BUILD=${programs}`,
    `DESTDIR=${to}`,
    "prefix=/opt/ds",
    "sysconfdir=/opt/ds/etc",
    target,
    "-o",
    `${programs}/doushard`,
    "-o",
    `${programs}/shardctl`,
  ]);

/* The contents of a directory, by path: files as mode and checksum, directories as mode. */
const tree = (dir) =>
  Object.fromEntries(
    readdirSync(dir, { recursive: true })
      .sort()
      .map((name) => {
        const [path, stat] = [join(dir, name), lstatSync(join(dir, name))];
        return [
          name,
          (stat.mode & 0o7777).toString(8) +
            (stat.isFile() ? createHash("sha256").update(readFileSync(path)).digest("hex") : "/"),
        ];
      }),
  );
const at = (...path) => join(dest, ...path);
const unit = (name) => readFileSync(at("opt/ds/lib/systemd/system", name), "utf8");

test(
  "programs, units, samples, procedures, scripts and the directories for videos",
  { skip: !isBuilt && "nothing is built" },
  () => {
    make("install");
    for (const path of [
      "bin/doushard",
      "bin/shardctl",
      "etc/doushard.conf",
      "etc/topology.conf",
      "etc/mover.conf",
      "share/man/man1/shardctl.1",
      "share/doushard/LICENSE",
      "share/doushard/config/mariadb/shard.cnf",
      "share/doushard/config/redis/redis.conf",
      "share/doushard/config/README.md",
      "share/doushard/scripts/migrate",
      "share/doushard/scripts/add-shard.sh",
      "share/doushard/procedures/install.sql",
    ])
      assert.ok(existsSync(at("opt/ds", path.replace("etc/", "etc/doushard/"))), path);
    for (const name of ["", "media", "upload"])
      assert.equal(statSync(at("var/lib/doushard", name)).mode & 0o7777, 0o750, name);
    assert.deepEqual(readdirSync(at("opt/ds/lib/systemd/system")).sort(), [
      "doushard-mover.service",
      "doushard.service",
    ]);
  },
);

test("the units name only files and directories that were installed", { skip: !isBuilt && "nothing is built" }, () => {
  for (const [name, program] of [
    ["doushard.service", "doushard"],
    ["doushard-mover.service", "shardctl"],
  ]) {
    const text = unit(name);
    assert.match(text, new RegExp(`^ExecStart=/opt/ds/bin/${program} .*/opt/ds/etc/doushard/`, "m"));
    assert.doesNotMatch(text.replaceAll(/^#.*$/gm, ""), /\/usr\/local|[ =]\/etc\//);
  }
  assert.match(unit("doushard.service"), /^StateDirectory=doushard doushard\/media doushard\/upload$/m);
});

test("the server's unit leaves the jail for uploads what it needs", () => {
  const lines = read("config/doushard.service")
    .split("\n")
    .filter((line) => !line.startsWith("#"));
  for (const bad of [
    "RestrictNamespaces",
    "SystemCallFilter",
    "ProtectKernelTunables",
    "ProtectKernelLogs",
    "ProtectProc",
    "ProcSubset",
  ])
    assert.ok(!lines.some((line) => line.startsWith(`${bad}=`)), bad);
});

test(
  "an installed script finds the shardctl next to it, and reads the topology with it",
  { skip: !isBuilt && "nothing is built" },
  () => {
    const ask = (file) =>
      spawnSync(
        "bash",
        ["--norc", "-c", '. "$1" && topology_shards "$2"', "bash", at("opt/ds/share/doushard/scripts/lib.sh"), file],
        { encoding: "utf8", env: { PATH: "/usr/bin:/bin" } },
      );
    const { status, stdout, stderr } = ask(at("opt/ds/etc/doushard/topology.conf"));
    assert.deepEqual(
      [status, stdout.split("\n").map((line) => line.split("\t")[0]), stderr],
      [0, ["shard1", "shard2", "shard3", "shard4", ""], ""],
    );
    const bad = join(dest, "bad.conf");
    writeFileSync(bad, 'servers = (\n{ name = "shard1"; } );\n');
    assert.deepEqual([ask(bad).status, ask(bad).stdout], [1, ""]);
    assert.match(ask(bad).stderr, /bad\.conf:2: host of shard1/);
    rmSync(bad);
  },
);

test(
  "a second installation, over changed files: configuration and videos stay, even after uninstall",
  { skip: !isBuilt && "nothing is built" },
  () => {
    const kept = [at("opt/ds/etc/doushard/doushard.conf"), at("var/lib/doushard/media/video")];
    for (const path of kept) writeFileSync(path, "mine");
    make("install");
    make("uninstall");
    for (const path of kept) assert.equal(readFileSync(path, "utf8"), "mine");
    const left = Object.keys(tree(dest)).filter((name) => statSync(at(name)).isFile());
    assert.deepEqual(left, [
      "opt/ds/etc/doushard/doushard.conf",
      "opt/ds/etc/doushard/mover.conf",
      "opt/ds/etc/doushard/topology.conf",
      "var/lib/doushard/media/video",
    ]);
    assert.ok(!existsSync(at("opt/ds/share/doushard")));
  },
);

/* ---- Compiler and linker flags ---- */

test(
  "the programs are position-independent, and their tables and stacks are protected",
  { skip: !isBuilt && "nothing is built" },
  () => {
    for (const program of ["doushard", "shardctl"]) {
      const elf = run("readelf", [
        "-W",
        "--file-header",
        "--program-headers",
        "--dynamic",
        join(resolve(ROOT, build), program),
      ]);
      assert.match(elf, /Type: +DYN \(Position-Independent Executable/, program);
      assert.match(elf, /GNU_STACK .* RW +0x/, program);
      assert.match(elf, /GNU_RELRO/, program);
      assert.match(elf, /\(FLAGS_1\) .*NOW/, program);
    }
  },
);

test("a release checks its stack, the lengths of what it formats, and its jumps", () => {
  const dir = mkdtempSync(join(tmpdir(), "release-"));
  const object = join(dir, "shard/base/log.o");
  run("make", ["-s", "-C", ROOT, `BUILD=${dir}`, "SANITIZE=", "CFLAGS=-O2", object]);
  const names = run("readelf", ["-W", "--symbols", "--notes", object]);
  assert.match(names, /UND __stack_chk_fail$/m);
  assert.match(names, /UND __v?snprintf_chk$/m);
  if (process.arch === "x64") assert.match(names, /x86 feature: IBT$/m);
  rmSync(dir, { recursive: true });
});

/* ---- The tarball ---- */

const git = (...args) => spawnSync("git", ["-C", ROOT, ...args], { encoding: "utf8" });
const isCheckout = git("rev-parse", "--show-toplevel").stdout.trim() === ROOT.replace(/\/$/, "");
const isCommitted = isCheckout && git("status", "--porcelain").stdout === "";
const skip = !isCheckout && "only git makes a tarball";
const work = mkdtempSync(join(tmpdir(), "dist-"));
after(() => rmSync(work, { recursive: true, force: true }));
const version = /^VERSION = (.*)$/m.exec(read("Makefile"))[1];
const unpacked = join(work, `doushard-${version}`);

test("make check-torture takes a build that reports leaks", () => {
  assert.match(run("make", ["-n", "-C", ROOT, "check-torture"]), /DOUSHARD_BUILD_DIR='[^']*\/build-address-undefined'/);
});

test("dist: every file of the last commit, and which commit it was", { skip }, () => {
  run("make", ["-s", "-C", ROOT, "dist", `distdir=${work}`]);
  assert.deepEqual(readdirSync(work), [`doushard-${version}.tar.gz`]);
  run("tar", ["-xzf", `${unpacked}.tar.gz`, "-C", work]);
  const files = Object.keys(tree(unpacked)).filter((name) => !statSync(join(unpacked, name)).isDirectory());
  const known = git("ls-tree", "-r", "-z", "--name-only", "HEAD").stdout.split("\0").filter(Boolean);
  assert.deepEqual(files.sort(), [...known, ".version"].sort());
});

test("the tarball has all that a build needs, and says where it comes from without git", { skip }, () => {
  const commands = run("make", ["-n", "-C", unpacked, "all", "programs"], { GIT_DIR: "/nonexistent" });
  const compiled = new Set([...commands.matchAll(/ -c -o \S+ (\S+\.c)$/gm)].map(([, name]) => name));
  for (const name of ["server/main.c", "shard/router.c", "scripts/shardctl.c", "tests/ledger/ledger.c"])
    assert.ok(compiled.has(name), name);
  assert.deepEqual(/-DDOUSHARD_VERSION='"(.*?)"' -DDOUSHARD_COMMIT='"(.*?)"'/.exec(commands).slice(1), [
    version,
    git("rev-parse", "--short=12", "HEAD").stdout.trim(),
  ]);
});

test(
  "installing from the tarball gives the same files as installing from the checkout",
  { skip: (!isBuilt && "nothing is built") || (!isCommitted && "not everything here is committed") },
  () => {
    const [here, there] = ["here", "there"].map((name) => join(work, name));
    make("install", { to: here });
    make("install", { to: there, from: unpacked, programs: resolve(ROOT, build) });
    assert.deepEqual(tree(there), tree(here));
  },
);

test("lint checks the same files in the tarball; if there are none it says so, and fails", { skip }, () => {
  const tools = ["SHELLCHECK=true", "ESLINT=true", "PRETTIER=true", "CLANG_FORMAT=true", "CLANG_TIDY=true"];
  const targets = ["lint-format", "lint-shell", "lint-js"];
  const there = run("make", ["--no-print-directory", "-C", unpacked, ...targets, ...tools], {
    GIT_DIR: "/nonexistent",
  });
  assert.match(there, /^ {2}FORMAT +\d{3} files\n {2}SHELL +\d{2} files\n {2}ESLINT +\d{3} files\n$/);
  if (isCommitted) assert.equal(there, run("make", ["--no-print-directory", "-C", ROOT, ...targets, ...tools]));

  const empty = join(work, "empty");
  mkdirSync(empty);
  copyFileSync(join(ROOT, "Makefile"), join(empty, "Makefile"));
  for (const target of ["lint-shell", "lint-js"]) {
    const { status, stderr } = spawnSync("make", ["-C", empty, target, ...tools], {
      encoding: "utf8",
      env: { PATH: process.env.PATH, GIT_DIR: "/nonexistent" },
    });
    assert.notEqual(status, 0);
    assert.match(stderr, new RegExp(`^${target} has looked at nothing`, "m"));
  }
});
