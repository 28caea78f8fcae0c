/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* The newest page of the feed, ready to be sent. */
#include "server/feed_page.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "shard/base/clock.h"

#include "shard/cache.h"
#include "shard/timeline.h"

#include "server/app.h"
#include "server/config.h"
#include "server/request.h"
#include "server/views.h"

/* Of each video: its card, and the two parts of its author's. */
#define RANGES_PER_VIDEO 3

/* How often one waits for a page that another makes. */
#define ROUNDS_MAX 3

/* What struct feed_page is the first member of. */
struct made_page {
    struct feed_page page;
    atomic_uint refs;
    unsigned generation;      /* of the options it was made under */
    struct cache_since since; /* from before it was made */
    size_t n_ranges;
    size_t *ranges; /* owned; of the cache: what it shows is there */
    struct feed_page_video *videos; /* owned */
    char *body;                     /* owned */
};

struct feed_pages {
    pthread_mutex_t mutex;
    struct made_page *ready; /* one reference is ours; NULL: none */
    struct copies *flights;  /* owned; who makes one, and who waits for it */
};

struct feed_pages *feed_pages_new(void)
{
    struct feed_pages *pages = calloc(1, sizeof *pages);

    if (pages != NULL) {
        pthread_mutex_init(&pages->mutex, NULL);
        pages->flights = copies_new(0);
        if (pages->flights == NULL) {
            feed_pages_free(&pages);
        }
    }
    return pages;
}

static void unref(struct made_page *made)
{
    if (made != NULL && atomic_fetch_sub(&made->refs, 1) == 1) {
        free(made->ranges);
        free(made->videos);
        free(made->body);
        free(made);
    }
}

void feed_page_put(const struct feed_page *page)
{
    unref((struct made_page *)(uintptr_t)page);
}

void feed_pages_free(struct feed_pages **pages)
{
    if (*pages != NULL) {
        unref((*pages)->ready);
        copies_free(&(*pages)->flights);
        pthread_mutex_destroy(&(*pages)->mutex);
        free(*pages);
        *pages = NULL;
    }
}

/* ---- is it still good? ---- */

static bool is_good(const struct made_page *made, const struct app *app)
{
    if (made->generation != app_config(app)->generation ||
        clock_mono_ms() > made->since.ms + CACHE_LOCAL_MS) {
        return false;
    }
    for (size_t i = 0; i < made->n_ranges; i++) {
        if (cache_written_since(app->cache, made->ranges[i], made->since.ticket)) {
            return false;
        }
    }
    return true;
}

const struct feed_page *feed_pages_peek(struct feed_pages *pages, struct request *req)
{
    pthread_mutex_lock(&pages->mutex);
    struct made_page *made = pages->ready;
    if (made != NULL) {
        atomic_fetch_add(&made->refs, 1);
    }
    pthread_mutex_unlock(&pages->mutex);
    if (made != NULL && !is_good(made, req->app)) {
        unref(made);
        made = NULL;
    }
    return made == NULL ? NULL : &made->page;
}

/* ---- making one ---- */

static const char follow_flag[] = "\"is_follow\":";
static const char favorite_flag[] = "\"is_favorite\":";

/* Where the value of the next flag is; no text of a user looks like that, for its quotes
 * are escaped. NULL: there is none. */
static const char *find_flag(const char *from, const char *flag)
{
    const char *at = from == NULL ? NULL : strstr(from, flag);

    return at == NULL ? NULL : at + strlen(flag);
}

/* False: a flag is not where it is to be. */
static bool find_flags(struct made_page *made)
{
    const char *at = made->body;

    for (size_t i = 0; i < made->page.n; i++) {
        const char *follow = find_flag(at, follow_flag);
        const char *favorite = find_flag(follow, favorite_flag);
        if (favorite == NULL) {
            return false;
        }
        made->videos[i].follow_at = (size_t)(follow - made->body);
        made->videos[i].favorite_at = (size_t)(favorite - made->body);
        at = favorite;
    }
    return true;
}

static void add_range(struct made_page *made, enum cache_kind kind, uint64_t owner)
{
    const struct copy_key key = {.kind = kind, .owner = owner};

    made->ranges[made->n_ranges++] = cache_range(&key);
}

/* What the page shows, and where that is in the cache. */
static void note_videos(struct made_page *made, const struct video_page *shown)
{
    add_range(made, CACHE_TIMELINE, 0);
    for (size_t i = 0; i < shown->n; i++) {
        const struct video_card *card = &shown->videos[i];
        made->videos[i] =
            (struct feed_page_video){.id = card->id, .author_id = card->author.id};
        add_range(made, CACHE_VIDEO, card->id);
        add_range(made, CACHE_USER, card->author.id);
        add_range(made, CACHE_INBOUND, card->author.id);
    }
}

/* The answer of REQ, which shows SHOWN to nobody in particular, as a page. NULL: memory
 * is short. */
static struct made_page *make(const struct request *req, const struct video_page *shown,
                              int64_t newest_ms)
{
    struct made_page *made = calloc(1, sizeof *made);

    if (made == NULL) {
        return NULL;
    }
    made->refs = 1;
    made->generation = app_config(req->app)->generation;
    made->ranges = calloc(1 + RANGES_PER_VIDEO * shown->n, sizeof *made->ranges);
    made->videos = calloc(shown->n + 1, sizeof *made->videos);
    made->body = strndup(req->reply.body, req->reply.body_len);
    made->page = (struct feed_page){.body = made->body,
                                    .len = req->reply.body_len,
                                    .videos = made->videos,
                                    .n = shown->n,
                                    .newest_ms = newest_ms};
    if (made->ranges != NULL && made->videos != NULL && made->body != NULL) {
        note_videos(made, shown);
        if (find_flags(made)) {
            return made;
        }
    }
    unref(made);
    return NULL;
}

/* The cards of TIMELINE, without those that are no more. */
static enum outcome get_cards(struct request *req, const struct timeline *timeline,
                              struct video_page *shown)
{
    struct video_card *cards =
        arena_calloc(&req->arena, timeline->n, sizeof *cards);

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

/* Make a page. OK without one: none can be kept. */
static enum outcome build(struct request *req, struct made_page **made)
{
    struct timeline timeline;
    struct video_page shown;
    struct cache_since since = cache_since(req->app->cache);
    enum outcome outcome =
        timeline_get(req->app->router, &req->call,
                     (size_t)app_config(req->app)->feed_limit, &timeline);

    *made = NULL;
    if (outcome != OUTCOME_OK || timeline.n == 0 || timeline.partial) {
        return outcome;
    }
    if (get_cards(req, &timeline, &shown) != OUTCOME_OK || shown.n == 0) {
        return OUTCOME_OK;
    }
    struct json_out *out = reply_begin(req);
    view_videos(out, req, &shown);
    json_out_integer(out, "next_time", timeline.next_time_ms);
    json_out_bool(out, "partial", false);
    reply_end(req);
    if (req->reply.error == ERROR_OK) {
        *made = make(req, &shown, timeline.newest_ms);
    }
    if (*made != NULL) {
        (*made)->since = since;
    }
    return OUTCOME_OK;
}

static void set_ready(struct feed_pages *pages, struct made_page *made)
{
    atomic_fetch_add(&made->refs, 1);
    pthread_mutex_lock(&pages->mutex);
    struct made_page *old = pages->ready;
    pages->ready = made;
    pthread_mutex_unlock(&pages->mutex);
    unref(old);
}

/* Be the one who makes a page, or get it from who does. False: neither; there is none
 * that could be kept, or it was over at once, time and again. */
static bool await_turn(struct feed_pages *pages, struct request *req,
                       struct flight *flight, const struct feed_page **page)
{
    for (unsigned round = 0; round < ROUNDS_MAX; round++) {
        *page = feed_pages_peek(pages, req);
        if (*page != NULL || copies_lead(pages->flights, flight)) {
            return true;
        }
        if (!copies_wait(pages->flights, &flight->key, req->deadline_ms)) {
            break;
        }
    }
    return false;
}

enum outcome feed_pages_get(struct feed_pages *pages, struct request *req,
                            const struct feed_page **page)
{
    struct flight flight = {.key = {.kind = CACHE_TIMELINE}};
    struct made_page *made = NULL;

    *page = NULL;
    if (!await_turn(pages, req, &flight, page) || *page != NULL) {
        return OUTCOME_OK;
    }
    enum outcome outcome = build(req, &made);
    if (made != NULL) {
        set_ready(pages, made);
        *page = &made->page;
    }
    copies_land(pages->flights, &flight);
    return outcome;
}

void feed_page_set_flag(char *body, size_t place)
{
    static const char is_so[] = "true ";

    memcpy(body + place, is_so, sizeof is_so - 1); /* over "false" */
}
