/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* JSON (RFC 8259) written directly into a buffer, without a tree: a page of 30 videos
 * would be 500 library objects that live for one answer.
 *
 * The caller gives the structure; commas are added. Nothing is returned: a failure
 * (memory, the buffer's maximum, a text that is not UTF-8) sets out->buf.failed, and
 * nothing is written afterwards. Not thread-safe. */
#ifndef DOUSHARD_BASE_JSON_OUT_H
#define DOUSHARD_BASE_JSON_OUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shard/base/buf.h"

struct json_out {
    struct buf buf;
    bool needs_comma; /* another value comes before the next one */
};

/* MAX: most bytes in all. buf_detach(&out->buf) or buf_clear(&out->buf) ends it. */
void json_out_init(struct json_out *out, size_t max);

/* In an object NAME is the field's, written without escaping; in an array it is NULL. */
void json_out_object(struct json_out *out, const char *name);
void json_out_object_end(struct json_out *out);
void json_out_array(struct json_out *out, const char *name);
void json_out_array_end(struct json_out *out);
void json_out_integer(struct json_out *out, const char *name, int64_t value);
void json_out_bool(struct json_out *out, const char *name, bool value);

/* TEXT is UTF-8; NULL and anything that is not UTF-8 fail. */
void json_out_text(struct json_out *out, const char *name, const char *text);

/* One text made of the N PARTS, each of them UTF-8. */
void json_out_texts(struct json_out *out, const char *name, const char *const *parts,
                    size_t n);

#endif
