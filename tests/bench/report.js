/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* The result of a run as a table. Pure. */

export const number = (v) => (v >= 100 ? Math.round(v).toLocaleString("en-US") : v >= 10 ? v.toFixed(1) : v.toFixed(2));

/** "12,345 (12,000 to 12,800)". */
export const spread = ({ median, low, high }) => `${number(median)} (${number(low)} to ${number(high)})`;

/** Rows of cells as aligned lines: the first column to the left, the others to the right. */
export const columns = (rows) => {
  const width = rows[0].map((_, c) => Math.max(...rows.map((row) => row[c].length)));
  return rows.map((row) => row.map((cell, c) => (c < 1 ? cell.padEnd(width[c]) : cell.padStart(width[c]))).join("  "));
};

/** The median of a figure that may be missing. */
export const median = (f) => (f ? number(f.median) : "");

const cpuText = (cpu) =>
  Object.entries(cpu)
    .map(([name, f]) => `${name} ${number(f.median)}`)
    .join(", ");

function loadLines(row) {
  const sides = Object.entries(row.sides).filter(([, side]) => side.per_s);
  if (sides.length === 0) return [];
  const first = sides[0][1].per_s.median;
  const head = [
    "",
    row.unit,
    "share",
    "p50 ms",
    "p99 ms",
    "99.9 % ms",
    "clients",
    "CALLs",
    "SQL bytes",
    "CPU us per request",
  ];
  return columns([
    head,
    ...sides.map(([name, s], i) => [
      name,
      spread(s.per_s),
      i === 0 || s.rate > 0 ? "" : `${number((100 * first) / s.per_s.median)} %`,
      ...[s.p50_ms, s.p99_ms, s.p999_ms].map(median),
      `${s.connections}${s.rate > 0 ? " open" : ""}`,
      ...[s.calls, s.db_bytes].map(median),
      cpuText(s.cpu_us),
    ]),
  ]);
}

function valueLines(row) {
  const sides = Object.entries(row.sides).filter(([, side]) => side.value);
  if (sides.length === 0) return [];
  return columns([["", row.unit], ...sides.map(([name, s]) => [name, spread(s.value)])]);
}

/** Lines about one row, for people. */
export function rowText(row) {
  const title = `${row.name}: ${row.what}   [${row.target}]`;
  if (row.error) return [title, `  FAILED: ${row.error}`].join("\n");
  const refused = Object.entries(row.sides).filter(([, side]) => side.refused > 0);
  const notes = [
    row.note,
    ...refused.map(
      ([name, side]) =>
        `${name}: ${side.refused} requests were refused (status_code ${side.refusal}) and are in no figure`,
    ),
  ].filter(Boolean);
  return [title, ...[...loadLines(row), ...valueLines(row), ...notes].map((line) => `  ${line}`)].join("\n");
}

/** Lines about the machine and the settings. */
export function machineText(machine) {
  return Object.entries(machine)
    .map(([name, value]) => `${name}: ${typeof value === "object" ? JSON.stringify(value) : value}`)
    .join("\n");
}
