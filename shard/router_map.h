/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Compares a shard's slot_map() with the map of this process. */
#ifndef DOUSHARD_ROUTER_MAP_H
#define DOUSHARD_ROUTER_MAP_H

#include <stdbool.h>

#include "shard/base/buf.h"
#include "shard/base/check.h"

#include "shard/dbresult.h"
#include "shard/router_impl.h"

/* What this process knows and the shard does not: the argument of slot_learn(). */
struct lesson {
    struct buf json; /* an array, the last bracket open; empty when n is 0 */
    unsigned n;
};

void lesson_init(struct lesson *lesson);

/* Limit of flips found at once; others are found the next time. */
#define FLIPS_AT_ONCE 32

struct flip_list {
    struct flip flips[FLIPS_AT_ONCE];
    unsigned n;
};

/* What one comparison finds to do. */
struct map_news {
    struct lesson lesson;
    struct flip_list given; /* new flips by which the shard gave slots to others that have
                             * not claimed them, as far as is known */
    struct flip_list taken; /* flips, begun by others, that give slots to the shard */
};

/* Adopt the rows of MAP, the answer of SHARD's slot_map(). NEWS->lesson, initialised,
 * gets what is newer here, and rival claims for which the shard must stop serving a slot.
 * Slots that come into dispute, or out of it, are logged; hearsay that is not believed is
 * kept in the shard's state. False: MAP cannot be read. */
bool map_compare(struct shard *shard, const struct dbresult *map,
                 struct map_news *news) MUST_CHECK;

#endif
