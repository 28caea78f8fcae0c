/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* The combiner: sends the calls of many threads to one procedure on one shard as one
 * CALL. */
#include "shard/combiner.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "shard/base/clock.h"

/* Arguments and results of one batch. */
#define RESULTS_BYTES_MAX (32u << 20)

/* Limit of fields that keep operations of one owner apart. */
#define APART_MAX 2

/* Operations of one owner with the same value in one of these fields concern the same
 * thing, or are the same operation: procedures/op/_op_opened.sql refuses them in one
 * batch. */
static const struct {
    bool is_combined;
    const char *apart[APART_MAX];
} rules[PROC__COUNT] = {
    [PROC_FAVORITE_ACTION] = {true, {"target"}},
    [PROC_FAVORITE_DELIVER] = {true, {"actor"}},
    [PROC_RELATION_ACTION] = {true, {"target"}},
    [PROC_RELATION_DELIVER] = {true, {"actor"}},
    [PROC_COMMENT_ACTION] = {true, {"op"}},
    [PROC_COMMENT_DELETE] = {true, {"comment_id"}},
    [PROC_COMMENT_DELIVER] = {true, {"comment_id"}},
    [PROC_MESSAGE_ACTION] = {true, {"peer", "op"}},
    [PROC_MESSAGE_DELIVER] = {true, {"peer", "op"}},
    [PROC_USER_GET] = {true, {NULL}},
    [PROC_VIDEO_GET] = {true, {NULL}},
    [PROC_OWNER_VERSIONS] = {true, {NULL}},
    [PROC_RELATION_GET] = {true, {NULL}},
    [PROC_SESSION_GET] = {true, {NULL}},
};

/* One of the CALLs of a lane that may be under way. */
struct seat {
    bool is_taken;
    bool is_restless;
    int64_t since_ms; /* monotonic; when it was taken */
    size_t n_marks;
    uint64_t marks[APART_MAX * OPS_MAX]; /* of all operations in it */
};

struct lane {
    const struct combiner_options *options; /* (ref) the combiner's */
    struct {
        pthread_mutex_t mutex;
        struct ticket *first, *last; /* tickets that WAIT, in the order of arrival */
        size_t n_waiting;
        struct seat seats[LANE_CALLS_MAX];
    } shared;
};

struct combiner {
    struct combiner_options options; /* never changes */
    _Atomic(struct lane *) *lanes; /* owned; shard by procedure, made when first needed */
};

/* What the members of one batch share. */
struct shared_results {
    atomic_size_t n_refs;
    struct arena arena;
};

struct combiner *combiner_new(const struct combiner_options *options)
{
    struct combiner *c = calloc(1, sizeof *c);

    CHECK(options->batch_max >= 1 && options->batch_max <= OPS_MAX);
    if (c == NULL) {
        return NULL;
    }
    c->options = *options;
    c->lanes = calloc(options->n_shards * PROC__COUNT, sizeof *c->lanes);
    if (c->lanes == NULL) {
        free(c);
        return NULL;
    }
    return c;
}

static void lane_free(struct lane *lane)
{
    if (lane != NULL) {
        CHECK(lane->shared.first == NULL);
        pthread_mutex_destroy(&lane->shared.mutex);
        free(lane);
    }
}

void combiner_free(struct combiner **combiner)
{
    struct combiner *c = *combiner;

    if (c == NULL) {
        return;
    }
    for (size_t i = 0; i < c->options.n_shards * PROC__COUNT; i++) {
        lane_free(atomic_load(&c->lanes[i]));
    }
    free(c->lanes);
    free(c);
    *combiner = NULL;
}

bool combiner_takes(enum proc_id proc)
{
    return rules[proc].is_combined;
}

/* The lane of PROC on SHARD; NULL: it has none, or out of memory. */
static struct lane *lane_of(struct combiner *c, size_t shard, enum proc_id proc)
{
    _Atomic(struct lane *) *place = &c->lanes[shard * PROC__COUNT + proc];
    struct lane *lane = atomic_load(place);
    struct lane *none = NULL;

    if (lane != NULL || c->options.batch_max == 1 || !combiner_takes(proc)) {
        return lane;
    }
    lane = calloc(1, sizeof *lane);
    if (lane == NULL) {
        return NULL;
    }
    lane->options = &c->options;
    pthread_mutex_init(&lane->shared.mutex, NULL);
    if (!atomic_compare_exchange_strong(place, &none, lane)) { /* another was faster */
        lane_free(lane);
        return none;
    }
    return lane;
}

/* ---- Tickets ---- */

/* After this the ticket may be freed: its thread goes on. */
static void tell(struct ticket *ticket, enum ticket_state state)
{
    atomic_store(&ticket->state, state);
    parker_post(&ticket->news);
}

static void append_locked(struct lane *lane, struct ticket *ticket)
{
    ticket->next = NULL;
    if (lane->shared.last != NULL) {
        lane->shared.last->next = ticket;
    } else {
        lane->shared.first = ticket;
    }
    lane->shared.last = ticket;
    lane->shared.n_waiting++;
}

/* Remove the ticket after BEFORE; NULL: the first. */
static void unlink_locked(struct lane *lane, struct ticket *before, struct ticket *ticket)
{
    *(before == NULL ? &lane->shared.first : &before->next) = ticket->next;
    if (lane->shared.last == ticket) {
        lane->shared.last = before;
    }
    lane->shared.n_waiting--;
    ticket->next = NULL;
}

/* ---- What keeps operations apart ---- */

/* List the marks that keep the operations of TICKET apart from others. False: no
 * memory. */
static bool list_marks(struct ticket *ticket, enum proc_id proc)
{
    ticket->n_marks = 0;
    ticket->marks =
        arena_calloc(ticket->arena, ticket->n * APART_MAX, sizeof *ticket->marks);
    for (size_t i = 0; ticket->marks != NULL && i < ticket->n; i++) {
        for (size_t j = 0; j < APART_MAX && rules[proc].apart[j] != NULL; j++) {
            uint64_t mark = ops_mark(ticket->ops, ticket->index[i], rules[proc].apart[j]);
            ticket->marks[ticket->n_marks] = mark;
            ticket->n_marks += mark != 0;
        }
    }
    return ticket->marks != NULL;
}

static bool has_mark(const struct seat *seat, uint64_t mark)
{
    for (size_t i = 0; i < seat->n_marks; i++) {
        if (seat->marks[i] == mark) {
            return true;
        }
    }
    return false;
}

/* Is TICKET free of marks that are under way? */
static bool is_apart_locked(const struct lane *lane, const struct ticket *ticket)
{
    for (size_t i = 0; i < ticket->n_marks; i++) {
        for (size_t k = 0; k < LANE_CALLS_MAX; k++) {
            if (has_mark(&lane->shared.seats[k], ticket->marks[i])) {
                return false;
            }
        }
    }
    return true;
}

/* Have A and B operations that must be kept apart? */
static bool shares_mark(const struct ticket *a, const struct ticket *b)
{
    for (size_t i = 0; i < a->n_marks; i++) {
        for (size_t j = 0; j < b->n_marks; j++) {
            if (a->marks[i] == b->marks[j]) {
                return true;
            }
        }
    }
    return false;
}

/* May TICKET go? Nothing may overtake the longest waiter with a mark that it waits for:
 * otherwise among many operations one with that mark might always be under way. */
static bool may_go_locked(const struct lane *lane, const struct ticket *ticket)
{
    const struct ticket *oldest = lane->shared.first;

    return is_apart_locked(lane, ticket) &&
           (oldest == NULL || oldest == ticket || !shares_mark(oldest, ticket));
}

static void mark_locked(struct lane *lane, unsigned at, const struct ticket *ticket)
{
    struct seat *seat = &lane->shared.seats[at];

    for (size_t i = 0; i < ticket->n_marks; i++) {
        seat->marks[seat->n_marks++] = ticket->marks[i];
    }
}

/* ---- Leading ---- */

/* Find a free seat. False: there is none, or a CALL under way may end any moment, and
 * waiting tickets should go together with those that come until then. */
static bool find_seat_locked(const struct lane *lane, int64_t now_ms, unsigned *at)
{
    bool found = false;

    for (unsigned i = 0; i < LANE_CALLS_MAX; i++) {
        const struct seat *seat = &lane->shared.seats[i];
        if (seat->is_taken && !seat->is_restless &&
            now_ms - seat->since_ms < lane->options->slow_ms) {
            return false;
        }
        if (!seat->is_taken) {
            *at = i;
            found = true;
        }
    }
    return found;
}

/* Must TICKET wait because its operations may wait in the shard? Of those only one CALL
 * goes at a time. */
static bool is_held_locked(const struct lane *lane, const struct ticket *ticket)
{
    for (unsigned i = 0; i < LANE_CALLS_MAX; i++) {
        const struct seat *seat = &lane->shared.seats[i];
        if (ticket->restless_slot != SLOTS_MAX && seat->is_taken && seat->is_restless) {
            return true;
        }
    }
    return false;
}

static void sit_locked(struct lane *lane, unsigned at, struct ticket *ticket,
                       int64_t now_ms)
{
    struct seat *seat = &lane->shared.seats[at];

    seat->is_taken = true;
    seat->is_restless = ticket->restless_slot != SLOTS_MAX;
    seat->since_ms = now_ms;
    seat->n_marks = 0;
    mark_locked(lane, at, ticket);
    ticket->seat = at;
}

/* May TICKET lead, if there is a seat? */
static bool may_lead_locked(const struct lane *lane, const struct ticket *ticket)
{
    return !is_held_locked(lane, ticket) && may_go_locked(lane, ticket);
}

/* Let those lead that have waited longest and may lead. */
static void choose_leaders_locked(struct lane *lane)
{
    int64_t now_ms = clock_mono_ms();
    struct ticket *before = NULL;
    struct ticket *ticket = lane->shared.first;
    unsigned at;

    while (ticket != NULL && find_seat_locked(lane, now_ms, &at)) {
        struct ticket *next = ticket->next;
        if (may_lead_locked(lane, ticket)) {
            unlink_locked(lane, before, ticket);
            sit_locked(lane, at, ticket, now_ms);
            tell(ticket, TICKET_LEADS);
        } else {
            before = ticket;
        }
        ticket = next;
    }
}

/* Does the slot of TICKET have all the places in the queue that one slot may have? The
 * last quarter is for other slots, so that likes of one popular video do not keep out
 * likes of others. */
static bool is_full_locked(const struct lane *lane, const struct ticket *ticket)
{
    size_t share = lane->options->waiters_max - lane->options->waiters_max / 4;
    size_t n = 0;

    if (lane->shared.n_waiting < share) {
        return false;
    }
    for (const struct ticket *t = lane->shared.first; t != NULL; t = t->next) {
        n += ops_slot(t->ops, t->index[0]) == ops_slot(ticket->ops, ticket->index[0]);
    }
    return n >= share || lane->shared.n_waiting >= lane->options->waiters_max;
}

/* Remove it from the queue and make it DONE, without a CALL. */
static void refuse(struct ticket *ticket, enum outcome why, const char *text)
{
    atomic_store(&ticket->state, TICKET_DONE);
    ticket->report = (struct call_report){.lent = why};
    (void)snprintf(ticket->report.detail, sizeof ticket->report.detail, "%s", text);
}

void combiner_enter(struct combiner *combiner, size_t shard, enum proc_id proc,
                    struct ticket *ticket)
{
    CHECK(shard < combiner->options.n_shards && ticket->n >= 1 && ticket->n <= OPS_MAX);
    parker_init(&ticket->news);
    ticket->company_max = OPS_MAX;
    ticket->next = NULL;
    ticket->results = NULL;
    ticket->is_told = true;
    atomic_store(&ticket->state, TICKET_LEADS);
    ticket->kept = arena_alloc(ticket->arena, sizeof *ticket->kept);
    ticket->lane = ticket->kept == NULL || !list_marks(ticket, proc)
                       ? NULL
                       : lane_of(combiner, shard, proc);
    struct lane *lane = ticket->lane;
    if (lane == NULL) {
        return;
    }
    pthread_mutex_lock(&lane->shared.mutex);
    int64_t now_ms = clock_mono_ms();
    unsigned at;
    if (find_seat_locked(lane, now_ms, &at) && may_lead_locked(lane, ticket)) {
        sit_locked(lane, at, ticket, now_ms);
    } else if (!is_full_locked(lane, ticket)) {
        ticket->is_told = false;
        atomic_store(&ticket->state, TICKET_WAITING);
        append_locked(lane, ticket);
    } else {
        refuse(ticket, OUTCOME_BUSY, "too many wait to be combined");
    }
    pthread_mutex_unlock(&lane->shared.mutex);
}

/* The deadline has passed: leave the queue. A ticket that was taken by now waits for its
 * CALL, which has its own deadline. */
static void leave(struct ticket *ticket)
{
    struct lane *lane = ticket->lane;
    struct ticket *before = NULL;

    pthread_mutex_lock(&lane->shared.mutex);
    struct ticket *t = lane->shared.first;
    while (t != NULL && t != ticket) {
        before = t;
        t = t->next;
    }
    if (t != NULL) {
        unlink_locked(lane, before, t);
        refuse(ticket, OUTCOME_BUSY, "waited in vain to be combined");
        choose_leaders_locked(lane); /* others may have waited for it */
    }
    pthread_mutex_unlock(&lane->shared.mutex);
    if (t == NULL) {
        CHECK(parker_wait(&ticket->news, WAIT_FOR_EVER));
    }
}

/* Wait for news as long as a CALL may keep others waiting, and up to a quarter more, so
 * that many wake at one time. False: there are none. A taken ticket may return to the
 * queue without news, when its CALL is halved. */
static bool has_news_soon(struct ticket *ticket)
{
    int slow_ms = ticket->lane->options->slow_ms;
    int64_t until_ms = ticket->deadline_ms;

    if (slow_ms > 0) {
        int64_t step_ms = slow_ms < 4 ? 1 : slow_ms / 4;
        int64_t soon_ms = (clock_mono_ms() + slow_ms + step_ms) / step_ms * step_ms;
        until_ms = clock_earlier(soon_ms, until_ms);
    }
    return parker_wait(&ticket->news, until_ms);
}

/* Check whether another CALL may go beside a slow one; the oldest waiter of all does
 * this. */
static void look_for_leaders(const struct ticket *ticket)
{
    struct lane *lane = ticket->lane;

    pthread_mutex_lock(&lane->shared.mutex);
    if (lane->shared.first == ticket) {
        choose_leaders_locked(lane);
    }
    pthread_mutex_unlock(&lane->shared.mutex);
}

static void await(struct ticket *ticket)
{
    while (!has_news_soon(ticket)) {
        if (clock_mono_ms() >= ticket->deadline_ms) {
            leave(ticket);
            return;
        }
        look_for_leaders(ticket);
    }
}

static void drop_results(void *what)
{
    struct shared_results *results = what;

    if (atomic_fetch_sub(&results->n_refs, 1) == 1) {
        arena_release(&results->arena);
        free(results);
    }
}

/* Keep the answers of TICKET's batch as long as its arena. */
static void keep_results(struct ticket *ticket)
{
    if (ticket->results != NULL) {
        arena_keep(ticket->arena, ticket->kept, drop_results, ticket->results);
    }
}

enum ticket_state combiner_wait(struct ticket *ticket)
{
    if (!ticket->is_told) {
        await(ticket);
    }
    ticket->is_told = false;
    enum ticket_state state = atomic_load(&ticket->state);
    if (state == TICKET_DONE) {
        parker_release(&ticket->news);
        keep_results(ticket);
    }
    return state;
}

/* ---- Batches ---- */

/* Would TICKET have time to find out what became of a CALL without an answer? */
static bool can_settle(const struct lane *lane, const struct ticket *ticket,
                       int64_t now_ms)
{
    return ticket->deadline_ms - now_ms >= lane->options->settle_ms;
}

/* May TICKET go along? The whole batch has only the time of its nearest deadline: so
 * nobody may have twice as much time as the leader, or less than half; and nobody who
 * could find out what became of their operations goes with one who could not. */
static bool may_join_locked(const struct lane *lane, const struct batch *batch,
                            size_t company_max, const struct ticket *ticket,
                            int64_t now_ms)
{
    int64_t ours_ms = batch->leader->deadline_ms - now_ms;
    int64_t theirs_ms = ticket->deadline_ms - now_ms;

    return ticket->restless_slot == batch->leader->restless_slot &&
           batch->n + ticket->n <= lane->options->batch_max &&
           batch->n_members < company_max && batch->n_members < ticket->company_max &&
           2 * theirs_ms >= ours_ms && 2 * ours_ms >= theirs_ms &&
           can_settle(lane, ticket, now_ms) == can_settle(lane, batch->leader, now_ms) &&
           may_go_locked(lane, ticket);
}

static void fill_locked(struct lane *lane, struct batch *batch)
{
    int64_t now_ms = clock_mono_ms();
    struct ticket *before = NULL;
    struct ticket *last = batch->leader;
    struct ticket *ticket = lane->shared.first;
    size_t company_max = batch->leader->company_max;

    while (ticket != NULL && batch->n < lane->options->batch_max) {
        struct ticket *next = ticket->next;
        if (may_join_locked(lane, batch, company_max, ticket, now_ms)) {
            unlink_locked(lane, before, ticket);
            mark_locked(lane, batch->leader->seat, ticket);
            atomic_store(&ticket->state, TICKET_TAKEN);
            last->next = ticket;
            last = ticket;
            batch->n += ticket->n;
            batch->n_members++;
            company_max =
                ticket->company_max < company_max ? ticket->company_max : company_max;
            batch->deadline_ms = clock_earlier(ticket->deadline_ms, batch->deadline_ms);
        } else {
            before = ticket;
        }
        ticket = next;
    }
}

/* Memory for a batch of several tickets. */
static struct shared_results *new_results(size_t n_members)
{
    struct shared_results *results = calloc(1, sizeof *results);

    if (results != NULL) {
        arena_init(&results->arena, RESULTS_BYTES_MAX);
        atomic_store(&results->n_refs, n_members);
    }
    return results;
}

/* List the operations of all members. Out of memory the list is empty. */
static void list_operations(struct batch *batch)
{
    size_t at = 0;

    batch->refs = arena_calloc(batch->arena, batch->n, sizeof *batch->refs);
    batch->places = arena_calloc(batch->arena, batch->n, sizeof *batch->places);
    if (batch->refs == NULL || batch->places == NULL) {
        batch->refs = NULL;
        return;
    }
    for (struct ticket *t = batch->members; t != NULL; t = t->next) {
        for (size_t i = 0; i < t->n; i++) {
            batch->refs[at++] =
                (struct ops_ref){.ops = t->ops, .i = t->index[i], .ticket = t};
        }
    }
    ops_sort(batch->refs, batch->n);
}

/* A batch of only TICKET, which leads. */
static struct batch batch_of(struct ticket *ticket)
{
    ticket->next = NULL;
    return (struct batch){.leader = ticket,
                          .members = ticket,
                          .n_members = 1,
                          .n = ticket->n,
                          .arena = ticket->arena,
                          .deadline_ms = ticket->deadline_ms};
}

void combiner_take(struct ticket *ticket, struct batch *batch)
{
    struct lane *lane = ticket->lane;

    *batch = batch_of(ticket);
    if (lane != NULL) {
        pthread_mutex_lock(&lane->shared.mutex);
        fill_locked(lane, batch);
        pthread_mutex_unlock(&lane->shared.mutex);
    }
    if (batch->n_members > 1) {
        batch->results = new_results(batch->n_members);
        batch->arena = batch->results == NULL ? NULL : &batch->results->arena;
    }
    if (batch->arena != NULL) {
        list_operations(batch);
    }
}

/* Find each member's answers by the positions of its operations in the batch. */
static void hand_out_answers(struct batch *batch, const struct dbresult *results)
{
    dbresult_places(results, batch->places, batch->n);
    for (size_t i = 0; i < batch->n; i++) {
        const struct ops_ref *ref = &batch->refs[i];
        ref->ticket->places[ref->i] = batch->places[i];
    }
}

/* Tell T, which we must not touch afterwards. */
static void tell_report(struct batch *batch, struct ticket *t,
                        const struct call_report *report)
{
    t->report = *report;
    t->results = batch->results;
    if (t == batch->leader) {
        atomic_store(&t->state, TICKET_DONE);
    } else {
        tell(t, TICKET_DONE);
    }
}

static void tell_members(struct batch *batch, const struct call_report *report)
{
    struct ticket *next;

    for (struct ticket *t = batch->members; t != NULL; t = next) {
        next = t->next;
        tell_report(batch, t, report);
    }
}

void combiner_let_go(struct batch *batch, const struct call_report *report)
{
    int64_t now_ms = clock_mono_ms();
    struct ticket *before = batch->leader;

    CHECK(report->status == DB_UNKNOWN);
    batch->deadline_ms = batch->leader->deadline_ms;
    for (struct ticket *t = before->next; t != NULL; t = before->next) {
        if (t->deadline_ms <= now_ms) {
            before->next = t->next;
            tell_report(batch, t, report);
        } else {
            batch->deadline_ms = clock_earlier(t->deadline_ms, batch->deadline_ms);
            before = t;
        }
    }
}

static bool is_to_be_halved(const struct batch *batch, const struct call_report *report)
{
    bool is_undone = report->lent == OUTCOME_NOMEM ||
                     (report->lent == OUTCOME_OK &&
                      (report->status == DB_REFUSED || report->status == DB_FAILED));

    return batch->n_members > 1 && is_undone;
}

/* Nothing was done. All go back to the head of the queue, for smaller batches from now
 * on, except those whose deadline has passed; the leader goes on leading. */
static void halve_locked(struct lane *lane, struct batch *batch)
{
    struct ticket *leader = batch->leader;
    struct ticket **end = &lane->shared.first;
    struct ticket *old_first = lane->shared.first;
    struct ticket *old_last = lane->shared.last;
    int64_t now_ms = clock_mono_ms();
    struct ticket *next;

    for (struct ticket *t = leader->next; t != NULL; t = next) {
        next = t->next;
        t->company_max = batch->n_members / 2;
        if (t->deadline_ms <= now_ms) {
            refuse(t, OUTCOME_BUSY, "waited in vain to be combined");
            tell(t, TICKET_DONE);
            continue;
        }
        atomic_store(&t->state, TICKET_WAITING);
        *end = t;
        end = &t->next;
        lane->shared.last = t;
        lane->shared.n_waiting++;
    }
    *end = old_first;
    lane->shared.last = old_first == NULL ? lane->shared.last : old_last;
    leader->company_max = batch->n_members / 2;
    leader->next = NULL;
    sit_locked(lane, leader->seat, leader, now_ms);
}

static void free_seat_locked(struct lane *lane, unsigned at)
{
    lane->shared.seats[at].is_taken = false;
    lane->shared.seats[at].n_marks = 0;
}

void combiner_end(struct batch *batch, const struct call_report *report,
                  const struct dbresult *results)
{
    struct lane *lane = batch->leader->lane;
    bool is_halved = is_to_be_halved(batch, report);

    batch->leader->is_told = true;
    if (lane != NULL) {
        pthread_mutex_lock(&lane->shared.mutex);
        if (is_halved) {
            halve_locked(lane, batch);
        } else {
            free_seat_locked(lane, batch->leader->seat);
        }
        choose_leaders_locked(lane);
        pthread_mutex_unlock(&lane->shared.mutex);
    }
    if (!is_halved) {
        if (report->lent == OUTCOME_OK && report->status == DB_OK) {
            hand_out_answers(batch, results);
        }
        tell_members(batch, report);
    } else if (batch->results != NULL) {
        atomic_store(&batch->results->n_refs, 1);
        drop_results(batch->results);
    }
}

void combiner_give_up(struct ticket *ticket, const struct call_report *report)
{
    struct batch batch = batch_of(ticket);

    CHECK(report->lent != OUTCOME_OK);
    combiner_end(&batch, report, /* results= */ NULL);
}
