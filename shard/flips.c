/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Flips that may have stopped halfway: what is needed to finish them. */
#include "shard/flips.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define FLIPS_MAX 1024

struct flips {
    struct {
        pthread_mutex_t mutex;
        struct flip flips[FLIPS_MAX]; /* direct-mapped by slot; epoch 0: free */
    } shared;
};

struct flips *flips_new(void)
{
    struct flips *flips = calloc(1, sizeof *flips);

    if (flips != NULL) {
        pthread_mutex_init(&flips->shared.mutex, NULL);
    }
    return flips;
}

void flips_free(struct flips **flips)
{
    if (*flips != NULL) {
        pthread_mutex_destroy(&(*flips)->shared.mutex);
        free(*flips);
        *flips = NULL;
    }
}

bool flip_make(struct flip *flip, uint32_t slot, uint64_t epoch, const char *token)
{
    if (epoch == 0 || strlen(token) != FLIP_TOKEN_LEN) {
        return false;
    }
    *flip = (struct flip){.slot = slot, .epoch = epoch};
    memcpy(flip->token, token, sizeof flip->token);
    return true;
}

bool flips_has(struct flips *flips, const struct flip *flip)
{
    struct flip known;

    return flips_find(flips, flip->slot, flip->epoch, &known) &&
           strcmp(known.token, flip->token) == 0;
}

void flips_add(struct flips *flips, const struct flip *flip)
{
    pthread_mutex_lock(&flips->shared.mutex);
    struct flip *place = &flips->shared.flips[flip->slot % FLIPS_MAX];
    if (place->slot != flip->slot || place->epoch <= flip->epoch) {
        *place = *flip;
    }
    pthread_mutex_unlock(&flips->shared.mutex);
}

bool flips_find(struct flips *flips, uint32_t slot, uint64_t epoch, struct flip *flip)
{
    pthread_mutex_lock(&flips->shared.mutex);
    *flip = flips->shared.flips[slot % FLIPS_MAX];
    pthread_mutex_unlock(&flips->shared.mutex);
    return epoch != 0 && flip->slot == slot && flip->epoch == epoch;
}
