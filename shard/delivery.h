/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Delivery of second halves at once, within the request that wrote the first.
 *
 * A write to two owners is answered when its first half is committed and its second is
 * made. If the target's shard does not answer in time, the client is answered all the
 * same: the write is safe, and the relay (relay.h) finishes it. Outbox rows whose second
 * half is made are collected and removed in bulk, by a queue of limited size and a thread
 * for each shard, so that a slow shard does not delay the others; rows that do not fit
 * into the queue, or that are lost when the process dies, are left to the relay. */
#ifndef DOUSHARD_DELIVERY_H
#define DOUSHARD_DELIVERY_H

#include <stddef.h>
#include <stdint.h>

#include "shard/base/check.h"

#include "shard/call.h"
#include "shard/half.h"
#include "shard/outcome.h"

struct delivery;
struct router;

/* Counters since the start, but for queued. */
struct delivery_state {
    uint64_t made_total;    /* second halves made at once */
    uint64_t undone_total;  /* refused by the target and taken back */
    uint64_t left_total;    /* no answer in time: left to the relay */
    uint64_t removed_total; /* outbox rows removed in bulk */
    uint64_t kept_total;    /* rows left to the relay: the queue was full, or no answer */
    size_t queued;          /* rows that wait to be removed, now */
};

/* Start the threads. QUEUE_MAX (at least 1) limits the rows queued for each shard. ROUTER
 * is borrowed until delivery_free(). NULL: no memory or no threads. */
struct delivery *delivery_new(struct router *router, size_t queue_max) MUST_CHECK;

/* The router has a new list of servers: start a thread for each new one, end those of
 * servers that have left. False: not all threads could be started. Call it from one
 * thread at a time.
 */
bool delivery_follow(struct delivery *delivery) MUST_CHECK;

/* Remove queued rows, if the shards answer at once, and stop. No delivery_make() may
 * be running. *DELIVERY becomes NULL; NULL is allowed. */
void delivery_free(struct delivery **delivery);

/* The router that was given. */
struct router *delivery_router(const struct delivery *delivery);

/* Make the second half of a committed write. OK: made, or left to the relay. NOTFOUND:
 * the target refused it, and the first half was undone (or will be, by the relay).
 * Blocks for about a second at most, and not beyond call->deadline_ms. Thread-safe. */
enum outcome delivery_make(struct delivery *delivery, struct call *call,
                           const struct half *half);

void delivery_state(struct delivery *delivery, struct delivery_state *state);

#endif
