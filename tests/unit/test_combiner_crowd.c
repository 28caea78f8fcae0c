/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* The combiner with many threads: everybody is told what the shard did, once. */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>

#include "shard/base/clock.h"
#include "shard/base/rnd.h"

#include "shard/combiner.h"

#include "tests/unit/wish.h"

/* ---- Many threads ---- */

#define THREADS 24
#define ROUNDS  400

struct crowd {
    struct combiner *combiner;
    pthread_mutex_t mutex;
    unsigned under_way; /* CALLs at this moment */
    unsigned most;
    size_t calls;
    uint64_t edges[2 * BATCH]; /* owners of these CALLs */
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

/* Asks again and again for few owners, so that many tickets must be kept apart. */
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

/* Many CALLs fail and many tickets have little time: still everybody is told what the
 * shard did, once. */
#define ROUGH_OWNERS 40
#define ROUGH_BAD    13 /* the owner whose operations are refused */
#define ROUGH_ROUNDS 300

struct rough {
    struct combiner *combiner;
    atomic_uint done[ROUGH_OWNERS]; /* by the shard */
    atomic_uint told[ROUGH_OWNERS]; /* to those who asked */
    atomic_uint failed, refused;    /* tickets */
};

/* The shard: refuses the bad owner, loses an answer now and then, does all the rest. */
static const struct dbresult *rough_call(struct rough *rough, struct batch *batch,
                                         unsigned chance, struct call_report *report)
{
    for (unsigned i = 0; i < 4; i++) {
        sched_yield(); /* let others enter meanwhile */
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH(test_a_crowd),
        WITH_PATIENT(test_a_crowd),
        WITH(test_a_rough_crowd),
        WITH_SOON(test_a_rough_crowd),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
