/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Shows that the ledger test finds mistakes: with a mistake in the routines of the shards it must
 * fail, and without one, under the same load and the same delays, it must pass.
 *
 * A mistake gets runs of growing length, each in a world of its own, and its test ends with the
 * first violation.
 *
 * LEDGER_MUTANTS: names separated by commas, or all, as in make check-chaos; by default a control
 * and four of those that are found quickly, chosen by LEDGER_SEED. */

import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { Cluster, ROOT, buildDir, program } from "../lib/cluster.js";
import { makeChanged } from "../lib/next.js";
import { crashServer, crashShard } from "./faults.js";
import { clearWorld, drawn, install, judge, loadWorld, routine, runClients, settle } from "./lib.js";

/* Seconds of a control, and of the runs with a mistake until one of them has found it. */
const CONTROL_SECONDS = 8;
const SECONDS = [3, 6, 12, 24];
/* A CALL that takes longer is repeated; the delays below are longer. */
const CALL_TIMEOUT_MS = 1000;

const START = "    START TRANSACTION;";
const COMMIT = "    COMMIT;\n";
/* Some CALLs do nothing for seconds before they begin, or after they are done; not so many that the
 * servers consider the shard dead. */
const lateStart = [START, `    IF RAND() < 0.10 THEN DO SLEEP(4); END IF;\n${START}`];
const lateAnswer = [COMMIT, `${COMMIT}    IF RAND() < 0.05 THEN DO SLEEP(2); END IF;\n`];

/* One operation and a batch take different paths: a mistake is seeded in both. */
const likesOne = (...edits) => routine("favorite", "_favorite_action_one", edits);
const likesBatch = (...edits) => routine("favorite", "_favorite_action_batch", edits);
const likes = (...edits) => [likesOne(...edits), likesBatch(...edits)];
const edges = (...edits) => [
  ...likes(...edits),
  routine("relation", "_relation_action_one", edits),
  routine("relation", "_relation_action_batch", edits),
];
const messages = (...edits) => [routine("message", "message_action", edits)];
const counting = (...edits) => [routine("op", "_op_user_change", edits)];
const original = {
  edges: () => edges(),
  likes: () => likes(),
  messages: () => messages(),
  counting: () => [...counting(), likesOne()],
  kill: () => [routine("conn", "conn_kill", [])],
};

const fewEdges = { mix: "65,15,0,0,0,0,20", "hot-users": 10, "hot-videos": 6, "hot-percent": 95 };

/* Every third batch is refused as a whole. */
const refused = [
  "    SET TRANSACTION ISOLATION LEVEL READ COMMITTED;\n",
  `    IF (SELECT COUNT(*) FROM op) > 1 AND RAND() < 0.34 THEN
        SIGNAL SQLSTATE '45400';
    END IF;
    SET TRANSACTION ISOLATION LEVEL READ COMMITTED;
`,
];
const delivering = (...edits) => [
  routine("favorite", "_favorite_deliver_one", edits),
  routine("favorite", "_favorite_deliver_batch", edits),
];
const crowd = { mix: "100,0,0,0,0,0,0", "hot-users": 40, "hot-videos": 2, "hot-percent": 95 };
const combiner = "shard/combiner.c";

/* `isForChaos`: scripts/check leaves it out. `sources` are edits of the server, which is then built.
 * faults(cluster) runs beside the load; `caught` are the invariants of which one must be broken,
 * none for a control. */
const mutants = [
  {
    name: "control: late starts, attempts killed before they are repeated",
    key: "control-start",
    routines: () => edges(lateStart),
    originals: original.edges,
    load: fewEdges,
    caught: [],
  },
  {
    name: "replay without killing the first attempt",
    key: "no-kill",
    routines: () => [
      ...edges(lateStart),
      routine("conn", "conn_kill", [
        ["KILL CONNECTION v_id;", "DO 0;"],
        ["IF v_gone OR v_left <= 0 THEN", "IF TRUE THEN"],
        ["SELECT v_gone AS gone;", "SELECT 1 AS gone;"],
      ]),
    ],
    originals: () => [...original.edges(), ...original.kill()],
    load: fewEdges,
    caught: ["I1", "I6"],
  },
  {
    name: "control: late answers, operations recognised",
    key: "control-answer",
    isForChaos: true,
    routines: () => messages(lateAnswer),
    originals: original.messages,
    load: { mix: "10,10,0,0,80,0,0" },
    caught: [],
  },
  {
    name: "no op",
    key: "no-op",
    routines: () =>
      messages(lateAnswer, [
        "           t.text,\n           o.op\n      FROM",
        "           t.text,\n           UNHEX(REPLACE(UUID(), '-', ''))\n      FROM",
      ]),
    originals: original.messages,
    load: { mix: "10,10,0,0,80,0,0" },
    caught: ["I3"],
  },
  {
    name: "no outbox",
    key: "no-outbox",
    routines: () => edges([/INSERT INTO outbox[^;]*;/g, "DO 0;"]),
    originals: original.edges,
    load: { mix: "50,50,0,0,0,0,0" },
    faults: async () => {
      await pause(1500);
      await crashShard(cluster, "shard2", 1000);
      await crashServer(cluster.servers[0]);
    },
    caught: ["I4"],
  },
  {
    name: "counter changed without a state transition",
    key: "no-transition",
    routines: () => [
      ...counting(
        [
          /SUM\(IF\(o\.kind = 'favorite', o\.state - o\.was, 0\)\) AS favorites/g,
          "SUM(IF(o.kind = 'favorite', IF(o.state = 1, 1, -1), 0)) AS favorites",
        ],
        [/WHERE o\.code = 'ok'/g, "WHERE o.code IN ('ok', 'same')"],
      ),
      likesOne([
        "    ELSEIF v_code = 'same' THEN\n",
        `    ELSEIF v_code = 'same' THEN
        UPDATE user AS u
           SET u.favorite_count = u.favorite_count + IF(v_to = 1, 1, -1)
         WHERE u.slot = v_slot
           AND u.user_id = v_owner;
`,
      ]),
    ],
    originals: original.counting,
    load: { mix: "90,0,0,0,0,0,10" },
    caught: ["I5"],
  },
  {
    name: "old state read before the owner's lock",
    key: "early-read",
    routines: () => [
      likesOne(
        [
          "    DECLARE v_was              TINYINT;\n",
          "    DECLARE v_was              TINYINT;\n    DECLARE v_early            TINYINT;\n",
        ],
        ["               COALESCE(e.state, 0),\n", "               COALESCE(v_early, 0),\n"],
        [
          "        -- The user row is locked",
          `        SELECT MAX(e.state)
          INTO v_early
          FROM favorite AS e FORCE INDEX (PRIMARY)
         WHERE e.slot = v_slot
           AND e.user_id = v_owner
           AND e.video_id = v_target;
        DO SLEEP(0.02);
        -- The user row is locked`,
        ],
      ),
      likesBatch(
        ["    DECLARE v_now    BIGINT;\n", "    DECLARE v_now    BIGINT;\n    DECLARE v_was    INT;\n"],
        ["COALESCE(e.state, 0)", "v_was"],
        [
          "    CALL _op_user_lock();",
          `    SELECT COALESCE(MAX(e.state), 0)
      INTO v_was
      FROM op AS o
     STRAIGHT_JOIN favorite AS e FORCE INDEX (PRIMARY)
        ON e.slot = o.slot
       AND e.user_id = o.owner
       AND e.video_id = o.target;
    DO SLEEP(0.02);
    CALL _op_user_lock();`,
        ],
      ),
    ],
    originals: original.likes,
    load: { mix: "100,0,0,0,0,0,0", "hot-users": 6, "hot-videos": 4, "hot-percent": 90 },
    caught: ["I5"],
  },
  {
    name: "both halves at once, and the second not made",
    key: "no-there",
    isForChaos: true,
    routines: () => [
      likesOne(["AND v_edge > v_last THEN", "AND FALSE THEN"]),
      likesBatch(["        CALL _favorite_there();\n", "        DO 0;\n"]),
    ],
    originals: original.likes,
    load: { mix: "100,0,0,0,0,0,0" },
    caught: ["I4", "I5"],
  },
  {
    name: "control: batches refused and halved",
    key: "control-halves",
    isForChaos: true,
    routines: () => [likesBatch(refused)],
    originals: original.likes,
    load: crowd,
    caught: [],
  },
  {
    name: "the answer to one operation given to another",
    key: "crossed-answers",
    sources: [
      [
        combiner,
        "ref->ticket->places[ref->i] = batch->places[i];",
        "ref->ticket->places[ref->i] = batch->places[batch->n - 1 - i];",
      ],
    ],
    routines: () => [],
    originals: () => [],
    load: crowd,
    caught: ["I4", "I5", "I6"],
  },
  {
    name: "an operation lost where a batch is halved",
    key: "lost-in-half",
    isForChaos: true,
    sources: [
      [
        combiner,
        "    for (struct ticket *t = batch->members; t != NULL; t = t->next) {\n        for (size_t i = 0; i < t->n; i++) {",
        `    for (struct ticket *t = batch->members; t != NULL; t = t->next) {
        if (t->next == NULL && t != batch->members && t->company_max < OPS_MAX) {
            batch->n -= t->n;
            break;
        }
        for (size_t i = 0; i < t->n; i++) {`,
      ],
      [
        combiner,
        "    dbresult_places(results, batch->places, batch->n);\n",
        `    dbresult_places(results, batch->places, batch->n);
    for (struct ticket *t = batch->members; t != NULL; t = t->next) {
        t->places[t->index[0]] = batch->places[0];
    }
`,
      ],
    ],
    routines: () => [likesBatch(refused)],
    originals: original.likes,
    load: crowd,
    caught: ["I4", "I5", "I6"],
  },
  {
    name: "answered before it is known to be committed",
    key: "early-answer",
    isForChaos: true,
    sources: [
      [
        "shard/router_answer.c",
        "    case DB_UNKNOWN:\n",
        `    case DB_UNKNOWN:
        for (size_t i = 0; e->proc == PROC_FAVORITE_DELIVER && i < parcel->n; i++) {
            errand_settle(e, parcel->index[i], OUTCOME_OK);
        }
        if (e->proc == PROC_FAVORITE_DELIVER) {
            break;
        }
`,
      ],
    ],
    routines: () => delivering(lateStart),
    originals: () => delivering(),
    load: crowd,
    caught: ["I4", "I5"],
  },
];

const keys = mutants.map(({ key }) => key);
let seed = Number(process.env.LEDGER_SEED || Date.now() % 1000000);
const [control, ...others] = mutants.filter(({ isForChaos }) => !isForChaos).map(({ key }) => key);
const asked = process.env.LEDGER_MUTANTS || [control, ...drawn(others, 4, seed)].join(",");
const wanted = asked === "all" ? keys : asked.split(",");
for (const key of wanted) assert.ok(keys.includes(key), `LEDGER_MUTANTS: no ${key} among ${keys.join(", ")}`);
let cluster;

before(async () => {
  cluster = await Cluster.up({ shards: 2, server: false });
  const options = { log_level: "warn", db_call_timeout: `${CALL_TIMEOUT_MS}ms`, db_pool_size: 16 };
  for (let i = 0; i < 2; i++) await cluster.addServer(options).then((s) => s.start());
});

after(() => cluster?.down());

/* A new world, a load on it, and the checker's result: {violations, text}. */
async function oneRun(t, mutant, seconds) {
  await clearWorld(cluster);
  const world = await loadWorld(cluster, { users: 300, videos: 100, ghosts: 0, seed, name: mutant.key });
  const [run] = await Promise.all([runClients(cluster, world, { seconds, seed, ...mutant.load }), mutant.faults?.()]);
  await settle(cluster);
  const verdict = await judge(cluster, run.history);
  for (const line of `${run.text}${verdict.text}`.trim().split("\n")) t.diagnostic(line);
  return verdict;
}

/** From now on the servers run this program. */
async function serve(file) {
  for (const server of cluster.servers) {
    await server.stop();
    server.program = file;
    await server.start();
  }
}

/** Builds servers with the mistake of MUTANT and runs them; resolves to a function that undoes that. */
async function spoilServers(mutant) {
  if (!mutant.sources) return () => {};
  const dir = mkdtempSync(join(tmpdir(), "doushard-mutant-"));
  await serve(await makeChanged(ROOT, buildDir(), dir, mutant.sources));
  return async () => {
    await serve(program());
    rmSync(dir, { recursive: true, force: true });
  };
}

for (const mutant of mutants.filter(({ key }) => wanted.includes(key))) {
  test(mutant.name, async (t) => {
    t.diagnostic(`LEDGER_SEED=${seed} LEDGER_MUTANTS=${mutant.key}`);
    const isControl = mutant.caught.length === 0;
    const restoreServers = await spoilServers(mutant);
    await install(cluster, mutant.routines());
    try {
      let violations;
      let text;
      for (const seconds of isControl ? [CONTROL_SECONDS] : SECONDS) {
        seed += 1;
        ({ violations, text } = await oneRun(t, mutant, seconds));
        if (mutant.caught.some((i) => violations[i] > 0)) break;
      }
      if (isControl) assert.deepEqual(violations, {}, text);
      else
        assert.ok(
          mutant.caught.some((i) => violations[i] > 0),
          `not caught\n${text}`,
        );
      const broken = Object.entries(violations)
        .map(([i, n]) => `${i} ${n} times`)
        .join(", ");
      t.diagnostic(`note: ${broken ? "caught" : "passed"}: ${mutant.name}${broken && `: broke ${broken}`}`);
    } finally {
      await install(cluster, mutant.originals());
      await restoreServers();
    }
  });
}
