/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Callers of procedures/job/: durable background work. */
#include "shard/job.h"

#include <string.h>

#include "shard/base/hex.h"
#include "shard/base/rnd.h"

#include "shard/router_call.h"
#include "shard/router_scatter.h"

/* The length of an error that the table stores. */
#define ERROR_BYTES_MAX 200

static const struct dbfield job_fields[] = {
    {.column = "slot", .kind = DBFIELD_U32, .offset = offsetof(struct job, slot)},
    {.column = "owner_id", .kind = DBFIELD_U64, .offset = offsetof(struct job, owner_id)},
    {.column = "kind", .kind = DBFIELD_TEXT, .offset = offsetof(struct job, kind)},
    {.column = "target_id",
     .kind = DBFIELD_U64,
     .offset = offsetof(struct job, target_id)},
    {.column = "payload", .kind = DBFIELD_TEXT, .offset = offsetof(struct job, payload)},
    {.column = "attempts", .kind = DBFIELD_U32, .offset = offsetof(struct job, attempts)},
};

/* Turn the claimed rows into jobs. */
static enum outcome read_jobs(struct call *call, const struct dbresult *rows,
                              const unsigned char *claim, struct job_list *list)
{
    size_t n_rows = rows == NULL ? 0 : rows->n_rows;
    struct job *jobs = arena_calloc(call->arena, n_rows, sizeof *jobs);

    if (jobs == NULL) {
        return call_no_memory(call);
    }
    for (size_t i = 0; i < n_rows; i++) {
        if (!dbresult_read(rows, i, job_fields, ARRAY_LEN(job_fields), &jobs[i])) {
            return proc_unreadable(call, PROC_JOB_CLAIM);
        }
        memcpy(jobs[i].claim, claim, OP_BYTES);
    }
    *list = (struct job_list){.jobs = jobs, .n = n_rows};
    return OUTCOME_OK;
}

enum outcome job_claim(struct router *router, struct call *call, size_t shard,
                       size_t limit, int64_t lease_ms, struct job_list *list)
{
    size_t n_shards = router_n_shards(router);
    struct router_share *shares = arena_calloc(call->arena, n_shards, sizeof *shares);
    unsigned char claim[OP_BYTES];
    char hex[2 * OP_BYTES + 1];

    CHECK(shard < n_shards);
    if (shares == NULL) {
        return call_no_memory(call);
    }
    rnd_bytes(claim, sizeof claim);
    hex_encode(claim, sizeof claim, hex);
    const struct dbarg args[] = {dbarg_text(hex, strlen(hex)), dbarg_number(limit),
                                 dbarg_number((uint64_t)lease_ms)};
    shares[shard].wanted = true;
    router_scatter(router, call, PROC_JOB_CLAIM, args, shares, n_shards);
    return shares[shard].outcome == OUTCOME_OK
               ? read_jobs(call, shares[shard].results, claim, list)
               : shares[shard].outcome;
}

enum outcome job_finish(struct router *router, struct call *call, const struct job *job,
                        const struct job_report *report)
{
    struct router_answer answer;
    struct ops *ops = ops_new();
    char *reason = arena_strndup(call->arena, report->error,
                                 strnlen(report->error, ERROR_BYTES_MAX));

    if (ops == NULL || reason == NULL) {
        ops_free(&ops);
        return call_no_memory(call);
    }
    ops_add_owner(ops, job->owner_id);
    ops_text(ops, "kind", job->kind);
    ops_number(ops, "target_id", (int64_t)job->target_id);
    ops_hex(ops, "claim", job->claim, sizeof job->claim);
    ops_number(ops, "done", report->done);
    ops_number(ops, "progress", report->progress);
    ops_text(ops, "error", reason);
    ops_number(ops, "retry_ms", report->retry_ms);
    router_batch(router, call, PROC_JOB_FINISH, ops, &answer);
    ops_free(&ops);
    return answer.outcome;
}
