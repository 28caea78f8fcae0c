/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Rows of a list as the cache keeps them. */
#include "shard/kept.h"

#include <string.h>

#include "shard/base/le64.h"

#define NUMBERS_BYTES (KEPT_NUMBERS * LE64_BYTES)

size_t kept_row_bytes(const char *text)
{
    return NUMBERS_BYTES + strlen(text) + 1;
}

char *kept_row_write(char *bytes, const struct kept_row *row)
{
    size_t text_bytes = strlen(row->text) + 1;

    for (size_t i = 0; i < KEPT_NUMBERS; i++) {
        le64_write(bytes + i * LE64_BYTES, row->numbers[i]);
    }
    memcpy(bytes + NUMBERS_BYTES, row->text, text_bytes);
    return bytes + NUMBERS_BYTES + text_bytes;
}

bool kept_row_read(const char **place, const char *end, struct kept_row *row)
{
    size_t left = (size_t)(end - *place);

    if (left <= NUMBERS_BYTES) {
        return false;
    }
    const char *text = *place + NUMBERS_BYTES;
    size_t text_bytes = strnlen(text, left - NUMBERS_BYTES) + 1;
    if (text_bytes > left - NUMBERS_BYTES) {
        return false;
    }
    for (size_t i = 0; i < KEPT_NUMBERS; i++) {
        row->numbers[i] = le64_read(*place + i * LE64_BYTES);
    }
    row->text = text;
    *place = text + text_bytes;
    return true;
}
