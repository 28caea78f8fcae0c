/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* The cards of videos: from the cache, else by the procedure video_get. */
#include "shard/cards.h"
#include "shard/parts.h"
#include "shard/publish.h"
#include "shard/router_call.h"

/* Some videos, all different. */
struct videos {
    struct router *router;
    struct call *call;
    struct cache_item *items;
    size_t n;
    struct video_card *cards; /* cards read from a shard: complete */
    bool is_unreadable;
};

static void take_row(void *context, const struct cache_item *item,
                     const struct router_answer *answer)
{
    struct videos *videos = context;
    struct video_card *card = &videos->cards[item - videos->items];

    if (!cards_read_video(answer->result, answer->row, card)) {
        videos->is_unreadable = true;
        return;
    }
    parts_offer_author(videos->router, &item->since, answer->result, answer->row);
}

static enum outcome load(void *context, struct cache_item **items, size_t n)
{
    struct videos *videos = context;
    const struct parts_query query = {.router = videos->router,
                                      .call = videos->call,
                                      .proc = PROC_VIDEO_GET,
                                      .row = take_row,
                                      .context = videos};

    return parts_load(&query, items, n);
}

/* Fill in the authors of cards that have only their ids. A video whose author is gone is
 * gone, too. */
static enum outcome add_authors(struct videos *videos, const bool *lacks_author)
{
    uint64_t *ids = arena_calloc(videos->call->arena, videos->n, sizeof *ids);
    struct user_card *authors =
        arena_calloc(videos->call->arena, videos->n, sizeof *authors);
    size_t n = 0;

    if (ids == NULL || authors == NULL) {
        return call_no_memory(videos->call);
    }
    for (size_t i = 0; i < videos->n; i++) {
        if (lacks_author[i]) {
            ids[n++] = videos->cards[i].author.id;
        }
    }
    enum outcome outcome = user_get(videos->router, videos->call, ids, n, authors);
    n = 0;
    for (size_t i = 0; i < videos->n; i++) {
        if (lacks_author[i]) {
            videos->cards[i].author = authors[n++];
            videos->cards[i].id =
                videos->cards[i].author.id == 0 ? 0 : videos->cards[i].id;
        }
    }
    return outcome;
}

/* Make the cards of the videos that the cache had. */
static enum outcome show_cached(struct videos *videos)
{
    bool *lacks_author =
        arena_calloc(videos->call->arena, videos->n, sizeof *lacks_author);

    if (lacks_author == NULL) {
        return call_no_memory(videos->call);
    }
    for (size_t i = 0; i < videos->n; i++) {
        const struct cache_item *item = &videos->items[i];
        if (videos->cards[i].id != 0 || item->data == NULL || item->len == 0) {
            continue;
        }
        if (!part_show(CACHE_VIDEO, item->data, item->len, &videos->cards[i])) {
            videos->is_unreadable = true;
            continue;
        }
        lacks_author[i] = true;
    }
    return add_authors(videos, lacks_author);
}

/* At most OPS_MAX videos. */
static enum outcome get_some(struct router *router, struct call *call,
                             const uint64_t *ids, size_t n, struct video_card *cards)
{
    struct videos videos = {.router = router, .call = call, .n = n, .cards = cards};
    const struct cache_reader reader = {
        .router = router, .call = call, .load = load, .context = &videos};

    videos.items = arena_calloc(call->arena, n, sizeof *videos.items);
    if (videos.items == NULL) {
        return call_no_memory(call);
    }
    for (size_t i = 0; i < n; i++) {
        videos.items[i].key = (struct copy_key){.kind = CACHE_VIDEO, .owner = ids[i]};
        cards[i] = (struct video_card){.id = 0};
    }
    enum outcome loaded = cache_read(&reader, videos.items, n);
    enum outcome shown = show_cached(&videos);
    if (videos.is_unreadable) {
        return proc_unreadable(call, PROC_VIDEO_GET);
    }
    return loaded != OUTCOME_OK ? loaded : shown;
}

enum outcome video_get(struct router *router, struct call *call, const uint64_t *ids,
                       size_t n, struct video_card *cards)
{
    enum outcome outcome = OUTCOME_OK;

    for (size_t done = 0; done < n; done += OPS_MAX) {
        size_t left = n - done;
        enum outcome got = get_some(router, call, ids + done,
                                    left < OPS_MAX ? left : OPS_MAX, cards + done);
        outcome = got == OUTCOME_OK ? outcome : got;
    }
    return outcome;
}
