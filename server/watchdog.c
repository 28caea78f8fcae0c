/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* A thread that waits for one moment. It uses nothing of the parts that may hang. */
#include "server/watchdog.h"

#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "shard/base/log.h"
#include "shard/base/wait.h"

struct watchdog {
    int64_t deadline_ms; /* monotonic */
    int status;
    pthread_t thread;
    struct parker over; /* posted when the process ends by itself */
};

static void *watchdog_main(void *context)
{
    struct watchdog *watchdog = context;

    if (!parker_wait(&watchdog->over, watchdog->deadline_ms)) {
        log_write(LOG_WARN, "stop_timeout",
                  "detail=\"a part of the server does not stop: ended without it\"");
        log_stop();
        _exit(watchdog->status);
    }
    return NULL;
}

static void release(struct watchdog **watchdog)
{
    parker_release(&(*watchdog)->over);
    free(*watchdog);
    *watchdog = NULL;
}

struct watchdog *watchdog_new(int64_t deadline_ms, int status)
{
    struct watchdog *watchdog = calloc(1, sizeof *watchdog);

    if (watchdog != NULL) {
        watchdog->deadline_ms = deadline_ms;
        watchdog->status = status;
        parker_init(&watchdog->over);
        if (pthread_create(&watchdog->thread, NULL, watchdog_main, watchdog) != 0) {
            release(&watchdog);
        }
    }
    if (watchdog == NULL) {
        log_write(LOG_WARN, "stop_unwatched", "error=\"no memory or no thread\"");
    }
    return watchdog;
}

void watchdog_free(struct watchdog **watchdog)
{
    if (*watchdog != NULL) {
        parker_post(&(*watchdog)->over);
        (void)pthread_join((*watchdog)->thread, NULL);
        release(watchdog);
    }
}
