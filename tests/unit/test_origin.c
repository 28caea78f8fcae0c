/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Which lists of origins are accepted, and which origins are members. */
#include <string.h>

#include "server/base/origin.h"

#include "tests/unit/cmocka_all.h"

static void test_good_lists(void **state)
{
    static const char *const lists[] = {
        "",
        "https://a.example",
        "http://a.example:8080",
        "https://a.example:80",
        "http://a.example:443",
        "http://a:65535",
        "http://127.0.0.1:5173",
        "http://[::1]:5173",
        "https://[2001:db8::1]",
        "https://a.example,https://b.example",
        " https://a.example ,\thttp://b ",
    };
    const char *at = NULL;

    (void)state;
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++) {
        const char *fault = origin_list_fault(lists[i], &at);

        if (fault != NULL) {
            fail_msg("\"%s\": %s", lists[i], fault);
        }
    }
}

static void test_bad_lists(void **state)
{
    static const struct {
        const char *list;
        const char *about; /* how the text that the error is about begins */
        const char *why;   /* part of the error */
    } rows[] = {
        {"*", "*", "wildcard"},
        {"https://*.example", "https://*", "small letters"},
        {"https://a.example,*", "*", "wildcard"},
        {"null", "null", "http://HOST"},
        {"a.example", "a.example", "http://HOST"},
        {"//a.example", "//a", "http://HOST"},
        {"ftp://a.example", "ftp", "http://HOST"},
        {"HTTPS://a.example", "HTTPS", "http://HOST"},
        {"http://", "http://", "http://HOST"},
        {"https://", "https://", "http://HOST"},
        {" ", "", "http://HOST"},
        {",", ",", "http://HOST"},
        {"https://a.example,", "", "http://HOST"},
        {"https://a.example,,https://b", ",https://b", "http://HOST"},
        {"https://a.example https://b", "https://a", "slash"},
        {"https://a.example/", "https://a", "slash"},
        {"https://a.example/x", "https://a", "slash"},
        {"https://A.example", "https://A", "small letters"},
        {"https://u@a.example", "https://u", "small letters"},
        {"https://u:p@a.example", "https://u", "port"},
        {"https://:80", "https://:80", "small letters"},
        {"https://a.example?x", "https://a", "small letters"},
        {"https://b\xc3\xbc.example", "https://b", "small letters"},
        {"https://[::1", "https://[", "small letters"},
        {"https://[]", "https://[]", "small letters"},
        {"https://[::1]x", "https://[", "small letters"},
        {"https://a:", "https://a", "port"},
        {"https://a:0", "https://a", "port"},
        {"https://a:080", "https://a", "port"},
        {"https://a:443", "https://a", "port"},
        {"http://a:80", "http://a", "port"},
        {"http://a:65536", "http://a", "port"},
        {"http://a:1x", "http://a", "port"},
        {"http://a:+1", "http://a", "port"},
        {"http://a:184467440737095516", "http://a", "port"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const char *at = "nothing";
        const char *fault = origin_list_fault(rows[i].list, &at);

        if (fault == NULL || strstr(fault, rows[i].why) == NULL ||
            strncmp(at, rows[i].about, strlen(rows[i].about)) != 0) {
            fail_msg("\"%s\": \"%s\" of \"%s\"", rows[i].list,
                     fault != NULL ? fault : "nothing", at);
        }
    }
}

static void test_has(void **state)
{
    static const char list[] = "https://a.example, http://a.example:8080 ,http://[::1]:1";
    static const char *const members[] = {"https://a.example", "http://a.example:8080",
                                          "http://[::1]:1"};
    static const char *const others[] = {
        "",
        "null",
        "https://a.exampl",
        "https://a.example.evil",
        "https://a.example/",
        "https://a.example:443",
        "https://A.example",
        "https://a.example ",
        " https://a.example",
        "http://a.example",
        "http://a.example:80",
        "https://a.example, http://a.example:8080",
        ",",
    };

    (void)state;
    for (size_t i = 0; i < sizeof members / sizeof members[0]; i++) {
        assert_true(origin_list_has(list, members[i]));
        assert_false(origin_list_has("", members[i]));
    }
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        if (origin_list_has(list, others[i])) {
            fail_msg("\"%s\" is not a member", others[i]);
        }
    }
    assert_false(origin_list_has("", ""));
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good_lists),
        cmocka_unit_test(test_bad_lists),
        cmocka_unit_test(test_has),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
