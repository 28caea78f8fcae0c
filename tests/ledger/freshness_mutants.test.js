/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Shows that the freshness probe works: with a mistake in the cache it must fail, and without one,
 * under the same faults, it must pass.
 *
 * LEDGER_MUTANTS=all, as in make check-chaos: all mistakes; otherwise only the first one and no
 * control. */

import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { ROOT, buildDir, program } from "../lib/cluster.js";
import { makeChanged } from "../lib/next.js";
import { ILL, WELL, World } from "./freshness_world.js";

const isLong = process.env.LEDGER_MUTANTS === "all";
const READS_MAX = 1000000; /* by then a mistake must have shown */
const READS_CONTROL = 6000;
const READS_CONTROL_PER_MS = 8; /* of the slowest pair's pause, so that it writes more than once */

const LATE = { fillMs: 60, loses: 0 };
const LOSSES = { fillMs: 0, loses: 0.5 };
const CUTS = { fillMs: 0, loses: 0 };
/* Updates are sent again when Redis can be reached, long before readers notice by themselves. */
const TOLD_AGAIN = { here: ILL.here, there: () => 2500 };
const QUICK_PACES_MS = [0, 10, 20, 30, 50, 80];
const SLOW_PACES_MS = [0, 1000, 5500, 6000, 6500, 7000];

const RENTRY = "shard/rentry.c";
/* A set of one is incomplete as soon as there are two. */
const tinySets = [
  "shard/viewer_sets.c",
  '#include "shard/viewer_sets.h"\n',
  '#include "shard/viewer_sets.h"\n#undef VIEWER_SET_MAX\n#define VIEWER_SET_MAX 1\n',
];

/* Redis gets as much time as a busy machine takes: losses within it are not mistakes. */
const PATIENT_MS = 20000;
const patient = [
  "shard/cache_learn.c",
  '#include "shard/parts.h"\n',
  `#include "shard/parts.h"\n#undef CACHE_WRITE_MS\n#define CACHE_WRITE_MS ${PATIENT_MS}\n`,
];

const mutants = [
  {
    name: "no version check: a fill replaces whatever is there",
    faults: LATE,
    paces: QUICK_PACES_MS,
    bounds: WELL,
    sources: [[RENTRY, "if not ver or place < since or ver > new then return 0 end", "if not ver then return 0 end"]],
  },
  {
    name: "what has changed is deleted instead of marked, and whoever comes fills",
    faults: LATE,
    paces: QUICK_PACES_MS,
    bounds: WELL,
    sources: [
      [RENTRY, "put(new, 0, since, '', ARGV[4])", "redis.call('DEL', key)"],
      [
        RENTRY,
        "if not ver or place < since or ver > new then return 0 end",
        'if ver and ver > new then return 0 end\\n"\n                   "since = 0',
      ],
    ],
  },
  {
    name: "what was lost is never looked at again: nothing is confirmed",
    faults: LOSSES,
    paces: SLOW_PACES_MS,
    bounds: ILL,
    sources: [
      [
        "shard/cache.c",
        '#include "shard/cache.h"\n',
        '#include "shard/cache.h"\n#undef CACHE_CONFIRM_MS\n#define CACHE_CONFIRM_MS 4000000\n',
      ],
    ],
  },
  {
    name: 'an incomplete set answers "no"',
    faults: LATE,
    paces: QUICK_PACES_MS,
    bounds: WELL,
    sources: [
      tinySets,
      ["shard/viewer_sets.c", "return n < VIEWER_SET_MAX ? VIEWER_NO : VIEWER_PERHAPS;", "return VIEWER_NO;"],
    ],
  },
  {
    name: "no second invalidation: what Redis did not hear is not told again",
    faults: CUTS,
    paces: SLOW_PACES_MS,
    bounds: TOLD_AGAIN,
    sources: [
      ["shard/cache_mender.c", "    put(mender, &(struct debt)", "    if (key == NULL) put(mender, &(struct debt)"],
      /* A server whose update was lost would notice at its own next read, and tell. */
      ["shard/cache.c", "copies_knows_newer(w->cache->copies, &item->key, entry->ver)", "false"],
    ],
  },
  {
    name: "control: what Redis did not hear is told again",
    faults: CUTS,
    paces: SLOW_PACES_MS,
    bounds: TOLD_AGAIN,
    isControl: true,
    sources: [],
  },
  {
    name: "control: an incomplete set asks",
    faults: LATE,
    paces: QUICK_PACES_MS,
    bounds: WELL,
    isControl: true,
    sources: [tinySets],
  },
];

const world = await World.up({ timeoutMs: PATIENT_MS });
after(() => world.down());

/* The writing server cannot reach Redis for a fifth of the time; stop() resolves when it can. */
function cutAgainAndAgain() {
  let stopped = false;
  const done = (async () => {
    while (!stopped) {
      world.proxies.here.cut();
      await pause(400);
      world.proxies.here.mend();
      await pause(1600);
    }
  })();
  return {
    stop: () => {
      stopped = true;
      return done;
    },
  };
}

for (const mutant of isLong ? mutants : mutants.slice(0, 1)) {
  test(mutant.name, async (t) => {
    const dir = mkdtempSync(join(tmpdir(), "doushard-mutant-"));
    await world.serve(await makeChanged(ROOT, buildDir(), dir, [patient, ...mutant.sources]));
    for (const one of world.both) Object.assign(one, mutant.faults);
    const cutting = mutant.faults === CUTS ? cutAgainAndAgain() : undefined;
    try {
      const { found } = await world.probe(mutant.paces, mutant.bounds, {
        reads: mutant.isControl ? mutant.paces.at(-1) * READS_CONTROL_PER_MS + READS_CONTROL : READS_MAX,
        isEager: !mutant.isControl,
        isForLosses: mutant.faults === CUTS,
      });
      if (mutant.isControl) assert.deepEqual(found, []);
      else assert.ok(found.length > 0, "not caught");
      t.diagnostic(
        `note: ${mutant.isControl ? "passed" : "caught"}: ${mutant.name}${found.length > 0 ? `: ${found[0]}` : ""}`,
      );
    } finally {
      await cutting?.stop();
      for (const one of world.both) Object.assign(one, { fillMs: 0, loses: 0 });
      await world.serve(program());
      rmSync(dir, { recursive: true, force: true });
    }
  });
}
