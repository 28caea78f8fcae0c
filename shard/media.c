/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Callers of procedures/media/: which stored files have rows, and the lease of the
 * search. */
#include "shard/media.h"

#include <string.h>

#include "shard/router_call.h"
#include "shard/router_scatter.h"

/* Where the lease of all servers is. */
#define LEASE_SLOT 0

/* Read the ANSWER about the files of one query. */
static enum outcome read_answer(struct call *call, const struct router_answer *answer)
{
    if (answer->outcome != OUTCOME_OK) {
        return answer->outcome;
    }
    const struct dbvalue *state = dbresult_value(answer->result, answer->row, "state");
    if (state == NULL || state->text == NULL) {
        return proc_unreadable(call, PROC_MEDIA_FIND);
    }
    return strcmp(state->text, "deleted") == 0 ? OUTCOME_NOTFOUND : OUTCOME_OK;
}

void media_find(struct router *router, struct call *call, struct media_query *queries,
                size_t n)
{
    struct router_answer *answers = arena_calloc(call->arena, n, sizeof *answers);
    struct ops *ops = ops_new();

    CHECK(n > 0 && n <= OPS_MAX);
    for (size_t i = 0; i < n; i++) {
        queries[i].outcome = OUTCOME_NOMEM;
    }
    if (answers == NULL || ops == NULL) {
        ops_free(&ops);
        (void)call_no_memory(call);
        return;
    }
    for (size_t i = 0; i < n; i++) {
        ops_add_owner(ops, queries[i].author_id);
        ops_text(ops, "media", queries[i].name);
    }
    router_batch(router, call, PROC_MEDIA_FIND, ops, answers);
    ops_free(&ops);
    for (size_t i = 0; i < n; i++) {
        queries[i].outcome = read_answer(call, &answers[i]);
    }
}

enum outcome media_lease_take(struct router *router, struct call *call,
                              const char *holder, int64_t lease_ms, bool *got)
{
    const struct dbarg args[] = {dbarg_text(holder, strlen(holder)),
                                 dbarg_number((uint64_t)lease_ms)};
    size_t n_shards = router_n_shards(router);
    size_t shard = router_slot_shard(router, LEASE_SLOT);
    struct router_share *shares = arena_calloc(call->arena, n_shards, sizeof *shares);

    if (shares == NULL) {
        return call_no_memory(call);
    }
    if (shard >= n_shards) {
        call_explain(call, "nobody knows who has slot %d", LEASE_SLOT);
        return OUTCOME_UNAVAILABLE;
    }
    shares[shard].wanted = true;
    router_scatter(router, call, PROC_MEDIA_LEASE_TAKE, args, shares, n_shards);
    if (shares[shard].outcome != OUTCOME_OK) {
        return shares[shard].outcome;
    }
    const struct dbvalue *value = dbresult_value(shares[shard].results, 0, "got");
    if (value == NULL) {
        return proc_unreadable(call, PROC_MEDIA_LEASE_TAKE);
    }
    *got = value->number == 1;
    return OUTCOME_OK;
}
