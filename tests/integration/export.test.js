/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* `shardctl export` writes everything about one user and nothing else: what was done through the
 * service, more comments than one page on both shards, an unknown user, and a shard that is down. */

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { existsSync, readFileSync, readdirSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { CODE } from "../lib/api.js";
import { slotOfId } from "../lib/checks.js";
import { Cluster } from "../lib/cluster.js";
import { owners, plantVideos } from "../lib/rows.js";
import { SHARDCTL, shardctl } from "../lib/shardctl.js";
import { literal } from "../lib/sql.js";
import { until } from "../lib/wait.js";

const PASSWORD = "correct horse battery";
const AT = Date.now() - 3600000;
let cluster;
let api;
let owner;
let user;
/* One on each shard. */
let peers;

const run = (...args) => shardctl(args);

const exported = (...args) =>
  run(
    "export",
    `--topology=${cluster.files.topology}`,
    `--password-file=${join(cluster.dir, "secrets", "admin_password")}`,
    ...args,
  );
const ok = (answer) => {
  assert.equal(answer.status_code, CODE.OK, JSON.stringify(answer));
  return answer;
};
const shardOf = (id) => owner.get(slotOfId(id));

before(async () => {
  assert.ok(existsSync(SHARDCTL), `${SHARDCTL} is not built: make ${SHARDCTL}`);
  cluster = await Cluster.up({ shards: 2 });
  ({ api } = cluster);
  owner = await owners(cluster);
  user = await api.register(`export${AT}`, PASSWORD);
  peers = [];
  while (peers.length < 2) {
    const peer = await api.register();
    if (peers.every(({ id }) => shardOf(id) !== shardOf(peer.id))) peers.push(peer);
  }
});

after(() => cluster?.down());

test("prints its usage", async () => {
  const help = await run("export", "--help");
  assert.equal(help.status, 0);
  assert.match(help.out, /usage: [^]*shardctl export ID[^]*--output[^]*Exit status/);
  assert.doesNotMatch(help.out, /--checkpoint/);
  for (const args of [
    ["export"],
    ["export", "1", "2"],
    ["export", "1", "--json"],
    ["export", "x", "--nonsense"],
    ["audit", "--output=x"],
  ])
    assert.equal((await run(...args)).status, 2, args.join(" "));
  for (const id of ["x", "0", "-5", "1e3", "99999999999999999999"]) {
    const { status, err, out } = await exported(id);
    assert.deepEqual([status, out], [2, ""], id);
    assert.match(err, /not the id of a user|usage|invalid option/, id);
  }
});

test("writes what was done through the service, with texts from the videos' shards, and nothing secret", async () => {
  const videos = await plantVideos(cluster, [
    { author: user.id, at: AT, title: "mine" },
    ...peers.map(({ id }, i) => ({ author: id, at: AT + 1 + i })),
  ]);
  const [own, ...others] = videos;
  const texts = ['quote " and \\ 🐻', "two\nlines"];
  const comments = [];
  for (const [i, video] of others.entries()) {
    ok(await api.like(user.token, video.id));
    comments.push(ok(await api.comment(user.token, video.id, texts[i])).comment.id);
    ok(await api.follow(user.token, peers[i].id));
    ok(await api.say(user.token, peers[i].id, `to ${i}`));
    ok(await api.say(peers[i].token, user.id, `from ${i}`));
    ok(await api.comment(peers[i].token, own.id, "not the user's"));
  }
  const taken = ok(await api.comment(user.token, others[0].id, "taken back")).comment.id;
  ok(await api.uncomment(user.token, others[0].id, taken));
  ok(await api.follow(peers[0].token, user.id));
  ok(await api.follow(user.token, peers[1].id, 2));
  await until("an empty outbox", async () =>
    (await cluster.sqlAll("SELECT COUNT(*) AS n FROM outbox")).every(({ n }) => n === 0),
  );

  const { status, out, err } = await exported(String(user.id));
  assert.equal(status, 0, err);
  const found = JSON.parse(out);
  assert.deepEqual(Object.keys(found), [
    "format",
    "user_id",
    "profile",
    "sessions",
    "videos",
    "follows",
    "followers",
    "favorites",
    "comments",
    "messages",
  ]);
  assert.deepEqual(
    [found.format, found.user_id, found.profile.user_id, found.profile.name, found.profile.state],
    ["doushard-export-1", user.id, user.id, user.name, "live"],
  );
  const [card] = await cluster.sql(
    shardOf(user.id),
    `SELECT * FROM user JOIN inbound USING (slot, user_id)
    WHERE user_id = ${user.id}`,
  );
  for (const [name, value] of Object.entries(found.profile)) assert.equal(value, card[name], name);
  assert.deepEqual(
    found.videos.map(({ video_id, title }) => [video_id, title]),
    [[own.id, "mine"]],
  );
  const byId = (a, b) => a[0] - b[0];
  assert.deepEqual(
    found.follows.map((f) => [f.followed_id, f.state]),
    [
      [peers[0].id, 1],
      [peers[1].id, 0],
    ].sort(byId),
  );
  assert.deepEqual(
    found.followers.map((f) => [f.follower_id, f.state]),
    [[peers[0].id, 1]],
  );
  assert.deepEqual(
    found.favorites.map((f) => [f.video_id, f.state]),
    others.map(({ id }) => [id, 1]).sort(byId),
  );
  assert.deepEqual(
    found.comments.map((c) => [c.comment_id, c.video_id, c.state, c.text]).sort(byId),
    [...comments.map((id, i) => [id, others[i].id, 1, texts[i]]), [taken, others[0].id, 0, null]].sort(byId),
  );
  assert.deepEqual(
    found.messages.map((m) => [m.peer_id, m.sent, m.text]).sort(),
    peers
      .flatMap(({ id }, i) => [
        [id, 1, `to ${i}`],
        [id, 0, `from ${i}`],
      ])
      .sort(),
  );
  assert.equal(found.sessions.length, 1);

  const [{ session }] = await cluster.sql(
    shardOf(user.id),
    `SELECT HEX(session) AS session FROM session WHERE user_id = ${user.id}`,
  );
  for (const secret of [
    PASSWORD,
    card.password_hash,
    session,
    user.token,
    readFileSync(cluster.files.admin_cnf, "utf8").match(/password=(\S+)/)[1],
  ])
    for (const text of [out, err]) assert.ok(!text.toLowerCase().includes(String(secret).toLowerCase()), secret);
});

test("any number of comments, in pages, into a file that only its owner can read", async () => {
  const hub = await api.register();
  const clips = await plantVideos(
    cluster,
    peers.flatMap(({ id }) => Array.from({ length: 20 }, (_, i) => ({ author: id, at: AT + 1000 + i }))),
  );
  const planted = clips.flatMap(({ id }, i) =>
    Array.from({ length: 16 }, (_, k) => ({ video: id, comment: id + 8192 * (k + 1), text: `comment ${i} ${k}` })),
  );
  assert.equal(planted.length, 640);
  await Promise.all(
    cluster.shards.map(({ name }) =>
      cluster.sql(
        name,
        `INSERT INTO comment (slot, video_id, comment_id, author_id, text, state, ver, created_at, op) VALUES ${planted
          .filter(({ video }) => shardOf(video) === name)
          .map(
            (c) =>
              `(${[slotOfId(c.video), c.video, c.comment, hub.id, c.text, "live", 1, AT, randomBytes(16)].map(literal)})`,
          )}`,
      ),
    ),
  );
  await cluster.sql(
    shardOf(hub.id),
    `INSERT INTO commented VALUES ${planted.map(
      (c) => `(${[slotOfId(hub.id), hub.id, c.video, c.comment, 1, 1, AT]})`,
    )}`,
  );

  const file = join(cluster.dir, "export.json");
  writeFileSync(file, "what was there before", { mode: 0o644 });
  const { status, out, err } = await exported(String(hub.id), `--output=${file}`);
  assert.deepEqual([status, out], [0, ""], err);
  assert.match(err, /\b642 items written/); /* including profile and session */
  assert.equal(statSync(file).mode & 0o777, 0o600);
  const found = JSON.parse(readFileSync(file, "utf8"));
  const plain = (list) => list.map((c) => `${c.video_id ?? c.video} ${c.comment_id ?? c.comment} ${c.text}`).sort();
  assert.deepEqual(plain(found.comments), plain(planted));
});

test("an unknown user: 1, a shard that is down: 2; no file is written, and an existing one stays", async () => {
  const file = join(cluster.dir, "export.json");
  const before_ = readFileSync(file, "utf8");
  const nobody = await exported(String(user.id + 8192 * 1000000), `--output=${file}`);
  assert.equal(nobody.status, 1, nobody.err);
  assert.match(nobody.err, /never was such a user/);
  assert.equal((await exported(String(user.id + 8192 * 1000000))).out, "");
  const other = cluster.shards.find(({ name }) => name !== shardOf(user.id));
  await cluster.demo("kill", other.name);
  const down = await exported(String(user.id), `--output=${file}`);
  assert.equal(down.status, 2, down.err);
  assert.match(down.err, new RegExp(other.name));
  await cluster.demo("start", other.name);
  assert.equal((await exported(String(user.id), `--output=${join(cluster.dir, "none", "export.json")}`)).status, 2);
  assert.equal(readFileSync(file, "utf8"), before_);
  assert.deepEqual(
    readdirSync(cluster.dir).filter((name) => name.endsWith(".new")),
    [],
  );
  assert.equal((await exported(String(user.id), `--output=${file}`)).status, 0);
});
