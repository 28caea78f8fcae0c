/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* The relay: finishes every second half that nobody finished within a second. */
#include "shard/relay.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "shard/base/clock.h"
#include "shard/base/hex.h"
#include "shard/base/log.h"
#include "shard/base/rnd.h"

#include "shard/call.h"
#include "shard/half.h"
#include "shard/idem.h"
#include "shard/router_scatter.h"

/* Rows of one look, so that each report about them is one batch. */
#define LIST_MAX OPS_MAX

/* One CALL of the relay; the last ones when it is told to stop. */
#define CALL_MS        2000
#define CALL_MS_AT_END 500

/* A look at full length: 256 messages of 1000 characters. */
#define LIST_ARENA_BYTES  (16u << 20)
#define BATCH_ARENA_BYTES (4u << 20)

/* Longest pause while a shard does not answer. */
#define PAUSE_MAX_MS 5000

/* Pause when all that was listed had to be put off, and others may be behind it. */
#define NEXT_LOOK_MS 20

/* Keys that clients gave to requests are good for a day. */
#define IDEM_OLDER_MS  INT64_C(86400000)
#define PURGE_EVERY_MS 600000
#define PURGE_AT_ONCE  256
#define PURGE_ROUNDS   16

#define WORKER_STACK_BYTES (512u << 10)

#define HOLDER_BYTES 16

/* One shard. Fields without a mutex belong to its thread. */
struct worker {
    struct relay *relay; /* (ref) */
    size_t shard;
    pthread_t thread;
    bool has_thread;
    int64_t lease_until_ms;   /* monotonic; 0: another process has it */
    int64_t purge_at_ms;      /* monotonic */
    int64_t put_off_until_ms; /* monotonic; rows were put off, and are not listed */
    unsigned troubles;        /* looks in a row that got nothing done */

    atomic_bool is_holder;
    atomic_uint_fast64_t delivered_total;
    atomic_uint_fast64_t undone_total;
    atomic_uint_fast64_t put_off_total;
    atomic_uint_fast64_t failed_total;
    atomic_uint_fast64_t parked_total;
    atomic_int_fast64_t oldest_ms;
};

struct relay {
    struct router *router; /* (ref) */
    struct relay_options options;
    char holder[2 * HOLDER_BYTES + 1]; /* name of this process in the leases */
    size_t n_workers;
    struct worker *workers; /* owned */
    struct {
        pthread_mutex_t mutex;
        pthread_cond_t cond;
        bool stop;
    } shared;
};

/* The rows of one look, all of one kind while they are delivered. */
struct pass {
    struct worker *worker;
    struct half *halves;
    enum half_state *states;
    enum outcome *outcomes;
    size_t *index;
    size_t n;
};

/* --- Help
 * --------------------------------------------------------------------------------- */

static bool stopping(struct relay *relay)
{
    pthread_mutex_lock(&relay->shared.mutex);
    bool stop = relay->shared.stop;
    pthread_mutex_unlock(&relay->shared.mutex);
    return stop;
}

/* Wait MS, or less when the relay stops. False: stop. */
static bool rest(struct relay *relay, int64_t ms)
{
    const struct timespec until = clock_timespec(clock_mono_ms() + ms);
    int late = 0;

    pthread_mutex_lock(&relay->shared.mutex);
    while (!relay->shared.stop && late == 0) {
        late = pthread_cond_clockwait(&relay->shared.cond, &relay->shared.mutex,
                                      CLOCK_MONOTONIC, &until);
    }
    bool go_on = !relay->shared.stop;
    pthread_mutex_unlock(&relay->shared.mutex);
    return go_on;
}

/* PAUSE_MS, more or less, so that processes do not march in step. */
static int64_t jitter(int64_t pause_ms)
{
    return pause_ms / 2 + rnd_below((uint32_t)pause_ms + 1);
}

/* What the relay does is nobody's request. */
static void step_begin(struct own_call *own, struct relay *relay, size_t arena_bytes)
{
    own_call_begin(own, arena_bytes, stopping(relay) ? CALL_MS_AT_END : CALL_MS);
}

/* CALL a PROC_SHARD procedure on the worker's shard. NULL: no answer. */
static const struct dbresult *ask(struct worker *worker, struct call *call,
                                  enum proc_id proc, const struct dbarg *args)
{
    struct router *router = worker->relay->router;
    struct router_share *shares =
        arena_calloc(call->arena, router_n_shards(router), sizeof *shares);

    if (shares == NULL) {
        call_explain(call, "out of memory");
        return NULL;
    }
    shares[worker->shard].wanted = true;
    router_scatter(router, call, proc, args, shares);
    return shares[worker->shard].outcome == OUTCOME_OK ? shares[worker->shard].results
                                                       : NULL;
}

/* --- The lease
 * ---------------------------------------------------------------------------- */

/* Take or prolong the lease; LEASE_MS 0 gives it back. */
static void take_lease(struct worker *worker, int64_t lease_ms)
{
    struct relay *relay = worker->relay;
    const struct dbarg args[] = {dbarg_text(relay->holder, strlen(relay->holder)),
                                 dbarg_number((uint64_t)lease_ms)};
    int64_t start_ms = clock_mono_ms();
    struct own_call own;

    step_begin(&own, relay, BATCH_ARENA_BYTES);
    const struct dbresult *rows = ask(worker, &own.call, PROC_RELAY_LEASE_TAKE, args);
    const struct dbvalue *got = dbresult_value(rows, 0, "got");
    if (got == NULL) {
        log_write(LOG_DEBUG, "relay_lease", "shard=%zu why=\"%s\"", worker->shard,
                  own.call.detail);
    }
    worker->lease_until_ms = got != NULL && got->number == 1 ? start_ms + lease_ms : 0;
    atomic_store(&worker->is_holder, worker->lease_until_ms != 0);
    own_call_end(&own);
}

/* Is the shard ours? A lease is prolonged when a third of it is gone. */
static bool hold_lease(struct worker *worker)
{
    int64_t lease_ms = worker->relay->options.lease_ms;

    if (worker->lease_until_ms - clock_mono_ms() < lease_ms * 2 / 3) {
        take_lease(worker, lease_ms);
    }
    return worker->lease_until_ms != 0;
}

/* --- Delivering
 * --------------------------------------------------------------------------- */

/* May one operation have spoiled the whole batch? */
static bool is_spoiled(enum outcome outcome)
{
    return outcome == OUTCOME_INTERNAL || outcome == OUTCOME_BADARG ||
           outcome == OUTCOME_NOMEM;
}

static void deliver_some(struct pass *pass, const size_t *index, size_t n)
{
    struct relay *relay = pass->worker->relay;
    struct own_call own;

    step_begin(&own, relay, BATCH_ARENA_BYTES);
    const struct half_batch batch = {
        .halves = pass->halves, .index = index, .n = n, .outcomes = pass->outcomes};
    half_deliver(relay->router, &own.call, &batch);
    for (size_t i = 0; i < n; i++) {
        const struct half *half = &pass->halves[index[i]];
        enum outcome outcome = pass->outcomes[index[i]];
        pass->states[index[i]] = half_state_from(half, outcome);
        if (pass->states[index[i]] == HALF_FAILED && n == 1) {
            log_write(outcome == OUTCOME_GAP ? LOG_DEBUG : LOG_WARN, "half_failed",
                      "kind=%s actor=%llu target=%llu seq=%llu attempt=%u outcome=%s "
                      "why=\"%s\"",
                      half_word(half->kind), (unsigned long long)half->actor_id,
                      (unsigned long long)half->target_id, (unsigned long long)half->seq,
                      half->attempts + 1, outcome_name(outcome), own.call.detail);
        }
    }
    own_call_end(&own);
}

/* Deliver the batch in pass->index; when one operation may have spoiled it, one by one,
 * so that only the bad one fails. */
static void deliver_batch(struct pass *pass, size_t n)
{
    deliver_some(pass, pass->index, n);
    for (size_t i = 0; n > 1 && i < n; i++) {
        if (is_spoiled(pass->outcomes[pass->index[i]]) &&
            !stopping(pass->worker->relay)) {
            deliver_some(pass, &pass->index[i], 1);
        }
    }
}

typedef void report_fn(struct router *, struct call *, const struct half_batch *);

/* Report the N halves in INDEX. Returns of how many the shard has taken note. */
static size_t report_some(struct pass *pass, const size_t *index, size_t n,
                          report_fn *tell)
{
    struct relay *relay = pass->worker->relay;
    struct own_call own;
    size_t noted = 0;

    step_begin(&own, relay, BATCH_ARENA_BYTES);
    const struct half_batch batch = {
        .halves = pass->halves, .index = index, .n = n, .outcomes = pass->outcomes};
    tell(relay->router, &own.call, &batch);
    for (size_t i = 0; i < n; i++) {
        enum outcome outcome = pass->outcomes[index[i]];
        noted += outcome == OUTCOME_OK || outcome == OUTCOME_SAME;
    }
    if (own.call.detail[0] != '\0') {
        log_write(LOG_DEBUG, "relay_report", "shard=%zu why=\"%s\"", pass->worker->shard,
                  own.call.detail);
    }
    own_call_end(&own);
    return noted;
}

/* Report the halves that are in STATE; one by one when one of them may have spoiled the
 * batch. Returns of how many the shard has taken note; the others will be listed again.
 */
static size_t report(struct pass *pass, enum half_state state, report_fn *tell)
{
    size_t n = 0, noted = 0;

    for (size_t i = 0; i < pass->n; i++) {
        if (pass->states[i] == state) {
            pass->index[n++] = i;
        }
    }
    if (n > 0) {
        noted = report_some(pass, pass->index, n, tell);
    }
    for (size_t i = 0; n > 1 && i < n; i++) {
        if (is_spoiled(pass->outcomes[pass->index[i]]) &&
            !stopping(pass->worker->relay)) {
            noted += report_some(pass, &pass->index[i], 1, tell);
        }
    }
    return noted;
}

static void count_parked(struct pass *pass)
{
    for (size_t i = 0; i < pass->n; i++) {
        const struct half *half = &pass->halves[i];
        if (pass->states[i] != HALF_FAILED || pass->outcomes[i] != OUTCOME_OK ||
            half->attempts + 1 < HALF_ATTEMPTS_MAX) {
            continue;
        }
        atomic_fetch_add(&pass->worker->parked_total, 1);
        log_write(LOG_ERROR, "half_parked",
                  "kind=%s actor=%llu target=%llu seq=%llu detail=\"failed %d times; see "
                  "outbox_parked()\"",
                  half_word(half->kind), (unsigned long long)half->actor_id,
                  (unsigned long long)half->target_id, (unsigned long long)half->seq,
                  HALF_ATTEMPTS_MAX);
    }
}

/* What became of the rows of one look. */
struct score {
    size_t finished;
    size_t put_off; /* failed ones, too */
};

/* Deliver and report the halves of PASS, and add them to SCORE. */
static void run_pass(struct pass *pass, struct score *score)
{
    struct worker *worker = pass->worker;
    size_t n;

    while (!stopping(worker->relay) &&
           (n = half_pick(pass->halves, pass->states, pass->n, pass->index)) > 0) {
        deliver_batch(pass, n);
    }
    size_t made = report(pass, HALF_MADE, half_done);
    size_t refused = report(pass, HALF_REFUSED, half_undo);
    size_t later = report(pass, HALF_LATER, half_put_off);
    size_t failed = report(pass, HALF_FAILED, half_fail);

    count_parked(pass);
    atomic_fetch_add(&worker->delivered_total, made);
    atomic_fetch_add(&worker->undone_total, refused);
    atomic_fetch_add(&worker->put_off_total, later);
    atomic_fetch_add(&worker->failed_total, failed);
    if (later + failed > 0) {
        worker->put_off_until_ms = clock_mono_ms() + PAUSE_MAX_MS;
    }
    score->finished += made + refused;
    score->put_off += later + failed;
}

/* --- Looking
 * ------------------------------------------------------------------------------ */

/* The rows of KIND go to PASS, in their order. A row that cannot be delivered, since its
 * first half is not there, has failed already. */
static void select_kind(struct pass *pass, const struct dbresult *rows,
                        enum half_kind kind)
{
    pass->n = 0;
    for (size_t row = 0; row < rows->n_rows; row++) {
        struct half *half = &pass->halves[pass->n];
        bool is_whole = half_read(rows, row, half);
        if (half->kind != kind) {
            continue;
        }
        if (!is_whole) {
            log_write(LOG_WARN, "half_unreadable",
                      "kind=%s actor=%llu target=%llu seq=%llu", half_word(kind),
                      (unsigned long long)half->actor_id,
                      (unsigned long long)half->target_id, (unsigned long long)half->seq);
        }
        pass->states[pass->n++] = is_whole ? HALF_WAITING : HALF_FAILED;
    }
}

static void note_age(struct worker *worker, const struct dbresult *rows)
{
    int64_t now_ms = clock_wall_ms();
    int64_t oldest_ms = 0;
    struct half half;

    for (size_t row = 0; row < rows->n_rows; row++) {
        if ((half_read(rows, row, &half) || half.kind != HALF__COUNT) &&
            now_ms - half.at_ms > oldest_ms) {
            oldest_ms = now_ms - half.at_ms;
        }
    }
    if (rows->n_rows > 0 || clock_mono_ms() >= worker->put_off_until_ms) {
        atomic_store(&worker->oldest_ms, oldest_ms);
    }
}

static bool prepare_pass(struct pass *pass, struct arena *arena, size_t n)
{
    pass->halves = arena_calloc(arena, n, sizeof *pass->halves);
    pass->states = arena_calloc(arena, n, sizeof *pass->states);
    pass->outcomes = arena_calloc(arena, n, sizeof *pass->outcomes);
    pass->index = arena_calloc(arena, n, sizeof *pass->index);
    return pass->halves != NULL && pass->states != NULL && pass->outcomes != NULL &&
           pass->index != NULL;
}

/* How long to wait after a look that got N rows; SCORE of those. */
static int64_t pause_after(struct worker *worker, size_t n, const struct score *score)
{
    if (n == LIST_MAX && score->finished + score->put_off > 0) {
        /* There may be more. What was put off is not listed again for a while, so that
         * rows of a shard that is down keep nobody else waiting. */
        worker->troubles = 0;
        return score->finished > 0 ? 0 : NEXT_LOOK_MS;
    }
    worker->troubles = score->finished > 0 || n == 0 ? 0 : worker->troubles + 1;
    int64_t pause_ms = (int64_t)worker->relay->options.poll_ms
                       << (worker->troubles < 4 ? worker->troubles : 4);
    return jitter(pause_ms < PAUSE_MAX_MS ? pause_ms : PAUSE_MAX_MS);
}

/* Look once and finish what is due. Returns the pause until the next look. */
static int64_t look(struct worker *worker)
{
    struct relay *relay = worker->relay;
    const struct dbarg args[] = {dbarg_number(LIST_MAX),
                                 dbarg_number((uint64_t)relay->options.older_ms)};
    struct pass pass = {.worker = worker};
    struct score score = {.finished = 0};
    struct own_call own;
    size_t n = 1; /* no answer is as good as one row that could not be finished */

    step_begin(&own, relay, LIST_ARENA_BYTES);
    const struct dbresult *rows = ask(worker, &own.call, PROC_OUTBOX_LIST, args);
    if (rows != NULL && prepare_pass(&pass, &own.arena, rows->n_rows + 1)) {
        n = rows->n_rows;
        note_age(worker, rows);
        for (enum half_kind kind = 0; n > 0 && kind < HALF__COUNT; kind++) {
            select_kind(&pass, rows, kind);
            run_pass(&pass, &score);
        }
    } else {
        log_write(LOG_DEBUG, "relay_look", "shard=%zu why=\"%s\"", worker->shard,
                  own.call.detail);
    }
    own_call_end(&own);
    return pause_after(worker, n, &score);
}

/* Forget keys of requests that are too old to be used. */
static void purge(struct worker *worker)
{
    uint64_t removed = PURGE_AT_ONCE;

    for (int i = 0; i < PURGE_ROUNDS && removed == PURGE_AT_ONCE; i++) {
        struct own_call own;
        step_begin(&own, worker->relay, BATCH_ARENA_BYTES);
        removed = 0;
        enum outcome outcome = idem_purge(worker->relay->router, &own.call, worker->shard,
                                          IDEM_OLDER_MS, PURGE_AT_ONCE, &removed);
        if (outcome != OUTCOME_OK) {
            log_write(LOG_DEBUG, "idem_purge", "shard=%zu outcome=%s why=\"%s\"",
                      worker->shard, outcome_name(outcome), own.call.detail);
        }
        own_call_end(&own);
    }
    worker->purge_at_ms =
        clock_mono_ms() + (removed == PURGE_AT_ONCE ? 0 : PURGE_EVERY_MS);
}

static void *worker_run(void *argument)
{
    struct worker *worker = argument;
    struct relay *relay = worker->relay;
    int64_t pause_ms = jitter(relay->options.poll_ms);

    worker->purge_at_ms = clock_mono_ms() + jitter(PURGE_EVERY_MS);
    while (rest(relay, pause_ms)) {
        if (!hold_lease(worker)) {
            pause_ms = jitter(relay->options.lease_ms / 3);
            continue;
        }
        pause_ms = look(worker);
        if (clock_mono_ms() >= worker->purge_at_ms) {
            purge(worker);
        }
    }
    if (worker->lease_until_ms != 0) {
        take_lease(worker, 0);
    }
    return NULL;
}

/* --- Life
 * --------------------------------------------------------------------------------- */

struct relay_options relay_defaults(void)
{
    return (struct relay_options){.poll_ms = 500, .older_ms = 1000, .lease_ms = 10000};
}

static bool start_worker(struct relay *relay, size_t shard)
{
    struct worker *worker = &relay->workers[shard];
    pthread_attr_t attr;

    worker->relay = relay;
    worker->shard = shard;
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, WORKER_STACK_BYTES);
    worker->has_thread = pthread_create(&worker->thread, &attr, worker_run, worker) == 0;
    pthread_attr_destroy(&attr);
    return worker->has_thread;
}

struct relay *relay_new(struct router *router, const struct relay_options *options)
{
    struct relay *relay = calloc(1, sizeof *relay);
    unsigned char holder[HOLDER_BYTES];

    CHECK(options->poll_ms > 0 && options->older_ms >= 0 && options->lease_ms > 0);
    if (relay == NULL) {
        return NULL;
    }
    relay->router = router;
    relay->options = *options;
    rnd_bytes(holder, sizeof holder);
    hex_encode(holder, sizeof holder, relay->holder);
    pthread_mutex_init(&relay->shared.mutex, NULL);
    pthread_cond_init(&relay->shared.cond, NULL);
    relay->n_workers = router_n_shards(router);
    relay->workers = calloc(relay->n_workers, sizeof *relay->workers);
    bool good = relay->workers != NULL;
    for (size_t i = 0; good && i < relay->n_workers; i++) {
        good = start_worker(relay, i);
    }
    if (!good) {
        relay_free(&relay);
    }
    return relay;
}

void relay_free(struct relay **relay)
{
    struct relay *r = *relay;

    if (r == NULL) {
        return;
    }
    pthread_mutex_lock(&r->shared.mutex);
    r->shared.stop = true;
    pthread_cond_broadcast(&r->shared.cond);
    pthread_mutex_unlock(&r->shared.mutex);
    for (size_t i = 0; r->workers != NULL && i < r->n_workers; i++) {
        if (r->workers[i].has_thread) {
            pthread_join(r->workers[i].thread, NULL);
        }
    }
    pthread_cond_destroy(&r->shared.cond);
    pthread_mutex_destroy(&r->shared.mutex);
    free(r->workers);
    free(r);
    *relay = NULL;
}

void relay_get_state(struct relay *relay, size_t shard, struct relay_state *state)
{
    CHECK(shard < relay->n_workers);
    struct worker *worker = &relay->workers[shard];

    *state = (struct relay_state){
        .is_holder = atomic_load(&worker->is_holder),
        .delivered_total = atomic_load(&worker->delivered_total),
        .undone_total = atomic_load(&worker->undone_total),
        .put_off_total = atomic_load(&worker->put_off_total),
        .failed_total = atomic_load(&worker->failed_total),
        .parked_total = atomic_load(&worker->parked_total),
        .oldest_ms = atomic_load(&worker->oldest_ms),
    };
}
