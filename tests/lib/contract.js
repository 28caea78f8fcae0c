/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Validates an HTTP answer against server/api/openapi.yaml: path, status, headers, media type, body. */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { gunzipSync } from "node:zlib";
import Ajv2020 from "ajv/dist/2020.js";
import addFormats from "ajv-formats";

const PATH = fileURLToPath(new URL("../../server/api/site/openapi.json", import.meta.url));

/** server/api/openapi.yaml, as the server answers it; tests/lint/openapi.test.js compares the two. */
export const readDocument = () => JSON.parse(readFileSync(PATH, "utf8"));

const escapePointer = (token) => encodeURIComponent(token.replaceAll("~", "~0").replaceAll("/", "~1"));

export class Contract {
  #doc;
  #ajv;
  #compiled = new Map();
  /** "GET /douyin/feed/ 200 ok" and the like: the answers validated so far. */
  seen = new Set();

  constructor(doc = readDocument()) {
    this.#doc = doc;
    this.#ajv = new Ajv2020({ strict: false, allErrors: true, validateSchema: false });
    addFormats(this.#ajv);
    this.#ajv.addSchema({ $id: "openapi", ...doc });
    this.paths = Object.entries(doc.paths).map(([template, item]) => ({
      template,
      item,
      pattern: new RegExp(`^${template.replace(/\/$/, "").replaceAll(/\{\w+\}/g, "[^/]+")}/?$`),
      /* The final slash is optional where the document writes one, and only there. */
      slash: template.endsWith("/"),
    }));
  }

  /** Every operation: {template, method, operation, item}. */
  operations() {
    return this.paths.flatMap(({ template, item }) =>
      ["get", "post", "put", "delete"]
        .filter((method) => item[method])
        .map((method) => ({ template, item, method: method.toUpperCase(), operation: item[method] })),
    );
  }

  find(path) {
    return this.paths.find((p) => p.pattern.test(path) && (p.slash || !path.endsWith("/") || path === "/"));
  }

  #resolve(node, pointer) {
    while (node?.$ref) {
      pointer = node.$ref;
      node = pointer
        .slice(2)
        .split("/")
        .reduce((at, token) => at[token.replaceAll("~1", "/").replaceAll("~0", "~")], this.#doc);
      pointer = `#/${pointer.slice(2).split("/").map(escapePointer).join("/")}`;
    }
    return { node, pointer };
  }

  #validator(pointer) {
    let validate = this.#compiled.get(pointer);
    if (!validate) {
      validate = this.#ajv.compile({ $ref: `openapi${pointer}` });
      this.#compiled.set(pointer, validate);
    }
    return validate;
  }

  /** Problems of VALUE under the schema at POINTER ("#/components/schemas/User"), or "". */
  problems(pointer, value) {
    const validate = this.#validator(pointer);
    return validate(value) ? "" : this.#ajv.errorsText(validate.errors, { separator: "; " });
  }

  /** The response object for (path, method, status) with its JSON pointer. */
  #responseFor(path, method, status) {
    if (status === 414 || status === 431)
      return { ...this.#resolve({ $ref: "#/components/responses/TooLong" }, ""), operation: null };
    if (method === "OPTIONS" && status === 204)
      return { ...this.#resolve({ $ref: "#/components/responses/Preflight" }, ""), operation: null };
    const found = this.find(path);
    const name = method === "HEAD" ? "get" : method.toLowerCase();
    const operation = found?.item[name];
    const refused = { node: { $ref: "#/components/responses/Refused" }, pointer: "" };
    if (!operation) {
      assert.ok(
        status >= 400 && status <= 599,
        `${method} ${path}: the document has no such operation, so ${status} is wrong`,
      );
      return { ...this.#resolve(refused.node, ""), operation: null };
    }
    const responses = operation.responses;
    const key = [String(status), `${String(status)[0]}XX`, "default"].find((k) => responses[k]);
    assert.ok(key, `${method} ${path}: status ${status} is not in the document`);
    const pointer = `#/paths/${escapePointer(found.template)}/${name}/responses/${key}`;
    return { ...this.#resolve(responses[key], pointer), operation, template: found.template };
  }

  /**
   * Assert that an answer keeps the contract. Returns the parsed JSON body, or undefined when the
   * answer has none. HEADERS have lower-case names; BODY is a Buffer.
   */
  judge({ method, path, status, headers, body }) {
    const where = `${method} ${path} -> ${status}`;
    const { node, pointer, template } = this.#responseFor(path, method, status);
    for (const [name, spec] of Object.entries(node.headers ?? {})) {
      const header = this.#resolve(spec, "").node;
      const value = headers[name.toLowerCase()];
      if (value === undefined) {
        assert.ok(!header.required, `${where}: header ${name} is missing`);
        continue;
      }
      if (header.schema.const) assert.equal(value, header.schema.const, `${where}: ${name}`);
      if (header.schema.pattern) assert.match(value, new RegExp(header.schema.pattern), `${where}: ${name}`);
    }
    if (status === 405) assert.ok(headers.allow, `${where}: no Allow`);
    if (headers["content-length"] !== undefined && method !== "HEAD" && status !== 304)
      assert.equal(Number(headers["content-length"]), body.length, `${where}: Content-Length`);

    const note = (kind) => this.seen.add(`${method} ${template ?? "-"} ${status} ${kind}`);
    const type = (headers["content-type"] ?? "").split(";")[0].trim().toLowerCase();
    const media = node.content?.[type];
    if (method === "HEAD" || status === 304 || !node.content) {
      if (method === "HEAD" || status === 304) assert.equal(body.length, 0, `${where}: a body`);
      note("empty");
      return undefined;
    }
    assert.ok(media, `${where}: Content-Type "${headers["content-type"]}" is not in the document`);
    if (type !== "application/json" || status === 206) {
      note("bytes");
      return undefined;
    }
    assert.match(headers["content-type"], /^application\/json(; ?charset=utf-8)?$/i, `${where}: Content-Type`);
    const plain = headers["content-encoding"] === "gzip" ? gunzipSync(body) : body;
    const text = new TextDecoder("utf-8", { fatal: true }).decode(plain);
    let json;
    try {
      json = JSON.parse(text);
    } catch (cause) {
      assert.fail(`${where}: not JSON (${cause.message}): ${text.slice(0, 300)}`);
    }
    const schema = `${pointer}/content/${escapePointer(type)}/schema`;
    const problems = media.schema ? this.problems(schema, json) : "";
    assert.equal(problems, "", `${where}: ${problems}\n${text.slice(0, 1000)}`);
    note(json.status_code === undefined ? "json" : json.status_code === 0 ? "ok" : "failure");
    return json;
  }
}
