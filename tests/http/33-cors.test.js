/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Pages of other origins (CORS): which ones may read which answers, and that none may by default. */

import assert from "node:assert/strict";
import { after, test } from "node:test";
import { CODE, uniqueName } from "../lib/api.js";
import { Cluster, UPLOADS } from "../lib/cluster.js";
import { uniqueClip } from "../lib/media.js";
import { RawConnection } from "../lib/raw.js";

const APP = "https://app.example";
const DEV = "http://127.0.0.1:5173";
const ORIGINS = `${APP}, ${DEV}`;

const cluster = await Cluster.up({ shards: 1, options: { ...UPLOADS, cors_origins: ORIGINS } });
after(() => cluster.down());
const { api } = cluster;
const port = Number(new URL(api.baseUrl).port);

const user = await api.register();
const published = await api.publish(user.token, uniqueClip());
assert.equal(published.status_code, CODE.OK);
const [{ play_url, cover_url }] = (await api.feed()).video_list;

/** The CORS headers of an answer. */
const told = (headers) =>
  Object.fromEntries(Object.entries(headers).filter(([name]) => name.startsWith("access-control-")));
const varies = (headers) => (headers.vary ?? "").split(/,\s*/).includes("Origin");
const EXPOSED = {
  "access-control-expose-headers":
    "Accept-Ranges, Allow, Content-Disposition, Content-Encoding, Content-Range, ETag, X-Request-Id",
};
const readableBy = (origin) => ({ "access-control-allow-origin": origin, ...EXPOSED });

/* Every kind of answer: [name, method, path, options, status]. */
const token = user.token;
const clip = new URL(play_url).pathname;
const ANSWERS = [
  ["a page of a list", "GET", "/douyin/feed/", {}, 200],
  ["a refusal", "GET", "/douyin/user/", { query: { token: "x" } }, 200],
  ["one with a bearer", "GET", "/douyin/user/", { headers: { Authorization: `Bearer ${token}` } }, 200],
  ["a form", "POST", "/douyin/favorite/action/", { form: { token, video_id: 1, action_type: 1 } }, 200],
  ["what is ready in memory", "GET", "/ping", {}, 200],
  ["a page of ours", "GET", "/", {}, 200],
  ["a picture of ours", "GET", "/assets/avatar.png", {}, 200],
  ["a clip", "GET", clip, {}, 200],
  ["a range of a clip", "GET", clip, { headers: { Range: "bytes=5-9" } }, 206],
  ["a range behind its end", "GET", clip, { headers: { Range: "bytes=999999999-" } }, 416],
  ["a cover", "GET", new URL(cover_url).pathname, {}, 200],
  ["HEAD of a clip", "HEAD", clip, {}, 200],
  ["no such path", "GET", "/nothing", {}, 404],
  ["no such method", "DELETE", "/douyin/feed/", {}, 405],
  ["no such file", "GET", "/static/0f8fad5bd9cb469fa1650867728950e2.mp4", {}, 404],
  ["a body that is too large", "POST", "/douyin/user/login/", { body: Buffer.alloc(200000, "a"), fresh: true }, 200],
];

const ask = (method, path, options, origin) =>
  api.send(method, path, {
    ...options,
    headers: { ...options.headers, ...(origin === undefined ? {} : { Origin: origin }) },
  });

for (const [what, method, path, options, status] of ANSWERS)
  test(`${what}: listed origins may read it, others not, and caches are told`, async () => {
    for (const origin of [APP, DEV]) {
      const answer = await ask(method, path, options, origin);
      assert.equal(answer.status, status);
      assert.deepEqual(told(answer.headers), readableBy(origin));
      assert.ok(varies(answer.headers));
    }
    for (const origin of [undefined, "https://evil.example", "null"]) {
      const answer = await ask(method, path, options, origin);
      assert.equal(answer.status, status);
      assert.deepEqual(told(answer.headers), {}, `${origin}`);
      assert.ok(varies(answer.headers));
    }
  });

test("the origin is compared byte for byte", async () => {
  for (const origin of [
    "https://APP.example",
    "HTTPS://app.example",
    `${APP}/`,
    `${APP}:443`,
    `${APP}:8443`,
    "http://app.example",
    "https://app.example.evil.example",
    "https://xapp.example",
    "app.example",
    "*",
    "",
    `${APP}, ${DEV}`,
    "http://127.0.0.1",
    "http://127.0.0.1:51730",
  ])
    assert.deepEqual(told((await ask("GET", "/ping", {}, origin)).headers), {}, origin);
});

test("a 304 answer is readable, too", async () => {
  const { headers } = await api.send("GET", clip);
  const answer = await ask("GET", clip, { headers: { "If-None-Match": headers.etag } }, APP);
  assert.equal(answer.status, 304);
  assert.deepEqual(told(answer.headers), readableBy(APP));
  assert.ok(varies(answer.headers));
});

test("an answer that varies for another reason names both headers in Vary", async () => {
  const { headers } = await ask("GET", "/", { headers: { "Accept-Encoding": "gzip" } }, APP);
  assert.equal(headers["content-encoding"], "gzip");
  assert.deepEqual(headers.vary.split(/,\s*/).sort(), ["Accept-Encoding", "Origin"]);
});

test("a refusal in the middle of a body is readable", async () => {
  const connection = await RawConnection.open(port);
  await connection.send(
    "POST /douyin/publish/action/?token=x.y.z HTTP/1.1\r\nHost: x\r\n" +
      `Origin: ${APP}\r\nContent-Type: multipart/form-data; boundary=b\r\nTransfer-Encoding: chunked\r\n\r\n`,
  );
  await connection.send('46\r\n--b\r\nContent-Disposition: form-data; name="data"; filename="a"\r\n\r\nabcdef\r\n');
  const [answer] = await connection.answers(1);
  assert.equal(JSON.parse(answer.body).status_code, CODE.AUTH);
  assert.equal(answer.headers["access-control-allow-origin"], APP);
  connection.close();
});

/** A preflight request as a browser sends it. */
const preflight = (path, method, names, origin = APP) =>
  api.send("OPTIONS", path, {
    headers: {
      Origin: origin,
      "Access-Control-Request-Method": method,
      ...(names ? { "Access-Control-Request-Headers": names } : {}),
    },
  });
const list = (value) => value.toLowerCase().split(/,\s*/);

/* [path, method, headers that the page wants to send]. */
const ASKED = [
  ["/douyin/feed/", "GET", "authorization"],
  ["/douyin/feed", "GET", "authorization"],
  ["/douyin/comment/action/", "POST", "authorization,content-type,idempotency-key"],
  ["/douyin/publish/action/", "POST", "authorization,content-type,idempotency-key"],
  ["/douyin/user/login/", "POST", "content-type"],
  [clip, "GET", "range,if-range,if-none-match"],
  ["/static/", "GET", "range"],
  ["/", "GET", "authorization"],
];
for (const [path, method, names] of ASKED)
  test(`a preflight of ${method} ${path.slice(0, 30)} with ${names} is allowed for a listed origin`, async () => {
    const { status, headers, body } = await preflight(path, method, names);
    assert.equal(status, 204);
    assert.equal(body.length, 0);
    assert.equal(headers["access-control-allow-origin"], APP);
    assert.ok(list(headers["access-control-allow-methods"]).includes(method.toLowerCase()));
    for (const name of names.split(",")) assert.ok(list(headers["access-control-allow-headers"]).includes(name), name);
    assert.equal(headers["access-control-max-age"], "7200");
    assert.equal(headers["access-control-allow-credentials"], undefined);
    assert.ok(varies(headers));
  });

test("a preflight from another origin, for an unknown path, or without its headers, is answered as if there were no list", async () => {
  for (const origin of ["https://evil.example", "null", `${APP}/`, "https://APP.example"]) {
    const { status, headers } = await preflight("/douyin/feed/", "GET", undefined, origin);
    assert.deepEqual([status, headers.allow, told(headers)], [405, "GET, HEAD", {}], origin);
  }
  assert.equal((await preflight("/nothing", "GET")).status, 404);
  const plain = await api.send("OPTIONS", "/douyin/feed/", { headers: { Origin: APP } });
  assert.deepEqual([plain.status, plain.headers.allow], [405, "GET, HEAD"]);
});

test("a connection stays usable after a preflight", async () => {
  const connection = await RawConnection.open(port);
  const head = `Host: x\r\nOrigin: ${APP}\r\n`;
  await connection.send(
    `OPTIONS /douyin/feed/ HTTP/1.1\r\n${head}Access-Control-Request-Method: GET\r\n\r\n` +
      `GET /ping HTTP/1.1\r\n${head}\r\n`,
  );
  const [first, second] = await connection.answers(2);
  assert.deepEqual([first.status, second.status], [204, 200]);
  connection.close();
});

test("a listed page can do everything else: it publishes, and a key makes that happen once", async () => {
  const title = uniqueName("title");
  const options = { headers: { Origin: APP, Authorization: `Bearer ${token}`, "Idempotency-Key": uniqueName("key") } };
  const data = uniqueClip();
  for (let i = 0; i < 2; i++) {
    const { json, headers } = await api.send("POST", "/douyin/publish/action/", {
      ...options,
      multipart: [{ name: "data", filename: "a.mp4", data }, ["title", title]],
      timeoutMs: 60000,
    });
    assert.equal(json.status_code, CODE.OK);
    assert.deepEqual(told(headers), readableBy(APP));
  }
  assert.equal((await api.list({ user_id: user.id })).video_list.filter((video) => video.title === title).length, 1);
});

test("the operator's listener never sends CORS headers", async () => {
  for (const method of ["GET", "OPTIONS"]) {
    const { headers } = await api.send(method, "/livez", {
      admin: true,
      headers: { Origin: APP, "Access-Control-Request-Method": "GET" },
    });
    assert.deepEqual(told(headers), {});
    assert.equal(headers.vary, undefined);
  }
});

test("by default no answer has CORS headers", async () => {
  const server = await (await cluster.addServer({ ...UPLOADS, cors_origins: "" })).start();
  const client = cluster.apiOf(server);
  for (const [what, method, path, options, status] of ANSWERS) {
    const answer = await client.send(method, path, { ...options, headers: { ...options.headers, Origin: APP } });
    assert.equal(answer.status, status, what);
    assert.deepEqual(told(answer.headers), {}, what);
    assert.ok(!varies(answer.headers), what);
  }
  const { status, headers } = await client.send("OPTIONS", "/douyin/feed/", {
    headers: { Origin: APP, "Access-Control-Request-Method": "GET" },
  });
  assert.deepEqual([status, headers.allow, told(headers)], [405, "GET, HEAD", {}]);
  assert.equal((await server.stop()).code, 0);
});
