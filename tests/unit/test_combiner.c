/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* The combiner: who goes along with whom, who waits, who is told what, when something
 * fails or is late. The CALLs are made by the test itself, so that it decides when each
 * ends. */
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "shard/base/clock.h"
#include "shard/base/rnd.h"

#include "shard/combiner.h"

#define FAR_MS    3600000
#define BATCH     8
#define WAITERS   16
#define SETTLE_MS (FAR_MS / 4 * 3)
#define SHARDS    2
#define PROC      PROC_FAVORITE_ACTION
#define N_ANSWER  2 /* columns */

#define WISH_OPS 2

/* One request: the ticket of one like, or of two. */
struct wish {
    struct ticket ticket;
    struct ops *ops;
    size_t index[WISH_OPS];
    struct dbplace places[WISH_OPS];
    struct arena arena;
};

static void wish_add(struct wish *w, uint64_t owner, uint64_t target)
{
    size_t i = ops_count(w->ops);

    w->index[i] = i;
    ops_add_owner(w->ops, owner);
    ops_number(w->ops, "target", (int64_t)target);
    ops_place(w->ops, i, (uint32_t)(owner % 1024), 1);
    w->ticket.n = i + 1;
}

static void wish_init(struct wish *w, uint64_t owner, uint64_t target)
{
    *w = (struct wish){.ops = ops_new()};
    assert_non_null(w->ops);
    arena_init(&w->arena, 1 << 20);
    w->ticket = (struct ticket){.ops = w->ops,
                                .index = w->index,
                                .places = w->places,
                                .arena = &w->arena,
                                .deadline_ms = clock_mono_ms() + FAR_MS,
                                .restless_slot = SLOTS_MAX};
    wish_add(w, owner, target);
}

static void wish_free(struct wish *w)
{
    ops_free(&w->ops);
    arena_release(&w->arena);
}

/* What a shard would answer to the operations of BATCH: its owner as the code. */
static const struct dbresult *answer(struct batch *batch)
{
    static const char *const columns[N_ANSWER] = {"n", "code"};
    struct dbresult *result = arena_alloc(batch->arena, sizeof *result);

    assert_non_null(result);
    *result =
        (struct dbresult){.columns = columns, .n_columns = N_ANSWER, .n_rows = batch->n};
    result->values =
        arena_calloc(batch->arena, batch->n * N_ANSWER, sizeof *result->values);
    assert_non_null(result->values);
    for (size_t i = 0; i < batch->n; i++) {
        const struct ops_ref *ref = &batch->refs[i];
        result->values[i * N_ANSWER].number = i + 1;
        result->values[i * N_ANSWER + 1].text = arena_printf(
            batch->arena, "%llu", (unsigned long long)ops_owner(ref->ops, ref->i));
    }
    return result;
}

static const struct call_report done = {.lent = OUTCOME_OK, .status = DB_OK};

/* Does W have the answers to its own operations? */
static void check_answer(const struct wish *w)
{
    assert_int_equal(w->ticket.report.lent, OUTCOME_OK);
    assert_int_equal(w->ticket.report.status, DB_OK);
    for (size_t i = 0; i < w->ticket.n; i++) {
        const struct dbplace *place = &w->places[i];
        assert_non_null(place->result);
        const struct dbvalue *code = dbresult_value(place->result, place->row, "code");
        assert_int_equal(strtoull(code->text, NULL, 10), ops_owner(w->ops, i));
    }
}

static int setup_with(void **state, int slow_ms)
{
    *state = combiner_new(&(struct combiner_options){.n_shards = SHARDS,
                                                     .batch_max = BATCH,
                                                     .waiters_max = WAITERS,
                                                     .slow_ms = slow_ms,
                                                     .settle_ms = SETTLE_MS});
    return *state == NULL;
}

/* All CALLs are slow: there are always two. */
static int setup(void **state)
{
    return setup_with(state, /* slow_ms= */ 0);
}

/* None is: there is one at a time. */
static int setup_patient(void **state)
{
    return setup_with(state, FAR_MS);
}

/* Every CALL is slow after a moment. */
static int setup_soon(void **state)
{
    return setup_with(state, 1);
}

static int teardown(void **state)
{
    struct combiner *c = *state;

    combiner_free(&c);
    return c != NULL;
}

static void enter(struct combiner *c, struct wish *w)
{
    combiner_enter(c, 0, PROC, &w->ticket);
}

static void test_alone_it_goes_at_once(void **state)
{
    struct wish w;
    struct batch batch;

    wish_init(&w, 7, 1);
    enter(*state, &w);
    assert_int_equal(combiner_wait(&w.ticket), TICKET_LEADS);
    combiner_take(&w.ticket, &batch);
    assert_int_equal(batch.n, 1);
    assert_ptr_equal(batch.arena, &w.arena); /* and in its own memory */
    combiner_end(&batch, &done, answer(&batch));
    assert_int_equal(combiner_wait(&w.ticket), TICKET_DONE);
    check_answer(&w);
    wish_free(&w);
}

/* Two CALLs under way, and N wishes behind them; the batches of the two. */
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

/* The I-th CALL is over. */
static void jam_end(struct jam *jam, size_t i)
{
    combiner_end(&jam->batches[i], &done, answer(&jam->batches[i]));
    assert_int_equal(combiner_wait(&jam->first[i].ticket), TICKET_DONE);
    check_answer(&jam->first[i]);
    wish_free(&jam->first[i]);
}

static void test_those_who_wait_go_together(void **state)
{
    struct jam *jam = calloc(1, sizeof *jam);
    struct batch batch;

    jam_init(jam, *state, 5);
    jam_end(jam, 0);
    assert_int_equal(combiner_wait(&jam->wishes[0].ticket), TICKET_LEADS);
    combiner_take(&jam->wishes[0].ticket, &batch);
    assert_int_equal(batch.n, 5);
    for (size_t i = 1; i < 5; i++) { /* in the order in which locks are taken */
        assert_true(ops_owner(batch.refs[i - 1].ops, 0) <
                    ops_owner(batch.refs[i].ops, 0));
        assert_int_equal(jam->wishes[i].ticket.state, TICKET_TAKEN);
    }
    combiner_end(&batch, &done, answer(&batch));
    for (size_t i = 0; i < 5; i++) {
        assert_int_equal(combiner_wait(&jam->wishes[i].ticket), TICKET_DONE);
        check_answer(&jam->wishes[i]);
    }
    wish_free(&jam->wishes[2]); /* the answers live as long as anybody needs them */
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

/* Two on one edge are neither in one CALL nor in two at a time. */
static void test_one_edge_one_after_the_other(void **state)
{
    struct wish a, b, c;
    struct batch first, second, third;

    wish_init(&a, 7, 1);
    wish_init(&b, 7, 1);
    wish_init(&c, 7, 2);
    enter(*state, &a);
    enter(*state, &b);
    assert_int_equal(b.ticket.state, TICKET_WAITING); /* though a CALL may be made */
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

/* W leads: take it, alone, and end it. */
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

/* Two on two edges, two more behind them on the same ones, and between them one that is
 * on both. */
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

/* One or the other edge is under way always, were it not for whose turn it is. */
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

static void test_who_waits_too_long_leaves(void **state)
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

/* One in a hurry does not make the others hurry. */
static void test_who_is_in_a_hurry_goes_alone(void **state)
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

/* Who could find out what became of an operation that got no answer does not go with one
 * who could not. */
static void test_who_cannot_settle_goes_apart(void **state)
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

/* A batch is refused, and the time of one in it is over by then: it does not wait on. */
static void test_whose_time_is_over_is_not_asked_again(void **state)
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
    assert_int_equal(batch.n, 2); /* half of the four, the others in their order */
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

/* Is the operation of OWNER in BATCH? */
static bool has_owner(const struct batch *batch, uint64_t owner)
{
    for (size_t i = 0; i < batch->n; i++) {
        if (ops_owner(batch->refs[i].ops, batch->refs[i].i) == owner) {
            return true;
        }
    }
    return false;
}

/* Lead whoever is to lead among the N WISHES, once; CALLs with BAD in them are refused.
 * Returns how many CALLs that were. */
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

static void test_what_is_wrong_is_found_by_halving(void **state)
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
        assert_true(calls <= 7); /* 8 fail, 4 and 4, 2 and 2, 1 and 1 */
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

/* What may have been done is not asked again by the combiner: everybody is told. */
static void test_an_unknown_outcome_is_everybodys(void **state)
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

/* What is done in a slot that moves goes with its like, in one CALL at a time. */
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
    assert_int_equal(w[1].ticket.state, TICKET_WAITING); /* restless, and one is there */
    assert_int_equal(combiner_wait(&w[3].ticket), TICKET_LEADS);
    combiner_take(&w[3].ticket, &batches[0]);
    assert_int_equal(batches[0].n, 2); /* w[4], of another slot at rest */
    combiner_take(&w[0].ticket, &batches[1]);
    assert_int_equal(batches[1].n, 2); /* w[2], of the same slot */
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

/* While a CALL may end any moment, what comes waits for it, to go together; but nobody
 * waits for what a restless slot may keep. */
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

/* A CALL that waits for a row, or for the disk, keeps nobody waiting for long. */
static void test_nobody_waits_for_a_slow_call(void **state)
{
    struct wish w[3];
    struct batch batches[2];

    for (size_t i = 0; i < 3; i++) {
        wish_init(&w[i], 100 + i, 1);
        enter(*state, &w[i]);
    }
    assert_int_equal(combiner_wait(&w[0].ticket), TICKET_LEADS);
    assert_int_equal(combiner_wait(&w[1].ticket), TICKET_LEADS); /* by itself */
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

/* What is found out about a lost CALL takes time that some of its members do not have. */
static void test_whose_time_is_over_is_told_at_once(void **state)
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

/* Who gets no connection has taken nobody along who would have to wait with him. */
static void test_who_gives_up_does_so_alone(void **state)
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

/* Others' lanes are others'. */
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

/* --- Many threads --- */

#define THREADS 24
#define ROUNDS  400

struct crowd {
    struct combiner *combiner;
    pthread_mutex_t mutex;
    unsigned under_way; /* CALLs now */
    unsigned most;
    size_t calls;
    uint64_t edges[2 * BATCH]; /* owners under way */
    size_t n_edges;
};

static void crowd_begin(struct crowd *crowd, const struct batch *batch)
{
    pthread_mutex_lock(&crowd->mutex);
    crowd->under_way++;
    crowd->calls++;
    crowd->most = crowd->under_way > crowd->most ? crowd->under_way : crowd->most;
    for (size_t i = 0; i < batch->n; i++) {
        uint64_t owner = ops_owner(batch->refs[i].ops, 0);
        for (size_t j = 0; j < crowd->n_edges; j++) {
            assert_true(crowd->edges[j] != owner);
        }
        crowd->edges[crowd->n_edges++] = owner;
    }
    pthread_mutex_unlock(&crowd->mutex);
}

static void crowd_end(struct crowd *crowd, const struct batch *batch)
{
    pthread_mutex_lock(&crowd->mutex);
    crowd->under_way--;
    for (size_t i = 0; i < batch->n; i++) {
        uint64_t owner = ops_owner(batch->refs[i].ops, 0);
        for (size_t j = 0; j < crowd->n_edges; j++) {
            if (crowd->edges[j] == owner) {
                crowd->edges[j] = crowd->edges[--crowd->n_edges];
                break;
            }
        }
    }
    pthread_mutex_unlock(&crowd->mutex);
}

/* Ask again and again, for few owners, so that many are kept apart. */
static void *crowd_run(void *argument)
{
    struct crowd *crowd = argument;

    for (unsigned round = 0; round < ROUNDS; round++) {
        struct wish w;
        wish_init(&w, 1 + ((uint64_t)round * 7 + (uintptr_t)&w / 4096) % 12, 1);
        enter(crowd->combiner, &w);
        while (combiner_wait(&w.ticket) == TICKET_LEADS) {
            struct batch batch;
            combiner_take(&w.ticket, &batch);
            crowd_begin(crowd, &batch);
            const struct dbresult *results = answer(&batch);
            crowd_end(crowd, &batch);
            combiner_end(&batch, &done, results);
        }
        if (w.ticket.report.lent != OUTCOME_BUSY) {
            check_answer(&w);
        }
        wish_free(&w);
    }
    return NULL;
}

static void test_a_crowd(void **state)
{
    struct crowd crowd = {.combiner = *state, .mutex = PTHREAD_MUTEX_INITIALIZER};
    pthread_t threads[THREADS];

    for (size_t i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, crowd_run, &crowd), 0);
    }
    for (size_t i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
    assert_true(crowd.most <= LANE_CALLS_MAX);
    assert_int_equal(crowd.n_edges, 0);
}

/* What happens when much fails, and many have little time: whatever a shard did, is
 * answered so, once. */
#define ROUGH_OWNERS 40
#define ROUGH_BAD    13 /* the owner whose operations are refused */
#define ROUGH_ROUNDS 300

struct rough {
    struct combiner *combiner;
    atomic_uint done[ROUGH_OWNERS]; /* by the shard */
    atomic_uint told[ROUGH_OWNERS]; /* to those who asked */
    atomic_uint failed, refused;    /* tickets */
};

/* The shard: refuses the bad one, is lost now and then, else does what it is asked. */
static const struct dbresult *rough_call(struct rough *rough, struct batch *batch,
                                         unsigned chance, struct call_report *report)
{
    for (unsigned i = 0; i < 4; i++) {
        sched_yield(); /* others come meanwhile */
    }
    *report = done;
    if (has_owner(batch, ROUGH_BAD)) {
        report->status = DB_REFUSED;
    } else if (chance < 10) {
        *report = (struct call_report){.status = DB_UNKNOWN};
        combiner_let_go(batch, report);
    } else if (chance < 20) {
        *report = (struct call_report){.status = DB_AGAIN};
    } else if (chance < 25) {
        *report = (struct call_report){.lent = OUTCOME_NOMEM};
    }
    if (report->lent != OUTCOME_OK || report->status != DB_OK) {
        return NULL;
    }
    for (size_t i = 0; i < batch->n; i++) {
        uint64_t owner = ops_owner(batch->refs[i].ops, batch->refs[i].i);
        atomic_fetch_add(&rough->done[owner], 1);
    }
    return answer(batch);
}

static void rough_count(struct rough *rough, const struct wish *w)
{
    const struct call_report *report = &w->ticket.report;

    if (report->lent == OUTCOME_OK && report->status == DB_OK) {
        check_answer(w);
        for (size_t i = 0; i < w->ticket.n; i++) {
            atomic_fetch_add(&rough->told[ops_owner(w->ops, i)], 1);
        }
    } else if (report->lent == OUTCOME_OK && report->status == DB_REFUSED) {
        assert_true(ops_owner(w->ops, 0) == ROUGH_BAD ||
                    (w->ticket.n > 1 && ops_owner(w->ops, 1) == ROUGH_BAD));
        atomic_fetch_add(&rough->refused, 1);
    } else {
        atomic_fetch_add(&rough->failed, 1);
    }
}

static void *rough_run(void *argument)
{
    const struct call_report none = {.lent = OUTCOME_BUSY};
    struct rough *rough = argument;

    for (unsigned round = 0; round < ROUGH_ROUNDS; round++) {
        struct wish w;
        uint64_t owner = rnd_below(ROUGH_OWNERS);
        wish_init(&w, owner, 1);
        if (rnd_below(4) == 0) {
            wish_add(&w, (owner + 1 + rnd_below(ROUGH_OWNERS - 1)) % ROUGH_OWNERS, 1);
        }
        if (rnd_below(4) == 0) {
            w.ticket.deadline_ms = clock_mono_ms() + rnd_below(3);
        }
        enter(rough->combiner, &w);
        while (combiner_wait(&w.ticket) == TICKET_LEADS) {
            struct batch batch;
            struct call_report report;
            if (rnd_below(100) < 5) {
                combiner_give_up(&w.ticket, &none);
                continue;
            }
            combiner_take(&w.ticket, &batch);
            const struct dbresult *results =
                rough_call(rough, &batch, rnd_below(100), &report);
            combiner_end(&batch, &report, results);
        }
        rough_count(rough, &w);
        wish_free(&w);
    }
    return NULL;
}

static void test_a_rough_crowd(void **state)
{
    struct rough rough = {.combiner = *state};
    pthread_t threads[THREADS];

    for (size_t i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, rough_run, &rough), 0);
    }
    for (size_t i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
    for (size_t i = 0; i < ROUGH_OWNERS; i++) {
        assert_int_equal(rough.done[i], rough.told[i]);
    }
    assert_true(rough.refused > 0 && rough.failed > 0);
}

#define WITH(test)         cmocka_unit_test_setup_teardown(test, setup, teardown)
#define WITH_PATIENT(test) cmocka_unit_test_setup_teardown(test, setup_patient, teardown)
#define WITH_SOON(test)    cmocka_unit_test_setup_teardown(test, setup_soon, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH(test_alone_it_goes_at_once),
        WITH(test_those_who_wait_go_together),
        WITH(test_a_batch_and_the_queue_are_bounded),
        WITH(test_one_edge_one_after_the_other),
        WITH(test_nobody_overtakes_the_oldest),
        WITH(test_the_oldest_leaves),
        WITH(test_who_waits_too_long_leaves),
        WITH(test_who_is_in_a_hurry_goes_alone),
        WITH(test_who_cannot_settle_goes_apart),
        WITH(test_whose_time_is_over_is_not_asked_again),
        WITH(test_what_is_wrong_is_found_by_halving),
        WITH(test_an_unknown_outcome_is_everybodys),
        WITH(test_a_restless_slot_keeps_to_itself),
        WITH_PATIENT(test_one_call_at_a_time),
        WITH_SOON(test_nobody_waits_for_a_slow_call),
        WITH(test_whose_time_is_over_is_told_at_once),
        WITH(test_who_gives_up_does_so_alone),
        WITH(test_lanes),
        WITH(test_a_crowd),
        WITH_PATIENT(test_a_crowd),
        WITH(test_a_rough_crowd),
        WITH_SOON(test_a_rough_crowd),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
