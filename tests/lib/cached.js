/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* A cluster with a Redis Cluster, and servers that use it. */

import { chmodSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Cluster } from "./cluster.js";
import { Redis } from "./redis.js";
import { until } from "./wait.js";

/** Shards and Redis, without a server. OPTIONS as of Cluster.up(), REDIS as of Redis.up(). */
export async function cachedCluster(options = {}, redis = {}) {
  const cluster = await Cluster.up({ shards: 2, ...options, server: false });
  cluster.redis = await Redis.up(redis);
  const password = join(cluster.dir, "redis.password");
  writeFileSync(password, `${cluster.redis.password}\n`);
  chmodSync(password, 0o600);
  cluster.cacheOptions = {
    redis_nodes: cluster.redis.addresses.join(","),
    redis_password_file: password,
    cache_local: "64M",
  };
  cluster.ending.push(() => cluster.redis.end());
  return cluster;
}

/** Start a server of CLUSTER with the cache and OPTIONS; resolves to its client. */
export async function cachedServer(cluster, options = {}) {
  const server = await (await cluster.addServer({ ...cluster.cacheOptions, ...options })).start();
  const api = cluster.apiOf(server);
  cluster.server ??= server;
  cluster.api ??= api;
  api.server = server;
  return api;
}

/** The metrics of the server behind API, as an object: name{labels} to number. */
export async function metrics(api) {
  const text = (await api.send("GET", "/metrics", { admin: true })).body.toString();
  return Object.fromEntries(
    text
      .split("\n")
      .filter((line) => line && !line.startsWith("#"))
      .map((line) => {
        const at = line.lastIndexOf(" ");
        return [line.slice(0, at), Number(line.slice(at + 1))];
      }),
  );
}

/** The sum of the metric NAME over all its labels. */
export const total = (values, name) =>
  Object.entries(values).reduce(
    (sum, [key, value]) => sum + (key === name || key.startsWith(`${name}{`) ? value : 0),
    0,
  );

/** How many CALLs the server behind API sent while ACTION ran. */
export async function callsOf(api, action) {
  const before = total(await metrics(api), "doushard_shard_calls_total");
  const result = await action();
  return { calls: total(await metrics(api), "doushard_shard_calls_total") - before, result };
}

/** How many CALLs the request of ANSWER took, by its access line: { calls, session }. */
export async function costOf(api, answer) {
  const line = new RegExp(` req=${answer.headers["x-request-id"]} .*\\bcalls=(\\d+) session_calls=(\\d+)`);
  const [, calls, session] = await until("the access line", () => line.exec(api.server.logText()));
  return { calls: Number(calls), session: Number(session) };
}
