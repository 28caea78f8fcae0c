/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Makes server/api/site/openapi.json, which the program serves, from server/api/openapi.yaml, and reports
 * gaps in the description.
 *
 * usage: node tests/lint/openapi.js          print the JSON
 *        node tests/lint/openapi.js --write  put it into its place */
import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import YAML from "yaml";

const YAML_PATH = fileURLToPath(new URL("../../server/api/openapi.yaml", import.meta.url));
export const JSON_PATH = fileURLToPath(new URL("../../server/api/site/openapi.json", import.meta.url));

export const description = () => YAML.parse(readFileSync(YAML_PATH, "utf8"));

/** The text of the file for DOC. */
export const jsonOf = (doc) => `${JSON.stringify(doc, null, 1)}\n`;

const METHODS = ["get", "put", "post", "delete", "options", "head", "patch", "trace"];

/** The target of a "$ref" in DOC. */
function resolved(doc, node) {
  let at = node;
  while (at?.$ref !== undefined)
    at = at.$ref
      .slice(2)
      .split("/")
      .reduce((from, key) => from?.[key.replaceAll("~1", "/").replaceAll("~0", "~")], doc);
  return at;
}

/** Every object in NODE with the pointer to it. */
function* objects(node, pointer = "#") {
  if (node === null || typeof node !== "object") return;
  yield [pointer, node];
  for (const [key, child] of Object.entries(node))
    yield* objects(child, `${pointer}/${key.replaceAll("~", "~0").replaceAll("/", "~1")}`);
}

function referenceProblems(doc) {
  const problems = [];
  const used = new Set();
  for (const [pointer, { $ref }] of objects(doc)) {
    if (typeof $ref !== "string") continue;
    used.add($ref);
    if (!$ref.startsWith("#/") || resolved(doc, { $ref }) === undefined)
      problems.push(`${pointer}: ${$ref} is not there`);
  }
  for (const [kind, parts] of Object.entries(doc.components ?? {}))
    for (const name of Object.keys(parts))
      if (!["securitySchemes", "responses"].includes(kind) && !used.has(`#/components/${kind}/${name}`))
        problems.push(`nothing refers to ${kind}/${name}`);
  return problems;
}

function parameterProblems(doc, where, template, list) {
  const problems = [];
  const names = new Set();
  const inPath = [...template.matchAll(/\{(\w+)\}/g)].map(([, name]) => name);
  for (const item of list) {
    const parameter = resolved(doc, item) ?? {};
    const name = `${parameter.in} ${parameter.name}`;
    if (names.has(name)) problems.push(`${where}: ${name} is there twice`);
    names.add(name);
    if (!parameter.description) problems.push(`${where}: ${name} has no description`);
    if (parameter.schema === undefined) problems.push(`${where}: ${name} has no schema`);
    if (parameter.in === "path" && !inPath.includes(parameter.name))
      problems.push(`${where}: ${name} is not in the path`);
  }
  for (const name of inPath) if (!names.has(`path ${name}`)) problems.push(`${where}: {${name}} is no parameter`);
  return problems;
}

function responseProblems(doc, where, responses) {
  const problems = [];
  for (const [status, item] of Object.entries(responses)) {
    const response = resolved(doc, item) ?? {};
    if (!response.description) problems.push(`${where}: ${status} has no description`);
    for (const [type, media] of Object.entries(response.content ?? {})) {
      if (media.schema === undefined) problems.push(`${where}: ${status} ${type} has no schema`);
      if (template(where).startsWith("/douyin/") && media.example === undefined && media.examples === undefined)
        problems.push(`${where}: ${status} ${type} has no example`);
    }
  }
  if (!Object.keys(responses).some((status) => status.startsWith("2"))) problems.push(`${where} never succeeds`);
  return problems;
}
const template = (where) => where.split(" ")[1];

/** Differences between x-required of an operation and its parameters. */
function requiredProblems(doc, where, operation, parameters) {
  const names = new Set(parameters.map((item) => resolved(doc, item)?.name));
  for (const media of Object.values(operation.requestBody?.content ?? {}))
    for (const name of Object.keys(resolved(doc, media.schema)?.properties ?? {})) names.add(name);
  return (operation["x-required"] ?? [])
    .filter((name) => !names.has(name))
    .map((name) => `${where}: ${name} is required but does not exist`);
}

/** The gaps in DOC, one line each. */
export function problemsOf(doc) {
  const problems = referenceProblems(doc);
  const ids = new Set();
  const tags = new Set((doc.tags ?? []).map(({ name }) => name));
  for (const [path, item] of Object.entries(doc.paths))
    for (const method of METHODS.filter((name) => item[name])) {
      const operation = item[method];
      const where = `${method.toUpperCase()} ${path}`;
      const parameters = [...(item.parameters ?? []), ...(operation.parameters ?? [])];
      if (!/^[a-z]+(_[a-z]+)*$/.test(operation.operationId ?? "")) problems.push(`${where} has no operationId`);
      if (ids.has(operation.operationId)) problems.push(`${where}: ${operation.operationId} is used twice`);
      ids.add(operation.operationId);
      if (!/^[A-Z].*[.?]$/.test(operation.summary ?? "")) problems.push(`${where}: its summary is not a sentence`);
      if (operation.tags?.length !== 1 || !tags.has(operation.tags[0]))
        problems.push(`${where} does not have exactly one known tag`);
      problems.push(
        ...parameterProblems(doc, where, path, parameters),
        ...responseProblems(doc, where, operation.responses ?? {}),
        ...requiredProblems(doc, where, operation, parameters),
      );
    }
  return problems;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const text = jsonOf(description());
  if (process.argv[2] === "--write") writeFileSync(JSON_PATH, text);
  else process.stdout.write(text);
}
