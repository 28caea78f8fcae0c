/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Every parameter of every endpoint with every kind of bad value: a clear answer, no half-written
 * row, and a server that goes on. The parameters are read from the OpenAPI document, so that none is
 * forgotten. */

import assert from "node:assert/strict";
import { after, test } from "node:test";
import { CODE, multipart, percent, uniqueName } from "../lib/api.js";
import { Cluster, UPLOADS } from "../lib/cluster.js";
import { Contract, readDocument } from "../lib/contract.js";
import { uniqueClip } from "../lib/media.js";
import { RawConnection } from "../lib/raw.js";
import { parallel, until } from "../lib/wait.js";

const cluster = await Cluster.up({ options: UPLOADS });
after(() => cluster.down());
const { api } = cluster;
const document = readDocument();

const resolve = (node) =>
  node.$ref
    ? node.$ref
        .slice(2)
        .split("/")
        .reduce((at, key) => at[key], document)
    : node;

const user = await api.register();
assert.equal((await api.publish(user.token, uniqueClip(), "a video")).status_code, CODE.OK);
const [video] = (await api.list({ user_id: user.id })).video_list;
const peer = await api.register();

const BROKEN_UTF8 = {
  "a lone continuation byte": [0x80],
  "a byte that never is": [0x61, 0xff],
  "an overlong NUL": [0xc0, 0x80],
  "an overlong slash": [0xe0, 0x80, 0xaf],
  "a surrogate": [0xed, 0xa0, 0x80],
  "beyond U+10FFFF": [0xf4, 0x90, 0x80, 0x80],
  "half a character": [0xe5, 0xbc],
};
const bytes = (list) => Buffer.from(list);

const NUMBERS = {
  negative: "-1",
  "negative exponent form": "-1e3",
  "2^53": "9007199254740992",
  "2^63": "9223372036854775808",
  "2^64": "18446744073709551616",
  "2^64 + 1": "18446744073709551617",
  "1e3x": "1e3x",
  1.5: "1.5",
  "1e400": "1e400",
  "1e-1": "1e-1",
  "1e": "1e",
  e5: "e5",
  ".": ".",
  "-": "-",
  hexadecimal: "0x10",
  NaN: "NaN",
  Infinity: "Infinity",
  "a letter": "a",
  "a space before": " 1",
  "a space after": "1 ",
  "two numbers": "1,2",
  "digits of another script": "１２",
  "5000 digits": "9".repeat(5000),
  "1e with 3000 digits": `1e${"9".repeat(3000)}`,
  "a line break": "1\n",
  NUL: bytes([0]),
  "a NUL after": "1\u0000",
  "9007199254740991.5": "9007199254740991.5",
  "9.007199254740993e15": "9.007199254740993e15",
  SQL: "1 OR 1=1",
  "a quote": "1'--",
};

const textValues = (max) => ({
  "over-long": "x".repeat(max + 1),
  "over-long in another script": "长".repeat(max + 1),
  "60,000 bytes": "x".repeat(60000),
  NUL: bytes([0]),
  "a NUL inside": "a\u0000b",
  "a NUL after": "a\u0000",
  ...Object.fromEntries(Object.entries(BROKEN_UTF8).map(([name, list]) => [name, bytes(list)])),
});

/* Times from clients' clocks are never an error. */
const TIMES = new Set(["latest_time", "pre_msg_time"]);

/* Bad values of each parameter, and the code that refuses them. */
function badValues(name, schema) {
  const numbers = Object.fromEntries(Object.entries(NUMBERS).map(([k, v]) => [k, [v, CODE.PARAM]]));
  if (TIMES.has(name))
    /* anything else means no bound */
    return Object.fromEntries(Object.entries(NUMBERS).map(([k, v]) => [k, [v, CODE.OK]]));
  if (name === "token")
    return Object.fromEntries(
      Object.entries({ ...textValues(1024), ...NUMBERS, "an old one": "a.b.c" }).map(([k, v]) => [k, [v, CODE.AUTH]]),
    );
  if (schema.type === "integer") return schema.minimum === 1 ? { ...numbers, zero: ["0", CODE.PARAM] } : numbers;
  return Object.fromEntries(Object.entries(textValues(schema.maxLength)).map(([k, v]) => [k, [v, CODE.PARAM]]));
}

const GOOD = {
  feed_list: () => ({ latest_time: Date.now() + 1000, token: user.token }),
  user_register: () => ({ username: uniqueName(), password: "secret" }),
  user_login: () => ({ username: user.name, password: user.password }),
  user_logout: () => ({ token: user.token }),
  user_password: () => ({ token: user.token, old_password: user.password, new_password: "another" }),
  user_get: () => ({ user_id: user.id, token: user.token }),
  user_profile: () => ({ token: user.token, signature: "x" }),
  publish_action: () => ({ token: user.token, title: "never listed" }),
  publish_list: () => ({ user_id: user.id, token: user.token, cursor: video.id + 1, limit: 5 }),
  publish_delete: () => ({ token: user.token, video_id: video.id }),
  favorite_action: () => ({ token: user.token, video_id: video.id, action_type: 1 }),
  favorite_list: () => ({ user_id: user.id, token: user.token, cursor: 1, limit: 5 }),
  comment_action: () => ({ token: user.token, video_id: video.id, action_type: 1, comment_text: "x", comment_id: 1 }),
  comment_list: () => ({ token: user.token, video_id: video.id, cursor: 1, limit: 5 }),
  relation_action: () => ({ token: user.token, to_user_id: peer.id, action_type: 1 }),
  relation_follow_list: () => ({ user_id: user.id, token: user.token, cursor: 1, limit: 5 }),
  relation_follower_list: () => ({ user_id: user.id, token: user.token, cursor: 1, limit: 5 }),
  relation_friend_list: () => ({ user_id: user.id, token: user.token, cursor: 1, limit: 5 }),
  message_action: () => ({ token: user.token, to_user_id: peer.id, action_type: 1, content: "x" }),
  message_chat: () => ({ token: user.token, to_user_id: peer.id, pre_msg_time: 1, cursor: 1, limit: 5 }),
};
/* Here a bad token means anonymous. */
const ANONYMOUS = new Set(["feed_list", "publish_list", "comment_list"]);

const clip = uniqueClip();
const waysOf = (id) =>
  id === "publish_action"
    ? {
        query: (fields) => ({ query: fields, multipart: [{ name: "data", filename: "x.mp4", data: clip }] }),
        multipart: (fields) => ({ multipart: [{ name: "data", filename: "x.mp4", data: clip }, ...fields] }),
      }
    : {
        query: (fields) => ({ query: fields }),
        form: (fields) => ({ form: fields }),
        multipart: (fields) => ({ multipart: fields }),
      };

const operations = new Contract(document)
  .operations()
  .filter(({ item, template }) => !item.servers && template.startsWith("/douyin/"));

test("the table below knows every endpoint", () => {
  assert.deepEqual(operations.map(({ operation }) => operation.operationId).sort(), Object.keys(GOOD).sort());
});

for (const { method, template, operation } of operations) {
  const id = operation.operationId;
  const parameters = operation.parameters.map(resolve).filter((p) => p.in === "query");
  assert.deepEqual(parameters.map((p) => p.name).sort(), Object.keys(GOOD[id]()).sort(), id);

  for (const parameter of parameters) {
    const schema = resolve(parameter.schema);
    const cases = Object.entries(badValues(parameter.name, schema)).flatMap(([what, [value, code]]) =>
      Object.entries(waysOf(id)).map(([place, make]) => ({ what, value, code, place, make })),
    );

    test(`${template}: bad ${parameter.name} (${cases.length} requests)`, async () => {
      const before = await cluster.rowCounts();
      const problems = [];
      await parallel(
        8,
        cases.map(({ what, value, code, place, make }) => async () => {
          const expected = code === CODE.AUTH && ANONYMOUS.has(id) ? CODE.OK : code;
          const fields = Object.entries({ ...GOOD[id](), [parameter.name]: value });
          let answer;
          try {
            answer = await api.send(method, template, make(fields));
          } catch (error) {
            problems.push(`${what} in ${place}: ${error.message}`);
            return;
          }
          const { status, json } = answer;
          /* A value longer than a request may be is refused together with the request. */
          const long =
            Buffer.byteLength(value) > 30000 &&
            (status === 414 || status === 431 || json?.status_code === CODE.TOO_LARGE);
          if (long) return;
          if (status !== 200 || json.status_code !== expected)
            problems.push(`${what} in ${place}: ${status} ${JSON.stringify(json)}, expected ${expected}`);
          else if (expected === CODE.PARAM && !json.status_msg.includes(parameter.name))
            problems.push(`${what} in ${place}: does not name the parameter: ${json.status_msg}`);
        }),
      );
      assert.deepEqual(problems, []);
      assert.deepEqual(await cluster.rowCounts(), before, "rows");
    });

    /* An absent optional parameter is tested in 10 and 30. */
    if (operation["x-required"]?.includes(parameter.name) && parameter.name !== "token" && !TIMES.has(parameter.name))
      test(`${template}: ${parameter.name} missing and empty`, async () => {
        const before = await cluster.rowCounts();
        for (const value of [undefined, ""])
          for (const [place, make] of Object.entries(waysOf(id))) {
            const fields = Object.entries({ ...GOOD[id](), [parameter.name]: value }).filter(
              ([, v]) => v !== undefined,
            );
            const { status, json } = await api.send(method, template, make(fields));
            assert.equal(status, 200);
            assert.equal(json.status_code, CODE.PARAM, `${place}: ${JSON.stringify(json)}`);
            assert.match(json.status_msg, new RegExp(parameter.name));
          }
        assert.deepEqual(await cluster.rowCounts(), before, "rows");
      });
  }
}

test("the largest and strangest good values are accepted", async () => {
  for (const user_id of ["9007199254740991", "9.007199254740991e15", "1e3", "1000.000", "0001000", "1E+3"])
    assert.equal((await api.user(user.token, user_id)).status_code, CODE.NO_USER, user_id);
  for (const title of [
    "'; DROP TABLE video; --",
    '"\\',
    "<script>alert(1)</script>",
    "%s%n",
    "\u200f\ufffe",
    "𝒳",
    "👩‍👩‍👧‍👦🐻",
    " ",
    "长".repeat(128),
  ]) {
    const answer = await api.publish(user.token, uniqueClip(), title);
    assert.equal(answer.status_code, CODE.OK, `${JSON.stringify(title)}: ${JSON.stringify(answer)}`);
    assert.equal((await api.list({ user_id: user.id })).video_list[0].title, title);
  }
});

test("a title is one line of visible characters", async () => {
  const before = await cluster.rowCounts();
  const files = cluster.mediaFiles().length;
  for (const [title, problem] of [
    ["a\nb", /control/],
    ["\r", /control/],
    ["a\tb", /control/],
    ["\u0001", /control/],
    ["\u001b[31m", /control/],
    ["\u007f", /control/],
    ["\u0080", /control/],
    ["\u009f", /control/],
    ["a\u2028b", /control/],
    ["\u2029", /control/],
    ["\u202a", /direction/],
    ["\u202egpj.exe", /direction/],
    ["\u2066", /direction/],
    ["\u2069", /direction/],
  ])
    for (const query of [{}, { title }]) {
      const answer = await api.publish(user.token, clip, query.title ? "unread" : title, { query });
      assert.equal(answer.status_code, CODE.PARAM, `${JSON.stringify(title)}: ${JSON.stringify(answer)}`);
      assert.match(answer.status_msg, /^[^:]*:? ?title has a /);
      assert.match(answer.status_msg, problem);
    }
  assert.deepEqual(await cluster.rowCounts(), before, "rows");
  assert.equal(cluster.mediaFiles().length, files);
});

const BODIES = {
  "percent signs that say nothing": ["application/x-www-form-urlencoded", "username=&password=%zz%4&%&=%"],
  "only separators": ["application/x-www-form-urlencoded", "&&&===&&&"],
  "a name without a value": ["application/x-www-form-urlencoded", "username&password"],
  "ten thousand fields": [
    "application/x-www-form-urlencoded",
    Array.from({ length: 10000 }, (_, i) => `f${i}=1`)
      .join("&")
      .slice(0, 60000),
  ],
  "a name of 50,000 bytes": ["application/x-www-form-urlencoded", `${"n".repeat(50000)}=1`],
  bytes: ["application/x-www-form-urlencoded", Buffer.from(Array.from({ length: 256 }, (_, i) => i))],
  JSON: ["application/json", '{"username":"a","password":"b"}'],
  XML: ["text/xml", "<username>a</username>"],
  "an unknown type": ["x/y", "username=a&password=b"],
  "a type that is none": ["\u00ff;;;", "username=a&password=b"],
  "multipart without a boundary": ["multipart/form-data", "--x\r\n\r\n--x--\r\n"],
  "multipart with an empty boundary": ["multipart/form-data; boundary=", "--\r\n\r\n----\r\n"],
  "multipart that never begins": ["multipart/form-data; boundary=x", "username=a&password=b"],
  "multipart that never ends": [
    "multipart/form-data; boundary=x",
    '--x\r\nContent-Disposition: form-data; name="username"\r\n\r\nabc',
  ],
  "multipart without part headers": ["multipart/form-data; boundary=x", "--x\r\n\r\nabc\r\n--x--\r\n"],
  "multipart with a part without a name": [
    "multipart/form-data; boundary=x",
    "--x\r\nContent-Disposition: form-data\r\n\r\nabc\r\n--x--\r\n",
  ],
  "multipart with a part header of 50,000 bytes": [
    "multipart/form-data; boundary=x",
    `--x\r\nX: ${"y".repeat(50000)}\r\n\r\nabc\r\n--x--\r\n`,
  ],
  "multipart in multipart": [
    "multipart/form-data; boundary=x",
    '--x\r\nContent-Disposition: form-data; name="a"\r\nContent-Type: multipart/mixed; boundary=y\r\n\r\n--y\r\nContent-Disposition: file; filename="f"\r\n\r\nabc\r\n--y--\r\n--x--\r\n',
  ],
  "a boundary of 3,000 bytes": [`multipart/form-data; boundary=${"b".repeat(3000)}`, `--${"b".repeat(3000)}--\r\n`],
};
for (const [name, [type, body]] of Object.entries(BODIES))
  test(`a body that is not a valid form: ${name}`, async () => {
    const before = await cluster.rowCounts();
    for (const path of ["/douyin/user/register/", "/douyin/publish/action/"]) {
      const { status, json } = await api.send("POST", path, {
        body: Buffer.isBuffer(body) ? body : Buffer.from(body, "utf8"),
        headers: { "Content-Type": Buffer.from(type, "utf8").toString("latin1") },
      });
      assert.ok(status === 200 || status === 400, `${path}: ${status}`);
      if (status === 200)
        assert.ok(
          [CODE.PARAM, CODE.AUTH, CODE.TOO_LARGE].includes(json.status_code),
          `${path}: ${JSON.stringify(json)}`,
        );
    }
    assert.deepEqual(await cluster.rowCounts(), before, "rows");
  });

test("a target of 16 KiB is accepted; a longer one is 414, with many headers 414 or 431", async () => {
  const path = "/douyin/feed/?filler=";
  const ask = (bytes, headers) => api.send("GET", path + "x".repeat(bytes - path.length), { headers, fresh: true });
  const browser = { "User-Agent": "a".repeat(300), Accept: "b".repeat(200), Cookie: "c".repeat(1000) };
  for (const [bytes, headers] of [[8000, browser], [14000, browser], [16383], [16384]]) {
    const { status, json } = await ask(bytes, headers);
    assert.deepEqual([status, json.status_code], [200, CODE.OK], `${bytes}`);
  }
  /* The library stores cookies twice, and would answer twice if there were no room for them. */
  for (const length of [600, 1000, 2000, 5000]) {
    const { status } = await ask(16384, { Cookie: "c".repeat(length) });
    assert.ok([414, 431].includes(status), `${length}: ${status}`);
  }
  assert.equal((await ask(16385)).status, 414);
  for (const bytes of [20000, 60000, 400000]) {
    try {
      const { status } = await ask(bytes);
      assert.ok([414, 431].includes(status), `${bytes}: ${status}`);
    } catch (error) {
      /* More than the connection's buffer holds: it is closed while the rest is still being sent. */
      assert.ok(bytes > 17920 && /ECONNRESET|EPIPE/.test(error.code), `${bytes}: ${error.message}`);
    }
  }
});

test("an Idempotency-Key that is empty, too long or strange is refused or used, and never crashes the server", async () => {
  for (const key of ["", " ", "x".repeat(256), "x".repeat(10000), "a\tb", "\u00e9", "'; DROP TABLE user; --"]) {
    const username = uniqueName();
    const register = () =>
      api.post("/douyin/user/register/", { username, password: "p" }, { headers: { "Idempotency-Key": key } });
    const { json } = await register();
    assert.ok([CODE.OK, CODE.PARAM].includes(json.status_code), `${key.slice(0, 20)}: ${JSON.stringify(json)}`);
    const again = (await register()).json.status_code;
    if (json.status_code === CODE.PARAM) assert.equal(again, CODE.PARAM);
    else assert.equal(again, key.trim() === "" ? CODE.TAKEN : CODE.OK, JSON.stringify(key.slice(0, 20)));
  }
});

test("with a good token the Idempotency-Key is blamed; a broken body is always blamed", async () => {
  const before = await cluster.rowCounts();
  const fields = { token: user.token, to_user_id: peer.id, action_type: 1, content: "x" };
  for (const key of ["x".repeat(129), "a b", "a\tb", "\u00e9"])
    for (const place of ["query", "form"]) {
      const { json } = await api.send("POST", "/douyin/message/action/", {
        [place]: fields,
        headers: { "Idempotency-Key": key },
      });
      assert.equal(json.status_code, CODE.PARAM, JSON.stringify(json));
      assert.match(json.status_msg, /Idempotency-Key/);
    }
  const broken = { body: Buffer.from("--x\r\n"), headers: { "Content-Type": "multipart/form-data; boundary=x" } };
  for (const token of [user.token, "a.b.c"]) {
    const { json } = await api.send("POST", "/douyin/message/action/", { query: { ...fields, token }, ...broken });
    assert.equal(json.status_code, CODE.PARAM, JSON.stringify(json));
    assert.match(json.status_msg, /body/);
  }
  assert.deepEqual(await cluster.rowCounts(), before, "rows");
  const longest = { headers: { "Idempotency-Key": "!~".repeat(64) } };
  assert.equal((await api.say(user.token, peer.id, "x", longest)).status_code, CODE.OK);
});

test("each bad value at the end of a multipart body that comes byte by byte", async () => {
  const { body, type } = multipart([
    ["username", Buffer.from([0xe5, 0xbc])],
    ["password", "p"],
  ]);
  const connection = await RawConnection.open(cluster.server.options.listen_port);
  await connection.send(
    `POST /douyin/user/register/ HTTP/1.1\r\nHost: x\r\nContent-Type: ${type}\r\nContent-Length: ${body.length}\r\n\r\n`,
  );
  for (const byte of body) await connection.send(Buffer.from([byte]));
  const [answer] = await connection.answers(1);
  assert.equal(JSON.parse(answer.body.toString("utf8")).status_code, CODE.PARAM);
  connection.close();
});

test("no answer reveals internals, and none was an internal error", async () => {
  const answers = [
    await api.get("/douyin/user/", { token: user.token, user_id: "1'" }),
    await api.post("/douyin/user/register/", { username: "x".repeat(5000), password: percent("x") }),
    await api.post("/douyin/user/login/", { username: Buffer.from([0xff]), password: "x" }),
  ];
  for (const { json } of answers)
    assert.ok(
      !/select|insert|mysql|mariadb|errno|\.c:|\/tmp|shard\d|0x[0-9a-f]/i.test(json.status_msg),
      json.status_msg,
    );
  const samples = await api.metrics();
  const internal = [...samples].filter(
    ([name, n]) => name.startsWith("doushard_http_requests_total") && name.includes('status_code="1500"') && n > 0,
  );
  assert.deepEqual(internal, []);
  assert.equal(await api.metric("doushard_shard_pool_dirty_total"), 0);
  assert.equal(await api.metric("doushard_shard_calls_failed_total"), 0);
  await until("the server to be well", async () => (await api.send("GET", "/readyz", { admin: true })).status === 200);
});
