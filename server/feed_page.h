/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* The newest page of the feed, ready to be sent: its bytes are built once per change, not
 * once per request.
 *
 * It is good for CACHE_LOCAL_MS, unless this process writes something that it shows. One
 * request builds a new one, the others wait for it. What the viewer has to do with the
 * videos is written over a copy: "false" and "true " have the same length. */
#ifndef DOUSHARD_FEED_PAGE_H
#define DOUSHARD_FEED_PAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shard/base/check.h"

#include "shard/outcome.h"

struct feed_pages;
struct request;
struct router;

/* A video of the page, and where its flags are in the bytes. */
struct feed_page_video {
    uint64_t id;
    uint64_t author_id;
    size_t follow_at;
    size_t favorite_at;
};

/* Never changes. */
struct feed_page {
    const char *body;
    size_t len;
    const struct feed_page_video *videos;
    size_t n;
    int64_t newest_ms; /* when the first was published, since the Unix epoch */
};

/* None is ready yet. NULL: memory is short. */
struct feed_pages *feed_pages_new(void) MUST_CHECK;

/* Nobody has a page any more. *PAGES becomes NULL; NULL is allowed. */
void feed_pages_free(struct feed_pages **pages);

/* The page that is ready and good now, or NULL. Never blocks. feed_page_put() follows. */
const struct feed_page *feed_pages_peek(struct feed_pages *pages, struct request *req);

/* The same, or a new one, for which shards may be asked. OK: *PAGE is set; NULL: there
 * are no videos, some shard did not answer, or memory is short, so that no page can be
 * kept. Else no shard answered. Blocks until the request's deadline at the latest. */
enum outcome feed_pages_get(struct feed_pages *pages, struct request *req,
                            const struct feed_page **page);

/* PAGE, which may be NULL, is of no use any more to who got it. */
void feed_page_put(const struct feed_page *page);

/* Set the flag at PLACE in BODY, a copy of a page's. */
void feed_page_set_flag(char *body, size_t place);

#endif
