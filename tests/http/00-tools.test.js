/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* The tests' own tools: every checker must fail on a planted fault. */

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import net from "node:net";
import { tmpdir, userInfo } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { differences, otherMachine } from "../bench/compare.js";
import { svgOf } from "../bench/plot.js";
import { recountEdges } from "../bench/recount.js";
import { figure } from "../bench/run.js";
import { multipart, percent, urlencode } from "../lib/api.js";
import {
  duplicates,
  expositionProblems,
  mailboxProblems,
  quantile,
  slotOfId,
  slotOfName,
  strayRows,
  timeOfId,
  unevenness,
  versionsBackwards,
  walkProblems,
} from "../lib/checks.js";
import { Cluster, ROOT } from "../lib/cluster.js";
import { Contract } from "../lib/contract.js";
import { Mariadb } from "../lib/mariadb.js";
import * as media from "../lib/media.js";
import { FIRST } from "../lib/port.js";
import { CommandReader, PacketReader, TcpProxy } from "../lib/proxy.js";
import { parseAnswers, RawConnection } from "../lib/raw.js";
import { SqlError, literal, sql } from "../lib/sql.js";
import { until } from "../lib/wait.js";

const contract = new Contract();

function answer(body, { method = "GET", path = "/douyin/feed/", status = 200, headers = {} } = {}) {
  const bytes = Buffer.from(typeof body === "string" ? body : JSON.stringify(body));
  return {
    method,
    path,
    status,
    body: bytes,
    headers: { "content-type": "application/json", "content-length": String(bytes.length), ...headers },
  };
}

const FEED = { status_code: 0, status_msg: "success", video_list: [], next_time: 1767225600000, partial: false };

test("the judge accepts an answer that keeps the contract", () => {
  assert.deepEqual(contract.judge(answer(FEED)), FEED);
  assert.ok(contract.judge(answer(FEED, { path: "/douyin/feed" })));
  assert.ok(contract.seen.has("GET /douyin/feed/ 200 ok"));
});

const wrong = [
  ["status_code as text", { ...FEED, status_code: "0" }],
  ["no status_msg", { ...FEED, status_msg: undefined }],
  ["empty status_msg", { ...FEED, status_msg: "" }],
  ["null list", { ...FEED, video_list: null }],
  ["a key that nobody declared", { ...FEED, password: "x" }],
  ["no next_time", { ...FEED, next_time: undefined }],
  ["next_time as a fraction", { ...FEED, next_time: 1767225600.5 }],
  ["an error code that is not in the table", { ...FEED, status_code: 77, next_time: 0 }],
  ["a failure that lists something", { ...FEED, status_code: 1017, video_list: [{}] }],
  ["no JSON", "<html>"],
];
for (const [name, body] of wrong)
  test(`the judge refuses: ${name}`, () => assert.throws(() => contract.judge(answer(body))));

test("the judge refuses: a redirect, a wrong type, a wrong length, 405 without Allow, broken UTF-8", () => {
  const refusal = { status_code: 1405, status_msg: "no" };
  assert.throws(() => contract.judge(answer("", { status: 301, headers: { location: "/douyin/feed/" } })));
  assert.throws(() => contract.judge(answer(FEED, { headers: { "content-type": "text/html" } })));
  assert.throws(() => contract.judge(answer(FEED, { headers: { "content-type": "application/json; charset=gbk" } })));
  assert.throws(() => contract.judge(answer(FEED, { headers: { "content-length": "3" } })));
  assert.throws(() => contract.judge(answer(refusal, { method: "POST", status: 405 })));
  assert.ok(contract.judge(answer(refusal, { method: "POST", status: 405, headers: { allow: "GET, HEAD" } })));
  const broken = answer(FEED);
  broken.body = Buffer.concat([Buffer.from('{"status_code":0,"status_msg":"\xff', "latin1"), broken.body]);
  delete broken.headers["content-length"];
  assert.throws(() => contract.judge(broken));
});

test("the judge refuses ids at 2^53 and relative URLs", () => {
  const user = contract.problems.bind(contract, "#/components/schemas/User");
  const good = {
    id: 2 ** 53 - 1,
    name: "a",
    follow_count: 0,
    follower_count: 0,
    is_follow: false,
    avatar: "http://h/a.png",
    background_image: "http://h/b.png",
    signature: "s",
    total_favorited: 0,
    work_count: 0,
    favorite_count: 0,
  };
  assert.equal(user(good), "");
  assert.notEqual(user({ ...good, id: 2 ** 53 }), "");
  assert.notEqual(user({ ...good, avatar: "/a.png" }), "");
  assert.notEqual(user({ ...good, total_favorited: "0" }), "");
});

test("the placement checker flags a planted stray row", () => {
  const id = (5000 * 1024 + 7) * 8 + 3;
  assert.equal(slotOfId(id), 7);
  assert.equal(slotOfName("123456789"), 0xcbf43926 % 1024);
  assert.equal(timeOfId(id), 1735689600000 + 5000);
  const owner = new Map([[7, "shard1"]]);
  assert.deepEqual(strayRows([{ shard: "shard1", slot: 7, id }], owner, slotOfId), []);
  assert.equal(strayRows([{ shard: "shard2", slot: 7, id }], owner, slotOfId).length, 1);
  assert.equal(strayRows([{ shard: "shard1", slot: 7, id: id + 8 }], owner, slotOfId).length, 1);
});

test("the walk checker flags a repeated, a skipped and a misplaced video", () => {
  const pages = [
    [
      { id: 3, at: 30 },
      { id: 2, at: 20 },
    ],
    [{ id: 1, at: 10 }],
  ];
  assert.deepEqual(walkProblems(pages, [1, 2, 3]), []);
  assert.deepEqual(walkProblems([...pages, [{ id: 2, at: 10 }]], [1, 2, 3]), ["twice: 2"]);
  assert.deepEqual(walkProblems(pages, [1, 2, 3, 4]), ["missing: 4"]);
  assert.equal(walkProblems([pages[1], pages[0]], [1, 2, 3]).length, 1);
  assert.deepEqual(duplicates([1, 2, 1, 1]), [1]);
});

test("the mailbox checker flags missing and repeated numbers, and copies that differ", () => {
  const message = (fields) => ({ user_id: 1, peer_id: 2, sent: 1, seq: 1, message_id: 11, text: "a", ...fields });
  const copy = (fields) => message({ user_id: 2, peer_id: 1, sent: 0, ...fields });
  const second = { seq: 2, message_id: 12, text: "b" };
  const good = [message(), copy(), message(second), copy(second)];
  assert.deepEqual(mailboxProblems(good), []);
  assert.deepEqual(
    mailboxProblems([...good, message({ user_id: 2, peer_id: 1 }), copy({ user_id: 1, peer_id: 2 })]),
    [],
  );
  const bad = [
    good.slice(0, 3),
    good.slice(2),
    [...good, copy({ message_id: 13, seq: 2 })],
    [...good, message({ seq: 3 }), copy({ seq: 3 })],
    [message(), copy({ text: "b" })],
    [message(), copy({ message_id: 12 })],
  ];
  for (const messages of bad) assert.notDeepEqual(mailboxProblems(messages), [], JSON.stringify(messages));
});

test("the version checker flags versions that ran backwards, of owners that still exist", () => {
  const map = (...versions) => new Map([["user 1", versions]]);
  assert.deepEqual(versionsBackwards(map(5n, 7n), map(5n, 7n)), []);
  assert.deepEqual(versionsBackwards(map(5n, 7n), map(6n, 6n)), ["user 1"]);
  assert.deepEqual(versionsBackwards(map(5n), new Map()), []);
});

test("the spread checker tells an even spread from an uneven one", () => {
  assert.ok(unevenness([250, 260, 240, 250]) < 4);
  assert.ok(unevenness([400, 200, 200, 200]) > 20);
  assert.equal(quantile([5, 1, 3], 0.5), 3);
});

test("the checker of the metrics' text finds faults", () => {
  const good = '# HELP a_total x\n# TYPE a_total counter\na_total{r="/x"} 1\na_total{r="/y"} 2\n';
  assert.deepEqual(expositionProblems(good), []);
  assert.equal(expositionProblems(`${good}a_total{r="/x"} 1\n`).length, 1);
  assert.equal(expositionProblems("b 1\n").length, 1);
  assert.equal(expositionProblems(good.replace("} 2", "} two")).length, 1);
  assert.equal(expositionProblems(good.trimEnd()).length, 1);
  const histogram = '# HELP h x\n# TYPE h histogram\nh_bucket{le="1"} 5\nh_bucket{le="+Inf"} 4\nh_sum 1\nh_count 4\n';
  assert.equal(expositionProblems(histogram).length, 1);
});

test("parameters are encoded byte by byte", () => {
  assert.equal(percent("a b+é"), "a%20b%2b%c3%a9");
  assert.equal(percent(Buffer.from([0, 0xff])), "%00%ff");
  assert.equal(urlencode({ a: 1, b: undefined, c: "" }), "a=1&c=");
  const { body } = multipart([["a", "1"], { name: "f", filename: "x", data: Buffer.from([0, 1]) }], "B");
  assert.match(
    body.toString("latin1"),
    /^--B\r\n.*name="a"\r\n\r\n1\r\n--B\r\n.*filename="x"\r\n.*\r\n\r\n\0\x01\r\n--B--\r\n$/s,
  );
});

test("answers on a raw socket are told apart and parsed", () => {
  const one = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";
  assert.equal(parseAnswers(Buffer.from(one + one)).length, 2);
  assert.throws(() => parseAnswers(Buffer.from(one.slice(0, -1))));
  assert.throws(() => parseAnswers(Buffer.from("nonsense\r\n\r\n")));
});

test("a literal cannot be broken out of", () => {
  assert.equal(literal("a'b\\"), "'a''b\\\\'");
  assert.equal(literal(""), "''");
  assert.equal(literal(5), "5");
  assert.equal(literal(Buffer.from([0, 255])), "X'00ff'");
  assert.equal(literal({ a: "'" }), `'{"a":"''"}'`);
});

test("the SQL client", async (t) => {
  const server = await Mariadb.start();
  t.after(() => server.stop());
  const root = server.session();
  const cnf = join(server.dir, "root.cnf");
  writeFileSync(cnf, `[client]\nuser=${userInfo().username}\n`);
  const ask = (text, options) => sql(cnf, server, text, { database: "", ...options });

  await t.test("texts stay texts, and only NULL is null", async () => {
    const texts = ["NULL", "123", "", " a'b\\\t\n\0<&>é\u{1F600}", null];
    const query = `SELECT ${texts.map((text, i) => `${literal(text)} AS c${i}`)}`;
    const row = Object.fromEntries(texts.map((text, i) => [`c${i}`, text]));
    assert.deepEqual(await root.run(query), [[row]]);
    assert.deepEqual(await ask(query), [row]);
  });

  await t.test("numbers lose no digit", async () => {
    const query = `SELECT 1 AS one, -5 AS minus, 9007199254740991 AS most, 9007199254740993 AS more,
      18446744073709551615 AS max, COUNT(*) AS n, SUM(1) AS total, 1.50 AS exact, 2.5e0 AS near, YEAR('2026-01-02') AS y`;
    const texts = { one: "1", minus: "-5", most: "9007199254740991", more: "9007199254740993" };
    Object.assign(texts, { max: "18446744073709551615", n: "1", total: "1", exact: "1.50", near: "2.5", y: "2026" });
    const numbers = { one: 1, minus: -5, most: 9007199254740991, n: 1, total: 1, near: 2.5, y: 2026 };
    assert.deepEqual(await root.rows(query), [texts]);
    assert.deepEqual(await ask(query), [{ ...texts, ...numbers }]);
  });

  await t.test("binary columns have bytes", async () => {
    const bytes = Buffer.from([0, 255, 49]);
    const query = `SELECT ${literal(bytes)} AS b, CAST('12' AS BINARY) AS digits, '12' AS text`;
    const row = { b: bytes, digits: Buffer.from("12"), text: "12" };
    assert.deepEqual(await root.rows(query), [row]);
    assert.deepEqual(await ask(query), [row]);
  });

  await t.test("several result sets, also of a CALL; statements without columns have none", async () => {
    await root.run(
      "CREATE DATABASE d; CREATE PROCEDURE d.two () BEGIN SELECT 1 AS a; DO 0; SELECT 2 AS b FROM DUAL WHERE 0; END",
    );
    assert.deepEqual(await root.run("DO 1; CALL d.two(); SELECT 'x' AS c UNION ALL SELECT 'y'"), [
      [{ a: "1" }],
      [],
      [{ c: "x" }, { c: "y" }],
    ]);
    assert.deepEqual(await root.run("CALL d.two()"), [[{ a: "1" }], []]);
    assert.deepEqual(await root.run("DO 1"), []);
    assert.equal(await root.value("DO 1"), null);
    assert.deepEqual(await ask("CALL d.two(); SELECT 'x' AS c"), [{ a: 1 }, { c: "x" }]);
    assert.deepEqual(await ask(" \n"), []);
    const rows = [];
    await root.each("DO 1; CALL d.two(); SELECT NULL AS c, 'x' AS d", (row) =>
      rows.push(row.map((v) => v && String(v))),
    );
    assert.deepEqual(rows, [["1"], [null, "x"]]);
  });

  await t.test("a session keeps its state, and statements are answered in order", async () => {
    const all = ["SET @a = 1", "SET @a = @a + 1", "SELECT @a AS a"].map((text) => root.run(text));
    assert.deepEqual(await Promise.all(all), [[], [], [[{ a: "2" }]]]);
  });

  await t.test("an error has number, state and text, and the session goes on", async () => {
    const signal = "SIGNAL SQLSTATE '45400' SET MESSAGE_TEXT = 'no:\nnever'";
    const refusal = { constructor: SqlError, errno: 1644, state: "45400", text: "no:\nnever" };
    await assert.rejects(root.run(`SELECT 1; ${signal}; SET @a = 3`), {
      ...refusal,
      message: "ERROR 1644 (45400): no:\nnever",
    });
    assert.equal(await root.value("SELECT @a"), "2");
    await assert.rejects(ask(signal), refusal);
    await assert.rejects(root.each(signal, assert.fail), refusal);
  });

  await t.test("a refused login is an error of every call", async () => {
    const stranger = server.session({ user: "nobody" });
    const refusal = { constructor: SqlError, errno: 1698, state: "28000" };
    for (let i = 0; i < 2; i++) await assert.rejects(stranger.run("SELECT 1"), refusal);
  });

  await t.test("a connection that the server ends is an error of what waits, and of later calls", async () => {
    const session = server.session();
    const id = await session.value("SELECT CONNECTION_ID()");
    const isLost = (error) => error instanceof SqlError && [1927, 2013].includes(error.errno);
    const waiting = [session.run("SELECT SLEEP(60)"), session.run("SELECT 1")].map((run) =>
      assert.rejects(run, isLost),
    );
    await until(
      "the statement to run",
      async () =>
        (await root.rows(`SELECT 1 FROM information_schema.processlist WHERE id = ${id} AND info LIKE '%SLEEP%'`))
          .length > 0,
    );
    await root.run(`KILL ${id}`);
    await Promise.all(waiting);
    await assert.rejects(session.run("SELECT 1"), isLost);
    await session.end();

    const idle = server.session();
    await root.run(`KILL ${await idle.value("SELECT CONNECTION_ID()")}`);
    await assert.rejects(idle.run("SELECT 1"), isLost);
  });

  await t.test("an answer that does not come is an error, and so is a session that was ended", async () => {
    const session = server.session();
    await assert.rejects(session.run("SELECT SLEEP(60)", 10), /no answer in 10 ms: SELECT SLEEP/);
    await assert.rejects(ask("SELECT SLEEP(60)", { timeoutMs: 10 }), /no answer in 10 ms/);
    const waiting = assert.rejects(session.run("SELECT 1"), /was ended/);
    await session.end();
    await waiting;
    await assert.rejects(session.run("SELECT 1"), /was ended/);
  });
});

function packet(number, ...parts) {
  const payload = Buffer.concat(parts.map((p) => (typeof p === "string" ? Buffer.from(p) : Buffer.from(p))));
  const head = Buffer.alloc(4);
  head.writeUIntLE(payload.length, 0, 3);
  head[3] = number;
  return Buffer.concat([head, payload]);
}

test("the proxy's reader recognises statements wherever the bytes are cut", () => {
  const reader = new CommandReader();
  const bytes = packet(0, [0x16], "CALL a(?)");
  assert.deepEqual(reader.fromClient(bytes.subarray(0, 3)), []);
  assert.deepEqual(reader.fromClient(bytes.subarray(3)), []);
  assert.deepEqual(reader.prepared, ["CALL a(?)"]);
  reader.fromServer(packet(1, [0, 9, 0, 0, 0, 0, 0, 1, 0]));
  assert.deepEqual(reader.fromClient(packet(0, [0x17, 9, 0, 0, 0], "\0\0\0\0\0")), ["CALL a(?)"]);
  assert.deepEqual(reader.fromClient(packet(0, [0x03], "CALL b()")), ["CALL b()"]);
  assert.equal(new PacketReader().push(Buffer.concat([bytes, bytes])).length, 2);
});

/* A shard that answers every command with "ok". */
async function echoShard() {
  const seen = [];
  const server = net.createServer((socket) => {
    const reader = new PacketReader();
    socket.on("error", () => {});
    socket.on("data", (chunk) => {
      for (const { payload } of reader.push(chunk)) {
        seen.push(payload.toString("latin1", 1));
        socket.write(packet(1, "ok"));
      }
    });
  });
  await new Promise((done) => {
    server.listen(0, "127.0.0.1", done);
  });
  return { seen, port: server.address().port, stop: () => server.close() };
}

test("the proxy can drop a reply, cut, delay, refuse and swallow", async () => {
  const shard = await echoShard();
  const proxy = await TcpProxy.start({ port: shard.port });
  const say = async (text) => {
    const connection = await RawConnection.open(proxy.port);
    await connection.send(packet(0, [0x03], text));
    return connection;
  };
  const answered = (connection) => until("an answer", () => connection.received.length > 0, { everyMs: 5 });
  try {
    const plain = await say("CALL plain()");
    await answered(plain);
    plain.close();

    proxy.once(/lost/, "lose-reply");
    const lost = await say("CALL lost()");
    await lost.closed();
    assert.equal(lost.received.length, 0);
    assert.ok(shard.seen.includes("CALL lost()"), "the shard has run it");
    await answered(await say("CALL lost()"));

    proxy.once(/cut/, "cut");
    const cut = await say("CALL cut()");
    await cut.closed();
    assert.ok(!shard.seen.includes("CALL cut()"), "the shard did not see it");

    proxy.once(/slow/, { delayMs: 100 });
    const start = performance.now();
    await answered(await say("CALL slow()"));
    assert.ok(performance.now() - start >= 95);

    proxy.once(/hang/, "hang-reply");
    const hang = await say("CALL hang()");
    await until("the shard to run it", () => shard.seen.includes("CALL hang()"));
    assert.equal(hang.received.length, 0);
    assert.equal(hang.ended, false);

    proxy.blackHole = true;
    await say("CALL nowhere()");
    await until("the proxy to see it", () => proxy.count(/nowhere/) === 1);
    assert.ok(!shard.seen.includes("CALL nowhere()"));
    proxy.blackHole = false;

    proxy.refuse = true;
    const refused = await RawConnection.open(proxy.port);
    await refused.closed();
    assert.deepEqual(proxy.applied, { "lose-reply": 1, cut: 1, delay: 1, "hang-reply": 1 });
  } finally {
    await proxy.stop();
    shard.stop();
  }
});

test("the clips have the properties that their names claim", () => {
  const { format, streams } = media.probe(media.uniqueClip());
  assert.match(format.format_name, /mp4/);
  assert.deepEqual(streams.map((s) => s.codec_type).sort(), ["audio", "video"]);
  assert.equal(media.clipOfSize(50000).length, 50000);
  assert.notDeepEqual(media.uniqueClip(), media.uniqueClip());
  assert.equal(media.masked(Buffer.from("x")).toString("latin1", 4, 8), "ftyp");
  assert.ok(media.pictureBomb().length < 1 << 20, "a bomb is small on disk");
});

test("no test file awaits anything between its tests: its cluster could be stopped meanwhile", () => {
  for (const name of readdirSync(fileURLToPath(new URL(".", import.meta.url)))) {
    if (!name.endsWith(".test.js")) continue;
    const lines = readFileSync(new URL(name, import.meta.url), "utf8").split("\n");
    const first = lines.findIndex((line) => /^\s*test\(/.test(line));
    const late = lines.slice(first).filter((line) => /^(const|let|await|\}).*\bawait\b/.test(line));
    assert.deepEqual(late, [], name);
  }
});

test("a sanitizer's report in a server's log fails the file, even if the directory is kept", async () => {
  const report = "==7==ERROR: AddressSanitizer: heap-use-after-free";
  const kept = process.env.DOUSHARD_TEST_KEEP;
  const end = (log) => {
    const cluster = new Cluster();
    const dir = mkdtempSync(join(tmpdir(), "doushard-test-"));
    const server = { name: "server1", child: {}, running: false, stop: () => ({ code: 0 }), logText: () => log };
    Object.assign(cluster, {
      local: true,
      dir,
      env: { ...process.env, DOUSHARD_VAR: dir },
      servers: [server],
      shards: [],
      guard: { stdin: { destroy() {} } },
    });
    return cluster.down({ last: false }).finally(() => rmSync(dir, { recursive: true, force: true }));
  };
  try {
    for (const keep of ["", "1"]) {
      process.env.DOUSHARD_TEST_KEEP = keep;
      await end("all is well");
      await assert.rejects(end(`all is well\n${report}\n`), /heap-use-after-free/);
    }
  } finally {
    if (kept === undefined) delete process.env.DOUSHARD_TEST_KEEP;
    else process.env.DOUSHARD_TEST_KEEP = kept;
  }
});

test("waiting in vain reports what was waited for", async () => {
  await assert.rejects(
    until("godot", () => false, { timeoutMs: 30, everyMs: 5 }),
    /godot/,
  );
});

/* Shards that answer the queries of the recount: `forward` and `backward` are the states of [user 1,
 * user 2, ..] at video 9. */
const countedCluster = ({ changes, forward, backward }) => ({
  rowCounts: async () => ({ outbox: 0 }),
  sqlAll: async (text) => {
    if (text.includes("SUM(edge_ver")) return [{ n: changes }];
    const states = text.includes("FROM favorite") ? forward : backward;
    return states.flatMap((state, i) => (state === null ? [] : [{ user_id: i + 1, target: 9, state }]));
  },
});

test("a benchmark whose likes are missing from the shards fails", async (t) => {
  const dir = mkdtempSync(join(tmpdir(), "doushard-bench-"));
  t.after(() => rmSync(dir, { recursive: true }));
  const states = join(dir, "states");
  writeFileSync(states, Buffer.from([...Array(24).fill(0), 1, 0, 0, 2])); /* on, off, never sent, unknown */
  const script = {
    states,
    pairs: [
      [1, 9],
      [2, 9],
      [3, 9],
      [4, 9],
    ],
  };
  const recount = (rows) =>
    recountEdges(
      countedCluster({ changes: 13, forward: [1, 0, null, 1], backward: [1, 0, null, 0], ...rows }),
      ["favorite", "liker"],
      script,
      10,
      3,
    );
  assert.equal(await recount({}), 3);
  await assert.rejects(recount({ changes: 12 }), /3 requests were acknowledged, 2 changed a row/);
  await assert.rejects(recount({ forward: [1, 1, null, 1] }), /1 rows of favorite/);
  await assert.rejects(recount({ backward: [null, 0, null, 0] }), /1 rows of liker/);
  await assert.rejects(recount({ backward: [1, 0, 1, 0] }), /1 rows of liker/);
});

test("when two benchmarks are compared, only differences beyond the noise are reported", () => {
  const machine = {
    processor: "p",
    kernel: "k",
    shards: 4,
    settings: { log_bin: "OFF" },
    data: { users: 5, load_s: 1 },
  };
  const result = (samples, cpu) => ({
    machine,
    rows: [
      {
        name: "ping",
        what: "/ping",
        unit: "requests/s",
        sides: {
          "/ping": {
            per_s: figure(samples),
            p50_ms: figure([1]),
            p99_ms: figure([2]),
            cpu_us: { server: figure(cpu) },
            curve: [
              [100, 0],
              [900, 0.9],
            ],
          },
        },
      },
    ],
  });
  const a = result([100, 101, 99, 100, 130], [10, 10, 10]);
  assert.deepEqual(differences(a, result([100, 98, 101, 102, 80], [10.1, 10.1, 10.1])), []); /* noise; 1 % */
  assert.deepEqual(differences(a, result([150, 151, 149, 150, 90], [10, 10, 10])), [
    { row: "ping", side: "/ping", figure: "per second", a: 100, b: 150, change: 50 },
  ]);
  assert.deepEqual(otherMachine(a, { machine: { ...machine, shards: 2, data: { users: 5, load_s: 9 } } }), ["shards"]);
  const svg = svgOf(a.rows[0]);
  assert.match(svg, /<polyline [^>]*points="[\d., ]+"/);
  assert.doesNotMatch(svg, /NaN|undefined|Infinity/);
});

test("no cluster has a port that is given to the servers of tests", () => {
  const text = execFileSync(
    "bash",
    [
      "-c",
      `. scripts/lib.sh; . scripts/cluster.sh; SHARDS=$SHARDS_MAX
      for ((PORT_BASE = BLOCK_FIRST; PORT_BASE <= BLOCK_LAST; PORT_BASE += BLOCK_SIZE)); do block_ports; done`,
    ],
    { cwd: ROOT, env: { ...process.env, ROOT }, encoding: "utf8" },
  );
  const ports = text.trim().split("\n").map(Number);
  assert.ok(ports.length > 1000 && Math.min(...ports) > 1023, `${ports.length} ports`);
  assert.ok(Math.max(...ports) < FIRST, `up to ${Math.max(...ports)}`);
});
