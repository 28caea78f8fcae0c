/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* The context that travels with one request through the shard library. */
#ifndef DOUSHARD_CALL_H
#define DOUSHARD_CALL_H

#include <stdint.h>

#include "shard/base/arena.h"

#include "shard/outcome.h"

/* Bytes of an operation id: the idempotency key of one write. */
#define OP_BYTES 16

/* Owned by the request; one thread at a time uses it. */
struct call {
    struct arena *arena;      /* (ref) results are allocated here and live as long */
    int64_t deadline_ms;      /* monotonic; nothing waits longer */
    unsigned n_calls;         /* CALLs sent so far, replays included, without: */
    unsigned n_session_calls; /* those that only checked the session */
    unsigned n_replays;       /* how many of them repeated an earlier one */
    char shard[32];           /* name of the shard that was asked last, "" at first */
    char detail[160];         /* for logs: what went wrong last; "" when nothing did */
};

/* ARENA is borrowed until the last use of CALL. */
void call_init(struct call *call, struct arena *arena, int64_t deadline_ms);

/* Replace call->detail; cut to its size. */
void call_explain(struct call *call, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* Memory was short: call->detail says so. Returns NOMEM. */
enum outcome call_no_memory(struct call *call);

/* A call without a request, with its own memory: one step of a background thread. */
struct own_call {
    struct arena arena; /* owned */
    struct call call;
};

/* Begin a step that takes LIMIT_MS and ARENA_BYTES at most. */
void own_call_begin(struct own_call *own, size_t arena_bytes, int64_t limit_ms);

/* End it; its results are freed. */
void own_call_end(struct own_call *own);

#endif
