/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* The newest page of the feed as ids. */
#include "shard/timeline.h"

#include "shard/base/le64.h"

#include "shard/cache.h"
#include "shard/feed.h"
#include "shard/router.h"

/* A kept page has: the limit, newest_ms, next_time_ms, and the ids. */
#define HEAD_NUMBERS 3

/* Context of the load. A page kept by a server with another limit is not used. */
struct loading {
    struct router *router;
    struct call *call;
    size_t limit;
    bool partial;
};

static bool write_page(struct call *call, size_t limit, const struct video_page *page,
                       struct cache_item *item)
{
    char *bytes = arena_calloc(call->arena, HEAD_NUMBERS + page->n, LE64_BYTES);

    if (bytes == NULL) {
        return false;
    }
    le64_write(bytes, limit);
    le64_write(bytes + LE64_BYTES,
               page->n > 0 ? (uint64_t)page->videos[0].published_at_ms : 0);
    le64_write(bytes + 2 * LE64_BYTES, (uint64_t)page->next_time_ms);
    for (size_t i = 0; i < page->n; i++) {
        le64_write(bytes + (HEAD_NUMBERS + i) * LE64_BYTES, page->videos[i].id);
    }
    item->data = bytes;
    item->len = (HEAD_NUMBERS + page->n) * LE64_BYTES;
    return true;
}

static enum outcome load(void *context, struct cache_item **items, size_t n)
{
    struct loading *loading = context;
    struct video_page page = {.n = 0};
    enum outcome outcome =
        feed_list(loading->router, loading->call, 0, loading->limit, &page);

    CHECK(n == 1);
    if (outcome != OUTCOME_OK) {
        return outcome;
    }
    if (!write_page(loading->call, loading->limit, &page, items[0])) {
        return call_no_memory(loading->call);
    }
    loading->partial = page.partial;
    items[0]->is_private = page.partial;
    return OUTCOME_OK;
}

/* False: it is invalid, or has another limit. */
static bool read_page(struct arena *arena, const struct cache_item *item, size_t limit,
                      struct timeline *timeline)
{
    size_t n = item->len / LE64_BYTES;

    if (item->len % LE64_BYTES != 0 || n < HEAD_NUMBERS ||
        le64_read(item->data) != limit) {
        return false;
    }
    *timeline = (struct timeline){
        .n = n - HEAD_NUMBERS,
        .newest_ms = (int64_t)le64_read(item->data + LE64_BYTES),
        .next_time_ms = (int64_t)le64_read(item->data + 2 * LE64_BYTES)};
    timeline->ids = arena_calloc(arena, timeline->n, sizeof *timeline->ids);
    for (size_t i = 0; timeline->ids != NULL && i < timeline->n; i++) {
        timeline->ids[i] = le64_read(item->data + (HEAD_NUMBERS + i) * LE64_BYTES);
    }
    return timeline->ids != NULL;
}

enum outcome timeline_get(struct router *router, struct call *call, size_t limit,
                          struct timeline *timeline)
{
    struct loading loading = {.router = router, .call = call, .limit = limit};
    const struct cache_reader reader = {
        .router = router, .call = call, .load = load, .context = &loading};
    struct cache_item item = {.key = {.kind = CACHE_TIMELINE}};
    struct cache_item *items[] = {&item};
    enum outcome outcome = cache_read(&reader, &item, 1);

    if (outcome == OUTCOME_OK && !read_page(call->arena, &item, limit, timeline)) {
        outcome = load(&loading, items, 1);
        if (outcome == OUTCOME_OK && !read_page(call->arena, &item, limit, timeline)) {
            call_explain(call, "out of memory");
            outcome = OUTCOME_NOMEM;
        }
    }
    if (outcome == OUTCOME_OK) {
        timeline->partial = loading.partial;
    }
    return outcome;
}
