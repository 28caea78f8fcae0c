/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Requests of every kind at the same time, while options change, shards go away and clients
 * disconnect. Mainly for builds that look for data races: down() fails if one was reported. */

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { after, test } from "node:test";
import { Api, CODE, multipart, uniqueName } from "../lib/api.js";
import { duplicates } from "../lib/checks.js";
import { Cluster, UPLOADS, slowdown } from "../lib/cluster.js";
import { clipOfSize, uniqueClip } from "../lib/media.js";
import { RawConnection } from "../lib/raw.js";
import { parallel, until } from "../lib/wait.js";

const cluster = await Cluster.up({
  options: { ...UPLOADS, uploads_per_user: 12, scrypt_queue_max: 1000, session_cache_time: "50ms" },
});
after(() => cluster.down());
const { server } = cluster;
const api = new Api(server.url, {
  adminUrl: server.adminUrl,
  contract: cluster.contract,
  maxSockets: 128,
  timeoutMs: 30000 * slowdown(),
});
after(() => api.close());

const ok = (json, what) => assert.equal(json.status_code, CODE.OK, `${what}: ${JSON.stringify(json)}`);
const post = async (path, form) => (await api.post(path, form)).json;

/** The whole life of one user. */
async function life() {
  const name = uniqueName("c");
  const user = await api.register(name, "first");
  ok(await api.login(name, "first"), "login");
  assert.equal((await api.login(name, "wrong")).status_code, CODE.LOGIN);
  const title = uniqueName("t");
  ok(await api.publish(user.token, uniqueClip(), title), "publish");
  const {
    video_list: [video],
  } = await api.list({ user_id: user.id });
  assert.equal(video.title, title);
  assert.equal((await api.fetch(video.play_url)).status, 200);
  assert.equal((await api.send("GET", video.cover_url, { headers: { Range: "bytes=0-9" } })).status, 206);
  const changed = await post("/douyin/user/password/", {
    token: user.token,
    old_password: "first",
    new_password: "second",
  });
  ok(changed, "password");
  ok(await api.remove(changed.token, video.id), "delete");
  assert.deepEqual((await api.list({ user_id: user.id })).video_list, []);
  ok(await post("/douyin/user/logout/", { token: changed.token }), "logout");
  assert.equal((await api.login(name, "second")).user_id, user.id);
  return user;
}

test("40 whole user lives at the same time, beside readers, reloads and clients that disconnect", async () => {
  let stop = false;
  const watcher = async () => {
    while (!stop) {
      ok(await api.feed(), "feed");
      await api.send("GET", "/metrics", { admin: true });
      await api.send("GET", "/readyz", { admin: true });
    }
  };
  const reloader = async () => {
    while (!stop) {
      const before = await api.metric("doushard_config_reloads_total");
      server.child.kill("SIGHUP");
      await until("the reload", async () => stop || (await api.metric("doushard_config_reloads_total")) > before);
    }
  };
  const leaver = async () => {
    const { body, type } = multipart([
      ["token", "x"],
      ["title", "t"],
      { name: "data", filename: "x.mp4", data: clipOfSize(100000) },
    ]);
    while (!stop) {
      const connection = await RawConnection.open(server.options.listen_port);
      await connection.send(
        `POST /douyin/publish/action/ HTTP/1.1\r\nHost: x\r\nContent-Type: ${type}\r\nContent-Length: ${body.length}\r\n\r\n`,
      );
      await connection.send(body.subarray(0, Math.floor(Math.random() * body.length)));
      if (Math.random() < 0.5) connection.reset();
      else connection.close();
    }
  };
  const others = [watcher(), watcher(), reloader(), leaver()];
  let users;
  try {
    users = await parallel(
      10,
      Array.from({ length: 40 }, () => life),
    );
  } finally {
    stop = true;
    await Promise.all(others);
  }
  assert.deepEqual(duplicates(users.map((u) => u.id)), []);
  await until("nothing to be left", async () => {
    assert.deepEqual(cluster.uploadFiles(), []);
    assert.deepEqual(cluster.mediaFiles(), []);
    assert.equal((await cluster.rowCounts(["job"])).job, 0);
    assert.equal(await api.metric("doushard_uploads_running"), 0);
    return true;
  });
  const counts = await cluster.sqlAll("SELECT COUNT(*) AS n FROM user WHERE work_count <> 0");
  assert.deepEqual(
    counts.map(({ n }) => n),
    [0, 0],
  );
});

test("the same write from many clients at the same time has one effect", async () => {
  const user = await api.register();
  const clip = uniqueClip();
  const headers = { "Idempotency-Key": randomBytes(16).toString("hex") };
  const answers = await Promise.all(
    Array.from({ length: 12 }, () => api.publish(user.token, clip, "once", { headers })),
  );
  assert.deepEqual([...new Set(answers.map((a) => a.status_code))], [CODE.OK]);
  const { video_list } = await api.list({ user_id: user.id });
  assert.equal(video_list.length, 1);
  assert.equal((await api.user(user.token)).user.work_count, 1);
  /* Of the files of all twelve, only those that the row names may stay. */
  const name = video_list[0].play_url.split("/").at(-1).slice(0, -4);
  await until("one pair of files", () => cluster.mediaFiles().every((f) => f.includes(name)));
  assert.equal((await api.fetch(video_list[0].play_url)).status, 200);
});

test("logins, logouts and checks of one user's sessions at the same time", async () => {
  const user = await api.register();
  await parallel(
    16,
    Array.from({ length: 60 }, () => async () => {
      const { token } = await api.login(user.name, user.password);
      assert.equal((await api.user(token)).user?.id, user.id);
      ok(await post("/douyin/user/logout/", { token }), "logout");
      await until("the session to end", async () => (await api.user(token)).status_code === CODE.AUTH);
    }),
  );
  assert.equal((await api.user(user.token)).user.id, user.id);
});

test("a shard goes away and comes back while everything runs", async () => {
  const users = await parallel(
    8,
    Array.from({ length: 16 }, () => () => api.register()),
  );
  let stop = false;
  const codes = new Set();
  const clients = Array.from({ length: 12 }, async (_, i) => {
    while (!stop) {
      const user = users[i];
      codes.add((await api.user(user.token)).status_code);
      codes.add((await api.feed()).status_code);
      codes.add((await api.list({ user_id: user.id })).status_code);
    }
  });
  try {
    await cluster.demo("kill", "shard2");
    await until("somebody to be told", () => codes.has(CODE.UNAVAILABLE));
  } finally {
    await cluster.demo("start", "shard2");
    await until("everybody to be served", async () =>
      (await Promise.all(users.map((u) => api.list({ user_id: u.id })))).every((j) => j.status_code === CODE.OK),
    );
    stop = true;
    await Promise.all(clients);
  }
  assert.deepEqual(
    [...codes].filter((c) => ![CODE.OK, CODE.UNAVAILABLE, CODE.UNKNOWN, CODE.BUSY].includes(c)),
    [],
  );
});

test("it stops cleanly with requests under way", async () => {
  let answers = 0;
  const clients = Array.from({ length: 50 }, async () => {
    for (; ; answers++) await api.feed();
  });
  const last = Promise.allSettled(clients);
  await until("all to be busy", () => answers > 200);
  const { code } = await server.stop();
  await last;
  assert.equal(code, 0);
});
