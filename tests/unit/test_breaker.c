/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* The breaker: which calls it lets pass, and when it allows a trial. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "shard/base/clock.h"

#include "shard/breaker.h"

#define HOLD_MS     1000
#define HOLD_MAX_MS 3000

static void test_open_and_closed(void **unused)
{
    (void)unused;
    struct breaker breaker;
    struct errmsg err;

    breaker_init(&breaker, HOLD_MS, HOLD_MAX_MS);
    assert_true(breaker_lets(&breaker, &err));
    assert_int_equal(breaker_due_ms(&breaker), INT64_MAX);

    assert_true(breaker_open(&breaker, "full"));
    assert_false(breaker_open(&breaker, "read-only")); /* it was open: the newer reason */
    assert_false(breaker_lets(&breaker, &err));
    assert_string_equal(err.text, "read-only");
    assert_false(breaker_is_closed(&breaker, &err));
    assert_int_equal(breaker.refused_total, 1);

    breaker_close(&breaker);
    assert_true(breaker_lets(&breaker, &err));
    assert_true(breaker_is_closed(&breaker, &err));
    assert_int_equal(breaker.refused_total, 1);
    breaker_destroy(&breaker);
}

/* Opens it now; returns in how many ms a trial is due. */
static int64_t opened_for(struct breaker *breaker)
{
    int64_t now_ms = clock_mono_ms();

    breaker_open(breaker, "full");
    return breaker_due_ms(breaker) - now_ms;
}

static void test_repeated_failure_is_tried_less_often(void **unused)
{
    (void)unused;
    struct breaker breaker;

    breaker_init(&breaker, HOLD_MS, HOLD_MAX_MS);
    assert_in_range(opened_for(&breaker), HOLD_MS, HOLD_MS + 500);
    /* already open: no change */
    assert_in_range(opened_for(&breaker), HOLD_MS, HOLD_MS + 500);
    breaker_close(&breaker);
    assert_in_range(opened_for(&breaker), 2 * HOLD_MS, 2 * HOLD_MS + 500);
    breaker_close(&breaker);
    assert_in_range(opened_for(&breaker), HOLD_MAX_MS, HOLD_MAX_MS + 500);
    breaker_close(&breaker);
    breaker.shared.closed_ms -= 60000; /* it was closed for a minute */
    assert_in_range(opened_for(&breaker), HOLD_MS, HOLD_MS + 500);
    breaker_destroy(&breaker);
}

static void test_several_failures_in_a_row(void **unused)
{
    (void)unused;
    struct breaker breaker;

    breaker_init(&breaker, HOLD_MS, HOLD_MAX_MS);
    for (int i = 0; i < 3; i++) {
        assert_false(breaker_fail(&breaker));
    }
    breaker_succeed(&breaker);
    for (int i = 0; i < 3; i++) {
        assert_false(breaker_fail(&breaker));
    }
    assert_true(breaker_fail(&breaker));
    breaker_open(&breaker, "no answer");
    breaker_close(&breaker);
    assert_false(breaker_fail(&breaker));
    breaker_destroy(&breaker);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_open_and_closed),
        cmocka_unit_test(test_repeated_failure_is_tried_less_often),
        cmocka_unit_test(test_several_failures_in_a_row),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
