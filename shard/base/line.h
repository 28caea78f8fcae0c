/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* A text built in a fixed array: what does not fit is cut. For lines that are made so
 * often that the cost of printf(3), some 50 ns per value, matters. */
#ifndef DOUSHARD_BASE_LINE_H
#define DOUSHARD_BASE_LINE_H

#include <stddef.h>
#include <stdint.h>

#define LINE_BYTES 2000

struct line {
    size_t used; /* always less than LINE_BYTES */
    char text[LINE_BYTES];
};

/* Append LEN bytes, or a text. */
void line_bytes(struct line *line, const char *bytes, size_t len);
void line_text(struct line *line, const char *text);

/* Append a number in decimal, with at least DIGITS digits, which are at most 20. */
void line_number(struct line *line, uint64_t number, unsigned digits);

/* End the text with a NUL, and return it. */
const char *line_end(struct line *line);

#endif
