/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Nodes of a Redis Cluster that answer what a test wants.
 *
 *   const [a, b] = await fakeNodes(2);
 *   a.slots = b.slots = [[0, 16383, a]];                 // what CLUSTER SLOTS answers
 *   a.expect(["GET", "k"], `-MOVED 7629 ${b.address}`);  // the next command, and its answer
 *   b.expect(["GET", "k"], bulk("v"));
 *   ..
 *   a.done(); b.done();                                  // nothing else came, nothing is missing
 *
 * CLUSTER SLOTS and AUTH are answered by the node itself. An answer may be text of the protocol, a function that
 * returns it (or a promise of it), or null: silence. `close` ends the connection. */

import assert from "node:assert/strict";
import net from "node:net";
import tls from "node:tls";
import { freePort } from "./port.js";

export const bulk = (text) => `$${Buffer.byteLength(text)}\r\n${text}`;
export const array = (...parts) => [`*${parts.length}`, ...parts].join("\r\n");
export const close = Symbol("close");

/* One command of RESP2 at the start of DATA: [its words, bytes used]; null: it is not complete. */
function parse(data) {
  const text = data.toString("latin1");
  const head = /^\*(\d+)\r\n/.exec(text);
  if (!head) return null;
  const words = [];
  let at = head[0].length;
  for (let i = 0; i < Number(head[1]); i++) {
    const size = /^\$(\d+)\r\n/.exec(text.slice(at, at + 20));
    if (!size || text.length < at + size[0].length + Number(size[1]) + 2) return null;
    at += size[0].length;
    words.push(data.subarray(at, at + Number(size[1])).toString());
    at += Number(size[1]) + 2;
  }
  return [words, at];
}

class FakeNode {
  slots = []; /* [first, last, { port, host }], or the answer */
  tables = 0; /* how often it was asked for the slots */
  connections = 0; /* connections made so far */
  password = "";
  heard = []; /* all but AUTH and CLUSTER SLOTS */
  surprises = [];
  #script = [];
  #sockets = new Set();
  #server;

  /** TLS: { key, cert } in PEM, or nothing. */
  constructor(secure) {
    this.#server = secure
      ? tls.createServer(secure, (socket) => this.#serve(socket))
      : net.createServer((socket) => this.#serve(socket));
    this.#server.on("tlsClientError", () => {});
  }

  async start(port) {
    this.port = port ?? (await freePort());
    await new Promise((done) => {
      this.#server.listen(this.port, "127.0.0.1", done);
    });
    return this;
  }

  get address() {
    return `127.0.0.1:${this.port}`;
  }

  expect(words, answer) {
    this.#script.push({ words, answer });
    return this;
  }

  /** As expect() with +OK for ASKING, and ANSWER for what follows. */
  expectAsking(words, answer) {
    return this.expect(["ASKING"], "+OK").expect(words, answer);
  }

  done() {
    assert.deepEqual(this.surprises, [], `unexpected at ${this.address}`);
    assert.deepEqual(this.#script, [], `missing at ${this.address}`);
  }

  /** Drop all expectations. */
  forget() {
    this.#script.length = 0;
  }

  missing() {
    return this.#script.length;
  }

  /** End all connections; the node listens on. */
  cut() {
    this.#sockets.forEach((socket) => socket.destroy());
  }

  async stop() {
    this.cut();
    await new Promise((done) => {
      this.#server.close(done);
    });
  }

  #slotsAnswer() {
    if (typeof this.slots === "string") return this.slots;
    return array(
      ...this.slots.map(([first, last, node]) =>
        array(
          `:${first}`,
          `:${last}`,
          array(node.host === null ? "$-1" : bulk(node.host ?? "127.0.0.1"), `:${node.port}`, bulk("id")),
        ),
      ),
    );
  }

  #answer(words) {
    if (words[0] === "AUTH")
      return words.at(-1) === this.password ? "+OK" : "-WRONGPASS invalid username-password pair";
    if (words[0] === "CLUSTER") {
      this.tables += 1;
      return this.#slotsAnswer();
    }
    this.heard.push(words);
    if (this.#script.length > 0 && words.join(" ") === this.#script[0].words.join(" ")) {
      return this.#script.shift().answer;
    }
    this.surprises.push(words);
    return "-ERR unexpected";
  }

  #serve(socket) {
    let data = Buffer.alloc(0);
    let before = Promise.resolve(); /* answers leave in order */
    this.connections += 1;
    this.#sockets.add(socket);
    socket.on("close", () => this.#sockets.delete(socket));
    socket.on("error", () => {});
    socket.on("data", (more) => {
      data = Buffer.concat([data, more]);
      for (let command = parse(data); command; command = parse(data)) {
        data = data.subarray(command[1]);
        const answer = this.#answer(command[0]);
        before = before.then(async () => {
          const said = typeof answer === "function" ? await answer() : answer;
          if (said === close) socket.destroy();
          else if (said !== null) socket.write(`${said}\r\n`);
        });
      }
    });
  }
}

/** N nodes, each of which answers that the first has all slots. */
export async function fakeNodes(n, secure) {
  const nodes = await Promise.all(Array.from({ length: n }, () => new FakeNode(secure).start()));
  nodes.forEach((node) => {
    node.slots = [[0, 16383, nodes[0]]];
  });
  return nodes;
}

/* CRC-16/XMODEM, bit by bit. */
function crc16(text) {
  let crc = 0;
  for (const byte of Buffer.from(text)) {
    crc ^= byte << 8;
    for (let i = 0; i < 8; i++) crc = (crc & 0x8000 ? (crc << 1) ^ 0x1021 : crc << 1) & 0xffff;
  }
  return crc;
}

/** The slot of a key. */
export const slotOf = (key) => crc16(/\{([^}]+)\}/.exec(key)?.[1] ?? key) % 16384;
