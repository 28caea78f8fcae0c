/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Caller of procedures/purge/: removes rows that are no longer needed. */
#ifndef DOUSHARD_PURGE_H
#define DOUSHARD_PURGE_H

#include <stddef.h>
#include <stdint.h>

#include "shard/call.h"
#include "shard/outcome.h"

struct router;

/* Limit of rows that one step reads. */
#define PURGE_ROWS_MAX 1000

/* What a step did. */
struct purge_report {
    const char *kind; /* table; "": nothing was due. In the call's arena */
    uint64_t removed; /* rows */
    int64_t wait_ms;  /* how long nothing will be due; 0: go on */
};

/* Do one step of what is due on the shard with index SHARD: look at up to LIMIT rows (1
 * to PURGE_ROWS_MAX). The shard remembers how far it has come. OK sets *REPORT. */
enum outcome purge_step(struct router *router, struct call *call, size_t shard,
                        size_t limit, struct purge_report *report);

#endif
