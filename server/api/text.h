/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Texts that others will read: allowed characters, masked words. */
#ifndef DOUSHARD_API_TEXT_H
#define DOUSHARD_API_TEXT_H

#include <stddef.h>

#include "shard/base/check.h"

struct request;

enum text_lines {
    TEXT_ONE_LINE,  /* a name, a title */
    TEXT_MANY_LINES /* a comment, a message: tab and line feed are fine */
};

/* What is wrong with TEXT (LEN bytes of well-formed UTF-8): "has a control character" or
 * "has a direction override"; NULL when nothing is. Control characters are C0, DEL and
 * C1, in one line also the line and paragraph separators; overrides are U+202A to U+202E
 * and U+2066 to U+2069, which reverse the text around them. Static text. */
const char *text_problem(const char *text, size_t len, enum text_lines lines);

/* The text of the parameter NAME, unless it has a text_problem(), with the words of the
 * filter masked; in the request's arena or the parameter itself. NULL: it has one, or out
 * of memory; the request has been answered. */
const char *text_accept(struct request *req, const char *name,
                        enum text_lines lines) MUST_CHECK;

#endif
