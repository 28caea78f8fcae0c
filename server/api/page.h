/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Pages kept ready to be sent: their bytes are built once per change, not once per
 * request.
 *
 * A page is good for CACHE_LOCAL_MS, unless this process writes something that it shows.
 * The viewer's flags are written into a copy: "false" and "true " have the same length. A
 * limited number is kept; new ones replace old ones. */
#ifndef DOUSHARD_API_PAGE_H
#define DOUSHARD_API_PAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shard/base/check.h"

#include "shard/cache.h"

struct pages;
struct request;

/* A user and perhaps a video that a page shows, and where their flags are in its bytes.
 */
struct page_item {
    uint64_t user_id;
    uint64_t video_id; /* 0: none */
    size_t follow_at;
    size_t favorite_at;
};

/* Never changes. */
struct page {
    const char *body;
    size_t len;
    struct page_item *items;
    size_t n;
    int64_t
        newest_ms; /* of the feed: when the first was published, since the Unix epoch */
};

/* Which page: KEY as in the cache, with the limit as `other`. VER is the version of the
 * list, 0 where it has none. */
struct page_name {
    struct copy_key key;
    uint64_t ver;
};

/* Without pages at first. NULL: out of memory. */
struct pages *pages_new(void) MUST_CHECK;

/* All pages must have been put. *PAGES becomes NULL; NULL is allowed. */
void pages_free(struct pages **pages);

/* The page NAME if it is ready and good now, or NULL. Never blocks. Call page_put()
 * afterwards.
 */
const struct page *pages_peek(struct pages *pages, const struct request *req,
                              const struct page_name *name);

/* Keep the answer of REQ, which shows the N users and videos of ITEMS (their ids are set)
 * in that order without a viewer's flags, and was made SINCE. NULL: it cannot be kept, or
 * out of memory. Call page_put() afterwards. */
const struct page *pages_keep(struct pages *pages, const struct request *req,
                              const struct page_name *name,
                              const struct cache_since *since, const struct page *shown);

/* The caller no longer needs PAGE, which may be NULL. */
void page_put(const struct page *page);

/* The flags of one item for one viewer. */
struct page_flags {
    bool is_follow;
    bool is_favorite;
};

/* Answer REQ with a copy of PAGE in which FLAGS are set; NULL: none are. */
void page_reply(struct request *req, const struct page *page,
                const struct page_flags *flags);

/* Be the one who makes a page (copies_lead()), or wait for who does (copies_wait()). */
struct copies *pages_flights(struct pages *pages);

#endif
