/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* The protocol of Redis (RESP2), by hiredis: commands into bytes, bytes into replies. */
#ifndef DOUSHARD_RWIRE_H
#define DOUSHARD_RWIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shard/base/buf.h"
#include "shard/base/check.h"

/* The largest reply, and the most elements of one array: no command here has a larger
 * answer, so a larger one ends the connection. */
#define RREPLY_BYTES_MAX    ((size_t)16 << 20)
#define RREPLY_ELEMENTS_MAX 100000

enum rreply_kind {
    RREPLY_NIL,
    RREPLY_STATUS, /* text: "OK" */
    RREPLY_ERROR,  /* text: "MOVED 3999 127.0.0.1:6381" */
    RREPLY_TEXT,   /* any bytes */
    RREPLY_INTEGER,
    RREPLY_ARRAY,
};

/* The reply to a command; a tree. */
struct rreply {
    enum rreply_kind kind;
    int64_t integer;
    size_t len; /* bytes of TEXT, or elements */
    union {
        char *text;               /* owned; a NUL follows; NULL: no text */
        struct rreply **elements; /* owned, all set */
    };
};

/* NULL is allowed; *REPLY becomes NULL. */
void rreply_free(struct rreply **reply);

/* Is REPLY a text or status equal to TEXT, or an error that begins with the word TEXT? */
bool rreply_says(const struct rreply *reply, const char *text);

/* Append a command of ARGC arguments, of LENS bytes each, any bytes; LENS NULL: they are
 * texts. False: out of memory, or BUF is full. */
bool rwire_command(struct buf *buf, int argc, const char **argv, const size_t *lens);

struct rreader;

/* NULL: out of memory. */
struct rreader *rreader_new(void) MUST_CHECK;
void rreader_free(struct rreader **reader);

/* Feed any number of bytes from the connection. False: this is not Redis, or out of
 * memory; the connection is unusable. */
bool rreader_feed(struct rreader *reader, const char *data, size_t len) MUST_CHECK;

/* The next reply, if it is complete: *REPLY is the caller's; else NULL. False as above.
 */
bool rreader_next(struct rreader *reader, struct rreply **reply) MUST_CHECK;

#endif
