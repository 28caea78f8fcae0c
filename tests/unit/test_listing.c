/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Pages of lists: where they end and whether another one follows. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "shard/listing.h"

static const char *const columns[] = {"peer_id", "cursor"};
static const struct listing_spec spec = {.routine = "a_list",
                                         .id = "peer_id",
                                         .cursor = "cursor",
                                         .limit = 2};

static void test_asks_for_one_more(void **unused)
{
    (void)unused;
    assert_int_equal(listing_ask(1), 2);
    assert_int_equal(listing_ask(999), 1000);
    assert_int_equal(listing_ask(1000), 1000);
    assert_false(listing_has_more(2, 2));
    assert_true(listing_has_more(3, 2));
    assert_false(listing_has_more(999, 1000));
    assert_true(listing_has_more(1000, 1000));
}

static void test_pages(void **unused)
{
    (void)unused;
    struct arena arena;
    struct call call;
    struct listing listing;
    struct dbvalue values[] = {{.number = 11}, {.number = 91}, {.number = 12},
                               {.number = 90}, {.number = 13}, {.number = 89}};
    struct dbresult rows = {
        .columns = columns, .n_columns = 2, .n_rows = 3, .values = values};

    arena_init(&arena, 1 << 16);
    call_init(&call, &arena, 0);
    assert_int_equal(listing_read(&call, &spec, &rows, &listing), OUTCOME_OK);
    assert_int_equal(listing.n, 2);
    assert_true(listing.ids[0] == 11 && listing.ids[1] == 12);
    assert_true(listing.next_cursor == 90);
    rows.n_rows = 2;
    assert_int_equal(listing_read(&call, &spec, &rows, &listing), OUTCOME_OK);
    assert_int_equal(listing.n, 2);
    assert_true(listing.next_cursor == 0);
    values[2].is_null = true; /* only the first row may have no id */
    assert_int_equal(listing_read(&call, &spec, &rows, &listing), OUTCOME_INTERNAL);
    values[0].is_null = true;
    rows.n_rows = 1;
    assert_int_equal(listing_read(&call, &spec, &rows, &listing), OUTCOME_OK);
    assert_int_equal(listing.n, 0);
    assert_true(listing.next_cursor == 0);
    const struct listing_spec other = {
        .routine = "a_list", .id = "video_id", .cursor = "cursor", .limit = 2};
    assert_int_equal(listing_read(&call, &other, &rows, &listing), OUTCOME_INTERNAL);
    arena_release(&arena);
}

/* A procedure that reads at most so many rows says how far it came. */
static void test_short_page_goes_on(void **unused)
{
    (void)unused;
    static const char *const with_scanned[] = {"peer_id", "cursor", "scanned"};
    const struct listing_spec scanning = {.routine = "a_list",
                                          .id = "peer_id",
                                          .cursor = "cursor",
                                          .scanned = "scanned",
                                          .limit = 2};
    struct arena arena;
    struct call call;
    struct listing listing;
    struct dbvalue values[] = {
        {.number = 11}, {.number = 91}, {.number = 50}, {.number = 12}, {.number = 90},
        {.number = 50}, {.number = 13}, {.number = 89}, {.number = 50},
    };
    struct dbresult rows = {
        .columns = with_scanned, .n_columns = 3, .n_rows = 3, .values = values};

    arena_init(&arena, 1 << 16);
    call_init(&call, &arena, 0);
    assert_int_equal(listing_read(&call, &scanning, &rows, &listing), OUTCOME_OK);
    assert_true(listing.n == 2 && listing.next_cursor == 90);
    rows.n_rows = 2;
    assert_int_equal(listing_read(&call, &scanning, &rows, &listing), OUTCOME_OK);
    assert_true(listing.n == 2 && listing.next_cursor == 50);
    rows.n_rows = 1;
    values[0].is_null = true;
    assert_int_equal(listing_read(&call, &scanning, &rows, &listing), OUTCOME_OK);
    assert_true(listing.n == 0 && listing.next_cursor == 50);
    values[2].number = 0;
    assert_int_equal(listing_read(&call, &scanning, &rows, &listing), OUTCOME_OK);
    assert_true(listing.n == 0 && listing.next_cursor == 0);
    values[2].is_null = true;
    assert_int_equal(listing_read(&call, &scanning, &rows, &listing), OUTCOME_INTERNAL);
    arena_release(&arena);
}

static void test_no_memory(void **unused)
{
    (void)unused;
    struct arena arena;
    struct call call;
    struct listing listing;
    struct dbvalue values[] = {{.number = 11}, {.number = 91}};
    const struct dbresult rows = {
        .columns = columns, .n_columns = 2, .n_rows = 1, .values = values};

    arena_init(&arena, 0);
    call_init(&call, &arena, 0);
    assert_int_equal(listing_read(&call, &spec, &rows, &listing), OUTCOME_NOMEM);
    arena_release(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_asks_for_one_more),
        cmocka_unit_test(test_pages),
        cmocka_unit_test(test_short_page_goes_on),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
