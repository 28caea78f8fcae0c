/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* The bytes of a file as the body of an answer. */
#include "server/request/reply_file.h"

#include <microhttpd.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "shard/base/work.h"

#include "server/base/workers.h"

/* How much the library asks for at once, and how much is read from the disk for it. */
#define BLOCK_BYTES ((size_t)64 << 10)

struct file_body {
    struct work work;
    struct workers *disk;              /* (ref) */
    struct MHD_Connection *connection; /* (ref) */
    struct file_part part;
    char *block;     /* owned; from the disk, until the library has taken it; else NULL */
    uint64_t begin;  /* position of BLOCK, counted from part.offset */
    size_t n;        /* bytes of it */
    uint64_t wanted; /* where the next one should begin */
    bool has_failed; /* the file cannot be read, or has become shorter */
};

static size_t smaller(uint64_t a, size_t b)
{
    return a < b ? (size_t)a : b;
}

/* A slow client may take minutes for what it has been sent: no memory waits with it. */
static void drop_block(struct file_body *body)
{
    free(body->block);
    body->block = NULL;
    body->n = 0;
}

static void read_block(struct work *work)
{
    struct file_body *body =
        (struct file_body *)((char *)work - offsetof(struct file_body, work));
    size_t want = smaller(body->part.length - body->wanted, BLOCK_BYTES);
    ssize_t n = -1;

    body->block = malloc(want);
    if (body->block != NULL) {
        n = pread(body->part.fd, body->block, want,
                  (off_t)(body->part.offset + body->wanted));
    }
    body->has_failed = n <= 0;
    body->begin = body->wanted;
    body->n = n > 0 ? (size_t)n : 0;
    MHD_resume_connection(body->connection); /* BODY may be freed after this */
}

/* Have another thread read the bytes from POSITION on; the connection waits. */
static void ask_disk(struct file_body *body, uint64_t position)
{
    body->wanted = position;
    body->work.run = read_block;
    MHD_suspend_connection(body->connection);
    if (!workers_submit(body->disk, &body->work)) {
        body->has_failed = true;
        MHD_resume_connection(body->connection);
    }
}

/* Up to MAX bytes from POSITION on, if another thread has read them. 0: it has not. */
static size_t take_block(struct file_body *body, uint64_t position, char *out, size_t max)
{
    if (position < body->begin || position - body->begin >= body->n) {
        return 0;
    }
    size_t skip = (size_t)(position - body->begin);
    size_t n = smaller(max, body->n - skip);

    memcpy(out, body->block + skip, n);
    if (skip + n == body->n) {
        drop_block(body);
    }
    return n;
}

/* The library wants MAX bytes from POSITION on. */
static ssize_t read_cb(void *cls, uint64_t position, char *out, size_t max)
{
    struct file_body *body = cls;
    struct iovec into = {.iov_base = out,
                         .iov_len = smaller(body->part.length - position, max)};
    ssize_t n = (ssize_t)take_block(body, position, out, into.iov_len);

    if (n > 0) {
        return n;
    }
    if (body->has_failed) {
        return MHD_CONTENT_READER_END_WITH_ERROR;
    }
    n = preadv2(body->part.fd, &into, 1, (off_t)(body->part.offset + position),
                RWF_NOWAIT);
    if (n > 0) {
        return n;
    }
    drop_block(body);
    ask_disk(body, position);
    return 0;
}

static void close_body(struct work *work)
{
    struct file_body *body =
        (struct file_body *)((char *)work - offsetof(struct file_body, work));

    (void)close(body->part.fd); /* this may block on the file system, too */
    drop_block(body);
    free(body);
}

static void free_cb(void *cls)
{
    struct file_body *body = cls;

    body->work.run = close_body;
    if (!workers_hand(body->disk, &body->work)) {
        close_body(&body->work);
    }
}

struct MHD_Response *reply_file_response(const struct file_part *part,
                                         struct MHD_Connection *connection,
                                         struct workers *disk)
{
    struct file_body *body = calloc(1, sizeof *body);
    struct MHD_Response *response;

    if (body == NULL) {
        return NULL;
    }
    body->part = *part;
    body->connection = connection;
    body->disk = disk;
    response = MHD_create_response_from_callback(part->length, BLOCK_BYTES, read_cb, body,
                                                 free_cb);
    if (response == NULL) {
        free(body);
    }
    return response;
}
