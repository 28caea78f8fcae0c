/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Statements on a shard over a connection of our own: tests ask shards thousands of times, and each start of the
 * client `mariadb` costs more than what it asks.
 *
 * The text protocol of MySQL, as its manual describes it ("Client/Server Protocol"), with the method
 * mysql_native_password and several statements per command. */

import { createHash } from "node:crypto";
import net from "node:net";
import { PacketReader, packet } from "./proxy.js";

const COM_QUERY = 0x03;
const OK = 0x00;
const EOF = 0xfe;
const ERR = 0xff;
const NULL = 0xfb;
const MORE_RESULTS = 0x0008;
/* Long password, database, protocol 4.1, transactions, secure connection, several statements and results, method. */
const ABILITIES = 0x0001 | 0x0008 | 0x0200 | 0x2000 | 0x8000 | 0x10000 | 0x20000 | 0x80000;
const METHOD = "mysql_native_password";
const UTF8MB4 = 45;
const PACKET_BYTES = 0xffffff;
const CONNECT_MS = 10000;

/** Reads the fields of one packet. */
class Fields {
  constructor(payload, at = 0) {
    this.payload = payload;
    this.at = at;
  }

  number(bytes) {
    this.at += bytes;
    return this.payload.readUIntLE(this.at - bytes, bytes);
  }

  bytes(length) {
    this.at += length;
    return this.payload.subarray(this.at - length, this.at);
  }

  untilZero() {
    const end = this.payload.indexOf(0, this.at);
    const text = this.bytes((end < 0 ? this.payload.length : end) - this.at);
    this.at += 1;
    return text;
  }

  /** A number whose first byte says how long it is; null for NULL. */
  length() {
    const first = this.number(1);
    if (first === NULL) return null;
    if (first < NULL) return first;
    if (first !== 0xfe) return this.number(first === 0xfc ? 2 : 3);
    const low = this.number(6); /* of eight bytes: nothing here is longer */
    this.at += 2;
    return low;
  }

  text() {
    const length = this.length();
    return length === null ? null : this.bytes(length).toString("utf8");
  }
}

const sha1 = (...parts) => parts.reduce((hash, part) => hash.update(part), createHash("sha1")).digest();

/* What proves that we know the password, without telling it. */
function proof(password, challenge) {
  if (password === "") return Buffer.alloc(0);
  const once = sha1(password);
  const mask = sha1(challenge, sha1(once));
  return once.map((byte, i) => byte ^ mask[i]);
}

function errorOf(payload) {
  const fields = new Fields(payload, 1);
  const code = fields.number(2);
  const state = fields.bytes(6).toString("latin1").slice(1);
  return new Error(`SQL failed: ERROR ${code} (${state}): ${fields.payload.toString("utf8", fields.at)}`);
}

/** One connection. Its packets are read one after the other. */
class Connection {
  #reader = new PacketReader();
  #packets = [];
  #wake = () => {};
  #end = null;

  constructor(where) {
    this.socket = net.connect(where);
    this.socket.on("data", (chunk) => {
      this.#packets.push(...this.#reader.push(chunk));
      this.#wake();
    });
    this.socket.on("error", (error) => this.end(error));
    this.socket.on("close", () => this.end(new Error("SQL failed: the connection is lost")));
  }

  /** End with ERROR for whoever reads. */
  end(error) {
    this.#end ??= error;
    this.socket.destroy();
    this.#wake();
  }

  /** The next packet; what the server refuses is thrown. */
  async read() {
    while (this.#packets.length === 0) {
      if (this.#end) throw this.#end;
      await new Promise((done) => { this.#wake = done; });
    }
    const { number, payload } = this.#packets.shift();
    this.number = number;
    if (payload[0] === ERR) throw errorOf(payload);
    return payload;
  }

  write(number, payload) {
    for (let at = 0; ; at += PACKET_BYTES, number += 1) {
      this.socket.write(packet(number, payload.subarray(at, at + PACKET_BYTES)));
      if (payload.length - at < PACKET_BYTES) return;
    }
  }

  async authenticate({ user, password, database }) {
    const hello = new Fields(await this.read(), 1);
    hello.untilZero(); /* the server's version */
    hello.number(4);
    const head = hello.bytes(8);
    hello.bytes(19);
    const challenge = Buffer.concat([head, hello.bytes(12)]);
    const answer = Buffer.alloc(32);
    answer.writeUInt32LE(ABILITIES, 0);
    answer.writeUInt32LE(1 << 30, 4);
    answer[8] = UTF8MB4;
    const token = proof(password, challenge);
    this.write(1, Buffer.concat([answer, Buffer.from(`${user}\0`), Buffer.from([token.length]), token,
      Buffer.from(`${database}\0${METHOD}\0`)]));
    const said = await this.read();
    if (said[0] !== EOF) return;
    const other = new Fields(said, 1); /* "not with that method, but": the same one with another challenge */
    const method = other.untilZero().toString();
    if (method !== METHOD) throw new Error(`SQL failed: the account wants ${method}`);
    this.write(this.number + 1, proof(password, other.bytes(20)));
    await this.read();
  }

  /** Run statements; resolves to their result sets, {names, rows}. */
  async query(text) {
    this.write(0, Buffer.concat([Buffer.from([COM_QUERY]), Buffer.from(text)]));
    const sets = [];
    for (let more = true; more;) {
      const first = new Fields(await this.read());
      if (first.payload[0] === OK) {
        first.number(1);
        first.length();
        first.length();
        more = (first.number(2) & MORE_RESULTS) !== 0;
      } else {
        const set = { names: [], rows: [] };
        for (let left = first.length(); left > 0; left -= 1) set.names.push(await this.#name());
        await this.read();
        more = await this.#rows(set);
        sets.push(set);
      }
    }
    return sets;
  }

  async #name() {
    const column = new Fields(await this.read());
    for (let i = 0; i < 4; i += 1) column.text(); /* catalogue, database, table, its name there */
    return column.text();
  }

  /* The rows of SET; resolves to whether there are further sets. */
  async #rows(set) {
    for (;;) {
      const payload = await this.read();
      if (payload[0] === EOF && payload.length < 9) return (payload.readUInt16LE(3) & MORE_RESULTS) !== 0;
      const row = new Fields(payload);
      set.rows.push(set.names.map(() => row.text()));
    }
  }
}

/**
 * Run statements on a connection of their own to WHERE ({path} or {host, port}). Resolves to the result sets
 * {names, rows} with text and null as values. Rejects with what the server says, after TIMEOUT_MS, or when it has
 * not taken the connection in ten seconds.
 */
export async function ask(where, { user, password, database }, text, timeoutMs) {
  const connection = new Connection(where);
  const limit = (ms) => setTimeout(() => connection.end(new Error(`SQL failed: no answer in ${ms} ms`)), ms);
  const timers = [limit(timeoutMs), limit(CONNECT_MS)];
  try {
    await connection.authenticate({ user, password, database });
    clearTimeout(timers[1]);
    return await connection.query(text);
  } finally {
    timers.forEach(clearTimeout);
    connection.end(new Error("SQL: over"));
  }
}
