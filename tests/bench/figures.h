/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* The measurements that a benchmark program prints, as JSON. */
#ifndef DOUSHARD_TESTS_BENCH_FIGURES_H
#define DOUSHARD_TESTS_BENCH_FIGURES_H

#include <jansson.h>

#include "shard/base/check.h"

#include "tests/bench/cpu.h"
#include "tests/bench/hist.h"

#define FIGURES_GROUPS_MAX 8

/* CPU times, read at one moment. */
struct figures_cpu {
    double self_s;
    double group_s[FIGURES_GROUPS_MAX];
};

/* Read the CPU time of this process and of N groups. */
void figures_read_cpu(const struct cpu_group *group, size_t n, struct figures_cpu *cpu);

/* {"generator": s, NAME: s, ..}: CPU time used from BEGIN to END. New reference. */
json_t *figures_cpu(const struct cpu_group *group, size_t n,
                    const struct figures_cpu *begin,
                    const struct figures_cpu *end) MUST_CHECK;

/* {"p50_us": .., "p90_us": .., "p99_us": .., "p999_us": .., "mean_us": .., "max_us": ..}.
 * New reference. */
json_t *figures_latency(const struct hist *hist) MUST_CHECK;

/* [[us, share that took at most so long], ..] for a plot: evenly spaced on an axis where
 * 90 %, 99 %, 99.9 % .. are equally far apart. New reference. */
json_t *figures_curve(const struct hist *hist) MUST_CHECK;

/* Print JSON and a line feed; takes the reference. */
void figures_print(json_t *json);

#endif
