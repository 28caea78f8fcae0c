/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Files that hold a secret. */
#include "server/config/secret.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "server/config/config_file.h"

/* Open a file that only we and root may read. -1: *ERR says why not. */
static int open_secret(const char *file, struct config_error *err)
{
    int fd = open(file, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    struct stat st;

    if (fd < 0) {
        config_fail(err, file, 0, "cannot be opened: %s", strerrordesc_np(errno));
        return -1;
    }
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
        config_fail(err, file, 0, "is not a regular file");
    } else if ((st.st_mode & 077) != 0) {
        config_fail(err, file, 0, "others may read this secret (mode %04o): chmod 600",
                    (unsigned)st.st_mode & 07777U);
    } else if (st.st_uid != 0 && st.st_uid != geteuid()) {
        config_fail(err, file, 0, "belongs to user %u: it must be ours (%u) or root's",
                    (unsigned)st.st_uid, (unsigned)geteuid());
    } else {
        return fd;
    }
    close(fd);
    return -1;
}

bool secret_read(const char *file, char *secret, size_t size, struct config_error *err)
{
    int fd;
    ssize_t n;

    secret[0] = '\0';
    if (file[0] == '\0') {
        return true;
    }
    fd = open_secret(file, err);
    if (fd < 0) {
        return false;
    }
    /* A local file of some bytes comes in one read. */
    n = read(fd, secret, size);
    close(fd);
    if (n < 0) {
        return config_fail(err, file, 0, "cannot be read: %s", strerrordesc_np(errno));
    }
    char *eol = memchr(secret, '\n', (size_t)n);
    size_t len = eol != NULL ? (size_t)(eol - secret) : (size_t)n;
    len -= len > 0 && secret[len - 1] == '\r';
    if (len == 0) {
        return config_fail(err, file, 0,
                           "its first line is empty: write the secret there, or name no "
                           "file if there is none");
    }
    if (len >= size || memchr(secret, '\0', len) != NULL) {
        explicit_bzero(secret, size);
        return config_fail(err, file, 0,
                           "the first line is no secret: at most %zu bytes of text",
                           size - 1);
    }
    explicit_bzero(secret + len, size - len);
    return true;
}
