/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* A breaker: keeps work away from something that has said that it cannot do it.
 *
 * A shard has one for its writes, so that reads go on when it cannot write. Closed, it
 * lets all writes pass. It opens at the first error that says so, or after several
 * failures in a row, and then lets none pass; the thread that minds the shard tries a
 * write at breaker_due_ms(), and closes it when that works. A shard that fails again soon
 * after is tried less often. Thread-safe. */
#ifndef DOUSHARD_BREAKER_H
#define DOUSHARD_BREAKER_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "shard/base/check.h"
#include "shard/base/errmsg.h"

struct breaker {
    atomic_bool is_open;
    atomic_uint failures; /* in a row */
    atomic_uint_fast64_t refused_total;
    int hold_ms;     /* pause before it is tried, at first */
    int hold_max_ms; /* and at most */
    struct {
        pthread_mutex_t mutex;
        struct errmsg reason; /* why it opened last */
        int pause_ms;         /* of this time */
        int64_t due_ms;
        int64_t closed_ms; /* when it last closed, 0 = never */
    } shared;
};

void breaker_init(struct breaker *breaker, int hold_ms, int hold_max_ms);
void breaker_destroy(struct breaker *breaker);

/* May a write pass? False: counted as refused, and ERR says why. */
bool breaker_lets(struct breaker *breaker, struct errmsg *err) MUST_CHECK;

/* It cannot be written, for this REASON: open, and try again after a pause. True: it was
 * closed before. */
bool breaker_open(struct breaker *breaker, const char *reason);

/* A write that passed got no answer. True: several in a row, open it. */
bool breaker_fail(struct breaker *breaker);

/* A write that passed succeeded. */
void breaker_succeed(struct breaker *breaker);

/* It was tried and works. */
void breaker_close(struct breaker *breaker);

/* When to try, by the monotonic clock; INT64_MAX: it is closed. */
int64_t breaker_due_ms(struct breaker *breaker);

/* False: open, and ERR says why. */
bool breaker_is_closed(struct breaker *breaker, struct errmsg *err) MUST_CHECK;

#endif
