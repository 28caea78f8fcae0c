/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* shardctl cache: what Redis has of an owner, beside what its shard says. The shard is
 * asked first, so that what a write changes in between is newer in Redis, not older. */
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "shard/base/clock.h"

#include "shard/cache.h"
#include "shard/id.h"
#include "shard/rcluster.h"
#include "shard/rentry.h"
#include "shard/router.h"
#include "shard/router_call.h"

#include "scripts/shardctl.h"

static const char help_text[] =
    "cache: show what Redis has of the user or video with this id, beside what its "
    "shard\n"
    "says. Changes nothing in Redis: unlike a reader it makes no places, confirms "
    "nothing\n"
    "and removes nothing. The servers' own caches, of a second, are not shown.\n"
    "\n"
    "  --redis-nodes=LIST    HOST:PORT, .. as redis_nodes of the server; without it, "
    "those\n"
    "                        of the demo cluster, if the shards are the demo's, too\n"
    "  --redis-user=NAME     account there (the default one)\n"
    "  --redis-password-file=FILE   its password, on the first line (none)\n"
    "  --redis-tls-ca=FILE   certificate authority that must have signed the nodes'\n"
    "                        certificates\n"
    "  --json                a JSON object per line, null where there is nothing; ages "
    "and\n"
    "                        times in ms\n"
    "\n"
    "One line for each kind of value that is cached for this owner:\n"
    "\n"
    "  KIND USER  KEY ds:{139264}:u  STATE value  CACHED 8589934593  SHARD 8589934595\n"
    "  CONFIRMED 1.2 s  TTL 512.0 s  BYTES 161  VERDICT older\n"
    "      `redis-cli -c` shows the key. The cached version is not the shard's; the "
    "shard\n"
    "      last confirmed it 1.2 s ago.\n"
    "\n"
    "  STATE    nothing  not cached; the next reader asks the shard and gives it a "
    "place\n"
    "           place    a reader asks the shard, and will fill it\n"
    "           marker   what was cached is outdated; the next reader fills it\n"
    "           value    it is cached\n"
    "           gone     it is cached that this does not exist (any more)\n"
    "           garbage  not ours, or damaged; readers ignore it\n"
    "  VERDICT  ok       the same version as the shard\n"
    "           to be confirmed   the same, but not confirmed for 4 s: the next reader "
    "asks\n"
    "                             the shard for the version first\n"
    "           older    Redis was not told of a write: the server ended in between, or "
    "an\n"
    "                    operator wrote by CALL. Readers see it until 5 s after "
    "CONFIRMED,\n"
    "                    never later\n"
    "           newer    the shard was restored from a backup, or has taken over the "
    "slot\n"
    "                    without the latest rows\n"
    "\n"
    "    shardctl cache 139264\n"
    "    shardctl cache 139264 --redis-nodes=10.0.0.7:6379 "
    "--redis-password-file=redis_password\n"
    "\n"
    "Exit status: 0 nothing is older; 1 something is, and readers see it; 2 misuse, or "
    "the\n"
    "shard or Redis does not answer.\n";

/* How long after its confirmation an entry may be shown: in Redis, then in a process,
 * then in a page there. */
#define SHOWN_MS (CACHE_CONFIRM_MS + 2 * CACHE_LOCAL_MS)

/* Time limits: for asking Redis or a shard once; for the connections to nodes. */
#define LOOK_MS  1000
#define NODES_MS 3000
#define SHARD_MS 10000

/* A write just under way makes a difference for a moment: compare so often, with pauses.
 */
#define LOOKS_MAX 3
#define PAUSE_MS  100

#define ARENA_BYTES ((size_t)1 << 20)

enum state { NOTHING, PLACE, MARKER, VALUE, GONE, GARBAGE };

static const char *const state_names[] = {"nothing", "place", "marker",
                                          "value",   "gone",  "garbage"};

enum verdict { NO_VERDICT, SAME, UNSURE, OLDER, NEWER };

static const char *const verdict_names[] = {"-", "ok", "to be confirmed", "older",
                                            "newer"};

/* One kind of cached value. */
struct line {
    enum cache_kind kind;
    char key[RENTRY_KEY_BYTES];
    bool is_at_shard; /* the shard has such an owner */
    uint64_t shard_ver;
    enum state state;
    uint64_t ver;   /* cached; 0: none */
    int64_t age_ms; /* since it was confirmed; INT64_MAX: nobody can say */
    int64_t ttl_ms; /* negative: none */
    size_t bytes;   /* of everything under the key */
};

struct run {
    const struct shardctl *ctl;
    struct rcluster *redis; /* (ref) */
    uint64_t id;
    struct line lines[CACHE__COUNT];
    size_t n;
    char shard[32];    /* where the owner is */
    const char *owner; /* user or video; NULL: the shard has neither */
};

static void pause_ms(int ms)
{
    const struct timespec pause = {.tv_nsec = ms * 1000000L};

    nanosleep(&pause, NULL);
}

/* ---- The shard ---- */

/* Add a line for each kind of value that an OWNER has; ROW, unless NULL, has the
 * versions. */
static void add_lines(struct run *run, const char *owner,
                      const struct router_answer *answer)
{
    for (enum cache_kind kind = 0; kind < CACHE__COUNT; kind++) {
        struct line line = {.kind = kind};
        if (strcmp(cache_kind_owner(kind), owner) != 0) {
            continue;
        }
        const struct dbvalue *ver =
            answer->outcome == OUTCOME_OK
                ? dbresult_value(answer->result, answer->row, cache_kind_version(kind))
                : NULL;
        line.is_at_shard = ver != NULL && !ver->is_null;
        line.shard_ver = line.is_at_shard ? ver->number : 0;
        cache_key_text(&(struct copy_key){.kind = kind, .owner = run->id}, line.key);
        run->lines[run->n++] = line;
    }
}

/* Ask for the versions of the id as an OWNER ("user" or "video"). 0, or the exit
 * status. */
static int ask_shard_for(struct run *run, const char *owner)
{
    struct own_call own;
    struct router_answer answer;
    struct ops *ops = ops_new();
    int status = 0;

    if (ops != NULL) {
        ops_add_owner(ops, run->id);
        ops_text(ops, "kind", owner);
    }
    own_call_begin(&own, ARENA_BYTES, SHARD_MS);
    enum outcome outcome =
        router_one(run->ctl->router, &own.call, PROC_OWNER_VERSIONS, ops, &answer);
    if (outcome == OUTCOME_OK || outcome == OUTCOME_NOTFOUND) {
        (void)snprintf(run->shard, sizeof run->shard, "%s", own.call.shard);
        run->n = outcome == OUTCOME_OK ? 0 : run->n;
        run->owner = outcome == OUTCOME_OK ? owner : NULL;
        add_lines(run, owner, &answer);
    } else {
        char why[256];
        (void)snprintf(why, sizeof why, "%s: %s", outcome_name(outcome), own.call.detail);
        status =
            shardctl_fail(own.call.shard[0] == '\0' ? "shards" : own.call.shard, why);
    }
    own_call_end(&own);
    return status;
}

/* Ask the shard: for a user, else for a video; if it has neither, both have no lines with
 * versions. */
static int ask_shard(struct run *run)
{
    run->n = 0;
    int status = ask_shard_for(run, "user");

    return status == 0 && run->owner == NULL ? ask_shard_for(run, "video") : status;
}

/* ---- Redis ---- */

static bool add_command(struct rbatch *batch, const char *key, const char *word, int argc)
{
    const char *argv[] = {word, key};
    const size_t lens[] = {strlen(word), strlen(key)};

    return rbatch_add(batch, key, argc, argv, lens);
}

/* Ask the node that has the owner for its clock and all keys of the owner. NULL: out
 * of memory. */
static struct rbatch *ask_once(struct run *run)
{
    struct rbatch *batch = rbatch_new(1 + 2 * run->n);
    bool is_good = batch != NULL && add_command(batch, run->lines[0].key, "TIME", 1);

    for (size_t i = 0; is_good && i < run->n; i++) {
        is_good = add_command(batch, run->lines[i].key, "GET", 2) &&
                  add_command(batch, run->lines[i].key, "PTTL", 2);
    }
    if (is_good) {
        rcluster_run(run->redis, batch, clock_mono_ms() + LOOK_MS);
    } else {
        rbatch_free(&batch);
    }
    return batch;
}

static bool is_answered(const struct rbatch *batch, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        enum rstatus status = rbatch_status(batch, i);
        if (status != RSTATUS_OK && status != RSTATUS_REFUSED) {
            return false;
        }
    }
    return true;
}

/* The same, until nodes are connected, which they are not at the first try. NULL: no
 * answer. */
static struct rbatch *ask_redis(struct run *run)
{
    int64_t until_ms = clock_mono_ms() + NODES_MS;
    struct rbatch *batch = ask_once(run);

    while (batch != NULL && !is_answered(batch, 1 + 2 * run->n)) {
        rbatch_free(&batch);
        if (clock_mono_ms() < until_ms) {
            pause_ms(PAUSE_MS);
            batch = ask_once(run);
        }
    }
    return batch;
}

/* The answer to TIME in ms; 0: it is not one. */
static int64_t read_clock(const struct rreply *reply)
{
    if (reply->kind != RREPLY_ARRAY || reply->len != 2 ||
        reply->elements[0]->kind != RREPLY_TEXT ||
        reply->elements[1]->kind != RREPLY_TEXT) {
        return 0;
    }
    return strtoll(reply->elements[0]->text, NULL, 10) * 1000 +
           strtoll(reply->elements[1]->text, NULL, 10) / 1000;
}

/* Read VALUE, the answer to GET. */
static void read_value(struct line *line, const struct rreply *value, int64_t now_ms)
{
    static const enum state states[] = {[RENTRY_NONE] = GARBAGE,
                                        [RENTRY_PLACE] = PLACE,
                                        [RENTRY_MARKER] = MARKER,
                                        [RENTRY_VALUE] = VALUE};
    struct rentry entry = {.age_ms = INT64_MAX};

    line->state = value->kind == RREPLY_NIL ? NOTHING : GARBAGE;
    line->bytes = 0;
    if (value->kind == RREPLY_TEXT) {
        line->bytes = value->len;
        line->state =
            states[rentry_decode(line->key, value->text, value->len, now_ms, &entry)];
        line->state = line->state == VALUE && entry.len == 0 ? GONE : line->state;
    }
    bool is_told = line->state == VALUE || line->state == GONE || line->state == MARKER;
    line->ver = is_told ? entry.ver : 0;
    line->age_ms = is_told ? entry.age_ms : INT64_MAX;
}

/* Read the answers of BATCH. NULL: read; else why they cannot be. */
static const char *read_answers(struct run *run, const struct rbatch *batch)
{
    const struct rreply *time = rbatch_reply(batch, 0);
    int64_t now_ms = read_clock(time);

    if (now_ms == 0) {
        return time->kind == RREPLY_ERROR ? time->text : "its answer to TIME is invalid";
    }
    for (size_t i = 0; i < run->n; i++) {
        const struct rreply *value = rbatch_reply(batch, 1 + 2 * i);
        const struct rreply *ttl = rbatch_reply(batch, 2 + 2 * i);
        /* A key of another type is garbage as well. */
        if (value->kind == RREPLY_ERROR && !rreply_says(value, "WRONGTYPE")) {
            return value->text;
        }
        read_value(&run->lines[i], value, now_ms);
        run->lines[i].ttl_ms = ttl->kind == RREPLY_INTEGER ? ttl->integer : -1;
    }
    return NULL;
}

/* Print why Redis does not answer, and what to do. */
static int explain_redis(struct run *run)
{
    struct rcluster_state state;
    char why[256];

    rcluster_state(run->redis, &state);
    if (state.n_up == 0) {
        (void)snprintf(
            why, sizeof why,
            "none of %u nodes answers: start them, or name others, or their "
            "password, by --redis-nodes and --redis-password-file; readers are "
            "answered by the shards meanwhile",
            state.n_nodes);
    } else {
        (void)snprintf(
            why, sizeof why,
            "no node answers that has the slot of %s (%u of %u nodes do): see what "
            "CLUSTER NODES says; readers are answered by the shard meanwhile",
            run->lines[0].key, state.n_up, state.n_nodes);
    }
    return shardctl_fail("redis", why);
}

/* ---- The verdict ---- */

static enum verdict judge(const struct line *line)
{
    if (line->state != VALUE && line->state != GONE) {
        return NO_VERDICT;
    }
    bool is_same = line->state == GONE
                       ? !line->is_at_shard
                       : line->is_at_shard && line->ver == line->shard_ver;
    if (is_same) {
        return line->age_ms < CACHE_CONFIRM_MS ? SAME : UNSURE;
    }
    return !line->is_at_shard || line->ver < line->shard_ver ? OLDER : NEWER;
}

static bool is_old_and_shown(const struct line *line)
{
    return judge(line) == OLDER && line->age_ms < SHOWN_MS;
}

static bool is_newer(const struct line *line)
{
    return judge(line) == NEWER;
}

static bool any(const struct run *run, bool (*is_it)(const struct line *))
{
    bool is = false;

    for (size_t i = 0; i < run->n; i++) {
        is = is || is_it(&run->lines[i]);
    }
    return is;
}

/* Ask both once. 0, or the exit status. */
static int look(struct run *run)
{
    int status = ask_shard(run);
    struct rbatch *batch = status == 0 ? ask_redis(run) : NULL;

    if (status == 0 && batch == NULL) {
        status = explain_redis(run);
    } else if (status == 0) {
        const char *why = read_answers(run, batch);
        status = why == NULL ? 0 : shardctl_fail("redis", why);
    }
    rbatch_free(&batch);
    return status;
}

/* ---- What is printed ---- */

/* "12.3 s", or "-" if unknown. */
static const char *seconds(int64_t ms, char text[24])
{
    if (ms < 0 || ms == INT64_MAX) {
        return "-";
    }
    (void)snprintf(text, 24, "%.1f s", (double)ms / 1000);
    return text;
}

static const char *number(bool is_there, uint64_t n, char text[24])
{
    if (!is_there) {
        return "-";
    }
    (void)snprintf(text, 24, "%" PRIu64, n);
    return text;
}

#define FORMAT "%-9s %-25s %-8s %17s %17s %9s %8s %6s  %s\n"

static void print_line(const struct line *line)
{
    char text[5][24];

    printf(FORMAT, cache_kind_name(line->kind), line->key, state_names[line->state],
           number(line->ver != 0, line->ver, text[0]),
           number(line->is_at_shard, line->shard_ver, text[1]),
           seconds(line->age_ms, text[2]), seconds(line->ttl_ms, text[3]),
           number(line->bytes != 0, line->bytes, text[4]), verdict_names[judge(line)]);
}

static void print_text(const struct run *run)
{
    if (run->owner != NULL) {
        printf("%" PRIu64 " is a %s on %s\n", run->id, run->owner, run->shard);
    } else {
        printf("%" PRIu64 " is neither a user nor a video, says %s\n", run->id,
               run->shard);
    }
    printf(FORMAT, "KIND", "KEY", "STATE", "CACHED", "SHARD", "CONFIRMED", "TTL", "BYTES",
           "VERDICT");
    for (size_t i = 0; i < run->n; i++) {
        print_line(&run->lines[i]);
    }
}

/* N, or null. */
static json_t *json_number(bool is_there, uint64_t n)
{
    return is_there ? json_integer((json_int_t)n) : json_null();
}

static json_t *json_ms(int64_t ms)
{
    return json_number(ms >= 0 && ms != INT64_MAX, (uint64_t)ms);
}

static bool print_json(const struct line *line)
{
    enum verdict verdict = judge(line);
    json_t *object = json_pack(
        "{s:s, s:s, s:s, s:o, s:o, s:o, s:o, s:o, s:o}", "kind",
        cache_kind_name(line->kind), "key", line->key, "state", state_names[line->state],
        "cached", json_number(line->ver != 0, line->ver), "shard",
        json_number(line->is_at_shard, line->shard_ver), "age_ms", json_ms(line->age_ms),
        "ttl_ms", json_ms(line->ttl_ms), "bytes",
        json_number(line->bytes != 0, line->bytes), "verdict",
        verdict == NO_VERDICT ? json_null() : json_string(verdict_names[verdict]));
    bool is_good = object != NULL && json_dumpf(object, stdout, 0) == 0;

    json_decref(object);
    return is_good && putchar('\n') != EOF;
}

/* 0, or the exit status. */
static int print(const struct run *run)
{
    bool is_good = true;

    if (!run->ctl->options.is_json) {
        print_text(run);
    }
    for (size_t i = 0; run->ctl->options.is_json && i < run->n; i++) {
        is_good = print_json(&run->lines[i]) && is_good;
    }
    return is_good && fflush(stdout) == 0
               ? 0
               : shardctl_fail("standard output", shardctl_error_text());
}

static int show(struct run *run)
{
    int status = look(run);

    for (int i = 1; i < LOOKS_MAX && status == 0 &&
                    (any(run, is_old_and_shown) || any(run, is_newer));
         i++) {
        pause_ms(PAUSE_MS);
        status = look(run);
    }
    status = status == 0 ? print(run) : status;
    return status == 0 && any(run, is_old_and_shown) ? 1 : status;
}

static int run_cache(const struct shardctl *ctl)
{
    struct run run = {.ctl = ctl, .id = shardctl_read_id(ctl->options.operand)};

    if (run.id == 0) {
        return shardctl_fail(ctl->options.operand,
                             "this is not the id of a user or video");
    }
    run.redis = shardctl_redis(ctl);
    if (run.redis == NULL) {
        return 2;
    }
    /* Only the shard of this owner is needed: the call below notices if it is missing. */
    (void)router_discover(ctl->router, clock_mono_ms() + SHARDCTL_CONNECT_MS);
    int status = show(&run);
    rcluster_free(&run.redis);
    return status;
}

const struct shardctl_command shardctl_cache = {
    .name = "cache",
    .operands = "ID",
    .options = "json redis-nodes redis-user redis-password-file redis-tls-ca",
    .help = help_text,
    .user = "doushard_admin",
    .n_operands_min = 1,
    .n_operands_max = 1,
    .has_router = true,
    .run = run_cache,
};
