/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Delivery of second halves at once, within the request that wrote the first. */
#include "shard/delivery.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "shard/base/clock.h"
#include "shard/base/log.h"

#include "shard/router_call.h"

/* How long the caller waits for the target at most. */
#define MAKE_MS 1000

/* How long a message that overtook the one before it is tried again. */
#define GAP_MS 100

/* How long rows are collected, unless a batch is full: this saves commits, and the relay
 * reads only rows that are much older. */
#define LINGER_MS 50

/* Time limit of one removal of rows. */
#define REMOVE_MS          2000
#define REMOVE_MS_AT_END   500
#define REMOVE_ARENA_BYTES (4u << 20)

#define REMOVER_STACK_BYTES (512u << 10)

/* The queue of rows to remove on one shard, and the thread that removes them. */
struct remover {
    struct delivery *delivery; /* (ref) */
    pthread_t thread;
    bool has_thread; /* used by the caller of delivery_follow() */
    struct {
        pthread_mutex_t mutex;
        pthread_cond_t cond; /* queue and stop change */
        struct half *queue;  /* owned; ring of queue_max, only the key and the version */
        size_t first;
        size_t n;
        bool stop;
    } shared;
};

struct delivery {
    struct router *router; /* (ref) */
    size_t queue_max;
    atomic_size_t n_removers; /* grows only */
    struct remover
        *removers; /* owned; ROUTER_SHARDS_MAX, of which there are n_removers */

    atomic_uint_fast64_t made_total;
    atomic_uint_fast64_t undone_total;
    atomic_uint_fast64_t left_total;
    atomic_uint_fast64_t removed_total;
    atomic_uint_fast64_t kept_total;
};

/* ---- The queues ---- */

static bool push(struct remover *r, const struct half *half)
{
    size_t queue_max = r->delivery->queue_max;

    pthread_mutex_lock(&r->shared.mutex);
    bool fits = r->shared.n < queue_max && !r->shared.stop;
    if (fits) {
        r->shared.queue[(r->shared.first + r->shared.n) % queue_max] =
            (struct half){.kind = half->kind,
                          .actor_id = half->actor_id,
                          .target_id = half->target_id,
                          .seq = half->seq,
                          .ver = half->ver};
        r->shared.n++;
        if (r->shared.n == 1 || r->shared.n == OPS_MAX) {
            pthread_cond_signal(&r->shared.cond);
        }
    }
    pthread_mutex_unlock(&r->shared.mutex);
    return fits;
}

/* The half is made: queue its row for removal. If the queue is full, the relay removes
 * it. */
static void enqueue(struct delivery *d, const struct half *half)
{
    size_t shard = router_owner_shard(d->router, half->actor_id);

    if (shard >= atomic_load(&d->n_removers) || !push(&d->removers[shard], half)) {
        atomic_fetch_add(&d->kept_total, 1);
    }
}

/* Wait for rows and take a batch of them. 0: nothing is left, and it must stop. */
static size_t dequeue(struct remover *r, struct half *batch, bool *is_end)
{
    size_t n = 0;
    int late = 0;

    pthread_mutex_lock(&r->shared.mutex);
    while (r->shared.n == 0 && !r->shared.stop) {
        pthread_cond_wait(&r->shared.cond, &r->shared.mutex);
    }
    const struct timespec until = clock_timespec(clock_mono_ms() + LINGER_MS);
    while (r->shared.n < OPS_MAX && !r->shared.stop && late == 0) {
        late = pthread_cond_clockwait(&r->shared.cond, &r->shared.mutex, CLOCK_MONOTONIC,
                                      &until);
    }
    while (r->shared.n > 0 && n < OPS_MAX) {
        batch[n++] = r->shared.queue[r->shared.first];
        r->shared.first = (r->shared.first + 1) % r->delivery->queue_max;
        r->shared.n--;
    }
    *is_end = r->shared.stop;
    pthread_mutex_unlock(&r->shared.mutex);
    return half_merge(batch, n);
}

/* Remove the rows of a batch. False: no shard answered. */
static bool remove_rows(struct delivery *d, const struct half *rows, size_t n,
                        int64_t limit_ms)
{
    enum outcome outcomes[OPS_MAX];
    size_t index[OPS_MAX];
    size_t removed = 0;
    struct arena arena;
    struct call call;

    for (size_t i = 0; i < n; i++) {
        index[i] = i;
    }
    arena_init(&arena, REMOVE_ARENA_BYTES);
    call_init(&call, &arena, clock_mono_ms() + limit_ms);
    const struct half_batch batch = {
        .halves = rows, .index = index, .n = n, .outcomes = outcomes};
    half_done(d->router, &call, &batch);
    for (size_t i = 0; i < n; i++) {
        removed += outcomes[i] == OUTCOME_OK || outcomes[i] == OUTCOME_SAME;
    }
    if (removed < n) {
        log_write(LOG_DEBUG, "outbox_rows_kept", "rows=%zu why=\"%s\"", n - removed,
                  call.detail);
    }
    arena_release(&arena);
    atomic_fetch_add(&d->removed_total, removed);
    atomic_fetch_add(&d->kept_total, n - removed);
    return removed > 0;
}

static void *remover_run(void *argument)
{
    struct remover *r = argument;
    struct half batch[OPS_MAX];
    bool is_end = false;
    bool go_on = true;

    while (go_on) {
        size_t n = dequeue(r, batch, &is_end);
        bool answered = n > 0 && remove_rows(r->delivery, batch, n,
                                             is_end ? REMOVE_MS_AT_END : REMOVE_MS);
        go_on = !is_end || answered;
    }
    return NULL;
}

/* ---- Life ---- */

/* Add the queue of a new shard. */
static bool add_remover(struct delivery *d)
{
    struct remover *r = &d->removers[atomic_load(&d->n_removers)];

    r->delivery = d;
    r->shared.queue = calloc(d->queue_max, sizeof *r->shared.queue);
    if (r->shared.queue == NULL) {
        return false;
    }
    pthread_mutex_init(&r->shared.mutex, NULL);
    pthread_cond_init(&r->shared.cond, NULL);
    atomic_fetch_add(&d->n_removers, 1);
    return true;
}

static bool start_remover(struct remover *r)
{
    pthread_attr_t attr;

    pthread_mutex_lock(&r->shared.mutex);
    r->shared.stop = false;
    pthread_mutex_unlock(&r->shared.mutex);
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, REMOVER_STACK_BYTES);
    r->has_thread = pthread_create(&r->thread, &attr, remover_run, r) == 0;
    pthread_attr_destroy(&attr);
    return r->has_thread;
}

static void tell_to_stop(struct remover *r)
{
    pthread_mutex_lock(&r->shared.mutex);
    r->shared.stop = true;
    pthread_cond_signal(&r->shared.cond);
    pthread_mutex_unlock(&r->shared.mutex);
}

static void join_remover(struct remover *r)
{
    if (r->has_thread) {
        pthread_join(r->thread, NULL);
        r->has_thread = false;
    }
}

bool delivery_follow(struct delivery *delivery)
{
    size_t n_shards = router_n_shards(delivery->router);
    bool good = true;

    for (size_t i = 0; good && i < n_shards; i++) {
        struct remover *r = &delivery->removers[i];
        bool is_there = router_has_shard(delivery->router, i);
        if (i >= atomic_load(&delivery->n_removers)) {
            good = add_remover(delivery);
        }
        if (good && is_there && !r->has_thread) {
            good = start_remover(r);
        } else if (!is_there && r->has_thread) {
            tell_to_stop(r);
            join_remover(r);
        }
    }
    return good;
}

struct delivery *delivery_new(struct router *router, size_t queue_max)
{
    struct delivery *d = calloc(1, sizeof *d);
    struct remover *removers = calloc(ROUTER_SHARDS_MAX, sizeof *removers);

    CHECK(queue_max > 0);
    if (d == NULL || removers == NULL) {
        free(removers);
        free(d);
        return NULL;
    }
    d->router = router;
    d->queue_max = queue_max;
    d->removers = removers;
    if (!delivery_follow(d)) {
        delivery_free(&d);
    }
    return d;
}

static void release_remover(struct remover *r)
{
    join_remover(r);
    pthread_cond_destroy(&r->shared.cond);
    pthread_mutex_destroy(&r->shared.mutex);
    free(r->shared.queue);
}

void delivery_free(struct delivery **delivery)
{
    struct delivery *d = *delivery;

    if (d == NULL) {
        return;
    }
    for (size_t i = 0; i < d->n_removers; i++) {
        tell_to_stop(&d->removers[i]);
    }
    for (size_t i = 0; i < d->n_removers; i++) {
        release_remover(&d->removers[i]);
    }
    free(d->removers);
    free(d);
    *delivery = NULL;
}

struct router *delivery_router(const struct delivery *delivery)
{
    return delivery->router;
}

void delivery_state(struct delivery *delivery, struct delivery_state *state)
{
    *state = (struct delivery_state){
        .made_total = atomic_load(&delivery->made_total),
        .undone_total = atomic_load(&delivery->undone_total),
        .left_total = atomic_load(&delivery->left_total),
        .removed_total = atomic_load(&delivery->removed_total),
        .kept_total = atomic_load(&delivery->kept_total),
    };
    for (size_t i = 0; i < delivery->n_removers; i++) {
        struct remover *r = &delivery->removers[i];
        pthread_mutex_lock(&r->shared.mutex);
        state->queued += r->shared.n;
        pthread_mutex_unlock(&r->shared.mutex);
    }
}

/* ---- At once ---- */

static enum outcome deliver(struct delivery *d, struct call *call,
                            const struct half *half)
{
    const size_t index[] = {0};
    enum outcome outcome = OUTCOME_INTERNAL;
    const struct half_batch batch = {
        .halves = half, .index = index, .n = 1, .outcomes = &outcome};
    int64_t give_up_ms = clock_mono_ms() + GAP_MS;

    for (unsigned round = 0;; round++) {
        half_deliver(d->router, call, &batch);
        if (outcome != OUTCOME_GAP || clock_mono_ms() >= give_up_ms ||
            !router_pause(call, round)) {
            return outcome;
        }
    }
}

enum outcome delivery_make(struct delivery *delivery, struct call *call,
                           const struct half *half)
{
    const size_t index[] = {0};
    enum outcome undone = OUTCOME_INTERNAL;
    const struct half_batch batch = {
        .halves = half, .index = index, .n = 1, .outcomes = &undone};
    int64_t request_deadline_ms = call->deadline_ms;
    int64_t limit_ms = clock_mono_ms() + MAKE_MS;

    call->deadline_ms = clock_earlier(limit_ms, request_deadline_ms);
    enum outcome outcome = deliver(delivery, call, half);
    call->deadline_ms = request_deadline_ms;
    switch (half_state_from(half, outcome)) {
    case HALF_MADE:
        atomic_fetch_add(&delivery->made_total, 1);
        enqueue(delivery, half);
        return OUTCOME_OK;
    case HALF_REFUSED:
        half_undo(delivery->router, call, &batch); /* on failure the relay does it */
        atomic_fetch_add(undone == OUTCOME_OK || undone == OUTCOME_SAME
                             ? &delivery->undone_total
                             : &delivery->left_total,
                         1);
        return OUTCOME_NOTFOUND;
    default:
        atomic_fetch_add(&delivery->left_total, 1);
        log_write(outcome == OUTCOME_INTERNAL || outcome == OUTCOME_BADARG ? LOG_WARN
                                                                           : LOG_DEBUG,
                  "half_left", "kind=%s outcome=%s why=\"%s\"", half_word(half->kind),
                  outcome_name(outcome), call->detail);
        return OUTCOME_OK;
    }
}
