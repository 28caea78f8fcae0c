/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* A thread that waits for one moment. It uses nothing of the parts that may hang. */
#include "server/watchdog.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <unistd.h>

#include "shard/base/clock.h"
#include "shard/base/log.h"

struct watchdog {
    int64_t deadline_ms; /* monotonic */
    int status;
    pthread_t thread;
    struct {
        pthread_mutex_t mutex;
        pthread_cond_t changed; /* over */
        bool over;
    } shared;
};

static void *watchdog_main(void *context)
{
    struct watchdog *watchdog = context;
    struct timespec until = clock_timespec(watchdog->deadline_ms);
    int rc = 0;

    (void)pthread_mutex_lock(&watchdog->shared.mutex);
    while (rc == 0 && !watchdog->shared.over) {
        rc = pthread_cond_clockwait(&watchdog->shared.changed, &watchdog->shared.mutex,
                                    CLOCK_MONOTONIC, &until);
    }
    bool over = watchdog->shared.over;
    (void)pthread_mutex_unlock(&watchdog->shared.mutex);
    if (!over) {
        log_write(LOG_WARN, "stop_timeout",
                  "detail=\"a part of the server does not stop: ended without it\"");
        log_stop();
        _exit(watchdog->status);
    }
    return NULL;
}

static void release(struct watchdog *watchdog)
{
    (void)pthread_cond_destroy(&watchdog->shared.changed);
    (void)pthread_mutex_destroy(&watchdog->shared.mutex);
    free(watchdog);
}

struct watchdog *watchdog_new(int64_t deadline_ms, int status)
{
    struct watchdog *watchdog = calloc(1, sizeof *watchdog);

    if (watchdog != NULL) {
        watchdog->deadline_ms = deadline_ms;
        watchdog->status = status;
        (void)pthread_mutex_init(&watchdog->shared.mutex, NULL);
        (void)pthread_cond_init(&watchdog->shared.changed, NULL);
        if (pthread_create(&watchdog->thread, NULL, watchdog_main, watchdog) != 0) {
            release(watchdog);
            watchdog = NULL;
        }
    }
    if (watchdog == NULL) {
        log_write(LOG_WARN, "stop_unwatched", "error=\"no memory or no thread\"");
    }
    return watchdog;
}

void watchdog_free(struct watchdog **watchdog)
{
    struct watchdog *old = *watchdog;

    if (old == NULL) {
        return;
    }
    (void)pthread_mutex_lock(&old->shared.mutex);
    old->shared.over = true;
    (void)pthread_cond_signal(&old->shared.changed);
    (void)pthread_mutex_unlock(&old->shared.mutex);
    (void)pthread_join(old->thread, NULL);
    release(old);
    *watchdog = NULL;
}
