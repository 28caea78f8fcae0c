/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* The operator's program, as it was built. */

import { spawn } from "node:child_process";
import { join } from "node:path";
import { buildDir } from "./cluster.js";

export const SHARDCTL = join(buildDir(), "shardctl");

/** Run it with ARGS; OPTIONS: cwd, env. Resolves to { status, out, err }. */
export function shardctl(args, options = {}) {
  return new Promise((done, failed) => {
    const child = spawn(SHARDCTL, args.map(String), { ...options, stdio: ["ignore", "pipe", "pipe"], timeout: 60000 });
    let out = "";
    let err = "";
    child.stdout.on("data", (chunk) => {
      out += chunk;
    });
    child.stderr.on("data", (chunk) => {
      err += chunk;
    });
    child.on("error", failed);
    child.on("close", (status) => done({ status, out, err }));
  });
}
