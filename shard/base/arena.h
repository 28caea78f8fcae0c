/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* A bounded arena: allocations of one request that are freed together. */
#ifndef DOUSHARD_BASE_ARENA_H
#define DOUSHARD_BASE_ARENA_H

#include <stddef.h>
#include <stdint.h>

#include "shard/base/check.h"

struct arena_block;

/* Storage belongs to the caller. Not thread-safe: one thread at a time uses an arena. */
struct arena {
    struct arena_block *newest; /* owned; linked list of blocks */
    size_t used_bytes;          /* taken from malloc so far */
    size_t limit_bytes;         /* refuse to take more than this */
    struct arena_kept *kept;    /* in its own memory: what arena_release() must release */
};

/* Something that arena_release() will release. */
struct arena_kept {
    struct arena_kept *next;
    void (*release)(void *what);
    void *what;
};

/* No memory is taken yet. */
void arena_init(struct arena *arena, size_t limit_bytes);

/* Free every allocation, after releasing what arena_keep() was given. The arena may be
 * used again. */
void arena_release(struct arena *arena);

/* SIZE bytes, aligned for any type and zeroed; NULL when the limit is reached or the
 * system has no memory. SIZE 0 gives a valid pointer. */
void *arena_alloc(struct arena *arena, size_t size) MUST_CHECK;

/* Like arena_alloc(COUNT * SIZE), NULL also when the product overflows. */
void *arena_calloc(struct arena *arena, size_t count, size_t size) MUST_CHECK;

/* A copy of LEN bytes with a NUL added; NULL as arena_alloc(). DATA may be NULL when LEN
 * is 0. */
char *arena_strndup(struct arena *arena, const char *data, size_t len) MUST_CHECK;

/* Have arena_release() call RELEASE(WHAT). KEPT is memory for this, allocated in ARENA
 * beforehand, so that this cannot fail. */
void arena_keep(struct arena *arena, struct arena_kept *kept, void (*release)(void *what),
                void *what);

/* Formatted text; NULL as arena_alloc(). */
char *arena_printf(struct arena *arena, const char *fmt, ...) MUST_CHECK
    PRINTF_LIKE(2, 3);

#endif
