/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* How long a server takes to search a media directory for files that no row names, and how much CPU. On a second
 * cluster, whose users and videos are only rows, and whose files are links to empty ones. */

import { createHash } from "node:crypto";
import { linkSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Cluster } from "../lib/cluster.js";
import { until } from "../lib/wait.js";
import { figure } from "./run.js";

const FILES = Number(process.env.BENCH_FILES || (process.env.BENCH_QUICK ? 40_000 : 1_000_000));
const SLOTS = 1024;
const PER_SLOT = Math.ceil(FILES / 2 / SLOTS); /* videos, with two files each */
const PER_AUTHOR = 25;
const LINKS_MAX = 60_000; /* to one file */
const TICKS = 100; /* per second: the unit of /proc/PID/stat */
const LONGEST_MS = 3_600_000;

const hex = (text) => createHash("md5").update(text).digest("hex");

/** Inserts the rows: on each shard those of its slots. Names are made of slot and number, as in plantFiles(). */
const plantRows = (cluster) =>
  cluster.sqlAll(
    `
  INSERT INTO user (slot, user_id, name, password_hash, created_at, op)
    SELECT f.slot, (1 + s.seq) * 8192 + f.slot * 8, CONCAT('author', f.slot, '.', s.seq), 'none', 1, UNHEX(MD5(CONCAT(f.slot, '.', s.seq)))
      FROM slot_fence AS f JOIN seq_0_to_${Math.floor(PER_SLOT / PER_AUTHOR)} AS s WHERE f.state = 'owned';
  INSERT INTO video (slot, video_id, author_id, title, media, sha256, size_bytes, duration_ms, width, height, published_at, op)
    SELECT f.slot, (1000000 + s.seq) * 8192 + f.slot * 8, (1 + s.seq DIV ${PER_AUTHOR}) * 8192 + f.slot * 8, 'a title',
           CONCAT(LPAD(LOWER(HEX((1 + s.seq DIV ${PER_AUTHOR}) * 8192 + f.slot * 8)), 14, '0'), MD5(CONCAT(f.slot, '.', s.seq))),
           REPEAT('0', 32), 1, 1, 1, 1, 1735689601000 + s.seq, UNHEX(MD5(CONCAT(f.slot, '.', s.seq)))
      FROM slot_fence AS f JOIN seq_0_to_${PER_SLOT - 1} AS s WHERE f.state = 'owned';
  ANALYZE NO_WRITE_TO_BINLOG TABLE user, video`,
    { timeoutMs: LONGEST_MS },
  );

/** Makes the files of these rows; returns how many. */
function plantFiles(dir) {
  const made = new Set();
  let n = 0;
  for (let slot = 0; slot < SLOTS; slot++)
    for (let seq = 0; seq < PER_SLOT; seq++) {
      const random = hex(`${slot}.${seq}`);
      const author = (1 + Math.floor(seq / PER_AUTHOR)) * 8192 + slot * 8;
      const leaf = join(dir, random.slice(0, 2), random.slice(2, 4));
      if (!made.has(leaf)) {
        mkdirSync(leaf, { recursive: true });
        made.add(leaf);
      }
      for (const ending of ["mp4", "jpg"]) {
        const first = join(dir, `empty${Math.floor(n / LINKS_MAX)}`);
        if (n % LINKS_MAX === 0) writeFileSync(first, "");
        linkSync(first, join(leaf, `${author.toString(16).padStart(14, "0")}${random}.${ending}`));
        n += 1;
      }
    }
  return n;
}

const cpuSeconds = (pids) =>
  pids.reduce((sum, pid) => {
    const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1].split(" ");
    return sum + (Number(fields[11]) + Number(fields[12])) / TICKS;
  }, 0);

async function looked(bench) {
  const cluster = await Cluster.up({ shards: bench.cluster.shards.length, server: false });
  const dir = join(cluster.dir, "many");
  try {
    await plantRows(cluster);
    mkdirSync(dir);
    const n = plantFiles(dir);
    const server = await cluster.addServer({ media_dir: dir, job_poll: "2s" });
    await server.start();
    const begin = performance.now();
    const api = cluster.apiOf(server);
    const before = cpuSeconds(cluster.shards.map(({ pid }) => pid));
    await until("the search", async () => (await api.metric("doushard_sweeps_total")) === 1, {
      everyMs: 500,
      timeoutMs: LONGEST_MS,
    });
    const seconds = (performance.now() - begin) / 1000;
    const cpu = {
      server: cpuSeconds([server.pid]),
      MariaDB: cpuSeconds(cluster.shards.map(({ pid }) => pid)) - before,
    };
    const count = (name) => api.metric(`doushard_${name}_total`);
    const [files, pages, removed, unsure] = [
      await count("sweep_files"),
      await count("sweep_pages"),
      await count("orphans_removed"),
      await count("sweep_unsure"),
    ];
    if (files !== n || removed > 0 || unsure > 0)
      throw new Error(`${files} of ${n} files looked at, ${removed} removed, ${unsure} left alone`);
    return {
      sides: { "one search": { value: figure([files / seconds]) } },
      note:
        `${files.toLocaleString("en-US")} files in ${seconds.toFixed(0)} s, ${pages} pages; CPU of the server ${cpu.server.toFixed(1)} s, ` +
        `of MariaDB ${cpu.MariaDB.toFixed(1)} s, with its start and the idle shards: ${((100 * (cpu.server + cpu.MariaDB)) / seconds).toFixed(0)} % of one processor`,
    };
  } finally {
    await cluster.down({ last: false });
    rmSync(dir, { recursive: true, force: true });
  }
}

export const ORPHANS = [
  {
    name: "orphans",
    what: `search of ${FILES.toLocaleString("en-US")} files for those that no row names`,
    unit: "files/s",
    target: "1,000,000 in 10 minutes",
    run: looked,
  },
];
