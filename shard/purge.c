/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Caller of procedures/purge/: removes rows that are no longer needed. */
#include "shard/purge.h"

#include "shard/router_call.h"
#include "shard/router_scatter.h"

static const struct dbfield report_fields[] = {
    {.column = "kind",
     .kind = DBFIELD_TEXT,
     .offset = offsetof(struct purge_report, kind)},
    {.column = "removed",
     .kind = DBFIELD_U64,
     .offset = offsetof(struct purge_report, removed)},
    {.column = "wait_ms",
     .kind = DBFIELD_I64,
     .offset = offsetof(struct purge_report, wait_ms)},
};

enum outcome purge_step(struct router *router, struct call *call, size_t shard,
                        size_t limit, struct purge_report *report)
{
    size_t n_shards = router_n_shards(router);
    struct router_share *shares = arena_calloc(call->arena, n_shards, sizeof *shares);
    const struct dbarg arg = dbarg_number(limit);

    CHECK(shard < n_shards && limit > 0 && limit <= PURGE_ROWS_MAX);
    if (shares == NULL) {
        return call_no_memory(call);
    }
    shares[shard].wanted = true;
    router_scatter(router, call, PROC_PURGE_STEP, &arg, shares, n_shards);
    if (shares[shard].outcome == OUTCOME_OK &&
        !dbresult_read(shares[shard].results, 0, report_fields, ARRAY_LEN(report_fields),
                       report)) {
        return proc_unreadable(call, PROC_PURGE_STEP);
    }
    return shares[shard].outcome;
}
