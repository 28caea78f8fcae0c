/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* The relay: finishes every second half that was not finished within a second. */
#include "shard/relay.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shard/base/clock.h"
#include "shard/base/hex.h"
#include "shard/base/log.h"
#include "shard/base/rnd.h"

#include "shard/call.h"
#include "shard/half.h"
#include "shard/id.h"
#include "shard/router_scatter.h"

/* Limit of rows per listing, so that each report about them is one batch. */
#define LIST_MAX OPS_MAX

/* Time limits: of one CALL; of the last ones when told to stop. */
#define CALL_MS        2000
#define CALL_MS_AT_END 500

/* Time limit of one listing: a frozen shard delays the rows of others no longer than
 * this. */
#define LIST_MS 1000

/* Memory of a full listing: 256 messages of 1000 characters. */
#define LIST_ARENA_BYTES  (16u << 20)
#define BATCH_ARENA_BYTES (4u << 20)

/* Longest pause while a shard does not answer. */
#define PAUSE_MAX_MS 5000

/* Limit of chat repairs requested after one listing; the others are requested when their
 * rows are due again. */
#define REPAIRS_AT_ONCE 16

/* Pause when more may follow the rows listed. */
#define NEXT_LOOK_MS 20

#define WORKER_STACK_BYTES (512u << 10)

#define HOLDER_BYTES 16

/* What a worker knows about the rows that one shard has for the worker's shard. */
struct lane {
    int64_t again_ms;         /* monotonic; do not list before */
    int64_t put_off_until_ms; /* monotonic; until when rows are put off, and not listed */
    unsigned troubles;        /* listings in a row that got nothing done */
    uint32_t first_slot;      /* where the next listing begins */
    atomic_int_fast64_t oldest_ms;
};

/* The worker of one shard: keeps the lease of its outbox, and delivers to it from the
 * outboxes of all shards whose leases this process has, so that a slow or dead shard
 * delays no other shard's rows. Fields without a mutex belong to its thread. */
struct worker {
    struct relay *relay; /* (ref) */
    size_t shard;
    pthread_t thread;
    bool has_thread;        /* used by the caller of relay_follow() */
    bool stop;              /* under the relay's mutex: the shard has left */
    int64_t lease_until_ms; /* monotonic; 0: another process has it */
    int64_t lease_again_ms; /* monotonic; do not ask for it before */
    struct lane *lanes;     /* owned; ROUTER_SHARDS_MAX: where the rows are */
    bool is_down;           /* was down at the last check, as a target */

    /* Of the shard's own outbox, whichever worker delivers. */
    atomic_bool is_holder;
    atomic_uint_fast64_t delivered_total;
    atomic_uint_fast64_t undone_total;
    atomic_uint_fast64_t put_off_total;
    atomic_uint_fast64_t failed_total;
    atomic_uint_fast64_t parked_total;
};

struct relay {
    struct router *router; /* (ref) */
    struct relay_options options;
    char holder[2 * HOLDER_BYTES + 1]; /* name of this process in the leases */
    atomic_size_t n_workers;           /* grows only */
    struct worker *workers; /* owned; ROUTER_SHARDS_MAX, of which there are n_workers */
    struct {
        pthread_mutex_t mutex;
        pthread_cond_t cond;
        bool stop;
    } shared;
};

/* The rows of one listing, all of one kind while they are delivered. */
struct pass {
    struct worker *source; /* whose outbox it is */
    struct half *halves;
    enum half_state *states;
    enum outcome *outcomes;
    size_t *index;
    size_t n;
};

/* ---- Help ---- */

static bool stopping(struct relay *relay)
{
    pthread_mutex_lock(&relay->shared.mutex);
    bool stop = relay->shared.stop;
    pthread_mutex_unlock(&relay->shared.mutex);
    return stop;
}

/* Wait MS, or less when WORKER must stop. False: stop. */
static bool rest(struct worker *worker, int64_t ms)
{
    struct relay *relay = worker->relay;
    const struct timespec until = clock_timespec(clock_mono_ms() + ms);
    int late = 0;

    pthread_mutex_lock(&relay->shared.mutex);
    while (!relay->shared.stop && !worker->stop && late == 0) {
        late = pthread_cond_clockwait(&relay->shared.cond, &relay->shared.mutex,
                                      CLOCK_MONOTONIC, &until);
    }
    bool go_on = !relay->shared.stop && !worker->stop;
    pthread_mutex_unlock(&relay->shared.mutex);
    return go_on;
}

/* PAUSE_MS, more or less, so that processes do not act in step. */
static int64_t jitter(int64_t pause_ms)
{
    return pause_ms / 2 + rnd_below((uint32_t)pause_ms + 1);
}

/* Begin a step, which belongs to no request. */
static void step_begin(struct own_call *own, struct relay *relay, size_t arena_bytes)
{
    own_call_begin(own, arena_bytes, stopping(relay) ? CALL_MS_AT_END : CALL_MS);
}

/* CALL a PROC_SHARD procedure on the shard of WORKER. NULL: no answer. */
static const struct dbresult *ask(struct worker *worker, struct call *call,
                                  enum proc_id proc, const struct dbarg *args)
{
    struct router *router = worker->relay->router;
    size_t n_shards = router_n_shards(router);
    struct router_share *shares = arena_calloc(call->arena, n_shards, sizeof *shares);

    if (shares == NULL) {
        call_explain(call, "out of memory");
        return NULL;
    }
    shares[worker->shard].wanted = true;
    router_scatter(router, call, proc, args, shares, n_shards);
    return shares[worker->shard].outcome == OUTCOME_OK ? shares[worker->shard].results
                                                       : NULL;
}

/* Can the shard be delivered to? A read-only or paused one counts as down. */
static bool is_up(struct worker *worker)
{
    struct router_shard_state state;

    router_shard_state(worker->relay->router, worker->shard, &state);
    return state.up && state.writable && state.paused[0] == '\0';
}

/* ---- The lease ---- */

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

/* Keep the shard's lease, or try to get it. It is prolonged when a third of it is gone.
 */
static void keep_lease(struct worker *worker)
{
    int64_t lease_ms = worker->relay->options.lease_ms;
    int64_t now_ms = clock_mono_ms();

    if (worker->lease_until_ms == 0
            ? now_ms < worker->lease_again_ms
            : worker->lease_until_ms - now_ms >= lease_ms * 2 / 3) {
        return;
    }
    take_lease(worker, lease_ms);
    worker->lease_again_ms = now_ms + jitter(lease_ms / 3);
}

/* ---- Delivering ---- */

/* May one operation have spoiled the whole batch? */
static bool is_spoiled(enum outcome outcome)
{
    return outcome == OUTCOME_INTERNAL || outcome == OUTCOME_BADARG ||
           outcome == OUTCOME_NOMEM;
}

static void deliver_some(struct pass *pass, const size_t *index, size_t n)
{
    struct relay *relay = pass->source->relay;
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

/* Deliver the batch in pass->index; if one operation may have spoiled it, one by one, so
 * that only the bad one fails. */
static void deliver_batch(struct pass *pass, size_t n)
{
    deliver_some(pass, pass->index, n);
    for (size_t i = 0; n > 1 && i < n; i++) {
        if (is_spoiled(pass->outcomes[pass->index[i]]) &&
            !stopping(pass->source->relay)) {
            deliver_some(pass, &pass->index[i], 1);
        }
    }
}

typedef void report_fn(struct router *, struct call *, const struct half_batch *);

/* Report the N halves in INDEX. Returns how many the shard has recorded. */
static size_t report_some(struct pass *pass, const size_t *index, size_t n,
                          report_fn *tell)
{
    struct relay *relay = pass->source->relay;
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
        log_write(LOG_DEBUG, "relay_report", "shard=%zu why=\"%s\"", pass->source->shard,
                  own.call.detail);
    }
    own_call_end(&own);
    return noted;
}

/* Report the halves in STATE; one by one if one of them may have spoiled the batch.
 * Halves that are LATER because of an earlier message are not due, and need no report.
 * Returns how many the shard has recorded; the others will be listed again. */
static size_t report(struct pass *pass, enum half_state state, report_fn *tell)
{
    size_t n = 0, noted = 0;

    for (size_t i = 0; i < pass->n; i++) {
        if (pass->states[i] == state &&
            (state != HALF_LATER || pass->halves[i].is_head)) {
            pass->index[n++] = i;
        }
    }
    if (n > 0) {
        noted = report_some(pass, pass->index, n, tell);
    }
    for (size_t i = 0; n > 1 && i < n; i++) {
        if (is_spoiled(pass->outcomes[pass->index[i]]) &&
            !stopping(pass->source->relay)) {
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
        atomic_fetch_add(&pass->source->parked_total, 1);
        log_write(LOG_ERROR, "half_parked",
                  "kind=%s actor=%llu target=%llu seq=%llu detail=\"failed %d times; see "
                  "outbox_parked()\"",
                  half_word(half->kind), (unsigned long long)half->actor_id,
                  (unsigned long long)half->target_id, (unsigned long long)half->seq,
                  HALF_ATTEMPTS_MAX);
    }
}

/* What became of the rows of one listing. */
struct score {
    size_t finished;
    size_t put_off; /* failed ones, too; not listed again for a while */
};

/* Request the repair of chats whose mailboxes differ. Their messages wait. */
static void ask_for_repairs(struct pass *pass)
{
    size_t n = 0;

    for (size_t i = 0; i < pass->n; i++) {
        const struct half *half = &pass->halves[i];
        if (pass->states[i] != HALF_APART) {
            continue;
        }
        pass->states[i] = HALF_LATER;
        if (!half->is_head || n++ >= REPAIRS_AT_ONCE || stopping(pass->source->relay)) {
            continue;
        }
        const struct dbarg args[] = {dbarg_number(half->actor_id),
                                     dbarg_number(half->target_id)};
        struct own_call own;
        step_begin(&own, pass->source->relay, BATCH_ARENA_BYTES);
        bool asked = ask(pass->source, &own.call, PROC_CHAT_REPAIR, args) != NULL;
        log_write(LOG_WARN, "chat_apart", "actor=%llu target=%llu seq=%llu asked=%d",
                  (unsigned long long)half->actor_id, (unsigned long long)half->target_id,
                  (unsigned long long)half->seq, asked);
        own_call_end(&own);
    }
}

static size_t count_later(const struct pass *pass)
{
    size_t n = 0;

    for (size_t i = 0; i < pass->n; i++) {
        n += pass->states[i] == HALF_LATER && pass->halves[i].is_head;
    }
    return n;
}

/* Deliver the halves of PASS to TARGET, report them, and add them to SCORE. Rows of a
 * target that is down stay as they are, and are not listed before it is up again. */
static void run_pass(struct worker *target, struct pass *pass, struct score *score)
{
    struct worker *source = pass->source;
    size_t n;

    while (!stopping(source->relay) &&
           (n = half_pick(pass->halves, pass->states, pass->n, pass->index)) > 0) {
        deliver_batch(pass, n);
    }
    ask_for_repairs(pass);
    size_t later = count_later(pass);
    size_t made = report(pass, HALF_MADE, half_done);
    size_t refused = report(pass, HALF_REFUSED, half_undo);
    if (is_up(target)) {
        score->put_off += report(pass, HALF_LATER, half_put_off);
    }
    size_t failed = report(pass, HALF_FAILED, half_fail);

    count_parked(pass);
    atomic_fetch_add(&source->delivered_total, made);
    atomic_fetch_add(&source->undone_total, refused);
    atomic_fetch_add(&source->put_off_total, later);
    atomic_fetch_add(&source->failed_total, failed);
    score->finished += made + refused;
    score->put_off += failed;
}

/* ---- Listing ---- */

/* Put the rows of KIND into PASS, in order. A row whose first half is missing cannot be
 * delivered and counts as failed. */
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

static void note_age(struct lane *lane, const struct dbresult *rows)
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
    if (rows->n_rows > 0 || clock_mono_ms() >= lane->put_off_until_ms) {
        atomic_store(&lane->oldest_ms, oldest_ms);
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

/* Was a message listed along with the one before it? Then its chat may have more. */
static bool has_chats(const struct dbresult *rows)
{
    for (size_t row = 0; row < rows->n_rows; row++) {
        const struct dbvalue *head = dbresult_value(rows, row, "head");
        if (head != NULL && head->number == 0) {
            return true;
        }
    }
    return false;
}

/* How long to wait after a listing of ROWS (NULL: no answer) with that SCORE. */
static int64_t pause_after(struct worker *target, struct lane *lane,
                           const struct dbresult *rows, const struct score *score)
{
    bool is_full = rows != NULL && rows->n_rows == LIST_MAX;
    int64_t pause_ms = target->relay->options.poll_ms;

    if (is_full && score->finished > 0) {
        lane->troubles = 0;
        return 0; /* there may be more */
    }
    if ((is_full && score->put_off > 0) || (score->finished > 0 && has_chats(rows))) {
        /* More may follow rows that were put off, or listed along. */
        lane->troubles = 0;
        return pause_ms < NEXT_LOOK_MS ? pause_ms : NEXT_LOOK_MS;
    }
    bool is_quiet = score->finished > 0 || (rows != NULL && rows->n_rows == 0);
    lane->troubles = is_quiet ? 0 : lane->troubles + 1;
    pause_ms <<= lane->troubles < 4 ? lane->troubles : 4;
    return jitter(pause_ms < PAUSE_MAX_MS ? pause_ms : PAUSE_MAX_MS);
}

/* The slots of TARGET as a JSON array, cyclically from FIRST on. NULL: it has none, or
 * out of memory. */
static char *list_slots(struct worker *target, struct arena *arena, uint32_t first,
                        size_t *len)
{
    const size_t size = SHARED_SLOTS * strlen("1023,") + sizeof "[]";
    char *text = arena_calloc(arena, size, 1);
    size_t n = 0;

    for (uint32_t i = 0; text != NULL && i < SHARED_SLOTS; i++) {
        uint32_t slot = (first + i) % SHARED_SLOTS;
        if (router_slot_shard(target->relay->router, slot) == target->shard) {
            n += (size_t)snprintf(text + n, size - n, "%c%" PRIu32, n == 0 ? '[' : ',',
                                  slot);
        }
    }
    if (n == 0) {
        return NULL;
    }
    text[n++] = ']';
    *len = n;
    return text;
}

/* Set where the next listing of LANE begins. After a listing cut off by LIMIT it is the
 * slot after the last one listed, so that a slot with very many rows delays other slots
 * by one listing; as listings are cyclic, its turn comes again in the next one if little
 * else is due. Without an answer (ROWS is NULL) it is any slot, because one slot may take
 * all the time of a listing. */
static void move_on(struct lane *lane, const struct dbresult *rows, size_t limit)
{
    uint32_t furthest = 0;

    if (rows == NULL) {
        lane->first_slot = rnd_below(SHARED_SLOTS);
        return;
    }
    if (rows->n_rows < limit) {
        return;
    }
    for (size_t row = 0; row < rows->n_rows; row++) {
        const struct dbvalue *target = dbresult_value(rows, row, "target");
        uint32_t slot = target == NULL ? lane->first_slot : id_slot(target->number);
        uint32_t way = (slot + SHARED_SLOTS - lane->first_slot) % SHARED_SLOTS;
        furthest = way > furthest ? way : furthest;
    }
    lane->first_slot = (lane->first_slot + furthest + 1) % SHARED_SLOTS;
}

/* List the rows that SOURCE has for TARGET, at most LIMIT; NULL: no answer. */
static const struct dbresult *list_rows(struct worker *target, struct worker *source,
                                        struct call *call, size_t limit)
{
    struct lane *lane = &target->lanes[source->shard];
    size_t len = 0;
    const char *slots = list_slots(target, call->arena, lane->first_slot, &len);
    const struct dbarg args[] = {dbarg_text(slots, len), dbarg_number(limit),
                                 dbarg_number((uint64_t)target->relay->options.older_ms)};
    const struct dbresult *rows =
        slots == NULL ? NULL : ask(source, call, PROC_OUTBOX_LIST, args);

    move_on(lane, rows, limit);
    if (slots == NULL) {
        atomic_store(&lane->oldest_ms, 0);
    } else if (rows == NULL) {
        log_write(LOG_DEBUG, "relay_look", "shard=%zu why=\"%s\"", source->shard,
                  call->detail);
    }
    if (rows != NULL) {
        note_age(lane, rows);
    }
    return rows;
}

/* List once what SOURCE has for TARGET, and finish what is due. */
static void look(struct worker *target, struct worker *source)
{
    struct lane *lane = &target->lanes[source->shard];
    struct pass pass = {.source = source};
    struct score score = {.finished = 0};
    struct own_call own;

    own_call_begin(&own, LIST_ARENA_BYTES, LIST_MS);
    const struct dbresult *rows = list_rows(target, source, &own.call, LIST_MAX);
    if (rows != NULL && prepare_pass(&pass, &own.arena, rows->n_rows + 1)) {
        for (enum half_kind kind = 0; rows->n_rows > 0 && kind < HALF__COUNT; kind++) {
            select_kind(&pass, rows, kind);
            run_pass(target, &pass, &score);
        }
    }
    if (score.put_off > 0) {
        lane->put_off_until_ms = clock_mono_ms() + PAUSE_MAX_MS;
    }
    lane->again_ms = clock_mono_ms() + pause_after(target, lane, rows, &score);
    own_call_end(&own);
}

/* The target is down: only find out how long rows have waited for it. */
static void look_only(struct worker *target, struct worker *source)
{
    struct own_call own;

    own_call_begin(&own, BATCH_ARENA_BYTES, LIST_MS);
    (void)list_rows(target, source, &own.call, 1);
    own_call_end(&own);
}

/* Work on all outboxes that are ours and due. Returns the pause until the next. */
static int64_t deliver_all(struct worker *target)
{
    struct relay *relay = target->relay;
    bool target_is_up = is_up(target);
    bool was_down = target->is_down;
    int64_t next_ms = clock_mono_ms() + jitter(relay->options.poll_ms);

    size_t n_workers = atomic_load(&relay->n_workers);

    target->is_down = !target_is_up;
    for (size_t i = 0; i < n_workers && !stopping(relay); i++) {
        struct worker *source = &relay->workers[(target->shard + i) % n_workers];
        struct lane *lane = &target->lanes[source->shard];
        if (!atomic_load(&source->is_holder)) {
            atomic_store(&lane->oldest_ms, 0);
            continue;
        }
        if (was_down && target_is_up) {
            lane->again_ms = 0;
        }
        if (clock_mono_ms() >= lane->again_ms && target_is_up) {
            look(target, source);
        } else if (clock_mono_ms() >= lane->again_ms) {
            look_only(target, source);
            lane->again_ms = clock_mono_ms() + jitter(PAUSE_MAX_MS);
        }
        next_ms = target_is_up ? clock_earlier(lane->again_ms, next_ms) : next_ms;
    }
    int64_t pause_ms = next_ms - clock_mono_ms();
    return pause_ms > 0 ? pause_ms : 0;
}

static void *worker_run(void *argument)
{
    struct worker *worker = argument;
    int64_t pause_ms = jitter(worker->relay->options.poll_ms);

    while (rest(worker, pause_ms)) {
        keep_lease(worker);
        pause_ms = deliver_all(worker);
    }
    if (worker->lease_until_ms != 0) {
        take_lease(worker, 0);
    }
    return NULL;
}

/* ---- Life ---- */

struct relay_options relay_defaults(void)
{
    return (struct relay_options){.poll_ms = 500, .older_ms = 1000, .lease_ms = 10000};
}

/* Add the worker of a new shard. */
static bool add_worker(struct relay *relay)
{
    size_t n_workers = atomic_load(&relay->n_workers);
    struct worker *worker = &relay->workers[n_workers];

    worker->relay = relay;
    worker->shard = n_workers;
    worker->lanes = calloc(ROUTER_SHARDS_MAX, sizeof *worker->lanes);
    if (worker->lanes == NULL) {
        return false;
    }
    atomic_store(&relay->n_workers, n_workers + 1);
    return true;
}

static bool start_worker(struct worker *worker)
{
    pthread_attr_t attr;

    worker->stop = false;
    worker->lease_again_ms = 0;
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, WORKER_STACK_BYTES);
    worker->has_thread = pthread_create(&worker->thread, &attr, worker_run, worker) == 0;
    pthread_attr_destroy(&attr);
    return worker->has_thread;
}

/* The shard of WORKER has left, and its outbox with it: a shard that leaves has no slots.
 */
static void stop_worker(struct worker *worker)
{
    struct relay *relay = worker->relay;

    pthread_mutex_lock(&relay->shared.mutex);
    worker->stop = true;
    pthread_cond_broadcast(&relay->shared.cond);
    pthread_mutex_unlock(&relay->shared.mutex);
    pthread_join(worker->thread, NULL);
    worker->has_thread = false;
}

bool relay_follow(struct relay *relay)
{
    size_t n_shards = router_n_shards(relay->router);
    bool good = true;

    for (size_t i = 0; good && i < n_shards; i++) {
        struct worker *worker = &relay->workers[i];
        bool is_there = router_has_shard(relay->router, i);
        if (i >= atomic_load(&relay->n_workers)) {
            good = add_worker(relay);
        }
        if (good && is_there && !worker->has_thread) {
            good = start_worker(worker);
        } else if (!is_there && worker->has_thread) {
            stop_worker(worker);
        }
    }
    return good;
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
    relay->workers = calloc(ROUTER_SHARDS_MAX, sizeof *relay->workers);
    if (relay->workers == NULL || !relay_follow(relay)) {
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
    for (size_t i = 0; r->workers != NULL && i < r->n_workers; i++) {
        free(r->workers[i].lanes);
    }
    pthread_cond_destroy(&r->shared.cond);
    pthread_mutex_destroy(&r->shared.mutex);
    free(r->workers);
    free(r);
    *relay = NULL;
}

void relay_state(struct relay *relay, size_t shard, struct relay_state *state)
{
    size_t n_workers = atomic_load(&relay->n_workers);
    struct worker *worker = &relay->workers[shard];

    *state = (struct relay_state){.is_holder = false};
    if (shard >= n_workers) { /* its worker is not made yet */
        return;
    }
    *state = (struct relay_state){
        .is_holder = atomic_load(&worker->is_holder),
        .delivered_total = atomic_load(&worker->delivered_total),
        .undone_total = atomic_load(&worker->undone_total),
        .put_off_total = atomic_load(&worker->put_off_total),
        .failed_total = atomic_load(&worker->failed_total),
        .parked_total = atomic_load(&worker->parked_total),
    };
    for (size_t i = 0; i < n_workers; i++) {
        int64_t oldest_ms = atomic_load(&relay->workers[i].lanes[shard].oldest_ms);
        state->oldest_ms = oldest_ms > state->oldest_ms ? oldest_ms : state->oldest_ms;
    }
}
