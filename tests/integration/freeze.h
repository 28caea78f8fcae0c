/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* A frozen process: its connections stay open, but no answers come. */
#ifndef DOUSHARD_TESTS_FREEZE_H
#define DOUSHARD_TESTS_FREEZE_H

#include <dirent.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

/* Is the thread TASK of PROCESS stopped? */
static inline bool freeze_task_stands(long process, const char *task)
{
    char path[64];
    char text[512];

    snprintf(path, sizeof path, "/proc/%ld/task/%.16s/stat", process, task);
    FILE *file = fopen(path, "r");
    if (file == NULL) {
        return true; /* it has ended */
    }
    size_t len = fread(text, 1, sizeof text - 1, file);
    (void)fclose(file);
    text[len] = '\0';
    const char *state = strrchr(text, ')');
    return state != NULL && strncmp(state, ") T", 3) == 0;
}

static inline bool freeze_stands(long process)
{
    char path[64];
    bool all = true;

    snprintf(path, sizeof path, "/proc/%ld/task", process);
    DIR *dir = opendir(path);
    assert_non_null(dir);
    const struct dirent *entry;
    while ((entry = readdir(dir)) != NULL) { // NOLINT(concurrency-mt-unsafe): our own DIR
        all = all &&
              (entry->d_name[0] == '.' || freeze_task_stands(process, entry->d_name));
    }
    (void)closedir(dir);
    return all;
}

/* Stops PROCESS with all of its threads; each thread stops when it is scheduled. */
static inline void freeze_process(long process)
{
    const struct timespec pause = {.tv_nsec = 1000000};

    assert_int_equal(kill((pid_t)process, SIGSTOP), 0);
    while (!freeze_stands(process)) {
        nanosleep(&pause, NULL);
    }
}

#endif
