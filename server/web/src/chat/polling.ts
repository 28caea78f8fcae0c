/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Asking again and again, while somebody is looking. */

/** Run WORK now and MS after each run ended, except while the page is hidden. Returns how to stop it. */
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
