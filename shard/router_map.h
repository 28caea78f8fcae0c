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

/* Adopt the rows of MAP, the answer of SHARD's slot_map(). LESSON takes what is newer
 * here, and whom the shard has to stop serving a slot for. Slots that come into dispute,
 * or out of it, are logged; hearsay that is not believed is kept in the shard's state.
 * False: MAP cannot be read. */
bool map_compare(struct shard *shard, const struct dbresult *map,
                 struct lesson *lesson) MUST_CHECK;

#endif
