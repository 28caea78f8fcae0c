/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Real clusters for tests: shards started by scripts/demo in a directory of their own, and servers
 * with whatever options a test wants. Everything ends with the test process, however that ends. */

import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import {
  chmodSync,
  closeSync,
  existsSync,
  fstatSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  readSync,
  readdirSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import http from "node:http";
import { tmpdir } from "node:os";
import { basename, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { Api } from "./api.js";
import { Contract } from "./contract.js";
import { freePort } from "./port.js";
import { sessionAs, sql } from "./sql.js";
import { PATIENCE_MS, parallel, until } from "./wait.js";

export const ROOT = fileURLToPath(new URL("../..", import.meta.url)).replace(/\/$/, "");

/** Another service to test instead, as the environment names it. */
export const BASE_URL = process.env.BASE_URL || "";

export const buildDir = () => resolve(ROOT, process.env.DOUSHARD_BUILD_DIR || "build");
export const program = () => join(buildDir(), "doushard");

/** A sanitizer slows the server down by about this. */
export const slowdown = () => (/address|thread|undefined/.test(basename(buildDir())) ? 3 : 1);

/** No rate limits: tests are quicker than people. */
export const NO_RATES = Object.fromEntries(
  [
    "favorite_per_min",
    "relation_per_min",
    "comment_per_min",
    "message_per_min",
    "publish_per_hour",
    "profile_per_hour",
    "register_per_hour",
    "login_per_min",
  ].map((name) => [`rate_${name}`, 0]),
);

/** Options of a server for uploads. Other servers have no media programs: a server runs each of them
 * at its start, and printing its version takes a tenth of a second. */
export const UPLOADS = { ffmpeg_path: "/usr/bin/ffmpeg", ffprobe_path: "/usr/bin/ffprobe" };

const LOG_BYTES_MAX = 128 << 20;

/* Tables that servers write in the background. */
const OWN_TABLES = new Set([
  "relay_lease",
  "purge_pass",
  "shard_health",
  "shard_beat",
  "shard_known",
  "slot_load",
  "owner_load",
]);

const TROUBLE = /(ERROR|WARNING): (Address|Leak|Thread)Sanitizer|runtime error:|Assertion .* failed|CHECK failed/;

/** The part of a program's log with a sanitizer's report or a failed assertion; "" when there is none. */
export function troubleIn(log) {
  const at = log.search(TROUBLE);
  return at < 0 ? "" : log.slice(Math.max(0, at - 200)).slice(0, 4000);
}

/** HTTP status of a URL, 0 when nobody answers. */
export function statusOf(url, timeoutMs = 20000) {
  return new Promise((done) => {
    const req = http.get(url, { agent: false, timeout: timeoutMs }, (res) => {
      res.resume();
      res.on("end", () => done(res.statusCode));
      res.on("error", () => done(0));
    });
    req.on("timeout", () => req.destroy());
    req.on("error", () => done(0));
  });
}

/** Our environment without DOUSHARD_*, all of which are options to a server. */
export const serverEnvironment = () =>
  Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith("DOUSHARD_")));

const flagName = (option) => `--${option.replaceAll("_", "-")}`;

/** Stop process PID with all of its threads; SIGCONT ends that. */
export async function freezeProcess(pid) {
  const tasks = `/proc/${pid}/task`;
  process.kill(pid, "SIGSTOP"); /* each thread stops when it is next scheduled */
  const isStopped = (task) => /\) T [^)]*$/.test(readFileSync(join(tasks, task, "stat"), "utf8"));
  await until(`${pid} to stop`, () => readdirSync(tasks).every(isStopped), { everyMs: 1 });
}

/** One server process of a cluster. */
export class Server {
  constructor(cluster, name, options) {
    this.cluster = cluster;
    this.name = name;
    this.options = options;
    this.log = join(cluster.dir, `${name}.test.log`);
    this.program = program(); /* a test may give it another */
  }

  get pid() {
    return this.child.pid;
  }

  get running() {
    return this.child !== undefined && this.child.exitCode === null && this.child.signalCode === null;
  }

  arguments() {
    const flags = Object.entries(this.options)
      .filter(([, v]) => v !== undefined)
      .map(([k, v]) => `${flagName(k)}=${v}`);
    return [`--config=${this.cluster.config}`, ...flags];
  }

  /** Start the process; resolves once /readyz says yes, or /livez with {ready: false}. */
  async start({ ready = true, env = {}, wrapper = [], timeoutMs = PATIENCE_MS } = {}) {
    const log = openSync(this.log, "a");
    /* The kernel ends the server if this process dies before it can. */
    const command = ["setpriv", "--pdeathsig", "KILL", ...wrapper, this.program, ...this.arguments()];
    this.child = spawn(command[0], command.slice(1), {
      stdio: ["ignore", log, log],
      env: { ...serverEnvironment(), ...env },
      cwd: ROOT,
    });
    closeSync(log);
    this.exited = new Promise((done) => {
      this.child.once("exit", (code, signal) => done({ code, signal }));
      this.child.once("error", (error) => done({ code: -1, signal: error.message }));
    });
    const url = `${this.adminUrl}/${ready ? "readyz" : "livez"}`;
    await until(`${this.name} at ${url}`, async () => !this.running || (await statusOf(url)) === 200, {
      timeoutMs,
      everyMs: 50,
    }).catch((error) => {
      throw new Error(`${error.message}\n${this.complaints()}`);
    });
    if (!this.running) throw new Error(`${this.name} has ended:\n${this.complaints()}`);
    return this;
  }

  /** The end of the log without its access lines. */
  complaints() {
    return this.logText()
      .split("\n")
      .filter((line) => !line.includes(" access "))
      .join("\n")
      .slice(-3000);
  }

  /** Its output; only the end if it is too long for a string. */
  logText() {
    if (!existsSync(this.log)) return "";
    const file = openSync(this.log, "r");
    const { size } = fstatSync(file);
    const text = Buffer.alloc(Math.min(size, LOG_BYTES_MAX));
    const n = readSync(file, text, 0, text.length, size - text.length);
    closeSync(file);
    return text.toString("utf8", 0, n);
  }

  /** The log with all lines up to now: lines come a little later than answers. Needs log_level info. */
  async wholeLog() {
    const id = (await fetch(`${this.adminUrl}/livez`)).headers.get("x-request-id");
    await until("the log", () => this.logText().includes(` req=${id} `));
    return this.logText();
  }

  /** Asks it to exit; resolves to {code, signal}. */
  async stop(timeoutMs = PATIENCE_MS) {
    if (this.running) this.child.kill("SIGTERM");
    const timer = setTimeout(() => this.child.kill("SIGKILL"), timeoutMs);
    const how = await this.exited;
    clearTimeout(timer);
    return how;
  }

  kill(signal = "SIGKILL") {
    this.child.kill(signal);
  }
}

export class Cluster {
  servers = [];
  /** Functions that clean up what a test has added, after all shards have ended. */
  ending = [];
  contract = new Contract();
  /** scripts/demo of the version that the cluster runs. */
  script = join(ROOT, "scripts", "demo");
  #apis = [];
  #columns;

  /**
   * Start a cluster: SHARDS shards and, unless {server: false}, one server with OPTIONS. ENV is what
   * scripts/demo sees besides. With BASE_URL in the environment and {remote: true} this is only a
   * client of that service, and `local` is false. CHECKOUT: of another version, whose scripts/demo is run.
   */
  static async up({ shards = 2, server = true, options = {}, env = {}, remote = false, checkout = ROOT } = {}) {
    const cluster = new Cluster();
    cluster.script = join(checkout, "scripts", "demo");
    if (remote && BASE_URL) {
      cluster.local = false;
      cluster.api = cluster.#client(BASE_URL, process.env.ADMIN_URL);
      return cluster;
    }
    cluster.local = true;
    cluster.dir = mkdtempSync(join(tmpdir(), "doushard-test-"));
    chmodSync(cluster.dir, 0o755); /* the databases run under another account */
    cluster.env = {
      ...process.env,
      DOUSHARD_VAR: cluster.dir,
      DOUSHARD_SHARDS: String(shards),
      DOUSHARD_BUILD_DIR: buildDir(),
      ...env,
    };
    delete cluster.env.NODE_TEST_CONTEXT;
    cluster.#guard();
    try {
      await cluster.demo("up", "--no-build", "--no-seed", "--no-server", "--no-redis");
      cluster.readEndpoints();
      cluster.#writeConfig();
      if (server) {
        cluster.server = await cluster.addServer(options).then((s) => s.start());
        cluster.api = cluster.apiOf(cluster.server);
      }
    } catch (error) {
      await cluster.down().catch(() => {});
      throw error;
    }
    return cluster;
  }

  /* A separate process waits for the end of ours and then cleans up; more than once, because an interrupted
   * start may still be making files. */
  #guard() {
    const script =
      'cat >/dev/null; n=0; while [ "$n" -lt 5 ] && [ -e "$2" ]; do "$1" down >/dev/null 2>&1; ' +
      'umount --lazy "$2"/shard* 2>/dev/null; ' +
      'rm -rf -- "$2"; n=$((n + 1)); sleep 1; done';
    this.guard = spawn("sh", ["-c", script, "guard", this.script, this.dir], {
      stdio: ["pipe", "ignore", "ignore"],
      detached: true,
      env: this.env,
      cwd: ROOT,
    });
    this.guard.unref();
    this.guard.stdin.unref?.();
  }

  /** Run scripts/demo with ARGS on this cluster; resolves to what it printed. */
  demo(...args) {
    return new Promise((done, failed) => {
      const child = spawn("setpriv", ["--pdeathsig", "TERM", this.script, ...args], {
        stdio: ["ignore", "pipe", "pipe"],
        env: this.env,
        cwd: ROOT,
      });
      const out = [];
      child.stdout.on("data", (chunk) => out.push(chunk));
      child.stderr.on("data", (chunk) => out.push(chunk));
      child.on("error", failed);
      child.on("exit", (code) => {
        const text = Buffer.concat(out).toString("utf8");
        if (code === 0) done(text);
        else failed(new Error(`demo ${args.join(" ")} ended with ${code}:\n${text.slice(-3000)}`));
      });
    });
  }

  readEndpoints() {
    this.endpoints = JSON.parse(readFileSync(join(this.dir, "endpoints.json"), "utf8"));
    this.shards = this.endpoints.shards;
    this.files = this.endpoints.files;
  }

  /* What all servers of this cluster share; the rest is flags. */
  #writeConfig() {
    const text = (value) => JSON.stringify(value);
    this.config = join(this.dir, "test.conf");
    writeFileSync(
      this.config,
      [
        `topology_file = ${text(this.files.topology)};`,
        `token_keys_file = ${text(this.files.token_keys)};`,
        `db_password_file = ${text(this.files.app_password)};`,
        "",
      ].join("\n"),
    );
  }

  shard(name) {
    const found = this.shards.find((s) => s.name === name);
    assert.ok(found, `no shard ${name}`);
    return found;
  }

  shardPid(name) {
    this.readEndpoints();
    return this.shard(name).pid;
  }

  /** Stop shard NAME: connections stay, and no answers come. */
  freeze(name) {
    return freezeProcess(this.shardPid(name));
  }

  thaw(name) {
    process.kill(this.shardPid(name), "SIGCONT");
  }

  /** Prepare one more server with OPTIONS over those of the cluster; start() starts it. */
  async addServer(options = {}) {
    const name = `server${this.servers.length + 1}`;
    const own = (what) => {
      const path = join(this.dir, `test-${what}`);
      mkdirSync(path, { recursive: true });
      return path;
    };
    const server = new Server(this, name, {
      listen_host: "127.0.0.1",
      listen_port: await freePort(),
      admin_port: await freePort(),
      media_dir: own("media"),
      upload_dir: own("upload"),
      base_url: "",
      pid_file: "",
      scrypt_ln: 10,
      scrypt_p: 1,
      scrypt_queue_max: 128 /* tests begin many logins at once */,
      job_poll: "500ms",
      media_min_free: "16M",
      db_min_free: 0,
      ...NO_RATES,
      cache_local: 0 /* only if a test asks for it: most change shards without the server */,
      ffmpeg_path: "/usr/bin/true",
      ffprobe_path: "/usr/bin/true",
      ...options,
    });
    server.url = `http://127.0.0.1:${server.options.listen_port}`;
    server.adminUrl = `http://127.0.0.1:${server.options.admin_port}`;
    if (options.base_url === undefined) server.options.base_url = server.url;
    this.servers.push(server);
    return server;
  }

  apiOf(server) {
    return this.#client(server.url, server.adminUrl);
  }

  #client(url, adminUrl) {
    const api = new Api(url, { adminUrl, contract: this.contract, timeoutMs: 20000 * slowdown() });
    this.#apis.push(api);
    return api;
  }

  /** Run SQL as root on one shard ("shard1", or its entry). */
  sql(shard, text, options) {
    return sql(this.files.root_cnf, typeof shard === "string" ? this.shard(shard) : shard, text, options);
  }

  /** A session of root on one shard; who opens it ends it. */
  session(shard) {
    return sessionAs(this.files.root_cnf, typeof shard === "string" ? this.shard(shard) : shard);
  }

  /** Run SQL as root on all shards; rows get a column `shard`. */
  async sqlAll(text, options) {
    const lists = await parallel(
      this.shards.length,
      this.shards.map(
        (shard) => async () => (await this.sql(shard, text, options)).map((row) => ({ shard: shard.name, ...row })),
      ),
    );
    return lists.flat();
  }

  /** The names of all tables, or of those that have the column HAVING; every shard has the same. */
  async tables(having) {
    this.#columns ??= await this.sql(
      this.shards[0],
      `SELECT c.table_name AS t, c.column_name AS c
        FROM information_schema.columns AS c JOIN information_schema.tables USING (table_schema, table_name)
       WHERE c.table_schema = 'doushard' AND table_type = 'BASE TABLE' ORDER BY 1`,
    );
    return [...new Set(this.#columns.filter(({ c }) => having === undefined || c === having).map(({ t }) => t))];
  }

  /**
   * Number of rows of each table, or of some, over all shards, as an object. Tables that a server writes in
   * the background are left out unless they are named.
   */
  async rowCounts(tables) {
    const names = tables ?? (await this.tables()).filter((name) => !OWN_TABLES.has(name));
    const text = names.map((t) => `SELECT '${t}' AS t, COUNT(*) AS n FROM \`${t}\``).join(" UNION ALL ");
    const counts = Object.fromEntries(names.map((t) => [t, 0]));
    for (const { t, n } of await this.sqlAll(text)) counts[t] += n;
    return counts;
  }

  /** A topology file that reaches shard NAME through port PORTS[NAME]; returns its path. */
  topology(ports, { without = [], exempt = "" } = {}) {
    const entries = this.shards
      .filter(({ name }) => !without.includes(name))
      .map(
        ({ name, port }) =>
          `  { name = "${name}"; host = "127.0.0.1"; port = ${ports[name] ?? port};${name === exempt ? " durability_exempt = true;" : ""} }`,
      );
    const path = join(this.dir, `topology-${[...Object.values(ports), ...without, exempt].join("-")}.conf`);
    writeFileSync(path, `servers = (\n${entries.join(",\n")}\n);\n`);
    return path;
  }

  /** Files below a directory, relative to it. */
  static filesIn(dir) {
    return existsSync(dir)
      ? readdirSync(dir, { recursive: true, withFileTypes: true })
          .filter((entry) => entry.isFile())
          .map((entry) => join(entry.parentPath ?? entry.path, entry.name))
      : [];
  }

  mediaFiles() {
    return Cluster.filesIn(this.server.options.media_dir);
  }

  uploadFiles() {
    return Cluster.filesIn(this.server.options.upload_dir);
  }

  /**
   * End everything. Fails when a server did not end well or a sanitizer spoke. {last: false}: this
   * process goes on with another cluster.
   */
  async down({ last = true } = {}) {
    for (const api of this.#apis) api.close();
    if (!this.local) return;
    const complaints = [];
    for (const server of this.servers.filter((s) => s.child)) {
      const expected = !server.running;
      const how = await server.stop();
      if (!expected && how.code !== 0) complaints.push(`${server.name} ended with ${JSON.stringify(how)}`);
      const trouble = troubleIn(server.logText());
      if (trouble) complaints.push(`${server.name}: ${trouble}`);
    }
    spawnSync(this.script, ["down"], { env: this.env, cwd: ROOT, timeout: PATIENCE_MS });
    for (const end of this.ending) end();
    /* A killed shard logs nothing; one that crashed by itself logs where. */
    for (const { name } of this.shards) {
      const log = join(this.dir, "log", `${name}.log`);
      const text = existsSync(log) ? readFileSync(log, "utf8") : "";
      const fall = text.search(/\bgot signal \d+/);
      if (fall >= 0) complaints.push(`${name}: ${text.slice(fall, fall + 4000)}`);
    }
    if (process.env.DOUSHARD_TEST_KEEP) console.log(`kept: ${this.dir}`);
    else rmSync(this.dir, { recursive: true, force: true });
    this.guard.stdin.destroy();
    /* A socket or timer left open by a failed test must not keep this process alive. */
    if (last)
      setTimeout(() => {
        console.error(`still open: ${process.getActiveResourcesInfo().join(" ")}`);
        process.exit(1);
      }, 30000).unref();
    assert.deepEqual(complaints, []);
  }
}
