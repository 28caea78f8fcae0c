/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Which server has which slot, as far as this process has heard.
 *
 * There are two kinds of news. A claim is a server's own statement that it has the slot
 * at that epoch. Hearsay is what one server says about another. A higher epoch replaces a
 * lower one; at the same epoch a claim beats hearsay, a server that the topology names
 * beats one that it does not (it may have been added since), and a second claim, of
 * another server, puts the slot in dispute: no server is asked for it until a higher
 * epoch is heard. An epoch more than 1,000 above a claim is treated as a mistake and not
 * believed. So the order in which news arrives does not matter.
 *
 * All functions are thread-safe and do not block. */
#ifndef DOUSHARD_SLOTMAP_H
#define DOUSHARD_SLOTMAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shard/base/check.h"

#include "shard/slotset.h"

/* The index of a server that the topology does not name. */
#define SLOTMAP_FOREIGN 255

struct slotmap;

struct slot_place {
    uint64_t epoch;   /* 0: nothing is known of this slot */
    unsigned server;  /* index in the topology, or SLOTMAP_FOREIGN */
    bool is_claimed;  /* SERVER itself says so */
    bool is_disputed; /* another one claims it at the same epoch: nobody serves it */
    bool is_empty;    /* an own slot that its owner has left: SERVER is SLOTMAP_FOREIGN */
    unsigned rival;   /* the other claimant; SLOTMAP_FOREIGN: it was not asked itself */
    unsigned told_by; /* the first source: SERVER itself, or that of hearsay */
};

/* NULL when out of memory. */
struct slotmap *slotmap_new(void) MUST_CHECK;
void slotmap_free(struct slotmap **map);

/* Slots from SLOTS_MAX up are unknown: epoch 0. */
struct slot_place slotmap_get(struct slotmap *map, uint32_t slot);

/* Adopt PLACE, a claim or hearsay: true when the slot now has another owner or epoch. */
bool slotmap_adopt(struct slotmap *map, uint32_t slot, struct slot_place place);

/* Something, such as a move, keeps operations in this slot waiting: until UNTIL_MS
 * (monotonic) they should not share a CALL with other slots. */
void slotmap_set_restless(struct slotmap *map, uint32_t slot, int64_t until_ms);
bool slotmap_is_restless(struct slotmap *map, uint32_t slot, int64_t now_ms);

/* All known slots: the shared ones, and the own slots that have an owner. */
void slotmap_all(struct slotmap *map, struct slotset *slots);

/* How many slots SERVER has. */
unsigned slotmap_count(struct slotmap *map, unsigned server);

/* The slot in which to look for an owner: its own slot if it is known to have one, else
 * the shared slot of its id. */
uint32_t slotmap_home(struct slotmap *map, uint64_t owner_id);

/* Remember that an owner lives in a slot of its own. This is a cache of fixed size: what
 * is forgotten is learned again from the answer "moved". */
void slotmap_set_home(struct slotmap *map, uint64_t owner_id, uint32_t slot);

#endif
