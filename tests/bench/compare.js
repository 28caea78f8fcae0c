/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* make bench-compare A=.. B=..: the figures that differ by more than the rounds of one run do. */

import { readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

/* Smaller differences are not listed, even if they are beyond the noise. */
const LEAST = 0.03;

const figuresOf = (side) => ({
  ...(side.per_s && { "per second": side.per_s, "p50 ms": side.p50_ms, "p99 ms": side.p99_ms }),
  ...(side.calls && { "CALLs per request": side.calls, "SQL bytes": side.db_bytes }),
  ...(side.value && { value: side.value }),
  ...Object.fromEntries(Object.entries(side.cpu_us ?? {}).map(([name, f]) => [`CPU us, ${name}`, f])),
});

/** Do A and B differ? Yes if their interquartile ranges do not meet and their medians differ by 3 % or more. */
export function differs(a, b) {
  const apart = a.high < b.low || b.high < a.low;
  return apart && Math.abs(b.median - a.median) >= LEAST * Math.abs(a.median);
}

/** [{row, side, figure, a, b, change}] of the figures that differ; change in per cent. */
export function differences(a, b) {
  const found = [];
  for (const row of b.rows) {
    const old = a.rows.find(({ name }) => name === row.name);
    for (const [side, now] of Object.entries(row.sides)) {
      const before = figuresOf(old?.sides[side] ?? {});
      for (const [figure, f] of Object.entries(figuresOf(now)))
        if (before[figure] && differs(before[figure], f)) {
          const [was, is] = [before[figure].median, f.median];
          found.push({ row: row.name, side, figure, a: was, b: is, change: (100 * (is - was)) / was });
        }
    }
  }
  return found;
}

/** Names of the machine's settings that are not the same in both. */
export const otherMachine = (a, b) =>
  ["processor", "kernel", "shards", "settings", "data"].filter((name) => {
    const { load_s: _a, ...left } = Object(a.machine[name]);
    const { load_s: _b, ...right } = Object(b.machine[name]);
    return String(a.machine[name]) !== String(b.machine[name]) || JSON.stringify(left) !== JSON.stringify(right);
  });

const read = (path) =>
  JSON.parse(readFileSync(statSync(path).isDirectory() ? join(path, "result.json") : path, "utf8"));

function main([pathA, pathB]) {
  const [a, b] = [read(pathA), read(pathB)];
  console.log(`A ${a.machine.at} ${a.machine.program}\nB ${b.machine.at} ${b.machine.program}`);
  for (const name of otherMachine(a, b)) console.log(`not the same in both: ${name}`);
  for (const [name, { machine }] of [
    ["A", a],
    ["B", b],
  ])
    if (machine.warning) console.log(`${name}: ${machine.warning} (${machine.busy_before} busy)`);
  const both = b.rows.filter(({ name }) => a.rows.some((row) => row.name === name));
  const found = differences(a, b);
  for (const d of found)
    console.log(
      `${d.row.padEnd(12)} ${d.side.padEnd(20)} ${d.figure.padEnd(20)} ${d.a.toPrecision(4).padStart(10)} -> ` +
        `${d.b.toPrecision(4).padStart(10)}  ${d.change > 0 ? "+" : ""}${d.change.toFixed(0)} %`,
    );
  console.log(`${both.length} rows in both, ${found.length} figures differ beyond the noise`);
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  if (process.argv.length !== 4) {
    console.error("usage: make bench-compare A=result.json B=result.json");
    process.exit(2);
  }
  main(process.argv.slice(2));
}
