/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* The planner's floor: which gains are too small for a move, and what is moved all the
 * same. test_plan checks on random fleets that no move gains less than the floor. */
#include <string.h>

#include "shard/plan.h"

#include "tests/unit/cmocka_all.h"

#define SHARDS_MAX 3
#define SLOTS_MAX  9

static struct plan_shard shards[SHARDS_MAX];
static struct plan_slot slots[SLOTS_MAX];
static struct plan_input input;

static void fleet(size_t n_shards)
{
    memset(slots, 0, sizeof slots);
    input = (struct plan_input){.shards = shards,
                                .n_shards = n_shards,
                                .slots = slots,
                                .by = PLAN_BYTES,
                                .threshold = PLAN_THRESHOLD};
    for (size_t i = 0; i < n_shards; i++) {
        shards[i] = (struct plan_shard){.name = "", .weight = 1};
    }
}

static void add_slots(size_t shard, size_t n, uint64_t bytes)
{
    for (; n > 0; n--) {
        slots[input.n_slots] = (struct plan_slot){.number = (unsigned)input.n_slots,
                                                  .shard = shard,
                                                  .moving_to = PLAN_NOWHERE,
                                                  .bytes = bytes};
        input.n_slots++;
    }
}

static void make(struct plan *plan)
{
    assert_null(plan_make(plan, &input));
}

static void test_below_the_floor_nothing_needs_to_be_done(void **state)
{
    (void)state;
    struct plan plan;

    fleet(2); /* one shard has everything, the other nothing */
    add_slots(0, 8, 90);
    input.floor = 100;
    make(&plan);
    assert_int_equal(plan.verdict, PLAN_EVEN);
    assert_int_equal(plan.n_moves, 0);
    assert_true(plan.is_floored && plan.bytes_min == 0);
    assert_true(plan.imbalance_before == 2);
    plan_release(&plan);

    input.floor = 89; /* the gain of a move is large enough */
    make(&plan);
    assert_int_equal(plan.verdict, PLAN_MOVES);
    assert_int_equal(plan.n_moves, 4);
    assert_false(plan.is_floored);
    plan_release(&plan);

    add_slots(0, 1, 200); /* what is worth it moves, the rest stays */
    input.floor = 100;
    make(&plan);
    assert_int_equal(plan.verdict, PLAN_MOVES);
    assert_int_equal(plan.n_moves, 1);
    assert_int_equal(plan.moves[0].slot, 8);
    assert_true(plan.is_floored);
    plan_release(&plan);
}

static void test_floor_does_not_stop_a_drain(void **state)
{
    (void)state;
    struct plan plan;

    fleet(3);
    for (size_t i = 0; i < 3; i++) {
        add_slots(i, 2, 50);
    }
    input.floor = 1000;
    shards[2].is_draining = true; /* everything leaves, however small it is */
    make(&plan);
    assert_int_equal(plan.verdict, PLAN_MOVES);
    assert_int_equal(plan.n_moves, 2);
    assert_int_equal(plan.n_undrained, 0);
    plan_release(&plan);

    shards[2].is_draining = false;
    shards[0].capacity_bytes = 60;
    make(&plan);
    assert_int_equal(plan.verdict, PLAN_MOVES);
    assert_int_equal(plan.n_moves, 1);
    assert_int_equal(plan.moves[0].giver, 0);
    plan_release(&plan);

    shards[0].capacity_bytes = 0;
    make(&plan);
    assert_int_equal(plan.verdict, PLAN_EVEN);
    assert_false(plan.is_floored); /* it is even anyway */
    plan_release(&plan);

    fleet(2); /* moving 59 to gain 1 is not worth it, with or without a floor */
    add_slots(0, 1, 59);
    add_slots(0, 1, 101);
    add_slots(1, 1, 100);
    input.floor = 10;
    make(&plan);
    assert_int_equal(plan.verdict, PLAN_STUCK);
    assert_false(plan.is_floored);
    plan_release(&plan);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_below_the_floor_nothing_needs_to_be_done),
        cmocka_unit_test(test_floor_does_not_stop_a_drain),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
