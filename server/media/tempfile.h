/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Files that vanish by themselves unless they are linked to a name when complete. */
#ifndef DOUSHARD_MEDIA_TEMPFILE_H
#define DOUSHARD_MEDIA_TEMPFILE_H

#include <stdbool.h>
#include <stddef.h>

#include "shard/base/check.h"

/* Prefix of the names of temporary files, on file systems that need names. */
#define TEMPFILE_PREFIX ".tmp-"

/* Storage is the caller's. A file without a name (O_TMPFILE) leaves nothing behind when
 * the process dies. Where the file system cannot do that, the file has a name and a lock
 * (flock) that dies with the process; tempfile_sweep() removes files without a lock. */
struct tempfile {
    int fd;                                 /* open for reading and writing; -1: none */
    int dir_fd;                             /* (ref) directory of the name */
    char name[sizeof TEMPFILE_PREFIX + 32]; /* "" for a file without a name */
};

/* Make a temporary file, mode 0600, in the directory DIR_FD, which must stay open as long
 * as the file. 0, or an errno value; FILE is then empty (fd -1). */
int tempfile_open(struct tempfile *file, int dir_fd) MUST_CHECK;

/* Append LEN bytes, also after signals and short writes. 0 or an errno value. */
int tempfile_write(const struct tempfile *file, const void *data, size_t len) MUST_CHECK;

/* Give the file the name NAME in DIR_FD, on the same file system; never replaces a file
 * (EEXIST). The caller has synced the contents and syncs the directory. FILE stays open
 * and keeps its temporary name, if any, until tempfile_close(). 0 or an errno value. */
int tempfile_link(const struct tempfile *file, int dir_fd, const char *name) MUST_CHECK;

/* Close the file and remove its temporary name. An empty FILE is allowed. */
void tempfile_close(struct tempfile *file);

/* Remove the named temporary files in DIR_FD that no living process holds. Returns how
 * many. Safe beside other processes that use the directory. */
size_t tempfile_sweep(int dir_fd);

#endif
