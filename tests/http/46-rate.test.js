/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* How often users and addresses may do things, on two servers with one Redis. Limits are per hour
 * and small, so that no refusal depends on speed. */

import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { after, test } from "node:test";
import { CODE, uniqueName } from "../lib/api.js";
import { cachedCluster, cachedServer } from "../lib/cached.js";
import { NO_RATES } from "../lib/cluster.js";
import { plantVideos } from "../lib/rows.js";
import { until } from "../lib/wait.js";

const cluster = await cachedCluster();
after(() => cluster.down());

/* Options that change are in the file, since a flag would win over it. */
const flagless = Object.fromEntries(Object.keys(NO_RATES).map((name) => [name, undefined]));
let limits = {};
const setLimits = (changes) => {
  limits = { ...NO_RATES, ...changes };
  const base = {
    topology_file: cluster.files.topology,
    token_keys_file: cluster.files.token_keys,
    db_password_file: cluster.files.app_password,
  };
  writeFileSync(
    cluster.config,
    Object.entries({ ...base, ...limits })
      .map(([name, value]) => `${name} = ${JSON.stringify(value)};\n`)
      .join(""),
  );
};
setLimits({});

const serve = async (options = {}) => {
  const api = await cachedServer(cluster, { ...flagless, login_tries: 0, trusted_proxies: "127.0.0.1", ...options });
  api.refused = () => api.metric("doushard_rates_refused_total");
  api.alone = () => api.metric("doushard_rates_alone_total");
  return api;
};
const here = await serve();
const there = await serve();
const servers = [here, there];

/* Sets new limits on both servers. */
async function reload(changes) {
  setLimits(changes);
  for (const api of servers) {
    const count = await api.metric("doushard_config_reloads_total");
    api.server.kill("SIGHUP");
    await until("the reload", async () => (await api.metric("doushard_config_reloads_total")) > count);
  }
}

/* An address that no other test uses, and requests that a proxy passes on for it. */
let n_addresses = 0;
const newAddress = () => {
  n_addresses += 1;
  return `10.66.${n_addresses >> 8}.${n_addresses & 255}`;
};
const from = (address) => ({ headers: { "X-Forwarded-For": address } });
const register = async (api, address, name = uniqueName()) =>
  (await api.post("/douyin/user/register/", { username: name, password: "correct horse" }, from(address))).json;
const login = async (api, address, username, password) =>
  (await api.post("/douyin/user/login/", { username, password }, from(address))).json;

/* The codes of N answers to SEND(api), alternating between the two servers. */
async function codes(n, send) {
  const found = [];
  for (let i = 0; i < n; i++) found.push((await send(servers[i % 2])).status_code);
  return found;
}
const { OK, THROTTLED } = CODE;

/* Fails unless ATTEMPT, with subjects that nobody has counted yet, resolves to EXPECTED. It is tried
 * again if it took longer than MS (a limit per minute forgets) or if Redis did not answer in time. */
async function shared(expected, attempt, ms = Infinity) {
  const alone = async () => (await here.alone()) + (await there.alone());
  const { found } = await until("Redis to answer in time", async () => {
    const before = await alone();
    const start = performance.now();
    const result = await attempt();
    return (await alone()) === before && performance.now() - start <= ms && { found: result };
  });
  assert.deepEqual(found, expected);
}

const ana = await here.register();
const bob = await here.register();
const [video] = await plantVideos(cluster, [{ author: ana.id, at: Date.now() }]);

test("all servers count together, and say in how many seconds to try again", async () => {
  await reload({ rate_publish_per_hour: 2 });
  /* Requests count whatever their outcome: none of these has a file. */
  const publish = (api, user) =>
    api.post("/douyin/publish/action/", { token: user.token, title: "x" }).then(({ json }) => json);
  const refused = async () => (await here.refused()) + (await there.refused());
  let user;
  await shared([CODE.PARAM, CODE.PARAM, THROTTLED, THROTTLED, 2], async () => {
    user = await here.register();
    const before = await refused();
    return [...(await codes(4, (api) => publish(api, user))), (await refused()) - before];
  });
  const answer = await publish(here, user);
  const [, seconds] = answer.status_msg.match(/^too often, try again later: (\d+) s$/);
  assert.ok(Number(seconds) > 600 && Number(seconds) <= 1800, answer.status_msg);
  assert.equal((await publish(there, bob)).status_code, CODE.PARAM, "another user");
  const [node] = await cluster.redis.owners([`ds:{${user.id}}:r:publish`]);
  const ttl = Number(await cluster.redis.cli(node, "PTTL", `ds:{${user.id}}:r:publish`));
  assert.ok(ttl > 0 && ttl <= 3600000, `${ttl}`);
});

test("requests with a mistake, or without a valid token, do not count", async () => {
  await reload({ rate_profile_per_hour: 1 });
  await shared([CODE.PARAM, CODE.AUTH, OK, THROTTLED, "z0"], async () => {
    const user = await here.register();
    const profile = async (api, fields) =>
      (await api.post("/douyin/user/profile/", { token: user.token, ...fields })).json;
    const found = [
      (await profile(here, { signature: "x".repeat(129) })).status_code,
      (await profile(here, { signature: "y", token: "bad" })).status_code,
    ];
    let n = 0;
    found.push(...(await codes(2, (api) => profile(api, { signature: `z${n++}` }))));
    return [...found, (await here.user(user.token)).user.signature];
  });
});

for (const [option, what, send] of [
  ["rate_favorite_per_min", "likes", (api, user) => api.like(user.token, video.id)],
  ["rate_relation_per_min", "follows", (api, user) => api.follow(user.token, ana.id)],
  ["rate_comment_per_min", "comments", (api, user) => api.comment(user.token, video.id, "well")],
  ["rate_message_per_min", "messages", (api, user) => api.say(user.token, ana.id, "hello")],
]) {
  test(`${what} are counted per user`, async () => {
    await reload({ [option]: 1 });
    let user;
    await shared(
      [OK, THROTTLED, THROTTLED],
      async () => {
        user = await here.register();
        return codes(3, (api) => send(api, user));
      },
      55000,
    );
    const other = await there.register();
    assert.equal((await send(there, other)).status_code, OK);
    assert.equal((await here.feed({ token: user.token })).status_code, OK, "reading is not counted");
  });
}

test("accounts are counted per address, IPv6 per network", async () => {
  await reload({ rate_register_per_hour: 2 });
  let one;
  await shared([OK, OK, THROTTLED, THROTTLED], () => {
    one = newAddress();
    return codes(4, (api) => register(api, one));
  });
  assert.deepEqual(await codes(2, (api) => register(api, newAddress())), [OK, OK]);
  let network = 1;
  await shared([OK, OK, THROTTLED], () => {
    let host = 0;
    network += 1;
    return codes(3, (api) => register(api, `2001:db8:1:${network}::${(host += 1)}`));
  });
  assert.equal((await register(here, `2001:db8:1:${network + 1}::1`)).status_code, OK);
  const name = uniqueName();
  assert.equal((await register(there, one, name)).status_code, THROTTLED);
  assert.equal((await register(here, newAddress(), name)).status_code, OK, "a refused request did not take the name");
});

test("logins are counted per address, right or wrong", async () => {
  await reload({ rate_login_per_min: 2 });
  await shared(
    [OK, CODE.LOGIN, THROTTLED, THROTTLED],
    async () => {
      const address = newAddress();
      const found = [];
      for (const [api, password] of [
        [here, ana.password],
        [there, "wrong"],
        [here, ana.password],
        [there, "wrong"],
      ])
        found.push((await login(api, address, ana.name, password)).status_code);
      return found;
    },
    25000,
  );
  assert.equal((await login(here, newAddress(), ana.name, ana.password)).status_code, OK);
});

test("what a client says about its address counts only behind a trusted proxy", async () => {
  await reload({ rate_register_per_hour: 2 });
  /* Without Redis: otherwise this server and the others would count 127.0.0.1 together. */
  const plain = await serve({ redis_nodes: "", trusted_proxies: "192.0.2.1" });
  const found = [];
  for (let i = 0; i < 3; i++) found.push((await register(plain, newAddress())).status_code);
  assert.deepEqual(found, [OK, OK, THROTTLED]);
  assert.equal((await plain.server.stop()).code, 0);
  await shared([OK, OK, THROTTLED], () => {
    const address = newAddress();
    let lie = 0;
    return codes(3, (api) => register(api, `198.51.100.${(lie += 1)}, ${address}`));
  });
});

test("SIGHUP brings new limits: earlier counts make nobody wait longer than the new limits do", async () => {
  await reload({ rate_register_per_hour: 1 });
  let address;
  await shared([OK, THROTTLED, THROTTLED], () => {
    address = newAddress();
    return codes(3, (api) => register(api, address));
  });
  await reload({ rate_register_per_hour: 1000000 });
  await until("one more share of the hour", async () => (await register(here, address)).status_code === OK);
  await reload({ rate_register_per_hour: 0 });
  assert.deepEqual(await codes(3, (api) => register(api, address)), [OK, OK, OK]);
  await reload({ rate_register_per_hour: 1 });
  assert.deepEqual(await codes(2, (api) => register(api, newAddress())), [OK, OK]);
});

test("a bad entry in Redis locks nobody out: nonsense, or the time of a clock that was ahead", async () => {
  await reload({ rate_register_per_hour: 1000000 });
  for (const command of [
    ["SET", "nonsense"],
    ["SET", "nan"],
    ["LPUSH", "1"],
    ["SET", "9000000000000000"],
    ["SET", "inf"],
  ]) {
    const address = newAddress();
    const key = `ds:{${address}}:r:register`;
    const [node] = await cluster.redis.owners([key]);
    assert.match(await cluster.redis.cli(node, command[0], key, command[1]), /^(OK|1)$/);
    await until(
      `Redis to count over ${command[1]}`,
      async () => {
        const before = await here.alone();
        return (await register(here, address)).status_code === OK && (await here.alone()) === before;
      },
      { timeoutMs: 20000 },
    );
  }
});

/* ---- Failed logins ---- */

/* With three an hour, two may come at once. */
test("failed logins to an account count together, wherever they come from", async () => {
  await reload({ login_account_max: 3, login_address_max: 0 });
  for (const known of [false, true]) {
    await shared([CODE.LOGIN, CODE.LOGIN, THROTTLED, THROTTLED], async () => {
      const name = known ? (await here.register()).name : uniqueName("nobody");
      return codes(4, (api) => login(api, newAddress(), name, "wrong"));
    });
  }
});

test("failed logins from an address count together, whatever the account", async () => {
  await reload({ login_account_max: 0, login_address_max: 3 });
  await shared([CODE.LOGIN, CODE.LOGIN, THROTTLED, THROTTLED], () => {
    const address = newAddress();
    return codes(4, (api) => login(api, address, uniqueName("nobody"), "wrong"));
  });
});

test("if one limit refuses, the other is not charged", async () => {
  await reload({ login_account_max: 1, login_address_max: 1 });
  await shared([CODE.LOGIN, THROTTLED, THROTTLED, CODE.LOGIN, THROTTLED], async () => {
    const [name, address] = [uniqueName("nobody"), newAddress()];
    const found = [(await login(here, newAddress(), name, "wrong")).status_code];
    for (const [api, whom] of [
      [there, name],
      [there, name],
      [there, uniqueName("nobody")],
      [here, uniqueName("nobody")],
    ])
      found.push((await login(api, address, whom, "wrong")).status_code);
    return found;
  });
});

test("a right password does not count, and an address that is known to one server is known to all", async () => {
  await reload({ login_account_max: 1, login_address_max: 1 });
  await shared([OK, OK, OK, CODE.LOGIN, THROTTLED, OK, OK, CODE.LOGIN], async () => {
    const home = newAddress();
    const name = uniqueName();
    const found = [(await register(here, home, name)).status_code];
    const enter = async (api, address, password) => found.push((await login(api, address, name, password)).status_code);
    await enter(here, newAddress(), "correct horse");
    await enter(there, newAddress(), "correct horse");
    await enter(here, newAddress(), "wrong");
    await enter(there, newAddress(), "correct horse");
    await enter(there, home, "correct horse"); /* where it was made, at the other server */
    await enter(here, home, "correct horse");
    await enter(there, home, "wrong");
    return found;
  });
});

/* ---- Without Redis ---- */

test("without Redis each server uses its own count, including earlier ones", async () => {
  await reload({ rate_register_per_hour: 2, login_account_max: 3, login_address_max: 0 });
  let one;
  await shared([OK, OK], () => {
    one = newAddress();
    return codes(2, (api) => register(api, one));
  });
  /* What Redis refuses is not counted locally. */
  let third;
  let somebody;
  await shared(
    [OK, OK, THROTTLED, THROTTLED, THROTTLED, CODE.LOGIN, CODE.LOGIN, THROTTLED, THROTTLED, THROTTLED],
    async () => {
      [third, somebody] = [newAddress(), uniqueName("nobody")];
      const found = [];
      for (const api of [there, there, here, here, here]) found.push((await register(api, third)).status_code);
      for (const api of [there, there, here, here, here])
        found.push((await login(api, newAddress(), somebody, "wrong")).status_code);
      return found;
    },
  );
  const other = newAddress();
  const alone = await here.alone();
  for (let i = 0; i < cluster.redis.nodes.length; i++) await cluster.redis.kill(i);
  assert.deepEqual(await codes(4, (api) => register(api, one)), [OK, OK, THROTTLED, THROTTLED]);
  assert.deepEqual(await codes(6, (api) => register(api, other)), [OK, OK, OK, OK, THROTTLED, THROTTLED]);
  const onlyHere = async (send) => [(await send()).status_code, (await send()).status_code, (await send()).status_code];
  assert.deepEqual(await onlyHere(() => register(here, third)), [OK, OK, THROTTLED]);
  assert.deepEqual(await onlyHere(() => login(here, newAddress(), somebody, "wrong")), [
    CODE.LOGIN,
    CODE.LOGIN,
    THROTTLED,
  ]);
  const nobody = uniqueName("nobody");
  assert.deepEqual(await codes(6, (api) => login(api, newAddress(), nobody, "wrong")), [
    CODE.LOGIN,
    CODE.LOGIN,
    CODE.LOGIN,
    CODE.LOGIN,
    THROTTLED,
    THROTTLED,
  ]);
  assert.ok((await here.alone()) >= alone + 5);
  for (let i = 0; i < cluster.redis.nodes.length; i++) await cluster.redis.start(i);
  await cluster.redis.settled();
  await until(
    "the servers to find Redis",
    async () =>
      (await register(here, newAddress())).status_code === OK &&
      (await Promise.all(servers.map((api) => api.metric("doushard_redis_slots_served")))).every((n) => n === 16384),
  );
  /* Redis has forgotten everything; the servers have not. */
  assert.deepEqual(await codes(2, (api) => register(api, other)), [THROTTLED, THROTTLED]);
});
