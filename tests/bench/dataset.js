/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* The data set of the benchmarks: loading it (load.sql), and the ids and tokens that follow from the same numbers. */

import { createHash, createHmac } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { ROOT } from "../lib/cluster.js";
import { slotOfName } from "../lib/checks.js";
import { parallel } from "../lib/wait.js";

const EPOCH_MS = 1735689600000n; /* 2025-01-01 UTC */
const VIDEOS_PER_AUTHOR = 30;
const LOAD_TIMEOUT_MS = 900000;
/* Edges of the data set have versions below this one; edges that a load changes have versions above it. */
export const LOADED_VER = "((1 << 33) + 64)";

const part = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");

/** Users and videos of a data set, and the users' tokens. Numbers begin at 1. */
export class DataSet {
  constructor(users, videos, cluster, baseMs = BigInt(Date.now()) - EPOCH_MS - 7200000n) {
    this.users = users;
    this.videos = videos;
    this.cluster = cluster;
    this.baseMs = baseMs;
    const [kid, secret] = readFileSync(cluster.files.token_keys, "utf8").split("\n")[0].trim().split(/\s+/);
    this.head = part({ alg: "HS256", typ: "JWT", kid });
    this.secret = Buffer.from(secret, "hex");
    this.tokens = new Map();
  }

  #slot(i) {
    return BigInt(slotOfName(`bench${String(i).padStart(7, "0")}`));
  }

  userId(i) {
    const n = this.baseMs * 8n + BigInt(i);
    return (n / 8n) * 8192n + this.#slot(i) * 8n + (n % 8n);
  }

  videoId(j) {
    const author = ((j - 1) % Math.floor(this.videos / VIDEOS_PER_AUTHOR)) + 1;
    return (this.baseMs + 1000000n + BigInt(j) * 10n) * 8192n + this.#slot(author) * 8n;
  }

  /** When video J was published, ms since the Unix epoch. */
  publishedAt(j) {
    return this.videoId(j) / 8192n + EPOCH_MS;
  }

  /** The token that the service would have signed at the login of user I. */
  token(i) {
    const known = this.tokens.get(i) ?? this.#sign(i);
    this.tokens.set(i, known);
    return known;
  }

  #sign(i) {
    const now = Math.floor(Date.now() / 1000);
    const sid = createHash("md5").update(`session${i}`).digest("hex");
    const text = `${this.head}.${part({
      iss: "doushard",
      aud: "doushard-api",
      typ: "access",
      sub: String(this.userId(i)),
      sid,
      iat: now,
      exp: now + 86400,
    })}`;
    return `${text}.${createHmac("sha256", this.secret).update(text).digest("base64url")}`;
  }

  /** Numbers of the users with 30 videos. */
  authors() {
    return Array.from({ length: Math.floor(this.videos / VIDEOS_PER_AUTHOR) }, (_, k) => k + 1);
  }

  /** Numbers of users with 30 likes, over all shards. */
  collectors() {
    return Array.from({ length: Math.floor((this.users * 0.98) / 20) }, (_, k) => (k + 1) * 20);
  }

  /** Numbers of the users without likes or follows. */
  newcomers() {
    const n = Math.floor(this.users / 50);
    return Array.from({ length: n }, (_, k) => this.users - n + k + 1);
  }

  /** Load everything with the routines in FILE; resolves to {seconds, rows} with rows per table. */
  async load(file = join(ROOT, "tests", "bench", "load.sql")) {
    const text = readFileSync(file, "utf8");
    const begin = performance.now();
    const { shards } = this.cluster;
    await parallel(
      shards.length,
      shards.map(
        (shard) => () =>
          this.cluster.sql(
            shard,
            `${text}
      CALL bench_prepare(${this.users}, ${this.videos}, ${this.baseMs});
      CALL bench_load_users(${this.baseMs});
      CALL bench_load_videos(${this.baseMs});
      CALL bench_load_likes(${this.baseMs});
      CALL bench_load_follows(${this.baseMs});
      ANALYZE NO_WRITE_TO_BINLOG TABLE doushard.user, doushard.video, doushard.favorite,
        doushard.liker, doushard.follow, doushard.follower, doushard.session;`,
            { timeoutMs: LOAD_TIMEOUT_MS },
          ),
      ),
    );
    const seconds = (performance.now() - begin) / 1000;
    const rows = await this.cluster.rowCounts(["user", "video", "favorite", "liker", "follow", "follower", "session"]);
    return { seconds, rows };
  }

  /**
   * Compare all counters of some users, the most followed and liked ones included, with the rows; throws if one is wrong.
   * Resolves to the number of users.
   */
  async audit() {
    const some = [
      1,
      2,
      3,
      this.users,
      ...Array.from({ length: 16 }, (_, k) => 1 + k * Math.floor((this.users - 1) / 16)),
    ];
    const calls = [...new Set(some)].map((i) => `CALL user_audit(${this.userId(i)});`).join("\n");
    const found = (await this.cluster.sqlAll(calls)).filter((row) => row.fence === "owned");
    const bad = found.filter((row) => row.good !== 1);
    if (found.length === 0 || bad.length > 0)
      throw new Error(`the data set does not add up: ${JSON.stringify(bad.slice(0, 5))}`);
    return found.length;
  }
}
