/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* The work behind user_erase(): undo what an erased user wrote and did. */
#include "shard/erase.h"

#include <stdbool.h>
#include <stddef.h>

#include "shard/base/clock.h"

#include "shard/comment.h"
#include "shard/delivery.h"
#include "shard/id.h"
#include "shard/router_call.h"

/* Rows of each kind in one step. */
#define STEP_ROWS 100

/* Memory of one step, and of the deletion of one comment. */
#define STEP_ARENA_BYTES    (1u << 20)
#define COMMENT_ARENA_BYTES (256u << 10)

/* Delete a comment at its video, and in the list of its author. */
static enum outcome delete_comment(struct delivery *delivery, int64_t deadline_ms,
                                   uint64_t video_id, uint64_t user_id,
                                   uint64_t comment_id)
{
    struct arena arena;
    struct call call;

    arena_init(&arena, COMMENT_ARENA_BYTES);
    call_init(&call, &arena, deadline_ms);
    enum outcome outcome = comment_delete(delivery, &call, video_id, user_id, comment_id);
    if (outcome == OUTCOME_NOTFOUND || outcome == OUTCOME_SAME) {
        /* The video is gone, and the comment with it; or the comment was taken back
         * there. Its author's list does not know. */
        const struct half half = {.kind = HALF_COMMENT,
                                  .actor_id = video_id,
                                  .target_id = user_id,
                                  .seq = comment_id,
                                  .ver = 2,
                                  .at_ms = clock_wall_ms()};
        outcome = delivery_make(delivery, &call, &half);
    }
    arena_release(&arena);
    return outcome;
}

/* Delete the comments that erase_step() named; what fails is named again. */
static void delete_comments(struct delivery *delivery, const struct call *call,
                            const struct dbresult *rows, uint64_t user_id)
{
    for (size_t row = 0; row < rows->n_rows && clock_mono_ms() < call->deadline_ms;
         row++) {
        const struct dbvalue *video = dbresult_value(rows, row, "video_id");
        const struct dbvalue *comment = dbresult_value(rows, row, "comment_id");
        if (video != NULL && comment != NULL && id_is_valid(video->number)) {
            (void)delete_comment(delivery, call->deadline_ms, video->number, user_id,
                                 comment->number);
        }
    }
}

/* What erase_step() answers: whether something is left, and with which message to go on.
 */
struct progress {
    uint32_t left;
    uint64_t peer_id;
    uint64_t at;
};

static const struct dbfield progress_fields[] = {
    {.column = "left", .kind = DBFIELD_U32, .offset = offsetof(struct progress, left)},
    {.column = "peer_id",
     .kind = DBFIELD_U64,
     .offset = offsetof(struct progress, peer_id)},
    {.column = "at", .kind = DBFIELD_U64, .offset = offsetof(struct progress, at)},
};

/* One step. OK: nothing is left; BUSY: something is. */
static enum outcome step(struct delivery *delivery, struct call *call, uint64_t user_id,
                         struct progress *progress)
{
    const struct dbarg args[] = {dbarg_number(user_id), dbarg_number(progress->peer_id),
                                 dbarg_number(progress->at), dbarg_number(STEP_ROWS)};
    struct router_answer answer;

    router_owner(delivery_router(delivery), call, PROC_ERASE_STEP,
                 (struct router_subject){.owner = user_id}, args, &answer);
    if (answer.outcome != OUTCOME_OK) {
        return answer.outcome;
    }
    if (!dbresult_read(answer.result, answer.row, progress_fields,
                       ARRAY_LEN(progress_fields), progress)) {
        call_explain(call, "erase_step answered columns that cannot be read");
        return OUTCOME_INTERNAL;
    }
    delete_comments(delivery, call, answer.result, user_id);
    return progress->left == 0 ? OUTCOME_OK : OUTCOME_BUSY;
}

enum outcome erase_user(struct delivery *delivery, struct call *call, uint64_t user_id)
{
    enum outcome outcome = OUTCOME_BUSY;
    struct progress progress = {.peer_id = 0};

    for (unsigned round = 0; outcome == OUTCOME_BUSY; round++) {
        if (round > 0 && !router_pause(call, round)) {
            break;
        }
        struct arena arena;
        struct call part;
        arena_init(&arena, STEP_ARENA_BYTES);
        call_init(&part, &arena, call->deadline_ms);
        outcome = step(delivery, &part, user_id, &progress);
        call->n_calls += part.n_calls;
        if (part.detail[0] != '\0') {
            call_explain(call, "%s", part.detail);
        }
        arena_release(&arena);
    }
    return outcome;
}
