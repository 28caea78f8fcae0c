/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Flips that may have stopped halfway: what is needed to finish them.
 *
 * A slot changes hands in two steps: the giver commits "moved", then the taker's fence
 * goes from ready to owned. If the mover dies in between, nobody serves the slot. The
 * giver's fence names the flip by epoch and token; with these any process may make the
 * second step (slot_takeover). This table keeps what givers say about slots that no taker
 * has claimed yet. It is a cache of fixed size: givers repeat what is forgotten.
 * Thread-safe. */
#ifndef DOUSHARD_FLIPS_H
#define DOUSHARD_FLIPS_H

#include <stdbool.h>
#include <stdint.h>

#include "shard/base/check.h"

/* 16 bytes in hexadecimal. */
#define FLIP_TOKEN_LEN 32

struct flip {
    uint32_t slot;
    uint64_t epoch; /* the epoch that it leads to */
    char token[FLIP_TOKEN_LEN + 1];
};

struct flips;

/* NULL when out of memory. */
struct flips *flips_new(void) MUST_CHECK;

/* *FLIPS becomes NULL; NULL is allowed. */
void flips_free(struct flips **flips);

/* Set *FLIP; false: the TOKEN of a giver for SLOT at EPOCH is malformed. */
bool flip_make(struct flip *flip, uint32_t slot, uint64_t epoch,
               const char *token) MUST_CHECK;

/* Is this very flip known? */
bool flips_has(struct flips *flips, const struct flip *flip);

/* Remember FLIP, in place of an older one of its slot. */
void flips_add(struct flips *flips, const struct flip *flip);

/* The flip of SLOT that leads to EPOCH; false: none is known. */
bool flips_find(struct flips *flips, uint32_t slot, uint64_t epoch, struct flip *flip);

#endif
