/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* The users that a user follows and the videos that they like, as far as the cache keeps
 * them: the newest VIEWER_SET_MAX of each. A set with fewer is complete, so all others
 * are "no"; of a full set only "yes" is known. */
#ifndef DOUSHARD_VIEWER_SETS_H
#define DOUSHARD_VIEWER_SETS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shard/base/check.h"

#include "shard/cache.h"
#include "shard/call.h"
#include "shard/outcome.h"

#define VIEWER_SET_MAX 512

struct router;

/* The bytes that the cache keeps; all in the arena of the call. */
struct viewer_sets {
    const char *users; /* ids, sorted, as le64_write() does */
    size_t n_users;
    const char *videos; /* likewise */
    size_t n_videos;
};

enum viewer_answer { VIEWER_NO, VIEWER_YES, VIEWER_PERHAPS };

/* From the cache of ROUTER, else by the procedure viewer_sets. Of a user that is gone the
 * sets are empty. */
enum outcome viewer_sets_get(struct router *router, struct call *call, uint64_t viewer_id,
                             struct viewer_sets *sets);

/* The same from this process's memory. False: the process does not have them. */
bool viewer_sets_peek(struct cache *cache, struct arena *arena, uint64_t viewer_id,
                      struct viewer_sets *sets) MUST_CHECK;

enum viewer_answer viewer_sets_follows(const struct viewer_sets *sets, uint64_t user_id);
enum viewer_answer viewer_sets_likes(const struct viewer_sets *sets, uint64_t video_id);

#endif
