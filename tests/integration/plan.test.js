/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* What operators see before they move anything: servers report the load of slots and owners,
 * `shardctl hot` lists the heaviest, `plan` proposes moves that even out the shards, `where` finds a
 * user's rows. */

import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { after, before, test } from "node:test";
import { CODE } from "../lib/api.js";
import { slotOfId } from "../lib/checks.js";
import { Cluster, serverEnvironment } from "../lib/cluster.js";
import { moveSlot, owners, plantVideos } from "../lib/rows.js";
import { SHARDCTL, shardctl } from "../lib/shardctl.js";
import { until } from "../lib/wait.js";

let cluster;
let api;
let owner;

const run = (...args) => shardctl(args, { env: { ...serverEnvironment(), DOUSHARD_VAR: cluster.dir } });
const json = async (...args) => {
  const { status, out, err } = await run(...args, "--json");
  return { status, err, ...(out === "" ? {} : JSON.parse(out)) };
};

before(async () => {
  assert.ok(existsSync(SHARDCTL), `${SHARDCTL} is not built: make ${SHARDCTL}`);
  cluster = await Cluster.up({ shards: 2, options: { load_report: "200ms" } });
  ({ api } = cluster);
  owner = await owners(cluster);
});
after(() => cluster?.down());

test("print their usage", async () => {
  for (const [name, words] of [
    ["plan", /--capacity=[^]*Exit status/],
    ["hot", /--limit=[^]*Exit status/],
    ["where", /shardctl where ID\|NAME[^]*Exit status/],
  ]) {
    const help = await run(name, "--help");
    assert.deepEqual([help.status, help.err], [0, ""]);
    assert.match(help.out, words);
  }
  for (const args of [
    ["plan", "x"],
    ["plan", "--shard=shard1"],
    ["hot", "--by=load"],
    ["where"],
    ["where", "a", "b"],
    ["plan", "--by=weight"],
    ["plan", "--threshold=0"],
    ["plan", "--threshold=x"],
    ["plan", "--floor=-1"],
    ["plan", "--floor=x"],
    ["plan", "--limit=0"],
    ["plan", "--weights=shard1"],
    ["plan", "--weights=shard1=-1"],
    ["plan", "--weights=shard9=1"],
    ["plan", "--capacity=shard1=5X"],
    ["plan", "--capacity=shard1="],
    ["plan", "--drain=shard1=3"],
    ["plan", "--drain=shard1,shard2"],
    ["hot", "--limit=1001"],
    ["where", "x".repeat(129)],
  ]) {
    const answer = await run(...args);
    assert.deepEqual([answer.status, answer.out], [2, ""], args.join(" "));
    assert.match(answer.err, /^shardctl|^usage/, args.join(" "));
  }
});

test("the load that a server causes is known to the shard, by slot and by owner", async () => {
  const user = await api.register();
  const fan = await api.register();
  const [video] = await plantVideos(cluster, [{ author: user.id, at: Date.now() }]);
  assert.equal((await run("call", `user_repair(${user.id})`)).status, 0);
  const like = async () => {
    for (let i = 0; i < 40; i++) assert.equal((await api.like(fan.token, video.id, 1 + (i % 2))).status_code, CODE.OK);
  };
  const found = await until("the video among the dearest", async () => {
    await like();
    const hot = await json("hot", "--limit=5");
    assert.deepEqual([hot.status, hot.err, hot.partial], [0, "", false]);
    const seen = hot.owners.find(({ owner_id: id }) => id === video.id);
    return seen && [seen, hot];
  });
  const [seen, hot] = found;
  assert.deepEqual(
    [seen.kind, seen.user_id, seen.slot, seen.shard],
    ["video", user.id, slotOfId(video.id), owner.get(slotOfId(video.id))],
  );
  assert.ok(seen.operations_per_s > 0 && seen.busy_ms_per_s > 0);
  const slot = hot.slots.find(({ slot: number }) => number === seen.slot);
  assert.ok(slot.operations_per_s > 0 && slot.busy_ms_per_s > 0);
  assert.ok(hot.busy_ms_per_s >= slot.busy_ms_per_s);
  assert.deepEqual(
    hot.slots.map(({ busy_ms_per_s: ms }) => ms),
    hot.slots.map(({ busy_ms_per_s: ms }) => ms).sort((a, b) => b - a),
  );
  assert.equal((await json("hot", "--limit=1")).slots.length, 1);
  const text = await run("hot");
  assert.match(
    text.out,
    new RegExp(`SHARD +SLOT +OPS/S[^]*SHARE[^]*${seen.shard} +${seen.slot} +video +${video.id} +${user.id} `),
  );
});

test("where a user is, by id and by name", async () => {
  const user = await api.register("数 据");
  const slot = slotOfId(user.id);
  const shard = owner.get(slot);
  const text = await run("where", user.id);
  assert.deepEqual([text.status, text.out], [0, `${user.id}: slot ${slot} of ${shard} at epoch 1, owned\n`]);
  const { status, err, ...found } = await json("where", user.name);
  assert.deepEqual([status, err], [0, ""]);
  assert.deepEqual(found, { id: user.id, name: user.name, slot, is_own: false, shard, epoch: 1, state: "owned" });
  const digits = await api.register(String(user.id + 1));
  assert.match((await run("where", digits.name, "--name")).out, new RegExp(`^${digits.name} ${digits.id}: `));
  const nobody = await run("where", "nobody here");
  assert.deepEqual([nobody.status, nobody.out], [1, ""]);
  assert.match(nobody.err, /nobody here: nobody has this name/);

  const other = shard === "shard1" ? "shard2" : "shard1";
  await moveSlot(cluster, slot, shard, other);
  owner.set(slot, other);
  const moved = await json("where", user.id);
  assert.deepEqual([moved.status, moved.shard, moved.state], [0, other, "owned"]);
  assert.ok(moved.epoch > 1);
});

test("a plan by rows, bytes and load, carried out by hand: then nothing is left to do", async () => {
  const heavy = await Promise.all(Array.from({ length: 6 }, () => api.register()));
  /* Long ago, each at a different time, since an id contains time and slot. */
  let at = Date.now() - 86400000;
  const videos = heavy.flatMap(({ id }, i) => Array.from({ length: 40 * (i + 1) }, () => ({ author: id, at: at++ })));
  await plantVideos(cluster, videos);
  /* All of theirs are on one shard; earlier counts are cleared. */
  for (const { id } of heavy) {
    const slot = slotOfId(id);
    if (owner.get(slot) !== "shard1") await moveSlot(cluster, slot, owner.get(slot), "shard1");
    owner.set(slot, "shard1");
  }
  await cluster.sqlAll("DELETE FROM slot_load");

  const plan = await json("plan", "--by=rows");
  assert.deepEqual([plan.status, plan.err, plan.unmeasured, plan.undrained], [1, "", 0, 0]);
  assert.ok(plan.imbalance_before > 1.3 && plan.imbalance_after < plan.imbalance_before, JSON.stringify(plan));
  assert.deepEqual(
    plan.shards.map(({ shard }) => shard),
    ["shard1", "shard2"],
  );
  let last = plan.imbalance_before;
  for (const move of plan.moves) {
    assert.deepEqual([move.from, move.to, owner.get(move.slot)], ["shard1", "shard2", "shard1"]);
    assert.ok(move.imbalance < last);
    last = move.imbalance;
  }
  assert.equal((await json("plan", "--by=rows", "--limit=1")).moves.length, 1);
  const text = await run("plan", "--by=rows");
  assert.match(text.out, /^Evening out rows;[^]*shard1 +\d+ -> +\d+ [^]*\|#+[^]*\n +1 {2}slot \d+ +shard1 -> shard2/);

  for (const { slot } of plan.moves) {
    await moveSlot(cluster, slot, "shard1", "shard2");
    owner.set(slot, "shard2");
  }
  await cluster.sqlAll("UPDATE slot_load SET measured_at = 0");
  const after_ = await json("plan", "--by=rows", "--threshold=20%");
  assert.deepEqual([after_.verdict, after_.status, after_.moves], ["even", 0, []]);
  assert.match((await run("plan", "--by=rows", "--threshold=20")).out, /Nothing needs to be done/);

  /* With these weights nearly everything belongs on shard2: bytes are as uneven as possible, and
   * still too few to move. */
  const bytes = await json("plan", "--weights=shard1=1,shard2=100");
  assert.deepEqual(
    [bytes.by, bytes.status, bytes.verdict, bytes.is_floored, bytes.moves],
    ["bytes", 0, "even", true, []],
  );
  assert.match(
    (await run("plan", "--weights=shard1=1,shard2=100")).out,
    /Nothing needs to be done: no move would win [^]*--floor=0/,
  );
  const all = await json("plan", "--weights=shard1=1,shard2=100", "--floor=0");
  assert.deepEqual([all.status, all.is_floored], [1, false]);
  assert.ok(all.moves.length > 0);
  const load = await json("plan", "--by=load", "--threshold=1000");
  assert.equal(load.verdict, "even");
});

test("drains, weights and capacities", async () => {
  const drained = await json("plan", "--drain=shard2");
  assert.deepEqual([drained.status, drained.verdict, drained.undrained], [1, "moves", 0]);
  const [here, there] = drained.shards;
  assert.deepEqual(
    [there.after.slots, there.is_draining, here.after.slots],
    [0, true, here.before.slots + there.before.slots],
  );
  const tight = await json("plan", "--drain=shard2", "--capacity=shard1=1k");
  assert.deepEqual([tight.status, tight.verdict], [1, "stuck"]);
  assert.ok(
    tight.undrained > 0 && tight.moves.every(({ bytes }) => bytes <= 1000),
    "slots without rows always find room",
  );
  assert.match(
    (await run("plan", "--drain=shard2", "--capacity=shard1=1k")).out,
    /not everything can leave[^]*shardctl finish[^]*nobody has room/,
  );
  const weighted = await json("plan", "--by=rows", "--weights=shard1=3,shard2=1");
  const [one, two] = weighted.shards.map(({ after: { value } }) => value);
  assert.ok(one > 2 * two, `${one} beside ${two}`);
  const [slot] = [...owner].find(([, shard]) => shard === "shard1");
  await cluster.sql("shard1", `UPDATE slot_fence SET state = 'migrating' WHERE slot = ${slot}`);
  try {
    assert.ok((await json("plan", "--drain=shard1")).undrained === 1, "what is moving stays out of the plan");
  } finally {
    await cluster.sql("shard1", `UPDATE slot_fence SET state = 'owned' WHERE slot = ${slot}`);
  }
});

test("one slot that has nearly all: plan says that no move helps, and why", async () => {
  const slot = [...owner].find(([, shard]) => shard === "shard1")[0];
  await run("plan", "--by=rows"); /* counts what was not counted yet */
  await cluster.sqlAll("UPDATE slot_load SET size_rows = 0");
  await cluster.sql("shard1", `UPDATE slot_load SET size_rows = 1000 WHERE slot = ${slot}`);
  const { status, out } = await run("plan", "--by=rows");
  assert.equal(status, 0, out);
  assert.match(out, /has 2.00 of its share, then 2.00/);
  assert.match(out, new RegExp(`^No move makes it more even: 100 % of what shard1 has is in slot ${slot}\\b`, "m"));
  assert.doesNotMatch(out, /Nothing needs to be done/);
});

test("a shard that is down: no plan, and hot says that its list is incomplete", async () => {
  await cluster.demo("kill", "shard1");
  const plan = await run("plan");
  assert.deepEqual([plan.status, plan.out], [2, ""]);
  assert.match(plan.err, /shardctl: shard1: /);
  const hot = await json("hot");
  assert.deepEqual([hot.status, hot.partial], [1, true]);
  assert.match(hot.err, /shardctl: shard1: /);
});
