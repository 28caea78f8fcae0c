/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Which slots each shard serves, by the generation of its fences.
 *
 * A shard draws a new generation whenever a fence changes. So an answer only has to name
 * the generation, and whoever has read the map of that generation knows which slots the
 * answer covers. The last generation read is kept for each shard. Thread-safe. */
#ifndef DOUSHARD_COVERAGE_H
#define DOUSHARD_COVERAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shard/base/check.h"

#include "shard/dbresult.h"
#include "shard/slotset.h"

struct coverage;

/* NULL when out of memory. */
struct coverage *coverage_new(size_t n_shards) MUST_CHECK;

/* *COVERAGE becomes NULL; NULL is allowed. */
void coverage_free(struct coverage **coverage);

/* Remember MAP, the answer of slot_map on SHARD. False: it cannot be read. */
bool coverage_learn(struct coverage *coverage, size_t shard,
                    const struct dbresult *map) MUST_CHECK;

/* Add to SLOTS those that SHARD serves under the generation GEN. False: that is not the
 * generation whose map was read last; SLOTS is as it was. */
bool coverage_add(struct coverage *coverage, size_t shard, uint64_t gen,
                  struct slotset *slots);

#endif
