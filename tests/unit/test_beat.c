/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Which shard's data is stale, and what each shard is told about the others. */
#include <string.h>

#include "shard/id.h"
#include "shard/router_beat.h"

#include "tests/unit/cmocka_all.h"

static const char *const columns[] = {"name", "beat", "own", "refused"};

struct row {
    const char *name;
    uint64_t beat, own, refused;
};

static struct dbvalue values[4][ARRAY_LEN(columns)];

/* An answer of shard_heard. */
static struct dbresult answer_of(const struct row *rows, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        values[i][0].text = rows[i].name;
        values[i][1].number = rows[i].beat;
        values[i][2].number = rows[i].own;
        values[i][3].number = rows[i].refused;
    }
    return (struct dbresult){.columns = columns,
                             .n_columns = ARRAY_LEN(columns),
                             .n_rows = n,
                             .values = &values[0][0]};
}

static char name_a[] = "a", name_b[] = "b", name_c[] = "c";
static struct shard shards[3];
static struct router router;

static int set_up(void **state)
{
    char *const names[] = {name_a, name_b, name_c};

    (void)state;
    router = (struct router){.n_shards = 3, .has_beats = true};
    for (unsigned i = 0; i < 3; i++) {
        shards[i] = (struct shard){.router = &router, .index = i, .name = names[i]};
        router.shards[i] = &shards[i];
    }
    return 0;
}

/* What shard a answers, and what it is told then. */
static struct beats told(const struct row *rows, size_t n)
{
    struct dbresult answer = answer_of(rows, n);
    struct beats beats;

    assert_true(beats_read(&beats, &shards[0], &answer));
    beats_compare(&beats, &shards[0], &answer);
    return beats;
}

static void test_a_number_below_what_is_remembered(void **state)
{
    struct errmsg err = {.text = ""};

    (void)state;
    assert_true(beat_admit(&shards[0], 0, false, &err));
    beat_remember(&shards[0], 20);
    beat_remember(&shards[0], 10); /* heard of later, and older */
    assert_true(beat_admit(&shards[0], 20, false, &err));
    assert_true(beat_admit(&shards[0], 21, false, &err));
    assert_string_equal(err.text, "");
    assert_false(beat_admit(&shards[0], 19, false, &err));
    assert_non_null(strstr(err.text, "counted to 19, and others remember 20"));
    assert_true(beat_admit(&shards[0], 19, true, &err));
    assert_true(beat_admit(&shards[1], 0, false, &err));
}

static void test_exempt_shard_is_not_remembered(void **state)
{
    struct errmsg err;

    (void)state;
    shards[0].durability_exempt = true;
    beat_remember(&shards[0], 20);
    assert_true(beat_admit(&shards[0], 19, false, &err));
}

static void test_numbers_told_to_a_shard(void **state)
{
    const struct row rows[] = {{"a", 50, 1, 0}, {"b", 7, 0, 0}, {"elsewhere", 9, 0, 0}};
    struct beats beats;

    (void)state;
    /* nobody tells a shard its own number: it may not be on disk */
    beats = told(rows, 3);
    assert_int_equal(beats.n, 0);
    assert_int_equal(beats.own, 50);
    assert_int_equal(atomic_load(&shards[0].beat), 0);
    assert_int_equal(atomic_load(&shards[1].beat), 7);
    buf_clear(&beats.json);

    beat_remember(&shards[1], 8);
    beat_remember(&shards[2], 3);
    beat_remember(&shards[0], 50);
    beats = told(rows, 3);
    assert_int_equal(beats.n, 2);
    assert_string_equal(beats.json.data,
                        "[{\"name\":\"b\",\"beat\":8},{\"name\":\"c\",\"beat\":3}");
    buf_clear(&beats.json);

    beat_remember(&shards[0], 51);
    beats = told(rows, 3);
    assert_int_equal(beats.n, 3);
    assert_non_null(strstr(beats.json.data, "{\"name\":\"a\",\"beat\":51}"));
    buf_clear(&beats.json);
}

static void test_unreadable_answer(void **state)
{
    const struct row rows[] = {{"a", 50, 1, 0}};
    struct dbresult answer = answer_of(rows, 1);
    struct beats beats;

    (void)state;
    answer.columns = (const char *const[]){"name", "beat", "own", "paused"};
    assert_false(beats_read(&beats, &shards[0], &answer));
}

/* Shard a was removed and is back under its name, empty. */
static void test_a_new_shard_under_an_old_name(void **state)
{
    struct beats never = {.own = 0};
    struct beats counted = {.own = 5};
    struct beats refused = {.is_refused = true};
    const struct dbresult nothing = answer_of(NULL, 0);
    const struct slot_place there = {.epoch = 2, .server = 0, .is_claimed = true};
    struct errmsg err = {.text = ""};

    (void)state;
    router.map = slotmap_new();
    assert_non_null(router.map);
    assert_true(beats_settle(&never, &shards[0], &err)); /* nobody knows it */
    beat_remember(&shards[0], 20);
    assert_false(beats_settle(&never, &shards[0], &err));
    assert_non_null(strstr(err.text, "never counted"));
    for (uint32_t slot = 0; slot < SHARED_SLOTS; slot++) {
        (void)slotmap_adopt(router.map, slot,
                            (struct slot_place){.epoch = 1, .server = 1});
    }
    assert_true(beats_settle(&counted, &shards[0], &err));
    assert_true(beats_settle(&refused, &shards[0], &err));
    assert_false(beat_admit(&shards[0], 0, false, &err));
    assert_false(counted.is_new || refused.is_new);
    assert_true(beats_settle(&never, &shards[0], &err));
    assert_true(beat_admit(&shards[0], 0, false, &err));

    beat_remember(&shards[0], 20); /* another shard has answered that just now */
    assert_true(never.is_new);
    beats_compare(&never, &shards[0], &nothing);
    assert_int_equal(never.n, 0);
    buf_clear(&never.json);

    never = (struct beats){.own = 0};
    (void)slotmap_adopt(router.map, 7, there); /* one that has slots has lost its data */
    assert_true(beats_settle(&never, &shards[0], &err));
    assert_false(never.is_new || beat_admit(&shards[0], 0, false, &err));
    slotmap_free(&router.map);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_a_number_below_what_is_remembered, set_up),
        cmocka_unit_test_setup(test_exempt_shard_is_not_remembered, set_up),
        cmocka_unit_test_setup(test_a_new_shard_under_an_old_name, set_up),
        cmocka_unit_test_setup(test_numbers_told_to_a_shard, set_up),
        cmocka_unit_test_setup(test_unreadable_answer, set_up),
    };

    return cmocka_run_group_tests_name("beat", tests, NULL, NULL);
}
