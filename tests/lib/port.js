/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Ports for servers that tests start. */

import { createSocket } from "node:dgram";
import net from "node:net";

/* Above those that the kernel gives to connections (ip_local_port_range, 32768 to 60999), so that no
 * connection takes a server's port; all ports of scripts/demo are below, with those of Redis' bus. */
export const FIRST = 61000;
const N = 4500;

/* Where to begin, so that suites rarely collide. */
let at = (process.pid * 97) % N;

/* Listen on PORT; resolves to the listener, or to null if it is taken. */
const listen = (port) =>
  new Promise((done) => {
    const listener = net.createServer();
    listener.once("error", () => done(null));
    listener.listen({ port, host: "127.0.0.1" }, () => done(listener));
  });

/* Reserve PORT until this process ends, by the UDP port of the same number, which no server uses and only one
 * process at a time can have. (An abstract socket name would do as well, but Node.js 18 gives all of them the
 * same name.) */
const reserve = (port) =>
  new Promise((done) => {
    const socket = createSocket("udp4").unref();
    socket.once("error", () => socket.close(() => done(false)));
    socket.bind({ port, address: "127.0.0.1", exclusive: true }, () => done(true));
  });

async function take(port) {
  const probe = (await reserve(port)) && (await listen(port));
  await new Promise((done) => {
    if (probe) probe.close(done);
    else done();
  });
  return Boolean(probe);
}

/** A TCP port of 127.0.0.1 that nobody listens on, and that no other call of any process answers meanwhile. */
export async function freePort() {
  for (let tries = 0; tries < N; tries++) {
    at = (at + 1) % N;
    const port = FIRST + at;
    if (await take(port)) return port;
  }
  throw new Error(`no port from ${FIRST} to ${FIRST + N - 1} is free`);
}
