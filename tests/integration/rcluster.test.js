/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* The client of Redis Cluster with nodes that answer as told (lib/fake_redis.js): each redirection,
 * each way for a node to fail, each way for it to be wrong. rcluster-live.test.js has real nodes. */

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { after, test } from "node:test";
import { Authority, REFUSED } from "../lib/certificates.js";
import { array, bulk, close, fakeNodes, slotOf } from "../lib/fake_redis.js";
import { RClient } from "../lib/rclient.js";
import { until } from "../lib/wait.js";

/* A client of fake nodes, which end with the test; it must not have received anything unexpected. */
async function scene(t, { n = 2, seeds, secure, ...options } = {}) {
  const nodes = await fakeNodes(n, secure);
  const client = new RClient(nodes.slice(0, seeds ?? n), options);
  t.after(async () => {
    await client.stop();
    await Promise.all(nodes.map((node) => node.stop()));
    nodes.forEach((node) => node.done());
  });
  return { client, nodes };
}

const halves = ([a, b]) => [
  [0, 8191, a],
  [8192, 16383, b],
];
const low = "b"; /* slot 3300 */
const high = "a"; /* slot 15495 */

test("commands go to the node of their slot, and answers back to the right caller", async (t) => {
  assert.ok(slotOf(low) < 8192 && slotOf(high) > 8191);
  const {
    client,
    nodes: [a, b],
  } = await scene(t);
  a.slots = b.slots = halves([a, b]);
  a.expect(["GET", low], bulk("low")).expect(["LRANGE", low, "0", "1"], array(bulk("x"), ":7", "$-1"));
  b.expect(["GET", high], "$-1").expect(["INCR", high], ":42").expect(["LPUSH", high, "x"], "-WRONGTYPE no list");
  assert.deepEqual(
    await client.run([`GET ${low}`, `GET ${high}`, `INCR ${high}`, `LRANGE ${low} 0 1`, `LPUSH ${high} x`]),
    ["ok low", "ok", "ok 42", "ok x,7,false", "refused WRONGTYPE no list"],
  );
});

test("commands of one batch to one node stay in order, also those that wait for the table", async (t) => {
  const {
    client,
    nodes: [a],
  } = await scene(t, { n: 1 });
  for (let i = 0; i < 10; i++) a.expect(["SET", low, String(i)], "+OK");
  await client.run(Array.from({ length: 10 }, (_, i) => `SET ${low} ${i}`));
});

test("MOVED: the command goes there, and so do later ones", async (t) => {
  const {
    client,
    nodes: [a, b],
  } = await scene(t);
  a.expect(["GET", low], () => {
    a.slots = b.slots = [[0, 16383, b]];
    return `-MOVED ${slotOf(low)} ${b.address}`;
  });
  b.expect(["GET", low], bulk("1")).expect(["GET", low], bulk("2"));
  assert.deepEqual(await client.run(`GET ${low}`), ["ok 1"]);
  assert.deepEqual(await client.run(`GET ${low}`), ["ok 2"]);
  await until("the table is asked for", () => a.tables + b.tables > 1);
  assert.equal((await client.state()).moved, 1);
});

test("MOVED without a host means the host that was asked", async (t) => {
  const {
    client,
    nodes: [a, b],
  } = await scene(t);
  a.expect(["GET", low], `-MOVED ${slotOf(low)} :${b.port}`);
  b.expect(["GET", low], bulk("1"));
  assert.deepEqual(await client.run(`GET ${low}`), ["ok 1"]);
});

test("MOVED to an unknown node", async (t) => {
  const {
    client,
    nodes: [a, b],
  } = await scene(t, { seeds: 1 });
  a.expect(["GET", low], () => {
    a.slots = b.slots = [[0, 16383, b]];
    return `-MOVED ${slotOf(low)} ${b.address}`;
  });
  b.expect(["GET", low], bulk("1"));
  assert.deepEqual(await client.run(`GET ${low}`), ["ok 1"]);
  await until("both are known", async () => (await client.state()).up === 2);
});

test("MOVED back and forth ends", async (t) => {
  const {
    client,
    nodes: [a, b],
  } = await scene(t);
  for (let i = 0; i < 3; i++) {
    a.expect(["GET", low], `-MOVED ${slotOf(low)} ${b.address}`);
    b.expect(["GET", low], `-MOVED ${slotOf(low)} ${a.address}`);
  }
  assert.deepEqual(await client.run(`GET ${low}`), ["unavailable"]);
});

test("a redirection that leads nowhere is not an answer", async (t) => {
  const {
    client,
    nodes: [a],
  } = await scene(t);
  const wrong = [
    "-MOVED",
    "-MOVED x",
    `-MOVED 16384 ${a.address}`,
    `-MOVED ${slotOf(low)} ?:1`,
    `-ASK ${slotOf(low)} 127.0.0.1:0`,
    `-ASK ${slotOf(low)}`,
    `-MOVED -1 ${a.address}`,
  ];
  for (const said of wrong) {
    a.expect(["GET", low], said);
    assert.deepEqual(await client.run(`GET ${low}`), ["unavailable"], said);
  }
});

test("a storm of MOVED asks for the table only a few times", async (t) => {
  const {
    client,
    nodes: [a, b],
  } = await scene(t);
  await until("the table is known", async () => (await client.state()).slots === 16384);
  const before = a.tables + b.tables;
  const start = performance.now();
  for (let i = 0; i < 200; i++) {
    a.expect(["GET", low], `-MOVED ${slotOf(low)} ${b.address}`);
    b.expect(["GET", low], `-MOVED ${slotOf(low)} ${a.address}`);
    a.expect(["GET", low], bulk("1"));
    /* the table that arrives meanwhile names a, which then has it */
    const [said] = await client.run(`GET ${low}`);
    assert.ok(["ok 1", "unavailable"].includes(said), said);
    while (a.missing() > 0 || b.missing() > 0) {
      a.forget();
      b.forget();
    }
  }
  const budget = (performance.now() - start) / 100 + 2; /* REFRESH_PAUSE_MS */
  assert.ok(a.tables + b.tables - before <= budget, `${a.tables + b.tables - before} tables, ${budget} at most`);
  a.surprises.length = b.surprises.length = 0;
});

test("ASK: only this once, after ASKING; the next command goes to the old node", async (t) => {
  const {
    client,
    nodes: [a, b],
  } = await scene(t);
  a.expect(["GET", low], `-ASK ${slotOf(low)} ${b.address}`).expect(["GET", low], bulk("2"));
  b.expectAsking(["GET", low], bulk("1"));
  assert.deepEqual(await client.run(`GET ${low}`), ["ok 1"]);
  assert.deepEqual(await client.run(`GET ${low}`), ["ok 2"]);
  assert.equal((await client.state()).asked, 1);
});

test("TRYAGAIN: repeated in a moment", async (t) => {
  const {
    client,
    nodes: [a],
  } = await scene(t);
  a.expect(["GET", low], "-TRYAGAIN Multiple keys request during rehashing of slot")
    .expect(["GET", low], "-TRYAGAIN ..")
    .expect(["GET", low], bulk("1"));
  assert.deepEqual(await client.run(`GET ${low}`), ["ok 1"]);
  assert.equal((await client.state()).tryagain, 2);
});

test("TRYAGAIN for ever ends", async (t) => {
  const {
    client,
    nodes: [a],
  } = await scene(t);
  for (let i = 0; i < 6; i++) a.expect(["GET", low], "-TRYAGAIN ..");
  assert.deepEqual(await client.run(`GET ${low}`), ["unavailable"]);
});

for (const said of [
  "-CLUSTERDOWN The cluster is down",
  "-LOADING Redis is loading",
  "-MASTERDOWN Link with MASTER is down",
]) {
  test(`${said.split(" ")[0].slice(1)}: unavailable, and the table is asked for`, async (t) => {
    const {
      client,
      nodes: [a, b],
    } = await scene(t);
    a.expect(["GET", low], () => {
      a.slots = b.slots = [[0, 16383, b]];
      return said;
    });
    assert.deepEqual(await client.run(`GET ${low}`), ["unavailable"]);
    const before = a.tables + b.tables;
    await until("the new table", () => a.tables + b.tables > before);
    await until("the other one has it", async () => {
      b.expect(["GET", low], bulk("1"));
      const [answer] = await client.run(`GET ${low}`);
      if (answer !== "ok 1") b.forget();
      a.surprises.length = 0;
      return answer === "ok 1";
    });
  });
}

test("slots without a node are unavailable, others are served", async (t) => {
  const {
    client,
    nodes: [a, b],
  } = await scene(t);
  a.slots = b.slots = [[0, 8191, a]];
  a.expect(["GET", low], bulk("1"));
  assert.deepEqual(await client.run([`GET ${low}`, `GET ${high}`]), ["ok 1", "unavailable"]);
});

test("a script that a node lacks is sent to it", async (t) => {
  const {
    client,
    nodes: [a],
  } = await scene(t);
  const text = "return {KEYS[1], unpack(ARGV)}";
  const sha = execFileSync("sha1sum", { input: text, encoding: "utf8" }).slice(0, 40);
  a.expect(["EVALSHA", sha, "1", low, "x"], "-NOSCRIPT No matching script. Please use EVAL.")
    .expect(["SCRIPT", "LOAD", text], bulk(sha))
    .expect(["EVALSHA", sha, "1", low, "x"], array(bulk(low), bulk("x")));
  assert.deepEqual(await client.say(`script 60000 ${low} x`), [{ status: "ok", reply: [low, "x"] }]);
});

test("a connection that ends loses what was under way, and is opened again", async (t) => {
  const {
    client,
    nodes: [a],
  } = await scene(t);
  a.expect(["INCR", low], ":1").expect(["INCR", low], close);
  assert.deepEqual(await client.run(`INCR ${low}`), ["ok 1"]);
  assert.deepEqual(await client.run([`INCR ${low}`]), ["lost"]);
  await until("another one", () => a.connections === 2);
  await until("it is up again", async () => (await client.state()).up === 2);
  a.expect(["INCR", low], ":2");
  assert.deepEqual(await client.run(`INCR ${low}`), ["ok 2"]);
});

test("with a node down its commands are refused at once, and others are served", async (t) => {
  const {
    client,
    nodes: [a, b],
  } = await scene(t);
  a.slots = b.slots = halves([a, b]);
  a.expect(["GET", low], bulk("1"));
  assert.deepEqual(await client.run(`GET ${low}`), ["ok 1"]);
  await b.stop();
  await until("it is noticed", async () => (await client.state()).up === 1);
  a.expect(["GET", low], bulk("2"));
  assert.deepEqual(await client.run([`GET ${low}`, `GET ${high}`]), ["ok 2", "unavailable"]);
  await b.start(b.port);
  await until("it is back", async () => (await client.state()).up === 2);
  b.expect(["GET", high], bulk("3"));
  assert.deepEqual(await client.run(`GET ${high}`), ["ok 3"]);
});

test("a node that does not answer for too long counts as down, and delays no other", async (t) => {
  const {
    client,
    nodes: [a, b],
  } = await scene(t, { timeoutMs: 5000 });
  a.slots = b.slots = halves([a, b]);
  a.expect(["GET", low], bulk("1"));
  b.expect(["GET", high], null);
  assert.deepEqual(await client.run([`GET ${low}`, `GET ${high}`]), ["ok 1", "lost"]);
});

test("a caller that stopped waiting gets nothing, and its answer goes to nobody else", async (t) => {
  const {
    client,
    nodes: [a, b],
  } = await scene(t);
  let release;
  a.slots = b.slots = halves([a, b]);
  a.expect(
    ["GET", low],
    () =>
      new Promise((done) => {
        release = () => done(bulk("late"));
      }),
  ).expect(["GET", low], bulk("next"));
  b.expect(["GET", high], bulk("other"));
  assert.deepEqual(await client.run([`GET ${low}`, `GET ${high}`], { ms: 1000 }), ["open", "ok other"]);
  const next = client.run(`GET ${low}`);
  await until("it is asked", () => a.heard.length === 2);
  release();
  assert.deepEqual(await next, ["ok next"]);
});

test("a host that a table leaves out is that of the node that was asked", async (t) => {
  const {
    client,
    nodes: [a, b],
  } = await scene(t, { seeds: 1 });
  a.slots = b.slots = [
    [0, 8191, { host: "", port: a.port }],
    [8192, 16383, { host: null, port: b.port }],
  ];
  a.expect(["GET", low], bulk("1"));
  b.expect(["GET", high], bulk("2"));
  assert.deepEqual(await client.run([`GET ${low}`, `GET ${high}`]), ["ok 1", "ok 2"]);
});

test("a master that does not know its own address serves nobody yet", async (t) => {
  const {
    client,
    nodes: [a, b],
  } = await scene(t);
  a.slots = b.slots = [
    [0, 8191, a],
    [8192, 16383, { host: "?", port: b.port }],
  ];
  a.expect(["GET", low], bulk("1"));
  assert.deepEqual(await client.run([`GET ${low}`, `GET ${high}`]), ["ok 1", "unavailable"]);
});

test("a table that makes no sense is refused, and another node is asked", async () => {
  const good = (port) => array(":0", ":16383", array(bulk("127.0.0.1"), `:${port}`));
  const tables = [
    "-ERR This instance has cluster support disabled",
    "*0",
    ":1",
    bulk("x"),
    "*1\r\n*0",
    array(array(":0", ":16383")),
    array(array(":0", ":16384", array(bulk("127.0.0.1"), ":1"))),
    array(array(":9", ":8", array(bulk("127.0.0.1"), ":1"))),
    array(array(":0", bulk("1"), array(bulk("127.0.0.1"), ":1"))),
    array(array(":0", ":1", array(bulk("127.0.0.1"), ":0"))),
  ];
  for (const table of tables) {
    const [a, b] = await fakeNodes(2);
    a.slots = table;
    b.slots = array(good(b.port));
    b.expect(["GET", low], bulk("1"));
    const client = new RClient([a, b]);
    assert.deepEqual(await client.run(`GET ${low}`), ["ok 1"], table);
    await client.stop();
    await Promise.all([a.stop(), b.stop()]);
  }
});

test("something that is not Redis counts as down", async (t) => {
  for (const said of [
    "HTTP/1.1 400 Bad Request",
    "*99999999",
    "$-7",
    "+OK\r\n+OK",
    "*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n:1",
  ]) {
    const {
      client,
      nodes: [a],
    } = await scene(t, { n: 1 });
    a.expect(["GET", low], said);
    const [answer] = await client.run(`GET ${low}`);
    assert.ok(answer === "lost" || answer === "ok OK", `${said}: ${answer}`);
    await until("it is noticed", () => /redis_down/.test(client.errors));
  }
});

test("a wrong password is reported once, and not shown", async (t) => {
  const {
    client,
    nodes: [a, b],
  } = await scene(t, { password: "wrong-one", user: "app" });
  a.password = b.password = "right";
  await until("it is said", () => /WRONGPASS/.test(client.errors));
  assert.deepEqual(await client.run(`GET ${low}`, { ms: 200 }), ["unavailable"]);
  assert.equal((await client.state()).up, 0);
  assert.doesNotMatch(client.errors, /wrong-one/);
  assert.equal(client.errors.match(/redis_down/g).length, 2, client.errors);
});

test("AUTH comes before everything else", async (t) => {
  const {
    client,
    nodes: [a, b],
  } = await scene(t, { password: "right" });
  a.password = b.password = "right";
  a.expect(["GET", low], bulk("1"));
  assert.deepEqual(await client.run(`GET ${low}`), ["ok 1"]);
});

test("a host name is resolved; one that does not exist counts as down", async (t) => {
  const [a] = await fakeNodes(1);
  const client = new RClient([`localhost:${a.port}`, "no-such-host.invalid:1"]);
  t.after(async () => {
    await client.stop();
    await a.stop();
  });
  a.expect(["GET", low], bulk("1"));
  assert.deepEqual(await client.run(`GET ${low}`), ["ok 1"]);
  await until("it is noticed", () => /redis_down node=no-such-host/.test(client.errors));
});

test("when the client ends, nothing under way is answered", async () => {
  const [a] = await fakeNodes(1);
  const client = new RClient([a]);
  a.expect(["GET", low], null).expect(["GET", low], null);
  assert.deepEqual(await client.run([`GET ${low}`, `GET ${low}`], { ms: 500 }), ["open", "open"]);
  await client.stop();
  await a.stop();
});

/* ---- TLS ---- */

const authority = new Authority();
after(() => authority.remove());

test("TLS: a good certificate serves", async (t) => {
  const {
    client,
    nodes: [a],
  } = await scene(t, { n: 1, secure: authority.issue("good"), ca: authority.file, password: "right" });
  a.password = "right";
  const long = "x".repeat(30000);
  a.expect(["GET", low], bulk(long)).expect(["SET", low, long], "+OK");
  assert.deepEqual(await client.run([`GET ${low}`, `SET ${low} ${long}`]), [`ok ${long}`, "ok OK"]);
});

for (const [what, options] of Object.entries(REFUSED)) {
  test(`TLS: a certificate ${what} is refused`, async (t) => {
    const { client } = await scene(t, {
      n: 1,
      secure: authority.issue(what.replaceAll(" ", "-"), options),
      ca: authority.file,
    });
    await until("it is said", () => /certificate verify failed/.test(client.errors));
    assert.deepEqual(await client.run(`GET ${low}`, { ms: 200 }), ["unavailable"]);
  });
}

test("TLS: a node without TLS is refused", async (t) => {
  const {
    client,
    nodes: [a],
  } = await scene(t, { n: 1, ca: authority.file, password: "secret", timeoutMs: 500 });
  await until("it is said", () => /redis_down/.test(client.errors));
  assert.deepEqual(await client.run(`GET ${low}`, { ms: 200 }), ["unavailable"]);
  assert.deepEqual(a.heard, []);
});

test("TLS: a file without certificates is reported as such", async () => {
  const client = new RClient(["127.0.0.1:1"], { ca: "/dev/null" });
  assert.equal(await client.ended, 1);
  assert.match(client.errors, /\/dev\/null/);
});
