/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* A file system that hangs at a test's command (tests/integration/hangfs.c). Needs root and /dev/fuse. */

import { spawn, spawnSync } from "node:child_process";
import { mkdirSync, rmdirSync } from "node:fs";
import { join } from "node:path";
import { buildDir } from "./cluster.js";
import { until } from "./wait.js";

const program = () => join(buildDir(), "tests", "hangfs");

/** Why there can be none here, or "". */
export function noHangFs(dir) {
  mkdirSync(dir, { recursive: true });
  const tried = spawnSync(program(), [dir], { input: "", encoding: "utf8" });
  rmdirSync(dir);
  return tried.status === 0 ? "" : `no file system of ours can be mounted: ${tried.stderr ?? tried.error}`;
}

export class HangFs {
  #said = "";

  /** Mounted on the existing directory DIR; nothing hangs yet. It ends with CLUSTER at the latest. */
  static async on(dir, cluster) {
    const fs = new HangFs();
    fs.child = spawn("setpriv", ["--pdeathsig", "TERM", program(), dir], { stdio: ["pipe", "pipe", "inherit"] });
    fs.child.stdout.on("data", (bytes) => {
      fs.#said += bytes;
    });
    fs.ended = new Promise((done) => {
      fs.child.once("exit", done);
    });
    await until("the file system", () => fs.#said === "ready\n");
    cluster.ending.push(() => fs.end());
    return fs;
  }

  /** From now on the operations NAMES are not answered. */
  async hang(...names) {
    this.#said = "";
    this.child.stdin.write(`${names.join(" ")}\n`);
    await until("the order to be taken", () => this.#said === "done\n");
  }

  /** End it; waiting calls get an error. */
  end() {
    this.child.stdin.end();
    return this.ended;
  }
}
