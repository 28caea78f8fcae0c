/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Tags about the maker of a film are not published; a film without such tags stays unchanged. */

import assert from "node:assert/strict";
import { after, test } from "node:test";
import { CODE, uniqueName } from "../lib/api.js";
import { Cluster, UPLOADS } from "../lib/cluster.js";
import * as media from "../lib/media.js";
import { until } from "../lib/wait.js";

const cluster = await Cluster.up({ remote: false, options: UPLOADS });
after(() => cluster.down());
const { api } = cluster;
const author = await api.register();

const published = async (clip) => {
  const title = uniqueName("t");
  assert.equal((await api.publish(author.token, clip, title)).status_code, CODE.OK);
  const { video_list } = await api.list({ user_id: author.id });
  const url = video_list.find((video) => video.title === title).play_url;
  return (await api.fetch(url)).body;
};

test("a film is served without the place, time and phone it was made with, and with its rotation", async () => {
  const tagged = media.clipWith([
    "-metadata",
    "location=+48.2082+016.3738/",
    "-metadata",
    "location-eng=+48.2082+016.3738/",
    "-metadata",
    "com.apple.quicktime.model=CANARYPHONE",
    "-metadata",
    "creation_time=2021-02-03T04:05:06Z",
    "-metadata:s:v",
    "rotate=90",
    "-movflags",
    "use_metadata_tags",
  ]);
  assert.ok(tagged.includes("CANARYPHONE") && tagged.includes("+016.3738"), "the test's own file");
  const stripped = await api.metric("doushard_media_stripped_total");
  const body = await published(tagged);
  assert.equal((await api.metric("doushard_media_stripped_total")) - stripped, 1);
  for (const secret of ["CANARYPHONE", "+016.3738", "+48.2082"]) assert.ok(!body.includes(secret), secret);
  const { format, streams } = media.probe(body);
  assert.equal(format.tags.creation_time, undefined);
  const rotation = (all) =>
    all.find((s) => s.codec_type === "video").side_data_list.find((d) => d.rotation !== undefined).rotation;
  assert.equal(rotation(streams), rotation(media.probe(tagged).streams));
  assert.deepEqual(
    streams.map((s) => [s.codec_name, s.nb_frames]),
    media.probe(tagged).streams.map((s) => [s.codec_name, s.nb_frames]),
  );
  assert.ok(body.indexOf("moov") < body.indexOf("mdat"), "the index comes first");
});

test("a film is served without its subtitles, in which cameras write where they are", async () => {
  const clip = media.clipWithSubtitles("GPS(16.3738,48.2082,180)");
  assert.ok(clip.includes("16.3738"), "the test's own file");
  const types = (of) => media.probe(of).streams.map((s) => s.codec_type);
  assert.deepEqual(types(clip), ["video", "audio", "subtitle"]);
  const body = await published(clip);
  assert.ok(!body.includes("16.3738"));
  assert.deepEqual(types(body), ["video", "audio"]);
});

test("a film without tags is served with the same bytes", async () => {
  const stripped = await api.metric("doushard_media_stripped_total");
  for (const clip of [media.uniqueClip(), media.clipIndexLast(), media.clipMov()])
    assert.ok((await published(clip)).equals(clip));
  assert.equal(await api.metric("doushard_media_stripped_total"), stripped);
});

test("a tagged film that is sent twice with one key is one film", async () => {
  const clip = media.clipWith(["-metadata", "title=CANARY"]);
  const headers = { "Idempotency-Key": uniqueName("key") };
  const user = await api.register();
  const before = cluster.mediaFiles().length;
  for (let i = 0; i < 2; i++)
    assert.equal((await api.publish(user.token, clip, "once", { headers })).status_code, CODE.OK);
  assert.equal((await api.list({ user_id: user.id })).video_list.length, 1);
  await until("one film and its cover", () => cluster.mediaFiles().length === before + 2);
});

test("if the disk has no room for the copy, the film is refused and nothing is left", async () => {
  const server = await (await cluster.addServer({ ...UPLOADS, upload_limit: 200000, upload_spool_max: 0 })).start();
  const of = cluster.apiOf(server);
  const files = cluster.mediaFiles().length;
  const base = media.clipWith(["-metadata", "title=CANARY"]);
  assert.equal((await of.publish(author.token, base, "no room for two")).status_code, CODE.BUSY);
  assert.equal((await of.publish(author.token, media.uniqueClip(), "but for one")).status_code, CODE.OK);
  assert.equal(cluster.mediaFiles().length, files + 2);
  assert.equal((await server.stop()).code, 0);
});
