/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Two servers with a cache, each with proxies of its own to Redis, and whom the probe of freshness looks at. */

import { cachedCluster, cachedServer, metrics, total } from "../lib/cached.js";
import { RedisProxies } from "../lib/redis_proxy.js";
import { plantVideos } from "../lib/rows.js";
import { parallel, until } from "../lib/wait.js";
import { probe, violations } from "./freshness.js";

/* By API.md 2.4 a comment is there at once, through whichever server. All else is right at once through the server that
 * did it, and after a second through another; five while writes are lost, or Redis is cut off. No speed of the machine
 * is in that: a reader's clock begins before anybody looks, and that of what it sees after the commit. */
const CLOCK_MS = 10; /* those of Redis and of the server tick in milliseconds */
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

  /** As many pairs as PACES_MS, of users and videos that nobody has touched. */
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
    /* What was planted was no write of a server, so that nobody was told: the page of ids goes. */
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

  /** Run the probe; resolves to { results, lost, found }: found is what is beyond BOUNDS, or ILL where writes were lost
   * and BOUNDS are not for that. */
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
    /* Redis has 50 ms for a write: on a machine that is slower than that, some are lost although nobody loses them. */
    const lost = (await lostOf()) - before;
    return { results, lost, found: violations(results, lost > 0 && !isForLosses ? ILL : bounds) };
  }
}
