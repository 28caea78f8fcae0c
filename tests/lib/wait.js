/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Waiting for a condition with a deadline: the tests' only way to wait. */

import { setTimeout as pause } from "node:timers/promises";

/** Time limit for what must happen: generous, for slow or busy machines. */
export const PATIENCE_MS = 120000;

/**
 * Ask PROBE until it returns something true, and return that. An error of PROBE counts as "not yet". After
 * TIMEOUT_MS this throws, naming WHAT was awaited and the last thing that PROBE said.
 */
export async function until(what, probe, { timeoutMs = PATIENCE_MS, everyMs = 25 } = {}) {
  const end = performance.now() + timeoutMs;
  let last;
  for (;;) {
    try {
      last = await probe();
      if (last) return last;
    } catch (error) {
      last = error;
    }
    if (performance.now() > end) {
      const said = last instanceof Error ? last.message : JSON.stringify(last);
      throw new Error(`waited ${timeoutMs} ms in vain for ${what} (last: ${said})`, { cause: last });
    }
    await pause(everyMs);
  }
}

/** Run at most N of the async TASKS (functions) at a time; resolves to their results in order. */
export async function parallel(n, tasks) {
  const results = new Array(tasks.length);
  let next = 0;
  const worker = async () => {
    while (next < tasks.length) {
      const i = next;
      next += 1;
      results[i] = await tasks[i]();
    }
  };
  await Promise.all(Array.from({ length: Math.min(n, tasks.length) }, worker));
  return results;
}
