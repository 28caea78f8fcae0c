/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* What the clients of the ledger test are told, printed as a line now and then. */
#include "tests/ledger/progress.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "shard/base/check.h"
#include "shard/base/clock.h"

#include "tests/bench/hist.h"

struct progress {
    FILE *out;
    unsigned every_ms;
    int64_t began_ms; /* monotonic */
    pthread_t thread;
    struct hist last; /* of the thread that prints: since the line before */
    struct {
        pthread_mutex_t mutex;
        pthread_cond_t stopped;
        bool is_stopped;
        struct hist hist; /* since the last line */
        uint64_t errors;  /* likewise */
    } shared;
};

static double ms_of(uint64_t ns)
{
    return (double)ns / 1e6;
}

static void print_line(const struct progress *progress, int64_t ms, uint64_t errors)
{
    const struct hist *hist = &progress->last;
    const int64_t since_ms = clock_mono_ms() - progress->began_ms;

    (void)fprintf(progress->out,
                  "%7.1f s %6.0f requests/s   p50 %7.1f ms   p99 %7.1f ms   worst "
                  "%7.1f ms %5" PRIu64 " errors\n",
                  (double)since_ms / 1000,
                  ms > 0 ? (double)hist->n * 1000 / (double)ms : 0,
                  ms_of(hist_quantile_ns(hist, 0.5)), ms_of(hist_quantile_ns(hist, 0.99)),
                  ms_of(hist->max_ns), errors);
    (void)fflush(progress->out);
}

/* Waits until it is time for a line. False: it is the last one. */
static bool wait_for_line(struct progress *progress, int64_t due_ms)
{
    const struct timespec due = {.tv_sec = due_ms / 1000,
                                 .tv_nsec = due_ms % 1000 * 1000000};

    while (!progress->shared.is_stopped && clock_mono_ms() < due_ms) {
        (void)pthread_cond_timedwait(&progress->shared.stopped, &progress->shared.mutex,
                                     &due);
    }
    return !progress->shared.is_stopped;
}

static void *print_lines(void *argument)
{
    struct progress *progress = argument;
    int64_t last_ms = progress->began_ms;
    bool goes_on = true;

    while (goes_on) {
        pthread_mutex_lock(&progress->shared.mutex);
        goes_on = wait_for_line(progress, last_ms + progress->every_ms);
        progress->last = progress->shared.hist;
        const uint64_t errors = progress->shared.errors;
        progress->shared.hist = (struct hist){.n = 0};
        progress->shared.errors = 0;
        pthread_mutex_unlock(&progress->shared.mutex);
        const int64_t now_ms = clock_mono_ms();
        print_line(progress, now_ms - last_ms, errors);
        last_ms = now_ms;
    }
    return NULL;
}

struct progress *progress_start(FILE *out, unsigned every_ms)
{
    struct progress *progress = calloc(1, sizeof *progress);
    pthread_condattr_t attr;

    CHECK(progress != NULL);
    progress->out = out;
    progress->every_ms = every_ms;
    progress->began_ms = clock_mono_ms();
    pthread_mutex_init(&progress->shared.mutex, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&progress->shared.stopped, &attr);
    pthread_condattr_destroy(&attr);
    CHECK(pthread_create(&progress->thread, NULL, print_lines, progress) == 0);
    return progress;
}

void progress_note(struct progress *progress, int64_t us, bool is_ok)
{
    if (progress != NULL) {
        pthread_mutex_lock(&progress->shared.mutex);
        hist_add(&progress->shared.hist, us * 1000);
        progress->shared.errors += !is_ok;
        pthread_mutex_unlock(&progress->shared.mutex);
    }
}

void progress_stop(struct progress **progress)
{
    struct progress *self = *progress;

    if (self != NULL) {
        pthread_mutex_lock(&self->shared.mutex);
        self->shared.is_stopped = true;
        pthread_cond_signal(&self->shared.stopped);
        pthread_mutex_unlock(&self->shared.mutex);
        pthread_join(self->thread, NULL);
        pthread_cond_destroy(&self->shared.stopped);
        pthread_mutex_destroy(&self->shared.mutex);
        free(self);
        *progress = NULL;
    }
}
