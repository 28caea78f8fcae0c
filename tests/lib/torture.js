/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* A server in which one call at a time fails: memory allocations or system calls of all threads and
 * libraries, counted from a moment on (tests/torture/fail.c). */

import assert from "node:assert/strict";
import { createHash, createHmac } from "node:crypto";
import {
  closeSync,
  openSync,
  readFileSync,
  readSync,
  readdirSync,
  readlinkSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import { CODE, uniqueName } from "./api.js";
import { buildDir } from "./cluster.js";
import { uniqueClip } from "./media.js";
import { until } from "./wait.js";

/** The kinds of calls that may fail. */
export const KINDS = { memory: 1, system: 2 };

/* struct control of fail.c. */
const COUNTDOWN = 0;
const CALLS = 8;
const FAILED = 12;
const WHAT = 16;
const BYTES = 512;

/* The C library's loader does not recover if it cannot load. */
const LEAKS = "leak:dl_open_worker_begin\n";

/* What the N-th configuration has; see write(). */
const originOf = (n) => `https://r${n}.example`;
const kidOf = (n) => `r${n}`;
const keyOf = (n) => createHash("sha256").update(kidOf(n)).digest();

/* TOKEN as it would be if the key of that configuration had signed it. */
function signed(token, n) {
  const head = Buffer.from(JSON.stringify({ alg: "HS256", typ: "JWT", kid: kidOf(n) })).toString("base64url");
  const text = `${head}.${token.split(".")[1]}`;
  return `${text}.${createHmac("sha256", keyOf(n)).update(text).digest("base64url")}`;
}

/* More calls than any request makes. */
const MANY = 2 ** 40;

export class Torture {
  /** A server of CLUSTER with OPTIONS, in which nothing fails yet. */
  static async on(cluster, options) {
    const torture = new Torture();
    const path = join(cluster.dir, "torture");
    writeFileSync(path, Buffer.alloc(BYTES));
    torture.file = openSync(path, "r+");
    torture.server = await cluster.addServer(options);
    torture.server.program = join(buildDir(), "tests", "doushard_torture");
    torture.config = join(cluster.dir, "torture.conf");
    torture.keys = join(cluster.dir, "torture.keys");
    torture.topology = join(cluster.dir, "torture.topology");
    torture.shards = cluster.shards;
    torture.base = readFileSync(cluster.config, "utf8")
      .replace(/^token_keys_file = .*$/m, `token_keys_file = ${JSON.stringify(torture.keys)};`)
      .replace(/^topology_file = .*$/m, `topology_file = ${JSON.stringify(torture.topology)};`);
    torture.baseKeys = readFileSync(cluster.files.token_keys, "utf8");
    torture.write(0);
    const flags = torture.server.arguments().slice(1);
    torture.server.arguments = () => [`--config=${torture.config}`, ...flags];
    const known = join(cluster.dir, "torture.leaks");
    writeFileSync(known, LEAKS);
    await torture.server.start({
      env: { TORTURE_CONTROL: path, LSAN_OPTIONS: `suppressions=${known}:print_suppressions=0` },
    });
    torture.api = cluster.apiOf(torture.server);
    return torture;
  }

  /** The N-th configuration: an option that shows in every answer, a key of tokens, and another address
   * of every shard, though at the same place, since its socket wins. */
  write(n) {
    const shards = this.shards.map(
      ({ name, port, socket }) => `{ name = "${name}"; host = "s${n}"; port = ${port}; socket = "${socket}"; }`,
    );
    writeFileSync(this.config, `${this.base}cors_origins = "${originOf(n)}";\n`);
    writeFileSync(this.keys, `${this.baseKeys}${kidOf(n)} ${keyOf(n).toString("hex")}\n`, { mode: 0o600 });
    writeFileSync(this.topology, `servers = (\n${shards.join(",\n")}\n);\n`);
  }

  #read() {
    const bytes = Buffer.alloc(BYTES);
    readSync(this.file, bytes, 0, BYTES, 0);
    return bytes;
  }

  #write(bytes, at) {
    assert.equal(writeSync(this.file, bytes, 0, bytes.length, at), bytes.length);
  }

  #countdown(n) {
    const bytes = Buffer.alloc(8);
    bytes.writeBigInt64LE(n);
    this.#write(bytes, COUNTDOWN);
  }

  /** From now on the N-th call of this KIND fails. */
  begin(kind, n) {
    this.asked = n;
    this.#write(Buffer.alloc(BYTES - CALLS), CALLS);
    this.#write(Buffer.from([KINDS[kind], 0, 0, 0]), CALLS);
    this.#countdown(BigInt(n));
  }

  /** The call that has failed since begin(), or "". */
  failed() {
    const bytes = this.#read();
    return bytes[FAILED] === 0 ? "" : bytes.toString("utf8", WHAT, bytes.indexOf(0, WHAT));
  }

  /** Nothing fails any more; returns failed(). `calls` is then the number of calls since begin(). */
  end() {
    if (this.asked !== 0) this.calls = this.asked - Number(this.#read().readBigInt64LE(COUNTDOWN));
    this.asked = 0;
    this.#countdown(0n);
    return this.failed();
  }

  /** How many calls of this KIND are made while RUN runs. */
  async count(kind, run) {
    this.begin(kind, MANY);
    await run();
    this.end();
    return this.calls;
  }

  /** What the server has open, as sorted texts; all connections look alike. */
  open() {
    const dir = `/proc/${this.server.pid}/fd`;
    return readdirSync(dir)
      .map((fd) => {
        try {
          return readlinkSync(join(dir, fd)).replace(/:\[\d+\]$/, "");
        } catch {
          return "socket"; /* closed meanwhile */
        }
      })
      .sort();
  }

  /** Resolves once the server has no file open that is not in BEFORE (from open()), no temporary
   * file, and at most MORE additional connections. */
  async isClosed(before, more) {
    const split = (names) => [
      names.filter((name) => name !== "socket"),
      names.filter((name) => name === "socket").length,
    ];
    /* A worker may have been about to close one. */
    const [files, n] = split(before.filter((name) => !name.endsWith(" (deleted)")));
    await until(`the server to have open ${n} + ${more} connections at most and ${files}`, () => {
      const [now, connections] = split(this.open());
      if (connections > n + more || now.join() !== files.join()) throw new Error(`${connections}, ${now}`);
      return true;
    });
  }

  close() {
    closeSync(this.file);
  }
}

/* ---- The requests that are tortured ---- */

/* Calls without which no answer is possible: the client sees the end of its connection. */
const SILENT = [
  [
    / in (doushard_torture\S+ strn?dup < )?libmicrohttpd\./,
    "the library ends a connection for which it has no memory or no room in its set",
  ],
  [/ in \S+ (arena_alloc < .*)?exchange_new /, "there is no request yet that could be answered"],
  [/^calloc on port 0 in doushard_torture\S+ +< libmicrohttpd/, "a connection begins: there is none yet"],
];

/* The request was right, so that no other answer is allowed. */
const TRUE_ANSWERS = [CODE.OK, CODE.BUSY, CODE.UNAVAILABLE, CODE.UNKNOWN, CODE.INTERNAL];

/* Whether the failing call was about a connection to the server. */
const isOwn = (what, port) => what.includes(` on port ${port} `);

/* The answer of a request; null if its connection ended and was allowed to. */
async function answerOf(torture, request) {
  try {
    const json = await request();
    if (typeof json === "string") return json; /* of a reload */
    assert.ok(TRUE_ANSWERS.includes(json.status_code) && json.status_msg !== "", JSON.stringify(json));
    return json;
  } catch (error) {
    const what = torture.failed();
    if (isOwn(what, torture.server.options.listen_port) || SILENT.some(([pattern]) => pattern.test(what))) return null;
    throw error;
  }
}

/* A shard to which no connection could be opened is left alone for a moment, and counts as
 * unavailable. */
const soon = (what, ask) =>
  until(what, async () => {
    const json = await ask();
    return json.status_code !== CODE.UNAVAILABLE && json;
  });

const done = async (what, ask) => {
  const json = await soon(what, ask);
  assert.equal(json.status_code, CODE.OK, `${what}: ${JSON.stringify(json)}`);
  return json;
};

/* Requests a reload; resolves to the counter that has risen. Asking for counters makes calls, too:
 * the log shows the end, and the counters are read only if a call has failed, which may have been
 * the log's. */
async function reload(torture, counts) {
  const before = torture.server.logText().length;
  const lines = () => torture.server.logText().slice(before);
  torture.server.child.kill("SIGHUP");
  await until("the reload to end", () => torture.failed() !== "" || /config_(reloaded|refused)/.test(lines()), {
    everyMs: 5,
  });
  torture.end();
  return until("the reload to be counted", async () => {
    const [good, bad] = await counts();
    assert.ok(good + bad <= counts.last[0] + counts.last[1] + 1, "one reload is counted once");
    const which = good > counts.last[0] ? "reloads" : bad > counts.last[1] && "reloads_failed";
    if (which) counts.last = [good, bad];
    return which;
  });
}

/* Prepares a reload. */
function reloads(torture, user) {
  const { api } = torture;
  const count = (name) => api.metric(`doushard_config_${name}_total`);
  const counts = async () => [await count("reloads"), await count("reloads_failed")];
  const inForce = async (n) => {
    const { headers } = await api.send("GET", "/ping", { fresh: true, headers: { Origin: originOf(n) } });
    const hasOption = headers["access-control-allow-origin"] === originOf(n);
    const { status_code } = await soon("a token", () => api.user(signed(user.token, n)));
    assert.equal(status_code === CODE.OK, hasOption, "either all of it is in force, or nothing");
    return hasOption;
  };
  let last = 0; /* applied */
  let drawn = 0;
  const write = () => {
    drawn += 1;
    torture.write(drawn);
    return drawn;
  };
  return async () => {
    counts.last = await counts();
    const next = write();
    return {
      async request() {
        const answer = await reload(torture, counts);
        if (answer === "reloads") last = next;
        return answer;
      },
      async look(answer) {
        assert.equal(await inForce(next), answer === "reloads", "what was counted is applied");
        assert.ok(last === 0 || (await inForce(last)), "what was applied before stays");
        last = write();
        assert.equal(await reload(torture, counts), "reloads", "the next one");
        assert.ok(await inForce(last));
      },
    };
  };
}

/** The requests by name: each prepares what it needs, and returns a request and a check of its
 * answer. */
export function requests(torture, user, video) {
  const { api } = torture;
  const send = async (method, path, options) => (await api.send(method, path, { fresh: true, ...options })).json;
  const like = (action) => done("a like", () => api.like(user.token, video, action));
  return {
    async register() {
      const form = { username: uniqueName("torture"), password: "correct horse" };
      return {
        request: () => send("POST", "/douyin/user/register/", { form }),
        async look(answer) {
          const login = await soon("a login", () => api.login(form.username, form.password));
          if (answer?.status_code === CODE.OK) assert.equal(login.user_id, answer.user_id);
          else assert.ok([CODE.OK, CODE.LOGIN].includes(login.status_code), JSON.stringify(login));
          const next = { username: uniqueName("next"), password: "correct horse" };
          await done("the next one", async () => (await api.post("/douyin/user/register/", next)).json);
        },
      };
    },
    async upload() {
      /* There is none for a moment if the file system could not be queried. */
      await until("room for uploads", async () => (await api.metric("doushard_media_free_bytes")) > 0);
      const title = uniqueName("torture");
      const multipart = [
        ["token", user.token],
        ["title", title],
        { name: "data", filename: "x.mp4", data: uniqueClip() },
      ];
      return {
        request: () => send("POST", "/douyin/publish/action/", { multipart }),
        async look(answer) {
          const { video_list } = await done("the list", () => api.list({ user_id: user.id }));
          if (answer?.status_code === CODE.OK)
            assert.ok(
              video_list.some((v) => v.title === title),
              `${title} is listed`,
            );
          await like(1);
        },
      };
    },
    async like() {
      await like(2);
      const form = { token: user.token, video_id: video, action_type: 1 };
      const isThere = async () => {
        const { video_list } = await done("the list of likes", () =>
          api.favorites({ token: user.token, user_id: user.id }),
        );
        return video_list.some(({ id }) => id === video);
      };
      return {
        request: () => send("POST", "/douyin/favorite/action/", { form }),
        async look(answer) {
          if (answer?.status_code === CODE.OK) await until("what was acknowledged", isThere);
          await like(1);
          await until("the next one", isThere);
        },
      };
    },
    async feed() {
      const query = { token: user.token };
      /* Any of them: after many uploads the first one is on a later page. */
      const has = ({ video_list }) => video_list.some(({ author }) => author.id === user.id);
      return {
        request: () => send("GET", "/douyin/feed/", { query }),
        look: () =>
          until("a video of the user to be in the feed", async () =>
            has(await done("the feed", () => api.feed(query))),
          ),
      };
    },
    reload: reloads(torture, user),
  };
}

/** Makes the N-th call of KIND fail in a request that PREPARE makes. False: there was no N-th call. */
export async function failOne(torture, prepare, kind, n) {
  const { request, look } = await prepare();
  let answer;
  torture.begin(kind, n);
  try {
    answer = await answerOf(torture, request);
    torture.end();
    assert.ok(torture.server.running, "the server still runs");
    await look(answer);
  } catch (error) {
    throw new Error(`${kind} ${n}: ${error.message}\nanswer: ${JSON.stringify(answer)}\nfailed: ${torture.end()}`, {
      cause: error,
    });
  }
  return torture.failed() !== "";
}

/** How many calls of KIND a successful request of PREPARE makes, once everything is warm: the fewer
 * of two, since what the server does in the background is counted as well. */
export async function countOf(torture, prepare, kind) {
  const counts = [];
  const one = async () => {
    const { request, look } = await prepare();
    let answer;
    const n = await torture.count(kind, async () => {
      answer = await request();
    });
    await look(answer);
    if (answer !== "reloads" && answer.status_code !== CODE.OK) throw new Error(JSON.stringify(answer));
    return n;
  };
  for (let i = 0; i < 3; i++) counts.push(await until("a request that is done", one));
  return Math.min(...counts.slice(1));
}
