/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* The client of Redis Cluster on its own (integration/test_rcluster.c), as an object. */

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { buildDir } from "./cluster.js";

/** Longer than any awaited answer takes. */
export const LONG_MS = 60000;

export class RClient {
  #process;
  #waiting = [];

  /** NODES: addresses, or objects that have one. */
  constructor(nodes, { password = "", user = "", ca = "", timeoutMs = LONG_MS } = {}) {
    this.#process = spawn(
      join(buildDir(), "tests", "test_rcluster"),
      nodes.map((node) => node.address ?? node),
      {
        stdio: ["pipe", "pipe", "pipe"],
        env: {
          ...process.env,
          TEST_REDIS_PASSWORD: password,
          TEST_REDIS_USER: user,
          TEST_REDIS_CA: ca,
          TEST_REDIS_TIMEOUT_MS: String(timeoutMs),
        },
      },
    );
    this.errors = "";
    this.#process.stderr.on("data", (text) => {
      this.errors += text;
    });
    createInterface({ input: this.#process.stdout }).on("line", (line) =>
      this.#waiting.shift()?.done(JSON.parse(line)),
    );
    this.ended = new Promise((done) => {
      this.#process.on("close", (code, signal) => {
        this.#waiting.forEach(({ failed }) => failed(new Error(`it ended with ${code ?? signal}:\n${this.errors}`)));
        done(code ?? signal);
      });
    });
  }

  say(line) {
    return new Promise((done, failed) => {
      this.#waiting.push({ done, failed });
      this.#process.stdin.write(`${line}\n`);
    });
  }

  /** Statuses and replies of COMMANDS (texts), each as "status" or "status reply". */
  async run(commands, { ms = LONG_MS } = {}) {
    const answers = await this.say(`run ${ms} ${[commands].flat().join(" | ")}`);
    return answers.map(({ status, reply }) => (reply === false ? status : `${status} ${reply}`));
  }

  state() {
    return this.say("state");
  }

  kill() {
    this.#process.kill("SIGKILL");
  }

  async stop() {
    this.#process.stdin.end();
    assert.equal(await this.ended, 0, this.errors);
  }
}
