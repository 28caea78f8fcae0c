/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Declared parameters: every value that a client can get wrong, and where values come
 * from. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shard/base/arena.h"

#include "server/request/params.h"

#include "tests/unit/cmocka_all.h"

#define TWO_53 INT64_C(9007199254740992)

static const struct param_spec specs[] = {
    {.name = "token", .type = PARAM_TOKEN, .max = 16},
    {.name = "user_id", .type = PARAM_ID},
    {.name = "limit", .type = PARAM_INT, .min = 1, .max = 1000},
    {.name = "offset", .type = PARAM_INT, .min = -5, .max = 5},
    {.name = "latest_time", .type = PARAM_TIME},
    {.name = "title", .type = PARAM_TEXT, .min = 2, .max = 4},
    {.name = "data", .type = PARAM_FILE},
    {.name = NULL},
};

static const struct param_spec required[] = {
    {.name = "token", .type = PARAM_TOKEN, .flags = PARAM_REQUIRED, .max = 16},
    {.name = "video_id", .type = PARAM_ID, .flags = PARAM_REQUIRED},
    {.name = "data", .type = PARAM_FILE, .flags = PARAM_REQUIRED},
    {.name = NULL},
};

static void test_integer(void **state)
{
    static const struct {
        const char *text;
        const char *wrong; /* part of the reason; NULL: the value is good */
        int64_t value;
    } cases[] = {
        {"0", NULL, 0},
        {"1", NULL, 1},
        {"-7", NULL, -7},
        {"-0", NULL, 0},
        {"007", NULL, 7},
        {"9007199254740991", NULL, TWO_53 - 1},
        {"-9007199254740991", NULL, 1 - TWO_53},
        {"1.234567e+06", NULL, 1234567},
        {"1.234567e 06", NULL, 1234567}, /* a plus sign that nobody escaped */
        {"1.234567E6", NULL, 1234567},
        {"9.007199254740991e15", NULL, TWO_53 - 1},
        {"90071992547409910e-1", NULL, TWO_53 - 1},
        {"9007199254740991.0", NULL, TWO_53 - 1},
        {"0.0000001e7", NULL, 1},
        {"100e-2", NULL, 1},
        {"0e999999999999", NULL, 0},
        {"0.000", NULL, 0},
        {"1e15", NULL, INT64_C(1000000000000000)},
        {"9007199254740992", "2^53", 0},
        {"-9007199254740992", "2^53", 0},
        {"9.007199254740992e15", "2^53", 0},
        {"18446744073709551616", "2^53", 0},
        {"18446744073709551617", "2^53", 0},
        {"1e16", "2^53", 0},
        {"1e400", "2^53", 0},
        {"1e99999999999999999999", "2^53", 0},
        {"1.5", "whole", 0},
        {"9007199254740990.5", "whole", 0},
        {"1e-1", "whole", 0},
        {"1e-400", "whole", 0},
        {"", "number", 0},
        {"-", "number", 0},
        {"+1", "number", 0},
        {" 1", "number", 0},
        {"1 ", "number", 0},
        {"1e", "number", 0},
        {"1e+", "number", 0},
        {"1e3x", "number", 0},
        {"1x", "number", 0},
        {"x", "number", 0},
        {"1.", "number", 0},
        {".5", "number", 0},
        {"1.2.3", "number", 0},
        {"--1", "number", 0},
        {"0x10", "number", 0},
        {"1,000", "number", 0},
        {"NaN", "number", 0},
        {"Infinity", "number", 0},
        {"\xef\xbc\x91", "number", 0}, /* a full-width digit */
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        int64_t value = -99;
        const char *wrong =
            param_parse_integer(cases[i].text, strlen(cases[i].text), &value);

        if (cases[i].wrong == NULL) {
            assert_null(wrong);
            assert_int_equal(value, cases[i].value);
        } else {
            assert_non_null(wrong);
            assert_non_null(strstr(wrong, cases[i].wrong));
            assert_int_equal(value, -99);
        }
    }
    assert_non_null(param_parse_integer("1\0", 2, &(int64_t){0}));
}

/* All forms in which a client may write an id give the same number. */
static void test_integer_forms_agree(void **state)
{
    uint64_t seed = 88172645463325252U;

    (void)state;
    for (int i = 0; i < 20000; i++) {
        int64_t want;
        int64_t got = 0;
        char text[64];

        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        want = (int64_t)(seed & (TWO_53 - 1)) >> (i % 53);
        (void)snprintf(text, sizeof text, "%lld", (long long)want);
        assert_null(param_parse_integer(text, strlen(text), &got));
        assert_int_equal(got, want);
        (void)snprintf(text, sizeof text, "%.15e", (double)want);
        assert_null(param_parse_integer(text, strlen(text), &got));
        assert_int_equal(got, want);
    }
}

static void test_time(void **state)
{
    static const struct {
        const char *text;
        int64_t ms;
    } cases[] = {
        {"0", 0},
        {"-1", 0},
        {"garbage", 0},
        {"1.5", 0},
        {"1e400", 0},
        {"9007199254740992", 0},
        {"1700000000", INT64_C(1700000000000)},
        {"1700000000000", INT64_C(1700000000000)},
        {"1.7e12", INT64_C(1700000000000)},
        {"99999999999", INT64_C(99999999999000)},
        {"100000000000", INT64_C(100000000000)},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        assert_int_equal(param_parse_time_ms(cases[i].text, strlen(cases[i].text)),
                         cases[i].ms);
    }
}

/* One query value for one parameter; returns the reason, or "" if it was accepted. */
static const char *check_query(struct arena *arena, struct params *params,
                               const char *name, const char *value, size_t len)
{
    static char reason[96];
    struct params_error error;

    params_init(params, arena, specs);
    params_add_query(params, name, strlen(name), value, len);
    if (params_check(params, &error)) {
        return "";
    }
    assert_string_equal(error.name, name);
    assert_int_equal(strncmp(error.reason, name, strlen(name)), 0);
    memcpy(reason, error.reason, sizeof reason);
    return reason;
}

static void test_bad_values(void **state)
{
    static const struct {
        const char *name;
        const char *value;
        size_t len;
        const char *reason; /* after the parameter's name */
    } cases[] = {
        {"user_id", "0", 1, "is not in 1..9007199254740991"},
        {"user_id", "-1", 2, "is negative"},
        {"user_id", "9007199254740992", 16, "is 2^53 or more"},
        {"user_id", "18446744073709551616", 20, "is 2^53 or more"},
        {"user_id", "1e3x", 4, "is not a number"},
        {"user_id", "1.5", 3, "is not a whole number"},
        {"user_id", "1e400", 5, "is 2^53 or more"},
        {"user_id", "1\0", 2, "is not a number"},
        {"limit", "0", 1, "is not in 1..1000"},
        {"limit", "1001", 4, "is not in 1..1000"},
        {"limit", "-3", 2, "is negative"},
        {"offset", "-6", 2, "is not in -5..5"},
        {"title", "a", 1, "is shorter than 2 characters"},
        {"title", "abcde", 5, "is longer than 4 characters"},
        {"title", "abcdefghijklmnopq", 17, "is longer than 4 characters"},
        {"title", "ab\0", 3, "contains a NUL byte"},
        {"title", "a\xff", 2, "is not valid UTF-8"},
        {"title", "a\xe4\xb8", 3, "is not valid UTF-8"},
    };
    struct params params;
    struct arena arena;
    char want[128];

    (void)state;
    arena_init(&arena, 1 << 20);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        (void)snprintf(want, sizeof want, "%s %s", cases[i].name, cases[i].reason);
        assert_string_equal(
            check_query(&arena, &params, cases[i].name, cases[i].value, cases[i].len),
            want);
    }
    arena_release(&arena);
}

static void test_long_numbers(void **state)
{
    struct params params;
    struct arena arena;
    char digits[200];

    (void)state;
    arena_init(&arena, 1 << 20);
    memset(digits, '1', sizeof digits);
    assert_string_equal(check_query(&arena, &params, "user_id", digits, sizeof digits),
                        "user_id is too long for a number");
    assert_string_equal(check_query(&arena, &params, "user_id", digits, 100),
                        "user_id is 2^53 or more");
    assert_string_equal(
        check_query(&arena, &params, "latest_time", digits, sizeof digits), "");
    assert_int_equal(params_get(&params, "latest_time")->integer, 0);
    arena_release(&arena);
}

static void test_good_values(void **state)
{
    struct params params;
    struct arena arena;

    (void)state;
    arena_init(&arena, 1 << 20);
    assert_string_equal(check_query(&arena, &params, "user_id", "12e1", 4), "");
    assert_int_equal(params_get(&params, "user_id")->integer, 120);
    assert_true(params_get(&params, "user_id")->present);
    assert_string_equal(
        check_query(&arena, &params, "title", "\xe4\xb8\xad\xe6\x96\x87", 6), "");
    assert_int_equal(params_get(&params, "title")->len, 6);
    /* four characters of four bytes each */
    assert_string_equal(check_query(&arena, &params, "title",
                                    "\xf0\x9f\x98\x80\xf0\x9f\x98\x80\xf0\x9f\x98\x80"
                                    "\xf0\x9f\x98\x80",
                                    16),
                        "");
    assert_string_equal(check_query(&arena, &params, "offset", "-5", 2), "");
    assert_int_equal(params_get(&params, "offset")->integer, -5);
    /* empty counts as absent */
    assert_string_equal(check_query(&arena, &params, "user_id", "", 0), "");
    assert_false(params_get(&params, "user_id")->present);
    assert_string_equal(params_get(&params, "user_id")->text, "");
    arena_release(&arena);
}

/* Before the request is complete: a value that will count, or that none has arrived. */
static void test_peek_token(void **state)
{
    struct arena arena;
    struct params params;

    (void)state;
    arena_init(&arena, 1 << 20);
    params_init(&params, &arena, specs);
    assert_null(params_peek_token(&params, "token"));
    params_add_query(&params, "token", 5, "", 0);
    params_add_part(&params, "token", true, "", 0);
    assert_null(params_peek_token(&params, "token"));
    params_add_part(&params, "token", true, "ab", 2);
    params_add_part(&params, "token", false, "cd", 2);
    params_add_part(&params, "title", true, "x", 1);
    params_add_part(&params, "token", true, "later", 5);
    assert_string_equal(params_peek_token(&params, "token"), "abcd");
    static const char *const none[] = {"a b", "\xc3\xa9", "12345678901234567"};
    for (size_t i = 0; i < ARRAY_LEN(none); i++) {
        params_init(&params, &arena, specs);
        params_add_query(&params, "token", 5, none[i], strlen(none[i]));
        assert_string_equal(params_peek_token(&params, "token"), "");
        params_init(&params, &arena, specs);
        params_add_part(&params, "token", true, none[i], strlen(none[i]));
        assert_string_equal(params_peek_token(&params, "token"), "");
    }
    arena_release(&arena);
}

/* A bad token is never reported as a bad parameter: its sender is not logged in. */
static void test_token(void **state)
{
    static const struct {
        const char *value;
        size_t len;
        const char *text;
    } cases[] = {
        {"abc.def", 7, "abc.def"},
        {"a b", 3, ""},
        {"a\0b", 3, ""},
        {"a\xff", 2, ""},
        {"0123456789abcdef", 16, "0123456789abcdef"},
        {"0123456789abcdefg", 17, ""},
    };
    struct params params;
    struct arena arena;

    (void)state;
    arena_init(&arena, 1 << 20);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        assert_string_equal(
            check_query(&arena, &params, "token", cases[i].value, cases[i].len), "");
        assert_true(params_get(&params, "token")->present);
        assert_string_equal(params_get(&params, "token")->text, cases[i].text);
        assert_int_equal(params_get(&params, "token")->len, strlen(cases[i].text));
    }
    arena_release(&arena);
}

static void test_missing(void **state)
{
    struct params_error error;
    struct params params;
    struct arena arena;
    char text[96];

    (void)state;
    arena_init(&arena, 1 << 20);
    params_init(&params, &arena, required);
    assert_false(params_check(&params, &error));
    assert_string_equal(error.reason, "video_id is missing");
    params.body_unread = true;
    assert_false(params_check(&params, &error));
    assert_string_equal(
        error.reason,
        "video_id is missing; only urlencoded and multipart bodies are read");
    params_add_query(&params, "video_id", 8, "5", 1);
    assert_true(
        params_check(&params, &error)); /* a missing token or file is others' business */
    assert_true(params_is_file(&params, "data"));
    assert_false(params_is_file(&params, "token"));
    assert_false(params_is_file(&params, "x"));
    params.body_unread = false;
    assert_string_equal(params_missing(&params, "data", text, sizeof text),
                        "data is missing");
    arena_release(&arena);
}

static void add_body(struct params *params, const char *body)
{
    char *copy = strdup(body);

    params_add_urlencoded(params, copy, strlen(body));
    free(copy);
}

static void test_first_wins(void **state)
{
    struct params_error error;
    struct params params;
    struct arena arena;

    (void)state;
    arena_init(&arena, 1 << 20);
    params_init(&params, &arena, specs);
    params_add_query(&params, "limit", 5, "", 0);
    params_add_query(&params, "limit", 5, "3", 1);
    params_add_query(&params, "limit", 5, "4", 1);
    params_add_query(&params, "limit2", 6, "9", 1);
    params_add_query(&params, "limi", 4, "9", 1);
    add_body(&params, "limit=5&title=&title=body&title=again&user_id=8&unknown=1");
    params_add_part(&params, "title", true, "part", 4);
    params_add_part(&params, "user_id", true, "9", 1);
    assert_true(params_check(&params, &error));
    assert_int_equal(params_get(&params, "limit")->integer, 3);
    assert_string_equal(params_get(&params, "title")->text, "body");
    assert_int_equal(params_get(&params, "user_id")->integer, 8);
    arena_release(&arena);
}

static void test_urlencoded(void **state)
{
    static const struct {
        const char *body;
        const char *title; /* NULL: absent */
    } cases[] = {
        {"", NULL},
        {"&", NULL},
        {"=", NULL},
        {"title", NULL},
        {"title&title", NULL},
        {"title=", NULL},
        {"=x&title=ab", "ab"},
        {"a=b&&title=ab&", "ab"},
        {"title=a+b", "a b"},
        {"title=%41%62", "Ab"},
        {"title=%4a%4A", "JJ"},
        {"t%69tle=ab", "ab"},
        {"title=a=b", "a=b"},
        {"title==b", "=b"},
        {"title=%zz", "%zz"},
        {"title=ab%", "ab%"},
        {"title=ab%4", "ab%4"},
        {"title=%2541", "%41"},
        {"title=\r\n", "\r\n"},
        {"title=%e4%b8%ad%e6%96%87", "\xe4\xb8\xad\xe6\x96\x87"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct params_error error;
        struct params params;
        struct arena arena;

        arena_init(&arena, 1 << 20);
        params_init(&params, &arena, specs);
        add_body(&params, cases[i].body);
        assert_true(params_check(&params, &error));
        assert_int_equal(params_get(&params, "title")->present, cases[i].title != NULL);
        if (cases[i].title != NULL) {
            assert_string_equal(params_get(&params, "title")->text, cases[i].title);
        }
        arena_release(&arena);
    }
}

/* The fields of a multipart body arrive in pieces. */
static void test_parts(void **state)
{
    struct params_error error;
    struct params params;
    struct arena arena;

    (void)state;
    arena_init(&arena, 1 << 20);
    params_init(&params, &arena, specs);
    params_add_part(&params, "title", true, "", 0); /* an empty field, then a good one */
    params_add_part(&params, "title", true, "a", 1);
    params_add_part(&params, "title", false, "bc", 2);
    params_add_part(&params, "title", true, "xx", 2); /* a second one does not count */
    params_add_part(&params, "title", false, "yy", 2);
    params_add_part(&params, "data", true, "file", 4);
    assert_true(params_check(&params, &error));
    assert_string_equal(params_get(&params, "title")->text, "abc");
    params_init(&params, &arena, specs);
    for (int i = 0; i < 40; i++) {
        params_add_part(&params, "title", i == 0, "a", 1);
    }
    assert_false(params_check(&params, &error));
    assert_string_equal(error.reason, "title is longer than 4 characters");
    arena_release(&arena);
}

static void test_no_memory(void **state)
{
    struct params_error error;
    struct params params;
    struct arena arena;

    (void)state;
    arena_init(&arena, 0);
    params_init(&params, &arena, specs);
    params_add_query(&params, "title", 5, "ab", 2);
    assert_true(params.no_memory);
    assert_true(params_check(&params, &error));
    params_init(&params, &arena, specs);
    params_add_part(&params, "title", true, "ab", 2);
    params_add_part(&params, "title", false, "cd", 2);
    assert_true(params.no_memory);
    assert_true(params_check(&params, &error));
    arena_release(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_integer),      cmocka_unit_test(test_integer_forms_agree),
        cmocka_unit_test(test_time),         cmocka_unit_test(test_bad_values),
        cmocka_unit_test(test_long_numbers), cmocka_unit_test(test_good_values),
        cmocka_unit_test(test_peek_token),   cmocka_unit_test(test_token),
        cmocka_unit_test(test_missing),      cmocka_unit_test(test_first_wins),
        cmocka_unit_test(test_urlencoded),   cmocka_unit_test(test_parts),
        cmocka_unit_test(test_no_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
