/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* What an attempt brought back: answers, news of moved slots, or nothing. */
#include <string.h>

#include "shard/base/log.h"

#include "shard/router_errand.h"

/* Outcomes that claim that nothing was done. */
static bool denies_effect(enum outcome outcome)
{
    return outcome == OUTCOME_BUSY || outcome == OUTCOME_UNAVAILABLE ||
           outcome == OUTCOME_NOMEM;
}

void errand_settle(struct errand *e, size_t i, enum outcome outcome)
{
    struct task *task = &e->tasks[i];

    task->is_pending = false;
    e->answers[i].outcome =
        task->maybe_done && denies_effect(outcome) ? OUTCOME_TIMEOUT : outcome;
}

void errand_settle_parcel(struct errand *e, const struct parcel *parcel,
                          enum outcome outcome)
{
    for (size_t i = 0; i < parcel->n; i++) {
        errand_settle(e, parcel->index[i], outcome);
    }
}

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
            errand_settle(e, i, OUTCOME_MOVED);
            return;
        }
        slotmap_set_home(e->router->map, task->subject.owner, header->slot);
        is_news = true;
    }
    /* Another thread may have learned it between our look at the map and this answer. */
    if (!is_news && slotmap_get(e->router->map, task->slot).epoch <= task->epoch) {
        call_explain(e->call, "%s refuses slot %u and knows no newer owner (epoch %llu)",
                     parcel->shard->name, task->slot, (unsigned long long)header->epoch);
        errand_settle(e, i, OUTCOME_UNAVAILABLE);
        return;
    }
    task->so_far = OUTCOME_BUSY;
    e->only_notready = false;
}

static void read_row(struct errand *e, struct parcel *parcel, size_t i,
                     struct dbplace place)
{
    struct header header;
    enum outcome outcome;

    if (!dbresult_read(place.result, place.row, header_fields, ARRAY_LEN(header_fields),
                       &header) ||
        !outcome_from_word(header.code, &outcome)) {
        call_explain(e->call, "%s answered %s without a row that can be read",
                     parcel->shard->name, proc_get(e->proc)->routine);
        errand_settle(e, i, OUTCOME_INTERNAL);
        return;
    }
    e->answers[i].result = place.result;
    e->answers[i].row = place.row;
    e->answers[i].slot = header.slot;
    if (outcome == OUTCOME_MOVED) {
        follow_move(e, parcel, i, &header);
    } else if (outcome == OUTCOME_NOTREADY) {
        e->tasks[i].so_far = OUTCOME_BUSY;
        call_explain(e->call, "slot %u is arriving on %s", header.slot, header.server);
    } else {
        errand_settle(e, i, outcome);
    }
}

static void read_results(struct errand *e, struct parcel *parcel,
                         const struct dbexec *exec)
{
    dbresult_places(exec->results, e->places, parcel->n);
    for (size_t i = 0; i < parcel->n; i++) {
        e->answers[parcel->index[i]].result = NULL;
        read_row(e, parcel, parcel->index[i], e->places[i]);
    }
}

/* The CALL was sent and nothing came back. */
static void handle_silence(struct errand *e, struct parcel *parcel, bool is_late)
{
    bool may_repeat =
        e->attempts + 1 < ATTEMPTS_MAX && (!is_late || e->silences + 1 < SILENCES_MAX);

    if (may_repeat && proc_get(e->proc)->effect == PROC_WRITES) {
        may_repeat = shard_kill(parcel->shard, parcel->tag, e->call->deadline_ms);
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
        errand_settle_parcel(e, parcel, OUTCOME_TIMEOUT);
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

void errand_digest(struct errand *e, struct parcel *parcel, const struct dbexec *exec)
{
    switch (exec->status) {
    case DB_OK:
        read_results(e, parcel, exec);
        break;
    case DB_REFUSED:
        if (exec->refusal == OUTCOME_BADARG) {
            log_write(LOG_ERROR, "call_refused", "shard=%s why=\"%s\"",
                      parcel->shard->name, exec->detail);
        }
        errand_settle_parcel(e, parcel, exec->refusal);
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
        errand_settle_parcel(e, parcel, OUTCOME_INTERNAL);
        break;
    case DB_NOMEM:
        errand_settle_parcel(e, parcel, OUTCOME_NOMEM);
        break;
    }
}
