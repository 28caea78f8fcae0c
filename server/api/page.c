/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Pages kept ready to be sent. */
#include "server/api/page.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "shard/base/clock.h"

#include "server/base/app.h"
#include "server/config/config.h"
#include "server/request/request.h"

/* Pages kept; each has one place, by its name. With the largest pages 32 MiB.
 */
#define PLACES    512u
#define BYTES_MAX ((size_t)64 << 10)

/* Cache ranges per item: the two parts of the user's card, and the video's; and one for
 * the list.
 */
#define RANGES_PER_ITEM 3

/* A page as made here; struct page is its first member. */
struct made_page {
    struct page page;
    struct page_name name;
    atomic_uint refs;
    unsigned generation;      /* of the options in force when it was made */
    struct cache_since since; /* from before it was made */
    size_t n_ranges;
    size_t *ranges; /* owned; places in the cache of what it shows */
    char *body;     /* owned */
};

struct pages {
    struct copies *flights; /* owned; pages being made, and who waits for them */
    struct {
        pthread_mutex_t mutex;
        struct made_page *ready[PLACES]; /* we hold one reference to each */
    } shared;
};

struct pages *pages_new(void)
{
    struct pages *pages = calloc(1, sizeof *pages);

    if (pages != NULL) {
        pthread_mutex_init(&pages->shared.mutex, NULL);
        pages->flights = copies_new(0);
        if (pages->flights == NULL) {
            pages_free(&pages);
        }
    }
    return pages;
}

struct copies *pages_flights(struct pages *pages)
{
    return pages->flights;
}

static void unref(struct made_page *made)
{
    if (made != NULL && atomic_fetch_sub(&made->refs, 1) == 1) {
        free(made->ranges);
        free(made->page.items);
        free(made->body);
        free(made);
    }
}

void page_put(const struct page *page)
{
    unref((struct made_page *)(uintptr_t)page);
}

void pages_free(struct pages **pages)
{
    if (*pages != NULL) {
        for (size_t i = 0; i < PLACES; i++) {
            unref((*pages)->shared.ready[i]);
        }
        copies_free(&(*pages)->flights);
        pthread_mutex_destroy(&(*pages)->shared.mutex);
        free(*pages);
        *pages = NULL;
    }
}

/* ---- Is it still good? ---- */

static size_t place_of(const struct page_name *name)
{
    return cache_range(&name->key) % PLACES;
}

static bool is_name(const struct page_name *a, const struct page_name *b)
{
    return a->ver == b->ver && a->key.kind == b->key.kind &&
           a->key.owner == b->key.owner && a->key.other == b->key.other;
}

static bool is_good(const struct made_page *made, const struct page_name *name,
                    const struct app *app)
{
    if (!is_name(&made->name, name) || made->generation != app_config(app)->generation ||
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

const struct page *pages_peek(struct pages *pages, const struct request *req,
                              const struct page_name *name)
{
    pthread_mutex_lock(&pages->shared.mutex);
    struct made_page *made = pages->shared.ready[place_of(name)];
    if (made != NULL) {
        atomic_fetch_add(&made->refs, 1);
    }
    pthread_mutex_unlock(&pages->shared.mutex);
    if (made != NULL && !is_good(made, name, req->app)) {
        unref(made);
        made = NULL;
    }
    return made == NULL ? NULL : &made->page;
}

/* ---- Keeping one ---- */

/* Where the value of the next FLAG is, after FROM; no user's text looks like this, since
 * its quotes are escaped. NULL: there is none. */
static const char *find_flag(const char *from, const char *flag)
{
    const char *at = from == NULL ? NULL : strstr(from, flag);

    return at == NULL ? NULL : at + strlen(flag);
}

/* False: a flag is not where it should be. */
static bool find_flags(struct made_page *made)
{
    const char *at = made->body;

    for (size_t i = 0; at != NULL && i < made->page.n; i++) {
        struct page_item *item = &made->page.items[i];
        at = find_flag(at, "\"is_follow\":");
        item->follow_at = at == NULL ? 0 : (size_t)(at - made->body);
        if (item->video_id != 0) {
            at = find_flag(at, "\"is_favorite\":");
            item->favorite_at = at == NULL ? 0 : (size_t)(at - made->body);
        }
    }
    return at != NULL;
}

static void add_range(struct made_page *made, const struct copy_key *key)
{
    made->ranges[made->n_ranges++] = cache_range(key);
}

/* Note where in the cache the things are that the page shows. */
static void note_ranges(struct made_page *made)
{
    const struct copy_key list = {.kind = made->name.key.kind,
                                  .owner = made->name.key.owner};

    add_range(made, &list);
    for (size_t i = 0; i < made->page.n; i++) {
        const struct page_item *item = &made->page.items[i];
        add_range(made, &(struct copy_key){.kind = CACHE_USER, .owner = item->user_id});
        add_range(made,
                  &(struct copy_key){.kind = CACHE_INBOUND, .owner = item->user_id});
        if (item->video_id != 0) {
            add_range(made,
                      &(struct copy_key){.kind = CACHE_VIDEO, .owner = item->video_id});
        }
    }
}

static bool fill(struct made_page *made, const struct request *req,
                 const struct page *shown)
{
    made->ranges = calloc(1 + RANGES_PER_ITEM * shown->n, sizeof *made->ranges);
    made->page.items = calloc(shown->n + 1, sizeof *made->page.items);
    made->body = strndup(req->reply.body, req->reply.body_len);
    if (made->ranges == NULL || made->page.items == NULL || made->body == NULL) {
        return false;
    }
    memcpy(made->page.items, shown->items, shown->n * sizeof *shown->items);
    made->page.n = shown->n;
    made->page.body = made->body;
    made->page.len = req->reply.body_len;
    made->page.newest_ms = shown->newest_ms;
    note_ranges(made);
    return find_flags(made);
}

static void set_ready(struct pages *pages, struct made_page *made)
{
    atomic_fetch_add(&made->refs, 1);
    pthread_mutex_lock(&pages->shared.mutex);
    struct made_page **place = &pages->shared.ready[place_of(&made->name)];
    struct made_page *old = *place;
    *place = made;
    pthread_mutex_unlock(&pages->shared.mutex);
    unref(old);
}

const struct page *pages_keep(struct pages *pages, const struct request *req,
                              const struct page_name *name,
                              const struct cache_since *since, const struct page *shown)
{
    struct made_page *made =
        req->reply.error == ERROR_OK && req->reply.body_len <= BYTES_MAX
            ? calloc(1, sizeof *made)
            : NULL;

    if (made == NULL) {
        return NULL;
    }
    made->name = *name;
    made->refs = 1;
    made->generation = app_config(req->app)->generation;
    made->since = *since;
    if (!fill(made, req, shown)) {
        unref(made);
        return NULL;
    }
    set_ready(pages, made);
    return &made->page;
}

/* ---- Sending one ---- */

static void set_flag(char *body, size_t place)
{
    static const char is_so[] = "true ";

    memcpy(body + place, is_so, sizeof is_so - 1); /* over "false" */
}

void page_reply(struct request *req, const struct page *page,
                const struct page_flags *flags)
{
    char *body = malloc(page->len);

    if (body != NULL) {
        memcpy(body, page->body, page->len);
    }
    for (size_t i = 0; body != NULL && flags != NULL && i < page->n; i++) {
        if (flags[i].is_follow) {
            set_flag(body, page->items[i].follow_at);
        }
        if (flags[i].is_favorite) {
            set_flag(body, page->items[i].favorite_at);
        }
    }
    reply_json(req, body, page->len);
}
