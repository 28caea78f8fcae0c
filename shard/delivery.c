/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Second halves at once: what follows the first half within the same request. */
#include "shard/delivery.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "shard/base/clock.h"
#include "shard/base/log.h"

#include "shard/router_call.h"

/* The caller waits for the target no longer than this. */
#define MAKE_MS 1000

/* A message that overtook the one before it is tried again for so long. */
#define GAP_MS 100

/* Rows are collected for so long, unless a batch is full: it saves commits, and the relay
 * looks only at rows that are much older. */
#define LINGER_MS 50

/* One removal of rows. */
#define REMOVE_MS          2000
#define REMOVE_MS_AT_END   500
#define REMOVE_ARENA_BYTES (4u << 20)

#define REMOVER_STACK_BYTES (512u << 10)

struct delivery {
    struct router *router; /* (ref) */
    size_t queue_max;
    pthread_t remover;
    bool has_remover;
    struct {
        pthread_mutex_t mutex;
        pthread_cond_t cond; /* queue and stop change */
        struct half *queue;  /* owned; ring of queue_max, only the key and the version */
        size_t first;
        size_t n;
        bool stop;
    } shared;

    atomic_uint_fast64_t made_total;
    atomic_uint_fast64_t undone_total;
    atomic_uint_fast64_t left_total;
    atomic_uint_fast64_t removed_total;
    atomic_uint_fast64_t kept_total;
};

/* --- The queue
 * ---------------------------------------------------------------------------- */

/* The half is made: its row can go. A full queue leaves that to the relay. */
static void enqueue(struct delivery *d, const struct half *half)
{
    bool fits;

    pthread_mutex_lock(&d->shared.mutex);
    fits = d->shared.n < d->queue_max;
    if (fits) {
        d->shared.queue[(d->shared.first + d->shared.n) % d->queue_max] =
            (struct half){.kind = half->kind,
                          .actor_id = half->actor_id,
                          .target_id = half->target_id,
                          .seq = half->seq,
                          .ver = half->ver};
        d->shared.n++;
        if (d->shared.n == 1 || d->shared.n == OPS_MAX) {
            pthread_cond_signal(&d->shared.cond);
        }
    }
    pthread_mutex_unlock(&d->shared.mutex);
    if (!fits) {
        atomic_fetch_add(&d->kept_total, 1);
    }
}

/* Wait for rows and take a batch of them. 0: there is nothing left and we are to stop. */
static size_t dequeue(struct delivery *d, struct half *batch, bool *is_end)
{
    size_t n = 0;
    int late = 0;

    pthread_mutex_lock(&d->shared.mutex);
    while (d->shared.n == 0 && !d->shared.stop) {
        pthread_cond_wait(&d->shared.cond, &d->shared.mutex);
    }
    const struct timespec until = clock_timespec(clock_mono_ms() + LINGER_MS);
    while (d->shared.n < OPS_MAX && !d->shared.stop && late == 0) {
        late = pthread_cond_clockwait(&d->shared.cond, &d->shared.mutex, CLOCK_MONOTONIC,
                                      &until);
    }
    while (d->shared.n > 0 && n < OPS_MAX) {
        batch[n++] = d->shared.queue[d->shared.first];
        d->shared.first = (d->shared.first + 1) % d->queue_max;
        d->shared.n--;
    }
    *is_end = d->shared.stop;
    pthread_mutex_unlock(&d->shared.mutex);
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
    struct delivery *d = argument;
    struct half batch[OPS_MAX];
    bool is_end = false;
    bool go_on = true;

    while (go_on) {
        size_t n = dequeue(d, batch, &is_end);
        bool answered =
            n > 0 && remove_rows(d, batch, n, is_end ? REMOVE_MS_AT_END : REMOVE_MS);
        go_on = !is_end || answered;
    }
    return NULL;
}

/* --- Life
 * --------------------------------------------------------------------------------- */

static bool start_remover(struct delivery *d)
{
    pthread_attr_t attr;

    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, REMOVER_STACK_BYTES);
    d->has_remover = pthread_create(&d->remover, &attr, remover_run, d) == 0;
    pthread_attr_destroy(&attr);
    return d->has_remover;
}

struct delivery *delivery_new(struct router *router, size_t queue_max)
{
    struct delivery *d = calloc(1, sizeof *d);

    CHECK(queue_max > 0);
    if (d == NULL) {
        return NULL;
    }
    d->router = router;
    d->queue_max = queue_max;
    pthread_mutex_init(&d->shared.mutex, NULL);
    pthread_cond_init(&d->shared.cond, NULL);
    d->shared.queue = calloc(queue_max, sizeof *d->shared.queue);
    if (d->shared.queue == NULL || !start_remover(d)) {
        delivery_free(&d);
    }
    return d;
}

void delivery_free(struct delivery **delivery)
{
    struct delivery *d = *delivery;

    if (d == NULL) {
        return;
    }
    if (d->has_remover) {
        pthread_mutex_lock(&d->shared.mutex);
        d->shared.stop = true;
        pthread_cond_signal(&d->shared.cond);
        pthread_mutex_unlock(&d->shared.mutex);
        pthread_join(d->remover, NULL);
    }
    pthread_cond_destroy(&d->shared.cond);
    pthread_mutex_destroy(&d->shared.mutex);
    free(d->shared.queue);
    free(d);
    *delivery = NULL;
}

struct router *delivery_router(const struct delivery *delivery)
{
    return delivery->router;
}

void delivery_get_state(struct delivery *delivery, struct delivery_state *state)
{
    *state = (struct delivery_state){
        .made_total = atomic_load(&delivery->made_total),
        .undone_total = atomic_load(&delivery->undone_total),
        .left_total = atomic_load(&delivery->left_total),
        .removed_total = atomic_load(&delivery->removed_total),
        .kept_total = atomic_load(&delivery->kept_total),
    };
    pthread_mutex_lock(&delivery->shared.mutex);
    state->queued = delivery->shared.n;
    pthread_mutex_unlock(&delivery->shared.mutex);
}

/* --- At once
 * ------------------------------------------------------------------------------ */

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

    call->deadline_ms = limit_ms < request_deadline_ms ? limit_ms : request_deadline_ms;
    enum outcome outcome = deliver(delivery, call, half);
    call->deadline_ms = request_deadline_ms;
    switch (half_state_from(half, outcome)) {
    case HALF_MADE:
        atomic_fetch_add(&delivery->made_total, 1);
        enqueue(delivery, half);
        return OUTCOME_OK;
    case HALF_REFUSED:
        half_undo(delivery->router, call, &batch); /* else the relay does it */
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
