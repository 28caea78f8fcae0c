/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* How much CPU processes have used, from /proc. */
#ifndef DOUSHARD_TESTS_BENCH_CPU_H
#define DOUSHARD_TESTS_BENCH_CPU_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "shard/base/check.h"

#define CPU_PIDS_MAX 32

/* Processes that count as one: "mariadb", all shards. */
struct cpu_group {
    char name[32];
    pid_t pid[CPU_PIDS_MAX];
    size_t n;
};

/* Read "NAME=PID,PID..". False: it is nothing of the kind. */
bool cpu_parse(struct cpu_group *group, const char *text) MUST_CHECK;

/* User and system time of all their threads since they began, in seconds, to 10 ms each.
 * A process that has ended counts as 0. */
double cpu_seconds(const struct cpu_group *group);

#endif
