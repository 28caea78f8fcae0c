/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* What operators rely on: health, metrics, configuration, reload, drain, logs without secrets. */

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { chmodSync, existsSync, readFileSync, writeFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import net from "node:net";
import { join } from "node:path";
import { after, test } from "node:test";
import { CODE, multipart, uniqueName } from "../lib/api.js";
import { expositionProblems, slotOfId } from "../lib/checks.js";
import { Cluster, ROOT, UPLOADS, program, serverEnvironment, slowdown, statusOf } from "../lib/cluster.js";
import { clipOfSize, uniqueClip } from "../lib/media.js";
import { TcpProxy } from "../lib/proxy.js";
import { RawConnection } from "../lib/raw.js";
import { idOf, owners } from "../lib/rows.js";
import { parallel, until } from "../lib/wait.js";

const cluster = await Cluster.up({ options: UPLOADS });
after(() => cluster.down());
const { api } = cluster;
const user = await api.register();

const admin = (path, method = "GET") => api.send(method, path, { admin: true });

/** Runs the program to its end. */
function run(args, env = {}) {
  return spawnSync(program(), args, {
    encoding: "utf8",
    timeout: 30000,
    cwd: ROOT,
    env: { ...serverEnvironment(), ...env },
  });
}

/* ---- Health and metrics ---- */

test("the operator's listener reports health", async () => {
  for (const path of ["/livez", "/readyz"]) {
    const { status, body } = await admin(path);
    assert.equal(status, 200, path);
    assert.match(body.toString("utf8"), /^(\[\+\]\w+ ok\n)*(ok|ready|alive)\n?$/, path);
    assert.equal((await admin(path, "HEAD")).status, 200);
  }
  assert.equal((await admin("/douyin/feed/")).status, 404, "only the operator's paths are there");
  assert.equal((await admin("/livez", "POST")).status, 405);
});

test("the operator's listener is bound to loopback, unless it is configured otherwise", () => {
  const { stdout } = run(["--print-config"]);
  assert.match(stdout, /^admin_host = "127\.0\.0\.1";/m);
});

test("the metrics are well formed, and match the table and its help texts", async () => {
  const { body, headers } = await admin("/metrics");
  const text = body.toString("utf8");
  assert.match(headers["content-type"], /^text\/plain; version=0\.0\.4/);
  assert.deepEqual(expositionProblems(text), []);
  const table = readFileSync(join(ROOT, "server/base/metrics.def"), "utf8");
  const rows = [...table.matchAll(/^METRIC\(\w+,\s*(\w+),\s*\w+,\s*"(\w+)",\s*"[^"]*",\s*"((?:[^"\\]|\\.)*)"\)/gms)];
  assert.ok(rows.length > 30, `only ${rows.length} rows were read`);
  const families = new Map([...text.matchAll(/^# TYPE (\w+) (\w+)$/gm)].map(([, name, type]) => [name, type]));
  assert.deepEqual([...families.keys()].sort(), rows.map(([, , name]) => name).sort());
  for (const [, type, name, help] of rows) {
    assert.equal(families.get(name), type, name);
    assert.ok(text.includes(`# HELP ${name} ${help.replaceAll('\\"', '"')}`), `HELP of ${name}`);
    assert.match(name, type === "counter" ? /_total$/ : /(?<!_total)$/, name);
  }
});

test("requests are counted by route and code, unknown paths under one label", async () => {
  const count = async (part) => {
    let sum = 0;
    for (const [name, value] of await api.metrics())
      if (name.startsWith("doushard_http_requests_total{") && name.includes(part)) sum += value;
    return sum;
  };
  const before = await count('route="/douyin/user/"');
  const refused = await count('status_code="1001"');
  await api.user(user.token);
  await api.user("bad");
  /* A request is counted when it is over, a moment after its answer has arrived. */
  await until("both to be counted", async () => (await count('route="/douyin/user/"')) === before + 2);
  assert.ok((await count('status_code="1001"')) >= refused + 1);
  const series = (await api.metrics()).size;
  for (let i = 0; i < 20; i++) await api.send("GET", `/nothing/${uniqueName()}`, {});
  assert.ok((await api.metrics()).size <= series + 3, "each path got a series of its own");
});

test("metrics and health answer while no shard does", async () => {
  const proxies = await Promise.all(cluster.shards.map(({ port }) => TcpProxy.start({ port })));
  const ports = Object.fromEntries(cluster.shards.map(({ name }, i) => [name, proxies[i].port]));
  const server = await (await cluster.addServer({ topology_file: cluster.topology(ports) })).start();
  const other = cluster.apiOf(server);
  for (const proxy of proxies) proxy.blackHole = true;
  const stuck = Array.from({ length: 50 }, () => other.list({ user_id: user.id }).then((j) => j.status_code));
  for (const path of ["/livez", "/metrics"]) {
    const start = performance.now();
    assert.equal(await statusOf(server.adminUrl + path), 200);
    assert.ok(performance.now() - start < 5000 * slowdown(), path);
  }
  await until("not ready", async () => (await statusOf(`${server.adminUrl}/readyz`)) === 503);
  const codes = await Promise.all(stuck);
  assert.deepEqual(
    codes.filter((c) => ![CODE.BUSY, CODE.UNAVAILABLE, CODE.UNKNOWN].includes(c)),
    [],
  );
  for (const proxy of proxies) proxy.blackHole = false;
  await until("ready again", async () => (await statusOf(`${server.adminUrl}/readyz`)) === 200);
  assert.equal((await server.stop()).code, 0);
  await Promise.all(proxies.map((p) => p.stop()));
});

/* ---- Purging ---- */

test("a server purges what is no longer needed, and goes on where another one stopped", async () => {
  const owner = await owners(cluster);
  const shard = owner.get(slotOfId(user.id));
  const onShard = (text) => cluster.sql(shard, text);
  /* On another shard, so that the first half of the like exists for a moment; then it is taken back. */
  const missing = idOf(Date.now() - 1000, [...owner].find(([, name]) => name !== shard)[0]);
  await until(
    "the first passes to end",
    async () => (await onShard("CALL purge_status()")).every(({ finished_at }) => finished_at > 0),
    { timeoutMs: 60000 },
  );
  assert.notEqual((await api.like(user.token, missing)).status_code, CODE.OK);
  assert.deepEqual(await onShard(`SELECT state, at FROM favorite WHERE video_id = ${missing}`), [{ state: 0, at: 0 }]);
  /* 2,500 edges, of which every fifth can be purged. */
  await onShard(`INSERT INTO liker (slot, video_id, user_id, state, ver, at)
    SELECT f.slot, 1 + k.slot, 3 + f.slot, f.slot MOD 5 > 0, 1, 1 FROM slot_fence AS f, slot_fence AS k
     WHERE f.answer = 'ok' AND k.slot < 10 ORDER BY f.slot, k.slot LIMIT 2500`);
  await onShard(`INSERT INTO session SELECT slot, user_id, REPEAT('x', 16), 1, 1, 1 FROM session LIMIT 1`);
  const counted = "SELECT SUM(state = 0) AS gone, SUM(state = 1) AS kept FROM liker WHERE at = 1";
  const [{ gone, kept }] = await onShard(counted);
  assert.ok(gone > 100 && gone + kept === 2500, `${gone} ${kept}`);
  /* Another server has done two steps of a pass, and died. */
  await onShard("UPDATE purge_pass SET due_at = 0 WHERE kind = 'liker'; CALL purge_step(100); CALL purge_step(100)");
  await onShard("UPDATE purge_pass SET due_at = 0");
  const server = await (await cluster.addServer({ job_poll: "50ms" })).start();
  const started = Date.now();
  await until(
    "the passes",
    async () =>
      (await onShard("CALL purge_status()")).every(({ running, due_at }) => running === 0 && due_at > started),
    { timeoutMs: 60000 },
  );
  const status = new Map((await onShard("CALL purge_status()")).map((row) => [row.kind, row]));
  assert.deepEqual(await onShard(counted), [{ gone: 0, kept }]);
  assert.equal((await onShard("SELECT COUNT(*) AS n FROM session WHERE expires_at = 1"))[0].n, 0);
  assert.deepEqual([status.get("liker").removed, status.get("session").removed], [gone, 1]);
  assert.ok(status.get("liker").looked >= 2500);
  assert.deepEqual(await onShard(`SELECT * FROM favorite WHERE video_id = ${missing}`), []);
  assert.ok((await cluster.apiOf(server).metric("doushard_rows_purged_total")) >= gone / 2);
});

/* ---- Configuration ---- */

const base = readFileSync(cluster.config, "utf8");

/** Writes a configuration; returns its path. */
function file(name, text) {
  const path = join(cluster.dir, name);
  writeFileSync(path, text);
  return path;
}
const dirs = `media_dir = "${cluster.dir}/test-media";\nupload_dir = "${cluster.dir}/test-upload";\n`;

test("a good configuration is reported as good", () => {
  const path = file("good.conf", base + dirs);
  const { status, stdout, stderr } = run(["--check-config", `--config=${path}`]);
  assert.deepEqual([status, stderr], [0, ""]);
  assert.match(stdout, /ok/);
});

/* name: [lines after the good ones, line of the error counted from there, what it must name,
 * "flags": these tests set this by flags, which win]. */
const BAD = {
  syntax: ["listen_port = = 1;", 1, /syntax/i],
  "an unknown key": ["feed_limit = 20;\nfeed_limmit = 20;", 2, /feed_limmit/],
  "an unknown group": ["server = { listen_port = 1; };", 1, /server/],
  "a text where a number belongs": ['feed_limit = "20";', 1, /feed_limit/],
  "a number where a text belongs": ["listen_host = 1;", 1, /listen_host/],
  "a fraction": ["feed_limit = 20.0;", 1, /feed_limit/],
  "a list": ["feed_limit = (20);", 1, /feed_limit/],
  "too small": ["feed_limit = 0;", 1, /feed_limit/],
  "too large": ["listen_port = 65536;", 1, /listen_port/],
  "wrapped at 32 bits": ["feed_limit = 4294967306;", 1, /4294967306 is larger/],
  "wrapped at 32 bits, long": ["feed_limit = 4294967306L;", 1, /feed_limit/],
  "wrapped at 64 bits": ["upload_limit = 18446744073710600192L;", 1, /18446744073710600192L is larger/],
  "hexadecimal that wraps": ["feed_limit = 0x10000000A;", 1, /0x10000000A is larger/],
  "negative bytes": ["upload_limit = -1;", 1, /upload_limit/],
  "a size in an unknown unit": [
    'upload_limit = "256 parsecs";',
    1,
    /upload_limit is "256 parsecs": write a size such as .*256M/,
  ],
  "a time without its quotes": ["drain_timeout = 10s;", 1, /10s is not a number; .*in quotes: "10s"/],
  "a time without its unit": ["drain_timeout = 10;", 1, /drain_timeout is "10": write a time such as .*30s/],
  "a time that is too long": ['drain_timeout = "2h";', 1, /drain_timeout is 2h: it must be from 0 to 10min/],
  twice: ["feed_limit = 20;\nfeed_limit = 21;", 2, /feed_limit|duplicate/i],
  "a word that is none of the words": ['log_level = "loud";', 1, /log_level/],
  "an address that is none": ['listen_host = "example.org";', 1, /listen_host/, "flags"],
  "a URL that is none": ['base_url = "ftp://x/";', 1, /base_url/, "flags"],
  "an origin with a path": [
    'cors_origins = "https://a.example, https://b.example/";',
    1,
    /cors_origins has "https:\/\/b\.example\/": .*no slash/,
  ],
  "every origin": ['cors_origins = "*";', 1, /cors_origins has "\*": .*wildcard/],
  "ports that are the same": ["listen_port = 8080;\nadmin_port = 8080;", 2, /listen_port/, "flags"],
};
for (const [name, [lines, at, pattern]] of Object.entries(BAD))
  test(`a bad configuration is refused with file and line: ${name}`, () => {
    const path = file("bad.conf", `${base}${lines}\n${dirs}`);
    for (const mode of [["--check-config"], ["--print-config"], []]) {
      const { status, stderr } = run([...mode, `--config=${path}`]);
      assert.equal(status, 1, `${mode} ${stderr}`);
      assert.match(stderr, pattern);
      assert.ok(stderr.includes(`${path}:${base.split("\n").length - 1 + at}: `), stderr);
      assert.equal(stderr.trim().split("\n").length, 1, stderr);
    }
  });

test("all mistakes are reported in one run, each with file and line", () => {
  const path = file(
    "bad.conf",
    `feed_limmit = 20;\nlisten_port = "x";\n${dirs}token_keys_file = "/none/keys";\nbase_url = "x";\n`,
  );
  const at = (line) => `doushard: ${path}:${line}: `;
  const n = dirs.trimEnd().split("\n").length;
  for (const mode of [["--check-config"], []]) {
    const { status, stderr } = run([...mode, `--config=${path}`, "--topology-file=/none/list"], {
      DOUSHARD_FEED_LIMIT: "x",
    });
    assert.equal(status, 1);
    const lines = stderr.trimEnd().split("\n");
    for (const [i, start] of [
      `${at(1)}feed_limmit is not an option`,
      `${at(2)}listen_port is a text`,
      "doushard: DOUSHARD_FEED_LIMIT is",
      `${at(n + 4)}base_url is`,
      "doushard: /none/list: ",
      "doushard: /etc/",
      `${at(n + 3)}/none/keys: `,
    ].entries())
      assert.ok(lines[i].startsWith(start), `${lines[i]} begins with ${start}`);
    assert.equal(lines.length, 7, stderr);
  }
});

test("bad files that the options name are refused with their name", () => {
  let n = 0;
  const topology = (text) => file(`bad-topology-${(n += 1)}.conf`, text);
  const secret = randomBytes(32).toString("hex");
  const keys = file("keys", `k1 ${secret}\n`);
  chmodSync(keys, 0o600);
  const open = file("open-keys", `k1 ${secret}\n`);
  chmodSync(open, 0o644);
  const short = file("short-keys", "k1 abcd\n");
  chmodSync(short, 0o600);
  const empty = file("empty-password", "\n");
  chmodSync(empty, 0o600);
  const good = run(["--check-config", `--config=${file("good.conf", base + dirs)}`, `--token-keys-file=${keys}`]);
  assert.equal(good.status, 0, good.stderr);
  for (const [flag, path, pattern] of [
    ["--config", join(cluster.dir, "none.conf"), /none\.conf/],
    ["--config", cluster.dir, /doushard-test/],
    ["--topology-file", join(cluster.dir, "none"), /none/],
    [
      "--topology-file",
      topology('servers = (\n  { name = "a"; host = "127.0.0.1"; port = 0; }\n);\n'),
      /bad-topology-1\.conf:2/,
    ],
    ["--topology-file", topology('servers = ( { name = "a"; prot = 1; } );\n'), /bad-topology-2\.conf:1.*prot/],
    ["--topology-file", topology("servers = ();\n"), /bad-topology-3\.conf/],
    [
      "--topology-file",
      topology(
        'servers = (\n{ name = "a"; host = "127.0.0.1"; port = 1; },\n{ name = "a"; host = "127.0.0.1"; port = 2; } );\n',
      ),
      /bad-topology-4\.conf:3/,
    ],
    ["--token-keys-file", join(cluster.dir, "none"), /none/],
    ["--token-keys-file", open, /open-keys/],
    ["--token-keys-file", short, /short-keys/],
    ["--db-password-file", open, /open-keys/],
    ["--words-file", join(cluster.dir, "none"), /none: words_file: cannot be opened: No such file/],
    ["--words-file", file("bad-words", Buffer.from([0x61, 0x0a, 0xff])), /bad-words: words_file: line 2/],
    ["--db-password-file", empty, /empty-password.*first line is empty/],
  ]) {
    const { status, stderr } = run([
      "--check-config",
      ...(flag === "--config" ? [] : [`--config=${join(cluster.dir, "good.conf")}`]),
      `${flag}=${path}`,
    ]);
    assert.equal(status, 1, `${flag}=${path}: ${stderr}`);
    assert.match(stderr, pattern);
    assert.ok(!stderr.includes("abcd") && !stderr.includes(secret), "a secret is shown");
  }
});

test("flags win over the environment, the environment over the file, the file over defaults", () => {
  const path = file(
    "layers.conf",
    `${base}feed_limit = 11;\nlist_limit = 12;\nuploads_max = 13;\nidle_timeout = "90s";\n`,
  );
  const { stdout, status } = run(["--print-config", `--config=${path}`, "--uploads-max=33", "--min-rate=2048"], {
    DOUSHARD_LIST_LIMIT: "22",
    DOUSHARD_UPLOADS_MAX: "23",
    DOUSHARD_SESSION_IDLE: "48h",
  });
  assert.equal(status, 0);
  const value = (name) => new RegExp(`^${name} = (.*);`, "m").exec(stdout)?.[1];
  assert.deepEqual(["feed_limit", "list_limit", "uploads_max", "scrypt_ln"].map(value), ["11", "22", "33", "15"]);
  assert.deepEqual(["idle_timeout", "min_rate", "session_idle"].map(value), ['"90s"', '"2K"', '"2d"']);
  const again = file("printed.conf", stdout);
  assert.equal(run(["--print-config", `--config=${again}`]).status, 0, "it can read what it prints");
});

test("an unknown variable is reported, with the option that was probably meant", () => {
  const path = file("good.conf", base + dirs);
  const check = (env) => run(["--check-config"], { DOUSHARD_CONFIG: path, ...env });
  assert.equal(check({ DOUSHARD_FEED_LIMIT: "5" }).stderr, "");
  const { status, stdout, stderr } = check({
    DOUSHARD_FEED_LIMITT: "5",
    DOUSHARD_PORT_8080_TCP_PROTO: "tcp",
    OTHER: "x",
  });
  assert.equal(status, 0, stderr);
  assert.match(stdout, /ok/);
  const lines = stderr.trim().split("\n");
  assert.equal(lines.length, 2, stderr);
  assert.match(stderr, / warn variable_unknown name="DOUSHARD_FEED_LIMITT" .*DOUSHARD_FEED_LIMIT"/);
  assert.match(stderr, / warn variable_unknown name="DOUSHARD_PORT_8080_TCP_PROTO" .*--help-config/);
  assert.ok(!stderr.includes("OTHER"));
});

test("bad flags and variables are refused", () => {
  const path = file("good.conf", base + dirs);
  for (const [args, env, status, pattern] of [
    [["--no-such-flag"], {}, 2, /no-such-flag/],
    [["--feed-limit"], {}, 2, /feed-limit/],
    [["stray"], {}, 2, /stray/],
    [["--feed-limit=0"], {}, 1, /feed.limit/],
    [["--feed-limit=1e9"], {}, 1, /feed.limit/],
    [["--feed-limit= 1"], {}, 1, /feed.limit/],
    [["--idle-timeout=60"], {}, 1, /--idle-timeout is "60": write a time/],
    [[], { DOUSHARD_UPLOAD_LIMIT: "1 M" }, 1, /DOUSHARD_UPLOAD_LIMIT is "1 M": write a size/],
    [[], { DOUSHARD_FEED_LIMIT: "x" }, 1, /FEED_LIMIT|feed_limit/],
    [[], { DOUSHARD_FEED_LIMIT: "4294967297" }, 1, /FEED_LIMIT|feed_limit/],
  ]) {
    const done = run(["--check-config", `--config=${path}`, ...args], env);
    assert.equal(done.status, status, `${args} ${JSON.stringify(env)}: ${done.stderr}`);
    assert.match(done.stderr, pattern);
  }
});

test("help and version need nothing else", () => {
  for (const [flag, pattern] of [
    ["--help", /--check-config/],
    ["--version", /\d+\.\d+/],
    ["--help-config", /feed_limit/],
    ["--routes", /\/douyin\/feed\//],
  ]) {
    const { status, stdout, stderr } = run([flag]);
    assert.deepEqual([status, stderr], [0, ""], flag);
    assert.match(stdout, pattern);
  }
});

test("a server that cannot start says why and exits", async () => {
  const taken = net.createServer();
  await new Promise((done) => {
    taken.listen(0, "127.0.0.1", done);
  });
  const { port } = taken.address();
  const { status, stderr } = run([
    `--config=${file("good.conf", base + dirs)}`,
    "--listen-host=127.0.0.1",
    `--listen-port=${port}`,
    "--admin-port=0",
  ]);
  taken.close();
  assert.equal(status, 1, stderr);
  assert.match(stderr, new RegExp(String(port)));
});

test("port 0 takes a free port, which is logged and used in URLs", async () => {
  const server = await cluster.addServer({ listen_port: 0, admin_port: 0, base_url: "" });
  server.adminUrl = "http://127.0.0.1:1";
  const started = server.start({ timeoutMs: 2000 }).catch(() => {});
  const [, port] = await until("the port in the log", () => / port=(\d+)/.exec(server.logText()));
  server.url = `http://127.0.0.1:${port}`;
  const other = cluster.apiOf(server);
  const { json } = await other.get("/douyin/user/", { token: user.token });
  assert.equal(new URL(json.user.avatar).port, port);
  assert.equal((await other.fetch(json.user.avatar)).status, 200);
  await started;
  assert.equal((await server.stop()).code, 0);
});

/* ---- Reload ---- */

/** A server with its options in a file that the test may change. */
async function reloadable(more = "") {
  const path = file(`reload-${cluster.servers.length}.conf`, `${base}feed_limit = 1;\n${more}`);
  const server = await cluster.addServer();
  server.arguments = () => [
    `--config=${path}`,
    ...["listen_host", "listen_port", "admin_port", "media_dir", "upload_dir", "base_url", "scrypt_ln", "scrypt_p"].map(
      (name) => `--${name.replaceAll("_", "-")}=${server.options[name]}`,
    ),
  ];
  await server.start();
  const client = cluster.apiOf(server);
  const count = (name) => client.metric(`doushard_config_${name}_total`);
  return {
    server,
    client,
    path,
    count,
    async hup(text, name) {
      const before = await count(name);
      if (text !== undefined) writeFileSync(path, text);
      server.child.kill("SIGHUP");
      await until(`the reload to be counted as ${name}`, async () => (await count(name)) === before + 1);
    },
  };
}

/* Sends requests without a pause until stop(); resolves to what went wrong. */
function busy(client) {
  let stop = false;
  let n = 0;
  const problems = [];
  const loop = async () => {
    while (!stop) {
      n += 1;
      try {
        const feed = await client.feed();
        const mine = await client.user(user.token);
        if (feed.status_code !== CODE.OK || mine.status_code !== CODE.OK) problems.push([feed, mine]);
      } catch (error) {
        problems.push(error.message);
      }
    }
  };
  const loops = [loop(), loop(), loop()];
  return {
    async stop() {
      stop = true;
      await Promise.all(loops);
      assert.ok(n > 5);
      return problems;
    },
  };
}

test("SIGHUP applies a good file, under load, without a failed request", async () => {
  for (let i = 0; i < 3; i++) assert.equal((await api.publish(user.token, uniqueClip(), `v${i}`)).status_code, CODE.OK);
  const { server, client, hup } = await reloadable();
  const load = busy(client);
  for (const limit of [2, 3, 1, 2]) {
    await hup(`${base}feed_limit = ${limit};\n`, "reloads");
    assert.equal((await client.feed()).video_list.length, limit);
  }
  await hup(`${base}feed_limit = 3;\nbase_url = "http://elsewhere.example";\nlog_level = "warn";\n`, "reloads");
  assert.equal((await client.feed()).video_list.length, 3);
  assert.deepEqual(await load.stop(), []);
  const { "x-request-id": silent } = (await client.get("/douyin/feed/")).headers;
  await hup(`${base}feed_limit = 3;\nlisten_port = 1;\n`, "reloads");
  assert.equal((await client.feed()).status_code, CODE.OK, "an option that needs a restart stays");
  assert.equal((await server.stop()).code, 0);
  assert.doesNotMatch(server.logText(), new RegExp(silent), "log_level is applied");
});

test("SIGHUP changes which origins may read answers, also those cached in memory", async () => {
  const { server, client, hup } = await reloadable();
  const readers = async (...origins) => {
    const answers = await Promise.all(
      origins.map((origin) => client.send("GET", "/ping", { headers: { Origin: origin } })),
    );
    return answers.map(({ headers }) => headers["access-control-allow-origin"]);
  };
  const [a, b] = ["https://a.example", "https://b.example"];
  assert.deepEqual(await readers(a, b), [undefined, undefined]);
  await hup(`${base}cors_origins = "${a}";\n`, "reloads");
  assert.deepEqual(await readers(a, b), [a, undefined]);
  await hup(`${base}cors_origins = "${b}/";\n`, "reloads_failed");
  assert.deepEqual(await readers(a, b), [a, undefined]);
  await hup(`${base}cors_origins = "${b}";\n`, "reloads");
  assert.deepEqual(await readers(a, b), [undefined, b]);
  await hup(base, "reloads");
  assert.deepEqual(await readers(a, b), [undefined, undefined]);
  assert.equal((await server.stop()).code, 0);
});

test("SIGHUP with a bad file changes nothing, under load, without a failed request", async () => {
  const { server, client, path, hup } = await reloadable();
  const load = busy(client);
  for (const [name, [lines]] of Object.entries(BAD).filter(([, [, , , layer]]) => layer !== "flags")) {
    await hup(`${base}feed_limit = 2;\n${lines.replaceAll("feed_limit = 2", "list_limit = 2")}\n`, "reloads_failed");
    assert.equal((await client.feed()).video_list.length, 1, name);
  }
  const whole = `${base}feed_limit = 2;\n`;
  for (const cut of [whole.length - 3, Math.floor(whole.length / 2) + 3, base.indexOf("=") + 2]) {
    await hup(whole.slice(0, cut), "reloads_failed");
    assert.equal((await client.feed()).video_list.length, 1, `cut after: ${whole.slice(0, cut).slice(-30)}`);
  }
  const keys = file("reload-keys", "k1 nonsense\n");
  chmodSync(keys, 0o600);
  await hup(
    `${base.replace(/token_keys_file.*\n/, "")}token_keys_file = "${keys}";\nfeed_limit = 2;\n`,
    "reloads_failed",
  );
  assert.equal((await client.feed()).video_list.length, 1);
  await hup(`${base}topology_file = "/none";\n`.replace(/^topology_file.*\n/, ""), "reloads_failed");
  assert.equal((await client.feed()).video_list.length, 1);
  assert.deepEqual(await load.stop(), []);
  assert.match(await server.wholeLog(), new RegExp(`${path}:\\d+`), "the log names file and line");
  await hup(whole, "reloads");
  assert.equal((await client.feed()).video_list.length, 2, "after all of that a good file is applied");
  assert.equal((await server.stop()).code, 0);
});

test("token keys are rotated by SIGHUP without ending a session", async () => {
  const old = readFileSync(cluster.files.token_keys, "utf8");
  const keys = file("rotating-keys", old);
  chmodSync(keys, 0o600);
  const settings = `${base.replace(/token_keys_file.*\n/, "")}token_keys_file = "${keys}";\nfeed_limit = 1;\n`;
  const { server, client, hup } = await reloadable();
  await hup(settings, "reloads");
  assert.equal((await client.user(user.token)).user.id, user.id);
  const line = `fresh ${randomBytes(32).toString("hex")}\n`;
  writeFileSync(keys, line + old);
  await hup(settings, "reloads");
  const fresh = await client.login(user.name, user.password);
  assert.equal(JSON.parse(Buffer.from(fresh.token.split(".")[0], "base64url")).kid, "fresh");
  assert.equal((await client.user(user.token)).user.id, user.id, "the old key still verifies");
  writeFileSync(keys, line);
  await hup(settings, "reloads");
  assert.equal((await client.user(user.token)).status_code, CODE.AUTH, "the old key is gone");
  assert.equal((await client.user(fresh.token)).user.id, user.id);
  assert.equal((await server.stop()).code, 0);
});

/* ---- Stopping ---- */

test("SIGTERM under load: running requests are finished, no new ones are accepted, and the process exits cleanly", async () => {
  const proxy = await TcpProxy.start({ port: cluster.shard("shard1").port });
  const server = await (
    await cluster.addServer({ ...UPLOADS, topology_file: cluster.topology({ shard1: proxy.port }) })
  ).start();
  const client = cluster.apiOf(server);
  await client.feed();
  /* So that there are requests under way. */
  proxy.rule = (text) => (/user_register/.test(text) ? { delayMs: 300 } : undefined);

  const results = [];
  let stop = false;
  const registers = Array.from({ length: 8 }, async () => {
    while (!stop) {
      const name = uniqueName("drain");
      try {
        const { json } = await client.post(
          "/douyin/user/register/",
          { username: name, password: "p" },
          { fresh: true },
        );
        results.push({ name, code: json.status_code, id: json.user_id });
      } catch (error) {
        results.push({ name, error: error.code ?? error.message });
        if (error.code === "ECONNREFUSED") break;
      }
    }
  });
  /* An upload that is half sent when the signal comes. */
  const { body, type } = multipart([
    ["token", user.token],
    ["title", "drained"],
    { name: "data", filename: "x.mp4", data: clipOfSize(200000) },
  ]);
  const upload = await RawConnection.open(server.options.listen_port);
  await upload.send(
    `POST /douyin/publish/action/ HTTP/1.1\r\nHost: x\r\nContent-Type: ${type}\r\nContent-Length: ${body.length}\r\n\r\n`,
  );
  await upload.send(body.subarray(0, 100000));
  const idle = await RawConnection.open(server.options.listen_port);
  await until("load", async () => results.length > 10 && (await client.metric("doushard_uploads_running")) === 1);

  const before = results.length;
  server.child.kill("SIGTERM");
  await until("no new connection", () =>
    RawConnection.open(server.options.listen_port).then(
      (connection) => {
        connection.close();
        return false;
      },
      () => true,
    ),
  );
  assert.ok(server.running, "the upload is still waited for");
  await upload.send(body.subarray(100000));
  const [answer] = await upload.answers(1);
  assert.equal(JSON.parse(answer.body.toString("utf8")).status_code, CODE.OK, "what had begun is finished");
  stop = true;
  const { code, signal } = await server.exited;
  await Promise.all(registers);
  assert.deepEqual([code, signal], [0, null]);
  assert.ok(
    results.slice(before).some((r) => r.code === CODE.OK),
    "requests in flight were answered",
  );
  /* Every request was answered, or never accepted. */
  const odd = results.filter((r) => r.code !== CODE.OK && !["ECONNREFUSED", "ECONNRESET"].includes(r.error));
  assert.deepEqual(odd, []);
  const there = new Set((await cluster.sqlAll("SELECT name FROM user WHERE name LIKE 'drain%'")).map((r) => r.name));
  for (const { name, code: status } of results) assert.equal(there.has(name), status === CODE.OK, `${name}: ${status}`);
  idle.close();
  await proxy.stop();
});

test("a request that hangs delays the exit by the drain timeout and no longer", async () => {
  const proxies = await Promise.all(cluster.shards.map(({ port }) => TcpProxy.start({ port })));
  const ports = Object.fromEntries(cluster.shards.map(({ name }, i) => [name, proxies[i].port]));
  const server = await (
    await cluster.addServer({
      topology_file: cluster.topology(ports),
      drain_timeout: "1s",
      request_timeout: "1min",
      db_call_timeout: "1min",
    })
  ).start();
  assert.equal((await cluster.apiOf(server).list({ user_id: user.id })).status_code, CODE.OK);
  for (const proxy of proxies) proxy.once(/publish_list/, "hang-reply");
  const stuck = await RawConnection.open(server.options.listen_port);
  await stuck.send(`GET /douyin/publish/list/?user_id=${user.id} HTTP/1.1\r\nHost: x\r\n\r\n`);
  await until("the request to run", () => proxies.some((p) => p.applied["hang-reply"] === 1));
  const start = performance.now();
  const { code } = await server.stop();
  const ms = performance.now() - start;
  assert.equal(code, 0);
  assert.ok(ms >= 900 && ms < 30000, `${ms} ms`);
  await Promise.all(proxies.map((p) => p.stop()));
});

test("an idle server exits at once", async () => {
  const server = await (await cluster.addServer({ drain_timeout: "1min" })).start();
  const idle = await RawConnection.open(server.options.listen_port);
  const start = performance.now();
  assert.equal((await server.stop()).code, 0);
  assert.ok(performance.now() - start < 30000);
  await idle.closed();
});

test("the pid file exists while the server runs", async () => {
  const path = join(cluster.dir, "server.pid");
  const server = await (await cluster.addServer({ pid_file: path })).start();
  await until("the file", () => existsSync(path) && readFileSync(path, "utf8") === `${server.pid}\n`);
  await server.stop();
  assert.throws(() => readFileSync(path), { code: "ENOENT" });
});

test("the pid file exists before the first request is served", async () => {
  const path = join(cluster.dir, "pid.fifo");
  spawnSync("mkfifo", [path]);
  const server = await cluster.addServer({ pid_file: path });
  const started = server.start(); /* it waits at the file until somebody reads it */
  await until("the listener", () => / listening listener=public /.test(server.logText()));
  const early = await RawConnection.open(server.options.listen_port);
  await early.send("GET /ping HTTP/1.1\r\nHost: x\r\n\r\n");
  const OPENAT = /^(257|56) /; /* x86-64, aarch64 */
  await until("the server to wait at the file", () => OPENAT.test(readFileSync(`/proc/${server.pid}/syscall`, "utf8")));
  assert.equal(early.received.length, 0, "nobody was answered earlier");
  const written = Number((await readFile(path, "utf8")).trim());
  await started;
  await early.answers(1);
  early.close();
  assert.equal(Number(readFileSync(`/proc/${written}/stat`, "utf8").split(" ")[0]), server.pid);
  assert.equal((await server.stop()).code, 0);
  assert.ok(!existsSync(path), "it is gone with the process");
});

/* ---- Logs and secrets ---- */

test("one access line per request: route, status, ms, shard, CALLs, request id", async () => {
  const server = await (await cluster.addServer()).start();
  const client = cluster.apiOf(server);
  const access = () =>
    server
      .logText()
      .split("\n")
      .filter((l) => / access /.test(l) && !/route=\/(livez|readyz|metrics)/.test(l));
  const requests = [
    () => client.get("/douyin/user/", { token: user.token, user_id: user.id }),
    () => client.get("/douyin/user/", { token: "bad" }),
    () => client.send("GET", "/no/such/path?token=x", {}),
    () => client.send("POST", "/douyin/feed/", {}),
    () => client.get("/douyin/feed/", {}),
  ];
  const ids = [];
  for (const request of requests) ids.push((await request()).headers["x-request-id"]);
  await until("the lines", () => access().length === requests.length);
  const lines = access();
  assert.equal(new Set(ids).size, ids.length);
  for (const [i, line] of lines.entries()) {
    assert.match(line, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d/, "a time in UTC");
    for (const key of ["route", "status", "ms", "shard", "calls", "req"])
      assert.match(line, new RegExp(` ${key}=\\S+`), `${key} in ${line}`);
    assert.ok(line.includes(` req=${ids[i]}`), `${ids[i]}: ${line}`);
  }
  assert.match(lines[0], / status=200 .*shard=shard\d calls=[12] /);
  assert.match(lines[2], / route=- status=404 /);
  assert.match(lines[4], /route=\/douyin\/feed\/ .* calls=2 /);
  assert.equal((await server.stop()).code, 0);
});

test("no secret is in logs, command lines, the environment, or printed by the program", async () => {
  const server = await (await cluster.addServer({ ...UPLOADS, log_level: "debug" })).start();
  const client = cluster.apiOf(server);
  const canary = (what) => `canary-${what}-${Math.random().toString(36).slice(2)}`.slice(0, 32);
  const passwords = [canary("pw"), canary("pw")];
  const name = uniqueName();
  const made = await client.register(name, passwords[0]);
  await client.login(name, canary("pw"));
  await client.send("POST", `/douyin/user/login/?username=${name}&password=${passwords[0]}`, {});
  const { json } = await client.post("/douyin/user/password/", {
    token: made.token,
    old_password: passwords[0],
    new_password: passwords[1],
  });
  const forged = `${made.token.slice(0, -5)}AAAAA`;
  await client.user(forged);
  await client.get("/douyin/feed/", { token: json.token });
  await client.publish(json.token, uniqueClip(), "t", {
    headers: { Authorization: `Bearer ${json.token}`, "Idempotency-Key": canary("key") },
  });
  await client.send("GET", `/douyin/user/?token=${json.token}\n`, {}).catch(() => {});
  const [row] = await cluster.sqlAll(`SELECT password_hash AS h FROM user WHERE name = '${name}'`);
  const keys = readFileSync(cluster.files.token_keys, "utf8").match(/[0-9a-f]{64,}/g);
  const secrets = {
    "a password": passwords,
    "any canary": ["canary-pw", "canary-key"],
    "a token": [made.token, json.token, forged, json.token.split(".")[2]],
    "a token key": keys,
    "the database password": [readFileSync(cluster.files.app_password, "utf8").trim()],
    "a password hash": [row.h, row.h.split("$").at(-1)],
  };
  const print = run(["--print-config", ...server.arguments()]);
  const places = {
    "the log": await server.wholeLog(),
    "the command line": readFileSync(`/proc/${server.pid}/cmdline`, "latin1"),
    "--print-config": print.stdout + print.stderr,
  };
  try {
    places["the environment"] = readFileSync(`/proc/${server.pid}/environ`, "latin1");
  } catch {
    /* Not even its own user may read that: even better. */
  }
  assert.equal(print.status, 0);
  assert.ok(places["the log"].length > 500);
  for (const [where, text] of Object.entries(places))
    for (const [what, values] of Object.entries(secrets))
      for (const value of values) {
        assert.ok(value.length >= 8, what);
        assert.ok(!text.includes(value), `${what} is in ${where}`);
      }
  assert.equal((await server.stop()).code, 0);
});

test("nobody can forge a log line", async () => {
  const server = await (await cluster.addServer({ log_level: "debug" })).start();
  const client = cluster.apiOf(server);
  const forged = '\n2026-01-01T00:00:00.000Z error forged req=x\r\n{"level":"error"}';
  await client.get("/douyin/user/", { token: user.token, user_id: forged });
  await client.post("/douyin/user/login/", { username: forged, password: forged });
  await client.get("/douyin/feed/", { latest_time: forged }, { headers: { "User-Agent": "x\ty" } });
  await client.send("GET", `/x${encodeURIComponent(forged)}`, { fresh: true }).catch(() => {});
  await client.get("/douyin/feed/", {});
  for (const line of (await server.wholeLog()).split("\n"))
    assert.ok(!/^\S+ error forged/.test(line) && !line.startsWith("{"), line);
  assert.equal((await server.stop()).code, 0);
});

test("many servers may start and stop at the same time on one cluster", async () => {
  const servers = await parallel(
    3,
    Array.from({ length: 3 }, () => async () => (await cluster.addServer()).start()),
  );
  const ids = await Promise.all(servers.map(async (s) => (await cluster.apiOf(s).user(user.token)).user.id));
  assert.deepEqual(new Set(ids), new Set([user.id]));
  for (const { code } of await Promise.all(servers.map((s) => s.stop()))) assert.equal(code, 0);
});
