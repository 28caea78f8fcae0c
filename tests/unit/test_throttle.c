/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* How many wrong passwords are compared in an hour, and who is locked out by them; the
 * test sets the clock. */
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "server/auth/throttle.h"

#include "tests/unit/cmocka_all.h"

#define SECOND_MS INT64_C(1000)
#define HOUR_MS   (3600 * SECOND_MS)
#define DAY_MS    (24 * HOUR_MS)

static const struct throttle_limits usual = {.tries = 30,
                                             .wait_max_ms = 900 * SECOND_MS,
                                             .account_max = 100,
                                             .address_max = 1000};

static struct throttle *throttle;
static struct throttle_limits limits;
static int64_t now_ms;

static int setup(void **state)
{
    (void)state;
    throttle = throttle_new();
    assert_non_null(throttle);
    limits = usual;
    now_ms = 5 * DAY_MS;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    throttle_free(&throttle);
    assert_null(throttle);
    return 0;
}

/* Address number HOST; each is in a network of its own. */
static struct address host(unsigned number)
{
    return (struct address){{[0] = 0x20,
                             [4] = (unsigned char)(number >> 24),
                             [5] = (unsigned char)(number >> 16),
                             [6] = (unsigned char)(number >> 8),
                             [7] = (unsigned char)number,
                             [15] = 1}};
}

static int64_t enter(const char *name, unsigned from, struct throttle_pass *pass)
{
    return throttle_enter(throttle, &limits,
                          &(struct throttle_try){.kind = THROTTLE_NAME,
                                                 .account = name,
                                                 .account_len = strlen(name),
                                                 .address = host(from)},
                          now_ms, pass);
}

/* One login attempt that ends like this; returns 0, or how long it must wait instead. */
static int64_t attempt(const char *name, unsigned from, enum throttle_end end)
{
    struct throttle_pass pass;
    int64_t wait_ms = enter(name, from, &pass);

    if (wait_ms == 0) {
        throttle_leave(throttle, &pass, end, now_ms);
    }
    return wait_ms;
}

/* Tries as fast as allowed for so long; returns how many wrong passwords were
 * compared. */
static unsigned hammer(const char *name, unsigned from, int64_t for_ms)
{
    int64_t end_ms = now_ms + for_ms;
    unsigned n = 0;

    while (now_ms < end_ms) {
        int64_t wait_ms = attempt(name, from, THROTTLE_WRONG);
        n += wait_ms == 0;
        now_ms += wait_ms > 0 ? wait_ms : 1;
    }
    return n;
}

/* ---- One address at one account ---- */

static void test_waits_double(void **state)
{
    static const int64_t waits_s[] = {1,   2,   4,   8,   16,  32, 64,
                                      128, 256, 512, 900, 900, 900};

    (void)state;
    for (unsigned i = 0; i < limits.tries; i++) {
        assert_int_equal(attempt("alice", 1, THROTTLE_WRONG), 0);
    }
    for (size_t i = 0; i < ARRAY_LEN(waits_s); i++) {
        int64_t wait_ms = attempt("alice", 1, THROTTLE_WRONG);
        assert_int_equal(wait_ms, waits_s[i] * SECOND_MS);
        /* Trying too early, even with the right password, does not make the wait
         * longer. */
        now_ms += wait_ms - 1;
        assert_int_equal(attempt("alice", 1, THROTTLE_RIGHT), 1);
        now_ms++;
        assert_int_equal(attempt("alice", 1, THROTTLE_WRONG), 0);
    }
}

static void test_in_a_row(void **state)
{
    (void)state;
    for (unsigned round = 0; round < 5; round++) {
        for (unsigned i = 0; i + 1 < limits.tries; i++) {
            assert_int_equal(attempt("alice", 1, THROTTLE_WRONG), 0);
        }
        assert_int_equal(attempt("alice", 1, THROTTLE_RIGHT), 0);
    }
    for (unsigned i = 0; i < limits.tries; i++) {
        assert_int_equal(attempt("alice", 1, THROTTLE_WRONG), 0);
    }
    assert_true(attempt("alice", 1, THROTTLE_WRONG) > 0);
}

/* An hour after the last wait everything is as at the beginning. */
static void test_forgets(void **state)
{
    (void)state;
    (void)hammer("alice", 1, 2 * HOUR_MS);
    assert_int_equal(attempt("alice", 1, THROTTLE_WRONG), 0);
    assert_int_equal(attempt("alice", 1, THROTTLE_WRONG), 900 * SECOND_MS);
    now_ms += 900 * SECOND_MS + HOUR_MS;
    for (unsigned i = 0; i < limits.tries; i++) {
        assert_int_equal(attempt("alice", 1, THROTTLE_WRONG), 0);
    }
    assert_int_equal(attempt("alice", 1, THROTTLE_WRONG), SECOND_MS);
}

/* Nobody else is slowed down: neither the account from elsewhere, nor another account
 * from there. */
static void test_others_go_on(void **state)
{
    (void)state;
    (void)hammer("alice", 1, HOUR_MS);
    (void)attempt("alice", 1, THROTTLE_WRONG);
    assert_true(attempt("alice", 1, THROTTLE_RIGHT) > 0);
    assert_int_equal(attempt("alice", 2, THROTTLE_RIGHT), 0);
    assert_int_equal(attempt("bob", 1, THROTTLE_RIGHT), 0);
    assert_int_equal(attempt("alic", 1, THROTTLE_RIGHT), 0);
}

static void test_one_network(void **state)
{
    struct throttle_pass pass;
    struct throttle_try other = {
        .kind = THROTTLE_NAME, .account = "alice", .account_len = 5, .address = host(1)};

    (void)state;
    (void)hammer("alice", 1, 1);
    other.address.bytes[15] = 77; /* another address with the same first 64 bits */
    for (unsigned i = 0; i + 1 < limits.tries; i++) {
        assert_int_equal(throttle_enter(throttle, &limits, &other, now_ms, &pass), 0);
    }
    assert_true(throttle_enter(throttle, &limits, &other, now_ms, &pass) > 0);
}

/* A name of eight bytes is not confused with the id that has the same bytes. */
static void test_kinds(void **state)
{
    struct throttle_pass pass;
    struct throttle_try by_id = {
        .kind = THROTTLE_ID, .account = "alice678", .account_len = 8, .address = host(1)};

    (void)state;
    (void)hammer("alice678", 1, HOUR_MS);
    assert_int_equal(throttle_enter(throttle, &limits, &by_id, now_ms, &pass), 0);
}

/* Attempts at the same time are counted when they begin, not when they turn out to be
 * wrong. */
static void test_at_the_same_time(void **state)
{
    struct throttle_pass passes[200];
    unsigned n = 0;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(passes); i++) {
        n += enter("alice", 1, &passes[n]) == 0;
    }
    assert_int_equal(n, limits.tries);
    for (unsigned i = 0; i < n; i++) {
        throttle_leave(throttle, &passes[i], THROTTLE_WRONG, now_ms);
    }
    assert_int_equal(attempt("alice", 1, THROTTLE_WRONG), SECOND_MS);
}

/* An attempt whose password was not compared does not count, whether it was free or
 * had to wait. */
static void test_taken_back(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 2000; i++) {
        assert_int_equal(attempt("alice", 1, THROTTLE_UNKNOWN), 0);
    }
    for (unsigned i = 0; i < limits.tries; i++) {
        assert_int_equal(attempt("alice", 1, THROTTLE_WRONG), 0);
    }
    now_ms += SECOND_MS;
    for (unsigned i = 0; i < 2000; i++) {
        assert_int_equal(attempt("alice", 1, THROTTLE_UNKNOWN), 0);
    }
    assert_int_equal(attempt("alice", 1, THROTTLE_WRONG), 0);
    assert_int_equal(attempt("alice", 1, THROTTLE_WRONG), 2 * SECOND_MS);
}

/* ---- Known addresses ---- */

static void test_knows(void **state)
{
    struct throttle_try here = {.kind = THROTTLE_NAME,
                                .account = "alice",
                                .account_len = strlen("alice"),
                                .address = host(1)};
    struct throttle_try there = here;
    struct throttle_pass pass;

    (void)state;
    there.address = host(2);
    assert_false(throttle_knows(throttle, &here, now_ms));
    assert_int_equal(enter("alice", 1, &pass), 0);
    assert_true(throttle_is_stranger(&pass));
    throttle_leave(throttle, &pass, THROTTLE_RIGHT, now_ms);
    assert_true(throttle_knows(throttle, &here, now_ms));
    assert_false(throttle_knows(throttle, &there, now_ms));
    assert_int_equal(enter("alice", 1, &pass), 0);
    assert_false(throttle_is_stranger(&pass));
    throttle_leave(throttle, &pass, THROTTLE_WRONG, now_ms);
    now_ms += 29 * DAY_MS;
    assert_true(throttle_knows(throttle, &here, now_ms));
    now_ms += 2 * DAY_MS;
    assert_false(throttle_knows(throttle, &here, now_ms));
}

/* ---- Counts per hour ---- */

/* The limit of the OWASP ASVS: at most 100 in any hour. */
static void test_account_from_one_address(void **state)
{
    unsigned first;

    (void)state;
    first = hammer("alice", 1, HOUR_MS);
    assert_in_range(first, 35, 50);
    for (unsigned hour = 0; hour < 24; hour++) {
        assert_true(hammer("alice", 1, HOUR_MS) <= 10);
    }
}

static void test_account_from_many_addresses(void **state)
{
    int64_t end_ms = now_ms + 24 * HOUR_MS;
    unsigned n_in_hour[24] = {0};
    unsigned n_total = 0;
    unsigned from = 0;

    (void)state;
    for (int64_t start_ms = now_ms; now_ms < end_ms; now_ms += SECOND_MS) {
        bool ok = attempt("alice", ++from, THROTTLE_WRONG) == 0;
        n_in_hour[(now_ms - start_ms) / HOUR_MS] += ok;
        n_total += ok;
    }
    for (size_t i = 0; i < ARRAY_LEN(n_in_hour); i++) {
        assert_in_range(n_in_hour[i], 49, limits.account_max);
    }
    assert_in_range(n_total, 24 * 50, 24 * 50 + 50);
}

/* Odd values: never more in an hour than the option allows. */
static void test_account_max(void **state)
{
    static const unsigned maxima[] = {1, 2, 3, 5, 7, 99};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(maxima); i++) {
        char name[32];
        unsigned n = 0;
        (void)snprintf(name, sizeof name, "user%zu", i);
        limits.account_max = maxima[i];
        for (unsigned from = 0; from < 3600; from++) {
            n += attempt(name, from, THROTTLE_WRONG) == 0;
            now_ms += SECOND_MS;
        }
        assert_true(n >= 1 && n <= maxima[i]);
    }
}

/* Strangers use up the account's attempts; from an address where its owner has logged
 * in before, the owner gets in. */
static void test_owner_is_let_in(void **state)
{
    unsigned from = 1000;

    (void)state;
    assert_int_equal(attempt("alice", 1, THROTTLE_RIGHT), 0);
    throttle_know(throttle,
                  &(struct throttle_try){.kind = THROTTLE_NAME,
                                         .account = "alice",
                                         .account_len = 5,
                                         .address = host(2)},
                  now_ms);
    while (attempt("alice", ++from, THROTTLE_WRONG) == 0) {
    }
    assert_int_equal(attempt("alice", 1, THROTTLE_RIGHT), 0);
    assert_int_equal(attempt("alice", 2, THROTTLE_RIGHT), 0);
    assert_true(attempt("alice", 3, THROTTLE_RIGHT) > 0);
    /* From elsewhere the owner must wait for the next free attempt. */
    now_ms += HOUR_MS / 50;
    assert_int_equal(attempt("alice", 3, THROTTLE_RIGHT), 0);
    /* The address is remembered for 30 days without a login, not for ever. */
    while (attempt("alice", ++from, THROTTLE_WRONG) == 0) {
    }
    now_ms += 29 * DAY_MS;
    while (attempt("alice", ++from, THROTTLE_WRONG) == 0) {
    }
    assert_int_equal(attempt("alice", 1, THROTTLE_RIGHT), 0);
    now_ms += 31 * DAY_MS;
    while (attempt("alice", ++from, THROTTLE_WRONG) == 0) {
    }
    assert_true(attempt("alice", 1, THROTTLE_RIGHT) > 0);
}

/* An address that knew the password is slowed down after wrong ones all the same. */
static void test_known_address_is_slowed(void **state)
{
    (void)state;
    assert_int_equal(attempt("alice", 1, THROTTLE_RIGHT), 0);
    assert_in_range(hammer("alice", 1, HOUR_MS), 35, 50);
}

/* One address tries many accounts, and logs in to its own in between. */
static void test_address_at_many_accounts(void **state)
{
    unsigned n = 0;

    (void)state;
    for (unsigned i = 0; i < 36000; i++) {
        char name[32];
        (void)snprintf(name, sizeof name, "user%u", i);
        n += attempt(name, 1, THROTTLE_WRONG) == 0;
        assert_int_equal(attempt("mine", 1, i == 0 ? THROTTLE_UNKNOWN : THROTTLE_RIGHT),
                         0);
        now_ms += 100;
    }
    assert_in_range(n, 990, limits.address_max);
}

/* A right password does not count. */
static void test_right_passwords_do_not_count(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 5000; i++) {
        char name[32];
        (void)snprintf(name, sizeof name, "user%u", i);
        assert_int_equal(attempt(name, 1, THROTTLE_RIGHT), 0);
    }
    for (unsigned from = 0; from < 5000; from++) {
        assert_int_equal(attempt("alice", from, THROTTLE_RIGHT), 0);
    }
}

static void test_off(void **state)
{
    (void)state;
    limits = (struct throttle_limits){.wait_max_ms = SECOND_MS};
    for (unsigned i = 0; i < 5000; i++) {
        assert_int_equal(attempt("alice", 1, THROTTLE_WRONG), 0);
    }
    /* Each on its own. */
    limits.tries = 1;
    assert_int_equal(attempt("erin", 1, THROTTLE_WRONG), 0);
    assert_int_equal(attempt("erin", 1, THROTTLE_WRONG), SECOND_MS);
    limits = (struct throttle_limits){.account_max = 2, .wait_max_ms = SECOND_MS};
    assert_int_equal(attempt("bob", 1, THROTTLE_WRONG), 0);
    assert_true(attempt("bob", 1, THROTTLE_WRONG) > 0);
    limits = (struct throttle_limits){.address_max = 2, .wait_max_ms = SECOND_MS};
    assert_int_equal(attempt("carol", 1, THROTTLE_WRONG), 0);
    assert_true(attempt("dave", 1, THROTTLE_WRONG) > 0);
    assert_int_equal(attempt("dave", 2, THROTTLE_WRONG), 0);
}

/* ---- The table ---- */

/* A flood of other names makes room for itself and is still counted; it pushes out the
 * entries that changed longest ago. */
static void test_flood(void **state)
{
    (void)state;
    limits.address_max = 0;
    for (unsigned i = 0; i < limits.tries; i++) {
        assert_int_equal(attempt("old", 1, THROTTLE_WRONG), 0);
    }
    for (unsigned i = 0; i < 600000; i++) {
        char name[32];
        (void)snprintf(name, sizeof name, "flood%u", i);
        assert_int_equal(attempt(name, 2, THROTTLE_WRONG), 0);
        now_ms++;
    }
    for (unsigned i = 0; i < limits.tries; i++) { /* its entry is gone */
        assert_int_equal(attempt("old", 1, THROTTLE_WRONG), 0);
    }
    for (unsigned i = 0; i < limits.tries; i++) {
        assert_int_equal(attempt("new", 1, THROTTLE_WRONG), 0);
    }
    for (unsigned i = 0; i < 900; i++) {
        char name[32];
        (void)snprintf(name, sizeof name, "more%u", i);
        now_ms++;
        assert_int_equal(attempt(name, 2, THROTTLE_WRONG), 0);
    }
    assert_int_equal(attempt("new", 1, THROTTLE_WRONG), SECOND_MS - 900);
}

static void *attack(void *arg)
{
    unsigned *n = arg;

    for (unsigned i = 0; i < 2000; i++) {
        struct throttle_pass pass;
        if (enter("alice", i % 3, &pass) == 0) {
            throttle_leave(throttle, &pass, THROTTLE_WRONG, now_ms);
            (*n)++;
        }
    }
    return NULL;
}

static void test_threads(void **state)
{
    pthread_t threads[4];
    unsigned n[4] = {0};
    unsigned total = 0;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(threads); i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, attack, &n[i]), 0);
    }
    for (size_t i = 0; i < ARRAY_LEN(threads); i++) {
        pthread_join(threads[i], NULL);
        total += n[i];
    }
    assert_int_equal(total, limits.account_max / 2);
}

#define WITH(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH(test_waits_double),
        WITH(test_in_a_row),
        WITH(test_knows),
        WITH(test_forgets),
        WITH(test_others_go_on),
        WITH(test_one_network),
        WITH(test_kinds),
        WITH(test_at_the_same_time),
        WITH(test_taken_back),
        WITH(test_account_from_one_address),
        WITH(test_account_from_many_addresses),
        WITH(test_account_max),
        WITH(test_owner_is_let_in),
        WITH(test_known_address_is_slowed),
        WITH(test_address_at_many_accounts),
        WITH(test_right_passwords_do_not_count),
        WITH(test_off),
        WITH(test_flood),
        WITH(test_threads),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
