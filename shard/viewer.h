/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* The viewer's flags of what is shown: is_follow and is_favorite. */
#ifndef DOUSHARD_VIEWER_H
#define DOUSHARD_VIEWER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shard/comment.h"
#include "shard/publish.h"
#include "shard/user.h"

struct cache;
struct router;

/* Set the flags of cards from the cached sets of VIEWER_ID (viewer_sets.h), and the rest
 * by one CALL on the viewer's shard; none when VIEWER_ID is 0 (a visitor) or nothing is
 * left. At most 1000 cards. Nobody follows themselves. On any outcome but OK unknown
 * flags are false. */

/* users[i].is_follow */
enum outcome viewer_mark_users(struct router *router, struct call *call,
                               uint64_t viewer_id, struct user_card *users, size_t n);

/* videos[i].is_favorite and videos[i].author.is_follow */
enum outcome viewer_mark_videos(struct router *router, struct call *call,
                                uint64_t viewer_id, struct video_card *videos, size_t n);

/* comments[i].author.is_follow */
enum outcome viewer_mark_comments(struct router *router, struct call *call,
                                  uint64_t viewer_id, struct comment *comments, size_t n);

/* The same from CACHE's copies in this process: never blocks. False: not everything is
 * known, and flags may be set or not. */
bool viewer_recall_users(struct cache *cache, struct arena *arena, uint64_t viewer_id,
                         struct user_card *users, size_t n) MUST_CHECK;
bool viewer_recall_videos(struct cache *cache, struct arena *arena, uint64_t viewer_id,
                          struct video_card *videos, size_t n) MUST_CHECK;

#endif
