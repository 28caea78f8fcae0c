/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* One row of the result as a chart (SVG): rates and latency curves. Pure. */

const WIDTH = 900;
const BAR = 26;
const LABEL = 190;
const CURVE = 300;
const COLOURS = ["#0b6e99", "#d9730d", "#6940a5", "#0f7b6c", "#ad1a72"];

const xml = (text) => String(text).replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
const round = (v) => Math.round(v * 10) / 10;
const label = (v) => (v >= 100 ? Math.round(v).toLocaleString("en-US") : v.toPrecision(3));

const text = (x, y, what, more = "") => `<text x="${round(x)}" y="${round(y)}" ${more}>${xml(what)}</text>`;
const line = (x1, y1, x2, y2, colour) =>
  `<line x1="${round(x1)}" y1="${round(y1)}" x2="${round(x2)}" y2="${round(y2)}" stroke="${colour}"/>`;

/* Bars with their quartiles. */
function bars(sides, unit, top) {
  const most = Math.max(...sides.map(({ high }) => high)) || 1;
  const x = (v) => LABEL + ((WIDTH - LABEL - 130) * v) / most;
  return sides
    .map(({ name, median, low, high }, i) => {
      const y = top + i * BAR;
      const middle = y + BAR / 2 - 3;
      return `${text(LABEL - 8, middle + 4, name, 'text-anchor="end"')}
<rect x="${LABEL}" y="${y}" width="${round(x(median) - LABEL)}" height="${BAR - 6}" fill="${COLOURS[i % COLOURS.length]}"/>
${line(x(low), middle, x(high), middle, "#000")}${text(x(Math.max(median, high)) + 8, middle + 4, `${label(median)} ${unit}`)}`;
    })
    .join("\n");
}

/* 10^E microseconds. */
const powerOfTen = (e) => (e < 3 ? `${10 ** e} us` : e < 6 ? `${10 ** (e - 3)} ms` : `${10 ** (e - 6)} s`);

/* Latency over the share that took at most so long; 90 %, 99 %, 99.9 % .. are equally far apart. */
function curves(sides, top) {
  const points = sides.flatMap(({ curve }) => curve);
  const nines = (share) => -Math.log10(1 - share);
  const right = Math.max(1, ...points.map(([, share]) => nines(share)));
  const us = points.map(([v]) => Math.max(v, 1));
  const [low, high] = [Math.floor(Math.log10(Math.min(...us))), Math.ceil(Math.log10(Math.max(...us)) + 0.01)];
  const x = (share) => LABEL + ((WIDTH - LABEL - 40) * nines(share)) / right;
  const y = (v) => top + CURVE - (CURVE * (Math.log10(Math.max(v, 1)) - low)) / (high - low);
  const parts = [];
  for (let e = low; e <= high; e++) {
    parts.push(line(LABEL, y(10 ** e), WIDTH - 40, y(10 ** e), "#ddd"));
    parts.push(text(LABEL - 8, y(10 ** e) + 4, powerOfTen(e), 'text-anchor="end"'));
  }
  for (const share of [0, 0.5, 0.9, 0.99, 0.999, 0.9999].filter((s) => nines(s) <= right)) {
    parts.push(line(x(share), top, x(share), top + CURVE, "#ddd"));
    parts.push(text(x(share), top + CURVE + 18, `${round(share * 10000) / 100} %`, 'text-anchor="middle"'));
  }
  parts.push(text(LABEL, top - 8, "latency, over the share of the answers that took at most so long"));
  for (const { colour, curve } of sides) {
    const way = curve.map(([v, s]) => `${round(x(s))},${round(y(v))}`).join(" ");
    parts.push(`<polyline fill="none" stroke="${colour}" stroke-width="2" points="${way}"/>`);
  }
  return parts.join("\n");
}

/** The chart of ROW; "" if there is nothing to show. */
export function svgOf(row) {
  const sides = Object.entries(row.sides).map(([name, side], i) => ({
    name,
    colour: COLOURS[i % COLOURS.length],
    curve: side.curve ?? [],
    ...(side.per_s ?? side.value),
  }));
  if (sides.length === 0) return "";
  const timed = sides.filter(({ curve }) => curve.length > 1);
  const top = 40 + sides.length * BAR + 30;
  const height = timed.length > 0 ? top + CURVE + 40 : top;
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${height}" font-family="sans-serif" font-size="13">
<rect width="100%" height="100%" fill="#fff"/>
${text(12, 24, `${row.name}: ${row.what}`, 'font-size="16"')}
${bars(sides, row.unit, 40)}
${timed.length > 0 ? curves(timed, top) : ""}
</svg>
`;
}
