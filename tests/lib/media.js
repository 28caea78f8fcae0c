/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Clips, and files that must not be accepted as clips. Made by ffmpeg on first use, kept for the test. */

import { execFileSync } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

let directory;
const made = new Map();

function dir() {
  if (!directory) {
    directory = mkdtempSync(join(tmpdir(), "doushard-media-"));
    process.once("exit", () => rmSync(directory, { recursive: true, force: true }));
    for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"]) process.once(signal, () => process.exit(1));
  }
  return directory;
}

function ffmpeg(name, args) {
  if (!made.has(name)) {
    const path = join(dir(), name);
    execFileSync("ffmpeg", ["-nostdin", "-v", "error", "-y", ...args, path], { timeout: 60000 });
    made.set(name, readFileSync(path));
  }
  return made.get(name);
}

const PICTURE = ["-f", "lavfi", "-i", "testsrc2=size=160x120:rate=10:duration=1"];
const SOUND = ["-f", "lavfi", "-i", "sine=frequency=440:duration=1"];
const H264 = ["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p"];
const AAC = ["-c:a", "aac", "-b:a", "32k"];

/** A good clip of one second, about 20 KB; its index comes first. */
export const clip = () => ffmpeg("clip.mp4", [...PICTURE, ...SOUND, ...H264, ...AAC, "-movflags", "+faststart"]);

/** The same with its index at the end, as cameras write it. */
export const clipIndexLast = () => ffmpeg("last.mp4", [...PICTURE, ...SOUND, ...H264, ...AAC]);

/** A QuickTime movie. */
export const clipMov = () => ffmpeg("clip.mov", [...PICTURE, ...H264, "-f", "mov"]);

/** A good clip, muxed again with ARGS: tags, rotation. */
export const clipWith = (args) => {
  const source = onDisk("source.mp4", clip());
  return ffmpeg(`with-${createHash("sha256").update(args.join(" ")).digest("hex").slice(0, 16)}.mp4`, [
    "-i",
    source,
    "-c",
    "copy",
    ...args,
  ]);
};

/** A good clip with a subtitle track that says TEXT. */
export const clipWithSubtitles = (text) => {
  const source = onDisk("source.mp4", clip());
  const words = onDisk("words.srt", Buffer.from(`1\n00:00:00,000 --> 00:00:00,900\n${text}\n`));
  return ffmpeg("subtitled.mp4", [
    "-i",
    source,
    "-i",
    words,
    "-map",
    "0",
    "-map",
    "1",
    "-c",
    "copy",
    "-c:s",
    "mov_text",
  ]);
};

/** A good clip with bytes of its own: BASE and a `free` box of SIZE random bytes. */
export function uniqueClip(size = 16, base = clip()) {
  const head = Buffer.alloc(8);
  head.writeUInt32BE(8 + size, 0);
  head.write("free", 4, "latin1");
  return Buffer.concat([base, head, randomBytes(size)]);
}

/** A good clip of exactly SIZE bytes. */
export function clipOfSize(size) {
  const room = size - clip().length - 8;
  if (room < 0) throw new RangeError(`a clip is at least ${clip().length + 8} bytes long`);
  return uniqueClip(room);
}

/** One frame of 8192x8192: a few hundred KB that decode to a hundred MB. */
export const pictureBomb = () =>
  ffmpeg("bomb.mp4", [
    "-f",
    "lavfi",
    "-i",
    "color=c=black:size=8192x8192:rate=1:duration=1",
    ...H264,
    "-movflags",
    "+faststart",
  ]);

/** Sound and no picture. */
export const soundOnly = () => ffmpeg("sound.mp4", [...SOUND, ...AAC, "-movflags", "+faststart"]);

/** A good video of a family that is not accepted. */
export const matroska = () => ffmpeg("clip.mkv", [...PICTURE, ...H264]);
export const transportStream = () => ffmpeg("clip.ts", [...PICTURE, ...H264]);
export const gif = () => ffmpeg("clip.gif", PICTURE);
export const jpeg = () => ffmpeg("clip.jpg", [...PICTURE, "-frames:v", "1"]);

/** Playlists that name TARGET, which a demuxer chosen by content would open. */
export const hlsPlaylist = (target) =>
  Buffer.from(`#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\n${target}\n#EXT-X-ENDLIST\n`);
export const concatPlaylist = (target) => Buffer.from(`ffconcat version 1.0\nfile '${target}'\n`);

/** An `ftyp` box as a mask over BODY. */
export function masked(body) {
  const head = Buffer.from("\0\0\0\x18ftypisom\0\0\x02\0isommp41", "latin1");
  return Buffer.concat([head, body]);
}

/** The first FRACTION of a clip. With the index last, nothing of it can be played. */
export const truncated = (fraction = 0.5, base = clipIndexLast()) =>
  base.subarray(0, Math.floor(base.length * fraction));

/** A clip whose index says nonsense: every byte of its `moov` contents is set to VALUE. */
export function scrambled(value = 0xff, base = clip()) {
  const copy = Buffer.from(base);
  const moov = copy.indexOf("moov");
  const size = copy.readUInt32BE(moov - 4);
  copy.fill(value, moov + 4, moov - 4 + size);
  return copy;
}

/** Write bytes where other programs can read them; returns the path. */
export function onDisk(name, bytes) {
  const path = join(dir(), name);
  writeFileSync(path, bytes, { mode: 0o644 });
  return path;
}

/** What ffprobe says of a file: {format, streams}. */
export function probe(bytes) {
  const path = onDisk(`probe-${randomBytes(4).toString("hex")}`, bytes);
  const text = execFileSync("ffprobe", ["-v", "error", "-show_format", "-show_streams", "-of", "json", path], {
    timeout: 30000,
  });
  return JSON.parse(text.toString("utf8"));
}
