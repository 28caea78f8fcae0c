/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* /douyin/feed/: the newest videos of everybody, paged by time. */
#include <stdlib.h>
#include <string.h>

#include "shard/base/clock.h"

#include "shard/cache.h"
#include "shard/feed.h"
#include "shard/viewer.h"

#include "server/app.h"
#include "server/auth.h"
#include "server/config.h"
#include "server/feed_page.h"
#include "server/handlers.h"
#include "server/request.h"
#include "server/views.h"

/* Who asks for what is older than this by our clock does not want the newest page. */
#define NEWEST_MS 10000

/* Where the next page begins. Clients send it back as latest_time and expect it to lead
 * somewhere always: an empty page repeats the time it was asked for, and one that was
 * asked for no time says now, where the newest are. */
static int64_t next_time_ms(const struct video_page *page, int64_t before_ms)
{
    if (page->next_time_ms > 0) {
        return page->next_time_ms;
    }
    return before_ms > 0 ? before_ms : clock_wall_ms();
}

/* ---- the newest page, which is ready ---- */

/* Is the caller to get PAGE, the newest? */
static bool wants(const struct request *req, const struct feed_page *page)
{
    int64_t before_ms = request_param(req, "latest_time")->integer;

    return before_ms == 0 || before_ms > page->newest_ms;
}

/* Answer with a copy of PAGE, in which the flags of CARDS are set; CARDS NULL: none are.
 */
static void reply_page(struct request *req, const struct feed_page *page,
                       const struct video_card *cards)
{
    char *body = malloc(page->len);

    if (body != NULL) {
        memcpy(body, page->body, page->len);
    }
    for (size_t i = 0; body != NULL && cards != NULL && i < page->n; i++) {
        if (cards[i].author.is_follow) {
            feed_page_set_flag(body, page->videos[i].follow_at);
        }
        if (cards[i].is_favorite) {
            feed_page_set_flag(body, page->videos[i].favorite_at);
        }
    }
    reply_json(req, body, page->len);
}

/* Cards that have no more than ids, for their flags; in the arena. NULL: memory is short.
 */
static struct video_card *bare_cards(struct request *req, const struct feed_page *page)
{
    struct video_card *cards = arena_calloc(&req->arena, page->n, sizeof *cards);

    for (size_t i = 0; cards != NULL && i < page->n; i++) {
        cards[i].id = page->videos[i].id;
        cards[i].author.id = page->videos[i].author_id;
    }
    return cards;
}

bool h_feed_quick(struct request *req)
{
    struct app *app = req->app;
    struct video_card *cards = NULL;
    const struct feed_page *page = feed_pages_peek(app->feed_pages, req);
    bool is_known = page != NULL && wants(req, page) && auth_recall(app->auth, req);

    if (is_known && req->who.user_id != 0) {
        cards = bare_cards(req, page);
        is_known = cards != NULL && viewer_recall_videos(app->cache, &req->arena,
                                                         req->who.user_id, cards, page->n);
    }
    if (is_known) {
        reply_page(req, page, cards);
    }
    feed_page_put(page);
    return is_known;
}

/* Answer with the newest page, if that is what the caller wants and it can be kept. */
static bool list_newest(struct request *req)
{
    const struct feed_page *page = NULL;
    struct video_page shown = {.n = 0};
    bool is_answered = false;
    int64_t before_ms = request_param(req, "latest_time")->integer;

    if (!cache_is_local(req->app->cache) ||
        (before_ms != 0 && before_ms < clock_wall_ms() - NEWEST_MS)) {
        return false;
    }
    if (feed_pages_get(req->app->feed_pages, req, &page) == OUTCOME_OK && page != NULL &&
        wants(req, page)) {
        shown.videos = bare_cards(req, page);
        shown.n = page->n;
        if (shown.videos != NULL) {
            view_mark_videos(req, &shown);
            is_answered = !shown.partial;
        }
    }
    if (is_answered) {
        reply_page(req, page, shown.videos);
    }
    feed_page_put(page);
    return is_answered;
}

/* ---- any page ---- */

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
