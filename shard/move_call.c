/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* What every part of a move asks its shards: CALLs, with the fence's lock or without, the
 * state of a fence, how many rows there are. */
#include <stdio.h>
#include <string.h>

#include "shard/move_impl.h"

#define ARENA_BYTES ((size_t)1 << 20)

/* So often the lock of a fence is tried; in between, writers have a pause that doubles
 * some times. */
#define LOCK_TRIES_MAX       400
#define LOCK_TRIES_PER_PAUSE 40
#define LOCK_PAUSE_MS        20
#define LOCK_DOUBLINGS_MAX   5

struct look_row {
    const char *state, *token;
    uint64_t epoch, next_epoch;
};

static const struct dbfield look_fields[] = {
    {.column = "state", .kind = DBFIELD_TEXT, .offset = offsetof(struct look_row, state)},
    {.column = "token", .kind = DBFIELD_TEXT, .offset = offsetof(struct look_row, token)},
    {.column = "epoch", .kind = DBFIELD_U64, .offset = offsetof(struct look_row, epoch)},
    {.column = "next_epoch",
     .kind = DBFIELD_U64,
     .offset = offsetof(struct look_row, next_epoch)},
};

enum move_status run_explain(struct move_run *run, const struct move_link *link,
                             enum move_status status)
{
    if (status != MOVE_OK) {
        (void)snprintf(run->error, sizeof run->error, "%s: %s", link->name, link->why);
    }
    return status;
}

struct dbarg run_slot(const struct move_run *run)
{
    return dbarg_number(run->move->slot);
}

struct dbarg run_slot_on(const struct move_run *run, const struct move_link *link)
{
    return dbarg_number(link == run->from ? run->from_slot : run->to_slot);
}

struct dbarg run_owner(const struct move_run *run)
{
    return dbarg_number(run->move->owner_id);
}

struct dbarg run_token(const struct move_run *run)
{
    return link_text(run->move->token);
}

enum move_status run_call(struct move_run *run, struct move_link *link, enum proc_id proc,
                          const struct dbarg *args)
{
    struct arena arena;
    struct dbresult *results;

    arena_init(&arena, ARENA_BYTES);
    enum move_status status =
        run_explain(run, link, link_call(link, proc, args, &arena, &results));
    arena_release(&arena);
    return status;
}

/* Have the session load the routine of CALL, which may take longer than it may wait for
 * the fence. */
static enum move_status rehearse(struct link_call call)
{
    call.args[0] = dbarg_number(LINK_NO_SLOT);
    call.limit_ms = LINK_CALL_MS;
    call.is_rehearsal = true;
    enum move_status status = link_run(&call, 1);
    return status == MOVE_FENCED ? MOVE_OK : status;
}

/* One try to get the lock, number TRIES. */
static enum move_status try_locking(struct move_run *run, struct link_call *call,
                                    unsigned tries)
{
    call->limit_ms = run_lock_bound_ms(run, tries);
    enum move_status status = rehearse(*call);
    if (status == MOVE_OK) {
        status = link_run(call, 1);
    }
    return run_explain(run, call->link, status);
}

/* Number TRIES was one in vain: writers have their turn, longer and longer. MOVE_AGAIN:
 * try again. */
static enum move_status wait_locking(struct move_run *run, unsigned tries)
{
    const unsigned doublings = tries / LOCK_TRIES_PER_PAUSE;
    enum move_status status = MOVE_OK;

    if (*run->stop || tries == LOCK_TRIES_MAX) {
        (void)snprintf(run->error, sizeof run->error, "%s",
                       *run->stop ? "this mover was told to stop" : FENCE_LOCKED);
        return MOVE_LOST;
    }
    run->throttle = FENCE_WAITS;
    if (run_is_tick_due(run)) {
        status = run_explain(run, run->giver,
                             run_tell(run, run->move->phase, run->limits->lease_ms));
    }
    run_sleep_ms(LOCK_PAUSE_MS << (doublings < LOCK_DOUBLINGS_MAX ? doublings
                                                                  : LOCK_DOUBLINGS_MAX));
    return status == MOVE_OK ? MOVE_AGAIN : status;
}

enum move_status run_locking(struct move_run *run, struct link_call *call)
{
    enum move_status status = MOVE_AGAIN;
    char reason[sizeof run->error]; /* for which the attempt ends anyway */

    memcpy(reason, run->error, sizeof reason);
    for (unsigned tries = 0; status == MOVE_AGAIN; tries++) {
        status = try_locking(run, call, tries);
        if (status == MOVE_AGAIN) {
            memcpy(run->error, reason, sizeof reason);
            status = wait_locking(run, tries);
        } else if (tries > 0) {
            run->throttle = "";
        }
    }
    return status;
}

enum move_status run_call_locking(struct move_run *run, struct link_call call)
{
    struct arena arena;

    arena_init(&arena, ARENA_BYTES);
    call.arena = &arena;
    enum move_status status = run_locking(run, &call);
    arena_release(&arena);
    return status;
}

enum move_status run_look(struct move_run *run, struct move_link *link, struct look *look)
{
    const struct dbarg args[] = {run_slot(run)};
    struct dbresult *results;
    struct look_row row;
    struct arena arena;

    arena_init(&arena, ARENA_BYTES);
    enum move_status status =
        run_explain(run, link, link_call(link, PROC_MOVE_LOOK, args, &arena, &results));
    if (status == MOVE_OK &&
        dbresult_read(results, 0, look_fields, ARRAY_LEN(look_fields), &row)) {
        (void)snprintf(look->state, sizeof look->state, "%s", row.state);
        (void)snprintf(look->token, sizeof look->token, "%s", row.token);
        look->epoch = row.epoch;
        look->next_epoch = row.next_epoch;
    } else if (status == MOVE_OK) {
        (void)snprintf(run->error, sizeof run->error, "%s: move_look cannot be read",
                       link->name);
        status = MOVE_REFUSED;
    }
    arena_release(&arena);
    return status;
}

bool look_is(const struct look *look, const char *state)
{
    return strcmp(look->state, state) == 0;
}

enum move_status run_count_rows(struct move_run *run)
{
    const bool is_promotion = run->move->kind == MOVE_PROMOTE;
    const enum proc_id proc = is_promotion ? PROC_PROMOTE_COUNT : PROC_MOVE_COUNT;
    enum move_status status = MOVE_OK;

    run->move->rows_total = 0;
    for (size_t i = 0; i < MOVE_TABLES && status == MOVE_OK; i++) {
        const struct dbarg args[] = {run_slot(run), link_text(move_tables[i].name),
                                     dbarg_number(run->move->owner_id)};
        struct arena arena;
        struct dbresult *results;
        arena_init(&arena, ARENA_BYTES);
        status = run_explain(run, run->from,
                             link_call(run->from, proc, args, &arena, &results));
        const struct dbvalue *count =
            status == MOVE_OK ? dbresult_value(results, 0, "row_count") : NULL;
        run->move->rows_total += count == NULL ? 0 : count->number;
        arena_release(&arena);
        if (status == MOVE_AGAIN) { /* it takes too long, and is for the eye alone */
            run->error[0] = '\0';
            status = MOVE_OK;
        }
        if (status == MOVE_OK) {
            status = run_tick(run);
        }
    }
    return status;
}
