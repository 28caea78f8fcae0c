/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* A throw-away Redis Cluster with the settings of config/redis/redis.conf.
 *
 *   const redis = await Redis.up({ masters: 3, replicas: 0 });
 *   redis.addresses;                    // "127.0.0.1:PORT" of all nodes
 *   redis.cli(0, "GET", "x");           // on node 0
 *   redis.kill(0); await redis.start(0);
 *   await redis.down();
 *
 * Nodes end with this process, however that ends (prctl by setpriv). */

import assert from "node:assert/strict";
import { execFile, spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { ROOT, freezeProcess } from "./cluster.js";
import { freePort } from "./port.js";
import { until } from "./wait.js";

const run = promisify(execFile);
const PASSWORD = "test-password";
const SLOTS = 16384;

/* Debian has the server's program under the name of one of its modes, which selects that mode. */
async function program(dir) {
  const { stdout } = await run("sh", ["-c", "command -v redis-server || command -v redis-check-rdb"]);
  const here = join(dir, "redis-server");
  symlinkSync(stdout.trim(), here);
  return here;
}

export class Redis {
  nodes = []; /* { port, busPort, dir, process } */
  password = PASSWORD;

  /** MASTERS that share the slots, and REPLICAS of each; SETTINGS are lines for redis.conf. PROXIED: as redis_proxy.js
   * wants it. */
  static async up({ masters = 3, replicas = 0, settings = "", proxied = false } = {}) {
    const redis = new Redis();
    redis.dir = mkdtempSync(join(tmpdir(), "doushard-redis-"));
    redis.settings = settings;
    redis.program = await program(redis.dir);
    try {
      for (let i = 0; i < masters * (1 + replicas); i++) {
        redis.nodes.push({
          port: await freePort(),
          busPort: await freePort(),
          dir: join(redis.dir, String(i)),
          ...(proxied && { announced: await freePort() }),
        });
      }
      await Promise.all(redis.nodes.map((_, i) => redis.start(i)));
      await redis.#join(masters);
      return redis;
    } catch (error) {
      await redis.down();
      throw error;
    }
  }

  get addresses() {
    return this.nodes.map(({ port }) => `127.0.0.1:${port}`);
  }

  async start(i) {
    const node = this.nodes[i];
    mkdirSync(node.dir, { recursive: true });
    const conf = join(node.dir, "own.conf");
    writeFileSync(
      conf,
      `include ${join(ROOT, "config", "redis", "redis.conf")}\nport ${node.port}\ncluster-port ${node.busPort}\n` +
        (node.announced
          ? `cluster-announce-port ${node.announced}\ncluster-preferred-endpoint-type unknown-endpoint\n`
          : "") +
        `dir ${node.dir}\nrequirepass ${PASSWORD}\nmasterauth ${PASSWORD}\nlogfile ${join(node.dir, "log")}\n${this.settings}\n`,
    );
    node.process = spawn("setpriv", ["--pdeathsig", "KILL", this.program, conf], { stdio: "ignore" });
    node.ended = new Promise((done) => {
      node.process.on("close", done);
    });
    await until(`redis ${i} to answer`, async () => (await this.cli(i, "PING")) === "PONG");
  }

  /** The answer of node I to a command, as text, also if it is an error. */
  async cli(i, ...args) {
    const { stdout } = await run("redis-cli", ["-p", String(this.nodes[i].port), ...args.map(String)], {
      env: { ...process.env, REDISCLI_AUTH: PASSWORD },
      timeout: 60000,
    });
    return stdout.trimEnd();
  }

  async #join(masters) {
    for (let i = 0; i < masters; i++) {
      await this.cli(i, "CLUSTER", "SET-CONFIG-EPOCH", i + 1);
      await this.cli(
        i,
        "CLUSTER",
        "ADDSLOTSRANGE",
        Math.floor((SLOTS * i) / masters),
        Math.floor((SLOTS * (i + 1)) / masters) - 1,
      );
    }
    for (let i = 1; i < this.nodes.length; i++) {
      await this.cli(0, "CLUSTER", "MEET", "127.0.0.1", this.nodes[i].port, this.nodes[i].busPort);
    }
    await until("the nodes to know each other", async () => {
      const known = await Promise.all(
        this.nodes.map(async (_, i) => (await this.cli(i, "CLUSTER", "NODES")).split("\n").length),
      );
      return known.every((n) => n === this.nodes.length);
    });
    for (let i = masters; i < this.nodes.length; i++) {
      assert.equal(await this.cli(i, "CLUSTER", "REPLICATE", await this.cli(i % masters, "CLUSTER", "MYID")), "OK");
    }
    await this.settled();
    await until("the replicas to be in step", async () =>
      (await Promise.all(this.nodes.slice(masters).map((_, i) => this.cli(masters + i, "INFO", "replication")))).every(
        (text) => text.includes("master_link_status:up"),
      ),
    );
  }

  /** All running nodes report ok, and agree on the slots. */
  async settled() {
    await until("the cluster to be well", async () => {
      const living = this.nodes
        .map((node, i) => (node.process.exitCode === null && node.process.signalCode === null ? i : -1))
        .filter((i) => i >= 0);
      const states = await Promise.all(living.map((i) => this.cli(i, "CLUSTER", "INFO")));
      const views = await Promise.all(living.map((i) => this.cli(i, "CLUSTER", "SLOTS")));
      const ports = views.map((text) => text.match(/^\d+$/gm).join(" "));
      return states.every((text) => text.includes("cluster_state:ok")) && new Set(ports).size === 1;
    });
  }

  /** Move N slots from master FROM to master TO, while they are used. */
  async reshard(from, to, n) {
    await this.settled(); /* else redis-cli refuses */
    const id = (i) => this.cli(i, "CLUSTER", "MYID");
    const { stdout } = await run(
      "redis-cli",
      [
        "--cluster",
        "reshard",
        this.addresses[0],
        "--cluster-from",
        await id(from),
        "--cluster-to",
        await id(to),
        "--cluster-slots",
        String(n),
        "--cluster-yes",
        "--cluster-pipeline",
        "10",
      ],
      { env: { ...process.env, REDISCLI_AUTH: PASSWORD }, maxBuffer: 1 << 26, timeout: 300000 },
    );
    return stdout;
  }

  /** Which node has KEYS, according to the cluster. */
  async owners(keys) {
    const nodes = await this.cli(0, "CLUSTER", "SLOTS").then((text) => text.split("\n"));
    const ports = this.nodes.map(({ port }) => String(port));
    const ranges = [];
    for (let at = 0; at < nodes.length; at++) {
      if (ports.includes(nodes[at]) && /^\d+$/.test(nodes[at - 2]) && /^\d+$/.test(nodes[at - 3])) {
        ranges.push({ from: Number(nodes[at - 3]), to: Number(nodes[at - 2]), node: ports.indexOf(nodes[at]) });
      }
    }
    return Promise.all(
      keys.map(async (key) => {
        const slot = Number(await this.cli(0, "CLUSTER", "KEYSLOT", key));
        return ranges.find(({ from, to }) => slot >= from && slot <= to).node;
      }),
    );
  }

  /** The answer of node I as bytes; null for nothing. */
  async raw(i, ...args) {
    const { stdout } = await run("redis-cli", ["-p", String(this.nodes[i].port), ...args.map(String)], {
      env: { ...process.env, REDISCLI_AUTH: PASSWORD },
      encoding: "buffer",
      timeout: 60000,
    });
    return stdout.length <= 1 ? null : stdout.subarray(0, -1);
  }

  async kill(i) {
    this.nodes[i].process.kill("SIGKILL");
    await this.nodes[i].ended;
  }

  freeze(i) {
    return freezeProcess(this.nodes[i].process.pid);
  }

  thaw(i) {
    this.nodes[i].process.kill("SIGCONT");
  }

  /** At once, without waiting. */
  end() {
    for (const { process: child } of this.nodes) child?.kill("SIGKILL");
    rmSync(this.dir, { recursive: true, force: true });
  }

  async down() {
    await Promise.all(this.nodes.map((node, i) => (node.process ? this.kill(i) : null)));
    rmSync(this.dir, { recursive: true, force: true });
  }
}
