/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Rows read into structs: good answers, and every way in which one can be unreadable. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "shard/dbresult.h"
#include "shard/outcome.h"

struct row {
    uint64_t id;
    int64_t delta;
    uint32_t slot;
    const char *name;
};

static const struct dbfield fields[] = {
    {"id", DBFIELD_U64, offsetof(struct row, id)},
    {"delta", DBFIELD_I64, offsetof(struct row, delta)},
    {"slot", DBFIELD_U32, offsetof(struct row, slot)},
    {"name", DBFIELD_TEXT, offsetof(struct row, name)},
};

static const char *const columns[] = {"name", "slot", "id", "delta"};

static void test_read(void **state)
{
    (void)state;
    struct dbvalue values[] = {
        {.text = "ann", .len = 3},
        {.number = 1029},
        {.number = UINT64_MAX},
        {.number = (uint64_t)-7},
    };
    struct dbresult result = {
        .columns = columns, .n_columns = 4, .n_rows = 1, .values = values};
    struct row row;

    assert_true(dbresult_read(&result, 0, fields, 4, &row));
    assert_string_equal(row.name, "ann");
    assert_int_equal(row.slot, 1029);
    assert_true(row.id == UINT64_MAX);
    assert_int_equal(row.delta, -7);

    assert_false(dbresult_read(&result, 1, fields, 4, &row)); /* there is no such row */
    assert_null(dbresult_value(NULL, 0, "id"));
    values[1].number = UINT64_C(1) << 32; /* too large for its field */
    assert_false(dbresult_read(&result, 0, fields, 4, &row));
    values[1] = (struct dbvalue){.text = "5"}; /* text where a number belongs */
    assert_false(dbresult_read(&result, 0, fields, 4, &row));
    values[1] = (struct dbvalue){.is_null = true};
    assert_false(dbresult_read(&result, 0, fields, 4, &row));
    values[1] = (struct dbvalue){.number = 5};
    assert_true(dbresult_read(&result, 0, fields, 4, &row));
    result.n_columns = 3; /* the last column is missing */
    assert_false(dbresult_read(&result, 0, fields, 4, &row));
}

/* Rows of operations in several result sets, among unrelated rows and columns. */
static void test_places(void **state)
{
    (void)state;
    static const char *const counters[] = {"n", "likes"};
    static const char *const answers[] = {"code", "n"};
    struct dbvalue extra_values[] = {{.number = 1}, {.number = 70}};
    struct dbvalue good_values[] = {
        {.text = "ok", .len = 2},
        {.number = 3}, /* the order of rows does not matter */
        {.text = "same", .len = 4},
        {.number = 1},
        {.text = "ok", .len = 2},
        {.number = 3}, /* a list: another row of the same operation */
        {.text = "ok", .len = 2},
        {.number = 0}, /* not the number of an operation */
        {.text = "ok", .len = 2},
        {.number = 5},
        {.text = "ok", .len = 2},
        {.is_null = true},
        {.text = "ok", .len = 2},
        {.text = "2", .len = 1},
    };
    struct dbvalue refused_values[] = {
        {.text = "moved", .len = 5},
        {.number = 2}, /* not in the first result set */
        {.text = "notready", .len = 8},
        {.number = 1}, /* answered in the first result set already */
    };
    struct dbresult refused = {
        .columns = answers, .n_columns = 2, .n_rows = 2, .values = refused_values};
    struct dbresult good = {.columns = answers,
                            .n_columns = 2,
                            .n_rows = 7,
                            .values = good_values,
                            .next = &refused};
    struct dbresult extra = {.columns = counters,
                             .n_columns = 2,
                             .n_rows = 1,
                             .values = extra_values,
                             .next = &good};
    struct dbplace places[4];

    dbresult_places(&extra, places, 4);
    assert_ptr_equal(places[0].result, &good);
    assert_int_equal(places[0].row, 1);
    assert_ptr_equal(places[1].result, &refused);
    assert_int_equal(places[1].row, 0);
    assert_ptr_equal(places[2].result, &good);
    assert_int_equal(places[2].row, 0);
    assert_null(places[3].result); /* it got no answer */

    good.n_rows = 0; /* all were refused: the first result set is empty */
    dbresult_places(&good, places, 2);
    assert_ptr_equal(places[0].result, &refused);
    assert_int_equal(places[0].row, 1);
    assert_ptr_equal(places[1].result, &refused);

    dbresult_places(NULL, places, 1);
    assert_null(places[0].result);
}

/* A shard with newer routines may return columns that this program does not know, at
 * any position. */
static void test_more_columns(void **state)
{
    (void)state;
    static const char *const more[] = {"age", "name", "slot", "hue", "id", "delta", "x"};
    struct dbvalue values[] = {{.number = 3},          {.text = "ann", .len = 3},
                               {.number = 1029},       {.is_null = true},
                               {.number = 8},          {.number = 9},
                               {.text = "y", .len = 1}};
    struct dbresult another = {.columns = more, .n_columns = 7};
    struct dbresult result = {
        .columns = more, .n_columns = 7, .n_rows = 1, .values = values, .next = &another};
    struct row row;

    assert_true(dbresult_read(&result, 0, fields, ARRAY_LEN(fields), &row));
    assert_string_equal(row.name, "ann");
    assert_int_equal(row.slot, 1029);
    assert_true(row.id == 8 && row.delta == 9);
}

static void test_outcomes(void **state)
{
    (void)state;
    enum outcome outcome = OUTCOME_INTERNAL;

    assert_true(outcome_from_word("same", &outcome));
    assert_int_equal(outcome, OUTCOME_SAME);
    assert_false(outcome_from_word("", &outcome)); /* many outcomes have no word */
    assert_false(outcome_from_word("SAME", &outcome));
    assert_true(outcome_from_sqlstate("45503", &outcome));
    assert_int_equal(outcome, OUTCOME_BUSY);
    assert_false(outcome_from_sqlstate("", &outcome));
    assert_false(outcome_from_sqlstate("HY000", &outcome));
    assert_string_equal(outcome_name(OUTCOME_NOTREADY), "NOTREADY");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_read),
        cmocka_unit_test(test_places),
        cmocka_unit_test(test_more_columns),
        cmocka_unit_test(test_outcomes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
