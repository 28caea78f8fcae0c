/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* A shard on its own small file system, which a test can fill. Its binary log, if it has one, stays where it
 * was: without space for it mariadbd does not fail but waits, a minute at a time. Needs root. */

import assert from "node:assert/strict";
import { execFile, spawnSync } from "node:child_process";
import {
  openSync,
  closeSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  statfsSync,
  symlinkSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { until } from "./wait.js";

const run = promisify(execFile);
const BLOCK = Buffer.alloc(1 << 20);

/** Why this is not possible here, or "". */
export function noSmallDisk() {
  if (process.getuid() !== 0) return "only root can mount a small file system";
  const tried = spawnSync("unshare", ["--mount", "mount", "-t", "tmpfs", "none", "/mnt"]);
  return tried.status === 0 ? "" : `this machine lets nobody mount: ${tried.stderr}`;
}

export class SmallDisk {
  /** Move shard NAME of CLUSTER to a file system on which ROOM more bytes can be written. */
  static async under(cluster, name, room) {
    const disk = new SmallDisk();
    Object.assign(disk, { cluster, name, dir: join(cluster.dir, name), log: join(cluster.dir, "log", `${name}.log`) });
    await cluster.demo("stop", name);
    const { stdout } = await run("du", ["--summarize", "--block-size=1", disk.dir]);
    const { uid, gid, mode } = statSync(disk.dir);
    const old = `${disk.dir}.old`;
    await run("mv", [join(disk.dir, "binlog"), `${disk.dir}.binlog`]);
    await run("mv", [disk.dir, old]);
    await run("mkdir", [disk.dir]);
    const size = Number(stdout.split("\t")[0]) + room;
    await run("mount", [
      "-t",
      "tmpfs",
      "-o",
      `size=${size},uid=${uid},gid=${gid},mode=${(mode & 0o777).toString(8)}`,
      "none",
      disk.dir,
    ]);
    await run("cp", ["--archive", `${old}/.`, disk.dir]);
    await run("rm", ["-r", old]);
    symlinkSync(`${disk.dir}.binlog`, join(disk.dir, "binlog"));
    await cluster.demo("start", name);
    cluster.readEndpoints();
    cluster.ending.push(() => spawnSync("umount", ["--lazy", disk.dir]));
    return disk;
  }

  /** Bytes free. */
  get free() {
    const { bavail, bsize } = statfsSync(this.dir);
    return bavail * bsize;
  }

  /** Write a file until no more than LEFT bytes are free. */
  fill(left = 0) {
    const file = openSync(join(this.dir, "filler"), "a");
    try {
      while (this.free > left) writeSync(file, BLOCK, 0, Math.min(BLOCK.length, this.free - left));
    } catch (error) {
      assert.equal(error.code, "ENOSPC");
    } finally {
      closeSync(file);
    }
  }

  /** Remove that file, and start the shard again if it ended itself: resolves to whether it did. */
  async empty() {
    rmSync(join(this.dir, "filler"), { force: true });
    const ended =
      (await until("the shard to write again, or to have ended", async () => {
        if (!this.shardRuns()) return "ended";
        if (this.isFalling()) return "";
        await this.cluster.sql(this.name, "CALL shard_probe()");
        return this.isFalling() ? "" : "writes";
      })) === "ended";
    if (ended) {
      /* The test made it crash: do not report that as a failure. */
      renameSync(this.log, `${this.log}.full`);
      await this.cluster.demo("start", this.name);
    }
    this.cluster.readEndpoints();
    return ended;
  }

  /** Is the shard about to exit? It still answers for seconds while it writes its crash report. */
  isFalling() {
    return /\bgot signal \d+/.test(readFileSync(this.log, "utf8"));
  }

  shardRuns() {
    try {
      return process.kill(this.cluster.shardPid(this.name), 0);
    } catch {
      return false;
    }
  }
}
