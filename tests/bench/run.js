/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Runs the load generator and the yardsticks, and summarises their windows. */

import { spawn } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import http from "node:http";
import { join } from "node:path";
import { buildDir } from "../lib/cluster.js";

const STATES_MAGIC = 0x6473626e63683031n;
const GENERATOR_GRACE_MS = 60000;

const tool = (name) => join(buildDir(), "tests", name);

/** Run one of our programs to its end; resolves to its output, rejects unless its exit status is 0. */
export function output(name, args, timeoutMs) {
  return new Promise((done, failed) => {
    const child = spawn(tool(name), args, { stdio: ["ignore", "pipe", "pipe"], timeout: timeoutMs });
    const out = [];
    const err = [];
    child.stdout.on("data", (chunk) => out.push(chunk));
    child.stderr.on("data", (chunk) => err.push(chunk));
    child.on("error", failed);
    child.on("close", (code, signal) => {
      const text = Buffer.concat(out).toString("utf8");
      if (code === 0) done(text);
      else failed(new Error(`${name} ended with ${code ?? signal}: ${Buffer.concat(err)}${text.slice(0, 2000)}`));
    });
  });
}

/** Start one of our programs, which runs until stop(); `line` is the first line of its output. */
export function background(name, args) {
  const child = spawn(tool(name), args, { stdio: ["pipe", "pipe", "inherit"] });
  const ended = new Promise((done) => {
    child.once("exit", done);
  });
  const stop = () => {
    child.stdin.end();
    return ended;
  };
  return new Promise((done, failed) => {
    let text = "";
    child.once("error", failed);
    child.once("exit", (code) => failed(new Error(`${name} ended with ${code}`)));
    child.stdout.on("data", (chunk) => {
      text += chunk;
      if (text.includes("\n")) done({ line: text.split("\n")[0], pid: child.pid, stop });
    });
  });
}

/** Header fields and body of one answer. */
export function get(url) {
  return new Promise((done, failed) => {
    http
      .get(url, { agent: false }, (res) => {
        const chunks = [];
        res.on("data", (chunk) => chunks.push(chunk));
        res.on("end", () => done({ fields: res.rawHeaders, body: Buffer.concat(chunks).toString("utf8") }));
      })
      .on("error", failed);
  });
}

/** Start the bare libmicrohttpd with THREADS loops; it sends the answer that URL gives. */
export async function bareTwin(url, threads) {
  const { fields, body } = await get(url);
  const own = /^(date|connection|content-length)$/i; /* the library writes these itself */
  const kept = [];
  for (let i = 0; i < fields.length; i += 2) if (!own.test(fields[i])) kept.push(fields[i], fields[i + 1]);
  const twin = await background("barehttp", [String(threads), body, ...kept]);
  return { port: Number(twin.line), pid: twin.pid, stop: twin.stop, body };
}

/** A script for the generator, written below DIR: request lines, and which switches are on. */
export class Script {
  constructor(dir, name, lines, on = () => false) {
    this.lines = lines;
    this.path = join(dir, `${name}.script`);
    this.states = join(dir, `${name}.states`);
    writeFileSync(this.path, `${lines.join("\n")}\n`);
    const head = Buffer.alloc(24);
    head.writeBigUInt64LE(STATES_MAGIC, 0);
    head.writeBigUInt64LE(BigInt(lines.length), 8);
    writeFileSync(this.states, Buffer.concat([head, Buffer.from(lines.map((_, i) => (on(i) ? 1 : 0)))]));
  }
}

/**
 * One run of the generator. OPTIONS: port, script, connections, and those of rate, warmUp, window, windows, body, array
 * and cpu ({name: [pid]}) that are not the default; LOSSY: some requests may get no answer. Resolves to its JSON.
 */
export async function load({ port, script, cpu = {}, lossy = false, ...options }) {
  const names = {
    connections: "connections",
    threads: "threads",
    rate: "rate",
    warmUp: "warm-up",
    window: "window",
    windows: "windows",
    body: "body",
    array: "array",
  };
  const args = [`--port=${port}`, `--script=${script.path}`, `--states=${script.states}`];
  for (const [key, flag] of Object.entries(names))
    if (options[key] !== undefined) args.push(`--${flag}=${options[key]}`);
  for (const [name, pids] of Object.entries(cpu)) args.push(`--cpu=${name}=${pids.join(",")}`);
  const seconds = (options.warmUp ?? 1) + (options.window ?? 5) * (options.windows ?? 1);
  const result = JSON.parse(await output("benchload", args, seconds * 1000 + GENERATOR_GRACE_MS));
  if (result.lost > 0 && !lossy) throw new Error(`${result.lost} requests were never answered`);
  return result;
}

/**
 * One run of a yardstick without HTTP (probe.h). OPTIONS: cluster, and those of warmUp, window, owners (a file), dir and
 * cpu that it needs. Resolves to JSON like that of load().
 */
export async function probe(name, { cluster, warmUp, window, owners, dir, cpu = {} }) {
  const { files, shards } = cluster;
  const args = [
    name,
    `--warm-up=${warmUp}`,
    `--window=${window}`,
    `--defaults-file=${files.root_cnf}`,
    `--password-file=${files.app_password}`,
    ...shards.map((shard) => `--shard=${shard.name}=${shard.socket}`),
  ];
  if (owners) args.push(`--owners=${owners}`);
  if (dir) args.push(`--dir=${dir}`);
  for (const [group, pids] of Object.entries(cpu)) args.push(`--cpu=${group}=${pids.join(",")}`);
  return JSON.parse(await output("benchprobe", args, (warmUp + window) * 1000 + GENERATOR_GRACE_MS));
}

/** Resident memory of a process, in MB. */
export const residentMb = (pid) =>
  Number(/^Rss:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, "utf8"))[1]) / 1024;

/** Quantile Q of VALUES, by linear interpolation. */
export function quantile(values, q) {
  const sorted = [...values].sort((a, b) => a - b);
  const at = (sorted.length - 1) * q;
  const low = Math.floor(at);
  return sorted[low] + (at - low) * ((sorted[low + 1] ?? sorted[low]) - sorted[low]);
}

export const median = (values) => quantile(values, 0.5);

/** A figure from repeated measurements: {median, low, high, samples}; low and high are the quartiles. */
export function figure(samples) {
  return { median: median(samples), low: quantile(samples, 0.25), high: quantile(samples, 0.75), samples };
}

/* CALLs of the server and bytes of the shards per right answer, if they were counted. */
const costPerRequest = (runs) =>
  runs[0].calls === undefined
    ? {}
    : {
        calls: figure(runs.map((run) => run.calls / Math.max(1, run.right))),
        db_bytes: figure(runs.map((run) => run.db_bytes / Math.max(1, run.right))),
      };

/** The figures of several runs, over all of their windows. */
export function summary(runs) {
  const windows = runs.flatMap((run) => run.windows);
  const per = (name) => figure(windows.map((w) => (w.cpu_s[name] * 1e6) / Math.max(1, w.answered)));
  const sum = (name) => runs.reduce((n, run) => n + run[name], 0);
  const latency = (name) => figure(windows.map((w) => w.latency[name] / 1000));
  return {
    per_s: figure(windows.map((w) => w.per_s)),
    p50_ms: latency("p50_us"),
    p99_ms: latency("p99_us"),
    p999_ms: latency("p999_us"),
    max_ms: latency("max_us"),
    cpu_us: Object.fromEntries(Object.keys(windows[0].cpu_s).map((name) => [name, per(name)])),
    changed: sum("changed"),
    right: sum("right"),
    refused: sum("refused"),
    refusal: Math.max(...runs.map(({ refusal }) => refusal ?? 0)),
    connections: runs[0].connections,
    rate: runs[0].rate,
    ...costPerRequest(runs),
    curve: runs[0].curve,
  };
}

/**
 * Measure several sides in turn, so that other load on the machine affects all of them:
 * SIDES is {name: () => run}; resolves to {name: summary} over ROUNDS rounds.
 */
export async function byTurns(rounds, sides) {
  const runs = Object.fromEntries(Object.keys(sides).map((name) => [name, []]));
  for (let round = 0; round < rounds; round++)
    for (const [name, run] of Object.entries(sides)) runs[name].push(await run());
  return Object.fromEntries(Object.entries(runs).map(([name, all]) => [name, summary(all)]));
}
