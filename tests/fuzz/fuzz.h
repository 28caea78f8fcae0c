/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* What the fuzz targets share: the function that libFuzzer calls, an assertion, and
 * splitting of the input. */
#ifndef DOUSHARD_TESTS_FUZZ_FUZZ_H
#define DOUSHARD_TESTS_FUZZ_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shard/base/check.h"

/* Processes one input; returns 0. One thread. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

_Noreturn static inline void wrong(const char *file, int line, const char *condition)
{
    (void)fprintf(stderr, "%s:%d: wrong: %s\n", file, line, condition);
    abort();
}

/* Something that must hold; if it does not, libFuzzer saves the input. */
#define RIGHT(condition) ((condition) ? (void)0 : wrong(__FILE__, __LINE__, #condition))

/* Bytes of the input; borrowed. */
struct piece {
    const char *data;
    size_t len;
};

/* The bytes before the next END in *REST, which then begins after it; all of *REST if
 * there is no END. */
static inline struct piece piece_until(struct piece *rest, char end)
{
    const char *at = rest->len > 0 ? memchr(rest->data, end, rest->len) : NULL;
    struct piece taken = {rest->data, at != NULL ? (size_t)(at - rest->data) : rest->len};
    size_t used = taken.len + (at != NULL ? 1 : 0);

    *rest = (struct piece){rest->data + used, rest->len - used};
    return taken;
}

/* A copy of exactly LEN bytes, so that the sanitizer detects reads past its end. The
 * caller frees it. */
static inline char *exact_copy(const char *data, size_t len)
{
    char *copy = malloc(len > 0 ? len : 1);

    RIGHT(copy != NULL);
    if (len > 0) {
        memcpy(copy, data, len);
    }
    return copy;
}

/* The same with a NUL at the end. */
static inline char *text_copy(struct piece piece)
{
    char *copy = malloc(piece.len + 1);

    RIGHT(copy != NULL);
    if (piece.len > 0) {
        memcpy(copy, piece.data, piece.len);
    }
    copy[piece.len] = '\0';
    return copy;
}

/* A number that depends on the whole input, for choices that the input does not make
 * itself. */
static inline uint32_t mixed(const uint8_t *data, size_t len)
{
    uint32_t sum = 2166136261u;

    for (size_t i = 0; i < len; i++) {
        sum = (sum ^ data[i]) * 16777619u;
    }
    return sum;
}

#endif
