/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* A small file, like a cover: sent by our server from the media directory, by nginx (if installed) from the same
 * directory, and by a bare libmicrohttpd from memory. */

import { spawn } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { freePort } from "../lib/port.js";
import { until } from "../lib/wait.js";
import { Script, bareTwin, byTurns, get, load } from "./run.js";

const CONNECTIONS = 64;
const BYTES = 8192;
const BODY = "0123456789abcdef".repeat(BYTES / 16);
const RANDOM = "0123456789abcdef0123456789abcdef"; /* the random part of its name */
const NAME = `${"0".repeat(14)}${RANDOM}.jpg`;
const LEAF = join(RANDOM.slice(0, 2), RANDOM.slice(2, 4)); /* its directory, below the media directory */

const plant = (dir) => {
  mkdirSync(join(dir, LEAF), { recursive: true });
  writeFileSync(join(dir, LEAF, NAME), BODY);
};

const nginxText = (dir, port, workers, ping) => `
  daemon off;
  user root;
  worker_processes ${workers};
  pid nginx.pid;
  error_log stderr;
  events { worker_connections 1024; }
  http {
    access_log off;
    sendfile on;
    tcp_nopush on;
    keepalive_requests 1000000000;
    default_type image/jpeg;
    client_body_temp_path tmp;
    proxy_temp_path tmp;
    fastcgi_temp_path tmp;
    uwsgi_temp_path tmp;
    scgi_temp_path tmp;
    server { listen 127.0.0.1:${port}; root ${dir}; add_header Cache-Control "public, max-age=31536000, immutable";
      location = /ping { default_type application/json; return 200 '${ping}'; } }
  }
`;

/** Starts nginx for the files in DIR, with one worker per core, like our loops; it answers /ping with PING. Undefined if
 * it is not installed. */
export async function nginxOf(bench, dir, ping = "{}") {
  const port = await freePort();
  const config = join(bench.dir, "nginx.conf");
  writeFileSync(config, nginxText(dir, port, bench.cores, ping));
  const child = spawn("nginx", ["-p", bench.dir, "-c", config], { stdio: ["ignore", "ignore", "inherit"] });
  const ended = new Promise((done) => {
    child.once("exit", done);
    child.once("error", done); /* not installed */
  });
  const isGone = () => child.pid === undefined || child.exitCode !== null;
  await until("an answer of nginx", async () => isGone() || (await get(`http://127.0.0.1:${port}/ping`)));
  if (isGone()) return undefined;
  const workers = readFileSync(`/proc/${child.pid}/task/${child.pid}/children`, "utf8").trim().split(" ").map(Number);
  const stop = () => {
    child.kill();
    return ended;
  };
  return { port, pids: [child.pid, ...workers], stop };
}

async function small(bench) {
  const dir = join(bench.dir, "media");
  plant(dir);
  const server = await bench.addServer({ media_dir: dir });
  const twin = await bareTwin(`${server.url}/static/${NAME}`, bench.cores);
  const nginx = await nginxOf(bench, dir);
  const ours = new Script(bench.dir, "file", [`GET /static/${NAME}`]);
  const theirs = new Script(bench.dir, "file-nginx", [`GET /${LEAF}/${NAME}`]);
  const common = { connections: bench.connections(CONNECTIONS), body: BODY };
  const sides = { server: () => bench.measure(server, { script: ours, ...common }) };
  if (nginx)
    sides.nginx = () =>
      load({ ...bench.window, ...common, script: theirs, port: nginx.port, cpu: { server: nginx.pids } });
  sides["bare libmicrohttpd, from memory"] = () =>
    load({ ...bench.window, ...common, script: ours, port: twin.port, cpu: { server: [twin.pid] } });
  if (bench.baseline) {
    plant(bench.baseline.mediaDir);
    sides.baseline = () => bench.measure(bench.baseline, { script: ours, ...common });
  }
  try {
    return {
      sides: await byTurns(bench.rounds, sides),
      note: `${BYTES} bytes${nginx ? "" : "; nginx is not installed"}`,
    };
  } finally {
    await Promise.all([twin.stop(), nginx?.stop(), server.stop()]);
  }
}

export const FILES = [
  { name: "file", what: "a small file, like a cover", unit: "requests/s", target: "none; see nginx", run: small },
];
