/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* A file in memory, for functions that read a file by its path. */
#ifndef DOUSHARD_TESTS_FUZZ_FUZZ_FILE_H
#define DOUSHARD_TESTS_FUZZ_FUZZ_FILE_H

#include <sys/mman.h>
#include <unistd.h>

#include "tests/fuzz/fuzz.h"

/* The path of a file that contains TEXT until the next call. One thread. */
static inline const char *file_of(struct piece text)
{
    static char path[32];
    static int fd = -1;

    if (fd < 0) {
        fd = memfd_create("fuzz", MFD_CLOEXEC);
        RIGHT(fd >= 0);
        (void)snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    }
    RIGHT(ftruncate(fd, 0) == 0);
    RIGHT(pwrite(fd, text.data, text.len, 0) == (ssize_t)text.len);
    return path;
}

#endif
