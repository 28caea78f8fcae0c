/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* TCP proxies between one server and each node of a Redis Cluster: a partition only for that server, writes
 * that are lost although they were answered, late fills.
 *
 * Each server has a loopback address of its own, on which all its proxies listen; the nodes announce the ports of the
 * proxies, and no address, so that every client keeps using the address that it asked (Redis.up({ proxied:
 * true })). */

import { createHash } from "node:crypto";
import net from "node:net";

const FORGED = "*3\r\n$4\r\nEVAL\r\n$8\r\nreturn 0\r\n$1\r\n0\r\n";

/* Identify scripts by a line that only one has; the first proxy that sees one loaded tells all others. */
const SIGNS = { fill: "local new, place", write: "put(new, 0, since", strike: "clock() + 1" };
const scripts = new Map();

function learn(text) {
  for (const [name, sign] of Object.entries(SIGNS))
    if (text.includes(sign)) scripts.set(createHash("sha1").update(text).digest("hex"), name);
}

/** Whole commands at the start of BYTES: [{ args: first two words, end }], as far as they have come. */
function commands(bytes) {
  const found = [];
  let at = 0;
  for (;;) {
    const begin = at;
    const line = () => {
      const end = bytes.indexOf("\r\n", at);
      if (end < 0) return undefined;
      const text = bytes.toString("latin1", at, end);
      at = end + 2;
      return text;
    };
    const n = Number(line()?.slice(1));
    const args = [];
    for (let i = 0; i < n; i++) {
      const head = line();
      const length = Number(head?.slice(1));
      if (head === undefined || at + length + 2 > bytes.length) return found;
      if (i < 3) args.push(bytes.toString("latin1", at, at + length));
      at += length + 2;
    }
    if (!(n > 0)) return found;
    found.push({ args, begin, end: at });
  }
}

export class RedisProxies {
  isCut = false;
  /** The share of writes and markers that are lost. */
  loses = 0;
  /** The longest delay of fills; they are answered at once, and nothing else waits. */
  fillMs = 0;
  lost = 0;
  #servers = [];
  #sockets = new Set();
  #sides = new Map();

  /** Proxies of the server that has the loopback address HOST, for all nodes of REDIS. */
  static async up(redis, host) {
    const proxies = new RedisProxies();
    proxies.password = redis.password;
    proxies.addresses = redis.nodes.map(({ announced }) => `${host}:${announced}`);
    await Promise.all(
      redis.nodes.map(
        ({ port, announced }) =>
          new Promise((done) => {
            const server = net.createServer((client) => proxies.#serve(client, port));
            proxies.#servers.push(server);
            server.listen(announced, host, done);
          }),
      ),
    );
    return proxies;
  }

  #serve(client, port) {
    if (this.isCut) {
      client.destroy();
      return;
    }
    const node = net.connect(port, "127.0.0.1");
    for (const [from, to] of [
      [client, node],
      [node, client],
    ]) {
      from.setNoDelay(true);
      this.#sockets.add(from);
      from.on("error", () => {});
      from.on("close", () => {
        this.#sockets.delete(from);
        to.destroy();
      });
    }
    node.pipe(client);
    this.#forward(client, node, port);
  }

  /* Send COMMAND to the node at PORT after a while, on a separate connection. */
  #later(port, command) {
    setTimeout(() => {
      let side = this.#sides.get(port);
      if (!side || side.destroyed) {
        side = net.connect(port, "127.0.0.1");
        side.on("error", () => {});
        side.resume(); /* answers are dropped */
        side.write(`*2\r\n$4\r\nAUTH\r\n$${this.password.length}\r\n${this.password}\r\n`);
        this.#sides.set(port, side);
        this.#sockets.add(side);
      }
      side.write(command);
    }, Math.random() * this.fillMs).unref();
  }

  /* What comes from the server goes on command by command. */
  async #forward(client, node, port) {
    let held = Buffer.alloc(0);
    try {
      for await (const chunk of client) {
        held = Buffer.concat([held, chunk]);
        const whole = commands(held);
        for (const { args, begin, end } of whole) {
          if (this.isCut) return; /* without notice; mend() ends the connection */
          const kind = args[0] === "EVALSHA" ? scripts.get(args[1]) : undefined;
          if (args[0] === "SCRIPT") learn(args[2]);
          const isLate = kind === "fill" && this.fillMs > 0;
          const isLost = (kind === "write" || kind === "strike") && Math.random() < this.loses;
          this.lost += isLost;
          if (isLate) this.#later(port, Buffer.from(held.subarray(begin, end)));
          node.write(isLost || isLate ? FORGED : held.subarray(begin, end));
        }
        if (whole.length > 0) held = held.subarray(whole.at(-1).end);
      }
    } catch {
      /* the connection ended */
    }
  }

  /** Nothing gets through, without notice, as with a pulled cable. */
  cut() {
    this.isCut = true;
    for (const socket of this.#sockets) socket.pause();
  }

  mend() {
    this.isCut = false;
    for (const socket of this.#sockets) socket.destroy();
  }

  down() {
    for (const server of this.#servers) server.close();
    for (const socket of this.#sockets) socket.destroy();
  }
}
