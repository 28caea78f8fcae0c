/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* What is done to a cluster while the clients of the ledger are at work: the table of faults, and
 * the nemesis that applies it. Each fault ends with the cluster whole again: killed processes are
 * started, frozen ones continued. */

import { readFileSync } from "node:fs";
import { setTimeout as pause } from "node:timers/promises";
import { slotOfId } from "../lib/checks.js";
import { TcpProxy } from "../lib/proxy.js";
import { until } from "../lib/wait.js";
import { randomFrom } from "./lib.js";

/** SIGKILL, and up again at once; WHENDOWN is called while it is down. */
export async function crashServer(server, whenDown = () => {}) {
  server.kill("SIGKILL");
  await server.exited;
  whenDown();
  await server.start({ ready: false });
}

/** SIGKILL, and up again after DOWN_MS; WHENDOWN is called while it is down. */
export async function crashShard(cluster, name, downMs, whenDown = () => {}) {
  await cluster.demo("kill", name);
  whenDown();
  await pause(downMs);
  await cluster.demo("start", name);
  cluster.readEndpoints();
}

/** Freezes a shard for STOPPED_MS: connections stay, and all answers are late. */
export async function freezeShard(cluster, name, stoppedMs) {
  await cluster.freeze(name);
  await pause(stoppedMs);
  cluster.thaw(name);
}

/** A shard that is read-only for READ_ONLY_MS. */
async function stopWrites(cluster, name, readOnlyMs) {
  await cluster.sql(name, "SET GLOBAL read_only = 1");
  await pause(readOnlyMs);
  await cluster.sql(name, "SET GLOBAL read_only = 0");
}

/** Fills the DISK of a shard for FULL_MS. */
async function fillDisk(disk, fullMs) {
  disk.fill();
  await pause(fullMs);
  return `${disk.name}${(await disk.empty()) ? ", which ended itself" : ""}`;
}

/* One CALL in ten through the proxies is not answered: the reply is lost, with or without the
 * connection, or the shard never gets the CALL. The server behind the proxies may be down: the first
 * fault waits for it. */
async function loseReplies({ proxies, random }, forMs) {
  for (const proxy of proxies)
    proxy.rule = (text) =>
      /^CALL/.test(text) && random(10) === 0 ? ["lose-reply", "hang-reply", "cut"][random(3)] : undefined;
  await pause(forMs);
  await until("a CALL to be left without an answer", () =>
    proxies.some(({ applied }) => Object.keys(applied).length > 0),
  );
  for (const proxy of proxies) proxy.rule = null;
}

/* Moves a slot that is being written, and may cancel the move or roll it back, at any time and by
 * any mover. */
async function askForMove({ traffic }) {
  return until("a slot that can be moved", () => traffic.ask().catch(() => false));
}

const anyOf = (list, random) => list[random(list.length)];

/**
 * THE table of faults. In each lane one is at work at a time: `perMinute` times in every minute of a run, once at
 * least. strike(scene) may resolve to a word about what it did. SCENE: {cluster, random, proxies, disk, movers, traffic}.
 */
export const FAULTS = [
  {
    name: "server killed",
    perMinute: 10,
    strike: async ({ cluster, random }) => {
      const server = anyOf(cluster.servers, random);
      await crashServer(server);
      return server.name;
    },
  },
  {
    name: "shard killed",
    perMinute: 4,
    strike: async ({ cluster, random }) => {
      const { name } = anyOf(cluster.shards, random);
      await crashShard(cluster, name, 500 + random(1500));
      return name;
    },
  },
  {
    name: "shard frozen",
    perMinute: 4,
    strike: async ({ cluster, random }) => {
      const { name } = anyOf(cluster.shards, random);
      await freezeShard(cluster, name, 200 + random(4000));
      return name;
    },
  },
  {
    name: "shard read-only",
    perMinute: 4,
    strike: async ({ cluster, random }) => {
      const { name } = anyOf(cluster.shards, random);
      await stopWrites(cluster, name, 200 + random(2000));
      return name;
    },
  },
  {
    name: "disk full",
    perMinute: 2,
    needsDisk: true,
    strike: ({ disk, random }) => fillDisk(disk, 500 + random(1500)),
  },
  {
    name: "redis killed",
    perMinute: 6,
    strike: async ({ cluster: { redis }, random }) => {
      const node = random(redis.nodes.length);
      await redis.kill(node);
      await pause(random(2000));
      await redis.start(node);
      return `node ${node}`;
    },
  },
  {
    name: "redis frozen",
    perMinute: 6,
    strike: async ({ cluster: { redis }, random }) => {
      const node = random(redis.nodes.length);
      await redis.freeze(node);
      await pause(200 + random(3000));
      redis.thaw(node);
      return `node ${node}`;
    },
  },
  {
    name: "redis emptied",
    perMinute: 4,
    strike: async ({ cluster: { redis }, random }) => {
      const node = random(redis.nodes.length);
      await redis.cli(node, "FLUSHALL").catch(() => {}); /* a replica refuses */
      return `node ${node}`;
    },
  },
  { name: "replies lost", perMinute: 6, strike: (scene) => loseReplies(scene, 1000) },
  { name: "slot moved", perMinute: 60, lane: "moves", strike: askForMove },
  {
    name: "mover killed",
    perMinute: 10,
    lane: "movers",
    strike: ({ movers, random }) => movers.kill(random(movers.list.length)),
  },
  {
    name: "mover frozen",
    perMinute: 6,
    lane: "movers",
    strike: async ({ movers, random }) => {
      const ms = 500 + random(6000);
      await movers.freeze(random(movers.list.length), ms);
      return `for ${ms} ms`;
    },
  },
];

/** A proxy in front of each shard, and the topology of a server that uses them: {proxies,
 * topology_file}. */
export async function proxiesOf(cluster) {
  const proxies = await Promise.all(cluster.shards.map(({ port }) => TcpProxy.start({ port })));
  for (const proxy of proxies) proxy.remembers = false;
  const ports = Object.fromEntries(cluster.shards.map(({ name }, i) => [name, proxies[i].port]));
  return { proxies, topology_file: cluster.topology(ports) };
}

/* The slots with the most to lose: those of the first users and videos of a WORLD, which get most
 * requests. */
export const busySlots = (world) => {
  const ids = (kind) =>
    [...readFileSync(world, "utf8").matchAll(new RegExp(`^${kind} (\\d+)`, "gm"))].map(([, id]) => Number(id));
  return [...new Set([...ids("user").slice(0, 40), ...ids("video").slice(0, 20)].map(slotOfId))];
};

/* One of each first, so that even a slow machine applies them all; then in any order. */
function planOf(faults, seconds, random) {
  const shuffle = (list) =>
    list
      .map((fault) => ({ fault, key: random(1 << 30) }))
      .sort((a, b) => a.key - b.key)
      .map(({ fault }) => fault);
  const further = (fault) => Array.from({ length: Math.round((fault.perMinute * seconds) / 60) - 1 }, () => fault);
  return [...shuffle(faults), ...shuffle(faults.flatMap(further))];
}

/** Goes through the table for SECONDS, each lane by itself. Resolves to what was done: {at
 * (seconds), name, what}. A machine that is too slow for all of it does at least one of each. */
export async function nemesis(cluster, { seconds, seed, proxies = [], disk, movers, traffic, faults = FAULTS }) {
  const begin = performance.now();
  const at = () => (performance.now() - begin) / 1000;
  const done = [];
  const lanes = [...new Set(faults.map(({ lane }) => lane))];
  await Promise.all(
    lanes.map(async (lane, k) => {
      const scene = { cluster, proxies, disk, movers, traffic, random: randomFrom(seed + k) };
      const own = faults.filter((fault) => fault.lane === lane);
      const plan = planOf(own, seconds, scene.random);
      for (const [i, { name, strike }] of plan.entries()) {
        if (i >= own.length && at() > seconds) break;
        await pause(Math.max(0, (((i + 0.5) * seconds) / plan.length - at()) * 1000));
        const begun = at();
        done.push({ at: begun, name, what: (await strike(scene)) ?? "" });
      }
    }),
  );
  return done;
}
