/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Strangers who announce much, send slowly or come in crowds do not keep others from uploading. */

import assert from "node:assert/strict";
import { after, test } from "node:test";
import { CODE, multipart, uniqueName } from "../lib/api.js";
import { Cluster, UPLOADS } from "../lib/cluster.js";
import * as media from "../lib/media.js";
import { RawConnection } from "../lib/raw.js";
import { until } from "../lib/wait.js";

const MEGABYTE = 1 << 20;
const STEP = 4 * MEGABYTE; /* how much room a stranger gets at a time */
const ACTION = "/douyin/publish/action/";
const cluster = await Cluster.up({ remote: false, options: { ...UPLOADS, trusted_proxies: "127.0.0.1" } });
after(() => cluster.down());
const { api } = cluster;
const author = await api.register();

/** Begins a publish of LENGTH bytes and sends the first SENT bytes of its file; resolves to the
 * connection. */
async function begin({
  port = cluster.server.options.listen_port,
  length = 256 * MEGABYTE,
  sent = 1000,
  from,
  token,
  path = ACTION,
  name = "data",
} = {}) {
  const { body, type } = multipart([{ name, filename: "x.mp4", data: media.clipOfSize(Math.max(sent, 40000)) }]);
  const connection = await RawConnection.open(port);
  await connection.send(
    `POST ${path} HTTP/1.1\r\nHost: x\r\nContent-Type: ${type}\r\nContent-Length: ${length}\r\n` +
      (from ? `X-Forwarded-For: ${from}\r\n` : "") +
      (token ? `Authorization: Bearer ${token}\r\n` : "") +
      "\r\n",
  );
  await connection.send(body.subarray(0, 200 + sent));
  return connection;
}
const codeOf = async (connection) => JSON.parse((await connection.answers(1))[0].body).status_code;
const running = (of = api) => of.metric("doushard_uploads_running");
const reserved = (of = api) => of.metric("doushard_uploads_reserved_bytes");
const quiet = () => until("no upload to run", async () => (await running()) === 0 && (await reserved()) === 0);

/* An upload with the token behind the file, as clients send it, and one with the token before it. */
async function uploads(user = author, from = "198.51.100.99", of = api) {
  const file = { name: "data", filename: "x.mp4", data: media.uniqueClip() };
  const title = () => ["title", uniqueName("t")];
  const send = async (parts) =>
    (await of.send("POST", ACTION, { multipart: parts, headers: { "X-Forwarded-For": from } })).json.status_code;
  return {
    behind: await send([file, title(), ["token", user.token]]),
    before: await send([["token", user.token], title(), file]),
  };
}

test("32 uploads of 256 MiB each get room only for what was sent, and others upload meanwhile", async () => {
  const held = [];
  for (let i = 0; i < 32; i++) held.push(await begin({ from: `198.51.100.${i % 2}` }));
  await until("32 uploads, or those that may", async () => (await running()) >= 16);
  const bytes = await reserved();
  assert.ok(bytes < 33 * STEP, `${bytes}: room for one step each, not for the announced length`);
  assert.equal((await uploads()).before, CODE.OK, "with the token first");
  for (const connection of held) connection.reset();
  await quiet();
});

test("64 slow uploads from one address occupy only its places; others upload meanwhile, token first or last", async () => {
  const held = [];
  for (let i = 0; i < 64; i++) held.push(await begin({ from: "198.51.100.7", sent: 500 }));
  const refused = await until("48 of them to be refused", () => {
    const answered = held.filter((connection) => connection.received.length > 0);
    return answered.length >= 48 && answered;
  });
  assert.deepEqual(new Set(await Promise.all(refused.map(codeOf))), new Set([CODE.BUSY]));
  assert.equal(await running(), 16);
  assert.deepEqual(await uploads(), { behind: CODE.OK, before: CODE.OK });
  assert.equal((await uploads(author, "198.51.100.7")).before, CODE.OK, "from the same address, with the token first");
  for (const connection of held) connection.reset();
  await quiet();
});

test("an IPv6 network of 64 bits is one address", async () => {
  const held = [];
  for (let i = 0; i < 16; i++) held.push(await begin({ from: `2001:db8::${i.toString(16)}` }));
  await until("all places of the network to be taken", async () => (await running()) === 16);
  held.push(await begin({ from: "2001:db8::ffff" }));
  assert.equal(await codeOf(held[16]), CODE.BUSY);
  assert.equal((await uploads(author, "2001:db8:0:1::1")).behind, CODE.OK, "another network");
  for (const connection of held) connection.reset();
  await quiet();
});

test("a user has a fixed number of uploads from all addresses together; others have their own", async () => {
  const user = await api.register();
  const held = [];
  for (let i = 0; i < 8; i++) held.push(await begin({ from: `198.51.100.${i}`, token: user.token, length: MEGABYTE }));
  await until("eight uploads", async () => (await running()) === 8);
  assert.equal(await reserved(), 8 * MEGABYTE, "a known user has room for the whole upload");
  assert.deepEqual(await uploads(user), { behind: CODE.BUSY, before: CODE.BUSY });
  assert.deepEqual(await uploads(), { behind: CODE.OK, before: CODE.OK });
  held.pop().reset();
  await until("room for one", async () => (await running()) === 7);
  assert.deepEqual(await uploads(user), { behind: CODE.OK, before: CODE.OK });
  for (const connection of held) connection.reset();
  await quiet();
});

test("the users of one address have half of all places together; those elsewhere find the others", async () => {
  const crowd = [];
  for (let i = 0; i < 4; i++) crowd.push(await api.register());
  const held = [];
  for (const { token } of crowd)
    for (let i = 0; i < 8; i++) held.push(await begin({ from: "198.51.100.7", token, length: MEGABYTE }));
  await until("half of all places to be taken", async () => (await running()) === 32);
  assert.deepEqual(await uploads(author, "198.51.100.7"), { behind: CODE.BUSY, before: CODE.BUSY });
  assert.deepEqual(await uploads(), { behind: CODE.OK, before: CODE.OK });
  held.pop().reset();
  await until("a place for one", async () => (await running()) === 31);
  assert.deepEqual(await uploads(author, "198.51.100.7"), { behind: CODE.OK, before: CODE.OK });
  for (const connection of held) connection.reset();
  await quiet();
});

test("a body that arrives steadily but does not end is cut off", async () => {
  const server = await (await cluster.addServer({ ...UPLOADS, body_timeout: "1500ms", min_rate: 0 })).start();
  const of = cluster.apiOf(server);
  const connection = await begin({ port: server.options.listen_port, token: author.token });
  const drip = setInterval(() => connection.send(Buffer.alloc(1000)), 50);
  await connection.closed();
  clearInterval(drip);
  await until("no upload to run", async () => (await running(of)) === 0 && (await reserved(of)) === 0);
  assert.deepEqual(Cluster.filesIn(server.options.upload_dir), []);
  assert.equal((await uploads(author, undefined, of)).before, CODE.OK);
  assert.equal((await server.stop()).code, 0);
});

test("a profile's pictures have limits of their own", async () => {
  const path = "/douyin/user/profile/";
  const limit = 2 * 10485760 + 65536;
  const large = await begin({ path, name: "avatar", length: limit + 1, token: author.token });
  assert.equal(await codeOf(large), CODE.TOO_LARGE, "before it is sent");
  await large.closed();
  const largest = await begin({ path, name: "signature", length: limit, token: author.token });
  await until("room for it", async () => (await reserved()) === limit);
  assert.equal(largest.received.length, 0);
  largest.reset();
  await quiet();
});

test("an expired token in the header does not end an upload that has a valid one behind the file", async () => {
  const gone = await api.register();
  assert.equal((await api.post("/douyin/user/logout/", { token: gone.token })).json.status_code, CODE.OK);
  for (const stale of [gone.token, "nonsense", `${gone.token.slice(0, -3)}AAA`]) {
    const file = { name: "data", filename: "x.mp4", data: media.uniqueClip() };
    const send = async (parts) =>
      (
        await api.send("POST", ACTION, {
          multipart: [["title", uniqueName("t")], file, ...parts],
          headers: { Authorization: `Bearer ${stale}` },
        })
      ).json.status_code;
    assert.equal(await send([["token", author.token]]), CODE.OK, stale);
    assert.equal(await send([]), CODE.AUTH, "without another one it counts");
  }
  await quiet();
});
