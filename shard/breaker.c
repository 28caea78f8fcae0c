/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* A breaker: keeps work away from something that has said that it cannot do it. */
#include "shard/breaker.h"

#include "shard/base/clock.h"

/* How many in a row without an answer open it: as many as bring a pool down. */
#define FAILURES_MAX 4

/* A breaker that opens again within this time is tried less often. */
#define RELAPSE_MS 10000

void breaker_init(struct breaker *breaker, int hold_ms, int hold_max_ms)
{
    *breaker = (struct breaker){.hold_ms = hold_ms, .hold_max_ms = hold_max_ms};
    pthread_mutex_init(&breaker->shared.mutex, NULL);
}

void breaker_destroy(struct breaker *breaker)
{
    pthread_mutex_destroy(&breaker->shared.mutex);
}

bool breaker_is_closed(struct breaker *breaker, struct errmsg *err)
{
    if (!atomic_load(&breaker->is_open)) {
        return true;
    }
    pthread_mutex_lock(&breaker->shared.mutex);
    *err = breaker->shared.reason;
    pthread_mutex_unlock(&breaker->shared.mutex);
    return false;
}

bool breaker_lets(struct breaker *breaker, struct errmsg *err)
{
    bool lets = breaker_is_closed(breaker, err);

    atomic_fetch_add(&breaker->refused_total, !lets);
    return lets;
}

/* The pause before the first try: doubled if the last recovery did not last. */
static int first_pause_locked(const struct breaker *breaker, int64_t now_ms)
{
    int doubled_ms = 2 * breaker->shared.pause_ms;

    if (breaker->shared.closed_ms == 0 ||
        now_ms - breaker->shared.closed_ms > RELAPSE_MS ||
        doubled_ms < breaker->hold_ms) {
        return breaker->hold_ms;
    }
    return doubled_ms < breaker->hold_max_ms ? doubled_ms : breaker->hold_max_ms;
}

bool breaker_open(struct breaker *breaker, const char *reason)
{
    int64_t now_ms = clock_mono_ms();

    pthread_mutex_lock(&breaker->shared.mutex);
    bool was_closed = !atomic_exchange(&breaker->is_open, true);
    if (was_closed) {
        breaker->shared.pause_ms = first_pause_locked(breaker, now_ms);
    }
    (void)errmsg_set(&breaker->shared.reason, "%s", reason);
    breaker->shared.due_ms = now_ms + breaker->shared.pause_ms;
    pthread_mutex_unlock(&breaker->shared.mutex);
    return was_closed;
}

bool breaker_fail(struct breaker *breaker)
{
    return atomic_fetch_add(&breaker->failures, 1) + 1 >= FAILURES_MAX;
}

void breaker_succeed(struct breaker *breaker)
{
    if (atomic_load(&breaker->failures) != 0) {
        atomic_store(&breaker->failures, 0);
    }
}

void breaker_close(struct breaker *breaker)
{
    pthread_mutex_lock(&breaker->shared.mutex);
    breaker->shared.closed_ms = clock_mono_ms();
    atomic_store(&breaker->failures, 0);
    atomic_store(&breaker->is_open, false);
    pthread_mutex_unlock(&breaker->shared.mutex);
}

int64_t breaker_due_ms(struct breaker *breaker)
{
    pthread_mutex_lock(&breaker->shared.mutex);
    int64_t due_ms = atomic_load(&breaker->is_open) ? breaker->shared.due_ms : INT64_MAX;
    pthread_mutex_unlock(&breaker->shared.mutex);
    return due_ms;
}
