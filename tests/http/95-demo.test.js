/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* scripts/demo as a newcomer uses it: up, look, break, repair, down; all of it in a directory of its
 * own. */

import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { Api, CODE } from "../lib/api.js";
import { metrics } from "../lib/cached.js";
import { slotOfName } from "../lib/checks.js";
import { buildDir, ROOT, serverEnvironment, slowdown, statusOf, troubleIn } from "../lib/cluster.js";
import { probe, uniqueClip } from "../lib/media.js";
import { until } from "../lib/wait.js";

const parent = mkdtempSync(join(tmpdir(), "doushard-demo-"));
const directory = join(parent, "var");
const environment = {
  ...serverEnvironment(),
  DOUSHARD_VAR: directory,
  DOUSHARD_SHARDS: "2",
  DOUSHARD_BUILD_DIR: buildDir(),
};
/* As root the databases run under another account, which must be able to reach the directory. */
spawn("chmod", ["755", parent]);

function demoIn(env, ...args) {
  return new Promise((done, failed) => {
    const child = spawn(join(ROOT, "scripts", "demo"), args, {
      env: { ...environment, ...env },
      cwd: "/",
      stdio: ["ignore", "pipe", "pipe"],
    });
    let stdout = "";
    let stderr = "";
    child.stdout.on("data", (chunk) => {
      stdout += chunk;
    });
    child.stderr.on("data", (chunk) => {
      stderr += chunk;
    });
    child.on("error", failed);
    child.on("exit", (code) => done({ code, stdout, stderr }));
  });
}
const demo = (...args) => demoIn({}, ...args);
async function must(...args) {
  const done = await demo(...args);
  assert.equal(done.code, 0, `demo ${args.join(" ")}:\n${done.stdout}${done.stderr}`);
  return done.stdout;
}
after(async () => {
  await demo("reset");
  rmSync(parent, { recursive: true, force: true });
});

/** Map of name to {state, pid}, from `status`. */
async function status() {
  const { code, stdout } = await demo("status");
  const lines = stdout
    .trim()
    .split("\n")
    .map((line) => line.trim().split(/\s+/));
  return { code, members: new Map(lines.map(([name, state, , pid]) => [name, { state, pid: Number(pid) }])) };
}
/* A process that has ended and was not waited for does not count. */
function running(pid) {
  try {
    return !/\) Z /.test(readFileSync(`/proc/${pid}/stat`, "latin1"));
  } catch {
    return false;
  }
}
/* A process that the demo must not touch. */
const bystander = spawn("sleep", ["600"], { stdio: "ignore" });
after(() => bystander.kill());

/* What scripts/demo tells other scripts about the cluster. */
const endpoints = () => JSON.parse(readFileSync(join(directory, "endpoints.json"), "utf8"));
const readyz = async () => (await fetch(`${endpoints().admin_url}/readyz`)).text();

/* The word after "=" in the answer. */
const value = async (n, sql) => /\w=(\w+)/.exec(await must("use", String(n), sql))[1];

let banner;
let api;

/* What node redisN answers to a command. */
function redis(name, ...args) {
  const { redis: nodes, files } = endpoints();
  const { port } = nodes.find((node) => node.name === name);
  const { stdout } = spawnSync("redis-cli", ["-p", String(port), ...args], {
    encoding: "utf8",
    env: { ...process.env, REDISCLI_AUTH: readFileSync(files.redis_password, "utf8").trim() },
  });
  return stdout.trimEnd();
}
/* What is cached about the owner with this id. */
const keysOf = (id) =>
  endpoints().redis.flatMap(({ name }) =>
    redis(name, "--scan", "--pattern", `ds:{${id}}:*`).split("\n").filter(Boolean),
  );

test("up starts a cluster, in time, and says how to use it", async () => {
  const start = performance.now();
  banner = await must("up", "--no-build");
  assert.ok(performance.now() - start < 120000 * slowdown(), "under two minutes");
  const [, url] = /\n\n\s+Open (\S+)\/ in a browser\. /.exec(banner);
  api = new Api(url, { adminUrl: endpoints().admin_url });
  assert.deepEqual((await api.get("/ping")).json, { message: "pong" }, "the first line names the service");
  assert.match((await api.fetch(`${url}/`)).headers["content-type"], /^text\/html/, "what a browser gets");
  for (const pattern of [/demo use/, /demo down/, /scrypt/i, /ln=12/]) assert.match(banner, pattern);
});

/** All that scripts/seed has made, as demo1 sees it. */
async function content() {
  const { token, user_id } = await api.login("demo1", "demo-1");
  const { video_list } = await api.feed({ token });
  const comments = await Promise.all(video_list.map(({ id }) => api.comments({ video_id: id })));
  const { user_list: friends } = await api.relations("friend", { token, user_id });
  const { id: other } = friends.find(({ name }) => name === "harbour walks");
  return {
    videos: video_list,
    friends,
    comments: comments.map(({ comment_list }) => comment_list),
    chat: (await api.chat({ token, to_user_id: other })).message_list,
  };
}

test("the demo data has clips of many shapes and lengths with sound, faces, comments in two languages, and a chat", async () => {
  const { videos, comments, friends, chat } = await content();
  assert.equal(videos.length, 12);
  assert.equal(new Set(videos.map(({ title }) => title)).size, 12);
  const files = await Promise.all(videos.map(async ({ play_url }) => (await api.fetch(play_url)).body));
  const probed = files.map((file) => probe(file));
  for (const { streams } of probed)
    assert.deepEqual(streams.map(({ codec_type }) => codec_type).sort(), ["audio", "video"]);
  const pictures = probed.map(({ streams }) => streams.find(({ codec_type }) => codec_type === "video"));
  assert.ok(
    pictures.every(({ sample_aspect_ratio: ratio }) => ratio === "1:1"),
    "browsers play no others",
  );
  for (const shape of [-1, 0, 1])
    assert.ok(
      pictures.some(({ width, height }) => Math.sign(width - height) === shape),
      `of shape ${shape}`,
    );
  const lengths = probed.map(({ format }) => Math.round(Number(format.duration)));
  assert.ok(Math.min(...lengths) >= 3 && Math.max(...lengths) <= 15 && new Set(lengths).size >= 8, `${lengths}`);
  for (const { author } of videos) {
    assert.match(author.avatar, /\/static\//);
    assert.notEqual(author.signature, "");
  }
  const isChinese = (text) => /\p{Script=Han}/u.test(text);
  for (const texts of [
    videos.map(({ title }) => title),
    comments.flat().map(({ content: text }) => text),
    chat.map(({ content: text }) => text),
  ])
    assert.ok(texts.some(isChinese) && !texts.every(isChinese), `${texts}`);
  for (const [i, list] of comments.entries()) assert.ok(list.length > 0 && list.length === videos[i].comment_count);
  assert.ok(videos.every(({ favorite_count }) => favorite_count > 0));
  assert.ok(friends.length > 1 && friends.some(({ message }) => message === chat.at(-1).content));
  assert.equal(new Set(chat.map(({ from_user_id }) => from_user_id)).size, 2);
});

test("every shard has some of the users, even with four shards", async () => {
  const { videos } = await content();
  const authors = videos.map(({ author: { name } }) => name);
  for (const n of [2, 4])
    assert.equal(new Set(authors.map((name) => Math.floor((slotOfName(name) * n) / 1024))).size, n, `of ${n} shards`);
});

test("seeding again adds nothing, and asking for more clips adds more", async () => {
  const before = await content();
  await must("seed");
  assert.deepEqual(await content(), before);
  await must("seed", "--clips=13");
  const { videos } = await content();
  assert.deepEqual(
    videos.slice(1).map(({ id }) => id),
    before.videos.map(({ id }) => id),
  );
  assert.equal(videos.filter(({ title }) => title.startsWith("Out of the train window")).length, 2);
});

test("the demo login works, and the demo clips are in the feed and can be played", async () => {
  const [, name, password] = /user (\S+), password (\S+)/.exec(banner);
  const { token, status_code } = await api.login(name, password);
  assert.equal(status_code, CODE.OK);
  const { video_list, partial } = await api.feed({ token });
  assert.equal(partial, false);
  assert.ok(video_list.length >= 3);
  assert.ok(new Set(video_list.map((v) => v.author.id)).size > 1, "of several users");
  const { body } = await api.fetch(video_list[0].play_url);
  assert.ok(Number(probe(body).format.duration) > 0);
  assert.equal((await api.publish(token, uniqueClip(), "mine")).status_code, CODE.OK);
  assert.equal((await api.feed()).video_list[0].title, "mine");
});

/* A directory that comes first in PATH, with a bwrap that fails as if the kernel had no namespaces. */
function withoutNamespaces() {
  const programs = join(parent, "bin");
  mkdirSync(programs, { recursive: true });
  writeFileSync(
    join(programs, "bwrap"),
    "#!/bin/sh\necho 'bwrap: No permissions to create new namespace' >&2\nexit 1\n",
    { mode: 0o755 },
  );
  return { PATH: `${programs}:${process.env.PATH}` };
}

test("if no jail can be made, up says so first, with the reason and the remedy, and goes on; seed does nothing", async () => {
  const env = withoutNamespaces();
  const seeded = await demoIn(env, "seed");
  assert.equal(seeded.code, 1);
  for (const { stderr } of [seeded, await demoIn(env, "up", "--no-build", "--no-seed")]) {
    assert.match(stderr, /uploads cannot be examined here/);
    assert.match(
      stderr,
      /^ {4}bwrap: No permissions to create new namespace\n\S.*(namespaces|chroot)/m,
      "and what to do",
    );
  }
  const { code, stdout } = await demoIn(env, "up", "--no-build");
  assert.equal(code, 0);
  assert.match(stdout, /^Everything else works[^]*no videos were made[^]*^ +videos +uploads are refused/m);
  assert.doesNotMatch(banner, /uploads are refused/);
});

test("without /proc no script starts, and each says what is missing", () => {
  const { status, stderr } = spawnSync(
    "bwrap",
    ["--dev-bind", "/", "/", "--tmpfs", "/proc", join(ROOT, "scripts", "demo"), "down"],
    { encoding: "utf8", env: { ...process.env, ...environment } },
  );
  assert.deepEqual([status, stderr], [1, "demo: /proc is not mounted here: mount -t proc proc /proc\n"]);
});

test("seed stops at the first upload that the server cannot examine", async () => {
  const uploads = [];
  const answers = {
    "/douyin/user/register/": { token: "t", user_id: 1 },
    "/douyin/publish/list/": { video_list: [] },
    "/douyin/user/": { user: { avatar: "http://h/assets/avatar.png" } },
  };
  const service = createServer((request, response) => {
    const { pathname } = new URL(request.url, "http://h");
    request.resume().on("end", () => {
      if (answers[pathname] === undefined) uploads.push(pathname);
      response.end(
        JSON.stringify({
          status_code: answers[pathname] ? 0 : 1500,
          status_msg: "videos cannot be examined at the moment",
          ...answers[pathname],
        }),
      );
    });
  });
  await new Promise((done) => {
    service.listen(0, "127.0.0.1", done);
  });
  const child = spawn(join(ROOT, "scripts", "seed"), [`http://127.0.0.1:${service.address().port}`], {
    stdio: ["ignore", "ignore", "pipe"],
  });
  let stderr = "";
  child.stderr.on("data", (chunk) => {
    stderr += chunk;
  });
  const code = await new Promise((done) => {
    child.on("close", done);
  });
  service.close();
  assert.equal(code, 1);
  assert.deepEqual(uploads, ["/douyin/user/profile/"]);
  assert.match(stderr, /cannot make the jail .*media_jail_broken/);
});

test("the server caches in Redis", async () => {
  await until("the nodes to be known", async () => /^\[\+\]redis ok$/m.test(await readyz()));
  assert.equal((await metrics(api)).doushard_redis_nodes_up, 3);
  const [, name, password] = /user (\S+), password (\S+)/.exec(banner);
  const { token, user_id } = await api.login(name, password);
  /* For a moment the server still has the earlier card, from a page that it was on. */
  await until("the card of who is looked at", async () => {
    await api.user(token, user_id);
    return keysOf(user_id).includes(`ds:{${user_id}}:u`);
  });
});

test("status has one line per process and is 0 when all are healthy", async () => {
  const { code, members } = await status();
  assert.equal(code, 0);
  assert.deepEqual([...members.keys()].sort(), ["mover1", "redis1", "redis2", "redis3", "server1", "shard1", "shard2"]);
  for (const [name, { state, pid }] of members) assert.ok(state === "ok" && running(pid), name);
});

test("the shards are durable, as in production", async () => {
  const out = await must(
    "use",
    "1",
    "SELECT CONCAT('flush=', @@innodb_flush_log_at_trx_commit, ' doublewrite=', @@innodb_doublewrite)",
  );
  assert.match(out, /flush=1 doublewrite=(1|ON)/);
});

test("a second up changes nothing, and is quick", async () => {
  const before = await status();
  const start = performance.now();
  await must("up", "--no-build");
  assert.ok(performance.now() - start < 10000 * slowdown());
  assert.deepEqual(await status(), before);
});

test("what the banner names works: use, use-all, where, logs", async () => {
  const [, name] = /user (\S+), password/.exec(banner);
  assert.match(await must("use", "2", "SELECT name FROM shard_self"), /shard2/);
  assert.doesNotMatch(await must("use-all", "CALL shard_free()"), /NULL/, "the demo reports the room");
  const all = await must("use-all", "SELECT name FROM shard_self");
  assert.ok(all.includes("shard1") && all.includes("shard2"));
  const where = await must("where", name);
  const [, shard] = /^(shard[12]) has slot/m.exec(where);
  const rows = await must("use", shard.slice(5), `SELECT CONCAT('id=', user_id) FROM user WHERE name = '${name}'`);
  const [, id] = /id=(\d+)/.exec(rows);
  const lines = await must("where", id);
  assert.match(lines, new RegExp(`^${shard} has slot \\d+ \\(epoch 1\\)$`, "m"));
  assert.match(
    lines,
    new RegExp(`^shard[12] does not have slot \\d+: ${shard} has it \\(epoch 1\\)$`, "m"),
    "it never was on the other shard",
  );
  assert.match(await must("logs", "server1"), / info access req=/);
  assert.notEqual((await demo("where", "nobody_of_this_name")).code, 0);
});

test("a shard is killed and started by name", async () => {
  await must("kill", "shard2");
  const { code, members } = await status();
  assert.notEqual(code, 0);
  assert.equal(members.get("shard2").state, "down");
  assert.equal(members.get("shard1").state, "ok");
  assert.equal((await api.feed()).partial, true);
  await must("start", "shard2");
  await until("the whole feed", async () => (await api.feed()).partial === false);
  await until("all to be healthy", async () => (await status()).code === 0);
});

test("the demo has a mover: a move ordered in SQL is done; the mover can be stopped, killed and started like the others", async () => {
  const slot = await value(2, `SELECT CONCAT('slot=', MAX(f.slot)) FROM slot_fence f WHERE f.state = 'owned'`);
  await must("use", "2", `CALL move_request(${slot}, 'shard1', 0)`);
  await until("it to be done", async () => /\bdone\b/.test(await must("use", "2", "CALL move_status()")));
  assert.match(await must("logs", "mover1"), new RegExp(`move_phase slot=${slot} .*phase=done`));
  assert.deepEqual(
    endpoints().movers.map(({ name }) => name),
    ["mover1"],
  );
  await must("kill", "mover1");
  assert.equal((await status()).members.get("mover1").state, "down");
  assert.equal((await status()).code, 1);
  await must("start", "mover1", "mover2");
  await must("pause", "mover2");
  assert.equal((await status()).members.get("mover2").state, "paused");
  await must("stop", "mover2");
  const { code, members } = await status();
  assert.deepEqual([code, members.has("mover2"), members.get("mover1").state], [0, false, "ok"]);
  await must("use", "1", `CALL move_request(${slot}, 'shard2', 0)`);
  await until("it to be back", async () => /\bdone\b/.test(await must("use", "1", "CALL move_status()")));
});

test("a shard whose migration was interrupted goes on serving, but is not used again after a restart until it is finished", async () => {
  const url = () => endpoints().admin_url;
  const ready = () => statusOf(`${url()}/readyz`);
  await must("use", "2", "DROP FUNCTION _install_fingerprint; SET GLOBAL log_output = 'TABLE', GLOBAL general_log = 1");
  await until("the server to look at it", async () =>
    /seen=[1-9]/.test(
      await must(
        "use",
        "2",
        "SELECT CONCAT('seen=', COUNT(*)) FROM mysql.general_log WHERE argument LIKE 'CALL routine_list%'",
      ),
    ),
  );
  assert.equal(await ready(), 200);
  assert.equal((await api.feed()).partial, false);
  await must("kill", "shard2");
  await until("the server to miss it", async () => (await ready()) !== 200);
  await must("start", "shard2");
  await until("the reason", async () =>
    /shard2.*not all loaded: run migrate/.test(await (await fetch(`${url()}/readyz`)).text()),
  );
  assert.equal((await api.feed()).partial, true);
  await must("up", "--no-build", "--no-seed");
  await until("the whole feed", async () => (await api.feed()).partial === false);
});

test("after a slot was moved, up can be repeated: the slot stays where it is", async () => {
  const slot = await value(
    1,
    `SELECT CONCAT('slot=', MIN(f.slot)) FROM slot_fence f WHERE f.state = 'owned'
    AND NOT EXISTS (SELECT 1 FROM user u WHERE u.slot = f.slot) AND NOT EXISTS (SELECT 1 FROM account a WHERE a.slot = f.slot)`,
  );
  for (const [n, state] of [
    ["1", "moved"],
    ["2", "owned"],
  ])
    await must(
      "use",
      n,
      `UPDATE slot_fence SET state = '${state}', epoch = 2, server = 'shard2' WHERE slot = ${slot};
      UPDATE slot_known SET epoch = 2, server = 'shard2' WHERE slot = ${slot};
      CALL _slot_changed(); INSERT IGNORE INTO slot_seq (slot, last) VALUES (${slot}, 0)`,
    );
  const fences = async () => [
    await value(1, `SELECT CONCAT('n=', COUNT(*)) FROM slot_fence WHERE slot = ${slot} AND state = 'owned'`),
    await value(2, `SELECT CONCAT('is=', state, epoch) FROM slot_fence WHERE slot = ${slot}`),
  ];
  await must("up", "--no-build", "--no-seed");
  assert.deepEqual(await fences(), ["0", "owned2"]);
  /* Even if its first owner has lost its fence of it. */
  await must("use", "1", `DELETE FROM slot_fence WHERE slot = ${slot}; CALL _slot_changed()`);
  await must("up", "--no-build", "--no-seed");
  assert.deepEqual(await fences(), ["0", "owned2"]);
  assert.equal((await status()).code, 0);
});

test("a slot that two shards claim is not served; /readyz names it, and one CALL settles it", async () => {
  const [, name, password] = /user (\S+), password (\S+)/.exec(banner);
  const [, home, slot] = /^shard([12]) has slot (\d+)/m.exec(await must("where", name));
  const url = endpoints().admin_url;
  const ready = async () => {
    const answer = await fetch(`${url}/readyz`);
    return { status: answer.status, text: await answer.text() };
  };
  const other = home === "1" ? "2" : "1";
  assert.equal((await ready()).status, 200);
  await must(
    "use",
    other,
    `UPDATE slot_fence SET state = 'owned', server = 'shard${other}' WHERE slot = ${slot}; CALL _slot_changed()`,
  );
  const claimed = new RegExp(
    `^\\[-\\]slot ${slot}: shard[12] and shard[12] claim it at epoch 1:.*slot_settle\\(${slot},`,
    "m",
  );
  await until("the slot on /readyz", async () => claimed.test((await ready()).text));
  assert.equal((await ready()).status, 503);
  assert.match(
    await must("logs", "server1"),
    new RegExp(` error slot_disputed slot=${slot} epoch=1 claimed_by=shard[12],shard[12] `),
  );
  const { status_code, status_msg } = await api.login(name, password);
  assert.notEqual(status_code, CODE.OK);
  assert.match(status_msg, /try again/);
  for (const n of ["1", "2"])
    await until(
      `shard${n} to stop`,
      async () => (await value(n, `SELECT CONCAT('answer=', answer) FROM slot_fence WHERE slot = ${slot}`)) === "moved",
    );
  await must("use", home, `CALL slot_settle(${slot}, 'shard${home}')`);
  await until("the server to be ready", async () => (await ready()).status === 200);
  assert.equal((await api.login(name, password)).status_code, CODE.OK);
  await until(
    "the other shard to know",
    async () =>
      (await value(other, `SELECT CONCAT('heard=', heard_epoch) FROM slot_fence WHERE slot = ${slot}`)) === "2",
  );
});

test("a mere rumour about a slot is shown on /readyz and stops nothing", async () => {
  const slot = await value(1, "SELECT CONCAT('slot=', MIN(slot)) FROM slot_fence WHERE state = 'owned' AND epoch = 1");
  await must("use", "2", `UPDATE slot_known SET server = 'shard9' WHERE slot = ${slot}`);
  const told = new RegExp(`^\\[!\\]shard shard2 has heard that slot ${slot} is on shard9 at epoch 1`, "m");
  await until("the hearsay on /readyz", async () => told.test(await readyz()));
  assert.match(await readyz(), /^ready$/m);
  assert.equal(await value(1, `SELECT CONCAT('answer=', answer) FROM slot_fence WHERE slot = ${slot}`), "ok");
  await must("use", "2", `UPDATE slot_known SET server = 'shard1' WHERE slot = ${slot}`);
  await until("it to be gone", async () => !/\[!\]/.test(await readyz()));
});

test("a shard whose pid file was emptied is not started twice, nor considered stopped", async () => {
  const { members } = await status();
  const { pid } = members.get("shard1");
  const file = join(directory, "pids", "shard1.pid");
  const text = readFileSync(file, "utf8");
  truncateSync(file);
  const told = new RegExp(`shard1 runs as process ${pid}, .*kill ${pid}`);
  for (const args of [
    ["up", "--no-build", "--no-seed"],
    ["start", "shard1"],
  ]) {
    const { code, stderr } = await demo(...args);
    assert.equal(code, 1, args.join(" "));
    assert.match(stderr, told);
  }
  assert.deepEqual((await status()).members.get("shard1"), { state: "stray", pid });
  assert.ok(running(pid));
  assert.match(await must("use", "1", "SELECT name FROM shard_self"), /shard1/, "its socket is still usable");
  writeFileSync(file, text);
  assert.equal((await status()).code, 0);
});

test("a secret that was emptied is not replaced while programs still use it", async () => {
  const file = join(directory, "secrets", "app_password");
  const text = readFileSync(file, "utf8");
  for (const bad of ["", "\n", " \n"]) {
    writeFileSync(file, bad);
    const { code, stderr } = await demo("up", "--no-build", "--no-seed");
    assert.equal(code, 1);
    assert.match(stderr, /app_password has no secret on its first line/);
  }
  writeFileSync(file, text);
});

test("a second server is started by name and is part of the same service", async () => {
  await must("start", "server2");
  const { servers } = endpoints();
  const { port, admin_port } = servers.find((s) => s.name === "server2");
  assert.equal(await statusOf(`http://127.0.0.1:${admin_port}/readyz`), 200);
  const other = new Api(`http://127.0.0.1:${port}`);
  assert.equal((await other.feed()).video_list[0].title, "mine");
  other.close();
  await must("stop", "server2");
  assert.equal(await statusOf(`http://127.0.0.1:${admin_port}/livez`), 0);
  await must("start", "server2");
});

test("an up that had to wait for a reset starts from scratch", async () => {
  const env = { DOUSHARD_VAR: join(parent, "second"), DOUSHARD_SHARDS: "1" };
  const shards = ["up", "--no-build", "--no-seed", "--no-server", "--no-redis"];
  assert.equal((await demoIn(env, ...shards)).code, 0);
  /* Holds the lock until both wait for it. */
  const lock = join(env.DOUSHARD_VAR, "lock");
  const inode = `:${statSync(lock).ino} `;
  const waiting = () =>
    readFileSync("/proc/locks", "utf8")
      .split("\n")
      .filter((l) => l.includes("->") && l.includes(inode)).length;
  const holder = spawn("flock", [lock, "cat"], { stdio: ["pipe", "ignore", "inherit"] });
  await until("the lock to be held", () => readFileSync("/proc/locks", "utf8").includes(inode));
  const reset = demoIn(env, "reset");
  await until("reset to wait", () => waiting() === 1);
  const up = demoIn(env, ...shards);
  await until("up to wait", () => waiting() === 2);
  holder.stdin.end();
  const [removed, begun] = await Promise.all([reset, up]);
  assert.equal(removed.code, 0, removed.stderr);
  assert.equal(begun.code, 0, begun.stderr);
  const { stdout } = await demoIn(env, "status");
  assert.match(stdout, /^shard1 +ok/m);
  assert.ok(existsSync(join(env.DOUSHARD_VAR, ".doushard")) && existsSync(lock));
  assert.equal((await demoIn(env, "reset")).code, 0);
  assert.equal(existsSync(env.DOUSHARD_VAR), false);
});

test(
  "sockets are not put into somebody else's directory",
  { skip: process.getuid() !== 0 && "only root can make one" },
  async () => {
    const env = { DOUSHARD_VAR: join(parent, "x".repeat(100)), DOUSHARD_SHARDS: "1" };
    const sum = spawnSync("cksum", { input: env.DOUSHARD_VAR, encoding: "utf8" }).stdout.split(" ")[0];
    const foreign = `/tmp/doushard-0-${sum}`;
    mkdirSync(foreign);
    chmodSync(foreign, 0o777);
    chownSync(foreign, 65534, 65534);
    try {
      const { code, stderr } = await demoIn(env, "up", "--no-build", "--no-seed", "--no-server", "--no-redis");
      assert.equal(code, 1);
      assert.match(stderr, /belongs to somebody else/);
      assert.equal(statSync(foreign).uid, 65534, "its owner was not changed");
    } finally {
      rmSync(foreign, { recursive: true });
      rmSync(env.DOUSHARD_VAR, { recursive: true, force: true });
    }
  },
);

test("misuse is reported, with status 2", async () => {
  for (const args of [
    [],
    ["nonsense"],
    ["kill"],
    ["kill", "shard9"],
    ["kill", "init"],
    ["kill", "shard1;ls"],
    ["up", "--nonsense"],
    ["use", "x"],
    ["kill", "redis4"],
    ["up", "--no-redis", "--redis-replicas"],
  ]) {
    const { code, stderr } = await demo(...args);
    assert.equal(code, 2, args.join(" "));
    assert.ok(stderr.length > 0);
  }
  assert.match(await must("--help"), /usage/);
});

test("up --no-redis: a server started by it uses no Redis until it is started again", async () => {
  const uses = () => /^redis_nodes = /m.test(readFileSync(join(directory, "server1.conf"), "utf8"));
  assert.ok(uses());
  await must("stop", "server1");
  await must("up", "--no-build", "--no-seed", "--no-redis");
  assert.ok(!uses());
  assert.doesNotMatch(await readyz(), /redis/);
  await must("stop", "server1");
  await must("start", "server1");
  assert.ok(uses());
});

test("up --redis-replicas gives every master a replica, which takes over", async () => {
  await must("up", "--no-build", "--no-seed", "--redis-replicas");
  const { code, members } = await status();
  assert.equal(code, 0);
  assert.deepEqual(
    [...members.keys()].filter((name) => name.startsWith("redis")),
    [1, 2, 3, 4, 5, 6].map((n) => `redis${n}`),
  );
  assert.equal(endpoints().redis.length, 6);
  for (const [n, { port }] of endpoints().redis.slice(0, 3).entries()) {
    const [role, , master] = redis(`redis${n + 4}`, "ROLE").split("\n");
    assert.deepEqual([role, Number(master)], ["slave", port]);
  }
  await must("kill", "redis1");
  await until("redis4 to take over", () => redis("redis4", "ROLE").startsWith("master"));
  /* The server notices when it needs a key that redis1 had. */
  await until("the server to use it", async () => {
    const { token, id } = await api.register();
    await api.user(token, id);
    return /^\[\+\]redis ok$/m.test(await readyz());
  });
  assert.equal((await status()).members.get("redis4").state, "ok");
  await must("start", "redis1");
  await until("all to be healthy", async () => (await status()).code === 0);
  assert.match(redis("redis1", "ROLE"), /^slave/);
  await must("up", "--no-build", "--no-seed");
  assert.match(redis("redis1", "ROLE"), /^slave/, "it does not become a master again");
  await must("kill", "redis5");
  assert.equal((await status()).members.get("redis5").state, "down");
  await must("up", "--no-build", "--no-seed");
  assert.equal((await status()).code, 0);
});

test("add-shard adds one more shard without slots, which the running server uses; up keeps it", async () => {
  const before = await status();
  const out = await must("add-shard");
  for (const pattern of [/shard3 is up/, /shardctl plan/, /shardctl balance/]) assert.match(out, pattern);
  const { code, members } = await status();
  assert.equal(code, 0);
  assert.equal(members.get("shard3").state, "ok");
  assert.equal(members.get("server1").pid, before.members.get("server1").pid, "nothing was started again");
  assert.equal((await metrics(api))['doushard_shard_up{shard="shard3"}'], 1);
  assert.deepEqual(
    endpoints().shards.map(({ name }) => name),
    ["shard1", "shard2", "shard3"],
  );
  await must("up", "--no-build", "--no-seed");
  assert.match(
    await must("use", "3", "SELECT CONCAT('own=', COUNT(*)) FROM slot_fence WHERE state = 'owned'"),
    /own=0/,
  );
});

test("add-shard.sh checks a database before it becomes a shard, and writes it into the topology", async () => {
  const { shards, files } = endpoints();
  const { socket, port } = shards[2];
  const list = join(parent, "topology.conf");
  const odd = join(parent, "a#b", "sock"); /* what looks like comments, as it stands in the file */
  mkdirSync(join(parent, "a#b"));
  symlinkSync(shards[1].socket, odd);
  const line = (shard, at) => `  { name = "${shard.name}"; ${at}; } # the "}" of ${shard.name}`;
  writeFileSync(
    list,
    `# servers = ( { name = "no"; } );\nservers = (\n${line(shards[0], `host = "127.0.0.1"; port = ${shards[0].port}`)},\n${line(
      shards[1],
      `socket = "${odd.replace("/a#b/", "//a#b//")}"`,
    )}\n);\n# the end }\n`.replaceAll(/ (#[^\n]*),\n/g, ", $1\n"),
  );
  const text = readFileSync(list, "utf8");
  const add = (...args) =>
    spawnSync(
      join(ROOT, "scripts", "add-shard.sh"),
      [
        `--topology=${list}`,
        `--defaults-file=${files.root_cnf}`,
        `--password-file=${join(directory, "secrets", "admin_password")}`,
        ...args,
      ],
      { encoding: "utf8", env: { ...process.env, DOUSHARD_BUILD_DIR: buildDir() } },
    );
  const place = `--socket=${socket}`;
  for (const [args, status_, pattern] of [
    [["--name=shard3", place, `--app-password=${files.app_password}`, "--dry-run"], 0, /\[OK\] +it is named shard3/],
    [["--name=shard4", place], 1, /\[ERR\] +it is named shard3, for ever/],
    [["--name=shard1", place], 1, /\[ERR\] .*has shard1 somewhere else/],
    [
      ["--name=shard3", "--host=127.0.0.1", `--port=${shards[0].port}`],
      1,
      /\[ERR\] .*another name for this address: shard1/,
    ],
    [["--name=shard3", `${place}.gone`], 1, /\[ERR\] +it does not answer/],
    [["--name=shard3", place, `--app-password=${files.root_cnf}`], 1, /\[ERR\] doushard_app may not come in/],
    [["--name=Shard3", place], 2, /a name is/],
    [["--name=shard3", `--port=${port}`], 2, /numeric address/],
  ]) {
    const { status: code, stdout, stderr } = add(...args);
    assert.equal(code, status_, `${args}: ${stdout}${stderr}`);
    assert.match(stdout + stderr, pattern);
    assert.equal(readFileSync(list, "utf8"), text);
  }
  await must("use", "3", "SET GLOBAL innodb_flush_log_at_trx_commit = 2");
  assert.match(add("--name=shard3", place).stdout, /\[ERR\] +it may lose acknowledged writes/);
  await must("use", "3", "SET GLOBAL innodb_flush_log_at_trx_commit = 1");
  for (let i = 0; i < 2; i++) assert.equal(add("--name=shard3", place, "--write").status, 0);
  const written = readFileSync(list, "utf8");
  assert.equal(written.split("\n").length, text.split("\n").length + 1);
  assert.match(written, /"shard2"[^\n]*},\n {4}\{ name = "shard3"; socket = "[^"]*"; }/);
  /* The server can read it, too. */
  const accepted = async () => (await metrics(api)).doushard_config_reloads_total;
  const before = await accepted();
  writeFileSync(files.topology, written.replace(/"[^"]*a#b[^"]*"/, `"${shards[1].socket}"`));
  process.kill((await status()).members.get("server1").pid, "SIGHUP");
  await until("the server to take the file", async () => (await accepted()) === before + 1);
  assert.equal((await metrics(api))['doushard_shard_up{shard="shard3"}'], 1);
});

test("down ends every process and keeps the data; up brings them back; reset removes all", async () => {
  const { members } = await status();
  await must("down");
  for (const [name, { pid }] of members) assert.ok(!running(pid), `${name} still runs`);
  assert.notEqual((await demo("status")).code, 0);
  assert.equal(await must("down").then(() => 0), 0, "down twice is fine");
  const logs = readdirSync(join(directory, "log")).filter((name) => /^(server|mover)/.test(name));
  assert.ok(logs.length > 0);
  for (const name of logs) assert.equal(troubleIn(readFileSync(join(directory, "log", name), "utf8")), "", name);
  const start = performance.now();
  await must("up", "--no-build");
  assert.ok(performance.now() - start < 30000 * slowdown());
  assert.equal((await api.feed()).video_list[0].title, "mine", "what was acknowledged is there");
  const again = await status();
  assert.equal(again.code, 0);
  assert.ok(again.members.has("redis6"), "including replicas");
  await must("reset");
  for (const { pid } of again.members.values()) assert.ok(!running(pid));
  assert.equal(existsSync(directory), false);
  assert.ok(running(bystander.pid), "other processes are left alone");
  api.close();
});
