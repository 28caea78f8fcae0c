/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* JSON (RFC 8259) written straight into a buffer, without a tree in between: a page of 30
 * videos would be 500 objects of a library, which live for one answer.
 *
 * The caller says what stands where; commas come by themselves. Nothing is returned: what
 * fails (memory, the buffer's maximum, a text that is no UTF-8) sets out->buf.failed, and
 * nothing is written after that. Not thread-safe. */
#ifndef DOUSHARD_BASE_JSON_OUT_H
#define DOUSHARD_BASE_JSON_OUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shard/base/buf.h"

struct json_out {
    struct buf buf;
    bool needs_comma; /* before the next value: one stands there already */
};

/* MAX: most bytes in all. buf_detach(&out->buf) or buf_clear(&out->buf) ends it. */
void json_out_init(struct json_out *out, size_t max);

/* In an object NAME is the field's, and is written as it is; in an array it is NULL. */
void json_out_object(struct json_out *out, const char *name);
void json_out_object_end(struct json_out *out);
void json_out_array(struct json_out *out, const char *name);
void json_out_array_end(struct json_out *out);
void json_out_integer(struct json_out *out, const char *name, int64_t value);
void json_out_bool(struct json_out *out, const char *name, bool value);

/* TEXT is UTF-8; NULL, as well as what is no UTF-8, fails. */
void json_out_text(struct json_out *out, const char *name, const char *text);

/* One text made of the N PARTS, each of them UTF-8. */
void json_out_texts(struct json_out *out, const char *name, const char *const *parts,
                    size_t n);

#endif
