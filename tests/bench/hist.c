/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* A histogram of latencies with a fixed relative precision. */
#include "tests/bench/hist.h"

#include <math.h>

#define SUB_BUCKETS (UINT64_C(1) << HIST_SUB_BITS)
#define TOP_NS      ((UINT64_C(1) << HIST_TOP_BITS) - 1)

/* How many low bits of V to drop so that HIST_SUB_BITS + 1 are left. */
static unsigned dropped_bits(uint64_t v)
{
    unsigned top = 63U - (unsigned)__builtin_clzll(v | 1);

    return top > HIST_SUB_BITS ? top - HIST_SUB_BITS : 0;
}

static size_t bucket_of(uint64_t v)
{
    unsigned bits = dropped_bits(v);

    return (size_t)(((uint64_t)bits << HIST_SUB_BITS) + (v >> bits));
}

uint64_t hist_bucket_ns(size_t i)
{
    if (i < 2 * SUB_BUCKETS) {
        return i;
    }
    unsigned bits = (unsigned)(i >> HIST_SUB_BITS) - 1;
    uint64_t first = (i - ((uint64_t)bits << HIST_SUB_BITS)) << bits;
    return first + (UINT64_C(1) << bits) / 2;
}

void hist_add(struct hist *hist, int64_t ns)
{
    uint64_t v = ns > 0 ? (uint64_t)ns : 0;

    hist->n++;
    hist->sum_ns += v;
    if (v > hist->max_ns) {
        hist->max_ns = v;
    }
    hist->in[bucket_of(v < TOP_NS ? v : TOP_NS)]++;
}

void hist_merge(struct hist *into, const struct hist *from)
{
    into->n += from->n;
    into->sum_ns += from->sum_ns;
    if (from->max_ns > into->max_ns) {
        into->max_ns = from->max_ns;
    }
    for (size_t i = 0; i < HIST_BUCKETS; i++) {
        into->in[i] += from->in[i];
    }
}

uint64_t hist_quantile_ns(const struct hist *hist, double q)
{
    uint64_t wanted = (uint64_t)ceil(q * (double)hist->n);
    uint64_t seen = 0;

    for (size_t i = 0; i < HIST_BUCKETS; i++) {
        seen += hist->in[i];
        if (hist->in[i] > 0 && seen >= wanted) {
            uint64_t ns = hist_bucket_ns(i);
            return ns < hist->max_ns ? ns : hist->max_ns;
        }
    }
    return 0;
}

double hist_mean_ns(const struct hist *hist)
{
    return hist->n > 0 ? (double)hist->sum_ns / (double)hist->n : 0;
}
