/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Pure checkers: they examine what a test has collected and name the errors. Each has a test in
 * http/00-tools.test.js that shows it failing on a planted fault. */

/**
 * Rows on a shard that does not own their slot. ROWS: {shard, slot, id}; OWNER: Map of slot to
 * the shard that `slot_where` names. Also rows whose slot is not that of WHERE(id), when WHERE is given.
 */
export function strayRows(rows, owner, where) {
  const strays = [];
  for (const row of rows) {
    if (owner.get(row.slot) !== row.shard)
      strays.push(`${row.id} (slot ${row.slot}) on ${row.shard}, owner ${owner.get(row.slot)}`);
    if (where && where(row.id) !== row.slot)
      strays.push(`${row.id} is stored under slot ${row.slot}, its slot is ${where(row.id)}`);
  }
  return strays;
}

/** The slot that a 53-bit id names: [40 ms | 10 slot | 3 low]. */
export const slotOfId = (id) => Math.floor(id / 8) % 1024;

const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, n) => {
  for (let bit = 0; bit < 8; bit++) n = n & 1 ? (n >>> 1) ^ 0xedb88320 : n >>> 1;
  return n >>> 0;
});

/** CRC-32 as SQL's CRC32(). */
export function crc32(bytes) {
  let crc = 0xffffffff;
  for (const byte of bytes) crc = CRC_TABLE[(crc ^ byte) & 0xff] ^ (crc >>> 8);
  return (crc ^ 0xffffffff) >>> 0;
}

/** The slot of a user name. */
export const slotOfName = (name) => crc32(Buffer.from(name, "utf8")) % 1024;

/** Milliseconds since 1970 UTC that an id names. */
export const timeOfId = (id) => Math.floor(id / 8192) + 1735689600000;

/** Keys that occur more than once. */
export function duplicates(keys) {
  const seen = new Set();
  return [...new Set(keys.filter((key) => seen.size === seen.add(key).size))];
}

/**
 * The errors of a walk over pages. PAGES: arrays of {id, at} in the order read; EXPECTED: the
 * ids that had to appear, once each. Times must not increase.
 */
export function walkProblems(pages, expected) {
  const problems = [];
  const walked = pages.flat();
  const ids = walked.map(({ id }) => id);
  for (const id of duplicates(ids)) problems.push(`twice: ${id}`);
  const got = new Set(ids);
  for (const id of expected) if (!got.has(id)) problems.push(`missing: ${id}`);
  for (let i = 1; i < walked.length; i++)
    if (walked[i].at > walked[i - 1].at)
      problems.push(`out of order: ${walked[i].id} (${walked[i].at}) after ${walked[i - 1].at}`);
  return problems;
}

/**
 * The errors of mailboxes: numbers that are missing or used twice, duplicate messages, copies that differ.
 * MESSAGES: {user_id, peer_id, sent (1, 0), seq, message_id, text}, of which none was taken back.
 */
export function mailboxProblems(messages) {
  const key = ({ user_id: user, peer_id: peer, sent }) => (sent === 1 ? `${user} to ${peer}` : `${peer} to ${user}`);
  const problems = [
    ...duplicates(messages.map((m) => `${key(m)}, ${m.sent ? "sent" : "received"}, number ${m.seq}`)),
    ...duplicates(messages.map((m) => `${key(m)}, ${m.sent ? "sent" : "received"}, id ${m.message_id}`)),
  ].map((what) => `twice: ${what}`);
  for (const direction of new Set(messages.map(key))) {
    const [sent, received] = [1, 0].map((side) =>
      messages.filter((m) => m.sent === side && key(m) === direction).sort((a, b) => a.seq - b.seq),
    );
    const said = (list) => list.map((m) => `${m.seq} ${m.message_id} ${m.text}`).join("; ");
    if (said(sent) !== said(received)) problems.push(`${direction}: ${said(sent)} | ${said(received)}`);
    if (sent.some((m, i) => m.seq !== i + 1)) problems.push(`${direction}: a number is missing: ${said(sent)}`);
  }
  return problems;
}

/** The owners whose versions went backwards. EARLIER, NOW: Map of owner to a list of versions; owners that
 * are gone do not count. */
export const versionsBackwards = (earlier, now) =>
  [...earlier]
    .filter(([key, list]) => now.has(key) && list.some((version, i) => version > now.get(key)[i]))
    .map(([key]) => key);

/**
 * Pearson's chi-squared of COUNTS against equal shares, divided by the degrees of freedom: about 1 for
 * an even spread, whatever the size of the sample.
 */
export function unevenness(counts) {
  const total = counts.reduce((a, b) => a + b, 0);
  const share = total / counts.length;
  return counts.reduce((sum, n) => sum + (n - share) ** 2 / share, 0) / (counts.length - 1);
}

/** The P-quantile (0..1) of numbers. */
export function quantile(numbers, p) {
  const sorted = [...numbers].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(p * sorted.length))];
}

/**
 * Problems of a Prometheus text exposition (format 0.0.4): every sample belongs to a family with HELP
 * and TYPE before it, no family or sample comes twice, values are numbers, histograms are cumulative.
 */
export function expositionProblems(text) {
  const problems = [];
  const families = new Map();
  const samples = new Set();
  const buckets = new Map();
  if (!text.endsWith("\n")) problems.push("the last line does not end");
  for (const line of text.split("\n")) {
    if (line === "") continue;
    const meta = /^# (HELP|TYPE) ([a-zA-Z_:][a-zA-Z0-9_:]*) (.+)$/.exec(line);
    if (meta) {
      const family = families.get(meta[2]) ?? {};
      if (family[meta[1]]) problems.push(`${meta[1]} twice: ${meta[2]}`);
      family[meta[1]] = meta[3];
      families.set(meta[2], family);
      continue;
    }
    if (line.startsWith("#")) continue;
    const sample = /^([a-zA-Z_:][a-zA-Z0-9_:]*)(\{(?:[a-zA-Z_]\w*="(?:[^"\\\n]|\\[\\"n])*",?)*\})? (\S+)$/.exec(line);
    if (!sample) {
      problems.push(`not a sample: ${line}`);
      continue;
    }
    const [, name, labels = "", value] = sample;
    const base = name.replace(/_(bucket|sum|count)$/, "");
    const family = families.get(name) ?? families.get(base);
    if (!family?.TYPE || !family?.HELP) problems.push(`no HELP and TYPE before: ${name}`);
    if (!/^[+-]?(\d+(\.\d+)?([eE][+-]?\d+)?|Inf|NaN)$/.test(value)) problems.push(`not a number: ${line}`);
    if (samples.has(name + labels)) problems.push(`sample twice: ${name}${labels}`);
    samples.add(name + labels);
    if (family?.TYPE === "counter" && Number(value) < 0) problems.push(`negative counter: ${line}`);
    if (name.endsWith("_bucket") && family?.TYPE === "histogram") {
      const key = base + labels.replace(/,?le="[^"]*"/, "");
      const before = buckets.get(key) ?? 0;
      if (Number(value) < before) problems.push(`bucket shrinks: ${line}`);
      buckets.set(key, Number(value));
    }
  }
  return problems;
}
