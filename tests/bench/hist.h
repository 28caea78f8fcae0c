/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* A histogram of latencies with a fixed relative precision, after HdrHistogram (Gil
 * Tene): buckets of one nanosecond below 256 ns, then 128 equal ones per power of two, so
 * that a value that is read back is at most 0.4 % away from what was recorded, at any
 * size.
 *
 * Adding costs a few instructions and never allocates. One thread at a time; a thread
 * that measures has its own, and hist_merge() makes one of them. */
#ifndef DOUSHARD_TESTS_BENCH_HIST_H
#define DOUSHARD_TESTS_BENCH_HIST_H

#include <stddef.h>
#include <stdint.h>

#define HIST_SUB_BITS 7
/* Values from 2^40 ns (18 minutes) up count as that. */
#define HIST_TOP_BITS 40
#define HIST_BUCKETS  ((HIST_TOP_BITS - HIST_SUB_BITS + 1) << HIST_SUB_BITS)

/* All zeros: an empty one. */
struct hist {
    uint64_t n;
    uint64_t sum_ns; /* of what was added, exact */
    uint64_t max_ns; /* exact */
    uint64_t in[HIST_BUCKETS];
};

/* Negative values count as 0: two clocks may be read in the wrong order. */
void hist_add(struct hist *hist, int64_t ns);

void hist_merge(struct hist *into, const struct hist *from);

/* The value below which the share Q (0 .. 1) of all lies; the middle of its bucket, never
 * above the maximum. 0 when there is none. */
uint64_t hist_quantile_ns(const struct hist *hist, double q);

double hist_mean_ns(const struct hist *hist);

/* Middle of bucket I. */
uint64_t hist_bucket_ns(size_t i);

#endif
