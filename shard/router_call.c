/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* The one retry loop, and the two ways into it. */
#include "shard/router_call.h"

#include <string.h>

#include "shard/base/clock.h"
#include "shard/base/fiber.h"
#include "shard/base/log.h"
#include "shard/base/rnd.h"
#include "shard/base/wait.h"

#include "shard/cache.h"
#include "shard/router_errand.h"

/* The pause before attempt n is random, up to this many ms times 2^n. */
#define PAUSE_MS     2u
#define PAUSE_MAX_MS 50

/* How long a slot may be "notready" before the request gives up: much longer than a flip.
 */
#define NOTREADY_MS 2000

/* ---- An attempt that is not combined ---- */

/* Borrow a connection for EXEC, an attempt of E. A repeated CALL with too little time is
 * not sent: it would only be interrupted, and cost a good connection. */
static enum outcome borrow(struct errand *e, struct parcel *parcel, struct dbexec *exec,
                           bool may_wait)
{
    int64_t fair_ms = attempt_fair_ms(e->router);
    int64_t least_ms = e->rounds > 0 ? fair_ms / 2 : INT64_MIN;
    enum outcome got = shard_borrow(parcel->shard, e->call, least_ms, may_wait, exec);

    if (got == OUTCOME_OK) {
        parcel->has_fair_time = e->call->deadline_ms - clock_mono_ms() >= fair_ms;
        parcel->session.target = dbconn_target(exec->conn);
        memcpy(parcel->session.tag, dbconn_tag(exec->conn), sizeof parcel->session.tag);
        e->call->n_replays += e->attempts > 0;
    }
    return got == OUTCOME_TIMEOUT ? OUTCOME_BUSY : got;
}

/* Borrow the connection of parcel I; false: its tasks are settled, or with MAY_WAIT false
 * it is left for a second round because all connections are busy. */
static bool borrow_connection(struct errand *e, size_t i, bool may_wait)
{
    enum outcome got = borrow(e, &e->parcels[i], &e->execs[i], may_wait);

    if (got != OUTCOME_OK && (got != OUTCOME_BUSY || may_wait)) {
        errand_give_up_parcel(e, &e->parcels[i], got);
    }
    return got == OUTCOME_OK;
}

/* Write the arguments of every parcel; settles tasks that do not fit, here or at their
 * shard.
 */
static void write_parcels(struct errand *e)
{
    for (size_t i = 0; i < e->n_parcels; i++) {
        struct parcel *parcel = &e->parcels[i];
        e->execs[i] = (struct dbexec){
            .proc = e->proc, .args = parcel->args, .arena = e->call->arena};
        parcel->is_in = shard_enter(parcel->shard, e->call);
        parcel->is_ready = parcel->is_in && errand_write(e, parcel);
        if (!parcel->is_in) {
            errand_give_up_parcel(e, parcel, OUTCOME_BUSY);
        } else if (!parcel->is_ready) {
            call_explain(e->call, "the operations do not fit one call");
            errand_give_up_parcel(e, parcel, OUTCOME_NOMEM);
        }
    }
}

/* Where the answers to the tasks of PARCEL are. */
static void place_answers(struct errand *e, const struct parcel *parcel,
                          const struct dbresult *results)
{
    dbresult_places(results, e->in_order, parcel->n);
    for (size_t i = 0; i < parcel->n; i++) {
        e->places[parcel->index[i]] = e->in_order[i];
    }
}

/* Update the cache from the answer of a CALL that writes, before any client is told that
 * it was done. */
static void learn(const struct errand *e, const struct call_report *report,
                  const struct dbresult *results)
{
    if (e->router->cache != NULL && report->status == DB_OK &&
        report->lent == OUTCOME_OK && proc_get(e->proc)->effect == PROC_WRITES) {
        cache_learn(e->router->cache, e->proc, results);
    }
}

/* Count operation I of OPS for its owner, and for its target if that was changed, too. */
static void count_operation(struct slotload_tally *tally, const struct ops *ops, size_t i)
{
    uint32_t target_slot;

    if (ops_has_target(ops, i, &target_slot)) {
        slotload_add_both(tally, ops_slot(ops, i), ops_owner(ops, i), target_slot,
                          ops_get_target(ops, i));
    } else {
        slotload_add(tally, ops_slot(ops, i), ops_owner(ops, i));
    }
}

/* Count the cost of PARCEL, which went alone. */
static void count_parcel(const struct errand *e, const struct parcel *parcel,
                         const struct dbexec *exec)
{
    struct slotload_tally tally =
        slotload_begin(e->router->load, parcel->n, exec->took_us);

    for (size_t i = 0; i < parcel->n; i++) {
        const struct task *task = &e->tasks[parcel->index[i]];
        if (e->ops != NULL) {
            count_operation(&tally, e->ops, parcel->index[i]);
        } else {
            slotload_add(&tally, task->slot, task->subject.owner);
        }
    }
    slotload_end(&tally);
}

/* The same for BATCH. */
static void count_batch(const struct errand *e, const struct batch *batch,
                        const struct dbexec *exec)
{
    struct slotload_tally tally =
        slotload_begin(e->router->load, batch->n, exec->took_us);

    for (size_t i = 0; i < batch->n; i++) {
        const struct ops_ref *ref = &batch->refs[i];
        count_operation(&tally, ref->ops, ref->i);
    }
    slotload_end(&tally);
}

/* Run the parcels that have a connection, side by side, and read the answers. */
static void run_parcels(struct errand *e)
{
    struct call_report report;

    dbexec_run(e->execs, e->n_parcels, attempt_deadline(e->router, e->call));
    for (size_t i = 0; i < e->n_parcels; i++) {
        struct dbexec *exec = &e->execs[i];
        struct parcel *parcel = &e->parcels[i];
        if (exec->conn != NULL) {
            parcel->is_ready = false;
            shard_count(parcel->shard, parcel->n);
            count_parcel(e, parcel, exec);
            shard_give_back(parcel->shard, e->call, exec, parcel->has_fair_time);
            errand_report(e, exec, &report);
            if (errand_may_run(e, &report) && errand_may_repeat(e, &report)) {
                errand_kill(e, parcel, e->call->deadline_ms, &report);
            }
            learn(e, &report, exec->results);
            place_answers(e, parcel, exec->results);
            errand_digest(e, parcel, &report);
        }
    }
}

/* A thread waits for one connection at a time and then holds no other: free connections
 * are taken and used first, so that a slow shard delays only its own operations. */
static void attempt_apart(struct errand *e)
{
    bool got_any = false;

    write_parcels(e);
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
        if (parcel->is_in) {
            shard_leave(parcel->shard);
        }
    }
}

/* ---- A combined attempt ---- */

/* Write the arguments of BATCH. False: they do not fit. */
static bool write_batch(struct parcel *parcel, struct batch *batch, struct dbexec *exec)
{
    size_t len = 0;
    const char *json = batch->refs == NULL
                           ? NULL
                           : ops_render(batch->refs, batch->n, batch->arena, &len);

    parcel->args[0] = dbarg_text(json, len);
    exec->args = parcel->args;
    exec->arena = batch->arena;
    return json != NULL;
}

/* Run the CALL of BATCH on the connection of EXEC: no member waits beyond its deadline.
 * Without an answer a CALL that may still run is killed, because members may want to
 * repeat it even if the leader does not. */
static void run_batch(struct errand *e, struct parcel *parcel, struct batch *batch,
                      struct call_report *report, struct dbexec *exec)
{
    int64_t limit_ms =
        clock_earlier(batch->deadline_ms, attempt_deadline(e->router, e->call));

    if (!write_batch(parcel, batch, exec)) {
        *report = (struct call_report){.lent = OUTCOME_NOMEM,
                                       .detail = "the operations do not fit one call"};
        shard_take_back(parcel->shard, e->call, exec);
        return;
    }
    parcel->has_fair_time =
        batch->deadline_ms - clock_mono_ms() >= attempt_fair_ms(e->router);
    shard_count(parcel->shard, batch->n);
    dbexec_run(exec, 1, limit_ms);
    count_batch(e, batch, exec);
    shard_give_back(parcel->shard, e->call, exec, parcel->has_fair_time);
    errand_report(e, exec, report);
    if (errand_may_run(e, report)) {
        combiner_let_go(batch, report);
        if (batch->leader->next != NULL || errand_may_repeat(e, report)) {
            errand_kill(e, parcel, batch->deadline_ms, report);
        }
    }
}

/* TICKET leads: it gets a connection, and then takes along those that wait by now. */
static void lead(struct errand *e, struct parcel *parcel, struct ticket *ticket)
{
    struct call_report report = {.lent = OUTCOME_OK};
    struct dbexec exec = {.proc = e->proc};
    struct batch batch;

    report.lent = borrow(e, parcel, &exec, /* may_wait= */ true);
    if (report.lent != OUTCOME_OK) {
        memcpy(report.detail, e->call->detail, sizeof report.detail);
        combiner_give_up(ticket, &report);
        return;
    }
    combiner_take(ticket, &batch);
    run_batch(e, parcel, &batch, &report, &exec);
    learn(e, &report, exec.results);
    combiner_end(&batch, &report, exec.results);
}

/* Send PARCEL together with operations of others for the same procedure there. */
static void send_together(struct errand *e, struct parcel *parcel)
{
    struct ticket ticket = {.ops = e->ops,
                            .index = parcel->index,
                            .n = parcel->n,
                            .places = e->places,
                            .arena = e->call->arena,
                            .deadline_ms = e->call->deadline_ms,
                            .restless_slot = parcel->restless_slot};

    if (!shard_enter(parcel->shard, e->call)) {
        errand_give_up_parcel(e, parcel, OUTCOME_BUSY);
        return;
    }
    combiner_enter(e->router->combiner, parcel->shard->index, e->proc, &ticket);
    while (combiner_wait(&ticket) == TICKET_LEADS) {
        lead(e, parcel, &ticket);
    }
    shard_leave(parcel->shard);
    if (ticket.report.detail[0] != '\0') {
        call_explain(e->call, "%s", ticket.report.detail);
    }
    memcpy(e->call->shard, parcel->shard->name,
           strnlen(parcel->shard->name, sizeof e->call->shard - 1) + 1);
    errand_digest(e, parcel, &ticket.report);
}

/* The parcels of an errand that have a fiber each, all on one thread. */
struct branches {
    struct errand *errand;
    const char *scope;
    size_t n_left;
    struct parker done;
};

struct branch {
    struct work work; /* first */
    struct branches *all;
    struct parcel *parcel;
};

static void run_branch(struct work *work)
{
    struct branch *branch = (struct branch *)work;
    struct branches *all = branch->all;

    log_scope(all->scope);
    send_together(all->errand, branch->parcel);
    all->n_left--;
    if (all->n_left == 0) {
        parker_post(&all->done);
    }
}

/* Send several parcels side by side, each by its own fiber, so that a leader at one shard
 * does not wait for another shard's answer. This fiber sends the first, and those without
 * a fiber. */
static void send_branches(struct errand *e)
{
    struct branch *branch = arena_calloc(e->call->arena, e->n_parcels, sizeof *branch);
    struct branches all = {.errand = e, .scope = log_scope_now()};
    size_t n_own = e->n_parcels;

    parker_init(&all.done);
    while (branch != NULL && n_own > 1) {
        branch[n_own - 1] = (struct branch){
            .work.run = run_branch, .all = &all, .parcel = &e->parcels[n_own - 1]};
        if (!fiber_spawn(&branch[n_own - 1].work)) {
            break;
        }
        n_own--;
    }
    all.n_left = e->n_parcels - n_own; /* none begins before this one waits */
    for (size_t i = 0; i < n_own; i++) {
        send_together(e, &e->parcels[i]);
    }
    if (n_own < e->n_parcels) {
        CHECK(parker_wait(&all.done, WAIT_FOR_EVER));
    }
    parker_release(&all.done);
}

static void attempt_together(struct errand *e)
{
    if (e->n_parcels == 1) {
        send_together(e, &e->parcels[0]);
    } else {
        send_branches(e);
    }
}

/* Find the restless slot of PARCEL. False: it also concerns others. */
static bool find_restless(const struct errand *e, struct parcel *parcel, int64_t now_ms)
{
    parcel->restless_slot = SLOTS_MAX;
    for (size_t i = 0; i < parcel->n; i++) {
        uint32_t slot = e->tasks[parcel->index[i]].slot;
        if (slotmap_is_restless(e->router->map, slot, now_ms)) {
            parcel->restless_slot = slot;
        }
    }
    return parcel->restless_slot == SLOTS_MAX || parcel->n == 1;
}

/* May the parcels of E be combined with others? Several at a time only on fibers: a
 * thread would send them one after another. */
static bool may_go_together(struct errand *e)
{
    int64_t now_ms = clock_mono_ms();

    if (e->ops == NULL || !combiner_takes(e->proc) ||
        (e->n_parcels != 1 && !fiber_is_here())) {
        return false;
    }
    for (size_t i = 0; i < e->n_parcels; i++) {
        if (!find_restless(e, &e->parcels[i], now_ms)) {
            return false;
        }
    }
    return true;
}

/* Make room for one parcel per shard in the request's arena; false when that is full. */
static bool make_room(struct errand *e)
{
    struct arena *arena = e->call->arena;
    size_t n_shards = router_n_shards(e->router);

    if (n_shards == e->n_shards) {
        return true;
    }
    e->n_shards = n_shards;
    e->parcels = arena_calloc(arena, n_shards, sizeof *e->parcels);
    e->execs = arena_calloc(arena, n_shards, sizeof *e->execs);
    bool good = e->parcels != NULL && e->execs != NULL;
    for (size_t i = 0; good && i < n_shards; i++) {
        e->parcels[i].index = arena_calloc(arena, e->n_tasks, sizeof(size_t));
        good = e->parcels[i].index != NULL;
    }
    return good;
}

static void give_up_all(struct errand *e, enum outcome outcome)
{
    for (size_t i = 0; i < e->n_tasks; i++) {
        if (e->tasks[i].is_pending) {
            errand_give_up(e, i, outcome);
        }
    }
}

static void attempt(struct errand *e)
{
    e->only_notready = true;
    if (!make_room(e)) { /* shards were added meanwhile */
        give_up_all(e, OUTCOME_NOMEM);
        return;
    }
    errand_pack(e);
    if (may_go_together(e)) {
        attempt_together(e);
    } else {
        attempt_apart(e);
    }
    e->dear_attempts += e->is_dear;
    e->is_dear = false;
}

/* ---- The loop ---- */

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

    if (clock_mono_ms() + ms >= call->deadline_ms) {
        return false;
    }
    wait_ms(ms);
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

    e->tasks = arena_calloc(arena, e->n_tasks, sizeof *e->tasks);
    e->places = arena_calloc(arena, e->n_tasks, sizeof *e->places);
    e->in_order = arena_calloc(arena, e->n_tasks, sizeof *e->in_order);
    bool good = (e->ops == NULL || ops_are_whole(e->ops)) && e->tasks != NULL &&
                e->places != NULL && e->in_order != NULL && make_room(e);
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

enum outcome router_one(struct router *router, struct call *call, enum proc_id proc,
                        struct ops *ops, struct router_answer *answer)
{
    if (ops == NULL) {
        return call_no_memory(call);
    }
    router_batch(router, call, proc, ops, answer);
    ops_free(&ops);
    return answer->outcome;
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
