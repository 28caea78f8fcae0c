/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* The description of the API is valid and complete, and is what the program serves. */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { Validator } from "@seriousme/openapi-schema-validator";
import YAML from "yaml";
import { JSON_PATH, description, jsonOf, problemsOf } from "./openapi.js";

test("server/api/site/openapi.json matches server/api/openapi.yaml", () => {
  assert.ok(readFileSync(JSON_PATH, "utf8") === jsonOf(description()), "outdated: node tests/lint/openapi.js --write");
});

test("it is valid OpenAPI 3.1", async () => {
  const { valid, errors } = await new Validator().validate(description());
  assert.ok(valid, JSON.stringify(errors));
});

test("every operation, parameter and answer is described", () => {
  assert.deepEqual(problemsOf(description()), []);
});

/* Every kind of gap. */
const BAD = `
openapi: 3.1.0
tags: [{name: a}]
paths:
  /douyin/x/{id}:
    get:
      operationId: X
      tags: [b]
      summary: does it
      x-required: [q, missing]
      parameters:
        - {name: q, in: query}
        - {$ref: "#/components/parameters/q"}
        - {$ref: "#/components/parameters/gone"}
      responses:
        4XX: {content: {application/json: {}}}
  /y:
    post:
      operationId: y
      tags: [a]
      summary: Does it.
      parameters: [{name: id, in: path, description: Which., schema: {}}]
      responses: {"200": {description: Done.}}
    get:
      operationId: y
      tags: [a]
      summary: Does it.
      responses: {"200": {description: Done.}}
components:
  parameters:
    q: {name: q, in: query, description: A q., schema: {}}
    unused: {name: u, in: query, description: A u., schema: {}}
`;

test("a bad description is refused", () => {
  assert.deepEqual(
    problemsOf(YAML.parse(BAD)).sort(),
    [
      "#/paths/~1douyin~1x~1{id}/get/parameters/2: #/components/parameters/gone is not there",
      "GET /douyin/x/{id} has no operationId",
      "GET /douyin/x/{id} does not have exactly one known tag",
      "GET /douyin/x/{id} never succeeds",
      "GET /douyin/x/{id}: 4XX application/json has no example",
      "GET /douyin/x/{id}: 4XX application/json has no schema",
      "GET /douyin/x/{id}: 4XX has no description",
      "GET /douyin/x/{id}: its summary is not a sentence",
      "GET /douyin/x/{id}: missing is required but does not exist",
      "GET /douyin/x/{id}: query q has no description",
      "GET /douyin/x/{id}: query q has no schema",
      "GET /douyin/x/{id}: query q is there twice",
      "GET /douyin/x/{id}: undefined undefined has no description",
      "GET /douyin/x/{id}: undefined undefined has no schema",
      "GET /douyin/x/{id}: {id} is no parameter",
      "POST /y: y is used twice",
      "POST /y: path id is not in the path",
      "nothing refers to parameters/unused",
    ].sort(),
  );
});
