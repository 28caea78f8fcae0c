/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Inside the cache: shared by the files shard/cache*.c only. */
#ifndef DOUSHARD_CACHE_IMPL_H
#define DOUSHARD_CACHE_IMPL_H

#include <stdbool.h>
#include <stddef.h>

#include "shard/cache.h"

/* Write the N CHANGES to Redis, where something is cached; IS_LOST says which of them
 * Redis did not answer in time. Blocks for CACHE_WRITE_MS at most. */
void cache_write_redis(struct cache *cache, const struct cache_change *changes, size_t n,
                       int64_t until_ms, bool *is_lost);

#endif
