/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* What clients see of a ban, on two shards: who is locked out and told why, what is hidden, what
 * others may still do, and that the audit finds nothing during and after it. */

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { CODE } from "../lib/api.js";
import { slotOfId } from "../lib/checks.js";
import { Cluster, buildDir } from "../lib/cluster.js";
import { owners, plantVideos } from "../lib/rows.js";
import { until } from "../lib/wait.js";

const PASSWORD = "correct horse battery";
let cluster;
let api;

const shardctl = (...args) =>
  spawnSync(join(buildDir(), "shardctl"), args, {
    env: { ...process.env, DOUSHARD_VAR: cluster.dir },
    encoding: "utf8",
  });
const call = (statement) => {
  const { status, stdout, stderr } = shardctl("call", statement);
  assert.equal(status, 0, stderr);
  return stdout;
};
const ok = (answer) => {
  assert.equal(answer.status_code, CODE.OK, JSON.stringify(answer));
  return answer;
};
const settled = () =>
  until("an empty outbox", async () =>
    (await cluster.sqlAll("SELECT COUNT(*) AS n FROM outbox")).every(({ n }) => n === 0),
  );
const clean = async () => {
  await settled();
  const { status, stdout, stderr } = shardctl("audit");
  assert.deepEqual([status, stdout], [0, ""], stderr);
};

before(async () => {
  cluster = await Cluster.up({ shards: 2 });
  ({ api } = cluster);
});
after(() => cluster?.down());

test("a ban, what is done during it, and its end", async () => {
  const owner = await owners(cluster);
  const shardOf = (id) => owner.get(slotOfId(id));
  const user = await api.register(`banned${Date.now()}`, PASSWORD);
  let fan;
  do fan = await api.register();
  while (shardOf(fan.id) === shardOf(user.id));
  const videos = await plantVideos(
    cluster,
    [1, 2, 3].map((age) => ({ author: user.id, at: Date.now() - age * 1000 })),
  );
  call(`user_repair(${user.id})`); /* plantVideos counts nothing */
  const [liked, other, late] = videos;
  for (const video of [liked, other]) ok(await api.like(fan.token, video.id));
  ok(await api.follow(fan.token, user.id));
  ok(await api.say(fan.token, user.id, "before"));
  const { id: comment } = ok(await api.comment(fan.token, liked.id, "a comment")).comment;
  ok(await api.comment(fan.token, other.id, "stays"));
  const shown = async () => ok(await api.feed()).video_list.filter(({ author }) => author.id === user.id).length;
  const liking = async () => ok(await api.favorites({ user_id: fan.id, token: fan.token })).video_list.length;
  const works = async () => ok(await api.list({ user_id: user.id, token: fan.token })).video_list.length;
  assert.deepEqual([await shown(), await liking(), await works()], [3, 2, 3]);

  assert.match(call(`user_ban(${user.id})`), / ok /);
  assert.equal((await api.login(user.name, PASSWORD)).status_code, CODE.BANNED);
  assert.equal((await api.login(user.name, "another password")).status_code, CODE.LOGIN);
  /* A server caches a session for 5 s. */
  await until("the session to end", async () => (await api.user(user.token, user.id)).status_code === CODE.AUTH);
  assert.deepEqual([await shown(), await liking(), await works()], [0, 0, 0]);
  assert.equal((await api.comments({ video_id: liked.id, token: fan.token })).status_code, CODE.NO_VIDEO);
  assert.equal((await api.comment(fan.token, liked.id, "refused")).status_code, CODE.NO_VIDEO);
  const page = ok(await api.user(fan.token, user.id)).user;
  assert.deepEqual([page.name, page.follower_count, page.work_count], [user.name, 1, 3]);

  ok(await api.like(fan.token, liked.id, 2));
  ok(await api.like(fan.token, late.id));
  ok(await api.follow(fan.token, user.id, 2));
  ok(await api.say(fan.token, user.id, "during"));
  await clean();

  assert.match(call(`user_unban(${user.id})`), / ok /);
  const token = ok(await api.login(user.name, PASSWORD)).token;
  await clean();
  assert.deepEqual([await shown(), await liking(), await works()], [3, 2, 3]);
  const counts = ok(await api.list({ user_id: user.id, token })).video_list.map(({ id, favorite_count: n }) => [id, n]);
  assert.deepEqual(Object.fromEntries(counts), { [liked.id]: 0, [other.id]: 1, [late.id]: 1 });
  const back = ok(await api.user(token, user.id)).user;
  assert.deepEqual([back.follower_count, Number(back.total_favorited)], [0, 2]);
  const chat = ok(await api.chat({ token, to_user_id: fan.id, pre_msg_time: 0 })).message_list;
  assert.deepEqual(
    chat.map(({ content }) => content),
    ["before", "during"],
  );
  ok(await api.uncomment(fan.token, liked.id, comment));
  assert.equal(ok(await api.comments({ video_id: other.id, token })).comment_list.length, 1);
  assert.match(call(`session_end_all(${user.id})`), / ok .* 1\n/);
  await until("logged out", async () => (await api.user(token, user.id)).status_code === CODE.AUTH);
  await clean();
});
