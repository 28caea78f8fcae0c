/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Sessions confirmed a moment ago: a set-associative table under striped locks, with a
 * generation per stripe that stops late answers from undoing a logout. */
#include "server/auth/session_cache.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "shard/base/clock.h"
#include "shard/base/rnd.h"

#define WAYS    8 /* entries of one set: 8 * 32 bytes are four cache lines */
#define STRIPES 64

struct entry {
    uint64_t user_id; /* 0: empty */
    unsigned char session[SESSION_BYTES];
    int64_t until_ms;
};

/* Sets whose number is congruent share a mutex and a generation. */
struct stripe {
    pthread_mutex_t mutex;
    uint64_t generation;    /* raised by every drop */
    int64_t users_until_ms; /* until when all sessions of some user count as just
                             * dropped */
};

struct session_cache {
    struct entry *entries; /* owned; n_sets * n_ways */
    size_t n_sets;         /* 0: remembers nothing */
    size_t n_ways;
    uint64_t seed; /* so that nobody can choose ids that share a set */
    struct stripe shared[STRIPES];
};

struct session_cache *session_cache_new(size_t entries_max)
{
    struct session_cache *cache = calloc(1, sizeof *cache);

    if (cache == NULL) {
        return NULL;
    }
    cache->n_ways = entries_max < WAYS ? entries_max : WAYS;
    cache->n_sets = cache->n_ways > 0 ? entries_max / cache->n_ways : 0;
    if (cache->n_sets > 0) {
        cache->entries = calloc(cache->n_sets * cache->n_ways, sizeof *cache->entries);
        if (cache->entries == NULL) {
            free(cache);
            return NULL;
        }
    }
    rnd_bytes(&cache->seed, sizeof cache->seed);
    for (size_t i = 0; i < STRIPES; i++) {
        CHECK(pthread_mutex_init(&cache->shared[i].mutex, NULL) == 0);
    }
    return cache;
}

void session_cache_free(struct session_cache **cache)
{
    if (*cache != NULL) {
        for (size_t i = 0; i < STRIPES; i++) {
            pthread_mutex_destroy(&(*cache)->shared[i].mutex);
        }
        free((*cache)->entries);
        free(*cache);
        *cache = NULL;
    }
}

/* The finalizer of splitmix64: every bit of the id reaches every bit of the set number.
 */
static uint64_t mix(uint64_t x)
{
    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}

/* The set of USER_ID, its stripe locked. */
static struct entry *lock_set(struct session_cache *cache, uint64_t user_id,
                              struct stripe **stripe)
{
    size_t set = (size_t)(mix(user_id ^ cache->seed) % cache->n_sets);

    *stripe = &cache->shared[set % STRIPES];
    pthread_mutex_lock(&(*stripe)->mutex);
    return &cache->entries[set * cache->n_ways];
}

static bool is_entry(const struct entry *entry, uint64_t user_id,
                     const unsigned char session[SESSION_BYTES])
{
    return entry->user_id == user_id &&
           memcmp(entry->session, session, SESSION_BYTES) == 0;
}

bool session_cache_has(struct session_cache *cache, uint64_t user_id,
                       const unsigned char session[SESSION_BYTES], int64_t now_ms,
                       struct session_ticket *ticket)
{
    struct stripe *stripe;
    bool found = false;

    *ticket = (struct session_ticket){.is_wary = true};
    if (cache->n_sets == 0) {
        return false;
    }
    const struct entry *set = lock_set(cache, user_id, &stripe);
    for (size_t i = 0; i < cache->n_ways && !found; i++) {
        found = is_entry(&set[i], user_id, session) && set[i].until_ms > now_ms;
    }
    ticket->generation = stripe->generation;
    ticket->is_wary = now_ms < stripe->users_until_ms;
    pthread_mutex_unlock(&stripe->mutex);
    return found;
}

/* Where to put a session: where it is already, else an empty entry, else the one that
 * ends first. */
static struct entry *pick(struct entry *set, size_t n_ways, uint64_t user_id,
                          const unsigned char session[SESSION_BYTES])
{
    struct entry *best = set;

    for (size_t i = 0; i < n_ways; i++) {
        if (is_entry(&set[i], user_id, session)) {
            return &set[i];
        }
        if (best->user_id != 0 &&
            (set[i].user_id == 0 || set[i].until_ms < best->until_ms)) {
            best = &set[i];
        }
    }
    return best;
}

bool session_cache_put(struct session_cache *cache, uint64_t user_id,
                       const unsigned char session[SESSION_BYTES], int64_t until_ms,
                       const struct session_ticket *ticket)
{
    struct stripe *stripe;

    if (cache->n_sets == 0) {
        return false;
    }
    struct entry *set = lock_set(cache, user_id, &stripe);
    bool is_current = stripe->generation == ticket->generation;
    if (is_current) {
        struct entry *entry = pick(set, cache->n_ways, user_id, session);
        entry->user_id = user_id;
        memcpy(entry->session, session, SESSION_BYTES);
        entry->until_ms = until_ms;
    }
    pthread_mutex_unlock(&stripe->mutex);
    return is_current;
}

/* SESSION NULL: all of the user. */
static void drop(struct session_cache *cache, uint64_t user_id,
                 const unsigned char *session)
{
    struct stripe *stripe;

    if (cache->n_sets == 0) {
        return;
    }
    struct entry *set = lock_set(cache, user_id, &stripe);
    for (size_t i = 0; i < cache->n_ways; i++) {
        if (set[i].user_id == user_id &&
            (session == NULL || is_entry(&set[i], user_id, session))) {
            set[i] = (struct entry){.user_id = 0};
        }
    }
    stripe->generation++;
    if (session == NULL) {
        stripe->users_until_ms = clock_mono_ms() + SESSION_WARY_MS;
    }
    pthread_mutex_unlock(&stripe->mutex);
}

void session_cache_drop(struct session_cache *cache, uint64_t user_id,
                        const unsigned char session[SESSION_BYTES])
{
    drop(cache, user_id, session);
}

void session_cache_drop_user(struct session_cache *cache, uint64_t user_id)
{
    drop(cache, user_id, NULL);
}
