/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* A log that nobody reads, or a disk that hangs, stops only what needs it. */

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import {
  closeSync,
  constants,
  mkdirSync,
  openSync,
  readSync,
  readdirSync,
  renameSync,
  unlinkSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { after, test } from "node:test";
import { CODE, multipart, uniqueName } from "../lib/api.js";
import { Cluster, UPLOADS, statusOf } from "../lib/cluster.js";
import { HangFs, noHangFs } from "../lib/hangfs.js";
import * as media from "../lib/media.js";
import { RawConnection } from "../lib/raw.js";
import { until } from "../lib/wait.js";

const cluster = await Cluster.up({ options: UPLOADS });
after(() => cluster.down());
const { api } = cluster;
const author = await api.register();
assert.equal((await api.publish(author.token, media.clipOfSize(900000), "there")).status_code, CODE.OK);
const [{ id: videoId }] = (await api.list({ user_id: author.id })).video_list;

/* What must go on whatever happens to logs and disks: reads, writes, logins, and the operator's
 * requests. */
async function goesOn(of, server) {
  assert.equal((await of.feed()).status_code, CODE.OK);
  assert.equal((await of.like(author.token, videoId)).status_code, CODE.OK);
  assert.equal((await of.like(author.token, videoId, 2)).status_code, CODE.OK);
  assert.equal((await of.login(author.name, author.password)).status_code, CODE.OK);
  assert.equal(await statusOf(`${server.adminUrl}/livez`), 200);
  assert.equal(await statusOf(`${server.adminUrl}/readyz`), 200);
  assert.ok((await of.metric("doushard_uploads_running")) >= 0);
}

test("a log pipe that nobody reads costs log lines, which are counted, and no requests", async () => {
  const server = await cluster.addServer();
  execFileSync("mkfifo", [server.log]);
  const reader = openSync(server.log, constants.O_RDWR | constants.O_NONBLOCK);
  await server.start();
  const of = cluster.apiOf(server);
  const lost = () => of.metric("doushard_log_lines_lost_total");
  const chunk = Array.from({ length: 200 }, () => 0);
  await until("the pipe and all that is kept beside it to be full", async () => {
    await Promise.all(chunk.map(() => of.get("/ping")));
    return (await lost()) > 0;
  });
  await goesOn(of, server);
  /* Somebody reads again: lines arrive, and the loss is reported. */
  let text = "";
  const bytes = Buffer.alloc(1 << 16);
  await until("the log to say what is missing", () => {
    try {
      text += bytes.toString("utf8", 0, readSync(reader, bytes));
    } catch (error) {
      assert.equal(error.code, "EAGAIN");
    }
    return / warn log_lines_lost lines=\d+/.test(text);
  });
  /* And nobody again, while the server ends. */
  for (const size of [4096, 1])
    assert.throws(
      () => {
        for (;;) writeSync(reader, Buffer.alloc(size));
      },
      { code: "EAGAIN" },
      "a full pipe",
    );
  server.log = join(cluster.dir, "read.log");
  assert.equal((await server.stop()).code, 0);
  closeSync(reader);
});

test("access lines can be left out", async () => {
  const server = await (await cluster.addServer({ access_log: "off" })).start();
  const of = cluster.apiOf(server);
  await goesOn(of, server);
  assert.equal((await server.stop()).code, 0);
  assert.ok(!server.logText().includes(" access "));
  assert.ok(server.logText().includes(" info serving "), "all other lines are logged");
});

/* A request for PATHNAME. */
async function beginDownload(server, pathname) {
  const connection = await RawConnection.open(server.options.listen_port);
  await connection.send(`GET ${pathname} HTTP/1.1\r\nHost: x\r\n\r\n`);
  return connection;
}

/* The path of the author's film, and its file. */
async function filmOf(server) {
  const { video_list } = await api.list({ user_id: author.id });
  const { pathname } = new URL(video_list[0].play_url, server.url);
  const names = readdirSync(server.options.media_dir, { recursive: true });
  return {
    pathname,
    file: join(
      server.options.media_dir,
      names.find((name) => name.endsWith(".mp4")),
    ),
  };
}

test("a film that cannot be read is unavailable, and not unknown", async () => {
  const { server } = cluster;
  const { pathname, file } = await filmOf(server);
  const answer = async () => (await (await beginDownload(server, pathname)).answers(1))[0];
  renameSync(dirname(file), `${dirname(file)}.away`);
  writeFileSync(dirname(file), ""); /* it cannot be opened as a directory */
  const failed = await answer();
  assert.equal(failed.status, 200);
  assert.equal(failed.headers["cache-control"], "no-store");
  assert.equal(JSON.parse(failed.body).status_code, CODE.UNAVAILABLE);
  assert.match(server.logText(), / error static_open_failed .*file="\w+\.mp4" error="Not a directory"/);
  unlinkSync(dirname(file));
  assert.equal((await answer()).status, 404);
  renameSync(`${dirname(file)}.away`, dirname(file));
  assert.equal((await answer()).body.length, 900000);
});

const skip = noHangFs(join(cluster.dir, "tried")) || false;

/* Begins to send a film of SIZE bytes. */
async function beginUpload(server, size) {
  const { body, type } = multipart([
    ["token", author.token],
    ["title", uniqueName("t")],
    { name: "data", filename: "x.mp4", data: media.clipOfSize(size) },
  ]);
  const connection = await RawConnection.open(server.options.listen_port);
  await connection.send(
    `POST /douyin/publish/action/ HTTP/1.1\r\nHost: x\r\nContent-Type: ${type}\r\nContent-Length: ${body.length}\r\n\r\n`,
  );
  connection.send(body); /* it is read to its end only if the disk works */
  return connection;
}

test("a hanging disk of uploads stops uploads and nothing else", { skip }, async () => {
  const dir = join(cluster.dir, "hanging-uploads");
  mkdirSync(dir);
  const fs = await HangFs.on(dir, cluster);
  const server = await (
    await cluster.addServer({ ...UPLOADS, upload_dir: dir, http_threads: 1, media_min_free: 0 })
  ).start();
  const of = cluster.apiOf(server);
  await fs.hang("write", "statfs", "unlink", "flush");
  const held = [];
  for (let i = 0; i < 4; i++) held.push(await beginUpload(server, 2 << 20));
  await until("four uploads to wait for the disk", async () => (await of.metric("doushard_uploads_running")) === 4);
  for (let i = 0; i < 3; i++) await goesOn(of, server);
  await until("nobody to know how much is free", async () => (await of.metric("doushard_media_free_bytes")) === 0);
  assert.equal((await of.publish(author.token, media.uniqueClip(), "no room")).status_code, CODE.UNAVAILABLE);
  held[0].reset();
  await goesOn(of, server);
  await fs.end();
  for (const connection of held.slice(1))
    assert.equal(JSON.parse((await connection.answers(1))[0].body).status_code, CODE.UNAVAILABLE);
  await until("no upload to run", async () => (await of.metric("doushard_uploads_running")) === 0);
  await goesOn(of, server);
  assert.equal((await server.stop()).code, 0);
});

/* Makes a file of SIZE bytes on a HangFs. */
function makeFile(path, size) {
  const fd = openSync(path, "wx");
  writeSync(fd, "x", size - 1);
  closeSync(fd);
}

/* Bytes FIRST to LAST of any file on a HangFs. */
const bytesOf = (first, last) =>
  Buffer.from(Array.from({ length: last - first + 1 }, (_, i) => ((first + i) >> 12) % 251));

test("while a disk hangs, SIGHUP reloads and SIGTERM ends the server", { skip }, async () => {
  const dir = join(cluster.dir, "hanging-at-the-end");
  mkdirSync(dir);
  const fs = await HangFs.on(dir, cluster);
  const server = await (await cluster.addServer({ ...UPLOADS, upload_dir: dir, drain_timeout: "0" })).start();
  const of = cluster.apiOf(server);
  await fs.hang("getattr", "statfs");
  await until("nobody to know how much is free", async () => (await of.metric("doushard_media_free_bytes")) === 0);
  server.kill("SIGHUP");
  await until("the reload to end", () => / info config_reloaded /.test(server.logText()));
  await goesOn(of, server);
  assert.equal((await server.stop()).code, 0);
  assert.match(server.logText(), / warn stop_timeout /);
  await fs.end();
});

test("a hanging disk of films stops films and nothing else", { skip }, async () => {
  const server = await (await cluster.addServer({ ...UPLOADS, http_threads: 1, workers_max: 8 })).start();
  const of = cluster.apiOf(server);
  const { pathname, file } = await filmOf(server);
  const fs = await HangFs.on(dirname(file), cluster);
  makeFile(file, 64 << 20);
  const { body } = await of.fetch(new URL(pathname, server.url).href, { headers: { Range: "bytes=100000-400000" } });
  assert.ok(body.equals(bytesOf(100000, 400000)), "what another thread reads for the loop");
  const download = await beginDownload(server, pathname);
  await until("the download to begin", () => download.received.length > 0);
  download.socket.pause();
  await fs.hang("lookup", "flush");
  const held = [];
  await until("8 to occupy the threads, 8 to wait, and others to be refused", async () => {
    const waiting = held.filter((connection) => connection.received.length === 0).length;
    const isFull = waiting === 16 && held.length > 16;
    if (!isFull && waiting <= 16) held.push(await beginDownload(server, pathname));
    return isFull;
  });
  for (let i = 0; i < 3; i++) await goesOn(of, server);
  assert.ok(
    held.every((connection) => !connection.received.includes("video/mp4")),
    "nobody to get the film",
  );
  download.reset(); /* its file must be closed, which hangs */
  for (let i = 0; i < 3; i++) await goesOn(of, server);
  await fs.end();
  for (const connection of held)
    assert.equal((await connection.answers(1))[0].status, 200); /* the film, or "busy", or "unavailable" */
  await goesOn(of, server);
  assert.equal((await of.fetch(new URL(pathname, server.url).href)).body.length, 900000);
  assert.equal((await server.stop()).code, 0);
});
