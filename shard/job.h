/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Callers of procedures/job/: durable background work. */
#ifndef DOUSHARD_JOB_H
#define DOUSHARD_JOB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shard/call.h"
#include "shard/outcome.h"

struct router;

/* One claimed job. Texts live in the call's arena. */
struct job {
    uint32_t slot;
    uint64_t owner_id;
    const char *kind; /* "media_delete", "user_erase" */
    uint64_t target_id;
    const char *payload; /* media_delete: the base name of the files */
    unsigned attempts;   /* this one included */
    unsigned char claim[OP_BYTES];
};

/* In the call's arena. */
struct job_list {
    struct job *jobs;
    size_t n;
};

/* Claim up to LIMIT due jobs of the shard with index SHARD (0 .. router_n_shards() - 1)
 * for LEASE_MS; a claim that is not finished by then may be taken by another process. */
enum outcome job_claim(struct router *router, struct call *call, size_t shard,
                       size_t limit, int64_t lease_ms, struct job_list *list);

/* How an attempt at a job ended. */
struct job_report {
    bool done;         /* done: the job is removed; else it is due again */
    bool progress;     /* not done, but progress was made: the count of failures starts
                        * again */
    const char *error; /* why it is not done; cut after 200 characters */
    int64_t retry_ms;  /* wait at least this long; 0 to 86400000 */
};

/* Report a claimed job. The 20th failure parks it for an operator. OK, or NOTFOUND (the
 * claim was lost, or the job is reported). */
enum outcome job_finish(struct router *router, struct call *call, const struct job *job,
                        const struct job_report *report);

#endif
