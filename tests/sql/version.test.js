/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Versions of cards, lists, mailboxes and edges: which routines return them, that every change
 * raises them and nothing else does, and that none runs backwards when its slot gets a higher epoch. */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";

import {
  account,
  call,
  deleteOp,
  key,
  nameIn,
  newUser,
  newVideo,
  obeysFence,
  obeysForwarding,
  one,
  owners,
  ownerOp,
  publishOp,
  refused,
  refusesBadBatch,
  registerOp,
  shard,
  version,
} from "./lib.js";

let server;
let root;
let app;
before(async () => ({ server, root, app } = await shard()));
after(() => server?.stop());

const edgeOp = (user, target, state = 1) => ownerOp(user, { target: Number(target.id), state });
const deliverOp = (target, user, ver, state = 1) =>
  ownerOp(target, { actor: Number(user.id), state, ver: Number(ver), at: 1 });
const ownerVersions = async (owner, kind = "user") => {
  const {
    n: _n,
    code,
    slot: _slot,
    epoch: _epoch,
    server: _server,
    ...rest
  } = await one(root, "owner_versions", ownerOp(owner, { kind }));
  assert.equal(code, "ok");
  return rest;
};
/** Which of an owner's versions WORK raises. */
async function raised(owner, kind, work) {
  const old = await ownerVersions(owner, kind);
  await work();
  const now = await ownerVersions(owner, kind);
  return Object.keys(now).filter((name) => {
    assert.ok(
      now[name] === old[name] || BigInt(now[name]) > BigInt(old[name]),
      `${name} fell from ${old[name]} to ${now[name]}`,
    );
    return now[name] !== old[name];
  });
}

describe("what a change raises", () => {
  test("the card, the lists and the mailbox of a user, each by what it shows", async () => {
    const [user, peer] = [await newUser(app), await newUser(app)];
    const video = await newVideo(app, peer);
    const own = await newVideo(app, user);
    const comment = async (of, by) =>
      one(app, "comment_action", ownerOp(of, { user: Number(by.id), op: key(), text: "c" }));
    const changes = [
      ["user_profile", ["ver"], () => one(app, "user_profile", ownerOp(user, { signature: "s" }))],
      ["publish_action", ["ver"], () => one(app, "publish_action", publishOp(user))],
      ["follow", ["ver", "edge_ver"], () => one(app, "relation_action", edgeOp(user, peer))],
      ["like", ["ver", "edge_ver"], () => one(app, "favorite_action", edgeOp(user, video))],
      ["the same like", [], () => one(app, "favorite_action", edgeOp(user, video))],
      [
        "a refused like",
        ["ver", "edge_ver"],
        () =>
          one(
            app,
            "outbox_undo",
            ownerOp(user, { kind: "favorite", target: Number(video.id), seq: 0, ver: Number(version(2)) }),
          ),
      ],
      ["a follower", ["in_ver", "follower_ver"], () => one(app, "relation_deliver", deliverOp(user, peer, 1))],
      ["the same follower", [], () => one(app, "relation_deliver", deliverOp(user, peer, 1))],
      ["a like received", ["in_ver"], () => one(app, "favorite_deliver", deliverOp(own, peer, 1))],
      [
        "a message sent",
        ["mail_ver"],
        () => one(app, "message_action", ownerOp(user, { peer: Number(peer.id), op: key(), text: "m" })),
      ],
      [
        "a message received",
        ["in_mail_ver"],
        () =>
          one(
            app,
            "message_deliver",
            ownerOp(user, { peer: Number(peer.id), seq: 1, message_id: 9, state: 1, text: "m", op: key() }),
          ),
      ],
      ["a comment on his video", [], () => comment(own, peer)],
      ["a video deleted", ["ver", "in_ver"], () => one(app, "publish_delete", deleteOp(own, user.id))],
      ["a session", [], () => one(app, "session_touch", ownerOp(user, { session: user.op.session }))],
    ];
    for (const [what, expected, work] of changes) assert.deepEqual(await raised(user, "user", work), expected, what);
  });

  test("the card and the comments of a video", async () => {
    const [user, peer] = [await newUser(app), await newUser(app)];
    const video = await newVideo(app, user);
    let comment;
    const changes = [
      ["a like", ["ver"], () => one(app, "favorite_deliver", deliverOp(video, peer, 1))],
      ["the same like", [], () => one(app, "favorite_deliver", deliverOp(video, peer, 1))],
      [
        "a comment",
        ["ver", "comment_ver"],
        async () => {
          comment = (await one(app, "comment_action", ownerOp(video, { user: Number(peer.id), op: key(), text: "c" })))
            .comment_id;
        },
      ],
      [
        "its deletion",
        ["ver", "comment_ver"],
        () => one(app, "comment_delete", ownerOp(video, { user: Number(peer.id), comment_id: Number(comment) })),
      ],
      ["a follower of the author", [], () => one(app, "relation_deliver", deliverOp(user, peer, 1))],
    ];
    for (const [what, expected, work] of changes) assert.deepEqual(await raised(video, "video", work), expected, what);
  });
});

describe("what a write returns besides its operations", () => {
  /** What readers return for the owners of a set: the same values and versions, without another
   * CALL. */
  async function agrees(rows, session = app) {
    for (const row of rows) {
      if (row.video_id !== undefined) {
        const read = await one(session, "video_get", {
          slot: Number((BigInt(row.video_id) >> 3n) & 1023n),
          epoch: 0,
          owner: Number(row.video_id),
        });
        if (row.live === "0") assert.equal(read.code, "notfound");
        else
          assert.deepEqual(
            [row.ver, row.title, row.media, row.favorite_count, row.comment_count, row.author_id],
            [read.video_ver, read.title, read.media, read.video_favorite_count, read.comment_count, read.user_id],
          );
        continue;
      }
      const read = await one(session, "user_get", {
        slot: Number((BigInt(row.user_id) >> 3n) & 1023n),
        epoch: 0,
        owner: Number(row.user_id),
      });
      const { edge_ver, mail_ver, follower_ver, in_mail_ver, ...card } = row;
      for (const [name, value] of Object.entries(card)) assert.equal(value, read[name], name);
      const versions = await ownerVersions({ id: row.user_id, slot: Number(read.slot) });
      for (const [name, value] of Object.entries({ edge_ver, mail_ver, follower_ver, in_mail_ver })) {
        if (value !== undefined) assert.equal(value, versions[name], name);
      }
    }
  }

  test("one row per named owner, with what readers would return, changed or not; none for refused owners", async () => {
    const [a, b] = [await newUser(app, nameIn(300)), await newUser(app, nameIn(301))];
    const [x, y] = [await newVideo(app, b), await newVideo(app, b)];
    const ghost = { id: String(77 * 8192 + 302 * 8), slot: 302 };
    const ids = (sets) => sets.map((rows) => rows.map((row) => row.video_id ?? row.user_id).sort());
    const ops = {
      favorite_action: [[edgeOp(a, x), edgeOp(a, y), edgeOp(b, x), edgeOp(ghost, x)], [[a.id, b.id]]],
      relation_action: [[edgeOp(a, b), edgeOp(b, a)], [[a.id, b.id]]],
      favorite_deliver: [
        [deliverOp(x, a, 5), deliverOp(y, a, 6)],
        [[x.id, y.id].sort(), [b.id]],
      ],
      relation_deliver: [[deliverOp(a, b, 5), deliverOp(b, a, 6)], [[a.id, b.id]]],
      comment_action: [[ownerOp(x, { user: Number(a.id), op: key(), text: "c" })], [[x.id]]],
      comment_deliver: [[ownerOp(a, { video: Number(x.id), comment_id: 8, state: 1, ver: 1, at: 1 })], [[a.id]]],
      message_action: [[ownerOp(a, { peer: Number(b.id), op: key(), text: "m" })], [[a.id]]],
      message_deliver: [
        [ownerOp(b, { peer: Number(a.id), seq: 1, message_id: 8, state: 1, text: "m", op: key() })],
        [[b.id]],
      ],
      user_profile: [[ownerOp(a, { signature: "hello" })], [[a.id]]],
      publish_delete: [[deleteOp(y, b.id)], [[b.id], [y.id], [b.id]]],
    };
    for (const [routine, [list, expected]] of Object.entries(ops)) {
      for (const time of ["first", "again"]) {
        const sets = await owners(app, routine, list);
        assert.deepEqual(ids(sets), expected, `${routine}, ${time}`);
        await agrees(sets.flat());
      }
    }
    const made = await owners(app, "user_register", registerOp());
    assert.deepEqual(
      made.map((rows) => rows.length),
      [1, 1],
    );
    await agrees(made.flat());
    const [[author], [video]] = await owners(app, "publish_action", publishOp(a));
    assert.equal(author.user_id, a.id);
    await agrees([author, video]);
  });

  test("two halves change one card at the same time: each answer has its own version", async () => {
    const [user, fan] = [await newUser(app), await newUser(app)];
    const other = account(server, "app");
    const results = await Promise.all([
      ...Array.from({ length: 10 }, (_, i) => owners(app, "user_profile", ownerOp(user, { signature: `s${i}` }))),
      ...Array.from({ length: 10 }, (_, i) =>
        owners(other, "relation_deliver", deliverOp(user, fan, i + 1, (i + 1) % 2)),
      ),
    ]);
    const rows = results.flat(2);
    assert.equal(new Set(rows.filter((row) => row.ver).map((row) => row.ver)).size, 10);
    assert.equal(new Set(rows.filter((row) => row.in_ver).map((row) => row.in_ver)).size, 10);
    await other.end();
  });
});

describe("a higher epoch", () => {
  test("raises every version: none runs backwards after a restore, whatever was lost", async () => {
    const [user, peer] = [await newUser(app, nameIn(310)), await newUser(app, nameIn(311))];
    const video = await newVideo(app, user);
    for (const state of [1, 0, 1, 0]) await one(app, "relation_action", edgeOp(user, peer, state));
    const before_ = [await ownerVersions(user), await ownerVersions(video, "video")];
    /* A backup from before all that, with the epoch that settling gave it. */
    await root.run(`UPDATE user SET ver = 1, edge_ver = 0, mail_ver = 0, follow_count = 0 WHERE slot = 310`);
    await root.run(`UPDATE inbound SET ver = 1, follower_ver = 0, mail_ver = 0 WHERE slot = 310`);
    await root.run(`UPDATE video SET ver = 1, comment_ver = 0 WHERE slot = 310`);
    await root.run("DELETE FROM follow WHERE slot = 310");
    await root.run("UPDATE slot_fence SET epoch = 2 WHERE slot = 310");
    const newer = (now, old) =>
      Object.entries(now).every(([name, value]) => value === null || BigInt(value) > BigInt(old[name]));
    const read = [await ownerVersions(user), await ownerVersions(video, "video")];
    assert.ok(newer(read[0], before_[0]) && newer(read[1], before_[1]), "as it is read");
    const edge = await one(app, "relation_action", { ...edgeOp(user, peer), epoch: 2 });
    assert.equal(edge.ver, version(1, 2), "the target accepts it, whatever it had before");
    await one(app, "message_action", { ...ownerOp(user, { peer: Number(peer.id), op: key(), text: "m" }), epoch: 2 });
    await one(app, "relation_deliver", { ...deliverOp(user, peer, 1), epoch: 2 });
    await one(app, "favorite_deliver", { ...deliverOp(video, peer, 1), epoch: 2 });
    const after_ = await ownerVersions(user);
    for (const name of ["ver", "in_ver", "edge_ver", "follower_ver", "mail_ver"])
      assert.ok(BigInt(after_[name]) > BigInt(read[0][name]), name);
    assert.ok(Object.values(after_).every((value) => value === null || Number(value) < 2 ** 53));
    await root.run("UPDATE slot_fence SET epoch = 1 WHERE slot = 310");
  });
});

test("owner_versions: unknown owners: not found; bad arguments; fence", async () => {
  const user = await newUser(app, nameIn(320));
  const op = (fields) => ownerOp(user, { kind: "user", ...fields });
  for (const kind of ["video", "user"])
    assert.equal((await one(root, "owner_versions", { slot: 9, epoch: 1, owner: 9, kind })).code, "notfound");
  await refusesBadBatch(root, "owner_versions", op(), { kind: ["", "x", "users", 1] });
  await refused(root, "45400", "owner_versions", "[]");
  await obeysFence(root, root, "owner_versions", 320, (epoch) => op({ epoch }));
  await obeysForwarding(root, root, "owner_versions", 320, user.id, () => op());
  assert.equal(
    (await call(root, "owner_versions", JSON.stringify([op(), { ...op(), slot: 321, epoch: 9 }])))[1].length,
    2,
    "refusals come in another set",
  );
});
