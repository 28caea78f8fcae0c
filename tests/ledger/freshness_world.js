/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Two servers with a cache, each with its own proxies to Redis, and the users and videos that the
 * freshness probe reads. */

import { cachedCluster, cachedServer, metrics, total } from "../lib/cached.js";
import { RedisProxies } from "../lib/redis_proxy.js";
import { plantVideos } from "../lib/rows.js";
import { parallel, until } from "../lib/wait.js";
import { probe, violations } from "./freshness.js";

/* By API.md 2.4 a comment is visible at once, from either server. Everything else is right at once
 * from the server that did it, and after a second from another one; after five seconds while writes
 * are lost or Redis is cut off. None of this depends on the machine's speed: a reader's clock starts
 * before the read, and the clock of what it reads after the commit. */
const CLOCK_MS = 10; /* the clocks of Redis and of the server tick in milliseconds */
export const WELL = { here: () => 0, there: (what) => (what === "comments" ? 0 : 1000 + CLOCK_MS) };
export const ILL = { here: () => 5000 + CLOCK_MS, there: () => 5000 + CLOCK_MS };

export class World {
  /** Shards, Redis, proxies, servers. TIMEOUT_MS: when Redis is down for them. */
  static async up({ timeoutMs = 300 } = {}) {
    const world = new World();
    world.cluster = await cachedCluster({}, { masters: 3, proxied: true });
    world.proxies = {
      here: await RedisProxies.up(world.cluster.redis, "127.0.0.2"),
      there: await RedisProxies.up(world.cluster.redis, "127.0.0.3"),
    };
    world.both = Object.values(world.proxies);
    for (const name of ["here", "there"]) {
      const options = {
        base_url: "http://videos.example",
        redis_timeout: `${timeoutMs}ms`,
        redis_nodes: world.proxies[name].addresses.join(","),
      };
      world[name] = await cachedServer(world.cluster, options);
    }
    return world;
  }

  async down() {
    for (const one of this.both) one.down();
    await this.cluster.down();
  }

  /** Both servers run this program from now on. */
  async serve(program) {
    for (const { server } of [this.here, this.there]) {
      await server.stop();
      server.program = program;
      await server.start();
    }
  }

  /** As many pairs as PACES_MS, of unused users and videos. */
  async makePairs(pacesMs) {
    const n = pacesMs.length;
    const users = await parallel(
      8,
      Array.from({ length: 3 * n }, () => () => this.here.register()),
    );
    const videos = await plantVideos(
      this.cluster,
      users.slice(n, 2 * n).map(({ id }, i) => ({ author: id, at: Date.now() - i })),
    );
    for (let i = 0; i < n; i++) await this.here.follow(users[i].token, users[2 * n + i].id);
    /* Planted videos were not written by a server, so nobody was told: the cached page of ids is
     * removed. */
    for (let i = 0; i < this.cluster.redis.nodes.length; i++) await this.cluster.redis.cli(i, "DEL", "ds:{0}:t");
    await until("the new videos to be shown", async () =>
      (
        await parallel(
          2,
          [this.here, this.there].map((api) => () => api.feed()),
        )
      ).every(({ video_list: list }) => videos.every(({ id }) => list.some((card) => card.id === id))),
    );
    return videos.map((video, i) => ({
      actor: users[i],
      target: users[n + i],
      kept: users[2 * n + i],
      video,
      paceMs: pacesMs[i],
    }));
  }

  /** Runs the probe; resolves to { results, lost, found }: found is what is beyond BOUNDS, or beyond
   * ILL if writes were lost and BOUNDS do not cover that. */
  async probe(pacesMs, bounds, { reads, isEager = false, isForLosses = false }) {
    const pairs = await this.makePairs(pacesMs);
    const lostOf = async () => total(await metrics(this.here), "doushard_cache_lost_total");
    const before = await lostOf();
    const results = await probe({
      writer: { url: this.here.baseUrl },
      readers: { here: { url: this.here.baseUrl }, there: { url: this.there.baseUrl } },
      pairs,
      reads,
      isOver: (so) => isEager && violations(so, bounds).length > 0,
    });
    /* Redis has 50 ms for a write: on a slower machine some are lost without a fault. */
    const lost = (await lostOf()) - before;
    return { results, lost, found: violations(results, lost > 0 && !isForLosses ? ILL : bounds) };
  }
}
