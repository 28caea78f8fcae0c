/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* multipart/form-data (RFC 7578), parsed as it arrives, in constant memory.
 *
 * Not libmicrohttpd's parser, because that takes everything after "boundary=" as the
 * boundary, silently finds nothing in a body with another boundary, and copies every byte
 * of a file once more. */
#ifndef DOUSHARD_HTTP_MULTIPART_H
#define DOUSHARD_HTTP_MULTIPART_H

#include <stdbool.h>
#include <stddef.h>

#include "shard/base/check.h"

#define MULTIPART_BOUNDARY_MAX 200
#define MULTIPART_NAME_MAX     64
#define MULTIPART_HEAD_MAX     4096

/* A piece of the part NAME; FIRST says that the part begins, and then LEN may be 0. Parts
 * without a name are not reported. DATA is borrowed for the call. */
typedef void (*multipart_cb)(void *cls, const char *name, bool first, const char *data,
                             size_t len);

enum multipart_state {
    MULTIPART_PREAMBLE, /* before the first boundary */
    MULTIPART_TAIL,     /* after a boundary: "--", or white space and CR LF */
    MULTIPART_HEAD,     /* in the header fields of a part */
    MULTIPART_DATA,     /* in a part */
    MULTIPART_DONE,     /* after the last boundary; the rest is dropped */
    MULTIPART_BROKEN,
};

/* Storage is the caller's. One thread at a time. */
struct multipart {
    multipart_cb cb;
    void *cls;
    enum multipart_state state;
    char delimiter[MULTIPART_BOUNDARY_MAX + 5]; /* CR LF -- boundary */
    size_t delimiter_len;
    size_t n_matched; /* bytes of the delimiter matched, held back from the data */
    char tail;        /* MULTIPART_TAIL: the byte before; NUL at first */
    char head[MULTIPART_HEAD_MAX + 1];
    size_t head_len;
    char name[MULTIPART_NAME_MAX + 1]; /* "": this part is ignored */
};

/* Begin with the value of the Content-Type field. False: it names no usable boundary. */
bool multipart_init(struct multipart *multipart, const char *content_type,
                    multipart_cb cb, void *cls) MUST_CHECK;

/* The next bytes of the body. False: the body is malformed, and so is every later
 * call. */
bool multipart_add(struct multipart *multipart, const char *data, size_t len) MUST_CHECK;

/* Did the body end with its last boundary? */
bool multipart_is_complete(const struct multipart *multipart);

#endif
