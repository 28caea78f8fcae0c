/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Videos are published and served; other files are refused, and nothing of them is left. */

import assert from "node:assert/strict";
import { createHash, createHmac, randomBytes } from "node:crypto";
import http from "node:http";
import { mkdirSync, readFileSync, readdirSync, readlinkSync, rmSync, rmdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, test } from "node:test";
import { CODE, multipart, uniqueName } from "../lib/api.js";
import { slotOfId } from "../lib/checks.js";
import { Cluster, UPLOADS, statusOf } from "../lib/cluster.js";
import * as media from "../lib/media.js";
import { RawConnection } from "../lib/raw.js";
import { idOf, plantVideos } from "../lib/rows.js";
import { parallel, until } from "../lib/wait.js";

const LIMIT = 1 << 20;
const cluster = await Cluster.up({
  remote: true,
  options: { ...UPLOADS, upload_limit: LIMIT, base_url: "http://localhost:9/behind/a/proxy" },
});
after(() => cluster.down());
const { api } = cluster;
const local = { skip: cluster.local ? false : "another service is tested" };

const sha256 = (bytes) => createHash("sha256").update(bytes).digest("hex");

/* The path below the configured base URL, on the server that the test can reach. */
const reach = (url) => (cluster.local ? url.replace(cluster.server.options.base_url, "") : url);
const ACTION = "/douyin/publish/action/";

const author = await api.register();

/** Publishes a clip and returns its entry in the list. */
async function published(user = author, clip = media.uniqueClip(), title = uniqueName("t"), options = {}) {
  const answer = await api.publish(user.token, clip, title, options);
  assert.equal(answer.status_code, CODE.OK, JSON.stringify(answer));
  const { video_list } = await api.list({ user_id: user.id });
  const video = video_list.find((v) => v.title === title);
  assert.ok(video, `${title} is not listed`);
  return video;
}

/* All that a refused upload must not change. */
async function state() {
  const files = [...cluster.mediaFiles(), ...cluster.uploadFiles()].sort();
  return { files, ...(await cluster.rowCounts(["video", "job", "slot_log"])) };
}

/* The server's file descriptors in the upload or media directory. */
function openFiles() {
  const { media_dir, upload_dir } = cluster.server.options;
  const fds = `/proc/${cluster.server.pid}/fd`;
  return readdirSync(fds)
    .map((fd) => {
      try {
        return readlinkSync(join(fds, fd));
      } catch {
        return ""; /* closed meanwhile */
      }
    })
    .filter(
      (path) => path.startsWith(`${media_dir}/`) || path.startsWith(`${upload_dir}/`) || /^\/.*\(deleted\)$/.test(path),
    )
    .filter((path) => !path.startsWith("/memfd:") && !path.startsWith("/dev/"));
}

/** Fails unless WORK leaves rows and files as they were, and no file open. */
async function leavesNothing(work) {
  const before = await state();
  await work();
  await until("nothing to be left", async () => {
    assert.deepEqual(await state(), before);
    assert.deepEqual(openFiles(), []);
    assert.equal(await api.metric("doushard_uploads_running"), 0);
    return true;
  });
}

/* ---- Publishing ---- */

const ORDERS = {
  "file, token, title (as the official client)": (f) => [f.data, f.token, f.title],
  "token, title, file": (f) => [f.token, f.title, f.data],
  "title, file, token": (f) => [f.title, f.data, f.token],
  "an unknown part and an unknown file before": (f) => [
    ["comment", "x"],
    { name: "other", filename: "x.bin", data: randomBytes(5000) },
    f.data,
    f.token,
    f.title,
  ],
};
for (const [name, order] of Object.entries(ORDERS))
  test(`parts may come in any order: ${name}`, async () => {
    const title = uniqueName("t");
    const clip = media.uniqueClip();
    const { json } = await api.send("POST", ACTION, {
      multipart: order({
        data: { name: "data", filename: "bear.mp4", data: clip },
        token: ["token", author.token],
        title: ["title", title],
      }),
    });
    assert.equal(json.status_code, CODE.OK, JSON.stringify(json));
    const [video] = (await api.list({ user_id: author.id })).video_list;
    assert.equal(video.title, title);
    const file = await api.fetch(reach(video.play_url));
    assert.equal(sha256(file.body), sha256(clip));
  });

test("token and title may be in the query", async () => {
  const title = uniqueName("标题 ");
  const { json } = await api.send("POST", ACTION, {
    query: { token: author.token, title },
    multipart: [{ name: "data", filename: "x", data: media.uniqueClip() }],
  });
  assert.equal(json.status_code, CODE.OK, JSON.stringify(json));
  assert.equal((await api.list({ user_id: author.id })).video_list[0].title, title);
});

test("an upload may be chunked", async () => {
  const title = uniqueName("t");
  const clip = media.uniqueClip(200000);
  const { body, type } = multipart([
    ["token", author.token],
    ["title", title],
    { name: "data", filename: "x.mp4", data: clip },
  ]);
  const url = new URL(api.baseUrl + ACTION);
  const answer = await new Promise((done, failed) => {
    const req = http.request(
      url,
      { method: "POST", headers: { "Content-Type": type, "Transfer-Encoding": "chunked" } },
      (res) => {
        const chunks = [];
        res.on("data", (c) => chunks.push(c));
        res.on("end", () => done(JSON.parse(Buffer.concat(chunks).toString("utf8"))));
      },
    );
    req.on("error", failed);
    for (let at = 0; at < body.length; at += 7001) req.write(body.subarray(at, at + 7001));
    req.end();
  });
  assert.equal(answer.status_code, CODE.OK, JSON.stringify(answer));
  const [video] = (await api.list({ user_id: author.id })).video_list;
  assert.equal(sha256((await api.fetch(reach(video.play_url))).body), sha256(clip));
});

test("what is stored has the same bytes as what was sent, whatever its container and index", async () => {
  for (const [name, make, type] of [
    ["index first", media.clip, /^video\/mp4$/],
    ["index last", media.clipIndexLast, /^video\/mp4$/],
    ["QuickTime", media.clipMov, /^video\/(mp4|quicktime)$/],
  ]) {
    const clip = media.uniqueClip(16, make());
    const video = await published(author, clip);
    const { body, headers, status } = await api.fetch(reach(video.play_url));
    assert.equal(status, 200);
    assert.equal(sha256(body), sha256(clip), name);
    assert.match(headers["content-type"], type, name);
  }
});

test("the file's name and declared type do not matter", async () => {
  for (const [filename, type] of [
    ["bear.mp4", "application/octet-stream"],
    ["../../../etc/passwd", "text/plain"],
    ["", "video/mp4"],
    ["x".repeat(300), "image/png"],
    ["a;b%00c.exe", "application/x-msdownload"],
  ]) {
    const title = uniqueName("t");
    const { json } = await api.send("POST", ACTION, {
      multipart: [
        { name: "data", filename, type, data: media.uniqueClip() },
        ["token", author.token],
        ["title", title],
      ],
    });
    assert.equal(json.status_code, CODE.OK, `${filename}: ${JSON.stringify(json)}`);
  }
});

test("a listed video has its author, absolute URLs below base_url, and a cover that is a picture", async () => {
  const video = await published();
  assert.equal(video.author.id, author.id);
  assert.equal(video.author.name, author.name);
  assert.equal(video.is_favorite, false);
  assert.equal(video.favorite_count + video.comment_count, 0);
  if (cluster.local)
    for (const url of [video.play_url, video.cover_url])
      assert.ok(url.startsWith(`${cluster.server.options.base_url}/static/`), url);
  const { body, headers } = await api.fetch(reach(video.cover_url));
  assert.equal(headers["content-type"], "image/jpeg");
  const { streams } = media.probe(body);
  assert.equal(streams[0].codec_name, "mjpeg");
  assert.ok(streams[0].width > 0 && streams[0].height > 0);
});

test("a video's id carries its author's slot, and the author's count grows", async () => {
  const user = await api.register();
  const video = await published(user);
  assert.equal(slotOfId(video.id), slotOfId(user.id));
  assert.equal((await api.user(user.token)).user.work_count, 1);
  assert.equal(video.author.work_count, 1);
});

test("a video is listed only after its files exist: every listed URL answers at once", async () => {
  const user = await api.register();
  let done = false;
  let looked = 0;
  const problems = [];
  const reader = (async () => {
    while (!done) {
      for (const video of (await api.list({ user_id: user.id })).video_list)
        for (const url of [video.play_url, video.cover_url]) {
          looked += 1;
          const { status } = await api.send("HEAD", reach(url), {});
          if (status !== 200) problems.push(`${url}: ${status}`);
        }
    }
  })();
  for (let i = 0; i < 4; i++) await published(user);
  done = true;
  await reader;
  assert.deepEqual(problems, []);
  assert.ok(looked > 0);
});

test("an upload that is repeated with its Idempotency-Key makes one video", async () => {
  const user = await api.register();
  const clip = media.uniqueClip();
  const headers = { "Idempotency-Key": randomBytes(16).toString("hex") };
  const first = await api.publish(user.token, clip, "once", { headers });
  const again = await api.publish(user.token, clip, "once", { headers });
  assert.deepEqual([first.status_code, again.status_code], [CODE.OK, CODE.OK]);
  const { video_list } = await api.list({ user_id: user.id });
  assert.equal(video_list.length, 1);
  assert.equal((await api.fetch(reach(video_list[0].play_url))).status, 200);
  const otherTitle = await api.publish(user.token, clip, "twice", { headers });
  assert.equal(otherTitle.status_code, CODE.KEY_REUSED, JSON.stringify(otherTitle));
  const otherFile = await api.publish(user.token, media.uniqueClip(), "once", { headers });
  assert.equal(otherFile.status_code, CODE.KEY_REUSED, JSON.stringify(otherFile));
  const somebody = await api.register();
  assert.equal(
    (await api.publish(somebody.token, clip, "mine", { headers })).status_code,
    CODE.OK,
    "another user's key is independent",
  );
  assert.equal((await api.list({ user_id: user.id })).video_list.length, 1);
  assert.equal((await api.user(user.token)).user.work_count, 1);
});

test("titles have 1 to 128 code points", async () => {
  const long = "标".repeat(128);
  assert.equal((await published(author, media.uniqueClip(), long)).title, long);
  const refused = await api.publish(author.token, media.uniqueClip(), `${long}题`);
  assert.equal(refused.status_code, CODE.PARAM);
  assert.match(refused.status_msg, /title/);
});

/* ---- What must be refused ---- */

const HOSTILE = {
  nothing: () => Buffer.alloc(0),
  "one byte": () => Buffer.from("x"),
  "a text": () => Buffer.from("#!/bin/sh\necho hello\n".repeat(500)),
  zeros: () => Buffer.alloc(100000),
  noise: () => randomBytes(100000),
  "a picture": media.jpeg,
  "an animation": media.gif,
  Matroska: media.matroska,
  "MPEG-TS": media.transportStream,
  "sound only": media.soundOnly,
  "half a clip": () => media.truncated(0.5),
  "a tenth of a clip": () => media.truncated(0.1),
  "all but the last byte": () => media.truncated(1).subarray(0, -1),
  "an index and half of what it names": () => media.truncated(0.5, media.clip()),
  "an index of ones": () => media.scrambled(0xff),
  "an index of zeros": () => media.scrambled(0),
  "an ftyp box and nothing": () => media.masked(Buffer.alloc(0)),
  "an ftyp box and noise": () => media.masked(randomBytes(50000)),
  "a picture bomb": media.pictureBomb,
};
for (const [name, make] of Object.entries(HOSTILE))
  test(`refused, and nothing left: ${name}`, local, () =>
    leavesNothing(async () => {
      const answer = await api.publish(author.token, make(), uniqueName("bad"));
      const expected = name === "nothing" ? [CODE.FILE, CODE.PARAM] : [CODE.FILE];
      assert.ok(expected.includes(answer.status_code), JSON.stringify(answer));
      assert.ok(!/[/\\]|ffmpeg|ffprobe|bwrap|0x/.test(answer.status_msg), answer.status_msg);
    }),
  );

test("a playlist disguised as a video opens no other file and no connection", local, async () => {
  /* A stored clip, to which the playlists below refer in every way they can. */
  await published();
  await leavesNothing(disguises);
});

async function disguises() {
  const secret = media.uniqueClip(64);
  const path = media.onDisk("canary.mp4", secret);
  let knocks = 0;
  const listener = http.createServer((_req, res) => {
    knocks += 1;
    res.end(secret);
  });
  await new Promise((done) => {
    listener.listen(0, "127.0.0.1", done);
  });
  const stored = cluster.mediaFiles().find((f) => f.endsWith(".mp4"));
  const targets = [
    path,
    `file://${path}`,
    `file:${path}`,
    stored,
    stored.split("/").at(-1),
    `../${stored.split("/").at(-1)}`,
    `http://127.0.0.1:${listener.address().port}/x.mp4`,
    "/etc/passwd",
    "concat:/etc/passwd",
    `subfile,,start,0,end,0,,:${path}`,
  ];
  try {
    for (const target of targets)
      for (const make of [media.hlsPlaylist, media.concatPlaylist])
        for (const wrap of [(x) => x, media.masked]) {
          const answer = await api.publish(author.token, wrap(make(target)), uniqueName("bad"));
          assert.equal(answer.status_code, CODE.FILE, `${target}: ${JSON.stringify(answer)}`);
        }
  } finally {
    listener.close();
  }
  assert.equal(knocks, 0);
}

test("a clip that names another file as its data shows nothing of that file", local, () =>
  leavesNothing(async () => {
    /* A QuickTime data reference (`alis`/`url `) to another file, in place of "in this file". */
    const path = media.onDisk("outside.mp4", media.uniqueClip(64));
    const clip = Buffer.from(media.clip());
    const at = clip.indexOf("url \0\0\0\x01");
    assert.ok(at > 0);
    clip.writeUInt32BE(0, at + 4); /* flags: the data is in another file */
    const answer = await api.publish(author.token, clip, path);
    if (answer.status_code === CODE.OK) {
      /* A reader may ignore the reference and read the clip's own data: then the clip is unchanged. */
      const { video_list } = await api.list({ user_id: author.id });
      assert.equal(sha256((await api.fetch(reach(video_list[0].play_url))).body), sha256(clip));
      await api.remove(author.token, video_list[0].id);
      await until("the job", async () => (await cluster.rowCounts(["job"])).job === 0);
      await cluster.sqlAll(`DELETE FROM video WHERE video_id = ${video_list[0].id}`);
    } else assert.equal(answer.status_code, CODE.FILE, JSON.stringify(answer));
  }),
);

test("after all of that the server is alive and within its limits", local, async () => {
  assert.equal((await published()).author.id, author.id);
  assert.ok((await api.metric("doushard_media_probes_failed_total")) > 0);
});

test("a file of exactly the size limit is accepted, one byte more is not", local, async () => {
  const video = await published(author, media.clipOfSize(LIMIT));
  const { headers } = await api.send("HEAD", reach(video.play_url), {});
  assert.equal(Number(headers["content-length"]), LIMIT);
  await leavesNothing(async () => {
    for (const size of [LIMIT + 1, 2 * LIMIT]) {
      const answer = await api.publish(author.token, media.clipOfSize(size), "too large");
      assert.equal(answer.status_code, CODE.TOO_LARGE, JSON.stringify(answer));
    }
  });
});

test("a body whose announced length is too large is refused before it is sent", local, () =>
  leavesNothing(async () => {
    const connection = await RawConnection.open(cluster.server.options.listen_port);
    await connection.send(
      `POST ${ACTION} HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=b\r\n` +
        `Content-Length: ${1e12}\r\n\r\n--b\r\n`,
    );
    const [answer] = await connection.answers(1);
    assert.equal(JSON.parse(answer.body.toString("utf8")).status_code, CODE.TOO_LARGE);
    await connection.closed();
  }),
);

test(
  "a form field that is too large is refused, and so is a body that is too large for a route without files",
  local,
  async () => {
    await leavesNothing(async () => {
      const answer = await api.send("POST", ACTION, {
        multipart: [
          ["token", author.token],
          ["title", "x".repeat(300000)],
          { name: "data", filename: "x.mp4", data: media.uniqueClip() },
        ],
      });
      assert.ok([CODE.PARAM, CODE.TOO_LARGE].includes(answer.json.status_code), JSON.stringify(answer.json));
    });
    const { json } = await api.post("/douyin/user/login/", {
      username: "x",
      password: "x",
      filler: "x".repeat(100000),
    });
    assert.equal(json.status_code, CODE.TOO_LARGE, JSON.stringify(json));
  },
);

test("without a file, without a token or with a bad one: nothing is left", local, () =>
  leavesNothing(async () => {
    const file = { name: "data", filename: "x.mp4", data: media.uniqueClip() };
    const cases = [
      [
        [
          ["token", author.token],
          ["title", "t"],
        ],
        CODE.PARAM,
      ],
      [
        [
          ["token", author.token],
          ["title", "t"],
          ["data", "a field, not a file"],
        ],
        CODE.FILE,
      ],
      [[file, ["title", "t"]], CODE.AUTH],
      [[["title", "t"], ["token", "bad"], file], CODE.AUTH],
      [[file, ["token", "bad"], ["title", "t"]], CODE.AUTH],
      [[file, ["token", author.token]], CODE.PARAM],
      [[file, ["token", author.token], ["title", ""]], CODE.PARAM],
    ];
    for (const [parts, code] of cases) {
      const { json } = await api.send("POST", ACTION, { multipart: parts });
      assert.equal(json.status_code, code, `${parts.map((p) => p.name ?? p[0])}: ${JSON.stringify(json)}`);
    }
    const { json } = await api.send("POST", ACTION, { form: { token: author.token, title: "t", data: "x" } });
    assert.equal(json.status_code, CODE.PARAM, JSON.stringify(json));
    const broken = multipart([["token", author.token], ["title", "t"], file]);
    const answer = await api.send("POST", ACTION, {
      body: broken.body.subarray(10),
      headers: { "Content-Type": broken.type },
    });
    assert.equal(answer.json.status_code, CODE.AUTH, "well-formed, but its first part, with the token, is lost");
    /* Wherever the token is or would be, the fault is the body's. */
    for (const [what, body, type] of [
      ["cut at its end", broken.body.subarray(0, broken.body.length - 20), broken.type],
      ["cut before the token", broken.body.subarray(0, 30), broken.type],
      ["of another boundary", broken.body, "multipart/form-data; boundary=another"],
      ["of no boundary", broken.body, "multipart/form-data"],
    ])
      for (const query of [{}, { token: author.token, title: "t" }]) {
        const answer = await api.send("POST", ACTION, { query, body, headers: { "Content-Type": type } });
        assert.equal(answer.json.status_code, CODE.PARAM, `a body ${what}: ${JSON.stringify(answer.json)}`);
        assert.match(answer.json.status_msg, /form/, what);
      }
  }),
);

/* ---- A token before the file ---- */

/** TOKEN with changed CLAIMS, signed like the service does. */
function signed(token, claims) {
  const line = readFileSync(cluster.files.token_keys, "utf8")
    .split("\n")
    .find((l) => l.trim() && !l.startsWith("#"));
  const [head, body] = token.split(".");
  const changed = { ...JSON.parse(Buffer.from(body, "base64url")), ...claims };
  const text = `${head}.${Buffer.from(JSON.stringify(changed)).toString("base64url")}`;
  return `${text}.${createHmac("sha256", Buffer.from(line.trim().split(/\s+/)[1], "hex"))
    .update(text)
    .digest("base64url")}`;
}

/** Begins an upload that stops in the middle of its file; resolves to the connection. */
async function beginUpload({ query = "", headers = "", before = [] }) {
  const { body, boundary } = multipart([
    ...before,
    { name: "data", filename: "x.mp4", data: media.clipOfSize(300000) },
  ]);
  const connection = await RawConnection.open(cluster.server.options.listen_port);
  await connection.send(
    `POST ${ACTION}${query} HTTP/1.1\r\nHost: x\r\n${headers}` +
      `Content-Type: multipart/form-data; boundary=${boundary}\r\nContent-Length: ${LIMIT}\r\n\r\n`,
  );
  await connection.send(body.subarray(0, 200000));
  return connection;
}

test("a bad token before the file ends the upload at once", local, () =>
  leavesNothing(async () => {
    const now = Math.floor(Date.now() / 1000);
    const flipped = author.token.slice(0, -5) + (author.token.at(-5) === "A" ? "B" : "A") + author.token.slice(-4);
    const refused = await api.metric("doushard_tokens_refused_total");
    let n = 0;
    for (const bad of [
      "nonsense",
      flipped,
      signed(author.token, { iat: now - 1000, exp: now - 500 }),
      "x".repeat(5000),
      "\u00e9",
    ])
      for (const where of [
        { query: `?token=${encodeURIComponent(bad)}` },
        {
          before: [
            ["title", "t"],
            ["token", bad],
          ],
        },
        {
          before: [
            ["token", bad],
            ["token", author.token],
          ],
        },
        {
          before: [
            ["token", bad],
            ["title", "t"],
          ],
          headers: `Authorization: Bearer ${author.token}\r\n`,
        },
      ]) {
        const connection = await beginUpload(where);
        const [answer] = await connection.answers(1);
        const json = JSON.parse(answer.body);
        assert.equal(json.status_code, CODE.AUTH, `${JSON.stringify(where).slice(0, 200)}: ${JSON.stringify(json)}`);
        assert.equal(answer.status, 200);
        assert.equal(answer.headers.connection?.toLowerCase(), "close");
        assert.match(answer.headers["content-type"], /^application\/json/);
        await connection.closed();
        n += 1;
      }
    assert.equal((await api.metric("doushard_tokens_refused_total")) - refused, n);
    await until("no upload to run", async () => (await api.metric("doushard_uploads_running")) === 0);
  }),
);

test('a client that waits for "100 Continue" is told about a bad token before it sends the body', local, async () => {
  const connection = await RawConnection.open(cluster.server.options.listen_port);
  await connection.send(
    `POST ${ACTION}?token=nonsense HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n` +
      `Content-Type: multipart/form-data; boundary=b\r\nContent-Length: ${LIMIT}\r\n\r\n`,
  );
  const [answer] = await connection.answers(1);
  assert.equal(JSON.parse(answer.body).status_code, CODE.AUTH);
  assert.ok(!connection.received.toString("latin1").includes("100 Continue"));
  await connection.closed();
});

test("a token that may still be valid is waited for", local, async () => {
  const file = { name: "data", filename: "x.mp4", data: media.uniqueClip() };
  const send = async (parts, options = {}) =>
    (
      await api.send("POST", ACTION, {
        multipart: [...parts, ["title", uniqueName("t")]],
        ...options,
      })
    ).json.status_code;
  const good = ["token", author.token];
  const basic = { headers: { Authorization: "Basic eDp5" } };
  assert.equal(await send([file, good]), CODE.OK, "like the official client");
  assert.equal(await send([file, good], basic), CODE.OK, "with a header that is not a bearer");
  assert.equal(await send([["token", ""], file, good]), CODE.OK, "an empty token counts as absent");
  assert.equal(await send([good, file, ["token", "bad"]]), CODE.OK, "the first one counts");
  assert.equal(await send([["token", "bad"], file], { query: { token: author.token } }), CODE.OK, "the query wins");
  assert.equal(
    await send([good, file], { headers: { Authorization: "Bearer bad" } }),
    CODE.OK,
    "the field wins over the header",
  );
  assert.equal(
    await send([file], { headers: { Authorization: `Bearer ${author.token}` } }),
    CODE.OK,
    "the header alone",
  );
  const gone = await api.register();
  assert.equal((await api.post("/douyin/user/logout/", { token: gone.token })).json.status_code, CODE.OK);
  assert.equal(await send([["token", gone.token], file]), CODE.AUTH, "an ended session is noticed only at the end");
  const first = await beginUpload({ query: `?token=${author.token}` });
  await until("the file to be taken", async () => (await api.metric("doushard_uploads_running")) === 1);
  assert.equal(first.received.length, 0);
  first.reset();
  await until("no upload to run", async () => (await api.metric("doushard_uploads_running")) === 0);
});

/* ---- Clients that disconnect ---- */

test("a client that disconnects half-way leaves nothing behind", local, () =>
  leavesNothing(async () => {
    const { body, type } = multipart([
      ["token", author.token],
      ["title", "gone"],
      { name: "data", filename: "x.mp4", data: media.clipOfSize(300000) },
    ]);
    const head = Buffer.from(
      `POST ${ACTION} HTTP/1.1\r\nHost: x\r\nContent-Type: ${type}\r\n` + `Content-Length: ${body.length}\r\n\r\n`,
    );
    const offsets = [0, 1, 100, 400, 65536, 131072, 196608, 262144, body.length - 1];
    await parallel(
      4,
      offsets.flatMap((offset) =>
        ["reset", "close"].map((how) => async () => {
          const connection = await RawConnection.open(cluster.server.options.listen_port);
          await connection.send(head);
          await connection.send(body.subarray(0, offset));
          connection[how]();
        }),
      ),
    );
  }),
);

test("a client disconnects before the answer: the video exists as a whole or not at all", local, async () => {
  const user = await api.register();
  for (let i = 0; i < 4; i++) {
    const { body, type } = multipart([
      ["token", user.token],
      ["title", `gone ${i}`],
      { name: "data", filename: "x.mp4", data: media.uniqueClip() },
    ]);
    const connection = await RawConnection.open(cluster.server.options.listen_port);
    await connection.send(
      `POST ${ACTION} HTTP/1.1\r\nHost: x\r\nContent-Type: ${type}\r\nContent-Length: ${body.length}\r\n\r\n`,
    );
    await connection.send(body);
    connection.reset();
  }
  await until("the uploads to end", async () => (await api.metric("doushard_uploads_running")) === 0);
  await until("rows and files to agree", async () => {
    const { video_list } = await api.list({ user_id: user.id });
    assert.equal((await api.user(user.token)).user.work_count, video_list.length);
    for (const video of video_list)
      for (const url of [video.play_url, video.cover_url])
        assert.equal((await api.send("HEAD", reach(url), {})).status, 200);
    assert.deepEqual(cluster.uploadFiles(), []);
    return true;
  });
});

/* ---- Serving ---- */

test("a file is served whole and in ranges, and not again to a client that has it", async () => {
  const clip = media.uniqueClip(5000);
  const video = await published(author, clip);
  const path = reach(video.play_url);
  const get = (headers, method = "GET") => api.send(method, path, { headers });
  const whole = await get({});
  const { etag } = whole.headers;
  assert.equal(whole.status, 200);
  assert.equal(sha256(whole.body), sha256(clip));
  assert.match(whole.headers["cache-control"] ?? "", /max-age|public|immutable/);

  const n = clip.length;
  const parts = [
    ["bytes=0-99", 0, 99],
    ["bytes=100-199", 100, 199],
    ["bytes=100-100", 100, 100],
    [`bytes=${n - 1}-`, n - 1, n - 1],
    ["bytes=0-", 0, n - 1],
    ["bytes=-1", n - 1, n - 1],
    ["bytes=-500", n - 500, n - 1],
    [`bytes=-${n * 2}`, 0, n - 1],
    [`bytes=5-${n * 2}`, 5, n - 1],
    ["bytes=5-99999999999999999999", 5, n - 1],
    ["Bytes=1-2", 1, 2],
  ];
  for (const [range, from, to] of parts) {
    const part = await get({ Range: range });
    assert.equal(part.status, 206, range);
    assert.equal(part.headers["content-range"], `bytes ${from}-${to}/${n}`, range);
    assert.equal(sha256(part.body), sha256(clip.subarray(from, to + 1)), range);
    assert.equal(part.headers.etag, etag);
  }
  for (const range of [`bytes=${n}-`, `bytes=${n + 5}-${n + 9}`, "bytes=-0", "bytes=99999999999999999999-"]) {
    const none = await get({ Range: range });
    assert.equal(none.status, 416, range);
    assert.equal(none.headers["content-range"], `bytes */${n}`, range);
  }
  for (const range of [
    "bytes=5-4",
    "bytes=a-b",
    "bytes",
    "bytes=",
    "bytes=-",
    "chunks=0-5",
    "bytes=0 - 5x",
    "bytes=--5",
  ]) {
    const all = await get({ Range: range });
    assert.equal(all.status, 200, range);
    assert.equal(all.body.length, n, range);
  }
  const two = await get({ Range: "bytes=0-1,5-6" });
  assert.ok([200, 206].includes(two.status));
  if (two.status === 200) assert.equal(two.body.length, n);

  for (const value of [etag, `"x", ${etag}`, `W/${etag}`, "*"]) {
    const unchanged = await get({ "If-None-Match": value });
    assert.equal(unchanged.status, 304, value);
    assert.equal(unchanged.headers.etag, etag);
  }
  assert.equal((await get({ "If-None-Match": '"x"' })).status, 200);
  assert.equal((await get({ "If-None-Match": etag, Range: "bytes=0-1" })).status, 304);
  assert.equal((await get({ "If-Range": etag, Range: "bytes=0-1" })).status, 206);
  for (const value of ['"x"', `W/${etag}`, "Mon, 01 Jan 2001 00:00:00 GMT"])
    assert.equal((await get({ "If-Range": value, Range: "bytes=0-1" })).status, 200, value);

  const head = await get({}, "HEAD");
  assert.equal(head.status, 200);
  assert.equal(Number(head.headers["content-length"]), n);
  assert.equal(head.headers.etag, etag);
  assert.equal(head.headers["content-type"], "video/mp4");
  assert.equal((await api.fetch(reach(video.cover_url))).headers.etag === etag, false, "the cover is another file");
});

test("two reads of one file at the same time, one slow, get the same bytes", async () => {
  const clip = media.clipOfSize(900000);
  const video = await published(author, clip);
  const url = new URL(reach(video.play_url), api.baseUrl);
  const slow = await RawConnection.open(Number(url.port), url.hostname);
  slow.socket.pause();
  await slow.send(`GET ${url.pathname} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`);
  const fast = await api.fetch(url.href);
  assert.equal(sha256(fast.body), sha256(clip));
  slow.socket.resume();
  const [answer] = await slow.answers(1);
  assert.equal(sha256(answer.body), sha256(clip));
});

/* ---- Lists and deletion ---- */

test("an author's list is newest first, in pages that neither skip nor repeat", async () => {
  const user = await api.register();
  const titles = [];
  for (let i = 0; i < 5; i++) {
    titles.unshift(uniqueName(`t${i}`));
    await published(user, media.uniqueClip(), titles[0]);
  }
  const all = await api.list({ user_id: user.id });
  assert.deepEqual(
    all.video_list.map((v) => v.title),
    titles,
  );
  assert.equal(all.next_cursor, 0);
  const walked = [];
  let cursor = 0;
  do {
    const page = await api.list({ user_id: user.id, limit: 2, cursor: cursor || undefined });
    assert.ok(page.video_list.length <= 2);
    walked.push(...page.video_list.map((v) => v.title));
    cursor = page.next_cursor;
  } while (cursor !== 0);
  assert.deepEqual(walked, titles);
});

test("a list without a limit is capped, and says where it goes on", local, async () => {
  const user = await api.register();
  const ids = [];
  for (let i = 0; i < 3; i++) ids.unshift((await published(user)).id);
  const server = await (await cluster.addServer({ list_limit: 2 })).start();
  const other = cluster.apiOf(server);
  for (const limit of [undefined, 2, 1000]) {
    const page = await other.list({ user_id: user.id, limit });
    assert.deepEqual(
      page.video_list.map((v) => v.id),
      ids.slice(0, 2),
      String(limit),
    );
    assert.notEqual(page.next_cursor, 0);
    const rest = await other.list({ user_id: user.id, cursor: page.next_cursor });
    assert.deepEqual([rest.video_list.map((v) => v.id), rest.next_cursor], [ids.slice(2), 0]);
  }
  assert.equal((await server.stop()).code, 0);
});

test("an author without videos has an empty list", async () => {
  const user = await api.register();
  const answer = await api.list({ user_id: user.id });
  assert.deepEqual([answer.status_code, answer.video_list, answer.next_cursor], [CODE.OK, [], 0]);
});

test("a deleted video disappears from feed and lists at once, its files soon after", async () => {
  const user = await api.register();
  const keep = await published(user);
  const video = await published(user);
  assert.ok((await api.feed()).video_list.some((v) => v.id === video.id));
  const stranger = await api.register();
  assert.equal((await api.remove(stranger.token, video.id)).status_code, CODE.NOT_YOURS);
  assert.equal((await api.remove(user.token, video.id + 1)).status_code, CODE.NO_VIDEO);
  assert.equal((await api.fetch(reach(video.play_url))).status, 200);

  assert.equal((await api.remove(user.token, video.id)).status_code, CODE.OK);
  assert.ok(!(await api.feed()).video_list.some((v) => v.id === video.id));
  assert.deepEqual(
    (await api.list({ user_id: user.id })).video_list.map((v) => v.id),
    [keep.id],
  );
  assert.equal((await api.user(user.token)).user.work_count, 1);
  assert.equal((await api.remove(user.token, video.id)).status_code, CODE.OK, "again");
  assert.equal((await api.user(user.token)).user.work_count, 1, "the second time changes nothing");

  for (const url of [video.play_url, video.cover_url])
    await until(`${url} to vanish`, async () => (await api.fetch(reach(url))).status === 404);
  assert.equal((await api.fetch(reach(keep.play_url))).status, 200);
  if (cluster.local) {
    const name = video.play_url
      .split("/")
      .at(-1)
      .replace(/\.\w+$/, "");
    assert.ok(!cluster.mediaFiles().some((f) => f.includes(name)));
    await until("the job to be done", async () => (await cluster.rowCounts(["job"])).job === 0);
  }
});

test("deletes of one video at the same time count once", async () => {
  const user = await api.register();
  const video = await published(user);
  await published(user);
  const codes = await Promise.all(Array.from({ length: 10 }, () => api.remove(user.token, video.id)));
  assert.deepEqual([...new Set(codes.map((c) => c.status_code))], [CODE.OK]);
  assert.equal((await api.user(user.token)).user.work_count, 1);
});

test("the files of a deleted video are removed even if the server dies in between", local, async () => {
  const other = await cluster.addServer({ job_poll: "10min" });
  const user = await api.register();
  const video = await published(user);
  const name = video.play_url
    .split("/")
    .at(-1)
    .replace(/\.\w+$/, "");
  /* The first server is stopped, so that only the one that is killed can know of the job. */
  const { code } = await cluster.server.stop();
  assert.equal(code, 0);
  await other.start();
  const otherApi = cluster.apiOf(other);
  const job = "SELECT COUNT(*) AS n FROM job";
  const answer = otherApi.remove(user.token, video.id);
  assert.equal((await answer).status_code, CODE.OK);
  other.kill();
  await other.exited;
  /* Whether the job had begun or not, nothing may be forgotten. */
  const left = (await cluster.sqlAll(job)).reduce((sum, r) => sum + r.n, 0);
  const there = cluster.mediaFiles().some((f) => f.includes(name));
  assert.ok(left > 0 || !there, "there are files, and no job is left to remove them");
  /* Jobs that the dead server had claimed become due when its lease ends; do not wait for that. */
  await cluster.sqlAll("UPDATE job SET claimed_until = 0, due_at = 0");
  await cluster.server.start();
  await until("the files to vanish", async () => !cluster.mediaFiles().some((f) => f.includes(name)));
  await until("the job to be done", async () => (await cluster.sqlAll(job)).every((r) => r.n === 0));
});

test("old files without a row are deleted, files with a row stay", local, async () => {
  await published();
  const pictured = await api.register();
  const answer = await api.send("POST", "/douyin/user/profile/", {
    multipart: [["token", pictured.token], { name: "avatar", filename: "p.jpg", data: media.jpeg() }],
  });
  assert.equal(answer.json.status_code, CODE.OK);
  const kept = cluster.mediaFiles();
  /* Many more, for several pages of them, of authors on both shards. */
  const title = uniqueName("planted");
  const planted = await plantVideos(
    cluster,
    Array.from({ length: 1500 }, (_, i) => ({ author: idOf(Date.now(), i % 1024), at: Date.now() - i, title })),
  );
  const leafOf = (name) => join(cluster.server.options.media_dir, name.slice(14, 16), name.slice(16, 18));
  const plant = (name, ending = "mp4") => {
    mkdirSync(leafOf(name), { recursive: true });
    writeFileSync(join(leafOf(name), `${name}.${ending}`), "planted");
  };
  for (const { media: name } of planted) plant(name);
  const named = cluster.mediaFiles();
  assert.equal(named.length, kept.length + planted.length);
  /* Of an author who has a video, of one who has a picture, of nobody. */
  const unnamed = [author, pictured, { id: idOf(Date.now() + 3600000, 5) }].map(
    ({ id }) => id.toString(16).padStart(14, "0") + randomBytes(16).toString("hex"),
  );
  for (const name of unnamed) ["mp4", "jpg"].forEach((ending) => plant(name, ending));

  assert.equal((await cluster.server.stop()).code, 0);
  /* A server that was killed keeps the lease for 10 s more; do not wait for that. */
  await cluster.sqlAll("UPDATE relay_lease SET until_at = 0 WHERE name = 'media'");
  /* A file's age is counted from when it got its name (ctime), which cannot be set back: so the
   * clock is set forward. */
  const server = await cluster.addServer({ orphan_age: "1h" });
  await server.start({
    env: {
      LD_PRELOAD: "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1",
      FAKETIME: "+2h",
      NO_FAKE_STAT: "1",
      FAKETIME_DONT_FAKE_MONOTONIC: "1",
      ASAN_OPTIONS: `${process.env.ASAN_OPTIONS ?? ""}:verify_asan_link_order=0`,
    },
  });
  const other = cluster.apiOf(server);
  await cluster.server.start();
  assert.deepEqual(
    [await other.metric("doushard_sweep_holder"), await api.metric("doushard_sweep_holder")],
    [1, 0],
    "one at a time",
  );
  await until("the search", async () => (await other.metric("doushard_sweeps_total")) === 1);
  assert.deepEqual(cluster.mediaFiles().sort(), named.sort());
  assert.equal(await other.metric("doushard_orphans_removed_total"), unnamed.length);
  assert.equal(await other.metric("doushard_sweep_unsure_total"), 0);
  assert.equal(await other.metric("doushard_sweep_files_total"), named.length + 2 * unnamed.length);
  /* All names in pages of 256 per shard, and those without a row once more. */
  const names = new Set(named.map((path) => path.slice(0, -4))).size;
  assert.ok((await other.metric("doushard_sweep_pages_total")) <= names / 256 + 2 + 1);
  assert.equal((await server.stop()).code, 0);
  await cluster.sqlAll(`DELETE FROM video WHERE title = '${title}'`);
  for (const { media: name } of planted) rmSync(join(leafOf(name), `${name}.mp4`));
});

test("what a crash left in the upload directory is removed at the next start", local, async () => {
  const dir = join(cluster.dir, "crashed");
  mkdirSync(dir);
  const server = await cluster.addServer({ ...UPLOADS, upload_dir: dir });
  await server.start();
  const user = await api.register();
  const { body, type } = multipart([
    ["token", user.token],
    ["title", "x"],
    { name: "data", filename: "x.mp4", data: media.clipOfSize(500000) },
  ]);
  const connection = await RawConnection.open(server.options.listen_port);
  await connection.send(
    `POST ${ACTION} HTTP/1.1\r\nHost: x\r\nContent-Type: ${type}\r\nContent-Length: ${body.length}\r\n\r\n`,
  );
  await connection.send(body.subarray(0, 400000));
  const other = cluster.apiOf(server);
  await until("the upload to run", async () => (await other.metric("doushard_uploads_running")) === 1);
  server.kill();
  await server.exited;
  await server.start();
  await until("an empty directory", () => Cluster.filesIn(dir).length === 0);
  assert.equal((await server.stop()).code, 0);
});

test("with as many uploads as allowed, the next is told busy, and other requests go on", local, async () => {
  const server = await (await cluster.addServer({ ...UPLOADS, uploads_max: 2, trusted_proxies: "127.0.0.1" })).start();
  const other = cluster.apiOf(server);
  const { body, type } = multipart([
    ["token", author.token],
    ["title", "held"],
    { name: "data", filename: "x.mp4", data: media.clipOfSize(200000) },
  ]);
  const held = [];
  for (let i = 0; i < 2; i++) {
    const connection = await RawConnection.open(server.options.listen_port);
    await connection.send(
      `POST ${ACTION} HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 198.51.100.${i}\r\n` +
        `Content-Type: ${type}\r\nContent-Length: ${body.length}\r\n\r\n`,
    );
    await connection.send(body.subarray(0, 100000));
    held.push(connection);
  }
  await until("two uploads", async () => (await other.metric("doushard_uploads_running")) === 2);
  assert.equal((await other.publish(author.token, media.uniqueClip(), "third")).status_code, CODE.BUSY);
  assert.equal((await other.feed()).status_code, CODE.OK);
  await held[0].send(body.subarray(100000));
  const [answer] = await held[0].answers(1);
  assert.equal(JSON.parse(answer.body.toString("utf8")).status_code, CODE.OK, "an admitted upload is finished");
  held[1].reset();
  await until("room", async () => (await other.metric("doushard_uploads_running")) === 0);
  assert.equal((await other.publish(author.token, media.uniqueClip(), "fourth")).status_code, CODE.OK);
  assert.equal((await server.stop()).code, 0);
});

test("log lines about a failed upload have its request id", local, async () => {
  const dir = join(cluster.dir, "vanishing");
  mkdirSync(dir);
  const server = await cluster.addServer({ ...UPLOADS, upload_dir: dir });
  await server.start();
  rmdirSync(dir); /* no file can be made in it any more */
  const answer = await cluster.apiOf(server).send("POST", ACTION, {
    multipart: [["token", author.token], ["title", "x"], { name: "data", filename: "x.mp4", data: media.uniqueClip() }],
  });
  assert.equal(answer.json.status_code, CODE.UNAVAILABLE, answer.body.toString());
  const id = answer.headers["x-request-id"];
  const said = (await server.wholeLog()).split("\n").filter((line) => line.includes(" upload_failed "));
  assert.equal(said.length, 1, said.join("\n"));
  assert.match(said[0], new RegExp(` req=${id} `));
  assert.equal((await server.stop()).code, 0);
});

/* The head of a publish request with LENGTH, or chunked without. */
const head = (type, length) =>
  `POST ${ACTION} HTTP/1.1\r\nHost: x\r\nContent-Type: ${type}\r\n` +
  (length === undefined ? "Transfer-Encoding: chunked\r\n\r\n" : `Content-Length: ${length}\r\n\r\n`);
const chunk = (bytes) => Buffer.concat([Buffer.from(`${bytes.length.toString(16)}\r\n`), bytes, Buffer.from("\r\n")]);

test(
  "when the disk is nearly full, uploads are refused before they are sent, and other requests go on",
  local,
  async () => {
    const path = join(cluster.dir, "full.conf");
    const config = (size) => writeFileSync(path, `${readFileSync(cluster.config, "utf8")}media_min_free = ${size};\n`);
    config('"1024T"');
    const server = await cluster.addServer(UPLOADS);
    const { arguments: usual } = server;
    server.arguments = () =>
      usual
        .call(server)
        .filter((flag) => !/^--(config|media-min-free)=/.test(flag))
        .concat(`--config=${path}`);
    await server.start();
    const other = cluster.apiOf(server);
    for (const length of [300000, undefined]) {
      const connection = await RawConnection.open(server.options.listen_port);
      await connection.send(head("multipart/form-data; boundary=b", length));
      const [answer] = await connection.answers(1);
      const json = JSON.parse(answer.body.toString("utf8"));
      assert.equal(json.status_code, CODE.UNAVAILABLE, JSON.stringify(json));
      assert.match(json.status_msg, /no room/);
      await connection.closed();
    }
    assert.equal(await other.metric("doushard_uploads_no_room_total"), 2);
    assert.ok((await other.metric("doushard_media_free_bytes")) > 0);
    assert.equal(await statusOf(`${server.adminUrl}/readyz`), 200);
    const { video_list } = await other.list({ user_id: author.id });
    assert.ok(video_list.length > 0);
    assert.equal((await other.send("HEAD", reach(video_list[0].play_url), {})).status, 200);

    config("0");
    server.kill("SIGHUP");
    await until("the reload", async () => (await other.metric("doushard_config_generation")) === 2);
    assert.equal((await other.publish(author.token, media.uniqueClip(), "room again")).status_code, CODE.OK);
    await until("the room to be given back", async () => (await other.metric("doushard_uploads_reserved_bytes")) === 0);
    assert.equal((await server.stop()).code, 0);
  },
);

test("all uploads together may hold a limited number of bytes, announced or not", local, async () => {
  const limit = 12 << 20;
  const server = await (await cluster.addServer({ ...UPLOADS, upload_limit: limit, upload_spool_max: 0 })).start();
  const other = cluster.apiOf(server);
  const reserved = (bytes) =>
    until(
      `${bytes} bytes to be reserved`,
      async () => (await other.metric("doushard_uploads_reserved_bytes")) === bytes,
    );
  const { body, type } = multipart([
    { name: "data", filename: "x.mp4", data: media.clipOfSize(limit - 1000) },
    ["token", author.token],
    ["title", "large"],
  ]);

  /* A known user gets room for the whole announced length. */
  const first = await RawConnection.open(server.options.listen_port);
  await first.send(head(type, body.length).replace("\r\n", `\r\nAuthorization: Bearer ${author.token}\r\n`));
  await reserved(body.length);
  /* However small the option is, one file of the largest size always fits. */
  assert.equal((await other.publish(author.token, media.clipOfSize(1 << 20), "no room")).status_code, CODE.BUSY);
  assert.equal((await other.publish(author.token, media.uniqueClip(), "small")).status_code, CODE.OK);
  await first.send(body);
  assert.equal(JSON.parse((await first.answers(1))[0].body).status_code, CODE.OK, "an admitted upload is finished");
  await reserved(0);

  /* Of two uploads of unknown length, the second finds no more room when it grows; the first can
   * then grow to the largest size. */
  const [one, two] = await Promise.all([0, 1].map(() => RawConnection.open(server.options.listen_port)));
  const rest = (from) => Buffer.concat([chunk(body.subarray(from)), Buffer.from("0\r\n\r\n")]);
  await one.send(head(type));
  await one.send(chunk(body.subarray(0, 7 << 20)));
  const alone = await until("the first to grow", async () => {
    const bytes = await other.metric("doushard_uploads_reserved_bytes");
    return bytes > 8 << 20 && bytes;
  });
  await two.send(head(type));
  await two.send(rest(0));
  assert.equal(JSON.parse((await two.answers(1))[0].body).status_code, CODE.BUSY);
  await reserved(alone);
  await one.send(rest(7 << 20));
  assert.equal(JSON.parse((await one.answers(1))[0].body).status_code, CODE.OK);
  await reserved(0);
  assert.deepEqual(Cluster.filesIn(server.options.upload_dir), []);
  assert.equal((await server.stop()).code, 0);
});

test("a failure of the media program is not blamed on the file and leaves nothing", local, async () => {
  const broken = await cluster.addServer({ ...UPLOADS, ffmpeg_path: "/bin/false" });
  try {
    await broken.start();
  } catch {
    return; /* it is right, too, to refuse to start with such a program */
  }
  await leavesNothing(async () => {
    const answer = await cluster.apiOf(broken).publish(author.token, media.uniqueClip(), "x");
    assert.notEqual(answer.status_code, CODE.OK, JSON.stringify(answer));
  });
  await broken.stop();
});

test(
  "the sample clip for the demo is accepted, if one is given",
  {
    skip: process.env.SAMPLE_CLIP ? false : "SAMPLE_CLIP names no file",
  },
  async () => {
    const clip = readFileSync(process.env.SAMPLE_CLIP);
    const video = await published(author, clip);
    assert.equal(sha256((await api.fetch(reach(video.play_url))).body), sha256(clip));
  },
);
