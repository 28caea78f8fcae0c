/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* When the requests of an open loop are due: at a fixed rate from a start, whatever
 * became of those before. Latency is counted from that moment, also of a request that had
 * to wait for a free connection; counting from the moment it was sent would leave out the
 * very time that a slow service made it wait ("coordinated omission", Gil Tene). Pure. */
#ifndef DOUSHARD_TESTS_BENCH_PACE_H
#define DOUSHARD_TESTS_BENCH_PACE_H

#include <stdint.h>

struct pace {
    int64_t start_ns; /* monotonic */
    double per_s;     /* above 0 */
};

/* When request K (from 0) is due, monotonic ns; no error adds up over many of them. */
int64_t pace_due_ns(const struct pace *pace, uint64_t k);

/* How many requests are due at NOW_NS: those with pace_due_ns() <= NOW_NS. */
uint64_t pace_due_by(const struct pace *pace, int64_t now_ns);

#endif
