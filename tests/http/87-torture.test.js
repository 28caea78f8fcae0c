/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Memory runs out, or a system call fails, once, at each place in turn: the request is answered with
 * an error, nothing leaks, and the next one works. TORTURE=all: all places (make check-torture);
 * otherwise a few chosen by TORTURE_SEED. */

import assert from "node:assert/strict";
import { after, test } from "node:test";
import { CODE } from "../lib/api.js";
import { Cluster, UPLOADS } from "../lib/cluster.js";
import * as media from "../lib/media.js";
import { KINDS, Torture, countOf, failOne, requests } from "../lib/torture.js";

const cluster = await Cluster.up({ server: false });
after(() => cluster.down());
const torture = await Torture.on(cluster, { ...UPLOADS, http_threads: 1, db_pool_size: 2 });
const { api } = torture;
const user = await api.register();
assert.equal((await api.publish(user.token, media.uniqueClip(), "there")).status_code, CODE.OK);
const [{ id: video }] = (await api.list({ user_id: user.id })).video_list;

/* Connections that pools may open meanwhile, and the client's last ones. */
const CONNECTIONS = 8;

/* How many places are chosen of each kind; an upload is expensive. */
const DRAWN = { register: 20, upload: 6, like: 20, feed: 20, reload: 20 };
const SEED = Number(process.env.TORTURE_SEED || 1 + Math.floor(Math.random() * 1e6));
const isAsked = (name) => !process.env.TORTURE_ONLY || name.includes(process.env.TORTURE_ONLY);

/* N of the numbers from 1 to MAX, chosen by SEED; if all are wanted, all of them and some more. */
function drawn(n, max) {
  const all = Array.from({ length: Math.ceil(max * 1.1) }, (_, i) => i + 1);
  if (process.env.TORTURE === "all") return all;
  const rest = all.slice(0, max);
  let x = SEED;
  return Array.from({ length: Math.min(n, max) }, () => {
    x = (Math.imul(x, 1103515245) + 12345) & 0x7fffffff;
    return rest.splice((x >> 16) % rest.length, 1)[0];
  });
}

/* What has failed. */
const hits = [];

for (const [name, prepare] of Object.entries(requests(torture, user, video))) {
  for (const kind of Object.keys(KINDS).filter((k) => isAsked(`${name} ${k}`))) {
    test(`${name}: ${kind} fails once (seed ${SEED})`, async () => {
      const n = await countOf(torture, prepare, kind);
      const before = torture.open();
      const problems = [];
      let hit = 0;
      for (const i of drawn(DRAWN[name], n)) {
        try {
          hit += await failOne(torture, prepare, kind, i);
        } catch (error) {
          problems.push(error.message);
          if (!torture.server.running) break;
        }
      }
      assert.equal(problems.join("\n"), "");
      await torture.isClosed(before, CONNECTIONS);
      hits.push(`${name} ${hit} of ${n} (${kind})`);
      assert.ok(hit > 0, `of ${n} calls, none has failed`);
    });
  }
}

test("nothing leaked", async (t) => {
  torture.close();
  assert.equal((await torture.server.stop()).code, 0, torture.server.complaints());
  t.diagnostic(`note: seed ${SEED}: ${hits.join(", ")}`);
});
