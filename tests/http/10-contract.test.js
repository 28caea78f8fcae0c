/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* The rules that hold for every endpoint: which routes exist, the keys of every answer, where
 * parameters may be. */

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { after, test } from "node:test";
import { Validator } from "@seriousme/openapi-schema-validator";
import { CODE, uniqueName } from "../lib/api.js";
import { Cluster, ROOT, UPLOADS, program } from "../lib/cluster.js";
import { Contract, readDocument } from "../lib/contract.js";
import { uniqueClip } from "../lib/media.js";
import { RawConnection } from "../lib/raw.js";

const document = readDocument();
const cluster = await Cluster.up({ remote: true, options: UPLOADS });
after(() => cluster.down());
const { api } = cluster;
const local = { skip: cluster.local ? false : "another service is tested" };

const PUBLIC = new Contract(document).operations().filter(({ item }) => !item.servers);

test("the document is valid OpenAPI 3.1", async () => {
  const { valid, errors } = await new Validator().validate(structuredClone(document));
  assert.ok(valid, JSON.stringify(errors));
});

test("the examples in the document match its schemas", () => {
  const contract = new Contract(document);
  let n = 0;
  const resolve = (node) =>
    node?.$ref
      ? node.$ref
          .slice(2)
          .split("/")
          .reduce((at, key) => at[key], document)
      : node;
  const judge = (pointer, example) => {
    n += 1;
    assert.equal(contract.problems(`${pointer}/schema`, example), "", pointer);
  };
  const walk = (node, pointer) => {
    if (node === null || typeof node !== "object") return;
    if (node.schema && node.example !== undefined) judge(pointer, node.example);
    if (node.schema && node.examples && !Array.isArray(node.examples))
      for (const example of Object.values(node.examples)) judge(pointer, resolve(example).value);
    for (const [key, child] of Object.entries(node))
      walk(child, `${pointer}/${encodeURIComponent(key.replaceAll("~", "~0").replaceAll("/", "~1"))}`);
  };
  walk(document, "#");
  assert.ok(n >= 10, `only ${n} examples were found`);
});

test("the document has every route of the program and no others", local, () => {
  const shown = execFileSync(program(), ["--routes"], { encoding: "utf8" });
  const routes = [...shown.matchAll(/^\s*(GET|POST|PUT|DELETE|HEAD)\s+(\/\S*)/gm)].map(
    ([, method, path]) => `${method} ${path.replace(/\/$/, "").replace(/\/[{<*][^/]*$/, "")}`,
  );
  const written = new Contract(document)
    .operations()
    .map(({ method, template }) => `${method} ${template.replace(/\/$/, "").replace(/\/\{\w+\}$/, "")}`);
  assert.ok(routes.length > 10, shown);
  assert.deepEqual([...new Set(routes)].sort(), [...new Set(written)].sort());
});

test("the document's codes are the codes of errors.def", local, () => {
  const text = readFileSync(join(ROOT, "server/request/errors.def"), "utf8");
  const rows = [...text.matchAll(/^ERR\(\w+,\s*(\d+),\s*(\d+),\s*"(.+)"\)/gm)].map(([, code, http]) => ({
    code: Number(code),
    http: Number(http),
  }));
  const codes = (ok) =>
    rows
      .filter(({ code, http }) => code !== 0 && (http === 200) === ok)
      .map(({ code }) => code)
      .sort();
  assert.deepEqual([...document.components.schemas.Code.enum].sort(), codes(true));
  assert.deepEqual([...document.components.schemas.Refusal.properties.status_code.enum].sort(), codes(false));
});

/* A user with one video, made once. */
let fixture;
async function someone() {
  fixture ??= (async () => {
    const user = await api.register();
    const published = await api.publish(user.token, uniqueClip(), "a video");
    assert.equal(published.status_code, CODE.OK, JSON.stringify(published));
    const {
      video_list: [video],
    } = await api.list({ user_id: user.id });
    return { ...user, video };
  })();
  return fixture;
}

/* Another user, made once. */
let other;
const someoneElse = () => (other ??= api.register());

/* Parameters that make each operation succeed. */
async function goodRequest(id) {
  const user = await someone();
  const fresh = () => api.register();
  switch (id) {
    case "ping":
      return {};
    case "feed_list":
      return { token: user.token, latest_time: 0 };
    case "user_register":
      return { username: uniqueName(), password: "secret" };
    case "user_login":
      return { username: user.name, password: user.password };
    case "user_logout":
      return { token: (await fresh()).token };
    case "user_password": {
      const other = await fresh();
      return { token: other.token, old_password: other.password, new_password: "another" };
    }
    case "user_get":
      return { user_id: user.id, token: user.token };
    case "user_profile":
      return { token: user.token, signature: "I film bears." };
    case "publish_action":
      return { token: user.token, title: "another video" };
    case "publish_list":
    case "favorite_list":
    case "relation_follow_list":
    case "relation_follower_list":
    case "relation_friend_list":
      return { user_id: user.id, token: user.token };
    case "favorite_action":
      return { token: user.token, video_id: user.video.id, action_type: 1 };
    case "comment_action":
      return { token: user.token, video_id: user.video.id, action_type: 1, comment_text: "评论 This is a comment" };
    case "comment_list":
      return { token: user.token, video_id: user.video.id };
    case "relation_action":
      return { token: user.token, to_user_id: (await someoneElse()).id, action_type: 1 };
    case "message_action":
      return { token: user.token, to_user_id: (await someoneElse()).id, action_type: 1, content: "你好 hello" };
    case "message_chat":
      return { token: user.token, to_user_id: (await someoneElse()).id, pre_msg_time: 0 };
    case "publish_delete": {
      const title = uniqueName("t");
      assert.equal((await api.publish(user.token, uniqueClip(), title)).status_code, CODE.OK);
      const { video_list } = await api.list({ user_id: user.id });
      return { token: user.token, video_id: video_list.find((v) => v.title === title).id };
    }
    default:
      throw new Error(`no request for ${id}`);
  }
}

/* Files have a suite of their own, 32-site. */
const ENDPOINTS = PUBLIC.filter(
  ({ template, operation }) => !template.includes("{") && !operation.tags.includes("pages"),
);

for (const { method, template, operation } of ENDPOINTS) {
  const id = operation.operationId;
  const parts = (fields) => [{ name: "data", filename: "bear.mp4", data: uniqueClip() }, ...Object.entries(fields)];
  const ways =
    id === "publish_action"
      ? {
          "in the form": (fields) => ({ multipart: parts(fields) }),
          "in the query": (fields) => ({ query: fields, multipart: parts({}) }),
        }
      : {
          "in the query": (fields) => ({ query: fields }),
          "in an urlencoded body": (fields) => ({ form: fields }),
          "in query and body": (fields) => ({ query: fields, form: fields }),
          "in a multipart body": (fields) => ({ multipart: Object.entries(fields) }),
        };

  for (const [where, make] of Object.entries(ways))
    test(`${method} ${template} works with parameters ${where}`, async () => {
      const fields = await goodRequest(id);
      const { status, json } = await api.send(method, template, make(fields));
      assert.equal(status, 200);
      if (id !== "ping") assert.equal(json.status_code, CODE.OK, JSON.stringify(json));
    });

  test(`${method} ${template} is the same without its final slash, and does not redirect`, async () => {
    const path = template.replace(/\/$/, "");
    const { status, json, headers } = await api.send(method, path, Object.values(ways)[0](await goodRequest(id)));
    assert.equal(status, 200);
    assert.equal(headers.location, undefined);
    if (id !== "ping") assert.equal(json.status_code, CODE.OK, JSON.stringify(json));
  });

  for (const name of operation["x-required"] ?? [])
    test(`${method} ${template} without ${name} is refused with 200 and all keys`, async () => {
      const fields = await goodRequest(id);
      delete fields[name];
      const options =
        id === "publish_action"
          ? { multipart: name === "data" ? Object.entries(fields) : parts(fields) }
          : { query: fields };
      const { status, json } = await api.send(method, template, options);
      assert.equal(status, 200);
      assert.equal(json.status_code, name === "token" ? CODE.AUTH : CODE.PARAM, JSON.stringify(json));
      if (name !== "token") assert.match(json.status_msg, new RegExp(name));
    });

  if (id === "publish_list")
    test(`${template} without user_id is the caller's own list, and refused without a caller`, async () => {
      const user = await someone();
      const { video_list } = await api.list({ token: user.token });
      assert.ok(video_list.every((v) => v.author.id === user.id) && video_list.length > 0);
      const { status_code, status_msg } = await api.list({});
      assert.equal(status_code, CODE.PARAM);
      assert.match(status_msg, /user_id/);
    });

  if (method === "GET")
    test(`HEAD ${template} is GET without a body`, async () => {
      const fields = await goodRequest(id);
      const head = await api.send("HEAD", template, { query: fields });
      const get = await api.send("GET", template, { query: fields });
      assert.equal(head.status, 200);
      assert.equal(head.headers["content-type"], get.headers["content-type"]);
      assert.equal(head.headers["content-length"], get.headers["content-length"]);
    });

  for (const other of ["GET", "POST", "PUT", "DELETE", "PATCH"].filter((m) => m !== method))
    test(`${other} ${template} is 405 and names ${method}`, async () => {
      for (const path of [template, template.replace(/\/$/, "")]) {
        const { status, headers, json } = await api.send(other, path, {});
        assert.equal(status, 405);
        assert.ok(headers.allow.split(/, */).includes(method), headers.allow);
        assert.ok(!headers.allow.split(/, */).includes(other), headers.allow);
        assert.equal(json.status_code, 1405);
      }
    });
}

test("an unknown path is 404, even below a known one, and never a file of the server", async () => {
  const paths = [
    "/douyin/",
    "/douyin/nothing/",
    "/douyin/feed/more",
    "/douyin/feed//",
    "/static/",
    "/static",
    "/assets/",
    "/web/",
    "/static/nothing.mp4",
    "/static/..%2f..%2fetc%2fpasswd",
    "/static/%2e%2e/%2e%2e/etc/passwd",
    "/assets/../openapi.yaml",
    "/index.html",
    "/assets/%2e%2e%2fh_user.c",
    "/metrics",
    "/livez",
    "/readyz",
    "/healthz",
  ];
  const port = Number(new URL(api.baseUrl).port);
  for (const path of paths) {
    const connection = await RawConnection.open(port);
    await connection.send(`GET ${path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`);
    const [answer] = await connection.answers(1);
    assert.equal(answer.status, 404, `${path} -> ${answer.status}`);
    const { status_code, status_msg } = JSON.parse(answer.body.toString("utf8"));
    assert.equal(status_code, 1404, path);
    assert.ok(status_msg.length > 0);
    connection.close();
  }
});

test("ping answers pong", async () => {
  assert.deepEqual((await api.get("/ping")).json, { message: "pong" });
});

test("ids are accepted with an exponent, as clients that use doubles send them", async () => {
  const user = await someone();
  const mantissa = String(user.id);
  const forms = [
    `${mantissa[0]}.${mantissa.slice(1)}e+${mantissa.length - 1}`,
    `${mantissa[0]}.${mantissa.slice(1)}E${mantissa.length - 1}`,
    `${mantissa}.0`,
    `${mantissa}e0`,
    `${mantissa}0e-1`,
  ];
  for (const user_id of forms) {
    const answer = await api.user(user.token, user_id);
    assert.equal(answer.status_code, CODE.OK, `${user_id}: ${JSON.stringify(answer)}`);
    assert.equal(answer.user.id, user.id, user_id);
  }
});

test("an empty value counts as absent", async () => {
  const user = await someone();
  assert.equal((await api.user(user.token, "")).user.id, user.id);
  const { json } = await api.post(
    "/douyin/user/login/",
    { username: user.name, password: user.password },
    { query: { username: "", password: "" } },
  );
  assert.equal(json.status_code, CODE.OK, JSON.stringify(json));
  const feed = await api.feed({ latest_time: "", token: "" });
  assert.equal(feed.status_code, CODE.OK);
  assert.ok(feed.video_list.length > 0);
});

test("the first non-empty value counts, and the query before the body", async () => {
  const user = await someone();
  const other = await api.register();
  const { json } = await api.get(
    "/douyin/user/",
    [
      ["user_id", user.id],
      ["user_id", other.id],
    ],
    { form: { token: user.token, user_id: other.id } },
  );
  assert.equal(json.user.id, user.id);
  const second = await api.get(
    "/douyin/user/",
    [
      ["user_id", ""],
      ["user_id", other.id],
    ],
    { form: { token: user.token, user_id: user.id } },
  );
  assert.equal(second.json.user.id, other.id);
  const body = await api.get(
    "/douyin/user/",
    {},
    {
      form: [
        ["token", user.token],
        ["user_id", ""],
        ["user_id", other.id],
        ["user_id", user.id],
      ],
    },
  );
  assert.equal(body.json.user.id, other.id);
});

test("the token says who the caller is, whatever the query claims", async () => {
  const user = await someone();
  const other = await api.register();
  const answer = await api.post(
    "/douyin/publish/delete/",
    { token: other.token, video_id: user.video.id },
    { query: { user_id: user.id, user: user.id, author_id: user.id } },
  );
  assert.equal(answer.json.status_code, CODE.NOT_YOURS, JSON.stringify(answer.json));
  assert.ok((await api.list({ user_id: user.id })).video_list.some((v) => v.id === user.video.id));
});

test("unknown parameters and headers are ignored, including Accept-Encoding", async () => {
  const user = await someone();
  const { json } = await api.get(
    "/douyin/user/",
    { token: user.token, user_id: user.id, is_admin: 1, "a[]": "b", "%00": "x" },
    { headers: { "X-Whatever": "1", "Accept-Encoding": "gzip", Authorization: "Basic eDp5", Cookie: "a=b" } },
  );
  assert.equal(json.status_code, CODE.OK);
});

test("a body that is not a form has no parameters", async () => {
  const user = await someone();
  const query = { token: user.token, user_id: user.id };
  const bodies = [
    { headers: {}, body: Buffer.from("token=x") },
    { headers: { "Content-Type": "" }, body: Buffer.from("") },
    { headers: { "Content-Type": "application/json" }, body: Buffer.from('{"token":"x"}') },
    { headers: { "Content-Type": "text/plain; charset=x" }, body: Buffer.from("\xff\xfe", "latin1") },
    { headers: { "Content-Type": "multipart/form-data" }, body: Buffer.from("--x\r\nnonsense") },
  ];
  for (const { headers, body } of bodies) {
    const { json } = await api.get("/douyin/user/", query, { headers, body });
    assert.equal(json.status_code, CODE.OK, `${JSON.stringify(headers)}: ${JSON.stringify(json)}`);
    const refused = await api.send("POST", "/douyin/user/login/", { headers, body });
    assert.equal(refused.json.status_code, CODE.PARAM, JSON.stringify(headers));
  }
});

test("percent signs, plus signs and spaces in the query are read as clients write them", async () => {
  const name = `${uniqueName()} +&=é#`;
  const user = await api.register(name);
  const { json } = await api.send(
    "POST",
    `/douyin/user/login/?username=${encodeURIComponent(name).replaceAll("%20", "+")}&password=correct+horse`,
    {},
  );
  assert.equal(json.user_id, user.id, JSON.stringify(json));

  const spaced = `${uniqueName()} with spaces`;
  const second = await api.register(spaced);
  const connection = await RawConnection.open(Number(new URL(api.baseUrl).port));
  await connection.send(
    `POST /douyin/user/login/?username=${spaced}&password=correct horse HTTP/1.1\r\n` +
      "Host: x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
  );
  const [answer] = await connection.answers(1);
  assert.equal(answer.status, 200);
  assert.equal(JSON.parse(answer.body.toString("utf8")).user_id, second.id, answer.body.toString("utf8"));
  connection.close();
});

test("answers forbid caching and guessing their type", async () => {
  const user = await someone();
  const answers = [
    await api.get("/douyin/user/", { token: user.token }),
    await api.get("/douyin/feed/", {}),
    await api.post("/douyin/user/login/", { username: user.name, password: "wrong" }),
    await api.get("/douyin/user/", { token: "wrong" }),
  ];
  for (const { headers } of answers) {
    assert.match(headers["cache-control"] ?? "", /no-store/);
    assert.equal(headers["x-content-type-options"], "nosniff");
    assert.ok(!/libmicrohttpd|doushard\/|mariadb/i.test(headers.server ?? ""), headers.server);
  }
});

test("what one call acknowledged, the next call sees, whoever makes it", async () => {
  const user = await api.register();
  const other = await api.register();
  assert.equal((await api.user(other.token, user.id)).user.name, user.name);
  const title = uniqueName("t");
  assert.equal((await api.publish(user.token, uniqueClip(), title)).status_code, CODE.OK);
  const { video_list } = await api.list({ user_id: user.id, token: other.token });
  assert.equal(video_list[0].title, title);
  assert.equal((await api.feed()).video_list[0].title, title);
  assert.equal((await api.user(other.token, user.id)).user.work_count, 1);
});

test("every operation has succeeded in this file and, where it can, also failed", () => {
  const { seen } = api.contract;
  for (const { method, template, operation } of ENDPOINTS) {
    const id = operation.operationId;
    if (id === "ping") assert.ok(seen.has(`${method} ${template} 200 json`));
    else assert.ok(seen.has(`${method} ${template} 200 ok`), `${id} never succeeded`);
    if (operation["x-required"]) assert.ok(seen.has(`${method} ${template} 200 failure`), `${id} never failed`);
  }
});
