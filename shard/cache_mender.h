/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Writes that Redis did not answer in time: a thread tries to mark their keys until Redis
 * confirms it, or for CACHE_CONFIRM_MS, after which every reader notices by itself. */
#ifndef DOUSHARD_CACHE_MENDER_H
#define DOUSHARD_CACHE_MENDER_H

#include <stdint.h>

#include "shard/base/check.h"

#include "shard/cache.h"

struct cache_mender;

/* Limit of keys remembered; more are left to the readers. */
#define CACHE_MENDER_MAX 8192

/* Starts the thread. CACHE (ref) is written by cache_write_redis(). NULL: no memory or no
 * thread. */
struct cache_mender *cache_mender_new(struct cache *cache) MUST_CHECK;

/* *MENDER becomes NULL; NULL is allowed. */
void cache_mender_free(struct cache_mender **mender);

/* Mark KEY as changed to VER as soon as Redis answers. Never blocks. */
void cache_mender_add(struct cache_mender *mender, const struct copy_key *key,
                      uint64_t ver);

#endif
