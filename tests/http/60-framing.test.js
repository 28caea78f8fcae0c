/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Requests with bad, tricky or slow framing, over raw sockets. */

import assert from "node:assert/strict";
import { setImmediate as turn } from "node:timers/promises";
import { after, test } from "node:test";
import { CODE, multipart } from "../lib/api.js";
import { Cluster, UPLOADS, freezeProcess } from "../lib/cluster.js";
import { clipOfSize, uniqueClip } from "../lib/media.js";
import { parseAnswers, RawConnection } from "../lib/raw.js";
import { parallel, until } from "../lib/wait.js";
import { framingCases } from "./framing_cases.js";

const cluster = await Cluster.up();
after(() => cluster.down());
const { api } = cluster;
const port = cluster.server.options.listen_port;
const user = await api.register();

/* A second server with short timeouts. */
const HEADER_MS = 700;
const IDLE_MS = 900;
const STALL_MS = 800;
const slow = await (
  await cluster.addServer({
    ...UPLOADS,
    header_timeout: `${HEADER_MS}ms`,
    idle_timeout: `${IDLE_MS}ms`,
    stall_timeout: `${STALL_MS}ms`,
    min_rate: 2000,
    upload_limit: "64M",
  })
).start();
const slowApi = cluster.apiOf(slow);
/* Shorter than its timeouts would be without these options. */
const SLACK = 8000;

const PING = "GET /ping HTTP/1.1\r\nHost: x\r\n\r\n";

/** All bytes at once, or each one on its own. */
const MANNERS = {
  "at once": (connection, bytes) => connection.send(bytes),
  "byte by byte": async (connection, bytes) => {
    for (const byte of bytes) {
      if (connection.ended) break;
      await connection.send(Buffer.from([byte]));
      await turn();
    }
  },
};

/** The problems of one case, or []. */
async function play({ name, bytes, expect }, say) {
  const connection = await RawConnection.open(port);
  const problems = [];
  const complain = (text) =>
    problems.push(`${name}: ${text}; received ${JSON.stringify(connection.received.toString("latin1").slice(0, 300))}`);
  try {
    await say(connection, Buffer.from(bytes, "latin1"));
    if (expect.closes) await connection.closed().catch(() => complain("the connection stays open"));
    else await connection.answers(expect.responses, 5000).catch(() => complain(`no ${expect.responses} answers`));
    let answers = [];
    try {
      answers = parseAnswers(connection.received);
    } catch (error) {
      /* A reset may cut off an answer while we are still sending. */
      if (!(expect.status.includes(0) && connection.error)) complain(error.message);
    }
    const first = answers[0]?.status ?? 0;
    if (!expect.status.includes(first) && !(first === 0 && connection.error && bytes.length > 100000))
      complain(`status ${first}, expected ${expect.status}`);
    if (answers.length > expect.responses)
      complain(`${answers.length} answers: a second request was read from the rest`);
    for (const { status, headers, body } of answers.filter((a) => a.body.length > 0 && a.headers["content-type"])) {
      if (!/^application\/json/.test(headers["content-type"])) continue;
      const json = JSON.parse(body.toString("utf8"));
      if (status >= 400 && !(json.status_code > 0 && json.status_msg.length > 0)) complain("no envelope");
    }
    if (!expect.closes && problems.length === 0) {
      await connection.send(PING);
      await connection.answers(expect.responses + 1, 5000).catch(() => complain("the connection is of no further use"));
    }
  } finally {
    connection.close();
  }
  return problems;
}

for (const [manner, say] of Object.entries(MANNERS))
  test(`${framingCases.length} requests with good and bad framing, sent ${manner}`, async () => {
    const cases = framingCases.filter(({ bytes }) => manner === "at once" || bytes.length < 5000);
    assert.ok(cases.length > 80);
    const problems = (
      await parallel(
        8,
        cases.map((c) => () => play(c, say)),
      )
    ).flat();
    assert.deepEqual(problems, []);
  });

test("the player of cases fails wrong answers", async () => {
  const wrong = { name: "x", bytes: PING, expect: { status: [400], closes: false, responses: 1 } };
  assert.equal((await play(wrong, MANNERS["at once"])).length, 1, "a wrong status");
  const more = { name: "x", bytes: PING + PING, expect: { status: [200], closes: false, responses: 1 } };
  assert.ok(
    (
      await play(more, async (connection, bytes) => {
        await connection.send(bytes);
        await connection.answers(2);
      })
    ).length >= 1,
    "a second answer",
  );
});

test("refused requests are counted, and the server is well", async () => {
  assert.ok((await api.metric("doushard_http_framing_refused_total")) > 50);
  assert.equal((await api.get("/ping")).status, 200);
  await until("the connections to end", async () => (await api.metric("doushard_http_connections")) <= 3);
});

test("twenty requests in one packet are answered in order", async () => {
  const connection = await RawConnection.open(port);
  await connection.send(
    Array.from({ length: 20 }, (_, i) => `GET ${i % 2 ? "/ping" : `/nowhere${i}`} HTTP/1.1\r\nHost: x\r\n\r\n`).join(
      "",
    ),
  );
  const answers = await connection.answers(20);
  assert.deepEqual(
    answers.map((a) => a.status),
    Array.from({ length: 20 }, (_, i) => (i % 2 ? 200 : 404)),
  );
  connection.close();
});

test("requests that wait for a shard are answered in order as well", async () => {
  const connection = await RawConnection.open(port);
  await connection.send(
    Array.from({ length: 6 }, (_, i) =>
      i % 2 ? PING : `GET /douyin/user/?token=${user.token}&user_id=${user.id} HTTP/1.1\r\nHost: x\r\n\r\n`,
    ).join(""),
  );
  const answers = await connection.answers(6);
  for (const [i, { body }] of answers.entries())
    assert.match(body.toString("utf8"), i % 2 ? /pong/ : new RegExp(user.name));
  connection.close();
});

test("Expect: 100-continue is answered before the body is sent", async () => {
  const form = `username=${user.name}&password=${encodeURIComponent(user.password)}`;
  const connection = await RawConnection.open(port);
  await connection.send(
    "POST /douyin/user/login/ HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n" +
      `Content-Type: application/x-www-form-urlencoded\r\nContent-Length: ${form.length}\r\n\r\n`,
  );
  await until("the word to go on", () => connection.received.toString("latin1").startsWith("HTTP/1.1 100"));
  await connection.send(form);
  const [answer] = await connection.answers(1);
  assert.equal(JSON.parse(answer.body.toString("utf8")).user_id, user.id);
  connection.close();
});

/* ---- Slow clients ---- */

/** Sends a byte every 50 ms until the server closes the connection; resolves to the time that took. */
async function trickle(connection, byte) {
  const start = performance.now();
  await until(
    "the server to close it",
    async () => {
      if (!connection.ended) await connection.send(byte);
      return connection.ended;
    },
    { everyMs: 50 },
  );
  return performance.now() - start;
}

test("a connection that sends nothing, half a header, or a byte at a time is closed after the header timeout", async () => {
  const starts = {
    "nothing at all": "",
    "half a request line": "GET /pi",
    "half a header": "GET /ping HTTP/1.1\r\nHost: x\r\nX-A: ",
  };
  for (const [name, bytes] of Object.entries(starts)) {
    const silent = await RawConnection.open(slow.options.listen_port);
    await silent.send(bytes);
    const ms = await silent.closed();
    assert.ok(ms < Math.max(HEADER_MS, IDLE_MS) + SLACK, `${name}: ${ms} ms`);
    silent.close();
  }
  const dripping = await RawConnection.open(slow.options.listen_port);
  await dripping.send("GET /ping HTTP/1.1\r\nHost: x\r\nX-A: ");
  const ms = await trickle(dripping, "b");
  assert.ok(ms >= HEADER_MS / 2 && ms < HEADER_MS + SLACK, `dripping: ${ms} ms`);
  dripping.close();
});

test("the second header on a kept connection has the same timeout", async () => {
  const connection = await RawConnection.open(slow.options.listen_port);
  await connection.send(PING);
  await connection.answers(1);
  await connection.send("GET /ping HTTP/1.1\r\nX-A: ");
  const ms = await trickle(connection, "b");
  assert.ok(ms < IDLE_MS + HEADER_MS + SLACK, `${ms} ms`);
  connection.close();
});

test("a body or an upload below the minimum rate is cut off, a slow one above it is not", async () => {
  const before = cluster.uploadFiles();
  const small = await RawConnection.open(slow.options.listen_port);
  await small.send(
    "POST /douyin/user/login/ HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\n" +
      "Content-Length: 60000\r\n\r\nusername=",
  );
  const smallMs = await trickle(small, "x");
  assert.ok(smallMs < 2 * STALL_MS + SLACK, `${smallMs} ms`);
  small.close();

  const { body, type } = multipart([
    ["token", user.token],
    ["title", "slow"],
    { name: "data", filename: "x.mp4", data: clipOfSize(60000) },
  ]);
  const head = `POST /douyin/publish/action/ HTTP/1.1\r\nHost: x\r\nContent-Type: ${type}\r\nContent-Length: ${body.length}\r\n\r\n`;
  const upload = await RawConnection.open(slow.options.listen_port);
  await upload.send(head);
  await upload.send(body.subarray(0, 10000));
  const uploadMs = await trickle(upload, body.subarray(10000, 10001));
  assert.ok(uploadMs < 2 * STALL_MS + SLACK, `${uploadMs} ms`);
  upload.close();
  await until("nothing to be left", () => JSON.stringify(cluster.uploadFiles()) === JSON.stringify(before));

  const steady = await RawConnection.open(slow.options.listen_port);
  await steady.send(head);
  let at = 0;
  await until(
    "the upload to be sent",
    async () => {
      await steady.send(body.subarray(at, at + 1000));
      at += 1000;
      return at >= body.length;
    },
    { everyMs: 40 },
  );
  const [answer] = await steady.answers(1);
  assert.equal(JSON.parse(answer.body.toString("utf8")).status_code, CODE.OK, "25 KB/s is enough");
  steady.close();
});

test("a client that does not read its answer is disconnected", async () => {
  const big = await slowApi.publish(user.token, clipOfSize(16 << 20), "big");
  assert.equal(big.status_code, CODE.OK, JSON.stringify(big));
  const [video] = (await slowApi.list({ user_id: user.id })).video_list;
  const path = new URL(video.play_url).pathname;
  const connection = await RawConnection.open(slow.options.listen_port);
  connection.socket.pause();
  const reaped = await slowApi.metric("doushard_http_connections_reaped_total");
  await connection.send(`GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`);
  await until(
    "the connection to be closed",
    async () => (await slowApi.metric("doushard_http_connections_reaped_total")) > reaped,
    { everyMs: 100 },
  );
  connection.close();
});

test("an idle connection is closed without an answer", async () => {
  const connection = await RawConnection.open(slow.options.listen_port);
  await connection.send(PING);
  await connection.answers(1);
  const ms = await connection.closed();
  assert.ok(ms < IDLE_MS + SLACK, `${ms} ms`);
  assert.equal(parseAnswers(connection.received).length, 1);
  connection.close();
});

test("a query of 200 parameters is read, one of 1,000 is refused", async () => {
  const query = (n) => Array.from({ length: n }, (_, i) => [`f${i}`, "1"]);
  assert.equal((await slowApi.get("/douyin/feed/", query(200))).json.status_code, CODE.OK);
  assert.equal((await slowApi.get("/douyin/feed/", query(1000), { fresh: true })).status, 414);
});

test("a request that takes long is not treated as a slow client", async () => {
  const { status_code } = await slowApi.publish(user.token, uniqueClip(), "takes its time");
  assert.equal(status_code, CODE.OK);
});

test('when all connections are taken, a new client is told "busy" at once, and served when one is free', async () => {
  const { options } = await (await cluster.addServer({ connections_max: 16 })).start();
  const client = cluster.apiOf(cluster.servers.at(-1));
  const seats = await Promise.all(Array.from({ length: 16 }, () => RawConnection.open(options.listen_port)));
  await until("all to be seen", async () => (await client.metric("doushard_http_connections")) >= 16);
  for (const says of ["GET /ping HTTP/1.1\r\nHost: x\r\n\r\n", ""]) {
    const newcomer = await RawConnection.open(options.listen_port);
    await newcomer.send(says);
    await newcomer.closed();
    const [answer] = parseAnswers(newcomer.received);
    assert.equal(JSON.parse(answer.body.toString()).status_code, CODE.BUSY);
    newcomer.close();
  }
  assert.equal(await client.metric("doushard_http_connections_refused_total"), 2);
  seats[0].close();
  await until("a free seat", async () => (await client.get("/ping", {}, { fresh: true })).json.message === "pong");
  for (const seat of seats) seat.close();
});

/* libmicrohttpd takes a connection out of its lists while a worker has its request; some versions
 * then forget other connections, or one whose next request has arrived meanwhile. */
test("requests with and without workers, mixed on many connections, are all answered in order", async () => {
  const client = cluster.apiOf(cluster.server);
  const get = (target) => `GET ${target} HTTP/1.1\r\nHost: x\r\n\r\n`;
  const [quick, slow] = [get("/ping"), get("/douyin/feed/")];
  const isQuick = (answer) => answer.body.toString().includes("pong");
  await parallel(
    60,
    Array.from({ length: 60 }, (_, number) => async () => {
      const connection = await RawConnection.open(cluster.server.options.listen_port);
      const expected = [];
      for (let round = 0; round < 12; round++) {
        const burst = Array.from({ length: 1 + ((number + round) % 4) }, (_, k) => (number + round + k) % 3 > 0);
        expected.push(...burst);
        await connection.send(burst.map((q) => (q ? quick : slow)).join(""));
        const answers = await connection.answers(expected.length);
        assert.deepEqual(answers.map(isQuick), expected, `connection ${number}, round ${round}`);
      }
      connection.close();
    }),
  );
  assert.equal((await client.get("/ping")).status, 200);
});

test("500 slow clients do not delay a normal one", async () => {
  /* With ordinary timeouts: all slow clients are still there when the normal one has been served. */
  const { options } = await (
    await cluster.addServer({ header_timeout: "10min", idle_timeout: "10min", stall_timeout: "10min" })
  ).start();
  const honest = cluster.apiOf(cluster.servers.at(-1));
  const drips = await Promise.all(Array.from({ length: 500 }, () => RawConnection.open(options.listen_port)));
  await Promise.all(
    drips.map((c, i) =>
      c.send(
        i % 2
          ? "GET /ping HTTP/1.1\r\nX-A: "
          : "POST /douyin/user/login/ HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 500\r\n\r\nu",
      ),
    ),
  );
  for (let i = 0; i < 20; i++)
    assert.equal((await honest.get("/douyin/user/", { token: user.token })).json.user.id, user.id);
  assert.equal(drips.filter((c) => c.ended).length, 0);
  for (const c of drips) c.close();
});

/* libmicrohttpd takes 128 events at a time, and waits for more before it handles them
 * (server/http/epoll.c). The server is stopped while they arrive, so that it gets all of them at
 * once. */
test("128 requests at the same moment are answered even if nothing follows", async () => {
  const one = await (await cluster.addServer({ http_threads: 1 })).start();
  const many = await Promise.all(Array.from({ length: 128 }, () => RawConnection.open(one.options.listen_port)));
  const ask = () => Promise.all(many.map((connection) => connection.send(PING)));
  await ask();
  await Promise.all(many.map((connection) => connection.answers(1)));
  await freezeProcess(one.pid);
  await ask();
  process.kill(one.pid, "SIGCONT");
  await Promise.all(many.map((connection) => connection.answers(2)));
  for (const connection of many) connection.close();
});

test("more connections than allowed: the others wait or are closed, and are served when there is room", async () => {
  const server = await (await cluster.addServer({ connections_max: 16 })).start();
  const held = await Promise.all(Array.from({ length: 40 }, () => RawConnection.open(server.options.listen_port)));
  await Promise.all(held.map((c) => c.send(PING)));
  await until("those that are let in to be answered", () => held.filter((c) => c.received.length > 0).length >= 8);
  for (const c of held) c.close();
  await until("room again", async () => {
    const connection = await RawConnection.open(server.options.listen_port);
    await connection.send(PING);
    const [answer] = await connection.answers(1);
    connection.close();
    return answer.status === 200;
  });
  assert.equal((await server.stop()).code, 0);
});
