/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* What an operator types to move slots: shardctl status, move, watch, go, pause, cancel and the
 * like, balance and drain, and the scripts that use them; what the operator is told when something
 * is wrong; and that an SQL shell alone is enough. */

import assert from "node:assert/strict";
import { execFile, spawn } from "node:child_process";
import {
  chmodSync,
  chownSync,
  copyFileSync,
  existsSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { Cluster, ROOT, buildDir, serverEnvironment } from "../lib/cluster.js";
import { Mover, moveOf, movesToEnd, movesUnderWay, requestMove, untilMove } from "../lib/mover.js";
import { idOf, owners, plantVideos } from "../lib/rows.js";
import { SHARDCTL, shardctl } from "../lib/shardctl.js";
import { PATIENCE_MS, parallel, until } from "../lib/wait.js";

/* Slots of shard1 that have most of all rows; and slots of shard3, which has no others. */
const FULL = [11, 12, 13, 14];
const LAST = [1021, 1022, 1023];
const ROWS = 120;

let cluster;
let env;
let mover;

const run = (...args) => shardctl(args, { env });
/** The exit status, and the JSON objects of the lines. */
const json = async (...args) => {
  const { status, out, err } = await run(...args, "--json");
  return {
    status,
    err,
    lines: out
      .split("\n")
      .filter(Boolean)
      .map((line) => JSON.parse(line)),
  };
};
const ok = async (...args) => {
  const { status, out, err } = await run(...args);
  assert.equal(status, 0, `${args.join(" ")}:\n${out}${err}`);
  return out;
};

/** A command that runs beside the test: { child, lines (so far), ended (its status), err() }. */
function begin(...args) {
  const child = spawn(SHARDCTL, args, { env, stdio: ["ignore", "pipe", "pipe"] });
  const command = { child, out: "", err: "" };
  child.stdout.on("data", (chunk) => {
    command.out += chunk;
  });
  child.stderr.on("data", (chunk) => {
    command.err += chunk;
  });
  command.ended = new Promise((done) => {
    child.once("close", (status, signal) => done(status ?? signal));
  });
  return command;
}

const script = (name, ...args) =>
  new Promise((done) => {
    execFile(
      join(ROOT, "scripts", name),
      args,
      { env: { ...env, DOUSHARD_BUILD_DIR: buildDir() }, stdio: ["ignore"] },
      (error, out, err) => done({ status: error?.code ?? 0, out, err }),
    );
  });

const requests = async () =>
  (await cluster.sqlAll("SELECT COUNT(*) AS n FROM slot_move")).reduce((sum, { n }) => sum + n, 0);
const ownerOf = async (slot) => (await owners(cluster)).get(slot);

/* Gives all slots of shard3 except LAST to shard1, as moves would have done. */
async function leaveFew() {
  const range = `BETWEEN 682 AND ${LAST[0] - 1}`;
  await cluster.sqlAll(`UPDATE slot_fence SET state = 'moved', epoch = 2, server = 'shard1' WHERE slot ${range};
    UPDATE slot_known SET epoch = 2, server = 'shard1' WHERE slot ${range}; DELETE FROM slot_seq WHERE slot ${range}`);
  await cluster.sql(
    "shard1",
    `UPDATE slot_fence SET state = 'owned' WHERE slot ${range};
    INSERT INTO slot_seq (slot, last) SELECT slot, 0 FROM slot_fence WHERE slot ${range}`,
  );
  await cluster.sqlAll("CALL _slot_changed()");
}

before(async () => {
  assert.ok(existsSync(SHARDCTL), `${SHARDCTL} is not built: make ${SHARDCTL}`);
  cluster = await Cluster.up({ shards: 3, server: false });
  env = { ...serverEnvironment(), DOUSHARD_VAR: cluster.dir };
  await leaveFew();
  const at = Date.now() - 10000;
  await plantVideos(
    cluster,
    [...FULL, LAST[0]].flatMap((slot) =>
      Array.from({ length: ROWS }, (_, i) => ({ author: idOf(at, slot), at: at + i })),
    ),
  );
});
after(async () => {
  await mover?.stop();
  await cluster?.down();
});

test("help explains; wrong usage is reported with status 2, and nothing is done", async () => {
  const helps = [
    ["status", /\[ERR\][^]*Exit status/],
    ["move", /--keep=TIME[^]*Ctrl-C[^]*Exit status/],
    ["watch", /Exit status/],
    ["balance", /--parallel=N[^]*Exit status/],
    ["drain", /--threshold[^]*Exit status/],
    ...["pause", "resume", "cancel", "rollback", "finish", "throttle"].map((wish) => [
      wish,
      /--dry-run[^]*Exit status/,
    ]),
  ];
  await parallel(
    4,
    helps.map(([name, words]) => async () => {
      const { status, out, err } = await run(name, "--help");
      assert.deepEqual([status, err], [0, ""], name);
      assert.match(out, new RegExp(`^usage: shardctl ${name}\\b[^]*\n${name}: `));
      assert.match(out, words);
    }),
  );
  assert.match(await ok("--version"), /^shardctl \d+\.\d+\.\d+ \(\S+\)$/m);
  const wrong = [
    [["move"], /usage: shardctl move/],
    [["move", "17"], /--to=SHARD is missing/],
    [["move", "17", "18", "--to=shard2"], /usage/],
    [["move", "17", "--to=shard9"], /shard9: the topology names no such shard/],
    ...["", "x", "17-", "20-10", "1,,2", "-1", "65536", "1,"].map((slots) => [
      ["move", "--to=shard2", "--", slots],
      /slots are numbers from 0 to 65535/,
    ]),
    ...["1", "1y", "h", "8d", "-1s", "1.5h", "5m"].map((keep) => [
      ["move", "17", "--to=shard2", `--keep=${keep}`],
      /--keep: a time/,
    ]),
    ...["fast", "1/h", "-1"].map((rate) => [["move", "17", "--to=shard2", `--rate=${rate}`], /--rate: rows a second/]),
    [["move", "17", "--to=shard2", "--by=rows"], /move takes no --by/],
    [["throttle", "17"], /usage/],
    [["throttle", "17", "quick"], /quick: no rate/],
    [["pause", "x"], /slots are numbers/],
    [["balance", "--parallel=0"], /1 to 64/],
    [["balance", "--by=weight"], /bytes, rows or load/],
    [["drain"], /usage/],
    [["drain", "shard9"], /no such shard/],
    [["watch", "x"], /slots are numbers/],
    [["status", "x"], /usage/],
    [["mover", "--lock=50"], /--lock: needs a time from 1ms to 1s, such as /],
    [["mover", "--lease=999ms"], /--lease: needs a time from 1s to 1h, /],
    [["mover", "--commit=2min"], /--commit: needs a time from 0 to 1min, /],
    [["mover", "--lag=0"], /--lag: needs a time from 1ms to 1h, /],
    [["frobnicate"], /no such command/],
    [[], /no such command/],
    [["move", "11", "--to=shard2"], /without a terminal to ask at, add --yes/],
  ];
  await parallel(
    4,
    wrong.map(([args, why]) => async () => {
      const { status, err } = await run(...args);
      assert.equal(status, 2, `${args.join(" ")}: ${err}`);
      assert.match(err, why, args.join(" "));
    }),
  );
  assert.equal(await requests(), 0);
});

test("status: every shard with its slots, and that all is well", async () => {
  const { status, out } = await run("status");
  assert.equal(status, 0, out);
  assert.match(out, /^shard1 +serves +up +\d+ .*\n^shard2 +serves +up +341 .*\n^shard3 +serves +up +3 /m);
  assert.match(
    out,
    /^\[OK\] +3 of 3 shards answer\n\[OK\] +every slot has one owner, which answers\n\[OK\] +no move is under way$/m,
  );
  const [whole] = (await json("status")).lines;
  assert.deepEqual(
    whole.shards.map(({ shard, state, slots }) => [shard, state, slots]),
    [
      ["shard1", "up", 680],
      ["shard2", "up", 341],
      ["shard3", "up", 3],
    ],
  );
  assert.deepEqual([whole.is_good, whole.moves], [true, []]);
});

test("a password of another account: status says which account it used, and which option takes its file", async () => {
  const file = join(cluster.dir, "secrets", "admin_password");
  const { status, err } = await run("status", `--topology=${cluster.files.topology}`, `--password-file=${file}`);
  assert.equal(status, 2);
  assert.ok(
    err.includes(
      `shardctl: status logged in as doushard_monitor with the password in ${file}, which shard1 refused: --password-file=FILE`,
    ),
    err,
  );
});

test("status tells shards nothing about others, which its account may not do", async () => {
  await Promise.all(
    [1, 2, 3].map((n) =>
      cluster.sql(`shard${n}`, `INSERT INTO slot_known (slot, epoch, server) VALUES (${5000 + n}, 3, '')`),
    ),
  );
  const { status, err } = await run("status");
  assert.deepEqual([status, err], [0, ""]);
  assert.equal((await cluster.sqlAll("SELECT 1 AS x FROM slot_known WHERE slot > 5000")).length, 3);
  await cluster.sqlAll("DELETE FROM slot_known WHERE slot > 5000");
});

test("--dry-run prints what would be done, and does nothing", async () => {
  const {
    status,
    lines: [plan],
  } = await json("move", `${FULL[0]},${LAST[0]},400`, "--to=shard2", "--keep=30min", "--rate=5000/s", "--dry-run");
  assert.equal(status, 0);
  assert.deepEqual([plan.to, plan.keep_ms, plan.rows_per_s, plan.is_good], ["shard2", 1800000, 5000, true]);
  assert.deepEqual(
    plan.slots.map(({ slot, giver, taker, rows, is_there }) => [slot, giver, taker, rows, is_there]),
    [
      [FULL[0], "shard1", "shard2", ROWS, false],
      [400, "shard2", "shard2", 0, true],
      [LAST[0], "shard3", "shard2", ROWS, false],
    ],
  );
  for (const words of [
    /slot 400 is on shard2 already/,
    /shard1 answers, is durable/,
    /shard2 answers/,
    /room|free/,
    /shard3 answers/,
  ])
    assert.ok(
      plan.checks.some(({ text }) => words.test(text)),
      String(words),
    );
  assert.match(
    await ok("move", String(FULL[0]), "--to=shard2", "--dry-run"),
    /^slot 11 +shard1 -> shard2 +about 120 rows/m,
  );
  assert.match(await ok("balance", "--by=rows", "--dry-run"), /^ +1 +slot 1[1-4] +shard1 -> shard2/m);
  assert.match(await ok("drain", "shard3", "--dry-run"), /^ +3 +slot \d+ +shard3 -> /m);
  for (const args of [
    ["rebalance.sh", "--by=rows", "--dry-run"],
    ["drain-shard.sh", "shard3", "--dry-run"],
  ])
    assert.equal((await script(...args)).status, 0, args.join(" "));
  assert.equal(await requests(), 0);
});

test(
  "a mover that gets only some of its threads says so and ends",
  { skip: process.getuid() !== 0 && "only root can be somebody else" },
  async () => {
    const uid = 61847; /* nobody else's: the limit counts all processes of a user */
    const dir = mkdtempSync(join(tmpdir(), "operator-mover-"));
    const place = join(dir, "shardctl");
    const password = join(dir, "password");
    copyFileSync(SHARDCTL, place);
    writeFileSync(password, "none", { mode: 0o400 });
    writeFileSync(join(dir, "topology"), `servers = ( { name = "shard1"; socket = "${dir}/none"; } );`);
    for (const [path, mode] of [
      [dir, 0o700],
      [password, 0o400],
    ]) {
      chmodSync(path, mode);
      chownSync(path, uid, uid);
    }
    const somebody = ["setpriv", `--reuid=${uid}`, `--regid=${uid}`, "--clear-groups"];
    const { status, err } = await new Promise((done) => {
      execFile(
        "prlimit",
        ["--nproc=2", ...somebody, place, "mover", `--topology=${dir}/topology`, `--password-file=${password}`],
        { env: { ...env, ASAN_OPTIONS: "detect_leaks=0" }, timeout: PATIENCE_MS },
        (error, out, err) => done({ status: error?.code ?? error?.signal ?? 0, err }),
      );
    });
    rmSync(dir, { recursive: true });
    assert.equal(status, 2, err);
    assert.match(err, /no memory, or no threads/);
  },
);

test("a shard that cannot take the slot is named, and nothing is requested", async () => {
  await cluster.sql("shard2", "SET GLOBAL innodb_flush_log_at_trx_commit = 2");
  try {
    const { status, out } = await run("move", String(FULL[0]), "--to=shard2", "--yes");
    assert.equal(status, 1);
    assert.match(out, /^\[ERR\] +shard2 .*(durable|lose)/m);
    const exempt = await run(
      "move",
      String(FULL[0]),
      "--to=shard2",
      "--dry-run",
      `--topology=${cluster.topology({}, { exempt: "shard2" })}`,
      `--password-file=${join(cluster.dir, "secrets", "admin_password")}`,
    );
    assert.equal(exempt.status, 0, exempt.out + exempt.err);
  } finally {
    await cluster.sql("shard2", "SET GLOBAL innodb_flush_log_at_trx_commit = 1");
  }
  await cluster.sql("shard2", "CALL shard_report(1000000)");
  const full = await run("move", String(FULL[0]), "--to=shard2", "--yes");
  assert.equal(full.status, 1);
  assert.match(full.out, /^\[ERR\] +shard2 has 1.0 MB free, about .* come: too little/m);
  const even = await script("rebalance.sh", "--by=rows", "--yes");
  assert.equal(even.status, 1, even.out + even.err);
  assert.match(even.out, /^\[ERR\] +shard2 has 1.0 MB free/m);
  await cluster.sql("shard2", "CALL shard_report(1000000000000)");
  assert.match(await ok("move", String(FULL[0]), "--to=shard2", "--dry-run"), /^\[OK\] +shard2 has 1.0 TB free/m);
  assert.equal(await requests(), 0);
});

test("wishes are written on the shard where the move was requested; impossible ones are reported", async () => {
  assert.match(await ok("move", "11,12,21", "--to=shard2", "--keep=0", "--detach", "--yes"), /3 moves are asked for/);
  assert.equal(await requests(), 3);
  const again = await run("move", "11", "--to=shard2", "--detach", "--yes");
  assert.match(again.out, /moves there already/);
  assert.equal(again.status, 0, again.err);
  const other = await run("move", "11", "--to=shard3", "--yes");
  assert.equal(other.status, 1);
  assert.match(other.out, /^\[ERR\] +another move of it is under way/m);
  assert.equal(await requests(), 3);

  assert.match(await ok("pause", "11", "--dry-run"), /^would write: slot 11/);
  assert.equal((await moveOf(cluster, "shard1", 11)).wish, "go");
  for (const [args, wish] of [
    [["pause", "11"], "pause"],
    [["resume", "11"], "go"],
    [["pause", "11-12"], "pause"],
  ]) {
    assert.match(await ok(...args, "--yes"), /^written: slot 11 shard1 -> shard2: queued/m);
    assert.equal((await moveOf(cluster, "shard1", 11)).wish, wish);
  }
  for (const [rate, rows] of [
    ["5000/s", 5000],
    ["none", 0],
    ["600/min", 10],
    ["7", 7],
  ]) {
    await ok("throttle", "all", rate, "--yes");
    assert.equal((await moveOf(cluster, "shard1", 21)).rows_per_s, rows, rate);
  }
  for (const [args, why] of [
    [["rollback", "11"], /move \d+ is queued, not keeping/],
    [["finish", "11"], /is queued, not keeping/],
    [["cancel", "500"], /slot 500: no move of it is under way/],
  ]) {
    const { status, err } = await run(...args, "--yes");
    assert.equal(status, 1, args.join(" "));
    assert.match(err, why);
  }
  assert.equal((await json("cancel", "21", "--yes")).lines[0].written, "written");
  assert.equal((await moveOf(cluster, "shard1", 21)).wish, "cancel");
});

test("requests that no mover takes are an error in status; then a mover comes", async () => {
  const found = await until("status to miss a mover", async () => {
    const status = await run("status");
    return /\[ERR\]/.test(status.out) && status;
  });
  assert.equal(found.status, 1);
  assert.match(found.out, /^\[ERR\] +the move of slot 21 waits for a mover for \d.*: start one \(shardctl mover\)$/m);
  assert.doesNotMatch(found.out, /\[ERR\].* slot 1[12] /, "a paused move does not wait for a mover");
  mover = Mover.start(cluster);
  assert.equal((await untilMove(cluster, "shard1", 21, ["undone"])).rows_copied, 0);
  assert.equal((await moveOf(cluster, "shard1", 11)).phase, "queued", "it is paused");
  await ok("throttle", "all", "none", "--yes");
  await ok("resume", "all", "--yes");
  const watched = await run("watch");
  assert.equal(watched.status, 0, watched.out + watched.err);
  for (const slot of [11, 12]) {
    assert.match(
      watched.out,
      new RegExp(`^slot ${slot} shard1 -> shard2: done, 120 rows, writes paused for .* ms, took `, "m"),
    );
    assert.equal(await ownerOf(slot), "shard2");
  }
  assert.match(await ok("watch"), /no move is under way/);
});

test("an SQL shell alone starts a move", async () => {
  const out = await cluster.demo("use", "2", "CALL move_request(11, 'shard1', 0)");
  assert.match(out, /move_id.*slot.*giver.*taker.*phase[^]*shard2[^]*shard1[^]*queued/);
  await until("it to be done", async () => /\bdone\b/.test(await cluster.demo("use", "2", "CALL move_status()")));
  assert.equal(await ownerOf(11), "shard1");
  assert.match(
    await cluster.demo("use", "2", "CALL move_request(11, 'shard1', 0)").catch((error) => error.message),
    /not served by this shard/,
  );
});

test("move waits and shows progress, as text and as JSON; rollback brings the slot back; finish ends the move", async () => {
  await mover.stop();
  mover = Mover.start(cluster, { failpoint: "move_write:after:1" });
  const moving = begin("move", "13", "--to=shard2", "--keep=10min", "--yes", "--json");
  await mover.stopped();
  const lines = () =>
    moving.out
      .split("\n")
      .slice(0, -1)
      .map((line) => JSON.parse(line));
  await until("a line of the copy", () => lines().some(({ phase }) => phase === "copying"));
  mover.go();
  assert.equal(await moving.ended, 0, moving.err);
  const [plan, ...rows] = lines();
  assert.deepEqual([plan.to, plan.is_good], ["shard2", true]);
  const last = rows.at(-1);
  assert.deepEqual(
    [last.slot, last.giver, last.taker, last.phase, last.percent, last.rows_total, last.rows_copied, last.wish],
    [13, "shard1", "shard2", "keeping", 100, ROWS, ROWS, "go"],
  );
  assert.ok(last.pause_us > 0 && last.bytes_copied > 0 && last.eta_ms > 0 && last.eta_ms <= 600000);
  const copying = rows.find(({ phase }) => phase === "copying");
  assert.ok(copying.percent >= 0 && copying.percent <= 100 && copying.rows_total === ROWS);

  assert.match(
    await ok("status"),
    /^shard1 .* 1\nshard2 [^]*^slot 13 shard1 -> shard2: keeping, .*can be rolled back for \d+ (min|s)$/m,
  );
  const held = await run("move", "13", "--to=shard3", "--yes");
  assert.equal(held.status, 1);
  assert.match(held.out, /under way \(shardctl finish, cancel\): slot 13/);
  await ok("rollback", "13", "--yes");
  const watched = await run("watch", "13");
  assert.equal(watched.status, 0, watched.out + watched.err);
  assert.match(watched.out, /: undone, /);
  assert.equal(await ownerOf(13), "shard1");

  const text = await ok("move", "13", "--to=shard2", "--yes");
  assert.match(
    text,
    /^slot 13 +shard1 -> shard2 +about [^]*^slot 13 shard1 -> shard2: keeping, 120 rows.* can be rolled back for 59 min$/m,
  );
  await ok("finish", "13", "--yes");
  assert.equal((await run("watch", "13")).status, 0);
  await untilMove(cluster, "shard1", 13, ["done"]);
});

test("status has one line for all moves from one shard to another that can be rolled back, and each one as JSON", async () => {
  const slots = [23, 24, 26];
  await parallel(
    slots.length,
    slots.map((slot) => async () => {
      await requestMove(cluster, slot, "shard1", "shard2", 600000);
      await untilMove(cluster, "shard1", slot, ["keeping"]);
    }),
  );
  const out = await ok("status");
  assert.match(out, /^3 slots shard1 -> shard2: keeping, 0 rows, can be rolled back for [89] min \(.*\): 23-24,26$/m);
  assert.doesNotMatch(out, /^slot \d+ /m);
  assert.match(out, /^\[OK\] +no move is under way, 3 can be rolled back$/m);
  const [{ moves }] = (await json("status")).lines;
  assert.deepEqual(
    moves
      .filter(({ phase }) => phase === "keeping")
      .map(({ slot }) => slot)
      .sort(),
    slots,
  );

  /* A move about which there is more to report has a line of its own. */
  await ok("pause", "24", "--yes");
  const paused = await ok("status");
  assert.match(paused, /^2 slots shard1 -> shard2: .*: 23,26$/m);
  assert.match(paused, /^slot 24 shard1 -> shard2: keeping, .*wish pause/m);
  await ok("finish", "23-24,26", "--yes");
  await movesToEnd(cluster);
});

test("Ctrl-C ends the waiting, not the move", async () => {
  await mover.stop();
  mover = Mover.start(cluster, { failpoint: "move_write:after:1" });
  const moving = begin("move", "14", "--to=shard2", "--keep=0", "--yes");
  await mover.stopped();
  await until("a line of the copy", () => /^slot 14 shard1 -> shard2: copying \[/m.test(moving.out));
  moving.child.kill("SIGINT");
  assert.equal(await moving.ended, 1);
  assert.match(moving.err, /1 move goes on without.*shardctl watch/);
  mover.go();
  await untilMove(cluster, "shard1", 14, ["done"]);
});

test("a mover that ends releases the moves it keeps; SIGHUP makes it read the topology again", async () => {
  await mover.stop();
  const whole = readFileSync(cluster.files.topology, "utf8");
  const file = join(cluster.dir, "short-topology.conf");
  writeFileSync(file, whole.replace(/,\s*\{ name = "shard3"[^}]*\}/, ""));
  mover = Mover.start(cluster, { args: [`--topology=${file}`] });
  await requestMove(cluster, 21, "shard1", "shard2", 600000);
  await untilMove(cluster, "shard1", 21, ["keeping"]);
  const giver = await ownerOf(22);
  assert.equal(await ownerOf(27), giver);
  const moving = begin("move", "22,27", "--to=shard3", "--keep=0", "--yes");
  const missing = "a mover has no shard3 in its topology: reload it";
  await until("the mover to miss shard3 twice", async () =>
    (await Promise.all([22, 27].map((slot) => moveOf(cluster, giver, slot)))).every(
      ({ last_error: why }) => why === missing,
    ),
  );
  const { out, status } = await run("status");
  assert.equal(status, 0, out);
  assert.match(out, new RegExp(`^2 slots ${giver} -> shard3: queued, .*, last problem: ${missing}: 22,27$`, "m"));
  const warned = `[WARN] the moves of 2 slots ${giver} -> shard3 (22,27): ${missing}`;
  assert.deepEqual(
    out.split("\n").filter((line) => /^\[WARN\].*topology/.test(line)),
    [warned],
  );
  await until("move to print it", () => moving.err.includes(missing));
  writeFileSync(file, whole);
  mover.child.kill("SIGHUP");
  assert.equal(await moving.ended, 0, moving.err);
  assert.equal(moving.err.split(missing).length, 2, `once, not for each slot: ${moving.err}`);
  await untilMove(cluster, "shard1", 21, ["keeping"]);
  await mover.stop();
  assert.deepEqual(
    await cluster.sql("shard1", "SELECT claimed_until FROM slot_move WHERE slot = 21 AND active IS NOT NULL"),
    [{ claimed_until: 0 }],
  );

  /* As after a night in which nothing ran: a kept move is safe without a mover until its time ends. */
  const age = (columns) =>
    cluster.sql("shard1", `UPDATE slot_move SET ${columns} WHERE slot = 21 AND active IS NOT NULL`);
  await age("requested_at = requested_at - 300000");
  assert.match(await ok("status"), /^\[OK\] +no move is under way, 1 can be rolled back$/m);
  await age("flipped_at = flipped_at - 620000");
  const overdue = await run("status");
  assert.equal(overdue.status, 1);
  assert.match(overdue.out, /^\[ERR\] +the move of slot 21 waits for a mover for \d.*: start one \(shardctl mover\)$/m);
  await age("flipped_at = flipped_at + 620000");
  mover = Mover.start(cluster);
  await ok("rollback", "21", "--yes");
  assert.equal((await run("watch", "21")).status, 0);
});

test("balance evens out, one move after another", async () => {
  const { status, lines } = await json("balance", "--by=rows", "--keep=0", "--yes");
  assert.equal(status, 0, JSON.stringify(lines.at(-1)));
  const [plan] = lines;
  const made = new Set(lines.filter(({ phase }) => ["purging", "done"].includes(phase)).map(({ slot }) => slot));
  assert.ok(plan.moves.length > 0);
  assert.deepEqual(made, new Set(plan.moves.map(({ slot }) => slot)));
  assert.match(lines.at(-1).end, new RegExp(`${made.size} of ${made.size} moves are made`));
  for (const { slot, to } of plan.moves) assert.equal(await ownerOf(slot), to);
});

test("balance and drain --detach request all moves, and wait for none", async () => {
  await mover.stop();
  const before = await owners(cluster);
  for (const other of ["--parallel=2", "--capacity=shard1=1G"])
    assert.match(
      (await run("drain", "shard3", "--detach", other, "--yes")).err,
      /--detach: nothing would hold moves back/,
    );
  const { status, lines } = await json("drain", "shard3", "--detach", "--keep=0", "--yes");
  assert.equal(status, 0, JSON.stringify(lines));
  const [{ moves }] = lines;
  assert.match(lines.at(-1).asked, new RegExp(`^${moves.length} of ${moves.length} moves are asked for`));
  assert.deepEqual((await movesUnderWay(cluster)).map(({ slot }) => slot).sort(), moves.map(({ slot }) => slot).sort());
  assert.deepEqual(await owners(cluster), before);
  await ok("cancel", "all", "--yes");
  mover = Mover.start(cluster);
  await movesToEnd(cluster);
  assert.deepEqual(await owners(cluster), before);
  await ok("call", "shard_drain(0)", "--shard=shard3");
});

test("drain-shard.sh empties a shard and says what to do next", async () => {
  const { status, out, err } = await script("drain-shard.sh", "shard3", "--finish", "--yes");
  assert.equal(status, 0, out + err);
  assert.match(out, /shard3 is empty[^]*topology.conf[^]*reload/);
  assert.ok(![...(await owners(cluster)).values()].includes("shard3"));
  assert.match(await ok("status"), /^shard3 +empty +up +0 /m);
  const again = await script("drain-shard.sh", "shard3", "--yes");
  assert.equal(again.status, 0, again.out + again.err);
});

test("drain-shard.sh also waits for slots that are on their way to the shard, and moves them away", async () => {
  const [slot] = FULL;
  await ok("call", "shard_drain(0)", "--shard=shard3");
  await mover.stop();
  const from = await ownerOf(slot);
  await requestMove(cluster, slot, from, "shard3");
  await cluster.sql(from, `CALL move_wish(${slot}, 'pause')`);
  mover = Mover.start(cluster);
  let ended;
  const draining = script("drain-shard.sh", "shard3", "--finish", "--yes").then((end) => {
    ended = end;
  });
  const isMarked = async () =>
    (await cluster.sql("shard3", "SELECT draining_at FROM shard_self"))[0].draining_at !== null;
  await until("shard3 to be marked", async () => ended !== undefined || (await isMarked()));
  assert.equal(ended, undefined, JSON.stringify(ended));
  await cluster.sql(from, `CALL move_wish(${slot}, 'go')`);
  await draining;
  assert.equal(ended.status, 0, ended.out + ended.err);
  assert.match(ended.out + ended.err, /on their way to shard3: 1;[^]*shard3 is empty/);
  assert.equal((await moveOf(cluster, from, slot)).phase, "done");
  assert.notEqual(await ownerOf(slot), "shard3");
});

test("no plan sends anything to a shard that is being drained or is paused", async () => {
  const takers = async (...args) => new Set((await json(...args, "--dry-run")).lines[0].moves.map(({ to }) => to));
  assert.match(await ok("status"), /^\[WARN\] shard3 is being drained/m);
  assert.deepEqual(await takers("drain", "shard2"), new Set(["shard1"]));
  const moved = await run("move", "5", "--to=shard3", "--dry-run");
  assert.equal(moved.status, 1);
  assert.match(moved.out, /^\[ERR\] +shard3 is being drained: CALL shard_drain\(0\)/m);
  await ok("call", "shard_drain(0)", "--shard=shard3");
  assert.ok((await takers("drain", "shard2", "--by=rows")).has("shard3"));
  await ok("call", "shard_pause('a new disk')", "--shard=shard3");
  assert.deepEqual(await takers("drain", "shard2"), new Set(["shard1"]));
  await ok("call", "shard_resume()", "--shard=shard3");
  await ok("call", "shard_drain(1)", "--shard=shard3");
});

test("add checks a server, and makes it a shard", async () => {
  const { socket, port } = cluster.shard("shard3");
  /* A topology without it; what else is needed is reported, too. */
  const list = join(cluster.dir, "two.conf");
  writeFileSync(
    list,
    `servers = (${["shard1", "shard2"].map((name) => ` { name = "${name}"; socket = "${cluster.shard(name).socket}"; }`).join(",")} );`,
  );
  const add = (...args) =>
    run("add", ...args, `--topology=${list}`, `--password-file=${join(cluster.dir, "secrets", "admin_password")}`);
  const place = `--socket=${socket}`;
  for (const [args, status, words] of [
    [["shard3", place, "--dry-run"], 0, /could be a shard\. In topology.conf[^]*{ name = "shard3"; socket = ".*"; }/],
    [["shard3", "--host=127.0.0.1", `--port=${port}`, "--dry-run"], 0, /port = \d+; }/],
    [["shard4", place, "--yes"], 1, /^\[ERR\] +it is named shard3, for ever/m],
    [["shard1", place, "--yes"], 1, /^\[ERR\] +the topology has shard1 somewhere else/m],
    [["shard3", `--socket=${cluster.shard("shard1").socket}`], 1, /^\[ERR\] +.*another name for this address: shard1/m],
    [["shard3", `${place}.gone`, "--yes"], 1, /^\[ERR\] +it does not answer/m],
    [["Shard3", place], 2, /a name is/],
    [["shard3"], 2, /numeric address/],
    [["shard3", place, "--port=1"], 2, /either --socket/],
  ]) {
    const { status: is, out, err } = await add(...args);
    assert.equal(is, status, `${args}: ${out}${err}`);
    assert.match(out + err, words);
  }
  const wrong = async (shard, statement, back, words) => {
    await cluster.sql(shard, statement);
    const { status, out } = await add("shard3", place, "--yes", "--json");
    await cluster.sql(shard, back);
    const { checks, is_done: done } = JSON.parse(out);
    assert.deepEqual([status, done], [1, false], out);
    assert.ok(
      checks.some(({ verdict, text }) => verdict === "ERR" && words.test(text)),
      out,
    );
  };
  await wrong(
    "shard3",
    "SET GLOBAL innodb_flush_log_at_trx_commit = 2",
    "SET GLOBAL innodb_flush_log_at_trx_commit = 1",
    /may lose acknowledged writes/,
  );
  await wrong(
    "shard3",
    "INSERT INTO slot_fence (slot, epoch, state, server) VALUES (4000, 1, 'owned', 'shard3'); CALL _slot_changed()",
    "DELETE FROM slot_fence WHERE slot = 4000; CALL _slot_changed()",
    /it has 1 slots already/,
  );
  await wrong(
    "shard1",
    "INSERT INTO slot_known (slot, epoch, server) VALUES (4000, 1, 'shard3')",
    "DELETE FROM slot_known WHERE slot = 4000",
    /others know of 1 slots of a shard with this name/,
  );
  await cluster.sql("shard3", "DELETE FROM shard_self");
  const { status, out, err } = await add("shard3", place, "--yes", "--json");
  assert.equal(status, 0, out + err);
  assert.equal(JSON.parse(out).is_done, true);
  assert.deepEqual(
    (await cluster.sql("shard3", "SELECT name FROM shard_self")).map(({ name }) => name),
    ["shard3"],
  );
});

test("status names what is wrong: a dispute, a shard that is paused or down, a move that failed", async () => {
  await cluster.sql("shard2", "CALL shard_pause('a new\\ndisk')"); /* a line break as somebody may type it */
  const paused = await run("status");
  assert.equal(paused.status, 1);
  assert.match(paused.out, /^\[ERR\] +shard2 is paused by root.*: a new disk; .*shard_resume/m);
  await ok("call", "shard_resume()", "--shard=shard2");
  const slot = 5;
  assert.equal(await ownerOf(slot), "shard1");
  await cluster.sql(
    "shard3",
    `UPDATE slot_fence SET state = 'owned', server = 'shard3' WHERE slot = ${slot}; CALL _slot_changed()`,
  );
  const disputed = await run("status");
  assert.equal(disputed.status, 1);
  assert.match(disputed.out, /^\[ERR\] +slot 5: shard[13] and shard[13] claim it at epoch 1.*slot_settle\(5/m);
  const refused = await run("move", "5", "--to=shard2", "--yes");
  assert.equal(refused.status, 1);
  assert.match(refused.out, /^\[ERR\] +slot 5: shard[13] and shard[13] claim it/m);
  assert.notEqual((await script("rebalance.sh", "--yes")).status, 0);
  await cluster.sql("shard3", `UPDATE slot_fence SET state = 'moved', server = 'shard1' WHERE slot = ${slot}`);
  await cluster.sqlAll(`UPDATE slot_fence SET rival_epoch = 0 WHERE slot = ${slot}; CALL _slot_changed()`);
  await cluster.sql("shard1", `UPDATE slot_fence SET state = 'importing' WHERE slot = ${slot}; CALL _slot_changed()`);
  const unclaimed = await run("status");
  assert.equal(unclaimed.status, 1);
  assert.match(unclaimed.out, /^\[ERR\] +1 slots are not served: .* \(slot 5 on shard1\): CALL slot_adopt/m);
  assert.doesNotMatch(unclaimed.out, /every slot has one owner/);
  await cluster.sql("shard1", `UPDATE slot_fence SET state = 'owned' WHERE slot = ${slot}; CALL _slot_changed()`);
  await mover.stop();
  mover = undefined;
  const [{ slot: there }] = await cluster.sql("shard2", "SELECT slot FROM slot_fence WHERE state = 'owned' LIMIT 1");
  await cluster.demo("kill", "shard2");
  const down = await run("status");
  assert.equal(down.status, 1);
  assert.match(
    down.out,
    /^shard2 +\S+ +down .*\n[^]*^\[ERR\] +shard2 is not in use: .+\n[^]*^\[ERR\] +\d+ slots are not served/m,
  );
  /* Whether all moves were told, or the user can be promoted, only the shard that is down knows. */
  for (const args of [
    ["pause", "all", "--yes"],
    ["promote", String(idOf(Date.now(), there)), "--yes"],
  ]) {
    const { status, out, err } = await run(...args);
    assert.equal(status, 2, `${args}: ${out}${err}`);
    assert.match(err, /^shardctl: shard2: /m);
  }
  const away = await run("move", "5", "--to=shard2", "--yes");
  assert.equal(away.status, 1);
  assert.match(away.out, /^\[ERR\] +shard2 is not in use/m);
  const dir = mkdtempSync(join(tmpdir(), "operator-moves-"));
  const nowhere = await shardctl(["status"], { cwd: dir, env: serverEnvironment() });
  rmSync(dir, { recursive: true });
  assert.equal(nowhere.status, 2);
});
