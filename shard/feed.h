/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Caller of procedures/feed/: the newest videos of all shards. */
#ifndef DOUSHARD_FEED_H
#define DOUSHARD_FEED_H

#include <stddef.h>
#include <stdint.h>

#include "shard/call.h"
#include "shard/outcome.h"
#include "shard/publish.h"

struct router;

/* About LIMIT videos published before BEFORE_MS (ms since the Unix epoch; 0 = no bound),
 * newest first. The page never ends inside a group of equal times: the group is left for
 * the next page, or returned whole if it is the whole page, so that N may exceed LIMIT
 * then. page->partial says that a shard did not answer. OK unless no shard answered
 * (UNAVAILABLE, TIMEOUT). Thread-safe; blocks until call->deadline_ms at the latest. */
enum outcome feed_list(struct router *router, struct call *call, int64_t before_ms,
                       size_t limit, struct video_page *page);

/* How many of the N videos (sorted, newest first) make a page of about LIMIT: the rule
 * above. Pure. */
size_t feed_page_length(const struct video_card *videos, size_t n, size_t limit);

#endif
