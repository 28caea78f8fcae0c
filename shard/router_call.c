/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* How the callers of procedures reach the shards: placement, retries, scatter. */
#include "shard/router_call.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "shard/base/clock.h"
#include "shard/base/log.h"
#include "shard/base/rnd.h"

#include "shard/router_impl.h"

/* Attempts of one request that ended with an answer or an error. "notready" does not
 * count: it ends by itself and only the deadline bounds it. */
#define ATTEMPTS_MAX 6

/* Attempts that ended without any answer: each may have cost the whole call_timeout_ms.
 */
#define SILENCES_MAX 2

/* The pause before attempt n is random, up to this many ms times 2^n. */
#define PAUSE_MS     2u
#define PAUSE_MAX_MS 50

/* A CALL with less time than this share of call_timeout_ms is not sent: it would only be
 * cut off, and cost a good connection. One with less than half proves nothing against its
 * shard. */
#define FAIR_SHARE 4

/* How long a slot may be "notready" before the request gives up: far longer than a flip.
 */
#define NOTREADY_MS 2000

/* How long a killed attempt may take to leave the processlist. */
#define KILL_WAIT_MS 1000

/* One operation on its way. */
struct task {
    struct router_subject subject;
    bool is_pending;
    enum outcome so_far; /* the answer if we must give up now */
    uint32_t slot;       /* of this attempt, like the rest */
    uint64_t epoch;
    unsigned server;
    bool maybe_done; /* an earlier attempt got no answer: only an answer of the procedure
                      * can still say that nothing was done */
};

/* What goes to one shard in one attempt. */
struct parcel {
    struct shard *shard;
    size_t n;
    size_t *index; /* of the tasks, in the order in which they are sent */
    struct dbarg args[PROC_ARGS_MAX];
    bool is_ready;      /* has its arguments, and was not sent yet in this attempt */
    bool has_fair_time; /* silence would say something about the shard */
    char tag[DBCONN_TAG_SIZE]; /* of the connection, to kill it by */
};

/* One request of a caller until all of its tasks have answers. */
struct errand {
    struct router *router;
    struct call *call;
    enum proc_id proc;
    struct ops *ops;          /* of a batch, else NULL */
    const struct dbarg *rest; /* of a PROC_OWNER call: arguments after slot and epoch */
    struct task *tasks;
    size_t n_tasks;
    struct router_answer *answers;
    struct parcel *parcels; /* room for one per shard */
    struct dbexec *execs;
    size_t n_parcels;
    unsigned rounds;   /* attempts of any kind: makes the pauses longer */
    unsigned attempts; /* those that did not just find a slot not ready */
    unsigned silences;
    int64_t notready_until_ms; /* give up waiting for slots then; 0 = none was met */
    bool only_notready;        /* in this attempt */
};

/* Outcomes that claim that nothing was done. */
static bool denies_effect(enum outcome outcome)
{
    return outcome == OUTCOME_BUSY || outcome == OUTCOME_UNAVAILABLE ||
           outcome == OUTCOME_NOMEM;
}

static void settle_task(struct errand *e, size_t i, enum outcome outcome)
{
    struct task *task = &e->tasks[i];

    task->is_pending = false;
    e->answers[i].outcome =
        task->maybe_done && denies_effect(outcome) ? OUTCOME_TIMEOUT : outcome;
}

static int64_t attempt_deadline(const struct errand *e)
{
    int64_t limit_ms = clock_mono_ms() + e->router->call_timeout_ms;

    return limit_ms < e->call->deadline_ms ? limit_ms : e->call->deadline_ms;
}

/* As much time as proves that a shard is silent rather than we in a hurry. */
static int64_t fair_time_ms(const struct router *router)
{
    return router->call_timeout_ms / FAIR_SHARE;
}

/* --- Placing and packing
 * ---------------------------------------------------------------- */

/* Find the shard of every pending task. */
static void place_tasks(struct errand *e)
{
    for (size_t i = 0; i < e->n_tasks; i++) {
        struct task *task = &e->tasks[i];
        if (!task->is_pending) {
            continue;
        }
        task->slot = task->subject.owner != 0 && task->subject.slot == UINT32_MAX
                         ? slotmap_home(e->router->map, task->subject.owner)
                         : task->subject.slot;
        struct slot_place place = slotmap_get(e->router->map, task->slot);
        task->epoch = place.epoch;
        task->server = place.server;
        if (place.epoch == 0 || place.server == SLOTMAP_FOREIGN) {
            call_explain(e->call, "slot %u: %s", task->slot,
                         place.epoch == 0 ? "no shard that answered owns it"
                                          : "its shard is not in the topology file");
            settle_task(e, i, OUTCOME_UNAVAILABLE);
        } else if (e->ops != NULL) {
            ops_place(e->ops, i, task->slot, task->epoch);
        }
    }
}

/* Pack the pending tasks of SERVER; nothing when there are none. */
static void pack_server(struct errand *e, unsigned server)
{
    struct parcel *parcel = &e->parcels[e->n_parcels];

    parcel->n = 0;
    parcel->shard = &e->router->shards[server];
    for (size_t i = 0; i < e->n_tasks; i++) {
        if (e->tasks[i].is_pending && e->tasks[i].server == server) {
            parcel->index[parcel->n++] = i;
        }
    }
    e->n_parcels += parcel->n > 0;
}

/* Arguments of the CALL; false when they do not fit. */
static bool write_arguments(struct errand *e, struct parcel *parcel)
{
    if (e->ops == NULL) {
        const struct task *task = &e->tasks[parcel->index[0]];
        parcel->args[0] = dbarg_number(task->slot);
        parcel->args[1] = dbarg_number(task->epoch);
        for (unsigned i = 2; i < proc_get(e->proc)->n_args; i++) {
            parcel->args[i] = e->rest[i - 2];
        }
        return true;
    }
    size_t len = 0;
    ops_sort(e->ops, parcel->index, parcel->n);
    const char *json = ops_render(e->ops, parcel->index, parcel->n, e->call->arena, &len);
    parcel->args[0] = dbarg_text(json, len);
    return json != NULL;
}

static void settle_parcel(struct errand *e, const struct parcel *parcel,
                          enum outcome outcome)
{
    for (size_t i = 0; i < parcel->n; i++) {
        settle_task(e, parcel->index[i], outcome);
    }
}

/* Borrow the connection of parcel I; false: its tasks are settled, or with MAY_WAIT false
 * it is left for a second round because all connections are busy. */
static bool borrow_connection(struct errand *e, size_t i, bool may_wait)
{
    struct parcel *parcel = &e->parcels[i];
    struct dbpool *pool = parcel->shard->pool;
    struct dbconn **conn = &e->execs[i].conn;
    char why[160];
    enum outcome got = may_wait
                           ? dbpool_get(pool, attempt_deadline(e), conn, why, sizeof why)
                           : dbpool_try(pool, attempt_deadline(e), conn, why, sizeof why);

    if (got == OUTCOME_BUSY && !may_wait) {
        return false;
    }
    int64_t left_ms = e->call->deadline_ms - clock_mono_ms();
    if (got == OUTCOME_OK && left_ms < fair_time_ms(e->router) / 2 && e->rounds > 0) {
        dbpool_put(pool, conn, DBPOOL_UNPROVEN);
        (void)snprintf(why, sizeof why, "no time left for another attempt");
        got = OUTCOME_BUSY;
    }
    if (got != OUTCOME_OK) {
        call_explain(e->call, "%s: %s", parcel->shard->name, why);
        settle_parcel(e, parcel, got);
        return false;
    }
    parcel->has_fair_time = left_ms >= fair_time_ms(e->router);
    memcpy(parcel->tag, dbconn_tag(*conn), sizeof parcel->tag);
    atomic_fetch_add(&parcel->shard->calls_total, 1);
    e->call->n_calls++;
    e->call->n_replays += e->attempts > 0;
    return true;
}

/* Write the arguments of every parcel. */
static void write_parcels(struct errand *e)
{
    for (size_t i = 0; i < e->n_parcels; i++) {
        struct parcel *parcel = &e->parcels[i];
        e->execs[i] = (struct dbexec){
            .proc = e->proc, .args = parcel->args, .arena = e->call->arena};
        parcel->is_ready = write_arguments(e, parcel);
        if (!parcel->is_ready) {
            call_explain(e->call, "the operations do not fit one call");
            settle_parcel(e, parcel, OUTCOME_NOMEM);
        }
        memcpy(e->call->shard, parcel->shard->name,
               strnlen(parcel->shard->name, sizeof e->call->shard - 1) + 1);
    }
}

/* --- Reading answers
 * -------------------------------------------------------------------- */

struct header {
    uint32_t n;
    const char *code;
    uint32_t slot;
    uint64_t epoch;
    const char *server;
};

static const struct dbfield header_fields[] = {
    {.column = "n", .kind = DBFIELD_U32, .offset = offsetof(struct header, n)},
    {.column = "code", .kind = DBFIELD_TEXT, .offset = offsetof(struct header, code)},
    {.column = "slot", .kind = DBFIELD_U32, .offset = offsetof(struct header, slot)},
    {.column = "epoch", .kind = DBFIELD_U64, .offset = offsetof(struct header, epoch)},
    {.column = "server", .kind = DBFIELD_TEXT, .offset = offsetof(struct header, server)},
};

/* The shard does not own the slot: follow the news, if it is news. */
static void follow_move(struct errand *e, struct parcel *parcel, size_t i,
                        const struct header *header)
{
    struct task *task = &e->tasks[i];
    const struct slot_place news = {
        .epoch = header->epoch, .server = router_server_index(e->router, header->server)};

    atomic_fetch_add(&parcel->shard->moved_total, 1);
    bool is_news = slotmap_adopt(e->router->map, header->slot, news);
    if (header->slot != task->slot) {
        if (task->subject.owner == 0) {
            e->answers[i].slot = header->slot;
            settle_task(e, i, OUTCOME_MOVED);
            return;
        }
        slotmap_set_home(e->router->map, task->subject.owner, header->slot);
        is_news = true;
    }
    /* Another thread may have learned it between our look at the map and this answer. */
    if (!is_news && slotmap_get(e->router->map, task->slot).epoch <= task->epoch) {
        call_explain(e->call, "%s refuses slot %u and knows no newer owner (epoch %llu)",
                     parcel->shard->name, task->slot, (unsigned long long)header->epoch);
        settle_task(e, i, OUTCOME_UNAVAILABLE);
        return;
    }
    task->so_far = OUTCOME_BUSY;
    e->only_notready = false;
}

static void read_row(struct errand *e, struct parcel *parcel,
                     const struct dbresult *result, size_t row)
{
    struct header header;
    enum outcome outcome;

    if (!dbresult_read(result, row, header_fields, ARRAY_LEN(header_fields), &header) ||
        header.n < 1 || header.n > parcel->n ||
        !outcome_from_word(header.code, &outcome)) {
        return; /* the task stays without an answer: see read_results() */
    }
    size_t i = parcel->index[header.n - 1];
    if (!e->tasks[i].is_pending || e->answers[i].result == result) {
        return; /* a list: only its first row speaks for the operation */
    }
    e->answers[i].result = result;
    e->answers[i].row = row;
    e->answers[i].slot = header.slot;
    if (outcome == OUTCOME_MOVED) {
        follow_move(e, parcel, i, &header);
    } else if (outcome == OUTCOME_NOTREADY) {
        e->tasks[i].so_far = OUTCOME_BUSY;
        call_explain(e->call, "slot %u is arriving on %s", header.slot, header.server);
    } else {
        settle_task(e, i, outcome);
    }
}

static void read_results(struct errand *e, struct parcel *parcel,
                         const struct dbexec *exec)
{
    for (size_t i = 0; i < parcel->n; i++) {
        e->answers[parcel->index[i]].result = NULL;
    }
    for (size_t row = 0; exec->results != NULL && row < exec->results->n_rows; row++) {
        read_row(e, parcel, exec->results, row);
    }
    for (size_t i = 0; i < parcel->n; i++) {
        size_t task = parcel->index[i];
        if (e->tasks[task].is_pending && e->answers[task].result == NULL) {
            call_explain(e->call, "%s answered %s without a row that can be read",
                         parcel->shard->name, proc_get(e->proc)->routine);
            settle_task(e, task, OUTCOME_INTERNAL);
        }
    }
}

/* End the session TAG of SHARD, and know that it has ended: false when that is not
 * certain. */
static bool kill_attempt(struct errand *e, struct shard *shard, const char *tag)
{
    struct arena arena;
    struct dbconn_hello hello;
    struct dbpool_state state;
    char why[160];
    int64_t limit_ms = clock_mono_ms() + e->router->connect_timeout_ms;
    bool gone = false;

    dbpool_get_state(shard->pool, &state);
    if (!state.is_up) {
        return false;
    }
    struct dbconn *conn = dbconn_open(
        &shard->target, limit_ms < e->call->deadline_ms ? limit_ms : e->call->deadline_ms,
        &hello, why, sizeof why);
    if (conn == NULL || !minder_admit(shard, &hello, why, sizeof why)) {
        dbconn_close(&conn); /* another server's word would prove nothing */
        return false;
    }
    const struct dbarg args[] = {dbarg_text(tag, strlen(tag)),
                                 dbarg_number(KILL_WAIT_MS)};
    arena_init(&arena, 65536);
    struct dbexec exec = {
        .conn = conn, .proc = PROC_CONN_KILL, .args = args, .arena = &arena};
    dbconn_run(&exec, 1, e->call->deadline_ms);
    if (exec.status == DB_OK) {
        const struct dbvalue *value = dbresult_value(exec.results, 0, "gone");
        gone = value != NULL && value->number == 1;
    }
    arena_release(&arena);
    dbconn_close(&conn);
    return gone;
}

/* The CALL was sent and nothing came back. */
static void handle_silence(struct errand *e, struct parcel *parcel, bool is_late)
{
    bool may_repeat =
        e->attempts + 1 < ATTEMPTS_MAX && (!is_late || e->silences + 1 < SILENCES_MAX);

    if (may_repeat && proc_get(e->proc)->effect == PROC_WRITES) {
        may_repeat = kill_attempt(e, parcel->shard, parcel->tag);
        log_write(LOG_WARN, "call_unknown", "shard=%s proc=%s killed=%d",
                  parcel->shard->name, proc_get(e->proc)->routine, may_repeat);
    }
    if (may_repeat) {
        atomic_fetch_add(&parcel->shard->replays_total, 1);
        for (size_t i = 0; i < parcel->n; i++) {
            struct task *task = &e->tasks[parcel->index[i]];
            task->so_far = OUTCOME_TIMEOUT;
            task->maybe_done = proc_get(e->proc)->effect == PROC_WRITES;
        }
    } else {
        settle_parcel(e, parcel, OUTCOME_TIMEOUT);
    }
}

static void stay_pending(struct errand *e, const struct parcel *parcel,
                         enum outcome so_far)
{
    e->only_notready = false;
    for (size_t i = 0; i < parcel->n; i++) {
        e->tasks[parcel->index[i]].so_far = so_far;
    }
}

static void digest(struct errand *e, struct parcel *parcel, const struct dbexec *exec)
{
    if (exec->status != DB_OK) {
        call_explain(e->call, "%s: %s", parcel->shard->name, exec->detail);
        atomic_fetch_add(&parcel->shard->calls_failed_total, 1);
    }
    switch (exec->status) {
    case DB_OK:
        read_results(e, parcel, exec);
        break;
    case DB_REFUSED:
        if (exec->refusal == OUTCOME_BADARG) {
            log_write(LOG_ERROR, "call_refused", "shard=%s why=\"%s\"",
                      parcel->shard->name, exec->detail);
        }
        settle_parcel(e, parcel, exec->refusal);
        break;
    case DB_AGAIN:
        stay_pending(e, parcel, OUTCOME_BUSY);
        break;
    case DB_NOT_SENT:
        stay_pending(e, parcel, OUTCOME_UNAVAILABLE);
        break;
    case DB_UNKNOWN:
        e->only_notready = false;
        handle_silence(e, parcel, exec->is_late);
        break;
    case DB_FAILED:
        log_write(LOG_ERROR, "call_failed", "shard=%s why=\"%s\"", parcel->shard->name,
                  exec->detail);
        settle_parcel(e, parcel, OUTCOME_INTERNAL);
        break;
    case DB_NOMEM:
        settle_parcel(e, parcel, OUTCOME_NOMEM);
        break;
    }
}

/* --- The loop
 * --------------------------------------------------------------------------- */

static enum dbpool_verdict verdict_on(enum db_status status, bool had_fair_time)
{
    if (status != DB_UNKNOWN && status != DB_NOT_SENT) {
        return DBPOOL_ANSWERED;
    }
    return had_fair_time ? DBPOOL_SILENT : DBPOOL_UNPROVEN;
}

/* Run the parcels that have a connection, side by side, and read what came. */
static void run_parcels(struct errand *e)
{
    bool silent = false;

    dbconn_run(e->execs, e->n_parcels, attempt_deadline(e));
    for (size_t i = 0; i < e->n_parcels; i++) {
        struct dbexec *exec = &e->execs[i];
        struct parcel *parcel = &e->parcels[i];
        if (exec->conn != NULL) {
            parcel->is_ready = false;
            dbpool_put(parcel->shard->pool, &exec->conn,
                       verdict_on(exec->status, parcel->has_fair_time));
            digest(e, parcel, exec);
            silent |= exec->status == DB_UNKNOWN && exec->is_late;
        }
    }
    e->silences += silent;
}

/* A thread waits in line for one connection at a time and holds no other then: what is
 * free is taken and used first, so that a slow shard delays its own operations only. */
static void attempt(struct errand *e)
{
    e->n_parcels = 0;
    e->only_notready = true;
    place_tasks(e);
    for (unsigned server = 0; server < e->router->n_shards; server++) {
        pack_server(e, server);
    }
    write_parcels(e);
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
            settle_task(e, i, e->tasks[i].so_far);
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
    bool good = e->tasks != NULL && e->parcels != NULL && e->execs != NULL;
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

/* --- Asking shards rather than owners
 * ---------------------------------------------------- */

static enum outcome share_outcome(const struct dbexec *exec)
{
    switch (exec->status) {
    case DB_OK:
        return OUTCOME_OK;
    case DB_REFUSED:
        return exec->refusal;
    case DB_AGAIN:
        return OUTCOME_BUSY;
    case DB_NOT_SENT:
        return OUTCOME_UNAVAILABLE;
    case DB_UNKNOWN:
        return OUTCOME_TIMEOUT;
    case DB_NOMEM:
        return OUTCOME_NOMEM;
    case DB_FAILED:
        break;
    }
    return OUTCOME_INTERNAL;
}

/* One PROC_SHARD call to several shards. */
struct scatter {
    struct router *router;
    struct call *call;
    struct router_share *shares;
    struct dbexec *execs;
};

static bool scatter_get(struct scatter *s, size_t i, bool may_wait)
{
    struct shard *shard = &s->router->shards[i];
    int64_t limit_ms = clock_mono_ms() + s->router->call_timeout_ms;
    char why[160];

    limit_ms = limit_ms < s->call->deadline_ms ? limit_ms : s->call->deadline_ms;
    s->shares[i].outcome =
        may_wait ? dbpool_get(shard->pool, limit_ms, &s->execs[i].conn, why, sizeof why)
                 : dbpool_try(shard->pool, limit_ms, &s->execs[i].conn, why, sizeof why);
    if (s->shares[i].outcome != OUTCOME_OK) {
        call_explain(s->call, "%s: %s", shard->name, why);
        return false;
    }
    s->call->n_calls++;
    memcpy(s->call->shard, shard->name,
           strnlen(shard->name, sizeof s->call->shard - 1) + 1);
    atomic_fetch_add(&shard->calls_total, 1);
    return true;
}

/* Run what has a connection, give it back and take the results. */
static void scatter_run(struct scatter *s)
{
    struct router *router = s->router;
    int64_t start_ms = clock_mono_ms();
    int64_t limit_ms = start_ms + router->call_timeout_ms;
    bool is_fair = s->call->deadline_ms - start_ms >= fair_time_ms(router);

    dbconn_run(s->execs, router->n_shards,
               limit_ms < s->call->deadline_ms ? limit_ms : s->call->deadline_ms);
    for (size_t i = 0; i < router->n_shards; i++) {
        struct dbexec *exec = &s->execs[i];
        if (exec->conn == NULL) {
            continue;
        }
        dbpool_put(router->shards[i].pool, &exec->conn,
                   verdict_on(exec->status, is_fair));
        s->shares[i].outcome = share_outcome(exec);
        s->shares[i].results = exec->status == DB_OK ? exec->results : NULL;
        if (exec->status != DB_OK) {
            call_explain(s->call, "%s: %s", router->shards[i].name, exec->detail);
            atomic_fetch_add(&router->shards[i].calls_failed_total, 1);
        }
    }
}

void router_scatter(struct router *router, struct call *call, enum proc_id proc,
                    const struct dbarg *args, struct router_share *shares)
{
    size_t n = router->n_shards;
    struct scatter s = {.router = router, .call = call, .shares = shares};

    CHECK(proc_get(proc)->kind == PROC_SHARD);
    s.execs = arena_calloc(call->arena, n, sizeof *s.execs);
    for (size_t i = 0; i < n; i++) {
        shares[i].outcome = OUTCOME_NOMEM;
        shares[i].results = NULL;
    }
    if (s.execs == NULL) {
        call_explain(call, "out of memory");
        return;
    }
    /* As in attempt(): first what is free, then one by one what one has to wait for. */
    for (size_t i = 0; i < n; i++) {
        s.execs[i] = (struct dbexec){.proc = proc, .args = args, .arena = call->arena};
        if (shares[i].wanted) {
            scatter_get(&s, i, /* may_wait= */ false);
        }
    }
    scatter_run(&s);
    for (size_t i = 0; i < n; i++) {
        if (shares[i].wanted && shares[i].outcome == OUTCOME_BUSY &&
            shares[i].results == NULL && scatter_get(&s, i, /* may_wait= */ true)) {
            scatter_run(&s);
        }
    }
}

size_t router_slot_shard(struct router *router, uint32_t slot)
{
    struct slot_place place = slotmap_get(router->map, slot);

    return place.epoch == 0 || place.server >= router->n_shards ? router->n_shards
                                                                : place.server;
}

void router_look_again(struct router *router, size_t shard)
{
    CHECK(shard < router->n_shards);
    minder_wake(&router->shards[shard]);
}
