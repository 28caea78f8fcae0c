/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Copies in the process: which replaces which, which come too late, and who waits for
 * whom. */
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "shard/base/clock.h"

#include "shard/copies.h"

#include "tests/unit/cmocka_all.h"

#define BYTES_MAX ((size_t)1 << 20)
#define LONG_MS   60000

static struct copies *copies;
static struct arena arena;

static int begin(void **state)
{
    (void)state;
    copies = copies_new(BYTES_MAX);
    arena_init(&arena, (size_t)64 << 20);
    return copies == NULL;
}

static int end(void **state)
{
    (void)state;
    copies_free(&copies);
    arena_release(&arena);
    return 0;
}

static const struct copy_key KEY = {.kind = 1, .owner = 7};

static struct copy copy_of(uint64_t ver, const char *text)
{
    return (struct copy){.ver = ver,
                         .data = text,
                         .len = text == NULL ? 0 : strlen(text),
                         .until_ms = INT64_MAX};
}

static void put(const struct copy_key *key, uint64_t ver, const char *text,
                uint64_t ticket)
{
    struct copy copy = copy_of(ver, text);

    copies_put(copies, key, &copy, ticket);
}

static void write_copy(const struct copy_key *key, uint64_t ver, const char *text)
{
    struct copy copy = copy_of(ver, text);

    copies_write(copies, key, &copy);
}

/* The copy of KEY; NULL: none. */
static const char *there(const struct copy_key *key)
{
    struct copy copy;

    return copies_get(copies, key, &arena, &copy) ? copy.data : NULL;
}

static void test_newer_replaces_older(void **state)
{
    (void)state;
    assert_null(there(&KEY));
    put(&KEY, 5, "five", copies_ticket(copies));
    assert_string_equal(there(&KEY), "five");
    put(&KEY, 4, "four", copies_ticket(copies));
    assert_string_equal(there(&KEY), "five");
    put(&KEY, 6, "six", copies_ticket(copies));
    assert_string_equal(there(&KEY), "six");
    for (unsigned i = 0; i < 3; i++) {
        const struct copy_key others[] = {{.kind = 2, .owner = 7},
                                          {.kind = 1, .owner = 8},
                                          {.kind = 1, .owner = 7, .other = 1}};
        assert_null(there(&others[i]));
    }
}

static void test_time_ends_it(void **state)
{
    (void)state;
    struct copy copy = copy_of(7, "seven");

    copy.until_ms = clock_mono_ms() + LONG_MS;
    copies_put(copies, &KEY, &copy, copies_ticket(copies));
    assert_string_equal(there(&KEY), "seven");
    copy.until_ms = clock_mono_ms() - 1;
    copies_put(copies, &KEY, &copy, copies_ticket(copies));
    assert_null(there(&KEY));
    put(&KEY, 1, "one", copies_ticket(copies)); /* nothing is left of it */
    assert_string_equal(there(&KEY), "one");
}

static void test_write_without_fetch_drops_empty_copy(void **state)
{
    (void)state;
    put(&KEY, 0, "", copies_ticket(copies));
    assert_string_equal(there(&KEY), "");
    write_copy(&KEY, 6, "six");
    assert_null(there(&KEY));
}

static void test_write_is_never_hidden(void **state)
{
    (void)state;
    uint64_t ticket = copies_ticket(copies);

    write_copy(&KEY, 6, "six"); /* nothing is there: nothing is kept .. */
    assert_null(there(&KEY));
    put(&KEY, 5, "five", ticket); /* .. and what was read before is not either */
    assert_null(there(&KEY));
    put(&KEY, 6, "six", copies_ticket(copies));
    write_copy(&KEY, 7, "seven");
    assert_string_equal(there(&KEY), "seven");
    write_copy(&KEY, 6, "late");
    assert_string_equal(there(&KEY), "seven");
    write_copy(&KEY, 7, "equal");
    assert_string_equal(there(&KEY), "equal");
}

static void test_marker_removes_what_is_older(void **state)
{
    (void)state;
    put(&KEY, 5, "five", copies_ticket(copies));
    write_copy(&KEY, 5, NULL);
    assert_string_equal(there(&KEY), "five");
    uint64_t ticket = copies_ticket(copies);
    write_copy(&KEY, 6, NULL);
    assert_null(there(&KEY));
    put(&KEY, 9, "read before", ticket);
    assert_null(there(&KEY));
}

static void test_remembers_newer_version_without_a_copy(void **state)
{
    (void)state;
    const struct copy newer = {.ver = 7, .until_ms = clock_mono_ms() + LONG_MS};
    const struct copy over = {.ver = 9, .until_ms = clock_mono_ms() - 1};

    assert_false(copies_knows_newer(copies, &KEY, 0));
    copies_remember(copies, &KEY, &newer);
    assert_true(copies_knows_newer(copies, &KEY, 6));
    assert_false(copies_knows_newer(copies, &KEY, 7));
    assert_null(there(&KEY));
    put(&KEY, 6, "six", copies_ticket(copies));
    assert_null(there(&KEY));
    put(&KEY, 7, "seven", copies_ticket(copies));
    assert_string_equal(there(&KEY), "seven");
    copies_remember(copies, &KEY, &newer);
    assert_string_equal(there(&KEY), "seven");
    struct copy brief = copy_of(8, "eight");
    brief.until_ms = clock_mono_ms() - 1; /* the copy expires, the known version stays */
    copies_put(copies, &KEY, &brief, copies_ticket(copies));
    assert_null(there(&KEY));
    assert_true(copies_knows_newer(copies, &KEY, 7));
    const struct copy_key other = {.kind = 1, .owner = 8};
    copies_remember(copies, &other, &over); /* expires at once */
    assert_false(copies_knows_newer(copies, &other, 0));
}

/* A copy that is stored later expires earlier, and the known version stays. */
static void test_known_version_outlives_a_copy(void **state)
{
    (void)state;
    const struct copy newer = {.ver = 7, .until_ms = clock_mono_ms() + LONG_MS};
    struct copy brief = copy_of(7, "seven");

    copies_remember(copies, &KEY, &newer);
    brief.until_ms = clock_mono_ms() - 1;
    copies_put(copies, &KEY, &brief, copies_ticket(copies));
    assert_null(there(&KEY));
    assert_true(copies_knows_newer(copies, &KEY, 6));
}

static void test_ranges(void **state)
{
    (void)state;
    uint64_t ticket = copies_ticket(copies);
    size_t range = copies_range(&KEY);

    assert_false(copies_written_since(copies, range, ticket));
    write_copy(&KEY, 1, "x");
    assert_true(copies_written_since(copies, range, ticket));
    assert_false(copies_written_since(copies, range, copies_ticket(copies)));
}

static void test_memory_is_bounded(void **state)
{
    (void)state;
    static char text[1000];
    struct copies_state kept;

    memset(text, 'x', sizeof text - 1);
    for (uint64_t i = 1; i <= 10000; i++) {
        put(&(struct copy_key){.kind = 3, .owner = i}, 1, text, copies_ticket(copies));
    }
    copies_state(copies, 3, &kept);
    assert_in_range(kept.bytes, BYTES_MAX / 2, BYTES_MAX);
    assert_in_range(kept.n, 1, BYTES_MAX / sizeof text);
    assert_non_null(there(&(struct copy_key){.kind = 3, .owner = 10000}));
    copies_state(copies, 4, &kept);
    assert_int_equal(kept.n + kept.bytes, 0);
}

/* ---- Flights ---- */

static atomic_uint n_aboard;
static atomic_uint n_landed;

static void *passenger(void *argument)
{
    struct flight flight = {.key = KEY};

    (void)argument;
    if (!copies_lead(copies, &flight)) {
        atomic_fetch_add(&n_aboard, 1);
        n_landed += copies_wait(copies, &KEY, clock_mono_ms() + LONG_MS);
    }
    return NULL;
}

static void test_versions_are_not_crowded_out(void **state)
{
    (void)state;
    const struct copy newer = {.ver = 7, .until_ms = clock_mono_ms() + LONG_MS};
    struct copies *none = copies_new(0);

    copies_remember(none, &KEY, &newer);
    assert_true(copies_knows_newer(none, &KEY, 6));
    for (uint64_t i = 1; i <= 100000; i++) {
        copies_remember(none, &(struct copy_key){.kind = 3, .owner = i}, &newer);
    }
    assert_true(
        copies_knows_newer(none, &(struct copy_key){.kind = 3, .owner = 100000}, 6));
    assert_false(copies_knows_newer(none, &(struct copy_key){.kind = 3, .owner = 1}, 6));
    copies_free(&none);
}

static void test_one_thread_asks_for_all(void **state)
{
    (void)state;
    struct flight flight = {.key = KEY};
    pthread_t threads[8];

    assert_true(copies_lead(copies, &flight));
    for (size_t i = 0; i < 8; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, passenger, NULL), 0);
    }
    while (atomic_load(&n_aboard) < 8) {
        /* gives up waiting */
        assert_false(copies_wait(copies, &KEY, clock_mono_ms() + 1));
    }
    assert_int_equal(atomic_load(&n_landed), 0);
    copies_land(copies, &flight);
    for (size_t i = 0; i < 8; i++) {
        pthread_join(threads[i], NULL);
    }
    assert_int_equal(atomic_load(&n_landed), 8);
    assert_true(copies_wait(copies, &KEY, 0));
    assert_true(copies_lead(copies, &flight));
    copies_land(copies, &flight);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_newer_replaces_older, begin, end),
        cmocka_unit_test_setup_teardown(test_time_ends_it, begin, end),
        cmocka_unit_test_setup_teardown(test_write_without_fetch_drops_empty_copy, begin,
                                        end),
        cmocka_unit_test_setup_teardown(test_write_is_never_hidden, begin, end),
        cmocka_unit_test_setup_teardown(test_marker_removes_what_is_older, begin, end),
        cmocka_unit_test_setup_teardown(test_remembers_newer_version_without_a_copy,
                                        begin, end),
        cmocka_unit_test_setup_teardown(test_known_version_outlives_a_copy, begin, end),
        cmocka_unit_test_setup_teardown(test_ranges, begin, end),
        cmocka_unit_test_setup_teardown(test_memory_is_bounded, begin, end),
        cmocka_unit_test_setup_teardown(test_versions_are_not_crowded_out, begin, end),
        cmocka_unit_test_setup_teardown(test_one_thread_asks_for_all, begin, end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
