/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Lower-case hexadecimal, the form in which binary values travel and are shown. */
#ifndef DOUSHARD_BASE_HEX_H
#define DOUSHARD_BASE_HEX_H

#include <stdbool.h>
#include <stddef.h>

#include "shard/base/check.h"

/* Write 2 * LEN digits and a NUL to TEXT. */
void hex_encode(const void *data, size_t len, char *text);

/* The value of a digit in either case; -1: C is not a digit. */
int hex_digit(char c);

/* Does TEXT (LEN bytes) begin with an escape of URLs, %XX? True: *BYTE is what it stands
 * for. */
bool hex_escape(const char *text, size_t len, char *byte) MUST_CHECK;

/* Read exactly LEN bytes from 2 * LEN digits (either case). False: TEXT has another
 * length or another character; DATA may then be partly written. */
bool hex_decode(const char *text, void *data, size_t len) MUST_CHECK;

#endif
