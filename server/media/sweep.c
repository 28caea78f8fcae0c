/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* One thread that searches the media directory, leaf by leaf, while this process has the
 * lease. It may die at any point: the next holder of the lease starts again at a random
 * leaf, so that no leaf is always the last. */
#include "server/media/sweep.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "shard/base/clock.h"
#include "shard/base/hex.h"
#include "shard/base/log.h"
#include "shard/base/rnd.h"

#include "shard/call.h"
#include "shard/id.h"
#include "shard/ops.h"
#include "shard/router.h"

#include "server/config/config.h"
#include "server/media/storage.h"

/* Time limits: of one question to a shard; of the last one when told to stop. */
#define CALL_MS        3000
#define CALL_MS_AT_END 500
#define CALL_BYTES     ((size_t)1 << 20)

#define EVERY_MS 3600000
#define LEASE_MS 10000
#define DOUBT_MS 5000

/* Rest four times as long as it works. */
#define RESTS 4

/* A search in which a shard or the disk did not answer is repeated this soon. */
#define AGAIN_MS 60000

/* Rest after this much work. */
#define WORK_US 10000

/* How much longer than the longest request a file must have been without a row. */
#define ORPHAN_SLACK_S 60

#define HOLDER_BYTES 16

/* Names remembered, so that the second file of a video causes no second question. */
#define SEEN_MAX 1024

typedef char name_text[STORAGE_NAME_LEN + 1];

/* Names for one CALL. */
struct page {
    size_t n;
    name_text names[OPS_MAX];
};

/* Fields outside of shared belong to the thread. */
struct sweep {
    struct storage *storage; /* (ref) */
    struct sweep_shards shards;
    pthread_t thread;
    char holder[2 * HOLDER_BYTES + 1];     /* name of this process in the lease */
    int64_t lease_until_ms;                /* monotonic; 0: the lease is not ours */
    int64_t work_us;                       /* monotonic; when this piece of work began */
    struct page *pages[ROUTER_SHARDS_MAX]; /* owned; NULL: no names for that shard yet */
    struct page suspects;                  /* names without a row so far */
    int64_t suspected_ms;      /* monotonic; when the last of them was added */
    name_text seen[SEEN_MAX];  /* by a few digits of the name */
    struct sweep_state counts; /* copied to shared now and then */
    struct {
        pthread_mutex_t mutex;
        pthread_cond_t changed; /* stop */
        struct sweep_options options;
        struct sweep_state counts;
        bool stop;
    } shared;
};

struct sweep_options sweep_options(const struct config *config)
{
    int64_t least_s = config->publish_timeout_ms / 1000 + ORPHAN_SLACK_S;
    return (struct sweep_options){
        .orphan_age_s = config->orphan_age_s > least_s ? config->orphan_age_s : least_s,
        .every_ms = EVERY_MS,
        .lease_ms = LEASE_MS,
        .doubt_ms = DOUBT_MS,
        .rests = RESTS,
    };
}

struct sweep_shards sweep_shards(struct router *router)
{
    return (struct sweep_shards){.router = router,
                                 .shard_of = router_owner_shard,
                                 .lease = media_lease_take,
                                 .find = media_find};
}

/* ---- Waiting and counting ---- */

static struct sweep_options options_now(struct sweep *sweep)
{
    (void)pthread_mutex_lock(&sweep->shared.mutex);
    struct sweep_options options = sweep->shared.options;
    (void)pthread_mutex_unlock(&sweep->shared.mutex);
    return options;
}

static void show_counts(struct sweep *sweep)
{
    sweep->counts.is_holder = sweep->lease_until_ms != 0;
    (void)pthread_mutex_lock(&sweep->shared.mutex);
    sweep->shared.counts = sweep->counts;
    (void)pthread_mutex_unlock(&sweep->shared.mutex);
}

/* Wait PAUSE_MS, or less when the thread must stop. True: go on. */
static bool rest(struct sweep *sweep, int64_t pause_ms)
{
    struct timespec until = clock_timespec(clock_mono_ms() + pause_ms);
    int rc = 0;
    show_counts(sweep);
    (void)pthread_mutex_lock(&sweep->shared.mutex);
    while (rc == 0 && !sweep->shared.stop) {
        rc = pthread_cond_clockwait(&sweep->shared.changed, &sweep->shared.mutex,
                                    CLOCK_MONOTONIC, &until);
    }
    bool go_on = !sweep->shared.stop;
    (void)pthread_mutex_unlock(&sweep->shared.mutex);
    return go_on;
}

/* ---- The lease ---- */

/* Take or prolong the lease; LEASE_MS 0 gives it back. Without an answer the old end
 * holds. */
static void take_lease(struct sweep *sweep, int64_t lease_ms)
{
    int64_t start_ms = clock_mono_ms();
    bool got = false;
    struct own_call own;
    own_call_begin(&own, CALL_BYTES, lease_ms > 0 ? CALL_MS : CALL_MS_AT_END);
    enum outcome outcome = sweep->shards.lease(sweep->shards.router, &own.call,
                                               sweep->holder, lease_ms, &got);
    if (outcome == OUTCOME_OK) {
        sweep->lease_until_ms = got ? start_ms + lease_ms : 0;
    } else {
        log_write(LOG_DEBUG, "sweep_lease", "outcome=%s detail=\"%s\"",
                  outcome_name(outcome), own.call.detail);
    }
    own_call_end(&own);
}

/* Keep the lease, or try to get it. It is prolonged when a third of it is gone. True: it
 * is ours. */
static bool keep_lease(struct sweep *sweep)
{
    int64_t lease_ms = options_now(sweep).lease_ms;
    if (sweep->lease_until_ms - clock_mono_ms() < lease_ms * 2 / 3) {
        take_lease(sweep, lease_ms);
    }
    if (sweep->lease_until_ms <= clock_mono_ms()) {
        sweep->lease_until_ms = 0;
    }
    return sweep->lease_until_ms != 0;
}

/* Wait, and keep the lease. True: go on. */
static bool rest_leased(struct sweep *sweep, int64_t pause_ms)
{
    int64_t slice_ms = options_now(sweep).lease_ms / 3;
    int64_t until_ms = clock_mono_ms() + pause_ms;
    bool go_on = true;
    for (int64_t left_ms = pause_ms; go_on && left_ms > 0;
         left_ms = until_ms - clock_mono_ms()) {
        go_on = rest(sweep, clock_earlier(left_ms, slice_ms)) && keep_lease(sweep);
    }
    sweep->work_us = clock_mono_us();
    return go_on;
}

/* Called between two small pieces of work: rest when enough was done. True: go on. */
static bool give_way(struct sweep *sweep)
{
    int64_t worked_us = clock_mono_us() - sweep->work_us;
    if (worked_us < WORK_US) {
        return true;
    }
    int64_t pause_ms = worked_us * options_now(sweep).rests / 1000;
    return rest_leased(sweep, pause_ms > 0 ? pause_ms : 1);
}

/* ---- Questions ---- */

/* Ask about the names of PAGE. QUERIES has room for OPS_MAX. */
static void ask(struct sweep *sweep, const struct page *page, struct media_query *queries)
{
    struct own_call own;
    for (size_t i = 0; i < page->n; i++) {
        queries[i] = (struct media_query){.name = page->names[i]};
        CHECK(
            storage_name_parse(page->names[i], STORAGE_NAME_LEN, &queries[i].author_id));
    }
    own_call_begin(&own, CALL_BYTES, CALL_MS);
    sweep->shards.find(sweep->shards.router, &own.call, queries, page->n);
    sweep->counts.pages++;
    log_write(LOG_DEBUG, "orphans_asked", "names=%zu calls=%u detail=\"%s\"", page->n,
              own.call.n_calls, own.call.detail);
    own_call_end(&own);
}

static bool is_old(struct sweep *sweep, const char *name)
{
    int64_t age_s = 0;
    return storage_age(sweep->storage, name, &age_s) &&
           age_s >= options_now(sweep).orphan_age_s;
}

/* After a while ask again about names without a row, and remove the files that still have
 * none. False: stop. */
static bool settle(struct sweep *sweep)
{
    struct media_query queries[OPS_MAX];
    struct page *suspects = &sweep->suspects;
    int64_t until_ms = sweep->suspected_ms + options_now(sweep).doubt_ms;
    if (suspects->n == 0) {
        return true;
    }
    if (!rest_leased(sweep, until_ms - clock_mono_ms())) {
        return false;
    }
    ask(sweep, suspects, queries);
    for (size_t i = 0; i < suspects->n; i++) {
        if (queries[i].outcome == OUTCOME_NOTFOUND &&
            storage_delete(sweep->storage, queries[i].name)) {
            sweep->counts.removed++;
            log_write(LOG_INFO, "orphan_removed", "media=%s", queries[i].name);
        } else if (queries[i].outcome != OUTCOME_OK) {
            sweep->counts.unsure++;
        }
    }
    suspects->n = 0;
    return give_way(sweep);
}

/* Remember that no row names NAME. False: stop. */
static bool suspect(struct sweep *sweep, const char *name)
{
    struct page *suspects = &sweep->suspects;
    if (suspects->n == OPS_MAX && !settle(sweep)) {
        return false;
    }
    memcpy(suspects->names[suspects->n++], name, sizeof(name_text));
    sweep->suspected_ms = clock_mono_ms();
    return true;
}

/* Ask about a page, and empty it. False: stop. */
static bool turn(struct sweep *sweep, struct page *page)
{
    struct media_query queries[OPS_MAX];
    bool go_on = true;
    ask(sweep, page, queries);
    for (size_t i = 0; i < page->n && go_on; i++) {
        if (queries[i].outcome == OUTCOME_NOTFOUND) {
            go_on = !is_old(sweep, queries[i].name) || suspect(sweep, queries[i].name);
        } else if (queries[i].outcome != OUTCOME_OK) {
            sweep->counts.unsure++;
        }
    }
    page->n = 0;
    return go_on && give_way(sweep);
}

/* ---- The directory ---- */

/* Was this name there a moment ago? May wrongly say no, but rarely. */
static bool is_seen(struct sweep *sweep, const char *name)
{
    const char *digits = name + STORAGE_NAME_LEN - 3;
    char *seen = sweep->seen[strtoul(digits, NULL, 16) % SEEN_MAX];
    bool is_same = memcmp(seen, name, sizeof(name_text)) == 0;
    memcpy(seen, name, sizeof(name_text));
    return is_same;
}

/* The page of the shard to ask about files of AUTHOR_ID. NULL: the shard is unknown, or
 * no memory. */
static struct page *page_of(struct sweep *sweep, uint64_t author_id)
{
    size_t shard = sweep->shards.shard_of(sweep->shards.router, author_id);
    if (shard >= ROUTER_SHARDS_MAX) {
        return NULL;
    }
    if (sweep->pages[shard] == NULL) {
        sweep->pages[shard] = calloc(1, sizeof *sweep->pages[shard]);
    }
    return sweep->pages[shard];
}

/* One stored file. False: stop. */
static bool look_at(void *context, const char *name)
{
    struct sweep *sweep = context;
    uint64_t author_id = 0;
    sweep->counts.files++;
    if (is_seen(sweep, name) || !storage_name_parse(name, STORAGE_NAME_LEN, &author_id) ||
        !id_is_valid(author_id)) { /* not made by a server */
        return true;
    }
    struct page *page = page_of(sweep, author_id);
    if (page == NULL) {
        sweep->counts.unsure++;
        return true;
    }
    memcpy(page->names[page->n++], name, sizeof(name_text));
    return page->n < OPS_MAX || turn(sweep, page);
}

/* Search the whole directory. False: stopped before its end. */
static bool look_through(struct sweep *sweep)
{
    bool go_on = true;
    unsigned first = rnd_below(STORAGE_LEAVES);
    for (unsigned i = 0; i < STORAGE_LEAVES && go_on; i++) {
        unsigned leaf = (first + i) % STORAGE_LEAVES;
        go_on = storage_list(sweep->storage, leaf, look_at, sweep) && give_way(sweep);
    }
    for (size_t i = 0; i < ROUTER_SHARDS_MAX && go_on; i++) {
        if (sweep->pages[i] != NULL && sweep->pages[i]->n > 0) {
            go_on = turn(sweep, sweep->pages[i]);
        }
    }
    return go_on && settle(sweep);
}

static void forget(struct sweep *sweep)
{
    for (size_t i = 0; i < ROUTER_SHARDS_MAX; i++) {
        free(sweep->pages[i]);
        sweep->pages[i] = NULL;
    }
    sweep->suspects.n = 0;
    memset(sweep->seen, 0, sizeof sweep->seen);
}

/* One search. Returns the pause until the next. */
static int64_t search(struct sweep *sweep)
{
    const struct sweep_state before = sweep->counts;
    int64_t start_ms = clock_mono_ms();
    sweep->work_us = clock_mono_us();
    bool is_whole = look_through(sweep);
    int64_t took_ms = clock_mono_ms() - start_ms;
    forget(sweep);
    if (is_whole) {
        sweep->counts.sweeps++;
        sweep->counts.last_ms = took_ms;
    }
    uint64_t unsure = sweep->counts.unsure - before.unsure;
    log_write(LOG_INFO, "sweep",
              "whole=%d files=%llu pages=%llu removed=%llu unsure=%llu ms=%lld", is_whole,
              (unsigned long long)(sweep->counts.files - before.files),
              (unsigned long long)(sweep->counts.pages - before.pages),
              (unsigned long long)(sweep->counts.removed - before.removed),
              (unsigned long long)unsure, (long long)took_ms);
    const struct sweep_options options = options_now(sweep);
    int64_t again_ms = took_ms * options.rests;
    again_ms = again_ms > AGAIN_MS ? again_ms : AGAIN_MS;
    return is_whole && unsure == 0 ? options.every_ms
                                   : clock_earlier(again_ms, options.every_ms);
}

static void *sweep_main(void *context)
{
    struct sweep *sweep = context;
    int64_t due_ms = clock_mono_ms();
    int64_t pause_ms = 0;
    do {
        if (keep_lease(sweep) && clock_mono_ms() >= due_ms) {
            int64_t wait_ms = search(sweep);
            due_ms = clock_mono_ms() + wait_ms;
        }
        /* A third of the lease, more or less, so that processes do not act in step. */
        int64_t lease_ms = options_now(sweep).lease_ms;
        pause_ms = lease_ms / 6 + rnd_below((uint32_t)lease_ms / 3 + 1);
        if (sweep->lease_until_ms != 0) {
            int64_t left_ms = due_ms - clock_mono_ms();
            pause_ms = clock_earlier(pause_ms, left_ms > 0 ? left_ms : 0);
        }
    } while (rest(sweep, pause_ms));
    if (sweep->lease_until_ms != 0) {
        take_lease(sweep, 0);
    }
    return NULL;
}

/* ---- Life ---- */

struct sweep *sweep_new(struct storage *storage, const struct sweep_shards *shards,
                        const struct sweep_options *options)
{
    unsigned char holder[HOLDER_BYTES];
    struct sweep *sweep = calloc(1, sizeof *sweep);
    if (sweep == NULL) {
        return NULL;
    }
    rnd_bytes(holder, sizeof holder);
    hex_encode(holder, sizeof holder, sweep->holder);
    sweep->storage = storage;
    sweep->shards = *shards;
    sweep->shared.options = *options;
    (void)pthread_mutex_init(&sweep->shared.mutex, NULL);
    (void)pthread_cond_init(&sweep->shared.changed, NULL);
    if (pthread_create(&sweep->thread, NULL, sweep_main, sweep) != 0) {
        (void)pthread_cond_destroy(&sweep->shared.changed);
        (void)pthread_mutex_destroy(&sweep->shared.mutex);
        free(sweep);
        return NULL;
    }
    return sweep;
}

void sweep_configure(struct sweep *sweep, const struct sweep_options *options)
{
    (void)pthread_mutex_lock(&sweep->shared.mutex);
    sweep->shared.options = *options;
    (void)pthread_mutex_unlock(&sweep->shared.mutex);
}

void sweep_state(struct sweep *sweep, struct sweep_state *state)
{
    (void)pthread_mutex_lock(&sweep->shared.mutex);
    *state = sweep->shared.counts;
    (void)pthread_mutex_unlock(&sweep->shared.mutex);
}

void sweep_free(struct sweep **sweep)
{
    struct sweep *old = *sweep;
    if (old == NULL) {
        return;
    }
    (void)pthread_mutex_lock(&old->shared.mutex);
    old->shared.stop = true;
    (void)pthread_cond_broadcast(&old->shared.changed);
    (void)pthread_mutex_unlock(&old->shared.mutex);
    (void)pthread_join(old->thread, NULL);
    (void)pthread_cond_destroy(&old->shared.changed);
    (void)pthread_mutex_destroy(&old->shared.mutex);
    forget(old);
    free(old);
    *sweep = NULL;
}
