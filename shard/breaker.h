/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* A breaker: keeps work away from something that has said that it cannot do it.
 *
 * A shard has one for its writes: what only reads goes on where nothing can be written.
 * Closed, it lets everybody pass. It is opened at the first error that says so, or
 * after several failures in a row, and lets nobody pass then; the thread that looks after
 * the shard tries by itself when breaker_due_ms() has come, and closes it when that
 * works. Something that breaks again soon after is tried less often. Thread-safe. */
#ifndef DOUSHARD_BREAKER_H
#define DOUSHARD_BREAKER_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shard/base/check.h"

struct breaker {
    atomic_bool is_open;
    atomic_uint failures; /* in a row */
    atomic_uint_fast64_t refused_total;
    int hold_ms;     /* pause before it is tried, at first */
    int hold_max_ms; /* and at most */
    struct {
        pthread_mutex_t mutex;
        char why[160];
        int pause_ms; /* of this time */
        int64_t due_ms;
        int64_t closed_ms; /* when it was closed last, 0 = never */
    } shared;
};

void breaker_init(struct breaker *breaker, int hold_ms, int hold_max_ms);
void breaker_destroy(struct breaker *breaker);

/* May one pass? False: counted as refused, and WHY (SIZE bytes) says why. */
bool breaker_lets(struct breaker *breaker, char *why, size_t size) MUST_CHECK;

/* It cannot: open, and try again after a pause. True: it was closed before. */
bool breaker_open(struct breaker *breaker, const char *why);

/* One that passed got no answer. True: several in a row, it is time to open. */
bool breaker_fail(struct breaker *breaker);

/* One that passed is done. */
void breaker_succeed(struct breaker *breaker);

/* It was tried and works. */
void breaker_close(struct breaker *breaker);

/* When to try, by the monotonic clock; INT64_MAX: it is closed. */
int64_t breaker_due_ms(struct breaker *breaker);

/* False: open, and WHY (SIZE bytes) says why; else "". */
bool breaker_is_closed(struct breaker *breaker, char *why, size_t size);

#endif
