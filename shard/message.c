/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Callers of the procedures in procedures/message/: chats, one mailbox per party. */
#include "shard/message.h"

#include <string.h>

#include "shard/base/clock.h"

#include "shard/cache.h"
#include "shard/delivery.h"
#include "shard/id.h"
#include "shard/listing.h"
#include "shard/router_call.h"
#include "shard/user.h"

/* What the first half answered. */
struct first_half {
    uint64_t message_id;
    uint64_t seq;
    uint64_t prev;
    uint32_t pending; /* 1: the second half must still be made */
    const char *text; /* the text in the sender's mailbox: that of a replay may differ */
};

static const struct dbfield first_half_fields[] = {
    {.column = "message_id",
     .kind = DBFIELD_U64,
     .offset = offsetof(struct first_half, message_id)},
    {.column = "seq", .kind = DBFIELD_U64, .offset = offsetof(struct first_half, seq)},
    {.column = "prev", .kind = DBFIELD_U64, .offset = offsetof(struct first_half, prev)},
    {.column = "pending",
     .kind = DBFIELD_U32,
     .offset = offsetof(struct first_half, pending)},
};

/* Make the second half if it is not made yet. */
static enum outcome finish(struct delivery *delivery, struct call *call,
                           const struct message_action_args *args,
                           const struct first_half *first)
{
    struct half half = {.kind = HALF_MESSAGE,
                        .actor_id = args->user_id,
                        .target_id = args->peer_id,
                        .seq = first->seq,
                        .ver = 1,
                        .state = 1,
                        .message_id = first->message_id,
                        .prev_id = first->prev,
                        .text = first->text};

    memcpy(half.op, args->op, sizeof half.op);
    return first->pending == 0 ? OUTCOME_OK : delivery_make(delivery, call, &half);
}

/* Whatever the outcome, the sender must not see the old state of the chat. */
static void mark_chat(struct router *router, const struct message_action_args *args)
{
    const struct cache_change change = {.key = message_key(args->user_id, args->peer_id)};

    if (router_cache(router) != NULL) {
        cache_write(router_cache(router), &change, 1, clock_mono_ms() + CACHE_WRITE_MS);
    }
}

enum outcome message_action(struct delivery *delivery, struct call *call,
                            const struct message_action_args *args, uint64_t *message_id)
{
    struct router_answer answer;
    struct first_half first;
    struct ops *ops = ops_new();

    CHECK(args->user_id != args->peer_id);
    if (ops == NULL) {
        return call_no_memory(call);
    }
    ops_add_owner(ops, args->user_id);
    ops_number(ops, "peer", (int64_t)args->peer_id);
    ops_hex(ops, "op", args->op, sizeof args->op);
    ops_text(ops, "text", args->text);
    router_batch(delivery_router(delivery), call, PROC_MESSAGE_ACTION, ops, &answer);
    ops_free(&ops);
    mark_chat(delivery_router(delivery), args);
    if (answer.outcome != OUTCOME_OK && answer.outcome != OUTCOME_SAME) {
        return answer.outcome;
    }
    const struct dbvalue *stored = dbresult_value(answer.result, answer.row, "text");
    if (stored == NULL || !dbresult_read(answer.result, answer.row, first_half_fields,
                                         ARRAY_LEN(first_half_fields), &first)) {
        return proc_unreadable(call, PROC_MESSAGE_ACTION);
    }
    first.text = stored->text != NULL ? stored->text : args->text;
    enum outcome finished = finish(delivery, call, args, &first);
    if (finished != OUTCOME_OK) {
        return finished;
    }
    if (message_id != NULL) {
        *message_id = first.message_id;
    }
    return answer.outcome;
}
