/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Is this request framed so that nobody can disagree about where it ends?
 *
 * libmicrohttpd 0.9.75 is lenient: it takes the first of several Content-Length, ignores
 * what it does not know about Transfer-Encoding, ends lines at a bare LF, joins folded
 * lines and cuts at NUL bytes. A proxy in front may read such a request differently, and
 * then a client can smuggle a second request past it. So everything unusual is refused,
 * or answered before the connection is closed.
 *
 * The library parses in place: the strings it hands out point into its buffer, with the
 * byte or bytes after each one overwritten by NUL. The distances between them therefore
 * show how the lines really ended, although the line ends are gone. Three things cannot
 * be seen this way: NUL at the end of a line looks like part of the line end; a line of
 * just a colon that ends with LF, or follows one that does, looks like the empty line
 * (the library also ends the header there); and before a request the library skips lines
 * that begin with NUL as it skips empty ones. */
#ifndef DOUSHARD_HTTP_FRAMING_H
#define DOUSHARD_HTTP_FRAMING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shard/base/arena.h"
#include "shard/base/check.h"

struct MHD_Connection;

enum framing_verdict {
    FRAMING_OK,
    FRAMING_BAD,         /* 400 and close */
    FRAMING_UNSUPPORTED, /* 501 and close */
};

/* One request's frame. Texts are borrowed from the library's buffer. */
struct framing {
    enum framing_verdict verdict;
    const char *reason; /* static text for the client; NULL when OK */

    bool must_close;         /* well-formed, but no second request may follow */
    bool chunked;            /* the body is chunked: its length is not known */
    uint64_t content_length; /* 0 when there is none */

    const char *method;
    const char *target; /* as it was sent; the caller's copy */
    size_t target_len;
    bool is_http11; /* HTTP/1.1 or later 1.x; else 1.0 */
    unsigned n_host;
    unsigned n_length;
    unsigned n_encoding;
    const char *end; /* where the next line has to begin; NULL: no longer checked */
};

/* The request line, as it was before the library decoded it in place. */
struct framing_target {
    const char *at;   /* where the target begins in the library's buffer; not read */
    const char *text; /* a copy, "" when there was none */
};

/* Begin with the request line. TARGET's text is borrowed. */
void framing_begin(struct framing *framing, const char *method,
                   const struct framing_target *target, const char *version);

/* The next header field, in the order of arrival. */
void framing_header(struct framing *framing, const char *name, size_t name_len,
                    const char *value, size_t value_len);

/* All fields were seen; HEADER_SIZE bytes lie between METHOD and the body. */
void framing_end(struct framing *framing, size_t header_size);

/* All three steps for a request whose header is complete. */
void framing_check(struct framing *framing, struct MHD_Connection *connection,
                   const char *method, const struct framing_target *target,
                   const char *version);

/* Read a Content-Length. False: not only digits, or 2^53 or more. */
bool framing_parse_length(const char *text, size_t len, uint64_t *length) MUST_CHECK;

/* The decoded path of a target: without query, and without scheme and host if the target
 * has them. NULL and *REASON (static text) when it has a control byte, is no path, or
 * (*REASON is NULL) out of memory. */
const char *framing_path(const struct framing *framing, struct arena *arena,
                         const char **reason) MUST_CHECK;

#endif
