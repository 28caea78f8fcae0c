/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* The tests' HTTP client: sends parameters in every place that the contract allows, and validates every
 * answer against server/api/openapi.yaml before the test sees it. */

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import http from "node:http";
import { Contract } from "./contract.js";

/** Status codes of the service, by name. */
export const CODE = Object.freeze({
  OK: 0,
  AUTH: 1001,
  PARAM: 1002,
  TAKEN: 1003,
  NO_USER: 1004,
  LOGIN: 1005,
  FILE: 1006,
  TOO_LARGE: 1007,
  SELF: 1008,
  NO_COMMENT: 1010,
  NO_VIDEO: 1011,
  NOT_YOURS: 1012,
  KEY_REUSED: 1013,
  CHANGED: 1014,
  THROTTLED: 1015,
  BUSY: 1016,
  UNAVAILABLE: 1017,
  UNKNOWN: 1018,
  BANNED: 1019,
  INTERNAL: 1500,
});

let counter = 0;

/** A user name that no other test uses. */
export function uniqueName(prefix = "u") {
  counter += 1;
  return `${prefix}_${randomBytes(5).toString("hex")}_${counter}`;
}

/** Percent-encode a text, a number or raw bytes. */
export function percent(value) {
  const bytes = Buffer.isBuffer(value) ? value : Buffer.from(String(value), "utf8");
  let out = "";
  for (const byte of bytes) {
    const char = String.fromCharCode(byte);
    out += /[A-Za-z0-9_.~-]/.test(char) ? char : `%${byte.toString(16).padStart(2, "0")}`;
  }
  return out;
}

const pairs = (fields) => (Array.isArray(fields) ? fields : Object.entries(fields)).filter(([, v]) => v !== undefined);

/** `a=1&b=2` of an object or of an array of pairs. */
export const urlencode = (fields) =>
  pairs(fields)
    .map(([name, value]) => `${percent(name)}=${percent(value)}`)
    .join("&");

/**
 * A multipart body. PARTS: array of [name, value] or {name, filename, type, data}. Returns
 * {body, type, boundary}; the order of the parts is kept.
 */
export function multipart(parts, boundary = `doushard${randomBytes(12).toString("hex")}`) {
  const chunks = [];
  for (const part of parts) {
    const { name, filename, type, data } = Array.isArray(part) ? { name: part[0], data: part[1] } : part;
    let head = `--${boundary}\r\nContent-Disposition: form-data; name="${name}"`;
    if (filename !== undefined) head += `; filename="${filename}"`;
    head += "\r\n";
    if (filename !== undefined) head += `Content-Type: ${type ?? "application/octet-stream"}\r\n`;
    chunks.push(
      Buffer.from(`${head}\r\n`),
      Buffer.isBuffer(data) ? data : Buffer.from(String(data)),
      Buffer.from("\r\n"),
    );
  }
  chunks.push(Buffer.from(`--${boundary}--\r\n`));
  return {
    body: Buffer.concat(chunks),
    type: `multipart/form-data; boundary=${boundary}`,
    boundary,
  };
}

/* Kept connections end after this time without a request, long before servers end them (idle_timeout): a write may meet
 * that end, and must not be repeated. */
const IDLE_MS = 20000;

export class Api {
  #agent;

  /** BASE_URL of the service; {adminUrl, contract, timeoutMs, maxSockets} are optional. */
  constructor(baseUrl, { adminUrl, contract = new Contract(), timeoutMs = 20000, maxSockets = 64 } = {}) {
    this.baseUrl = baseUrl.replace(/\/$/, "");
    this.adminUrl = adminUrl?.replace(/\/$/, "");
    this.contract = contract;
    this.timeoutMs = timeoutMs;
    this.#agent = new http.Agent({ keepAlive: true, maxSockets, timeout: IDLE_MS });
  }

  close() {
    this.#agent.destroy();
  }

  /**
   * One request. QUERY and FORM are objects or arrays of pairs, MULTIPART an array of parts, BODY raw
   * bytes. A PATH that is a whole URL is used as it is. Resolves to {status, headers, body, json, ms}
   * when the answer keeps the contract; rejects otherwise and when there is no answer.
   */
  async send(method, path, options = {}) {
    const { query, form, multipart: parts, headers = {}, timeoutMs = this.timeoutMs } = options;
    let { body } = options;
    const all = { ...headers };
    if (form) {
      body = Buffer.from(urlencode(form));
      all["Content-Type"] ??= "application/x-www-form-urlencoded";
    } else if (parts) {
      const made = multipart(parts);
      body = made.body;
      all["Content-Type"] ??= made.type;
    }
    const base = options.admin ? this.adminUrl : this.baseUrl;
    const url = new URL(/^https?:/.test(path) ? path : base + path);
    const target = url.pathname + (query ? `?${urlencode(query)}` : url.search);
    if (body !== undefined) all["Content-Length"] ??= Buffer.byteLength(body);

    const start = performance.now();
    const answer = await this.#exchange(
      { host: url.hostname, port: url.port, method, path: target, headers: all },
      body,
      timeoutMs,
      options.fresh,
    );
    answer.ms = performance.now() - start;
    answer.json = this.contract.judge({ method, path: url.pathname, ...answer });
    return answer;
  }

  #exchange(request, body, timeoutMs, fresh) {
    return new Promise((resolve, reject) => {
      const agent = fresh ? new http.Agent({ keepAlive: false }) : this.#agent;
      const req = http.request({ ...request, agent }, (res) => {
        const chunks = [];
        res.on("data", (chunk) => chunks.push(chunk));
        res.on("error", reject);
        res.on("end", () => {
          clearTimeout(timer);
          resolve({ status: res.statusCode, headers: res.headers, body: Buffer.concat(chunks) });
        });
        res.on("aborted", () => reject(new Error("the answer was cut short")));
      });
      const timer = setTimeout(
        () => req.destroy(new Error(`no answer within ${timeoutMs} ms: ${request.method} ${request.path}`)),
        timeoutMs,
      );
      req.on("error", (error) => {
        clearTimeout(timer);
        /* The server has just closed this kept connection without an answer; only reads may be repeated
         * safely. */
        if (req.reusedSocket && error.code === "ECONNRESET" && /^(GET|HEAD)$/.test(request.method))
          resolve(this.#exchange(request, body, timeoutMs, true));
        else reject(error);
      });
      req.end(body);
    });
  }

  get(path, query, options = {}) {
    return this.send("GET", path, { query, ...options });
  }

  post(path, form, options = {}) {
    return this.send("POST", path, { form, ...options });
  }

  /** GET a URL of the service found in an answer. */
  fetch(url, options = {}) {
    return this.send("GET", url, options);
  }

  /* The endpoints, as a client would call them. They return the JSON body. */

  /** Register a user with an unused name. Returns {id, token, name, password}. */
  async register(name = uniqueName(), password = "correct horse") {
    const { json } = await this.post("/douyin/user/register/", { username: name, password });
    assert.equal(json.status_code, CODE.OK, `register ${name}: ${JSON.stringify(json)}`);
    return { id: json.user_id, token: json.token, name, password };
  }

  async login(name, password) {
    return (await this.post("/douyin/user/login/", { username: name, password })).json;
  }

  async user(token, user_id) {
    return (await this.get("/douyin/user/", { user_id, token })).json;
  }

  async feed(query = {}) {
    return (await this.get("/douyin/feed/", query)).json;
  }

  async list(query) {
    return (await this.get("/douyin/publish/list/", query)).json;
  }

  async publish(token, clip, title = uniqueName("title"), options = {}) {
    const { json } = await this.send("POST", "/douyin/publish/action/", {
      multipart: [{ name: "data", filename: "bear.mp4", data: clip }, ["token", token], ["title", title]],
      timeoutMs: 60000,
      ...options,
    });
    return json;
  }

  async like(token, video_id, action_type = 1) {
    return (await this.post("/douyin/favorite/action/", { token, video_id, action_type })).json;
  }

  async favorites(query) {
    return (await this.get("/douyin/favorite/list/", query)).json;
  }

  async comment(token, video_id, comment_text, options = {}) {
    return (await this.post("/douyin/comment/action/", { token, video_id, action_type: 1, comment_text }, options))
      .json;
  }

  async uncomment(token, video_id, comment_id) {
    return (await this.post("/douyin/comment/action/", { token, video_id, action_type: 2, comment_id })).json;
  }

  async comments(query) {
    return (await this.get("/douyin/comment/list/", query)).json;
  }

  async follow(token, to_user_id, action_type = 1) {
    return (await this.post("/douyin/relation/action/", { token, to_user_id, action_type })).json;
  }

  /** KIND: "follow", "follower" or "friend". */
  async relations(kind, query) {
    return (await this.get(`/douyin/relation/${kind}/list/`, query)).json;
  }

  async say(token, to_user_id, content, options = {}) {
    return (await this.post("/douyin/message/action/", { token, to_user_id, action_type: 1, content }, options)).json;
  }

  async chat(query) {
    return (await this.get("/douyin/message/chat/", query)).json;
  }

  async remove(token, video_id) {
    return (await this.post("/douyin/publish/delete/", { token, video_id })).json;
  }

  /** The samples of /metrics: Map of "name{labels}" to number. */
  async metrics() {
    const { body } = await this.send("GET", "/metrics", { admin: true });
    const samples = new Map();
    for (const line of body.toString("utf8").split("\n")) {
      if (line === "" || line.startsWith("#")) continue;
      const at = line.lastIndexOf(" ");
      samples.set(line.slice(0, at), Number(line.slice(at + 1)));
    }
    return samples;
  }

  /** The sum of all samples of one metric. */
  async metric(name) {
    let sum = 0;
    let found = false;
    for (const [key, value] of await this.metrics()) {
      if (key === name || key.startsWith(`${name}{`)) {
        sum += value;
        found = true;
      }
    }
    assert.ok(found, `/metrics has no ${name}`);
    return sum;
  }
}
