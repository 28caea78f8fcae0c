/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* A TCP proxy in front of one shard that injects faults: it knows which CALL a packet carries and may lose
 * its reply, delay it, cut the connection or swallow everything.
 *
 * It understands just enough of the MySQL protocol: commands begin with packet number 0; a prepared
 * statement's number comes with the answer to its preparation. */

import net from "node:net";

const COM_QUERY = 0x03;
const COM_STMT_PREPARE = 0x16;
const COM_STMT_EXECUTE = 0x17;
const LAST_PREPARED = 0xffffffff;

const OK = 0x00;
const EOF = 0xfe;
const ERR = 0xff;
const MORE_RESULTS = 0x0008;

/** Cuts a byte stream into MySQL packets. */
export class PacketReader {
  #held = Buffer.alloc(0);

  /** Complete packets received so far: [{number, payload}]. */
  push(chunk) {
    this.#held = this.#held.length ? Buffer.concat([this.#held, chunk]) : chunk;
    const packets = [];
    while (this.#held.length >= 4) {
      const length = this.#held.readUIntLE(0, 3);
      if (this.#held.length < 4 + length) break;
      packets.push({ number: this.#held[3], payload: this.#held.subarray(4, 4 + length) });
      this.#held = this.#held.subarray(4 + length);
    }
    return packets;
  }
}

/** Follows one connection and says which SQL text each command runs. */
export class CommandReader {
  #client = new PacketReader();
  #server = new PacketReader();
  #statements = new Map();
  #preparing = [];
  #last = "";
  /** SQL texts that were prepared and not yet run. */
  prepared = [];

  /** SQL texts that the bytes from the client start to run. */
  fromClient(chunk) {
    const texts = [];
    for (const { number, payload } of this.#client.push(chunk)) {
      if (number !== 0 || payload.length === 0) continue;
      const command = payload[0];
      if (command === COM_QUERY) texts.push(payload.toString("utf8", 1));
      else if (command === COM_STMT_PREPARE) {
        this.#last = payload.toString("utf8", 1);
        this.#preparing.push(this.#last);
        this.prepared.push(this.#last);
      } else if (command === COM_STMT_EXECUTE) {
        const id = payload.readUInt32LE(1);
        texts.push(id === LAST_PREPARED ? this.#last : (this.#statements.get(id) ?? `statement ${id}`));
      }
    }
    return texts;
  }

  fromServer(chunk) {
    for (const { number, payload } of this.#server.push(chunk)) {
      if (number !== 1 || this.#preparing.length === 0) continue;
      const text = this.#preparing.shift();
      if (payload[0] === 0 && payload.length >= 5) this.#statements.set(payload.readUInt32LE(1), text);
    }
  }
}

/** One packet of the server. */
function packet(number, payload) {
  const head = Buffer.alloc(4);
  head.writeUIntLE(payload.length, 0, 3);
  head[3] = number & 0xff;
  return Buffer.concat([head, payload]);
}

/** Holds the answer to one CALL until it is complete, and replaces it. */
class Forger {
  #reader = new PacketReader();
  #held = [];
  #columns = 0;
  #inRows = false;
  #firstSet = 0;

  /** FORGERY: {error, text, late} or "no-rows", as in TcpProxy.rule. */
  constructor(forgery) {
    this.forgery = forgery;
  }

  /** What to send in place of CHUNK: undefined until the answer is complete. */
  push(chunk) {
    for (const got of this.#reader.push(chunk)) {
      if (this.#isLast(got.payload)) return this.#forged();
      this.#held.push(packet(got.number, got.payload));
      if (this.#firstSet === 0 && this.#isSetEnd) this.#firstSet = this.#held.length;
    }
    return undefined;
  }

  #isSetEnd = false;

  #isLast(payload) {
    const isEof = payload[0] === EOF && payload.length < 9;
    this.#isSetEnd = false;
    if (payload[0] === ERR) return true;
    if (this.#columns > 0) {
      if (isEof) [this.#columns, this.#inRows] = [0, true];
    } else if (this.#inRows) {
      if (isEof) [this.#inRows, this.#isSetEnd] = [false, true];
    } else if (payload[0] === OK) return (payload.readUInt16LE(3) & MORE_RESULTS) === 0;
    else this.#columns = payload[0];
    return false;
  }

  #forged() {
    const { error, text = "forged", late } = this.forgery;
    const before = late ? this.#held.slice(0, this.#firstSet) : [];
    const payload =
      this.forgery === "no-rows"
        ? Buffer.from([OK, 0, 0, 2, 0, 0, 0])
        : Buffer.concat([Buffer.from([ERR, error & 0xff, error >> 8]), Buffer.from(`#HY000${text}`)]);
    return Buffer.concat([...before, packet(before.length + 1, payload)]);
  }
}

export class TcpProxy {
  /** Decides about each statement: (text) => undefined, or one of
   *  "lose-reply" the shard runs it, the answer is thrown away and the connection cut;
   *  "hang-reply" the shard runs it, the answer never comes, the connection stays;
   *  "cut"        the connection is cut before the shard sees it;
   *  {delayMs}    the shard sees it that much later;
   *  {error, late} the shard runs it, this error number is the answer, with `late` behind the
   *               first result set;
   *  "no-rows"    the shard runs it, the answer is empty. */
  rule = null;
  /** Nothing passes in either direction, also on new connections. */
  blackHole = false;
  /** New connections are closed at once. */
  refuse = false;
  /** Each chunk of an answer is held for this long. */
  replyDelayMs = 0;
  /** Statements that began to run, and `PREPARE ...` for those that were prepared: {text, at}. */
  statements = [];
  /** False: do not record statements. */
  remembers = true;
  /** How often the rule said each thing. */
  applied = {};
  #links = new Set();

  static async start(target) {
    const proxy = new TcpProxy();
    proxy.target = target;
    proxy.server = net.createServer({ pauseOnConnect: false }, (client) => proxy.#accept(client));
    await new Promise((resolve, reject) => {
      proxy.server.once("error", reject);
      proxy.server.listen(0, "127.0.0.1", resolve);
    });
    proxy.port = proxy.server.address().port;
    /* A test that fails before stop() must not keep its process alive. */
    proxy.server.unref();
    return proxy;
  }

  /** The rule for the next TIMES statements that match PATTERN; others pass. */
  once(pattern, action, times = 1) {
    let left = times;
    this.rule = (text) => {
      if (left === 0 || !pattern.test(text)) return undefined;
      left -= 1;
      return action;
    };
  }

  /** Statements that match. */
  count(pattern) {
    return this.statements.filter(({ text }) => pattern.test(text)).length;
  }

  /** Cut all connections. */
  cutAll() {
    for (const link of this.#links) link.end();
  }

  get connections() {
    return this.#links.size;
  }

  async stop() {
    this.refuse = true;
    this.cutAll();
    await new Promise((resolve) => this.server.close(resolve));
  }

  #remember(text) {
    if (this.remembers) this.statements.push({ text, at: performance.now() });
  }

  #accept(client) {
    client.on("error", () => {});
    if (this.refuse) {
      client.destroy();
      return;
    }
    const { host = "127.0.0.1", port } = this.target;
    const upstream = net.connect({ host, port, noDelay: true });
    client.setNoDelay(true);
    upstream.on("error", () => {});
    const link = {
      losing: null,
      forger: null,
      end: () => {
        this.#links.delete(link);
        client.destroy();
        upstream.destroy();
      },
    };
    this.#links.add(link);
    const commands = new CommandReader();
    /* One queue per direction, so that a delay never changes the order. */
    let toShard = Promise.resolve();
    let toClient = Promise.resolve();

    client.on("data", (chunk) => {
      let delayMs = 0;
      const texts = commands.fromClient(chunk);
      for (const text of commands.prepared.splice(0)) this.#remember(`PREPARE ${text}`);
      for (const text of texts) {
        const action = this.rule?.(text);
        if (action) {
          const name = typeof action === "string" ? action : action.error ? "error" : "delay";
          this.applied[name] = (this.applied[name] ?? 0) + 1;
        }
        if (action === "cut") {
          link.end();
          return;
        }
        this.#remember(text);
        if (action?.error || action === "no-rows") link.forger = new Forger(action);
        else if (action?.delayMs) delayMs = Math.max(delayMs, action.delayMs);
        else if (action) link.losing = action;
      }
      if (this.blackHole) return;
      if (delayMs)
        toShard = toShard.then(
          () =>
            new Promise((done) => {
              setTimeout(done, delayMs);
            }),
        );
      toShard = toShard.then(() => {
        if (!upstream.destroyed) upstream.write(chunk);
      });
    });
    upstream.on("data", (chunk) => {
      commands.fromServer(chunk);
      if (this.blackHole) return;
      if (link.losing === "lose-reply") {
        link.end();
        return;
      }
      if (link.losing === "hang-reply") return;
      let answer = chunk;
      if (link.forger) {
        answer = link.forger.push(chunk);
        if (answer === undefined) return;
        link.forger = null;
      }
      const delayMs = this.replyDelayMs;
      if (delayMs)
        toClient = toClient.then(
          () =>
            new Promise((done) => {
              setTimeout(done, delayMs);
            }),
        );
      toClient = toClient.then(() => {
        if (!client.destroyed) client.write(answer);
      });
    });
    client.on("close", () => link.end());
    upstream.on("close", () => {
      if (link.losing !== "hang-reply") toClient.then(() => link.end());
    });
  }
}
