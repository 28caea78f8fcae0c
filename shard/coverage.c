/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Which slots each shard serves, by the generation of its fences. */
#include "shard/coverage.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

/* The map of one shard. */
struct served {
    uint64_t gen; /* 0: no map was read yet */
    struct slotset slots;
};

struct coverage {
    size_t n_shards;
    struct {
        pthread_mutex_t mutex;
        struct served *served; /* owned; one per shard */
    } shared;
};

struct coverage *coverage_new(size_t n_shards)
{
    struct coverage *coverage = calloc(1, sizeof *coverage);

    if (coverage == NULL) {
        return NULL;
    }
    coverage->n_shards = n_shards;
    pthread_mutex_init(&coverage->shared.mutex, NULL);
    coverage->shared.served = calloc(n_shards, sizeof *coverage->shared.served);
    if (coverage->shared.served == NULL) {
        coverage_free(&coverage);
    }
    return coverage;
}

void coverage_free(struct coverage **coverage)
{
    if (*coverage != NULL) {
        pthread_mutex_destroy(&(*coverage)->shared.mutex);
        free((*coverage)->shared.served);
        free(*coverage);
        *coverage = NULL;
    }
}

struct row {
    uint32_t slot;
    const char *answer;
    uint64_t gen;
};

static const struct dbfield row_fields[] = {
    {.column = "slot", .kind = DBFIELD_U32, .offset = offsetof(struct row, slot)},
    {.column = "answer", .kind = DBFIELD_TEXT, .offset = offsetof(struct row, answer)},
    {.column = "gen", .kind = DBFIELD_U64, .offset = offsetof(struct row, gen)},
};

bool coverage_learn(struct coverage *coverage, size_t shard, const struct dbresult *map)
{
    struct served *served = &coverage->shared.served[shard];
    struct slotset slots = {.words = {0}};
    struct row row = {.gen = 0};

    CHECK(shard < coverage->n_shards);
    for (size_t i = 0; i < map->n_rows; i++) {
        if (!dbresult_read(map, i, row_fields, ARRAY_LEN(row_fields), &row)) {
            return false;
        }
        if (strcmp(row.answer, "ok") == 0) {
            slotset_add(&slots, row.slot);
        }
    }
    pthread_mutex_lock(&coverage->shared.mutex);
    *served = (struct served){.gen = row.gen, .slots = slots};
    pthread_mutex_unlock(&coverage->shared.mutex);
    return true;
}

bool coverage_add(struct coverage *coverage, size_t shard, uint64_t gen,
                  struct slotset *slots)
{
    const struct served *served = &coverage->shared.served[shard];

    CHECK(shard < coverage->n_shards);
    pthread_mutex_lock(&coverage->shared.mutex);
    bool is_known = gen != 0 && gen == served->gen;
    if (is_known) {
        slotset_add_all(slots, &served->slots);
    }
    pthread_mutex_unlock(&coverage->shared.mutex);
    return is_known;
}
