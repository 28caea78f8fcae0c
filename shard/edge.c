/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Edges ("user follows user", "user likes video"): both halves of one change. */
#include "shard/edge.h"

#include "shard/delivery.h"
#include "shard/router_call.h"

/* What the first half answered. */
struct first_half {
    uint64_t ver;
    int64_t at_ms;
    uint32_t pending; /* 1: the second half of this version must still be made */
};

static const struct dbfield first_half_fields[] = {
    {.column = "ver", .kind = DBFIELD_U64, .offset = offsetof(struct first_half, ver)},
    {.column = "at", .kind = DBFIELD_I64, .offset = offsetof(struct first_half, at_ms)},
    {.column = "pending",
     .kind = DBFIELD_U32,
     .offset = offsetof(struct first_half, pending)},
};

enum outcome edge_set(struct delivery *delivery, struct call *call,
                      const struct edge *edge, bool is_there)
{
    struct router_answer answer;
    struct first_half first;
    struct ops *ops = ops_new();

    if (ops == NULL) {
        return call_no_memory(call);
    }
    ops_add_owner(ops, edge->actor_id);
    /* In this order the routine recognises the text of a repeat (_op_clear). */
    ops_number(ops, "target", (int64_t)edge->target_id);
    ops_number(ops, "state", is_there);
    ops_target(ops, edge->target_id);
    router_batch(delivery_router(delivery), call, edge->action, ops, &answer);
    ops_free(&ops);
    if (answer.outcome != OUTCOME_OK && answer.outcome != OUTCOME_SAME) {
        return answer.outcome;
    }
    if (!dbresult_read(answer.result, answer.row, first_half_fields,
                       ARRAY_LEN(first_half_fields), &first)) {
        return proc_unreadable(call, edge->action);
    }
    if (first.pending == 0) { /* made together with the first half, or long ago */
        return answer.outcome;
    }
    /* SAME and pending: an unfinished earlier write, perhaps an interrupted attempt of
     * ours. Its second half decides here, too. */
    const struct half half = {.kind = edge->kind,
                              .actor_id = edge->actor_id,
                              .target_id = edge->target_id,
                              .ver = first.ver,
                              .state = is_there,
                              .at_ms = first.at_ms};
    enum outcome outcome = delivery_make(delivery, call, &half);
    /* With the target gone there is nothing to take away: the edge is as it should be. */
    if (outcome == OUTCOME_OK || (!is_there && outcome == OUTCOME_NOTFOUND)) {
        return answer.outcome;
    }
    return outcome;
}
