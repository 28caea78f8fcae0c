/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Reading whole files, and complete writes. */
#ifndef DOUSHARD_BASE_FILE_H
#define DOUSHARD_BASE_FILE_H

#include <stdbool.h>
#include <stddef.h>

#include "shard/base/check.h"
#include "shard/base/errmsg.h"

/* FILE_SECRET: only we or root may own the file, and nobody else may read it. Also
 * accepted is mode 0440 of root and root's group: systemd's credentials, whose access
 * control list names the service. */
enum file_care { FILE_ANY, FILE_SECRET };

struct file_text {
    char *data; /* owned, followed by a NUL; NULL: none */
    size_t len;
};

/* Read the regular file PATH, at most MAX bytes, into *TEXT; file_text_release() follows.
 * Blocks for the disk. False: ERR says what is wrong, without the path, and *TEXT is
 * empty. */
bool file_read(const char *path, enum file_care care, size_t max, struct file_text *text,
               struct errmsg *err) MUST_CHECK;

/* Wipe and free it; TEXT is empty then. An empty one is allowed. */
void file_text_release(struct file_text *text);

/* Write all of DATA, also after signals and short writes; waits while FD, which may be
 * non-blocking, takes no more. 0 or an errno value. */
int file_write(int fd, const void *data, size_t len) MUST_CHECK;

#endif
