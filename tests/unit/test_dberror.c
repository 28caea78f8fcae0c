/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Which errors are worth a retry, which are about the server, and which leave the
 * outcome open. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "shard/dberror.h"

static void test_classes(void **unused)
{
    (void)unused;
    static const struct {
        unsigned number;
        enum dberror_class class;
    } cases[] = {
        {1205, DBERROR_AGAIN},     {1213, DBERROR_AGAIN},     {1290, DBERROR_SICK},
        {1836, DBERROR_SICK},      {1021, DBERROR_SICK},      {1114, DBERROR_SICK},
        {1030, DBERROR_SICK},      {3, DBERROR_SICK},         {5, DBERROR_UNKNOWN},
        {1160, DBERROR_UNKNOWN},   {28, DBERROR_SICK},        {1026, DBERROR_SICK},
        {1037, DBERROR_UNKNOWN},   {1041, DBERROR_UNKNOWN},   {1135, DBERROR_SICK},
        {1040, DBERROR_CROWDED},   {1203, DBERROR_CROWDED},   {1226, DBERROR_CROWDED},
        {1053, DBERROR_CUT},       {1180, DBERROR_UNKNOWN},   {2000, DBERROR_UNKNOWN},
        {2013, DBERROR_CUT},       {2999, DBERROR_UNKNOWN},   {3000, DBERROR_OPERATION},
        {1927, DBERROR_CUT},       {2006, DBERROR_CUT},       {2055, DBERROR_CUT},
        {2003, DBERROR_UNKNOWN},   {2014, DBERROR_UNKNOWN},   {3169, DBERROR_CUT},
        {1062, DBERROR_OPERATION}, {1048, DBERROR_OPERATION}, {1406, DBERROR_OPERATION},
        {1644, DBERROR_OPERATION}, {1318, DBERROR_OPERATION}, {0, DBERROR_OPERATION},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        assert_int_equal(dberror_class(cases[i].number), cases[i].class);
    }
}

/* Each number has one class: no entry shadows another. */
static void test_no_line_hides_another(void **unused)
{
    (void)unused;
    static const struct {
        unsigned first, last;
    } lines[] = {
#define DBERROR(first, last, class, why) {first, last},
#include "shard/dberror.def"
#undef DBERROR
    };

    for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
        assert_true(lines[i].first <= lines[i].last);
        for (size_t j = 0; j < i; j++) {
            assert_true(lines[i].last < lines[j].first || lines[i].first > lines[j].last);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_classes),
        cmocka_unit_test(test_no_line_hides_another),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
