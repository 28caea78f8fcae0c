/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* JSON texts. Jansson never goes on without memory: its reader then leaves characters
 * out, and where one is the end of a string, it reads and writes beyond its buffers. So
 * what it asks for comes by us, and where there is none, we leave it as it is and free
 * what it had. */
#include "server/base/json_in.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdlib.h>

/* A text that is being read. Blocks are in the order in which they were taken. */
struct reading {
    jmp_buf no_memory;
    void **blocks; /* owned, and so is each of them until jansson has read the text */
    size_t n, room;
};

static _Thread_local struct reading *reading; /* of this thread; NULL: none */

static bool make_room(struct reading *self)
{
    size_t room = self->room == 0 ? 64 : 2 * self->room;

    if (self->n < self->room) {
        return true;
    }
    void **blocks = realloc(self->blocks, room * sizeof *blocks);
    if (blocks != NULL) {
        self->blocks = blocks;
        self->room = room;
    }
    return blocks != NULL;
}

static void *allocate(size_t size)
{
    struct reading *self = reading;

    if (self == NULL) {
        return malloc(size);
    }
    void *block = make_room(self) ? malloc(size) : NULL;
    if (block == NULL) {
        longjmp(self->no_memory, 1);
    }
    self->blocks[self->n++] = block;
    return block;
}

static void release(void *block)
{
    /* It is most often one of the last. */
    for (size_t i = reading == NULL ? 0 : reading->n; i > 0; i--) {
        if (reading->blocks[i - 1] == block) {
            reading->blocks[i - 1] = reading->blocks[--reading->n];
            break;
        }
    }
    free(block);
}

static void stand_between(void)
{
    json_set_alloc_funcs(allocate, release);
}

/* False: memory was short, and jansson was left. */
static bool read_text(struct reading *self, const char *text, size_t len, size_t flags,
                      json_t **json)
{
    if (setjmp(self->no_memory) != 0) {
        return false;
    }
    *json = json_loadb(text, len, flags, NULL);
    return true;
}

bool json_in(const char *text, size_t len, size_t flags, json_t **json)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    struct reading self = {.n = 0};

    (void)pthread_once(&once, stand_between);
    *json = NULL;
    reading = &self;
    bool has_memory = read_text(&self, text, len, flags, json);
    reading = NULL;
    for (size_t i = 0; !has_memory && i < self.n; i++) {
        free(self.blocks[i]);
    }
    free(self.blocks);
    return has_memory;
}
