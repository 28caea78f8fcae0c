/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* A small load of reads and acknowledged writes on every shard, with the result of each request. */

import { CODE, uniqueName } from "./api.js";
import { slotOfName } from "./checks.js";

/** A new user name that belongs to SHARD by the map OWNER of slot to shard. */
export function nameOn(shard, owner) {
  for (;;) {
    const name = uniqueName("f");
    if (owner.get(slotOfName(name)) === shard) return name;
  }
}

/**
 * Keep CLIENTS busy per shard until stop(). USERS: Map of shard to [{id, token, name, password}]. Every
 * request becomes a sample {shard, what, at, ms, code, name, id}: `code` is status_code, or "none" when there
 * was no answer. turn() resolves when all requests under way by then have ended.
 */
export function startLoad(api, { users, owner, clients = 2 }) {
  const samples = [];
  const underWay = new Set();
  let stopping = false;
  const timed = async (shard, what, work, extra = {}) => {
    const sample = { shard, what, at: performance.now(), ...extra };
    try {
      const json = await work();
      sample.code = json.status_code;
      sample.id = json.user_id;
    } catch (error) {
      sample.code = "none";
      sample.error = error.message;
    }
    sample.ms = performance.now() - sample.at;
    samples.push(sample);
  };
  const tracked = async (...request) => {
    const running = timed(...request);
    underWay.add(running);
    await running;
    underWay.delete(running);
  };
  const client = async (shard) => {
    const own = users.get(shard);
    for (let i = 0; !stopping; i++) {
      const user = own[i % own.length];
      await tracked(shard, "user", () => api.user(user.token, user.id));
      if (stopping) break;
      await tracked(shard, "list", () => api.list({ user_id: user.id }));
      if (stopping) break;
      const name = nameOn(shard, owner);
      await tracked(
        shard,
        "register",
        async () => (await api.post("/douyin/user/register/", { username: name, password: "p" })).json,
        { name },
      );
    }
  };
  const running = [...users.keys()].flatMap((shard) => Array.from({ length: clients }, () => client(shard)));
  return {
    samples,
    turn: () => Promise.all([...underWay]),
    acknowledged: () => samples.filter((s) => s.what === "register" && s.code === CODE.OK),
    unknown: () => samples.filter((s) => s.what === "register" && s.code !== CODE.OK),
    async stop() {
      stopping = true;
      await Promise.all(running);
    },
  };
}
