/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* The combiner: which tickets share a CALL, which wait, and what each is told when
 * something fails or is late. The test makes the CALLs itself, so that it decides when
 * each ends. */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "shard/base/clock.h"

#include "shard/combiner.h"

#include "tests/unit/wish.h"

static void test_single_ticket_goes_at_once(void **state)
{
    struct wish w;
    struct batch batch;

    wish_init(&w, 7, 1);
    enter(*state, &w);
    assert_int_equal(combiner_wait(&w.ticket), TICKET_LEADS);
    combiner_take(&w.ticket, &batch);
    assert_int_equal(batch.n, 1);
    assert_ptr_equal(batch.arena, &w.arena); /* and uses its own memory */
    combiner_end(&batch, &done, answer(&batch));
    assert_int_equal(combiner_wait(&w.ticket), TICKET_DONE);
    check_answer(&w);
    wish_free(&w);
}

/* Two CALLs under way with their batches, and N tickets that wait behind them. */
struct jam {
    struct wish first[2];
    struct batch batches[2];
    struct wish wishes[WAITERS + 1];
    size_t n;
};

static void jam_init(struct jam *jam, struct combiner *c, size_t n)
{
    jam->n = n;
    for (size_t i = 0; i < 2; i++) {
        wish_init(&jam->first[i], 1000 + i, 1);
        enter(c, &jam->first[i]);
        assert_int_equal(combiner_wait(&jam->first[i].ticket), TICKET_LEADS);
        combiner_take(&jam->first[i].ticket, &jam->batches[i]);
        assert_int_equal(jam->batches[i].n, 1);
    }
    for (size_t i = 0; i < n; i++) {
        wish_init(&jam->wishes[i], 100 - i, 1);
        enter(c, &jam->wishes[i]);
        assert_int_equal(jam->wishes[i].ticket.state, TICKET_WAITING);
    }
}

/* Ends the CALL with number I. */
static void jam_end(struct jam *jam, size_t i)
{
    combiner_end(&jam->batches[i], &done, answer(&jam->batches[i]));
    assert_int_equal(combiner_wait(&jam->first[i].ticket), TICKET_DONE);
    check_answer(&jam->first[i]);
    wish_free(&jam->first[i]);
}

static void test_waiting_tickets_go_together(void **state)
{
    struct jam *jam = calloc(1, sizeof *jam);
    struct batch batch;

    jam_init(jam, *state, 5);
    jam_end(jam, 0);
    assert_int_equal(combiner_wait(&jam->wishes[0].ticket), TICKET_LEADS);
    combiner_take(&jam->wishes[0].ticket, &batch);
    assert_int_equal(batch.n, 5);
    for (size_t i = 1; i < 5; i++) { /* in the order in which rows are locked */
        assert_true(ops_owner(batch.refs[i - 1].ops, 0) <
                    ops_owner(batch.refs[i].ops, 0));
        assert_int_equal(jam->wishes[i].ticket.state, TICKET_TAKEN);
    }
    combiner_end(&batch, &done, answer(&batch));
    for (size_t i = 0; i < 5; i++) {
        assert_int_equal(combiner_wait(&jam->wishes[i].ticket), TICKET_DONE);
        check_answer(&jam->wishes[i]);
    }
    wish_free(&jam->wishes[2]); /* the answers live as long as any ticket needs them */
    check_answer(&jam->wishes[0]);
    check_answer(&jam->wishes[4]);
    for (size_t i = 0; i < 5; i++) {
        if (i != 2) {
            wish_free(&jam->wishes[i]);
        }
    }
    jam_end(jam, 1);
    free(jam);
}

static void test_a_batch_and_the_queue_are_bounded(void **state)
{
    struct jam *jam = calloc(1, sizeof *jam);
    struct batch batch;

    jam_init(jam, *state, WAITERS);
    struct wish *last = &jam->wishes[WAITERS];
    wish_init(last, 5, 1);
    enter(*state, last);
    assert_int_equal(combiner_wait(&last->ticket), TICKET_DONE);
    assert_int_equal(last->ticket.report.lent, OUTCOME_BUSY);
    wish_free(last);
    jam_end(jam, 0);
    for (size_t i = 0; i < WAITERS; i += BATCH) {
        assert_int_equal(combiner_wait(&jam->wishes[i].ticket), TICKET_LEADS);
        combiner_take(&jam->wishes[i].ticket, &batch);
        assert_int_equal(batch.n, BATCH);
        combiner_end(&batch, &done, answer(&batch));
    }
    for (size_t i = 0; i < WAITERS; i++) {
        assert_int_equal(combiner_wait(&jam->wishes[i].ticket), TICKET_DONE);
        check_answer(&jam->wishes[i]);
        wish_free(&jam->wishes[i]);
    }
    jam_end(jam, 1);
    free(jam);
}

/* Two tickets for the same edge never share a CALL, and never are in two CALLs at a
 * time. */
static void test_one_edge_one_after_the_other(void **state)
{
    struct wish a, b, c;
    struct batch first, second, third;

    wish_init(&a, 7, 1);
    wish_init(&b, 7, 1);
    wish_init(&c, 7, 2);
    enter(*state, &a);
    enter(*state, &b);
    /* although another CALL could start */
    assert_int_equal(b.ticket.state, TICKET_WAITING);
    enter(*state, &c);
    assert_int_equal(combiner_wait(&c.ticket), TICKET_LEADS);
    combiner_take(&a.ticket, &first);
    combiner_take(&c.ticket, &second);
    assert_int_equal(first.n, 1);
    assert_int_equal(second.n, 1);
    combiner_end(&second, &done, answer(&second));
    assert_int_equal(b.ticket.state, TICKET_WAITING);
    combiner_end(&first, &done, answer(&first));
    assert_int_equal(combiner_wait(&b.ticket), TICKET_LEADS);
    combiner_take(&b.ticket, &third);
    combiner_end(&third, &done, answer(&third));
    struct wish *all[] = {&a, &b, &c};
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(combiner_wait(&all[i]->ticket), TICKET_DONE);
        check_answer(all[i]);
        wish_free(all[i]);
    }
}

/* W leads: takes it alone, and ends its CALL. */
static void lead_alone(struct wish *w)
{
    struct batch batch;

    assert_int_equal(combiner_wait(&w->ticket), TICKET_LEADS);
    combiner_take(&w->ticket, &batch);
    assert_int_equal(batch.n_members, 1);
    combiner_end(&batch, &done, answer(&batch));
    assert_int_equal(combiner_wait(&w->ticket), TICKET_DONE);
    check_answer(w);
    wish_free(w);
}

/* Two tickets on two edges, two more behind them on the same edges, and between them
 * one that needs both edges. */
struct squeeze {
    struct wish first[2];
    struct batch batches[2];
    struct wish both;
    struct wish later[2];
};

static void squeeze_init(struct squeeze *s, struct combiner *c)
{
    for (size_t i = 0; i < 2; i++) {
        wish_init(&s->first[i], 7 + i, 1);
        enter(c, &s->first[i]);
        assert_int_equal(combiner_wait(&s->first[i].ticket), TICKET_LEADS);
        combiner_take(&s->first[i].ticket, &s->batches[i]);
    }
    wish_init(&s->both, 7, 1);
    wish_add(&s->both, 8, 1);
    enter(c, &s->both);
    for (size_t i = 0; i < 2; i++) {
        wish_init(&s->later[i], 7 + i, 1);
        enter(c, &s->later[i]);
    }
}

static void squeeze_end(struct squeeze *s, size_t i)
{
    combiner_end(&s->batches[i], &done, answer(&s->batches[i]));
    assert_int_equal(combiner_wait(&s->first[i].ticket), TICKET_DONE);
    check_answer(&s->first[i]);
    wish_free(&s->first[i]);
}

/* One or the other edge is always in use, so that without a queue the one in the
 * middle would wait for ever. */
static void test_nobody_overtakes_the_oldest(void **state)
{
    struct squeeze s;

    squeeze_init(&s, *state);
    squeeze_end(&s, 0);
    assert_int_equal(s.later[0].ticket.state, TICKET_WAITING);
    squeeze_end(&s, 1);
    assert_int_equal(s.later[1].ticket.state, TICKET_WAITING);
    lead_alone(&s.both);
    lead_alone(&s.later[0]);
    lead_alone(&s.later[1]);
}

static void test_the_oldest_leaves(void **state)
{
    struct squeeze s;

    squeeze_init(&s, *state);
    squeeze_end(&s, 0);
    s.both.ticket.deadline_ms = clock_mono_ms();
    assert_int_equal(combiner_wait(&s.both.ticket), TICKET_DONE);
    assert_int_equal(s.both.ticket.report.lent, OUTCOME_BUSY);
    wish_free(&s.both);
    lead_alone(&s.later[0]);
    squeeze_end(&s, 1);
    lead_alone(&s.later[1]);
}

static void test_expired_ticket_leaves(void **state)
{
    struct jam *jam = calloc(1, sizeof *jam);

    jam_init(jam, *state, 2);
    jam->wishes[0].ticket.deadline_ms = clock_mono_ms();
    assert_int_equal(combiner_wait(&jam->wishes[0].ticket), TICKET_DONE);
    assert_int_equal(jam->wishes[0].ticket.report.lent, OUTCOME_BUSY);
    wish_free(&jam->wishes[0]);
    jam_end(jam, 0);
    struct batch batch;
    assert_int_equal(combiner_wait(&jam->wishes[1].ticket), TICKET_LEADS);
    combiner_take(&jam->wishes[1].ticket, &batch);
    assert_int_equal(batch.n, 1);
    combiner_end(&batch, &done, answer(&batch));
    assert_int_equal(combiner_wait(&jam->wishes[1].ticket), TICKET_DONE);
    wish_free(&jam->wishes[1]);
    jam_end(jam, 1);
    free(jam);
}

/* A ticket with a near deadline does not shorten the deadlines of others. */
static void test_near_deadline_goes_alone(void **state)
{
    struct jam *jam = calloc(1, sizeof *jam);
    struct batch batch;

    jam_init(jam, *state, 3);
    jam->wishes[1].ticket.deadline_ms = clock_mono_ms() + FAR_MS / 4;
    jam_end(jam, 0);
    combiner_take(&jam->wishes[0].ticket, &batch);
    assert_int_equal(batch.n, 2);
    assert_int_equal(jam->wishes[1].ticket.state, TICKET_WAITING);
    combiner_end(&batch, &done, answer(&batch));
    assert_int_equal(combiner_wait(&jam->wishes[1].ticket), TICKET_LEADS);
    combiner_take(&jam->wishes[1].ticket, &batch);
    combiner_end(&batch, &done, answer(&batch));
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(combiner_wait(&jam->wishes[i].ticket), TICKET_DONE);
        check_answer(&jam->wishes[i]);
        wish_free(&jam->wishes[i]);
    }
    jam_end(jam, 1);
    free(jam);
}

/* Tickets with time to find out the outcome of a lost CALL do not share one with a
 * ticket that has none. */
static void test_without_time_to_settle_goes_alone(void **state)
{
    struct jam *jam = calloc(1, sizeof *jam);
    struct batch batch;

    jam_init(jam, *state, 3);
    jam->wishes[1].ticket.deadline_ms -= FAR_MS - SETTLE_MS + 1;
    jam_end(jam, 0);
    combiner_take(&jam->wishes[0].ticket, &batch);
    assert_int_equal(batch.n, 2);
    assert_int_equal(jam->wishes[1].ticket.state, TICKET_WAITING);
    combiner_end(&batch, &done, answer(&batch));
    lead_alone(&jam->wishes[1]);
    for (size_t i = 0; i < 3; i++) {
        if (i != 1) {
            assert_int_equal(combiner_wait(&jam->wishes[i].ticket), TICKET_DONE);
            wish_free(&jam->wishes[i]);
        }
    }
    jam_end(jam, 1);
    free(jam);
}

/* A batch is refused, and one of its members is past its deadline by then: that one
 * does not wait for the next attempt. */
static void test_expired_ticket_is_not_retried(void **state)
{
    const struct call_report refused = {
        .lent = OUTCOME_OK, .status = DB_REFUSED, .refusal = OUTCOME_BADARG};
    struct jam *jam = calloc(1, sizeof *jam);
    struct batch batch;

    jam_init(jam, *state, 4);
    jam_end(jam, 0);
    combiner_take(&jam->wishes[0].ticket, &batch);
    assert_int_equal(batch.n, 4);
    jam->wishes[2].ticket.deadline_ms = clock_mono_ms();
    combiner_end(&batch, &refused, NULL);
    assert_int_equal(combiner_wait(&jam->wishes[2].ticket), TICKET_DONE);
    assert_int_equal(jam->wishes[2].ticket.report.lent, OUTCOME_BUSY);
    wish_free(&jam->wishes[2]);
    assert_int_equal(combiner_wait(&jam->wishes[0].ticket), TICKET_LEADS);
    combiner_take(&jam->wishes[0].ticket, &batch);
    assert_int_equal(batch.n, 2); /* half of the four; the others follow in their order */
    assert_int_equal(jam->wishes[1].ticket.state, TICKET_TAKEN);
    combiner_end(&batch, &done, answer(&batch));
    lead_alone(&jam->wishes[3]);
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(combiner_wait(&jam->wishes[i].ticket), TICKET_DONE);
        wish_free(&jam->wishes[i]);
    }
    jam_end(jam, 1);
    free(jam);
}

/* Makes one CALL for each of the N WISHES that leads; a CALL with BAD in it is
 * refused. Returns the number of CALLs. */
static unsigned lead_all(struct wish *wishes, size_t n, uint64_t bad)
{
    const struct call_report refused = {
        .lent = OUTCOME_OK, .status = DB_REFUSED, .refusal = OUTCOME_BADARG};
    unsigned calls = 0;

    for (size_t i = 0; i < n; i++) {
        struct batch batch;
        if (wishes[i].ticket.state != TICKET_LEADS) {
            continue;
        }
        combiner_take(&wishes[i].ticket, &batch);
        calls++;
        if (has_owner(&batch, bad)) {
            combiner_end(&batch, &refused, NULL);
        } else {
            combiner_end(&batch, &done, answer(&batch));
        }
    }
    return calls;
}

/* Tickets that begin in one slot get at most three quarters of the queue. */
static void test_one_slot_leaves_places_to_others(void **state)
{
    const size_t share = WAITERS - WAITERS / 4;
    struct jam *jam = calloc(1, sizeof *jam);
    struct wish wishes[WAITERS + 1];

    jam_init(jam, *state, 0);
    for (size_t i = 0; i <= WAITERS; i++) {
        bool is_hot = i <= share;
        wish_init(&wishes[i], is_hot ? 7 : 8 + i, 100 + i);
        enter(*state, &wishes[i]);
        bool is_refused = i == share;
        assert_int_equal(wishes[i].ticket.state,
                         is_refused ? TICKET_DONE : TICKET_WAITING);
    }
    assert_int_equal(combiner_wait(&wishes[share].ticket), TICKET_DONE);
    assert_int_equal(wishes[share].ticket.report.lent, OUTCOME_BUSY);
    jam_end(jam, 0);
    while (lead_all(wishes, WAITERS + 1, /* bad= */ 1) > 0) {
    }
    for (size_t i = 0; i <= WAITERS; i++) {
        if (i != share) {
            assert_int_equal(combiner_wait(&wishes[i].ticket), TICKET_DONE);
            check_answer(&wishes[i]);
        }
        wish_free(&wishes[i]);
    }
    jam_end(jam, 1);
    free(jam);
}

static void test_bad_ticket_is_found_by_halving(void **state)
{
    for (size_t bad = 0; bad < BATCH; bad++) {
        struct jam *jam = calloc(1, sizeof *jam);
        unsigned calls = 0;
        unsigned more;
        jam_init(jam, *state, BATCH);
        jam_end(jam, 0);
        uint64_t owner = ops_owner(jam->wishes[bad].ops, 0);
        do {
            more = lead_all(jam->wishes, BATCH, owner);
            calls += more;
        } while (more > 0);
        assert_true(calls <= 7); /* 8 fail, then 4 and 4, 2 and 2, 1 and 1 */
        for (size_t i = 0; i < BATCH; i++) {
            assert_int_equal(combiner_wait(&jam->wishes[i].ticket), TICKET_DONE);
            if (i == bad) {
                assert_int_equal(jam->wishes[i].ticket.report.refusal, OUTCOME_BADARG);
            } else {
                check_answer(&jam->wishes[i]);
            }
            wish_free(&jam->wishes[i]);
        }
        jam_end(jam, 1);
        free(jam);
    }
}

/* The combiner does not repeat what may have been done: it tells all members. */
static void test_unknown_outcome_goes_to_all_members(void **state)
{
    const struct call_report lost = {
        .lent = OUTCOME_OK, .status = DB_UNKNOWN, .is_over = true, .detail = "lost"};
    struct jam *jam = calloc(1, sizeof *jam);
    struct batch batch;

    jam_init(jam, *state, 3);
    jam_end(jam, 0);
    combiner_take(&jam->wishes[0].ticket, &batch);
    combiner_end(&batch, &lost, NULL);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(combiner_wait(&jam->wishes[i].ticket), TICKET_DONE);
        assert_int_equal(jam->wishes[i].ticket.report.status, DB_UNKNOWN);
        assert_true(jam->wishes[i].ticket.report.is_over);
        assert_string_equal(jam->wishes[i].ticket.report.detail, "lost");
        assert_null(jam->wishes[i].places[0].result);
        wish_free(&jam->wishes[i]);
    }
    jam_end(jam, 1);
    free(jam);
}

/* Operations in a slot that moves share CALLs only with each other, one CALL at a
 * time. */
static void test_a_restless_slot_keeps_to_itself(void **state)
{
    struct wish w[5];
    struct batch batches[3];
    const uint32_t slots[] = {7, 9, 7, SLOTS_MAX, SLOTS_MAX};

    for (size_t i = 0; i < 5; i++) {
        wish_init(&w[i], 100 + i, 1);
        w[i].ticket.restless_slot = slots[i];
        enter(*state, &w[i]);
    }
    assert_int_equal(combiner_wait(&w[0].ticket), TICKET_LEADS);
    /* its slot moves, and such a CALL is under way */
    assert_int_equal(w[1].ticket.state, TICKET_WAITING);
    assert_int_equal(combiner_wait(&w[3].ticket), TICKET_LEADS);
    combiner_take(&w[3].ticket, &batches[0]);
    assert_int_equal(batches[0].n, 2); /* with w[4], whose slot does not move either */
    combiner_take(&w[0].ticket, &batches[1]);
    assert_int_equal(batches[1].n, 2); /* with w[2], of the same slot */
    combiner_end(&batches[0], &done, answer(&batches[0]));
    assert_int_equal(w[1].ticket.state, TICKET_WAITING);
    combiner_end(&batches[1], &done, answer(&batches[1]));
    assert_int_equal(combiner_wait(&w[1].ticket), TICKET_LEADS);
    combiner_take(&w[1].ticket, &batches[2]);
    combiner_end(&batches[2], &done, answer(&batches[2]));
    for (size_t i = 0; i < 5; i++) {
        assert_int_equal(combiner_wait(&w[i].ticket), TICKET_DONE);
        check_answer(&w[i]);
        wish_free(&w[i]);
    }
}

/* While a CALL may end soon, tickets that arrive wait for it and then go together; but
 * nobody waits for a CALL in a slot that moves. */
static void test_one_call_at_a_time(void **state)
{
    struct wish w[4];
    struct batch batches[3];

    for (size_t i = 0; i < 4; i++) {
        wish_init(&w[i], 100 + i, 1);
        w[i].ticket.restless_slot = i == 0 ? 7 : SLOTS_MAX;
        enter(*state, &w[i]);
    }
    combiner_take(&w[0].ticket, &batches[0]);
    assert_int_equal(combiner_wait(&w[1].ticket), TICKET_LEADS);
    assert_int_equal(w[2].ticket.state, TICKET_WAITING);
    assert_int_equal(w[3].ticket.state, TICKET_WAITING);
    combiner_give_up(&w[1].ticket, &(struct call_report){.lent = OUTCOME_BUSY});
    assert_int_equal(combiner_wait(&w[1].ticket), TICKET_DONE);
    wish_free(&w[1]);
    assert_int_equal(combiner_wait(&w[2].ticket), TICKET_LEADS);
    combiner_end(&batches[0], &done, answer(&batches[0]));
    assert_int_equal(w[3].ticket.state, TICKET_WAITING);
    combiner_take(&w[2].ticket, &batches[1]);
    assert_int_equal(batches[1].n, 2);
    combiner_end(&batches[1], &done, answer(&batches[1]));
    for (size_t i = 0; i < 4; i++) {
        if (i != 1) {
            assert_int_equal(combiner_wait(&w[i].ticket), TICKET_DONE);
            check_answer(&w[i]);
            wish_free(&w[i]);
        }
    }
}

/* A CALL that waits for a row or for the disk does not hold others up for long. */
static void test_nobody_waits_for_a_slow_call(void **state)
{
    struct wish w[3];
    struct batch batches[2];

    for (size_t i = 0; i < 3; i++) {
        wish_init(&w[i], 100 + i, 1);
        enter(*state, &w[i]);
    }
    assert_int_equal(combiner_wait(&w[0].ticket), TICKET_LEADS);
    /* without any CALL having ended */
    assert_int_equal(combiner_wait(&w[1].ticket), TICKET_LEADS);
    combiner_take(&w[1].ticket, &batches[1]);
    assert_int_equal(batches[1].n, 2);
    combiner_end(&batches[1], &done, answer(&batches[1]));
    combiner_take(&w[0].ticket, &batches[0]);
    combiner_end(&batches[0], &done, answer(&batches[0]));
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(combiner_wait(&w[i].ticket), TICKET_DONE);
        check_answer(&w[i]);
        wish_free(&w[i]);
    }
}

/* Waits for W on a thread of its own, which publishes its id. */
struct waiter {
    struct wish *wish;
    _Atomic pid_t tid;
    enum ticket_state state;
};

static void *wait_for_wish(void *argument)
{
    struct waiter *waiter = argument;

    atomic_store(&waiter->tid, gettid());
    waiter->state = combiner_wait(&waiter->wish->ticket);
    return NULL;
}

static void await_asleep(struct waiter *waiter)
{
    char path[64];
    char state = 'R';

    while (atomic_load(&waiter->tid) == 0) {
        sched_yield();
    }
    (void)snprintf(path, sizeof path, "/proc/self/task/%d/stat", (int)waiter->tid);
    while (state != 'S') {
        FILE *file = fopen(path, "r");
        assert_non_null(file);
        assert_int_equal(fscanf(file, "%*d %*s %c", &state), 1);
        (void)fclose(file);
    }
}

/* A ticket that was taken along, and is put back when the batch is halved, must wake
 * up and lead if the CALL of the others is slow. */
static void test_ticket_put_back_can_lead(void **state)
{
    const struct call_report refused = {
        .lent = OUTCOME_OK, .status = DB_REFUSED, .refusal = OUTCOME_BADARG};
    struct jam *jam = calloc(1, sizeof *jam);
    struct wish *w = jam->wishes;
    struct batch batch;
    struct waiter waiter = {.wish = &w[1]};
    pthread_t thread;

    /* no CALL may start in between, however slow this thread is */
    jam_init(jam, *state, 3);
    jam_end(jam, 0);
    assert_int_equal(combiner_wait(&w[0].ticket), TICKET_LEADS);
    combiner_take(&w[0].ticket, &batch);
    assert_int_equal(batch.n, 3);
    jam_end(jam, 1);
    assert_int_equal(pthread_create(&thread, NULL, wait_for_wish, &waiter), 0);
    await_asleep(&waiter);
    combiner_end(&batch, &refused, NULL);
    assert_int_equal(combiner_wait(&w[0].ticket), TICKET_LEADS);
    /* alone: half of three is one; its CALL is slow */
    combiner_take(&w[0].ticket, &batch);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(waiter.state, TICKET_LEADS);
    for (size_t i = 1; i < 3; i++) {
        struct batch second;
        assert_int_equal(w[i].ticket.state, TICKET_LEADS);
        combiner_take(&w[i].ticket, &second);
        combiner_end(&second, &done, answer(&second));
    }
    combiner_end(&batch, &done, answer(&batch));
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(combiner_wait(&w[i].ticket), TICKET_DONE);
        check_answer(&w[i]);
        wish_free(&w[i]);
    }
    free(jam);
}

/* Finding out the outcome of a lost CALL takes time that some of its members do not
 * have. */
static void test_expired_ticket_is_told_at_once(void **state)
{
    struct call_report lost = {.lent = OUTCOME_OK, .status = DB_UNKNOWN, .is_late = true};
    struct jam *jam = calloc(1, sizeof *jam);
    struct batch batch;

    jam_init(jam, *state, 4);
    jam_end(jam, 0);
    combiner_take(&jam->wishes[0].ticket, &batch);
    assert_int_equal(batch.n, 4);
    jam->wishes[1].ticket.deadline_ms = clock_mono_ms();
    jam->wishes[2].ticket.deadline_ms -= 7;
    jam->wishes[3].ticket.deadline_ms = clock_mono_ms();
    combiner_let_go(&batch, &lost);
    assert_int_equal(batch.deadline_ms, jam->wishes[2].ticket.deadline_ms);
    lost.is_over = true;
    combiner_end(&batch, &lost, NULL);
    for (size_t i = 0; i < 4; i++) {
        const struct call_report *report = &jam->wishes[i].ticket.report;
        assert_int_equal(combiner_wait(&jam->wishes[i].ticket), TICKET_DONE);
        assert_int_equal(report->status, DB_UNKNOWN);
        assert_int_equal(report->is_over, i == 0 || i == 2);
        wish_free(&jam->wishes[i]);
    }
    jam_end(jam, 1);
    free(jam);
}

/* A leader that gets no connection has not taken others along yet, so only it gives
 * up. */
static void test_only_the_leader_gives_up(void **state)
{
    const struct call_report none = {.lent = OUTCOME_BUSY, .detail = "no connection"};
    struct jam *jam = calloc(1, sizeof *jam);

    jam_init(jam, *state, 3);
    jam_end(jam, 0);
    assert_int_equal(combiner_wait(&jam->wishes[0].ticket), TICKET_LEADS);
    combiner_give_up(&jam->wishes[0].ticket, &none);
    assert_int_equal(combiner_wait(&jam->wishes[0].ticket), TICKET_DONE);
    assert_int_equal(jam->wishes[0].ticket.report.lent, OUTCOME_BUSY);
    assert_string_equal(jam->wishes[0].ticket.report.detail, "no connection");
    wish_free(&jam->wishes[0]);
    assert_int_equal(jam->wishes[1].ticket.state, TICKET_LEADS);
    assert_int_equal(jam->wishes[2].ticket.state, TICKET_WAITING);
    combiner_give_up(&jam->wishes[1].ticket, &none);
    assert_int_equal(combiner_wait(&jam->wishes[1].ticket), TICKET_DONE);
    wish_free(&jam->wishes[1]);
    lead_alone(&jam->wishes[2]);
    jam_end(jam, 1);
    free(jam);
}

/* Lanes of other shards or procedures are independent. */
static void test_lanes(void **state)
{
    struct jam *jam = calloc(1, sizeof *jam);
    struct wish other_shard, other_proc, not_combined;

    jam_init(jam, *state, 0);
    wish_init(&other_shard, 1, 1);
    wish_init(&other_proc, 1, 1);
    wish_init(&not_combined, 1, 1);
    combiner_enter(*state, 1, PROC, &other_shard.ticket);
    combiner_enter(*state, 0, PROC_FAVORITE_DELIVER, &other_proc.ticket);
    combiner_enter(*state, 0, PROC_USER_REGISTER, &not_combined.ticket);
    struct wish *all[] = {&other_shard, &other_proc, &not_combined};
    for (size_t i = 0; i < 3; i++) {
        struct batch batch;
        assert_int_equal(combiner_wait(&all[i]->ticket), TICKET_LEADS);
        combiner_take(&all[i]->ticket, &batch);
        combiner_end(&batch, &done, answer(&batch));
        assert_int_equal(combiner_wait(&all[i]->ticket), TICKET_DONE);
        check_answer(all[i]);
        wish_free(all[i]);
    }
    jam_end(jam, 0);
    jam_end(jam, 1);
    free(jam);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH(test_single_ticket_goes_at_once),
        WITH(test_waiting_tickets_go_together),
        WITH(test_a_batch_and_the_queue_are_bounded),
        WITH(test_one_edge_one_after_the_other),
        WITH(test_nobody_overtakes_the_oldest),
        WITH(test_the_oldest_leaves),
        WITH(test_expired_ticket_leaves),
        WITH(test_near_deadline_goes_alone),
        WITH(test_without_time_to_settle_goes_alone),
        WITH(test_expired_ticket_is_not_retried),
        WITH(test_bad_ticket_is_found_by_halving),
        WITH(test_unknown_outcome_goes_to_all_members),
        WITH(test_a_restless_slot_keeps_to_itself),
        WITH_PATIENT(test_one_call_at_a_time),
        WITH_SOON(test_nobody_waits_for_a_slow_call),
        WITH_SOON(test_ticket_put_back_can_lead),
        WITH(test_one_slot_leaves_places_to_others),
        WITH(test_expired_ticket_is_told_at_once),
        WITH(test_only_the_leader_gives_up),
        WITH(test_lanes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
