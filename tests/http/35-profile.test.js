/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Avatar, background image and signature: what is accepted, shown and refused, and which files
 * remain. */

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { after, test } from "node:test";
import { CODE } from "../lib/api.js";
import { Cluster, UPLOADS } from "../lib/cluster.js";
import { probe, uniqueClip } from "../lib/media.js";
import { until } from "../lib/wait.js";

const cluster = await Cluster.up({ shards: 2, options: UPLOADS });
after(() => cluster.down());
const { api } = cluster;

/** A picture of WIDTH x HEIGHT in the format that ENDING names. */
function picture(ending, width = 64, height = 48) {
  const path = join(cluster.dir, `picture-${width}x${height}.${ending}`);
  const made = spawnSync("ffmpeg", [
    "-v",
    "error",
    "-y",
    "-f",
    "lavfi",
    "-i",
    `testsrc=s=${width}x${height}:d=1`,
    "-frames:v",
    "1",
    path,
  ]);
  assert.equal(made.status, 0, String(made.stderr));
  return readFileSync(path);
}

const part = (name, data) => ({ name, filename: `${name}.bin`, data });
const profile = async (user, ...parts) =>
  (await api.send("POST", "/douyin/user/profile/", { multipart: [...parts, ["token", user.token]], timeoutMs: 60000 }))
    .json;
const ok = (answer) => assert.equal(answer.status_code, CODE.OK, JSON.stringify(answer));
const card = async (user) => (await api.user(user.token)).user;
const isJpeg = (body) => body.subarray(0, 2).equals(Buffer.from([0xff, 0xd8]));

test("pictures of every kind are accepted, stored as JPEG and shown to everybody", async () => {
  const user = await api.register();
  const before = await card(user);
  for (const ending of ["jpg", "png", "webp"]) {
    ok(await profile(user, part("avatar", picture(ending))));
    const now = await card(user);
    assert.notEqual(now.avatar, before.avatar, ending);
    const { status, headers, body } = await api.fetch(now.avatar);
    assert.equal(status, 200);
    assert.equal(headers["content-type"], "image/jpeg");
    assert.ok(isJpeg(body));
    assert.equal(now.background_image, before.background_image, "what is not sent stays");
    before.avatar = now.avatar;
  }
  ok(await profile(user, part("background_image", picture("png", 2000, 1000)), ["signature", "熊\nI film bears."]));
  const now = await card(user);
  assert.equal(now.avatar, before.avatar);
  assert.equal(now.signature, "熊\nI film bears.");
  assert.ok(isJpeg((await api.fetch(now.background_image)).body));
  const seen = (await api.user((await api.register()).token, user.id)).user;
  assert.deepEqual(seen, now);
});

test("files that are not pictures or too large, and empty requests, are refused, and no file remains", async () => {
  const user = await api.register();
  const before = await card(user);
  const files = cluster.mediaFiles().sort();
  const png = picture("png");
  const refused = {
    "a video": [part("avatar", uniqueClip()), CODE.FILE],
    text: [part("avatar", Buffer.from("no picture, however long it may be")), CODE.FILE],
    "few bytes": [part("avatar", Buffer.from([0xff, 0xd8])), CODE.FILE],
    "half a picture": [part("avatar", png.subarray(0, 40)), CODE.FILE],
    "a signature alone": [part("avatar", Buffer.concat([png.subarray(0, 8), Buffer.alloc(5000, 1)])), CODE.FILE],
    SVG: [part("background_image", Buffer.from('<svg xmlns="http://www.w3.org/2000/svg"/>')), CODE.FILE],
    "too many pixels": [part("avatar", picture("png", 6000, 5000)), CODE.FILE],
    "too many bytes": [part("avatar", Buffer.concat([png, Buffer.alloc(11 << 20)])), CODE.TOO_LARGE],
    nothing: [["x", "y"], CODE.PARAM],
    empty: [part("avatar", Buffer.alloc(0)), CODE.PARAM],
    "a control character": [["signature", "a\u0007"], CODE.PARAM],
    "an over-long signature": [["signature", "长".repeat(129)], CODE.PARAM],
  };
  for (const [what, [sent, code]] of Object.entries(refused)) {
    const answer = await profile(user, sent);
    assert.equal(answer.status_code, code, `${what}: ${JSON.stringify(answer)}`);
  }
  const both = await profile(
    user,
    part("avatar", png),
    part("background_image", Buffer.concat([png.subarray(0, 8), Buffer.alloc(99)])),
  );
  assert.equal(both.status_code, CODE.FILE, JSON.stringify(both));
  assert.equal((await profile({ token: "x" }, part("avatar", png))).status_code, CODE.AUTH);
  assert.deepEqual(await card(user), before);
  assert.deepEqual(cluster.mediaFiles().sort(), files);
  await until("no upload remains", () => cluster.uploadFiles().length === 0);
});

test("a stored picture does not say where it was taken, and stands upright", async () => {
  const user = await api.register();
  const path = join(cluster.dir, "placed.jpg");
  assert.equal(
    spawnSync("ffmpeg", [
      "-v",
      "error",
      "-y",
      "-f",
      "lavfi",
      "-i",
      "testsrc=s=64x48:d=1",
      "-frames:v",
      "1",
      "-metadata",
      "comment=SECRETPLACE",
      path,
    ]).status,
    0,
  );
  /* A comment, and EXIF with an image description, and with the orientation of a phone that was held upright. */
  const exif = Buffer.concat([
    Buffer.from("Exif\0\0II*\0\x08\0\0\0\x02\0", "latin1"),
    Buffer.from("\x0e\x01\x02\0\x0c\0\0\0\x26\0\0\0", "latin1"),
    Buffer.from("\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0", "latin1"),
    Buffer.from("SECRETPLACE\0"),
  ]);
  const placed = Buffer.concat([
    readFileSync(path).subarray(0, 2),
    Buffer.from([0xff, 0xe1, 0, exif.length + 2]),
    exif,
    Buffer.from([0xff, 0xfe, 0, 13]),
    Buffer.from("SECRETPLACE"),
    readFileSync(path).subarray(2),
  ]);
  ok(await profile(user, part("avatar", placed)));
  const { body } = await api.fetch((await card(user)).avatar);
  assert.ok(isJpeg(body));
  assert.ok(!body.includes("SECRETPLACE"));
  const { width, height } = probe(body).streams[0];
  assert.deepEqual([width, height], [48, 64]);
});
