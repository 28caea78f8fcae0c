/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* What a shard's slot_map() tells this process, and this process the shard. */
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

/* Flips that one look finds at most; others are found by the next. */
#define FLIPS_AT_ONCE 32

struct flip_list {
    struct flip flips[FLIPS_AT_ONCE];
    unsigned n;
};

/* What one look finds that is to be done. */
struct map_news {
    struct lesson lesson;
    struct flip_list given; /* flips by which the shard gave slots to others that have not
                             * claimed them, as far as is known, and that are new here */
    struct flip_list taken; /* flips that make slots the shard's, and that others began */
};

/* Adopt the rows of MAP, the answer of SHARD's slot_map(). NEWS->lesson, initialised,
 * takes what is newer here, and whom the shard has to stop serving a slot for. Slots that
 * come into dispute, or out of it, are logged; hearsay that is not believed is kept in
 * the shard's state. False: MAP cannot be read. */
bool map_compare(struct shard *shard, const struct dbresult *map,
                 struct map_news *news) MUST_CHECK;

#endif
