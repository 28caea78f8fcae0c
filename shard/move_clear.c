/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* What a move leaves behind: rows, journals, and a move that was called off. */
#include <stdio.h>
#include <string.h>

#include "shard/base/clock.h"

#include "shard/move_impl.h"
#include "shard/partition.h"

/* Rows that are removed at a time, and entries of a journal. */
#define PURGE_ROWS 1000

/* A move that was begun anew so often fails: what stands against it does not go away. */
#define RESTARTS_MAX 3

#define ARENA_BYTES ((size_t)1 << 20)

/* ---- Removing rows ---- */

enum move_status run_remove(struct move_run *run, struct move_link *link,
                            enum proc_id proc, const struct dbarg *args, uint64_t *n)
{
    struct arena arena;
    struct dbresult *results;

    arena_init(&arena, ARENA_BYTES);
    enum move_status status =
        run_explain(run, link, link_call(link, proc, args, &arena, &results));
    const struct dbvalue *count =
        status == MOVE_OK ? dbresult_value(results, 0, "row_count") : NULL;
    *n = count == NULL ? 0 : count->number;
    run->rows_done += *n;
    arena_release(&arena);
    return status;
}

void run_begin_removal(struct move_run *run)
{
    run->is_removing = true;
    run->has_looked = false;
}

void run_end_removal(struct move_run *run)
{
    run->is_removing = false;
    run->has_looked = false;
    run->throttle = "";
}

enum move_status run_purge(struct move_run *run, struct move_link *link, uint64_t epoch)
{
    struct pace pace = {0};
    size_t table = MOVE_TABLES; /* what is to be done (outbox, job) goes first */

    run_begin_removal(run);
    enum move_status status = run_tick(run);
    while (table > 0 && status == MOVE_OK) {
        const int64_t step_us = clock_mono_us();
        const uint64_t limit = run_chunk_rows(run, PURGE_ROWS);
        const struct dbarg args[] = {run_slot(run), dbarg_number(epoch), run_token(run),
                                     link_text(move_tables[table - 1].name),
                                     dbarg_number(limit)};
        uint64_t n;
        status = run_remove(run, link, PROC_MOVE_PURGE, args, &n);
        table -= status == MOVE_OK && n < limit;
        if (status == MOVE_OK) {
            status = run_tick(run);
        }
        if (status == MOVE_OK) {
            status = run_pace(run, &pace, step_us, n);
        }
    }
    run_end_removal(run);
    return status;
}

/* Remove a journal that nobody needs any more. */
enum move_status run_sweep(struct move_run *run, struct move_link *link)
{
    const struct dbarg args[] = {run_slot(run), dbarg_number(PURGE_ROWS)};
    enum move_status status = MOVE_OK;
    uint64_t n = PURGE_ROWS;

    while (status == MOVE_OK && n == PURGE_ROWS) {
        struct arena arena;
        struct dbresult *results;
        arena_init(&arena, ARENA_BYTES);
        status = run_explain(run, link,
                             link_call(link, PROC_MOVE_SWEEP, args, &arena, &results));
        const struct dbvalue *count =
            status == MOVE_OK ? dbresult_value(results, 0, "row_count") : NULL;
        n = count == NULL ? 0 : count->number;
        arena_release(&arena);
    }
    return status;
}

/* ---- Final ---- */

enum move_status run_finish(struct move_run *run, enum move_phase end)
{
    enum move_status status = run_beat(run, PHASE_PURGING);
    struct look look;

    if (status == MOVE_OK) {
        run_spread(run, run->move->slot, run->move->epoch, run->to->name);
        status = run_look(run, run->to, &look);
    }
    if (status == MOVE_OK && strcmp(look.token, run->move->token) == 0) {
        status = run_call_locking(
            run, (struct link_call){.link = run->to,
                                    .proc = PROC_MOVE_CLOSE,
                                    .args = {run_slot(run), run_token(run)}});
    }
    if (status == MOVE_OK) {
        status = run_sweep(run, run->to);
    }
    if (status == MOVE_OK) {
        status = partition_drop(run, run->from, run->move->slot, run->move->epoch - 1);
    }
    if (status == MOVE_OK) {
        status = run_purge(run, run->from, run->move->epoch);
    }
    if (status != MOVE_OK) {
        return status;
    }
    if (!run->is_lost) {
        run->error[0] = '\0';
    }
    return run_beat(run, end);
}

/* ---- Called off ---- */

/* What move_cancel() answers. */
struct cancelled {
    uint32_t is_here;
    uint64_t epoch;
};

static const struct dbfield cancelled_fields[] = {
    {.column = "is_here",
     .kind = DBFIELD_U32,
     .offset = offsetof(struct cancelled, is_here)},
    {.column = "epoch", .kind = DBFIELD_U64, .offset = offsetof(struct cancelled, epoch)},
};

/* The slot stays with the giver, for certain, at *EPOCH. */
static enum move_status cancel(struct move_run *run, uint64_t *epoch)
{
    struct cancelled row = {.is_here = 0};
    struct arena arena;
    struct link_call call = {.link = run->giver,
                             .proc = PROC_MOVE_CANCEL,
                             .args = {dbarg_number(run->move->id), run_token(run)},
                             .arena = &arena,
                             .limit_ms = LINK_CALL_MS};

    arena_init(&arena, ARENA_BYTES);
    enum move_status status = run_locking(run, &call);
    if (status == MOVE_OK && (!dbresult_read(call.results, 0, cancelled_fields,
                                             ARRAY_LEN(cancelled_fields), &row) ||
                              row.is_here == 0)) {
        (void)snprintf(run->error, sizeof run->error,
                       "too late to call it off: the slot has moved");
        status = MOVE_FENCED;
    }
    *epoch = row.epoch;
    arena_release(&arena);
    return status;
}

enum move_status run_forget(struct move_run *run, struct move_link *link,
                            const struct move_link *other, uint64_t epoch)
{
    const struct dbarg import[] = {run_slot(run),          dbarg_number(run->move->epoch),
                                   run_token(run),         dbarg_number(run->move->term),
                                   link_text(other->name), dbarg_number(0)};
    const struct dbarg args[] = {run_slot(run), run_token(run), dbarg_number(epoch),
                                 link_text(other->name)};
    struct look look;
    enum move_status status = run_look(run, link, &look);

    if (status != MOVE_OK || look.epoch > run->move->epoch) { /* it was done before */
        return status;
    }
    status = run_call(run, link, PROC_MOVE_IMPORT, import);
    if (status == MOVE_OK) {
        status = partition_drop(run, link, run->move->slot, run->move->epoch);
    }
    if (status == MOVE_OK) {
        status = run_purge(run, link, run->move->epoch);
    }
    return status == MOVE_OK ? run_call(run, link, PROC_MOVE_FORGET, args) : status;
}

/* What the other side has of the copy is removed, at EPOCH. */
static enum move_status undo_copy(struct move_run *run, uint64_t epoch)
{
    if (run->move->kind != MOVE_SLOT) {
        return owner_undo(run);
    }
    if (run->taker == NULL) {
        return MOVE_OK;
    }
    enum move_status status = run_forget(run, run->taker, run->giver, epoch);
    if (status == MOVE_LOST && run->move->wish == WISH_CANCEL &&
        run->taker->conn == NULL) {
        const size_t len = strlen(run->error);
        (void)snprintf(run->error + len, sizeof run->error - len,
                       " (if it is gone for good, take it out of the topology)");
    }
    return status;
}

/* It was wished: it is over. */
static enum move_status end_undone(struct move_run *run)
{
    run->error[0] = '\0';
    if (run->taker == NULL) {
        (void)snprintf(run->error, sizeof run->error,
                       "%s is in no topology: what was copied stays there",
                       run->move->taker);
    }
    return run_beat(run, PHASE_UNDONE);
}

enum move_status run_undo(struct move_run *run)
{
    const bool is_wished = run->move->wish == WISH_CANCEL;
    uint64_t epoch;
    enum move_status status = cancel(run, &epoch);

    if (status != MOVE_OK) {
        return status;
    }
    run->is_journaled = false;
    run->move->phase = PHASE_UNDOING;
    status = run_sweep(run, run->giver);
    if (status == MOVE_OK && run->move->epoch > 0) {
        status = undo_copy(run, epoch);
    }
    if (status != MOVE_OK) {
        return status;
    }
    if (is_wished) {
        return end_undone(run);
    }
    if (run->move->restarts >= RESTARTS_MAX) {
        return run_beat(run, PHASE_FAILED);
    }
    run->move->epoch = 0;
    run->move->rows_copied = run->move->bytes_copied = 0;
    run->is_restart = true;
    (void)run_tell(run, PHASE_QUEUED, 0);
    return MOVE_LOST;
}
