/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* make bench: starts a cluster, loads a data set, and measures every figure beside its yardstick (see README.md).
 * Prints the figures, and fails only if an answer was wrong or rows are missing. */

import { execFileSync } from "node:child_process";
import { chmodSync, cpSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { availableParallelism, cpus } from "node:os";
import { join } from "node:path";
import { Cluster, ROOT, Server, program, serverEnvironment } from "../lib/cluster.js";
import { freePort } from "../lib/port.js";
import { DataSet } from "./dataset.js";
import { svgOf } from "./plot.js";
import { machineText, rowText } from "./report.js";
import { ROWS, onServer } from "./rows.js";
import { probe } from "./run.js";

/* Defaults of what the environment may set (BENCH_USERS ..); small and short with BENCH_QUICK. */
const PRESETS = process.env.BENCH_QUICK
  ? { USERS: 5000, VIDEOS: 900, SHARDS: 4, ROUNDS: 2, SECONDS: 1, WARM_UP: 0.5 }
  : { USERS: 100000, VIDEOS: 10000, SHARDS: 4, ROUNDS: 5, SECONDS: 4, WARM_UP: 1 };

const number = (name) => {
  const value = Number(process.env[`BENCH_${name}`] || PRESETS[name]);
  if (!(value > 0)) throw new Error(`BENCH_${name} must be a number above 0`);
  return value;
};

const pattern = (text) => new RegExp(`^${text.replace(/[.+^${}()|[\]\\]/g, "\\$&").replaceAll("*", ".*")}$`);

const wanted = process.env.BENCH_ONLY || "*";
const rows = ROWS.filter(({ name }) => wanted.split(/[ ,]+/).some((p) => pattern(p).test(name)));
const dir = process.env.BENCH_DIR || join(ROOT, "var", "bench");

/* The default, or more if BENCH_CONNECTIONS needs more; with room, since the server's loops do not get equal shares. */
function connectionsMax() {
  return Math.max(10000, Math.ceil(Number(process.env.BENCH_CONNECTIONS || 0) * 1.2));
}

/* The server's defaults, where the clusters of the tests have other values. */
const SERVER = { job_poll: "2s", scrypt_ln: 15, scrypt_p: 3, scrypt_queue_max: 32, connections_max: connectionsMax() };

/* More settings of the databases, separated by semicolons: BENCH_SHARD_OPTIONS="log_bin = binlog". */
const shardOptions = { DOUSHARD_SHARD_OPTIONS: (process.env.BENCH_SHARD_OPTIONS || "").replaceAll(";", "\n") };

async function began(server) {
  await server.start();
  return {
    port: server.options.listen_port,
    adminUrl: server.adminUrl,
    pid: server.pid,
    url: server.url,
    stop: () => server.stop(),
    /** Ends it as a crash would, and starts it again. */
    crash: async () => {
      server.kill("SIGKILL");
      await server.exited;
      await server.start();
    },
  };
}

const addServer = async (cluster, options = {}) => began(await cluster.addServer({ ...SERVER, ...options }));

const DURABILITY = [
  "version",
  "innodb_flush_log_at_trx_commit",
  "sync_binlog",
  "log_bin",
  "innodb_doublewrite",
  "innodb_flush_method",
  "innodb_buffer_pool_size",
  "innodb_log_file_size",
];

/** Time to write and flush one record on the disk of the shards: every durable write waits at least so long. */
async function commitTime(cluster) {
  const run = await probe("disk", { cluster, warmUp: 0.2, window: 1, dir: cluster.dir });
  const { p50_us: p50, p99_us: p99 } = run.windows[0].latency;
  return `median ${Math.round(p50)} us, p99 ${Math.round(p99)} us (512 bytes and fdatasync)`;
}

async function describe(cluster) {
  const settings = await cluster.sql(
    "shard1",
    `SHOW GLOBAL VARIABLES WHERE variable_name IN
    (${DURABILITY.map((name) => `'${name}'`).join(", ")})`,
  );
  return {
    at: new Date().toISOString(),
    program: execFileSync(program(), ["--version"], { encoding: "utf8", env: serverEnvironment() }).trim(),
    processor: `${availableParallelism()} x ${cpus()[0].model}`,
    kernel: readFileSync("/proc/sys/kernel/osrelease", "utf8").trim(),
    shards: cluster.shards.length,
    commit: await commitTime(cluster),
    settings: Object.fromEntries(settings.map(({ Variable_name, Value }) => [Variable_name, Value])),
  };
}

/** Share of CPU time in use over one second, before anything is measured. */
async function busyShare() {
  const read = () => readFileSync("/proc/stat", "utf8").split("\n")[0].split(/\s+/).slice(1, 9).map(Number);
  const before = read();
  await new Promise((done) => {
    setTimeout(done, 1000);
  });
  const spent = read().map((v, i) => v - before[i]);
  const all = spent.reduce((a, b) => a + b, 0);
  return all > 0 ? 1 - (spent[3] + spent[4]) / all : 0;
}

/**
 * A cluster and server of the version that is built in CHECKOUT, with the same data: reads are compared with it. The
 * server gets only options that every version has, and accepts our tokens.
 */
async function addBaseline(bench, checkout) {
  const { data } = bench;
  const cluster = await Cluster.up({ shards: bench.cluster.shards.length, server: false, checkout, env: shardOptions });
  const own = new DataSet(data.users, data.videos, cluster, data.baseMs);
  await own.load(process.env.BENCH_BASELINE_LOAD);
  const path = (what) => {
    mkdirSync(join(cluster.dir, what));
    return join(cluster.dir, what);
  };
  const server = new Server(cluster, "baseline", {
    listen_host: "127.0.0.1",
    listen_port: await freePort(),
    admin_port: await freePort(),
    media_dir: path("media-b"),
    upload_dir: path("upload-b"),
    token_keys_file: bench.cluster.files.token_keys,
  });
  server.program = join(checkout, "build", "doushard");
  server.url = `http://127.0.0.1:${server.options.listen_port}`;
  server.adminUrl = `http://127.0.0.1:${server.options.admin_port}`;
  cluster.servers.push(server);
  return {
    ...(await began(server)),
    cluster,
    mediaDir: server.options.media_dir,
    down: () => cluster.down({ last: false }),
  };
}

/** A second cluster with the same data, and a server like the first one's: for rows that add something to it. */
async function addTwin(bench) {
  const { data } = bench;
  const cluster = await Cluster.up({ shards: bench.cluster.shards.length, server: false, env: shardOptions });
  const down = () => cluster.down({ last: false });
  try {
    await new DataSet(data.users, data.videos, cluster, data.baseMs).load();
    const server = await addServer(cluster, { token_keys_file: bench.cluster.files.token_keys });
    return { ...server, cluster, down };
  } catch (error) {
    await down();
    throw error;
  }
}

async function makeBench(cluster, data) {
  const bench = {
    cluster,
    data,
    dir: join(dir, "work"),
    cores: availableParallelism(),
    rounds: number("ROUNDS"),
    window: { warmUp: number("WARM_UP"), window: number("SECONDS"), windows: 1 },
    server: await addServer(cluster),
    /** Processes whose CPU time counts in a run: those of SERVER and MariaDB; without SERVER those of MariaDB. */
    cpu: (server) => ({
      ...(server && { server: [server.pid] }),
      MariaDB: (server?.cluster ?? cluster).shards.map(({ pid }) => pid),
    }),
    /* BENCH_CONNECTIONS or PRESET, but at most one per line of SCRIPT. */
    connections: (preset, script) =>
      Math.min(Number(process.env.BENCH_CONNECTIONS || preset), script?.lines.length ?? Infinity),
    addServer: (options) => addServer(cluster, options),
    addTwin: () => addTwin(bench),
    measure: (server, options) => onServer(bench, server, options),
  };
  mkdirSync(bench.dir, { recursive: true });
  const options = execFileSync(program(), ["--print-config", `--config=${cluster.config}`], {
    encoding: "utf8",
    env: serverEnvironment(),
  });
  if (process.env.BENCH_BASELINE) bench.baseline = await addBaseline(bench, process.env.BENCH_BASELINE);
  bench.batches = /\bdb_batch_max\b/.test(options);
  return bench;
}

async function runRow(bench, row) {
  const { run, ...about } = row;
  const begin = performance.now();
  const result = await run(bench).catch((error) => ({ error: error.message, sides: {} }));
  const done = { ...about, ...result, seconds: (performance.now() - begin) / 1000 };
  console.log(`\n${rowText(done)}`);
  return done;
}

function save(result) {
  mkdirSync(dir, { recursive: true });
  const path = join(dir, "result.json");
  if (existsSync(path)) cpSync(path, join(dir, "previous.json"));
  writeFileSync(path, `${JSON.stringify(result, null, 1)}\n`);
  writeFileSync(join(dir, "result.txt"), [machineText(result.machine), ...result.rows.map(rowText), ""].join("\n\n"));
  for (const row of result.rows) writeFileSync(join(dir, `${row.name}.svg`), svgOf(row));
  console.log(`\nresult: ${path}; next to it result.txt and a chart of each row`);
}

async function main() {
  if (rows.length === 0)
    throw new Error(`no row is named ${wanted}; there are ${ROWS.map(({ name }) => name).join(" ")}`);
  const tmp = join(dir, "tmp");
  rmSync(tmp, { recursive: true, force: true });
  mkdirSync(tmp, { recursive: true });
  chmodSync(tmp, 0o777); /* the databases run under another account */
  process.env.TMPDIR = tmp;
  const busy = await busyShare();
  const cluster = await Cluster.up({ shards: number("SHARDS"), server: false, env: shardOptions });
  let failed = false;
  let bench;
  try {
    const machine = await describe(cluster);
    machine.busy_before = `${Math.round(100 * busy)} %`;
    if (busy > 0.1) machine.warning = "something else runs on this machine: it could reach better figures";
    const data = new DataSet(number("USERS"), number("VIDEOS"), cluster);
    const loaded = await data.load();
    machine.data = {
      users: data.users,
      videos: data.videos,
      load_s: Number(loaded.seconds.toFixed(1)),
      rows: loaded.rows,
      counters_audited: await data.audit(),
    };
    console.log(machineText(machine));
    bench = await makeBench(cluster, data);
    const done = [];
    for (const row of rows) done.push(await runRow(bench, row));
    save({ machine, rows: done });
    failed = done.some(({ error }) => error);
  } finally {
    await bench?.baseline?.down();
    await cluster.down();
    rmSync(tmp, { recursive: true, force: true });
  }
  process.exitCode = failed ? 1 : 0;
}

await main();
