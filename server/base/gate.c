/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* A gate in front of costly work; places inside are handed over in order. */
#include "server/base/gate.h"

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <time.h>

#include "shard/base/clock.h"

/* Lives on the stack of the thread that waits; linked while it waits. */
struct gate_waiter {
    pthread_cond_t cond;
    bool is_inside; /* the thread that left handed its place over */
    struct gate_waiter *next;
    struct gate_waiter *prev;
};

void gate_init(struct gate *gate, unsigned width, unsigned queue_max)
{
    CHECK(width > 0);
    *gate = (struct gate){.width = width, .queue_max = queue_max};
    CHECK(pthread_mutex_init(&gate->shared.mutex, NULL) == 0);
}

void gate_release(struct gate *gate)
{
    CHECK(gate->shared.n_inside == 0 && gate->shared.n_waiting == 0);
    pthread_mutex_destroy(&gate->shared.mutex);
}

static void enqueue_locked(struct gate *gate, struct gate_waiter *waiter)
{
    waiter->next = NULL;
    waiter->prev = gate->shared.last;
    if (waiter->prev != NULL) {
        waiter->prev->next = waiter;
    } else {
        gate->shared.first = waiter;
    }
    gate->shared.last = waiter;
    gate->shared.n_waiting++;
}

static void dequeue_locked(struct gate *gate, struct gate_waiter *waiter)
{
    if (waiter->prev != NULL) {
        waiter->prev->next = waiter->next;
    } else {
        gate->shared.first = waiter->next;
    }
    if (waiter->next != NULL) {
        waiter->next->prev = waiter->prev;
    } else {
        gate->shared.last = waiter->prev;
    }
    gate->shared.n_waiting--;
}

static enum gate_status wait_locked(struct gate *gate, int64_t deadline_ms)
{
    struct gate_waiter waiter = {.is_inside = false};
    struct timespec deadline = clock_timespec(deadline_ms);
    int rc = 0;

    CHECK(pthread_cond_init(&waiter.cond, NULL) == 0);
    enqueue_locked(gate, &waiter);
    while (!waiter.is_inside && rc != ETIMEDOUT) {
        rc = pthread_cond_clockwait(&waiter.cond, &gate->shared.mutex, CLOCK_MONOTONIC,
                                    &deadline);
        CHECK(rc == 0 || rc == ETIMEDOUT);
    }
    if (!waiter.is_inside) {
        dequeue_locked(gate, &waiter);
    }
    pthread_cond_destroy(&waiter.cond);
    return waiter.is_inside ? GATE_ENTERED : GATE_LATE;
}

enum gate_status gate_enter(struct gate *gate, int64_t deadline_ms)
{
    enum gate_status status = GATE_ENTERED;

    pthread_mutex_lock(&gate->shared.mutex);
    if (gate->shared.n_inside < gate->width) {
        /* A free place means that nobody waits, because places are handed over, not
         * freed. */
        gate->shared.n_inside++;
    } else if (gate->shared.n_waiting >= gate->queue_max) {
        status = GATE_FULL;
    } else {
        status = wait_locked(gate, deadline_ms);
    }
    pthread_mutex_unlock(&gate->shared.mutex);
    return status;
}

void gate_leave(struct gate *gate)
{
    pthread_mutex_lock(&gate->shared.mutex);
    struct gate_waiter *waiter = gate->shared.first;
    CHECK(gate->shared.n_inside > 0);
    if (waiter != NULL) {
        dequeue_locked(gate, waiter);
        waiter->is_inside = true;
        pthread_cond_signal(&waiter->cond);
    } else {
        gate->shared.n_inside--;
    }
    pthread_mutex_unlock(&gate->shared.mutex);
}

void gate_state(struct gate *gate, struct gate_state *state)
{
    pthread_mutex_lock(&gate->shared.mutex);
    *state = (struct gate_state){.n_inside = gate->shared.n_inside,
                                 .n_waiting = gate->shared.n_waiting};
    pthread_mutex_unlock(&gate->shared.mutex);
}
