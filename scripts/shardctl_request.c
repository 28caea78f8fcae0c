/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
#include "scripts/shardctl_request.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shard/base/clock.h"

#include "shard/dbconn.h"

#include "server/config/topology.h"

/* As move_request has them. */
#define KEEP_MS     3600000
#define KEEP_MS_MAX 604800000

/* Assumed size of a row with its indexes, if not measured. */
#define ROW_BYTES 400

/* What must stay free on the taker's disk: the default of db_min_free. */
#define FREE_BYTES_MIN ((uint64_t)1 << 30)

static const char *const tables[] = {
#define MOVE_TABLE(name, n_key, has_text) #name,
#include "shard/move_tables.def"
#undef MOVE_TABLE
};

bool request_terms_read(struct request_terms *terms, const struct shardctl *ctl)
{
    const struct shardctl_options *options = &ctl->options;

    *terms = (struct request_terms){.keep_ms = KEEP_MS};
    if (options->keep != NULL &&
        !units_read_duration(options->keep, KEEP_MS_MAX, &terms->keep_ms)) {
        (void)shardctl_fail("--keep", "a time from 0 to 7d, as 90s, 30min, 1h");
        return false;
    }
    if (options->rate != NULL && !units_read_rate(options->rate, &terms->rows_per_s)) {
        (void)shardctl_fail("--rate", "rows a second, as 5000/s; none: no bound");
        return false;
    }
    return true;
}

static const char *name_of(const struct shardctl *ctl, size_t shard)
{
    return ctl->topology->servers[shard].name;
}

static struct dbarg text_arg(const char *text)
{
    return dbarg_text(text, strlen(text));
}

/* ---- Sizes ---- */

static const struct fleet_slot *find_slot(const struct fleet *fleet, uint32_t slot)
{
    for (size_t i = 0; i < fleet->n_slots; i++) {
        if (fleet->slots[i].slot == slot) {
            return &fleet->slots[i];
        }
    }
    return NULL;
}

/* Count the rows of REQUEST now. */
static bool count_rows(struct fleet *fleet, struct request *request)
{
    request->rows = 0;
    for (size_t i = 0; i < ARRAY_LEN(tables); i++) {
        const struct dbarg args[] = {dbarg_number(request->slot), text_arg(tables[i])};
        if (!fleet_call(fleet, PROC_MOVE_COUNT, args, request->giver)) {
            return false;
        }
        const struct dbvalue *count =
            dbresult_value(fleet->shares[request->giver].results, 0, "row_count");
        request->rows += count == NULL ? 0 : count->number;
    }
    request->bytes = request->rows * ROW_BYTES;
    return true;
}

bool request_sizes(const struct shardctl *ctl, struct request *requests, size_t n)
{
    struct fleet fleet;

    fleet_begin(&fleet, ctl);
    fleet.is_quiet = true; /* other shards */
    bool good = fleet_read(&fleet);
    fleet.is_quiet = false;
    for (size_t i = 0; good && i < n; i++) {
        struct request *request = &requests[i];
        const struct fleet_slot *slot = find_slot(&fleet, request->slot);
        if (request->is_there) {
            continue;
        }
        if (slot != NULL && slot->measured_at_ms != 0) {
            request->rows = slot->rows;
            request->bytes = slot->bytes;
        } else {
            good = count_rows(&fleet, request);
        }
    }
    fleet_end(&fleet);
    return good;
}

/* ---- Checks ---- */

/* A look at one shard. */
static void greet(const struct shardctl *ctl, size_t shard, struct dbconn_hello *hello,
                  struct checks *checks)
{
    const struct router_server *server = &ctl->topology->servers[shard];
    const struct dbconn_target target = {.host = server->host,
                                         .port = server->port,
                                         .socket = server->socket,
                                         .user = ctl->options.user,
                                         .password = ctl->password,
                                         .db_name = ctl->options.db_name,
                                         .tls_ca = ctl->options.tls_ca};
    struct errmsg err;
    struct dbconn *conn =
        dbconn_open(&target, clock_mono_ms() + SHARDCTL_CONNECT_MS, hello, &err);

    if (conn == NULL) {
        *hello = (struct dbconn_hello){.error = 1};
        checks_add(checks, CHECK_ERR, "%s does not answer: %s", server->name, err.text);
    } else if (strcmp(hello->server, server->name) != 0) {
        checks_add(checks, CHECK_ERR, "%s calls itself \"%s\"", server->name,
                   hello->server);
    } else if (!hello->is_durable && !server->durability_exempt) {
        checks_add(checks, CHECK_ERR,
                   "%s may lose acknowledged writes (innodb_flush_log_at_trx_commit, "
                   "innodb_doublewrite, sync_binlog)",
                   server->name);
    } else {
        checks_add(checks, CHECK_OK, "%s answers, is durable and has schema %" PRIu32,
                   server->name, hello->schema.version);
    }
    dbconn_close(&conn);
}

/* Is there room for BYTES more on TAKER? */
static void check_room(const struct shardctl *ctl, size_t taker, uint64_t bytes,
                       struct checks *checks)
{
    struct fleet fleet;
    char text[2][24];

    fleet_begin(&fleet, ctl);
    fleet.is_quiet = true;
    const struct dbvalue *left = NULL;
    if (fleet_call(&fleet, PROC_SHARD_FREE, NULL, taker)) {
        left = dbresult_value(fleet.shares[taker].results, 0, "free_bytes");
    }
    if (left == NULL || left->is_null) {
        checks_add(checks, CHECK_WARN,
                   "nobody knows how much room %s has (CALL shard_report); about %s come",
                   name_of(ctl, taker), fleet_bytes((double)bytes, text[0]));
    } else {
        const bool is_enough = left->number >= bytes + bytes / 2 + FREE_BYTES_MIN;
        checks_add(checks, is_enough ? CHECK_OK : CHECK_ERR,
                   "%s has %s free, about %s come%s", name_of(ctl, taker),
                   fleet_bytes((double)left->number, text[0]),
                   fleet_bytes((double)bytes, text[1]),
                   is_enough ? ""
                             : ": too little would be left (1 GB, and half as much "
                               "again as comes)");
    }
    fleet_end(&fleet);
}

/* Nothing may come to a shard that is being drained. */
static void check_open(const struct shardctl *ctl, size_t taker, struct checks *checks)
{
    struct fleet fleet;

    fleet_begin(&fleet, ctl);
    fleet.is_quiet = true;
    const struct dbvalue *draining =
        fleet_call(&fleet, PROC_SHARD_STATUS, NULL, taker)
            ? dbresult_value(fleet.shares[taker].results, 0, "draining_at")
            : NULL;
    if (draining == NULL || draining->number != 0) {
        checks_add(checks, CHECK_ERR,
                   draining == NULL
                       ? "%s does not say whether it is being drained"
                       : "%s is being drained: CALL shard_drain(0) there ends that",
                   name_of(ctl, taker));
    }
    fleet_end(&fleet);
}

void request_check_shards(const struct shardctl *ctl, const struct request *requests,
                          size_t n, struct checks *checks)
{
    const size_t n_shards = ctl->topology->n_servers;
    uint32_t schema = 0;
    bool is_mixed = false;

    for (size_t shard = 0; shard < n_shards; shard++) {
        struct dbconn_hello hello;
        bool is_in = false;
        bool takes = false;
        uint64_t bytes = 0;
        for (size_t i = 0; i < n; i++) {
            const struct request *request = &requests[i];
            is_in = is_in || (!request->is_there &&
                              (request->giver == shard || request->taker == shard));
            takes = takes || (!request->is_there && request->taker == shard);
            bytes += request->is_there || request->taker != shard ? 0 : request->bytes;
        }
        if (!is_in) {
            continue;
        }
        greet(ctl, shard, &hello, checks);
        if (hello.error == 0) {
            is_mixed = is_mixed || (schema != 0 && schema != hello.schema.version);
            schema = hello.schema.version;
        }
        if (hello.error == 0 && takes) {
            check_open(ctl, shard, checks);
            check_room(ctl, shard, bytes, checks);
        }
    }
    if (is_mixed) {
        checks_add(
            checks, CHECK_ERR,
            "the shards have different schema versions: run scripts/migrate first");
    }
}

/* ---- The CALLs ---- */

/* After a CALL without an answer: is there such a move now? */
static bool find_move(const struct shardctl *ctl, struct request *request)
{
    struct moves moves;

    if (moves_read(&moves, ctl, /* is_quiet= */ true)) {
        const struct move_row *row = moves_of_slot(&moves, request->slot);
        if (row != NULL && row->shard == request->giver &&
            strcmp(row->taker, name_of(ctl, request->taker)) == 0) {
            request->move_id = row->move_id;
        }
    }
    moves_end(&moves);
    return request->move_id != 0;
}

static bool set_rate(struct fleet *fleet, const struct request *request, uint32_t rate)
{
    const struct dbarg args[] = {dbarg_number(request->slot), dbarg_number(rate)};

    return rate == 0 || fleet_call(fleet, PROC_MOVE_THROTTLE, args, request->giver);
}

bool request_send(const struct shardctl *ctl, const struct request_terms *terms,
                  struct request *request)
{
    const struct dbarg args[] = {dbarg_number(request->slot),
                                 text_arg(name_of(ctl, request->taker)),
                                 dbarg_number((uint64_t)terms->keep_ms)};
    struct fleet fleet;

    fleet_begin(&fleet, ctl);
    fleet.is_quiet = true;
    if (fleet_call(&fleet, PROC_MOVE_REQUEST, args, request->giver)) {
        const struct dbvalue *id =
            dbresult_value(fleet.shares[request->giver].results, 0, "move_id");
        request->move_id = id == NULL ? 0 : id->number;
    }
    bool good = request->move_id != 0 || find_move(ctl, request);
    if (!good) {
        (void)shardctl_fail(name_of(ctl, request->giver),
                            fleet_why(&fleet, request->giver));
    }
    fleet.is_quiet = false;
    good = good && set_rate(&fleet, request, terms->rows_per_s);
    fleet_end(&fleet);
    return good;
}

json_t *request_json(const struct shardctl *ctl, const struct request *request)
{
    return json_pack("{s:I, s:s, s:s, s:I, s:I, s:b}", "slot", (json_int_t)request->slot,
                     "giver", name_of(ctl, request->giver), "taker",
                     name_of(ctl, request->taker), "rows", (json_int_t)request->rows,
                     "bytes", (json_int_t)request->bytes, "is_there", request->is_there);
}
