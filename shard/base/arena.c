/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* A bounded arena: allocations of one request that are freed together. */
#include "shard/base/arena.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BLOCK_BYTES 4096

struct arena_block {
    struct arena_block *older;
    size_t size; /* bytes in data */
    size_t used;
    max_align_t data[];
};

void arena_init(struct arena *arena, size_t limit_bytes)
{
    *arena = (struct arena){.limit_bytes = limit_bytes};
}

void arena_keep(struct arena *arena, struct arena_kept *kept, void (*release)(void *what),
                void *what)
{
    *kept = (struct arena_kept){.next = arena->kept, .release = release, .what = what};
    arena->kept = kept;
}

void arena_release(struct arena *arena)
{
    for (struct arena_kept *kept = arena->kept; kept != NULL; kept = kept->next) {
        kept->release(kept->what);
    }
    arena->kept = NULL;
    while (arena->newest != NULL) {
        struct arena_block *block = arena->newest;
        arena->newest = block->older;
        free(block);
    }
    arena->used_bytes = 0;
}

static struct arena_block *add_block(struct arena *arena, size_t size)
{
    size_t left = arena->limit_bytes - arena->used_bytes;
    size_t wanted = left < BLOCK_BYTES ? left : BLOCK_BYTES;
    size_t data_bytes = size > wanted ? size : wanted;

    if (data_bytes > left) {
        return NULL;
    }
    struct arena_block *block = malloc(sizeof *block + data_bytes);
    if (block == NULL) {
        return NULL;
    }
    block->size = data_bytes;
    block->used = 0;
    block->older = arena->newest;
    arena->newest = block;
    arena->used_bytes += data_bytes;
    return block;
}

void *arena_alloc(struct arena *arena, size_t size)
{
    const size_t align = sizeof(max_align_t);

    if (size > arena->limit_bytes || size > SIZE_MAX - align) {
        return NULL;
    }
    size = (size + align - 1) / align * align;
    struct arena_block *block = arena->newest;
    if (block == NULL || block->size - block->used < size) {
        block = add_block(arena, size);
        if (block == NULL) {
            return NULL;
        }
    }
    char *p = (char *)block->data + block->used;
    block->used += size;
    memset(p, 0, size); /* clear only this much: most requests use little of a block */
    return p;
}

void *arena_calloc(struct arena *arena, size_t count, size_t size)
{
    if (size != 0 && count > SIZE_MAX / size) {
        return NULL;
    }
    return arena_alloc(arena, count * size);
}

char *arena_strndup(struct arena *arena, const char *data, size_t len)
{
    char *copy = len == SIZE_MAX ? NULL : arena_alloc(arena, len + 1);

    if (copy != NULL && len > 0) {
        memcpy(copy, data, len);
    }
    return copy;
}

char *arena_printf(struct arena *arena, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    int len = vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    if (len < 0) {
        return NULL;
    }
    char *text = arena_alloc(arena, (size_t)len + 1);
    if (text != NULL) {
        va_start(args, fmt);
        vsnprintf(text, (size_t)len + 1, fmt, args);
        va_end(args);
    }
    return text;
}
