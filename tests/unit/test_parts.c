/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Cached parts of cards as bytes: written, read back, and bad ones refused. */
#include <string.h>

#include "shard/parts.h"

#include "tests/unit/cmocka_all.h"

static const char *const columns[] = {
    "video_id",      "author_id",    "title", "media", "favorite_count",
    "comment_count", "published_at", "ver",   "live"};

static struct dbvalue values[] = {
    {.number = 77},         {.number = 5}, {.text = "a \xe6\x8a\x96", .len = 5},
    {.text = "", .len = 0}, {.number = 3}, {.number = 4},
    {.number = 1000},       {.number = 9}, {.number = 1},
};

static const struct dbresult row = {.columns = columns,
                                    .n_columns = ARRAY_LEN(columns),
                                    .n_rows = 1,
                                    .values = values};

static void test_written_part_is_read_back(void **state)
{
    (void)state;
    struct part part;
    struct video_card card = {.id = 0};

    assert_true(part_read(CACHE_VIDEO, PART_OF_WRITES, &row, 0, &part));
    assert_int_equal(part.ver, 9);
    assert_true(part_show(CACHE_VIDEO, part.bytes, part.len, &card));
    assert_int_equal(card.id, 77);
    assert_int_equal(card.author.id, 5);
    assert_string_equal(card.title, "a \xe6\x8a\x96");
    assert_string_equal(card.media, "");
    assert_int_equal(card.favorite_count, 3);
    assert_int_equal(card.comment_count, 4);
    assert_int_equal(card.published_at_ms, 1000);
}

static void test_damaged_parts_are_refused(void **state)
{
    (void)state;
    struct part part;
    struct video_card card;

    assert_true(part_read(CACHE_VIDEO, PART_OF_WRITES, &row, 0, &part));
    for (size_t len = 0; len < part.len; len++) {
        assert_false(part_show(CACHE_VIDEO, part.bytes, len, &card));
    }
    assert_false(part_show(CACHE_VIDEO, part.bytes, part.len + 1, &card));
    /* columns are missing */
    assert_false(part_read(CACHE_VIDEO, PART_OF_CARDS, &row, 0, &part));
    values[2].is_null = true;
    assert_false(part_read(CACHE_VIDEO, PART_OF_WRITES, &row, 0, &part));
    values[2].is_null = false;
}

static void test_gone(void **state)
{
    (void)state;
    struct part part;

    values[8].number = 0;
    assert_true(part_read(CACHE_VIDEO, PART_OF_WRITES, &row, 0, &part));
    assert_int_equal(part.len, 0);
    assert_int_equal(part.ver, 9);
    values[8].number = 1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_written_part_is_read_back),
        cmocka_unit_test(test_damaged_parts_are_refused),
        cmocka_unit_test(test_gone),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
