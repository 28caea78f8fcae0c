/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Reading whole files, and complete writes. */
#include "shard/base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Does this file look like a credential of systemd (LoadCredential=)? */
static bool is_credential(const struct stat *st)
{
    return st->st_uid == 0 && st->st_gid == 0 && (st->st_mode & 07777) == 0440;
}

/* Stat FD into *ST. False: the file must not be read; ERR says why. */
static bool is_good(int fd, enum file_care care, struct stat *st, struct errmsg *err)
{
    if (fstat(fd, st) != 0) {
        return errmsg_set(err, "cannot be read: %s", strerrordesc_np(errno));
    }
    if (!S_ISREG(st->st_mode)) {
        return errmsg_set(err, "is not a regular file");
    }
    if (care == FILE_SECRET && (st->st_mode & (S_IRWXG | S_IRWXO)) != 0 &&
        !is_credential(st)) {
        return errmsg_set(err, "others may read this secret (mode %04o): chmod 600",
                          (unsigned)st->st_mode & 07777U);
    }
    if (care == FILE_SECRET && st->st_uid != 0 && st->st_uid != geteuid()) {
        return errmsg_set(err, "belongs to user %u: it must be ours (%u) or root's",
                          (unsigned)st->st_uid, (unsigned)geteuid());
    }
    return true;
}

/* Read until the file ends or ROOM bytes are there. False: errno says why. */
static bool fill(int fd, struct file_text *text, size_t room)
{
    while (text->len < room) {
        ssize_t n = read(fd, text->data + text->len, room - text->len);

        if (n == 0) {
            return true;
        }
        if (n > 0) {
            text->len += (size_t)n;
        } else if (errno != EINTR) {
            return false;
        }
    }
    return true;
}

/* As file_read(), of the open file FD. */
static bool read_open(int fd, enum file_care care, size_t max, struct file_text *text,
                      struct errmsg *err)
{
    struct stat st;

    if (!is_good(fd, care, &st, err)) {
        return false;
    }
    /* One byte more than expected shows that there is more. Files in /proc do not report
     * their length. */
    size_t size = st.st_size > 0 && (size_t)st.st_size < max ? (size_t)st.st_size : max;
    text->data = malloc(size + 1);
    if (text->data == NULL) {
        return errmsg_set(err, "out of memory");
    }
    if (!fill(fd, text, size + 1)) {
        return errmsg_set(err, "cannot be read: %s", strerrordesc_np(errno));
    }
    if (text->len > size) {
        return errmsg_set(
            err, size < max ? "grows while it is read" : "is larger than %zu bytes", max);
    }
    text->data[text->len] = '\0';
    return true;
}

bool file_read(const char *path, enum file_care care, size_t max, struct file_text *text,
               struct errmsg *err)
{
    /* O_NONBLOCK: a FIFO by mistake must not hang the start; other files ignore it.
     */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);

    *text = (struct file_text){.data = NULL};
    if (fd < 0) {
        return errmsg_set(err, "cannot be opened: %s", strerrordesc_np(errno));
    }
    bool ok = read_open(fd, care, max, text, err);
    (void)close(fd);
    if (!ok) {
        file_text_release(text);
    }
    return ok;
}

void file_text_release(struct file_text *text)
{
    if (text->data != NULL) {
        explicit_bzero(text->data, text->len);
        free(text->data);
    }
    *text = (struct file_text){.data = NULL};
}

int file_write(int fd, const void *data, size_t len)
{
    struct pollfd room = {.fd = fd, .events = POLLOUT};
    const char *next = data;

    while (len > 0) {
        ssize_t n = write(fd, next, len);

        if (n >= 0) {
            next += n;
            len -= (size_t)n;
        } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
            (void)poll(&room, 1, -1);
        } else if (errno != EINTR) {
            return errno;
        }
    }
    return 0;
}
