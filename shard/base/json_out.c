/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* JSON written directly into a buffer. */
#include "shard/base/json_out.h"

#include <string.h>

#include "shard/base/hex.h"
#include "shard/base/utf8.h"

/* "-9223372036854775808" */
#define INTEGER_CHARS_MAX 20

void json_out_init(struct json_out *out, size_t max)
{
    buf_init(&out->buf, max);
    out->needs_comma = false;
}

static void add_char(struct buf *buf, char c)
{
    (void)buf_add(buf, &c, 1);
}

/* Write what comes before a value. */
static void begin(struct json_out *out, const char *name)
{
    if (out->needs_comma) {
        add_char(&out->buf, ',');
    }
    out->needs_comma = true;
    if (name != NULL) {
        add_char(&out->buf, '"');
        (void)buf_add(&out->buf, name, strlen(name));
        (void)buf_add(&out->buf, "\":", 2);
    }
}

static void enter(struct json_out *out, const char *name, char bracket)
{
    begin(out, name);
    add_char(&out->buf, bracket);
    out->needs_comma = false;
}

static void leave(struct json_out *out, char bracket)
{
    add_char(&out->buf, bracket);
    out->needs_comma = true;
}

void json_out_object(struct json_out *out, const char *name)
{
    enter(out, name, '{');
}

void json_out_object_end(struct json_out *out)
{
    leave(out, '}');
}

void json_out_array(struct json_out *out, const char *name)
{
    enter(out, name, '[');
}

void json_out_array_end(struct json_out *out)
{
    leave(out, ']');
}

void json_out_integer(struct json_out *out, const char *name, int64_t value)
{
    char digits[INTEGER_CHARS_MAX];
    char *first = digits + sizeof digits;
    uint64_t rest = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;

    do {
        *--first = (char)('0' + rest % 10);
        rest /= 10;
    } while (rest > 0);
    if (value < 0) {
        *--first = '-';
    }
    begin(out, name);
    (void)buf_add(&out->buf, first, (size_t)(digits + sizeof digits - first));
}

void json_out_bool(struct json_out *out, const char *name, bool value)
{
    begin(out, name);
    (void)buf_add(&out->buf, value ? "true" : "false", value ? 4 : 5);
}

/* Write C, which must be escaped in a string. */
static void escape_char(struct buf *buf, unsigned char c)
{
    static const char short_forms[] = "\"\"\\\\\bb\ff\nn\rr\tt";

    for (size_t i = 0; short_forms[i] != '\0'; i += 2) {
        if ((unsigned char)short_forms[i] == c) {
            const char text[] = {'\\', short_forms[i + 1]};
            (void)buf_add(buf, text, sizeof text);
            return;
        }
    }
    char text[] = "\\u00XX";
    hex_encode(&c, 1, text + 4);
    (void)buf_add(buf, text, sizeof text - 1);
}

/* Write TEXT as the inside of a string, escaped by RFC 8259, section 7. */
static void escape(struct buf *buf, const char *text)
{
    size_t left = strlen(text);
    size_t plain = 0; /* bytes of TEXT that need no escape */

    while (plain < left) {
        unsigned char c = (unsigned char)text[plain];
        if (c >= ' ' && c != '"' && c != '\\') {
            size_t len = utf8_len(text + plain, left - plain);
            if (len == 0) {
                buf->failed = true;
                return;
            }
            plain += len;
            continue;
        }
        (void)buf_add(buf, text, plain);
        escape_char(buf, c);
        text += plain + 1;
        left -= plain + 1;
        plain = 0;
    }
    (void)buf_add(buf, text, plain);
}

void json_out_texts(struct json_out *out, const char *name, const char *const *parts,
                    size_t n)
{
    begin(out, name);
    add_char(&out->buf, '"');
    for (size_t i = 0; i < n; i++) {
        if (parts[i] == NULL) {
            out->buf.failed = true;
            return;
        }
        escape(&out->buf, parts[i]);
    }
    add_char(&out->buf, '"');
}

void json_out_text(struct json_out *out, const char *name, const char *text)
{
    json_out_texts(out, name, &text, 1);
}
