/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* The manual page of shardctl equals the program's help texts. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { PAGE, commands, isBuilt, options, page, troff } from "./manpage.js";
import { read } from "./tables.js";

test("every command has its section, every option is named", () => {
  const text = read(PAGE).replaceAll("\\-", "-");
  const missing = [
    ...commands().filter((name) => !new RegExp(`^\\.SS ${name}( |$)`, "m").test(text)),
    ...options().filter((name) => !new RegExp(`--${name}\\b`).test(text)),
  ];
  assert.deepEqual(missing, [], "run: node tests/lint/manpage.js --write");
});

test("the page matches the help texts", { skip: !isBuilt() && "shardctl is not built" }, () => {
  assert.equal(read(PAGE), page(), "run: node tests/lint/manpage.js --write");
});

test("a text becomes troff: no part of it is read as a request", () => {
  assert.equal(
    troff("one: a-b\n\n  --x=N   what\n          it is\n\n    shardctl x\n.not 'this'\n"),
    "one: a\\-b\n.TP\n.B \\-\\-x=N\nwhat\nit is\n.PP\n.RS 2\n.nf\n  shardctl x\n.fi\n.RE\n\\&.not 'this'",
  );
});
