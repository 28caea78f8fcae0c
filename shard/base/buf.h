/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* A byte buffer that grows up to a maximum given at the start. */
#ifndef DOUSHARD_BASE_BUF_H
#define DOUSHARD_BASE_BUF_H

#include <stdbool.h>
#include <stddef.h>

#include "shard/base/check.h"

/* Invariant: len <= size <= max; data[len] is 0 whenever data is not NULL. Not
 * thread-safe. */
struct buf {
    char *data; /* owned; NULL until something was added */
    size_t len;
    size_t size;
    size_t max;  /* largest len */
    bool failed; /* an addition did not fit; nothing is added afterwards */
};

/* No memory is taken yet. */
void buf_init(struct buf *buf, size_t max);

/* Free the contents; the buffer is as after buf_init() with the same maximum. */
void buf_clear(struct buf *buf);

/* Append. False, with `failed` set, when it would exceed the maximum or is out of memory;
 * the contents are then unchanged. Callers that append much may ignore the results and
 * check `failed` once at the end. */
bool buf_add(struct buf *buf, const void *data, size_t len);
bool buf_addf(struct buf *buf, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* Take the contents out: malloc'ed, NUL-terminated, the caller frees. NULL when nothing
 * was added or failed is set. The buffer is empty afterwards. */
char *buf_detach(struct buf *buf, size_t *len) MUST_CHECK;

#endif
