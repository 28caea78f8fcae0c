/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Rows into structs: what fits, and every way in which an answer can be unreadable. */
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

    assert_false(dbresult_read(&result, 1, fields, 4, &row)); /* no such row */
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
        cmocka_unit_test(test_outcomes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
