/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Numbers with units: read, printed, refused; and the ranges of the options. */
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "server/config/config_number.h"

#include "tests/unit/cmocka_all.h"

#define NONE INT64_C(-7) /* not in any row */

static int64_t read_as(enum config_kind kind, const char *text)
{
    int64_t value;

    return config_number_parse(kind, text, &value) ? value : NONE;
}

static void test_parse(void **state)
{
    static const struct {
        enum config_kind kind;
        const char *text;
        int64_t expected;
    } rows[] = {
        {KIND_INT, "0", 0},
        {KIND_INT, "-1", -1},
        {KIND_INT, "0080", 80},
        {KIND_INT, "99999999999999999999", INT64_MAX},
        {KIND_INT, "-99999999999999999999", INT64_MIN},
        {KIND_INT, "1K", NONE},
        {KIND_INT, "", NONE},
        {KIND_INT, "-", NONE},
        {KIND_INT, "--1", NONE},
        {KIND_INT, "+1", NONE},
        {KIND_INT, " 1", NONE},
        {KIND_INT, "1 ", NONE},
        {KIND_INT, "0x10", NONE},
        {KIND_SIZE, "0", 0},
        {KIND_SIZE, "2048", 2048},
        {KIND_SIZE, "64K", 65536},
        {KIND_SIZE, "256M", INT64_C(268435456)},
        {KIND_SIZE, "3G", INT64_C(3221225472)},
        {KIND_SIZE, "1T", INT64_C(1099511627776)},
        {KIND_SIZE, "-1K", -1024},
        {KIND_SIZE, "8388607T", INT64_C(9223370937343148032)},
        {KIND_SIZE, "8388608T", INT64_MAX},
        {KIND_SIZE, "-8388609T", INT64_MIN},
        {KIND_SIZE, "99999999999999999999G", INT64_MAX},
        {KIND_SIZE, "K", NONE},
        {KIND_SIZE, "1k", NONE},
        {KIND_SIZE, "1KB", NONE},
        {KIND_SIZE, "1 K", NONE},
        {KIND_SIZE, "1.5G", NONE},
        {KIND_SIZE, "0x", NONE},
        {KIND_SIZE, "30s", NONE},
        {KIND_TIME_MS, "0", 0},
        {KIND_TIME_MS, "0s", 0},
        {KIND_TIME_MS, "200ms", 200},
        {KIND_TIME_MS, "30s", 30000},
        {KIND_TIME_MS, "5min", 300000},
        {KIND_TIME_MS, "2h", 7200000},
        {KIND_TIME_MS, "7d", 604800000},
        {KIND_TIME_MS, "-5s", -5000},
        {KIND_TIME_MS, "106751991168d", INT64_MAX},
        {KIND_TIME_MS, "200", NONE},
        {KIND_TIME_MS, "5m", NONE},
        {KIND_TIME_MS, "1h30min", NONE},
        {KIND_TIME_MS, "30 parsecs", NONE},
        {KIND_TIME_S, "30s", 30},
        {KIND_TIME_S, "5min", 300},
        {KIND_TIME_S, "365d", 31536000},
        {KIND_TIME_S, "0", 0},
        {KIND_TIME_S, "0ms", NONE},
        {KIND_TIME_S, "2000ms", NONE},
        {KIND_TIME_S, "30", NONE},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        if (read_as(rows[i].kind, rows[i].text) != rows[i].expected) {
            fail_msg("\"%s\" of kind %d", rows[i].text, (int)rows[i].kind);
        }
    }
}

/* Printed with the largest unit that needs no fraction, and read back as the same
 * number. */
static void test_text(void **state)
{
    static const struct {
        enum config_kind kind;
        int64_t value;
        const char *expected;
    } rows[] = {
        {KIND_INT, 3600, "3600"},
        {KIND_INT, INT64_MIN, "-9223372036854775808"},
        {KIND_SIZE, 0, "0"},
        {KIND_SIZE, 1023, "1023"},
        {KIND_SIZE, 17920, "17920"},
        {KIND_SIZE, 1536 << 10, "1536K"},
        {KIND_SIZE, 268435456, "256M"},
        {KIND_SIZE, INT64_C(1125899906842624), "1024T"},
        {KIND_SIZE, INT64_MAX, "9223372036854775807"},
        {KIND_TIME_MS, 0, "0"},
        {KIND_TIME_MS, 1500, "1500ms"},
        {KIND_TIME_MS, 90000, "90s"},
        {KIND_TIME_MS, 60000, "1min"},
        {KIND_TIME_MS, 604800000, "7d"},
        {KIND_TIME_S, 1, "1s"},
        {KIND_TIME_S, 5400, "90min"},
        {KIND_TIME_S, 86400, "1d"},
    };
    char text[CONFIG_NUMBER_BYTES];

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        assert_string_equal(config_number_text(rows[i].kind, rows[i].value, text),
                            rows[i].expected);
        assert_int_equal(read_as(rows[i].kind, text), rows[i].value);
    }
}

/* The examples in error messages are accepted. */
static void test_form(void **state)
{
    static const enum config_kind kinds[] = {KIND_SIZE, KIND_TIME_MS, KIND_TIME_S};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        char form[80];
        char *rest = form;
        unsigned n = 0;
        assert_true(strlen(config_number_form(kinds[i])) < sizeof form);
        memcpy(form, config_number_form(kinds[i]),
               strlen(config_number_form(kinds[i])) + 1);
        for (char *word; (word = strtok_r(rest, " ,", &rest)) != NULL;) {
            if (*word >= '0' && *word <= '9') {
                assert_int_not_equal(read_as(kinds[i], word), NONE);
                n++;
            }
        }
        assert_in_range(n, 3, 4);
    }
}

/* Every range is valid, is written in the units of its option, and fits its field. */
static void test_ranges(void **state)
{
    (void)state;
    for (size_t id = 0; id < OPTION__COUNT; id++) {
        const struct config_option *option = config_option(id);
        enum config_kind kind = config_option_has_unit(option) ? option->kind : KIND_INT;
        int64_t min = read_as(kind, option->min);
        int64_t max = read_as(kind, option->max);
        if (min < 0 || max <= min || (kind != KIND_SIZE && max > INT_MAX)) {
            fail_msg("%s: from %s to %s", option->name, option->min, option->max);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parse),
        cmocka_unit_test(test_text),
        cmocka_unit_test(test_form),
        cmocka_unit_test(test_ranges),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
