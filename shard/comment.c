/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Callers of the procedures in procedures/comment/. */
#include "shard/comment.h"

#include <string.h>

#include "shard/delivery.h"
#include "shard/id.h"
#include "shard/router_call.h"

/* What comment_action and comment_delete answer about the first half. */
struct first_half {
    uint64_t comment_id;
    uint64_t author_id;
    uint64_t ver;
    int64_t at_ms;
    uint32_t pending; /* 1: the second half must still be made */
};

#define FIRST(name, field_kind, member)                                                  \
    {                                                                                    \
        .column = (name), .kind = (field_kind),                                          \
        .offset = offsetof(struct first_half, member)                                    \
    }

static const struct dbfield posted_fields[] = {
    FIRST("comment_id", DBFIELD_U64, comment_id),
    FIRST("author_id", DBFIELD_U64, author_id),
    FIRST("ver", DBFIELD_U64, ver),
    FIRST("created_at", DBFIELD_I64, at_ms),
    FIRST("pending", DBFIELD_U32, pending),
};

static const struct dbfield deleted_fields[] = {
    FIRST("author_id", DBFIELD_U64, author_id),
    FIRST("ver", DBFIELD_U64, ver),
    FIRST("at", DBFIELD_I64, at_ms),
    FIRST("pending", DBFIELD_U32, pending),
};

/* Make the second half if it is not made yet. */
static enum outcome finish(struct delivery *delivery, struct call *call,
                           uint64_t video_id, const struct first_half *first,
                           unsigned state)
{
    const struct half half = {.kind = HALF_COMMENT,
                              .actor_id = video_id,
                              .target_id = first->author_id,
                              .seq = first->comment_id,
                              .ver = first->ver,
                              .state = state,
                              .at_ms = first->at_ms};

    return first->pending == 0 ? OUTCOME_OK : delivery_make(delivery, call, &half);
}

/* The text of the comment in the call's arena: the stored one if the comment was there
 * already, else the one sent. NULL: out of memory. */
static const char *text_of(struct call *call, const struct dbvalue *stored,
                           const char *sent)
{
    return stored->text != NULL ? stored->text
                                : arena_strndup(call->arena, sent, strlen(sent));
}

enum outcome comment_action(struct delivery *delivery, struct call *call,
                            const struct comment_action_args *args,
                            struct comment *comment)
{
    struct router_answer answer;
    struct first_half first;
    struct ops *ops = ops_new();

    if (ops != NULL) {
        ops_add_owner(ops, args->video_id);
        ops_number(ops, "user", (int64_t)args->user_id);
        ops_hex(ops, "op", args->op, sizeof args->op);
        ops_text(ops, "text", args->text);
    }
    enum outcome outcome =
        router_one(delivery_router(delivery), call, PROC_COMMENT_ACTION, ops, &answer);
    if (outcome != OUTCOME_OK && outcome != OUTCOME_SAME) {
        return outcome;
    }
    const struct dbvalue *stored = dbresult_value(answer.result, answer.row, "text");
    if (stored == NULL ||
        !dbresult_read(answer.result, answer.row, posted_fields, ARRAY_LEN(posted_fields),
                       &first) ||
        !id_is_valid(first.comment_id)) {
        return proc_unreadable(call, PROC_COMMENT_ACTION);
    }
    const char *text = text_of(call, stored, args->text);
    enum outcome finished = finish(delivery, call, args->video_id, &first, 1);
    if (finished != OUTCOME_OK || text == NULL) {
        return finished != OUTCOME_OK ? finished : OUTCOME_UNKNOWN;
    }
    *comment = (struct comment){.id = first.comment_id,
                                .author = {.id = first.author_id},
                                .text = text,
                                .created_at_ms = first.at_ms};
    return outcome;
}

enum outcome comment_delete(struct delivery *delivery, struct call *call,
                            uint64_t video_id, uint64_t user_id, uint64_t comment_id)
{
    struct router_answer answer;
    struct first_half first = {.comment_id = comment_id};
    struct ops *ops = ops_new();

    if (ops != NULL) {
        ops_add_owner(ops, video_id);
        ops_number(ops, "user", (int64_t)user_id);
        ops_number(ops, "comment_id", (int64_t)comment_id);
    }
    enum outcome outcome =
        router_one(delivery_router(delivery), call, PROC_COMMENT_DELETE, ops, &answer);
    if (outcome != OUTCOME_OK && outcome != OUTCOME_SAME) {
        return outcome;
    }
    if (!dbresult_read(answer.result, answer.row, deleted_fields,
                       ARRAY_LEN(deleted_fields), &first)) {
        return proc_unreadable(call, PROC_COMMENT_DELETE);
    }
    /* The outcome does not matter: the comment is deleted even if its author is gone. */
    (void)finish(delivery, call, video_id, &first, 0);
    return outcome;
}
