/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Ports for servers that tests start. */

import net from "node:net";

/* Below those that the kernel gives to connections (ip_local_port_range, 32768 to 60999), so that none of them
 * takes a port before its server does, and above those of scripts/demo. */
const FIRST = 23000;
const N = 9000;

/* Suites that run at one time have numbers near to each other, and none of them starts so many servers. */
let at = (process.pid * 97) % N;

const isFree = (port) => new Promise((done) => {
  const probe = net.createServer();
  probe.once("error", () => done(false));
  probe.listen(port, "127.0.0.1", () => probe.close(() => done(true)));
});

/** A TCP port of 127.0.0.1 that nobody listens on; each call answers another one. */
export async function freePort() {
  for (let tries = 0; tries < N; tries++) {
    at = (at + 1) % N;
    const port = FIRST + at;
    if (await isFree(port)) return port;
  }
  throw new Error(`no port from ${FIRST} to ${FIRST + N - 1} is free`);
}
