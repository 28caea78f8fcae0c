/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* How many actions are let through in a period, counted by one process; the test sets
 * the clock. */
#include <limits.h>
#include <pthread.h>
#include <string.h>

#include "server/api/routes.h"
#include "server/auth/rate.h"

#include "tests/unit/cmocka_all.h"

#define SECOND_US INT64_C(1000000)
#define MINUTE_US (60 * SECOND_US)
#define HOUR_US   (60 * MINUTE_US)
#define MINUTE_MS INT64_C(60000)
#define HOUR_MS   (60 * MINUTE_MS)

static struct rate *rate;
static int64_t now_us;

static int setup(void **state)
{
    (void)state;
    rate = rate_new();
    assert_non_null(rate);
    now_us = HOUR_US;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    rate_free(&rate);
    assert_null(rate);
    return 0;
}

static int64_t take(enum rate_action action, uint64_t who, const struct gcra *rule)
{
    return rate_take(rate, action, &who, sizeof who, rule, now_us);
}

static void give(enum rate_action action, uint64_t who, const struct gcra *rule)
{
    rate_give(rate, action, &who, sizeof who, rule);
}

/* How many actions of WHO are let through at this moment. */
static unsigned at_once(uint64_t who, const struct gcra *rule)
{
    unsigned n = 0;

    while (take(RATE_COMMENT, who, rule) == 0) {
        n++;
    }
    return n;
}

/* How many actions of WHO are let through during FOR_US, if WHO always waits as long
 * as told. */
static unsigned hammer(uint64_t who, const struct gcra *rule, int64_t for_us)
{
    int64_t end_us = now_us + for_us;
    unsigned n = 0;

    while (now_us < end_us) {
        int64_t wait_us = take(RATE_COMMENT, who, rule);
        n += wait_us == 0;
        now_us += wait_us;
    }
    return n;
}

/* ---- The rule ---- */

static void test_evenly(void **state)
{
    const struct gcra rule = gcra_evenly(30, MINUTE_MS);

    (void)state;
    assert_int_equal(at_once(1, &rule), 30);
    assert_int_equal(take(RATE_COMMENT, 1, &rule), 2 * SECOND_US);
    now_us += 2 * SECOND_US - 1;
    assert_int_equal(take(RATE_COMMENT, 1, &rule), 1);
    now_us++;
    assert_int_equal(at_once(1, &rule), 1);
    now_us += 10 * SECOND_US;
    assert_int_equal(at_once(1, &rule), 5);
    now_us += HOUR_US; /* it saves up no more than that */
    assert_int_equal(at_once(1, &rule), 30);
}

/* A user who goes on for long gets the promised rate, plus the burst at the beginning. */
static void test_in_the_long_run(void **state)
{
    static const unsigned limits[] = {1, 2, 7, 60, 1000};

    (void)state;
    for (unsigned i = 0; i < ARRAY_LEN(limits); i++) {
        const struct gcra rule = gcra_evenly(limits[i], MINUTE_MS);
        unsigned n = hammer(100 + i, &rule, HOUR_US);
        assert_in_range(n, 60 * limits[i], 61 * limits[i] + 1);
    }
}

static void test_at_most(void **state)
{
    static const unsigned limits[] = {1, 2, 3, 7, 100, 1001};

    (void)state;
    for (unsigned i = 0; i < ARRAY_LEN(limits); i++) {
        const struct gcra rule = gcra_at_most(limits[i], HOUR_MS);
        unsigned n = hammer(200 + i, &rule, HOUR_US);
        assert_in_range(n, 1, limits[i]);
        assert_true(n >= limits[i] - 1);
    }
}

static void test_extremes(void **state)
{
    const struct gcra slowest = gcra_evenly(1, INT_MAX);
    const struct gcra fastest = gcra_evenly(UINT_MAX, 1);

    (void)state;
    assert_int_equal(at_once(1, &slowest), 1);
    assert_int_equal(take(RATE_COMMENT, 1, &slowest), INT_MAX * INT64_C(1000));
    assert_int_equal(fastest.step_us, 1);
    assert_int_equal(take(RATE_COMMENT, 2, &fastest), 0);
}

/* Counts made under another rule make nobody wait longer than the present rule would. */
static void test_rule_changes(void **state)
{
    const struct gcra strict = gcra_evenly(2, HOUR_MS);
    const struct gcra hourly = gcra_evenly(4, HOUR_MS);
    const struct gcra generous = gcra_evenly(60, MINUTE_MS);

    (void)state;
    assert_int_equal(at_once(1, &strict), 2);
    assert_int_equal(take(RATE_COMMENT, 1, &hourly), HOUR_US / 4);
    assert_int_equal(take(RATE_COMMENT, 1, &generous), SECOND_US);
    now_us += SECOND_US;
    assert_int_equal(at_once(1, &generous), 1);
    now_us += HOUR_US;
    assert_int_equal(at_once(1, &generous), 60);
    assert_int_equal(at_once(1, &strict), 1);
}

/* ---- The table ---- */

static void test_users_and_actions_count_apart(void **state)
{
    const struct gcra rule = gcra_evenly(1, HOUR_MS);

    (void)state;
    assert_int_equal(take(RATE_COMMENT, 1, &rule), 0);
    assert_int_equal(take(RATE_COMMENT, 2, &rule), 0);
    assert_int_equal(take(RATE_MESSAGE, 1, &rule), 0);
    assert_int_equal(take(RATE_COMMENT, 1, &rule), HOUR_US);
    assert_int_equal(take(RATE_COMMENT, 2, &rule), HOUR_US);
    assert_int_equal(take(RATE_MESSAGE, 1, &rule), HOUR_US);
}

static void test_give(void **state)
{
    const struct gcra rule = gcra_evenly(2, HOUR_MS);

    (void)state;
    for (unsigned i = 0; i < 10; i++) {
        assert_int_equal(take(RATE_COMMENT, 1, &rule), 0);
        give(RATE_COMMENT, 1, &rule);
    }
    assert_int_equal(at_once(1, &rule), 2);
    give(RATE_COMMENT, 2, &rule); /* somebody unknown */
    assert_int_equal(at_once(2, &rule), 2);
}

/* A full table forgets those who have the shortest time to wait. */
static void test_full(void **state)
{
    const struct gcra patient = gcra_evenly(2, HOUR_MS);
    const struct gcra hasty = gcra_evenly(60, MINUTE_MS);

    (void)state;
    assert_int_equal(at_once(0, &patient), 2);
    for (uint64_t who = 1; who < UINT64_C(1048576); who++) {
        assert_int_equal(take(RATE_COMMENT, who, &hasty), 0);
    }
    assert_int_equal(at_once(0, &patient), 0);
}

static void *take_many(void *arg)
{
    const struct gcra rule = gcra_evenly(1000, HOUR_MS);
    unsigned *n = arg;

    for (unsigned i = 0; i < 1000; i++) {
        *n += take(RATE_COMMENT, 1, &rule) == 0;
    }
    return NULL;
}

static void test_threads(void **state)
{
    pthread_t threads[4];
    unsigned n[4] = {0};
    unsigned sum = 0;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(threads); i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, take_many, &n[i]), 0);
    }
    for (size_t i = 0; i < ARRAY_LEN(threads); i++) {
        pthread_join(threads[i], NULL);
        sum += n[i];
    }
    assert_int_equal(sum, 1000);
}

/* ---- The route table ---- */

/* Every action has a limit, counted for somebody whom the route knows, on routes that
 * may wait. */
static void test_routes(void **state)
{
    bool used[RATE__COUNT] = {[RATE_NONE] = true};
    const struct route_table *table = routes_table();
    const struct route *routes = table->rows;

    (void)state;
    for (size_t i = 0; i < table->n; i++) {
        enum rate_subject subject = rate_subject(routes[i].rate);
        used[routes[i].rate] = true;
        if (routes[i].rate != RATE_NONE) {
            assert_null(routes[i].quick);
            assert_false((routes[i].flags & ROUTE_INLINE) != 0);
            assert_int_not_equal(subject, RATE_OF_NOBODY);
            assert_true(subject == RATE_OF_ADDRESS || routes[i].auth == AUTH_REQUIRED);
        }
    }
    for (enum rate_action action = 0; action < RATE__COUNT; action++) {
        assert_true(used[action]);
    }
}

int main(void)
{
#define FRESH(test) cmocka_unit_test_setup_teardown((test), setup, teardown)
    const struct CMUnitTest tests[] = {
        FRESH(test_evenly),       FRESH(test_in_the_long_run),
        FRESH(test_at_most),      FRESH(test_extremes),
        FRESH(test_rule_changes), FRESH(test_users_and_actions_count_apart),
        FRESH(test_give),         FRESH(test_full),
        FRESH(test_threads),      cmocka_unit_test(test_routes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
