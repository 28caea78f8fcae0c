/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* A set of slots: one bit each, 8 KiB. */
#ifndef DOUSHARD_SLOTSET_H
#define DOUSHARD_SLOTSET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Shared and own slots together. */
#define SLOTS_MAX 65536

#define SLOTSET_BITS  64
#define SLOTSET_WORDS (SLOTS_MAX / SLOTSET_BITS)

/* Bit slot MOD 64 of word slot DIV 64. All zeros: empty. */
struct slotset {
    uint64_t words[SLOTSET_WORDS];
};

/* Slots from SLOTS_MAX up are in no set. */
static inline void slotset_add(struct slotset *set, uint32_t slot)
{
    if (slot < SLOTS_MAX) {
        set->words[slot / SLOTSET_BITS] |= UINT64_C(1) << (slot % SLOTSET_BITS);
    }
}

static inline void slotset_remove(struct slotset *set, uint32_t slot)
{
    if (slot < SLOTS_MAX) {
        set->words[slot / SLOTSET_BITS] &= ~(UINT64_C(1) << (slot % SLOTSET_BITS));
    }
}

static inline void slotset_add_all(struct slotset *set, const struct slotset *more)
{
    for (size_t i = 0; i < SLOTSET_WORDS; i++) {
        set->words[i] |= more->words[i];
    }
}

static inline void slotset_remove_all(struct slotset *set, const struct slotset *others)
{
    for (size_t i = 0; i < SLOTSET_WORDS; i++) {
        set->words[i] &= ~others->words[i];
    }
}

static inline bool slotset_has(const struct slotset *set, uint32_t slot)
{
    return slot < SLOTS_MAX &&
           (set->words[slot / SLOTSET_BITS] >> (slot % SLOTSET_BITS) & 1) != 0;
}

/* The first slot from FROM on that is in SET and not in EXCEPT (NULL: nothing is);
 * SLOTS_MAX: there is none. */
static inline uint32_t slotset_next(const struct slotset *set,
                                    const struct slotset *except, uint32_t from)
{
    for (uint32_t slot = from; slot < SLOTS_MAX;) {
        uint32_t word = slot / SLOTSET_BITS;
        uint64_t left = set->words[word] & UINT64_MAX << (slot % SLOTSET_BITS);
        left &= except == NULL ? UINT64_MAX : ~except->words[word];
        if (left != 0) {
            return word * SLOTSET_BITS + (uint32_t)__builtin_ctzll(left);
        }
        slot = (word + 1) * SLOTSET_BITS;
    }
    return SLOTS_MAX;
}

#endif
