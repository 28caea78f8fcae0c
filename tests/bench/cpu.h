/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* The CPU time of processes, from /proc. */
#ifndef DOUSHARD_TESTS_BENCH_CPU_H
#define DOUSHARD_TESTS_BENCH_CPU_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "shard/base/check.h"

#define CPU_PIDS_MAX 32

/* Processes that are counted together: all shards as "MariaDB". */
struct cpu_group {
    char name[32];
    pid_t pid[CPU_PIDS_MAX];
    size_t n;
};

/* Parse "NAME=PID,PID..". False: TEXT has another form. */
bool cpu_parse(struct cpu_group *group, const char *text) MUST_CHECK;

/* User and system time of all threads since the processes started, in seconds, exact to
 * 10 ms per process. A process that has ended counts as 0. */
double cpu_seconds(const struct cpu_group *group);

#endif
