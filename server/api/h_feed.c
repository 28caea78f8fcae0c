/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* /douyin/feed/: the newest videos of everybody, paged by time. */
#include "shard/base/clock.h"

#include "shard/cache.h"
#include "shard/feed.h"
#include "shard/timeline.h"
#include "shard/viewer.h"

#include "server/api/handlers.h"
#include "server/api/page.h"
#include "server/api/views.h"
#include "server/auth/auth.h"
#include "server/base/app.h"
#include "server/config/config.h"
#include "server/request/request.h"

/* A request for videos older than this by our clock does not want the newest page. */
#define NEWEST_MS 10000

/* How often to wait for a page that another request makes. */
#define ROUNDS_MAX   3
#define PAGE_WAIT_MS 200

/* Where the next page begins. Clients send it back as latest_time and expect it always to
 * lead somewhere: an empty page repeats the time it was asked for, or without one says
 * now, where the newest are. */
static int64_t next_time_ms(const struct video_page *page, int64_t before_ms)
{
    if (page->next_time_ms > 0) {
        return page->next_time_ms;
    }
    return before_ms > 0 ? before_ms : clock_wall_ms();
}

/* ---- The newest page, kept ready ---- */

static size_t limit_of(const struct request *req)
{
    return (size_t)app_config(req->app)->feed_limit;
}

static struct page_name newest(const struct request *req)
{
    return (struct page_name){.key = {.kind = CACHE_TIMELINE, .other = limit_of(req)}};
}

/* Is PAGE, the newest, what the caller wants? */
static bool wants(const struct request *req, const struct page *page)
{
    int64_t before_ms = request_param(req, "latest_time")->integer;

    return before_ms == 0 || before_ms > page->newest_ms;
}

/* Cards with ids only, to get their flags; in the arena. NULL: out of memory.
 */
static struct video_card *bare_cards(struct request *req, const struct page *page)
{
    struct video_card *cards = arena_calloc(&req->arena, page->n, sizeof *cards);

    for (size_t i = 0; cards != NULL && i < page->n; i++) {
        cards[i].id = page->items[i].video_id;
        cards[i].author.id = page->items[i].user_id;
    }
    return cards;
}

/* Answer with PAGE and the flags of CARDS. False: out of memory. */
static bool reply_flagged(struct request *req, const struct page *page,
                          const struct video_card *cards)
{
    struct page_flags *flags = arena_calloc(&req->arena, page->n, sizeof *flags);

    if (flags == NULL) {
        return false;
    }
    for (size_t i = 0; i < page->n; i++) {
        flags[i] = (struct page_flags){.is_follow = cards[i].author.is_follow,
                                       .is_favorite = cards[i].is_favorite};
    }
    page_reply(req, page, flags);
    return true;
}

bool h_feed_quick(struct request *req)
{
    struct app *app = req->app;
    struct video_card *cards = NULL;
    struct page_name name = newest(req);
    const struct page *page =
        app->pages == NULL ? NULL : pages_peek(app->pages, req, &name);
    bool is_known = page != NULL && wants(req, page) && auth_recall(app->auth, req);

    if (is_known && req->who.user_id == 0) {
        page_reply(req, page, NULL);
    } else if (is_known) {
        cards = bare_cards(req, page);
        is_known =
            cards != NULL && viewer_recall_videos(app->cache, &req->arena,
                                                  req->who.user_id, cards, page->n);
        is_known = is_known && reply_flagged(req, page, cards);
    }
    page_put(page);
    return is_known;
}

/* The cards of TIMELINE, without videos that are gone. */
static enum outcome get_cards(struct request *req, const struct timeline *timeline,
                              struct video_page *shown)
{
    struct video_card *cards = arena_calloc(&req->arena, timeline->n, sizeof *cards);

    *shown = (struct video_page){.videos = cards, .partial = timeline->partial};
    if (cards == NULL) {
        return OUTCOME_NOMEM;
    }
    enum outcome outcome =
        video_get(req->app->router, &req->call, timeline->ids, timeline->n, cards);
    for (size_t i = 0; i < timeline->n; i++) {
        if (cards[i].id != 0) {
            cards[shown->n++] = cards[i];
        }
    }
    return outcome;
}

/* Keep the answer of REQ, the page SHOWN. */
static const struct page *keep(struct request *req, const struct video_page *shown,
                               int64_t newest_ms, const struct cache_since *since)
{
    struct page_name name = newest(req);
    struct page_item *items = arena_calloc(&req->arena, shown->n, sizeof *items);

    for (size_t i = 0; items != NULL && i < shown->n; i++) {
        items[i] = (struct page_item){.user_id = shown->videos[i].author.id,
                                      .video_id = shown->videos[i].id};
    }
    const struct page page = {.items = items, .n = shown->n, .newest_ms = newest_ms};
    return items == NULL ? NULL : pages_keep(req->app->pages, req, &name, since, &page);
}

/* Make a new page. NULL: none can be kept, because there are no videos, a shard did not
 * answer, or memory is out. */
static const struct page *build(struct request *req)
{
    struct timeline timeline;
    struct video_page shown;
    struct cache_since since = cache_since(req->app->cache);

    if (timeline_get(req->app->router, &req->call, limit_of(req), &timeline) !=
            OUTCOME_OK ||
        timeline.n == 0 || timeline.partial ||
        get_cards(req, &timeline, &shown) != OUTCOME_OK || shown.n == 0) {
        return NULL;
    }
    struct json_out *out = reply_begin(req);
    view_videos(out, req, &shown);
    json_out_integer(out, "next_time", timeline.next_time_ms);
    json_out_bool(out, "partial", false);
    reply_end(req);
    return keep(req, &shown, timeline.newest_ms, &since);
}

/* The newest page, which one request builds for all. NULL as above, or when the builder
 * waits for a shard: then it is better to read what there is. */
static const struct page *get_newest(struct request *req)
{
    struct pages *pages = req->app->pages;
    struct page_name name = newest(req);
    struct flight flight = {.key = name.key};
    int64_t until_ms = clock_earlier(req->deadline_ms, clock_mono_ms() + PAGE_WAIT_MS);

    for (unsigned round = 0; round < ROUNDS_MAX; round++) {
        const struct page *page = pages_peek(pages, req, &name);
        if (page != NULL) {
            return page;
        }
        if (copies_lead(pages_flights(pages), &flight)) {
            page = build(req);
            copies_land(pages_flights(pages), &flight);
            return page;
        }
        if (!copies_wait(pages_flights(pages), &flight.key, until_ms)) {
            return NULL;
        }
    }
    return build(req); /* each was outdated at once: there are many writes */
}

/* Answer with the newest page, if that is what the caller wants and it can be kept. */
static bool list_newest(struct request *req)
{
    struct video_page shown = {.n = 0};
    bool is_answered = false;
    int64_t before_ms = request_param(req, "latest_time")->integer;

    if (!cache_is_local(req->app->cache) ||
        (before_ms != 0 && before_ms < clock_wall_ms() - NEWEST_MS)) {
        return false;
    }
    const struct page *page = get_newest(req);
    if (page != NULL && wants(req, page)) {
        shown.videos = bare_cards(req, page);
        shown.n = page->n;
        if (shown.videos != NULL) {
            view_mark_videos(req, &shown);
            is_answered = !shown.partial && reply_flagged(req, page, shown.videos);
        }
    }
    page_put(page);
    return is_answered;
}

/* ---- Any page ---- */

static void list_older(struct request *req)
{
    int64_t before_ms = request_param(req, "latest_time")->integer;
    struct video_page page = {0};
    enum outcome outcome = feed_list(req->app->router, &req->call, before_ms,
                                     (size_t)app_config(req->app)->feed_limit, &page);

    if (outcome != OUTCOME_OK) {
        reply_outcome(req, outcome);
        return;
    }
    view_mark_videos(req, &page);
    struct json_out *out = reply_begin(req);
    view_videos(out, req, &page);
    json_out_integer(out, "next_time", next_time_ms(&page, before_ms));
    json_out_bool(out, "partial", page.partial);
    reply_end(req);
}

void h_feed_list(struct request *req)
{
    if (!list_newest(req)) {
        list_older(req);
    }
}
