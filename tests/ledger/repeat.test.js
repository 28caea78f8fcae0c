/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* If told to, the clients of the ledger repeat a request without a certain answer: with the same
 * key, until they know or their time is over, and the history has the final answer. The service is
 * simulated here. */

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { promisify } from "node:util";
import { buildDir } from "../lib/cluster.js";
import { idOf } from "../lib/rows.js";
import { requestsOf } from "./moves.js";

const UNKNOWN = 1018;
let dir;
let service;
let asked; /* [key, url] */
let codeOf; /* the code for the n-th time that a key arrives, from 1 */

before(async () => {
  dir = mkdtempSync(join(tmpdir(), "doushard-repeat-"));
  const id = (n) => idOf(Date.now() - 1000, n);
  writeFileSync(join(dir, "world.txt"), `user ${id(1)} a.b.c\nuser ${id(2)} a.b.d\nvideo ${id(3)} ${id(1)}\n`);
  service = createServer((request, response) => {
    const key = request.headers["idempotency-key"];
    asked.push([key, request.url]);
    const status_code = codeOf(asked.filter(([other]) => other === key).length);
    response.end(JSON.stringify({ status_code, comment: { id: 7 } }));
  });
  await new Promise((done) => {
    service.listen(0, "127.0.0.1", done);
  });
});

after(() => {
  service?.close();
  rmSync(dir, { recursive: true, force: true });
});

/* What one client requested, and what it recorded. */
async function run(repeatMs, code) {
  asked = [];
  codeOf = code;
  const history = join(dir, "history.txt");
  await promisify(execFile)(join(buildDir(), "ledger"), [
    "run",
    `--world=${join(dir, "world.txt")}`,
    `--history=${history}`,
    "--clients=1",
    `--server=${service.address().port}`,
    "--seconds=1",
    "--mix=1,0,1,0,0,0,0,0",
    `--repeat-ms=${repeatMs}`,
  ]);
  return requestsOf(history);
}

test("an unknown answer is asked for again with the same key until it is certain", async () => {
  const requests = await run(60000, (n) => (n < 3 ? UNKNOWN : 0));
  const keys = new Set(asked.map(([key]) => key));
  assert.equal(asked.length, 3 * keys.size);
  for (const key of keys) assert.equal(new Set(asked.filter(([other]) => other === key).map(([, url]) => url)).size, 1);
  assert.equal(requests.length, keys.size);
  assert.deepEqual(new Set(requests.map(({ isOk, repeats }) => `${isOk} ${repeats}`)), new Set(["true 2"]));
  for (const path of ["favorite", "comment"]) assert.ok(asked.some(([, url]) => url.includes(path)));
});

test("after an unknown answer a refusal does not prove that nothing was done: for a text the outcome stays unknown", async () => {
  const requests = await run(60000, (n) => (n < 2 ? UNKNOWN : 1011));
  assert.ok(requests.every(({ repeats, code }) => repeats === 1 && code === "1011"));
  assert.deepEqual(
    new Set(requests.map(({ line, isUnknown }) => `${line.split(" ")[2]} ${isUnknown}`)),
    new Set(["0 false", "2 true"]),
  );
});

test("when the time for repeating is over it stays unknown; without that option nothing is repeated", async () => {
  const late = await run(2000, () => UNKNOWN);
  assert.ok(late.every(({ isUnknown }) => isUnknown) && late.some(({ repeats }) => repeats > 0));
  const once = await run(0, () => UNKNOWN);
  assert.ok(once.every(({ isUnknown, repeats }) => isUnknown && repeats === 0));
  assert.equal(asked.length, once.length);
  assert.ok(asked.every(([key]) => key === undefined));
});
