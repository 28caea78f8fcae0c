/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Threads for handlers that compute or block: a limited pool that grows while work waits.
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
    size_t queue_max; /* most jobs that wait, unless workers_hand() adds more */
    int idle_ms;      /* a thread above n_min ends after so long without work */
    int nice;         /* nice value of the threads: 0 to 19 */
};

struct workers_state {
    unsigned n_threads;
    unsigned n_busy;
    size_t n_queued;
};

/* Start n_min threads. NULL: no memory or threads. */
struct workers *workers_new(const struct workers_options *options) MUST_CHECK;

/* Run the queued jobs and end all threads: when this returns, no job is running. No new
 * job is accepted from now on. NULL is allowed. Blocks as long as the jobs run. */
void workers_stop(struct workers *workers);

/* Stop, unless stopped already, and free. No job may be submitted any more. *WORKERS
 * becomes NULL; NULL is allowed. */
void workers_free(struct workers **workers);

/* Queue JOB for a worker; never blocks for long. False: the queue is full or the pool is
 * stopping; JOB is still the caller's. Thread-safe. */
bool workers_submit(struct workers *workers, struct work *job) MUST_CHECK;

/* The same beyond queue_max, for jobs that must not run in the caller's thread and whose
 * number something else limits, such as closing files. False: the pool is stopping; JOB
 * is still the caller's. Thread-safe. */
bool workers_hand(struct workers *workers, struct work *job) MUST_CHECK;

/* Thread-safe. */
void workers_state(struct workers *workers, struct workers_state *state);

#endif
