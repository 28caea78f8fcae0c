/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* When the next step of a move is due. */
#include "shard/move_impl.h"

#include "tests/unit/cmocka_all.h"

#define BEGAN_US 1000000
#define ENDED_US 1010000 /* after 10 ms: slowed, the next step is due 40 ms later */

static int64_t due_us(uint32_t rows_per_s, bool is_slowed)
{
    const struct pace_step step = {.began_us = BEGAN_US,
                                   .ended_us = ENDED_US,
                                   .rows = 1000,
                                   .rows_per_s = rows_per_s,
                                   .is_slowed = is_slowed};

    return pace_due_us(&step);
}

static void test_without_a_bound_at_once(void **unused)
{
    (void)unused;
    assert_int_equal(due_us(0, false), ENDED_US);
}

static void test_a_slowed_step_leaves_four_times_its_length(void **unused)
{
    (void)unused;
    assert_int_equal(due_us(0, true), ENDED_US + 40000);
}

static void test_a_rate_counts_from_the_begin_of_the_step(void **unused)
{
    (void)unused;
    assert_int_equal(due_us(10000, false), BEGAN_US + 100000);
    assert_int_equal(due_us(1000000, false), ENDED_US); /* 1 ms, which is over */
}

static void test_the_later_of_both_counts(void **unused)
{
    (void)unused;
    assert_int_equal(due_us(10000, true), BEGAN_US + 100000);
    assert_int_equal(due_us(50000, true), ENDED_US + 40000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_without_a_bound_at_once),
        cmocka_unit_test(test_a_slowed_step_leaves_four_times_its_length),
        cmocka_unit_test(test_a_rate_counts_from_the_begin_of_the_step),
        cmocka_unit_test(test_the_later_of_both_counts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
