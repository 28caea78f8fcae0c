/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Caller of procedures/feed/: the newest videos of all shards. */
#ifndef DOUSHARD_FEED_H
#define DOUSHARD_FEED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shard/call.h"
#include "shard/dbresult.h"
#include "shard/outcome.h"
#include "shard/publish.h"

struct router;

/* Up to this many shards send cards with their answers; with more, only the cards of the
 * page are read, once it is known. */
#define FEED_CARDS_SHARDS_MAX 8

/* About LIMIT videos published before BEFORE_MS (ms since the Unix epoch; 0 = no bound),
 * newest first. The page never ends inside a group of equal times: the group is left for
 * the next page, or returned whole if it is the whole page, so that N may then exceed
 * LIMIT; a video that vanishes meanwhile is missing. page->partial says that some slot
 * has no answer. One CALL per shard, and one more per shard with a video of the page if
 * cards do not come with the answers. OK unless no shard answered (UNAVAILABLE, TIMEOUT).
 * Thread-safe; blocks until call->deadline_ms at the latest. */
enum outcome feed_list(struct router *router, struct call *call, int64_t before_ms,
                       size_t limit, struct video_page *page);

/* What to read. */
struct feed_query {
    int64_t before_ms;
    size_t limit;
    bool ids_first; /* cards do not come with the answers */
};

/* The same, for QUERY. */
enum outcome feed_read(struct router *router, struct call *call,
                       const struct feed_query *query, struct video_page *page);

/* One video in a shard's answer. */
struct feed_entry {
    uint64_t id;
    int64_t published_at_ms;
    const struct dbresult *rows; /* where its card is, if cards came with the answers */
    size_t row;
};

/* How many of the N entries (sorted, newest first) make a page of about LIMIT: the rule
 * above. Pure. */
size_t feed_page_length(const struct feed_entry *entries, size_t n, size_t limit);

#endif
