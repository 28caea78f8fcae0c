/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Shards over TLS: a server and shardctl that are given a CA talk to a shard with a valid
 * certificate, and to no other: nothing is sent, and the reason is reported. */

import assert from "node:assert/strict";
import { chmodSync, chownSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { Authority, REFUSED } from "../lib/certificates.js";
import { Cluster, statusOf } from "../lib/cluster.js";
import { shardctl } from "../lib/shardctl.js";
import { until } from "../lib/wait.js";

const authority = new Authority();
after(() => authority.remove());

let cluster;
let server;
let topology;
before(async () => {
  cluster = await Cluster.up({ shards: 1, server: false });
  topology = join(cluster.dir, "remote.conf"); /* by its address alone: a socket needs no TLS */
  writeFileSync(
    topology,
    `servers = ({ name = "shard1"; host = "127.0.0.1"; port = ${cluster.shard("shard1").port}; });\n`,
  );
  server = await cluster.addServer({ db_tls_ca: authority.file, topology_file: topology });
});
after(() => cluster?.down());

const status = () =>
  shardctl([
    "status",
    `--topology=${topology}`,
    `--tls-ca=${authority.file}`,
    `--password-file=${join(cluster.dir, "secrets", "monitor_password")}`,
  ]);
const isReady = async () => (await statusOf(`${server.adminUrl}/readyz`)) === 200;

/* Neither has a connection, and both report WHY. */
async function refused(why) {
  await until("the server to say why it has no shard", async () => {
    const answer = await fetch(`${server.adminUrl}/readyz`);
    return answer.status === 503 && why.test(await answer.text());
  });
  const { status: code, out, err } = await status();
  assert.notEqual(code, 0);
  assert.match(out + err, why);
  const [{ n }] = await cluster.sql(
    "shard1",
    `SELECT COUNT(*) AS n FROM information_schema.processlist
    WHERE user NOT IN ('root', 'system user', 'event_scheduler', 'unauthenticated user')`,
  );
  assert.equal(n, 0);
}

test("a shard without TLS is refused", async () => {
  await server.start({ ready: false });
  await refused(/does not speak TLS|SSL/);
});

describe("a shard with TLS", () => {
  const use = (name, options) => {
    const { key, cert } = authority.issue(name, options);
    for (const [type, text] of Object.entries({ key, cert })) {
      const file = join(cluster.dir, "shard1", `tls.${type}`);
      writeFileSync(file, text);
      chmodSync(file, 0o600);
      const { uid, gid } = statSync(join(cluster.dir, "shard1", "data"));
      chownSync(file, uid, gid);
    }
  };
  /* An open connection goes on with the certificate that it has seen. */
  const change = async (name, options) => {
    use(name, options);
    await cluster.sql("shard1", "FLUSH SSL");
    for (const { id } of await cluster.sql(
      "shard1",
      "SELECT id FROM information_schema.processlist WHERE user LIKE 'doushard%'",
    ))
      await cluster.sql("shard1", `KILL ${id}`).catch(() => {});
  };

  before(async () => {
    use("good");
    const dir = join(cluster.dir, "shard1");
    cluster.env.DOUSHARD_SHARD_OPTIONS = `ssl_cert = ${dir}/tls.cert\nssl_key = ${dir}/tls.key`;
    await cluster.demo("stop", "shard1");
    await cluster.demo("start", "shard1");
  });

  /* The account cannot connect without TLS, so TLS is used. */
  const serves = async () => {
    await cluster.sql("shard1", "ALTER USER doushard_app@'%' REQUIRE SSL");
    await until("the server to be ready", isReady);
    const api = cluster.apiOf(server);
    const { status: code, err } = await status();
    assert.equal(code, 0, err);
    return api.register();
  };

  test("with a good certificate serves", serves);

  for (const [what, { why, ...options }] of Object.entries(REFUSED))
    test(`with a certificate ${what} is refused`, async () => {
      await change(what.replaceAll(" ", "-"), options);
      await refused(why);
    });

  test("serves again when it has a good certificate again", async () => {
    await change("better");
    await serves();
  });
});
