/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* A byte buffer that grows up to a maximum given at the start. */
#include "shard/base/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void buf_init(struct buf *buf, size_t max)
{
    *buf = (struct buf){.max = max};
}

void buf_clear(struct buf *buf)
{
    free(buf->data);
    buf_init(buf, buf->max);
}

/* Make room for LEN more bytes and the NUL. */
static bool reserve(struct buf *buf, size_t len)
{
    if (buf->failed || len > buf->max - buf->len) {
        buf->failed = true;
        return false;
    }
    if (buf->data != NULL && len <= buf->size - buf->len) {
        return true;
    }
    size_t size = buf->size < 128 ? 256 : buf->size * 2;
    if (size < buf->len + len) {
        size = buf->len + len;
    }
    if (size > buf->max) {
        size = buf->max;
    }
    char *data = realloc(buf->data, size + 1);
    if (data == NULL) {
        buf->failed = true;
        return false;
    }
    buf->data = data;
    buf->size = size;
    return true;
}

bool buf_add(struct buf *buf, const void *data, size_t len)
{
    if (!reserve(buf, len)) {
        return false;
    }
    if (len > 0) {
        memcpy(buf->data + buf->len, data, len);
    }
    buf->len += len;
    buf->data[buf->len] = '\0';
    return true;
}

bool buf_addf(struct buf *buf, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    int len = vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    if (len < 0 || !reserve(buf, (size_t)len)) {
        buf->failed = true;
        return false;
    }
    va_start(args, fmt);
    vsnprintf(buf->data + buf->len, (size_t)len + 1, fmt, args);
    va_end(args);
    buf->len += (size_t)len;
    return true;
}

char *buf_detach(struct buf *buf, size_t *len)
{
    if (buf->failed || buf->data == NULL) {
        buf_clear(buf);
        return NULL;
    }
    char *data = buf->data;
    if (len != NULL) {
        *len = buf->len;
    }
    buf_init(buf, buf->max);
    return data;
}
