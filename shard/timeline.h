/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* The newest page of the feed as ids, which the cache keeps. Cards are read by
 * video_get(), and a video is shown only with a live card: so a deleted video does not
 * appear even if a kept page still has its id, and a page can be made again at any
 * time. */
#ifndef DOUSHARD_TIMELINE_H
#define DOUSHARD_TIMELINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shard/call.h"
#include "shard/outcome.h"

struct router;

struct timeline {
    uint64_t *ids; /* in the call's arena; newest first */
    size_t n;
    int64_t newest_ms; /* when the first was published, since the Unix epoch; 0: none */
    int64_t next_time_ms; /* of feed_list() */
    bool partial;         /* some slot has no answer; then it is not kept */
};

/* As feed_list() with no bound in time. */
enum outcome timeline_get(struct router *router, struct call *call, size_t limit,
                          struct timeline *timeline);

#endif
