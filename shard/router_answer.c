/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Handles the results of an attempt: answers, news of moved slots, or nothing. */
#include <string.h>

#include "shard/base/clock.h"
#include "shard/base/log.h"

#include "shard/router_errand.h"

/* How long operations of a slot that had to wait go alone: longer than a flip takes. */
#define RESTLESS_MS 2000

/* After this wait for a slot to arrive a request asks whether its flip has stopped: a
 * running flip takes less. */
#define HURRY_MS 100

void errand_settle(struct errand *e, size_t i, enum outcome outcome)
{
    e->tasks[i].is_pending = false;
    e->answers[i].outcome = outcome;
}

void errand_give_up(struct errand *e, size_t i, enum outcome outcome)
{
    errand_settle(e, i, e->tasks[i].maybe_done ? OUTCOME_UNKNOWN : outcome);
}

void errand_give_up_parcel(struct errand *e, const struct parcel *parcel,
                           enum outcome outcome)
{
    for (size_t i = 0; i < parcel->n; i++) {
        errand_give_up(e, parcel->index[i], outcome);
    }
}

static bool is_write(const struct errand *e)
{
    return proc_get(e->proc)->effect == PROC_WRITES;
}

/* Task I may be done or not: from here on only an answer of the procedure can tell. It
 * finds out by the task's op what the first attempt did. */
static void leave_unknown(struct errand *e, size_t i, bool may_repeat)
{
    e->tasks[i].maybe_done = is_write(e);
    e->tasks[i].so_far = proc_unanswered(e->proc);
    e->only_notready = false;
    if (!may_repeat) {
        errand_give_up(e, i, e->tasks[i].so_far);
    }
}

/* May a task without an answer be tried again? DEARLY: it took the time of a whole
 * attempt, or will probably end in the same way. */
static bool may_ask_again(const struct errand *e, bool dearly)
{
    return e->attempts + 1 < ATTEMPTS_MAX &&
           (!dearly || e->dear_attempts + 1 < DEAR_ATTEMPTS_MAX);
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

/* Other slots must not wait for operations in SLOT. */
static void set_restless(const struct errand *e, uint32_t slot)
{
    slotmap_set_restless(e->router->map, slot, clock_mono_ms() + RESTLESS_MS);
}

/* The shard does not own the slot: follow its news of the owner, if it is new. */
static void follow_move(struct errand *e, struct parcel *parcel, size_t i,
                        const struct header *header)
{
    struct task *task = &e->tasks[i];
    const struct slot_place news =
        router_place(parcel->shard, header->epoch, header->server);

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
    /* Another thread may have learned it between our reading the map and this answer. */
    if (!is_news && slotmap_get(e->router->map, task->slot).epoch <= task->epoch) {
        call_explain(e->call, "%s refuses slot %u and knows no newer owner (epoch %llu)",
                     parcel->shard->name, task->slot, (unsigned long long)header->epoch);
        errand_give_up(e, i, OUTCOME_UNAVAILABLE);
        return;
    }
    task->so_far = OUTCOME_BUSY;
    e->only_notready = false;
}

/* SLOT is still arriving on the shard of PARCEL. If that takes long, this shard and the
 * one that said so are checked: one knows what finishes the flip, the other needs it. A
 * paused shard that has the slot is left alone. */
static void wait_for_flip(struct errand *e, const struct parcel *parcel, uint32_t slot)
{
    struct slot_place place = slotmap_get(e->router->map, slot);
    int64_t now_ms = clock_mono_ms();

    if (e->hurry_at_ms == 0) {
        e->hurry_at_ms = now_ms + HURRY_MS;
    }
    if (now_ms < e->hurry_at_ms || place.is_claimed) {
        return;
    }
    minder_hurry(parcel->shard);
    if (shard_is_there(e->router, place.told_by)) {
        minder_hurry(shard_at(e->router, place.told_by));
    }
}

/* A shard whose answer this program cannot read has written all the same. */
static void miss_row(struct errand *e, const struct parcel *parcel, size_t i)
{
    call_explain(e->call, "%s answered %s without a row that can be read",
                 parcel->shard->name, proc_get(e->proc)->routine);
    if (is_write(e)) {
        e->is_dear = true;
        leave_unknown(e, i, may_ask_again(e, /* dearly= */ true));
    } else {
        errand_settle(e, i, OUTCOME_INTERNAL);
    }
}

static void read_row(struct errand *e, struct parcel *parcel, size_t i,
                     struct dbplace place)
{
    struct header header;
    enum outcome outcome;

    if (!dbresult_read(place.result, place.row, header_fields, ARRAY_LEN(header_fields),
                       &header) ||
        !outcome_from_word(header.code, &outcome)) {
        miss_row(e, parcel, i);
        return;
    }
    e->answers[i].result = place.result;
    e->answers[i].row = place.row;
    e->answers[i].slot = header.slot;
    if (outcome == OUTCOME_MOVED || outcome == OUTCOME_NOTREADY ||
        outcome == OUTCOME_BUSY) {
        set_restless(e, header.slot);
    }
    if (outcome == OUTCOME_MOVED) {
        follow_move(e, parcel, i, &header);
    } else if (outcome == OUTCOME_NOTREADY) {
        e->tasks[i].so_far = OUTCOME_BUSY;
        call_explain(e->call, "slot %u is arriving on %s", header.slot, header.server);
        wait_for_flip(e, parcel, header.slot);
    } else if (outcome ==
               OUTCOME_BUSY) { /* what was written must be carried over first */
        e->tasks[i].so_far = OUTCOME_BUSY;
        call_explain(e->call, "slot %u is leaving %s", header.slot, header.server);
    } else {
        errand_settle(e, i, outcome);
    }
}

static void read_answers(struct errand *e, struct parcel *parcel)
{
    for (size_t i = 0; i < parcel->n; i++) {
        size_t task = parcel->index[i];
        e->answers[task].result = NULL;
        read_row(e, parcel, task, e->places[task]);
    }
}

bool errand_may_repeat(const struct errand *e, const struct call_report *report)
{
    return may_ask_again(e, report->is_late || report->is_likely_again);
}

/* The CALL was sent, and no answer says what it did: it is repeated only when it can no
 * longer commit beside the next attempt. */
static void handle_unknown(struct errand *e, struct parcel *parcel,
                           const struct call_report *report)
{
    bool is_dear = report->is_late || report->is_likely_again;
    bool may_repeat = may_ask_again(e, is_dear) && (!is_write(e) || report->is_over);

    e->is_dear |= is_dear;
    if (may_repeat) {
        atomic_fetch_add(&parcel->shard->replays_total, 1);
    }
    for (size_t i = 0; i < parcel->n; i++) {
        leave_unknown(e, parcel->index[i], may_repeat);
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

void errand_report(const struct errand *e, const struct dbexec *exec,
                   struct call_report *report)
{
    /* A write whose answer does not fit has been done. */
    bool is_done = exec->status == DB_NOMEM && is_write(e);

    *report = (struct call_report){.status = is_done ? DB_UNKNOWN : exec->status,
                                   .refusal = exec->refusal,
                                   .is_late = exec->is_late,
                                   .is_over = exec->is_over || is_done,
                                   .is_likely_again = exec->is_over || is_done};
    memcpy(report->detail, exec->detail, sizeof report->detail);
}

bool errand_may_run(const struct errand *e, const struct call_report *report)
{
    return report->status == DB_UNKNOWN && is_write(e) && !report->is_over;
}

void errand_kill(const struct errand *e, struct parcel *parcel, int64_t deadline_ms,
                 struct call_report *report)
{
    report->is_over = shard_kill(parcel->shard, &parcel->session, deadline_ms);
    log_write(LOG_WARN, "call_unknown", "shard=%s proc=%s killed=%d", parcel->shard->name,
              proc_get(e->proc)->routine, report->is_over);
}

void errand_digest(struct errand *e, struct parcel *parcel,
                   const struct call_report *report)
{
    if (report->lent != OUTCOME_OK) {
        errand_give_up_parcel(e, parcel, report->lent);
        return;
    }
    switch (report->status) {
    case DB_OK:
        read_answers(e, parcel);
        break;
    case DB_REFUSED:
        if (report->refusal == OUTCOME_BADARG) {
            log_write(LOG_ERROR, "call_refused", "shard=%s why=\"%s\"",
                      parcel->shard->name, report->detail);
        }
        errand_give_up_parcel(e, parcel, report->refusal);
        break;
    case DB_AGAIN:
        stay_pending(e, parcel, OUTCOME_BUSY);
        break;
    case DB_NOT_SENT:
        stay_pending(e, parcel, OUTCOME_UNAVAILABLE);
        break;
    case DB_UNKNOWN:
        handle_unknown(e, parcel, report);
        break;
    case DB_SICK:
        errand_give_up_parcel(e, parcel, OUTCOME_BUSY);
        break;
    case DB_FAILED:
        log_write(LOG_ERROR, "call_failed", "shard=%s why=\"%s\"", parcel->shard->name,
                  report->detail);
        errand_give_up_parcel(e, parcel, OUTCOME_INTERNAL);
        break;
    case DB_NOMEM:
        errand_give_up_parcel(e, parcel, OUTCOME_NOMEM);
        break;
    }
}
