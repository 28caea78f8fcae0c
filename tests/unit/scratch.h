/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* A directory for one test, and how many files are in it. */
#ifndef DOUSHARD_TESTS_SCRATCH_H
#define DOUSHARD_TESTS_SCRATCH_H

#include <ftw.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define SCRATCH_PATH_MAX 160

struct scratch {
    char path[SCRATCH_PATH_MAX];
};

static inline void scratch_make(struct scratch *scratch)
{
    const char *base = getenv("TMPDIR"); /* NOLINT(concurrency-mt-unsafe) */
    (void)snprintf(scratch->path, sizeof scratch->path, "%.100s/doushard-test-XXXXXX",
                   base == NULL ? "/tmp" : base);
    if (mkdtemp(scratch->path) == NULL) {
        perror(scratch->path);
        abort();
    }
}

static inline int scratch_remove_cb(const char *path, const struct stat *st, int kind,
                                    struct FTW *ftw)
{
    (void)st;
    (void)kind;
    (void)ftw;
    return remove(path);
}

static inline void scratch_remove(struct scratch *scratch)
{
    /* Only the test's main thread does this. NOLINTNEXTLINE(concurrency-mt-unsafe) */
    (void)nftw(scratch->path, scratch_remove_cb, 16, FTW_DEPTH | FTW_PHYS);
}

/* Set by scratch_count_files(). */
static unsigned scratch_n_files;

static inline int scratch_count_cb(const char *path, const struct stat *st, int kind,
                                   struct FTW *ftw)
{
    (void)path;
    (void)st;
    (void)ftw;
    scratch_n_files += kind == FTW_F;
    return 0;
}

/* Regular files below the directory. */
static inline unsigned scratch_count_files(const struct scratch *scratch)
{
    scratch_n_files = 0;
    /* As above. NOLINTNEXTLINE(concurrency-mt-unsafe) */
    (void)nftw(scratch->path, scratch_count_cb, 16, FTW_PHYS);
    return scratch_n_files;
}

#endif
