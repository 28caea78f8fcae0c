/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* The CPU time of processes, from /proc. */
#include "tests/bench/cpu.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Spaces in /proc/PID/stat between the process name and utime. The name may contain
 * anything; the last ')' ends it. */
#define FIELDS_BEFORE_UTIME 12

bool cpu_parse(struct cpu_group *group, const char *text)
{
    const char *equals = strchr(text, '=');

    memset(group, 0, sizeof *group);
    if (equals == NULL || (size_t)(equals - text) >= sizeof group->name) {
        return false;
    }
    memcpy(group->name, text, (size_t)(equals - text));
    for (const char *p = equals + 1;; p++) {
        char *end = NULL;
        long pid = strtol(p, &end, 10);
        if (end == p || pid <= 0 || group->n == CPU_PIDS_MAX) {
            return false;
        }
        group->pid[group->n++] = (pid_t)pid;
        if (*end != ',') {
            return *end == '\0';
        }
        p = end;
    }
}

static double ticks_of(pid_t pid)
{
    char path[64];
    char text[1024];

    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        return 0;
    }
    size_t n = fread(text, 1, sizeof text - 1, file);
    text[n] = '\0';
    if (fclose(file) != 0) {
        return 0;
    }
    char *p = strrchr(text, ')');
    for (int i = 0; p != NULL && i < FIELDS_BEFORE_UTIME; i++) {
        p = strchr(p + 1, ' ');
    }
    if (p == NULL) {
        return 0;
    }
    double user = strtod(p, &p);
    return user + strtod(p, NULL);
}

double cpu_seconds(const struct cpu_group *group)
{
    double ticks = 0;

    for (size_t i = 0; i < group->n; i++) {
        ticks += ticks_of(group->pid[i]);
    }
    return ticks / (double)sysconf(_SC_CLK_TCK);
}
