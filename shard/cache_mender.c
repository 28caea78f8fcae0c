/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Writes that Redis did not answer in time. */
#include "shard/cache_mender.h"

#include <pthread.h>
#include <stdlib.h>

#include "shard/base/clock.h"

#include "shard/cache_impl.h"

/* The pause between two tries, and how many go together. */
#define PAUSE_MS  100
#define BATCH_MAX 256

#define STACK_BYTES (512u << 10)

/* A key to mark. */
struct debt {
    struct cache_change change;
    int64_t until_ms; /* monotonic */
};

struct cache_mender {
    struct cache *cache; /* (ref) */
    pthread_t thread;
    struct {
        pthread_mutex_t mutex;
        pthread_cond_t changed;              /* the ring has entries, or stop is set */
        struct debt debts[CACHE_MENDER_MAX]; /* a ring */
        size_t first;
        size_t n;
        bool stop;
    } shared;
};

/* Take up to BATCH_MAX entries that have not expired; waits for some. 0: stop. */
static size_t take(struct cache_mender *mender, struct debt *batch)
{
    size_t n = 0;

    pthread_mutex_lock(&mender->shared.mutex);
    while (mender->shared.n == 0 && !mender->shared.stop) {
        pthread_cond_wait(&mender->shared.changed, &mender->shared.mutex);
    }
    int64_t now_ms = clock_mono_ms();
    while (mender->shared.n > 0 && n < BATCH_MAX && !mender->shared.stop) {
        struct debt *debt = &mender->shared.debts[mender->shared.first];
        mender->shared.first = (mender->shared.first + 1) % CACHE_MENDER_MAX;
        mender->shared.n--;
        if (debt->until_ms > now_ms) {
            batch[n++] = *debt;
        }
    }
    pthread_mutex_unlock(&mender->shared.mutex);
    return n;
}

static void put(struct cache_mender *mender, const struct debt *debt)
{
    pthread_mutex_lock(&mender->shared.mutex);
    if (mender->shared.n < CACHE_MENDER_MAX) {
        mender->shared
            .debts[(mender->shared.first + mender->shared.n) % CACHE_MENDER_MAX] = *debt;
        mender->shared.n++;
        pthread_cond_signal(&mender->shared.changed);
    }
    pthread_mutex_unlock(&mender->shared.mutex);
}

/* Sleep a moment, unless it must stop. False: stop. */
static bool rest(struct cache_mender *mender)
{
    const struct timespec until = clock_timespec(clock_mono_ms() + PAUSE_MS);
    int late = 0;

    pthread_mutex_lock(&mender->shared.mutex);
    while (!mender->shared.stop && late == 0) {
        late = pthread_cond_clockwait(&mender->shared.changed, &mender->shared.mutex,
                                      CLOCK_MONOTONIC, &until);
    }
    bool goes_on = !mender->shared.stop;
    pthread_mutex_unlock(&mender->shared.mutex);
    return goes_on;
}

static void mend(struct cache_mender *mender, const struct debt *debts, size_t n)
{
    struct cache_change changes[BATCH_MAX];
    bool is_lost[BATCH_MAX];

    for (size_t i = 0; i < n; i++) {
        changes[i] = debts[i].change;
    }
    cache_write_redis(mender->cache, changes, n, clock_mono_ms() + CACHE_WRITE_MS,
                      is_lost);
    for (size_t i = 0; i < n; i++) {
        if (is_lost[i]) {
            put(mender, &debts[i]);
        }
    }
}

static void *mender_run(void *argument)
{
    struct cache_mender *mender = argument;
    struct debt batch[BATCH_MAX];
    bool goes_on = true;

    while (goes_on) {
        size_t n = take(mender, batch);
        if (n > 0) {
            mend(mender, batch, n);
        }
        goes_on = rest(mender);
    }
    return NULL;
}

struct cache_mender *cache_mender_new(struct cache *cache)
{
    struct cache_mender *mender = calloc(1, sizeof *mender);
    pthread_attr_t attr;

    if (mender == NULL) {
        return NULL;
    }
    mender->cache = cache;
    pthread_mutex_init(&mender->shared.mutex, NULL);
    pthread_cond_init(&mender->shared.changed, NULL);
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, STACK_BYTES);
    bool is_good = pthread_create(&mender->thread, &attr, mender_run, mender) == 0;
    pthread_attr_destroy(&attr);
    if (!is_good) {
        pthread_cond_destroy(&mender->shared.changed);
        pthread_mutex_destroy(&mender->shared.mutex);
        free(mender);
        mender = NULL;
    }
    return mender;
}

void cache_mender_free(struct cache_mender **mender)
{
    struct cache_mender *m = *mender;

    if (m == NULL) {
        return;
    }
    pthread_mutex_lock(&m->shared.mutex);
    m->shared.stop = true;
    pthread_cond_signal(&m->shared.changed);
    pthread_mutex_unlock(&m->shared.mutex);
    pthread_join(m->thread, NULL);
    pthread_cond_destroy(&m->shared.changed);
    pthread_mutex_destroy(&m->shared.mutex);
    free(m);
    *mender = NULL;
}

void cache_mender_add(struct cache_mender *mender, const struct copy_key *key,
                      uint64_t ver)
{
    put(mender, &(struct debt){.change = {.key = *key, .ver = ver},
                               .until_ms = clock_mono_ms() + CACHE_CONFIRM_MS});
}
