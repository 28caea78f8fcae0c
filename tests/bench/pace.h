/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* When the requests of an open loop are due: at a fixed rate from the start, whether or
 * not earlier ones were answered. Latency counts from the time at which a request was
 * due, even if it had to wait for a free connection: counting from when it was sent would
 * leave out the very wait that a slow service causes ("coordinated omission", Gil Tene).
 * Pure. */
#ifndef DOUSHARD_TESTS_BENCH_PACE_H
#define DOUSHARD_TESTS_BENCH_PACE_H

#include <stdint.h>

struct pace {
    int64_t start_ns; /* monotonic */
    double per_s;     /* above 0 */
};

/* When request K (from 0) is due, monotonic ns. Rounding errors do not add up. */
int64_t pace_due_ns(const struct pace *pace, uint64_t k);

/* How many requests are due at NOW_NS: those with pace_due_ns() <= NOW_NS. */
uint64_t pace_due_by(const struct pace *pace, int64_t now_ns);

#endif
