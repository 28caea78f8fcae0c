/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* What `make install` puts where, below a DESTDIR: nothing is missing that the handbook's first installation names,
 * and nothing that somebody has changed is overwritten. */

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, relative, resolve } from "node:path";
import { after, test } from "node:test";
import { read, ROOT } from "./tables.js";

const build = relative(ROOT, resolve(ROOT, process.env.DOUSHARD_BUILD_DIR || "build"));
const isBuilt = ["doushard", "shardctl"].every((name) => existsSync(join(ROOT, build, name)));
const dest = mkdtempSync(join(tmpdir(), "install-"));
after(() => rmSync(dest, { recursive: true, force: true }));

/* The programs are taken as they are. */
function make(...args) {
  const { status, stdout, stderr } = spawnSync("make", ["-s", "-C", ROOT, `BUILD=${build}`, `DESTDIR=${dest}`, "prefix=/opt/ds",
    "sysconfdir=/opt/ds/etc", ...args, "-o", `${build}/doushard`, "-o", `${build}/shardctl`],
    { encoding: "utf8", env: { PATH: process.env.PATH } });
  assert.equal(status, 0, stdout + stderr);
}
const at = (...path) => join(dest, ...path);
const unit = (name) => readFileSync(at("opt/ds/lib/systemd/system", name), "utf8");

test("programs, units, samples, procedures, scripts and the directories for videos", { skip: !isBuilt && "nothing is built" }, () => {
  make("install");
  for (const path of ["bin/doushard", "bin/shardctl", "etc/doushard.conf", "etc/topology.conf", "etc/mover.conf", "share/man/man1/shardctl.1",
    "share/doushard/config/mariadb/shard.cnf", "share/doushard/config/redis/redis.conf", "share/doushard/config/README.md",
    "share/doushard/scripts/migrate", "share/doushard/scripts/add-shard.sh", "share/doushard/procedures/install.sql"])
    assert.ok(existsSync(at("opt/ds", path.replace("etc/", "etc/doushard/"))), path);
  for (const name of ["", "media", "upload"]) assert.equal(statSync(at("var/lib/doushard", name)).mode & 0o7777, 0o750, name);
  assert.deepEqual(readdirSync(at("opt/ds/lib/systemd/system")).sort(), ["doushard-mover.service", "doushard.service"]);
});

test("the units name what was installed, and no place where nothing is", { skip: !isBuilt && "nothing is built" }, () => {
  for (const [name, program] of [["doushard.service", "doushard"], ["doushard-mover.service", "shardctl"]]) {
    const text = unit(name);
    assert.match(text, new RegExp(`^ExecStart=/opt/ds/bin/${program} .*/opt/ds/etc/doushard/`, "m"));
    assert.doesNotMatch(text.replaceAll(/^#.*$/gm, ""), /\/usr\/local|[ =]\/etc\//);
  }
  assert.match(unit("doushard.service"), /^StateDirectory=doushard doushard\/media doushard\/upload$/m);
});

test("the server's unit leaves the jail of uploads what it needs", () => {
  const lines = read("config/doushard.service").split("\n").filter((line) => !line.startsWith("#"));
  for (const bad of ["RestrictNamespaces", "SystemCallFilter", "ProtectKernelTunables", "ProtectKernelLogs", "ProtectProc", "ProcSubset"])
    assert.ok(!lines.some((line) => line.startsWith(`${bad}=`)), bad);
});

test("again, over what somebody has changed: configuration and videos stay, also after uninstall", { skip: !isBuilt && "nothing is built" }, () => {
  const kept = [at("opt/ds/etc/doushard/doushard.conf"), at("var/lib/doushard/media/video")];
  for (const path of kept) writeFileSync(path, "mine");
  make("install");
  make("uninstall");
  for (const path of kept) assert.equal(readFileSync(path, "utf8"), "mine");
  assert.deepEqual([at("opt/ds/bin/doushard"), at("opt/ds/share/doushard"), at("opt/ds/lib/systemd/system/doushard.service")].filter(existsSync), []);
});
