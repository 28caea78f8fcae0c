/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* The model checker spin goes through all orders of the steps of a move, in move.pml: it finds no violation,
 * and it finds every mistake that is seeded. MODEL=more: larger models, which take a minute and 1 GB. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { copyFileSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, test } from "node:test";
import { fileURLToPath } from "node:url";

const MODEL = fileURLToPath(new URL("move.pml", import.meta.url));
const MORE = process.env.MODEL === "more";
const MB = MORE ? 1000 : 450; /* the test fails if the checker needs more */

const dir = mkdtempSync(path.join(tmpdir(), "doushard-model-"));
after(() => rmSync(dir, { recursive: true, force: true }));
copyFileSync(MODEL, path.join(dir, "move.pml"));

const run = (program, args) =>
  execFileSync(program, args, { cwd: dir, encoding: "utf8", stdio: ["ignore", "pipe", "pipe"], maxBuffer: 1 << 26 });

/** Builds a checker for the model with these -D. COLLAPSE compresses states, but leaves out none. */
function make(defines, ...flags) {
  run("spin", [...defines.split(" ").filter(Boolean), "-a", "move.pml"]);
  run("gcc", ["-w", `-DMEMLIM=${MB}`, ...flags, "-o", "pan", "pan.c"]);
}

/** Runs the checker with the options ARGS. */
function check(...args) {
  const text = run("./pan", ["-m20000", "-w22", ...args]);
  const number = (pattern) => Number(pattern.exec(text)?.[1] ?? NaN);
  return {
    text,
    errors: number(/errors: (\d+)/),
    states: number(/^ *([\d.e+]+) states, stored/m),
    depth: number(/depth reached (\d+)/),
    violated:
      /assertion violated (\w+)/.exec(text)?.[1] ?? /pan:1: (acceptance cycle|invalid end state)/.exec(text)?.[1],
  };
}

/** Fails unless all states were visited, without hashing them lossily, and nothing was violated. */
function complete({ text, errors, states }) {
  assert.equal(errors, 0, text);
  assert.match(text, /^Full statespace search for:$/m);
  assert.match(text, /assertion violations\t\+/);
  assert.doesNotMatch(
    text,
    /not completed|too small|truncated|out of memory|memory bound|Bit statespace|Hash-?Compact|aborted/i,
  );
  assert.ok(states > 10_000, `${states} states`);
}

/* Models without a mistake, of different sizes. */
const SOUND = [
  ["a move, rolled back or not, two writes to one row, a shard that crashes", "-DROLLBACK -DWRITES=2"],
  ["two moves, rolled back or not, three claims", "-DROLLBACK -DMOVES=2 -DMOVERS=3 -DCUTS=0 -DWRITERS=0"],
];
const SOUND_MORE = [
  ["two writers, a shard that crashes", "-DROLLBACK -DWRITERS=2"],
  ["two moves, three claims, a write, a shard that crashes", "-DMOVES=2 -DMOVERS=3"],
  ["two moves, rolled back or not, three claims, a write", "-DROLLBACK -DMOVES=2 -DMOVERS=3 -DCUTS=0"],
];

for (const [name, defines] of [...SOUND, ...(MORE ? SOUND_MORE : [])])
  test(`no violation: ${name}`, (t) => {
    make(defines, "-Og", "-DSAFETY", "-DCOLLAPSE");
    const result = check();
    complete(result);
    if (defines === SOUND[0][1]) assert.match(result.text, /unreached in proctype Mover\n\t\(0 of \d+ states\)/);
    t.diagnostic(`note: ${name}: ${result.states} states, depth ${result.depth}`);
  });

const LIVE = "-DLIVE -DROLLBACK -DWRITERS=0";
const weaklyFair = (property) => check("-a", "-f", "-N", property);

test("whoever is killed, the slot is served and the move ends, as long as the last mover or the router stays", (t) => {
  make(LIVE, "-Og", "-DNFAIR=3");
  for (const property of ["EventuallyOwned", "EventuallyDone"]) {
    const result = weaklyFair(property);
    complete(result);
    assert.match(result.text, /never claim +\t\+ \(Eventually/);
    assert.match(result.text, /acceptance +cycles +\t\+ \(fairness enabled\)/);
    t.diagnostic(`note: ${property}: ${result.states} states, depth ${result.depth}`);
  }
});

/* Mistakes: what is wrong, its name in the model, the property that spin must find violated, and a size
 * at which that shows. */
const MISTAKES = [
  ["the taker is owned before the giver has moved", "FLIP_SWAPPED", "AtMostOneOwner"],
  ["a mover's writes compare no token", "NO_TOKEN", "NoAckedWriteLost"],
  ["a writer reads the fence without a lock", "NO_LOCK", "NoAckedWriteLost"],
  ["one kind of write is not journaled", "NO_JOURNAL", "NoAckedWriteLost"],
  ["a takeover compares neither epoch nor token", "TAKEOVER_ANY", "AtMostOneOwner", "-DROLLBACK -DMOVES=2 -DCUTS=0"],
  ["an import does not compare the term", "NO_TERM", "OwnedOrHalfFlipped"],
  ["a CALL without an answer is repeated by the same claim", "SAME_TOKEN", "NoAckedWriteLost", "-DWRITES=2"],
  ["a claim changes the token of a moved fence", "CLAIM_MOVED", "OwnedOrHalfFlipped"],
  ["the journal for the way back begins after the takeover", "JOURNAL_LATE", "NoAckedWriteLost", "-DROLLBACK"],
  ["a move is undone although the giver has moved", "UNDO_MOVED", "OwnedOrHalfFlipped"],
  ["tokens are changed on both sides, each only for the giver's old one", "ADOPT", "RefusedIsOvertaken"],
  [
    "old rows are removed whatever the fence says",
    "PURGE_UNFENCED",
    "NoAckedWriteLost",
    "-DMOVES=2 -DMOVERS=3 -DCUTS=0 -DWRITERS=0",
  ],
];
const MISTAKES_MORE = [
  ["an old mover begins to journal", "MIGRATE_UNFENCED", "RefusedIsOvertaken"],
  ["copying back compares the fence only", "KEEP_UNFENCED", "NoAckedWriteLost", "-DROLLBACK -DWRITES=2"],
  ["a rollback is taken up without the giver's lock", "BACK_UNLOCKED", "OwnedOrHalfFlipped", "-DROLLBACK"],
];

for (const [name, define, property, size = ""] of [...MISTAKES, ...(MORE ? MISTAKES_MORE : [])])
  test(`found: ${name}`, (t) => {
    make(`-D${define} ${size}`, "-O0", "-DSAFETY", "-DCOLLAPSE");
    const { text, errors, violated, states, depth } = check();
    assert.equal(errors, 1, text);
    assert.equal(violated, property, text);
    t.diagnostic(`found in ${states} states, after at most ${depth} steps`);
  });

test("found: nobody finishes a flip that stopped half-way", () => {
  make(`-DNO_ROUTER ${LIVE}`, "-O0", "-DNFAIR=3");
  assert.equal(weaklyFair("EventuallyOwned").violated, "acceptance cycle");
});
