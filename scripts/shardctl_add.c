/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* shardctl add: a database server becomes a shard. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shard/base/address.h"
#include "shard/base/clock.h"

#include "shard/move_link.h"
#include "shard/proc.h"
#include "shard/routines.h"

#include "server/config/topology.h"

#include "scripts/shardctl_checks.h"
#include "scripts/shardctl_fleet.h"
#include "scripts/shardctl_units.h"

static const char help[] =
    "add: make a database server a shard: check it, and name it. It has no slots then, "
    "and\n"
    "nothing changes on the other shards.\n"
    "\n"
    "  NAME                  of the new shard: 1 to 31 of a-z 0-9 -\n"
    "  --host=ADDRESS --port=PORT   where it is, a numeric address; or\n"
    "  --socket=PATH         an absolute path\n"
    "  --dry-run             only check\n"
    "  --yes                 do not ask\n"
    "  --json                one JSON object\n"
    "\n"
    "It must answer, be durable, have the tables and routines of this version\n"
    "(scripts/migrate), be empty, have no other name, and agree with the others about "
    "the\n"
    "time; and no shard may know of slots of a shard with its name. A server that "
    "already\n"
    "has a name, in the topology or not, is checked all the same.\n"
    "\n"
    "Then put the line that this prints into topology.conf, and have servers and movers\n"
    "read it (SIGHUP); scripts/add-shard.sh writes the line for you. `shardctl plan` "
    "and\n"
    "`shardctl balance` give it slots.\n"
    "\n"
    "    shardctl add shard5 --host=10.0.0.5 --port=3306 --dry-run\n"
    "\n"
    "Exit status: 0 it is a shard, or (--dry-run) could be; 1 something is wrong with "
    "it,\n"
    "and nothing was done; 2 misuse.\n";

#define ARENA_BYTES ((size_t)8 << 20)

/* Ids are made from clocks. */
#define CLOCK_MS 2000

struct run {
    const struct shardctl *ctl;
    struct router_server server; /* its strings are (ref) */
    struct dbconn_target target; /* its strings are (ref) */
    struct move_link link;       /* to it */
    struct arena arena;
    struct checks checks;
    bool is_listed; /* the topology names it */
    bool is_named;  /* it knows its name */
};

/* ---- What was typed ---- */

static bool is_name(const char *name)
{
    const size_t len = strlen(name);

    return len >= 1 && len <= 31 && name[0] != '-' &&
           strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-") == len;
}

/* False: said on standard error. */
static bool read_place(struct run *run)
{
    const struct shardctl_options *options = &run->ctl->options;
    const char *wrong = NULL;

    run->server = (struct router_server){
        .name = options->operand,
        .host = options->host == NULL ? "" : options->host,
        .port = (unsigned)shardctl_read_number(options->port, 65535, 0),
        .socket = options->socket == NULL ? "" : options->socket};
    if (!is_name(run->server.name)) {
        wrong = "a name is 1 to 31 of a-z 0-9 -";
    } else if (options->socket != NULL) {
        wrong = options->host != NULL || options->port != NULL
                    ? "either --socket, or --host and --port"
                : options->socket[0] != '/' ? "--socket takes an absolute path"
                                            : NULL;
    } else if (!address_is_numeric(run->server.host) || run->server.port == 0) {
        wrong = "--host takes a numeric address, and --port a number; or give a --socket";
    }
    if (wrong != NULL) {
        (void)shardctl_fail("add", wrong);
    }
    return wrong == NULL;
}

/* ---- Checks ---- */

static bool is_place_of(const struct run *run, const struct router_server *other)
{
    return run->server.socket[0] != '\0'
               ? strcmp(other->socket, run->server.socket) == 0
               : other->socket[0] == '\0' && other->port == run->server.port &&
                     strcmp(other->host, run->server.host) == 0;
}

/* The topology has this name and address together, or neither. */
static void check_topology(struct run *run)
{
    const struct topology *topology = run->ctl->topology;
    const unsigned n_errors = run->checks.n_errors;

    for (size_t i = 0; i < topology->n_servers; i++) {
        const struct router_server *other = &topology->servers[i];
        const bool is_same_name = strcmp(other->name, run->server.name) == 0;
        const bool is_same_place = is_place_of(run, other);
        run->is_listed = run->is_listed || (is_same_name && is_same_place);
        if (is_same_name != is_same_place) {
            checks_add(&run->checks, CHECK_ERR,
                       is_same_name ? "the topology has %s somewhere else"
                                    : "the topology has another name for this address: "
                                      "%s",
                       other->name);
        }
    }
    if (run->checks.n_errors == n_errors) {
        checks_add(&run->checks, CHECK_OK, "the topology %s",
                   run->is_listed ? "names it already"
                                  : "has neither its name nor its address");
    }
}

/* It answers; HELLO is what it reports. */
static bool check_answer(struct run *run, struct dbconn_hello *hello)
{
    const struct shardctl *ctl = run->ctl;
    struct errmsg err;

    run->target = (struct dbconn_target){.host = run->server.host,
                                         .port = run->server.port,
                                         .socket = run->server.socket,
                                         .user = ctl->options.user,
                                         .password = ctl->password,
                                         .db_name = ctl->options.db_name,
                                         .tls_ca = ctl->options.tls_ca};
    link_init(&run->link, run->server.name, &run->target, /* durability_exempt= */ true);
    run->link.conn =
        dbconn_open(&run->target, clock_mono_ms() + SHARDCTL_CONNECT_MS, hello, &err);
    if (run->link.conn == NULL) {
        checks_add(&run->checks, CHECK_ERR,
                   "it does not answer as a shard does (scripts/migrate makes its tables "
                   "and accounts): %s",
                   err.text);
    }
    return run->link.conn != NULL;
}

static void check_hello(struct run *run, const struct dbconn_hello *hello)
{
    struct errmsg err;

    run->is_named = strcmp(hello->server, run->server.name) == 0;
    if (hello->server[0] != '\0' && !run->is_named) {
        checks_add(&run->checks, CHECK_ERR,
                   "it is named %s, for ever: it belongs to another list, or is a copy",
                   hello->server);
    } else {
        checks_add(&run->checks, CHECK_OK, run->is_named ? "it is named %s" : "%s",
                   run->is_named ? run->server.name : "it answers and has no name yet");
    }
    checks_add(&run->checks, hello->is_durable ? CHECK_OK : CHECK_ERR, "%s",
               hello->is_durable
                   ? "what it acknowledges survives a power cut"
                   : "it may lose acknowledged writes: needs "
                     "innodb_flush_log_at_trx_commit=1, innodb_doublewrite=ON, "
                     "sync_binlog=1 with log_bin");
    if (proc_is_served("schema", hello->schema, SCHEMA_VERSION, &err)) {
        checks_add(&run->checks, CHECK_OK, "its tables have version %" PRIu32,
                   hello->schema.version);
    } else {
        checks_add(&run->checks, CHECK_ERR, "%s", err.text);
    }
    if (hello->is_refused) {
        checks_add(&run->checks, CHECK_ERR,
                   "it refuses everybody because its data is old: empty it");
    }
}

/* CALL without arguments there. NULL: the reason is printed. */
static const struct dbresult *ask(struct run *run, enum proc_id proc)
{
    struct dbresult *results = NULL;

    if (link_call(&run->link, proc, NULL, &run->arena, &results) != MOVE_OK) {
        checks_add(&run->checks, CHECK_ERR, "%s", run->link.why);
        return NULL;
    }
    return results;
}

static void check_routines(struct run *run)
{
    const unsigned n_errors = run->checks.n_errors;
    const struct dbresult *list = ask(run, PROC_ROUTINE_LIST);
    struct errmsg err;
    const bool good =
        list != NULL && routines_serve(list, /* must_be_complete= */ true, &err);

    if (run->checks.n_errors == n_errors) {
        checks_add(&run->checks, good ? CHECK_OK : CHECK_ERR, "%s",
                   good ? "its routines are those of this version" : err.text);
    }
}

/* Count the slots of shard NAME in MAP, an answer of slot_map; NULL: all claimed
 * slots. */
static unsigned count_slots(const struct dbresult *map, const char *name)
{
    unsigned n = 0;

    for (size_t i = 0; map != NULL && i < map->n_rows; i++) {
        const struct dbvalue *server = dbresult_value(map, i, "server");
        const struct dbvalue *claim = dbresult_value(map, i, "claim_epoch");
        n += name != NULL ? server != NULL && strcmp(server->text, name) == 0
                          : claim != NULL && claim->number > 0;
    }
    return n;
}

static void check_empty(struct run *run)
{
    const unsigned n_errors = run->checks.n_errors;
    const unsigned n = count_slots(ask(run, PROC_SLOT_MAP), NULL);

    if (n > 0 && !run->is_listed) {
        checks_add(&run->checks, CHECK_ERR,
                   "it has %u slots already, and the topology does not name it", n);
    } else if (run->checks.n_errors == n_errors) {
        checks_add(&run->checks, CHECK_OK, "it has %u slots", n);
    }
}

/* The others know of no slots of a shard with this name. */
static void check_others(struct run *run)
{
    const struct topology *topology = run->ctl->topology;
    struct fleet fleet;
    unsigned n = 0;

    fleet_begin(&fleet, run->ctl);
    fleet.is_quiet = true;
    if (!fleet_call(&fleet, PROC_SLOT_MAP, NULL, SIZE_MAX) ||
        (fleet.n_silent > 0 && !run->is_listed)) {
        checks_add(&run->checks, CHECK_ERR,
                   "not every shard answers: whether its name is free is not known");
    } else {
        for (size_t i = 0; i < topology->n_servers && !run->is_listed; i++) {
            n += count_slots(fleet.shares[i].results, run->server.name);
        }
        checks_add(&run->checks, n > 0 ? CHECK_ERR : CHECK_OK,
                   n > 0
                       ? "others know of %u slots of a shard with this name: restore it "
                         "(scripts/restore-shard.sh), or take another name"
                       : "nobody else has slots of a shard with this name",
                   n);
    }
    fleet_end(&fleet);
}

/* Its clock is neither behind the others' nor far ahead. */
static void check_clock(struct run *run)
{
    const int64_t begun_ms = clock_mono_ms();
    const unsigned n_errors = run->checks.n_errors;
    const struct dbvalue *here = dbresult_value(ask(run, PROC_SHARD_FREE), 0, "now_at");
    struct fleet fleet;
    int64_t apart_ms = 0;

    fleet_begin(&fleet, run->ctl);
    fleet.is_quiet = true;
    const bool is_any = fleet_call(&fleet, PROC_SHARD_FREE, NULL, SIZE_MAX);
    for (size_t i = 0; is_any && here != NULL && i < run->ctl->topology->n_servers; i++) {
        const struct dbvalue *there =
            dbresult_value(fleet.shares[i].results, 0, "now_at");
        const int64_t ms =
            there == NULL ? 0 : (int64_t)there->number - (int64_t)here->number;
        apart_ms = llabs(ms) > llabs(apart_ms) ? ms : apart_ms;
    }
    fleet_end(&fleet);
    const bool good = llabs(apart_ms) <= CLOCK_MS + clock_mono_ms() - begun_ms;
    if (run->checks.n_errors == n_errors) {
        checks_add(&run->checks, good ? CHECK_OK : CHECK_ERR,
                   good ? "its clock is that of the others"
                        : "its clock is %.0f s %s another shard's: set it first, because "
                          "ids are made from it",
                   (double)llabs(apart_ms) / 1000, apart_ms > 0 ? "behind" : "ahead of");
    }
}

static void check(struct run *run)
{
    struct dbconn_hello hello = {.error = 0};

    check_topology(run);
    if (run->checks.n_errors == 0 && check_answer(run, &hello)) {
        check_hello(run, &hello);
        check_routines(run);
        check_empty(run);
        check_others(run);
        check_clock(run);
    }
}

/* ---- And then ---- */

/* False: said. */
static bool name_it(struct run *run)
{
    const struct dbarg name = link_text(run->server.name);
    const struct dbarg no = dbarg_number(0);
    struct dbresult *results;

    if (link_call(&run->link, PROC_SHARD_INIT, &name, &run->arena, &results) != MOVE_OK ||
        link_call(&run->link, PROC_SHARD_DRAIN, &no, &run->arena, &results) != MOVE_OK) {
        (void)shardctl_fail(run->server.name, run->link.why);
        return false;
    }
    return true;
}

static const char *line_of(const struct run *run, char *line, size_t size)
{
    if (run->server.socket[0] != '\0') {
        (void)snprintf(line, size, "{ name = \"%s\"; socket = \"%s\"; }",
                       run->server.name, run->server.socket);
    } else {
        (void)snprintf(line, size, "{ name = \"%s\"; host = \"%s\"; port = %u; }",
                       run->server.name, run->server.host, run->server.port);
    }
    return line;
}

static void say(const struct run *run, bool is_done)
{
    char line[400];

    (void)line_of(run, line, sizeof line);
    if (run->checks.list != NULL) {
        json_t *object = json_pack("{s:s, s:b, s:b, s:s, s:O}", "shard", run->server.name,
                                   "is_done", is_done, "is_listed", run->is_listed,
                                   "line", line, "checks", run->checks.list);
        if (object != NULL && json_dumpf(object, stdout, 0) == 0) {
            (void)putchar('\n');
        }
        json_decref(object);
    } else if (run->checks.n_errors == 0) {
        (void)printf("%s %s.%s%s\nThen SIGHUP to every server and mover, shardctl plan, "
                     "shardctl balance.\n",
                     run->server.name, is_done ? "is a shard" : "could be a shard",
                     run->is_listed ? ""
                                    : " In topology.conf, behind the last one:\n    ",
                     run->is_listed ? "" : line);
    }
}

static int make(struct run *run)
{
    const bool is_dry = run->ctl->options.is_dry_run;
    char question[96];

    check(run);
    (void)fflush(stdout);
    if (run->checks.n_errors > 0 || is_dry) {
        say(run, /* is_done= */ false);
        return run->checks.n_errors > 0 ? 1 : 0;
    }
    (void)snprintf(question, sizeof question, "Name it %s, for ever?", run->server.name);
    int status = run->is_named ? 0 : units_confirm(run->ctl, question);
    if (status == 0) {
        status = name_it(run) ? 0 : 1;
    }
    if (status == 0) {
        say(run, /* is_done= */ true);
    }
    return status;
}

static int run_add(const struct shardctl *ctl)
{
    struct run run = {.ctl = ctl};

    if (!read_place(&run)) {
        return 2;
    }
    arena_init(&run.arena, ARENA_BYTES);
    checks_begin(&run.checks, ctl->options.is_json);
    (void)router_discover(ctl->router, clock_mono_ms() + SHARDCTL_CONNECT_MS);
    const int status = make(&run);
    checks_end(&run.checks);
    link_close(&run.link);
    arena_release(&run.arena);
    return status;
}

const struct shardctl_command shardctl_add = {
    .name = "add",
    .operands = "NAME",
    .options = "host port socket dry-run yes json",
    .help = help,
    .user = "doushard_admin",
    .n_operands_min = 1,
    .n_operands_max = 1,
    .has_router = true,
    .run = run_add,
};
