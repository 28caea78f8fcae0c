/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Polling, while the page is visible. */

/** Runs WORK now and MS after each run ended, except while the page is hidden. Returns a function
 * that stops it. */
export function everyFew(ms: number, work: () => Promise<void>): () => void {
  let timer: ReturnType<typeof setTimeout> | undefined;
  let stopped = false;
  let busy = false;

  const run = async () => {
    clearTimeout(timer);
    if (stopped || busy || document.hidden) return;
    busy = true;
    await work();
    busy = false;
    if (!stopped) timer = setTimeout(run, ms);
  };
  document.addEventListener("visibilitychange", run);
  void run();
  return () => {
    stopped = true;
    clearTimeout(timer);
    document.removeEventListener("visibilitychange", run);
  };
}
