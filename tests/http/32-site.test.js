/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* The files that are built into the program: what is served, its security headers, compression and
 * caching. */

import assert from "node:assert/strict";
import { readFileSync, readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { after, test } from "node:test";
import { gunzipSync } from "node:zlib";
import { Cluster, ROOT } from "../lib/cluster.js";
import { readDocument } from "../lib/contract.js";
import { RawConnection } from "../lib/raw.js";

const cluster = await Cluster.up({ shards: 1 });
after(() => cluster.down());
const { api } = cluster;
const port = Number(new URL(api.baseUrl).port);

const ROOTS = [join(ROOT, "server/api/site"), join(ROOT, "server/web/dist")];
/* [[path, contents]] of all files, from the repository. */
const FILES = ROOTS.flatMap((root) =>
  readdirSync(root, { recursive: true })
    .filter((name) => name !== "SOURCES" && statSync(join(root, name)).isFile())
    .map((name) => [`/${name}`.replace(/\/index\.html$/, "/"), readFileSync(join(root, name))]),
);
const gzipped = { headers: { "Accept-Encoding": "gzip" } };

const etagOf = async (path, options) => {
  const { headers } = await api.send("GET", path, options);
  assert.match(headers.etag, /^"[^"]+"$/, "a strong validator");
  return headers.etag;
};

test("every file of the repository is served under its path, plain and compressed", async () => {
  for (const [path, contents] of FILES) {
    const plain = await api.send("GET", path);
    assert.equal(plain.status, 200, path);
    assert.equal(plain.headers["content-encoding"], undefined, path);
    assert.ok(plain.body.equals(contents), path);
    const packed = await api.send("GET", path, gzipped);
    if (packed.headers["content-encoding"]) {
      assert.equal(packed.headers["content-encoding"], "gzip", path);
      assert.ok(packed.body.length < contents.length, path);
      assert.ok(gunzipSync(packed.body).equals(contents), path);
      assert.equal(packed.headers.vary, "Accept-Encoding", path);
      assert.equal(plain.headers.vary, "Accept-Encoding", path);
      assert.notEqual(packed.headers.etag, plain.headers.etag, path);
    } else {
      assert.ok(packed.body.equals(contents), path);
      assert.equal(packed.headers.vary, undefined, path);
    }
  }
  assert.ok(
    FILES.some(([path]) => path === "/"),
    "there is a page",
  );
  assert.ok(
    FILES.some(([path]) => path.startsWith("/web/")),
    "which has parts",
  );
});

test("text is compressed if that makes it shorter, pictures are not", async () => {
  for (const [path] of FILES) {
    const { headers } = await api.send("GET", path, gzipped);
    if (/^(text\/(html|javascript|css)|application\/json|image\/(png|jpeg))/.test(headers["content-type"]))
      assert.equal(
        headers["content-encoding"],
        !headers["content-type"].startsWith("image/") ? "gzip" : undefined,
        path,
      );
  }
});

test("files with a hash in their name are cached for ever, pages are revalidated each time", async () => {
  for (const [path] of FILES) {
    const life = (await api.send("GET", path)).headers["cache-control"];
    if (path.startsWith("/web/")) assert.match(path, /-[\w-]{8}\.[a-z]+$/, "a hash of its contents is in its name");
    if (path.startsWith("/web/")) assert.equal(life, "public, max-age=31536000, immutable", path);
    else if (path.startsWith("/assets/")) assert.equal(life, "public, max-age=86400", path);
    else assert.equal(life, "no-cache", path);
  }
});

const types = {
  "/": "text/html; charset=utf-8",
  "/docs/": "text/html; charset=utf-8",
  "/favicon.ico": "image/x-icon",
  "/robots.txt": "text/plain; charset=utf-8",
  "/openapi.json": "application/json",
  "/docs/swagger-ui-bundle.js": "text/javascript; charset=utf-8",
  "/docs/swagger-ui.css": "text/css; charset=utf-8",
  "/assets/avatar.png": "image/png",
};
for (const [path, type] of Object.entries(types))
  test(`${path} is ${type}`, async () => {
    assert.equal((await api.send("GET", path)).headers["content-type"], type);
  });

test("/openapi.json is the description in the repository, compressed, and revalidated each time", async () => {
  const { json, headers, body } = await api.send("GET", "/openapi.json", gzipped);
  assert.deepEqual(json, readDocument());
  assert.equal(headers["content-encoding"], "gzip");
  assert.ok(body.length < 20000);
  const again = await api.send("GET", "/openapi.json", {
    headers: { ...gzipped.headers, "If-None-Match": headers.etag },
  });
  assert.equal(again.status, 304);
});

test("the API page loads only files that exist, and Swagger UI names its licence", async () => {
  const page = (await api.send("GET", "/docs/")).body.toString();
  const parts = [...page.matchAll(/(?:src|href)="([^"]+)"/g)].map(([, url]) => url);
  for (const part of ["/docs/swagger-ui-bundle.js", "/docs/swagger-ui.css", "/docs/init.js"])
    assert.ok(parts.includes(part), part);
  for (const url of parts) assert.equal((await api.send("GET", url)).status, 200, url);
  assert.match((await api.send("GET", "/docs/licenses.txt")).body.toString(), /Apache License/);
  assert.equal((await api.send("GET", "/docs/swagger-ui-bundle.js.LICENSE.txt")).status, 200);
});

/** The directives of a Content-Security-Policy: { name: [source, ..] }. */
const policyOf = (headers) =>
  Object.fromEntries(
    headers["content-security-policy"]
      .split(";")
      .map((directive) => directive.trim().split(/\s+/))
      .map(([name, ...sources]) => [name, sources]),
  );

const pageOn = (origin) => ({
  "default-src": ["'self'"],
  "img-src": ["'self'", origin],
  "media-src": ["'self'", "blob:", origin],
  "connect-src": ["'self'", origin],
  "object-src": ["'none'"],
  "base-uri": ["'none'"],
  "form-action": ["'self'"],
  "frame-ancestors": ["'none'"],
});

test("the page may load from the service and from the origin of media, may play a local file, runs nothing inline, and cannot be framed", async () => {
  for (const options of [{}, gzipped]) {
    const { headers } = await api.send("GET", "/", options);
    assert.deepEqual(policyOf(headers), pageOn(api.baseUrl));
    assert.equal(headers["x-content-type-options"], "nosniff");
    assert.equal(headers["referrer-policy"], "no-referrer");
    assert.equal(headers["cross-origin-opener-policy"], "same-origin");
  }
});

test("a 304 answer keeps the page's policy", async () => {
  const { status, headers } = await api.send("GET", "/", { headers: { "If-None-Match": await etagOf("/") } });
  assert.equal(status, 304);
  assert.deepEqual(policyOf(headers), pageOn(api.baseUrl));
});

test("the policy names the origin of base_url, without its path", async () => {
  const server = await (await cluster.addServer({ base_url: "https://media.example:8443/a/b" })).start();
  const { headers } = await cluster.apiOf(server).send("GET", "/");
  assert.deepEqual(policyOf(headers), pageOn("https://media.example:8443"));
  assert.equal((await server.stop()).code, 0);
});

test("the API page may have inline styles, but no inline code", async () => {
  const policy = policyOf((await api.send("GET", "/docs/")).headers);
  assert.deepEqual(policy["style-src"], ["'self'", "'unsafe-inline'"]);
  assert.deepEqual(policy["default-src"], ["'self'"]);
  assert.equal(policy["script-src"], undefined);
  assert.deepEqual([policy["frame-ancestors"], policy["base-uri"]], [["'none'"], ["'none'"]]);
});

test("other files, and refusals, may load nothing", async () => {
  for (const path of [
    ...FILES.map(([name]) => name).filter((name) => !name.endsWith("/")),
    "/nothing",
    "/web/nothing.js",
  ]) {
    const { headers } = await api.send("GET", path);
    assert.deepEqual(policyOf(headers), { "default-src": ["'none'"], "frame-ancestors": ["'none'"] }, path);
  }
});

for (const [value, coding] of Object.entries({
  gzip: "gzip",
  "br, gzip;q=0.5": "gzip",
  "*": "gzip",
  "gzip;q=0": undefined,
  "*, gzip;q=0.0": undefined,
  identity: undefined,
  br: undefined,
  "": undefined,
}))
  test(`Accept-Encoding "${value}" is answered with ${coding ?? "the plain file"}`, async () => {
    const { headers } = await api.send("GET", "/", { headers: { "Accept-Encoding": value } });
    assert.equal(headers["content-encoding"], coding);
    assert.equal(headers.vary, "Accept-Encoding");
  });

test("two Accept-Encoding headers that may contradict each other: the plain file", async () => {
  const { headers } = await api.send("GET", "/", { headers: { "Accept-Encoding": ["gzip", "gzip;q=0"] } });
  assert.equal(headers["content-encoding"], undefined);
});

test("a validator belongs to one encoding: only that one is answered with 304", async () => {
  const plain = await etagOf("/");
  const packed = await etagOf("/", gzipped);
  const ask = async (etag, options = {}) => {
    const answer = await api.send("GET", "/", { headers: { ...options.headers, "If-None-Match": etag } });
    assert.equal(answer.headers.vary, "Accept-Encoding");
    assert.equal(answer.headers["cache-control"], "no-cache");
    return answer.status;
  };
  assert.deepEqual([await ask(plain), await ask(packed)], [304, 200]);
  assert.deepEqual([await ask(plain, gzipped), await ask(packed, gzipped)], [200, 304]);
  assert.equal(await ask(`"x", W/${packed}`, gzipped), 304);
  assert.equal(await ask('"x"'), 200);
});

test("a range is one of the plain file, whatever encodings are accepted", async () => {
  const [, contents] = FILES.find(([path]) => path === "/");
  const etag = await etagOf("/");
  const ask = (range, more = {}) => api.send("GET", "/", { headers: { ...gzipped.headers, Range: range, ...more } });
  for (const more of [{}, { "If-Range": etag }]) {
    const part = await ask("bytes=2-9", more);
    assert.equal(part.status, 206);
    assert.equal(part.headers["content-encoding"], undefined);
    assert.equal(part.headers["content-range"], `bytes 2-9/${contents.length}`);
    assert.equal(part.headers.etag, etag);
    assert.ok(part.body.equals(contents.subarray(2, 10)));
  }
  const whole = await ask("bytes=2-9", { "If-Range": await etagOf("/", gzipped) });
  assert.equal(whole.status, 200);
  assert.ok(whole.body.equals(contents));
  const beyond = await ask(`bytes=${contents.length}-`);
  assert.equal(beyond.status, 416);
  assert.equal(beyond.headers["content-range"], `bytes */${contents.length}`);
});

test("HEAD is GET without a body, plain and compressed", async () => {
  for (const [path] of FILES)
    for (const options of [{}, gzipped]) {
      const varying = ({ headers: { date, "x-request-id": id, ...rest } }) => rest;
      const head = await api.send("HEAD", path, options);
      assert.equal(head.status, 200, path);
      assert.deepEqual(varying(head), varying(await api.send("GET", path, options)), path);
    }
});

test("any other method is 405 and names GET and HEAD", async () => {
  for (const path of [
    "/",
    "/web/page.js",
    "/docs/",
    "/favicon.ico",
    "/robots.txt",
    "/openapi.json",
    "/assets/avatar.png",
  ])
    for (const method of ["POST", "PUT", "PATCH", "DELETE", "OPTIONS"]) {
      const { status, headers } = await api.send(method, path);
      assert.deepEqual([status, headers.allow], [405, "GET, HEAD"], `${method} ${path}`);
    }
});

/* [target, status]: nothing in a path leads to another file. */
const LONG = "a".repeat(8000);
const HOSTILE = [
  ["/web/../", 404],
  ["/web/../robots.txt", 404],
  ["/web/%2e%2e/robots.txt", 404],
  ["/web/..%2frobots.txt", 404],
  ["/web/%2e%2e%2f%2e%2e%2fetc/passwd", 404],
  ["/docs/../../../etc/passwd", 404],
  ["/docs/..\\..\\robots.txt", 404],
  ["/./", 404],
  ["/.", 404],
  ["/..", 404],
  ["//", 404],
  ["//robots.txt", 404],
  ["/robots.txt//", 404],
  ["///", 404],
  ["/web//", 404],
  ["/web/", 404],
  ["/web", 404],
  ["/docs//", 404],
  ["/docs/index.html", 404],
  ["/index.html", 404],
  ["/SOURCES", 404],
  ["/web/SOURCES", 404],
  ["/ROBOTS.TXT", 404],
  ["/robots.txt.gz", 404],
  ["/%252e%252e/robots.txt", 404],
  ["/robots%2etxt", 200],
  ["/robots.txt?x=/../", 200],
  ["/?page=../", 200],
  ["/%00", 400],
  ["/robots.txt%00", 400],
  ["/robots.txt%00.png", 400],
  ["/web/%00/robots.txt", 400],
  ["/web/%0d%0aX:%20y", 400],
  [`/${LONG}`, 404],
  [`/web/${LONG}.js`, 404],
  [`/web/${"../".repeat(2000)}robots.txt`, 404],
  [`/${LONG.repeat(3)}`, 414],
];
test("hostile paths find nothing", async () => {
  for (const [target, expected] of HOSTILE) {
    const name = target.slice(0, 60);
    const connection = await RawConnection.open(port);
    await connection.send(`GET ${target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`);
    const [answer] = await connection.answers(1);
    assert.equal(answer.status, expected, name);
    if (expected === 400 || expected === 404) assert.equal(JSON.parse(answer.body).status_code, 1000 + expected, name);
    connection.close();
  }
});

test("a NUL byte in the request line is refused", async () => {
  const connection = await RawConnection.open(port);
  await connection.send("GET /robots.txt\0 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  const [answer] = await connection.answers(1);
  assert.equal(answer.status, 400);
  connection.close();
});

test("without the final slash the answer is the same, and nothing redirects", async () => {
  const [slash, none] = [await api.send("GET", "/docs/"), await api.send("GET", "/docs")];
  assert.equal(none.status, 200);
  assert.equal(none.headers.etag, slash.headers.etag);
});
