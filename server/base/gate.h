/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* A gate in front of costly work: limits how many are inside and how many wait, in order.
 *
 *   gate_enter() --+--> inside (at most WIDTH) --> gate_leave() --> first waiter goes in
 *                  +--> waiting (at most QUEUE_MAX), until its deadline
 *                  +--> refused at once: GATE_FULL
 */
#ifndef DOUSHARD_BASE_GATE_H
#define DOUSHARD_BASE_GATE_H

#include <pthread.h>
#include <stdint.h>

#include "shard/base/check.h"

struct gate_waiter;

/* Storage belongs to the caller. Every function but init and release is thread-safe. */
struct gate {
    unsigned width;     /* threads inside at once */
    unsigned queue_max; /* threads waiting at once */
    struct {
        pthread_mutex_t mutex;
        unsigned n_inside;
        unsigned n_waiting;
        struct gate_waiter *first; /* (ref on the stacks of waiting threads) */
        struct gate_waiter *last;
    } shared;
};

/* How many are inside and waiting just now. */
struct gate_state {
    unsigned n_inside;
    unsigned n_waiting;
};

enum gate_status {
    GATE_ENTERED,
    GATE_FULL, /* the queue is full */
    GATE_LATE  /* the deadline came first */
};

/* WIDTH > 0. */
void gate_init(struct gate *gate, unsigned width, unsigned queue_max);

/* No thread may be inside or waiting. */
void gate_release(struct gate *gate);

/* Go in, waiting in order until DEADLINE_MS (monotonic) at the latest. After GATE_ENTERED
 * and only then gate_leave() is due, once. */
enum gate_status gate_enter(struct gate *gate, int64_t deadline_ms) MUST_CHECK;

void gate_leave(struct gate *gate);

void gate_state(struct gate *gate, struct gate_state *state);

#endif
