/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* How stale is what readers see? Writers change cached values through one server, readers read them all the
 * time through the same server and another one, and every answer is compared with what had been acknowledged
 * before the request: how stale is it?
 *
 * A subject is something with a value: a history of { value, from, until } says when it began to be so at the earliest
 * (the request that made it so was sent) and when it ended at the latest (what replaced it was acknowledged). A value
 * that was read between ASKED and ANSWERED is right if it was so at any time in between, and stale by the time since it
 * ended. One that never was, or not yet, is wrong. */

import { Agent, request } from "node:http";
import { setTimeout as pause } from "node:timers/promises";

/** Bounds of the histogram, in ms; anything below the first does not count as stale. */
const BUCKETS = [1, 10, 100, 250, 500, 1000, 2000, 5000, Infinity];

/** A client of one server, without the contract checks of the other tests, since it must be fast. */
function client({ url, connections }) {
  const agent = new Agent({ keepAlive: true, maxSockets: connections });
  const { hostname, port } = new URL(url);
  const ask = (method, path) =>
    new Promise((done, failed) => {
      const req = request({ hostname, port, method, path, agent, timeout: 30000 }, (res) => {
        const chunks = [];
        res.on("data", (chunk) => chunks.push(chunk));
        res.on("end", () => {
          try {
            done(JSON.parse(Buffer.concat(chunks).toString()));
          } catch (error) {
            failed(error);
          }
        });
        res.on("error", failed);
      });
      req.on("timeout", () => req.destroy(new Error("no answer")));
      req.on("error", failed);
      req.end();
    });
  return { ask, close: () => agent.destroy() };
}

/** Something with a value over time. */
class Subject {
  history = [];
  /** BEGIN: the value, from the beginning of time. */
  constructor(begin) {
    this.history.push({ value: JSON.stringify(begin), from: -Infinity, until: Infinity });
  }

  /** From now on the value may be VALUE. end() marks when it can no longer be the old value. */
  begin(value) {
    this.history.push({ value: JSON.stringify(value), from: performance.now(), until: Infinity });
  }

  end() {
    this.history.at(-2).until = performance.now();
  }

  /** By how many ms VALUE, read between ASKED and now, is stale; NaN if it never was the value. */
  staleness(value, asked) {
    const text = JSON.stringify(value);
    const now = performance.now();
    let least = NaN;
    for (let i = this.history.length - 1; i >= 0; i--) {
      const { value: was, from, until } = this.history[i];
      if (was !== text || from > now) continue;
      const stale = Math.max(0, asked - until);
      if (!(stale >= least)) least = stale;
      if (least === 0) break;
    }
    return least;
  }
}

export class Histogram {
  counts = BUCKETS.map(() => 0);
  fresh = 0;
  wrong = [];
  most = 0;

  add(stale, what) {
    if (Number.isNaN(stale)) this.wrong.push(what);
    else if (stale === 0) this.fresh++;
    else {
      this.counts[BUCKETS.findIndex((bound) => stale <= bound)]++;
      this.most = Math.max(this.most, stale);
    }
  }

  get reads() {
    return this.fresh + this.wrong.length + this.counts.reduce((a, b) => a + b, 0);
  }

  toString() {
    const parts = BUCKETS.map((bound, i) =>
      this.counts[i] > 0 ? `${bound === Infinity ? "more" : `<= ${bound} ms`}: ${this.counts[i]}` : "",
    );
    return `${this.reads} reads, ${this.fresh} fresh${["", ...parts.filter(Boolean)].join(", ")}; at most ${this.most.toFixed(1)} ms; ${this.wrong.length} wrong`;
  }
}

/**
 * Run the probe for READS reads. WORLD: { writer, readers: {name: server}, pairs: [{ actor, target, kept, video, paceMs }] }
 * where an actor {id, token} follows kept {id} for good and target {id} and likes and comments on its video, alone, with pauses of paceMs: what is true
 * again soon is not seen to be stale, and what stays long shows what is lost for long. Ends early when isOver(results).
 * Resolves to {name: {what: Histogram}}.
 */
export async function probe({ writer, readers, pairs, reads, connections = 8, isOver = () => false }) {
  const writing = client({ url: writer.url, connections: pairs.length });
  const all = [];
  const results = {};
  let stopped = false;
  let done = 0;
  /* A flag and a counter belong to different owners: one may be seen without the other. */
  const subjects = pairs.map(() => ({
    follow: new Subject(false),
    followers: new Subject(0),
    like: new Subject(false),
    likes: new Subject(0),
    comments: new Subject([]),
    kept: new Subject(true),
  }));

  const acknowledged = async (path) => {
    const json = await writing.ask("POST", path);
    if (json.status_code !== 0) throw new Error(`${path} was answered ${JSON.stringify(json)}`);
    return json;
  };

  /* The request PATH gives each subject its value: [subject, value] .. */
  async function become(path, ...changes) {
    for (const [subject, value] of changes) subject.begin(value);
    await acknowledged(path);
    for (const [subject] of changes) subject.end();
  }

  /* Changes everything of its pair, one thing after another, for ever. */
  async function write({ actor, target, video, paceMs }, { follow, followers, like, likes, comments }) {
    const texts = [];
    for (let on = 1; !stopped; on = 1 - on) {
      await pause(paceMs, undefined, { ref: false });
      const action = on ? 1 : 2;
      await become(
        `/douyin/relation/action/?token=${actor.token}&to_user_id=${target.id}&action_type=${action}`,
        [follow, on === 1],
        [followers, on],
      );
      await become(
        `/douyin/favorite/action/?token=${actor.token}&video_id=${video.id}&action_type=${action}`,
        [like, on === 1],
        [likes, on],
      );
      texts.unshift(`c${texts.length}`);
      await become(
        `/douyin/comment/action/?token=${actor.token}&video_id=${video.id}&action_type=1&comment_text=${texts[0]}`,
        [comments, texts.slice(0, 5)],
      );
    }
  }

  /* What one read finds: {what: [subject, value]}. */
  const looks = [
    async (api, { actor, target }, { follow, followers }) => {
      const { user } = await api.ask("GET", `/douyin/user/?token=${actor.token}&user_id=${target.id}`);
      return { flag: [follow, user.is_follow], counter: [followers, user.follower_count] };
    },
    async (api, { actor, video }, { like, likes }) => {
      const { video_list: list } = await api.ask("GET", `/douyin/feed/?token=${actor.token}`);
      const card = list.find(({ id }) => id === video.id);
      return { "feed's flag": [like, card?.is_favorite], "feed's counter": [likes, card?.favorite_count] };
    },
    async (api, { actor, kept: user }, { kept }) => {
      const { user: card } = await api.ask("GET", `/douyin/user/?token=${actor.token}&user_id=${user.id}`);
      return { "flag that stays": [kept, card.is_follow] };
    },
    async (api, { video }, { comments }) => {
      const { comment_list: list } = await api.ask("GET", `/douyin/comment/list/?video_id=${video.id}&limit=5`);
      return { comments: [comments, list.map(({ content }) => content)] };
    },
  ];

  async function read(api, histograms, k) {
    for (let i = k; !stopped; i++) {
      const pair = i % pairs.length;
      const look = looks[Math.floor(Math.random() * looks.length)];
      const asked = performance.now();
      const found = await look(api, pairs[pair], subjects[pair]);
      for (const [what, [subject, value]] of Object.entries(found)) {
        histograms[what] ??= new Histogram();
        histograms[what].add(subject.staleness(value, asked), JSON.stringify(value));
      }
      done++;
      if (done >= reads || (done % 100 === 0 && isOver(results))) stopped = true;
    }
  }

  const clients = [writing];
  pairs.forEach((pair, i) => all.push(write(pair, subjects[i])));
  for (const [name, { url }] of Object.entries(readers)) {
    const api = client({ url, connections });
    clients.push(api);
    results[name] = {};
    for (let k = 0; k < connections; k++) all.push(read(api, results[name], k));
  }
  const fail = (error) => {
    stopped = true;
    throw error;
  };
  try {
    await Promise.all(all.map((one) => one.catch(fail)));
  } finally {
    for (const { close } of clients) close();
  }
  return results;
}

/** One line for each kind of read through each server. */
export const report = (results) =>
  Object.entries(results).flatMap(([name, kinds]) =>
    Object.entries(kinds).map(([what, histogram]) => `${name}, ${what}: ${histogram}`),
  );

/** What is beyond BOUNDS {name: what => ms}, in words. */
export const violations = (results, bounds) =>
  Object.entries(results).flatMap(([name, kinds]) =>
    Object.entries(kinds).flatMap(([what, histogram]) => [
      ...(histogram.most > bounds[name](what)
        ? [`${name}, ${what}: stale by ${histogram.most.toFixed(1)} ms, ${bounds[name](what)} are allowed`]
        : []),
      ...(histogram.wrong.length > 0
        ? [
            `${name}, ${what}: ${histogram.wrong.length} that never were so: ${String(histogram.wrong[0]).slice(0, 300)}`,
          ]
        : []),
    ]),
  );
