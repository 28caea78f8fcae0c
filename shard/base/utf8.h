/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* UTF-8: is it well-formed, and how many code points has it? */
#ifndef DOUSHARD_BASE_UTF8_H
#define DOUSHARD_BASE_UTF8_H

#include <stddef.h>
#include <sys/types.h>

/* Bytes of the code point at the start of DATA, 1 to 4; 0 when it is malformed. AVAIL, at
 * least 1, are there. */
size_t utf8_len(const char *data, size_t avail);

/* The number of code points in DATA, or -1 when it is not well-formed UTF-8: truncated,
 * overlong, a surrogate, above U+10FFFF. A NUL byte counts as a code point. DATA may be
 * NULL when LEN is 0. */
ssize_t utf8_count(const char *data, size_t len);

#endif
