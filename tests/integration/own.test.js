/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* A user gets an own slot, wherever that is: what the user, others and the operator do with the user
 * and with everything made before, during and after that. Then the shard of the slot, or of the
 * user's id, loses its data and is restored. */

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { cpSync, rmSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { CODE } from "../lib/api.js";
import { slotOfId } from "../lib/checks.js";
import { Cluster, ROOT, UPLOADS } from "../lib/cluster.js";
import { nameOn } from "../lib/load.js";
import { uniqueClip } from "../lib/media.js";
import { Mover, requestMove, untilMove } from "../lib/mover.js";
import { owners, plantVideos } from "../lib/rows.js";
import { shardctl } from "../lib/shardctl.js";
import { until } from "../lib/wait.js";

let cluster;
let api;
let owner; /* the shard of each slot */

const must = async (answer, what) => {
  const json = await answer;
  assert.equal(json.status_code, CODE.OK, `${what ?? ""} ${JSON.stringify(json)}`);
  return json;
};
const ctl = (...args) => shardctl(args, { env: cluster.env });
const drained = () =>
  until("second halves to be delivered", async () => (await cluster.sqlAll("SELECT 1 AS x FROM outbox")).length === 0);

/** Fails unless all counters on all shards match. */
async function clean() {
  await drained();
  const { status, out, err } = await ctl("audit");
  assert.deepEqual([status, out], [0, ""], err);
}

/** CALLs an administration routine on every shard, as config/README.md says: one of them does it. */
async function operate(statement) {
  const { status, out, err } = await ctl("call", statement);
  assert.equal(status, 0, err);
  assert.equal(out.match(/\b(ok|same)\b/g)?.length, 1, `${statement}: one shard does it\n${out}`);
}

before(async () => {
  cluster = await Cluster.up({ shards: 2, options: { ...UPLOADS, session_cache_time: 0 } });
  ({ api } = cluster);
  owner = await owners(cluster);
});
after(() => cluster?.down());

/** Has a mover do the newest move of SLOT, which was requested on SHARD. MEANWHILE is called once
 * the mover has written some rows by ROUTINE. Returns the move. */
async function made(shard, slot, meanwhile, routine = "promote_write") {
  const mover = Mover.start(cluster, meanwhile ? { failpoint: `${routine}:after:2` } : {});
  if (meanwhile) {
    await mover.stopped();
    await meanwhile();
    mover.go();
  }
  const done = await untilMove(cluster, shard, slot, ["done"]);
  await mover.stop();
  return done;
}

/* Promotes USER of SHARD; returns the own slot. */
async function promote(user, shard, meanwhile) {
  await cluster.sql(shard, `CALL promote_request(${user.id})`);
  return (await made(shard, slotOfId(user.id), meanwhile)).own_slot;
}
async function demote(user, shard, own, meanwhile) {
  await cluster.sql(shard, `CALL demote_request(${user.id})`);
  await made(shard, own, meanwhile);
}
async function move(own, from, to, meanwhile) {
  await requestMove(cluster, own, from, to);
  await made(from, own, meanwhile, "move_write");
}

describe("a user", () => {
  let star;
  let fan;
  let home;
  let other;
  let own = 0;
  const videos = []; /* existing videos: {id, stage}, oldest first */
  const comments = []; /* of the star, on the fan's video: {text}; each time they exchanged messages as well */
  let fanVideo;

  const upload = async (stage) => {
    await must(api.publish(star.token, uniqueClip()), "upload");
    const { video_list } = await must(api.list({ user_id: star.id, token: star.token }));
    videos.push({ id: video_list[0].id, stage });
  };

  before(async () => {
    star = await api.register(nameOn("shard1", owner));
    fan = await api.register(nameOn("shard2", owner));
    [home, other] = ["shard1", "shard2"];
    [{ id: fanVideo }] = await plantVideos(cluster, [{ author: fan.id, at: Date.now() - 60000 }]);
    await cluster.sql("shard2", `CALL user_repair(${fan.id})`);
    await must(api.follow(fan.token, star.id));
    await must(api.follow(star.token, fan.id));
  });

  /* What the star has is shown to the fan, by the star's server and by one that does not know of the
   * promotion. */
  async function shown(by) {
    const { user } = await must(by.user(fan.token, star.id));
    assert.deepEqual(
      [user.work_count, user.is_follow, user.follow_count, user.follower_count],
      [videos.length, true, 1, 1],
    );
    const ids = videos.map(({ id }) => id).reverse();
    const { video_list } = await must(by.list({ user_id: star.id, token: fan.token }));
    assert.deepEqual(
      video_list.map(({ id }) => id),
      ids,
    );
    const feed = (await must(by.feed({ token: fan.token }))).video_list;
    assert.deepEqual(
      feed.filter(({ author }) => author.id === star.id).map(({ id }) => id),
      ids,
    );
    const liked = (await must(by.favorites({ user_id: fan.id, token: fan.token }))).video_list.map(({ id }) => id);
    assert.deepEqual(liked.sort(), [...ids].sort());
    for (const kind of ["follow", "follower"])
      assert.deepEqual(
        (await must(by.relations(kind, { user_id: fan.id, token: fan.token }))).user_list.map(({ id }) => id),
        [star.id],
      );
  }

  /* Writes of the fan and the star on the video of every stage. */
  async function write(stage) {
    for (const { id, stage: of } of videos) {
      await must(api.like(fan.token, id, 2), `unlike ${of}`);
      await must(api.like(fan.token, id), `like ${of}`);
      const text = `${stage} on ${of}`;
      const { comment } = await must(api.comment(fan.token, id, text), text);
      const { comment: gone } = await must(api.comment(star.token, id, `${text}, soon gone`), text);
      await must(api.uncomment(star.token, id, gone.id), text);
      const { comment_list } = await must(api.comments({ video_id: id, token: star.token }));
      assert.ok(
        comment_list.some((c) => c.id === comment.id && c.content === text) &&
          !comment_list.some((c) => c.id === gone.id),
      );
    }
    await must(api.like(star.token, fanVideo, 2));
    await must(api.like(star.token, fanVideo));
    const { comment } = await must(api.comment(star.token, fanVideo, `of the star, ${stage}`));
    comments.push({ text: comment.content });
    await must(api.say(star.token, fan.id, `to the fan, ${stage}`));
    await must(api.say(fan.token, star.id, `to the star, ${stage}`));
    await must(api.follow(fan.token, star.id, 2));
    await must(api.follow(fan.token, star.id));
  }

  /* What the star does with the account. */
  async function account(stage) {
    const { json } = await api.send("POST", "/douyin/user/profile/", {
      multipart: [
        ["signature", stage],
        ["token", star.token],
      ],
    });
    await must(json, "profile");
    assert.equal((await must(api.user(star.token, star.id))).user.signature, stage);
    const password = `${stage} staple`;
    const changed = await must(
      (
        await api.post("/douyin/user/password/", {
          token: star.token,
          old_password: star.password,
          new_password: password,
        })
      ).json,
      "password",
    );
    assert.equal((await api.login(star.name, star.password)).status_code, CODE.LOGIN);
    star.password = password;
    star.token = changed.token ?? star.token;
    const { token } = await must(api.login(star.name, password));
    await must((await api.post("/douyin/user/logout/", { token })).json);
    assert.equal((await api.user(token, star.id)).status_code, CODE.AUTH);
    star.token = (await must(api.login(star.name, password))).token;
  }

  /* What the operator does. */
  async function operator(stage, shard, slot) {
    for (const what of [star.name, star.id, ...videos.map(({ id }) => id)]) {
      const { status, out, err } = await ctl("where", what, "--json");
      assert.equal(status, 0, err);
      const { slot: at, shard: on, is_own } = JSON.parse(out);
      assert.deepEqual([at, on, is_own], [slot, shard, slot >= 1024], `where ${what}`);
    }
    await operate(`user_ban(${star.id})`);
    assert.equal((await api.login(star.name, star.password)).status_code, CODE.BANNED);
    assert.ok(!(await must(api.feed({ token: fan.token }))).video_list.some(({ author }) => author.id === star.id));
    await operate(`user_unban(${star.id})`);
    const { token } = await must(api.login(star.name, star.password));
    await operate(`session_end_all(${star.id})`);
    assert.equal((await api.user(token, star.id)).status_code, CODE.AUTH);
    star.token = (await must(api.login(star.name, star.password))).token;
    await operate(`user_repair(${star.id})`);
    for (const routine of ["user_audit", "user_tables"]) {
      const { out } = await ctl("call", `${routine}(${star.id})`, `--shard=${shard}`);
      if (routine === "user_tables") assert.match(out, new RegExp(`\\bvideo +\\d+ +${videos.length}\\b`));
      else assert.ok(/work_count/.test(out) && !/ 0 *$/m.test(out), out);
    }
    await upload(stage); /* two to delete: by the star, and by the operator */
    await upload(stage);
    await must(api.remove(star.token, videos.pop().id));
    await operate(`video_remove(${videos.pop().id})`);
    const { status, out, err } = await ctl("export", star.id);
    assert.equal(status, 0, err);
    const document = JSON.parse(out);
    assert.equal(document.profile.signature, stage);
    assert.deepEqual(
      document.videos.filter(({ state }) => state === "live").map(({ video_id }) => video_id),
      videos.map(({ id }) => id),
    );
    for (const { text } of comments)
      assert.ok(
        document.comments.some((c) => c.text === text),
        text,
      );
    assert.equal(document.messages.length, 2 * comments.length);
  }

  const stages = {
    before: async () => [home, slotOfId(star.id)],
    "in his own slot": async (meanwhile) => {
      own = await promote(star, home, meanwhile);
      return [home, own];
    },
    "on another shard": async (meanwhile) => {
      await move(own, home, other, meanwhile);
      return [other, own];
    },
    "on his shard again": async (meanwhile) => {
      await move(own, other, home, meanwhile);
      return [home, own];
    },
    back: async (meanwhile) => {
      await demote(star, home, own, meanwhile);
      return [home, slotOfId(star.id)];
    },
  };
  for (const [stage, go] of Object.entries(stages)) {
    test(`${stage}: everything of the star's is there`, async () => {
      const [shard, slot] = await go(async () => {
        await upload(stage);
        await must(api.like(fan.token, videos.at(-1).id));
        await must(api.say(fan.token, star.id, "meanwhile"));
        await must(api.say(star.token, fan.id, "meanwhile"));
        comments.push({ text: (await must(api.comment(star.token, fanVideo, `meanwhile, ${stage}`))).comment.content });
      });
      await upload(stage);
      await account(stage);
      await write(stage);
      await operator(stage, shard, slot);
      await drained();
      await shown(api);
      const again = await (await cluster.addServer(UPLOADS)).start();
      try {
        await shown(cluster.apiOf(again));
      } finally {
        await again.stop();
      }
      await clean();
    });
  }

  test("is erased in the own slot, with everything that the star did", async () => {
    own = await promote(star, home);
    await move(own, home, other);
    await operate(`user_erase(${star.id})`);
    await until(
      "the job to end",
      async () => (await cluster.sqlAll("SELECT 1 AS x FROM job WHERE kind = 'user_erase'")).length === 0,
    );
    await clean();
    assert.notEqual((await api.login(star.name, star.password)).status_code, CODE.OK);
    assert.equal((await api.user(fan.token, star.id)).status_code, CODE.NO_USER);
    const stranger = await api.register(); /* a user who has not liked any of them yet */
    for (const { id } of videos) assert.equal((await api.like(stranger.token, id)).status_code, CODE.NO_VIDEO);
    assert.deepEqual((await must(api.comments({ video_id: fanVideo, token: fan.token }))).comment_list, []);
    assert.ok(!(await must(api.feed({ token: fan.token }))).video_list.some(({ author }) => author.id === star.id));
  });
});

describe("users whose shard loses its data", () => {
  const HOME = "shard2";
  const OTHER = "shard1";
  const stars = {}; /* by what happened to them: {id, token, name, videos, own} */
  let fan;
  const script = (...args) =>
    new Promise((done, failed) => {
      const child = spawn(
        join(ROOT, "scripts", "restore-shard.sh"),
        [
          `--topology=${cluster.files.topology}`,
          `--defaults-file=${cluster.files.root_cnf}`,
          `--shard=${HOME}`,
          `--passwords=${join(cluster.dir, "secrets")}`,
          "--yes",
          ...args,
        ],
        { stdio: ["ignore", "pipe", "pipe"], env: cluster.env },
      );
      let out = "";
      for (const stream of [child.stdout, child.stderr])
        stream.on("data", (chunk) => {
          out += chunk;
        });
      child.on("error", failed);
      child.on("close", (status) => done({ status, out }));
    });
  const ready = () =>
    until("all shards", async () => (await fetch(`${cluster.server.adminUrl}/readyz`)).status === 200);
  const start = async () => {
    await cluster.demo("start", HOME);
    cluster.readEndpoints();
  };

  async function upload(star) {
    await must(api.publish(star.token, uniqueClip()), "upload");
    const { video_list } = await must(api.list({ user_id: star.id, token: star.token }));
    star.videos.push(video_list[0].id);
    await must(api.like(fan.token, video_list[0].id));
  }

  /* The versions of all users that answers contain. */
  const versions = async () =>
    new Map(
      (
        await cluster.sqlAll(`SELECT user_id AS id, GREATEST(u.ver, f.epoch << 33) AS ver
    FROM user AS u JOIN slot_fence AS f USING (slot) WHERE f.state IN ('owned', 'migrating')`)
      ).map(({ id, ver }) => [id, BigInt(ver)]),
    );

  /* The shards and slots with rows of USER or the user's videos that a shard would serve, whatever
   * leads there. */
  const placesOf = async (star) =>
    (
      await cluster.sqlAll(`SELECT DISTINCT slot FROM (SELECT slot FROM user WHERE user_id = ${star.id}
    UNION SELECT slot FROM video WHERE author_id = ${star.id}) AS t JOIN slot_fence AS f USING (slot)
    WHERE f.state IN ('owned', 'migrating')`)
    ).map(({ shard, slot }) => `${shard} ${slot}`);

  test("exist once after the restore, however old the backup is compared with their promotion", async () => {
    fan = await api.register(nameOn(OTHER, owner));
    for (const what of ["promoted since", "promoted and gone since", "gone since", "demoted since"])
      stars[what] = { ...(await api.register(nameOn(HOME, owner))), videos: [] };
    const {
      "promoted since": first,
      "promoted and gone since": second,
      "gone since": third,
      "demoted since": fourth,
    } = stars;
    assert.equal(new Set(Object.values(stars).map(({ id }) => slotOfId(id))).size, 4, "slots of their own ids");
    for (const star of [first, second, third, fourth]) {
      await upload(star);
      await must(api.follow(fan.token, star.id));
    }
    third.own = await promote(third, HOME);
    fourth.own = await promote(fourth, HOME);
    await drained();
    const data = join(cluster.dir, HOME, "data");
    await cluster.demo("stop", HOME);
    cpSync(data, join(cluster.dir, "old"), { recursive: true, preserveTimestamps: true });
    await start();
    await ready();

    first.own = await promote(first, HOME);
    second.own = await promote(second, HOME);
    await move(second.own, HOME, OTHER);
    await move(third.own, HOME, OTHER);
    await demote(fourth, HOME, fourth.own);
    for (const star of [first, second, third, fourth]) await upload(star);
    await clean();
    const wanted = await versions();

    await cluster.demo("kill", HOME);
    rmSync(data, { recursive: true });
    cpSync(join(cluster.dir, "old"), data, { recursive: true, preserveTimestamps: true });
    if (process.geteuid() === 0)
      await new Promise((done) => {
        spawn("chown", ["-R", `--reference=${join(data, "..", "tmp")}`, data], { stdio: "ignore" }).on("close", done);
      });
    await start();
    const { status, out } = await script("--in-place");
    assert.equal(status, 0, out);
    const before = await cluster.sql(HOME, "SELECT * FROM owner_home ORDER BY owner_id");
    const dry = await ctl("verify", `--shard=${HOME}`, "--dry-run");
    assert.equal(dry.status, 1, dry.out + dry.err);
    assert.match(dry.out, /own slots: [1-9]\d* forwarding entries are missing, 0 lead to where nobody is/);
    assert.deepEqual(await cluster.sql(HOME, "SELECT * FROM owner_home ORDER BY owner_id"), before);
    const done = await ctl("verify", `--shard=${HOME}`, "--yes");
    assert.equal(done.status, 0, done.out + done.err);
    assert.equal(
      /: (\d+) forwarding entries brought back/.exec(done.out)[1],
      /: (\d+) forwarding entries are missing/.exec(dry.out)[1],
    );
    await ready();

    for (const star of [first, fourth]) star.videos.pop(); /* lost with the shard */
    const places = {
      "promoted since": `${HOME} ${slotOfId(first.id)}`,
      "promoted and gone since": `${OTHER} ${second.own}`,
      "gone since": `${OTHER} ${third.own}`,
      "demoted since": `${HOME} ${fourth.own}`,
    };
    for (const [what, star] of Object.entries(stars)) assert.deepEqual(await placesOf(star), [places[what]], what);
    const now = await versions();
    for (const [id, ver] of wanted)
      assert.ok(now.get(id) >= ver, `versions of ${id} run backwards: ${ver}, ${now.get(id)}`);

    const fresh = await (await cluster.addServer(UPLOADS)).start();
    try {
      for (const by of [api, cluster.apiOf(fresh)]) {
        for (const [what, star] of Object.entries(stars)) {
          const { token } = await must(by.login(star.name, star.password), what);
          const { video_list } = await must(by.list({ user_id: star.id, token }), what);
          assert.deepEqual(
            video_list.map(({ id }) => id),
            [...star.videos].reverse(),
            what,
          );
          const feed = (await must(by.feed({ token }))).video_list.filter(({ author }) => author.id === star.id);
          assert.deepEqual(
            feed.map(({ id }) => id),
            [...star.videos].reverse(),
            what,
          );
          for (const id of star.videos) {
            await must(by.like(fan.token, id, 2), what);
            await must(by.like(fan.token, id), what);
          }
          star.token = token;
        }
      }
    } finally {
      await fresh.stop();
    }
    for (const star of Object.values(stars)) await upload(star);
    await clean();
    assert.match(out, /own slots: 1 have ended/);
    assert.match(done.out, /own slots: \d+ forwarding entries brought back, 0 removed, \d+ old rows removed/);
    assert.ok((await promote(first, HOME)) > Math.max(...Object.values(stars).map((star) => star.own)), "a new number");
    await demote(fourth, HOME, fourth.own);
    for (const star of Object.values(stars)) await upload(star);
    await clean();
  });
});
