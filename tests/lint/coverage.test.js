/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* What `make coverage` prints is right. */

import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { folders } from "../coverage.js";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));

/* What gcov says of FILE; ROWS: [line, count, ...counts of its branches]. */
const unit = (file, ...rows) => ({
  files: [
    {
      file,
      lines: rows.map(([number, count, ...branches]) => ({
        line_number: number,
        count,
        branches: branches.map((n) => ({ count: n })),
      })),
    },
  ],
});
const sum = (lines, branches) => {
  const of = ([run, all]) => ({ run, all });
  return { lines: of(lines), branches: of(branches) };
};

test("counts of a source that two programs contain are added; folders are counted alone and together", () => {
  assert.deepEqual(
    [
      ...folders([
        unit("shard/base/b.c", [7, 5]),
        unit("server/a.c", [1, 1, 1, 0], [2, 0], [3, 0, 0, 0]),
        unit(join(ROOT, "server/a.c"), [1, 0, 0, 2], [2, 0], [3, 0, 0, 0]),
      ]),
    ],
    [
      ["server", sum([1, 3], [2, 4])],
      ["shard/base", sum([1, 1], [0, 0])],
      ["all", sum([2, 4], [2, 4])],
    ],
  );
});

test("a folder without code counts nothing, and what is not the program's does not count", () => {
  assert.deepEqual(
    [...folders([unit("scripts/empty.c"), unit("tests/unit/t.c", [1, 1]), unit("/usr/include/t.h", [1, 1])])],
    [
      ["scripts", sum([0, 0], [0, 0])],
      ["all", sum([0, 0], [0, 0])],
    ],
  );
});

test("what gcov does not say is missed, and not taken for nothing", () => {
  const old = unit("server/a.c", [1, 1]);
  delete old.files[0].lines[0].branches; /* as without --branch-probabilities */
  assert.throws(() => folders([old]));
});
