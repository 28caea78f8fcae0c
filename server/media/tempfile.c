/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Temporary files: without a name if the file system supports that (O_TMPFILE), else with
 * a name and a lock that shows whether its process still runs. */
#include "server/media/tempfile.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shard/base/file.h"
#include "shard/base/hex.h"
#include "shard/base/rnd.h"

/* How often a new name is tried; a sweep may take one away before it is locked. */
#define NAME_TRIES 8

/* Open without a name. 0; EOPNOTSUPP: the file system cannot; or another errno value. */
static int open_unnamed(struct tempfile *file)
{
    file->fd = openat(file->dir_fd, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (file->fd >= 0) {
        return 0;
    }
    /* An old kernel sees only O_DIRECTORY in O_TMPFILE and says EISDIR. */
    return errno == EISDIR || errno == EINVAL ? EOPNOTSUPP : errno;
}

static int open_named(struct tempfile *file)
{
    unsigned char random[16];
    rnd_bytes(random, sizeof random);
    memcpy(file->name, TEMPFILE_PREFIX, sizeof TEMPFILE_PREFIX - 1);
    hex_encode(random, sizeof random, file->name + sizeof TEMPFILE_PREFIX - 1);
    file->fd = openat(file->dir_fd, file->name,
                      O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (file->fd < 0) {
        file->name[0] = '\0';
        return errno;
    }
    struct stat st;
    if (flock(file->fd, LOCK_EX | LOCK_NB) == 0 && fstat(file->fd, &st) == 0 &&
        st.st_nlink > 0) {
        return 0;
    }
    /* A sweep found it between the two calls. */
    tempfile_close(file);
    return EAGAIN;
}

int tempfile_open(struct tempfile *file, int dir_fd)
{
    *file = (struct tempfile){.fd = -1, .dir_fd = dir_fd};
    int error = open_unnamed(file);
    if (error != EOPNOTSUPP) {
        return error;
    }
    for (int i = 0; i < NAME_TRIES; i++) {
        error = open_named(file);
        if (error != EAGAIN) {
            return error;
        }
    }
    return error;
}

int tempfile_write(const struct tempfile *file, const void *data, size_t len)
{
    return file_write(file->fd, data, len);
}

int tempfile_link(const struct tempfile *file, int dir_fd, const char *name)
{
    int rc;
    if (file->name[0] != '\0') {
        rc = linkat(file->dir_fd, file->name, dir_fd, name, 0);
    } else {
        char path[32];
        (void)snprintf(path, sizeof path, "/proc/self/fd/%d", file->fd);
        rc = linkat(AT_FDCWD, path, dir_fd, name, AT_SYMLINK_FOLLOW);
    }
    return rc == 0 ? 0 : errno;
}

void tempfile_close(struct tempfile *file)
{
    if (file->fd < 0) {
        return;
    }
    if (file->name[0] != '\0') {
        (void)unlinkat(file->dir_fd, file->name, 0);
    }
    (void)close(file->fd);
    file->fd = -1;
    file->name[0] = '\0';
}

/* Remove NAME if no process holds its lock. */
static bool sweep_one(int dir_fd, const char *name)
{
    int fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0) {
        return false;
    }
    bool removed = flock(fd, LOCK_EX | LOCK_NB) == 0 && unlinkat(dir_fd, name, 0) == 0;
    (void)close(fd);
    return removed;
}

size_t tempfile_sweep(int dir_fd)
{
    int fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        return 0;
    }
    DIR *dir = fdopendir(fd);
    if (dir == NULL) {
        (void)close(fd);
        return 0;
    }
    size_t n = 0;
    struct dirent *entry;
    /* Only this thread reads DIR. NOLINTNEXTLINE(concurrency-mt-unsafe) */
    while ((entry = readdir(dir)) != NULL) {
        if (strncmp(entry->d_name, TEMPFILE_PREFIX, sizeof TEMPFILE_PREFIX - 1) == 0 &&
            sweep_one(dir_fd, entry->d_name)) {
            n++;
        }
    }
    (void)closedir(dir);
    return n;
}
