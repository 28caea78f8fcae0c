/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* The relay: finishes every second half that was not finished within a second.
 *
 * One thread per shard. One process at a time works on the outbox of a shard, by a lease
 * on that shard; two would do no harm. The thread of a shard keeps the shard's lease, and
 * delivers to the shard: it takes the due rows for its slots from every outbox that this
 * process has leased, delivers them in batches, and removes, undoes or puts off each. So
 * rows for a shard that is down, however many, cost only a query now and then, and delay
 * no other shard's rows. The relay never gives up by itself: a row whose target's shard
 * is down waits for it, and a row that fails HALF_ATTEMPTS_MAX times is parked for an
 * operator. */
#ifndef DOUSHARD_RELAY_H
#define DOUSHARD_RELAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shard/base/check.h"

struct relay;
struct router;

struct relay_options {
    int poll_ms;  /* pause between two listings of an empty outbox */
    int older_ms; /* leave younger rows to those who wrote them */
    int lease_ms; /* how long a dead process keeps its leases */
};

/* Good values: 500 ms, 1 s, 10 s. */
struct relay_options relay_defaults(void);

/* Of one shard. Counters since the start. */
struct relay_state {
    bool is_holder;           /* this process has the lease */
    uint64_t delivered_total; /* second halves made */
    uint64_t undone_total;    /* refused by the target and undone */
    uint64_t put_off_total;   /* the target's shard gave no answer */
    uint64_t failed_total;    /* attempts that ended otherwise */
    uint64_t parked_total;    /* rows that wait for an operator since */
    int64_t oldest_ms;        /* age of the oldest row that was due at the last look */
};

/* Start one thread per shard. ROUTER is borrowed until relay_free(). NULL: no memory or
 * no threads. */
struct relay *relay_new(struct router *router,
                        const struct relay_options *options) MUST_CHECK;

/* The router has a new list of servers: start a thread for each new one, end those of
 * servers that have left. False: not all threads could be started. Call it from one
 * thread at a time.
 */
bool relay_follow(struct relay *relay) MUST_CHECK;

/* Stop the threads, after the batch under way, and free. *RELAY becomes NULL;
 * NULL is allowed. */
void relay_free(struct relay **relay);

/* SHARD: 0 .. router_n_shards() - 1. Thread-safe. */
void relay_state(struct relay *relay, size_t shard, struct relay_state *state);

#endif
