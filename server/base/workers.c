/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* The pool of worker threads. */
#include "server/base/workers.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "shard/base/clock.h"
#include "shard/base/log.h"

/* A thread that waits for work; on its own stack. */
struct idler {
    pthread_cond_t wake;
    struct idler *next;
    struct idler **link; /* the pointer to this one; NULL: removed from the list */
};

struct workers {
    struct workers_options options;
    struct {
        pthread_mutex_t mutex;
        pthread_cond_t gone; /* a thread ended */
        struct work *head;
        struct work *tail;
        size_t n_queued;
        struct idler *idlers; /* latest first, so that the others stay idle and end */
        unsigned n_idle;
        unsigned n_threads; /* started or being started */
        bool stopping;
        bool has_last;  /* `last` is a thread that has ended and is not joined yet */
        pthread_t last; /* each ending thread joins the one before it */
    } shared;
};

/* Enough for a handler; more in builds with sanitizers, whose frames are larger. */
static size_t stack_bytes(void)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    return (size_t)1 << 20;
#else
    return (size_t)256 << 10;
#endif
}

static struct work *pop_locked(struct workers *workers)
{
    struct work *job = workers->shared.head;

    workers->shared.head = job->next;
    if (workers->shared.head == NULL) {
        workers->shared.tail = NULL;
    }
    workers->shared.n_queued--;
    job->next = NULL;
    return job;
}

static void add_idler_locked(struct workers *workers, struct idler *idler)
{
    idler->next = workers->shared.idlers;
    idler->link = &workers->shared.idlers;
    if (idler->next != NULL) {
        idler->next->link = &idler->next;
    }
    workers->shared.idlers = idler;
    workers->shared.n_idle++;
}

static void remove_idler_locked(struct workers *workers, struct idler *idler)
{
    *idler->link = idler->next;
    if (idler->next != NULL) {
        idler->next->link = idler->link;
    }
    idler->link = NULL;
    workers->shared.n_idle--;
}

/* Wake the thread that became idle last. False: none is idle. */
static bool wake_one_locked(struct workers *workers)
{
    struct idler *idler = workers->shared.idlers;

    if (idler == NULL) {
        return false;
    }
    remove_idler_locked(workers, idler);
    (void)pthread_cond_signal(&idler->wake);
    return true;
}

/* Sleep until woken. False: nobody needed this thread for the idle time. */
static bool idle_locked(struct workers *workers)
{
    struct timespec until = clock_timespec(clock_mono_ms() + workers->options.idle_ms);
    struct idler self = {.wake = PTHREAD_COND_INITIALIZER};
    int rc = 0;

    add_idler_locked(workers, &self);
    while (self.link != NULL && rc != ETIMEDOUT) {
        rc = pthread_cond_clockwait(&self.wake, &workers->shared.mutex, CLOCK_MONOTONIC,
                                    &until);
    }
    if (self.link != NULL) {
        remove_idler_locked(workers, &self);
        return false;
    }
    return true;
}

/* Wait for a job. NULL: this thread shall end. */
static struct work *next_job_locked(struct workers *workers)
{
    while (workers->shared.n_queued == 0) {
        if (workers->shared.stopping) {
            return NULL;
        }
        if (!idle_locked(workers) && workers->shared.n_threads > workers->options.n_min) {
            return NULL;
        }
    }
    return pop_locked(workers);
}

static void *worker_main(void *arg)
{
    struct workers *workers = arg;
    struct work *job;
    pthread_t previous;
    bool has_previous;

    if (workers->options.nice > 0) {
        /* On Linux this affects only this thread; it works at normal priority, too, if
         * this fails. */
        id_t self = (id_t)gettid();
        int now = getpriority(PRIO_PROCESS, self);
        (void)setpriority(PRIO_PROCESS, self, now + workers->options.nice);
    }
    (void)pthread_mutex_lock(&workers->shared.mutex);
    while ((job = next_job_locked(workers)) != NULL) {
        (void)pthread_mutex_unlock(&workers->shared.mutex);
        job->run(job);
        (void)pthread_mutex_lock(&workers->shared.mutex);
    }
    previous = workers->shared.last;
    has_previous = workers->shared.has_last;
    workers->shared.last = pthread_self();
    workers->shared.has_last = true;
    workers->shared.n_threads--;
    (void)pthread_cond_signal(&workers->shared.gone);
    (void)pthread_mutex_unlock(&workers->shared.mutex);
    if (has_previous) {
        (void)pthread_join(previous, NULL);
    }
    return NULL;
}

/* Start one thread that was already counted. False: it could not be started, and is no
 * longer counted. */
static bool start_thread(struct workers *workers)
{
    pthread_attr_t attr;
    pthread_t thread;
    int rc = pthread_attr_init(&attr);

    if (rc == 0) {
        rc = pthread_attr_setstacksize(&attr, stack_bytes());
        if (rc == 0) {
            rc = pthread_create(&thread, &attr, worker_main, workers);
        }
        (void)pthread_attr_destroy(&attr);
    }
    if (rc != 0) {
        log_write(LOG_WARN, "worker_not_started", "errno=%d", rc);
        (void)pthread_mutex_lock(&workers->shared.mutex);
        workers->shared.n_threads--;
        (void)pthread_mutex_unlock(&workers->shared.mutex);
    }
    return rc == 0;
}

struct workers *workers_new(const struct workers_options *options)
{
    struct workers *workers = calloc(1, sizeof *workers);

    CHECK(options->n_min >= 1 && options->n_min <= options->n_max);
    if (workers == NULL) {
        return NULL;
    }
    workers->options = *options;
    (void)pthread_mutex_init(&workers->shared.mutex, NULL);
    (void)pthread_cond_init(&workers->shared.gone, NULL);
    for (unsigned i = 0; i < options->n_min; i++) {
        (void)pthread_mutex_lock(&workers->shared.mutex);
        workers->shared.n_threads++;
        (void)pthread_mutex_unlock(&workers->shared.mutex);
        if (!start_thread(workers)) {
            workers_free(&workers);
            return NULL;
        }
    }
    return workers;
}

void workers_stop(struct workers *workers)
{
    if (workers == NULL) {
        return;
    }
    (void)pthread_mutex_lock(&workers->shared.mutex);
    workers->shared.stopping = true;
    while (wake_one_locked(workers)) {
    }
    while (workers->shared.n_threads > 0) {
        (void)pthread_cond_wait(&workers->shared.gone, &workers->shared.mutex);
    }
    bool has_last = workers->shared.has_last;
    workers->shared.has_last = false;
    (void)pthread_mutex_unlock(&workers->shared.mutex);
    if (has_last) {
        (void)pthread_join(workers->shared.last, NULL);
    }
}

void workers_free(struct workers **workers)
{
    struct workers *self = *workers;

    if (self == NULL) {
        return;
    }
    *workers = NULL;
    workers_stop(self);
    (void)pthread_cond_destroy(&self->shared.gone);
    (void)pthread_mutex_destroy(&self->shared.mutex);
    free(self);
}

static void push_locked(struct workers *workers, struct work *job)
{
    job->next = NULL;
    if (workers->shared.tail != NULL) {
        workers->shared.tail->next = job;
    } else {
        workers->shared.head = job;
    }
    workers->shared.tail = job;
    workers->shared.n_queued++;
}

/* Queue JOB unless QUEUE_MAX jobs wait already, or the pool is stopping. */
static bool queue_job(struct workers *workers, struct work *job, size_t queue_max)
{
    bool grow = false;

    (void)pthread_mutex_lock(&workers->shared.mutex);
    if (workers->shared.n_queued >= queue_max || workers->shared.stopping) {
        (void)pthread_mutex_unlock(&workers->shared.mutex);
        return false;
    }
    push_locked(workers, job);
    if (!wake_one_locked(workers) && workers->shared.n_threads < workers->options.n_max) {
        workers->shared.n_threads++;
        grow = true;
    }
    (void)pthread_mutex_unlock(&workers->shared.mutex);
    if (grow) {
        /* If this fails, the job waits for an existing thread. */
        (void)start_thread(workers);
    }
    return true;
}

bool workers_submit(struct workers *workers, struct work *job)
{
    return queue_job(workers, job, workers->options.queue_max);
}

bool workers_hand(struct workers *workers, struct work *job)
{
    return queue_job(workers, job, SIZE_MAX);
}

void workers_state(struct workers *workers, struct workers_state *state)
{
    (void)pthread_mutex_lock(&workers->shared.mutex);
    state->n_threads = workers->shared.n_threads;
    state->n_busy = workers->shared.n_threads - workers->shared.n_idle;
    state->n_queued = workers->shared.n_queued;
    (void)pthread_mutex_unlock(&workers->shared.mutex);
}
