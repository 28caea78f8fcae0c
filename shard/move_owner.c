/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* A user gets a slot of their own (promote), or comes back to the slot of their id
 * (demote), while they are served. Both slots are on one shard, so that the flip is one
 * transaction (promote_flip), and slot_move says whether it was done: phase purging.
 *
 *   promote  S, the slot of the id, is migrating; the user's rows are copied to the own
 *            slot O, which has partitions and no fence until the flip; then they are
 *            removed from S, row by row
 *   demote   O is migrating; the user's rows are copied to S, where nobody looks for them
 *            until the flip, because forwarding entries say that the user is in O; then
 *            the partitions of O are dropped */
#include <stdio.h>
#include <string.h>

#include "shard/base/clock.h"

#include "shard/id.h"
#include "shard/move_impl.h"
#include "shard/partition.h"

#define ARENA_BYTES ((size_t)1 << 20)

/* Rows that are removed at a time. */
#define PURGE_ROWS 1000

/* Entries of the journal that the flip itself carries over. */
#define REST_ENTRIES 500

/* The CALL of the flip is all of it, not the lock alone: it may take more than a lock,
 * and more yet when it has failed some times. */
#define BOUNDS_FIRST    2
#define BOUNDS_MAX      12
#define TRIES_PER_BOUND 4
#define TRIES_MAX       150

/* Writers recover between two tries. */
#define PAUSE_MS 20

/* An epoch that partitions of a slot cannot have yet. */
#define EPOCH_END (UINT64_C(1) << 20)

static bool is_promotion(const struct move_run *run)
{
    return run->move->kind == MOVE_PROMOTE;
}

static uint32_t shared_slot(const struct move_run *run)
{
    return id_slot(run->move->owner_id);
}

/* ---- Removing rows ---- */

/* Remove the user's rows from one table of the slot of their id. */
static enum move_status purge_table(struct move_run *run, size_t table, bool is_over)
{
    enum move_status status = MOVE_OK;
    /* What is carried over meanwhile, and removed with the rest, is copied later. */
    struct pace pace = {.drains = run->is_journaled};
    uint64_t limit = 0;
    uint64_t n = 0;

    while (status == MOVE_OK && n == limit) {
        const int64_t step_us = clock_mono_us();
        limit = run_chunk_rows(run, PURGE_ROWS);
        const struct dbarg args[] = {
            dbarg_number(run->move->id), run_token(run), dbarg_number(is_over),
            link_text(move_tables[table].name), dbarg_number(limit)};
        status = run_remove(run, run->giver, PROC_PROMOTE_PURGE, args, &n);
        if (status == MOVE_OK) {
            status = run_tick(run);
        }
        if (status == MOVE_OK) {
            status = run_pace(run, &pace, step_us, n);
        }
    }
    return status;
}

/* The same in all tables; that of videos, which says what else is the user's, is the
 * last. */
static enum move_status purge_owner(struct move_run *run, bool is_over)
{
    run_begin_removal(run);
    enum move_status status = run_tick(run);

    for (size_t table = MOVE_TABLES; table-- > 0 && status == MOVE_OK;) {
        if (table != MOVE_TABLE_video) {
            status = purge_table(run, table, is_over);
        }
    }
    if (status == MOVE_OK) {
        status = purge_table(run, MOVE_TABLE_video, is_over);
    }
    run_end_removal(run);
    return status;
}

enum move_status owner_undo(struct move_run *run)
{
    return is_promotion(run)
               ? partition_drop(run, run->giver, run->move->own_slot, EPOCH_END)
               : purge_owner(run, /* is_over= */ false);
}

/* ---- There ---- */

/* Ask the shard that has slot 0 for a number. */
static enum move_status take_number(struct move_run *run, uint64_t *number)
{
    enum move_status status = MOVE_LOST;

    *number = 0;
    (void)snprintf(run->error, sizeof run->error, "no shard serves slot 0");
    for (size_t i = 0; i < run->n_links && *number == 0; i++) {
        struct arena arena;
        struct dbresult *results;
        arena_init(&arena, ARENA_BYTES);
        if (link_call(&run->links[i], PROC_PROMOTE_NUMBER, NULL, &arena, &results) ==
            MOVE_OK) {
            const struct dbvalue *value = dbresult_value(results, 0, "own_slot");
            *number = value == NULL ? 0 : value->number;
        }
        arena_release(&arena);
    }
    if (*number > 0) {
        run->error[0] = '\0';
        status = MOVE_OK;
    }
    return status;
}

struct begun {
    uint32_t own_slot;
    const char *at_tbl, *at_key;
};

static const struct dbfield begun_fields[] = {
    {.column = "own_slot",
     .kind = DBFIELD_U32,
     .offset = offsetof(struct begun, own_slot)},
    {.column = "at_tbl", .kind = DBFIELD_TEXT, .offset = offsetof(struct begun, at_tbl)},
    {.column = "at_key", .kind = DBFIELD_TEXT, .offset = offsetof(struct begun, at_key)},
};

/* How far the copy is, in ARENA. NUMBER is for the own slot, if the user has none yet. */
static enum move_status begin(struct move_run *run, uint64_t number, struct arena *arena,
                              struct begun *begun)
{
    const struct dbarg args[] = {dbarg_number(run->move->id), run_token(run),
                                 dbarg_number(number)};
    struct dbresult *results;
    enum move_status status =
        run_explain(run, run->giver,
                    link_call(run->giver, PROC_PROMOTE_BEGIN, args, arena, &results));

    if (status == MOVE_OK &&
        !dbresult_read(results, 0, begun_fields, ARRAY_LEN(begun_fields), begun)) {
        (void)snprintf(run->error, sizeof run->error, "%s: promote_begin cannot be read",
                       run->giver->name);
        status = MOVE_REFUSED;
    }
    if (status == MOVE_OK) {
        run->move->own_slot = begun->own_slot;
    }
    return status;
}

/* What SLOT is on the shard. */
static enum move_status look_at(struct move_run *run, uint32_t slot, struct look *look)
{
    const uint32_t moving = run->move->slot;

    run->move->slot = slot;
    enum move_status status = run_look(run, run->giver, look);
    run->move->slot = moving;
    return status;
}

/* If there is none yet, choose the epoch of the slot to which the user goes, above all
 * that either slot has heard, and count the user's rows. MOVE_REFUSED: one of them has
 * passed it meanwhile. */
static enum move_status choose_epoch(struct move_run *run)
{
    struct look shared = {.epoch = 0};
    struct look own = {.epoch = 0};
    enum move_status status = look_at(run, shared_slot(run), &shared);

    if (status == MOVE_OK) {
        status = look_at(run, run->move->own_slot, &own);
    }
    if (status == MOVE_OK && run->move->epoch == 0) {
        run->move->epoch =
            shared.next_epoch > own.next_epoch ? shared.next_epoch : own.next_epoch;
        status = run_count_rows(run);
    } else if (status == MOVE_OK &&
               (shared.epoch >= run->move->epoch || own.epoch >= run->move->epoch)) {
        (void)snprintf(run->error, sizeof run->error, "%s: a slot was settled meanwhile",
                       run->giver->name);
        status = MOVE_REFUSED;
    }
    return status;
}

/* Get the slot to which the user goes ready to take rows, without any of an older try. */
static enum move_status prepare(struct move_run *run, const struct begun *begun)
{
    enum move_status status = MOVE_OK;

    if (is_promotion(run)) {
        status = partition_make(run, run->giver, run->move->own_slot, run->move->epoch);
    }
    if (status == MOVE_OK) {
        status = run_open(run);
    }
    if (status == MOVE_OK && !is_promotion(run) && begun->at_tbl[0] == '\0') {
        status = purge_owner(run, /* is_over= */ false);
    }
    return status;
}

/* From the claim to the flip. */
static enum move_status go_there(struct move_run *run)
{
    struct arena arena;
    struct begun begun = {.own_slot = 0};
    uint64_t number = 0;
    enum move_status status = MOVE_OK;

    arena_init(&arena, ARENA_BYTES);
    if (run->move->own_slot == 0) {
        status = take_number(run, &number);
    }
    if (status == MOVE_OK) {
        status = begin(run, number, &arena, &begun);
    }
    if (status == MOVE_OK) {
        status = choose_epoch(run);
    }
    run->from_slot = run->move->slot;
    run->to_slot = is_promotion(run) ? run->move->own_slot : shared_slot(run);
    if (status == MOVE_OK) {
        status = run_beat(run, PHASE_PREPARING);
    }
    if (status == MOVE_OK) {
        status = prepare(run, &begun);
    }
    if (status == MOVE_OK) {
        status = run_beat(run, PHASE_COPYING);
    }
    if (status == MOVE_OK) {
        status = run_copy(run, begun.at_tbl, begun.at_key);
    }
    arena_release(&arena);
    return status;
}

/* ---- The flip ---- */

/* What differed when it was compared, as promote_flip() takes it. */
static bool write_suspects(const struct move_run *run, struct buf *keys)
{
    bool is_first = true;

    buf_init(keys, MOVE_ARENA_BYTES);
    buf_add(keys, "[", 1);
    for (size_t i = 0; i < MOVE_TABLES; i++) {
        const struct buf *suspects = &run->suspects[i];
        if (suspects->len > 0) {
            buf_addf(keys, "%s{\"t\":\"%s\",\"k\":[", is_first ? "" : ",",
                     move_tables[i].name);
            buf_add(keys, suspects->data, suspects->len);
            buf_addf(keys, "]}");
            is_first = false;
        }
    }
    buf_add(keys, "]", 1);
    return !keys->failed;
}

/* One try, that holds writers up no longer than BOUND_MS. MOVE_AGAIN: nothing was done.
 */
static enum move_status try_flip(struct move_run *run, const struct buf *keys,
                                 int bound_ms)
{
    struct arena arena;
    struct link_call call = {.link = run->giver,
                             .proc = PROC_PROMOTE_FLIP,
                             .args = {dbarg_number(run->move->id), run_token(run),
                                      dbarg_text(keys->data, keys->len),
                                      dbarg_number(REST_ENTRIES)},
                             .arena = &arena,
                             .limit_ms = bound_ms};
    int64_t began_us = clock_mono_us();

    arena_init(&arena, ARENA_BYTES);
    run->flips++;
    enum move_status status = run_explain(run, run->giver, link_run(&call, 1));
    const struct dbvalue *done =
        status == MOVE_OK ? dbresult_value(call.results, 0, "is_done") : NULL;
    if (status == MOVE_OK && (done == NULL || done->number == 0)) {
        status = MOVE_AGAIN;
    }
    if (status == MOVE_OK) {
        run->pause_us = clock_mono_us() - began_us;
    }
    arena_release(&arena);
    return status;
}

/* Have the session load the routines of the flip, which takes longer than the flip: there
 * is no move 0. */
static void rehearse(struct move_run *run)
{
    struct arena arena;
    struct link_call call = {
        .link = run->giver,
        .proc = PROC_PROMOTE_FLIP,
        .args = {dbarg_number(0), run_token(run), link_text("[]"), dbarg_number(1)},
        .arena = &arena,
        .limit_ms = LINK_CALL_MS,
        .is_rehearsal = true};

    arena_init(&arena, ARENA_BYTES);
    CHECK(link_run(&call, 1) != MOVE_OK);
    arena_release(&arena);
}

static int flip_bound_ms(const struct move_run *run, unsigned tries)
{
    const unsigned bounds = BOUNDS_FIRST + tries / TRIES_PER_BOUND;

    return run->limits->lock_ms * (int)(bounds < BOUNDS_MAX ? bounds : BOUNDS_MAX);
}

static enum move_status flip(struct move_run *run)
{
    enum move_status status = MOVE_AGAIN;
    uint64_t sessions = 0;
    struct buf keys;

    if (!write_suspects(run, &keys)) {
        (void)snprintf(run->error, sizeof run->error, "out of memory");
        status = MOVE_REFUSED;
    }
    for (unsigned tries = 0; status == MOVE_AGAIN; tries++) {
        if (sessions != run->giver->sessions) {
            rehearse(run);
            sessions = run->giver->sessions;
        }
        status = try_flip(run, &keys, flip_bound_ms(run, tries));
        if (status == MOVE_AGAIN && tries == TRIES_MAX) {
            (void)snprintf(run->error, sizeof run->error, FENCE_LOCKED);
            status = MOVE_REFUSED;
        }
        if (status == MOVE_AGAIN) {
            run->throttle = FENCE_WAITS;
            run_sleep_ms(PAUSE_MS);
            enum move_status drained = run_drain_all(run);
            status = drained == MOVE_OK ? MOVE_AGAIN : drained;
        }
    }
    buf_clear(&keys);
    if (status == MOVE_OK) {
        run->is_journaled = false;
        run->move->phase = PHASE_PURGING;
        run->move->flipped_at_ms = clock_wall_ms();
    }
    return status;
}

/* ---- After it ---- */

/* Every shard hears who has SLOT; "": nobody, its owner has left it. */
static enum move_status tell(struct move_run *run, uint32_t slot, const char *server)
{
    struct look look;
    enum move_status status = look_at(run, slot, &look);

    if (status == MOVE_OK) {
        run_spread(run, slot, look.epoch, server);
    }
    return status;
}

/* Remove what the user has left. */
static enum move_status finish(struct move_run *run)
{
    enum move_status status = run_beat(run, PHASE_PURGING);

    run->pause_us = 0;
    if (status == MOVE_OK) {
        status =
            tell(run, run->move->own_slot, is_promotion(run) ? run->giver->name : "");
    }
    if (status == MOVE_OK) {
        status = tell(run, shared_slot(run), run->giver->name);
    }
    if (status == MOVE_OK) {
        status = is_promotion(run)
                     ? purge_owner(run, /* is_over= */ true)
                     : partition_drop(run, run->giver, run->move->own_slot, EPOCH_END);
    }
    run->error[0] = '\0';
    return status == MOVE_OK ? run_beat(run, PHASE_DONE) : status;
}

enum move_status owner_step(struct move_run *run, struct move_link *other)
{
    enum move_status status = MOVE_OK;

    run->from = run->giver;
    run->to = other;
    if (run->move->phase == PHASE_PURGING) {
        return finish(run);
    }
    if (run->move->phase == PHASE_UNDOING || run->move->wish == WISH_CANCEL) {
        return run_undo(run);
    }
    status = go_there(run);
    if (status == MOVE_OK) {
        status = run_catch_up(run, PHASE_DRAINING, PHASE_VERIFYING, PHASE_FLIPPING);
    }
    if (status == MOVE_OK) {
        status = flip(run);
    }
    run_forget_suspects(run);
    return status == MOVE_OK ? MOVE_AGAIN : status;
}
