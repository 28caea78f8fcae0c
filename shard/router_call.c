/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* How the callers of procedures reach the shards: placement, retries, scatter. */
#include "shard/router_call.h"

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
    bool in_parcel; /* already packed in this attempt */
};

/* What goes to one shard in one attempt. */
struct parcel {
    struct shard *shard;
    size_t n;
    size_t *index; /* of the tasks, in the order in which they are sent */
    struct dbarg args[PROC_ARGS_MAX];
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
    unsigned attempts;
    unsigned silences;
    bool only_notready; /* in this attempt */
};

static void settle_task(struct errand *e, size_t i, enum outcome outcome)
{
    e->tasks[i].is_pending = false;
    e->answers[i].outcome = outcome;
}

static int64_t attempt_deadline(const struct errand *e)
{
    int64_t limit_ms = clock_mono_ms() + e->router->call_timeout_ms;

    return limit_ms < e->call->deadline_ms ? limit_ms : e->call->deadline_ms;
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
        task->in_parcel = false;
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

/* Give every parcel its arguments and a connection. Connections are taken in the order of
 * the shards, so that two threads cannot wait for each other. */
static void equip_parcels(struct errand *e)
{
    char why[160];

    for (size_t i = 0; i < e->n_parcels; i++) {
        struct parcel *parcel = &e->parcels[i];
        struct dbexec *exec = &e->execs[i];
        *exec = (struct dbexec){
            .proc = e->proc, .args = parcel->args, .arena = e->call->arena};
        if (!write_arguments(e, parcel)) {
            call_explain(e->call, "the operations do not fit one call");
            settle_parcel(e, parcel, OUTCOME_NOMEM);
            continue;
        }
        memcpy(e->call->shard, parcel->shard->name,
               strnlen(parcel->shard->name, sizeof e->call->shard - 1) + 1);
        enum outcome got = dbpool_get(parcel->shard->pool, attempt_deadline(e),
                                      &exec->conn, why, sizeof why);
        if (got != OUTCOME_OK) {
            call_explain(e->call, "%s: %s", parcel->shard->name, why);
            settle_parcel(e, parcel, got);
        } else {
            memcpy(parcel->tag, dbconn_tag(exec->conn), sizeof parcel->tag);
            atomic_fetch_add(&parcel->shard->calls_total, 1);
            e->call->n_calls++;
            e->call->n_replays += e->attempts > 0;
        }
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
    if (conn == NULL) {
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
            e->tasks[parcel->index[i]].so_far = OUTCOME_TIMEOUT;
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

static bool has_answered(enum db_status status)
{
    return status != DB_UNKNOWN && status != DB_NOT_SENT;
}

static void attempt(struct errand *e)
{
    e->n_parcels = 0;
    e->only_notready = true;
    place_tasks(e);
    for (unsigned server = 0; server < e->router->n_shards; server++) {
        pack_server(e, server);
    }
    equip_parcels(e);
    dbconn_run(e->execs, e->n_parcels, attempt_deadline(e));
    bool silent = false;
    for (size_t i = 0; i < e->n_parcels; i++) {
        struct dbexec *exec = &e->execs[i];
        if (exec->conn != NULL) {
            dbpool_put(e->parcels[i].shard->pool, &exec->conn,
                       has_answered(exec->status));
            digest(e, &e->parcels[i], exec);
            silent |= exec->status == DB_UNKNOWN && exec->is_late;
        }
    }
    e->silences += silent;
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

static void run(struct errand *e)
{
    for (;;) {
        attempt(e);
        e->attempts += !e->only_notready;
        if (is_done(e)) {
            return;
        }
        if (e->attempts >= ATTEMPTS_MAX || !router_pause(e->call, e->attempts)) {
            break;
        }
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

static void scatter_get(struct router *router, struct call *call, size_t i,
                        struct router_share *share, struct dbexec *exec)
{
    struct shard *shard = &router->shards[i];
    int64_t limit_ms = clock_mono_ms() + router->call_timeout_ms;
    char why[160];

    share->outcome = dbpool_get(
        shard->pool, limit_ms < call->deadline_ms ? limit_ms : call->deadline_ms,
        &exec->conn, why, sizeof why);
    if (share->outcome != OUTCOME_OK) {
        call_explain(call, "%s: %s", shard->name, why);
        return;
    }
    call->n_calls++;
    memcpy(call->shard, shard->name, strnlen(shard->name, sizeof call->shard - 1) + 1);
    atomic_fetch_add(&shard->calls_total, 1);
}

static void scatter_put(struct router *router, struct call *call, size_t i,
                        struct router_share *share, struct dbexec *exec)
{
    struct shard *shard = &router->shards[i];

    dbpool_put(shard->pool, &exec->conn, has_answered(exec->status));
    share->outcome = share_outcome(exec);
    share->results = exec->status == DB_OK ? exec->results : NULL;
    if (exec->status != DB_OK) {
        call_explain(call, "%s: %s", shard->name, exec->detail);
        atomic_fetch_add(&shard->calls_failed_total, 1);
    }
}

void router_scatter(struct router *router, struct call *call, enum proc_id proc,
                    const struct dbarg *args, struct router_share *shares)
{
    size_t n = router->n_shards;
    struct dbexec *execs = arena_calloc(call->arena, n, sizeof *execs);
    int64_t limit_ms = clock_mono_ms() + router->call_timeout_ms;

    CHECK(proc_get(proc)->kind == PROC_SHARD);
    for (size_t i = 0; i < n; i++) {
        shares[i].outcome = OUTCOME_NOMEM;
        shares[i].results = NULL;
        if (execs != NULL && shares[i].wanted) {
            execs[i] = (struct dbexec){.proc = proc, .args = args, .arena = call->arena};
            scatter_get(router, call, i, &shares[i], &execs[i]);
        }
    }
    if (execs == NULL) {
        call_explain(call, "out of memory");
        return;
    }
    dbconn_run(execs, n, limit_ms < call->deadline_ms ? limit_ms : call->deadline_ms);
    for (size_t i = 0; i < n; i++) {
        if (execs[i].conn != NULL) {
            scatter_put(router, call, i, &shares[i], &execs[i]);
        }
    }
}

size_t router_slot_shard(struct router *router, uint32_t slot)
{
    struct slot_place place = slotmap_get(router->map, slot);

    return place.epoch == 0 || place.server >= router->n_shards ? router->n_shards
                                                                : place.server;
}
