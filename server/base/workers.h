/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Threads for handlers that compute or block: a bounded pool that grows while work waits.
 *
 * Jobs are embedded in what they work on; nothing is allocated to submit one. A worker is
 * added when a job waits and no worker is idle, and ends after it was idle for a while.
 */
#ifndef DOUSHARD_BASE_WORKERS_H
#define DOUSHARD_BASE_WORKERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shard/base/check.h"
#include "shard/base/work.h"

struct workers;

struct workers_options {
    unsigned n_min;   /* threads that never end; at least 1 */
    unsigned n_max;   /* most threads; at least n_min */
    size_t queue_max; /* most jobs that wait */
    int idle_ms;      /* a thread above n_min ends after so long without work */
    int nice;         /* 0, or how much the threads give way to all others: up to 19 */
};

struct workers_state {
    unsigned n_threads;
    unsigned n_busy;
    size_t n_queued;
};

/* Start n_min threads. NULL when memory or threads are short. */
struct workers *workers_new(const struct workers_options *options) MUST_CHECK;

/* Run what is queued and end all threads: when this returns, all functions that jobs
 * called have returned. Nothing new is accepted from now on. NULL is allowed. Blocks as
 * long as the jobs run. */
void workers_stop(struct workers *workers);

/* Stop, unless that is done, and free. Nobody may submit any more. *WORKERS becomes NULL;
 * NULL is allowed. */
void workers_free(struct workers **workers);

/* Queue JOB for a worker; never blocks for long. False: the queue is full, or they stop;
 * JOB is still the caller's. Thread-safe. */
bool workers_submit(struct workers *workers, struct work *job) MUST_CHECK;

/* Thread-safe. */
void workers_state(struct workers *workers, struct workers_state *state);

#endif
