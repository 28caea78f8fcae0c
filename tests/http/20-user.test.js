/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Accounts, passwords, sessions and tokens. */

import assert from "node:assert/strict";
import { createHmac, randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { after, test } from "node:test";
import { CODE, uniqueName } from "../lib/api.js";
import { Cluster } from "../lib/cluster.js";
import { RawConnection } from "../lib/raw.js";
import { parallel, until } from "../lib/wait.js";

const cluster = await Cluster.up({ remote: true });
after(() => cluster.down());
const { api } = cluster;
const local = { skip: cluster.local ? false : "another service is tested" };

/* DESIGN: another server stops accepting a session at most 5 s after its end. The rest is for a slow
 * machine to ask. */
const SESSION_BELIEVED_MS = 15000;

const register = (fields, options) => api.post("/douyin/user/register/", fields, options).then((a) => a.json);
const change = (fields, options) => api.post("/douyin/user/password/", fields, options).then((a) => a.json);
const logout = (token) => api.post("/douyin/user/logout/", { token }).then((a) => a.json);

test("a new user is logged in, shown with defaults, and can log in again", async () => {
  const name = uniqueName();
  const { id, token, password } = await api.register(name);
  const { user } = await api.user(token);
  assert.deepEqual(
    { ...user, avatar: "", background_image: "", signature: "" },
    {
      id,
      name,
      follow_count: 0,
      follower_count: 0,
      is_follow: false,
      avatar: "",
      background_image: "",
      signature: "",
      total_favorited: 0,
      work_count: 0,
      favorite_count: 0,
    },
  );
  const again = await api.login(name, password);
  assert.equal(again.user_id, id);
  assert.notEqual(again.token, token);
  assert.equal((await api.user(token)).user.id, id, "the first session is still valid");
});

test("the default pictures are served", async () => {
  const { token } = await api.register();
  const { user } = await api.user(token);
  for (const url of [user.avatar, user.background_image]) {
    const { status, body, headers } = await api.fetch(url);
    assert.equal(status, 200, url);
    assert.match(headers["content-type"], /^image\//);
    assert.ok(body.length > 100);
  }
});

test("a name is given only once, even if 20 ask for it at the same time", async () => {
  const username = uniqueName("race");
  const answers = await Promise.all(Array.from({ length: 20 }, (_, i) => register({ username, password: `pass${i}` })));
  const winners = answers.filter((a) => a.status_code === CODE.OK);
  assert.equal(winners.length, 1, JSON.stringify(answers.map((a) => a.status_code)));
  for (const loser of answers.filter((a) => a.status_code !== CODE.OK)) {
    assert.equal(loser.status_code, CODE.TAKEN);
    assert.equal(loser.user_id, 0);
    assert.equal(loser.token, "");
  }
  const i = answers.indexOf(winners[0]);
  assert.equal((await api.login(username, `pass${i}`)).user_id, winners[0].user_id);
  if (cluster.local) {
    const rows = await cluster.sqlAll(
      `SELECT (SELECT COUNT(*) FROM account WHERE name = '${username}') AS accounts,
              (SELECT COUNT(*) FROM user WHERE name = '${username}') AS users`,
    );
    assert.deepEqual(
      rows.reduce((sum, r) => [sum[0] + r.accounts, sum[1] + r.users], [0, 0]),
      [1, 1],
    );
  }
});

test("names that differ by case or accents are different, and any script is allowed", async () => {
  const base = uniqueName();
  const names = [
    base,
    base.toUpperCase(),
    `${base}é`,
    `${base}e`,
    `${base} `,
    `张伟${base}`.slice(0, 32),
    "😀".repeat(24) + base.slice(-8),
  ];
  const ids = new Set();
  for (const name of names) {
    const { id, token } = await api.register(name);
    ids.add(id);
    assert.equal((await api.user(token)).user.name, name);
    assert.equal((await api.login(name, "correct horse")).user_id, id, name);
  }
  assert.equal(ids.size, names.length);
});

test("names and passwords have 1 to 32 code points, however many bytes that is", async () => {
  const mark = randomBytes(4).toString("hex");
  const name = `${mark}${"😀".repeat(24)}`;
  const password = "密".repeat(32);
  const { user_id } = await register({ username: name, password });
  assert.ok(user_id > 0);
  assert.equal((await api.login(name, password)).user_id, user_id);
  assert.equal((await api.login(name, "密".repeat(31))).status_code, CODE.LOGIN);
  for (const fields of [
    { username: `${name}x`, password },
    { username: "x".repeat(33), password },
    { username: uniqueName(), password: `${password}x` },
    { username: uniqueName(), password: "😀".repeat(33) },
  ])
    assert.equal((await register(fields)).status_code, CODE.PARAM, JSON.stringify(fields));
});

test("every byte of a password counts", async () => {
  const { name } = await api.register(uniqueName(), "pass word");
  for (const password of ["pass word ", "pass wor", "Pass word", " pass word", "pass  word"])
    assert.equal((await api.login(name, password)).status_code, CODE.LOGIN, password);
  assert.equal((await api.login(name, "pass word")).status_code, CODE.OK);
});

test("a login never says whether the name or the password was wrong", async () => {
  const { name } = await api.register();
  const wrong = await api.login(name, "wrong");
  const unknown = await api.login(uniqueName("nobody"), "wrong");
  assert.equal(wrong.status_code, CODE.LOGIN);
  assert.deepEqual(unknown, wrong);
});

test("a login of an unknown user costs one scrypt, like that of a known one", local, async () => {
  const hashes = async (work) => {
    const before = await api.metric("doushard_password_hashes_total");
    await work();
    return (await api.metric("doushard_password_hashes_total")) - before;
  };
  const name = uniqueName();
  const key = { headers: { "Idempotency-Key": uniqueName("stranger") } };
  assert.equal(await hashes(() => api.register(name, "right")), 1, "register");
  assert.equal(
    await hashes(async () => {
      for (const headers of [{}, key, key])
        assert.equal((await register({ username: name, password: "right" }, headers)).status_code, CODE.TAKEN);
    }),
    0,
    "a name that is taken",
  );
  assert.equal(await hashes(() => api.login(name, "right")), 1, "right password");
  assert.equal(await hashes(() => api.login(name, "wrong")), 1, "wrong password");
  assert.equal(await hashes(() => api.login(uniqueName("nobody"), "wrong")), 1, "unknown user");
  assert.equal(await hashes(() => api.get("/douyin/user/", { token: "x" })), 0, "not a password at all");
});

test("hashes are salted scrypt with their parameters, and no answer contains one", local, async () => {
  const users = await Promise.all([1, 2].map(() => api.register(uniqueName(), "the same")));
  const rows = await cluster.sqlAll(
    `SELECT user_id, password_hash FROM user WHERE user_id IN (${users.map((u) => u.id)})`,
  );
  assert.equal(rows.length, 2);
  for (const { password_hash } of rows)
    assert.match(password_hash, /^\$scrypt\$ln=10,r=8,p=1\$[A-Za-z0-9+/_-]{22,}\$[A-Za-z0-9+/_-]{43}$/);
  assert.notEqual(rows[0].password_hash, rows[1].password_hash);
});

test("a logout ends that session and no other", async () => {
  const { name, password, token, id } = await api.register();
  const second = (await api.login(name, password)).token;
  assert.equal((await api.user(token)).status_code, CODE.OK);
  assert.equal((await logout(token)).status_code, CODE.OK);
  await until("the session to end", async () => (await api.user(token)).status_code === CODE.AUTH, {
    timeoutMs: SESSION_BELIEVED_MS,
  });
  assert.equal((await api.user(second)).user.id, id);
  assert.equal((await logout(token)).status_code, CODE.OK, "a logout may be repeated");
  assert.equal((await api.feed({ token })).status_code, CODE.OK, "the feed is open to all");
});

test("another server accepts a session for at most 5 s after its logout", local, async () => {
  const server = await (await cluster.addServer()).start();
  const other = cluster.apiOf(server);
  const { token, id } = await api.register();
  assert.equal((await other.user(token)).user.id, id);
  assert.equal((await logout(token)).status_code, CODE.OK);
  await until("the other server to notice", async () => (await other.user(token)).status_code === CODE.AUTH, {
    timeoutMs: SESSION_BELIEVED_MS,
    everyMs: 100,
  });
  assert.equal((await api.user(token)).status_code, CODE.AUTH);
  assert.equal((await server.stop()).code, 0);
});

test("a change of password ends all sessions except the one it opens", async () => {
  const { name, password, token, id } = await api.register();
  const second = (await api.login(name, password)).token;
  const refused = await change({ token, old_password: "wrong", new_password: "new one" });
  assert.equal(refused.status_code, CODE.LOGIN);
  assert.equal((await api.user(second)).user.id, id, "a refused change ends nothing");

  const done = await change({ token, old_password: password, new_password: "new one" });
  assert.equal(done.status_code, CODE.OK, JSON.stringify(done));
  assert.equal(done.user_id, id);
  assert.equal((await api.user(done.token)).user.id, id);
  for (const old of [token, second])
    await until("the old sessions to end", async () => (await api.user(old)).status_code === CODE.AUTH, {
      timeoutMs: SESSION_BELIEVED_MS,
    });
  assert.equal((await api.login(name, password)).status_code, CODE.LOGIN);
  assert.equal((await api.login(name, "new one")).user_id, id);
});

test("of two changes of password at the same time, one wins", async () => {
  const { name, password, token } = await api.register();
  const answers = await Promise.all(
    ["first", "second"].map((new_password) => change({ token, old_password: password, new_password })),
  );
  const codes = answers.map((a) => a.status_code);
  assert.equal(codes.filter((c) => c === CODE.OK).length, 1, JSON.stringify(codes));
  assert.ok(
    codes.some((c) => [CODE.CHANGED, CODE.LOGIN, CODE.AUTH].includes(c)),
    JSON.stringify(codes),
  );
  const winner = ["first", "second"][codes.indexOf(CODE.OK)];
  assert.equal((await api.login(name, winner)).status_code, CODE.OK);
});

test("the oldest sessions end when there are too many", local, async () => {
  const server = await (await cluster.addServer({ sessions_per_user: 3, session_cache_time: 0 })).start();
  const other = cluster.apiOf(server);
  const { name, password, token } = await other.register();
  const tokens = [token];
  for (let i = 0; i < 3; i++) tokens.push((await other.login(name, password)).token);
  const codes = [];
  for (const t of tokens) codes.push((await other.user(t)).status_code);
  assert.deepEqual(codes, [CODE.AUTH, CODE.OK, CODE.OK, CODE.OK]);
  assert.equal((await server.stop()).code, 0);
});

test("a session that was idle too long, or is past its end, is not accepted", local, async () => {
  const { token, id } = await api.register();
  const server = await (await cluster.addServer({ session_cache_time: 0 })).start();
  const other = cluster.apiOf(server);
  assert.equal((await other.user(token)).user.id, id);
  const rows = await cluster.sqlAll(
    `UPDATE session SET seen_at = seen_at - 8 * 86400000 WHERE user_id = ${id}; SELECT ROW_COUNT() AS n`,
  );
  assert.equal(
    rows.reduce((sum, r) => sum + r.n, 0),
    1,
  );
  assert.equal((await other.user(token)).status_code, CODE.AUTH, "idle for 8 days");
  await cluster.sqlAll(`UPDATE session SET seen_at = seen_at + 8 * 86400000 WHERE user_id = ${id}`);
  assert.equal((await other.user(token)).user.id, id);
  await cluster.sqlAll(`UPDATE session SET expires_at = UNIX_TIMESTAMP() * 1000 - 1 WHERE user_id = ${id}`);
  assert.equal((await other.user(token)).status_code, CODE.AUTH, "past its end");
  assert.equal((await server.stop()).code, 0);
});

test("a session that is used is marked as seen at most once an hour", local, async () => {
  const { token, id } = await api.register();
  const server = await (await cluster.addServer({ session_cache_time: 0 })).start();
  const other = cluster.apiOf(server);
  const seen = async () => (await cluster.sqlAll(`SELECT seen_at FROM session WHERE user_id = ${id}`))[0].seen_at;
  const first = await seen();
  assert.equal((await other.user(token)).status_code, CODE.OK);
  assert.equal(await seen(), first, "within the hour");
  await cluster.sqlAll(`UPDATE session SET seen_at = seen_at - 2 * 3600000 WHERE user_id = ${id}`);
  assert.equal((await other.user(token)).status_code, CODE.OK);
  await until("the mark", async () => (await seen()) >= first);
  assert.equal((await server.stop()).code, 0);
});

test("a login with stronger parameters stores a new hash with them, and sessions stay", local, async () => {
  const { name, password, token, id } = await api.register();
  const hash = async () => (await cluster.sqlAll(`SELECT password_hash AS h FROM user WHERE user_id = ${id}`))[0].h;
  assert.match(await hash(), /ln=10,r=8,p=1/);
  const server = await (await cluster.addServer({ scrypt_ln: 11, scrypt_p: 2 })).start();
  const other = cluster.apiOf(server);
  assert.equal((await other.login(name, "wrong")).status_code, CODE.LOGIN);
  assert.match(await hash(), /ln=10,r=8,p=1/, "a wrong password changes nothing");
  assert.equal((await other.login(name, password)).user_id, id);
  await until("the new hash", async () => /ln=11,r=8,p=2/.test(await hash()));
  assert.equal((await api.user(token)).user.id, id, "the session from before");
  assert.equal((await api.login(name, password)).user_id, id, "the weaker server reads it too");
  assert.match(await hash(), /ln=11,r=8,p=2/, "and does not weaken it");
  assert.equal((await server.stop()).code, 0);
});

test("a register that is repeated with its Idempotency-Key makes one account", async () => {
  const username = uniqueName();
  const headers = { "Idempotency-Key": randomBytes(16).toString("hex") };
  const first = await register({ username, password: "p" }, { headers });
  assert.equal(first.status_code, CODE.OK);
  const again = await register({ username, password: "p" }, { headers });
  assert.equal(again.status_code, CODE.OK, JSON.stringify(again));
  assert.equal(again.user_id, first.user_id);
  assert.equal((await api.user(again.token)).user.id, first.user_id);
  assert.equal((await register({ username, password: "p" })).status_code, CODE.TAKEN, "without the key");
  const foreign = await register({ username, password: "p" }, { headers: { "Idempotency-Key": "another" } });
  assert.equal(foreign.status_code, CODE.TAKEN, "with another key");
});

test("somebody else's Idempotency-Key opens no session: the password must be the same", async () => {
  const username = uniqueName();
  const headers = { "Idempotency-Key": `guessable-${username}` };
  assert.equal((await register({ username, password: "secret" }, { headers })).status_code, CODE.OK);
  const thief = await register({ username, password: "guess" }, { headers });
  assert.notEqual(thief.status_code, CODE.OK, JSON.stringify(thief));
  assert.equal(thief.token, "");
});

test("20 registers with one key at the same time make one account", async () => {
  const username = uniqueName();
  const headers = { "Idempotency-Key": randomBytes(16).toString("hex") };
  const answers = await Promise.all(
    Array.from({ length: 20 }, () => register({ username, password: "p" }, { headers })),
  );
  assert.deepEqual([...new Set(answers.map((a) => a.status_code))], [CODE.OK]);
  assert.equal(new Set(answers.map((a) => a.user_id)).size, 1);
});

test("the profile of a user who does not exist", async () => {
  const { token, id } = await api.register();
  for (const user_id of [1, id + 8 * 1024, 2 ** 53 - 1]) {
    const answer = await api.user(token, user_id);
    assert.equal(answer.status_code, CODE.NO_USER, `${user_id}: ${JSON.stringify(answer)}`);
  }
  assert.equal((await api.list({ user_id: 1 })).status_code, CODE.NO_USER);
});

/* ---- Tokens ---- */

const base64url = (data) => Buffer.from(data).toString("base64url");
const part = (object) => base64url(typeof object === "string" ? object : JSON.stringify(object));

test("forged and damaged tokens are refused", local, async () => {
  const line = readFileSync(cluster.files.token_keys, "utf8")
    .split("\n")
    .find((l) => l.trim() && !l.startsWith("#"));
  const [kid, hex] = line.trim().split(/\s+/);
  const secret = Buffer.from(hex, "hex");
  const mac = (text, key = secret, hash = "sha256") => createHmac(hash, key).update(text).digest("base64url");
  const sign = (head, claims, key, hash) => {
    const text = `${part(head)}.${part(claims)}`;
    return `${text}.${mac(text, key, hash)}`;
  };
  const { token, id } = await api.register();
  const other = await api.register();
  const [h, p, s] = token.split(".");
  const head = JSON.parse(Buffer.from(h, "base64url"));
  const claims = JSON.parse(Buffer.from(p, "base64url"));
  const otherClaims = JSON.parse(Buffer.from(other.token.split(".")[1], "base64url"));
  const now = Math.floor(Date.now() / 1000);
  assert.deepEqual(head, { alg: "HS256", typ: "JWT", kid });
  for (const name of ["exp", "iat", "iss", "aud", "typ"]) assert.ok(name in claims, `no claim ${name}`);

  /* What we sign ourselves is accepted, so that each refusal below is for its own reason. */
  for (const [name, good] of Object.entries({
    "as issued": token,
    "signed again": sign(head, claims),
    "issued half a minute ahead": sign(head, { ...claims, iat: now + 30 }),
    "expired half a minute ago": sign(head, { ...claims, iat: now - 100, exp: now - 30 }),
  }))
    assert.equal((await api.user(good)).user?.id, id, name);

  const flip = (text, at) => text.slice(0, at) + (text[at] === "A" ? "B" : "A") + text.slice(at + 1);
  const bad = {
    "no signature": `${h}.${p}.`,
    "no third part": `${h}.${p}`,
    "one part": h,
    "four parts": `${token}.${s}`,
    "a dot at the end": `${token}.`,
    "a dot at the beginning": `.${token}`,
    "empty payload": `${h}..${s}`,
    "signature cut": token.slice(0, -1),
    "signature longer": `${token}A`,
    "signature changed": `${h}.${p}.${flip(s, 5)}`,
    "payload changed": `${h}.${flip(p, 9)}.${s}`,
    "header changed": `${flip(h, 9)}.${p}.${s}`,
    "another's payload": `${h}.${other.token.split(".")[1]}.${s}`,
    "another's session, well signed": sign(head, { ...claims, sid: otherClaims.sid }),
    "another's id, own session, well signed": sign(head, { ...claims, sub: String(other.id) }),
    "a session that never was": sign(head, { ...claims, sid: "0".repeat(32) }),
    "a user that never was": sign(head, { ...claims, sub: "8" }),
    "another key": sign(head, claims, randomBytes(32)),
    "an empty key": sign(head, claims, Buffer.alloc(0)),
    "the key as text": sign(head, claims, Buffer.from(hex)),
    padding: `${h}=.${p}.${s}`,
    "signature with padding": `${h}.${p}.${s}=`,
    "base64 instead of base64url": (() => {
      const letters = Array.from({ length: 4 }, (_, n) => part({ ...claims, x: `${"a".repeat(n)}???>>>` }))
        .find((text) => /[-_]/.test(text))
        .replaceAll("_", "/")
        .replaceAll("-", "+");
      return `${h}.${letters}.${mac(`${h}.${letters}`)}`;
    })(),
    "loose last bits": `${h}.${p}.${s.slice(0, -1)}${String.fromCharCode(s.charCodeAt(s.length - 1) + 1)}`,
    spaces: ` ${token} `,
    "a line break inside": `${h}.\n${p}.${s}`,
    "alg none": `${part({ alg: "none", typ: "JWT", kid })}.${p}.`,
    "alg none with a signature": sign({ ...head, alg: "none" }, claims),
    "alg NoNe": `${part({ ...head, alg: "NoNe" })}.${p}.`,
    "alg hs256": sign({ ...head, alg: "hs256" }, claims),
    "alg HS512": sign({ ...head, alg: "HS512" }, claims, secret, "sha512"),
    "alg RS256": sign({ ...head, alg: "RS256" }, claims),
    "alg as a list": sign({ ...head, alg: ["HS256"] }, claims),
    "no alg": sign({ typ: "JWT", kid }, claims),
    "alg twice": (() => {
      const text = `${part(`{"alg":"HS256","alg":"none","typ":"JWT","kid":"${kid}"}`)}.${p}`;
      return `${text}.${mac(text)}`;
    })(),
    "no kid": sign({ alg: "HS256", typ: "JWT" }, claims),
    "an unknown kid": sign({ ...head, kid: "nobody" }, claims),
    "a kid that is a path": sign({ ...head, kid: "../../dev/null" }, claims, Buffer.alloc(0)),
    "a kid that is a number": sign({ ...head, kid: 0 }, claims),
    "an own key": sign(
      { ...head, jwk: { kty: "oct", k: base64url("x".repeat(32)) } },
      claims,
      Buffer.from("x".repeat(32)),
    ),
    jku: sign({ ...head, jku: "http://127.0.0.1:1/keys" }, claims),
    x5u: sign({ ...head, x5u: "http://127.0.0.1:1/keys" }, claims),
    crit: sign({ ...head, crit: ["exp"] }, claims),
    "header no object": sign([head], claims),
    "payload no object": sign(head, [claims]),
    "payload no JSON": sign(head, "claims"),
    "payload with a NUL": sign(head, `${JSON.stringify(claims)}\0`),
    "payload twice": sign(head, JSON.stringify(claims) + JSON.stringify(claims)),
    "a claim twice": sign(head, JSON.stringify(claims).replace("{", `{"sub":"${other.id}",`)),
    expired: sign(head, { ...claims, iat: now - 1000, exp: now - 120 }),
    "exp 0": sign(head, { ...claims, exp: 0 }),
    "exp -1": sign(head, { ...claims, exp: -1 }),
    "exp 2^63-1": sign(head, JSON.stringify(claims).replace(/"exp":\d+/, '"exp":9223372036854775807')),
    "exp 2^63": sign(head, JSON.stringify(claims).replace(/"exp":\d+/, '"exp":9223372036854775808')),
    "exp 1e400": sign(head, JSON.stringify(claims).replace(/"exp":\d+/, '"exp":1e400')),
    "exp as a float": sign(head, JSON.stringify(claims).replace(/"exp":(\d+)/, '"exp":$1.5')),
    "exp as text": sign(head, { ...claims, exp: String(claims.exp) }),
    "no exp": sign(head, { ...claims, exp: undefined }),
    "no iat": sign(head, { ...claims, iat: undefined }),
    "iat tomorrow": sign(head, { ...claims, iat: now + 86400 }),
    "nbf tomorrow": sign(head, { ...claims, nbf: now + 86400 }),
    "exp before iat": sign(head, { ...claims, iat: now, exp: now - 10 }),
    "another iss": sign(head, { ...claims, iss: "somebody" }),
    "another aud": sign(head, { ...claims, aud: "somebody" }),
    "aud as a list": sign(head, { ...claims, aud: [claims.aud] }),
    "no aud": sign(head, { ...claims, aud: undefined }),
    "another typ": sign(head, { ...claims, typ: "refresh" }),
    "no sub": sign(head, { ...claims, sub: undefined }),
    "sub as a number": sign(head, { ...claims, sub: id }),
    "sub with a sign": sign(head, { ...claims, sub: `+${id}` }),
    "sub with a zero": sign(head, { ...claims, sub: `0${id}` }),
    "sub 2^64 + id": sign(head, { ...claims, sub: String(2n ** 64n + BigInt(id)) }),
    "no sid": sign(head, { ...claims, sid: undefined }),
    "sid in capitals": sign(head, { ...claims, sid: claims.sid.toUpperCase() }),
    "sid too long": sign(head, { ...claims, sid: `${claims.sid}00` }),
    "64 KiB": `${h}.${"A".repeat(40000)}.${s}`,
    "bytes that are no UTF-8": Buffer.concat([Buffer.from(token), Buffer.from([0xff])]),
    "a NUL at the end": Buffer.concat([Buffer.from(token), Buffer.from([0])]),
    "a NUL and more": Buffer.concat([Buffer.from(token), Buffer.from("\0x")]),
  };
  /* By chance this one may have no letter; then it is the token itself. */
  if (claims.sid === claims.sid.toUpperCase()) delete bad["sid in capitals"];
  assert.ok(Object.keys(bad).length >= 60, `${Object.keys(bad).length} tokens`);

  const taken = [];
  await parallel(
    8,
    Object.entries(bad).map(([name, value]) => async () => {
      const { json } = await api.post("/douyin/user/logout/", { token: value });
      if (json.status_code !== CODE.AUTH && !/session that never|user that never|another's (session|id)/.test(name))
        taken.push(`logout: ${name} -> ${json.status_code}`);
      const answer = await api.get("/douyin/user/", {}, { form: { token: value } });
      if (answer.json.status_code !== CODE.AUTH) taken.push(`user: ${name} -> ${JSON.stringify(answer.json)}`);
      const feed = await api.get("/douyin/feed/", {}, { form: { token: value } });
      if (feed.json.status_code !== CODE.OK) taken.push(`feed: ${name} -> ${JSON.stringify(feed.json)}`);
    }),
  );
  assert.deepEqual(taken, []);
  assert.equal((await api.user(token)).user.id, id, "the genuine token is still valid after all of this");
});

test("a token may also be sent as a bearer header, and the parameter wins over it", async () => {
  const user = await api.register();
  const other = await api.register();
  const bearer = (token) => ({ headers: { Authorization: `Bearer ${token}` } });
  assert.equal((await api.get("/douyin/user/", {}, bearer(user.token))).json.user.id, user.id);
  const both = await api.get("/douyin/user/", { token: other.token }, bearer(user.token));
  assert.equal(both.json.user.id, other.id);
});

test("without a valid token: refused where one is needed, answered where it is optional", async () => {
  const user = await api.register();
  for (const token of [undefined, "", "nonsense"]) {
    assert.equal((await api.user(token, user.id)).status_code, CODE.AUTH);
    assert.equal((await api.list({ user_id: user.id, token })).status_code, CODE.OK);
    assert.equal((await api.feed({ token })).status_code, CODE.OK);
    assert.equal((await logout(token)).status_code, CODE.AUTH);
    assert.equal((await api.remove(token, 8)).status_code, CODE.AUTH);
    assert.equal((await change({ token, old_password: "a", new_password: "b" })).status_code, CODE.AUTH);
  }
});

test("a full queue for hashing passwords answers busy at once, and other requests go on", local, async () => {
  const server = await (
    await cluster.addServer({
      scrypt_ln: 14,
      scrypt_p: 4,
      scrypt_concurrency: 1,
      scrypt_queue_max: 2,
    })
  ).start();
  const other = cluster.apiOf(server);
  const codes = (await Promise.all(Array.from({ length: 24 }, () => other.login(uniqueName("nobody"), "x")))).map(
    (a) => a.status_code,
  );
  assert.ok(codes.includes(CODE.BUSY), JSON.stringify(codes));
  assert.ok(codes.includes(CODE.LOGIN), JSON.stringify(codes));
  assert.deepEqual(
    codes.filter((c) => c !== CODE.BUSY && c !== CODE.LOGIN),
    [],
  );
  assert.ok((await other.metric("doushard_requests_refused_total")) > 0);
  assert.equal((await other.login(uniqueName("nobody"), "x")).status_code, CODE.LOGIN);
  assert.equal((await server.stop()).code, 0);
});

/* ---- Wrong passwords ---- */

/* Sends LOGIN as client 198.51.100.HOST, as a proxy on this machine would pass it on. */
const loginFrom = async (other, host, username, password) =>
  (
    await other.post(
      "/douyin/user/login/",
      { username, password },
      { headers: { "X-Forwarded-For": `198.51.100.${host}` } },
    )
  ).json;

test("wrong passwords slow down their sender, and nobody else", local, async () => {
  const server = await (
    await cluster.addServer({
      login_tries: 5,
      login_wait_max: "10min",
      trusted_proxies: "127.0.0.1",
      scrypt_concurrency: 2,
    })
  ).start();
  const other = cluster.apiOf(server);
  const { name, password, id, token } = await api.register();
  let failed = 0;
  const attack = async (username) => {
    const hashes = await other.metric("doushard_password_hashes_total");
    const start = performance.now();
    const answers = await Promise.all(
      Array.from({ length: 60 }, (_, i) => loginFrom(other, 66, username, `guess ${i}`)),
    );
    const seconds = (performance.now() - start) / 1000;
    const compared = (await other.metric("doushard_password_hashes_total")) - hashes;
    /* One more after 1 s, the next 2 s later, and so on. */
    assert.ok(compared >= 5 && compared <= 5 + Math.floor(Math.log2(seconds + 1)), `${compared} in ${seconds} s`);
    const codes = answers.map((a) => a.status_code);
    assert.equal(codes.filter((c) => c === CODE.LOGIN).length, compared, JSON.stringify(codes));
    assert.equal(codes.filter((c) => c === CODE.THROTTLED).length, 60 - compared, JSON.stringify(codes));
    failed += compared;
    const refusal = answers.find((a) => a.status_code === CODE.THROTTLED);
    return { ...refusal, status_msg: refusal.status_msg.replace(/: \d+ s$/, ": N s") };
  };
  const known = await attack(name);
  const unknown = await attack(uniqueName("nobody"));
  assert.match(known.status_msg, /: N s$/);
  assert.deepEqual(unknown, known, "the refusal gives away whether the user exists");
  assert.equal((await loginFrom(other, 66, uniqueName("nobody"), "x")).status_code, CODE.LOGIN, "another account");
  assert.equal((await loginFrom(other, 67, name, password)).user_id, id, "the owner, from elsewhere");
  assert.equal((await other.user(token)).user.id, id, "the owner's session");
  /* One more each time a wait ends, and then the wait doubles. */
  const again = await until(
    "the end of the wait",
    async () => {
      const answer = await loginFrom(other, 66, name, "guess");
      return answer.status_code !== CODE.THROTTLED && answer;
    },
    { everyMs: 100 },
  );
  assert.equal(again.status_code, CODE.LOGIN);
  assert.equal(await other.metric("doushard_logins_failed_total"), failed + 2);
  assert.ok((await other.metric("doushard_logins_throttled_total")) >= 120 - failed);
  assert.equal((await server.stop()).code, 0);
});

test("what a client says about its address counts only behind a trusted proxy", local, async () => {
  const one = { login_tries: 0, login_account_max: 0, login_address_max: 1 };
  const server = await (await cluster.addServer(one)).start();
  const other = cluster.apiOf(server);
  const name = uniqueName("nobody");
  assert.equal((await loginFrom(other, 1, name, "x")).status_code, CODE.LOGIN);
  assert.equal((await loginFrom(other, 2, name, "x")).status_code, CODE.THROTTLED);
  assert.match(await server.wholeLog(), / warn proxy_not_trusted .*peer=127\.0\.0\.1/);
  assert.equal((await server.stop()).code, 0);

  const behind = await (await cluster.addServer({ ...one, trusted_proxies: "10.0.0.0/8, 127.0.0.0/29" })).start();
  /* What the client sent, then what the proxy appended: in one line or in two. */
  const body = `username=${name}&password=x`;
  const codes = [];
  for (const headers of [
    "X-Forwarded-For: 198.51.100.1\r\n",
    "X-Forwarded-For: 198.51.100.7, 198.51.100.1\r\n",
    "X-Forwarded-For: 198.51.100.8\r\nX-Forwarded-For: 198.51.100.1\r\n",
    "X-Forwarded-For: 198.51.100.1\r\nX-Forwarded-For: 198.51.100.9\r\n",
  ]) {
    const connection = await RawConnection.open(behind.options.listen_port);
    await connection.send(
      `POST /douyin/user/login/ HTTP/1.1\r\nHost: x\r\n${headers}` +
        `Content-Type: application/x-www-form-urlencoded\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
    );
    const [answer] = await connection.answers(1);
    codes.push(JSON.parse(answer.body).status_code);
    connection.close();
  }
  assert.deepEqual(codes, [CODE.LOGIN, CODE.THROTTLED, CODE.THROTTLED, CODE.LOGIN]);
  assert.equal((await behind.stop()).code, 0);
});
