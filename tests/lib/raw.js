/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Raw sockets for requests that no HTTP client would send, and a reader of what comes back. */

import net from "node:net";
import { PATIENCE_MS, until } from "./wait.js";

/** The HTTP/1.1 answers in BYTES: [{status, headers, body}]; throws when they are not well formed. */
export function parseAnswers(bytes, { head = false } = {}) {
  const answers = [];
  let at = 0;
  while (at < bytes.length) {
    const end = bytes.indexOf("\r\n\r\n", at);
    if (end < 0) throw new Error(`half an answer: ${bytes.subarray(at).toString("latin1").slice(0, 200)}`);
    const [line, ...fields] = bytes.subarray(at, end).toString("latin1").split("\r\n");
    const match = /^HTTP\/1\.[01] (\d{3})( .*)?$/.exec(line);
    if (!match) throw new Error(`not a status line: ${line}`);
    const status = Number(match[1]);
    const headers = {};
    for (const field of fields) {
      const colon = field.indexOf(":");
      if (colon < 1) throw new Error(`not a header: ${field}`);
      headers[field.slice(0, colon).toLowerCase()] = field.slice(colon + 1).trim();
    }
    at = end + 4;
    if (status === 100) continue;
    const length = head || status === 304 || status === 204 ? 0 : Number(headers["content-length"] ?? 0);
    if (at + length > bytes.length) throw new Error("a body that is shorter than its Content-Length");
    answers.push({ status, headers, body: bytes.subarray(at, at + length) });
    at += length;
  }
  return answers;
}

/** One connection under the test's control. */
export class RawConnection {
  received = Buffer.alloc(0);
  /** The peer has sent FIN or RST. */
  ended = false;
  error = null;

  static async open(port, host = "127.0.0.1") {
    const connection = new RawConnection();
    const socket = net.connect({ port, host, noDelay: true, allowHalfOpen: true });
    connection.socket = socket;
    socket.on("data", (chunk) => {
      connection.received = Buffer.concat([connection.received, chunk]);
    });
    socket.on("end", () => {
      connection.ended = true;
    });
    socket.on("close", () => {
      connection.ended = true;
    });
    await new Promise((resolve, reject) => {
      socket.once("connect", resolve);
      socket.once("error", reject);
    });
    socket.on("error", (error) => {
      connection.error = error;
    });
    return connection;
  }

  /** Send bytes; resolves when the kernel has them, or the connection is gone. */
  send(bytes) {
    return new Promise((resolve) => {
      if (this.socket.destroyed) resolve();
      else this.socket.write(bytes, () => resolve());
    });
  }

  /** Wait until the peer has closed; resolves to the milliseconds it took. */
  async closed(timeoutMs = PATIENCE_MS) {
    const start = performance.now();
    await until("the server to close the connection", () => this.ended, { timeoutMs, everyMs: 10 });
    return performance.now() - start;
  }

  /** Wait until N whole answers have arrived. */
  answers(n = 1, timeoutMs = PATIENCE_MS) {
    return until(
      `${n} answers`,
      () => {
        const all = parseAnswers(this.received);
        return all.length >= n && all;
      },
      { timeoutMs, everyMs: 10 },
    );
  }

  /** Close at once with a reset. */
  reset() {
    this.socket.resetAndDestroy();
  }

  close() {
    this.socket.destroy();
  }
}
