/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* A histogram of latencies with a fixed relative precision, after HdrHistogram (Gil
 * Tene): buckets of one nanosecond below 256 ns, then 128 equal ones per power of two. A
 * value that is read back is at most 0.4 % away from the one that was recorded, however
 * large it is.
 *
 * Adding costs a few instructions and never allocates. Used by one thread at a time: each
 * thread that measures has its own, and hist_merge() combines them. */
#ifndef DOUSHARD_TESTS_BENCH_HIST_H
#define DOUSHARD_TESTS_BENCH_HIST_H

#include <stddef.h>
#include <stdint.h>

#define HIST_SUB_BITS 7
/* Larger values count as 2^40 ns (18 minutes). */
#define HIST_TOP_BITS 40
#define HIST_BUCKETS  ((HIST_TOP_BITS - HIST_SUB_BITS + 1) << HIST_SUB_BITS)

/* All zeros: empty. */
struct hist {
    uint64_t n;
    uint64_t sum_ns; /* of what was added, exact */
    uint64_t max_ns; /* exact */
    uint64_t in[HIST_BUCKETS];
};

/* Negative values count as 0: two clocks may be read in the wrong order. */
void hist_add(struct hist *hist, int64_t ns);

void hist_merge(struct hist *into, const struct hist *from);

/* The value below which the share Q (0 .. 1) of all values lies: the middle of its
 * bucket, but never above the maximum. 0 if there are no values. */
uint64_t hist_quantile_ns(const struct hist *hist, double q);

double hist_mean_ns(const struct hist *hist);

/* The middle of bucket I. */
uint64_t hist_bucket_ns(size_t i);

#endif
