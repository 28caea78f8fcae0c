/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* What tests of the combiner ask for, and what a shard would answer. The tests make
 * the CALLs themselves, so that they decide when each ends. */
#ifndef DOUSHARD_TESTS_WISH_H
#define DOUSHARD_TESTS_WISH_H

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "shard/base/clock.h"

#include "shard/combiner.h"

#include "tests/unit/cmocka_all.h"

#define FAR_MS    3600000
#define BATCH     8
#define WAITERS   16
#define SETTLE_MS (FAR_MS / 4 * 3)
#define SHARDS    2
#define PROC      PROC_FAVORITE_ACTION
#define N_ANSWER  2 /* columns */

#define WISH_OPS 2

/* One request: the ticket of one or two likes. */
struct wish {
    struct ticket ticket;
    struct ops *ops;
    size_t index[WISH_OPS];
    struct dbplace places[WISH_OPS];
    struct arena arena;
};

static inline void wish_add(struct wish *w, uint64_t owner, uint64_t target)
{
    size_t i = ops_count(w->ops);

    w->index[i] = i;
    ops_add_owner(w->ops, owner);
    ops_number(w->ops, "target", (int64_t)target);
    ops_place(w->ops, i, (uint32_t)(owner % 1024), 1);
    w->ticket.n = i + 1;
}

static inline void wish_init(struct wish *w, uint64_t owner, uint64_t target)
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

static inline void wish_free(struct wish *w)
{
    ops_free(&w->ops);
    arena_release(&w->arena);
}

/* What a shard would answer to the operations of BATCH: each owner as the code. */
static inline const struct dbresult *answer(struct batch *batch)
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

/* Whether W has the answers to its own operations. */
static inline void check_answer(const struct wish *w)
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

static inline int setup_with(void **state, int slow_ms)
{
    *state = combiner_new(&(struct combiner_options){.n_shards = SHARDS,
                                                     .batch_max = BATCH,
                                                     .waiters_max = WAITERS,
                                                     .slow_ms = slow_ms,
                                                     .settle_ms = SETTLE_MS});
    return *state == NULL;
}

/* All CALLs count as slow at once: there are always two. */
static inline int setup(void **state)
{
    return setup_with(state, /* slow_ms= */ 0);
}

/* No CALL counts as slow: there is one at a time. */
static inline int setup_patient(void **state)
{
    return setup_with(state, FAR_MS);
}

/* Every CALL counts as slow after a moment. */
static inline int setup_soon(void **state)
{
    return setup_with(state, 1);
}

static inline int teardown(void **state)
{
    struct combiner *c = *state;

    combiner_free(&c);
    return c != NULL;
}

static inline void enter(struct combiner *c, struct wish *w)
{
    combiner_enter(c, 0, PROC, &w->ticket);
}

/* Whether the operation of OWNER is in BATCH. */
static inline bool has_owner(const struct batch *batch, uint64_t owner)
{
    for (size_t i = 0; i < batch->n; i++) {
        if (ops_owner(batch->refs[i].ops, batch->refs[i].i) == owner) {
            return true;
        }
    }
    return false;
}

#define WITH(test)         cmocka_unit_test_setup_teardown(test, setup, teardown)
#define WITH_PATIENT(test) cmocka_unit_test_setup_teardown(test, setup_patient, teardown)
#define WITH_SOON(test)    cmocka_unit_test_setup_teardown(test, setup_soon, teardown)

#endif
