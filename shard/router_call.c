/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* The one retry loop, and the two ways into it. */
#include "shard/router_call.h"

#include <string.h>
#include <time.h>

#include "shard/base/clock.h"
#include "shard/base/rnd.h"

#include "shard/router_errand.h"

/* The pause before attempt n is random, up to this many ms times 2^n. */
#define PAUSE_MS     2u
#define PAUSE_MAX_MS 50

/* How long a slot may be "notready" before the request gives up: far longer than a flip.
 */
#define NOTREADY_MS 2000

/* Borrow the connection of parcel I; false: its tasks are settled, or with MAY_WAIT false
 * it is left for a second round because all connections are busy. A repeated CALL with
 * too little time is not sent: it would only be cut off, and cost a good connection. */
static bool borrow_connection(struct errand *e, size_t i, bool may_wait)
{
    struct parcel *parcel = &e->parcels[i];
    int64_t fair_ms = attempt_fair_ms(e->router);
    int64_t least_ms = e->rounds > 0 ? fair_ms / 2 : INT64_MIN;
    enum outcome got =
        shard_borrow(parcel->shard, e->call, least_ms, may_wait, &e->execs[i]);

    if (got == OUTCOME_BUSY && !may_wait) {
        return false;
    }
    if (got != OUTCOME_OK) {
        errand_give_up_parcel(e, parcel, got == OUTCOME_TIMEOUT ? OUTCOME_BUSY : got);
        return false;
    }
    parcel->has_fair_time = e->call->deadline_ms - clock_mono_ms() >= fair_ms;
    memcpy(parcel->tag, dbconn_tag(e->execs[i].conn), sizeof parcel->tag);
    e->call->n_replays += e->attempts > 0;
    return true;
}

/* Run the parcels that have a connection, side by side, and read what came. */
static void run_parcels(struct errand *e)
{
    dbexec_run(e->execs, e->n_parcels, attempt_deadline(e->router, e->call));
    for (size_t i = 0; i < e->n_parcels; i++) {
        struct dbexec *exec = &e->execs[i];
        struct parcel *parcel = &e->parcels[i];
        if (exec->conn != NULL) {
            parcel->is_ready = false;
            shard_give_back(parcel->shard, e->call, exec, parcel->has_fair_time);
            errand_digest(e, parcel, exec);
        }
    }
    e->dear_attempts += e->is_dear;
    e->is_dear = false;
}

/* A thread waits in line for one connection at a time and holds no other then: what is
 * free is taken and used first, so that a slow shard delays its own operations only. */
static void attempt(struct errand *e)
{
    e->only_notready = true;
    errand_pack(e);
    bool got_any = false;
    for (size_t i = 0; i < e->n_parcels; i++) {
        if (e->parcels[i].is_ready) {
            got_any |= borrow_connection(e, i, /* may_wait= */ e->n_parcels == 1);
        }
    }
    if (got_any) {
        run_parcels(e);
    }
    for (size_t i = 0; i < e->n_parcels; i++) {
        struct parcel *parcel = &e->parcels[i];
        if (parcel->is_ready && e->tasks[parcel->index[0]].is_pending &&
            borrow_connection(e, i, /* may_wait= */ true)) {
            run_parcels(e);
        }
    }
}

static bool is_done(const struct errand *e)
{
    for (size_t i = 0; i < e->n_tasks; i++) {
        if (e->tasks[i].is_pending) {
            return false;
        }
    }
    return true;
}

bool router_pause(const struct call *call, unsigned round)
{
    uint32_t most = PAUSE_MS << (round < 5 ? round : 5);
    uint32_t ms = 1 + rnd_below(most < PAUSE_MAX_MS ? most : PAUSE_MAX_MS);
    const struct timespec pause = {.tv_nsec = (long)ms * 1000000};

    if (clock_mono_ms() + ms >= call->deadline_ms) {
        return false;
    }
    nanosleep(&pause, NULL);
    return true;
}

/* May the errand go on after an attempt that left something open? */
static bool may_go_on(struct errand *e)
{
    int64_t now_ms = clock_mono_ms();

    if (e->only_notready && e->notready_until_ms == 0) {
        e->notready_until_ms = now_ms + NOTREADY_MS;
    }
    if (e->only_notready && now_ms >= e->notready_until_ms) {
        return false;
    }
    return e->attempts < ATTEMPTS_MAX && router_pause(e->call, e->rounds);
}

static void run(struct errand *e)
{
    for (;;) {
        attempt(e);
        e->attempts += !e->only_notready;
        if (is_done(e) || !may_go_on(e)) {
            break;
        }
        e->rounds++;
    }
    for (size_t i = 0; i < e->n_tasks; i++) {
        if (e->tasks[i].is_pending) {
            errand_give_up(e, i, e->tasks[i].so_far);
        }
    }
}

/* Memory for the loop, from the request's arena; false when it is full. */
static bool prepare(struct errand *e)
{
    struct arena *arena = e->call->arena;
    size_t n_shards = e->router->n_shards;

    e->tasks = arena_calloc(arena, e->n_tasks, sizeof *e->tasks);
    e->parcels = arena_calloc(arena, n_shards, sizeof *e->parcels);
    e->execs = arena_calloc(arena, n_shards, sizeof *e->execs);
    e->places = arena_calloc(arena, e->n_tasks, sizeof *e->places);
    bool good =
        e->tasks != NULL && e->parcels != NULL && e->execs != NULL && e->places != NULL;
    for (size_t i = 0; good && i < n_shards; i++) {
        e->parcels[i].index = arena_calloc(arena, e->n_tasks, sizeof(size_t));
        good = e->parcels[i].index != NULL;
    }
    for (size_t i = 0; i < e->n_tasks; i++) {
        e->answers[i] = (struct router_answer){.outcome = OUTCOME_NOMEM};
        if (good) {
            e->tasks[i] = (struct task){.is_pending = true, .so_far = OUTCOME_BUSY};
        }
    }
    return good;
}

void router_batch(struct router *router, struct call *call, enum proc_id proc,
                  struct ops *ops, struct router_answer *answers)
{
    struct errand e = {.router = router,
                       .call = call,
                       .proc = proc,
                       .ops = ops,
                       .n_tasks = ops_count(ops),
                       .answers = answers};

    CHECK(proc_get(proc)->kind == PROC_BATCH);
    if (!prepare(&e)) {
        call_explain(call, "out of memory");
        return;
    }
    for (size_t i = 0; i < e.n_tasks; i++) {
        struct router_subject *subject = &e.tasks[i].subject;
        subject->owner = ops_owner(ops, i);
        if (!ops_fixed_slot(ops, i, &subject->slot)) {
            subject->slot = UINT32_MAX;
        }
    }
    run(&e);
}

void router_owner(struct router *router, struct call *call, enum proc_id proc,
                  struct router_subject subject, const struct dbarg *args,
                  struct router_answer *answer)
{
    struct errand e = {.router = router,
                       .call = call,
                       .proc = proc,
                       .rest = args,
                       .n_tasks = 1,
                       .answers = answer};

    CHECK(proc_get(proc)->kind == PROC_OWNER);
    if (!prepare(&e)) {
        call_explain(call, "out of memory");
        return;
    }
    e.tasks[0].subject = subject;
    if (subject.owner != 0) {
        e.tasks[0].subject.slot = UINT32_MAX;
    }
    run(&e);
}
