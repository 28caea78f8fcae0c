/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Which slots a shard serves at which generation of its fences, and sets of slots. */
#include "shard/coverage.h"
#include "shard/slotmap.h"

#include "tests/unit/cmocka_all.h"

static const char *const columns[] = {"slot", "answer", "gen"};

/* An answer of slot_map: slots 0, 5, 1023, 1024 and 65535; slot 5 is on another shard. */
static const struct dbresult *map_of(uint64_t gen)
{
    static const uint32_t slots[] = {0, 5, 1023, 1024, 65535};
    static struct dbvalue values[ARRAY_LEN(slots)][ARRAY_LEN(columns)];
    static struct dbresult map = {.columns = columns,
                                  .n_columns = ARRAY_LEN(columns),
                                  .n_rows = ARRAY_LEN(slots),
                                  .values = &values[0][0]};

    for (size_t i = 0; i < ARRAY_LEN(slots); i++) {
        values[i][0].number = slots[i];
        values[i][1].text = slots[i] == 5 ? "moved" : "ok";
        values[i][2].number = gen;
    }
    return &map;
}

static void test_one_generation_per_shard(void **state)
{
    (void)state;
    struct coverage *coverage = coverage_new(2);
    struct slotset slots = {.words = {0}};

    assert_non_null(coverage);
    assert_false(coverage_add(coverage, 0, 0, &slots)); /* its map has not been read */
    assert_true(coverage_learn(coverage, 0, map_of(70)));
    assert_false(coverage_add(coverage, 0, 71, &slots));
    assert_false(coverage_add(coverage, 1, 70, &slots));
    assert_int_equal(slotset_next(&slots, NULL, 0), SLOTS_MAX);
    assert_true(coverage_add(coverage, 0, 70, &slots));
    static const uint32_t expected[] = {0, 1023, 1024, 65535, SLOTS_MAX};
    uint32_t slot = 0;
    for (size_t i = 0; i < ARRAY_LEN(expected); i++) {
        slot = slotset_next(&slots, NULL, slot);
        assert_int_equal(slot++, expected[i]);
    }
    assert_true(coverage_learn(coverage, 0, map_of(71)));
    assert_false(coverage_add(coverage, 0, 70, &slots));
    coverage_free(&coverage);
    assert_null(coverage);
}

static void test_an_empty_map(void **state)
{
    (void)state;
    const struct dbresult none = {.columns = columns, .n_columns = ARRAY_LEN(columns)};
    struct coverage *coverage = coverage_new(1);
    struct slotset slots = {.words = {0}};

    assert_non_null(coverage);
    assert_true(coverage_learn(coverage, 0, &none));
    assert_false(coverage_add(coverage, 0, 0, &slots));
    coverage_free(&coverage);
}

static void test_a_map_that_cannot_be_read(void **state)
{
    (void)state;
    struct coverage *coverage = coverage_new(1);
    struct dbresult old = *map_of(70);
    struct slotset slots = {.words = {0}};

    assert_non_null(coverage);
    assert_true(coverage_learn(coverage, 0, map_of(70)));
    old.columns = (const char *const[]){"slot", "answer", "epoch"};
    assert_false(coverage_learn(coverage, 0, &old));
    assert_true(coverage_add(coverage, 0, 70, &slots));
    coverage_free(&coverage);
}

static void test_all_slots_are_the_shared_and_the_known_ones(void **state)
{
    (void)state;
    struct slotmap *map = slotmap_new();
    struct slotset all, shared = {.words = {0}};

    assert_non_null(map);
    for (uint32_t slot = 0; slot < 1024; slot++) {
        slotset_add(&shared, slot);
    }
    slotmap_all(map, &all);
    assert_int_equal(slotset_next(&all, &shared, 0), SLOTS_MAX);
    assert_int_equal(slotset_next(&shared, &all, 0), SLOTS_MAX);
    assert_true(slotmap_adopt(map, 7, (struct slot_place){.epoch = 1, .server = 3}));
    assert_true(slotmap_adopt(map, 2048, (struct slot_place){.epoch = 1, .server = 3}));
    slotmap_all(map, &all);
    assert_int_equal(slotset_next(&all, &shared, 0), 2048);
    assert_int_equal(slotset_next(&all, &shared, 2049), SLOTS_MAX);
    assert_int_equal(slotmap_count(map, 3), 2);
    slotmap_free(&map);
}

static void test_sets(void **state)
{
    (void)state;
    struct slotset set = {.words = {0}}, more = {.words = {0}};

    slotset_add(&set, 63);
    slotset_add(&set, 64);
    slotset_add(&set, SLOTS_MAX); /* not a slot */
    slotset_add(&more, 64);
    slotset_add(&more, SLOTS_MAX - 1);
    assert_int_equal(slotset_next(&set, &more, 0), 63);
    assert_int_equal(slotset_next(&set, &more, 64), SLOTS_MAX);
    slotset_add_all(&set, &more);
    assert_int_equal(slotset_next(&set, NULL, 65), SLOTS_MAX - 1);
    assert_int_equal(slotset_next(&set, NULL, SLOTS_MAX), SLOTS_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_generation_per_shard),
        cmocka_unit_test(test_an_empty_map),
        cmocka_unit_test(test_a_map_that_cannot_be_read),
        cmocka_unit_test(test_all_slots_are_the_shared_and_the_known_ones),
        cmocka_unit_test(test_sets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
