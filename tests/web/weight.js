/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* The size of the page, which is limited, and how soon a clip plays, which is only reported. */

import assert from "node:assert/strict";

const MOST_BYTES = 150 * 1024;

/** Asserts that PAGE, on which a clip plays, is small; test T reports what was measured. */
export async function assertLight(t, page) {
  const { bytes, seen } = await page.evaluate(() => {
    const files = performance
      .getEntriesByType("resource")
      .filter(({ name }) => !/\/(static|assets|douyin)\//.test(name));
    const all = [...performance.getEntriesByType("navigation"), ...files];
    return { bytes: all.reduce((sum, { encodedBodySize }) => sum + encodedBodySize, 0), seen: globalThis.seen };
  });
  t.diagnostic(
    `note: the page is ${(bytes / 1024).toFixed(1)} KiB, compressed; the first clip played ` +
      `${seen.playing.toFixed(0)} ms after it was opened, largest paint ${seen.paint?.toFixed(0)} ms`,
  );
  assert.ok(bytes > 10000, "something was counted");
  assert.ok(bytes < MOST_BYTES, `${bytes} bytes`);
}
