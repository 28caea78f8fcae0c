/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* A text built in a fixed array. */
#include "shard/base/line.h"

#include <string.h>

#define DIGITS_MAX 20

void line_bytes(struct line *line, const char *bytes, size_t len)
{
    size_t room = LINE_BYTES - 1 - line->used;

    len = len < room ? len : room;
    memcpy(line->text + line->used, bytes, len);
    line->used += len;
}

void line_text(struct line *line, const char *text)
{
    line_bytes(line, text, strlen(text));
}

void line_number(struct line *line, uint64_t number, unsigned digits)
{
    char text[DIGITS_MAX];
    size_t at = DIGITS_MAX;

    while (number > 0 || (at > 0 && DIGITS_MAX - at < digits)) {
        text[--at] = (char)('0' + number % 10);
        number /= 10;
    }
    line_bytes(line, text + at, DIGITS_MAX - at);
}

const char *line_end(struct line *line)
{
    line->text[line->used] = '\0';
    return line->text;
}
