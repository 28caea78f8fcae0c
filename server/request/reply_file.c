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

/* How much the library asks for at once, and how much is read ahead from the disk.
 */
#define BLOCK_BYTES  ((size_t)64 << 10)
#define WINDOW_BYTES ((size_t)256 << 10)

struct file_body {
    struct work work;
    struct workers *disk;              /* (ref) */
    struct MHD_Connection *connection; /* (ref) */
    struct file_part part;
    char *window;    /* owned; NULL until the disk is needed */
    uint64_t begin;  /* position of WINDOW, counted from part.offset */
    size_t n;        /* bytes of it */
    uint64_t wanted; /* where it should begin next */
    bool has_failed; /* the file cannot be read, or has become shorter */
};

static size_t smaller(uint64_t a, size_t b)
{
    return a < b ? (size_t)a : b;
}

static void read_window(struct work *work)
{
    struct file_body *body =
        (struct file_body *)((char *)work - offsetof(struct file_body, work));
    size_t want = smaller(body->part.length - body->wanted, WINDOW_BYTES);
    ssize_t n;

    if (body->window == NULL) {
        body->window = malloc(WINDOW_BYTES);
    }
    n = body->window == NULL ? -1
                             : pread(body->part.fd, body->window, want,
                                     (off_t)(body->part.offset + body->wanted));
    body->has_failed = n <= 0;
    body->begin = body->wanted;
    body->n = n > 0 ? (size_t)n : 0;
    MHD_resume_connection(body->connection); /* BODY may be freed after this */
}

/* Have another thread read the bytes from POSITION on; the connection waits. */
static void ask_disk(struct file_body *body, uint64_t position)
{
    body->wanted = position;
    body->work.run = read_window;
    MHD_suspend_connection(body->connection);
    if (!workers_submit(body->disk, &body->work)) {
        body->has_failed = true;
        MHD_resume_connection(body->connection);
    }
}

/* The library wants MAX bytes from POSITION on. */
static ssize_t read_cb(void *cls, uint64_t position, char *out, size_t max)
{
    struct file_body *body = cls;
    struct iovec into = {.iov_base = out,
                         .iov_len = smaller(body->part.length - position, max)};

    if (position >= body->begin && position - body->begin < body->n) {
        size_t skip = (size_t)(position - body->begin);
        size_t n = smaller(into.iov_len, body->n - skip);
        memcpy(out, body->window + skip, n);
        return (ssize_t)n;
    }
    if (body->has_failed) {
        return MHD_CONTENT_READER_END_WITH_ERROR;
    }
    ssize_t n = preadv2(body->part.fd, &into, 1, (off_t)(body->part.offset + position),
                        RWF_NOWAIT);
    if (n > 0) {
        return n;
    }
    ask_disk(body, position);
    return 0;
}

static void close_body(struct work *work)
{
    struct file_body *body =
        (struct file_body *)((char *)work - offsetof(struct file_body, work));

    (void)close(body->part.fd); /* this may block on the file system, too */
    free(body->window);
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
