/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Each folder of C files is a room, which may include the rooms that the table names, and no others.
 * Every check also gets a bad sample that it must refuse. */
import assert from "node:assert/strict";
import { dirname } from "node:path";
import test from "node:test";

import { holds, sources } from "./tree.js";

/* Which rooms a room may include besides itself. From the bottom up: each row names only rooms of
 * rows above it. */
const SHARD = ["shard", "shard/base"];
const ROOMS = {
  "shard/base": [],
  shard: ["shard/base"],
  "server/base": [...SHARD],
  "server/config": ["server/base", ...SHARD],
  "server/media": ["server/config", "server/base", ...SHARD],
  "server/request": ["server/media", "server/config", "server/base", ...SHARD],
  "server/auth": ["server/request", "server/config", "server/base", ...SHARD],
  "server/http": ["server/auth", "server/request", "server/media", "server/config", "server/base", "shard/base"],
  "server/api": ["server/auth", "server/request", "server/media", "server/config", "server/base", ...SHARD],
  server: ["server/api", "server/http", "server/auth", "server/media", "server/config", "server/base", ...SHARD],
  scripts: ["server/config", "server/base", ...SHARD],
};

/* Libraries that only a few files may call: the header, and the files that may include it. */
const LIBRARIES = [
  ["mysql.h", /^(shard\/dbconn_impl\.h|scripts\/shardctl_call\.c|tests\/integration\/root\.h|tests\/bench\/probe\.c)$/],
  [
    "microhttpd.h",
    /^(server\/http\/(http|exchange_\w+|framing)|server\/request\/reply(_file)?|tests\/(bench\/barehttp|fuzz\/fuzz_framing))\.c$/,
  ],
  ["libconfig.h", /^server\/config\/config_file\.h$/],
  ["hiredis.h", /^shard\/rwire\.c$/],
  ["seccomp.h", /^server\/media\/jail_seccomp\.c$/],
  [
    "jansson.h",
    /^(server\/(auth\/jwt|media\/media)\.c|server\/base\/json_in\.h|shard\/move_verify\.c|scripts\/.*|tests\/.*)$/,
  ],
];

/* Private headers: header, and the files that may include it. */
const INSIDES = [
  ["shard/dbconn_impl.h", /^shard\/(db(conn|exec|read)|move_query)\.c$/],
  ["shard/router_impl.h", /^shard\/router(_\w+)?\.[ch]$/],
  ["shard/router_errand.h", /^shard\/router_(call|pack|answer)\.c$/],
  ["server/http/exchange_impl.h", /^server\/http\/exchange(_\w+)?\.c$/],
  ["shard/rbatch.h", /^shard\/r(batch|cluster)\.c$/],
];

const includes = (text) =>
  [...text.matchAll(/^\s*#\s*include\s+([<"])([^>"]+)[>"]/gm)].map(([, open, name]) => ({ ours: open === '"', name }));

const isTest = (path) => path.startsWith("tests/");

/** Rooms, private headers and libraries are included only where allowed. */
function includeProblems({ path, text }) {
  const room = dirname(path);
  const bad = ({ ours, name }) =>
    ours
      ? (!isTest(path) && ![room, ...(ROOMS[room] ?? [])].includes(dirname(name))) ||
        INSIDES.some(([header, who]) => name === header && !who.test(path))
      : LIBRARIES.some(([header, who]) => name.split("/").pop() === header && !who.test(path));
  return includes(text)
    .filter(bad)
    .map(({ name }) => `${path} includes ${name}`);
}

test("a room includes only rooms that the table names, and libraries stay in their files", () => {
  const sample = (path, name) => includeProblems({ path, text: `#include ${name}\n` });
  holds(
    sources.flatMap(includeProblems),
    [
      ...sample("shard/router.c", '"server/base/app.h"'),
      ...sample("shard/base/log.c", '"shard/id.h"'),
      ...sample("server/http/http.c", '"tests/unit/x.h"'),
      ...sample("server/auth/auth.c", "<mysql.h>"),
      ...sample("shard/router.c", "<jansson.h>"),
      ...sample("server/api/page.c", '"shard/id.h"'),
      ...sample("shard/dbpool.c", '"shard/dbconn_impl.h"'),
      ...sample("shard/feed.c", '"shard/router_impl.h"'),
      ...sample("shard/router_kill.c", '"shard/router_impl.h"'),
      ...sample("server/request/reply.c", '"server/http/http.h"'),
      ...sample("server/api/views.c", '"server/http/http.h"'),
      ...sample("server/attic/x.c", '"shard/id.h"'),
      ...sample("tests/unit/test_x.c", '"server/http/http.h"'),
    ],
    10,
  );
});

/** The table has no cycle, and no entry that no file needs. */
function tableProblems(rooms, files) {
  const names = Object.keys(rooms);
  const used = new Set(
    files.flatMap(({ path, text }) =>
      includes(text)
        .filter(({ ours }) => ours)
        .map(({ name }) => `${dirname(path)} > ${dirname(name)}`),
    ),
  );
  return names.flatMap((room, i) =>
    rooms[room].flatMap((below) => [
      ...(names.indexOf(below) < i ? [] : [`${room} names ${below}, which is not above it in the table`]),
      ...(used.has(`${room} > ${below}`) ? [] : [`${room} need not name ${below}`]),
    ]),
  );
}

test("the table of rooms has no cycle and no unused entry", () => {
  assert.ok(Object.keys(ROOMS).every((room) => sources.some(({ path }) => dirname(path) === room)));
  holds(
    tableProblems(ROOMS, sources),
    tableProblems({ a: ["b"], b: ["a"] }, [
      { path: "b/x.c", text: '#include "a/y.h"\n' },
      { path: "a/x.c", text: "#include <b/y.h>\n" },
    ]),
    2,
  );
});
