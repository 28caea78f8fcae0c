/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* The size of the page, and how soon it plays a clip. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { plays } from "../lib/browser.js";
import { slowdown } from "../lib/cluster.js";

const MOST_BYTES = 150 * 1024;
const MOST_MS = 1000;
const VISITS = 3;

/** Asserts that PAGE is small; test T reports its size. */
export async function assertLight(t, page) {
  const bytes = await page.evaluate(() => {
    const files = performance
      .getEntriesByType("resource")
      .filter(({ name }) => !/\/(static|assets|douyin)\//.test(name));
    const all = [...performance.getEntriesByType("navigation"), ...files];
    return all.reduce((sum, { encodedBodySize }) => sum + encodedBodySize, 0);
  });
  t.diagnostic(`note: the page is ${(bytes / 1024).toFixed(1)} KiB, compressed`);
  assert.ok(bytes > 10000, "something was counted");
  assert.ok(bytes < MOST_BYTES, `${bytes} bytes`);
}

/* What a visitor without anything in the cache sees of the first clip, in ms. */
async function visit(people) {
  const page = await people.somebody();
  await plays(page);
  const seen = await page.waitForFunction(
    () => globalThis.seen.frame !== undefined && globalThis.seen.paint !== undefined && globalThis.seen,
  );
  const { frame, paint } = await seen.jsonValue();
  await page.close();
  return { frame: Math.round(frame), paint: Math.round(paint) };
}

/* The one test with a bound on time, since the bound is what was asked for. The best of several visits is
 * compared: a machine that does something else as well makes some of them slower. */
export function speed(people) {
  test("the first clip plays within a second, for somebody who has never been here", async (t) => {
    const visits = [];
    for (let n = 0; n < VISITS; n += 1) visits.push(await visit(people));
    const list = (name) => visits.map((one) => one[name]).join(", ");
    t.diagnostic(`note: ms until the first frame: ${list("frame")}; until the largest paint: ${list("paint")}`);
    const best = Math.min(...visits.map(({ frame }) => frame));
    /* Sanitizers make the service slower. */
    if (slowdown() === 1) assert.ok(best < MOST_MS, `${best} ms`);
  });
}
