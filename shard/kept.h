/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Rows of a list as the cache keeps them, one after the other: three numbers (le64.h),
 * and a text with its NUL. */
#ifndef DOUSHARD_KEPT_H
#define DOUSHARD_KEPT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shard/base/check.h"
#include "shard/base/le64.h"

#define KEPT_NUMBERS 3

struct kept_row {
    uint64_t numbers[KEPT_NUMBERS];
    const char *text; /* read: points into the bytes */
};

/* Bytes of a row with that TEXT; the fewest that a row has. */
size_t kept_row_bytes(const char *text);
#define KEPT_ROW_BYTES_MIN (KEPT_NUMBERS * LE64_BYTES + 1)

/* Write ROW at BYTES; returns where the next one goes. */
char *kept_row_write(char *bytes, const struct kept_row *row);

/* Read the row at *PLACE, which is moved on. False: there is none before END. */
bool kept_row_read(const char **place, const char *end, struct kept_row *row) MUST_CHECK;

#endif
