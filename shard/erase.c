/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* The work behind user_erase(): undo what an erased user wrote and did. */
#include "shard/erase.h"

#include <stddef.h>

#include "shard/base/clock.h"

#include "shard/delivery.h"
#include "shard/half.h"
#include "shard/id.h"
#include "shard/router_call.h"

/* Rows of each kind in one step. */
#define STEP_ROWS 100

/* Memory of one step. */
#define STEP_ARENA_BYTES (1u << 20)

/* What erase_step() answers. */
struct step_answer {
    uint32_t left;
    uint64_t n_undone;
    uint64_t peer_id;
    int64_t at_ms;
};

static const struct dbfield answer_fields[] = {
    {.column = "left", .kind = DBFIELD_U32, .offset = offsetof(struct step_answer, left)},
    {.column = "undone",
     .kind = DBFIELD_U64,
     .offset = offsetof(struct step_answer, n_undone)},
    {.column = "peer_id",
     .kind = DBFIELD_U64,
     .offset = offsetof(struct step_answer, peer_id)},
    {.column = "at", .kind = DBFIELD_I64, .offset = offsetof(struct step_answer, at_ms)},
};

/* The comments named by erase_step(), as second halves to be made, each with the version
 * of a deleted one. Returns how many, at most STEP_ROWS; -1: they cannot be read. */
static int read_comments(const struct dbresult *rows, uint64_t user_id,
                         struct half halves[STEP_ROWS])
{
    int n = 0;

    for (size_t row = 0; row < rows->n_rows && n < STEP_ROWS; row++) {
        const struct dbvalue *video = dbresult_value(rows, row, "video_id");
        const struct dbvalue *comment = dbresult_value(rows, row, "comment_id");
        if (video == NULL || comment == NULL) {
            return -1;
        }
        if (video->is_null) {
            continue;
        }
        if (!id_is_valid(video->number)) {
            return -1;
        }
        halves[n++] = (struct half){.kind = HALF_COMMENT,
                                    .actor_id = video->number,
                                    .target_id = user_id,
                                    .seq = comment->number,
                                    .ver = 2,
                                    .at_ms = clock_wall_ms()};
    }
    return n;
}

/* Delete the comments of HALVES at their videos. Sets an outcome for each. */
static void delete_first_halves(struct router *router, struct call *call,
                                const struct half *halves, size_t n,
                                enum outcome *outcomes)
{
    struct router_answer *answers = arena_calloc(call->arena, n, sizeof *answers);
    struct ops *ops = ops_new();

    for (size_t i = 0; ops != NULL && i < n; i++) {
        ops_add_owner(ops, halves[i].actor_id);
        ops_number(ops, "user", (int64_t)halves[i].target_id);
        ops_number(ops, "comment_id", (int64_t)halves[i].seq);
    }
    bool good = ops != NULL && answers != NULL;
    if (good) {
        router_batch(router, call, PROC_COMMENT_ERASE, ops, answers);
    }
    for (size_t i = 0; i < n; i++) {
        outcomes[i] = good ? answers[i].outcome : OUTCOME_NOMEM;
    }
    ops_free(&ops);
}

/* Of the N indexes in INDEX keep those whose outcome means done. */
static size_t keep_done(size_t *index, size_t n, const enum outcome *outcomes)
{
    size_t kept = 0;

    for (size_t i = 0; i < n; i++) {
        enum outcome outcome = outcomes[index[i]];
        if (outcome == OUTCOME_OK || outcome == OUTCOME_SAME ||
            outcome == OUTCOME_NOTFOUND) {
            index[kept++] = index[i];
        }
    }
    return kept;
}

/* Delete comments at their videos, in the list of their author, and from the outbox;
 * three CALLs for all that one shard has. A comment that is already gone leaves the list,
 * too. One that fails will be named again. Returns how many left the list. */
static size_t delete_comments(struct router *router, struct call *call,
                              const struct half *halves, size_t n)
{
    enum outcome outcomes[STEP_ROWS];
    size_t index[STEP_ROWS];
    struct half_batch batch = {
        .halves = halves, .index = index, .n = n, .outcomes = outcomes};

    for (size_t i = 0; i < n; i++) {
        index[i] = i;
    }
    delete_first_halves(router, call, halves, n, outcomes);
    batch.n = keep_done(index, n, outcomes);
    if (batch.n > 0) {
        half_deliver(router, call, &batch);
        batch.n = keep_done(index, batch.n, outcomes);
    }
    size_t n_deleted = batch.n;
    if (batch.n > 0) {
        half_done(router, call, &batch); /* on failure the relay does it */
    }
    return n_deleted;
}

/* One step. OK: nothing is left; BUSY: something is. */
static enum outcome step(struct router *router, struct call *call, uint64_t user_id,
                         struct erase_progress *progress)
{
    const struct dbarg args[] = {dbarg_number(user_id),
                                 dbarg_number(progress->peer_id),
                                 dbarg_number((uint64_t)progress->at_ms),
                                 dbarg_number(progress->video_id),
                                 dbarg_number(progress->comment_id),
                                 dbarg_number(STEP_ROWS)};
    struct half halves[STEP_ROWS];
    struct router_answer answer;
    struct step_answer done;

    router_owner(router, call, PROC_ERASE_STEP, (struct router_subject){.owner = user_id},
                 args, &answer);
    if (answer.outcome != OUTCOME_OK) {
        return answer.outcome;
    }
    if (!dbresult_read(answer.result, answer.row, answer_fields, ARRAY_LEN(answer_fields),
                       &done)) {
        return proc_unreadable(call, PROC_ERASE_STEP);
    }
    int n = read_comments(answer.result, user_id, halves);
    if (n < 0) {
        return proc_unreadable(call, PROC_ERASE_STEP);
    }
    progress->n_undone += done.n_undone;
    progress->peer_id = done.peer_id;
    progress->at_ms = done.at_ms;
    bool may_be_more = n == STEP_ROWS;
    progress->video_id = may_be_more ? halves[n - 1].actor_id : 0;
    progress->comment_id = may_be_more ? halves[n - 1].seq : 0;
    if (n > 0) {
        progress->n_undone += delete_comments(router, call, halves, (size_t)n);
    }
    return done.left == 0 ? OUTCOME_OK : OUTCOME_BUSY;
}

enum outcome erase_user(struct delivery *delivery, struct call *call, uint64_t user_id,
                        struct erase_progress *progress)
{
    enum outcome outcome = OUTCOME_BUSY;
    uint64_t n_before = progress->n_undone;

    for (unsigned idle = 0;
         outcome == OUTCOME_BUSY && clock_mono_ms() < call->deadline_ms; idle++) {
        if (progress->n_undone > n_before) {
            idle = 0;
        }
        n_before = progress->n_undone;
        if (idle > 0 && !router_pause(call, idle)) {
            break;
        }
        struct arena arena;
        struct call part;
        arena_init(&arena, STEP_ARENA_BYTES);
        call_init(&part, &arena, call->deadline_ms);
        outcome = step(delivery_router(delivery), &part, user_id, progress);
        call->n_calls += part.n_calls;
        if (part.detail[0] != '\0') {
            call_explain(call, "%s", part.detail);
        }
        arena_release(&arena);
    }
    return outcome;
}
