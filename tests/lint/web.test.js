/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* The files built in server/web/dist are what was built from their sources, and a browser may load them. */

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

const WEB = fileURLToPath(new URL("../../server/web", import.meta.url));
const DIST = join(WEB, "dist");
const stamp = join(WEB, "stamp.js");

test("the client page is what was built from its sources", () => {
  execFileSync(process.execPath, [stamp, "--check"], { stdio: ["ignore", "ignore", "inherit"] });
});

/* Whether a file is served: its path is that below dist/, a page is found under that of its directory. */
const isServed = (url) =>
  existsSync(join(DIST, url.endsWith("/") ? `${url}index.html` : url)) ||
  existsSync(join(WEB, "../api/site", url)) ||
  /^\/douyin\//.test(url);

/** Contents of a page that its policy refuses, or that do not exist; STYLES: inline ones are allowed. */
function pageProblems(html, { styles = false } = {}) {
  const problems = [];
  if (/<script(?![^>]*\ssrc=)/i.test(html)) problems.push("an inline script");
  if (/\son[a-z]+\s*=/i.test(html)) problems.push("an inline handler");
  if (!styles && /<style|\sstyle\s*=/i.test(html)) problems.push("an inline style");
  for (const [, url] of html.matchAll(/\s(?:src|href)\s*=\s*["']?([^"'\s>]+)/gi))
    if (!url.startsWith("/") || url.startsWith("//")) problems.push(`${url} is no path of ours`);
    else if (!isServed(url)) problems.push(`${url} is not there`);
  return problems;
}

test("the pages refer to what is served, and their policy lets them", () => {
  const pages = readdirSync(DIST, { recursive: true }).filter((name) => name.endsWith(".html"));
  assert.ok(pages.includes("index.html"));
  for (const page of pages)
    assert.deepEqual(
      pageProblems(readFileSync(join(DIST, page), "utf8"), { styles: page.startsWith("docs/") }),
      [],
      page,
    );
  assert.equal(
    pageProblems(`<script>x</script><p onclick="x" style="x"><script src="https://x/y.js"></script>
    <link href="//x"><link href="/web/none.css"><link href='x.css'><a href="/robots.txt">`).length,
    7,
  );
});
